//! What platforms of the FIWARE kind get to see, against the property tables of the Smart Data Models as
//! their own Python package carries them: Alert, ParkingSpot, OnStreetParking, WasteContainer.

use std::io::Write;
use std::process::Stdio;

use domain::Engine;
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::output::Outputs;
use domain::sample::{Quantity, Sample};
use domain::tickets::Ticket;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use domain::units::Millimetres;
use serde_json::Value;
use steward::config;

use super::open311::python;

const BOX: &str = "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"Asia/Shanghai\"\n\
    [mqtt]\nurl = \"mqtt://127.0.0.1\"\n\
    [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n\
    [[street]]\nid = \"road\"\nline = [[119.97, 31.81], [119.98, 31.82]]\n\
    [[bay]]\nid = \"b-1\"\nsource = \"nodes\"\ndevice = \"1\"\nstreet = \"road\"\n\
    position = { lat = 31.811, lon = 119.974 }\n\
    [[bin]]\nid = \"bin-1\"\nsource = \"nodes\"\ndevice = \"2\"\nempty_mm = 1000\nfull_mm = 10\n\
    position = { lat = 31.812, lon = 119.975 }\n";

fn now(minute: u64) -> Moment {
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(minute * 60_000),
        utc: Utc::parse("2026-06-04T04:00:00Z").unwrap() + Span::from_mins(minute),
        clock: ClockQuality::Ntp,
    }
}

fn say(device: &str, quantity: Quantity) -> Input {
    Input::Sample(Sample {
        source: SourceName::new("nodes").unwrap(),
        device: Some(DeviceKey::new(device).unwrap()),
        counter: None,
        at: None,
        quantities: vec![quantity],
    })
}

/// A bay, its street, a bin and a ticket, in the forms of others.
fn entities() -> Vec<Value> {
    let config = config::load_text("box.toml", BOX).unwrap_or_else(|f| panic!("{f}")).config;
    let mut engine = Engine::new(config.site, vec![], now(0));
    let mut all = Outputs::default();
    let mut step = |input, minute| {
        let out: Outputs = engine.step(input, now(minute));
        all.messages.extend(out.messages);
        all.records.extend(out.records);
    };
    step(Input::Start, 0);
    for minute in 1..4 {
        step(say("1", Quantity::Occupied(minute > 1)), minute);
        step(say("2", Quantity::Distance(Millimetres(40))), minute);
    }
    step(Input::Tick, 10);
    let site = engine.site();
    let parking = all.messages.iter().filter_map(|m| domain::parking::profile::fiware(m, site));
    let waste = all.messages.iter().filter_map(|m| domain::waste::profile::fiware(m, site));
    let tickets = all.records.iter().filter(|record| record.key.starts_with("ticket/"));
    let read = |value: &Vec<u8>| serde_json::from_slice::<Ticket>(value).unwrap();
    let tickets = tickets.filter_map(|record| record.value.as_ref().map(read));
    let alerts = tickets.map(|ticket| domain::outward::ngsi_ld(site, &ticket));
    parking.chain(waste).map(|(_, entity)| entity).chain(alerts).collect()
}

#[test]
fn forms_for_fiware_have_the_properties_of_the_models_and_no_others() {
    let entities = entities();
    let kinds: std::collections::BTreeSet<&str> =
        entities.iter().map(|entity| entity["type"].as_str().unwrap()).collect();
    let expected = ["Alert", "OnStreetParking", "ParkingSpot", "WasteContainer"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    let Some(mut check) = python("fiware.py") else { return };
    let judge = |entities: &[Value], check: &mut std::process::Command| {
        let mut running = check
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: String = entities.iter().map(|entity| format!("{entity}\n")).collect();
        running.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let told = running.wait_with_output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    };
    assert_eq!(judge(&entities, &mut check), "");
    // The judge has eyes: what is wrong is found.
    let mut wrong = entities.iter().find(|e| e["type"] == "Alert").unwrap().clone();
    wrong["severity"] = "dreadful".into();
    wrong["colour"] = "red".into();
    wrong.as_object_mut().unwrap().remove("dateIssued");
    let said = judge(&[wrong], &mut python("fiware.py").unwrap());
    assert_eq!(said.lines().count(), 3, "{said}");
}
