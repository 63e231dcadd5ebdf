//! What the far end can prove from the messages alone. Pure.
//!
//! Every message of a lane carries its number, and `(box, lane, seq)` counts without a gap for ever. So of
//! what was heard between the first and the last number of a lane, a number that is not there is a message
//! that is missing; one that is there twice is the same message again, or the box has lied.

use crate::mqtt::probe::PATH as PROBE;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read as _;

use serde::Serialize;
use serde_json::Value;

use crate::mqtt::payload::ZSTD_MAGIC;

/// The largest payload in bytes once it is expanded.
const EXPANDED_MAX: u64 = 4 * 1024 * 1024;
/// Messages of a lane whose contents are remembered, to tell a repetition from another message under the
/// same number. Older ones are forgotten, and a repetition of one is only counted.
const REMEMBERED: usize = 100_000;

/// A message as it was heard.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// It is what the broker had kept: it says nothing about now.
    pub retained: bool,
}

/// One lane of one box.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lane {
    /// Different messages.
    pub messages: u64,
    /// Messages that came again, with the same content. At least once is what was promised.
    pub repeated: u64,
    /// Messages marked as late.
    pub late: u64,
    /// Messages that came for the first time after one with a higher number.
    pub out_of_order: u64,
    /// Numbers under which two different messages came.
    pub conflicts: u64,
    /// Messages whose `id` does not say their box, lane and number.
    pub wrong_ids: u64,
    /// Messages with a lower boot than one with a lower number: the box has lost its memory.
    pub boot_went_back: u64,
    /// The first number heard, and the last.
    pub first: u64,
    /// The last number heard.
    pub last: u64,
    /// The lowest boot heard, and the highest.
    pub boots: Option<(u64, u64)>,
    /// Numbers that did not come.
    pub missing: u64,
    /// Runs of numbers that did not come.
    pub gaps: Vec<Gap>,
    #[serde(skip)]
    runs: BTreeMap<u64, u64>,
    #[serde(skip)]
    contents: BTreeMap<u64, u64>,
    #[serde(skip)]
    boot_at: BTreeMap<u64, u64>,
}

/// Numbers that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// What the box itself said of it in `P/health`; `None`: nothing, it may be on its way or lost.
    pub announced: Option<String>,
}

/// A run of numbers a box has said to be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Announced {
    from: u64,
    to: u64,
    reason: String,
}

/// Everything heard so far.
#[derive(Debug, Default)]
pub struct Judge {
    lanes: BTreeMap<(String, String), Lane>,
    announced: BTreeMap<(String, String), Vec<Announced>>,
    /// Messages heard.
    pub heard: u64,
    /// Of those: what the broker had kept, and says nothing about now.
    pub retained: u64,
    /// Of those: without a number: status, health, what takes a retained message away.
    pub unnumbered: u64,
    /// Of those: numbered by their topic, and not to be read.
    pub unreadable: u64,
}

/// The verdict.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Per box and lane, in that order.
    pub lanes: Vec<(String, String, Lane)>,
    /// Messages heard.
    pub heard: u64,
    /// Of those: retained.
    pub retained: u64,
    /// Of those: without a number.
    pub unnumbered: u64,
    /// Of those: not to be read.
    pub unreadable: u64,
    /// Whether everything that was numbered between first and last is there, once or again, and nothing
    /// else. `false` also when nothing was heard: then nothing is proved.
    pub complete: bool,
}

impl Judge {
    /// Hears a message.
    pub fn hear(&mut self, heard: Heard<'_>) {
        self.heard += 1;
        let Some((name, path)) = place(heard.topic) else {
            self.unnumbered += 1;
            return;
        };
        if path == "health" {
            self.hear_health(&name, heard.payload);
        }
        if heard.payload.is_empty() || matches!(path, "health" | "status" | PROBE) {
            self.unnumbered += 1;
        } else if heard.retained {
            self.retained += 1;
        } else if self.hear_numbered(&name, heard.payload).is_none() {
            self.unreadable += 1;
        }
    }

