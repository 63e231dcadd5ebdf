//! Tickets in the words of others: Open311, NGSI-LD, and the case record of Chinese city platforms.
//!
//! Pure functions from a ticket to what a platform takes. They know no transport and remember nothing:
//! the same ticket always gives the same form. A platform tells a repeat by [`key`], so that a retry
//! never opens a second case there. Our own form is what the box publishes.
//!
//! | of ours | case record | Open311 | NGSI-LD Alert |
//! |---|---|---|---|
//! | ticket | `case_code` is the platform's, `ticket_id` goes with it | `service_request_id` | `id` |
//! | category, codes | `small_id`, `SXDM` | `service_code`, `service_name` | `category`, `subCategory`, `data.code` |
//! | place | `lon`, `lat` with six digits | `lat`, `long` | `location` as [lon, lat] |
//! | opened | `report_time` | `requested_datetime` | `dateIssued` |
//! | due | `deadline_time` | `expected_datetime` | `data.due` |
//! | state | `case_status` | `status`, `status_notes` | `validTo`, `data.state` |

use serde_json::{Map, Value, json};

use crate::calendar::Calendar;
use crate::ids::Category;
use crate::place::{Datum, Position};
use crate::rules::Severity;
use crate::site::{CategoryCode, CategorySpec, Site};
use crate::tickets::{LimitKind, State, Ticket};
use crate::time::Utc;

/// Where the two vocabularies of an NGSI-LD entity are.
const CONTEXT: [&str; 2] = [
    "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld",
    "https://raw.githubusercontent.com/smart-data-models/dataModel.Alert/master/context.jsonld",
];

/// What makes an outward message the same one again: the ticket and the number of its transition.
#[must_use]
pub fn key(ticket: &Ticket) -> String {
    format!("{}:{}", ticket.ticket_id, ticket.rev)
}

/// A service request as GeoReport v2 shows it. Of its two states, what needs no more work is closed;
/// the finer one stands in `status_notes`.
#[must_use]
pub fn open311(site: &Site, ticket: &Ticket) -> Value {
    let closed = !ticket.state.is_open() || ticket.state == State::Verified;
    let code = standard_code(site, ticket).map_or(ticket.category.as_str(), |c| c.code.as_str());
    let mut form = Map::new();
    let mut put = |name: &str, value: Value| form.insert(name.to_owned(), value);
    put("service_request_id", json!(ticket.ticket_id));
    put("status", json!(if closed { "closed" } else { "open" }));
    put("status_notes", json!(notes(ticket)));
    put("service_code", json!(code));
    put("service_name", json!(ticket.category));
    put("description", json!(description(ticket)));
    put("requested_datetime", json!(ticket.opened_at));
    put("updated_datetime", json!(ticket.updated_at));
    if let Some(due) = due(ticket) {
        put("expected_datetime", json!(due));
    }
    if let Some(crew) = ticket.crew.as_ref().and_then(|crew| site.tickets.crews.get(crew)) {
        put("agency_responsible", json!(crew.unit));
    }
    if let Some(place) = ticket.place {
        let place = place.to_wgs84();
        put("lat", json!(place.lat()));
        put("long", json!(place.lon()));
    }
    if let Some(media) = ticket.sources.iter().find_map(|witness| witness.media.as_ref()) {
        put("media_url", json!(media));
    }
    form.retain(|_, value| !value.is_null());
    Value::Object(form)
}

/// An `Alert` of the smart data models, in the short form ("key values") of NGSI-LD.
#[must_use]
pub fn ngsi_ld(site: &Site, ticket: &Ticket) -> Value {
    let (category, sub) = alert_category(ticket.category.as_str());
    let box_id = &site.identity.id;
    let source = ticket.asset.as_ref().map_or_else(
        || format!("urn:ngsi-ld:Device:{box_id}"),
        |asset| format!("urn:ngsi-ld:{}:{box_id}:{}", entity(asset.class.as_str()), asset.id),
    );
    let mut alert = json!({
        "id": format!("urn:ngsi-ld:Alert:{}", ticket.ticket_id),
        "type": "Alert",
        "@context": CONTEXT,
        "alertSource": source,
        "category": category,
        "severity": severity(ticket.severity),
        "dateIssued": ticket.opened_at,
        "validFrom": ticket.opened_at,
        "description": description(ticket),
        "data": {
            "key": key(ticket),
            "category": ticket.category,
            "code": standard_code(site, ticket).map(|code| &code.code),
            "state": ticket.state,
            "due": due(ticket),
            "reopened": ticket.reopened,
            "confidence": ticket.confidence,
        },
    });
    if let Some(sub) = sub {
        alert["subCategory"] = json!(sub);
    }
    if let Some(ended) = ticket.closed_at {
        alert["validTo"] = json!(ended);
    }
    if let Some(place) = ticket.place {
        let place = place.to_wgs84();
        alert["location"] = json!({"type": "Point", "coordinates": [place.lon(), place.lat()]});
    }
    alert
}

