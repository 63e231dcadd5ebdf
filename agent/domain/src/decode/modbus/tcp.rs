//! The frame on TCP: transaction, protocol 0, length, unit, payload. There is no check sum: TCP has one.

use crate::decode::Reason;

/// Bytes before the payload.
pub const HEADER: usize = 7;

/// The longest frame.
pub const FRAME_MAX: usize = 260;

/// The frame that carries `payload` to `unit` (0xFF where the device is alone behind its address).
#[must_use]
pub fn frame(transaction: u16, unit: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 1).expect("a payload is at most 253 bytes");
    let numbers = [transaction.to_be_bytes(), [0, 0], length.to_be_bytes()].concat();
    [&numbers[..], &[unit], payload].concat()
}

/// How long the frame is that begins with `bytes`; `None` when there are too few of them to tell.
///
/// # Errors
/// [`Reason::Malformed`] for another protocol, [`Reason::TooLong`] for a length that cannot be: the
/// connection is out of step and must be made anew.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Reason> {
    let Some(&[_, _, protocol_high, protocol_low, high, low]) = bytes.first_chunk() else {
        return Ok(None);
    };
    let inner = usize::from(u16::from_be_bytes([high, low]));
    if [protocol_high, protocol_low] != [0, 0] || inner < 2 {
        return Err(Reason::Malformed);
    }
    let whole = inner + HEADER - 1;
    if whole > FRAME_MAX { Err(Reason::TooLong) } else { Ok(Some(whole)) }
}

/// The payload of a whole frame that answers this `transaction`.
///
/// # Errors
/// As [`length()`]; [`Reason::Truncated`] where the frame is cut, [`Reason::Malformed`] where it answers
/// another transaction, [`Reason::Authentication`] where another unit answers.
pub fn payload(transaction: u16, unit: u8, frame: &[u8]) -> Result<&[u8], Reason> {
    let whole = length(frame)?.ok_or(Reason::Truncated)?;
    let frame = frame.get(..whole).ok_or(Reason::Truncated)?;
    if frame[..2] != transaction.to_be_bytes() {
        return Err(Reason::Malformed);
    }
    if frame[6] != unit {
        return Err(Reason::Authentication);
    }
    Ok(&frame[HEADER..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        // MODBUS messaging on TCP/IP V1.0b, 4.4.2.1: transaction 0x1501, read of register 4.
        let request = frame(0x1501, 0xff, &[3, 0, 4, 0, 1]);
        assert_eq!(request, [0x15, 1, 0, 0, 0, 6, 0xff, 3, 0, 4, 0, 1]);
        let answer = [0x15, 1, 0, 0, 0, 5, 0xff, 3, 2, 0, 5];
        assert_eq!(payload(0x1501, 0xff, &answer), Ok(&[3, 2, 0, 5][..]));
        assert_eq!(length(&answer), Ok(Some(11)));
        assert_eq!(length(&answer[..5]), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let answer = frame(7, 1, &[3, 2, 0, 5]);
        assert_eq!(payload(8, 1, &answer), Err(Reason::Malformed));
        assert_eq!(payload(7, 2, &answer), Err(Reason::Authentication));
        for cut in 0..answer.len() {
            assert_eq!(payload(7, 1, &answer[..cut]), Err(Reason::Truncated), "{cut}");
        }
        assert_eq!(length(&[0, 7, 0, 1, 0, 6]), Err(Reason::Malformed));
        assert_eq!(length(&[0, 7, 0, 0, 0, 1]), Err(Reason::Malformed));
        assert_eq!(length(&[0, 7, 0, 0, 1, 0]), Err(Reason::TooLong));
    }
}
