//! The frame on a serial line: address, payload, CRC.

use crate::decode::Reason;

/// Not an address of the standard, which ends at 247: some level sensors take it for their own and
/// answer with the address they have. For finding a device that stands alone on its line.
pub const ANY: u8 = 0xff;

/// The longest frame.
pub const FRAME_MAX: usize = 256;

const OVERHEAD: usize = 3;

/// The CRC of `bytes` (polynomial 0xA001, reflected; MODBUS over serial line V1.02, appendix B). Its
/// low byte goes first on the line.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(
            crc ^ u16::from(byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 }
            },
        )
    })
}

/// The frame that carries `payload` to the device with this `address`.
#[must_use]
pub fn frame(address: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + OVERHEAD);
    frame.push(address);
    frame.extend_from_slice(payload);
    frame.extend(crc(&frame).to_le_bytes());
    frame
}

/// The payload of the frame with which the device at `address` answers.
///
/// # Errors
/// [`Reason::Checksum`] before everything else; [`Reason::Truncated`] and [`Reason::TooLong`] where the
/// length cannot be, [`Reason::Authentication`] where another device answers.
pub fn payload(address: u8, frame: &[u8]) -> Result<&[u8], Reason> {
    if frame.len() <= OVERHEAD {
        return Err(Reason::Truncated);
    }
    if frame.len() > FRAME_MAX {
        return Err(Reason::TooLong);
    }
    let (body, check) = frame.split_at(frame.len() - 2);
    if crc(body).to_le_bytes() != check {
        return Err(Reason::Checksum);
    }
    if body[0] != address && address != ANY {
        return Err(Reason::Authentication);
    }
    Ok(&body[1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_crc_of_the_specification() {
        // Slave 2, function 7: the example of appendix B.
        assert_eq!(crc(&[2, 7]).to_le_bytes(), [0x41, 0x12]);
        assert_eq!(frame(2, &[7]), [2, 7, 0x41, 0x12]);
    }

    #[test]
    fn the_check_comes_before_everything() {
        let good = frame(1, &[3, 2, 2, 0xf2]);
        assert_eq!(payload(1, &good), Ok(&[3, 2, 2, 0xf2][..]));
        assert_eq!(payload(2, &good), Err(Reason::Authentication));
        assert_eq!(payload(ANY, &good), Ok(&[3, 2, 2, 0xf2][..]));
        let mut damaged = good.clone();
        damaged[0] = 2;
        assert_eq!(payload(1, &damaged), Err(Reason::Checksum));
        assert_eq!(payload(1, &good[..3]), Err(Reason::Truncated));
        assert_eq!(payload(1, &[0; FRAME_MAX + 1]), Err(Reason::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out_and_no_damage_passes(
            address in any::<u8>(),
            inside in proptest::collection::vec(any::<u8>(), 1..253),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let whole = frame(address, &inside);
            prop_assert_eq!(payload(address, &whole), Ok(&inside[..]));
            // One byte wrong is a burst of at most eight bits, which the CRC always finds.
            let mut damaged = whole;
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            prop_assert_eq!(payload(address, &damaged), Err(Reason::Checksum));
        }
    }
}