    fn hear_numbered(&mut self, name: &str, payload: &[u8]) -> Option<()> {
        let mut body: Value = match expand(payload) {
            Some(json) => serde_json::from_slice(&json).ok()?,
            None => serde_json::from_slice(payload).ok()?,
        };
        let object = body.as_object_mut()?;
        let late = object.remove("replay") == Some(Value::Bool(true));
        let lane = object.get("lane")?.as_str()?.to_owned();
        let seq = object.get("seq")?.as_u64().filter(|seq| *seq > 0)?;
        let boot = object.get("boot")?.as_u64()?;
        let id = object.get("id")?.as_str()?;
        let short = name.rsplit('/').next().unwrap_or(name);
        // A reply has the id of the command that it answers.
        let is_reply = object.contains_key("ok");
        let named = is_reply || id == format!("{short}-{lane}-{seq}");
        let mut hasher = DefaultHasher::new();
        body.to_string().hash(&mut hasher);
        let record = self.lanes.entry((name.to_owned(), lane)).or_default();
        record.take(seq, boot, hasher.finish());
        record.late += u64::from(late);
        record.wrong_ids += u64::from(!named);
        Some(())
    }

    /// `P/health` says which numbers the box itself has lost.
    fn hear_health(&mut self, name: &str, payload: &[u8]) {
        let Ok(health) = serde_json::from_slice::<Value>(payload) else { return };
        let Some(lanes) = health["buffer"].as_object() else { return };
        for (lane, figures) in lanes {
            let gaps = figures["gaps"].as_array().map_or(&[][..], Vec::as_slice);
            let read = |gap: &Value| {
                Some(Announced {
                    from: gap["from"].as_u64()?,
                    to: gap["to"].as_u64()?,
                    reason: gap["reason"].as_str()?.to_owned(),
                })
            };
            let all = gaps.iter().filter_map(read).collect();
            self.announced.insert((name.to_owned(), lane.clone()), all);
        }
    }

    /// The verdict on what was heard so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut lanes = vec![];
        for ((name, lane), record) in &self.lanes {
            let mut record = record.clone();
            let key = (name.clone(), lane.clone());
            record.finish(self.announced.get(&key).map_or(&[][..], Vec::as_slice));
            lanes.push((name.clone(), lane.clone(), record));
        }
        let whole = |record: &Lane| {
            record.missing + record.conflicts + record.wrong_ids + record.boot_went_back == 0
        };
        let complete = !lanes.is_empty()
            && self.unreadable == 0
            && lanes.iter().all(|(_, _, record)| whole(record));
        Report {
            lanes,
            heard: self.heard,
            retained: self.retained,
            unnumbered: self.unnumbered,
            unreadable: self.unreadable,
            complete,
        }
    }
}

impl Lane {
    fn take(&mut self, seq: u64, boot: u64, content: u64) {
        if self.is_known(seq) {
            match self.contents.get(&seq) {
                Some(before) if *before != content => self.conflicts += 1,
                Some(_) | None => self.repeated += 1,
            }
            return;
        }
        self.messages += 1;
        self.out_of_order += u64::from(seq < self.last);
        self.first = if self.first == 0 { seq } else { self.first.min(seq) };
        self.last = self.last.max(seq);
        self.add(seq);
        self.contents.insert(seq, content);
        if self.contents.len() > REMEMBERED {
            self.contents.pop_first();
        }
        self.note_boot(seq, boot);
    }

    fn note_boot(&mut self, seq: u64, boot: u64) {
        let (low, high) = self.boots.unwrap_or((boot, boot));
        self.boots = Some((low.min(boot), high.max(boot)));
        // First number heard of each boot: a number above it belongs to that boot or a later one.
        let before = self.boot_at.range(..=seq).next_back().map(|(_, boot)| *boot);
        self.boot_went_back += u64::from(before.is_some_and(|before| boot < before));
        if before.is_none_or(|before| boot > before) {
            self.boot_at.insert(seq, boot);
        }
    }

    fn is_known(&self, seq: u64) -> bool {
        self.runs.range(..=seq).next_back().is_some_and(|(_, to)| *to >= seq)
    }

