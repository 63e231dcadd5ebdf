//! What a node keeps over a restart: settings, counters and the field of its empty bay.
//!
//! A board with memory for it keeps two places, writes the one that [`Record::place`] names, and at a
//! start takes the [`Record::newest`] of what it can read: a power cut while writing costs the new
//! record and not both.

use drivers::Field;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};
use wire::Settings;

/// The length of a stored record in bytes.
pub const RECORD_LEN: usize = 128;

/// The version of the form that is written, and the only one that is read.
const VERSION: u8 = 1;
const CRC_LEN: usize = 4;
const BODY_LEN: usize = RECORD_LEN - 1 - CRC_LEN;

const _: () = assert!(Body::POSTCARD_MAX_SIZE <= BODY_LEN);

/// What a node keeps over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Counted up with every record that got to its place; 4 billion outlast any memory.
    pub(crate) serial: u32,
    /// Starts so far.
    pub(crate) boot: u32,
    /// Report counters below this one may have been used.
    pub(crate) reserved: u32,
    /// The field of the empty bay, once it was learnt.
    pub(crate) baseline: Option<Learnt>,
    /// The settings in force.
    pub(crate) settings: Settings,
    /// The number of the latest command that was believed, by nodes with a key.
    pub(crate) command: u32,
    /// What was taken out of the battery so far, in microampere hours.
    pub(crate) used_uah: u32,
}

/// What is known of the empty bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub(crate) field: Field,
    /// At which temperature, in thousandths of a degree Celsius; `None` without a thermometer.
    pub(crate) mc: Option<i32>,
    /// By how much the field changes with the temperature: 1/16 nT per degree, per axis.
    pub(crate) slope: [i16; 3],
    /// The bay has returned to it: it is not the field of a vehicle that stood there at the start.
    pub(crate) is_confirmed: bool,
    /// What the vehicle does to the field that stands there; none that is known.
    pub(crate) standing: Option<Field>,
}

impl Learnt {
    /// Whether a vehicle has come or gone between the two.
    pub(crate) fn is_other_vehicle(&self, other: &Learnt) -> bool {
        self.standing.is_some() != other.standing.is_some()
    }
}

/// Why a stored record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// The CRC does not fit: never written, or damaged.
    Checksum,
    /// Written by a program with another form of it.
    Version(u8),
    /// The CRC fits, the content does not.
    Malformed,
}

#[derive(Serialize, Deserialize, MaxSize)]
struct Body {
    serial: u32,
    boot: u32,
    reserved: u32,
    baseline: Option<[i32; 3]>,
    settings: Settings,
    mc: Option<i32>,
    slope: [i16; 3],
    is_confirmed: bool,
    command: u32,
    used_uah: u32,
    /// Later than the rest: the filling of records without it reads as `None`.
    standing: Option<[i32; 3]>,
}

