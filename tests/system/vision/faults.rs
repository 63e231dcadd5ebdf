//! Cameras and models that fail: what the box says of them, and that it says nothing else.
#![allow(clippy::disallowed_methods, reason = "a camera makes pictures at a pace")]

use std::fs;

use serde_json::{Value, json};
use system_tests::program::{self, texts};
use system_tests::subscriber::Subscriber;
use vision::picture::Picture;
use vision::swatch;

use super::street::{BIN, GREEN, Street, soon, street, tickets};

/// The same picture with other bytes, as cameras write the time into theirs.
fn stamped(jpeg: &[u8], number: u32) -> Vec<u8> {
    [&jpeg[..2], &[0xff, 0xfe, 0, 6], &number.to_be_bytes(), &jpeg[2..]].concat()
}

#[test]
fn a_frozen_or_covered_camera_is_a_fault_with_its_code_and_not_all_clear() {
    let Some(mut street_) = Street::new() else { return };
    let config = street_.write("swatch.toml", BIN);
    let text = fs::read_to_string(&config).unwrap();
    let text =
        text.replace("frozen_after = \"never\"", "frozen_after = \"2s\"\nfault_after = \"1s\"");
    fs::write(&config, text).unwrap();
    let mut heard = Subscriber::start(street_.broker.port, "all", "steward/#");
    let running = street_.start(&config);
    let full = street(&[(1, 2, GREEN)]);
    street_.film(
        |n| stamped(&full, n),
        "the ticket",
        || {
            heard.listen();
            tickets(&heard.heard, "bin_overflow").next().is_some()
        },
    );
    // It hangs: the same bytes again and again.
    let state = |heard: &Subscriber| tickets(&heard.heard, "camera_fault").last().cloned();
    street_.film(
        |_| full.clone(),
        "the fault",
        || {
            heard.listen();
            state(&heard).is_some()
        },
    );
    let fault = state(&heard).unwrap();
    let code = json!({"scheme": "GB/T47678.5", "kind": "component", "code": "01050"});
    let codes = fault["codes"].as_array().unwrap();
    let has = |code: &Value| {
        codes
            .iter()
            .any(|own| code.as_object().unwrap().iter().all(|(key, value)| own[key] == *value))
    };
    assert!(has(&code), "{fault}");
    assert_eq!(fault["key"], "camera_fault:camera/cam-1");
    assert!(fault["evidence"].to_string().contains("has not changed at all"), "{fault}");
    // Somebody hangs a cloth over it: the same ticket, and the bin is still full as far as is known.
    let covered = Picture::plain(640, 360, [70, 70, 70]).encode(90);
    let before = street_.count("steward_source_pictures_blind_total", "");
    for n in 0..30 {
        street_.put(&format!("cloth-{n:03}.jpg"), &stamped(&covered, n));
        let all =
            || street_.count("steward_source_pictures_blind_total", "") > before + u64::from(n);
        assert!(soon(all), "picture {n} is counted as blind");
    }
    heard.listen();
    let ids = |category: &str| -> std::collections::BTreeSet<String> {
        tickets(&heard.heard, category).map(|t| t["ticket_id"].to_string()).collect()
    };
    assert_eq!((ids("camera_fault").len(), ids("bin_overflow").len()), (1, 1));
    let bin = tickets(&heard.heard, "bin_overflow").last().unwrap();
    assert_ne!(bin["cleared_by_sensor"], true, "nobody saw that it is empty: {bin}");
    // It sees again: the fault is over.
    street_.film(
        |n| stamped(&full, n),
        "the end of the fault",
        || {
            heard.listen();
            state(&heard).is_some_and(|fault| fault["cleared_by_sensor"] == true)
        },
    );
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn a_model_of_the_wrong_shape_or_with_outputs_that_are_no_numbers_costs_the_box_its_eyes_alone() {
    let good = swatch::onnx(1.0);
    let classes = "\"car\", \"overflow\", \"person\"";
    // What is in the file, what the manifest is changed to, and what is said of it.
    let cases: [(Vec<u8>, [&str; 2], &str); 4] = [
        (swatch::onnx(f32::NAN), ["", ""], "an output is not a number"),
        (
            good.clone(),
            [classes, "\"car\", \"overflow\", \"person\", \"dog\""],
            "this model has [1, 8, 4, 4]",
        ),
        (good.clone(), ["input = [64, 64]", "input = [64, 128]"], "the model takes 64x64"),
        (good[..good.len() / 2].to_vec(), ["", ""], "the engine cannot read it"),
    ];
    for (onnx, [right, wrong], said) in cases {
        let Some(mut street_) = Street::new() else { return };
        fs::write(street_.path("swatch.onnx"), &onnx).unwrap();
        let manifest = swatch::manifest("swatch.onnx", &onnx, swatch::CLASSES);
        fs::write(street_.path("swatch.toml"), manifest.replace(right, wrong)).unwrap();
        let config = street_.write("swatch.toml", BIN);
        let (_, refused, code) = texts(&program::run(&["check", &config]));
        assert!(code == 1 && refused.contains(said) && refused.contains("box.toml:"), "{refused}");
        let running = street_.start(&config);
        street_.put("1.jpg", &street(&[]));
        assert!(soon(|| street_.count("steward_source_pictures_failed_total", "") == 1), "{said}");
        let (head, _) = street_.get("/healthz");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let (status, log) = running.terminate();
        assert!(status.success() && log.contains(said), "{log}");
    }
}
