//! Somebody who only sees what the broker hands out, and knows the plan: were all messages there, in
//! numbers without a gap, and was there exactly one ticket for each problem?
//!
//! It trusts nothing the box says of itself. It reads the published interface (`P/#`) and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::ids::{AssetKey, Category};
use domain::output::Lane;
use domain::site::{Identity, Site};
use domain::time::Utc;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::plan::{Expected, Plan};
use crate::mqtt::peer::Delivery;

/// Messages on their way to the judge. Full: its peer waits, and the broker queues.
pub const DELIVERIES_MAX: usize = 4096;
/// News on their way to the screen. Full: the judge waits.
pub const NEWS_MAX: usize = 256;

/// Message ids remembered; the oldest is forgotten first. A repeat comes within moments.
const IDS_MAX: usize = 8192;

/// Something that happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// When, by the box's clock.
    pub at: Utc,
    /// What.
    pub step: Step,
    /// The ticket's category.
    pub category: Category,
    /// Where.
    pub asset: AssetKey,
}

/// What can happen to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It was opened.
    Raised,
    /// It was opened again.
    Reopened,
    /// The sensors no longer see the problem.
    Cleared,
    /// A newer ticket took its place.
    Expired,
    /// A person did something with it.
    Handled,
    /// A person ended it.
    Ended,
}

/// What the judge has seen.
#[derive(Debug)]
pub struct Judge {
    prefix: String,
    lanes: BTreeMap<Lane, LaneBook>,
    ids: Ids,
    lives: BTreeMap<(Category, AssetKey), Life>,
    malformed: u64,
}

/// One lane as it arrived.
#[derive(Debug, Default)]
struct LaneBook {
    seen: Ranges,
    received: u64,
    duplicates: u64,
    /// Messages that only take another one off the broker: they have no payload, and so no number.
    emptied: u64,
}

/// The tickets of one problem at one asset.
#[derive(Debug, Default)]
struct Life {
    open: Option<String>,
    raised: u64,
    reopened: u64,
    cleared: u64,
    /// Raised while another ticket of the same problem was open.
    twice: u64,
    /// A person has acted: what comes of the problem is no longer the street's doing alone.
    touched: bool,
}

/// What every message of a lane says of itself, and what is needed of a ticket's event.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    lane: Lane,
    seq: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
    time: Option<Utc>,
    data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct TicketEvent {
    ticket_id: String,
    category: Category,
    asset: Option<AssetKey>,
    #[serde(default)]
    step: By,
}

/// Who took a step.
#[derive(Default, Deserialize)]
struct By {
    by: String,
}

/// The box itself, among those who take steps.
const AGENT: &str = "agent";

impl Judge {
    /// A judge of the box configured as `site`.
    #[must_use]
    pub fn new(site: &Site) -> Judge {
        Judge {
            prefix: format!("{}/", prefix(&site.identity)),
            lanes: BTreeMap::new(),
            ids: Ids::default(),
            lives: BTreeMap::new(),
            malformed: 0,
        }
    }

