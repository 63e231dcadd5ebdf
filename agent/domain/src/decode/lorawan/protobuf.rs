//! The wire form of protobuf, as much of it as messages from a network server need.
//!
//! A message is a row of fields, each a number, a kind and a value; fields that are not known are
//! passed over. Everything is a view into the payload, so nothing grows beyond it. Source: the
//! encoding chapter of the public protobuf documentation.

use serde_json::{Map, Number, Value};

use crate::decode::Reason;
use crate::time::Utc;

/// How deep lists and structures may be nested in one another.
const DEPTH_MAX: usize = 32;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire<'a> {
    /// A number or truth value.
    Varint(u64),
    /// Eight bytes: a double.
    Fixed64(u64),
    /// Four bytes: a float.
    Fixed32(u32),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// Bytes or a message.
    pub(super) fn bytes(self) -> Result<&'a [u8], Reason> {
        if let Wire::Bytes(bytes) = self { Ok(bytes) } else { Err(Reason::Field) }
    }

    /// Text.
    pub(super) fn text(self) -> Result<String, Reason> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Reason::Field)
    }

    /// A number that fits.
    pub(super) fn number<T: TryFrom<u64>>(self) -> Result<T, Reason> {
        let Wire::Varint(number) = self else { return Err(Reason::Field) };
        number.try_into().map_err(|_| Reason::Field)
    }

    /// A truth value.
    pub(super) fn truth(self) -> Result<bool, Reason> {
        self.number::<u64>().map(|number| number != 0)
    }

    /// A float.
    pub(super) fn float(self) -> Result<f64, Reason> {
        match self {
            Wire::Fixed32(bits) => Ok(f32::from_bits(bits).into()),
            Wire::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Reason::Field),
        }
    }

    /// A `google.protobuf.Timestamp`: seconds and nanoseconds.
    pub(super) fn time(self) -> Result<Utc, Reason> {
        let (mut seconds, mut nanos) = (0_i64, 0_i64);
        each_field(self.bytes()?, |number, value| {
            match (number, value) {
                // Negative numbers are written in 64 bits.
                (1, Wire::Varint(bits)) => seconds = bits.cast_signed(),
                (2, Wire::Varint(bits)) => nanos = bits.cast_signed(),
                (1 | 2, _) => return Err(Reason::Field),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Utc::from_ms(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)))
    }

    /// A `google.protobuf.Struct`: the object it stands for.
    pub(super) fn object(self) -> Result<Value, Reason> {
        structure(self.bytes()?, DEPTH_MAX)
    }
}

/// Goes over the fields of a message.
///
/// # Errors
/// [`Reason::Malformed`] for bytes that are no message, and whatever `take` says.
pub(super) fn each_field<'a>(
    message: &'a [u8],
    mut take: impl FnMut(u32, Wire<'a>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let value = match tag & 7 {
            0 => Wire::Varint(varint(&mut rest)?),
            1 => Wire::Fixed64(u64::from_le_bytes(fixed(&mut rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok();
                let split = length.and_then(|length| rest.split_at_checked(length));
                let (bytes, next) = split.ok_or(Reason::Truncated)?;
                rest = next;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(fixed(&mut rest)?)),
            // Groups were given up before any of this was written.
            _ => return Err(Reason::Malformed),
        };
        take(number.ok_or(Reason::Malformed)?, value)?;
    }
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Reason> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, next) = rest.split_first().ok_or(Reason::Truncated)?;
        *rest = next;
        if shift == 63 && byte > 1 {
            return Err(Reason::Malformed);
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Reason::Malformed)
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Reason> {
    let (bytes, next) = rest.split_first_chunk().ok_or(Reason::Truncated)?;
    *rest = next;
    Ok(*bytes)
}

fn structure(message: &[u8], depth: usize) -> Result<Value, Reason> {
    let mut object = Map::new();
    each_field(message, |number, entry| {
        if number != 1 {
            return Ok(());
        }
        let (mut key, mut value) = (String::new(), Value::Null);
        each_field(entry.bytes()?, |number, field| {
            match number {
                1 => key = field.text()?,
                2 => value = self::value(field.bytes()?, depth)?,
                _ => {}
            }
            Ok(())
        })?;
        object.insert(key, value);
        Ok(())
    })?;
    Ok(Value::Object(object))
}

