//! The stays on a bay do not overlap, and are the stays that there were, within the sensor's lag. Where a sensor
//! was silent or stuck, or the box did not know the time, they may be others.

use std::collections::BTreeMap;

use domain::time::Utc;
use serde_json::Value;

use super::{End, Heard, Judge};
use crate::city::street::ORIGIN;
use crate::city::truth::{Bay, HOUR, MINUTE, SECOND, Window, bay_id};

/// A sensor's lag, the way through the air, whole seconds of a node's clock, and the drift of the box's.
const OFF_MAX: u64 = 15 * SECOND;
/// Two stays may overlap by the drift of the clock between them.
const OVERLAP_MAX: u64 = 4 * SECOND;

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Sessions {
    told: BTreeMap<String, Vec<Session>>,
    wrong: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    /// In milliseconds from the start.
    from: i64,
    until: i64,
    /// The box knew the time at both ends.
    dated: bool,
}

impl Judge for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn hear(&mut self, heard: &Heard) {
        if !heard.first || heard.body["type"] != "parking.session" {
            return;
        }
        let (bay, data) = (heard.arrived.path.split('/').nth(1), &heard.body["data"]);
        let (Some(bay), Some(from), Some(until)) = (bay, time(&data["start"]), time(&data["end"]))
        else {
            return self.wrong.push(format!("a session is unreadable: {}", heard.body));
        };
        let dated = data["clock"] == "ntp" || data["clock"] == "gnss";
        self.told.entry(bay.to_owned()).or_default().push(Session { from, until, dated });
    }

    fn verdict(&self, end: &End<'_>) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        for (i, bay) in end.truth.bays.iter().enumerate() {
            let told = self.told.get(&bay_id(i)).map_or(&[][..], Vec::as_slice);
            let say = |what: String| format!("{}: {what}", bay_id(i));
            wrong.extend(overlaps(told).into_iter().map(say));
            wrong.extend(differences(bay, told, &disturbed(bay, end)).into_iter().map(say));
        }
        wrong
    }
}

fn time(value: &Value) -> Option<i64> {
    let at = Utc::parse(value.as_str()?).ok()?;
    Some(at.as_ms() - ORIGIN.as_ms())
}

/// When nobody can know what happened on the bay.
fn disturbed(bay: &Bay, end: &End<'_>) -> Vec<Window> {
    let faults = bay.silent.into_iter().chain(bay.stuck).map(|fault| fault.wider(HOUR + MINUTE));
    let timeless = end.timeless.iter().map(|window| {
        // What was kept while the box was down is dated by a box that does not know the time.
        let down = end.downs.iter().find(|down| down.until.abs_diff(window.from) < 2 * MINUTE);
        let from = down.map_or(window.from, |down| down.from);
        Window { from, ..*window }.wider(5 * MINUTE)
    });
    faults.chain(timeless).collect()
}

fn overlaps(told: &[Session]) -> Vec<String> {
    let mut told: Vec<Session> = told.iter().copied().filter(|session| session.dated).collect();
    told.sort_unstable();
    let over = |pair: &&[Session]| pair[1].from + signed(OVERLAP_MAX) < pair[0].until;
    let pairs: Vec<&[Session]> = told.windows(2).collect();
    pairs.iter().filter(|pair| over(pair)).map(|pair| format!("{pair:?} overlap")).collect()
}

fn differences(bay: &Bay, told: &[Session], disturbed: &[Window]) -> Vec<String> {
    let blurred = |window: Window| disturbed.iter().any(|fault| fault.touches(window));
    let near = |a: i64, b: u64| a.abs_diff(signed(b)) <= OFF_MAX;
    let is = |session: &&Session, stay: &Window| {
        near(session.from, stay.from) && near(session.until, stay.until)
    };
    let mut wrong = Vec::new();
    for stay in bay.stays.iter().filter(|stay| !blurred(**stay)) {
        let count = told.iter().filter(|session| is(session, stay)).count();
        if count != 1 {
            let about = told
                .iter()
                .filter(|s| s.until >= signed(stay.from) && s.from <= signed(stay.until));
            let about: Vec<&Session> = about.collect();
            wrong.push(format!("{stay:?} was told {count} times; near it {about:?}"));
        }
    }
    for session in told.iter().filter(|session| session.dated) {
        let at = |ms: i64| u64::try_from(ms).unwrap_or(0);
        let window = Window { from: at(session.from), until: at(session.until) };
        let known = bay.stays.iter().any(|stay| is(&session, stay));
        if !known && !blurred(window) {
            wrong.push(format!("{session:?} never was"));
        }
    }
    wrong
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).expect("a run has days")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{end, quiet, session};
    use super::*;

    const FROM: &str = "2026-06-01T09:00:05+08:00";
    const TO: &str = "2026-06-01T10:00:03+08:00";

    fn judged(stays: &[(u64, u64)], told: &[(&str, &str)], timeless: &[Window]) -> usize {
        let mut truth = quiet();
        let stay = |&(from, until): &(u64, u64)| Window { from: from * HOUR, until: until * HOUR };
        truth.bays[0].stays = stays.iter().map(stay).collect();
        let mut judge = Sessions::default();
        for (seq, (from, to)) in (1..).zip(told) {
            judge.hear(&session(seq, "b-0", from, to));
        }
        let mut end = end(&truth);
        end.timeless = timeless.to_vec();
        judge.verdict(&end).len()
    }

    #[test]
    fn a_stay_is_told_once_and_within_the_lag() {
        assert_eq!(judged(&[(9, 10)], &[(FROM, TO)], &[]), 0);
        assert_eq!(judged(&[(9, 10)], &[], &[]), 1, "not told");
        assert_eq!(judged(&[], &[(FROM, TO)], &[]), 1, "never was");
        let late = "2026-06-01T10:01:03+08:00";
        assert_eq!(judged(&[(9, 10)], &[(FROM, late)], &[]), 2, "another one");
        assert!(judged(&[(9, 10)], &[(FROM, TO), (FROM, TO)], &[]) > 0, "twice");
    }

    #[test]
    fn stays_that_overlap_are_wrong_whatever_else() {
        let night = Window { from: 0, until: 24 * HOUR };
        let inside = "2026-06-01T09:30:00+08:00";
        assert_eq!(judged(&[(9, 10)], &[(FROM, TO), (inside, TO)], &[night]), 1);
    }

    #[test]
    fn what_was_disturbed_may_be_otherwise() {
        let around = Window { from: 9 * HOUR, until: 9 * HOUR + MINUTE };
        assert_eq!(judged(&[(9, 10)], &[], &[around]), 0);
    }
}
