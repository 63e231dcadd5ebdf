//! An independent subscriber: `mosquitto_sub`, a program that is not ours, with a session that survives
//! the broker's restarts; and the judge of what it heard.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;

use crate::program::PATIENCE;

/// A message as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Its payload as text.
    pub text: String,
    /// Its payload as JSON; null when it is empty or no JSON.
    pub json: Value,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// A subscriber that goes on until it is dropped.
#[derive(Debug)]
pub struct Subscriber {
    child: Child,
    messages: mpsc::Receiver<Heard>,
    /// Everything heard so far.
    pub heard: Vec<Heard>,
}

impl Subscriber {
    /// Subscribes to `filter` at 127.0.0.1:`port`, QoS 1, with a persistent session named `id`, and waits
    /// until the broker has granted it.
    ///
    /// # Panics
    /// `mosquitto_sub` is not installed, or the broker does not answer.
    #[must_use]
    pub fn start(port: u16, id: &str, filter: &str) -> Subscriber {
        // Line by line, although it writes into a pipe.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-i", id, "-c", "-q", "1", "-d"])
            .args(["-t", filter, "-F", "%j"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub comes with mosquitto-clients");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, messages) = mpsc::channel();
        let (ready, granted) = mpsc::channel();
        std::thread::spawn(move || {
            // A payload that is no text is no message for it, and no end either.
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if line.starts_with("Subscribed") {
                    // Told again after every reconnect; nobody listens then.
                    let _ = ready.send(());
                }
                if let Some(message) = parse(&line)
                    && tell.send(message).is_err()
                {
                    return;
                }
            }
        });
        granted.recv_timeout(PATIENCE).expect("the broker grants the subscription");
        Subscriber { child, messages, heard: vec![] }
    }

    /// Listens until `enough` says so of everything heard.
    ///
    /// # Panics
    /// It does not come to that in time.
    #[allow(clippy::disallowed_methods, reason = "the patience of a test is real time")]
    pub fn wait_until(&mut self, what: &str, mut enough: impl FnMut(&[Heard]) -> bool) {
        // In all: a box that goes on talking of something else does not put off the end.
        let until = Instant::now() + PATIENCE;
        while !enough(&self.heard) {
            let left = until.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(message) => self.heard.push(message),
                Err(_) => panic!("still waiting for {what} after {} messages", self.heard.len()),
            }
        }
    }

    /// Takes what has come meanwhile.
    pub fn listen(&mut self) {
        self.heard.extend(self.messages.try_iter());
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Ended already, or to be ended now: both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Option<Heard> {
    let outer: Value = serde_json::from_str(line).ok()?;
    let text = outer["payload"].as_str().unwrap_or_default().to_owned();
    Some(Heard {
        topic: outer["topic"].as_str()?.to_owned(),
        json: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        retained: outer["retain"].as_i64() == Some(1),
    })
}

/// What a consumer can prove about the messages of one box.
#[derive(Debug, Default)]
pub struct Proof {
    /// Sequence numbers heard, by lane.
    pub seqs: BTreeMap<String, BTreeSet<u64>>,
    /// Messages that came more than once, by id.
    pub repeated: usize,
    /// What must never be.
    pub faults: Vec<String>,
}

/// Judges everything heard live: ids once (a repeat must be the same message), sequence numbers from 1 on
/// without a gap in every lane.
#[must_use]
pub fn prove(heard: &[Heard]) -> Proof {
    let mut proof = Proof::default();
    let mut by_seq: BTreeMap<(String, u64), Value> = BTreeMap::new();
    let mut replies = BTreeSet::new();
    for message in heard.iter().filter(|m| !m.retained) {
        let (Some(lane), Some(seq)) = (message.json["lane"].as_str(), message.json["seq"].as_u64())
        else {
            continue;
        };
        let mut content = message.json.clone();
        if let Value::Object(fields) = &mut content {
            fields.remove("replay");
        }
        let key = (lane.to_owned(), seq);
        match by_seq.get(&key) {
            Some(before) if *before == content => proof.repeated += 1,
            Some(before) => {
                proof.faults.push(format!(
                    "{lane} {seq} was told twice, differently:\n{before}\n{content}"
                ));
            }
            None => {
                if message.topic.contains("/reply/") {
                    // Its id is the command's, and a command can be answered several times.
                    replies.insert(key.clone());
                }
                by_seq.insert(key, content);
                proof.seqs.entry(lane.to_owned()).or_default().insert(seq);
            }
        }
    }
    let mut ids = BTreeSet::new();
    for ((lane, seq), content) in by_seq.iter().filter(|(key, _)| !replies.contains(*key)) {
        let id = content["id"].as_str().unwrap_or_default();
        if !ids.insert(id.to_owned()) {
            proof.faults.push(format!("{lane} {seq} has the id {id:?} of another message"));
        }
    }
    for (lane, seqs) in &proof.seqs {
        let missing: Vec<u64> =
            (1..=seqs.last().copied().unwrap_or(0)).filter(|n| !seqs.contains(n)).collect();
        if !missing.is_empty() {
            proof.faults.push(format!("{lane} lacks {missing:?}"));
        }
    }
    proof
}
