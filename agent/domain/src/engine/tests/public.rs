//! What the public reports: part of the same tickets, and known by a number that outlives them.

use super::orders::{city, full, send};
use super::*;
use crate::open311::{Known, Query, RequestNumber, Submission};
use crate::site::CategorySpec;

fn open_city() -> Site {
    let mut site = city();
    let spec = CategorySpec { class: Some(Class::Bin), radius_m: 15, ..CategorySpec::default() };
    site.tickets.categories.insert(Category::new("bin_overflow").unwrap(), spec);
    site
}

fn submission(number: u128) -> Input {
    let said = Submission {
        number: RequestNumber::from_random(number),
        category: Category::new("bin_overflow").unwrap(),
        asset: None,
        place: Some(Position::from_degrees(31.810_05, 119.97, Datum::Wgs84).unwrap()),
        address: Some("薛家路 3 号".into()),
        text: Some("满了".into()),
        media: Some("sha256:ab".into()),
    };
    Input::Submission(Box::new(said))
}

fn ask(engine: &mut Engine, query: Query, now: Now) -> Vec<Known> {
    let out = engine.step(Input::Requests(query), now);
    assert!(out.records.is_empty(), "a question leaves nothing behind");
    let [message] = &out.messages[..] else { panic!("{:?}", out.messages) };
    let Body::Flat(body) = &message.body else { panic!("{message:?}") };
    serde_json::from_value(body["result"]["requests"].clone()).unwrap()
}

#[test]
fn two_citizens_and_a_sensor_are_one_ticket_and_two_requests() {
    let mut engine = Engine::new(open_city(), vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    for number in [1, 2] {
        let out = engine.step(submission(number), t(5));
        assert_eq!(ticket_events(&out.messages), ["ticket.witnessed"]);
    }
    assert_eq!(engine.open_tickets(), 1);
    let witness = engine.desk.get(&id).unwrap().sources.last().unwrap().clone();
    assert_eq!(witness.by, RequestNumber::from_random(2).to_string());
    assert_eq!(witness.text.as_deref(), Some("满了 · 薛家路 3 号"));
    assert_eq!(witness.media.as_deref(), Some("sha256:ab"));
    let all = ask(&mut engine, Query::default(), t(6));
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|known| known.ticket == id));
    let none = Query { closed: Some(true), ..Query::default() };
    assert!(ask(&mut engine, none, t(6)).is_empty());
}

#[test]
fn a_request_is_known_after_its_ticket_has_gone_and_after_a_restart() {
    let mut engine = Engine::new(open_city(), vec![], t(0));
    let mut stored = BTreeMap::new();
    let mut step = |engine: &mut Engine, input, now| {
        let out = engine.step(input, now);
        store(&mut stored, &out);
        out
    };
    let out = step(&mut engine, submission(7), t(1));
    let id = ticket_in(&out.messages);
    for (n, what) in [TicketStep::Ack, TicketStep::Close].into_iter().enumerate() {
        let _ = step(&mut engine, send(&format!("c{n}"), full("x", &id, what)), t(10 + n as u64));
    }
    let week = 8 * 24 * 60;
    let _ = step(&mut engine, Input::Tick, t(week));
    assert!(engine.desk.get(&id).is_none(), "the ticket has gone");
    let number = RequestNumber::from_random(7);
    let by_number = || Query { numbers: vec![number], ..Query::default() };
    let before = ask(&mut engine, by_number(), t(week));
    let standing = before[0].standing.clone().unwrap();
    assert!(standing.is_closed() && standing.updated_at == t(11).utc);
    let records: Vec<Record> =
        stored.into_iter().map(|(key, value)| Record { key, value: Some(value) }).collect();
    let mut again = Engine::new(open_city(), records, boot(2, 0, week + 1));
    let out = again.step(Input::Start, boot(2, 0, week + 1));
    assert!(out.records.iter().all(|r| !r.key.starts_with("public/")), "it is no orphan");
    assert_eq!(ask(&mut again, by_number(), boot(2, 1, week + 2)), before);
    // Ninety days later another report makes it go.
    let out = again.step(submission(8), boot(2, 2, week + 91 * 24 * 60));
    let gone = |r: &&Record| r.key == format!("public/{number}") && r.value.is_none();
    assert_eq!(out.records.iter().filter(gone).count(), 1);
}
