//! Messages that cannot be delivered, kept as files to be looked at: `<buffer.dir>/undelivered/`.
//!
//! A message comes here when it is too large for the broker, has no topic that MQTT allows, was refused
//! for what it says, or kills every connection. It is in a file, durably, before the outbox lets go of it.
//! At most [`FILES_MAX`] files of [`BYTES_MAX`] bytes together: when there is no room, the oldest go, and
//! that is counted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::output::Lane;
use serde_json::{Value, json};

use crate::outbox::{DropReason, Key};

/// The directory inside the buffer's.
const DIR: &str = "undelivered";
/// Files at most.
const FILES_MAX: usize = 200;
/// Bytes of all files at most.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A message that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) key: Key,
    pub(super) topic: &'a str,
    pub(super) retain: bool,
    pub(super) payload: &'a [u8],
    pub(super) reason: DropReason,
    /// When it was given up, RFC 3339.
    pub(super) at: &'a str,
}

/// Where they are kept.
#[derive(Debug)]
pub(super) struct Letters {
    dir: PathBuf,
    count: usize,
}

impl Letters {
    /// Below the buffer's directory `dir`; what is there already is counted.
    pub(super) fn below(dir: &Path) -> Letters {
        let mut letters = Letters { dir: dir.join(DIR), count: 0 };
        // A directory that cannot be read holds nothing for us; writing to it says why.
        letters.count = letters.all().map_or(0, |all| all.len());
        letters
    }

    /// Writes a letter so that it is still there when the power fails. Answers how many older ones had
    /// to go for it.
    ///
    /// # Errors
    /// The disk says so; the message must stay where it is.
    pub(super) fn keep(&mut self, letter: Letter<'_>) -> io::Result<u64> {
        fs::create_dir_all(&self.dir)?;
        let name = name(letter.key);
        let bytes = letter.encode();
        let gone = self.make_room(bytes.len() as u64)?;
        let draft = self.dir.join(".draft");
        let mut file = File::create(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, self.dir.join(name))?;
        File::open(&self.dir)?.sync_all()?;
        self.count = self.all()?.len();
        Ok(gone)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Every letter with its size, oldest first.
    fn all(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            other => other?,
        };
        let mut all = vec![];
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let about = fs::metadata(&path)?;
                all.push((about.modified()?, path, about.len()));
            }
        }
        all.sort();
        Ok(all.into_iter().map(|(_, path, bytes)| (path, bytes)).collect())
    }

    fn make_room(&self, bytes: u64) -> io::Result<u64> {
        let all = self.all()?;
        let mut left = all.len();
        let mut sum: u64 = all.iter().map(|(_, bytes)| bytes).sum();
        let mut gone = 0;
        for (path, size) in all {
            if left < FILES_MAX && sum + bytes <= BYTES_MAX {
                break;
            }
            fs::remove_file(&path)?;
            tracing::error!(path = %path.display(), "an undelivered message made room for a newer one");
            (left, sum, gone) = (left - 1, sum - size, gone + 1);
        }
        Ok(gone)
    }
}

fn name(key: Key) -> String {
    let (lane, position) = (key.lane.as_str(), key.position);
    match position.sub {
        0 => format!("{lane}-{}.json", position.seq),
        sub => format!("{lane}-{}-{sub}.json", position.seq),
    }
}

impl Letter<'_> {
    /// JSON; the payload as text where it is text, otherwise in base64.
    fn encode(&self) -> Vec<u8> {
        let lane: Lane = self.key.lane;
        let mut object = json!({
            "topic": self.topic, "retain": self.retain, "reason": self.reason, "at": self.at,
            "lane": lane, "seq": self.key.position.seq,
        });
        let (key, payload) = match std::str::from_utf8(self.payload) {
            Ok(text) => ("payload", text.to_owned()),
            Err(_) => {
                use base64::Engine as _;
                ("payload_base64", base64::engine::general_purpose::STANDARD.encode(self.payload))
            }
        };
        object[key] = Value::String(payload);
        object.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Position;

    fn letter(seq: u64, payload: &[u8]) -> Letter<'_> {
        let position = Position { seq, sub: 0 };
        Letter {
            key: Key { lane: Lane::Ticket, position },
            topic: "steward/v1/t/s/b/ticket/t-1/event",
            retain: false,
            payload,
            reason: DropReason::Poison,
            at: "2026-06-04T04:00:00Z",
        }
    }

    #[test]
    fn a_letter_can_be_read_by_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = Letters::below(dir.path());
        assert_eq!(letters.count(), 0);
        assert_eq!(letters.keep(letter(7, br#"{"a":1}"#)).unwrap(), 0);
        letters.keep(letter(8, &[0xff, 0])).unwrap();
        let read = |name: &str| -> Value {
            let bytes = fs::read(dir.path().join(DIR).join(name)).unwrap();
            serde_json::from_slice(&bytes).unwrap()
        };
        let seven = read("ticket-7.json");
        assert_eq!((&seven["payload"], &seven["reason"]), (&json!(r#"{"a":1}"#), &json!("poison")));
        assert_eq!((&seven["lane"], &seven["seq"]), (&json!("ticket"), &json!(7)));
        assert_eq!(read("ticket-8.json")["payload_base64"], json!("/wA="));
        assert_eq!(letters.count(), 2);
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = Letters::below(dir.path());
        let mut gone = 0;
        for seq in 0..FILES_MAX as u64 + 5 {
            gone += letters.keep(letter(seq, b"x")).unwrap();
        }
        assert_eq!((letters.count(), gone), (FILES_MAX, 5));
        let large = vec![b'x'; usize::try_from(BYTES_MAX).unwrap() - 1000];
        gone += letters.keep(letter(1000, &large)).unwrap();
        assert!(letters.count() < 10, "{}", letters.count());
        assert_eq!(letters.count() as u64 + gone, FILES_MAX as u64 + 6);
    }

    #[test]
    fn a_disk_that_takes_nothing_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(DIR), "in the way").unwrap();
        assert!(Letters::below(dir.path()).keep(letter(1, b"x")).is_err());
    }
}
