//! How a report waits in memory that outlives the power: one slot each.
//!
//! ```text
//! version u8 | measured u64, seconds since 1970, 0 not known | length u8 | frame … | filling | CRC-32C u32
//! ```
//!
//! The frame is the one of the line, so that its form is pinned once and for both. Numbers are little
//! endian. A slot of zeros is empty.

use wire::{Body, Deframer, FRAME_MAX, Frame, Header, Heard, Measured, Report, Up};

/// The length of a slot in bytes.
pub const KEPT_LEN: usize = 64;

/// What an empty slot holds.
pub(crate) const EMPTY: [u8; KEPT_LEN] = [0; KEPT_LEN];

const VERSION: u8 = 1;
const HEAD_LEN: usize = 10;
const CRC_LEN: usize = 4;

/// A report as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) counter: u32,
    /// When it was measured, where the node had been told the time: seconds since 1970.
    pub(crate) measured_unix_s: Option<u64>,
    pub(crate) measured: Measured,
}

/// What a slot held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing, or it was never written.
    Empty,
    /// A report.
    Report(Kept),
    /// Neither: the power went while it was written, or the memory is worn.
    Damaged,
}

impl Kept {
    /// The bytes to store.
    pub(crate) fn encode(&self, node: u32) -> [u8; KEPT_LEN] {
        let mut bytes = EMPTY;
        let header = Header { node, counter: self.counter, uptime_s: 0 };
        let report = Report { age_s: 0, measured: self.measured };
        let mut room = [0; FRAME_MAX];
        let frame = Frame { header, body: Body::Up(Up::Report(report)) }
            .encode(&mut room)
            .expect("FRAME_MAX bytes hold every frame");
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.measured_unix_s.unwrap_or(0).to_le_bytes());
        bytes[9] = u8::try_from(frame.len()).expect("FRAME_MAX is below 256");
        bytes[HEAD_LEN..HEAD_LEN + frame.len()].copy_from_slice(frame);
        let (checked, sum) = bytes.split_at_mut(KEPT_LEN - CRC_LEN);
        sum.copy_from_slice(&wire::CRC.checksum(checked).to_le_bytes());
        bytes
    }
}

impl Slot {
    /// Reads what was stored, for the node of this number: a memory that was moved to another node holds
    /// nothing that it may say.
    pub(crate) fn decode(bytes: &[u8; KEPT_LEN], node: u32) -> Slot {
        if bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF) {
            return Slot::Empty;
        }
        read(bytes, node).map_or(Slot::Damaged, Slot::Report)
    }
}

fn read(bytes: &[u8; KEPT_LEN], node: u32) -> Option<Kept> {
    let (checked, sum) = bytes.split_last_chunk::<CRC_LEN>()?;
    if wire::CRC.checksum(checked) != u32::from_le_bytes(*sum) {
        return None;
    }
    let ([version, unix @ .., len], room) = checked.split_first_chunk::<HEAD_LEN>()?;
    let frame = room.get(..usize::from(*len)).filter(|_| *version == VERSION)?;
    let mut heard = None;
    Deframer::new().push_slice(frame, |what| heard = Some(what));
    let Some(Heard::Frame(Frame { header, body: Body::Up(Up::Report(report)) })) = heard else {
        return None;
    };
    let unix_s = u64::from_le_bytes(*unix);
    (header.node == node).then_some(Kept {
        counter: header.counter,
        measured_unix_s: (unix_s > 0).then_some(unix_s),
        measured: report.measured,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::{Bay, BayState, Bin, Distance, Temperature};

    const BIN: Measured = Measured::Bin(Bin {
        distance: Distance::Millimetres(u16::MAX),
        tilted: Some(true),
        lid_open: Some(true),
        fire: Some(true),
        temperature: Temperature::MilliCelsius(i32::MIN),
    });
    const BAY: Measured = Measured::Bay(Bay {
        state: BayState::Occupied,
        previous_s: Some(u32::MAX),
        temperature: Temperature::MilliCelsius(i32::MIN),
    });
    const LONGEST: Kept =
        Kept { counter: u32::MAX, measured_unix_s: Some(u64::MAX), measured: BIN };

    #[test]
    fn the_longest_report_has_room() {
        for measured in [BIN, BAY] {
            let kept = Kept { measured, ..LONGEST };
            assert_eq!(Slot::decode(&kept.encode(7), 7), Slot::Report(kept));
        }
        // A frame of the line says its age too, which here it does not.
        assert!(HEAD_LEN + usize::from(LONGEST.encode(u32::MAX - 1)[9]) <= KEPT_LEN - CRC_LEN);
    }

    #[test]
    fn the_form_is_pinned() {
        let kept = Kept { counter: 40, measured_unix_s: None, measured: BAY };
        let bytes = kept.encode(1001);
        let expected = [1, 0, 0, 0, 0, 0, 0, 0, 0, 34, 4, 1, 0xE9, 3, 1, 2, 40, 1, 1, 1, 1, 1, 1];
        assert_eq!(bytes[..expected.len()], expected);
        assert_eq!(Slot::decode(&bytes, 1001), Slot::Report(kept));
    }

    #[test]
    fn memory_that_was_never_written_is_empty_and_what_is_half_written_is_damaged() {
        assert_eq!(Slot::decode(&EMPTY, 7), Slot::Empty);
        assert_eq!(Slot::decode(&[0xFF; KEPT_LEN], 7), Slot::Empty);
        let whole = LONGEST.encode(7);
        for cut in 1..KEPT_LEN {
            let mut half = [0xFF; KEPT_LEN];
            half[..cut].copy_from_slice(&whole[..cut]);
            assert_eq!(Slot::decode(&half, 7), Slot::Damaged, "{cut}");
        }
        assert_eq!(Slot::decode(&whole, 8), Slot::Damaged, "the memory of another node");
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_found(bit in 0..KEPT_LEN * 8) {
            let mut bytes = LONGEST.encode(7);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Slot::decode(&bytes, 7), Slot::Damaged);
        }

        #[test]
        fn no_bytes_make_it_panic(halves in any::<[[u8; 30]; 2]>()) {
            let mut bytes = [0; KEPT_LEN];
            bytes[..60].copy_from_slice(halves.as_flattened());
            let sum = wire::CRC.checksum(&bytes[..60]).to_le_bytes();
            bytes[60..].copy_from_slice(&sum);
            let _ = Slot::decode(&bytes, 7);
        }
    }
}
