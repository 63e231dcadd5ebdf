//! Modbus devices: which registers to ask for, and what their values measure.
//!
//! Responsible for register maps and for the bytes of the exchange, over a serial line (`rtu`) and over
//! TCP (`tcp`). Pure: when a device is asked, how often, and what happens when it does not answer is
//! the source's business.
//!
//! ```text
//! RegisterMap::reads ─► Read::request ─► rtu::frame ─► line ─► rtu::payload ─► Read::answer ─► RegisterMap::decode
//! ```
//!
//! A map is data, and stands in the configuration:
//!
//! ```toml
//! [[source]]
//! name = "levels"
//! kind = "modbus-rtu"                # or modbus-tcp
//! device = "/dev/ttyUSB0"
//! baud = 9600
//!
//! [[source.station]]
//! address = 1                        # 1 to 247 on the line
//! device = "well-3"                  # the name that assets use
//! every = "60s"
//!
//! [[source.station.register]]
//! quantity = "distance"              # what it measures
//! unit = "mm"                        # in what; by default the first unit of the quantity
//! table = "holding"                  # holding (default), input, coil, discrete
//! address = 0x0100                   # as sent, counted from 0: "40257" in some manuals
//! type = "u16"                       # u16 (default), i16, u32, i32, f32, bit
//! order = "abcd"                     # abcd (default), cdab, badc, dcba
//! scale = 1.0                        # value = number · scale + offset
//! offset = 0.0
//! min = 280                          # outside: absent, out of range
//! max = 7500
//! values = { 0 = "too_close", 65533 = "no_target" }   # numbers with a meaning of their own
//!
//! [[source.station.register]]
//! quantity = "temperature"
//! address = 0x0102
//! type = "i16"
//! scale = 0.1
//! ```
//!
//! Source: MODBUS application protocol specification V1.1b3, MODBUS over serial line V1.02, MODBUS
//! messaging on TCP/IP V1.0b (modbus.org).

mod exchange;
pub mod listen;
pub mod rtu;
pub mod tcp;

pub use exchange::{BadAnswer, Exception, write_register};

use crate::decode::Reason;
use crate::decode::measure::{Number, Scaling, named};
use crate::sample::Quantity;

/// The most registers that one read can carry.
pub const WORDS_MAX: u16 = 125;
/// The most coils or discrete inputs that one read can carry.
pub const BITS_MAX: u16 = 2000;
/// The most registers that a map may have.
pub const REGISTERS_MAX: usize = 64;

named! {
    /// Where in a device a value stands.
    pub enum Table is "table" {
        /// Registers that can be read and written, function 3.
        Holding = "holding",
        /// Registers that can only be read, function 4.
        Input = "input",
        /// Single bits that can be read and written, function 1.
        Coil = "coil",
        /// Single bits that can only be read, function 2.
        Discrete = "discrete",
    }
}

named! {
    /// How a number is written.
    pub enum Encoding is "type" {
        /// Sixteen bits, unsigned.
        U16 = "u16",
        /// Sixteen bits, two's complement.
        I16 = "i16",
        /// Thirty-two bits in two registers, unsigned.
        U32 = "u32",
        /// Thirty-two bits in two registers, two's complement.
        I32 = "i32",
        /// Thirty-two bits in two registers, IEEE 754.
        F32 = "f32",
        /// One bit of a table of bits.
        Bit = "bit",
    }
}

named! {
    /// The order of the bytes of a number on the line, `a` the highest. Of a number in one register only
    /// the order inside a register counts.
    pub enum Order is "order" {
        /// High register first, high byte first: what the standard says.
        Abcd = "abcd",
        /// Low register first, high byte first.
        Cdab = "cdab",
        /// High register first, low byte first.
        Badc = "badc",
        /// Low register first, low byte first.
        Dcba = "dcba",
    }
}

impl Table {
    /// The function that reads it.
    #[must_use]
    pub const fn function(self) -> u8 {
        match self {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        }
    }

    /// Whether it holds single bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Table::Coil | Table::Discrete)
    }

    const fn read_max(self) -> u16 {
        if self.is_bits() { BITS_MAX } else { WORDS_MAX }
    }
}

impl Encoding {
    /// How many addresses it takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Encoding::U16 | Encoding::I16 | Encoding::Bit => 1,
            Encoding::U32 | Encoding::I32 | Encoding::F32 => 2,
        }
    }
}

/// One value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    table: Table,
    address: u16,
    encoding: Encoding,
    order: Order,
    scaling: Scaling,
}

/// Registers that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    table: Table,
    first: u16,
    count: u16,
}

