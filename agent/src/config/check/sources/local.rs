//! `local`: chips on the box's own pins and buses.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::super::fault::Place;
use super::super::super::section::{Section, Value};
use super::super::super::{
    Analog, Chip, ChipKind, Chips, DigitalInput, Incline, Magnet, Signal, Wire, defaults, values,
};
use super::{device_name, refused, sections, tty};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Hcsr04,
    A02yyuw,
    Vl53l0x,
    Lis3mdl,
    Qmc5883l,
    Lsm303dlhc,
    Adxl345,
    Lis3dh,
    Tmp102,
    Ds18b20,
    Ads1115,
    Input,
    Rdm6300,
    Mfrc522,
}

const MODELS: [(&str, Model); 14] = [
    ("hc-sr04", Model::Hcsr04),
    ("a02yyuw", Model::A02yyuw),
    ("vl53l0x", Model::Vl53l0x),
    ("lis3mdl", Model::Lis3mdl),
    ("qmc5883l", Model::Qmc5883l),
    ("lsm303dlhc", Model::Lsm303dlhc),
    ("adxl345", Model::Adxl345),
    ("lis3dh", Model::Lis3dh),
    ("tmp102", Model::Tmp102),
    ("ds18b20", Model::Ds18b20),
    ("ads1115", Model::Ads1115),
    ("input", Model::Input),
    ("rdm6300", Model::Rdm6300),
    ("mfrc522", Model::Mfrc522),
];

const SIGNALS: [(&str, Signal); 6] = [
    ("lid_open", Signal::LidOpen),
    ("working", Signal::Working),
    ("ignition", Signal::Ignition),
    ("occupied", Signal::Occupied),
    ("tilted", Signal::Tilted),
    ("fire", Signal::Fire),
];

/// Reads a source of kind `local`.
pub(super) fn chips(
    section: &Section<'_>,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<Chips> {
    let given = sections(section, "chip");
    if section.value("chip").is_none() {
        section.missing("chip", "[{ … }], or a section [[source.chip]]");
    }
    let mut pins = BTreeSet::new();
    let mut chips = Vec::new();
    for section in &given {
        let Some(chip) = chip(section, devices) else { continue };
        for pin in pins_of(&chip.kind) {
            if !pins.insert(pin) {
                refused(section, section.at, &format!("pin {pin} has two uses; give each its own"));
            }
        }
        chips.push(chip);
    }
    (chips.len() == given.len() && !chips.is_empty()).then_some(Chips { chips })
}

fn pins_of(kind: &ChipKind) -> Vec<u8> {
    match kind {
        ChipKind::Hcsr04 { trigger, echo } => vec![*trigger, *echo],
        ChipKind::Input(input) => vec![input.pin],
        _ => vec![],
    }
}

fn chip(section: &Section<'_>, devices: &mut BTreeMap<PathBuf, Place>) -> Option<Chip> {
    let device = section.required("device", "\"bin-21\"", device_name);
    let model = section.required("chip", "\"hc-sr04\"", values::word(&MODELS))?;
    let kind = kind(section, model, devices);
    let every = values::duration(Duration::from_millis(100)..=Duration::from_secs(86_400));
    let every = section.or("every", defaults::LOCAL_EVERY, every);
    section.finish();
    Some(Chip { device: device?, every, kind: kind? })
}

