//! Tickets as people and time move them: limits, shelves, crews, refusals, and what holds for any history.

use proptest::prelude::*;

use super::handling::lively;
use super::*;
use crate::commands::Report;
use crate::ids::CrewId;
use crate::site::{CategorySpec, Crew, LimitRule, Maintenance};
use crate::tickets::{TimeLimit, WitnessKind};

pub(super) fn city() -> Site {
    let mut site = site();
    // Silence is not what is looked at here.
    site.rules.truncate(2);
    let crew = |categories: &[&str]| Crew {
        names: BTreeMap::new(),
        unit: None,
        categories: categories.iter().map(|c| Category::new(c).unwrap()).collect(),
        cards: vec![],
        vehicles: vec![],
    };
    site.tickets.crews = [
        (CrewId::new("bins").unwrap(), crew(&["bin_overflow", "bin_fault"])),
        (CrewId::new("all").unwrap(), crew(&[])),
        (CrewId::new("bays").unwrap(), crew(&["overstay"])),
    ]
    .into();
    site.tickets.limits = vec![LimitRule {
        category: None,
        severity: None,
        limit: TimeLimit::parse("4 urgent_hour").unwrap(),
        remind: Span::from_mins(30),
    }];
    site
}

fn city_engine() -> Engine {
    Engine::new(city(), vec![], t(0))
}

pub(super) fn full(id: &str, ticket: &TicketId, step: TicketStep) -> TicketOrder {
    TicketOrder {
        note: Some(format!("because of {id}")),
        crew: Some(CrewId::new("bins").unwrap()),
        for_s: Some(3600),
        ..order(ticket, step)
    }
}

pub(super) fn send(id: &str, order: TicketOrder) -> Input {
    Input::Command(Command {
        id: id.into(),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Ticket(order),
    })
}

pub(super) fn state_of(out: &Outputs) -> Map<String, Value> {
    let state = out.messages.iter().rev().find_map(|m| match (&m.topic, &m.body) {
        (Topic::TicketState(_), Body::Flat(body)) => Some(body.clone()),
        _ => None,
    });
    state.expect("a ticket was told")
}

#[test]
fn the_whole_life_of_a_ticket_with_its_minutes() {
    use TicketStep::{Accept, Ack, Assign, Close, HandOver, OnSite, Resolve, Start, Verify};
    let mut engine = city_engine();
    let raised = fill_up(&mut engine);
    let id = ticket_in(&raised.messages);
    assert_eq!(state_of(&raised)["limit"]["due"], (t(2).utc + Span::from_mins(240)).to_string());
    let steps = [Ack, Assign, Accept, HandOver, OnSite, Start, Resolve, Verify, Close];
    let mut told = vec![];
    for (i, step) in steps.into_iter().enumerate() {
        let minute = 10 * (i as u64 + 1) + 2;
        let out = engine.step(send(&format!("c{i}"), full("x", &id, step)), t(minute));
        assert_eq!(reply(&out)["ok"], true, "{step:?}: {:?}", reply(&out));
        told.extend(ticket_events(&out.messages));
    }
    let expected = steps.map(|step| format!("ticket.{}", step.done()));
    assert_eq!(told, expected);
    let ticket = engine.desk.get(&id).unwrap();
    assert_eq!(ticket.flow.verify(&id), Ok(()));
    let used: Vec<_> = ticket.flow.entries().iter().map(|e| e.used_s.unwrap() / 60).collect();
    assert_eq!(used, [0, 10, 20, 30, 40, 50, 60, 70, 70, 70], "the limit ends when it is handled");
}

#[test]
fn a_limit_is_announced_and_passes_once() {
    let mut engine = city_engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let out = engine.step(Input::Tick, t(2 + 210));
    assert_eq!(ticket_events(&out.messages), ["ticket.due_soon"]);
    let out = engine.step(Input::Tick, t(2 + 239));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(Input::Tick, t(5000));
    assert_eq!(ticket_events(&out.messages)[0], "ticket.overdue");
    let overdue = out.messages.iter().find(|m| m.topic == Topic::TicketEvent(id.clone())).unwrap();
    assert_eq!(overdue.at, t(2 + 240).utc, "at its own time, however late the tick is");
    let out = engine.step(send("c", full("x", &id, TicketStep::Extend)), t(5001));
    assert!(reply(&out)["error"]["msg"].as_str().unwrap().contains("no longer be extended"));
}

