//! Signals: which bits of which frame hold a number, and what it measures.

use super::{CanId, Frame};
use crate::decode::measure::{Number, Scaling, named};
use crate::sample::{NoData, Quantity};

/// The most signals that a map may have.
pub const SIGNALS_MAX: usize = 128;

named! {
    /// How the bits of a number follow each other.
    pub enum BitOrder is "order" {
        /// The lowest bit first: byte by byte upwards, as J1939 does.
        Intel = "intel",
        /// The highest bit first.
        Motorola = "motorola",
    }
}

/// Which frames carry a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Those with this identifier.
    Id(CanId),
    /// Those of this parameter group of SAE J1939.
    Pgn {
        /// The group.
        pgn: u32,
        /// Of this sender only; `None`: of any.
        source_address: Option<u8>,
    },
}

/// Where in a frame a number stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    start: u8,
    length: u8,
    order: BitOrder,
    signed: bool,
}

/// A number in a frame, and what it measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    selector: Selector,
    bits: Bits,
    scaling: Scaling,
}

/// Why a signal or a map of them cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignal {
    /// No bits, or more than a number has here.
    #[error("has {0} bits; 1 to 32 are possible")]
    Length(u8),
    /// It does not fit into the eight bytes of a frame.
    #[error("begins at bit {start} and with {length} bits leaves the frame, which has 64")]
    Outside {
        /// The first bit, as it was given.
        start: u8,
        /// How many.
        length: u8,
    },
    /// A parameter group of more than 18 bits, or with an address in it.
    #[error("{0:#x} is no parameter group: at most 0x3ffff, and below format 240 it ends in 00")]
    Pgn(u32),
    /// No signal.
    #[error("has no signal; name at least one")]
    Empty,
    /// More signals than are allowed.
    #[error("has more than {SIGNALS_MAX} signals; name only those that are needed")]
    TooMany,
}

impl Selector {
    fn takes(self, id: CanId) -> bool {
        match self {
            Selector::Id(own) => own == id,
            Selector::Pgn { pgn, source_address } => {
                id.pgn() == Some(pgn)
                    && (source_address.is_none() || source_address == id.source_address())
            }
        }
    }
}

/// What a number of J1939 says besides values.
enum Special {
    NotAvailable,
    Error,
    Reserved,
}

/// What the bits of a signal come to.
enum Told {
    Quantity(Quantity),
    NotAvailable,
    Short,
}

impl Bits {
    /// A number of `length` bits (1 to 32) from `start` on, unsigned. Bits are counted as in DBC files:
    /// bit 0 is the lowest of the first byte, and `start` is the lowest bit of the number, in Motorola
    /// order its highest.
    ///
    /// # Errors
    /// [`BadSignal::Length`], [`BadSignal::Outside`].
    pub fn new(start: u8, length: u8, order: BitOrder) -> Result<Bits, BadSignal> {
        if !(1..=32).contains(&length) {
            return Err(BadSignal::Length(length));
        }
        let bits = Bits { start, length, order, signed: false };
        if bits.end() > 64 { Err(BadSignal::Outside { start, length }) } else { Ok(bits) }
    }

    /// Two's complement.
    #[must_use]
    pub fn signed(self) -> Bits {
        Bits { signed: true, ..self }
    }

    /// The place behind its last bit, counted through the bytes in its own order.
    fn end(self) -> u32 {
        let (start, length) = (u32::from(self.start), u32::from(self.length));
        match self.order {
            BitOrder::Intel => start + length,
            BitOrder::Motorola => (start | 7) - (start & 7) + length,
        }
    }

    /// The bits as they stand in the frame; `None` when it ends before them.
    fn raw(self, frame: &Frame) -> Option<i64> {
        let end = self.end();
        if end > frame.data().len() as u32 * 8 {
            return None;
        }
        let bits = match self.order {
            BitOrder::Intel => u64::from_le_bytes(frame.padded()) >> self.start,
            BitOrder::Motorola => u64::from_be_bytes(frame.padded()) >> (64 - end),
        };
        // At most 32 bits: fits with either sign.
        Some((bits & ((1 << self.length) - 1)).cast_signed())
    }

    /// The number that the bits are.
    fn number(self, raw: i64) -> i64 {
        let unused = 64 - u32::from(self.length);
        if self.signed { raw << unused >> unused } else { raw }
    }
}

