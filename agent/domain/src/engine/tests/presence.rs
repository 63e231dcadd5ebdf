//! A crew on the spot, by its card and by its vehicle.

use super::orders::{city, full, send};
use super::*;
use crate::ids::CrewId;
use crate::sample::Fix;
use crate::site::{Duty, Vehicle, VehicleKind};
use crate::units::MillimetresPerSecond;
use crate::waste::{Lift, Tag};

fn tag(text: &str) -> Tag {
    Tag::from_hex(text).unwrap()
}

/// A city whose crew for bins has a card and a truck.
fn crewed() -> Site {
    let mut site = city();
    let truck = Vehicle {
        kind: VehicleKind::Collector,
        work_speed_max: MillimetresPerSecond::from_kmh(15),
        parked_after: Span::from_mins(10),
        stale_after: Span::from_mins(60),
        duty: Duty::NONE,
    };
    let (key, mut truck) = asset("truck-1", Kind::Vehicle(truck));
    truck.position = None;
    site.assets.insert(key, truck);
    let crew = site.tickets.crews.get_mut(&CrewId::new("bins").unwrap()).unwrap();
    crew.cards = vec![tag("0a2b3c4d5e")];
    crew.vehicles = vec![AssetId::new("truck-1").unwrap()];
    site
}

fn card(counter: u32, digits: &str) -> Input {
    let lift = Lift { tag: tag(digits), gross: None, tare: None };
    say("bin-1", counter, Quantity::Lift(lift))
}

fn fix(counter: u32, metres_north: f64, speed: u32) -> Input {
    let lat = 31.81 + metres_north / 111_195.0;
    let fix = Fix {
        position: Position::from_degrees(lat, 119.97, Datum::Wgs84).unwrap(),
        speed: Some(MillimetresPerSecond(speed)),
        course: None,
        accuracy: None,
        satellites: None,
    };
    say("truck-1", counter, Quantity::Fix(fix))
}

fn dispatched() -> (Engine, TicketId) {
    let mut engine = Engine::new(crewed(), vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    let out = engine.step(send("1", full("x", &id, TicketStep::Assign)), t(10));
    assert_eq!(ticket_events(&out.messages), ["ticket.dispatched"]);
    (engine, id)
}

#[test]
fn a_card_at_the_reader_of_the_bin_says_that_the_crew_is_there() {
    let (mut engine, id) = dispatched();
    let strange = engine.step(card(20, "ffff"), t(20));
    assert!(ticket_events(&strange.messages).is_empty());
    let out = engine.step(card(21, "0a2b3c4d5e"), t(21));
    assert_eq!(ticket_events(&out.messages), ["ticket.on_site"]);
    assert!(out.rejected.is_empty(), "a card is no tag of a bin: {:?}", out.rejected);
    let flow = engine.desk.get(&id).unwrap().flow.entries();
    let entry = flow.last().unwrap();
    assert_eq!((entry.by.as_str(), entry.state.as_str()), ("card of bins", "dispatched"));
    let again = engine.step(card(22, "0a2b3c4d5e"), t(22));
    assert!(ticket_events(&again.messages).is_empty(), "once for each time it is given");
    let _ = engine.step(send("2", full("x", &id, TicketStep::Resolve)), t(30));
    let done = engine.step(card(23, "0a2b3c4d5e"), t(31));
    assert!(ticket_events(&done.messages).is_empty(), "nothing to do there any more");
}

#[test]
fn a_vehicle_that_stops_at_the_place_says_so_and_one_at_a_red_light_does_not() {
    let (mut engine, _) = dispatched();
    let at = |minute: u64, second: u64| {
        t(minute).at_instant(t(minute).monotonic + Span::from_secs(second))
    };
    let mut events = vec![];
    let mut step = |input, now| {
        let out = engine.step(input, now);
        let found = ticket_events(&out.messages);
        events.extend(found.iter().map(|kind| (kind.to_string(), now.monotonic.as_ms() / 1000)));
    };
    // It stands for a minute thirty metres away, drives on, and comes back for three.
    for second in 0..60 {
        step(fix(100 + second, 30.0, 0), at(20, u64::from(second)));
    }
    step(fix(200, 300.0, 9000), at(22, 0));
    step(fix(201, 600.0, 9000), at(22, 40));
    for second in 0..200 {
        step(fix(300 + second, 10.0, 0), at(30, u64::from(second)));
    }
    assert_eq!(events, [("ticket.on_site".to_owned(), 30 * 60 + 120)]);
}

#[test]
fn a_vehicle_that_stops_elsewhere_is_not_there() {
    let (mut engine, _) = dispatched();
    for minute in 20..30 {
        let out = engine.step(fix(minute, 300.0, 0), t(u64::from(minute)));
        assert!(ticket_events(&out.messages).is_empty());
    }
}
