//! An uplink that is down for nine hours: what the devices kept comes all at once, with its own times.

use domain::output::{Body, Topic};
use domain::sample::{Quantity, Sample};
use domain::time::{Span, Utc};
use serde_json::{Map, Value};

use super::full;
use super::street::{Street, bay, bin, config};

/// Minutes after the start between which nothing gets through.
const OUTAGE: std::ops::Range<u64> = 60..60 + 9 * 60;

/// A day of three bays and a bin: the minute, the asset and what it says.
fn day() -> Vec<(u64, &'static str, Quantity)> {
    let occupied = Quantity::Occupied;
    vec![
        (0, "b-1", occupied(false)),
        (0, "b-2", occupied(false)),
        (1, "b-3", occupied(false)),
        (2, "bin-1", full(40)),
        (30, "b-1", occupied(true)),
        // Nobody hears of what follows until the tenth hour.
        (70, "b-2", occupied(true)),
        (95, "b-1", occupied(false)),
        (100, "bin-1", full(88)),
        (130, "bin-1", full(93)),
        (160, "b-2", occupied(false)),
        // Stays for four hours where two are allowed.
        (170, "b-3", occupied(true)),
        (300, "bin-1", full(5)),
        (310, "bin-1", full(5)),
        (410, "b-3", occupied(false)),
        (500, "b-1", occupied(true)),
        // Heard as it happens again.
        (620, "b-1", occupied(false)),
        (640, "bin-1", full(10)),
    ]
}

struct Told {
    street: Street,
    /// Every reading with the minute at which the box heard of it.
    heard: Vec<(u64, u64)>,
}

fn live(outage: bool) -> Told {
    // The car on b-1 comes before the outage: whether it has gone nobody can know while it lasts, so
    // nothing is laid down for it.
    let limits = [("b-1", ""), ("b-2", "max_stay = \"2h\"\n"), ("b-3", "max_stay = \"2h\"\n")];
    let bays = limits.map(|(id, limit)| bay(id) + limit);
    let mut street = Street::new(&config(&[bays.concat(), bin("bin-1")]));
    let start = street.now.utc;
    let (mut minute, mut heard) = (0, vec![]);
    let mut arriving: Vec<(u64, u64, Sample)> = day()
        .into_iter()
        .enumerate()
        .map(|(n, (at, id, quantity))| {
            let counter = u32::try_from(n).unwrap();
            let mut sample = street.sample(id, counter, quantity);
            sample.at = Some(start + Span::from_mins(at));
            let arrives = if outage && OUTAGE.contains(&at) { OUTAGE.end } else { at };
            (arrives, at, sample)
        })
        .collect();
    arriving.sort_by_key(|(arrives, at, _)| (*arrives, *at));
    for (arrives, at, sample) in arriving {
        street.pass(Span::from_mins(arrives - minute));
        minute = arrives;
        heard.push((at, minute));
        street.take_sample(sample);
    }
    street.pass(Span::from_mins(12 * 60 - minute));
    Told { street, heard }
}

/// What a consumer keeps of a ticket, whenever it heard of it.
fn case(ticket: &Map<String, Value>) -> Value {
    let flow: Vec<_> = ticket["flow"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["step"] == "raised" || entry["step"] == "cleared")
        // That a bay is free again is known at once when it is heard of late, else after its free_after.
        .map(|entry| (entry["step"].clone(), entry["at"].as_str().map(|at| at[..16].to_owned())))
        .collect();
    serde_json::json!({
        "id": ticket["ticket_id"], "key": ticket["key"], "opened": ticket["opened_at"],
        "due": ticket["limit"]["due"], "cleared": ticket["cleared_by_sensor"], "flow": flow,
    })
}

#[test]
fn scenario_01_nine_hours_without_an_uplink_change_no_session_and_no_ticket() {
    let (live, late) = (live(false), live(true));
    assert!(late.heard.iter().any(|(at, heard)| heard - at > 8 * 60), "{:?}", late.heard);
    assert_eq!(live.street.sessions, late.street.sessions);
    assert_eq!(live.street.sessions.len(), 4);
    let cases = |told: &Told| told.street.told.values().map(case).collect::<Vec<_>>();
    assert_eq!(cases(&live), cases(&late));
    let keys: Vec<_> = live.street.told.values().map(|ticket| ticket["key"].clone()).collect();
    assert_eq!(keys.len(), 2, "a full bin and a car that stays too long: {keys:?}");
    // What is told of each asset is in the order of when it was so.
    let mut last = std::collections::BTreeMap::new();
    for message in &late.street.messages {
        let (Topic::AssetEvent(key), Body::Event { .. }) = (&message.topic, &message.body) else {
            continue;
        };
        let before = last.insert(key.clone(), message.at).unwrap_or(Utc::from_ms(0));
        assert!(before <= message.at, "{key}: {before} and then {}", message.at);
    }
    // When the box heard of it stands beside when it was.
    let full = late.street.ticket("bin_overflow");
    let start = late.street.now.utc - Span::from_mins(12 * 60);
    let minute = |n: u64| (start + Span::from_mins(n)).to_string();
    let readings = full["evidence"].as_array().unwrap();
    assert_eq!(
        (&readings[1]["at"], &readings[1]["received"]),
        (&Value::from(minute(130)), &Value::from(minute(OUTAGE.end)),)
    );
    let on_time = live.street.ticket("bin_overflow")["evidence"].as_array().unwrap();
    assert!(on_time.iter().all(|reading| reading.get("received").is_none()));
}
