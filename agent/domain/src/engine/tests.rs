//! The whole core at once: samples and commands in, messages and records out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::commands::{BayStep, TicketStep};
use crate::ids::TicketId;
use crate::ids::{AssetId, BoxId, Category, Class, DeviceKey, Requester, RuleId, SiteId, TenantId};
use crate::output::{Body, Lane, Message, Topic};
use crate::place::{Datum, Position};
use crate::rules::{Condition, Handling, Level, Rule, Severity, Side};
use crate::sample::Quantity;
use crate::site::{Asset, Bay, BayPolicy, Bin, Identity, Kind, Sensing, Service, TicketPolicy};
use crate::time::{Boot, ClockQuality, Span, Utc};
use crate::units::{Millimetres, Permille};

fn t(minutes: u64) -> Now {
    boot(1, minutes, minutes)
}

fn boot(boot: u32, uptime_minutes: u64, minutes: u64) -> Now {
    Moment {
        boot: Boot(boot),
        monotonic: Monotonic::from_ms(uptime_minutes * 60_000),
        utc: Utc::from_ms(1_780_000_000_000) + Span::from_mins(minutes),
        clock: ClockQuality::Ntp,
    }
}

fn asset(id: &str, kind: Kind) -> (AssetKey, Asset) {
    let class = match kind {
        Kind::Bay(_) => Class::Bay,
        Kind::Bin(_) => Class::Bin,
        Kind::Vehicle(_) => Class::Vehicle,
        Kind::Street { .. } => Class::Street,
    };
    let feed =
        Feed { source: SourceName::new("s").unwrap(), device: Some(DeviceKey::new(id).unwrap()) };
    let asset = Asset {
        names: BTreeMap::new(),
        position: Some(Position::from_degrees(31.81, 119.97, Datum::Wgs84).unwrap()),
        street: None,
        feeds: vec![feed],
        kind,
    };
    (AssetKey::new(class, AssetId::new(id).unwrap()), asset)
}

fn rule(id: &str, class: Class, category: &str, when: Condition) -> Rule {
    Rule {
        id: RuleId::new(id).unwrap(),
        version: 1,
        class,
        category: Category::new(category).unwrap(),
        severity: Severity::Medium,
        when,
        handling: Handling::default(),
    }
}

fn site() -> Site {
    let bay = Bay {
        max_stay: Some(Span::from_mins(60)),
        occupied_after: Span::from_mins(1),
        free_after: Span::from_mins(1),
        stale_after: Span::from_mins(120),
        policy: BayPolicy::default(),
    };
    let bin = Bin {
        empty: Millimetres(1000),
        full: Millimetres(0),
        full_at: Permille::from_percent(85),
        clear_at: Permille::from_percent(60),
        capacity_l: None,
        stale_after: Span::from_mins(120),
        sensing: Sensing::default(),
        service: Service::default(),
    };
    let full = Condition::Threshold {
        fact: FactName::LevelPct,
        side: Side::Above,
        raise_at: Level::FullAt,
        clear_at: Level::ClearAt,
        hold: Span::ZERO,
        readings: 2,
    };
    let overstay = Condition::Overstay { grace: Span::from_mins(5) };
    let silent = Condition::Silent { after: None };
    Site {
        identity: Identity {
            tenant: TenantId::new("longcheng").unwrap(),
            site: SiteId::new("xuejia").unwrap(),
            id: BoxId::new("xj-1").unwrap(),
        },
        assets: [asset("b-1", Kind::Bay(bay)), asset("bin-1", Kind::Bin(bin))].into(),
        rules: vec![
            rule("bin-full", Class::Bin, "bin_overflow", full),
            rule("overstay", Class::Bay, "overstay", overstay),
            rule("bin-silent", Class::Bin, "bin_fault", silent),
        ],
        tickets: TicketPolicy::default(),
        calendar: Default::default(),
        parking: Default::default(),
    }
}

use crate::rules::FactName;

fn engine() -> Engine {
    Engine::new(site(), vec![], t(0))
}

fn say(device: &str, counter: u32, quantity: Quantity) -> Input {
    Input::Sample(Sample {
        source: SourceName::new("s").unwrap(),
        device: Some(DeviceKey::new(device).unwrap()),
        counter: Some(counter),
        at: None,
        quantities: vec![quantity],
    })
}

