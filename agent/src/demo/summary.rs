//! The end of a demo: one plain table, and the same as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use domain::decode::{Reason, Tally};
use domain::output::Lane;
use domain::time::Span;
use serde::Serialize;

use super::feed::Played;
use super::judge::Verdict;

/// Everything that is counted in the end.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The seed of the street.
    pub seed: u64,
    /// How many times real time the clock ran.
    pub speed: u32,
    /// How long the street lived, in its own time.
    #[serde(rename = "simulated_ms")]
    pub simulated: Span,
    /// What each source took and refused, by its name.
    pub sources: BTreeMap<String, Tally>,
    /// What the core refused of what the sources had taken.
    pub refused: BTreeMap<Reason, u64>,
    /// What the outbox sent, by lane.
    pub sent: BTreeMap<Lane, Sent>,
    /// What the street did on purpose.
    pub played: Played,
    /// What arrived, judged by the plan.
    pub verdict: Verdict,
}

/// One lane of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sent {
    /// Messages published, each counted once.
    pub published: u64,
    /// Messages that the broker acknowledged.
    pub acknowledged: u64,
}

/// One lane from the outbox to the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct LaneRow {
    published: u64,
    acknowledged: u64,
    received: u64,
    duplicates: u64,
    gaps: u64,
    /// Acknowledged by the broker and never seen by the judge.
    lost: u64,
}

impl Figures {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn good(&self) -> bool {
        self.verdict.good() && Lane::ALL.iter().all(|lane| self.lane(*lane).lost == 0)
    }

    fn lane(&self, lane: Lane) -> LaneRow {
        let sent = self.sent.get(&lane).copied().unwrap_or_default();
        let seen = self.verdict.lanes.get(&lane).copied().unwrap_or_default();
        LaneRow {
            published: sent.published,
            acknowledged: sent.acknowledged,
            received: seen.received,
            duplicates: seen.duplicates,
            gaps: seen.gaps,
            lost: sent.acknowledged.saturating_sub(seen.received),
        }
    }

    /// Writes the table. `colour`: the output is a terminal that shows colours.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        let Figures { seed, speed, simulated, .. } = self;
        writeln!(
            out,
            "\nThe street lived for {simulated} (seed {seed}, {speed} times real time).\n"
        )?;
        self.print_sources(out)?;
        self.print_lanes(out)?;
        self.print_tickets(out)?;
        self.print_faults(out)?;
        let (paint, plain) = match (colour, self.good()) {
            (false, _) => ("", ""),
            (true, true) => ("\x1b[1;32m", "\x1b[0m"),
            (true, false) => ("\x1b[1;31m", "\x1b[0m"),
        };
        writeln!(out, "{paint}{}{plain}", self.verdict_line())
    }

    /// Writes everything as one JSON object on one line.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        let lanes: BTreeMap<Lane, LaneRow> =
            Lane::ALL.iter().map(|lane| (*lane, self.lane(*lane))).collect();
        let mut value = serde_json::to_value(self).map_err(io::Error::other)?;
        value["lanes"] = serde_json::to_value(lanes).map_err(io::Error::other)?;
        value["good"] = self.good().into();
        writeln!(out, "{value}")
    }

    fn print_sources(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:<14}{:>11}{:>10}{:>10}   refused",
            "source", "bytes", "frames", "samples"
        )?;
        for (name, tally) in &self.sources {
            let Tally { bytes, frames, samples, rejected, .. } = tally;
            writeln!(out, "{name:<14}{bytes:>11}{frames:>10}{samples:>10}   {}", counts(rejected))?;
        }
        if !self.refused.is_empty() {
            writeln!(out, "{:<45}   {}", "the core", counts(&self.refused))?;
        }
        let Played { nodes, lns, epochs_skipped, sentences_damaged, .. } = &self.played;
        writeln!(
            out,
            "on purpose: {} frames and {sentences_damaged} sentences damaged, {} uplinks \
             delivered twice; {} frames repeated by nodes, {epochs_skipped} positions left out\n",
            nodes.damaged, lns.repeated, nodes.repeated,
        )
    }

    fn print_lanes(&self, out: &mut impl Write) -> io::Result<()> {
        let heads = ["published", "acked", "received", "again", "gaps", "lost"];
        write!(out, "{:<14}", "lane")?;
        heads.iter().try_for_each(|head| write!(out, "{head:>11}"))?;
        writeln!(out)?;
        for lane in Lane::ALL {
            let row = self.lane(lane);
            let LaneRow { published, acknowledged, received, duplicates, gaps, lost } = row;
            write!(out, "{:<14}", lane.as_str())?;
            [published, acknowledged, received, duplicates, gaps, lost]
                .iter()
                .try_for_each(|count| write!(out, "{count:>11}"))?;
            writeln!(out)?;
        }
        writeln!(out)
    }

    fn print_tickets(&self, out: &mut impl Write) -> io::Result<()> {
        let heads = ["planted", "raised", "reopened", "cleared"];
        write!(out, "{:<25}", "tickets")?;
        heads.iter().try_for_each(|head| write!(out, "{head:>11}"))?;
        writeln!(out)?;
        for (category, t) in &self.verdict.tickets {
            let planted = if t.possible > t.planted {
                format!("{} to {}", t.planted, t.possible)
            } else {
                t.planted.to_string()
            };
            let name = category.as_str();
            let (raised, reopened, cleared) = (t.raised, t.reopened, t.cleared);
            writeln!(out, "{name:<25}{planted:>11}{raised:>11}{reopened:>11}{cleared:>11}")?;
        }
        writeln!(out)
    }

    fn print_faults(&self, out: &mut impl Write) -> io::Result<()> {
        let Verdict { missing, unplanned, twice, not_cleared, malformed, same_id_twice, .. } =
            &self.verdict;
        for (words, names) in [
            ("no ticket for", missing),
            ("a ticket without a problem:", unplanned),
            ("two open tickets for", twice),
            ("the problem is over, the ticket does not say so:", not_cleared),
        ] {
            names.iter().try_for_each(|name| writeln!(out, "wrong: {words} {name}"))?;
        }
        for (count, words) in [
            (malformed, "messages are not what the interface says"),
            (same_id_twice, "messages carry the id of another one"),
        ] {
            if *count > 0 {
                writeln!(out, "wrong: {count} {words}")?;
            }
        }
        Ok(())
    }

    fn verdict_line(&self) -> String {
        let planted: u64 = self.verdict.tickets.values().map(|t| t.planted).sum();
        match (self.good(), planted) {
            (true, 0) => "GOOD so far: nothing is missing; no ticket was due yet.".to_owned(),
            (true, 1) => "GOOD: the planted problem has its ticket, nothing is missing.".to_owned(),
            (true, n) => {
                format!(
                    "GOOD: each of {n} planted problems has its one ticket, nothing is missing."
                )
            }
            (false, _) => "WRONG: see above.".to_owned(),
        }
    }
}

