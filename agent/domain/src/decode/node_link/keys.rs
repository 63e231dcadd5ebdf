//! Which nodes seal what they say, with which keys, and what of theirs was said before.
//!
//! Responsible for believing a node with a key only what carries its tag, and for recognising what somebody
//! has recorded and says again. A node repeats a report until it is acknowledged, so a repeat is not yet a
//! forgery: it is given the time of the first, and the engine drops it and has it acknowledged anew.
//!
//! What was said before is remembered for as long as the box runs. After a start the first report of a node
//! sets the mark; a recording that comes before it, and is not among the latest reports that the engine keeps
//! on disk, is believed once.

use std::collections::BTreeMap;

use wire::{Body, Frame, Heard, Key};

use crate::decode::Reason;
use crate::time::Utc;

/// How far behind the latest report of a node one may be that was never heard: what a node skips when it
/// starts (256), and what it keeps (32).
const LATE_MAX: u32 = 512;

/// So many of the latest reports may be repeated: what a node keeps unacknowledged. Older ones are recordings.
const REPEATED_MAX: usize = 32;

/// The keys of the nodes of one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<u32, Key>);

/// A line of a file of keys that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct KeyFault {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it; never the key.
    pub cause: &'static str,
}

impl Keys {
    /// Reads the keys: a node's number and 64 hexadecimal digits a line; `#` begins a comment.
    ///
    /// # Errors
    /// The first line that is neither, or gives a node a second key.
    pub fn parse(text: &str) -> Result<Keys, KeyFault> {
        let mut keys = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let words: Vec<&str> =
                text.split('#').next().unwrap_or_default().split_whitespace().collect();
            let fault = |cause| KeyFault { line, cause };
            let (node, key) = match words[..] {
                [] => continue,
                [node, key] => (node, key),
                _ => return Err(fault("not a node's number and its key")),
            };
            let node = node.parse().map_err(|_| fault("not the number of a node"))?;
            let key = Key::from_hex(key).ok_or(fault("a key is 64 hexadecimal digits"))?;
            if keys.insert(node, key).is_some() {
                return Err(fault("this node has a key already"));
            }
        }
        Ok(Keys(keys))
    }

    /// The key of a node.
    #[must_use]
    pub fn of(&self, node: u32) -> Option<&Key> {
        self.0.get(&node)
    }

    /// What `heard` says, if it is to be believed.
    pub(super) fn open(&self, heard: Heard) -> Result<Heard, Reason> {
        match heard {
            Heard::Sealed(sealed) => {
                let key = self.of(sealed.node()).ok_or(Reason::NoKey)?;
                sealed.open(key).map_err(|_| Reason::Authentication)
            }
            Heard::Frame(Frame { header, body: Body::Up(_) }) if self.of(header.node).is_some() => {
                Err(Reason::Authentication)
            }
            heard => Ok(heard),
        }
    }
}

/// The reports that a node with a key has made since the box started.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// When each of the latest was measured, by its counter: at most [`LATE_MAX`].
    reports: BTreeMap<u32, Utc>,
}

impl Said {
    /// Notes a report and answers when it was measured; `None` when it is a recording.
    pub(super) fn note(&mut self, counter: u32, at: Utc) -> Option<Utc> {
        if let Some(first) = self.reports.get(&counter) {
            let newer = self.reports.range(counter.saturating_add(1)..).count();
            return (newer < REPEATED_MAX).then_some(*first);
        }
        let latest = self.reports.last_key_value().map_or(counter, |(latest, _)| *latest);
        if latest.saturating_sub(counter) >= LATE_MAX {
            return None;
        }
        self.reports.insert(counter, at);
        let oldest = latest.max(counter).saturating_sub(LATE_MAX - 1);
        self.reports = self.reports.split_off(&oldest);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_file_of_keys() {
        let text = format!("# node  key\n17 {KEY}\n\n 21   {KEY} # the second\n");
        let keys = Keys::parse(&text).unwrap();
        assert!(keys.of(17).is_some() && keys.of(21).is_some() && keys.of(18).is_none());
        assert_eq!(Keys::parse(""), Ok(Keys::default()));
        let table = [
            (format!("\n17 {}", &KEY[1..]), 2, "a key is 64 hexadecimal digits"),
            (format!("x {KEY}"), 1, "not the number of a node"),
            ("17".to_owned(), 1, "not a node's number and its key"),
            (format!("17 {KEY}\n17 {KEY}"), 2, "this node has a key already"),
        ];
        for (text, line, cause) in table {
            let fault = Keys::parse(&text).unwrap_err();
            assert_eq!(fault, KeyFault { line, cause });
            assert!(!fault.to_string().contains("0102"), "the key is not repeated");
        }
    }

    #[test]
    fn a_repeat_keeps_its_time_and_a_recording_is_refused() {
        let at = |s: i64| Utc::from_ms(s * 1000);
        let mut said = Said::default();
        assert_eq!(said.note(100, at(0)), Some(at(0)));
        assert_eq!(said.note(100, at(9_000)), Some(at(0)), "dated as it was first");
        // After a restart of the node counters are skipped, and what waited comes later.
        assert_eq!(said.note(400, at(10)), Some(at(10)));
        assert_eq!(said.note(101, at(5)), Some(at(5)));
        for counter in 401..=440 {
            assert!(said.note(counter, at(20)).is_some());
        }
        assert_eq!(said.note(101, at(5)), None, "no node keeps it for so long");
        assert_eq!(said.note(408, at(20)), None);
        assert_eq!(said.note(409, at(99)), Some(at(20)));
        assert!(said.note(2_000, at(30)).is_some());
        assert_eq!(said.note(440, at(20)), None, "far behind");
        assert!(said.reports.len() <= 512);
        assert!(said.note(u32::MAX, at(40)).is_some());
    }
}