    /// What the judge must subscribe to.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("{}#", self.prefix)
    }

    /// Messages seen so far, repeats included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.lanes.values().map(|lane| lane.received).sum()
    }

    /// Tickets that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lives.values().filter(|life| life.open.is_some()).count()
    }

    /// Whether this is the box's goodbye: after it nothing comes.
    #[must_use]
    pub fn is_goodbye(&self, delivery: &Delivery) -> bool {
        let path = delivery.topic.strip_prefix(&self.prefix);
        path == Some("status")
            && !delivery.retained
            && serde_json::from_slice::<serde_json::Value>(&delivery.payload)
                .is_ok_and(|status| status["state"] == "offline")
    }

    /// Takes a message; answers with what it tells of a ticket, if it does.
    pub fn take(&mut self, delivery: &Delivery) -> Option<News> {
        let path = delivery.topic.strip_prefix(&self.prefix)?;
        let of_lane = !matches!(path.split('/').next(), Some("status" | "health" | "cmd"));
        if delivery.retained || !of_lane {
            // What was kept was counted when it was new; these three have no number.
            return None;
        }
        if delivery.payload.is_empty() {
            let lane = if path.starts_with("ticket/") { Lane::Ticket } else { Lane::State };
            self.lanes.entry(lane).or_default().emptied += 1;
            return None;
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&delivery.payload) else {
            self.malformed += 1;
            return None;
        };
        let lane = self.lanes.entry(envelope.lane).or_default();
        lane.received += 1;
        if !lane.seen.insert(envelope.seq) {
            lane.duplicates += 1;
            return None;
        }
        // A reply carries the id of the command it answers, which may be asked twice.
        if !path.starts_with("reply/") {
            self.ids.note(envelope.id);
        }
        let event = path.strip_prefix("ticket/").is_some_and(|rest| rest.ends_with("/event"));
        match (event, envelope.kind, envelope.time, envelope.data) {
            (false, ..) => None,
            (true, Some(kind), Some(time), Some(data)) => self.ticket(&kind, time, data),
            (true, ..) => {
                self.malformed += 1;
                None
            }
        }
    }

    fn ticket(&mut self, kind: &str, at: Utc, data: serde_json::Value) -> Option<News> {
        let Ok(event) = serde_json::from_value::<TicketEvent>(data) else {
            self.malformed += 1;
            return None;
        };
        let TicketEvent { ticket_id, category, asset, step } = event;
        let Some(asset) = asset else {
            // A problem that is at no asset is none of the planned ones.
            return None;
        };
        let by_agent = step.by == AGENT;
        let life = self.lives.entry((category.clone(), asset.clone())).or_default();
        let step = match kind.rsplit('.').next() {
            Some("raised") => Step::Raised,
            Some("reopened") => Step::Reopened,
            Some("cleared") => Step::Cleared,
            Some("expired") => Step::Expired,
            Some("closed" | "rejected") => Step::Ended,
            // A limit that passed, a second witness: nothing that the street did.
            _ if by_agent => return None,
            _ => Step::Handled,
        };
        life.take(step, ticket_id);
        Some(News { at, step, category, asset })
    }

    /// Judges what was seen by `plan`.
    #[must_use]
    pub fn verdict(&self, plan: &Plan) -> Verdict {
        let mut verdict = Verdict {
            lanes: self.lanes.iter().map(|(lane, book)| (*lane, book.figures())).collect(),
            malformed: self.malformed,
            same_id_twice: self.ids.conflicts,
            ..Verdict::default()
        };
        let expected = plan.expected();
        let keys: BTreeSet<_> = expected.keys().chain(self.lives.keys()).collect();
        for key in keys {
            let by_chance = plan.by_chance.contains(&key.0);
            verdict.weigh(key, expected.get(key), self.lives.get(key), by_chance);
        }
        verdict
    }
}

impl Life {
    fn take(&mut self, step: Step, ticket: String) {
        match step {
            Step::Raised => {
                self.raised += 1;
                self.twice += u64::from(self.open.as_ref().is_some_and(|open| *open != ticket));
                self.open = Some(ticket);
            }
            Step::Reopened => {
                self.reopened += 1;
                self.open = Some(ticket);
            }
            Step::Cleared => self.cleared += 1,
            Step::Expired => self.open = None,
            Step::Handled => self.touched = true,
            Step::Ended => {
                self.touched = true;
                self.open = None;
            }
        }
    }
}

impl LaneBook {
    fn figures(&self) -> LaneFigures {
        let distinct = self.received - self.duplicates;
        let missing = self.seen.missing();
        LaneFigures {
            received: distinct + self.emptied,
            duplicates: self.duplicates,
            gaps: missing,
        }
    }
}

/// The topic prefix of a box.
#[must_use]
pub fn prefix(identity: &Identity) -> String {
    format!("steward/v1/{}/{}/{}", identity.tenant, identity.site, identity.id)
}

