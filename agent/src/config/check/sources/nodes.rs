//! `node-link`: the line, and how the nodes on it shall work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use domain::decode::node_link::Keys;
use wire::Settings;

use super::super::super::fault::Place;
use super::super::super::section::{Section, Value};
use super::super::super::{NodeLine, defaults, values};
use super::super::broker;
use super::{refused, serial};

/// The most bytes of a file of keys: some ten thousand nodes.
const KEYS_MAX: u64 = 1 << 20;

/// Reads a source of kind `node-link`.
pub(super) fn line(
    section: &Section<'_>,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<NodeLine> {
    let serial = serial(section, defaults::NODE_LINK_BAUD, devices);
    let settings = section.value("settings").map(|value| settings(&value));
    // Settings that are wrong are not settings that are left out.
    let settings = match settings {
        Some(read) => Some(read?),
        None => None,
    };
    let keys = match section.value("keys_file") {
        Some(value) => keys(&value)?,
        None => Keys::default(),
    };
    Some(NodeLine { serial: serial?, settings, keys })
}

/// The keys of nodes that seal what they say, from a file.
fn keys(value: &Value<'_>) -> Option<Keys> {
    let path = values::path(value)?;
    match Keys::parse(&broker::read_text(value, &path, KEYS_MAX)?) {
        Ok(keys) => Some(keys),
        Err(fault) => {
            let fix = "write a node's number and 64 hexadecimal digits on each line";
            value.error(format!("not a file of keys: {fault}"), fix);
            None
        }
    }
}

/// `[source.settings]`: what a node is made with, unless it is said otherwise.
fn settings(value: &Value<'_>) -> Option<Settings> {
    let section = value.as_section("it as a section [source.settings]")?;
    let mut settings = Settings::INITIAL;
    let time = |key, usual_ms: u32| {
        let range = Duration::ZERO..=Duration::from_secs(30 * 86_400);
        let usual = Duration::from_millis(usual_ms.into());
        let read: Duration = section.or(key, usual, values::duration(range));
        u32::try_from(read.as_millis()).unwrap_or(u32::MAX)
    };
    let short = |key, usual: u16| time(key, usual.into()).try_into().unwrap_or(u16::MAX);
    settings.keep_alive_s = time("keep_alive", settings.keep_alive_s * 1000) / 1000;
    settings.battery_s = time("battery_every", settings.battery_s * 1000) / 1000;
    settings.bay.sample_ms = short("bay_sample", settings.bay.sample_ms);
    settings.bay.settle_ms = short("bay_settle", settings.bay.settle_ms);
    settings.bin.sample_s = time("bin_sample", settings.bin.sample_s * 1000) / 1000;
    let number = |key, usual: u16| section.or(key, usual, values::integer(0..=u16::MAX));
    settings.bay.arrive_nt = number("arrive_nt", settings.bay.arrive_nt);
    settings.bay.leave_nt = number("leave_nt", settings.bay.leave_nt);
    settings.bay.moving_nt = number("moving_nt", settings.bay.moving_nt);
    settings.bin.change_mm = number("change_mm", settings.bin.change_mm);
    settings.bin.burst = section.or("burst", settings.bin.burst, values::integer(0..=u8::MAX));
    let fire = section.or("fire_c", i64::from(settings.bin.fire_mc), values::milli(0..=200));
    settings.bin.fire_mc = i32::try_from(fire).unwrap_or(i32::MAX);
    section.finish();
    if let Err(fault) = settings.check() {
        refused(&section, section.at, &format!("{fault}; see the ranges in config/steward.toml"));
        return None;
    }
    Some(Settings { revision: revision(&settings), ..settings })
}

/// A number that changes with the settings (FNV-1a, folded), and is never that of a new node.
fn revision(settings: &Settings) -> u16 {
    let hash = format!("{settings:?}")
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let folded = (hash >> 16 ^ hash & 0xffff) as u16;
    folded.max(1)
}