fn level(counter: u32, percent: u32) -> Input {
    say("bin-1", counter, Quantity::Distance(Millimetres(1000 - percent * 10)))
}

fn command(id: &str, ticket: &TicketId, step: TicketStep) -> Input {
    Input::Command(Command {
        id: id.into(),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Ticket(order(ticket, step)),
    })
}

fn order(ticket: &TicketId, step: TicketStep) -> TicketOrder {
    let (ticket, note) = (ticket.clone(), None);
    TicketOrder { ticket, step, note, crew: None, for_s: None, until: None }
}

/// The event types of the ticket lane, in order.
fn ticket_events(messages: &[Message]) -> Vec<&'static str> {
    messages
        .iter()
        .filter_map(|m| match (&m.topic, &m.body) {
            (Topic::TicketEvent(_), Body::Event { kind, .. }) => Some(*kind),
            _ => None,
        })
        .collect()
}

fn ticket_in(messages: &[Message]) -> TicketId {
    messages
        .iter()
        .find_map(|m| match &m.topic {
            Topic::TicketState(id) => Some(id.clone()),
            _ => None,
        })
        .expect("a ticket was told")
}

fn reply(out: &Outputs) -> &Map<String, Value> {
    out.messages
        .iter()
        .find_map(|m| match (&m.topic, &m.body) {
            (Topic::Reply(_), Body::Flat(body)) => Some(body),
            _ => None,
        })
        .expect("every command is answered")
}

fn fill_up(engine: &mut Engine) -> Outputs {
    let _ = engine.step(level(1, 90), t(1));
    engine.step(level(2, 91), t(2))
}

#[test]
fn a_full_bin_is_one_ticket_with_its_evidence() {
    let mut engine = engine();
    let out = fill_up(&mut engine);
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let state = out.messages.iter().find(|m| matches!(m.topic, Topic::TicketState(_))).unwrap();
    assert_eq!((state.lane, state.topic.retained()), (Lane::Ticket, true));
    let Body::Flat(body) = &state.body else { panic!("a state is flat") };
    assert_eq!(body["category"], "bin_overflow");
    assert_eq!(body["evidence"].as_array().unwrap().len(), 2);
    assert_eq!(body["rule"]["version"], 1);
    assert_eq!(body["place"]["lat"], 31.81);
    assert!(body.get("times").is_none());
    for (counter, minute) in (3..20).zip(3..) {
        let out = engine.step(level(counter, 95), t(minute));
        assert!(ticket_events(&out.messages).is_empty());
    }
}

#[test]
fn emptied_clears_and_full_again_reopens_the_same_ticket() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let out = engine.step(level(3, 5), t(10));
    assert_eq!(ticket_events(&out.messages), ["ticket.cleared"]);
    let out = engine.step(level(4, 6), t(20));
    let collections = out.messages.iter().filter(|m| m.lane == Lane::Event).count();
    assert_eq!(collections, 1);
    let _ = engine.step(level(5, 90), t(180));
    let out = engine.step(level(6, 92), t(190));
    assert_eq!(ticket_events(&out.messages), ["ticket.reopened"]);
    assert_eq!(ticket_in(&out.messages), id);
}

#[test]
fn long_after_it_is_a_new_ticket_that_names_the_old_one() {
    let mut engine = engine();
    let old = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(level(3, 5), t(10));
    let late = 10 + 25 * 60;
    let _ = engine.step(level(4, 90), t(late));
    let out = engine.step(level(5, 92), t(late + 1));
    assert_eq!(ticket_events(&out.messages), ["ticket.expired", "ticket.raised"]);
    let raised = out.messages.iter().rev().find_map(|m| match &m.body {
        Body::Flat(body) => Some(body),
        _ => None,
    });
    assert_eq!(raised.unwrap()["prior"], old.as_str());
}

