//! What nodes are told: settings, to learn anew, to show themselves, the time.
//!
//! A command is sent again until its node answers, for a while: a node sleeps between its reports, and
//! one that has just been heard is awake, so it is told then. One node has at most one command of each
//! kind waiting; a newer one takes its place. Knows neither the line nor a clock.

use std::collections::{BTreeMap, BTreeSet};

use domain::decode::node_link::{Keys, News, Said, time_frame};
use domain::ids::DeviceKey;
use domain::output::Wanted;
use domain::time::{ClockQuality, Monotonic, Now, Span};
use wire::{Answer, Outcome, Settings};

/// Commands that wait for their answers. Full: a further one is refused and counted; who wants it asks
/// again.
const WAITING_MAX: usize = 512;
/// Between two tries.
const AGAIN_AFTER: Span = Span::from_secs(10);
/// So many tries; then the node counts as out of reach. With the wait between them, half an hour.
const TRIES_MAX: u32 = 180;
/// How long after the start of the box all nodes are told the time first.
const TIME_FIRST: Span = Span::from_secs(60);
/// How often all nodes are told the time.
const TIME_EVERY: Span = Span::from_mins(60);

/// What kind of command waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Settings,
    Recalibrate,
    NewBattery,
    Identify,
}

/// A command.
#[derive(Debug, Clone, Copy)]
enum Order {
    Settings(Settings),
    Asked(Wanted),
}

impl Order {
    const fn kind(self) -> Kind {
        match self {
            Order::Settings(_) => Kind::Settings,
            Order::Asked(Wanted::Recalibrate) => Kind::Recalibrate,
            Order::Asked(Wanted::NewBattery) => Kind::NewBattery,
            Order::Asked(Wanted::Identify { .. }) => Kind::Identify,
        }
    }

    fn frame(self, keys: &Keys, device: &DeviceKey, number: u32) -> Option<Vec<u8>> {
        match self {
            Order::Settings(settings) => keys.settings_frame(device, number, &settings),
            Order::Asked(Wanted::Recalibrate) => keys.recalibrate_frame(device, number),
            Order::Asked(Wanted::NewBattery) => keys.new_battery_frame(device, number),
            Order::Asked(Wanted::Identify { seconds }) => {
                keys.identify_frame(device, number, seconds)
            }
        }
    }
}

#[derive(Debug)]
struct Waiting {
    number: u32,
    order: Order,
    frame: Vec<u8>,
    tries: u32,
    at: Monotonic,
}

/// What became of commands since it was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    /// Answered "done".
    pub(super) done: u64,
    /// Refused, given up, or not taken.
    pub(super) failed: u64,
}

/// The commands for the nodes of one line.
#[derive(Debug)]
pub(super) struct Commands {
    settings: Option<Settings>,
    keys: Keys,
    /// Nodes with a key that have said hello and not been told the time since: as many as there are keys.
    untimed: BTreeSet<DeviceKey>,
    waiting: BTreeMap<(DeviceKey, Kind), Waiting>,
    number: u32,
    time_at: Monotonic,
    count: Count,
}

impl Commands {
    /// Nodes whose settings are others than these are told so.
    pub(super) fn new(settings: Option<Settings>, keys: Keys, now: Now) -> Commands {
        Commands {
            settings,
            keys,
            untimed: BTreeSet::new(),
            waiting: BTreeMap::new(),
            number: 0,
            time_at: now.monotonic + TIME_FIRST,
            count: Count::default(),
        }
    }

    /// A node is wanted to do something.
    pub(super) fn ask(&mut self, device: &DeviceKey, what: Wanted, now: Now) {
        self.wait(device, Order::Asked(what), now);
    }

    /// Numbers run ahead of the seconds since 1970, so that they rise over restarts, as nodes with a key
    /// want it, and an answer to a command from before a restart fits to none. 0 wants no answer. They
    /// fit into 32 bits until 2106.
    fn next_number(&mut self, now: Now) -> u32 {
        let present = u32::try_from(now.utc.as_ms() / 1000).unwrap_or(0);
        self.number = self.number.saturating_add(1).max(present);
        self.number
    }

    fn wait(&mut self, device: &DeviceKey, order: Order, now: Now) {
        let number = self.next_number(now);
        let kind = order.kind();
        let key = (device.clone(), kind);
        let has_room = self.waiting.len() < WAITING_MAX || self.waiting.contains_key(&key);
        match order.frame(&self.keys, device, number).filter(|_| has_room) {
            Some(frame) => {
                let waiting = Waiting { number, order, frame, tries: 0, at: now.monotonic };
                self.waiting.insert(key, waiting);
            }
            None => {
                tracing::warn!(%device, ?kind, "node cannot be told");
                self.count.failed += 1;
            }
        }
    }

