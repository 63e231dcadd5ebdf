//! How each fee of a replay came about, window by window, for people.
//!
//! Everything is taken from the session's event, so what is said here is what whoever receives the event
//! can work out as well.

use domain::calendar::Calendar;
use domain::output::{Body, Message, Topic};
use domain::parking::tariff::Fee;
use domain::time::Utc;
use serde_json::{Map, Value};

/// What there is to say of a session's fee; nothing of every other message.
pub(super) fn line(message: &Message, calendar: &Calendar) -> Option<String> {
    match (&message.topic, &message.body) {
        (Topic::AssetEvent(bay), Body::Event { kind: "parking.session", data }) => {
            Some(format!("{bay} {}", explain(data, calendar)))
        }
        _ => None,
    }
}

fn explain(session: &Map<String, Value>, calendar: &Calendar) -> String {
    let text = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = |name: &str| match Utc::parse(text(name)) {
        Ok(utc) => calendar.local(utc).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text(name).to_owned(),
    };
    let (from, to, quality) = (time("start"), time("end"), text("quality"));
    let fee = session.get("fee").and_then(|fee| serde_json::from_value::<Fee>(fee.clone()).ok());
    let Some(fee) = fee else { return format!("{from} to {to}, {quality}: no tariff") };
    let billed = match text("not_billed") {
        "" => "billed".to_owned(),
        why => format!("not billed ({why})"),
    };
    let mut lines = vec![format!("{from} to {to}, {quality}, {billed}")];
    lines.extend(fee.explain(calendar).into_iter().map(|line| format!("  {line}")));
    lines.join("\n")
}
