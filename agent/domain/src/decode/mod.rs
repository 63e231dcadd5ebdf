//! From bytes to [`Sample`]s, or to a rejection with a reason that is counted.
//!
//! A decoder is pure: it is fed what arrived and answers with what it means. Streams (a tty) may be cut
//! anywhere; messages (MQTT) arrive whole. The same decoders serve the live sources and `steward replay`.

pub mod can;
pub mod gnss;
pub mod gpsd;
pub mod json;
pub mod jt808;
mod lines;
pub mod lorawan;
pub mod measure;
pub mod modbus;
pub mod nmea;
pub mod node_link;
mod ubx;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::Sample;
use crate::time::Utc;

/// What arrived from outside, as a source received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'a> {
    /// A piece of a byte stream, cut anywhere.
    Bytes(&'a [u8]),
    /// A whole MQTT message.
    Mqtt {
        /// The topic it came on.
        topic: &'a str,
        /// Its payload.
        payload: &'a [u8],
    },
}

/// Why something that arrived did not become a sample. Each is a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The checksum or CRC does not fit.
    Checksum,
    /// No checksum where one is required.
    NoChecksum,
    /// Not the form it should have.
    Malformed,
    /// Longer than anything the protocol allows.
    TooLong,
    /// Ended too early.
    Truncated,
    /// A version of the format that this program does not know.
    Version,
    /// Not JSON.
    Json,
    /// JSON without a field it must have, or with a wrong one.
    Field,
    /// A topic that this source does not read.
    Topic,
    /// No codec is known for the device.
    Codec,
    /// The codec does not read this port.
    Port,
    /// The payload is not what the codec expects.
    Payload,
    /// The same report was already taken.
    Duplicate,
    /// No asset belongs to this device.
    UnknownDevice,
    /// The value is outside what can be.
    OutOfRange,
    /// The time is impossible: before the program was built, or too far in the future.
    Time,
    /// The receiver says itself that the position is void.
    Void,
    /// The device answers for another one, or its tag is not the one of its key.
    Authentication,
    /// Something that needs a key, and none is known: a personal id to make a pseudonym of, a sealed frame.
    NoKey,
}

impl Reason {
    /// The counter's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Checksum => "checksum",
            Reason::NoChecksum => "no_checksum",
            Reason::Malformed => "malformed",
            Reason::TooLong => "too_long",
            Reason::Truncated => "truncated",
            Reason::Version => "version",
            Reason::Json => "json",
            Reason::Field => "field",
            Reason::Topic => "topic",
            Reason::Codec => "codec",
            Reason::Port => "port",
            Reason::Payload => "payload",
            Reason::Duplicate => "duplicate",
            Reason::UnknownDevice => "unknown_device",
            Reason::OutOfRange => "out_of_range",
            Reason::Time => "time",
            Reason::Void => "void",
            Reason::Authentication => "authentication",
            Reason::NoKey => "no_key",
        }
    }
}

/// What a source has seen since the start: the counters behind `health`, `doctor` and `replay --summary`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Bytes received.
    pub bytes: u64,
    /// Frames, sentences or messages that were whole and had the right check sum.
    pub frames: u64,
    /// What was refused, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Samples made.
    pub samples: u64,
    /// The time of the first sample.
    pub first_at: Option<Utc>,
    /// The time of the latest sample.
    pub last_at: Option<Utc>,
}

impl Tally {
    /// Counts one refusal.
    pub fn reject(&mut self, reason: Reason) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    /// Counts one sample, dated `at`.
    pub fn sample(&mut self, at: Option<Utc>) {
        self.samples += 1;
        if let Some(at) = at {
            self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
            self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
        }
    }

    /// Adds what another decoder of the same source counted.
    pub fn add(&mut self, other: &Tally) {
        self.bytes += other.bytes;
        self.frames += other.frames;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += count;
        }
        self.samples += other.samples;
        self.first_at = self.first_at.into_iter().chain(other.first_at).min();
        self.last_at = self.last_at.into_iter().chain(other.last_at).max();
    }

    /// All refusals together.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// The most similar of the names that are known, for the answer to one that is not.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default()
}

/// Reads one kind of source.
pub trait Decode {
    /// Takes what arrived at `received` and appends what it means to `samples`. Never fails: what
    /// cannot be read is counted in the tally.
    fn feed(&mut self, raw: Raw<'_>, received: Utc, samples: &mut Vec<Sample>);

    /// The input has ended (end of a file, tty gone): gives out what was held back.
    fn finish(&mut self, samples: &mut Vec<Sample>);

    /// The counters.
    fn tally(&self) -> &Tally;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let tally = |at: Option<i64>, reasons: &[Reason]| {
            let mut tally = Tally { bytes: 10, frames: 2, ..Tally::default() };
            reasons.iter().for_each(|reason| tally.reject(*reason));
            tally.sample(at.map(Utc::from_ms));
            tally
        };
        let mut sum = tally(None, &[Reason::Json]);
        sum.add(&tally(Some(5), &[]));
        assert_eq!((sum.first_at, sum.last_at), (Some(Utc::from_ms(5)), Some(Utc::from_ms(5))));
        sum.add(&tally(Some(3), &[Reason::Json, Reason::Time]));
        let expected = Tally {
            bytes: 30,
            frames: 6,
            rejected: [(Reason::Json, 2), (Reason::Time, 1)].into(),
            samples: 3,
            first_at: Some(Utc::from_ms(3)),
            last_at: Some(Utc::from_ms(5)),
        };
        assert_eq!(sum, expected);
    }
}
