//! Two cameras and a fill sensor look at one bin.
#![allow(clippy::disallowed_methods, reason = "a camera makes pictures at a pace")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use system_tests::publisher;
use system_tests::subscriber::Subscriber;

use super::street::{GREEN, Street, street, tickets};

/// The zone of a camera in which the bin stands.
const ZONE: &str = "[[source.zone]]\nname = \"bin\"\nfinds = \"bin_overflow\"\nabout = \"bin/bin-21\"\n\
    polygon = [[0.2, 0.4], [0.6, 0.4], [0.6, 0.8], [0.2, 0.8]]\n\
    hits = [2, 3]\ndwell = \"1s\"\nclear_after = \"1s\"\nrest = \"0s\"\n";

#[test]
fn two_cameras_and_a_sensor_see_one_bin_one_ticket_with_three_witnesses() {
    let Some(mut street_) = Street::new() else { return };
    fs::create_dir(street_.path("in-2")).unwrap();
    let second = format!(
        "[[source]]\nname = \"cam-2\"\nkind = \"camera\"\nfolder = \"in-2\"\nmodel = \"swatch.toml\"\n\
         every = \"100ms\"\nmoved_pct = 0\nfrozen_after = \"never\"\n{ZONE}"
    );
    let sensor = "[[source]]\nname = \"fill\"\nkind = \"mqtt-json\"\ntopic = \"fill/+\"\n[source.map]\n\
        device = \"topic:1\"\n[[source.map.quantity]]\nname = \"distance\"\npointer = \"/mm\"\nunit = \"mm\"\n\
        [[bin]]\nid = \"bin-21\"\nsource = \"fill\"\ndevice = \"21\"\nempty_mm = 1500\nfull_mm = 300\n\
        position = { lat = 31.811, lon = 119.974 }\n";
    let config = street_.write("swatch.toml", &format!("{ZONE}{second}{sensor}"));
    let mut heard = Subscriber::start(street_.broker.port, "all", "steward/#");
    let running = street_.start(&config);
    let port = street_.broker.port;
    let full = street(&[(1, 2, GREEN)]);
    let copy = street_.path("in-2");
    street_.film(
        |n| {
            let whole = copy.join("upload.part");
            fs::write(&whole, &full).unwrap();
            fs::rename(whole, copy.join(format!("{n:06}.jpg"))).unwrap();
            if n % 10 == 0 {
                // Higher than the full line: it overflows.
                publisher::publish(port, "fill/21", &json!({"mm": 120}));
            }
            full.clone()
        },
        "three witnesses",
        || {
            heard.listen();
            let last = tickets(&heard.heard, "bin_overflow").last();
            last.is_some_and(|t| t["sources"].as_array().is_some_and(|s| s.len() == 3))
        },
    );
    let all: BTreeSet<_> =
        tickets(&heard.heard, "bin_overflow").map(|t| t["ticket_id"].to_string()).collect();
    assert_eq!(all.len(), 1, "one bin, one ticket");
    let ticket = tickets(&heard.heard, "bin_overflow").last().unwrap();
    let sources = ticket["sources"].as_array().unwrap();
    let mut by: Vec<_> = sources.iter().map(|s| (&s["kind"], s["by"].as_str())).collect();
    by.sort_by_key(|(kind, by)| (kind.to_string(), *by));
    let camera = json!("camera");
    assert_eq!(by[..2], [(&camera, Some("cam-1/bin")), (&camera, Some("cam-2/bin"))]);
    assert_eq!(by[2].0, "sensor");
    assert_eq!(ticket["state"], "raised", "two kinds of witness need no person to look first");
    let pictures = sources.iter().filter(|source| source["media"].is_string()).count();
    assert_eq!(pictures, 2, "each camera has its evidence");
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}
