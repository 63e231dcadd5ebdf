//! How often a source is heard, learned from itself; and which of its devices have fallen silent.
//!
//! A device is silent once it has not been heard for three times its longest usual pause. The longest
//! pause is remembered and fades by a sixteenth with every report, so that a sensor that speaks only
//! when something changes is given its nights, and one that speaks every minute is missed soon. What
//! silence means for an asset is decided in the core, by `stale_after`; this is for the people who look
//! after the box. Knows no clock: every call is given the time.

use std::collections::BTreeMap;

use domain::ids::DeviceKey;
use domain::time::{Monotonic, Span, Utc};

/// Devices whose rhythm is kept. Full: a further one is counted as untracked and not kept.
const DEVICES_MAX: usize = 4096;
/// So many reports of a device before its rhythm is believed.
const LEARNED_AFTER: u64 = 4;
/// Nothing is silent sooner than this.
const SILENT_MIN: Span = Span::from_secs(60);
/// So many times the longest usual pause is silence.
const PAUSES: u64 = 3;
/// Names of silent devices that are shown; all are counted.
const SHOWN_MAX: usize = 20;
/// The length of time over which reports are counted for the rate.
const WINDOW: Span = Span::from_secs(60);

/// What is shown of a rhythm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// When anything was heard last.
    pub last: Option<Utc>,
    /// Samples in the last whole minute.
    pub per_minute: u64,
    /// The longest usual pause of the source as a whole, once it is known.
    pub pause: Option<Span>,
    /// Whether the source as a whole has fallen silent.
    pub silent: bool,
    /// The devices that have fallen silent: the first 20 by name.
    pub silent_devices: Vec<DeviceKey>,
    /// How many they are.
    pub silent_count: u64,
    /// Reports of devices that are more than can be kept.
    pub untracked: u64,
}

/// The rhythm of a source and of each of its devices.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    whole: Beat,
    devices: BTreeMap<DeviceKey, Beat>,
    last: Option<Utc>,
    /// When the present window began, and what was counted in it.
    window: Option<(Monotonic, u64)>,
    per_minute: u64,
    untracked: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Beat {
    last: Option<Monotonic>,
    pause: Span,
    reports: u64,
}

impl Beat {
    fn hear(&mut self, now: Monotonic) {
        if let Some(last) = self.last {
            let faded = Span::from_ms(self.pause.as_ms() - self.pause.as_ms() / 16);
            self.pause = faded.max(now.since(last));
        }
        self.last = Some(now);
        self.reports += 1;
    }

    fn learned(&self) -> Option<Span> {
        (self.reports >= LEARNED_AFTER).then_some(self.pause)
    }

    fn is_silent(&self, now: Monotonic) -> bool {
        let (Some(last), Some(pause)) = (self.last, self.learned()) else { return false };
        now.since(last) > pause.saturating_mul(PAUSES).max(SILENT_MIN)
    }
}

impl Rhythm {
    /// A sample of `device` came.
    pub(super) fn hear(&mut self, device: Option<&DeviceKey>, now: Monotonic, utc: Utc) {
        self.last = Some(utc);
        self.turn(now);
        if let Some((_, count)) = &mut self.window {
            *count += 1;
        }
        self.whole.hear(now);
        let Some(device) = device else { return };
        if let Some(beat) = self.devices.get_mut(device) {
            beat.hear(now);
        } else if self.devices.len() < DEVICES_MAX {
            self.devices.entry(device.clone()).or_default().hear(now);
        } else {
            self.untracked += 1;
        }
    }

    /// Begins a new window when the present one is over.
    fn turn(&mut self, now: Monotonic) {
        let (began, count) = *self.window.get_or_insert((now, 0));
        let passed = now.since(began);
        if passed >= WINDOW {
            // After a longer pause the last whole minute was empty.
            self.per_minute = if passed < WINDOW.saturating_mul(2) { count } else { 0 };
            self.window = Some((now, 0));
        }
    }

    /// What is to be shown now.
    pub(super) fn heard(&mut self, now: Monotonic) -> Heard {
        self.turn(now);
        let silent = self.devices.iter().filter(|(_, beat)| beat.is_silent(now));
        Heard {
            last: self.last,
            per_minute: self.per_minute,
            pause: self.whole.learned(),
            silent: self.whole.is_silent(now),
            silent_devices: silent.clone().take(SHOWN_MAX).map(|(name, _)| name.clone()).collect(),
            silent_count: silent.count() as u64,
            untracked: self.untracked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Monotonic {
        Monotonic::from_ms(s * 1000)
    }

    fn device(name: &str) -> DeviceKey {
        DeviceKey::new(name).unwrap()
    }

    #[test]
    fn a_regular_device_is_missed_after_three_pauses() {
        let mut rhythm = Rhythm::default();
        let (one, other) = (device("1"), device("2"));
        for minute in 0..10 {
            rhythm.hear(Some(&one), at(minute * 60), Utc::from_ms(7));
            rhythm.hear(Some(&other), at(minute * 60), Utc::from_ms(7));
        }
        for second in [600, 660, 719] {
            rhythm.hear(Some(&other), at(second), Utc::from_ms(8));
        }
        let heard = rhythm.heard(at(720));
        assert_eq!(
            (heard.silent, heard.silent_count, heard.last),
            (false, 0, Some(Utc::from_ms(8)))
        );
        let heard = rhythm.heard(at(721));
        assert_eq!(heard.silent_devices, [one]);
        assert!(!heard.silent, "the other one still speaks");
        assert!(rhythm.heard(at(1200)).silent);
    }

    #[test]
    fn a_device_that_speaks_on_change_is_given_its_nights() {
        let mut rhythm = Rhythm::default();
        let bay = device("b");
        // By day every five minutes, and eight hours of quiet.
        for start in [0, 20 * 3600] {
            for turn in 0..40 {
                rhythm.hear(Some(&bay), at(start + turn * 300), Utc::from_ms(0));
            }
        }
        // The night before has faded to a fair share of it.
        let after = 20 * 3600 + 39 * 300;
        assert_eq!(rhythm.heard(at(after + 4000)).silent_count, 0);
        assert_eq!(rhythm.heard(at(after + 4 * 86_400)).silent_count, 1);
    }

    #[test]
    fn nothing_is_silent_before_it_is_known() {
        let mut rhythm = Rhythm::default();
        for second in 0..3 {
            rhythm.hear(None, at(second), Utc::from_ms(0));
        }
        let heard = rhythm.heard(at(86_400));
        assert_eq!((heard.silent, heard.pause), (false, None));
    }

    #[test]
    fn the_rate_is_that_of_the_last_whole_minute() {
        let mut rhythm = Rhythm::default();
        for second in 0..60 {
            rhythm.hear(None, at(second), Utc::from_ms(0));
        }
        assert_eq!(rhythm.heard(at(60)).per_minute, 60);
        assert_eq!(rhythm.heard(at(119)).per_minute, 60);
        assert_eq!(rhythm.heard(at(120)).per_minute, 0);
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_counted() {
        let mut rhythm = Rhythm::default();
        for number in 0..DEVICES_MAX + 5 {
            rhythm.hear(Some(&device(&number.to_string())), at(0), Utc::from_ms(0));
        }
        assert_eq!((rhythm.devices.len(), rhythm.heard(at(0)).untracked), (DEVICES_MAX, 5));
    }
}