#[test]
fn a_stay_over_the_limit_is_found_at_its_minute() {
    let mut engine = engine();
    let _ = engine.step(say("b-1", 1, Quantity::Occupied(false)), t(0));
    let _ = engine.step(say("b-1", 2, Quantity::Occupied(true)), t(10));
    // Nothing comes in: deadlines alone must do it.
    let mut raised_at = None;
    while let Some(deadline) = engine.next_deadline() {
        let now = t(0).at_instant(deadline);
        let out = engine.step(Input::Tick, now);
        if ticket_events(&out.messages).contains(&"ticket.raised") {
            raised_at = Some(now.monotonic);
            break;
        }
    }
    assert_eq!(raised_at, Some(t(75).monotonic));
    let _ = engine.step(say("b-1", 3, Quantity::Occupied(false)), t(90));
    let out = engine.step(Input::Tick, t(92));
    assert_eq!(ticket_events(&out.messages), ["ticket.cleared"]);
}

#[test]
fn one_late_tick_finds_the_same_at_the_same_time_as_many() {
    let mut engine = engine();
    let _ = engine.step(say("b-1", 1, Quantity::Occupied(true)), t(0));
    let out = engine.step(Input::Tick, t(600));
    let raised = out.messages.iter().find(|m| matches!(m.topic, Topic::TicketEvent(_))).unwrap();
    assert_eq!(raised.at, t(65).utc);
}

#[test]
fn a_silent_sensor_is_found_and_heard_again() {
    let mut engine = engine();
    let _ = engine.step(level(1, 30), t(0));
    let out = engine.step(Input::Tick, t(120));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let states = out.messages.iter().filter(|m| matches!(m.topic, Topic::AssetState(_))).count();
    assert_eq!(states, 1, "and the bin is unknown");
    let out = engine.step(level(2, 31), t(130));
    assert_eq!(ticket_events(&out.messages), ["ticket.cleared"]);
}

#[test]
fn silence_while_the_box_was_off_is_not_the_sensors() {
    let mut engine = engine();
    let out = engine.step(level(1, 30), t(0));
    let mut engine = Engine::new(site(), out.records, boot(2, 0, 10_000));
    let out = engine.step(Input::Start, boot(2, 1, 10_001));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(Input::Tick, boot(2, 120, 10_120));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
}

#[test]
fn a_repeated_report_counts_once() {
    let mut engine = engine();
    let _ = engine.step(level(1, 90), t(1));
    let out = engine.step(level(1, 90), t(2));
    assert_eq!(out.rejected[0].reason, Reason::Duplicate);
    assert!(out.messages.is_empty() && out.records.is_empty());
}

#[test]
fn an_unknown_device_is_a_counted_rejection() {
    let out = engine().step(say("stranger", 1, Quantity::Occupied(true)), t(1));
    assert_eq!(out.rejected[0].reason, Reason::UnknownDevice);
    assert!(out.rejected[0].detail.contains("stranger"));
    assert!(out.messages.is_empty());
}

#[test]
fn people_move_tickets_and_are_refused_where_there_is_no_way() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let out = engine.step(command("1", &id, TicketStep::Ack), t(3));
    assert_eq!(reply(&out)["result"]["state"], "acknowledged");
    let out = engine.step(command("2", &id, TicketStep::Ack), t(4));
    let error = reply(&out)["error"]["msg"].as_str().unwrap();
    assert!(error.contains("cannot ack a ticket that is acknowledged"), "{error}");
    let out = engine.step(command("1", &id, TicketStep::Ack), t(5));
    assert_eq!(reply(&out)["result"]["state"], "acknowledged", "a repeat gets its old answer");
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(command("3", &id, TicketStep::Close), t(6));
    assert_eq!(ticket_events(&out.messages), ["ticket.closed"]);
    assert_eq!(engine.open_tickets(), 0);
}

#[test]
fn a_command_that_cannot_be_read_is_answered_and_counted() {
    let bad = Command::parse("fly", br#"{"id":"x1","by":"duty"}"#).unwrap_err();
    let out = engine().step(Input::BadCommand(bad), t(1));
    assert_eq!(reply(&out)["id"], "x1");
    assert_eq!(reply(&out)["error"]["code"], "invalid");
    assert!(out.rejected[0].detail.contains("fly"));
    let nobody = Command::parse("ping", b"{").unwrap_err();
    let out = engine().step(Input::BadCommand(nobody), t(1));
    assert!(out.messages.is_empty() && out.rejected.len() == 1);
}

#[test]
fn closed_while_nothing_was_done_comes_back_as_rework() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(command("1", &id, TicketStep::Close), t(3));
    let _ = engine.step(level(3, 93), t(4));
    let out = engine.step(level(4, 93), t(5));
    assert_eq!(ticket_events(&out.messages), ["ticket.reopened"]);
    assert_eq!(ticket_in(&out.messages), id);
}