/// A case record with the field names that platforms of Chinese cities use, times in local time.
/// `district` is the six-digit code of the administrative division (GB/T 2260), where it is known.
#[must_use]
pub fn case_record(site: &Site, ticket: &Ticket, district: Option<&str>) -> Value {
    let local = |utc: Utc| json!(local(&site.calendar, utc));
    let code = standard_code(site, ticket);
    let place = ticket.place.map(|place| place.to_datum(Datum::Cgcs2000));
    let degrees = |value: Option<f64>| value.map(|value| format!("{value:.6}"));
    let at = |steps: &[&str]| {
        let found = ticket.flow.entries().iter().rev().find(|e| steps.contains(&e.step.as_str()));
        found.map(|entry| local(entry.at))
    };
    let event = code.filter(|code| code.kind == "matter").zip(district);
    json!({
        "outer_key": key(ticket),
        "ticket_id": ticket.ticket_id,
        "small_id": code.map(|code| &code.code),
        "kind": code.map(|code| &code.kind),
        "SXDM": event.map(|(code, district)| format!("{district}{}", code.code)),
        "lon": degrees(place.map(Position::lon)),
        "lat": degrees(place.map(Position::lat)),
        "description": description(ticket),
        "case_status": ticket.state,
        "handle_dept": ticket.crew.as_ref().and_then(|crew| site.tickets.crews.get(crew)?.unit.as_ref()),
        "time_limit_type": ticket.limit.as_ref().map(|limit| limit.limit.kind),
        "time_limit_value": ticket.limit.as_ref().map(|limit| limit.limit.value),
        "deadline_time": due(ticket).map(local),
        "report_time": local(ticket.opened_at),
        "accept_time": at(&["acknowledged"]),
        "dispatch_time": at(&["dispatched"]),
        "handle_finish_time": at(&["handled"]),
        "check_time": at(&["verified"]),
        "close_time": ticket.closed_at.map(local),
        "is_urgent": ticket.limit.as_ref().is_some_and(|l| l.limit.kind == LimitKind::UrgentHour),
        "rework_count": ticket.reopened,
    })
}

/// The code in force now, where the category has one.
fn standard_code<'s>(site: &'s Site, ticket: &Ticket) -> Option<&'s CategoryCode> {
    code_of(site, &ticket.category)
}

/// The code in force now of a kind of problem, where it has one.
pub(crate) fn code_of<'s>(site: &'s Site, category: &Category) -> Option<&'s CategoryCode> {
    let spec: &CategorySpec = site.tickets.categories.get(category)?;
    let codes = &spec.codes;
    // Several codes of one scheme are for different utilities: which one it is, nobody here knows.
    let mut in_force = codes.iter().filter(|code| code.scheme == "GB/T47678.5");
    let first = in_force.next()?;
    in_force.next().is_none().then_some(first)
}

fn due(ticket: &Ticket) -> Option<Utc> {
    ticket.limit.as_ref().and_then(|limit| limit.due)
}

fn description(ticket: &Ticket) -> String {
    let said = ticket.sources.iter().filter_map(|witness| witness.text.as_deref());
    let read = ticket.evidence.last().map(|evidence| evidence.text.as_str());
    said.chain(read).collect::<Vec<_>>().join("; ")
}

/// The state in words, with what happened last.
fn notes(ticket: &Ticket) -> String {
    let cleared = if ticket.cleared_by_sensor { ", no longer seen by the sensor" } else { "" };
    format!("{}{cleared}", ticket.state)
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// The type that the smart data models have for a class of assets.
fn entity(class: &str) -> &'static str {
    match class {
        "bay" => "ParkingSpot",
        "bin" => "WasteContainer",
        "vehicle" => "Vehicle",
        _ => "Device",
    }
}

/// The nearest words that Alerts have.
fn alert_category(category: &str) -> (&'static str, Option<&'static str>) {
    match category {
        "bin_fire" => ("security", Some("fireRisk")),
        "litter_burning" => ("environment", Some("fireRisk")),
        "illegal_parking" | "overstay" | "abandoned_vehicle" | "fire_lane_block"
        | "accessible_block" => ("traffic", Some("carStopped")),
        "road_spill" | "manhole_fault" => ("traffic", Some("hazardOnRoad")),
        "road_damage" => ("traffic", Some("pothole")),
        "snow_ice" => ("weather", Some("snow/ice")),
        _ => ("environment", None),
    }
}

fn local(calendar: &Calendar, utc: Utc) -> String {
    calendar.local(utc).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
