//! What platforms get to see of a ticket.

use serde_json::json;

use super::orders::{city, full, send};
use super::*;
use crate::outward;
use crate::profile::Profile;
use crate::site::{CategoryCode, CategorySpec};

fn code(scheme: &str, code: &str) -> CategoryCode {
    CategoryCode { scheme: scheme.into(), kind: "matter".into(), code: code.into(), local: false }
}

fn handled() -> (Engine, TicketId) {
    let mut site = city();
    site.calendar = crate::calendar::Calendar::new(jiff::tz::TimeZone::posix("CST-8").unwrap());
    let codes = vec![code("GB/T47678.5", "06042"), code("GB/T30428.2", "01-98")];
    let spec = CategorySpec { codes, ..CategorySpec::default() };
    site.tickets.categories.insert(Category::new("bin_overflow").unwrap(), spec);
    site.tickets.crews.values_mut().for_each(|crew| crew.unit = Some("环卫所".into()));
    let mut engine = Engine::new(site, vec![], t(0));
    let id = ticket_in(&fill_up(&mut engine).messages);
    for (n, step) in
        [TicketStep::Ack, TicketStep::Assign, TicketStep::Resolve].into_iter().enumerate()
    {
        let _ = engine.step(send(&format!("c{n}"), full("x", &id, step)), t(10 * (n as u64 + 1)));
    }
    (engine, id)
}

#[test]
fn an_open311_request() {
    let (engine, id) = handled();
    let ticket = engine.desk.get(&id).unwrap();
    let expected = json!({
        "service_request_id": id, "status": "open", "status_notes": "handled",
        "service_code": "06042", "service_name": "bin_overflow",
        "description": "level_pct 91 %, at or above 85 %",
        "requested_datetime": t(2).utc, "updated_datetime": t(30).utc,
        "expected_datetime": t(242).utc, "agency_responsible": "环卫所",
        "lat": 31.81, "long": 119.97,
    });
    assert_eq!(outward::open311(engine.site(), ticket), expected);
}

#[test]
fn an_ngsi_ld_alert() {
    let (engine, id) = handled();
    let ticket = engine.desk.get(&id).unwrap();
    let alert = outward::ngsi_ld(engine.site(), ticket);
    let expected = json!({
        "id": format!("urn:ngsi-ld:Alert:{id}"), "type": "Alert",
        "@context": [
            "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld",
            "https://raw.githubusercontent.com/smart-data-models/dataModel.Alert/master/context.jsonld",
        ],
        "alertSource": "urn:ngsi-ld:WasteContainer:xj-1:bin-1", "category": "environment",
        "severity": "medium", "dateIssued": t(2).utc, "validFrom": t(2).utc,
        "description": "level_pct 91 %, at or above 85 %",
        "location": {"type": "Point", "coordinates": [119.97, 31.81]},
        "data": {
            "key": format!("{id}:4"), "category": "bin_overflow", "code": "06042", "state": "handled",
            "due": t(242).utc, "reopened": 0, "confidence": 90,
        },
    });
    assert_eq!(alert, expected);
}

#[test]
fn a_case_record_in_local_time_and_with_the_code_of_the_matter() {
    let (engine, id) = handled();
    let ticket = engine.desk.get(&id).unwrap();
    let record = outward::case_record(engine.site(), ticket, Some("320411"));
    // 1 780 000 000 s is 2026-05-28 20:26:40 in UTC.
    for (field, expected) in [
        ("SXDM", json!("32041106042")),
        ("small_id", json!("06042")),
        ("lon", json!("119.970000")),
        ("report_time", json!("2026-05-29 04:28:40")),
        ("dispatch_time", json!("2026-05-29 04:46:40")),
        ("handle_finish_time", json!("2026-05-29 04:56:40")),
        ("deadline_time", json!("2026-05-29 08:28:40")),
        ("check_time", json!(null)),
        ("handle_dept", json!("环卫所")),
        ("time_limit_type", json!("urgent_hour")),
        ("is_urgent", json!(true)),
        ("outer_key", json!(format!("{id}:4"))),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
}

#[test]
fn the_key_of_a_transition_never_comes_twice_for_different_things() {
    let (mut engine, id) = handled();
    let mut seen = BTreeMap::new();
    for (n, step) in
        [TicketStep::Verify, TicketStep::Ack, TicketStep::Close].into_iter().enumerate()
    {
        let _ = engine.step(send(&format!("d{n}"), full("x", &id, step)), t(40 + n as u64));
        let ticket = engine.desk.get(&id).unwrap();
        let form = outward::open311(engine.site(), ticket);
        assert_eq!(seen.insert(outward::key(ticket), form), None, "{step:?}");
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(seen.last_key_value().unwrap().1["status"], "closed");
}

#[test]
fn each_profile_tells_a_transition_in_its_words_and_under_its_key() {
    let (engine, id) = handled();
    let ticket = engine.ticket(&id).unwrap();
    let state = News::state(engine.site(), ticket);
    let then = |wanted: &TicketId, rev: u64| {
        (*wanted == id && rev == u64::from(ticket.rev)).then(|| ticket.clone())
    };
    let told = |profile: &Profile, message: &Message| {
        let forms = profile.forms(engine.site(), message, then);
        forms.into_iter().map(|form| (form.topic, form.lane, form.body)).collect::<Vec<_>>()
    };
    let record = Profile::CaseRecord { district: Some("320411".into()) };
    let expected = [
        (Profile::Native, state.topic.clone(), state.body.clone()),
        (
            Profile::NgsiLd,
            Topic::Form { path: format!("ngsi-ld/Alert/urn:ngsi-ld:Alert:{id}"), retained: true },
            Body::Form(outward::ngsi_ld(engine.site(), ticket)),
        ),
        (
            Profile::Open311,
            Topic::Form { path: format!("open311/requests/{id}/4"), retained: false },
            Body::Form(outward::open311(engine.site(), ticket)),
        ),
        (
            record,
            Topic::Form { path: format!("case/{id}/4"), retained: false },
            Body::Form(outward::case_record(engine.site(), ticket, Some("320411"))),
        ),
    ];
    for (profile, topic, body) in expected {
        assert_eq!(told(&profile, &state), [(topic, Lane::Ticket, body)], "{profile:?}");
    }
    assert!(told(&Profile::Cds, &state).is_empty(), "a ticket is nothing at the curb");
    // A ticket that nobody knows any more as it was then has no form, and none is made up.
    let unknown = Profile::Open311.forms(engine.site(), &state, |_, _| None);
    assert!(unknown.is_empty());
    // What is taken off the broker is taken off under its own name too.
    let gone = Message { body: Body::Empty, ..state };
    let alert =
        Topic::Form { path: format!("ngsi-ld/Alert/urn:ngsi-ld:Alert:{id}"), retained: true };
    assert_eq!(told(&Profile::NgsiLd, &gone), [(alert, Lane::Ticket, Body::Empty)]);
    assert!(told(&Profile::Open311, &gone).is_empty());
}
