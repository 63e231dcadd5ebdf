//! Requests and answers, without what a line or TCP puts around them.

use super::Read;
use crate::decode::Reason;

/// Bit 7 of the function: the device refuses.
const REFUSED: u8 = 0x80;
const WRITE_REGISTER: u8 = 6;

/// What a device gives as the cause of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Exception {
    /// 1: the function is not known to the device.
    #[error("the device does not know the function; another table may be meant")]
    Function,
    /// 2: there is nothing at the address.
    #[error("the device has nothing at the address; compare the map with its manual")]
    Address,
    /// 3: the value or the count is not possible.
    #[error("the device refuses the value or the number of registers")]
    Value,
    /// 4: the device failed.
    #[error("the device failed while it answered")]
    Failure,
    /// 6: the device is busy.
    #[error("the device is busy; ask again later")]
    Busy,
    /// Any other code.
    #[error("the device refuses with code {0}")]
    Other(u8),
}

/// Why an answer gives no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It cannot be read; to be counted.
    #[error("the answer cannot be read: {}", .0.as_str())]
    Rejected(Reason),
    /// It can be read, and says no.
    #[error(transparent)]
    Refused(#[from] Exception),
}

impl From<Reason> for BadAnswer {
    fn from(reason: Reason) -> BadAnswer {
        BadAnswer::Rejected(reason)
    }
}

impl Read {
    /// The request: function, first address, count.
    #[must_use]
    pub fn request(self) -> Vec<u8> {
        let [first, count] = [self.first.to_be_bytes(), self.count.to_be_bytes()];
        [&[self.table.function()], &first[..], &count].concat()
    }

    /// How many bytes the answer has, without what the line puts around it.
    #[must_use]
    pub fn answer_length(self) -> usize {
        2 + self.data_length()
    }

    fn data_length(self) -> usize {
        let count = usize::from(self.count);
        if self.table.is_bits() { count.div_ceil(8) } else { count * 2 }
    }

    /// The values of an answer: function, number of bytes, values.
    ///
    /// # Errors
    /// [`Reason::Truncated`] or [`Reason::Malformed`] where the answer is not one to this read; the
    /// exception where the device refuses.
    pub fn answer(self, payload: &[u8]) -> Result<Vec<u16>, BadAnswer> {
        let function = self.table.function();
        let (&answered, rest) = payload.split_first().ok_or(Reason::Truncated)?;
        if answered == function | REFUSED {
            return Err(refusal(rest));
        }
        if answered != function {
            return Err(Reason::Malformed.into());
        }
        let (&length, data) = rest.split_first().ok_or(Reason::Truncated)?;
        if usize::from(length) != self.data_length() || data.len() > self.data_length() {
            return Err(Reason::Malformed.into());
        }
        if data.len() < self.data_length() {
            return Err(Reason::Truncated.into());
        }
        Ok(self.values(data))
    }

    fn values(self, data: &[u8]) -> Vec<u16> {
        if self.table.is_bits() {
            // The first in the lowest bit of the first byte.
            let bit = |i: usize| u16::from(data[i / 8] >> (i % 8) & 1);
            return (0..self.count.into()).map(bit).collect();
        }
        data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    }
}

fn refusal(rest: &[u8]) -> BadAnswer {
    match rest {
        [] => Reason::Truncated.into(),
        [1] => Exception::Function.into(),
        [2] => Exception::Address.into(),
        [3] => Exception::Value.into(),
        [4] => Exception::Failure.into(),
        [6] => Exception::Busy.into(),
        [other] => Exception::Other(*other).into(),
        _ => Reason::Malformed.into(),
    }
}

/// The request that writes `value` into the holding register at `address` (function 6), for setting up
/// a device: its address on the line, its range. The answer repeats the request.
#[must_use]
pub fn write_register(address: u16, value: u16) -> Vec<u8> {
    [&[WRITE_REGISTER], &address.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::modbus::Table;

    fn read(table: Table, first: u16, count: u16) -> Read {
        Read::new(table, first, count).unwrap()
    }

    #[test]
    fn the_examples_of_the_specification() {
        // MODBUS application protocol V1.1b3, 6.1 to 6.4 and 6.6.
        let coils = read(Table::Coil, 0x13, 0x13);
        assert_eq!(coils.request(), [1, 0, 0x13, 0, 0x13]);
        let values = coils.answer(&[1, 3, 0xcd, 0x6b, 0x05]).unwrap();
        let ones: Vec<usize> = (0..19).filter(|&i| values[i] == 1).collect();
        assert_eq!(ones, [0, 2, 3, 6, 7, 8, 9, 11, 13, 14, 16, 18]);
        let discrete = read(Table::Discrete, 0xc4, 0x16);
        assert_eq!(discrete.request(), [2, 0, 0xc4, 0, 0x16]);
        assert_eq!(discrete.answer(&[2, 3, 0xac, 0xdb, 0x35]).unwrap().len(), 22);
        let holding = read(Table::Holding, 0x6b, 3);
        assert_eq!(holding.request(), [3, 0, 0x6b, 0, 3]);
        assert_eq!(holding.answer(&[3, 6, 2, 0x2b, 0, 0, 0, 0x64]), Ok(vec![0x022b, 0, 0x64]));
        assert_eq!(holding.answer_length(), 8);
        let input = read(Table::Input, 8, 1);
        assert_eq!(input.request(), [4, 0, 8, 0, 1]);
        assert_eq!(input.answer(&[4, 2, 0, 0x0a]), Ok(vec![10]));
        assert_eq!(write_register(1, 3), [6, 0, 1, 0, 3]);
    }

    #[test]
    fn a_refusal_says_why() {
        let holding = read(Table::Holding, 0, 1);
        for (code, exception) in [
            (1, Exception::Function),
            (2, Exception::Address),
            (3, Exception::Value),
            (4, Exception::Failure),
            (6, Exception::Busy),
            (11, Exception::Other(11)),
        ] {
            assert_eq!(holding.answer(&[0x83, code]), Err(BadAnswer::Refused(exception)));
        }
        let text = holding.answer(&[0x83, 2]).unwrap_err().to_string();
        assert!(text.contains("nothing at the address"), "{text}");
    }

    #[test]
    fn an_answer_to_another_question_is_refused() {
        let holding = read(Table::Holding, 0, 1);
        let reason = |payload: &[u8]| match holding.answer(payload) {
            Err(BadAnswer::Rejected(reason)) => reason,
            other => panic!("{other:?}"),
        };
        for cut in [&[][..], &[3], &[3, 2], &[3, 2, 1], &[0x83]] {
            assert_eq!(reason(cut), Reason::Truncated, "{cut:?}");
        }
        for wrong in
            [&[4, 2, 0, 1][..], &[0x84, 2], &[3, 4, 0, 1, 0, 1], &[3, 2, 0, 1, 0], &[0x83, 2, 2]]
        {
            assert_eq!(reason(wrong), Reason::Malformed, "{wrong:?}");
        }
    }
}
