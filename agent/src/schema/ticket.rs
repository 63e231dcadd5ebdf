//! What is published of tickets.

use domain::rules::Severity;
use serde_json::{Value, json};

use super::payloads::{clocks, place, ticket_states};
use super::shape::{
    Fields, anything, count, list, number, only, or_null, percent, text, truth, utc, words,
};

/// What an event says of its ticket, with what has just happened.
pub(super) fn event() -> Fields {
    common().with("evidence", or_null(evidence())).with("step", or_null(entry()))
}

/// The whole ticket.
pub(super) fn state() -> Fields {
    common()
        .with("place", or_null(place()))
        .all("opened_at updated_at", &utc())
        .with("closed_at", or_null(utc()))
        .with("evidence", list(evidence()))
        .with("sources", list(witness()))
        .with("flow", list(entry()))
        .with("flow_sha256", text())
        .with("refused", count())
        .perhaps("codes", list(code()))
        .perhaps("prior", text())
        .perhaps("internal", only(true))
        .perhaps("suppressed", suppressed())
        .perhaps("flapping", Fields::default().with("count", count()).object())
}

fn common() -> Fields {
    Fields::default()
        .all("ticket_id key category", &text())
        .all("rev reopened", &count())
        .with("state", ticket_states())
        .with("cleared_by_sensor", truth())
        .with("severity", severity())
        .with("asset", or_null(asset()))
        .with("rule", or_null(rule()))
        .with("confidence", percent())
        .perhaps("crew", text())
        .perhaps("limit", limit())
}

fn severity() -> Value {
    words([Severity::Low, Severity::Medium, Severity::High, Severity::Critical])
}

fn asset() -> Value {
    Fields::default().all("class id", &text()).object()
}

fn rule() -> Value {
    let fields = Fields::default().with("id", text()).with("version", count());
    fields.perhaps("when", text()).object()
}

fn evidence() -> Value {
    Fields::default()
        .with("at", utc())
        .perhaps("received", utc())
        .all("fact text", &text())
        .perhaps("value", or_null(number()))
        .perhaps("unit", or_null(text()))
        .object()
}

fn witness() -> Value {
    Fields::default()
        .with("kind", words(["sensor", "camera", "citizen", "patrol"]))
        .with("by", text())
        .with("at", utc())
        .with("confidence", percent())
        .some("text media", &text())
        .perhaps("seen", anything())
        .object()
}

fn code() -> Value {
    let fields = Fields::default().all("scheme kind code", &text());
    // An extension that only some places have.
    fields.perhaps("local", only(true)).object()
}

fn limit() -> Value {
    Fields::default()
        .with("type", words(["urgent_hour", "work_hour", "work_day", "natural_day"]))
        .with("value", count())
        .with("due", or_null(utc()))
        .with("status", words(["running", "paused", "finished", "timeout"]))
        .with("overdue", truth())
        .object()
}

fn suppressed() -> Value {
    Fields::default()
        .with("reason", words(["shelved", "maintenance", "quiet"]))
        .with("until", or_null(utc()))
        .perhaps("back", ticket_states())
        .object()
}

/// An entry of the flow log; an entry about the time says what was thought of it.
fn entry() -> Value {
    let sha256 = json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
    Fields::default()
        .with("n", count())
        .all("step by", &text())
        .with("at", utc())
        .with("state", ticket_states())
        .with("prev_sha256", sha256)
        .some("note crew", &text())
        .perhaps("due", or_null(utc()))
        .perhaps("used_s", count())
        .perhaps("clock", clocks())
        .object()
}
