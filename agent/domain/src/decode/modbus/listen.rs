//! Listens to a line: questions and answers as they follow each other, cut anywhere.
//!
//! For recordings of a line, and for a line on which another master asks. Each question (function 1 to
//! 4) is remembered until its answer comes; an answer without its question says nothing, for only the
//! question names the registers. Devices that are not in the configuration are passed over.

use std::collections::BTreeMap;

use super::{Read, RegisterMap, Table, rtu};
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::Sample;
use crate::time::Utc;

/// A question: address, function, first register, count, CRC.
const QUESTION: usize = 8;
/// An answer that refuses: address, function, code, CRC.
const REFUSAL: usize = 5;

/// Reads one line.
#[derive(Debug, Clone)]
pub struct Listener {
    source: SourceName,
    stations: BTreeMap<u8, (DeviceKey, RegisterMap)>,
    /// Never longer than the longest frame.
    held: Vec<u8>,
    asked: Option<(u8, Read)>,
    /// Whether the bytes before were noise too: a stretch of it is counted once.
    in_noise: bool,
    tally: Tally,
}

impl Listener {
    /// At the beginning of a line with these devices, by their addresses.
    #[must_use]
    pub fn new(source: SourceName, stations: BTreeMap<u8, (DeviceKey, RegisterMap)>) -> Listener {
        let held = Vec::with_capacity(rtu::FRAME_MAX);
        Listener { source, stations, held, asked: None, in_noise: false, tally: Tally::default() }
    }

    fn push(&mut self, byte: u8, samples: &mut Vec<Sample>) {
        self.held.push(byte);
        // Each turn takes at least one byte away, or waits for more.
        while !self.held.is_empty() {
            let taken = match self.frame(samples) {
                Frame::Unfinished => return,
                Frame::Whole(length) => {
                    self.tally.frames += 1;
                    self.in_noise = false;
                    length
                }
                Frame::None => {
                    if !std::mem::replace(&mut self.in_noise, true) {
                        self.tally.reject(Reason::Checksum);
                    }
                    1
                }
            };
            self.held.drain(..taken);
        }
    }

    /// What the held bytes begin with.
    fn frame(&mut self, samples: &mut Vec<Sample>) -> Frame {
        if let Some((address, read)) = self.asked {
            match self.answer(address, read, samples) {
                Frame::None => {}
                other => return other,
            }
        }
        self.question()
    }

    fn question(&mut self) -> Frame {
        let Some(bytes) = self.held.first_chunk::<QUESTION>() else {
            // Only what can become a question is waited for.
            let can_be = self.held.get(1).is_none_or(|function| (1..=4).contains(function));
            return if can_be { Frame::Unfinished } else { Frame::None };
        };
        let &[address, function, first_high, first_low, count_high, count_low, ..] = bytes;
        if rtu::payload(address, bytes).is_err() {
            return Frame::None;
        }
        let first = u16::from_be_bytes([first_high, first_low]);
        let count = u16::from_be_bytes([count_high, count_low]);
        let table = Table::ALL.iter().copied().find(|table| table.function() == function);
        let Some(read) = table.and_then(|table| Read::new(table, first, count)) else {
            return Frame::None;
        };
        self.asked = Some((address, read));
        Frame::Whole(QUESTION)
    }

    fn answer(&mut self, address: u8, read: Read, samples: &mut Vec<Sample>) -> Frame {
        let function = read.table().function();
        let (Some(&by), of) = (self.held.first(), self.held.get(1)) else { return Frame::None };
        let refuses = of == Some(&(function | 0x80));
        if by != address || (of.is_some_and(|of| *of != function) && !refuses) {
            return Frame::None;
        }
        let whole = if refuses { REFUSAL } else { read.answer_length() + 3 };
        let Some(bytes) = self.held.get(..whole) else {
            return Frame::Unfinished;
        };
        let Ok(payload) = rtu::payload(address, bytes) else { return Frame::None };
        self.asked = None;
        // A refusal is an answer, and says nothing.
        let Ok(values) = read.answer(payload) else { return Frame::Whole(whole) };
        let Some((device, map)) = self.stations.get(&address) else { return Frame::Whole(whole) };
        match map.decode(read, &values) {
            Ok(quantities) if !quantities.is_empty() => {
                self.tally.sample(None);
                let (source, device) = (self.source.clone(), Some(device.clone()));
                samples.push(Sample { source, device, counter: None, at: None, quantities });
            }
            Ok(_) => {}
            Err(reason) => self.tally.reject(reason),
        }
        Frame::Whole(whole)
    }
}

