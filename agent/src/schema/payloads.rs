//! JSON Schemas (draft 7) of everything that is published and of commands. Lists of words are those of the
//! program; what fields there are is held to what boxes say by the system tests, which let no field pass that
//! no schema has.

use domain::ids::Class;
use domain::output::Lane;
use domain::time::ClockQuality;
use domain::{tickets, waste};
use serde_json::{Value, json};

use super::shape::{
    Fields, anything, count, list, map, number, only, or_null, percent, text, truth, utc, words,
};

/// A message: its name, what it is, and what it looks like.
pub(super) struct Payload {
    pub(super) name: String,
    pub(super) summary: &'static str,
    pub(super) schema: Value,
    pub(super) media: &'static str,
}

/// All of them in one document, for `steward schema json`: a schema below `definitions` for each message.
#[must_use]
pub fn document() -> Value {
    let definitions: serde_json::Map<String, Value> = all()
        .into_iter()
        .map(|Payload { name, summary, mut schema, .. }| {
            schema["title"] = json!(name);
            schema["description"] = json!(summary);
            (name, schema)
        })
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "What boxes that run steward publish, and the commands they take",
        "description": "Made by: steward schema json. Ignore fields that you do not know.",
        "definitions": definitions,
    })
}

/// Every message.
pub(super) fn all() -> Vec<Payload> {
    let json = "application/json";
    let cloud = "application/cloudevents+json";
    let entry = |name: &str, summary, fields: Fields, media| {
        let (name, schema) = (name.to_owned(), fields.object());
        Payload { name, summary, schema, media }
    };
    let mut all = vec![
        entry("status", "Whether the box is there; also its last will", status(), json),
        entry("info", "What the box is", info(), json),
        entry("health", "How the box is doing", super::health::fields(), json),
    ];
    for (name, summary, body) in states() {
        all.push(entry(name, summary, header(Lane::State).and(body), json));
    }
    all.push(telemetry());
    for (name, data) in events() {
        let summary = "Something happened (CloudEvents 1.0)";
        let data = data.object();
        all.push(entry(&name, summary, cloud_event(Lane::Event, only(name.as_str()), data), cloud));
    }
    let ticket = header(Lane::Ticket).and(super::ticket::state());
    all.push(entry("ticket-state", "A ticket as it stands", ticket, json));
    let kind = json!({"type": "string", "pattern": "^ticket\\.[a-z_]+$"});
    let event = cloud_event(Lane::Ticket, kind, super::ticket::event().object());
    all.push(entry("ticket-event", "A step of a ticket (CloudEvents 1.0)", event, cloud));
    all.push(entry("reply", "The answer to a command", reply(), json));
    all.push(entry("command", "Something a box is to do", command(), json));
    all
}

fn clock() -> Value {
    use ClockQuality::{Estimated, Gnss, Ntp, Unset};
    words([Gnss, Ntp, Estimated, Unset])
}

fn quality() -> Value {
    use domain::output::Quality::{Bad, Good, Stale, Uncertain};
    words([Good, Uncertain, Bad, Stale])
}

fn header(lane: Lane) -> Fields {
    Fields::default()
        .with("v", only(1))
        .with("id", text())
        .with("at", utc())
        .with("clock", clock())
        .with("boot", count())
        .with("lane", only(lane.as_str()))
        .with("seq", count())
        .with("quality", quality())
        .perhaps("replay", only(true))
}

fn cloud_event(lane: Lane, kind: Value, data: Value) -> Fields {
    Fields::default()
        .with("specversion", only("1.0"))
        .all("id source subject", &text())
        .with("type", kind)
        .with("time", utc())
        .with("datacontenttype", only("application/json"))
        .all("boot seq", &count())
        .with("lane", only(lane.as_str()))
        .with("clock", clock())
        .with("data", data)
        .perhaps("replay", only(true))
}

fn status() -> Fields {
    Fields::default()
        .with("state", words(["online", "offline", "lost"]))
        .all("boot conn", &count())
        .with("at", utc())
        .with("clock", clock())
}

