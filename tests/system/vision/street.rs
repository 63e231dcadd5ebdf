//! A folder of pictures, the program, and a real broker: one ticket with its evidence, once; and nothing
//! that is put into the folder stops anything.
//!
//! The pictures are drawn here and seen by the network of two operators that comes with the program, so
//! that the whole way is proved on every machine.
#![allow(
    clippy::disallowed_methods,
    reason = "a camera makes pictures at a pace, and counters are asked for"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::data;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::{self, Running, texts};
use system_tests::subscriber::{Heard, Subscriber};
use vision::bounds::Bounds;
use vision::picture::{Limits, Picture};
use vision::swatch;

pub(super) const RED: usize = 0;
pub(super) const GREEN: usize = 1;
pub(super) const BLUE: usize = 2;

/// A box with a camera, its folder, and a broker.
pub(super) struct Street {
    pub(super) dir: tempfile::TempDir,
    pub(super) broker: Mosquitto,
    http: u16,
    pictures: u32,
}

impl Street {
    pub(super) fn new() -> Option<Street> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mosquitto")).unwrap();
        let broker = Mosquitto::start(&dir.path().join("mosquitto"))?;
        fs::create_dir(dir.path().join("in")).unwrap();
        swatch::write(dir.path()).unwrap();
        Some(Street { dir, broker, http: free_port(), pictures: 0 })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration; `model` and `zones` as text.
    pub(super) fn write(&self, model: &str, zones: &str) -> String {
        let text = format!(
            "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
             [mqtt]\nurl = \"{}\"\n[buffer]\ndir = \"{}\"\n[http]\nlisten = \"127.0.0.1:{}\"\n\
             [[source]]\nname = \"cam-1\"\nkind = \"camera\"\nfolder = \"in\"\nmodel = \"{model}\"\n\
             every = \"100ms\"\nmoved_pct = 0\nfrozen_after = \"never\"\n{zones}",
            self.broker.url(),
            self.path("buffer").display(),
            self.http,
        );
        let path = self.path("box.toml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(super) fn start(&self, config: &str) -> Running {
        let mut running = Running::start(&["run", "--config", config]);
        running.wait_for("steward runs");
        running
    }

    /// Puts a picture into the folder, as cameras do: written elsewhere, then moved.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        let whole = self.path("upload");
        fs::write(&whole, bytes).unwrap();
        fs::rename(whole, self.path("in").join(name)).unwrap();
    }

    /// Puts pictures, made of their number, until `enough`: a few a second, like a camera.
    pub(super) fn film(
        &mut self,
        mut jpeg: impl FnMut(u32) -> Vec<u8>,
        what: &str,
        mut enough: impl FnMut() -> bool,
    ) {
        for _ in 0..600 {
            if enough() {
                return;
            }
            self.pictures += 1;
            let jpeg = jpeg(self.pictures);
            self.put(&format!("{:06}.jpg", self.pictures), &jpeg);
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("still waiting for {what}");
    }

    pub(super) fn get(&self, path: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
    }

    /// A counter that there is once.
    pub(super) fn total(&self, name: &str) -> u64 {
        self.metric(|line| line.starts_with(name) && !line.starts_with('#'))
    }

    /// A counter of the camera.
    pub(super) fn count(&self, name: &str, reason: &str) -> u64 {
        self.metric(|line| {
            line.starts_with(name) && line.contains("\"cam-1\"") && line.contains(reason)
        })
    }

    fn metric(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let (_, body) = self.get("/metrics");
        let text = String::from_utf8_lossy(&body);
        let value = text.lines().find(|line| wanted(line)).and_then(|line| line.rsplit(' ').next());
        value.map_or(0, |value| value.parse().unwrap())
    }
}

pub(super) const BIN: &str = "[[source.zone]]\nname = \"bin\"\nfinds = \"bin_overflow\"\n\
    about = { lat = 31.811, lon = 119.974 }\n\
    polygon = [[0.2, 0.4], [0.6, 0.4], [0.6, 0.8], [0.2, 0.8]]\n\
    hits = [2, 3]\ndwell = \"1s\"\nclear_after = \"1s\"\nrest = \"0s\"\n";

const BAY: &str = "[[source.zone]]\nname = \"b-1\"\nfinds = \"occupancy\"\n\
    polygon = [[0.7, 0.7], [1.0, 0.7], [1.0, 1.0], [0.7, 1.0]]\n\
    [[bay]]\nid = \"b-1\"\nsource = \"cam-1\"\ndevice = \"b-1\"\noccupied_after = \"0s\"\n";

/// The street: cells of the picture, each with a colour.
pub(super) fn street(cells: &[(u32, u32, usize)]) -> Vec<u8> {
    let mut picture = swatch::picture(640, 360, cells).rgb().to_vec();
    // A fine pattern in the upper half of the last column, as a face is: people stand there in blue.
    for y in 0..90_usize {
        for x in 480..640_usize {
            let dark = (x / 3 + y / 3).is_multiple_of(2);
            for channel in 0..2 {
                let value = &mut picture[(y * 640 + x) * 3 + channel];
                *value = if dark { 0 } else { value.saturating_add(60) };
            }
        }
    }
    Picture::from_rgb(640, 360, picture).unwrap().encode(95)
}

pub(super) fn tickets<'a>(
    heard: &'a [Heard],
    category: &'a str,
) -> impl Iterator<Item = &'a Value> {
    let states =
        heard.iter().filter(|m| m.topic.contains("/ticket/") && m.topic.ends_with("/state"));
    states.map(|m| &m.json).filter(move |json| json["category"] == category)
}

