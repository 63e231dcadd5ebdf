//! What the link may send: [`super::meter`] with its settings, and the day's count on disk.
//!
//! The count is written every [`SAVE_EVERY`] beats at most, and at a stop, and only where the settings
//! limit a day: a box that is switched off and on gets no second budget, and the card is spared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::output::Lane;
use domain::time::Utc;

use super::meter::{Bucket, DayBytes};
use crate::config::Traffic;

/// The file in the buffer's directory.
const FILE: &str = "day-bytes.json";
/// Beats between two writes.
const SAVE_EVERY: u32 = 600;

#[derive(Debug)]
pub(super) struct Allowance {
    bucket: Bucket,
    day_max: Option<u64>,
    day: DayBytes,
    saved: DayBytes,
    beats: u32,
    path: PathBuf,
}

impl Allowance {
    /// With what is known of the day from the file below `dir`. A file that cannot be read counts as
    /// none, which is said in the log.
    pub(super) fn open(traffic: &Traffic, dir: &Path, now: Utc) -> Allowance {
        let path = dir.join(FILE);
        let mut day = DayBytes::at(now.as_ms());
        if traffic.day_bytes.is_some()
            && let Some(stored) = read(&path)
        {
            day = stored;
            day.turn(now.as_ms());
        }
        let bucket = Bucket::new(traffic.replay);
        Allowance { bucket, day_max: traffic.day_bytes, day, saved: day, beats: 0, path }
    }

    /// A second has passed.
    pub(super) fn beat(&mut self, now: Utc) {
        self.bucket.fill();
        self.day.turn(now.as_ms());
        self.beats += 1;
        if self.beats >= SAVE_EVERY {
            self.save();
        }
    }

    /// Whether a message of `lane` may be sent, `replay`: late.
    pub(super) fn allows(&self, lane: Lane, replay: bool) -> bool {
        (!replay || self.bucket.allows()) && self.allows_lane(lane)
    }

    /// Whether the day has something left for `lane`.
    pub(super) fn allows_lane(&self, lane: Lane) -> bool {
        self.day_max.is_none_or(|max| self.day.allows(lane, max))
    }

    /// A packet of `bytes` was sent.
    pub(super) fn spend(&mut self, bytes: u64, replay: bool) {
        self.day.spend(bytes);
        if replay {
            self.bucket.spend(bytes);
        }
    }

    /// Bytes of packets that were sent today.
    pub(super) fn spent(&self) -> u64 {
        self.day.spent
    }

    /// Writes the day's count, where it is limited and has changed.
    pub(super) fn save(&mut self) {
        self.beats = 0;
        if self.day_max.is_none() || self.day == self.saved {
            return;
        }
        match write(&self.path, self.day) {
            Ok(()) => self.saved = self.day,
            // Sending is what the box is for; the count goes on in memory.
            Err(error) => tracing::warn!(error = %error, "the day's bytes cannot be stored"),
        }
    }
}

fn read(path: &Path) -> Option<DayBytes> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        other => other.map_err(|e| e.to_string()),
    };
    let day = bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    day.inspect_err(|error| {
        tracing::warn!(path = %path.display(), error, "the day's bytes are counted from nothing");
    })
    .ok()
}

/// Whole or not at all; not synced, for a count that is a little old does no harm.
fn write(path: &Path, day: DayBytes) -> io::Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, serde_json::to_vec(&day)?)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn traffic(day_bytes: Option<u64>) -> Traffic {
        Traffic { replay: Rate { messages: 2, bytes: 1000 }, day_bytes, ..Traffic::default() }
    }

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    #[test]
    fn a_restart_gives_no_second_budget_and_a_new_day_does() {
        let dir = tempfile::tempdir().unwrap();
        let morning = utc("2026-06-04T04:00:00Z");
        let open = |at| Allowance::open(&traffic(Some(1000)), dir.path(), at);
        let mut allowance = open(morning);
        allowance.spend(900, false);
        assert!(allowance.allows(Lane::Event, false) && !allowance.allows(Lane::Telemetry, false));
        allowance.save();
        assert_eq!(open(morning).spent(), 900);
        assert_eq!(open(utc("1970-01-01T00:00:00Z")).spent(), 900, "the clock forgot the date");
        assert_eq!(open(utc("2026-06-05T00:00:00Z")).spent(), 0);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(open(morning).spent(), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut allowance = Allowance::open(&traffic(None), dir.path(), Utc::from_ms(0));
        for _ in 0..=SAVE_EVERY {
            allowance.spend(1 << 40, false);
            allowance.beat(Utc::from_ms(0));
        }
        assert!(allowance.allows_lane(Lane::Telemetry));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_what_is_late_waits_for_the_next_second() {
        let dir = tempfile::tempdir().unwrap();
        let mut allowance = Allowance::open(&traffic(None), dir.path(), Utc::from_ms(0));
        allowance.spend(10, true);
        allowance.spend(10, true);
        assert!(!allowance.allows(Lane::Ticket, true) && allowance.allows(Lane::Ticket, false));
        allowance.beat(Utc::from_ms(1000));
        assert!(allowance.allows(Lane::Ticket, true));
    }
}
