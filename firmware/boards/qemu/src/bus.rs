//! The I²C bus: I2C0 as a master.
//!
//! QEMU's master knows no repeated START: between writing and reading this one sends STOP and START. The
//! chips on the board keep the register they were told, so nothing is lost by it.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use crate::registers::{read, write};

const BASE: u32 = 0x4002_0000;
const ADDRESS: u32 = BASE;
const CONTROL: u32 = BASE + 0x004;
const DATA: u32 = BASE + 0x008;
const PERIOD: u32 = BASE + 0x00C;
const CONFIGURATION: u32 = BASE + 0x020;
const RUN: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 4;
const ACK: u32 = 8;
const BUSY: u32 = 1;
const ERROR: u32 = 2;
const ADDRESS_REFUSED: u32 = 4;
const DATA_REFUSED: u32 = 8;
const ARBITRATION_LOST: u32 = 16;
/// A transfer of a byte at 100 kHz takes 90 µs; nobody stretches the clock for longer than this.
const POLLS_MAX: u32 = 100_000;

/// The bus.
#[derive(Debug)]
pub struct Bus(());

/// What a transfer can fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusFault {
    /// Nobody answers at the address.
    Address,
    /// The chip did not take a byte.
    Data,
    /// Somebody else drives the bus.
    Arbitration,
    /// The bus is held.
    Stuck,
}

impl embedded_hal::i2c::Error for BusFault {
    fn kind(&self) -> ErrorKind {
        match self {
            BusFault::Address => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            BusFault::Data => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            BusFault::Arbitration => ErrorKind::ArbitrationLoss,
            BusFault::Stuck => ErrorKind::Bus,
        }
    }
}

impl Bus {
    pub(crate) fn start() -> Bus {
        const MASTER: u32 = 0x10;
        // 100 kHz: clock / (20 · 100 000) - 1.
        write(CONFIGURATION, MASTER);
        write(PERIOD, crate::clock::HZ.div_ceil(2_000_000) - 1);
        Bus(())
    }

    fn command(&mut self, command: u32) -> Result<(), BusFault> {
        write(CONTROL, command);
        for _ in 0..POLLS_MAX {
            let status = read(CONTROL);
            if status & BUSY != 0 {
                continue;
            }
            return match status {
                // QEMU tells an address that nobody answers to as lost arbitration.
                s if s & (ADDRESS_REFUSED | ARBITRATION_LOST) != 0 && s & ERROR != 0 => {
                    Err(BusFault::Address)
                }
                s if s & ARBITRATION_LOST != 0 => Err(BusFault::Arbitration),
                s if s & DATA_REFUSED != 0 && s & ERROR != 0 => Err(BusFault::Data),
                s if s & ERROR != 0 => Err(BusFault::Stuck),
                _ => Ok(()),
            };
        }
        Err(BusFault::Stuck)
    }

    /// One direction: START, all bytes of `operations`, STOP. Without bytes, only the address.
    fn one_way(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusFault> {
        let reads = matches!(operations, [Operation::Read(_), ..]);
        write(ADDRESS, u32::from(address) << 1 | u32::from(reads));
        let mut left: usize = operations.iter().map(len).sum();
        if left == 0 {
            return self.command(START | STOP);
        }
        let mut first = START;
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    for byte in bytes.iter() {
                        write(DATA, (*byte).into());
                        self.byte(core::mem::take(&mut first), &mut left)?;
                    }
                }
                Operation::Read(bytes) => {
                    for byte in bytes.iter_mut() {
                        let acknowledge = if left > 1 { ACK } else { 0 };
                        self.byte(core::mem::take(&mut first) | acknowledge, &mut left)?;
                        *byte = read(DATA) as u8;
                    }
                }
            }
        }
        Ok(())
    }

    fn byte(&mut self, flags: u32, left: &mut usize) -> Result<(), BusFault> {
        *left -= 1;
        let stop = if *left == 0 { STOP } else { 0 };
        let done = self.command(flags | RUN | stop);
        if done.is_err() && stop == 0 {
            write(CONTROL, STOP);
        }
        done
    }
}

fn len(operation: &Operation<'_>) -> usize {
    match operation {
        Operation::Read(bytes) => bytes.len(),
        Operation::Write(bytes) => bytes.len(),
    }
}

impl ErrorType for Bus {
    type Error = BusFault;
}

impl I2c for Bus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusFault> {
        operations
            .chunk_by_mut(|a, b| core::mem::discriminant(a) == core::mem::discriminant(b))
            .try_for_each(|same| self.one_way(address, same))
    }
}
