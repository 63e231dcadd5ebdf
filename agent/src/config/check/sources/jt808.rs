//! `jt808`: the platform, and the terminals that may come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use domain::decode::jt808::{SignalField, WorkingSignal};
use domain::ids::DeviceKey;
use toml::de::DeValue;

use super::super::super::section::{Section, Value};
use super::super::super::{Platform, TerminalSettings, defaults, values};
use super::super::broker;
use super::{can, parsed, refused, sections};

/// Reads a source of kind `jt808`.
pub(super) fn platform(section: &Section<'_>) -> Option<Platform> {
    let listen = section.or("listen", defaults::JT808_LISTEN, address);
    let key = section.optional("key_file", broker::password);
    let working = section.optional("working", working);
    let connections = values::integer(1..=4096_u16);
    let connections = section.or("connections_max", defaults::JT808_CONNECTIONS, connections);
    let idle = values::duration(Duration::from_secs(10)..=Duration::from_secs(3600));
    let idle_max = section.or("idle_max", defaults::JT808_IDLE, idle);
    let bus = can::signals(section, false);
    let terminals = terminals(section);
    let known = terminals.keys().cloned().collect::<BTreeSet<_>>();
    let connections_max = connections.into();
    Some(Platform { listen, key, working, bus, terminals, known, connections_max, idle_max })
}

fn address(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.as_text("an address such as \"0.0.0.0:6808\"")?;
    let found = text.parse().ok();
    if found.is_none() {
        let fix = "write address:port, such as \"0.0.0.0:6808\"";
        value.error(format!("{text:?} is no address to listen on"), fix);
    }
    found
}

fn terminals(section: &Section<'_>) -> BTreeMap<DeviceKey, TerminalSettings> {
    let mut terminals = BTreeMap::new();
    for section in &sections(section, "terminal") {
        let number = section.required("phone", "\"13912345678\"", phone);
        let id = section.optional("id", values::name);
        let working = section.optional("working", working);
        section.finish();
        let Some(number) = number else { continue };
        if terminals.insert(number.clone(), TerminalSettings { id, working }).is_some() {
            let said = format!("phone {number} is there twice; keep one of the two");
            refused(section, section.at, &said);
        }
    }
    terminals
}

/// A phone number as terminals are called by: without the zeros that fill it up.
pub(in super::super) fn phone(value: &Value<'_>) -> Option<DeviceKey> {
    let text = match value.raw() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        _ => value.as_text("a phone number in double quotes, such as \"13912345678\"")?,
    };
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let short = text.trim_start_matches('0');
    if !digits || short.is_empty() {
        value.error(format!("{text:?} is no phone number"), "write 1 to 20 digits");
        return None;
    }
    DeviceKey::new(short).ok()
}

/// `{ field = "io", bit = 3, active = 1 }`.
fn working(value: &Value<'_>) -> Option<WorkingSignal> {
    let section = value.as_section("{ field = \"io\", bit = 3, active = 1 }")?;
    let field = section.required("field", "\"io\"", parsed::<SignalField>);
    let bit = section.required("bit", "3", values::integer(0..=31_u8));
    let active = section.or("active", 1, values::integer(0..=1_u8));
    section.finish();
    WorkingSignal::new(field?, bit?, active == 1)
        .map_err(|bad| refused(&section, section.at, &bad.to_string()))
        .ok()
}
