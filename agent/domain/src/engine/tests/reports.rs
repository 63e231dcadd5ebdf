//! What several witnesses say of one problem, what is silent together, and what comes out of it all.

use super::orders::{city, full, send, state_of};
use super::*;
use crate::assessment;
use crate::commands::{Report, TicketQuery};
use crate::site::{Allow, CategorySpec};
use crate::tickets::WitnessKind;

pub(super) fn reporting_site() -> Site {
    let mut site = city();
    let spec = |class, radius_m, review| CategorySpec {
        class,
        radius_m,
        review,
        ..CategorySpec::default()
    };
    site.tickets.categories = [
        (Category::new("bin_overflow").unwrap(), spec(Some(Class::Bin), 15, true)),
        (Category::new("exposed_litter").unwrap(), spec(None, 30, true)),
    ]
    .into();
    site
}

pub(super) fn say_so(id: &str, witness: WitnessKind, category: &str, metres_north: f64) -> Input {
    let lat = 31.81 + metres_north / 111_195.0;
    let report = Report {
        category: Category::new(category).unwrap(),
        asset: None,
        place: Some(Position::from_degrees(lat, 119.97, Datum::Wgs84).unwrap()),
        witness,
        from: Some(format!("w-{id}")),
        confidence: None,
        severity: None,
        text: Some("look at this".into()),
        media: None,
    };
    act(id, Action::Report(Box::new(report)))
}

fn act(id: &str, action: Action) -> Input {
    Input::Command(Command {
        id: id.into(),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        action,
    })
}

#[test]
fn sensor_camera_and_citizen_see_one_overflow() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    let sure = |out: &Outputs| state_of(out)["confidence"].as_u64().unwrap();
    let camera = engine.step(say_so("1", WitnessKind::Camera, "bin_overflow", 9.0), t(3));
    assert_eq!(ticket_events(&camera.messages), ["ticket.witnessed"]);
    let citizen = engine.step(say_so("2", WitnessKind::Citizen, "bin_overflow", -12.0), t(4));
    assert_eq!(reply(&citizen)["result"]["ticket"], id.as_str());
    assert_eq!(reply(&citizen)["result"]["known"], true);
    assert!(sure(&camera) > 90 && sure(&citizen) > sure(&camera));
    assert_eq!(state_of(&citizen)["sources"].as_array().unwrap().len(), 3);
    assert_eq!(engine.open_tickets(), 1);
    // Farther away than the radius it is no bin of ours: a problem of its own.
    let far = engine.step(say_so("3", WitnessKind::Citizen, "bin_overflow", 40.0), t(5));
    assert_eq!(reply(&far)["result"]["known"], false);
    assert_eq!(engine.open_tickets(), 2);
}

#[test]
fn what_only_a_camera_sees_waits_for_a_person_or_a_second_witness() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let out = engine.step(say_so("1", WitnessKind::Camera, "exposed_litter", 500.0), t(1));
    assert_eq!(ticket_events(&out.messages), ["ticket.candidate"]);
    assert!(state_of(&out).get("limit").is_none());
    let out = engine.step(say_so("2", WitnessKind::Camera, "exposed_litter", 510.0), t(2));
    assert_eq!(state_of(&out)["state"], "candidate", "a second camera has the same eyes");
    let out = engine.step(say_so("3", WitnessKind::Citizen, "exposed_litter", 520.0), t(3));
    assert_eq!(ticket_events(&out.messages), ["ticket.witnessed", "ticket.raised"]);
    assert_eq!(state_of(&out)["limit"]["due"], (t(3).utc + Span::from_mins(240)).to_string());
    assert_eq!(engine.open_tickets(), 1);
}

