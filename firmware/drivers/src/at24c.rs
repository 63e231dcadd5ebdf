//! AT24C32 and larger, memory that keeps without power: EEPROM over I²C (Atmel doc0336), and FRAM with the same
//! commands (MB85RC64 and larger), which has no pages and no wait.
//!
//! A page is written at once, after which the chip does not answer for up to [`WRITE_MS`]; whoever owns it
//! waits that long or asks [`At24c::is_ready`].

use core::fmt;

use embedded_hal::i2c::{Error as _, ErrorKind};
use embedded_hal::i2c::{I2c, NoAcknowledgeSource, Operation};

use crate::{Access, BusError};

/// The bytes of a page of the smallest chip; those of larger ones are multiples of it.
pub const PAGE_LEN: usize = 32;

/// The longest time that writing a page takes, in milliseconds (table 4, at 2.7 V 10 ms; newer chips 5 ms).
pub const WRITE_MS: u32 = 10;

/// The address, chosen by where the pins A0 to A2 are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(u8);

impl Address {
    /// From the levels of A2, A1, A0 as a number from 0 to 7; `None` for another number.
    #[must_use]
    pub const fn new(pins: u8) -> Option<Address> {
        if pins < 8 { Some(Address(0x50 | pins)) } else { None }
    }
}

/// What the error names in place of a register: the place in the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell(pub u16);

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory from {:#06x} on", self.0)
    }
}

/// Why something was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus; also a chip that is still busy with the page before.
    Bus(BusError<Cell, E>),
    /// The bytes would go over the end of a page, where the chip starts again at its beginning.
    PageEnd,
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bus(error) => error.fmt(f),
            Error::PageEnd => f.write_str("the bytes go over the end of a page: split them there"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// The chip on its bus.
#[derive(Debug)]
pub struct At24c<I2C> {
    bus: I2C,
    address: Address,
}

impl<I2C: I2c> At24c<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> At24c<I2C> {
        At24c { bus, address }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Reads from `cell` on, over pages and as much as wanted; at the end of the chip it goes on at 0.
    ///
    /// # Errors
    /// The bus fails.
    pub fn read(&mut self, cell: u16, bytes: &mut [u8]) -> Result<(), Error<I2C::Error>> {
        let access = Access::Read;
        self.bus
            .write_read(self.address.0, &cell.to_be_bytes(), bytes)
            .map_err(|source| Error::Bus(BusError { access, register: Cell(cell), source }))
    }

    /// Writes `bytes` from `cell` on, all within one page; [`pages`] splits what is longer.
    ///
    /// # Errors
    /// The bus fails, or the bytes go over the end of a page; nothing is then written.
    pub fn write_page(&mut self, cell: u16, bytes: &[u8]) -> Result<(), Error<I2C::Error>> {
        if usize::from(cell) % PAGE_LEN + bytes.len() > PAGE_LEN {
            return Err(Error::PageEnd);
        }
        let access = Access::Write;
        let head = cell.to_be_bytes();
        self.bus
            .transaction(self.address.0, &mut [Operation::Write(&head), Operation::Write(bytes)])
            .map_err(|source| Error::Bus(BusError { access, register: Cell(cell), source }))
    }

    /// Whether the chip has finished writing: busy, it does not answer to its address. Asked by reading a byte,
    /// since not every controller can send an address and nothing else.
    ///
    /// # Errors
    /// The bus fails in another way.
    pub fn is_ready(&mut self) -> Result<bool, Error<I2C::Error>> {
        match self.bus.read(self.address.0, &mut [0]) {
            Ok(()) => Ok(true),
            Err(source) => match source.kind() {
                ErrorKind::NoAcknowledge(
                    NoAcknowledgeSource::Address | NoAcknowledgeSource::Unknown,
                ) => Ok(false),
                _ => Err(Error::Bus(BusError { access: Access::Read, register: Cell(0), source })),
            },
        }
    }
}

/// Splits what is to be written from `cell` on where pages end.
pub fn pages(cell: u16, bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let first = bytes.len().min(PAGE_LEN - usize::from(cell) % PAGE_LEN);
    let (head, rest) = bytes.split_at(first);
    let mut at = cell;
    core::iter::once(head).chain(rest.chunks(PAGE_LEN)).filter(|part| !part.is_empty()).map(
        move |part| {
            let here = at;
            // A part is at most a page long; a chip has at most 64 KiB and wraps at its end as this does.
            at = at.wrapping_add(part.len() as u16);
            (here, part)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn chip(transactions: &[Transaction]) -> At24c<Mock> {
        At24c::new(Mock::new(transactions), Address::new(1).unwrap())
    }

    #[test]
    fn eight_chips_share_a_bus() {
        assert_eq!(Address::new(7), Some(Address(0x57)));
        assert_eq!(Address::new(8), None);
    }

    #[test]
    fn it_is_read_over_pages_and_written_within_one() {
        let mut chip = chip(&[
            Transaction::write_read(0x51, vec![0x0F, 0xFE], vec![1, 2, 3]),
            Transaction::transaction_start(0x51),
            Transaction::write(0x51, vec![0x00, 0x3E]),
            Transaction::write(0x51, vec![8, 9]),
            Transaction::transaction_end(0x51),
        ]);
        let mut bytes = [0; 3];
        chip.read(0x0FFE, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3]);
        chip.write_page(0x3E, &[8, 9]).unwrap();
        assert_eq!(chip.write_page(0x3E, &[8, 9, 10]), Err(Error::PageEnd));
        chip.release().done();
    }

    #[test]
    fn a_busy_chip_is_told_from_a_bus_that_fails() {
        let busy = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let mut chip = chip(&[
            Transaction::read(0x51, vec![0]).with_error(busy),
            Transaction::read(0x51, vec![0]),
            Transaction::read(0x51, vec![0]).with_error(ErrorKind::ArbitrationLoss),
        ]);
        assert_eq!(chip.is_ready(), Ok(false));
        assert_eq!(chip.is_ready(), Ok(true));
        assert!(chip.is_ready().is_err());
        chip.release().done();
    }

    #[test]
    fn an_error_names_the_place() {
        let failed = Transaction::write_read(0x51, vec![0x01, 0x00], vec![0]);
        let mut chip = chip(&[failed.with_error(ErrorKind::Bus)]);
        let error = chip.read(0x100, &mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "reading memory from 0x0100 on: Bus");
        chip.release().done();
    }

    #[test]
    fn what_is_long_is_split_where_pages_end() {
        let bytes: Vec<u8> = (0..80).collect();
        for (cell, lens) in
            [(0, vec![32, 32, 16]), (30, vec![2, 32, 32, 14]), (31, vec![1, 32, 32, 15])]
        {
            let parts: Vec<(u16, &[u8])> = pages(cell, &bytes).collect();
            assert_eq!(parts.iter().map(|part| part.1.len()).collect::<Vec<_>>(), lens, "{cell}");
            let mut at = cell;
            for (place, part) in &parts {
                assert_eq!(*place, at);
                assert!(usize::from(at) % PAGE_LEN + part.len() <= PAGE_LEN);
                at += part.len() as u16;
            }
            assert_eq!(parts.iter().flat_map(|part| part.1).copied().collect::<Vec<_>>(), bytes);
        }
        assert_eq!(pages(0, &[]).count(), 0);
        assert_eq!(pages(u16::MAX, &[1, 2]).map(|part| part.0).collect::<Vec<_>>(), [u16::MAX, 0]);
    }
}
