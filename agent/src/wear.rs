//! What the card goes through: bytes written, and how long it may last at that.
//!
//! The kernel counts; nothing is measured here. How long a card lasts is an estimate, and says so.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Bytes of a sector in the kernel's counts, whatever the device's are (Documentation/block/stat.rst).
const SECTOR: u64 = 512;
/// How often a card can be written whole before it must be expected to fail: what makers of TLC cards for
/// dashboard cameras and the like state at the lower end. Cards of other kinds last longer.
const WHOLE_WRITES: u64 = 500;
const DAY_S: u64 = 86_400;
/// Below this nothing can be said of a day.
const OBSERVED_MIN_S: u64 = 600;

/// The block device below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name, such as `mmcblk0`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes written to it since the machine was started.
    pub written: u64,
    /// What an eMMC says of itself: tenths of its life that are used, the worse of its two kinds of cells
    /// (JESD84-B51, 7.4.31 and 7.4.32).
    pub used_tenths: Option<u8>,
}

impl Device {
    /// The device below `dir`; `None` where the kernel does not say: a network, a container.
    #[must_use]
    pub fn below(dir: &Path) -> Option<Device> {
        let stat = rustix::fs::stat(dir).ok()?;
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        let link = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        Device::at(&whole_disk(&link.canonicalize().ok()?))
    }

    fn at(sys: &Path) -> Option<Device> {
        let number = |file: &str| fs::read_to_string(sys.join(file)).ok();
        let size = number("size")?.trim().parse::<u64>().ok()?.checked_mul(SECTOR)?;
        let stat = number("stat")?;
        let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
        let used_tenths = number("device/life_time").and_then(|text| {
            let tenths = |word: &str| u8::from_str_radix(word.strip_prefix("0x")?, 16).ok();
            text.split_whitespace().filter_map(tenths).max().filter(|t| *t > 0)
        });
        let name = sys.file_name()?.to_string_lossy().into_owned();
        Some(Device { name, size, written: sectors.checked_mul(SECTOR)?, used_tenths })
    }

    /// Days until the card has been written whole as often as it can stand, at `per_day` bytes a day.
    #[must_use]
    pub fn days_left(&self, per_day: u64) -> Option<u64> {
        self.size.checked_mul(WHOLE_WRITES)?.checked_div(per_day)
    }
}

/// A partition lies in the folder of its disk.
fn whole_disk(sys: &Path) -> PathBuf {
    match sys.parent() {
        Some(parent) if sys.join("partition").exists() => parent.to_owned(),
        _ => sys.to_owned(),
    }
}

/// Bytes that this program has caused to be written to storage (proc(5), `/proc/pid/io`).
#[must_use]
pub fn own_writes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok())
}

/// Seconds since the machine was started (proc(5)).
#[must_use]
pub fn machine_uptime() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    text.split('.').next()?.parse().ok()
}

/// Bytes a day, of `bytes` in `seconds`; `None` when that is too short to tell.
#[must_use]
pub fn per_day(bytes: u64, seconds: u64) -> Option<u64> {
    if seconds < OBSERVED_MIN_S {
        return None;
    }
    u64::try_from(u128::from(bytes) * u128::from(DAY_S) / u128::from(seconds)).ok()
}

/// For `P/health`: what the box itself writes, and how long the card would last at that alone.
#[must_use]
pub fn tell(dir: &Path, uptime_s: u64) -> Value {
    let written = own_writes();
    let daily = written.and_then(|bytes| per_day(bytes, uptime_s));
    let device = Device::below(dir);
    let days = daily.zip(device.as_ref()).and_then(|(daily, device)| device.days_left(daily));
    json!({
        "written_b": written,
        "per_day_b": daily,
        "card": device.as_ref().map(|device| &device.name),
        "card_written_b": device.as_ref().map(|device| device.written),
        "card_used_tenths": device.as_ref().and_then(|device| device.used_tenths),
        "card_years": days.map(|days| days / 365),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_from_what_the_kernel_says() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("mmcblk0");
        let partition = disk.join("mmcblk0p2");
        fs::create_dir_all(disk.join("device")).unwrap();
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("partition"), "2\n").unwrap();
        fs::write(disk.join("size"), "62333952\n").unwrap();
        fs::write(disk.join("stat"), " 1 2 3 4 5 6 2048 8 9\n").unwrap();
        fs::write(disk.join("device/life_time"), "0x02 0x03\n").unwrap();
        let device = Device::at(&whole_disk(&partition)).unwrap();
        let expected = Device {
            name: "mmcblk0".into(),
            size: 62_333_952 * 512,
            written: 1024 * 1024,
            used_tenths: Some(3),
        };
        assert_eq!(device, expected);
        // 32 GB, 500 times, at 100 MB a day: 436 years.
        assert_eq!(device.days_left(100_000_000).unwrap() / 365, 437);
        assert_eq!(device.days_left(0), None);
    }

    #[test]
    fn a_day_is_not_told_from_minutes() {
        assert_eq!(per_day(1000, 599), None);
        assert_eq!(per_day(1000, 8640), Some(10_000));
        assert_eq!(per_day(u64::MAX, 86_400), Some(u64::MAX));
    }
}