    /// A node said something besides measurements.
    pub(super) fn hear(&mut self, news: &News, now: Now) {
        match news.said {
            Said::Hello(hello) => {
                if let Some(settings) = self.settings.filter(|s| s.revision != hello.settings) {
                    self.wait(&news.device, Order::Settings(settings), now);
                }
                // It has started, and its clock with it.
                self.time_at = self.time_at.min(now.monotonic);
                if self.keys.seal(&news.device) {
                    self.untimed.insert(news.device.clone());
                }
            }
            Said::Answer(answer) => self.answered(&news.device, answer, now),
        }
        self.awake(&news.device, now);
    }

    /// A node has just been heard: it listens now.
    pub(super) fn awake(&mut self, device: &DeviceKey, now: Now) {
        for kind in [Kind::Settings, Kind::Recalibrate, Kind::NewBattery, Kind::Identify] {
            if let Some(waiting) = self.waiting.get_mut(&(device.clone(), kind)) {
                waiting.at = waiting.at.min(now.monotonic);
            }
        }
    }

    fn answered(&mut self, device: &DeviceKey, answer: Answer, now: Now) {
        let of = |(key, waiting): (&(DeviceKey, Kind), &Waiting)| {
            (key.0 == *device && waiting.number == answer.to).then(|| key.clone())
        };
        // An answer that came twice, or to a command from before a restart.
        let Some(key) = self.waiting.iter().find_map(of) else { return };
        if answer.outcome == Outcome::Stale {
            return self.renumber(&key, now);
        }
        self.waiting.remove(&key);
        if answer.outcome == Outcome::Done {
            self.count.done += 1;
            tracing::info!(%device, command = ?key.1, "node has done it");
        } else {
            self.count.failed += 1;
            tracing::warn!(%device, command = ?key.1, outcome = ?answer.outcome, "node refuses");
        }
    }

    /// A node with a key has meanwhile taken a command with a higher number: this one gets a higher still.
    fn renumber(&mut self, key: &(DeviceKey, Kind), now: Now) {
        let number = self.next_number(now);
        if let Some(waiting) = self.waiting.get_mut(key)
            && let Some(frame) = waiting.order.frame(&self.keys, &key.0, number)
        {
            waiting.number = number;
            waiting.frame = frame;
            waiting.at = now.monotonic;
        }
    }

    /// The frames that are due, one after the other.
    pub(super) fn due(&mut self, now: Now) -> Vec<u8> {
        let mut frames = Vec::new();
        if self.time_at <= now.monotonic {
            self.time_at = now.monotonic + TIME_EVERY;
            if now.clock > ClockQuality::Unset {
                frames.extend(time_frame(now.utc).unwrap_or_default());
                for device in std::mem::take(&mut self.untimed) {
                    let number = self.next_number(now);
                    let frame = self.keys.sealed_time_frame(&device, number, now.utc);
                    frames.extend(frame.unwrap_or_default());
                }
            }
        }
        let mut given_up = 0;
        self.waiting.retain(|(device, kind), waiting| {
            if waiting.at > now.monotonic {
                return true;
            }
            if waiting.tries == TRIES_MAX {
                tracing::warn!(%device, command = ?kind, "node does not answer");
                given_up += 1;
                return false;
            }
            waiting.tries += 1;
            waiting.at = now.monotonic + AGAIN_AFTER;
            frames.extend_from_slice(&waiting.frame);
            true
        });
        self.count.failed += given_up;
        frames
    }

    /// When something is due.
    pub(super) fn next_at(&self) -> Monotonic {
        self.waiting.values().map(|waiting| waiting.at).fold(self.time_at, Monotonic::min)
    }

    /// What became of commands since this was asked last.
    pub(super) fn take_count(&mut self) -> Count {
        std::mem::take(&mut self.count)
    }
}

#[cfg(test)]
mod tests {
    use domain::time::{Boot, Moment, Utc};
    use wire::{Body, Deframer, Down, Firmware, Heard, Hello, NodeKind};

    use super::*;