    /// Adds a number that is not known to the runs, joining them with their neighbours.
    fn add(&mut self, seq: u64) {
        let to = self.runs.remove(&(seq + 1)).unwrap_or(seq);
        let before = self.runs.range_mut(..seq).next_back();
        match before {
            Some((_, end)) if *end + 1 == seq => *end = to,
            _ => _ = self.runs.insert(seq, to),
        }
    }

    fn finish(&mut self, announced: &[Announced]) {
        let ends = self.runs.iter().zip(self.runs.iter().skip(1));
        let holes = ends.map(|((_, end), (next, _))| (end + 1, next - 1));
        self.gaps = holes
            .map(|(from, to)| {
                let said = announced.iter().find(|one| one.from <= from && to <= one.to);
                Gap { from, to, announced: said.map(|one| one.reason.clone()) }
            })
            .collect();
        self.missing = self.gaps.iter().map(|gap| gap.to - gap.from + 1).sum();
    }
}

/// What a compressed payload says; `None` when it is not compressed, or is damaged.
fn expand(payload: &[u8]) -> Option<Vec<u8>> {
    payload.starts_with(&ZSTD_MAGIC).then_some(())?;
    let reader = zstd::stream::Decoder::new(payload).ok()?;
    let mut json = vec![];
    // No message of a box is larger; a small payload that expands without end is not one.
    reader.take(EXPANDED_MAX).read_to_end(&mut json).ok()?;
    Some(json)
}