#[test]
fn a_rejected_ticket_is_not_raised_against_that_word() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(command("1", &id, TicketStep::Reject), t(3));
    let _ = engine.step(level(3, 5), t(4));
    let _ = engine.step(level(4, 90), t(5));
    let out = engine.step(level(5, 90), t(6));
    assert!(ticket_events(&out.messages).is_empty());
}

#[test]
fn a_closed_ticket_leaves_after_a_week() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    let _ = engine.step(level(3, 5), t(3));
    let _ = engine.step(command("1", &id, TicketStep::Close), t(4));
    let out = engine.step(Input::Tick, t(4 + 7 * 24 * 60));
    let empty = out.messages.iter().find(|m| m.body == Body::Empty).unwrap();
    assert_eq!(empty.topic, Topic::TicketState(id.clone()));
    let removed = out.records.iter().any(|r| r.key == format!("ticket/{id}") && r.value.is_none());
    assert!(removed);
}

#[test]
fn records_of_what_is_no_longer_configured_are_removed() {
    let stored = ["asset/bay/gone", "watch/gone/bin/bin-1", "strange"];
    let records = stored.map(|key| Record { key: key.into(), value: Some(b"{}".to_vec()) });
    let mut engine = Engine::new(site(), records.into(), t(0));
    let out = engine.step(Input::Start, t(0));
    let removed: Vec<_> = out.records.iter().map(|r| r.key.as_str()).collect();
    assert_eq!(removed, stored);
    assert!(out.rejected.is_empty());
}

#[test]
fn a_damaged_record_is_told_and_does_not_stop_the_start() {
    let record = Record { key: "asset/bay/b-1".into(), value: Some(b"{]".to_vec()) };
    let mut engine = Engine::new(site(), vec![record], t(0));
    let out = engine.step(Input::Start, t(0));
    assert!(out.rejected[0].detail.contains("asset/bay/b-1"));
    assert!(out.messages.iter().any(|m| m.lane == Lane::State));
}

/// A street with two bays, one of which is occupied, with rules for what is wrong with a bay.
fn street() -> Engine {
    let mut site = site();
    let road = AssetKey::new(Class::Street, AssetId::new("road").unwrap());
    let line = Kind::Street { line: vec![], sweep: None };
    let spec = Asset { feeds: vec![], street: None, kind: line, ..asset("x", bay_kind(&site)).1 };
    for id in ["b-1", "b-2"] {
        let (key, mut bay) = asset(id, bay_kind(&site));
        bay.street = Some(road.id.clone());
        site.assets.insert(key, bay);
    }
    site.assets.insert(road, spec);
    let flag = |fact| Condition::Threshold {
        fact,
        side: Side::Above,
        raise_at: Level::Milli(1000),
        clear_at: Level::Milli(0),
        hold: Span::ZERO,
        readings: 1,
    };
    site.rules = vec![
        rule("over", Class::Bay, "overstay", Condition::Overstay { grace: Span::from_mins(5) }),
        rule("stuck", Class::Bay, "device_fault", flag(FactName::BayStuck)),
    ];
    let mut engine = Engine::new(site, vec![], t(0));
    let _ = engine.step(Input::Start, t(0));
    engine
}

fn bay_kind(site: &Site) -> Kind {
    let mut bays = site.assets.values().filter(|a| matches!(a.kind, Kind::Bay(_)));
    bays.next().unwrap().kind.clone()
}

fn signs(out: &Outputs) -> Vec<String> {
    let sign = |m: &Message| match &m.body {
        Body::Flat(body) => body.get("parking")?["sign"].as_str().map(str::to_owned),
        _ => None,
    };
    out.messages.iter().filter_map(sign).collect()
}

fn bay_command(id: &str, bay: &str, step: BayStep, permit: Option<&str>) -> Input {
    Input::Command(Command {
        id: id.to_owned(),
        by: Requester::new("duty-1").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Bay {
            bay: AssetId::new(bay).unwrap(),
            step,
            permit: permit.map(|p| PermitId::new(p).unwrap()),
        },
    })
}