impl Record {
    /// A node that was never started.
    pub(crate) const FIRST: Record = Record {
        serial: 0,
        boot: 0,
        reserved: 0,
        baseline: None,
        settings: Settings::INITIAL,
        command: 0,
        used_uah: 0,
    };

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let Record { serial, boot, reserved, baseline, settings, command, used_uah } = *self;
        let body = Body {
            serial,
            boot,
            reserved,
            baseline: baseline.map(|Learnt { field: Field { x, y, z }, .. }| [x, y, z]),
            settings,
            mc: baseline.and_then(|learnt| learnt.mc),
            slope: baseline.map(|learnt| learnt.slope).unwrap_or_default(),
            is_confirmed: baseline.is_some_and(|learnt| learnt.is_confirmed),
            command,
            used_uah,
            standing: baseline
                .and_then(|learnt| learnt.standing)
                .map(|Field { x, y, z }| [x, y, z]),
        };
        let mut bytes = [0; RECORD_LEN];
        bytes[0] = VERSION;
        let (checked, sum) = bytes.split_at_mut(1 + BODY_LEN);
        postcard::to_slice(&body, &mut checked[1..])
            .expect("BODY_LEN holds the largest body, asserted above");
        sum.copy_from_slice(&wire::CRC.checksum(checked).to_le_bytes());
        bytes
    }

    /// Reads what was stored. Settings that this program does not accept (a range was narrowed) are
    /// replaced by the initial ones, which the next hello tells by their revision 0; the counters must
    /// not be lost with them.
    ///
    /// # Errors
    /// The bytes are not a record of this version.
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Result<Record, RecordFault> {
        let (checked, sum) = bytes.split_at(1 + BODY_LEN);
        if wire::CRC.checksum(checked).to_le_bytes() != *sum {
            return Err(RecordFault::Checksum);
        }
        if checked[0] != VERSION {
            return Err(RecordFault::Version(checked[0]));
        }
        // What follows the body is filling.
        let (body, _) =
            postcard::take_from_bytes::<Body>(&checked[1..]).map_err(|_| RecordFault::Malformed)?;
        let Body {
            serial,
            boot,
            reserved,
            settings,
            mc,
            slope,
            is_confirmed,
            command,
            used_uah,
            standing,
            ..
        } = body;
        let field = |[x, y, z]: [i32; 3]| Field { x, y, z };
        let standing = standing.map(field);
        let baseline = body.baseline.map(|axes| Learnt {
            field: field(axes),
            mc,
            slope,
            is_confirmed,
            standing,
        });
        let settings = if settings.check().is_ok() { settings } else { Settings::INITIAL };
        Ok(Record { serial, boot, reserved, baseline, settings, command, used_uah })
    }

    /// Which of the two places to write it to, 0 or 1: never the one of the record before.
    #[must_use]
    pub const fn place(&self) -> usize {
        (self.serial % 2) as usize
    }

    /// Starts of the node so far.
    #[must_use]
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// The later one of two that could be read.
    #[must_use]
    pub fn newest(one: Option<Record>, other: Option<Record>) -> Option<Record> {
        match (one, other) {
            (Some(a), Some(b)) => Some(if a.serial > b.serial { a } else { b }),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::BaySettings;

    const RECORD: Record = Record {
        serial: 12,
        boot: 3,
        reserved: 1024,
        baseline: Some(Learnt {
            field: Field { x: 20_000, y: -5_000, z: 40_000 },
            mc: Some(21_500),
            slope: [160, -32, 0],
            is_confirmed: true,
            standing: None,
        }),
        settings: Settings {
            bay: BaySettings { arrive_nt: 5000, leave_nt: 2500, ..Settings::INITIAL.bay },
            ..Settings::INITIAL
        },
        command: 300,
        used_uah: 70_000,
    };

    fn sealed(mut bytes: [u8; RECORD_LEN]) -> [u8; RECORD_LEN] {
        let (checked, sum) = bytes.split_at_mut(1 + BODY_LEN);
        sum.copy_from_slice(&wire::CRC.checksum(checked).to_le_bytes());
        bytes
    }

    #[test]
    fn the_form_is_pinned() {
        let expected = [
            1, 12, 3, 0x80, 8, 1, 0xC0, 0xB8, 2, 0x8F, 0x4E, 0x80, 0xF1, 4, 0, 0x90, 0x1C, 0x80,
            0xA3, 5, 0xFA, 1, 0x88, 0x27, 0xC4, 0x13, 0xDC, 0x0B, 0xD0, 0x0F, 0xD8, 4, 7, 50, 0xD0,
            0xF7, 7, 1, 0xF8, 0xCF, 2, 0xC0, 2, 0x3F, 0, 1, 0xAC, 2, 0xF0, 0xA2, 4, 0,
        ];
        let bytes = RECORD.encode();
        assert_eq!(bytes[..expected.len()], expected);
        assert!(bytes[expected.len()..RECORD_LEN - CRC_LEN].iter().all(|b| *b == 0));
        assert_eq!(Record::decode(&bytes), Ok(RECORD));
    }

    #[test]
    fn memory_that_was_never_written_is_no_record() {
        for filling in [0x00, 0xFF, 0x55] {
            assert_eq!(Record::decode(&[filling; RECORD_LEN]), Err(RecordFault::Checksum));
        }
    }

    #[test]
    fn another_version_and_a_wrong_content_are_told_apart() {
        let mut bytes = RECORD.encode();
        bytes[0] = 2;
        assert_eq!(Record::decode(&bytes), Err(RecordFault::Checksum));
        assert_eq!(Record::decode(&sealed(bytes)), Err(RecordFault::Version(2)));
        let mut bytes = RECORD.encode();
        bytes[5] = 7;
        assert_eq!(Record::decode(&sealed(bytes)), Err(RecordFault::Malformed));
    }

    #[test]
    fn settings_that_are_not_accepted_do_not_cost_the_counters() {
        let mut record = RECORD;
        record.settings.revision = 5;
        record.settings.keep_alive_s = 1;
        let read = Record::decode(&record.encode()).unwrap();
        assert_eq!((read.settings, read.reserved), (Settings::INITIAL, 1024));
    }

    #[test]
    fn the_newest_counts_and_is_not_written_over() {
        let next = Record { serial: 13, ..RECORD };
        assert_eq!(Record::newest(Some(RECORD), Some(next)), Some(next));
        assert_eq!(Record::newest(Some(next), Some(RECORD)), Some(next));
        assert_eq!(Record::newest(None, Some(RECORD)), Some(RECORD));
        assert_eq!(Record::newest(Some(RECORD), None), Some(RECORD));
        assert_eq!(Record::newest(None, None), None);
        assert_ne!(next.place(), RECORD.place());
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read(
            [serial, boot, reserved, command, used_uah] in any::<[u32; 5]>(),
            baseline in any::<Option<([i32; 3], Option<i32>, [i16; 3], bool)>>(),
            standing in any::<Option<[i32; 3]>>(),
        ) {
            let field = |[x, y, z]: [i32; 3]| Field { x, y, z };
            let baseline = baseline.map(|(axes, mc, slope, is_confirmed)| Learnt {
                field: field(axes),
                mc,
                slope,
                is_confirmed,
                standing: standing.map(field),
            });
            let settings = Settings::INITIAL;
            let record = Record { serial, boot, reserved, baseline, settings, command, used_uah };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn a_flipped_bit_is_found(bit in 0..RECORD_LEN * 8) {
            let mut bytes = RECORD.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Record::decode(&bytes), Err(RecordFault::Checksum));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<[[u8; 32]; 4]>()) {
            let mut all = [0; RECORD_LEN];
            all.copy_from_slice(bytes.as_flattened());
            let _ = Record::decode(&sealed(all)).map(|record| record.encode());
        }
    }
}