impl Signal {
    /// The number in these `bits` of the frames that `selector` takes.
    ///
    /// # Errors
    /// [`BadSignal::Pgn`].
    pub fn new(selector: Selector, bits: Bits, scaling: Scaling) -> Result<Signal, BadSignal> {
        if let Selector::Pgn { pgn, .. } = selector {
            let to_all = pgn >> 8 & 0xff >= 240;
            if pgn > 0x3_ffff || (!to_all && pgn & 0xff != 0) {
                return Err(BadSignal::Pgn(pgn));
            }
        }
        Ok(Signal { selector, bits, scaling })
    }

    fn read(&self, frame: &Frame) -> Told {
        let Some(raw) = self.bits.raw(frame) else { return Told::Short };
        let number = self.bits.number(raw);
        let special = if self.scaling.has_meaning(number) { None } else { self.special(raw) };
        let quantity = match special {
            Some(Special::NotAvailable) => None,
            Some(Special::Error) => Some(self.scaling.absent(NoData::SensorFault)),
            Some(Special::Reserved) => Some(self.scaling.absent(NoData::OutOfRange)),
            None => self.scaling.read(Number::Integer(number)),
        };
        quantity.map_or(Told::NotAvailable, Told::Quantity)
    }

    /// The reserved numbers of SAE J1939-71, tables 1 and 2: by the highest byte of a number of a byte
    /// and more, by the number itself for two and four bits.
    fn special(&self, raw: i64) -> Option<Special> {
        let Selector::Pgn { .. } = self.selector else { return None };
        match (self.bits.length, raw) {
            (2, 0b11) | (4, 0xf) => Some(Special::NotAvailable),
            (2, 0b10) | (4, 0xe) => Some(Special::Error),
            (length @ 8.., _) => match raw >> (length - 8) {
                0xff => Some(Special::NotAvailable),
                0xfe => Some(Special::Error),
                0xfb..=0xfd => Some(Special::Reserved),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What a bus carries.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalMap {
    signals: Vec<Signal>,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The number of the first signal that is in the frame; the same for every such frame.
    pub group: usize,
    /// What was measured, in the order of the map.
    pub quantities: Vec<Quantity>,
    /// Signals that their sender does not have.
    pub not_available: u64,
    /// Signals for which the frame is too short.
    pub short: u64,
}

impl SignalMap {
    /// A map of these signals.
    ///
    /// # Errors
    /// [`BadSignal::Empty`], [`BadSignal::TooMany`].
    pub fn new(signals: Vec<Signal>) -> Result<SignalMap, BadSignal> {
        match signals.len() {
            0 => Err(BadSignal::Empty),
            1..=SIGNALS_MAX => Ok(SignalMap { signals }),
            _ => Err(BadSignal::TooMany),
        }
    }

    /// The signals.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// What the frame says; `None` when no signal is in it.
    #[must_use]
    pub fn read(&self, frame: &Frame) -> Option<Found> {
        let mut found: Option<Found> = None;
        for (number, signal) in self.signals.iter().enumerate() {
            if !signal.selector.takes(frame.id()) {
                continue;
            }
            let found = found.get_or_insert_with(|| Found { group: number, ..Found::default() });
            match signal.read(frame) {
                Told::Quantity(quantity) => found.quantities.push(quantity),
                Told::NotAvailable => found.not_available += 1,
                Told::Short => found.short += 1,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::measure::{Meaning, Measure, Unit};
    use crate::sample::{Absent, Missing};
    use crate::units::{Metres, MilliCelsius, Millimetres, MillimetresPerSecond, Permille};

    fn pgn(pgn: u32) -> Selector {
        Selector::Pgn { pgn, source_address: None }
    }

    fn own() -> Selector {
        Selector::Id(CanId::standard(0x521).unwrap())
    }

    /// What one signal says of a frame.
    fn read(signal: &Signal, data: &[u8]) -> Found {
        let id = match signal.selector {
            Selector::Id(id) => id,
            Selector::Pgn { pgn, .. } => CanId::extended(0x1800_0000 | pgn << 8).unwrap(),
        };
        let map = SignalMap::new(vec![signal.clone()]).unwrap();
        map.read(&Frame::new(id, data).unwrap()).unwrap()
    }

    fn intel(start: u8, length: u8) -> Bits {
        Bits::new(start, length, BitOrder::Intel).unwrap()
    }

    fn motorola(start: u8, length: u8) -> Bits {
        Bits::new(start, length, BitOrder::Motorola).unwrap()
    }

    fn distance(bits: Bits) -> Signal {
        Signal::new(own(), bits, Scaling::new(Measure::Distance)).unwrap()
    }

    #[test]
    fn the_groups_of_a_truck() {
        let scaled = |measure, unit, scale| {
            Scaling::new(measure).with_unit(unit).unwrap().with_scale(scale, 0.0).unwrap()
        };
        for (group, start, length, scaling, data, expected) in [
            // Wheel speed, 1/256 km/h, bytes 2 and 3.
            (
                65_265,
                8,
                16,
                scaled(Measure::Speed, Unit::KilometrePerHour, 1.0 / 256.0),
                [0xff, 0x00, 0x24, 0xff, 0xff, 0xff, 0xff, 0xff],
                Quantity::Speed(MillimetresPerSecond(10_000)),
            ),
            // Total vehicle distance, 0.125 km, bytes 5 to 8.
            (
                65_248,
                32,
                32,
                scaled(Measure::Odometer, Unit::Kilometre, 0.125),
                [0xff, 0xff, 0xff, 0xff, 0x40, 0x42, 0x0f, 0x00],
                Quantity::Odometer(Metres(125_000_000)),
            ),
            // High resolution distance, 5 m, bytes 1 to 4.
            (
                65_217,
                0,
                32,
                scaled(Measure::Odometer, Unit::Metre, 5.0),
                [0x40, 0x42, 0x0f, 0x00, 0xff, 0xff, 0xff, 0xff],
                Quantity::Odometer(Metres(5_000_000)),
            ),
            // Fuel level, 0.4 %, byte 2.
            (
                65_276,
                8,
                8,
                scaled(Measure::FuelLevel, Unit::Percent, 0.4),
                [0xff, 0x7d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                Quantity::FuelLevel(Permille::from_percent(50)),
            ),
        ] {
            let signal = Signal::new(pgn(group), intel(start, length), scaling).unwrap();
            assert_eq!(read(&signal, &data).quantities, [expected], "{group}");
        }
    }

    #[test]
    fn reserved_numbers_of_j1939_are_never_values() {
        let absent = |why| vec![Quantity::Absent(Absent { what: Missing::Distance, why })];
        let of = |length: u8, raw: u32| {
            let scaling = Scaling::new(Measure::Distance);
            let signal = Signal::new(pgn(65_265), intel(0, length), scaling).unwrap();
            let data = u64::from(raw).to_le_bytes();
            let found = read(&signal, &data);
            (found.quantities, found.not_available)
        };
        for (length, top) in [(8, 0), (12, 4), (16, 8), (24, 16), (32, 24)] {
            let raw = |byte: u32| byte << top;
            assert_eq!(of(length, raw(0xff)), (vec![], 1), "{length}");
            assert_eq!(of(length, raw(0xfe)), (absent(NoData::SensorFault), 0), "{length}");
            for reserved in 0xfb..=0xfd {
                assert_eq!(of(length, raw(reserved)), (absent(NoData::OutOfRange), 0), "{length}");
            }
            let greatest = vec![Quantity::Distance(Millimetres(raw(0xfa)))];
            assert_eq!(of(length, raw(0xfa)), (greatest, 0), "{length}");
        }
        for (length, error, missing) in [(2, 2, 3), (4, 14, 15)] {
            assert_eq!(of(length, missing), (vec![], 1));
            assert_eq!(of(length, error), (absent(NoData::SensorFault), 0));
            let value = vec![Quantity::Distance(Millimetres(error - 1))];
            assert_eq!(of(length, error - 1), (value, 0));
        }
        // An identifier of one's own builder is under no convention.
        let found = read(&distance(intel(0, 8)), &[0xff]);
        assert_eq!(found.quantities, [Quantity::Distance(Millimetres(255))]);
    }

    #[test]
    fn a_listed_number_goes_before_the_convention() {
        let scaling = Scaling::new(Measure::Working)
            .with_meaning(3, Meaning::State(true))
            .and_then(|s| s.with_meaning(0, Meaning::State(false)))
            .unwrap();
        let signal = Signal::new(pgn(65_265), intel(0, 2), scaling).unwrap();
        assert_eq!(read(&signal, &[3]).quantities, [Quantity::Working(true)]);
        assert_eq!(
            read(&signal, &[2]).quantities,
            [Quantity::Absent(Absent { what: Missing::Working, why: NoData::SensorFault })]
        );
    }

    #[test]
    fn bits_in_either_order_and_sign() {
        let mm = |mm| [Quantity::Distance(Millimetres(mm))];
        let data = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0];
        for (start, length, expected) in
            [(0, 8, 0x12), (0, 16, 0x3412), (4, 8, 0x41), (60, 4, 0xf), (56, 8, 0xf0), (1, 1, 1)]
        {
            let found = read(&distance(intel(start, length)), &data);
            assert_eq!(found.quantities, mm(expected), "intel {start} {length}");
        }
        for (start, length, expected) in [
            (7, 8, 0x12),
            (7, 16, 0x1234),
            (3, 8, 0x23),
            (3, 4, 0x2),
            (15, 24, 0x34_5678),
            (59, 4, 0x0),
            (63, 4, 0xf),
        ] {
            let found = read(&distance(motorola(start, length)), &data);
            assert_eq!(found.quantities, mm(expected), "motorola {start} {length}");
        }
        let cold = |bits| {
            let scaling = Scaling::new(Measure::Temperature);
            read(&Signal::new(own(), bits, scaling).unwrap(), &[0xf6, 0x0f]).quantities
        };
        let celsius = |c: i32| [Quantity::Temperature(MilliCelsius(c * 1000))];
        assert_eq!(cold(intel(0, 12)), celsius(0xff6));
        assert_eq!(cold(intel(0, 12).signed()), celsius(-10));
    }

    #[test]
    fn a_frame_that_is_too_short_for_a_signal_is_counted() {
        assert_eq!(read(&distance(intel(8, 16)), &[1, 2]).short, 1);
        assert_eq!(read(&distance(intel(8, 16)), &[1, 2, 3]).short, 0);
        assert_eq!(read(&distance(motorola(15, 16)), &[1, 2]).short, 1);
    }

    #[test]
    fn a_sender_can_be_picked() {
        let picked = Selector::Pgn { pgn: 65_265, source_address: Some(0x17) };
        let signal = Signal::new(picked, intel(0, 8), Scaling::new(Measure::Distance)).unwrap();
        let map = SignalMap::new(vec![distance(intel(0, 8)), signal]).unwrap();
        let frame = |id| Frame::new(CanId::extended(id).unwrap(), &[1]).unwrap();
        assert_eq!(map.read(&frame(0x18fe_f117)).map(|found| found.group), Some(1));
        assert_eq!(map.read(&frame(0x18fe_f100)), None);
        assert_eq!(map.read(&frame(0x521)), None, "29 bits are not 11");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bad = |start, length, order| Bits::new(start, length, order).unwrap_err();
        for order in [BitOrder::Intel, BitOrder::Motorola] {
            assert_eq!(bad(0, 0, order), BadSignal::Length(0));
            assert_eq!(bad(0, 33, order), BadSignal::Length(33));
            assert_eq!(bad(255, 32, order), BadSignal::Outside { start: 255, length: 32 });
        }
        let outside = BadSignal::Outside { start: 60, length: 6 };
        assert_eq!(bad(60, 6, BitOrder::Intel), outside);
        assert_eq!(bad(60, 6, BitOrder::Motorola), outside);
        for group in [0x4_0000, 0xea12] {
            let scaling = Scaling::new(Measure::Distance);
            let signal = Signal::new(pgn(group), intel(0, 8), scaling);
            assert_eq!(signal, Err(BadSignal::Pgn(group)));
        }
        assert_eq!(SignalMap::new(vec![]), Err(BadSignal::Empty));
        let many = vec![distance(intel(0, 8)); SIGNALS_MAX + 1];
        assert_eq!(SignalMap::new(many), Err(BadSignal::TooMany));
    }

    proptest! {
        #[test]
        fn no_bits_are_invented(
            start in 0..64_u8,
            length in 1..=32_u8,
            motorola in any::<bool>(),
            data in proptest::collection::vec(any::<u8>(), 0..=8),
        ) {
            let order = if motorola { BitOrder::Motorola } else { BitOrder::Intel };
            let bits = Bits::new(start, length, order);
            prop_assume!(bits.is_ok());
            // Bit by bit, as the DBC format describes it.
            let mut bit = i32::from(start);
            let mut expected = Some(0_u64);
            for i in 0..length {
                let (byte, place) = ((bit / 8) as usize, bit % 8);
                let value = data.get(byte).map(|b| u64::from(b >> place & 1));
                expected = expected.zip(value).map(|(sum, value)| match order {
                    BitOrder::Intel => sum | value << i,
                    BitOrder::Motorola => sum << 1 | value,
                });
                bit = match order {
                    BitOrder::Intel => bit + 1,
                    BitOrder::Motorola if place == 0 => bit + 15,
                    BitOrder::Motorola => bit - 1,
                };
            }
            let scaling = Scaling::new(Measure::Odometer);
            let found = read(&Signal::new(own(), bits.unwrap(), scaling).unwrap(), &data);
            match expected {
                Some(km) => {
                    let quantity = Quantity::Odometer(Metres(km * 1000));
                    prop_assert_eq!(found.quantities, vec![quantity]);
                }
                None => prop_assert_eq!(found.short, 1),
            }
        }
    }
}
