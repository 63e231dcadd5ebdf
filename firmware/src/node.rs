//! The node itself: events in, actions out.

use drivers::Field;
use wire::{
    Answer, BROADCAST, Battery, Body, BufferTooSmall, Charge, Firmware, Frame, Header, Hello, Key,
    Measured, NodeKind, Settings, Temperature, Up,
};

use crate::bay::Phase;
use crate::energy::{Meter, Supply};
use crate::event::{Action, Actions, Event, Reading, Sense};
use crate::kept::{EMPTY, KEPT_LEN, Slot};
use crate::record::Record;
use crate::thermometer::Thermometer;
use crate::unsent::{Unsent, scatter};
use crate::watch::{Around, BayWatch, BinWatch, Wishes, after};

/// Counters are reserved in the record by so many at a time, to spare the memory.
const RESERVE: u32 = 256;
/// The next ones are reserved when fewer than this are left.
const RESERVE_MIN: u32 = 32;
pub(crate) const TEMPERATURE_MS: u64 = 60_000;
const SUSPICION_MS: u64 = 5_000;
/// After a start the nodes of a line say hello within this time, each at its own moment.
const HELLO_SPREAD_MS: u32 = 2_000;
/// A record that could not be stored is tried again after this.
const STORE_RETRY_MS: u64 = 60_000;

/// Who a node is: given to it when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub(crate) node: u32,
    kind: Kind,
    firmware: Firmware,
    has_range_finder: bool,
    pub(crate) key: Option<Key>,
    pub(crate) supply: Option<&'static Supply>,
}

/// What a node looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parking bay.
    Bay,
    /// A bin.
    Bin,
}

impl Identity {
    /// A node's number, kind and program; `None` for the number that means all nodes.
    #[must_use]
    pub const fn new(node: u32, kind: Kind, firmware: Firmware) -> Option<Identity> {
        if node == BROADCAST {
            return None;
        }
        Some(Identity { node, kind, firmware, has_range_finder: false, key: None, supply: None })
    }

    /// A bay node with a range finder that looks up: it has a say when something comes or goes.
    #[must_use]
    pub const fn with_range_finder(self) -> Identity {
        Identity { has_range_finder: true, ..self }
    }

    /// A node that seals what it says and believes only what is sealed for it.
    #[must_use]
    pub const fn with_key(self, key: Key) -> Identity {
        Identity { key: Some(key), ..self }
    }

    /// A node that lives on a battery, counts what it takes out of it and tells what is left. One without
    /// hangs on a cable, or does not know.
    #[must_use]
    pub const fn with_supply(self, supply: &'static Supply) -> Identity {
        Identity { supply: Some(supply), ..self }
    }
}

/// What went wrong since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Reports that were dropped because too many waited.
    pub reports_dropped: u32,
    /// What the line said that was not a frame.
    pub line_faults: u32,
    /// Frames for this node of a kind that it does not know.
    pub unknown_kinds: u32,
    /// Frames for this node whose tag does not fit its key.
    pub wrong_tags: u32,
    /// Frames for this node without a tag, although it has a key.
    pub unsealed: u32,
    /// Sealed commands that had been said before.
    pub stale_commands: u32,
    /// Records that could not be stored.
    pub store_failures: u32,
    /// Slots of reports that could not be written.
    pub keep_failures: u32,
    /// Slots that held neither a report nor nothing at the start.
    pub slots_damaged: u32,
    /// Battery measurements that failed.
    pub battery_failures: u32,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    pub(crate) identity: Identity,
    pub(crate) record: Record,
    pub(crate) now: u64,
    pub(crate) watch: Watch,
    meter: Meter,
    thermometer: Thermometer,
    /// The counter of the next report.
    counter: u32,
    pub(crate) unsent: Unsent,
    /// When the bay or bin was last reported.
    told_ms: u64,
    pub(crate) due: Due,
    pub(crate) answer: Option<Answer>,
    /// The latest command that was answered: a repeat of it gets the same answer.
    pub(crate) command: Option<Answer>,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a node has one of them, and no heap to put it")]
