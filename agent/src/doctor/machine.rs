//! The machine: its disk and card, its clock, who may do what, and the devices.

use std::path::{Path, PathBuf};

use domain::time::ClockQuality;
use rustix::fs::Access;

use super::Finding;
use crate::clock::{Clock, FLOOR};
use crate::config::{Config, ModbusLink, SourceKind};
use crate::health::{disk_free, machine_clock};
use crate::wear::{Device, machine_uptime, per_day};

/// With less than this free nothing can be stored reliably.
const FREE_MIN: u64 = 64 * 1024 * 1024;
/// A card that lasts less than this long at what is written now is to be looked at, in days.
const CARD_DAYS_MIN: u64 = 3 * 365;
/// Tenths of its life that an eMMC may have used before somebody should look.
const USED_TENTHS_MAX: u8 = 8;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![buffer(&config.buffer.dir), disk(config)];
    findings.extend(card(&config.buffer.dir));
    findings.push(clock(config));
    findings.extend(devices(config).iter().map(|device| permission(device)));
    findings
}

fn buffer(dir: &Path) -> Finding {
    let shown = dir.display();
    if !dir.is_dir() {
        let todo =
            format!("make it, for the user that runs the service: install -d -o steward {shown}");
        return Finding::bad("buffer", format!("there is no folder {shown}"), todo);
    }
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(dir, wanted) {
        Ok(()) => Finding::ok("buffer", format!("{shown} can be written")),
        Err(rustix::io::Errno::ROFS) => Finding::bad(
            "buffer",
            format!("{shown} is on a file system that is mounted read-only"),
            "look at the card: the kernel does that when it fails (dmesg), or mount it read-write",
        ),
        Err(error) => Finding::bad(
            "buffer",
            format!("{shown} cannot be written: {error}"),
            "run the doctor as the user of the service (sudo -u steward), or give that user the folder",
        ),
    }
}

fn disk(config: &Config) -> Finding {
    let Some(free) = disk_free(&config.buffer.dir) else {
        return Finding::look("disk", "the system does not say what is free", "df says more");
    };
    let mib = free / (1024 * 1024);
    let wanted = config.buffer.max_size.saturating_mul(2);
    if free < FREE_MIN {
        let todo = "make room: nothing is stored reliably below 64 MiB";
        return Finding::bad("disk", format!("{mib} MiB are free"), todo);
    }
    if free < wanted {
        let says =
            format!("{mib} MiB are free, and the buffer may grow to twice [buffer] max_size");
        return Finding::look("disk", says, "make room, or lower max_size");
    }
    Finding::ok("disk", format!("{mib} MiB are free"))
}

fn card(dir: &Path) -> Option<Finding> {
    let device = Device::below(dir)?;
    let name = &device.name;
    if let Some(tenths) = device.used_tenths.filter(|tenths| *tenths >= USED_TENTHS_MAX) {
        let says = format!("{name} says that {tenths} tenths of its life are used");
        return Some(Finding::look("card", says, "put in a new one at the next visit"));
    }
    let daily = per_day(device.written, machine_uptime()?)?;
    let mb = daily / 1_000_000;
    let Some(days) = device.days_left(daily) else {
        return Some(Finding::ok("card", format!("nothing is written to {name}")));
    };
    let years = days / 365;
    let says = format!(
        "{mb} MB a day are written to {name} by everything on this machine; at 500 whole writes it lasts \
         about {years} years"
    );
    Some(if days < CARD_DAYS_MIN {
        Finding::look("card", says, "see what writes so much (iotop -a), and plan a new card")
    } else {
        Finding::ok("card", says)
    })
}

fn clock(config: &Config) -> Finding {
    let now = Clock::system(domain::time::Boot(0)).now().utc;
    let receiver =
        config.sources.iter().any(|s| matches!(s.kind, SourceKind::Gnss(_) | SourceKind::Gpsd(_)));
    if now < FLOOR {
        let todo = if receiver {
            "the satellite receiver will tell; else let systemd-timesyncd reach a time server"
        } else {
            "let systemd-timesyncd reach a time server (timedatectl), or fit a clock"
        };
        return Finding::bad("clock", format!("the clock is not set: it says {now}"), todo);
    }
    match machine_clock() {
        ClockQuality::Ntp => Finding::ok("clock", format!("{now}, kept by a time server")),
        _ if receiver => {
            Finding::ok("clock", format!("{now}, and a satellite receiver tells the time"))
        }
        _ => Finding::look(
            "clock",
            format!("{now}, but systemd-timesyncd has not said that a time server has set it"),
            "timedatectl shows why; times are marked as estimated until then",
        ),
    }
}

/// The device files that the sources need.
fn devices(config: &Config) -> Vec<PathBuf> {
    let mut found = vec![];
    for source in &config.sources {
        match &source.kind {
            SourceKind::NodeLink(line) => found.push(line.serial.device.clone()),
            SourceKind::Gnss(serial) => found.push(serial.device.clone()),
            SourceKind::Modbus(modbus) => {
                if let ModbusLink::Line(serial) = &modbus.link {
                    found.push(serial.device.clone());
                }
            }
            _ => {}
        }
    }
    found
}

fn permission(device: &Path) -> Finding {
    let shown = device.display();
    match rustix::fs::access(device, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Finding::ok("device", format!("{shown} can be used")),
        Err(rustix::io::Errno::NOENT) => Finding::bad(
            "device",
            format!("there is no {shown}"),
            "is it plugged in? ls /dev/serial/by-id shows what is; a Pi's own line is switched on in \
             config.txt (enable_uart=1)",
        ),
        Err(_) => Finding::bad(
            "device",
            format!("{shown} may not be used by this user"),
            "add the user of the service to the group of the device: adduser steward dialout",
        ),
    }
}