fn kind(
    section: &Section<'_>,
    model: Model,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<ChipKind> {
    let mut line = || section.required("tty", "\"/dev/ttyAMA1\"", |value| tty(value, devices));
    Some(match model {
        Model::Hcsr04 => {
            let (trigger, echo) = (pin(section, "trigger"), pin(section, "echo"));
            ChipKind::Hcsr04 { trigger: trigger?, echo: echo? }
        }
        Model::A02yyuw => ChipKind::A02yyuw { device: line()? },
        Model::Rdm6300 => ChipKind::Rdm6300 { device: line()? },
        Model::Vl53l0x => ChipKind::Vl53l0x(wire(section, 0x29, 0x29..=0x29)?),
        Model::Lis3mdl => {
            let wire = wire(section, 0x1c, 0x1c..=0x1e);
            ChipKind::Lis3mdl(wire?, magnet(section)?)
        }
        Model::Qmc5883l => {
            let wire = wire(section, 0x0d, 0x0d..=0x0d);
            ChipKind::Qmc5883l(wire?, magnet(section)?)
        }
        Model::Lsm303dlhc => {
            let wire = wire(section, 0x1e, 0x1e..=0x1e);
            ChipKind::Lsm303dlhc(wire?, magnet(section)?)
        }
        Model::Adxl345 => {
            let wire = wire(section, 0x53, 0x1d..=0x53);
            ChipKind::Adxl345(either(section, wire?, [0x1d, 0x53])?, incline(section))
        }
        Model::Lis3dh => {
            let wire = wire(section, 0x18, 0x18..=0x19);
            ChipKind::Lis3dh(wire?, incline(section))
        }
        Model::Tmp102 => ChipKind::Tmp102(wire(section, 0x48, 0x48..=0x4b)?),
        Model::Ds18b20 => {
            ChipKind::Ds18b20 { id: section.required("id", "\"28-00000574c2bd\"", rom)? }
        }
        Model::Ads1115 => {
            let wire = wire(section, 0x48, 0x48..=0x4b);
            ChipKind::Ads1115(wire?, analog(section)?)
        }
        Model::Input => ChipKind::Input(input(section)?),
        Model::Mfrc522 => {
            let bus = section.or("bus", 0, values::integer(0..=6_u8));
            let select = section.or("select", 0, values::integer(0..=15_u8));
            ChipKind::Mfrc522 { bus, select }
        }
    })
}

fn pin(section: &Section<'_>, key: &'static str) -> Option<u8> {
    section.required(key, "17", values::integer(0..=27_u8))
}

fn analog(section: &Section<'_>) -> Option<Analog> {
    let channel = section.or("channel", 0, values::integer(0..=3_u8));
    let ratio = section.or("ratio", 1000, values::milli(1..=1000));
    Some(Analog { channel, ratio_milli: u32::try_from(ratio).ok()? })
}

fn input(section: &Section<'_>) -> Option<DigitalInput> {
    let pin = pin(section, "pin");
    let signal = section.required("signal", "\"lid_open\"", values::word(&SIGNALS));
    let active_low = section.or("active_low", false, values::boolean);
    let debounce = values::duration(Duration::ZERO..=Duration::from_secs(60));
    let debounce = section.or("debounce", defaults::DEBOUNCE, debounce);
    let debounce_ms = u32::try_from(debounce.as_millis()).ok()?;
    Some(DigitalInput { pin: pin?, signal: signal?, active_low, debounce_ms })
}

fn wire(section: &Section<'_>, usual: u8, addresses: RangeInclusive<u8>) -> Option<Wire> {
    let bus = section.or("bus", 1, values::integer(0..=22_u8));
    let address = section.or("address", usual, values::integer(addresses));
    Some(Wire { bus, address })
}

/// A chip whose address has one pin of its own has two addresses that are far apart.
fn either(section: &Section<'_>, wire: Wire, [a, b]: [u8; 2]) -> Option<Wire> {
    if wire.address == a || wire.address == b {
        return Some(wire);
    }
    refused(section, section.at, &format!("the chip is at {a:#x} or {b:#x}; write one of the two"));
    None
}

fn magnet(section: &Section<'_>) -> Option<Magnet> {
    let empty = section.required("empty_nt", "[21000, -3000, 40000]", |value| {
        let items = value.items("21000, -3000, 40000")?;
        let axes: Vec<i32> =
            items.iter().filter_map(values::integer(-810_000..=810_000_i32)).collect();
        let three = <[i32; 3]>::try_from(axes).ok();
        if three.is_none() {
            value.error(
                "a field has three whole numbers".to_owned(),
                "write X, Y and Z in nanotesla",
            );
        }
        three
    });
    let nt = || values::integer(500..=50_000_u32);
    let arrive_nt = section.or("arrive_nt", defaults::ARRIVE_NT, nt());
    let leave_nt = section.or("leave_nt", defaults::LEAVE_NT, nt());
    if leave_nt >= arrive_nt {
        let said = "leave_nt is not less than arrive_nt; make it about half of it";
        refused(section, section.at, said);
        return None;
    }
    Some(Magnet { empty_nt: empty?, arrive_nt, leave_nt })
}

fn incline(section: &Section<'_>) -> Incline {
    let degrees = values::integer(1..=90_u8);
    Incline { degrees: section.or("tilted_from", defaults::TILTED_FROM, degrees) }
}

/// The name of a DS18B20 in the kernel's tree: its family and its number.
fn rom(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("its name under /sys/bus/w1/devices in double quotes")?;
    let digits = text.strip_prefix("28-").unwrap_or_default();
    let fits = digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !fits {
        let fix = "write 28- and its 12 hexadecimal digits, as under /sys/bus/w1/devices";
        value.error(format!("{text:?} is no DS18B20"), fix);
    }
    fits.then(|| text.to_ascii_lowercase())
}
