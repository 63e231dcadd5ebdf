//! The picture of a finding over MQTT: on demand, in parts, for those who may, and never instead of a
//! ticket.
#![allow(clippy::disallowed_methods, reason = "a camera makes pictures at a pace")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};
use system_tests::program::PATIENCE;
use system_tests::publisher;
use system_tests::subscriber::Subscriber;

use super::street::{BIN, GREEN, Street, street, tickets};

const P: &str = "steward/v1/longcheng/xuejia/xj-1";

/// Hears parts of pictures as they are: bytes.
struct Parts {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Parts {
    fn start(port: u16) -> Parts {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port.to_string(), "-d"])
            .args(["-q", "1", "-t", &format!("{P}/evidence/#"), "-F", "%t %x"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub comes with mosquitto-clients");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if (line.starts_with("Subscribed") || line.starts_with(P))
                    && tell.send(line).is_err()
                {
                    return;
                }
            }
        });
        lines.recv_timeout(PATIENCE).expect("the broker grants the subscription");
        Parts { child, lines }
    }

    /// The picture with this hash, put together, and the size of its largest part.
    fn picture(&self, hash: &str) -> (Vec<u8>, usize) {
        let mut parts = BTreeMap::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a part comes");
            let (topic, hex) = line.split_once(' ').unwrap();
            let rest = topic.strip_prefix(&format!("{P}/evidence/{hash}/")).expect("its own topic");
            let (n, of) = rest.split_once('/').unwrap();
            let (n, of): (usize, usize) = (n.parse().unwrap(), of.parse().unwrap());
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            parts.insert(n, (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>());
            if parts.len() == of {
                let most = parts.values().map(Vec::len).max().unwrap();
                return (parts.into_values().flatten().collect(), most);
            }
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Ended already, or to be ended now: both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for a picture and waits for the last word on it.
fn ask(heard: &mut Subscriber, port: u16, id: &str, by: &str, sha256: &str) -> Value {
    let command = json!({"id": id, "by": by, "args": {"sha256": sha256}});
    publisher::publish(port, &format!("{P}/cmd/evidence"), &command);
    let last = |json: &Value| json["id"] == id && json["state"] != "received";
    let reply = format!("{P}/reply/{by}");
    let what = format!("the answer to {id}");
    heard.wait_until(&what, |all| all.iter().any(|m| m.topic == reply && last(&m.json)));
    let all = &heard.heard;
    all.iter().rfind(|m| m.topic == reply && last(&m.json)).unwrap().json.clone()
}

#[test]
fn a_picture_comes_over_mqtt_to_those_who_may_ask_for_it_in_parts_and_one_at_a_time() {
    let Some(mut street_) = Street::new() else { return };
    let allow = "[[allow]]\nby = [\"duty-*\"]\ncommands = [\"evidence\"]\n\
                 [[allow]]\nby = [\"*\"]\ncommands = [\"ticket.*\", \"ping\"]\n";
    let config = street_.write("swatch.toml", &format!("{BIN}{allow}"));
    let port = street_.broker.port;
    let mut heard = Subscriber::start(port, "all", &format!("{P}/+/#"));
    let parts = Parts::start(port);
    let running = street_.start(&config);
    let full = street(&[(1, 2, GREEN), (3, 3, 0)]);
    street_.film(
        |_| full.clone(),
        "the ticket",
        || {
            heard.listen();
            tickets(&heard.heard, "bin_overflow").next().is_some()
        },
    );
    let ticket = tickets(&heard.heard, "bin_overflow").last().unwrap().clone();
    let media = ticket["sources"][0]["media"].as_str().unwrap().to_owned();
    let hash = media.strip_prefix("sha256:").unwrap();
    let denied = ask(&mut heard, port, "c-1", "crew-1", &media);
    assert_eq!(denied["error"]["code"], "denied", "{denied}");
    let unknown = ask(&mut heard, port, "c-2", "duty-1", &"0".repeat(64));
    let said = unknown["error"]["msg"].as_str().unwrap();
    assert!(said.contains("no such picture is kept"), "{unknown}");
    let wrong = ask(&mut heard, port, "c-3", "duty-1", "../../core");
    assert_eq!(wrong["error"]["code"], "invalid", "{wrong}");
    let done = ask(&mut heard, port, "c-4", "duty-1", &media);
    assert_eq!((&done["state"], &done["result"]["sha256"]), (&json!("done"), &json!(hash)));
    let (picture, largest) = parts.picture(hash);
    assert_eq!(vision::manifest::sha256(&picture), hash);
    assert_eq!(done["result"]["bytes"], picture.len());
    assert!(largest <= 8 * 1024, "{largest}");
    let kept = fs::read(street_.path("buffer/evidence").join(format!("{hash}.jpg"))).unwrap();
    assert_eq!(picture, kept, "what was redacted and kept, and nothing else");
    let again = ask(&mut heard, port, "c-5", "duty-1", &media);
    assert!(again["error"]["msg"].as_str().unwrap().contains("one picture in 10 s"), "{again}");
    // The same command again is answered, and not done again.
    let repeated = ask(&mut heard, port, "c-4", "duty-1", &media);
    assert_eq!(repeated["state"], "done");
    assert!(parts.lines.try_recv().is_err(), "nobody got more than was asked for");
    let counted = street_.total("steward_uplink_picture_parts_total");
    assert_eq!(counted, done["result"]["parts"].as_u64().unwrap());
    let (status, log) = running.terminate();
    assert!(status.success(), "{log}");
}
