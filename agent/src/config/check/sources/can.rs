//! `can`: a vehicle's bus and the signals in it.

use domain::decode::can::{BadSignal, BitOrder, Bits, CanId, EVERY, Selector, Signal, SignalMap};
use domain::time::Span;

use super::super::super::section::{Section, Value};
use super::super::super::{CanBus, CanFrom, values};
use super::{parsed, refused, scale, sections};

/// The longest name of a network interface in Linux.
const INTERFACE_MAX: usize = 15;

/// Reads a source of kind `can`.
pub(super) fn bus(section: &Section<'_>) -> Option<CanBus> {
    let interface = section.optional("interface", interface).map(CanFrom::Interface);
    let file = section.optional("file", values::path).map(CanFrom::File);
    if interface.is_some() && file.is_some() {
        refused(section, section.at, "it has an interface and a file; keep one of the two");
    }
    if section.value("interface").or_else(|| section.value("file")).is_none() {
        section.missing("interface", "\"can0\"");
    }
    let every = section.or("every", EVERY, values::span(Span::ZERO..=Span::from_mins(60)));
    let map = signals(section, true);
    Some(CanBus { from: interface.or(file)?, every, map: map? })
}

/// The `[[source.signal]]` of a source; `None` where one is wrong, or there is none and there must be.
pub(super) fn signals(section: &Section<'_>, required: bool) -> Option<SignalMap> {
    let given = sections(section, "signal");
    let signals: Vec<Signal> = given.iter().filter_map(signal).collect();
    if signals.len() < given.len() || (signals.is_empty() && !required) {
        return None;
    }
    SignalMap::new(signals).map_err(|bad| refused(section, section.at, &bad.to_string())).ok()
}

fn interface(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("the name of a network interface, such as \"can0\"")?;
    let fits = (1..=INTERFACE_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if !fits {
        value
            .error(format!("{text:?} is no network interface"), "write its name, such as \"can0\"");
    }
    fits.then(|| text.to_owned())
}

fn signal(section: &Section<'_>) -> Option<Signal> {
    let scaling = scale::scaling(section);
    let selector = selector(section);
    let start = section.required("start", "0", values::integer(0..=63_u8));
    let length = section.required("length", "16", values::integer(1..=32_u8));
    let order = section.or("order", BitOrder::Intel, parsed);
    let signed = section.or("signed", false, values::boolean);
    section.finish();
    let (scaling, selector, start, length) = (scaling?, selector?, start?, length?);
    let made = || -> Result<Signal, BadSignal> {
        let bits = Bits::new(start, length, order)?;
        Signal::new(selector, if signed { bits.signed() } else { bits }, scaling)
    };
    made().map_err(|bad| refused(section, section.at, &bad.to_string())).ok()
}

/// `id` with `extended`, or `pgn` with `source_address`.
fn selector(section: &Section<'_>) -> Option<Selector> {
    let id = section.optional("id", values::integer(0..=0x1fff_ffff_u32));
    let extended = section.or("extended", false, values::boolean);
    let pgn = section.optional("pgn", values::integer(0..=0x3_ffff_u32));
    let source_address = section.optional("source_address", values::integer(0..=u8::MAX));
    match (id, pgn) {
        (Some(id), None) => {
            let short = u16::try_from(id).ok().and_then(CanId::standard);
            let id = if extended { CanId::extended(id) } else { short };
            if id.is_none() {
                refused(section, section.at, "the id has more than 11 bits; add extended = true");
            }
            id.map(Selector::Id)
        }
        (None, Some(pgn)) => Some(Selector::Pgn { pgn, source_address }),
        (Some(_), Some(_)) => {
            refused(section, section.at, "it has an id and a pgn; keep one of the two");
            None
        }
        (None, None) => {
            if section.value("id").or_else(|| section.value("pgn")).is_none() {
                let said = "it names no message; add pgn = 0xFEF1, or id = 0x521";
                refused(section, section.at, said);
            }
            None
        }
    }
}