#[test]
fn paused_is_not_used_up_and_needs_a_reason() {
    let mut engine = city_engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let bare = TicketOrder { ticket: id.clone(), ..order(&id, TicketStep::Pause) };
    let out = engine.step(send("c0", bare), t(50));
    assert!(reply(&out)["error"]["msg"].as_str().unwrap().contains("says why"));
    let out = engine.step(send("c1", full("x", &id, TicketStep::Pause)), t(62));
    assert_eq!(state_of(&out)["limit"]["status"], "paused");
    let out = engine.step(Input::Tick, t(1000));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(send("c2", full("x", &id, TicketStep::Resume)), t(1000));
    assert_eq!(state_of(&out)["limit"]["due"], t(1000 + 180).utc.to_string());
    let out = engine.step(send("c3", full("x", &id, TicketStep::Extend)), t(1001));
    assert_eq!(state_of(&out)["limit"]["due"], t(1000 + 240).utc.to_string());
}

#[test]
fn shelved_until_a_time_and_then_where_it_was() {
    let mut engine = city_engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(send("c1", full("x", &id, TicketStep::Ack)), t(3));
    let out = engine.step(send("c2", full("x", &id, TicketStep::Shelve)), t(4));
    assert_eq!(state_of(&out)["state"], "suppressed");
    let out = engine.step(level(9, 95), t(30));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(Input::Tick, t(64));
    assert_eq!(ticket_events(&out.messages), ["ticket.unshelved"]);
    let state = state_of(&out);
    assert_eq!(state["state"], "acknowledged");
    assert_eq!(state["limit"]["due"], t(2 + 240 + 60).utc.to_string(), "and the limit stood still");
}

#[test]
fn crews_are_those_of_the_configuration_and_do_what_they_do() {
    let mut engine = city_engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let to = |crew: &str| TicketOrder {
        crew: Some(CrewId::new(crew).unwrap()),
        ..order(&id, TicketStep::Assign)
    };
    let mut why = |n: &str, order| {
        let out = engine.step(send(n, order), t(5));
        reply(&out).get("error").map(|e| e["msg"].as_str().unwrap().to_owned())
    };
    assert_eq!(why("1", order(&id, TicketStep::Assign)).unwrap(), "assign needs a crew");
    assert_eq!(why("2", to("nobody")).unwrap(), "no crew nobody; there are all, bays, bins");
    assert_eq!(why("3", to("bays")).unwrap(), "crew bays does not do this; it does overstay");
    assert_eq!(why("4", to("all")), None);
}

#[test]
fn a_refused_step_is_written_down_and_cannot_push_history_out() {
    let mut engine = city_engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let mut told = 0;
    for n in 0..50 {
        let out = engine.step(send(&format!("c{n}"), order(&id, TicketStep::Verify)), t(5));
        assert_eq!(reply(&out)["error"]["code"], "refused");
        told += ticket_events(&out.messages).len();
    }
    let ticket = engine.desk.get(&id).unwrap();
    assert_eq!((told, ticket.refused, ticket.flow.entries().len()), (8, 50, 9));
    let note = ticket.flow.entries()[1].note.as_deref().unwrap();
    assert!(note.starts_with("cannot verify a ticket that is raised"), "{note}");
}

#[test]
fn what_comes_and_goes_is_counted_until_it_is_still() {
    let mut engine = city_engine();
    let _ = fill_up(&mut engine);
    let mut told = vec![];
    for n in 0..40u32 {
        let percent = if n / 2 % 2 == 0 { 10 } else { 95 };
        let out = engine.step(level(10 + n, percent), t(3 + u64::from(n)));
        told.extend(ticket_events(&out.messages));
    }
    assert_eq!(told.len(), 9, "{told:?}");
    assert_eq!(told.last(), Some(&"ticket.flapping"));
    let out = engine.step(Input::Tick, t(43 + 60));
    assert_eq!(ticket_events(&out.messages), ["ticket.settled"]);
    assert_eq!(engine.open_tickets(), 1);
}