#[test]
fn the_devices_of_an_asset_are_asked() {
    let mut engine = street();
    let command = |id: &str, asset: &str| {
        Input::Command(Command {
            id: id.to_owned(),
            by: Requester::new("duty-1").unwrap(),
            issued_at: None,
            expires_at: None,
            signed: false,
            action: Action::Device {
                asset: asset.parse().unwrap(),
                what: Wanted::Identify { seconds: 30 },
            },
        })
    };
    let out = engine.step(command("c1", "bay/b-1"), t(1));
    assert_eq!(out.requests.len(), 1);
    assert_eq!(out.requests[0].what, Wanted::Identify { seconds: 30 });
    assert_eq!(out.requests[0].feed.device, Some(DeviceKey::new("b-1").unwrap()));
    assert!(engine.step(command("c1", "bay/b-1"), t(2)).requests.is_empty(), "a repeat");
    assert!(engine.step(command("c2", "bay/nowhere"), t(3)).requests.is_empty());
}

#[test]
fn a_street_tells_drivers_how_many_bays_are_free() {
    let mut engine = street();
    assert_eq!(signs(&engine.step(say("b-1", 1, Quantity::Occupied(false)), t(1))), ["1"]);
    assert_eq!(signs(&engine.step(say("b-2", 1, Quantity::Occupied(true)), t(2))), ["1"]);
    let _ = engine.step(say("b-1", 2, Quantity::Occupied(true)), t(10));
    assert_eq!(signs(&engine.step(Input::Tick, t(11))), ["FULL"]);
    let out = engine.step(bay_command("c1", "b-2", BayStep::OutOfService, None), t(12));
    assert_eq!(reply(&out)["result"]["status"], "out_of_service");
    let out = engine.step(bay_command("c2", "b-1", BayStep::OutOfService, None), t(13));
    assert_eq!(signs(&out), ["×"]);
    let out = engine.step(bay_command("c3", "b-9", BayStep::InService, None), t(14));
    assert_eq!(reply(&out)["error"]["msg"], "no bay b-9");
}

#[test]
fn a_sensor_that_is_stuck_is_one_fault_and_no_bill() {
    let mut engine = street();
    let _ = engine.step(say("b-1", 1, Quantity::Occupied(false)), t(0));
    let (mut events, mut sessions) = (vec![], vec![]);
    for hour in 1..=10 * 24 {
        let counter = u32::try_from(hour).unwrap() + 1;
        let out = engine.step(say("b-1", counter, Quantity::Occupied(true)), t(hour * 60));
        for message in &out.messages {
            match &message.body {
                Body::Event { kind: "ticket.raised", data } => {
                    events.push(data["category"].as_str().unwrap().to_owned());
                }
                Body::Event { kind: "parking.session", data } => sessions.push(data.clone()),
                _ => {}
            }
        }
    }
    assert_eq!(events, ["overstay", "device_fault"]);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["quality"], "lost_end");
}

/// A car came at minute 10, and the box was down from minute 20 to minute 90.
fn restarted_under_a_car() -> Engine {
    back_under_a_car(boot(2, 1, 90))
}

/// The same, with the box back at `back`.
fn back_under_a_car(back: Now) -> Engine {
    let mut engine = engine();
    let mut records = BTreeMap::new();
    let told = [
        (0, say("b-1", 1, Quantity::Occupied(false))),
        (10, say("b-1", 2, Quantity::Occupied(true))),
        (20, Input::Tick),
    ];
    for (minute, input) in told {
        let out = engine.step(input, t(minute));
        records.extend(out.records.into_iter().map(|r| (r.key.clone(), r)));
    }
    let mut engine = Engine::new(site(), records.into_values().collect(), back);
    let out = engine.step(Input::Start, back);
    assert!(ticket_events(&out.messages).is_empty(), "nobody was asked yet");
    engine
}