/// `checksum 3, duplicate 1`, or a dash.
fn counts(rejected: &BTreeMap<Reason, u64>) -> String {
    if rejected.is_empty() {
        return "–".to_owned();
    }
    let words = rejected.iter().map(|(reason, count)| format!("{} {count}", reason.as_str()));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use domain::ids::Category;

    use super::*;
    use crate::demo::judge::{LaneFigures, TicketFigures};

    fn figures() -> Figures {
        let mut line = Tally { bytes: 12_345, frames: 301, samples: 299, ..Tally::default() };
        line.reject(Reason::Checksum);
        let ticket = LaneFigures { received: 12, duplicates: 1, gaps: 0 };
        let full = TicketFigures { planted: 2, possible: 3, raised: 2, reopened: 0, cleared: 1 };
        Figures {
            seed: 7,
            speed: 20,
            simulated: Span::from_mins(60),
            sources: BTreeMap::from([("street-line".to_owned(), line)]),
            refused: BTreeMap::from([(Reason::Duplicate, 4)]),
            sent: BTreeMap::from([(Lane::Ticket, Sent { published: 12, acknowledged: 12 })]),
            played: Played::default(),
            verdict: Verdict {
                lanes: BTreeMap::from([(Lane::Ticket, ticket)]),
                tickets: BTreeMap::from([(Category::new("bin_full").unwrap(), full)]),
                ..Verdict::default()
            },
        }
    }

    fn text(figures: &Figures, colour: bool) -> String {
        let mut out = Vec::new();
        figures.print(&mut out, colour).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_says_what_came_in_what_went_out_and_what_became_of_it() {
        let text = text(&figures(), false);
        for line in [
            "street-line         12345       301       299   checksum 1",
            "the core                                        duplicate 4",
            "ticket                 12         12         12          1          0          0",
            "bin_full                      2 to 3          2          0          1",
            "GOOD: each of 2 planted problems has its one ticket, nothing is missing.",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains('\x1b'), "no colour codes in a file");
    }

    #[test]
    fn what_is_wrong_is_named_and_lost_messages_are_wrong() {
        let mut unmet = figures();
        unmet.verdict.missing.push("overstay at bay/b-01".to_owned());
        let table = text(&unmet, true);
        assert!(table.contains("wrong: no ticket for overstay at bay/b-01"));
        assert!(table.contains("\x1b[1;31mWRONG"));

        let mut lossy = figures();
        lossy.sent.insert(Lane::Event, Sent { published: 5, acknowledged: 5 });
        assert!(!lossy.good(), "five events were acknowledged and none arrived");
    }

    #[test]
    fn the_same_as_json() {
        let mut out = Vec::new();
        figures().print_json(&mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["good"], true);
        assert_eq!(value["lanes"]["ticket"]["received"], 12);
        assert_eq!(value["verdict"]["tickets"]["bin_full"]["raised"], 2);
        assert_eq!(value["sources"]["street-line"]["rejected"]["checksum"], 1);
        assert_eq!(value["simulated_ms"], 3_600_000);
    }
}
