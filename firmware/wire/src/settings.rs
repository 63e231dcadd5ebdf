//! How a node works: sent down by the agent, stored by the node.
//!
//! The ranges stand here and nowhere else, so that the agent cannot send what the node would refuse.

use core::ops::RangeInclusive;

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// All settings of a node. Every node has all of them and uses those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Settings {
    /// Chosen by the sender, told back in every hello; 0 is what the node was made with.
    pub revision: u16,
    /// Seconds of silence after which a node reports its state although nothing has changed, 60 to
    /// 86 400.
    pub keep_alive_s: u32,
    /// Seconds between battery reports, 3600 to 2 592 000 (30 days).
    pub battery_s: u32,
    /// For bays.
    pub bay: BaySettings,
    /// For bins.
    pub bin: BinSettings,
}

/// How a bay node recognises a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct BaySettings {
    /// Milliseconds between two readings of the magnetometer, 20 to 5000.
    pub sample_ms: u16,
    /// From this distance to the empty bay's field on, something may stand there: nanotesla, 1000 to
    /// 50 000.
    pub arrive_nt: u16,
    /// Below this distance the bay may be empty: nanotesla, at least 500 and less than `arrive_nt`.
    pub leave_nt: u16,
    /// A field that varies by more than this over the last eight readings belongs to something that
    /// moves: nanotesla from lowest to highest, 200 to 20 000.
    pub moving_nt: u16,
    /// Milliseconds for which the field must keep still before a new state counts, 500 to 60 000.
    pub settle_ms: u16,
}

/// How a bin node measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct BinSettings {
    /// Seconds between two measurements, 10 to 86 400.
    pub sample_s: u32,
    /// Readings per measurement, of which the median counts: odd, 3 to 15.
    pub burst: u8,
    /// A level that differs by this much from the one last reported is reported at once: millimetres,
    /// 10 to 1000.
    pub change_mm: u16,
    /// From this temperature on it burns: thousandths of a degree Celsius, 50 000 to 120 000.
    pub fire_mc: i32,
}

/// A setting outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsFault {
    /// The name of the first setting that is wrong.
    pub setting: &'static str,
    /// The least that is allowed.
    pub min: i64,
    /// The most that is allowed.
    pub max: i64,
}

impl core::fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let SettingsFault { setting, min, max } = self;
        write!(f, "{setting} must be {min} to {max}")?;
        if *setting == "bin.burst" { f.write_str(" and odd") } else { Ok(()) }
    }
}

impl core::error::Error for SettingsFault {}

impl Settings {
    /// What a node works with until it is told otherwise.
    pub const INITIAL: Settings = Settings {
        revision: 0,
        keep_alive_s: 3600,
        battery_s: 86_400,
        bay: BaySettings {
            sample_ms: 250,
            arrive_nt: 4000,
            leave_nt: 2000,
            moving_nt: 1500,
            settle_ms: 2000,
        },
        bin: BinSettings { sample_s: 600, burst: 7, change_mm: 50, fire_mc: 65_000 },
    };

    /// Whether every setting is within its range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn check(&self) -> Result<(), SettingsFault> {
        let Settings { revision: _, keep_alive_s, battery_s, bay, bin } = *self;
        within("keep_alive_s", keep_alive_s, 60..=86_400)?;
        within("battery_s", battery_s, 3600..=2_592_000)?;
        within("bay.sample_ms", bay.sample_ms, 20..=5000)?;
        within("bay.arrive_nt", bay.arrive_nt, 1000..=50_000)?;
        within("bay.leave_nt", bay.leave_nt, 500..=i64::from(bay.arrive_nt) - 1)?;
        within("bay.moving_nt", bay.moving_nt, 200..=20_000)?;
        within("bay.settle_ms", bay.settle_ms, 500..=60_000)?;
        within("bin.sample_s", bin.sample_s, 10..=86_400)?;
        within("bin.burst", bin.burst, 3..=15)?;
        if bin.burst.is_multiple_of(2) {
            return Err(SettingsFault { setting: "bin.burst", min: 3, max: 15 });
        }
        within("bin.change_mm", bin.change_mm, 10..=1000)?;
        within("bin.fire_mc", bin.fire_mc, 50_000..=120_000)
    }
}

fn within(
    setting: &'static str,
    value: impl Into<i64>,
    range: RangeInclusive<i64>,
) -> Result<(), SettingsFault> {
    if range.contains(&value.into()) {
        Ok(())
    } else {
        Err(SettingsFault { setting, min: *range.start(), max: *range.end() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_a_node_is_made_with_is_valid() {
        assert_eq!(Settings::INITIAL.check(), Ok(()));
    }

    #[test]
    fn every_setting_has_two_ends_and_is_named() {
        type Set = fn(&mut Settings, i64);
        let table: [(&str, i64, i64, Set); 11] = [
            ("keep_alive_s", 60, 86_400, |s, v| s.keep_alive_s = v as u32),
            ("battery_s", 3600, 2_592_000, |s, v| s.battery_s = v as u32),
            ("bay.sample_ms", 20, 5000, |s, v| s.bay.sample_ms = v as u16),
            ("bay.arrive_nt", 2001, 50_000, |s, v| s.bay.arrive_nt = v as u16),
            ("bay.leave_nt", 500, 3999, |s, v| s.bay.leave_nt = v as u16),
            ("bay.moving_nt", 200, 20_000, |s, v| s.bay.moving_nt = v as u16),
            ("bay.settle_ms", 500, 60_000, |s, v| s.bay.settle_ms = v as u16),
            ("bin.sample_s", 10, 86_400, |s, v| s.bin.sample_s = v as u32),
            ("bin.burst", 3, 15, |s, v| s.bin.burst = v as u8),
            ("bin.change_mm", 10, 1000, |s, v| s.bin.change_mm = v as u16),
            ("bin.fire_mc", 50_000, 120_000, |s, v| s.bin.fire_mc = v as i32),
        ];
        for (name, min, max, set) in table {
            for (value, good) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
                let mut settings = Settings::INITIAL;
                set(&mut settings, value);
                assert_eq!(settings.check().is_ok(), good, "{name} {value}");
            }
            let mut settings = Settings::INITIAL;
            set(&mut settings, max + 1);
            let fault = settings.check().unwrap_err();
            assert!(fault.to_string().contains(name), "{name}: {fault}");
        }
    }

    #[test]
    fn the_threshold_to_leave_is_named_when_it_is_not_below_the_one_to_arrive() {
        let mut settings = Settings::INITIAL;
        settings.bay.leave_nt = settings.bay.arrive_nt;
        let fault = settings.check().unwrap_err();
        assert_eq!(fault.to_string(), "bay.leave_nt must be 500 to 3999");
    }

    #[test]
    fn a_burst_has_a_middle() {
        let mut settings = Settings::INITIAL;
        settings.bin.burst = 4;
        assert_eq!(settings.check().unwrap_err().to_string(), "bin.burst must be 3 to 15 and odd");
    }
}