#[test]
fn a_place_on_a_shifted_map_is_the_place_it_means() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let here = Position::from_degrees(31.81, 119.97, Datum::Wgs84).unwrap();
    let report = |id, place| {
        let report = Report {
            category: Category::new("bin_overflow").unwrap(),
            asset: None,
            place: Some(place),
            witness: WitnessKind::Citizen,
            from: None,
            confidence: None,
            severity: None,
            text: None,
            media: None,
        };
        act(id, Action::Report(Box::new(report)))
    };
    let out = engine.step(report("1", here.to_datum(Datum::Gcj02)), t(1));
    assert_eq!(state_of(&out)["asset"]["id"], "bin-1");
    let numbers = here.to_datum(Datum::Gcj02);
    let wrong = Position::from_degrees(numbers.lat(), numbers.lon(), Datum::Wgs84).unwrap();
    let out = engine.step(report("2", wrong), t(2));
    assert!(state_of(&out)["asset"].is_null(), "half a kilometre away");
}

/// A site of `n` bays of one source.
fn bays(n: u32) -> Site {
    let mut site = site();
    let kind = bay_kind(&site);
    site.assets = (0..n).map(|i| asset(&format!("b-{i}"), kind.clone())).collect();
    let silent = Condition::Silent { after: None };
    site.rules = vec![rule("bay-silent", Class::Bay, "parking_device_fault", silent)];
    site
}

fn all_say(engine: &mut Engine, n: u32, counter: u32, occupied: bool, minute: u64) -> Vec<Message> {
    let mut messages = vec![];
    for i in 0..n {
        let said = say(&format!("b-{i}"), counter, Quantity::Occupied(occupied));
        let now = t(minute);
        let now = now.at_instant(now.monotonic + Span::from_secs(u64::from(i % 59)));
        messages.extend(engine.step(said, now).messages);
    }
    messages
}

#[test]
fn fourteen_silent_bays_of_one_gateway_are_one_ticket_about_it() {
    let mut engine = Engine::new(bays(14), vec![], t(0));
    let _ = all_say(&mut engine, 14, 1, false, 0);
    let out = engine.step(Input::Tick, t(300));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let ticket = engine.desk.all().next().unwrap();
    assert_eq!(ticket.key, "gateway_fault:source/s");
    // One speaks again: the gateway is there. The others have their time once more, and are then found
    // one by one.
    let out = engine.step(say("b-3", 2, Quantity::Occupied(false)), t(310));
    assert_eq!(ticket_events(&out.messages), ["ticket.cleared"]);
    let mut raised = 0;
    for (n, minute) in (315..440).step_by(5).enumerate() {
        let counter = 3 + u32::try_from(n).unwrap();
        let out = engine.step(say("b-3", counter, Quantity::Occupied(false)), t(minute));
        raised += ticket_events(&out.messages).len();
    }
    assert_eq!(raised, 13);
}