#[test]
fn a_bin_that_overflows_is_one_ticket_with_a_picture_in_which_nobody_can_be_known() {
    let Some(mut street_) = Street::new() else { return };
    let config = street_.write("swatch.toml", &format!("{BIN}{BAY}"));
    let (said, wrong, code) = texts(&program::run(&["check", &config]));
    assert_eq!((code, wrong.as_str()), (0, ""), "{said}");
    let mut heard = Subscriber::start(street_.broker.port, "all", "steward/#");
    let running = street_.start(&config);
    let full = street(&[(1, 2, GREEN), (3, 3, RED), (3, 0, BLUE)]);
    street_.film(
        |_| full.clone(),
        "the ticket",
        || {
            heard.listen();
            tickets(&heard.heard, "bin_overflow").next().is_some()
        },
    );
    let ticket = tickets(&heard.heard, "bin_overflow").last().unwrap().clone();
    assert_eq!(ticket["state"], "candidate", "a person has to look first: {ticket}");
    let seen = &ticket["sources"][0]["seen"];
    assert_eq!(ticket["sources"][0]["by"], "cam-1/bin");
    assert_eq!((&seen["class"], &seen["model"]), (&json!("overflow"), &json!("swatch")));
    let weights = fs::read(street_.path("swatch.onnx")).unwrap();
    assert_eq!(seen["model_sha256"], vision::manifest::sha256(&weights));
    assert!(seen["hits"].as_u64().unwrap() >= 2, "{seen}");
    let corners: Vec<i64> =
        seen["box"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    let far = corners.iter().zip([250, 500, 500, 750]).map(|(a, b)| (a - b).abs()).max();
    assert!(far < Some(10), "{corners:?}");
    evidence(&street_, &full, ticket["sources"][0]["media"].as_str().unwrap());
    let bay = |heard: &[Heard], status: &str| {
        heard.iter().any(|m| m.topic.ends_with("/bay/b-1/state") && m.json["status"] == status)
    };
    street_.film(
        |_| full.clone(),
        "the bay",
        || {
            heard.listen();
            bay(&heard.heard, "occupied")
        },
    );
    // It is emptied; later it overflows again, and is the same case.
    let empty = street(&[(3, 0, BLUE)]);
    street_.film(
        |_| empty.clone(),
        "the end",
        || {
            heard.listen();
            tickets(&heard.heard, "bin_overflow").any(|t| t["cleared_by_sensor"] == true)
                && bay(&heard.heard, "free")
        },
    );
    let revisions = tickets(&heard.heard, "bin_overflow").count();
    street_.film(
        |_| full.clone(),
        "it to come back",
        || {
            heard.listen();
            tickets(&heard.heard, "bin_overflow").count() > revisions
        },
    );
    let ids: std::collections::BTreeSet<_> =
        tickets(&heard.heard, "bin_overflow").map(|t| t["ticket_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(tickets(&heard.heard, "camera_fault").next().is_none());
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}

/// The picture that a ticket names: on disk, served under its hash, small, and blurred where it must be.
fn evidence(street: &Street, original: &[u8], media: &str) {
    let hash = media.strip_prefix("sha256:").unwrap();
    let (head, jpeg) = street.get(&format!("/evidence/{hash}.jpg"));
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("image/jpeg"), "{head}");
    assert_eq!(vision::manifest::sha256(&jpeg), hash);
    assert_eq!(fs::read(street.path("buffer/evidence").join(format!("{hash}.jpg"))).unwrap(), jpeg);
    assert!(jpeg.len() <= 80 * 1024);
    let (head, _) = street.get(&format!("/evidence/{}.jpg", "0".repeat(64)));
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let decode = |jpeg: &[u8]| Picture::decode(jpeg, &Limits::default()).unwrap();
    // The upper third of whoever is in the last column: how restless it is, before and after.
    let head = Bounds { x1: 0.78, y1: 0.01, x2: 0.97, y2: 0.07 };
    let spread = |picture: &Picture| {
        let part = picture.crop(&head).unwrap();
        part.rgb().iter().step_by(3).max().unwrap() - part.rgb().iter().step_by(3).min().unwrap()
    };
    let (before, after) = (spread(&decode(original)), spread(&decode(&jpeg)));
    assert!(before > 50 && after < before / 2, "{before} {after}");
}

#[test]
fn whatever_is_put_into_the_folder_is_counted_and_the_box_goes_on() {
    let Some(mut street_) = Street::new() else { return };
    let config = street_.write("swatch.toml", BIN);
    let running = street_.start(&config);
    let good = street(&[]);
    let mut bomb = good.clone();
    let frame = bomb.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let long = vec![0; 9 * 1024 * 1024];
    let bad: [(&str, &[u8], &str); 6] = [
        ("a.jpg", b"", "truncated"),
        ("b.jpg", &good[..good.len() / 3], "truncated"),
        ("c.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\x02", "malformed"),
        ("d.jpg", b"<html>no camera</html>", "malformed"),
        ("e.jpg", &bomb, "out_of_range"),
        ("f.jpg", &long, "too_long"),
    ];
    for (n, (name, bytes, reason)) in bad.iter().enumerate() {
        let wanted = bad[..=n].iter().filter(|other| other.2 == *reason).count() as u64;
        street_.put(name, bytes);
        let counted = || street_.count("steward_source_rejected_total", reason) == wanted;
        assert!(soon(counted), "{name} is not counted as {reason}");
    }
    street_.put("good.jpg", &good);
    assert!(soon(|| street_.count("steward_source_pictures_looked_total", "") == 1));
    assert_eq!(fs::read_dir(street_.path("in")).unwrap().count(), 0, "everything was taken");
    // The bomb would have been 1.2 GB.
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 400_000, "{peak} kB");
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}

/// Whether something comes true while a test can wait.
pub(super) fn soon(mut true_at: impl FnMut() -> bool) -> bool {
    for _ in 0..600 {
        if true_at() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

#[test]
fn a_model_with_another_hash_is_refused_with_its_place_and_the_box_goes_on_without() {
    let Some(mut street_) = Street::new() else { return };
    let config = street_.write("swatch.toml", &format!("{BIN}{BAY}"));
    let mut weights = fs::read(street_.path("swatch.onnx")).unwrap();
    let middle = weights.len() / 2;
    weights[middle] ^= 0x10;
    fs::write(street_.path("swatch.onnx"), &weights).unwrap();
    let (_, said, code) = texts(&program::run(&["check", &config]));
    let line = fs::read_to_string(&config).unwrap();
    let line = 1 + line.lines().position(|line| line.starts_with("model")).unwrap();
    assert_eq!(code, 1);
    assert!(said.contains(&format!("box.toml:{line}:9")), "{said}");
    assert!(said.contains("swatch.onnx: its SHA-256 is"), "{said}");
    let running = street_.start(&config);
    street_.put("1.jpg", &street(&[]));
    assert!(soon(|| street_.count("steward_source_pictures_failed_total", "") == 1));
    let (head, _) = street_.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
    assert!(log.contains("a model cannot be used; the box goes on without it"), "{log}");
}

/// What a manifest or a zone can be wrong in, each with what is said.
#[test]
fn a_wrong_manifest_or_zone_is_a_fault_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    swatch::write(dir.path()).unwrap();
    let good = fs::read_to_string(dir.path().join("swatch.toml")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("bad.toml", &good.replace("\"fastestdet\"", "\"yolo\""));
    write("colour.toml", &good.replace("colour = \"rgb\"\n", ""));
    let check = |model: &str, zone: &str| check(dir.path(), model, zone);
    assert_eq!(check("swatch.toml", BIN), "");
    let cases = [
        (check("none.toml", BIN), "none.toml: cannot be read"),
        (check("bad.toml", BIN), "unknown variant `yolo`"),
        (check("colour.toml", BIN), "missing field `colour`"),
        (
            check("swatch.toml", &BIN.replace("[0.6, 0.4], [0.6, 0.8]", "[0.6, 0.8], [0.6, 0.4]")),
            "cross",
        ),
        (
            check("swatch.toml", &BIN.replace("0.2, 0.4", "0.2, 1.4")),
            "point 1 is outside the picture",
        ),
        (check("swatch.toml", &BIN.replace("[2, 3]", "[3, 2]")), "these are no hits"),
        (
            check("swatch.toml", &BIN.replace("bin_overflow\"", "exposed_litter\"")),
            "add classes = ",
        ),
        (
            check("swatch.toml", &(BIN.to_owned() + "classes = [\"overflo\"]\n")),
            "did you mean \"overflow\"?",
        ),
        (
            check("swatch.toml", &BIN.replace("{ lat = 31.811, lon = 119.974 }", "\"bin/bin-9\"")),
            "is about bin/bin-9",
        ),
        (
            check("swatch.toml", &BIN.replace("finds = \"bin_overflow\"\n", "")),
            "\"finds\" is missing",
        ),
        (check("swatch.toml", ""), "\"zone\" is missing"),
    ];
    for (said, wanted) in cases {
        assert!(said.contains(wanted) && said.contains("box.toml:"), "{wanted}: {said}");
    }
}

fn check(dir: &Path, model: &str, zone: &str) -> String {
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n[[source]]\nname = \"cam-1\"\nkind = \"camera\"\n\
         folder = \"in\"\nmodel = \"{model}\"\n{zone}[[street]]\nid = \"s\"\n\
         line = [[119.974, 31.811], [119.974, 31.812]]\n"
    );
    let path = dir.join("box.toml");
    fs::write(&path, text).unwrap();
    let (_, said, _) = texts(&program::run(&["check", path.to_str().unwrap()]));
    said
}

/// Cars of the data set, seen by its own model: one of them parks.
#[test]
fn a_car_of_the_data_set_that_stays_is_a_ticket() {
    let Some(set) = data::set("vision") else { return };
    let Some(mut street_) = Street::new() else { return };
    super::reference::manifest(&set, street_.dir.path(), "yolox_nano_416", |text| text);
    let kerb = "[[source.zone]]\nname = \"kerb\"\nfinds = \"illegal_parking\"\n\
        about = { lat = 31.811, lon = 119.974 }\n\
        polygon = [[0.0, 0.2], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]]\n\
        hits = [2, 3]\ndwell = \"1s\"\nclear_after = \"5s\"\nscore_min_pct = 50\n";
    let config = street_.write("yolox_nano_416.toml", kerb);
    let mut heard = Subscriber::start(street_.broker.port, "all", "steward/#");
    let running = street_.start(&config);
    let cars = data::read(&set, "coco/images/000000006723.jpg");
    street_.film(
        |_| cars.clone(),
        "the ticket",
        || {
            heard.listen();
            tickets(&heard.heard, "illegal_parking").next().is_some()
        },
    );
    let ticket = tickets(&heard.heard, "illegal_parking").last().unwrap();
    let seen = &ticket["sources"][0]["seen"];
    assert!(["car", "truck", "bus"].contains(&seen["class"].as_str().unwrap()), "{seen}");
    assert!(ticket["sources"][0]["media"].as_str().unwrap().starts_with("sha256:"));
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}