pub(crate) enum Watch {
    Bay(BayWatch),
    Bin(BinWatch),
}

/// When what is due; `None` where nothing is.
#[derive(Debug)]
pub(crate) struct Due {
    temperature: Option<u64>,
    pub(crate) battery: u64,
    pub(crate) hello: u64,
    pub(crate) store: Option<u64>,
    temperature_asked: bool,
    /// The latest record did not get into its place: the next one goes there, and not over the good one.
    store_failed: bool,
}

impl Node {
    /// A node that starts at `now_ms` of its board's clock, with what it stored before, if anything.
    #[must_use]
    pub fn new(identity: Identity, stored: Option<Record>, now_ms: u64) -> Node {
        let mut record = stored.unwrap_or(Record::FIRST);
        let counter = record.reserved;
        record.boot = record.boot.saturating_add(1);
        record.reserved = counter.wrapping_add(RESERVE);
        let watch = match identity.kind {
            Kind::Bay => {
                Watch::Bay(BayWatch::new(record.baseline, identity.has_range_finder, now_ms))
            }
            Kind::Bin => Watch::Bin(BinWatch::new(now_ms)),
        };
        let spread = scatter(identity.node) % HELLO_SPREAD_MS;
        Node {
            identity,
            record,
            now: now_ms,
            watch,
            meter: Meter::default(),
            thermometer: Thermometer::new(),
            counter,
            unsent: Unsent::default(),
            told_ms: now_ms,
            due: Due {
                temperature: Some(now_ms),
                battery: after(now_ms, spread.into()),
                hello: after(now_ms, spread.into()),
                store: Some(now_ms),
                temperature_asked: false,
                store_failed: false,
            },
            answer: None,
            command: None,
            counters: Counters::default(),
        }
    }