/// What the judge says in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// By lane.
    pub lanes: BTreeMap<Lane, LaneFigures>,
    /// By category.
    pub tickets: BTreeMap<Category, TicketFigures>,
    /// Problems without a ticket.
    pub missing: Vec<String>,
    /// Tickets without a problem.
    pub unplanned: Vec<String>,
    /// Problems with two open tickets.
    pub twice: Vec<String>,
    /// Problems that were over, and whose ticket does not say so.
    pub not_cleared: Vec<String>,
    /// Messages that are not what the interface says.
    pub malformed: u64,
    /// Messages with another number but the id of another one.
    pub same_id_twice: u64,
}

/// One lane as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LaneFigures {
    /// Messages, each counted once.
    pub received: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Numbers between the first and the last that never came.
    pub gaps: u64,
}

/// One category of tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TicketFigures {
    /// Problems that had to be found.
    pub planted: u64,
    /// Problems that could be found; more than `planted` by those too near the end or hidden.
    pub possible: u64,
    /// Tickets opened.
    pub raised: u64,
    /// Tickets opened again.
    pub reopened: u64,
    /// Tickets whose problem was found gone.
    pub cleared: u64,
}

impl Verdict {
    /// Whether nothing is wrong. A message that comes twice is not: the interface promises "at least
    /// once", and numbers to tell.
    #[must_use]
    pub fn good(&self) -> bool {
        self.lanes.values().all(|lane| lane.gaps == 0)
            && self.malformed == 0
            && self.same_id_twice == 0
            && [&self.missing, &self.unplanned, &self.twice, &self.not_cleared]
                .iter()
                .all(|faults| faults.is_empty())
    }

    fn weigh(
        &mut self,
        (category, asset): &(Category, AssetKey),
        expected: Option<&Expected>,
        life: Option<&Life>,
        by_chance: bool,
    ) {
        let none = Life::default();
        let life = life.unwrap_or(&none);
        let (found, cleared) = expected.map_or_else(Default::default, |e| (e.found, e.cleared));
        let figures = self.tickets.entry(category.clone()).or_default();
        figures.planted += found.min;
        figures.possible += found.max;
        figures.raised += life.raised;
        figures.reopened += life.reopened;
        figures.cleared += life.cleared;

        let name = || format!("{category} at {asset}");
        if life.twice > 0 {
            self.twice.push(name());
        }
        if life.touched || by_chance {
            return;
        }
        let times = life.raised + life.reopened;
        if times < found.min {
            self.missing.push(name());
        } else if times > found.max {
            self.unplanned.push(name());
        } else if life.cleared < cleared.min {
            self.not_cleared.push(name());
        }
    }
}

/// Numbers that were seen, as ranges: one range while nothing is missing.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Notes a number; answers whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let joins = before.filter(|(_, last)| last + 1 == number);
        let first = joins.map_or(number, |(first, _)| first);
        let last = self.0.remove(&(number + 1)).unwrap_or(number);
        self.0.insert(first, last);
        true
    }

    /// How many numbers are missing between the first and the last.
    fn missing(&self) -> u64 {
        let pairs = self.0.values().zip(self.0.keys().skip(1));
        pairs.map(|(last, next)| next - last - 1).sum()
    }
}

/// The latest message ids.
#[derive(Debug, Default)]
struct Ids {
    known: BTreeSet<String>,
    order: VecDeque<String>,
    conflicts: u64,
}

impl Ids {
    /// Notes the id of a message with a new number: it must be a new id.
    fn note(&mut self, id: String) {
        if self.order.len() == IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(id.clone()) {
            self.order.push_back(id);
        } else {
            self.conflicts += 1;
        }
    }
}