/// What is read from one device.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisterMap {
    registers: Vec<Register>,
    reads: Vec<Read>,
}

/// Why a register or a map cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMap {
    /// A number in a table of bits, or a bit in a table of registers.
    #[error(
        "the {table} table has no {encoding}; bits stand in coil and discrete, and nothing else does"
    )]
    Encoding {
        /// The table.
        table: Table,
        /// The type.
        encoding: Encoding,
    },
    /// A number that begins in the last register and needs two.
    #[error(
        "address {0} is the last one, and a number of two registers does not fit; correct the address"
    )]
    Address(u16),
    /// No register.
    #[error("has no register; name at least one")]
    Empty,
    /// More registers than are allowed.
    #[error("has more than {REGISTERS_MAX} registers; make several stations of it")]
    TooMany,
}

impl Register {
    /// A value of type `encoding` at `address` of `table`.
    ///
    /// # Errors
    /// [`BadMap::Encoding`], [`BadMap::Address`].
    pub fn new(
        table: Table,
        address: u16,
        encoding: Encoding,
        scaling: Scaling,
    ) -> Result<Register, BadMap> {
        if table.is_bits() != (encoding == Encoding::Bit) {
            return Err(BadMap::Encoding { table, encoding });
        }
        if address.checked_add(encoding.width() - 1).is_none() {
            return Err(BadMap::Address(address));
        }
        Ok(Register { table, address, encoding, order: Order::Abcd, scaling })
    }

    /// Its bytes come in another order than the standard's.
    #[must_use]
    pub fn with_order(self, order: Order) -> Register {
        Register { order, ..self }
    }

    /// Where it ends, exclusive.
    fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.encoding.width())
    }

    /// The number in these values, of which there are as many as the register is wide.
    fn number(&self, values: &[u16]) -> Number {
        let swaps_bytes = matches!(self.order, Order::Badc | Order::Dcba);
        let swaps_words = matches!(self.order, Order::Cdab | Order::Dcba);
        let word = |i: usize| if swaps_bytes { values[i].swap_bytes() } else { values[i] };
        let long = || {
            let (high, low) = if swaps_words { (1, 0) } else { (0, 1) };
            u32::from(word(high)) << 16 | u32::from(word(low))
        };
        match self.encoding {
            Encoding::Bit => Number::Integer(values[0].into()),
            Encoding::U16 => Number::Integer(word(0).into()),
            Encoding::I16 => Number::Integer(word(0).cast_signed().into()),
            Encoding::U32 => Number::Integer(long().into()),
            Encoding::I32 => Number::Integer(long().cast_signed().into()),
            Encoding::F32 => Number::Real(f32::from_bits(long()).into()),
        }
    }
}

impl Read {
    /// `count` addresses of `table` from `first` on; `None` when that is more than one read can carry,
    /// nothing, or beyond the last address.
    #[must_use]
    pub const fn new(table: Table, first: u16, count: u16) -> Option<Read> {
        let fits = count > 0 && count <= table.read_max() && first.checked_add(count - 1).is_some();
        if fits { Some(Read { table, first, count }) } else { None }
    }

    /// The table.
    #[must_use]
    pub const fn table(self) -> Table {
        self.table
    }

    /// The first address, and how many.
    #[must_use]
    pub const fn addresses(self) -> (u16, u16) {
        (self.first, self.count)
    }

    fn end(self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }
}

impl RegisterMap {
    /// A map of these registers.
    ///
    /// # Errors
    /// [`BadMap::Empty`], [`BadMap::TooMany`].
    pub fn new(registers: Vec<Register>) -> Result<RegisterMap, BadMap> {
        if registers.is_empty() {
            return Err(BadMap::Empty);
        }
        if registers.len() > REGISTERS_MAX {
            return Err(BadMap::TooMany);
        }
        let reads = reads(&registers);
        Ok(RegisterMap { registers, reads })
    }

    /// What to ask the device for. Registers that touch are read together; over a gap, where the device
    /// may have nothing, never.
    #[must_use]
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// What the `values` that came for `read` measure: registers in the order of the map, each a
    /// quantity or that there is none. Coils and discrete inputs are 0 and 1.
    ///
    /// # Errors
    /// [`Reason::Truncated`] when there are not as many values as were asked for.
    pub fn decode(&self, read: Read, values: &[u16]) -> Result<Vec<Quantity>, Reason> {
        if values.len() != usize::from(read.count) {
            return Err(Reason::Truncated);
        }
        let inside = self.registers.iter().filter(|register| {
            register.table == read.table
                && register.address >= read.first
                && register.end() <= read.end()
        });
        let quantity = |register: &Register| {
            let at = usize::from(register.address - read.first);
            let width = usize::from(register.encoding.width());
            register.scaling.read(register.number(&values[at..at + width]))
        };
        Ok(inside.filter_map(quantity).collect())
    }
}