#[test]
fn one_silent_bay_among_others_is_its_own_fault() {
    let mut engine = Engine::new(bays(14), vec![], t(0));
    let _ = all_say(&mut engine, 14, 1, false, 0);
    let mut keys = vec![];
    for n in 1..20u32 {
        for m in all_say(&mut engine, 13, 1 + n, false, u64::from(n) * 10) {
            if let Body::Event { kind: "ticket.raised", data } = m.body {
                keys.push(data["key"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(keys, ["parking_device_fault:bay/b-13"]);
}

#[test]
fn who_may_do_what_is_laid_down() {
    let mut site = reporting_site();
    let allow = |by: &str, commands: &[&str]| Allow {
        by: vec![by.into()],
        commands: commands.iter().map(|c| (*c).into()).collect(),
    };
    site.tickets.allow = vec![allow("du*", &["ticket.ack", "tickets"]), allow("boss", &["*"])];
    let mut engine = Engine::new(site, vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    let out = engine.step(send("1", full("x", &id, TicketStep::Close)), t(3));
    assert_eq!(reply(&out)["error"]["code"], "denied");
    assert_eq!(reply(&out)["error"]["msg"], "duty may not do ticket.close");
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(send("2", full("x", &id, TicketStep::Ack)), t(4));
    assert_eq!(reply(&out)["ok"], true);
}

#[test]
fn questions_are_answered_with_the_most_urgent_first_and_what_crews_have_to_do() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(send("1", full("x", &id, TicketStep::Assign)), t(3));
    let _ = engine.step(say_so("2", WitnessKind::Citizen, "exposed_litter", 300.0), t(4));
    let out = engine.step(act("3", Action::Tickets(TicketQuery::default())), t(5));
    assert!(out.records.is_empty(), "a question leaves nothing behind");
    let answer = &reply(&out)["result"];
    assert_eq!((&answer["total"], &answer["tickets"][0]["crew"]), (&2.into(), &"bins".into()));
    assert_eq!(answer["workload"]["bins"]["dispatched"], 1);
    let query = TicketQuery { ticket: Some(id), ..TicketQuery::default() };
    let out = engine.step(act("4", Action::Tickets(query)), t(6));
    assert_eq!(reply(&out)["result"]["chain"]["ok"], true);
}

#[test]
fn the_figures_come_from_the_flow_logs_alone_and_outlive_the_tickets() {
    use TicketStep::{Ack, Assign, Close, Extend, Reject, Reopen, Resolve, Verify};
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let mut stored = BTreeMap::new();
    let mut n = 0;
    let mut step = |input, minute, stored: &mut BTreeMap<String, Vec<u8>>| {
        n += 1;
        let out = engine.step(input, t(minute));
        store(stored, &out);
        out
    };
    let _ = step(level(1, 90), 1, &mut stored);
    let out = step(level(2, 91), 2, &mut stored);
    let bin = ticket_in(&out.messages);
    for (i, (what, minute)) in [
        (Ack, 12),
        (Assign, 20),
        (Extend, 21),
        (Resolve, 62),
        (Reopen, 70),
        (Resolve, 90),
        (Verify, 95),
        (Close, 100),
    ]
    .into_iter()
    .enumerate()
    {
        let out = step(send(&format!("b{i}"), full("x", &bin, what)), minute, &mut stored);
        assert_eq!(reply(&out)["ok"], true, "{what:?}");
    }
    let camera = step(say_so("c", WitnessKind::Camera, "exposed_litter", 500.0), 5, &mut stored);
    let litter = ticket_in(&camera.messages);
    let _ = step(send("r", full("x", &litter, Reject)), 8, &mut stored);
    let citizen = step(say_so("d", WitnessKind::Citizen, "exposed_litter", 900.0), 10, &mut stored);
    assert_eq!(reply(&citizen)["ok"], true);
    // A week later nothing of the closed ones is left on the broker.
    let gone = step(Input::Tick, 8 * 24 * 60, &mut stored);
    assert!(gone.messages.iter().any(|m| m.body == Body::Empty));
    let records: Vec<Record> = stored
        .iter()
        .map(|(key, value)| Record { key: key.clone(), value: Some(value.clone()) })
        .collect();
    let calendar = &engine.site().calendar;
    let (from, to) = (calendar.date(t(0).utc), calendar.date(t(100).utc));
    let tickets = assessment::tickets(records.iter(), calendar, from, to);
    assert_eq!(tickets.len(), 3);
    let rows = assessment::rows(&tickets, engine.site());
    let row = |group: &str| rows.iter().find(|row| row.group == group).unwrap();
    let bins = row("bin_overflow");
    assert_eq!((bins.counts.handled, bins.counts.rework, bins.counts.extended), (1, 1, 1));
    assert_eq!((bins.response_p50_s, bins.handling_p50_s), (Some(600), Some(3600)));
    assert_eq!((bins.in_time_ppm, bins.rework_ppm), (Some(1_000_000), Some(1_000_000)));
    let city = row("city");
    assert_eq!((city.counts.registered, city.counts.needed), (2, 2));
    assert_eq!((city.counts.sensed_first, city.sensed_first_ppm), (1, Some(500_000)));
    assert_eq!((city.counts.ai_reviewed, city.ai_precision_ppm), (1, Some(0)));
    assert_eq!(row("internal").handled_ppm, None);
    // The box goes on from the same records, the kept cases among them.
    let mut again = Engine::new(reporting_site(), records, boot(2, 0, 8 * 24 * 60));
    let out = again.step(Input::Start, boot(2, 0, 8 * 24 * 60));
    assert!(out.records.iter().all(|r| !r.key.starts_with("case/")), "they are not orphans");
}
