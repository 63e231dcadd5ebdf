//! Assessment (考核): how fast, how well and how often again, from the flow logs alone.
//!
//! Takes what [`crate::tickets::Ticket`]s wrote down while they lived, and nothing else: whoever has the
//! flow logs gets the same figures. A rate whose denominator is zero is not available ("n/a"), never
//! 100 %. Time is the limit's own kind where a limit ran (`used_s`), wall time elsewhere; time that was
//! excused is in the log as `paused` and `suppressed`, and is not used up.
//!
//! What stays inside the operator's house is never mixed with the city's cases.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::calendar::Calendar;
use crate::ids::{Category, CrewId};
use crate::output::Record;
use crate::site::Site;
use crate::tickets::{Flow, State, Ticket, WitnessKind};

/// A rate in parts of a million; `None` when there is nothing to take it of.
pub type Rate = Option<u32>;

/// What was counted of some tickets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Cases that were established (立案).
    pub registered: u64,
    /// Cases that had to be handled (应处置): established, and neither rejected nor overtaken.
    pub needed: u64,
    /// Cases that were handled (处置).
    pub handled: u64,
    /// Cases that were handled in time (按期处置); without a limit every time is in time.
    pub in_time: u64,
    /// Cases that are over their limit and not handled yet (超期待处置).
    pub overdue_waiting: u64,
    /// Cases that were handled and so had to be closed (应结案).
    pub to_close: u64,
    /// Cases that were closed (结案).
    pub closed: u64,
    /// Cases that came back after they were handled (返工).
    pub rework: u64,
    /// Cases that came back at all.
    pub reopened: u64,
    /// Cases whose limit was extended (延期).
    pub extended: u64,
    /// Cases that a person said were none.
    pub rejected: u64,
    /// Cases that a sensor or a camera found first.
    pub sensed_first: u64,
    /// Cases that began with a camera and were looked at by a person.
    pub ai_reviewed: u64,
    /// Those of them that were problems.
    pub ai_confirmed: u64,
    /// Cases that a crew has in hand now.
    pub in_hand: u64,
    /// Seconds from the opening to the first thing that a person did, of all that somebody did it to.
    #[serde(skip)]
    response: Vec<u64>,
    /// Seconds that were used up until it was handled.
    #[serde(skip)]
    handling: Vec<u64>,
}

/// The figures of a group of tickets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// A category, `city` and `internal` for all of each kind, or `crew/…` for what a crew was given.
    pub group: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Median seconds to the first thing that a person did.
    pub response_p50_s: Option<u64>,
    /// The same for the slowest twentieth.
    pub response_p95_s: Option<u64>,
    /// Median seconds used until it was handled.
    pub handling_p50_s: Option<u64>,
    /// The same for the slowest twentieth.
    pub handling_p95_s: Option<u64>,
    /// 处置率.
    pub handled_ppm: Rate,
    /// 按期处置率.
    pub in_time_ppm: Rate,
    /// 返工率.
    pub rework_ppm: Rate,
    /// What a sensor or a camera found first.
    pub sensed_first_ppm: Rate,
    /// Problems among what cameras found and people looked at.
    pub ai_precision_ppm: Rate,
    /// The score of 成都金牛区 in hundredths of a point.
    pub jinniu_score: Option<u32>,
}

/// `n` of `d` in parts of a million.
#[must_use]
pub fn rate(n: u64, d: u64) -> Rate {
    let ppm = n.checked_mul(1_000_000)?.checked_div(d)?;
    u32::try_from(ppm).ok()
}

impl Counts {
    /// Adds a ticket.
    pub fn add(&mut self, ticket: &Ticket) {
        let flow = ticket.flow.entries();
        let Some(raised) = flow.iter().find(|e| matches!(e.step.as_str(), "raised" | "suppressed"))
        else {
            // A candidate that nobody has confirmed is no case; one that was rejected was looked at.
            return self.add_review(ticket, flow);
        };
        let is = |step: &'static str| move |e: &&Flow| e.step == step;
        let has = |step| flow.iter().any(|e| is(step)(&e));
        let dropped = matches!(ticket.state, State::Rejected | State::Expired);
        self.registered += 1;
        self.needed += u64::from(!dropped);
        self.rejected += u64::from(ticket.state == State::Rejected);
        let first_done = flow.iter().find(|e| done(e));
        if let Some(entry) = first_done.filter(|_| !dropped) {
            self.handled += 1;
            self.to_close += 1;
            self.in_time += u64::from(!before(flow, entry).iter().any(|e| e.step == "overdue"));
            let wall = entry.at.since(raised.at).as_secs();
            self.handling.push(entry.used_s.unwrap_or(wall));
        }
        let waiting = ticket.state.is_timed() && last_limit_is_over(flow);
        self.overdue_waiting += u64::from(waiting);
        self.closed += u64::from(ticket.state == State::Closed);
        self.in_hand += u64::from(ticket.state == State::Dispatched);
        self.rework += u64::from(came_back_after_work(flow));
        self.reopened += u64::from(has("reopened"));
        self.extended += u64::from(has("extended"));
        let first = ticket.sources.first().map(|w| w.kind);
        let sensed = matches!(first, Some(WitnessKind::Sensor | WitnessKind::Camera));
        self.sensed_first += u64::from(sensed);
        let answer = flow.iter().find(|e| e.by != "agent" && e.n > raised.n && e.step != "refused");
        self.response.extend(answer.map(|e| e.at.since(raised.at).as_secs()));
        self.add_review(ticket, flow);
    }