#[test]
fn what_is_found_during_maintenance_is_told_after_it_if_it_is_still_there() {
    let mut site = city();
    site.tickets.maintenance = vec![Maintenance {
        assets: vec!["bin/bin-1".parse().unwrap()],
        from: t(0).utc,
        until: t(100).utc,
        reason: "the street is dug up".into(),
    }];
    for (emptied, expected) in [(false, "ticket.raised"), (true, "ticket.expired")] {
        let mut engine = Engine::new(site.clone(), vec![], t(0));
        let out = fill_up(&mut engine);
        assert_eq!(ticket_events(&out.messages), ["ticket.suppressed"]);
        if emptied {
            let _ = engine.step(level(3, 5), t(50));
        }
        let out = engine.step(Input::Tick, t(100));
        assert_eq!(ticket_events(&out.messages), [expected]);
        if !emptied {
            let due = t(100).utc + Span::from_mins(240);
            assert_eq!(state_of(&out)["limit"]["due"], due.to_string());
        }
    }
}

#[test]
fn what_was_found_before_the_clock_was_set_is_dated_when_it_is() {
    let unset = |minutes: u64| Moment {
        clock: ClockQuality::Unset,
        utc: Utc::from_ms(0) + Span::from_mins(minutes),
        ..t(minutes)
    };
    let mut engine = city_engine();
    let _ = engine.step(level(1, 90), unset(1));
    let out = engine.step(level(2, 91), unset(2));
    assert_eq!(state_of(&out)["clock"], "unset");
    assert!(state_of(&out).get("limit").is_none(), "no limit counts from 1970");
    let out = engine.step(Input::Tick, t(30));
    assert_eq!(ticket_events(&out.messages), ["ticket.time_corrected"]);
    let state = state_of(&out);
    assert_eq!(
        (&state["clock"], &state["opened_at"]),
        (&"estimated".into(), &t(2).utc.to_string().into())
    );
    assert_eq!(state["limit"]["due"], t(2 + 240).utc.to_string());
}

#[test]
fn a_tickets_codes_travel_with_it() {
    let mut site = city();
    let code = crate::site::CategoryCode {
        scheme: "GB/T47678.5".into(),
        kind: "matter".into(),
        code: "06042".into(),
        local: false,
    };
    let spec = CategorySpec { codes: vec![code], ..CategorySpec::default() };
    site.tickets.categories.insert(Category::new("bin_overflow").unwrap(), spec);
    let mut engine = Engine::new(site, vec![], t(0));
    let state = state_of(&fill_up(&mut engine));
    assert_eq!(state["codes"][0]["code"], "06042");
}

/// Steps that may move a deadline; each of them stands in the flow log.
const MOVERS: [&str; 9] = [
    "raised",
    "reopened",
    "paused",
    "resumed",
    "extended",
    "suppressed",
    "unshelved",
    "dispatched",
    "time_corrected",
];

#[derive(Debug, Clone)]
enum Turn {
    Level(u32),
    Car(bool),
    Pass(u64),
    Order(usize, usize),
    Says(usize),
    Again,
    Restart,
    Crash,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (0u32..=100).prop_map(Turn::Level),
        3 => any::<bool>().prop_map(Turn::Car),
        2 => (1u64..400).prop_map(Turn::Pass),
        4 => (0usize..4, 0..TicketStep::ALL.len()).prop_map(|(t, s)| Turn::Order(t, s)),
        1 => (0usize..3).prop_map(Turn::Says),
        1 => Just(Turn::Again),
        1 => Just(Turn::Restart),
        1 => Just(Turn::Crash),
    ]
}

/// A box through a history: what was stored and told, and where its clocks are.
struct Box_ {
    engine: Engine,
    records: BTreeMap<String, Vec<u8>>,
    messages: Vec<Message>,
    minute: u64,
    boot: u32,
    booted: u64,
    last: Option<Input>,
}