fn value(message: &[u8], depth: usize) -> Result<Value, Reason> {
    let depth = depth.checked_sub(1).ok_or(Reason::TooLong)?;
    let mut value = Value::Null;
    each_field(message, |number, field| {
        value = match number {
            1 => Value::Null,
            // Not a number is nothing.
            2 => Number::from_f64(field.float()?).map_or(Value::Null, Value::Number),
            3 => Value::String(field.text()?),
            4 => Value::Bool(field.truth()?),
            5 => structure(field.bytes()?, depth)?,
            6 => {
                let mut list = Vec::new();
                each_field(field.bytes()?, |number, item| {
                    if number == 1 {
                        list.push(self::value(item.bytes()?, depth)?);
                    }
                    Ok(())
                })?;
                Value::Array(list)
            }
            _ => return Ok(()),
        };
        Ok(())
    })?;
    Ok(value)
}

/// Writes messages, to read them back in tests.
#[cfg(test)]
pub(super) mod write {
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    pub(in super::super) fn number(field: u64, number: u64) -> Vec<u8> {
        [varint(field << 3), varint(number)].concat()
    }

    pub(in super::super) fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
    }

    pub(in super::super) fn double(field: u64, number: f64) -> Vec<u8> {
        [varint(field << 3 | 1), number.to_le_bytes().to_vec()].concat()
    }

    pub(in super::super) fn float(field: u64, number: f32) -> Vec<u8> {
        [varint(field << 3 | 5), number.to_le_bytes().to_vec()].concat()
    }

    pub(in super::super) fn time(field: u64, seconds: i64, nanos: u64) -> Vec<u8> {
        bytes(field, &[number(1, seconds.cast_unsigned()), number(2, nanos)].concat())
    }

    /// One entry of a `google.protobuf.Struct`.
    pub(in super::super) fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        bytes(1, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Reason> {
        let mut fields = Vec::new();
        each_field(message, |number, value| {
            fields.push((number, value));
            Ok(())
        })?;
        Ok(fields)
    }

    #[test]
    fn the_examples_of_the_documentation() {
        assert_eq!(fields(&[0x08, 0x96, 0x01]), Ok(vec![(1, Wire::Varint(150))]));
        let testing = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(fields(&testing), Ok(vec![(2, Wire::Bytes(b"testing"))]));
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fields(&minus_two), Ok(vec![(1, Wire::Varint(-2_i64 as u64))]));
    }

    #[test]
    fn what_is_no_message() {
        for (bytes, reason) in [
            (&[0x08][..], Reason::Truncated),
            (&[0x08, 0x96], Reason::Truncated),
            (&[0x12, 0x07, 0x74], Reason::Truncated),
            (&[0x0d, 0, 0, 0], Reason::Truncated),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], Reason::Truncated),
            (&[0x0b], Reason::Malformed),
            (&[0x0c], Reason::Malformed),
            (&[0x00, 0x00], Reason::Malformed),
            (
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                Reason::Malformed,
            ),
            (
                &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Reason::Truncated,
            ),
        ] {
            assert_eq!(fields(bytes), Err(reason), "{bytes:02x?}");
        }
    }

    #[test]
    fn structures() {
        let list = write::bytes(
            6,
            &[
                write::bytes(1, &write::double(2, -0.5)),
                write::bytes(1, &write::bytes(3, "é".as_bytes())),
            ]
            .concat(),
        );
        let inner = write::bytes(5, &write::entry("on", &write::number(4, 1)));
        let message = [
            write::entry("list", &list),
            write::entry("inner", &inner),
            write::entry("null", &write::number(1, 0)),
            write::entry("nan", &write::double(2, f64::NAN)),
        ]
        .concat();
        let expected =
            json!({ "list": [-0.5, "é"], "inner": { "on": true }, "null": null, "nan": null });
        assert_eq!(Wire::Bytes(&message).object(), Ok(expected));
        assert_eq!(
            Wire::Bytes(&write::entry("x", &write::number(3, 1))).object(),
            Err(Reason::Field)
        );
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |depth: usize| {
            let mut message = write::number(1, 0);
            for _ in 1..depth {
                message = write::bytes(5, &write::entry("x", &message));
            }
            Wire::Bytes(&write::entry("x", &message)).object()
        };
        assert!(nested(DEPTH_MAX).is_ok());
        assert_eq!(nested(DEPTH_MAX + 1), Err(Reason::TooLong));
    }

    #[test]
    fn times() {
        let at = |seconds, nanos| {
            let message = write::time(1, seconds, nanos);
            fields(&message).unwrap()[0].1.time()
        };
        assert_eq!(at(1_780_545_603, 120_999_999), Ok(Utc::from_ms(1_780_545_603_120)));
        assert_eq!(at(-1, 500_000_000), Ok(Utc::from_ms(-500)));
        assert!(at(i64::MAX, u64::MAX).is_ok());
        assert_eq!(Wire::Varint(1).time(), Err(Reason::Field));
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _fields = fields(&noise);
            let _object = Wire::Bytes(&noise).object();
            let _time = Wire::Bytes(&noise).time();
        }
    }
}