    /// Takes what happened at `now_ms` of the board's clock, which never runs backwards, and says what
    /// to do.
    #[must_use]
    #[inline(never)] // What it needs of the stack is given back before its actions are carried out.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Actions {
        let passed_ms = now_ms.saturating_sub(self.now);
        self.now = self.now.max(now_ms);
        let mut actions = Actions::new();
        match event {
            Event::Wake => {}
            Event::Read(reading) => self.read(reading, &mut actions),
            Event::Heard(heard) => self.hear(heard, &mut actions),
            Event::Kept(true) => {}
            Event::Kept(false) => {
                self.counters.keep_failures = self.counters.keep_failures.saturating_add(1);
            }
            Event::Stored(true) => self.due.store_failed = false,
            Event::Stored(false) => {
                self.counters.store_failures = self.counters.store_failures.saturating_add(1);
                self.due.store_failed = true;
                self.due.store = Some(after(self.now, STORE_RETRY_MS));
            }
        }
        self.poll(&mut actions);
        self.store(&mut actions);
        self.send(&mut actions);
        self.meter(passed_ms, &actions);
        actions
    }

    /// What the step takes out of the battery. It is counted in memory and gets into the record with
    /// whatever has that written anyway, and before every report of it.
    fn meter(&mut self, passed_ms: u64, actions: &Actions) {
        if let Some(supply) = self.identity.supply {
            let uah = self.meter.count(supply, passed_ms, actions);
            self.record.used_uah = self.record.used_uah.saturating_add(uah);
        }
    }

    /// When the node wants to be woken, on the board's clock. Later than the latest step.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        let (watch, can_report) = match &self.watch {
            Watch::Bay(watch) => (watch.next_ms(), watch.can_report()),
            Watch::Bin(watch) => (watch.next_ms(), watch.can_report()),
        };
        [
            self.due.temperature,
            Some(self.due.battery),
            Some(self.due.hello),
            self.due.store,
            Some(watch),
            can_report.then(|| self.keep_alive_ms()),
            self.unsent.next_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(u64::MAX)
    }

    /// What to store when [`Action::Store`] says so.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Writes `frame` as this node says it: sealed, if it has a key.
    ///
    /// # Errors
    /// `out` is too small; [`wire::FRAME_MAX`] bytes always suffice.
    pub fn encode<'b>(&self, frame: &Frame, out: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        match &self.identity.key {
            Some(key) => frame.seal(key, out),
            None => frame.encode(out),
        }
    }

    /// What slot `slot` is to hold when [`Action::Keep`] says so.
    #[must_use]
    pub fn kept(&self, slot: u8) -> [u8; KEPT_LEN] {
        self.unsent.kept(slot).map_or(EMPTY, |kept| kept.encode(self.identity.node))
    }

    /// Takes up what stood in slot `slot`; once for each slot, after a start and before the first step.
    pub fn recall(&mut self, slot: u8, bytes: &[u8; KEPT_LEN]) {
        match Slot::decode(bytes, self.identity.node) {
            Slot::Empty => {}
            Slot::Report(kept) => self.unsent.recall(slot, kept, self.counter, self.now),
            Slot::Damaged => {
                self.counters.slots_damaged = self.counters.slots_damaged.saturating_add(1);
            }
        }
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.record.settings
    }

    /// Where the detector of a bay stands.
    #[must_use]
    pub const fn phase(&self) -> Option<Phase> {
        match &self.watch {
            Watch::Bay(watch) => Some(watch.bay.phase()),
            Watch::Bin(_) => None,
        }
    }

    /// The field of the empty bay as the node knows it, at the latest temperature.
    #[must_use]
    pub fn empty_field(&self) -> Option<Field> {
        match &self.watch {
            Watch::Bay(watch) => watch.bay.empty_field(self.thermometer.milli_celsius()),
            Watch::Bin(_) => None,
        }
    }

    /// Reports that wait for their acknowledgement.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// What went wrong since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { reports_dropped: self.unsent.dropped(), ..self.counters }
    }

    fn keep_alive_ms(&self) -> u64 {
        after(self.told_ms, u64::from(self.record.settings.keep_alive_s) * 1000)
    }

    fn read(&mut self, reading: Reading, actions: &mut Actions) {
        match reading {
            Reading::Field(field) => self.watching(actions, |watch, around, wishes| {
                if let Watch::Bay(watch) = watch {
                    watch.read(field, around, wishes);
                }
            }),
            Reading::Range(range) => self.watching(actions, |watch, around, wishes| match watch {
                Watch::Bin(watch) => watch.read(range, around, wishes),
                Watch::Bay(watch) => watch.range(range),
            }),
            Reading::Temperature(temperature) => self.feel(temperature),
            Reading::Switches { tilted, lid_open } => {
                if let Watch::Bin(watch) = &mut self.watch {
                    watch.switches(tilted, lid_open, self.now);
                }
            }
            Reading::Battery(Some(millivolts)) => {
                self.report(Measured::Battery(Battery { millivolts }), self.now);
            }
            Reading::Battery(None) => {
                self.counters.battery_failures = self.counters.battery_failures.saturating_add(1);
            }
        };
    }

    fn feel(&mut self, temperature: Temperature) {
        let before = self.thermometer.fire;
        self.thermometer.read(temperature, self.record.settings.bin.fire_mc);
        self.due.temperature_asked = false;
        if self.thermometer.is_suspicious() {
            self.due.temperature = Some(after(self.now, SUSPICION_MS));
        } else if temperature == Temperature::NotFitted {
            self.due.temperature = None;
        }
        let burns = self.thermometer.fire == Some(true);
        if burns != (before == Some(true))
            && let Watch::Bin(watch) = &mut self.watch
        {
            watch.hurry(self.now);
        }
    }

    /// Asks for what is due.
    fn poll(&mut self, actions: &mut Actions) {
        let now = self.now;
        if self.due.temperature.is_some_and(|due| now >= due) {
            self.due.temperature = Some(after(now, TEMPERATURE_MS));
            if self.due.temperature_asked {
                self.feel(Temperature::Fault);
            }
            self.due.temperature_asked = true;
            push(actions, Action::Measure(Sense::Temperature));
        }
        if now >= self.due.battery {
            self.due.battery = after(now, u64::from(self.record.settings.battery_s) * 1000);
            push(actions, Action::Measure(Sense::Battery));
            self.report_charge();
        }
        self.watching(actions, |watch, around, wishes| match watch {
            Watch::Bay(watch) => watch.poll(around, wishes),
            Watch::Bin(watch) => watch.poll(around, wishes),
        });
    }

    /// Lets the watch work and grants its wishes.
    fn watching(
        &mut self,
        actions: &mut Actions,
        work: impl FnOnce(&mut Watch, Around<'_>, &mut Wishes),
    ) {
        let mut wishes = Wishes::default();
        let around = Around {
            now: self.now,
            settings: &self.record.settings,
            thermometer: &self.thermometer,
            keep_alive: self.now >= self.keep_alive_ms(),
        };
        work(&mut self.watch, around, &mut wishes);
        if let Some((measured, at_ms)) = wishes.report {
            self.told_ms = self.now;
            self.report(measured, at_ms);
        }
        for sense in wishes.measure {
            push(actions, Action::Measure(sense));
        }
    }

    /// Tells what is left of the battery. The record is written in the same step and before the report is
    /// sent, so that a power cut never takes back what was told.
    fn report_charge(&mut self) {
        let Some(supply) = self.identity.supply else { return };
        let left_permille = supply.cell.left_permille(self.record.used_uah);
        self.report(Measured::Charge(Charge { left_permille }), self.now);
        self.due.store = Some(self.now);
    }

    fn report(&mut self, measured: Measured, at_ms: u64) {
        self.unsent.push(self.counter, at_ms, measured, self.now);
        self.counter = self.counter.wrapping_add(1);
        if self.record.reserved.wrapping_sub(self.counter) < RESERVE_MIN {
            self.record.reserved = self.counter.wrapping_add(RESERVE);
            self.due.store = Some(self.now);
        }
    }

    fn store(&mut self, actions: &mut Actions) {
        if let Watch::Bay(watch) = &self.watch
            && let Some(learnt) = watch.bay.learnt()
            && self.record.baseline.is_none_or(|kept| kept.is_other_vehicle(&learnt))
        {
            self.due.store.get_or_insert(self.now);
        }
        // Once a day the baseline is stored as it has become.
        if self.now >= self.due.hello {
            self.due.store.get_or_insert(self.now);
        }
        if self.due.store.is_some_and(|due| self.now >= due) {
            self.due.store = None;
            if !self.due.store_failed {
                self.record.serial = self.record.serial.saturating_add(1);
            }
            if let Watch::Bay(watch) = &self.watch {
                self.record.baseline = watch.bay.learnt();
            }
            push(actions, Action::Store);
        }
    }

    fn send(&mut self, actions: &mut Actions) {
        if let Some(answer) = self.answer.take() {
            push(actions, self.frame(self.counter, Up::Answer(answer)));
        }
        if self.now >= self.due.hello {
            self.due.hello = after(self.now, u64::from(self.record.settings.battery_s) * 1000);
            let kind = match self.identity.kind {
                Kind::Bay => NodeKind::Bay,
                Kind::Bin => NodeKind::Bin,
            };
            let Record { boot, settings, .. } = self.record;
            let firmware = self.identity.firmware;
            let hello = Hello { firmware, kind, boot, settings: settings.revision };
            push(actions, self.frame(self.counter, Up::Hello(hello)));
        }
        if let Some(due) = self.unsent.take_due(self.now, scatter(self.identity.node)) {
            if let Some(slot) = due.keep {
                push(actions, Action::Keep { slot });
            }
            push(actions, self.frame(due.counter, Up::Report(due.report)));
        }
    }

    fn frame(&self, counter: u32, up: Up) -> Action {
        let header = Header { node: self.identity.node, counter, uptime_s: seconds(self.now) };
        Action::Send(Frame { header, body: Body::Up(up) })
    }
}

pub(crate) fn push(actions: &mut Actions, action: Action) {
    actions.push(action).expect("ACTIONS_MAX is the most that one step can ask for");
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}