fn reads(registers: &[Register]) -> Vec<Read> {
    let mut sorted: Vec<&Register> = registers.iter().collect();
    sorted.sort_by_key(|register| (register.table, register.address));
    let mut reads: Vec<Read> = Vec::new();
    for register in sorted {
        if let Some(last) = reads.last_mut()
            && last.table == register.table
            && u32::from(register.address) <= last.end()
        {
            let end = register.end().max(last.end());
            let count = end - u32::from(last.first);
            if count <= last.table.read_max().into() {
                last.count = u16::try_from(count).expect("within the greatest read");
                continue;
            }
        }
        let (table, first) = (register.table, register.address);
        reads.push(Read { table, first, count: register.encoding.width() });
    }
    reads
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::measure::{Meaning, Measure, Unit};
    use crate::sample::{Absent, Missing, NoData};
    use crate::units::{MilliCelsius, Millimetres};

    fn holding(address: u16, encoding: Encoding, measure: Measure) -> Register {
        Register::new(Table::Holding, address, encoding, Scaling::new(measure)).unwrap()
    }

    fn distance(address: u16, encoding: Encoding) -> Register {
        holding(address, encoding, Measure::Distance)
    }

    #[test]
    fn registers_that_touch_are_read_together_and_gaps_are_not() {
        let map = |registers: Vec<Register>| RegisterMap::new(registers).unwrap();
        let read = |table, first, count| Read::new(table, first, count).unwrap();
        let family = map(vec![
            holding(0x0102, Encoding::I16, Measure::Temperature),
            distance(0x0100, Encoding::U16),
            distance(0x0101, Encoding::U16),
            distance(0x0200, Encoding::U32),
        ]);
        let expected = [read(Table::Holding, 0x0100, 3), read(Table::Holding, 0x0200, 2)];
        assert_eq!(family.reads(), expected);
        let coil = |address| {
            Register::new(Table::Coil, address, Encoding::Bit, Scaling::new(Measure::Working))
        };
        let mixed = map(vec![distance(1, Encoding::U16), coil(1).unwrap(), coil(2).unwrap()]);
        assert_eq!(mixed.reads(), [read(Table::Holding, 1, 1), read(Table::Coil, 1, 2)]);
        let twice = map(vec![distance(7, Encoding::U32), distance(8, Encoding::U16)]);
        assert_eq!(twice.reads(), [read(Table::Holding, 7, 2)]);
        let last = map(vec![distance(0xffff, Encoding::U16)]);
        assert_eq!(last.reads(), [read(Table::Holding, 0xffff, 1)]);
    }

    #[test]
    fn a_read_never_grows_over_what_one_answer_can_carry() {
        let registers = (0..63).map(|i| distance(2 * i, Encoding::U32)).collect();
        let map = RegisterMap::new(registers).unwrap();
        let counts: Vec<u16> = map.reads().iter().map(|read| read.count).collect();
        assert_eq!(counts, [124, 2]);
    }

    #[test]
    fn every_encoding_in_every_order() {
        use Encoding::{F32, I16, I32, U16, U32};
        // The bytes a b c d of each number, and how the number is read.
        for (encoding, bytes, mm) in [
            (U16, [0x02, 0xf2, 0, 0], 754),
            (I16, [0x7f, 0xff, 0, 0], 32_767),
            (U32, [0x00, 0x01, 0x00, 0x02], 65_538),
            (I32, [0x00, 0x02, 0x00, 0x01], 131_073),
            // 754.0
            (F32, [0x44, 0x3c, 0x80, 0x00], 754),
        ] {
            let [a, b, c, d] = bytes;
            let words = |order| match order {
                Order::Abcd => [[a, b], [c, d]],
                Order::Cdab => [[c, d], [a, b]],
                Order::Badc => [[b, a], [d, c]],
                Order::Dcba => [[d, c], [b, a]],
            };
            for &order in Order::ALL {
                let map = RegisterMap::new(vec![distance(5, encoding).with_order(order)]).unwrap();
                let mut values = words(order).map(u16::from_be_bytes).to_vec();
                if encoding.width() == 1 {
                    // Of one register there is only the order inside it.
                    let swapped = matches!(order, Order::Badc | Order::Dcba);
                    values = vec![u16::from_be_bytes(if swapped { [b, a] } else { [a, b] })];
                }
                let quantities = map.decode(map.reads()[0], &values).unwrap();
                let expected = [Quantity::Distance(Millimetres(mm))];
                assert_eq!(quantities, expected, "{encoding} {order}");
            }
        }
        let cold = holding(0, I16, Measure::Temperature);
        let map = RegisterMap::new(vec![cold]).unwrap();
        let quantities = map.decode(map.reads()[0], &[0xfff6]).unwrap();
        assert_eq!(quantities, [Quantity::Temperature(MilliCelsius(-10_000))]);
    }

    #[test]
    fn bits_are_states() {
        let lid = Scaling::new(Measure::LidOpen);
        let lid = Register::new(Table::Discrete, 3, Encoding::Bit, lid).unwrap();
        let map = RegisterMap::new(vec![lid]).unwrap();
        assert_eq!(map.decode(map.reads()[0], &[1]), Ok(vec![Quantity::LidOpen(true)]));
    }

    #[test]
    fn no_value_is_absent_and_says_why() {
        let scaling = Scaling::new(Measure::Distance)
            .with_unit(Unit::Millimetre)
            .and_then(|s| s.with_range(280.0, 7500.0))
            .and_then(|s| s.with_meaning(0, Meaning::Absent(NoData::TooClose)))
            .unwrap();
        let register = Register::new(Table::Input, 0, Encoding::U16, scaling).unwrap();
        let map = RegisterMap::new(vec![register]).unwrap();
        let read = |value| map.decode(map.reads()[0], &[value]).unwrap()[0];
        let absent = |why| Quantity::Absent(Absent { what: Missing::Distance, why });
        assert_eq!(read(0), absent(NoData::TooClose));
        assert_eq!(read(100), absent(NoData::OutOfRange));
        assert_eq!(read(300), Quantity::Distance(Millimetres(300)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let scaling = || Scaling::new(Measure::Distance);
        let bad = |table, address, encoding| {
            Register::new(table, address, encoding, scaling()).unwrap_err().to_string()
        };
        assert!(bad(Table::Coil, 0, Encoding::U16).contains("coil table has no u16"));
        assert!(bad(Table::Holding, 0, Encoding::Bit).contains("holding table has no bit"));
        assert!(bad(Table::Holding, 0xffff, Encoding::F32).contains("address 65535"));
        assert_eq!(RegisterMap::new(vec![]), Err(BadMap::Empty));
        let many = vec![distance(0, Encoding::U16); REGISTERS_MAX + 1];
        assert_eq!(RegisterMap::new(many), Err(BadMap::TooMany));
        for (count, first) in [(0, 0), (126, 0), (2, 0xffff)] {
            assert_eq!(Read::new(Table::Holding, first, count), None);
        }
        assert!(Read::new(Table::Coil, 0, 2000).is_some());
        let map = RegisterMap::new(vec![distance(0, Encoding::U16)]).unwrap();
        assert_eq!(map.decode(map.reads()[0], &[1, 2]), Err(Reason::Truncated));
        assert_eq!(map.decode(map.reads()[0], &[]), Err(Reason::Truncated));
    }

    #[test]
    fn the_words_of_the_configuration() {
        for &table in Table::ALL {
            assert_eq!(table.as_str().parse(), Ok(table));
        }
        for &encoding in Encoding::ALL {
            assert_eq!(encoding.as_str().parse(), Ok(encoding));
        }
        for &order in Order::ALL {
            assert_eq!(order.as_str().parse(), Ok(order));
        }
    }

    proptest! {
        #[test]
        fn every_register_is_read_once_for_all_and_answers_whatever_comes(
            places in proptest::collection::vec((any::<u16>(), 0..5_usize), 1..30),
            value in any::<u16>(),
        ) {
            let register = |&(address, encoding): &(u16, usize)| {
                let scaling = Scaling::new(Measure::Distance);
                Register::new(Table::Holding, address, Encoding::ALL[encoding], scaling).ok()
            };
            let registers: Vec<Register> = places.iter().filter_map(register).collect();
            prop_assume!(!registers.is_empty());
            let count = registers.len();
            let map = RegisterMap::new(registers).unwrap();
            let answers = map.reads().iter().map(|&read| {
                prop_assert!(Read::new(read.table, read.first, read.count).is_some());
                let values = vec![value; usize::from(read.count)];
                Ok(map.decode(read, &values).unwrap().len())
            });
            let answers = answers.collect::<Result<Vec<usize>, TestCaseError>>()?;
            prop_assert!(answers.iter().sum::<usize>() >= count);
        }
    }
}