fn info() -> Fields {
    let crew = Fields::default()
        .with("id", text())
        .with("names", map(text()))
        .with("categories", list(text()));
    let configuration = Fields::default()
        .with("version", count())
        .with("origin", words(["file", "command"]))
        .with("on_trial", truth());
    header(Lane::State)
        .all("version hardware config timezone", &text())
        .perhaps("configuration", configuration.object())
        .all("capabilities assets", &list(text()))
        .with("crews", list(crew.object()))
        .perhaps("simulated", Fields::default().with("speed", count()).object())
}

pub(super) fn place() -> Value {
    Fields::default()
        .all("lat lon", &number())
        .with("datum", text())
        .perhaps("hacc_m", number())
        .object()
}

/// Infos, states and figures, by the name of the message.
fn states() -> Vec<(&'static str, &'static str, Fields)> {
    let reason = || {
        use domain::sample::NoData::{
            NoFix, NoTarget, OutOfRange, SensorFault, Silent, Stuck, TooClose,
        };
        words([NoFix, NoTarget, TooClose, SensorFault, OutOfRange, Silent, Stuck])
    };
    let session = Fields::default()
        .with("start", utc())
        .with("quality", words(["exact", "bounded", "inferred", "lost_end"]))
        .perhaps("permit", text());
    let bay = Fields::default()
        .with("status", words(["free", "occupied", "unknown", "out_of_service"]))
        .with("since", or_null(utc()))
        .perhaps("reason", reason())
        .with("confidence", words([0, 50, 100]))
        .with("session", or_null(session.object()));
    let expected = Fields::default().with("at", utc()).some("earliest latest", &utc());
    let bin = Fields::default()
        .with("level_pct", or_null(number()))
        .with("status", words(waste::Status::ALL))
        .with("full_at", or_null(utc()))
        .perhaps("reason", reason())
        .perhaps("temperature_c", number())
        .perhaps("last_collected", utc())
        .perhaps("full_expected", expected.object());
    let vehicle = Fields::default()
        .with("position", or_null(place()))
        .perhaps("position_at", utc())
        .all("speed_kmh course_deg", &or_null(number()))
        .with("activity", words(["working", "travelling", "idle", "parked", "unknown"]))
        .with("activity_from", words(["signal", "speed"]))
        .with("since", or_null(utc()))
        .perhaps("reason", reason())
        .with("distance_m", number())
        .perhaps("doppler_m", number())
        .all("fixes jumps duplicates late", &count());
    let window = Fields::default().all("from until", &utc());
    let parking = Fields::default()
        .all("bays free occupied unknown out_of_service", &count())
        .with("sign", text());
    let street = Fields::default()
        .perhaps("window", or_null(window.object()))
        .some("cells done fulfilled unknown", &count())
        .some("done_pct fulfilled_pct unknown_pct", &or_null(percent()))
        .perhaps("parking", parking.object());
    vec![
        ("asset-info", "What does not change by itself", asset_info()),
        ("bay-state", "A bay as it stands", bay),
        ("bin-state", "A bin as it stands", bin),
        ("vehicle-state", "A vehicle as it stands", vehicle),
        ("street-state", "A street as it stands: what is swept, what is free", street),
        ("figures", "Today so far and the days before", figures()),
    ]
}

fn asset_info() -> Fields {
    let line = Fields::default()
        .with("type", only("LineString"))
        .with("coordinates", list(list(number())));
    Fields::default()
        .with("names", map(text()))
        .perhaps("position", place())
        .some("street tariff kind waste", &text())
        .some("max_stay_s capacity_l", &count())
        .perhaps("full_at_pct", percent())
        .perhaps("reserved", only(true))
        .perhaps("geometry", line.object())
}

fn figures() -> Fields {
    let today = || or_null(anything());
    let parking = Fields::default()
        .with("today", today())
        .with("days", list(anything()))
        .perhaps("currency", text())
        .perhaps("bays", count());
    let waste = Fields::default()
        .with("today", today())
        .with("days", list(anything()))
        .perhaps("capacity", anything());
    Fields::default().perhaps("parking", parking.object()).perhaps("waste", waste.object())
}