/// Lets the judge take every message until the box says goodbye, which it does last; or until `stop`, or
/// until none can come; then those that are already there. Gives it back to be asked for its verdict.
pub async fn run(
    mut judge: Judge,
    mut deliveries: mpsc::Receiver<Delivery>,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
) -> Judge {
    loop {
        let delivery = tokio::select! {
            delivery = deliveries.recv() => delivery,
            () = stop.cancelled() => break,
        };
        let Some(delivery) = delivery else { return judge };
        if judge.is_goodbye(&delivery) {
            break;
        }
        if let Some(told) = judge.take(&delivery) {
            // Nobody may be watching; the judge goes on.
            let _unwatched = news.send(told).await;
        }
    }
    while let Ok(delivery) = deliveries.try_recv() {
        if let Some(told) = judge.take(&delivery) {
            // The screen may be gone already.
            let _unwatched = news.try_send(told);
        }
    }
    judge
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetId, Class};
    use domain::time::Span;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::demo::plan::tests::site;
    use crate::demo::world::World;

    const P: &str = "steward/v1/longcheng/xuejia/demo";

    fn delivery(path: &str, payload: &serde_json::Value) -> Delivery {
        let payload = payload.to_string().into_bytes();
        Delivery { topic: format!("{P}/{path}"), payload, retained: false }
    }

    fn state(seq: u64) -> Delivery {
        let id = format!("demo-state-{seq}");
        delivery("bay/b-01/state", &json!({"v": 1, "id": id, "lane": "state", "seq": seq}))
    }

    fn ticket(seq: u64, step: &str, category: &str, asset: &AssetKey, id: &str) -> Delivery {
        delivery(
            &format!("ticket/{id}/event"),
            &json!({
                "specversion": "1.0", "id": format!("demo-ticket-{seq}"),
                "type": format!("ticket.{step}"), "time": "2026-06-04T04:00:00Z",
                "lane": "ticket", "seq": seq,
                "data": {"ticket_id": id, "category": category, "asset": asset}
            }),
        )
    }

    fn plan() -> Plan {
        Plan::new(&World::new(1), &site(), Span::from_mins(60), Span::from_secs(60))
    }

    /// What a box without fault publishes of the plan's tickets.
    fn faultless(plan: &Plan) -> Vec<Delivery> {
        let mut seq = 0;
        let mut all = Vec::new();
        for problem in plan.problems.iter().filter(|p| plan.required(p)) {
            let (category, id) = (problem.category.to_string(), format!("t-{}", all.len()));
            for step in ["raised", "cleared"] {
                if step == "raised" || problem.over.is_some_and(|over| over <= plan.until) {
                    seq += 1;
                    all.push(ticket(seq, step, &category, &problem.asset, &id));
                }
            }
        }
        all
    }

    fn judged(deliveries: &[Delivery], plan: &Plan) -> Verdict {
        let mut judge = Judge::new(&site());
        for delivery in deliveries {
            judge.take(delivery);
        }
        judge.verdict(plan)
    }

    #[test]
    fn a_faultless_box_is_good() {
        let plan = plan();
        let verdict = judged(&faultless(&plan), &plan);
        assert!(verdict.good(), "{verdict:#?}");
        let planted: u64 = verdict.tickets.values().map(|t| t.planted).sum();
        assert!(planted >= 6, "{verdict:#?}");
    }

    #[test]
    fn each_fault_is_seen() {
        let plan = plan();
        let good = faultless(&plan);
        let subject = &plan.problems[0];
        let category = subject.category.to_string();
        let next = good.len() as u64 + 1;
        let elsewhere = AssetKey::new(Class::Bay, AssetId::new("b-20").unwrap());

        let missing = judged(&good[1..], &plan);
        assert!(!missing.good() && !missing.missing.is_empty(), "{missing:#?}");

        let unplanned = [&good[..], &[ticket(next, "raised", "overstay", &elsewhere, "t-x")]];
        let unplanned = judged(&unplanned.concat(), &plan);
        assert_eq!(unplanned.unplanned, ["overstay at bay/b-20"]);

        let twice = [&good[..], &[ticket(next, "raised", &category, &subject.asset, "t-y")]];
        let twice = judged(&twice.concat(), &plan);
        assert_eq!(twice.twice, [format!("{category} at {}", subject.asset)]);

        let gap = [&good[..], &[state(1), state(3)]];
        let gap = judged(&gap.concat(), &plan);
        assert_eq!((gap.lanes[&Lane::State].gaps, gap.good()), (1, false));

        for (path, body) in [
            ("bay/b-01/tel", json!({"no": "header"})),
            ("ticket/t-9/event", json!({"id": "x", "lane": "ticket", "seq": next})),
        ] {
            let odd = judged(&[&good[..], &[delivery(path, &body)]].concat(), &plan);
            assert_eq!((odd.malformed, odd.good()), (1, false), "{path}");
        }

        let mut same_id = state(2);
        same_id.payload = state(1).payload.clone();
        let text = String::from_utf8(same_id.payload).unwrap().replace("\"seq\":1", "\"seq\":2");
        same_id.payload = text.into_bytes();
        let same_id = judged(&[&good[..], &[state(1), same_id]].concat(), &plan);
        assert_eq!((same_id.same_id_twice, same_id.good()), (1, false));
    }

    #[test]
    fn a_ticket_that_never_clears_is_seen() {
        let plan = plan();
        let is_clear = |d: &&Delivery| String::from_utf8_lossy(&d.payload).contains("cleared");
        let good = faultless(&plan);
        let uncleared: Vec<Delivery> = good.iter().filter(|d| !is_clear(d)).cloned().collect();
        let verdict = judged(&uncleared, &plan);
        assert!(!verdict.not_cleared.is_empty() && !verdict.good(), "{verdict:#?}");
    }

    #[test]
    fn repeats_retained_messages_and_other_boxes_are_no_faults() {
        let plan = plan();
        let good = faultless(&plan);
        let mut kept = state(70);
        kept.retained = true;
        let mut other = state(90);
        other.topic = "steward/v1/longcheng/xuejia/other/bay/b-01/state".into();
        let status = delivery("status", &json!({"state": "online"}));
        let mut emptied = state(0);
        (emptied.topic, emptied.payload) = (format!("{P}/ticket/t-0/state"), Vec::new());
        let verdict =
            judged(&[&good[..], &good[..], &[kept, other, status, emptied]].concat(), &plan);
        assert!(verdict.good(), "{verdict:#?}");
        assert_eq!(verdict.lanes[&Lane::Ticket].duplicates, good.len() as u64);
    }

    #[test]
    fn what_a_person_did_is_not_held_against_the_box() {
        let plan = plan();
        let good = faultless(&plan);
        let subject = &plan.problems[0];
        let category = subject.category.to_string();
        let next = good.len() as u64 + 1;
        let by_hand = [
            ticket(next, "closed", &category, &subject.asset, "t-0"),
            ticket(next + 1, "reopened", &category, &subject.asset, "t-0"),
        ];
        let verdict = judged(&[&good[..], &by_hand].concat(), &plan);
        assert!(verdict.good(), "{verdict:#?}");
    }

    proptest! {
        #[test]
        fn numbers_in_any_order_leave_exactly_their_gaps(
            mut numbers in proptest::collection::vec(1u64..60, 1..120),
        ) {
            let mut ranges = Ranges::default();
            let mut known = BTreeSet::new();
            for number in &numbers {
                prop_assert_eq!(ranges.insert(*number), known.insert(*number));
            }
            numbers.sort_unstable();
            let span = numbers[numbers.len() - 1] - numbers[0] + 1;
            prop_assert_eq!(ranges.missing(), span - known.len() as u64);
            let sorted = ranges.0.iter().zip(ranges.0.iter().skip(1));
            for ((_, last), (first, _)) in sorted {
                prop_assert!(last + 1 < *first, "neighbours are joined");
            }
        }
    }
}