    /// What a person said of something that a camera found.
    fn add_review(&mut self, ticket: &Ticket, flow: &[Flow]) {
        if ticket.sources.first().map(|w| w.kind) != Some(WitnessKind::Camera) {
            return;
        }
        let judged = flow.iter().rev().find(|e| {
            let word = matches!(e.step.as_str(), "raised" | "rejected" | "handled" | "verified");
            word && e.by != "agent"
        });
        if let Some(entry) = judged {
            self.ai_reviewed += 1;
            self.ai_confirmed += u64::from(entry.step != "rejected");
        }
    }

    fn join(&mut self, other: &Counts) {
        let pairs: [(&mut u64, u64); 15] = [
            (&mut self.registered, other.registered),
            (&mut self.needed, other.needed),
            (&mut self.handled, other.handled),
            (&mut self.in_time, other.in_time),
            (&mut self.overdue_waiting, other.overdue_waiting),
            (&mut self.to_close, other.to_close),
            (&mut self.closed, other.closed),
            (&mut self.rework, other.rework),
            (&mut self.reopened, other.reopened),
            (&mut self.extended, other.extended),
            (&mut self.rejected, other.rejected),
            (&mut self.sensed_first, other.sensed_first),
            (&mut self.ai_reviewed, other.ai_reviewed),
            (&mut self.ai_confirmed, other.ai_confirmed),
            (&mut self.in_hand, other.in_hand),
        ];
        for (sum, n) in pairs {
            *sum += n;
        }
        self.response.extend(&other.response);
        self.handling.extend(&other.handling);
    }

    /// The score of 成都金牛区, in hundredths of a point out of 100: 处置率×30 + 按期处置率×20 +
    /// (1−返工率)×20 + (1−超期待处置率)×20 + (1−延期率)×10. Rework is taken of what had to be closed,
    /// the rest of what had to be handled.
    #[must_use]
    pub fn jinniu(&self) -> Option<u32> {
        let of = |n, d| rate(n, d).map(u64::from);
        let not = |n, d| of(n, d).map(|ppm| 1_000_000u64.saturating_sub(ppm));
        let points = of(self.handled, self.needed)? * 30
            + of(self.in_time, self.needed)? * 20
            + not(self.rework, self.to_close)? * 20
            + not(self.overdue_waiting, self.needed)? * 20
            + not(self.extended, self.needed)? * 10;
        u32::try_from((points + 5_000) / 10_000).ok()
    }

    fn row(mut self, group: String) -> Row {
        self.response.sort_unstable();
        self.handling.sort_unstable();
        Row {
            group,
            response_p50_s: percentile(&self.response, 50),
            response_p95_s: percentile(&self.response, 95),
            handling_p50_s: percentile(&self.handling, 50),
            handling_p95_s: percentile(&self.handling, 95),
            handled_ppm: rate(self.handled, self.needed),
            in_time_ppm: rate(self.in_time, self.needed),
            rework_ppm: rate(self.rework, self.to_close),
            sensed_first_ppm: rate(self.sensed_first, self.registered),
            ai_precision_ppm: rate(self.ai_confirmed, self.ai_reviewed),
            jinniu_score: self.jinniu(),
            counts: self,
        }
    }
}

/// The work was done, by the word of a person.
fn done(entry: &Flow) -> bool {
    entry.by != "agent" && matches!(entry.step.as_str(), "handled" | "closed")
}

fn before<'f>(flow: &'f [Flow], entry: &Flow) -> &'f [Flow] {
    let n = flow.iter().position(|e| e.n == entry.n).unwrap_or(0);
    &flow[..n]
}

/// Whether the limit that ran last is over: a rework has a limit of its own.
fn last_limit_is_over(flow: &[Flow]) -> bool {
    let last = flow.iter().rev().find(|e| matches!(e.step.as_str(), "overdue" | "reopened"));
    last.is_some_and(|e| e.step == "overdue")
}

fn came_back_after_work(flow: &[Flow]) -> bool {
    let back = |pair: &[Flow]| {
        let was = matches!(pair[0].state, State::Handled | State::Verified | State::Closed);
        was && pair[1].step == "reopened"
    };
    flow.windows(2).any(back)
}