/// A series, in one of its three forms.
fn telemetry() -> Payload {
    let point = Fields::default()
        .with("at", utc())
        .some("occupied tilted lid_open fire working ignition", &truth())
        .some("detected datum missing why", &text())
        .some("confidence_pct level_pct battery_pct fuel_pct", &number())
        .some("previous_s previous_error_s distance_mm odometer_m satellites", &count())
        .some("temperature_c battery_v bus_speed_kmh fuel_l station_kg", &number())
        .some("lat lon speed_kmh course_deg hacc_m", &number());
    let columns = json!({
        "type": "object", "required": ["at_ms"],
        "properties": {"at_ms": list(json!({"type": "integer"}))},
        "additionalProperties": {"type": "array"},
    });
    let track = Fields::default()
        .all("from until", &utc())
        .with("points", count())
        .all("length_m error_m", &number())
        .with("code", text());
    let mut schema = header(Lane::Telemetry)
        .perhaps("points", list(point.object()))
        .perhaps("columns", columns)
        .perhaps("track", track.object())
        .object();
    let form = |name| json!({"required": [name]});
    schema["oneOf"] = json!([form("points"), form("columns"), form("track")]);
    let summary = "Readings as points or in columns, or a piece of a track";
    Payload { name: "telemetry".to_owned(), summary, schema, media: "application/json" }
}

/// What each kind of event says.
fn events() -> Vec<(String, Fields)> {
    let fields = Fields::default;
    let session = fields()
        .with("session_id", text())
        .all("start end", &or_null(utc()))
        .all("duration_s error_s", &or_null(count()))
        .with("quality", words(["exact", "bounded", "inferred", "lost_end"]))
        .with("clock", clock())
        .perhaps("permit", text())
        .perhaps("billable", truth())
        .perhaps("not_billed", words(["quality", "clock", "error"]))
        .perhaps("fee", anything());
    let metrics = fields()
        .all("total_sessions turnover average_dwell_time occupancy_percent", &number())
        .object();
    let parking = |time: Fields| {
        time.all("occupied_s free_s blind_s out_of_service_s due unbilled", &count())
            .with("metrics", metrics.clone())
            .perhaps("bays", count())
            .perhaps("currency", text())
    };
    let hour = parking(fields().all("from to", &utc()).with("date", text()).with("hour", count()));
    let day = parking(fields().with("date", text()).with("day", text()))
        .perhaps("peak", anything())
        .perhaps("hours", json!({"type": ["array", "object"]}));
    let collection = fields()
        .with("at", utc())
        .perhaps("after", or_null(utc()))
        .some("level_before_pct level_after_pct volume_l overflow_s", &or_null(number()))
        .perhaps("by", or_null(anything()))
        .with("clock", clock());
    let of_round =
        fields().all("stops served early late skipped", &count()).all("from until", &utc());
    let stop = fields()
        .all("route stop", &text())
        .with("outcome", words(["served", "early", "late", "skipped"]))
        .perhaps("due", or_null(utc()))
        .perhaps("came", or_null(utc()))
        .perhaps("off_s", or_null(number()));
    [
        ("parking.session", session),
        ("parking.hour", hour),
        ("parking.day", day),
        ("waste.collection", collection),
        ("route.stop", stop),
        ("route.round", of_round),
        // Told in docs/mqtt-api.md, and not described field by field here.
        ("waste.deposit", fields()),
        ("waste.lift", fields()),
        ("waste.trip", fields()),
        ("waste.day", fields()),
        ("waste.street", fields()),
        ("sweep.road", fields()),
        ("sweep.plan_shifted", fields()),
        ("vehicle.trip", fields()),
        ("vehicle.shift", fields()),
    ]
    .map(|(name, data)| (name.to_owned(), data))
    .into()
}

fn reply() -> Fields {
    let error = Fields::default().all("code msg", &text()).object();
    header(Lane::Ticket)
        .with("ok", truth())
        .perhaps("state", text())
        .perhaps("result", json!({}))
        .perhaps("error", error)
}

fn command() -> Fields {
    Fields::default()
        .all("id by", &text())
        .some("issued_at expires_at", &utc())
        .perhaps("args", json!({}))
}

/// The classes of assets that have a state of their own form, with the message that is.
pub(super) const STATES: [(Class, &str); 4] = [
    (Class::Bay, "bay-state"),
    (Class::Bin, "bin-state"),
    (Class::Vehicle, "vehicle-state"),
    (Class::Street, "street-state"),
];

/// The states of tickets, as the program knows them.
pub(super) fn ticket_states() -> Value {
    words(tickets::State::ALL)
}

/// The kinds of trust in a time.
pub(super) fn clocks() -> Value {
    clock()
}
