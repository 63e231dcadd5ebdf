//! `modbus-rtu`, `modbus-tcp`: lines or servers, stations, registers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use domain::decode::modbus::{Encoding, Order, Register, RegisterMap, Table};

use super::super::super::fault::Place;
use super::super::super::section::Section;
use super::super::super::{Modbus, ModbusLink, Parity, Serial, Station, defaults, values};
use super::{device_name, host_and_port, parsed, refused, scale, sections, serial};

const PARITIES: [(&str, Parity); 3] =
    [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];

/// Reads a source of kind `modbus-rtu`.
pub(super) fn line(
    section: &Section<'_>,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<Modbus> {
    let line = serial(section, defaults::MODBUS_BAUD, devices);
    let parity = section.or("parity", Parity::None, values::word(&PARITIES));
    // 0 is to all, and 248 to 255 are reserved (MODBUS over serial line V1.02, 2.2).
    let stations = stations(section, 247);
    let line = Serial { parity, ..line? };
    Some(Modbus { link: ModbusLink::Line(line), stations: stations? })
}

/// Reads a source of kind `modbus-tcp`.
pub(super) fn tcp(section: &Section<'_>) -> Option<Modbus> {
    let address = section.required("address", "\"192.168.1.20:502\"", host_and_port);
    // 255 is a device that is alone behind its address (MODBUS messaging on TCP/IP V1.0b, 4.4.2.1).
    let stations = stations(section, 255);
    let (host, port) = address?;
    Some(Modbus { link: ModbusLink::Tcp { host, port }, stations: stations? })
}

/// The stations; `None` where one is wrong or there is none.
fn stations(section: &Section<'_>, address_max: u8) -> Option<Vec<Station>> {
    let given = sections(section, "station");
    if section.value("station").is_none() {
        section.missing("station", "[{ … }], or a section [[source.station]]");
    }
    let mut addresses = BTreeSet::new();
    let mut stations = Vec::new();
    for section in &given {
        let Some(station) = station(section, address_max) else { continue };
        if !addresses.insert(station.address) {
            let said = format!("address {} is there twice; give each its own", station.address);
            refused(section, section.at, &said);
        }
        stations.push(station);
    }
    (stations.len() == given.len() && !stations.is_empty()).then_some(stations)
}

fn station(section: &Section<'_>, address_max: u8) -> Option<Station> {
    let address = section.required("address", "1", values::integer(1..=address_max));
    let device = section.required("device", "\"well-3\"", device_name);
    let every = values::duration(Duration::from_millis(100)..=Duration::from_secs(86_400));
    let every = section.or("every", defaults::MODBUS_EVERY, every);
    let registers = sections(section, "register");
    let read: Vec<Register> = registers.iter().filter_map(register).collect();
    section.finish();
    if read.len() < registers.len() {
        return None;
    }
    let map = RegisterMap::new(read)
        .map_err(|bad| refused(section, section.at, &bad.to_string()))
        .ok()?;
    Some(Station { address: address?, device: device?, every, map })
}

fn register(section: &Section<'_>) -> Option<Register> {
    let scaling = scale::scaling(section);
    let table = section.or("table", Table::Holding, parsed);
    let address = section.required("address", "0x0100", values::integer(0..=u16::MAX));
    let usual = if table.is_bits() { Encoding::Bit } else { Encoding::U16 };
    let encoding = section.or("type", usual, parsed);
    let order = section.or("order", Order::Abcd, parsed);
    section.finish();
    Register::new(table, address?, encoding, scaling?)
        .map(|register| register.with_order(order))
        .map_err(|bad| refused(section, section.at, &bad.to_string()))
        .ok()
}
