//! `P/health` as a schema.

use serde_json::{Value, json};

use super::payloads::clocks;
use super::shape::{Fields, anything, count, list, map, number, only, or_null, text, truth, utc};

pub(super) fn fields() -> Fields {
    let engine = Fields::default()
        .all("inputs open_tickets not_asked", &count())
        .with("rejected", map(map(count())))
        .with("store_trouble", or_null(text()));
    let uplink = Fields::default()
        .with("profile", text())
        .with("buffer", buffer())
        .with("buffer_max_b", count())
        .with("link", link())
        .all("no_form passed_over", &count())
        .with("store_trouble", or_null(text()));
    Fields::default()
        .with("v", only(1))
        .with("at", utc())
        .with("clock", clocks())
        .all("boot uptime_s buffer_max_b", &count())
        .with("buffer", buffer())
        .with("link", link())
        .with("uplinks", map(uplink.object()))
        .with("engine", engine.object())
        .with("sources", list(source()))
        .all("disk_free_b memory_b", &or_null(count()))
        .with("flash", flash())
        .with("temperature_c", or_null(number()))
}

/// What is not delivered, by lane.
fn buffer() -> Value {
    let counts = "records bytes accepted acknowledged coalesced dropped quarantined last_seq";
    let gap = Fields::default().with("reason", text()).all("from to count", &count());
    let lane = Fields::default()
        .all(counts, &count())
        .with("oldest_s", or_null(count()))
        .with("dropped_by_reason", map(count()))
        .with("gaps", list(gap.object()));
    let lanes = Fields::default().all("ticket event state telemetry", &lane.object());
    lanes.object()
}

fn link() -> Value {
    let lane = Fields::default()
        .all("sent replayed bytes acked quarantined waiting", &count())
        .with("held_back", truth());
    let lanes = Fields::default().all("ticket event state telemetry", &lane.object());
    Fields::default()
        .with("connected", truth())
        .all("last_error protocol", &or_null(text()))
        .with("since", or_null(utc()))
        .all("conn reconnects sent acked undelivered undelivered_gone day_b", &count())
        .all("picture_parts picture_parts_dropped", &count())
        .with("refused", map(count()))
        .with("lanes", lanes.object())
        .object()
}

fn source() -> Value {
    Fields::default()
        .with("name", text())
        .all("connected silent", &truth())
        .with("trouble", or_null(text()))
        .all("samples rejected bytes frames unacknowledged commands_done", &count())
        .all("commands_failed turned_away per_minute silent_count", &count())
        .with("rejected_by_reason", map(count()))
        .all("last_at last_heard_at", &or_null(utc()))
        .with("usual_pause_s", or_null(count()))
        .with("silent_devices", json!({"type": ["array", "object", "null"]}))
        .with("pictures", or_null(anything()))
        .object()
}

/// What the card goes through.
fn flash() -> Value {
    Fields::default()
        .with("card", or_null(text()))
        .all("written_b per_day_b card_written_b card_years", &or_null(count()))
        .with("card_used_tenths", or_null(count()))
        .object()
}
