//! The figures of assessment beside the tickets they are made of, as brokers keep both: what a page
//! computes of the same tickets has to be the same.

use super::orders::{full, send};
use super::reports::{reporting_site, say_so};
use super::*;
use crate::assessment;
use crate::ids::CrewId;
use crate::site::CategorySpec;
use crate::tickets::WitnessKind::{Camera, Citizen};

/// Tickets and rows; the dashboard's tests read it too.
const GOLDEN: &str = include_str!("assessment.json");

#[test]
fn the_figures_of_published_tickets_are_the_golden_ones() {
    use TicketStep::{Ack, Assign, Close, Confirm, Extend, Reject, Reopen, Resolve, Verify};
    let mut site = reporting_site();
    let own = CategorySpec { internal: true, ..CategorySpec::default() };
    site.tickets.categories.insert(Category::new("overstay").unwrap(), own);
    let mut engine = Engine::new(site, vec![], t(0));
    let mut stored = BTreeMap::new();
    let mut shown: BTreeMap<String, Value> = BTreeMap::new();
    let mut step = |input, minute| {
        let out = engine.step(input, t(minute));
        store(&mut stored, &out);
        for message in &out.messages {
            if let (Topic::TicketState(id), Body::Flat(body)) = (&message.topic, &message.body) {
                shown.insert(id.to_string(), Value::Object(body.clone()));
            }
        }
        out
    };
    let _ = step(say("b-1", 1, Quantity::Occupied(true)), 0);
    let _ = step(level(1, 90), 1);
    let bin = ticket_in(&step(level(2, 91), 2).messages);
    let no_litter = ticket_in(&step(say_so("a", Camera, "exposed_litter", 500.0), 5).messages);
    let _ = step(send("1", full("x", &no_litter, Reject)), 8);
    let waiting = ticket_in(&step(say_so("b", Citizen, "exposed_litter", 900.0), 10).messages);
    let _ = step(send("2", full("x", &bin, Ack)), 12);
    let _ = step(send("3", full("x", &waiting, Confirm)), 15);
    let _ = step(send("4", full("x", &bin, Assign)), 20);
    let _ = step(send("5", full("x", &bin, Extend)), 21);
    let _ = step(send("6", full("x", &waiting, Ack)), 25);
    let late = ticket_in(&step(say_so("c", Camera, "exposed_litter", 1500.0), 30).messages);
    let _ = step(send("7", full("x", &late, Confirm)), 40);
    let _ = step(send("8", full("x", &bin, Resolve)), 62);
    let overstay = ticket_in(&step(Input::Tick, 66).messages);
    let _ = step(send("9", full("x", &bin, Reopen)), 70);
    let _ = step(send("10", full("x", &overstay, Resolve)), 80);
    for (i, (what, minute)) in [(Resolve, 90), (Verify, 95), (Close, 100)].into_iter().enumerate() {
        let _ = step(send(&format!("11-{i}"), full("x", &bin, what)), minute);
    }
    let crew = TicketOrder { crew: CrewId::new("all").ok(), ..full("x", &late, Assign) };
    let _ = step(send("12", crew), 110);
    let _ = step(send("13", full("x", &late, Resolve)), 300);
    let _ = step(Input::Tick, 310);

    let records: Vec<Record> =
        stored.into_iter().map(|(key, value)| Record { key, value: Some(value) }).collect();
    let day = engine.site().calendar.date(t(0).utc);
    let tickets = assessment::tickets(records.iter(), &engine.site().calendar, day, day);
    let tomorrow = day.tomorrow().unwrap();
    let all = assessment::tickets(records.iter(), &engine.site().calendar, day, tomorrow);
    assert_eq!((tickets.len(), all.len(), shown.len()), (5, 5, 5));
    let rows = assessment::rows(&tickets, engine.site());
    let tickets: Vec<Value> = shown.into_values().collect();
    let found = serde_json::json!({"tickets": tickets, "rows": rows});
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    // When the payload of tickets changes on purpose, this is the file as it has to be.
    assert!(found == golden, "{}", serde_json::to_string_pretty(&found).unwrap());
}
