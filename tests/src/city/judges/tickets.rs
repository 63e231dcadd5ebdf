//! The tickets are the problems that were planted: none is missing, none is unplanned, none came twice, and none
//! stays uncleared once its problem is over.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Heard, Judge};
use crate::city::truth::{HOUR, MINUTE, Problem, SILENT_AFTER, Window};

/// So long after a problem is over it must be found so: a report an hour, one of which the air may take, and
/// what a restart or a long way costs.
const CLEARED_WITHIN: u64 = 4 * HOUR;

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Tickets {
    /// By identity.
    lives: BTreeMap<String, Life>,
    /// The tickets of what lies somewhere.
    placed: BTreeSet<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Life {
    found: u64,
    cleared: u64,
}

/// What must and may have become of one identity.
#[derive(Debug, Default, Clone, Copy)]
struct Plan {
    least: u64,
    most: u64,
    cleared_least: u64,
}

impl Judge for Tickets {
    fn name(&self) -> &'static str {
        "tickets"
    }

    fn hear(&mut self, heard: &Heard) {
        let path = &heard.arrived.path;
        if !heard.first || !path.starts_with("ticket/") || !path.ends_with("/event") {
            return;
        }
        let data = &heard.body["data"];
        let key = data["key"].as_str().unwrap_or_default().to_owned();
        if data["asset"].is_null() && data["category"] == "exposed_litter" {
            self.placed.insert(data["ticket_id"].as_str().unwrap_or_default().to_owned());
            return;
        }
        let life = self.lives.entry(key).or_default();
        match heard.body["type"].as_str() {
            Some("ticket.raised" | "ticket.candidate" | "ticket.reopened") => life.found += 1,
            Some("ticket.cleared") => life.cleared += 1,
            _ => {}
        }
    }

    fn verdict(&self, end: &End<'_>) -> Vec<String> {
        let problems = end.truth.problems();
        let until = end.truth.size.until();
        let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
        for problem in &problems {
            let Some(asset) = &problem.asset else { continue };
            let plan = plans.entry(format!("{}:{asset}", problem.category)).or_default();
            let sure = problem.time.from + HOUR <= until && certain(problem, &end.downs);
            plan.most += 1;
            plan.least += u64::from(sure);
            plan.cleared_least += u64::from(sure && problem.time.until + CLEARED_WITHIN <= until);
        }
        let mut wrong: Vec<String> =
            plans.iter().filter_map(|(key, plan)| weigh(key, *plan, self.lives.get(key))).collect();
        let unplanned =
            self.lives.iter().filter(|(key, life)| life.found > 0 && !plans.contains_key(*key));
        wrong.extend(unplanned.map(|(key, life)| format!("{key} was not planted: {life:?}")));
        let litter = problems.iter().filter(|problem| problem.asset.is_none()).count();
        if litter != self.placed.len() {
            wrong.push(format!("{litter} places with litter, {} tickets", self.placed.len()));
        }
        wrong
    }
}

fn weigh(key: &str, plan: Plan, life: Option<&Life>) -> Option<String> {
    let life = life.copied().unwrap_or_default();
    if life.found < plan.least {
        Some(format!("{key} is missing: {life:?} of {plan:?}"))
    } else if life.found > plan.most {
        Some(format!("{key} came too often: {life:?} of {plan:?}"))
    } else if life.cleared < plan.cleared_least {
        Some(format!("{key} was not cleared: {life:?} of {plan:?}"))
    } else {
        None
    }
}

/// Whether it must be found, whatever the box went through: a silence counts from the start of the box, for
/// before it nobody listened.
fn certain(problem: &Problem, downs: &[Window]) -> bool {
    if !matches!(problem.category, "parking_device_fault" | "bin_fault" | "signal_lost") {
        return true;
    }
    let patience = if problem.category == "signal_lost" { 5 * MINUTE } else { SILENT_AFTER };
    let began = match problem.category {
        "signal_lost" => problem.time.from,
        _ => problem.time.from.saturating_sub(SILENT_AFTER),
    };
    let starts = downs.iter().filter(|down| down.touches(Window { from: began, ..problem.time }));
    let mut free = began;
    for down in starts {
        if down.from.saturating_sub(free) > patience + 5 * MINUTE {
            return true;
        }
        free = free.max(down.until);
    }
    problem.time.until.saturating_sub(free) > patience + 5 * MINUTE
}

#[cfg(test)]
mod tests {
    use domain::output::Lane;
    use serde_json::{Value, json};

    use super::super::tests::{end, heard, quiet};
    use super::*;
    use crate::city::truth::Truth;

    /// A truth with a fire in a bin.
    fn burning() -> Truth {
        let mut truth = quiet();
        truth.bins[1].fire = Some(Window { from: HOUR, until: 2 * HOUR });
        truth
    }

    fn judged(events: &[(&str, &str)]) -> Vec<String> {
        let mut judge = Tickets::default();
        for (seq, (kind, key)) in (1..).zip(events) {
            let data = json!({"ticket_id": "t-1", "key": key, "asset": {}, "category": "x"});
            let body = json!({"type": format!("ticket.{kind}"), "data": data});
            judge.hear(&heard(Lane::Ticket, seq, "ticket/t-1/event", body));
        }
        judge.verdict(&end(&burning()))
    }

    const FIRE: &str = "bin_fire:bin/bin-1";

    #[test]
    fn the_planted_problem_is_found_and_cleared_once() {
        assert_eq!(judged(&[("raised", FIRE), ("cleared", FIRE)]), Vec::<String>::new());
    }

    #[test]
    fn each_way_to_be_wrong_is_found() {
        let says = |events: &[(&str, &str)], what: &str| {
            let wrong = judged(events);
            assert!(wrong.iter().any(|one| one.contains(what)), "{what}: {wrong:?}");
        };
        says(&[], "is missing");
        says(&[("raised", FIRE)], "was not cleared");
        says(&[("raised", FIRE), ("cleared", FIRE), ("raised", FIRE)], "too often");
        says(&[("raised", "overstay:bay/b-0")], "was not planted");
    }

    #[test]
    fn litter_is_one_ticket_a_place() {
        let mut truth = quiet();
        let place = steward::demo::street::Point { lon: 120.0, lat: 31.8 };
        truth.litter = vec![crate::city::truth::Litter { at: HOUR, place }];
        let mut judge = Tickets::default();
        assert_eq!(judge.verdict(&end(&truth)).len(), 1, "none");
        let mut report = |ticket: &str| {
            let data =
                json!({"ticket_id": ticket, "asset": Value::Null, "category": "exposed_litter"});
            let body = json!({"type": "ticket.candidate", "data": data});
            judge.hear(&heard(Lane::Ticket, 1, "ticket/x/event", body));
            judge.verdict(&end(&truth)).len()
        };
        assert_eq!(report("t-1"), 0);
        assert_eq!(report("t-2"), 1, "two for one");
    }
}