    fn at(s: u64) -> Now {
        let start = Utc::parse("2026-06-04T04:00:00Z").unwrap();
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: start + Span::from_secs(s),
            clock: ClockQuality::Ntp,
        }
    }

    fn device(node: u32) -> DeviceKey {
        DeviceKey::new(&node.to_string()).unwrap()
    }

    fn news(node: u32, said: Said) -> News {
        News { device: device(node), uptime: Span::ZERO, said }
    }

    fn hello(settings: u16) -> Said {
        let firmware = Firmware { major: 1, minor: 0, patch: 0 };
        Said::Hello(Hello { firmware, kind: NodeKind::Bay, boot: 1, settings })
    }

    /// Node, number and content of each frame.
    fn frames(bytes: &[u8]) -> Vec<(u32, u32, Down)> {
        let mut deframer = Deframer::new();
        let heard = bytes.iter().filter_map(|byte| deframer.push(*byte));
        let frame = |heard| match heard {
            Heard::Frame(frame) => match frame.body {
                Body::Down(down) => (frame.header.node, frame.header.counter, down),
                Body::Up(_) => panic!("not down"),
            },
            other => panic!("{other:?}"),
        };
        heard.map(frame).collect()
    }

    #[test]
    fn a_command_is_sent_until_its_own_node_answers_it() {
        let mut commands = Commands::new(None, Keys::default(), at(0));
        assert_eq!(frames(&commands.due(at(0))), []);
        commands.ask(&device(7), Wanted::Recalibrate, at(1));
        let sent = frames(&commands.due(at(1)));
        let [(7, number, Down::Recalibrate)] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(frames(&commands.due(at(5))), [], "not yet again");
        assert_eq!(frames(&commands.due(at(11))), sent, "the same number");
        // Another node, and another number.
        let done = |to| Said::Answer(Answer { to, outcome: Outcome::Done });
        commands.hear(&news(8, done(number)), at(12));
        commands.hear(&news(7, done(number + 1)), at(12));
        assert_eq!(commands.take_count(), Count::default());
        commands.hear(&news(7, done(number)), at(13));
        assert_eq!(commands.take_count(), Count { done: 1, failed: 0 });
        assert!(matches!(
            frames(&commands.due(at(100)))[..],
            [(wire::BROADCAST, 0, Down::Time(_))]
        ));
    }

    #[test]
    fn a_node_with_other_settings_is_told_and_one_with_these_is_not() {
        let settings = Settings { revision: 9, ..Settings::INITIAL };
        let mut commands = Commands::new(Some(settings), Keys::default(), at(0));
        commands.due(at(0));
        commands.hear(&news(7, hello(9)), at(1));
        assert!(matches!(frames(&commands.due(at(1)))[..], [(_, 0, Down::Time(_))]));
        commands.hear(&news(7, hello(0)), at(2));
        let sent = frames(&commands.due(at(2)));
        let [(_, 0, Down::Time(_)), (7, number, Down::Settings(told))] = sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(told, settings);
        let refused = Answer { to: number, outcome: Outcome::OutOfRange };
        commands.hear(&news(7, Said::Answer(refused)), at(3));
        assert_eq!(commands.take_count(), Count { done: 0, failed: 1 });
    }

    #[test]
    fn a_node_that_never_answers_is_given_up_and_one_that_wakes_is_told_at_once() {
        let mut commands = Commands::new(None, Keys::default(), at(0));
        commands.due(at(0));
        commands.ask(&device(7), Wanted::Identify { seconds: 5 }, at(0));
        commands.due(at(0));
        commands.awake(&device(8), at(1));
        assert_eq!(frames(&commands.due(at(1))), []);
        commands.awake(&device(7), at(2));
        assert_eq!(frames(&commands.due(at(2))).len(), 1);
        let sent = (3..4000).map(|s| frames(&commands.due(at(s))).len()).sum::<usize>();
        // Two were before, and two are the time.
        assert_eq!(sent, TRIES_MAX as usize - 2 + 2);
        assert_eq!(commands.take_count(), Count { done: 0, failed: 1 });
    }

    #[test]
    fn a_flood_of_requests_is_bounded_and_counted() {
        let mut commands = Commands::new(None, Keys::default(), at(0));
        for node in 0..600 {
            commands.ask(&device(node), Wanted::Recalibrate, at(0));
            commands.ask(&device(node), Wanted::Recalibrate, at(0));
        }
        commands.ask(&DeviceKey::new("no-number").unwrap(), Wanted::Recalibrate, at(0));
        assert_eq!(commands.waiting.len(), WAITING_MAX);
        assert_eq!(commands.take_count().failed, 2 * (600 - WAITING_MAX as u64) + 1);
    }
}
