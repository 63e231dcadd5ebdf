//! What rules say of their tickets: quiet hours, and getting worse with age.

use super::orders::{city, full, send, state_of};
use super::*;
use crate::calendar::{DayClasses, Period, TimeOfDay};
use crate::rules::{Escalation, Schedule};

/// The clock of these tests begins at 20:26:40 UTC: an hour and a half before the quiet hours.
const QUIET_FROM: u64 = 94;
const QUIET_UNTIL: u64 = 634;

fn schedule(from: &str, to: &str) -> Schedule {
    let period =
        Period { from: TimeOfDay::parse(from).unwrap(), to: TimeOfDay::parse(to).unwrap() };
    Schedule { periods: vec![period], days: DayClasses::ALL }
}

/// The city, with a rule for bins that is quiet at night and gets worse with age.
pub(super) fn lively() -> Site {
    let mut site = city();
    site.rules[0].handling = Handling {
        quiet: Some(schedule("22:00", "07:00")),
        escalate: vec![
            Escalation { after: Span::from_mins(200), to: Severity::High },
            Escalation { after: Span::from_mins(1440), to: Severity::Critical },
        ],
        evidence: vec![],
    };
    site
}

fn night_engine() -> Engine {
    let mut site = lively();
    site.rules[0].handling.escalate.clear();
    Engine::new(site, vec![], t(0))
}

fn fill(engine: &mut Engine, minute: u64) -> Outputs {
    let counter = u32::try_from(minute).unwrap();
    let _ = engine.step(level(counter, 90), t(minute));
    engine.step(level(counter + 1, 91), t(minute + 1))
}

#[test]
fn quiet_hours_delay_the_notice_and_never_the_record() {
    for emptied in [false, true] {
        let mut engine = night_engine();
        let out = fill(&mut engine, 200);
        assert_eq!(ticket_events(&out.messages), ["ticket.suppressed"]);
        let state = state_of(&out);
        assert_eq!(state["suppressed"]["reason"], "quiet");
        assert_eq!(state["suppressed"]["until"], "2026-05-29T07:00:00.000Z");
        assert_eq!(state["opened_at"], t(201).utc.to_string(), "the record is of the night");
        let note = state["flow"][0]["note"].as_str().unwrap();
        assert_eq!(note, "quiet hours until 2026-05-29T07:00:00.000Z");
        if emptied {
            let out = engine.step(level(300, 5), t(300));
            assert_eq!(ticket_events(&out.messages), ["ticket.cleared"]);
        }
        assert!(ticket_events(&engine.step(Input::Tick, t(QUIET_UNTIL - 1)).messages).is_empty());
        let out = engine.step(Input::Tick, t(QUIET_UNTIL));
        assert_eq!(ticket_events(&out.messages), ["ticket.raised"], "gone by then or not");
        let state = state_of(&out);
        assert_eq!(state["cleared_by_sensor"], emptied);
        assert_eq!(state["limit"]["due"], "2026-05-29T11:00:00.000Z", "four hours from then");
    }
}

#[test]
fn quiet_hours_outlive_a_restart_and_begin_at_their_minute() {
    let mut engine = night_engine();
    let out = fill(&mut engine, QUIET_FROM - 2);
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"], "a minute before them");
    let mut engine = night_engine();
    let mut records = BTreeMap::new();
    let out = fill(&mut engine, QUIET_FROM);
    store(&mut records, &out);
    let stored = records.into_iter().map(|(key, value)| Record { key, value: Some(value) });
    let site = engine.site().clone();
    let mut engine = Engine::new(site, stored.collect(), boot(2, 0, 300));
    let out = engine.step(Input::Tick, boot(2, QUIET_UNTIL - 300, QUIET_UNTIL));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
}

#[test]
fn what_comes_back_at_night_is_told_in_the_morning() {
    let mut engine = night_engine();
    let id = ticket_in(&fill(&mut engine, 10).messages);
    let _ = engine.step(send("c1", full("x", &id, TicketStep::Resolve)), t(20));
    let _ = engine.step(level(30, 5), t(30));
    let out = fill(&mut engine, 200);
    assert_eq!(ticket_events(&out.messages), ["ticket.suppressed"]);
    let out = engine.step(Input::Tick, t(QUIET_UNTIL));
    assert_eq!(ticket_events(&out.messages), ["ticket.reopened"]);
    assert_eq!(ticket_in(&out.messages), id);
}

#[test]
fn what_nobody_handles_gets_worse_and_its_deadline_does_not_move() {
    let mut engine = Engine::new(lively(), vec![], t(0));
    let raised = fill(&mut engine, 10);
    let (id, due) = (ticket_in(&raised.messages), state_of(&raised)["limit"]["due"].clone());
    assert_eq!(state_of(&raised)["severity"], "medium");
    let out = engine.step(Input::Tick, t(210));
    let steps = ticket_events(&out.messages);
    assert!(!steps.contains(&"ticket.escalated"), "{steps:?}");
    let out = engine.step(Input::Tick, t(211));
    assert_eq!(ticket_events(&out.messages).last(), Some(&"ticket.escalated"));
    let state = state_of(&out);
    assert_eq!((&state["severity"], &state["limit"]["due"]), (&"high".into(), &due));
    let note = state["flow"].as_array().unwrap().last().unwrap()["note"].clone();
    assert_eq!(note, "not handled for 3h 20m: high");
    // Somebody does it: that was all.
    let _ = engine.step(send("c1", full("x", &id, TicketStep::Resolve)), t(300));
    assert!(ticket_events(&engine.step(Input::Tick, t(5000)).messages).is_empty());
    // It comes back: as bad as its rule says, and its age counts anew.
    let _ = engine.step(level(9000, 5), t(5001));
    let out = fill(&mut engine, 5100);
    assert_eq!((&state_of(&out)["severity"], out.messages.is_empty()), (&"medium".into(), false));
}

#[test]
fn what_becomes_critical_is_told_at_night_too() {
    let mut site = lively();
    site.rules[0].handling.escalate =
        vec![Escalation { after: Span::from_mins(60), to: Severity::Critical }];
    let mut engine = Engine::new(site, vec![], t(0));
    let _ = fill(&mut engine, 200);
    let out = engine.step(Input::Tick, t(261));
    assert_eq!(ticket_events(&out.messages), ["ticket.escalated", "ticket.raised"]);
    assert_eq!(state_of(&out)["state"], "raised");
}

#[test]
fn hours_are_looked_at_when_the_clock_is_set() {
    let mut site = city();
    site.rules[0].when = Condition::All(vec![
        Condition::Threshold {
            fact: FactName::LevelPct,
            side: Side::Above,
            raise_at: Level::FullAt,
            clear_at: Level::ClearAt,
            hold: Span::ZERO,
            readings: 1,
        },
        Condition::During(schedule("20:00", "21:00")),
    ]);
    let unset = |minute| Moment { clock: ClockQuality::Unset, utc: Utc::from_ms(0), ..t(minute) };
    let mut engine = Engine::new(site, vec![], unset(0));
    let out = engine.step(level(1, 95), unset(1));
    assert!(ticket_events(&out.messages).is_empty(), "nobody knows what hour it is");
    let out = engine.step(Input::Tick, t(2));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let out = engine.step(Input::Tick, t(60));
    assert_eq!(ticket_events(&out.messages), ["ticket.cleared"], "nine o'clock has passed");
}