/// The value below which `percent` of the sorted values lie: the nearest rank.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The tickets among the stored records that were opened from `from` to `to`, both days included.
#[must_use]
pub fn tickets<'r>(
    records: impl Iterator<Item = &'r Record>,
    calendar: &Calendar,
    from: Date,
    to: Date,
) -> Vec<Ticket> {
    let stored = records.filter(|r| r.key.starts_with("ticket/") || r.key.starts_with("case/"));
    let read = stored.filter_map(|r| serde_json::from_slice::<Ticket>(r.value.as_deref()?).ok());
    read.filter(|ticket| (from..=to).contains(&calendar.date(ticket.opened_at))).collect()
}

/// The crew that a ticket was given to last.
fn crew_of(ticket: &Ticket) -> Option<&CrewId> {
    ticket.flow.entries().iter().rev().find_map(|entry| entry.crew.as_ref())
}

/// One row for each category, then one for the city's cases and one for the operator's own, then one for
/// each crew: what it was given, and what it has in hand.
#[must_use]
pub fn rows(tickets: &[Ticket], site: &Site) -> Vec<Row> {
    let mut groups: BTreeMap<&Category, Counts> = BTreeMap::new();
    let mut crews: BTreeMap<&CrewId, Counts> = BTreeMap::new();
    for ticket in tickets {
        groups.entry(&ticket.category).or_default().add(ticket);
        if let Some(crew) = crew_of(ticket) {
            crews.entry(crew).or_default().add(ticket);
        }
    }
    let (mut city, mut internal) = (Counts::default(), Counts::default());
    for (category, counts) in &groups {
        let own = site.tickets.categories.get(category).is_some_and(|spec| spec.internal);
        if own { internal.join(counts) } else { city.join(counts) }
    }
    let each = groups.into_iter().map(|(category, counts)| counts.row(category.to_string()));
    let mut rows: Vec<Row> = each.collect();
    if !rows.is_empty() {
        rows.push(city.row("city".into()));
        rows.push(internal.row("internal".into()));
    }
    rows.extend(crews.into_iter().map(|(crew, counts)| counts.row(format!("crew/{crew}"))));
    rows
}

/// The rows as lines of cells, a head line first.
#[must_use]
pub fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    const HEAD: [&str; 17] = [
        "group",
        "registered",
        "needed",
        "handled_pct",
        "in_time_pct",
        "rework_pct",
        "in_hand",
        "overdue_waiting",
        "closed",
        "reopened",
        "rejected",
        "response_p50_min",
        "response_p95_min",
        "handling_p50_min",
        "sensed_first_pct",
        "ai_precision_pct",
        "jinniu_score",
    ];
    let hundredths =
        |n: Option<u64>| n.map_or("n/a".to_owned(), |n| format!("{}.{:02}", n / 100, n % 100));
    let percent = |ppm: Rate| hundredths(ppm.map(|ppm| u64::from(ppm) / 100));
    let minutes = |s: Option<u64>| s.map_or("n/a".to_owned(), |s| (s / 60).to_string());
    let cells = |row: &Row| {
        let n = &row.counts;
        vec![
            row.group.clone(),
            n.registered.to_string(),
            n.needed.to_string(),
            percent(row.handled_ppm),
            percent(row.in_time_ppm),
            percent(row.rework_ppm),
            n.in_hand.to_string(),
            n.overdue_waiting.to_string(),
            n.closed.to_string(),
            n.reopened.to_string(),
            n.rejected.to_string(),
            minutes(row.response_p50_s),
            minutes(row.response_p95_s),
            minutes(row.handling_p50_s),
            percent(row.sensed_first_ppm),
            percent(row.ai_precision_ppm),
            hundredths(row.jinniu_score.map(u64::from)),
        ]
    };
    let head = HEAD.iter().map(|&name| name.to_owned()).collect();
    std::iter::once(head).chain(rows.iter().map(cells)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_of_jinniu() {
        let counts = Counts {
            needed: 100,
            handled: 95,
            in_time: 90,
            to_close: 95,
            rework: 3,
            overdue_waiting: 2,
            extended: 4,
            ..Counts::default()
        };
        // 28.5 + 18 + 19.368 + 19.6 + 9.6
        assert_eq!(counts.jinniu(), Some(9507));
    }

    #[test]
    fn nothing_is_not_everything() {
        let row = Counts::default().row("city".into());
        assert_eq!((row.handled_ppm, row.ai_precision_ppm, row.jinniu_score), (None, None, None));
        let line = &lines(std::slice::from_ref(&row))[1];
        assert_eq!(line.iter().filter(|cell| *cell == "n/a").count(), 9);
        assert_eq!(rate(0, 0), None);
        assert_eq!(rate(1, 3), Some(333_333));
    }

    #[test]
    fn percentiles_are_values_that_were() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (Some(10), Some(19)));
        assert_eq!((percentile(&[7], 50), percentile(&[], 50)), (Some(7), None));
    }
}