impl Box_ {
    fn now(&self) -> Now {
        boot(self.boot, self.minute - self.booted, self.minute)
    }

    fn restart(&mut self) {
        (self.boot, self.booted) = (self.boot + 1, self.minute);
        let stored = self.records.iter();
        let stored = stored.map(|(k, v)| Record { key: k.clone(), value: Some(v.clone()) });
        self.engine = Engine::new(lively(), stored.collect(), self.now());
    }

    fn input(&mut self, n: usize, turn: &Turn) -> Input {
        let counter = u32::try_from(n).unwrap();
        match turn {
            Turn::Level(percent) => level(counter, *percent),
            Turn::Car(there) => say("b-1", counter, Quantity::Occupied(*there)),
            Turn::Pass(minutes) => {
                self.minute += minutes;
                Input::Tick
            }
            Turn::Order(which, step) => {
                let ids: Vec<_> = self.engine.desk.all().map(|t| t.ticket_id.clone()).collect();
                let Some(id) = ids.get(which % ids.len().max(1)) else { return Input::Tick };
                send(&format!("c{n}"), full("x", id, TicketStep::ALL[*step]))
            }
            Turn::Says(who) => said(&format!("c{n}"), *who),
            Turn::Again => match &self.last {
                Some(input @ Input::Command(_)) => input.clone(),
                _ => Input::Tick,
            },
            Turn::Restart | Turn::Crash => {
                self.restart();
                Input::Start
            }
        }
    }

    fn take(&mut self, n: usize, turn: &Turn) {
        self.minute += 1;
        let input = self.input(n, turn);
        let out = self.engine.step(input.clone(), self.now());
        self.last = Some(input);
        store(&mut self.records, &out);
        self.messages.extend(out.messages);
        if matches!(turn, Turn::Crash) {
            // This was decided and never stored: nobody was told, and the box begins anew without it.
            let _ = self.engine.step(level(900_000 + u32::try_from(n).unwrap(), 99), self.now());
            self.minute += 1;
            self.restart();
        }
    }
}

/// Somebody says that the bin is full, or that something lies in the street.
fn said(id: &str, who: usize) -> Input {
    let kinds = [WitnessKind::Citizen, WitnessKind::Camera, WitnessKind::Patrol];
    let asset = (who != 1).then(|| "bin/bin-1".parse().unwrap());
    let place = Position::from_degrees(31.82, 119.98, Datum::Wgs84).unwrap();
    let report = Report {
        category: Category::new(if who == 1 { "exposed_litter" } else { "bin_overflow" }).unwrap(),
        witness: kinds[who],
        place: asset.is_none().then_some(place),
        asset,
        from: None,
        confidence: None,
        severity: None,
        text: None,
        media: None,
    };
    Input::Command(Command {
        id: id.into(),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        action: Action::Report(Box::new(report)),
        signed: false,
    })
}

proptest! {
    // Every case is a life of a box: in a debug build the usual number would take a minute.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_tickets_keep_their_promises(
        history in prop::collection::vec(turn(), 1..150),
    ) {
        let mut one = Box_ {
            engine: Engine::new(lively(), vec![], t(0)),
            records: BTreeMap::new(),
            messages: vec![],
            minute: 0,
            boot: 1,
            booted: 0,
            last: None,
        };
        for (n, turn) in history.iter().enumerate() {
            one.take(n, turn);
            let mut open = BTreeMap::new();
            for ticket in one.engine.desk.all() {
                prop_assert_eq!(ticket.flow.verify(&ticket.ticket_id), Ok(()));
                // Nothing moves a deadline that the log does not tell.
                let due = ticket.limit.as_ref().and_then(|limit| limit.due);
                let told = ticket.flow.entries().last().and_then(|entry| entry.due);
                prop_assert_eq!(due, told, "of {} after {:?}", &ticket.key, turn);
                *open.entry(&ticket.key).or_insert(0) += usize::from(ticket.state.is_open());
            }
            prop_assert!(open.values().all(|n| *n <= 1), "after {turn:?}: {open:?}");
        }
        let mut last: BTreeMap<TicketId, (u64, Value, String)> = BTreeMap::new();
        for message in &one.messages {
            let (Topic::TicketEvent(id), Body::Event { data, .. }) = (&message.topic, &message.body)
            else { continue };
            let step = &data["step"];
            let (n, due) = (step["n"].as_u64().unwrap(), step.get("due").cloned().unwrap_or_default());
            let name = step["step"].as_str().unwrap().to_owned();
            if let Some((before, due_before, _)) = last.get(id) {
                prop_assert_eq!(n, before + 1, "every transition is told once, in order");
                let moved = &due != due_before;
                prop_assert!(!moved || MOVERS.contains(&name.as_str()), "{name} moved the deadline");
            } else {
                prop_assert_eq!(n, 1);
            }
            last.insert(id.clone(), (n, due, name));
        }
    }
}