#[test]
fn a_limit_that_passes_while_the_box_still_waits_to_be_told_is_not_judged_yet() {
    // The limit of the stay passes in minute 75, a minute after the box is back; the car left in minute 70.
    let mut engine = back_under_a_car(boot(2, 1, 74));
    let out = engine.step(Input::Tick, boot(2, 3, 76));
    assert!(ticket_events(&out.messages).is_empty(), "its sensor has not been asked yet");
    let Input::Sample(left) = say("b-1", 3, Quantity::Occupied(false)) else { unreachable!() };
    let left = Input::Sample(Sample { at: Some(boot(1, 70, 70).utc), ..left });
    let out = engine.step(left, boot(2, 4, 77));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(Input::Tick, boot(2, 60, 133));
    assert!(ticket_events(&out.messages).is_empty());
    // And one that has said nothing in ten minutes is judged, at its own time.
    let mut engine = back_under_a_car(boot(2, 1, 74));
    let out = engine.step(Input::Tick, boot(2, 12, 85));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
}

#[test]
fn a_car_that_left_while_the_box_was_down_has_not_overstayed() {
    let mut engine = restarted_under_a_car();
    // Its sensor tells so when it tries again; it left at minute 30.
    let Input::Sample(left) = say("b-1", 3, Quantity::Occupied(false)) else { unreachable!() };
    let left = Input::Sample(Sample { at: Some(boot(1, 30, 30).utc), ..left });
    let out = engine.step(left, boot(2, 3, 92));
    assert!(ticket_events(&out.messages).is_empty());
    let out = engine.step(Input::Tick, boot(2, 60, 149));
    assert!(ticket_events(&out.messages).is_empty());
}

#[test]
fn a_car_that_still_stands_there_when_the_box_is_back_has_overstayed() {
    // Whether its sensor says so, or says nothing.
    let mut engine = restarted_under_a_car();
    let out = engine.step(say("b-1", 3, Quantity::Occupied(true)), boot(2, 3, 92));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let mut engine = restarted_under_a_car();
    let out = engine.step(Input::Tick, boot(2, 60, 149));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
}

#[test]
fn a_car_that_overstayed_while_the_box_was_down_and_leaves_soon_after_has_overstayed() {
    let mut engine = restarted_under_a_car();
    // What its sensor kept comes first: it stood there in minute 69, before its limit. It leaves in minute 91.
    let Input::Sample(kept) = say("b-1", 3, Quantity::Occupied(true)) else { unreachable!() };
    let kept = Input::Sample(Sample { at: Some(boot(1, 69, 69).utc), ..kept });
    let mut events = ticket_events(&engine.step(kept, boot(2, 3, 92)).messages);
    let Input::Sample(left) = say("b-1", 4, Quantity::Occupied(false)) else { unreachable!() };
    let left = Input::Sample(Sample { at: Some(boot(2, 2, 91).utc), ..left });
    for (input, now) in [(left, boot(2, 3, 92)), (Input::Tick, boot(2, 10, 99))] {
        events.extend(ticket_events(&engine.step(input, now).messages));
    }
    assert_eq!(events, ["ticket.raised", "ticket.cleared"]);
}

#[test]
fn a_stay_that_a_start_without_the_time_hid_is_judged_once_the_time_is_known() {
    // Its limit is in minute 75. The box is back in minute 90 and does not know that until minute 110.
    let mut engine = back_under_a_car(Moment { clock: ClockQuality::Unset, ..boot(2, 1, 90) });
    let out = engine.step(Input::Tick, Moment { clock: ClockQuality::Unset, ..boot(2, 15, 104) });
    assert!(ticket_events(&out.messages).is_empty(), "who knows since when it stands there");
    let out = engine.step(Input::Tick, boot(2, 21, 110));
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
}

#[test]
fn people_ask_sensors_to_learn_and_drivers_show_permits() {
    let mut engine = street();
    let out = engine.step(bay_command("c1", "b-1", BayStep::Recalibrate, None), t(1));
    assert_eq!(out.requests.len(), 1);
    assert_eq!(out.requests[0].feed.device, Some(DeviceKey::new("b-1").unwrap()));
    let out = engine.step(bay_command("c2", "b-1", BayStep::CheckIn, Some("p-1")), t(2));
    assert_eq!(reply(&out)["error"]["msg"], "permit p-1 is not valid on bay b-1");
}