/// Box (`tenant/site/box`) and path of a topic of ours.
fn place(topic: &str) -> Option<(String, &str)> {
    let rest = topic.strip_prefix("steward/v1/")?;
    let mut levels = rest.splitn(4, '/');
    let (tenant, site, name) = (levels.next()?, levels.next()?, levels.next()?);
    Some((format!("{tenant}/{site}/{name}"), levels.next()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TOPIC: &str = "steward/v1/t/s/box/bay/b-1/event";

    fn message(seq: u64, boot: u64, value: u64) -> Vec<u8> {
        let id = format!("box-event-{seq}");
        json!({"id": id, "lane": "event", "seq": seq, "boot": boot, "data": {"value": value}})
            .to_string()
            .into_bytes()
    }

    fn hear(judge: &mut Judge, payload: &[u8]) {
        judge.hear(Heard { topic: TOPIC, payload, retained: false });
    }

    fn judged(messages: &[(u64, u64, u64)]) -> Report {
        let mut judge = Judge::default();
        for (seq, boot, value) in messages {
            hear(&mut judge, &message(*seq, *boot, *value));
        }
        judge.report()
    }

    fn only(report: &Report) -> &Lane {
        assert_eq!(report.lanes.len(), 1);
        &report.lanes[0].2
    }

    #[test]
    fn a_lane_without_a_gap_is_complete_over_restarts_and_repetitions() {
        let report = judged(&[(7, 1, 7), (8, 1, 8), (8, 1, 8), (9, 2, 9)]);
        let lane = only(&report);
        assert!(report.complete);
        assert_eq!((lane.messages, lane.repeated, lane.first, lane.last), (3, 1, 7, 9));
        assert_eq!((lane.boots, lane.missing), (Some((1, 2)), 0));
        assert_eq!(report.lanes[0].0, "t/s/box");
    }

    #[test]
    fn a_missing_number_is_told_and_so_is_what_the_box_said_of_it() {
        let mut judge = Judge::default();
        for seq in [1, 2, 5, 6, 9] {
            hear(&mut judge, &message(seq, 1, seq));
        }
        let health = json!({"buffer": {"event": {"gaps":
            [{"reason": "buffer_full", "from": 3, "to": 4, "count": 2}]}}});
        judge.hear(Heard {
            topic: "steward/v1/t/s/box/health",
            payload: health.to_string().as_bytes(),
            retained: true,
        });
        let report = judge.report();
        let gap =
            |from, to, said: Option<&str>| Gap { from, to, announced: said.map(str::to_owned) };
        assert_eq!(only(&report).gaps, [gap(3, 4, Some("buffer_full")), gap(7, 8, None)]);
        assert_eq!((only(&report).missing, report.complete), (4, false));
    }

    #[test]
    fn two_messages_under_one_number_a_wrong_id_and_a_lost_boot_are_faults() {
        let report = judged(&[(1, 1, 1), (1, 1, 2)]);
        assert_eq!((only(&report).conflicts, report.complete), (1, false));
        let report = judged(&[(1, 5, 1), (2, 4, 2)]);
        assert_eq!((only(&report).boot_went_back, report.complete), (1, false));
        let mut judge = Judge::default();
        hear(&mut judge, &message(3, 1, 1).replace_id("other-event-3"));
        assert_eq!(only(&judge.report()).wrong_ids, 1);
    }

    trait ReplaceId {
        fn replace_id(&self, id: &str) -> Vec<u8>;
    }

    impl ReplaceId for Vec<u8> {
        fn replace_id(&self, id: &str) -> Vec<u8> {
            let mut body: Value = serde_json::from_slice(self).unwrap();
            body["id"] = id.into();
            body.to_string().into_bytes()
        }
    }

    #[test]
    fn the_mark_of_what_is_late_makes_no_other_message_of_it() {
        let mut judge = Judge::default();
        hear(&mut judge, &message(1, 1, 1));
        let marked = crate::mqtt::payload::mark_replay(&message(1, 1, 1));
        hear(&mut judge, &marked);
        let report = judge.report();
        assert_eq!((only(&report).repeated, only(&report).late, report.complete), (1, 1, true));
    }

    #[test]
    fn what_is_compressed_is_the_same_message() {
        let mut judge = Judge::default();
        let compressed = zstd::encode_all(&message(1, 1, 1)[..], 1).unwrap();
        hear(&mut judge, &compressed);
        hear(&mut judge, &message(1, 1, 1));
        hear(&mut judge, &compressed[..compressed.len() - 1]);
        let report = judge.report();
        assert_eq!((only(&report).repeated, only(&report).conflicts, report.unreadable), (1, 0, 1));
    }

    #[test]
    fn what_has_no_number_is_not_judged_and_silence_proves_nothing() {
        let mut judge = Judge::default();
        for (topic, payload, retained) in [
            ("steward/v1/t/s/box/status", &b"{\"state\":\"online\"}"[..], true),
            ("steward/v1/t/s/box/ticket/t-1/state", b"", false),
            ("elsewhere", b"x", false),
            (TOPIC, &message(1, 1, 1), true),
            (TOPIC, b"{\"seq\":0}", false),
        ] {
            judge.hear(Heard { topic, payload, retained });
        }
        let report = judge.report();
        assert_eq!((report.heard, report.unnumbered, report.retained), (5, 3, 1));
        assert_eq!((report.unreadable, report.lanes.len(), report.complete), (1, 0, false));
        assert!(!Judge::default().report().complete);
    }

    proptest! {
        /// Whatever the order, what is missing is what was left out between first and last.
        #[test]
        fn the_holes_are_what_was_left_out(
            kept in proptest::collection::btree_set(1..200_u64, 1..150),
            order in proptest::collection::vec(any::<u64>(), 150),
        ) {
            let mut heard: Vec<(u64, u64)> = kept.iter().copied().zip(order).map(|(s, o)| (o, s)).collect();
            heard.sort_unstable();
            let all: Vec<_> = heard.iter().map(|(_, seq)| (*seq, 1, *seq)).collect();
            let report = judged(&all);
            let lane = only(&report);
            let (first, last) = (*kept.first().unwrap(), *kept.last().unwrap());
            let holes = (first..=last).filter(|seq| !kept.contains(seq)).count() as u64;
            prop_assert_eq!(lane.missing, holes);
            prop_assert_eq!((lane.first, lane.last, lane.messages), (first, last, kept.len() as u64));
            prop_assert_eq!(report.complete, holes == 0);
            for gap in &lane.gaps {
                prop_assert!((gap.from..=gap.to).all(|seq| !kept.contains(&seq)));
            }
        }
    }
}