#[test]
fn a_picture_is_only_for_requesters_whom_somebody_has_named() {
    use crate::commands::upkeep::Upkeep;
    use crate::site::Allow;
    let ask = |id: &str, by: &str, signed: bool| {
        Input::Command(Command {
            id: id.into(),
            by: Requester::new(by).unwrap(),
            issued_at: Some(t(1).utc),
            expires_at: Some(t(9).utc),
            signed,
            action: Action::Upkeep(Upkeep::Evidence { sha256: "ab".repeat(32) }),
        })
    };
    let mut open = city_engine();
    assert_eq!(open.step(ask("c1", "duty-1", false), t(1)).orders.len(), 0, "nobody was named");
    assert_eq!(open.step(ask("c2", "duty-1", true), t(1)).orders.len(), 1);
    let mut site = city();
    let allow =
        |by: &str, command: &str| Allow { by: vec![by.into()], commands: vec![command.into()] };
    site.tickets.allow = vec![allow("duty-*", "evidence"), allow("*", "ticket.*")];
    let mut strict = Engine::new(site, vec![], t(0));
    assert_eq!(strict.step(ask("c1", "duty-1", false), t(1)).orders.len(), 1);
    assert_eq!(strict.step(ask("c2", "crew-1", false), t(1)).orders.len(), 0);
}

#[test]
fn what_is_done_with_the_box_is_done_once_and_told_at_every_stage() {
    use crate::commands::upkeep::{Progress, Stage, Upkeep};
    let mut engine = city_engine();
    let by = Requester::new("ops").unwrap();
    let ask = |id: &str| {
        Input::Command(Command {
            id: id.into(),
            by: Requester::new("ops").unwrap(),
            issued_at: None,
            expires_at: None,
            signed: false,
            action: Action::Upkeep(Upkeep::Revert),
        })
    };
    let answer = |out: &Outputs| {
        let found = out.messages.iter().find_map(|m| match (&m.topic, &m.body) {
            (Topic::Reply(_), Body::Flat(body)) => Some(body.clone()),
            _ => None,
        });
        found.unwrap()
    };
    let out = engine.step(ask("c1"), t(1));
    assert_eq!((out.orders.len(), &answer(&out)["state"]), (1, &"received".into()));
    let told = |stage, why: Option<&str>| {
        let why = why.map(str::to_owned);
        Input::Progress(Progress {
            id: "c1".into(),
            by: by.clone(),
            stage,
            result: Map::new(),
            why,
        })
    };
    let out = engine.step(told(Stage::Applied, None), t(2));
    assert_eq!((&answer(&out)["state"], &answer(&out)["ok"]), (&"applied".into(), &true.into()));
    let out = engine.step(told(Stage::Reverted, Some("no link")), t(3));
    assert_eq!(answer(&out)["error"]["msg"], "no link");
    // The same command again is not done again, and hears the latest.
    let out = engine.step(ask("c1"), t(4));
    assert_eq!((out.orders.len(), &answer(&out)["state"]), (0, &"reverted".into()));
    assert!(out.records.is_empty());
}