#[test]
fn an_hour_and_a_day_are_summed_up_over_a_restart() {
    let mut engine = street();
    let mut stored = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    let mut take = |out: Outputs, stored: &mut BTreeMap<String, Vec<u8>>| {
        store(stored, &out);
        for message in out.messages {
            if let Body::Event { kind, .. } = message.body {
                *kinds.entry(kind).or_insert(0) += 1;
            }
        }
    };
    for hour in 0..48 {
        let counter = u32::try_from(hour).unwrap() + 1;
        let occupied = Quantity::Occupied(hour % 2 == 1);
        take(engine.step(say("b-1", counter, occupied), t(hour * 60)), &mut stored);
        if hour == 30 {
            let records =
                stored.iter().map(|(k, v)| Record { key: k.clone(), value: Some(v.clone()) });
            engine =
                Engine::new(engine.site().clone(), records.collect(), boot(2, 0, hour * 60 + 5));
            take(engine.step(Input::Start, boot(2, 0, hour * 60 + 5)), &mut stored);
        }
        if hour > 30 {
            take(engine.step(Input::Tick, boot(2, (hour - 30) * 60, hour * 60 + 5)), &mut stored);
        }
    }
    assert!(kinds["parking.hour"] >= 46, "{kinds:?}");
    let days = stored.keys().filter(|k| k.starts_with("figures/2026-") && k.len() == 18).count();
    assert!(days >= 1 && kinds["parking.day"] >= 2, "{days} {kinds:?}");
}

/// The stored records as they would be after these outputs.
fn store(records: &mut BTreeMap<String, Vec<u8>>, out: &Outputs) {
    for record in &out.records {
        match &record.value {
            Some(value) => records.insert(record.key.clone(), value.clone()),
            None => records.remove(&record.key),
        };
    }
}

#[derive(Debug, Clone)]
enum Happening {
    Level(u32),
    Car(bool),
    Restart,
    Pass(u64),
    Step(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0u32..=100).prop_map(Happening::Level),
        3 => any::<bool>().prop_map(Happening::Car),
        1 => Just(Happening::Restart),
        2 => (1u64..200).prop_map(Happening::Pass),
        1 => (0usize..TicketStep::ALL.len()).prop_map(Happening::Step),
    ]
}

/// Runs a history; gives every message, and after each step how many open tickets each identity has.
fn run(history: &[Happening]) -> (Vec<Message>, Vec<BTreeMap<String, usize>>) {
    let mut engine = engine();
    let (mut minute, mut boots, mut booted_at) = (0, 1, 0);
    let (mut messages, mut open, mut records) = (vec![], vec![], BTreeMap::new());
    for (i, one) in history.iter().enumerate() {
        minute += 1;
        let counter = u32::try_from(i).unwrap();
        let tickets: Vec<TicketId> = engine.desk.all().map(|t| t.ticket_id.clone()).collect();
        let input = match one {
            Happening::Level(percent) => level(counter, *percent),
            Happening::Car(there) => say("b-1", counter, Quantity::Occupied(*there)),
            Happening::Pass(minutes) => {
                minute += minutes;
                Input::Tick
            }
            Happening::Restart => {
                (boots, booted_at) = (boots + 1, minute);
                let stored = records.iter().map(|(key, value): (&String, &Vec<u8>)| Record {
                    key: key.clone(),
                    value: Some(value.clone()),
                });
                engine = Engine::new(site(), stored.collect(), boot(boots, 0, minute));
                Input::Start
            }
            Happening::Step(which) => match tickets.last() {
                Some(id) => command(&format!("c{i}"), id, TicketStep::ALL[*which]),
                None => Input::Tick,
            },
        };
        let out = engine.step(input, boot(boots, minute - booted_at, minute));
        store(&mut records, &out);
        let mut count = BTreeMap::new();
        for ticket in engine.desk.all().filter(|t| t.state.is_open()) {
            *count.entry(ticket.key.clone()).or_default() += 1;
        }
        open.push(count);
        messages.extend(out.messages);
    }
    (messages, open)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn at_most_one_open_ticket_per_problem_and_the_same_again_every_time(
        history in prop::collection::vec(happening(), 1..120),
    ) {
        let (messages, open) = run(&history);
        for (i, count) in open.iter().enumerate() {
            prop_assert!(count.values().all(|&n| n == 1), "after {:?}: {count:?}", history[i]);
        }
        let mut revisions = BTreeMap::new();
        for message in &messages {
            if let (Topic::TicketEvent(id), Body::Event { data, .. }) = (&message.topic, &message.body) {
                let rev = data["rev"].as_u64().unwrap();
                let before = revisions.insert(id.clone(), rev).unwrap_or(0);
                prop_assert_eq!(rev, before + 1, "every transition is told once, in order");
            }
        }
        prop_assert_eq!(run(&history).0, messages);
    }
}

