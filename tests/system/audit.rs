//! `steward audit` against a broker: what it proves, and how it ends.

use std::time::Duration;

use serde_json::Value;
use system_tests::broker::{Offer, ScriptedBroker, Temper};
use system_tests::program::{run, texts};

const PATIENCE: Duration = Duration::from_secs(60);

fn offer(seq: u64) -> Offer {
    let payload = format!(r#"{{"id":"box-event-{seq}","boot":1,"lane":"event","seq":{seq}}}"#);
    let topic = "steward/v1/t/s/box/bay/b-1/event".to_owned();
    Offer { topic, payload: payload.into_bytes(), retain: false }
}

/// What the audit says when it hears these numbers.
async fn audited(numbers: &[u64]) -> (Value, i32) {
    let broker = ScriptedBroker::start(1, Temper::default()).await.unwrap();
    let url = format!("mqtt://{}", broker.addr());
    let audit = tokio::task::spawn_blocking(move || {
        texts(&run(&["audit", "--broker", &url, "--for", "3s", "--json"]))
    });
    assert!(broker.wait(PATIENCE, |seen| seen.filters.contains("steward/v1/#")).await);
    for seq in numbers {
        broker.offer(offer(*seq));
    }
    let (stdout, stderr, code) = audit.await.unwrap();
    let sessions: Vec<bool> = broker.look(|seen| seen.clients.iter().map(|c| c.1).collect());
    assert_eq!(sessions, [false, true], "the session is taken away at the end");
    (serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")), code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_whole_is_proved_and_one_that_is_not_is_told_with_its_gap() {
    let all: Vec<u64> = (100..300).collect();
    let (whole, code) = audited(&all).await;
    assert_eq!((code, &whole["complete"]), (0, &true.into()));
    assert_eq!(whole["lanes"][0][2]["messages"], 200);

    let with_gap: Vec<u64> = all.into_iter().filter(|seq| *seq != 107).collect();
    let (torn, code) = audited(&with_gap).await;
    assert_eq!((code, &torn["complete"]), (1, &false.into()));
    assert_eq!(torn["lanes"][0][2]["gaps"][0]["from"], 107);
}

#[test]
fn silence_a_wrong_url_and_a_broker_that_is_away_end_as_they_should() {
    let (_, stderr, code) = texts(&run(&["audit", "--broker", "localhost"]));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("no scheme"), "{stderr}");
    let (_, stderr, code) =
        texts(&run(&["audit", "--broker", "mqtt://127.0.0.1:1", "--for", "1s"]));
    assert_eq!(code, 70, "{stderr}");
    assert!(stderr.contains("nobody listens"), "{stderr}");
    let (_, _, code) = texts(&run(&["audit"]));
    assert_eq!(code, 2);
}