enum Frame {
    /// More bytes are needed to tell.
    Unfinished,
    /// Of this length; it has been read.
    Whole(usize),
    /// The first byte begins no frame.
    None,
}

impl Decode for Listener {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                self.tally.bytes += bytes.len() as u64;
                bytes.iter().for_each(|&byte| self.push(byte, samples));
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, _samples: &mut Vec<Sample>) {
        if !std::mem::take(&mut self.held).is_empty() && !self.in_noise {
            self.tally.reject(Reason::Truncated);
        }
        self.asked = None;
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::measure::{Measure, Scaling};
    use crate::decode::modbus::{Encoding, Register};
    use crate::sample::Quantity;
    use crate::units::Millimetres;

    fn listener() -> Listener {
        let scaling = Scaling::new(Measure::Distance);
        let register = Register::new(Table::Holding, 0x100, Encoding::U16, scaling).unwrap();
        let map = RegisterMap::new(vec![register]).unwrap();
        let device = DeviceKey::new("well-3").unwrap();
        Listener::new(SourceName::new("levels").unwrap(), [(1, (device, map))].into())
    }

    fn exchange(address: u8, mm: u16) -> Vec<u8> {
        let [high, low] = mm.to_be_bytes();
        let question = rtu::frame(address, &[3, 1, 0, 0, 1]);
        [question, rtu::frame(address, &[3, 2, high, low])].concat()
    }

    fn read(pieces: &[&[u8]]) -> (Vec<Quantity>, Tally) {
        let (mut listener, mut samples) = (listener(), Vec::new());
        for piece in pieces {
            listener.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
        }
        listener.finish(&mut samples);
        assert!(listener.held.capacity() <= 2 * rtu::FRAME_MAX);
        (samples.into_iter().flat_map(|s| s.quantities).collect(), listener.tally)
    }

    #[test]
    fn answers_are_read_by_their_questions() {
        let noise = [7, 9, 0xff];
        let refusal = [rtu::frame(1, &[3, 1, 0, 0, 1]), rtu::frame(1, &[0x83, 2])].concat();
        let unasked = rtu::frame(1, &[3, 2, 0, 9]);
        let line =
            [&exchange(1, 754)[..], &noise, &exchange(2, 5), &refusal, &unasked, &exchange(1, 800)]
                .concat();
        let (quantities, tally) = read(&[&line]);
        let mm = |mm| Quantity::Distance(Millimetres(mm));
        assert_eq!(quantities, [mm(754), mm(800)]);
        assert_eq!((tally.frames, tally.samples), (8, 2));
        assert_eq!(tally.rejected, [(Reason::Checksum, 2)].into());
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let line = exchange(1, 754);
        let (quantities, tally) = read(&[&line[..line.len() - 1]]);
        assert_eq!(quantities, []);
        assert_eq!(tally.rejected, [(Reason::Truncated, 1)].into());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_bounded_and_the_cut_changes_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    (0..4_u8, any::<u16>()).prop_map(|(address, mm)| exchange(address, mm)),
                    proptest::collection::vec(any::<u8>(), 0..20),
                ],
                0..8,
            ),
            size in 1..9_usize,
        ) {
            let line = parts.concat();
            let whole = read(&[&line]);
            let pieces: Vec<&[u8]> = line.chunks(size).collect();
            prop_assert_eq!(read(&pieces), whole);
        }
    }
}
