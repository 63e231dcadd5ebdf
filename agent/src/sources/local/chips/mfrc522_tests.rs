//! The card reader MFRC522 on a bus that holds a model of its registers with a card in front of it: what the
//! driver from outside says to the card, to the byte, and what becomes of the card's answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use embedded_hal::spi::{ErrorKind, ErrorType, Operation};

use super::*;

/// Registers (NXP MFRC522 rev. 3.9, table 20).
const COMMAND: u8 = 0x01;
const COM_IRQ: u8 = 0x04;
const DIV_IRQ: u8 = 0x05;
const FIFO: u8 = 0x09;
const FIFO_LEVEL: u8 = 0x0A;
const BIT_FRAMING: u8 = 0x0D;
const CRC_HIGH: u8 = 0x21;
const CRC_LOW: u8 = 0x22;
const VERSION: u8 = 0x37;
/// Commands of [`COMMAND`].
const CALC_CRC: u8 = 0x03;
const START_SEND: u8 = 0x80;
const RECEIVED: u8 = 0x20;
const TIMED_OUT: u8 = 0x01;

/// The reader, and the card that is near.
#[derive(Debug, Default)]
struct Reader {
    version: u8,
    card: Option<[u8; 4]>,
    fifo: VecDeque<u8>,
    crc: [u8; 2],
    irq: u8,
    /// Every frame that the card was sent.
    frames: Vec<Vec<u8>>,
}

/// CRC_A of ISO/IEC 14443-3, annex B.
fn crc_a(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0x6363_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}

impl Reader {
    fn write(&mut self, register: u8, value: u8) {
        match register {
            FIFO => self.fifo.push_back(value),
            FIFO_LEVEL => self.fifo.clear(),
            COMMAND if value == CALC_CRC => self.crc = crc_a(self.fifo.make_contiguous()),
            BIT_FRAMING if value & START_SEND != 0 => self.exchange(),
            _ => {}
        }
    }

    /// Sends what waits to the card, and takes in its answer.
    fn exchange(&mut self) {
        let frame: Vec<u8> = self.fifo.drain(..).collect();
        let uid = self.card;
        let answer = match (uid, &frame[..]) {
            (Some(_), [0x52]) => Some(vec![0x04, 0x00]),
            (Some([a, b, c, d]), [0x93, 0x20]) => Some(vec![a, b, c, d, a ^ b ^ c ^ d]),
            (Some([a, b, c, d]), [0x93, 0x70, ..]) if frame[2..6] == [a, b, c, d] => {
                let [low, high] = crc_a(&[0x08]);
                Some(vec![0x08, low, high])
            }
            _ => None,
        };
        self.irq = if answer.is_some() { RECEIVED } else { TIMED_OUT };
        self.fifo.extend(answer.unwrap_or_default());
        self.frames.push(frame);
    }

    fn read(&mut self, register: u8) -> u8 {
        if matches!(self.version, 0x00 | 0xff) {
            return self.version;
        }
        match register {
            VERSION => self.version,
            COM_IRQ => self.irq,
            DIV_IRQ => 0x04,
            FIFO => self.fifo.pop_front().unwrap_or(0),
            FIFO_LEVEL => u8::try_from(self.fifo.len()).unwrap(),
            CRC_LOW => self.crc[0],
            CRC_HIGH => self.crc[1],
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Bus(Arc<Mutex<Reader>>);

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl SpiDevice for Bus {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        let mut reader = self.0.lock().unwrap();
        match operations {
            [Operation::Write([address, value])] => reader.write(address >> 1, *value),
            [Operation::Write([address]), Operation::Write(bytes)] => {
                bytes.iter().for_each(|byte| reader.write(address >> 1, *byte));
            }
            [Operation::TransferInPlace(bytes)] => bytes[1] = reader.read(bytes[0] >> 1 & 0x3f),
            [Operation::Write([address]), Operation::TransferInPlace(bytes)] => {
                bytes.fill_with(|| reader.read(address >> 1 & 0x3f));
            }
            other => panic!("the driver does not do this: {other:?}"),
        }
        Ok(())
    }
}

fn reader() -> Bus {
    let bus = Bus::default();
    bus.0.lock().unwrap().version = 0x92;
    bus
}

fn tag(digits: &str) -> Looked {
    Ok(vec![lift(Tag::from_hex(digits).unwrap())])
}

#[test]
fn a_card_is_woken_asked_for_its_number_selected_and_sent_to_sleep() {
    let bus = reader();
    let mut chip = start_mfrc522(bus.clone()).unwrap();
    bus.0.lock().unwrap().card = Some([0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(chip.look(0), tag("deadbeef"));
    let select = [0x93, 0x70, 0xde, 0xad, 0xbe, 0xef, 0x22];
    let expected = [
        vec![0x52],
        vec![0x93, 0x20],
        [&select[..], &crc_a(&select)].concat(),
        // HLTA with the CRC_A that the standard prints for it.
        vec![0x50, 0x00, 0x57, 0xcd],
    ];
    assert_eq!(bus.0.lock().unwrap().frames, expected);
}

#[test]
fn a_card_that_stays_is_said_once_and_another_is_said() {
    let bus = reader();
    let mut chip = start_mfrc522(bus.clone()).unwrap();
    let mut look_with = |card| {
        bus.0.lock().unwrap().card = card;
        chip.look(0)
    };
    assert_eq!(look_with(None), Ok(vec![]));
    assert_eq!(look_with(Some([1, 2, 3, 4])), tag("01020304"));
    assert_eq!(look_with(Some([1, 2, 3, 4])), Ok(vec![]));
    assert_eq!(look_with(Some([1, 2, 3, 5])), tag("01020305"));
    assert_eq!(look_with(None), Ok(vec![]));
    assert_eq!(look_with(Some([1, 2, 3, 5])), tag("01020305"));
}

#[test]
fn a_reader_that_is_not_there_or_goes_away_is_an_error_and_no_wait() {
    let bus = Bus::default();
    assert_eq!(start_mfrc522(bus).err().unwrap(), "nothing answers");
    for silence in [0x00, 0xff] {
        let bus = reader();
        let mut chip = start_mfrc522(bus.clone()).unwrap();
        bus.0.lock().unwrap().version = silence;
        assert_eq!(chip.look(0), Err("nothing answers".to_owned()));
    }
}