mod forms;
mod golden;
mod handling;
mod orders;
mod presence;
mod public;
mod reports;
mod sightings;
mod signed;
mod streets;

#[test]
fn trouble_of_the_box_is_one_ticket_that_a_person_ends() {
    use crate::input::{Fault, Trouble};
    let trouble = |text: &str| Input::Trouble(Trouble { fault: Fault::Store, text: text.into() });
    let mut engine = engine();
    let out = engine.step(trouble("moved to core.bad-1"), t(1));
    assert!(format!("{:?}", out.messages).contains("moved to core.bad-1"));
    assert_eq!(engine.open_tickets(), 1);
    let again = engine.step(trouble("moved to core.bad-2"), t(2));
    assert!(!again.records.is_empty(), "the new evidence is kept");
    assert_eq!(engine.open_tickets(), 1, "one ticket, however often");
    // It outlives a restart, though no rule of the site stands behind it.
    let mut engine = Engine::new(engine.site().clone(), again.records, t(3));
    let ticket = engine.desk.all().next().unwrap().ticket_id.clone();
    assert_eq!(engine.open_tickets(), 1);
    let out = engine.step(command("c-9", &ticket, TicketStep::Close), t(4));
    assert_eq!(engine.open_tickets(), 0, "{out:?}");
}

#[test]
fn the_figures_of_the_day_are_kept_on_the_broker_as_hours_close() {
    let mut engine = engine();
    let _ = engine.step(say("b-1", 1, Quantity::Occupied(true)), t(0));
    let _ = engine.step(level(1, 30), t(0));
    let shown = |out: &Outputs, class| {
        let all = out.messages.iter().rev();
        let mut of_class = all.filter_map(|m| match (&m.topic, &m.body) {
            (Topic::AssetFigures(key), Body::Flat(body)) if key.class == class => {
                Some(body.clone())
            }
            _ => None,
        });
        of_class.next()
    };
    // It is 20:26:40 when the box begins.
    let out = engine.step(Input::Tick, t(30));
    assert_eq!(shown(&out, Class::Bay), None, "no hour is closed yet");
    let out = engine.step(Input::Tick, t(100));
    assert_eq!(shown(&out, Class::Bay), None, "nothing happened there");
    let all = engine.step(Input::Refresh, t(101));
    let bay = shown(&all, Class::Bay).unwrap();
    assert_eq!(bay["parking"]["today"]["occupied_s"], 2000 + 3600);
    let bin = shown(&all, Class::Bin).unwrap();
    assert_eq!(bin["waste"]["today"]["collections"], 0);
    let _ = engine.step(say("b-1", 2, Quantity::Occupied(false)), t(110));
    let out = engine.step(Input::Tick, t(160));
    let bay = shown(&out, Class::Bay).unwrap();
    assert_eq!(bay["parking"]["today"]["metrics"]["total_sessions"], 1.0);
    assert_eq!(shown(&out, Class::Bin), None);
    let out = engine.step(Input::Tick, t(220));
    assert!(shown(&out, Class::Bay).is_some() && shown(&out, Class::Bin).is_some(), "midnight");
    let unset = Now { clock: ClockQuality::Unset, ..t(102) };
    let blind = engine.step(Input::Refresh, unset);
    assert_eq!(shown(&blind, Class::Bay).unwrap()["parking"]["today"], Value::Null);
}

#[test]
fn a_refresh_publishes_what_a_start_publishes() {
    let mut engine = Engine::new(site(), vec![], t(0));
    let started = engine.step(Input::Start, t(0)).messages;
    let again = engine.step(Input::Refresh, t(0)).messages;
    assert!(again.len() > 1 && again.iter().all(|m| m.topic.retained()));
    assert_eq!(again, started);
}
