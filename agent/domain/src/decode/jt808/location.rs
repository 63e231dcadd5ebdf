//! Location reports (0x0200, and each item of 0x0704): 28 bytes and additional fields.
//!
//! Source: JT/T 808-2013, tables 23 to 27; JT/T 808-2019, tables 23 to 28.

use super::header::{Bytes, civil};
use crate::decode::Reason;
use crate::decode::measure::named;
use crate::place::{Datum, Position};
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::time::{Span, Utc};
use crate::units::{CentiDegrees, Metres, Millilitres, MillimetresPerSecond};

/// Bits of the status.
mod status {
    pub(super) const IGNITION: u32 = 1 << 0;
    pub(super) const LOCATED: u32 = 1 << 1;
    pub(super) const SOUTH: u32 = 1 << 2;
    pub(super) const WEST: u32 = 1 << 3;
    /// The coordinates went through the state's plug-in for map secrecy: they are GCJ-02.
    pub(super) const SHIFTED: u32 = 1 << 5;
}

/// The times of terminals are eight hours before UTC (JT/T 808-2013, table 23).
const AHEAD_OF_UTC: Span = Span::from_mins(8 * 60);

named! {
    /// Which field of a location report carries a signal.
    pub enum SignalField is "field of a location report" {
        /// The status, bits 0 to 31; the builder's own are free ones.
        Status = "status",
        /// The extended vehicle signals (0x25), bits 0 to 31.
        Extended = "extended",
        /// The states of inputs and outputs (0x2A), bits 0 to 15.
        Io = "io",
    }
}

/// How a terminal tells that the brush, pump or suction works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkingSignal {
    field: SignalField,
    bit: u8,
    active: bool,
}

/// A bit that the field does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} has no bit {bit}; its highest is {highest}")]
pub struct NoSuchBit {
    /// The field.
    pub field: SignalField,
    /// The bit.
    pub bit: u8,
    /// The last one there is.
    pub highest: u8,
}

impl WorkingSignal {
    /// The vehicle works when `bit` of `field`, the lowest counted as 0, is `active`.
    ///
    /// # Errors
    /// [`NoSuchBit`].
    pub const fn new(
        field: SignalField,
        bit: u8,
        active: bool,
    ) -> Result<WorkingSignal, NoSuchBit> {
        let highest = match field {
            SignalField::Status | SignalField::Extended => 31,
            SignalField::Io => 15,
        };
        if bit > highest {
            return Err(NoSuchBit { field, bit, highest });
        }
        Ok(WorkingSignal { field, bit, active })
    }

    /// What the report says; `None` when it lacks the field.
    fn read(self, location: &Location) -> Option<bool> {
        let bits = match self.field {
            SignalField::Status => location.status,
            SignalField::Extended => location.fields.extended?,
            SignalField::Io => location.fields.io?.into(),
        };
        Some((bits >> self.bit & 1 == 1) == self.active)
    }
}

/// A location report as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Alarms, one a bit.
    pub alarm: u32,
    /// Status, one a bit.
    pub status: u32,
    /// Latitude in 1e-6 degrees, without sign.
    pub lat_e6: u32,
    /// Longitude in 1e-6 degrees, without sign.
    pub lon_e6: u32,
    /// Height in metres.
    pub altitude_m: u16,
    /// Speed in 0.1 km/h.
    pub speed: u16,
    /// Direction in degrees from north.
    pub direction: u16,
    /// When, in UTC; `None` when it is no time of the calendar.
    pub at: Option<Utc>,
    /// Additional fields.
    pub fields: Fields,
    /// What is wrong with the additional fields; those before it stand.
    pub damage: Option<Reason>,
}

/// The additional fields that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields {
    /// 0x01: way in 0.1 km.
    pub mileage: Option<u32>,
    /// 0x02: fuel in 0.1 l.
    pub fuel: Option<u16>,
    /// 0x03: speed of the tachograph in 0.1 km/h.
    pub recorder_speed: Option<u16>,
    /// 0x25: extended vehicle signals.
    pub extended: Option<u32>,
    /// 0x2A: inputs and outputs.
    pub io: Option<u16>,
    /// 0x30: strength of the mobile network.
    pub signal: Option<u8>,
    /// 0x31: satellites.
    pub satellites: Option<u8>,
}

impl Location {
    /// Reads a report.
    ///
    /// # Errors
    /// [`Reason::Truncated`] when it is shorter than its fixed part.
    pub fn parse(body: &[u8]) -> Result<Location, Reason> {
        let mut rest = Bytes(body);
        let (alarm, status) = (rest.u32()?, rest.u32()?);
        let (lat_e6, lon_e6) = (rest.u32()?, rest.u32()?);
        let (altitude_m, speed, direction) = (rest.u16()?, rest.u16()?, rest.u16()?);
        let time = *rest.take(6)?.first_chunk().expect("six bytes were taken");
        let (mut fields, mut damage) = (Fields::default(), None);
        while !rest.0.is_empty() {
            match field(&mut rest) {
                Ok((id, value)) => damage = fields.set(id, value).err().or(damage),
                Err(reason) => {
                    damage = Some(reason);
                    break;
                }
            }
        }
        let at = civil(time).map(|local| local - AHEAD_OF_UTC);
        Ok(Location {
            alarm,
            status,
            lat_e6,
            lon_e6,
            altitude_m,
            speed,
            direction,
            at,
            fields,
            damage,
        })
    }

    /// What the report measures: first the states of the vehicle, last the fix or that there is none.
    ///
    /// # Errors
    /// [`Reason::OutOfRange`] when the coordinates are no place, whether they are said to be located or
    /// not: fields that stand elsewhere than thought would look like this, so nothing of it is believed.
    pub fn quantities(&self, working: Option<WorkingSignal>) -> Result<Vec<Quantity>, Reason> {
        let place = self.place()?;
        let fields = &self.fields;
        let speed = |tenths: u16| MillimetresPerSecond((u32::from(tenths) * 250 + 4) / 9);
        let vehicle = [
            working.and_then(|signal| signal.read(self)).map(Quantity::Working),
            Some(Quantity::Ignition(self.status & status::IGNITION != 0)),
            fields.recorder_speed.map(|tenths| Quantity::Speed(speed(tenths))),
            fields.mileage.map(|tenths| Quantity::Odometer(Metres(u64::from(tenths) * 100))),
            fields.fuel.map(|tenths| Quantity::FuelVolume(Millilitres(u32::from(tenths) * 100))),
        ];
        let fix = place.map(|position| Fix {
            position,
            speed: Some(speed(self.speed)),
            course: self.course(),
            accuracy: None,
            satellites: fields.satellites,
        });
        const NO_FIX: Quantity =
            Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix });
        let fix = fix.map_or(NO_FIX, Quantity::Fix);
        Ok(vehicle.into_iter().flatten().chain([fix]).collect())
    }

    /// The position; `None` when the terminal has none, whatever stands in its place.
    fn place(&self) -> Result<Option<Position>, Reason> {
        if self.lat_e6 > 90_000_000 || self.lon_e6 > 180_000_000 {
            return Err(Reason::OutOfRange);
        }
        if self.status & status::LOCATED == 0 {
            return Ok(None);
        }
        // In range by the check above.
        let e7 = |e6: u32, negative| if negative { -10 } else { 10 } * e6.cast_signed();
        let lat = e7(self.lat_e6, self.status & status::SOUTH != 0);
        let lon = e7(self.lon_e6, self.status & status::WEST != 0);
        let shifted = self.status & status::SHIFTED != 0;
        let datum = if shifted { Datum::Gcj02 } else { Datum::Wgs84 };
        Position::from_e7(lat, lon, datum).map(Some).map_err(|_| Reason::OutOfRange)
    }

    /// At rest terminals repeat an old direction, or say north.
    fn course(&self) -> Option<CentiDegrees> {
        let moves = self.speed > 0 && self.direction <= 360;
        moves.then(|| CentiDegrees(self.direction % 360 * 100))
    }
}

fn field<'a>(rest: &mut Bytes<'a>) -> Result<(u8, &'a [u8]), Reason> {
    let (id, length) = (rest.u8()?, rest.u8()?);
    Ok((id, rest.take(length.into())?))
}

impl Fields {
    /// Takes a field. Those that are not read, and builders give their own meaning to many (a 0x05 with
    /// 40 bytes of mobile cells has been met), are passed over.
    fn set(&mut self, id: u8, value: &[u8]) -> Result<(), Reason> {
        fn number<const N: usize, T>(
            value: &[u8],
            read: fn([u8; N]) -> T,
        ) -> Result<Option<T>, Reason> {
            value.try_into().map(|bytes| Some(read(bytes))).map_err(|_| Reason::Malformed)
        }
        match id {
            0x01 => self.mileage = number(value, u32::from_be_bytes)?,
            0x02 => self.fuel = number(value, u16::from_be_bytes)?,
            0x03 => self.recorder_speed = number(value, u16::from_be_bytes)?,
            0x25 => self.extended = number(value, u32::from_be_bytes)?,
            0x2a => self.io = number(value, u16::from_be_bytes)?,
            0x30 => self.signal = number(value, u8::from_be_bytes)?,
            0x31 => self.satellites = number(value, u8::from_be_bytes)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A report of 2026-06-04 12:00 at 31.811 N, 119.974 E, with these status bits and fields.
    pub(super) fn body(status: u32, lat: u32, lon: u32, fields: &[u8]) -> Vec<u8> {
        let numbers = [0, status, lat, lon].map(u32::to_be_bytes).concat();
        let motion = [5_u16, 79, 43].map(u16::to_be_bytes).concat();
        [&numbers[..], &motion, &[0x26, 0x06, 0x04, 0x12, 0x00, 0x00], fields].concat()
    }

    fn report(status: u32, fields: &[u8]) -> Location {
        Location::parse(&body(status, 31_811_000, 119_974_000, fields)).unwrap()
    }

    fn fix(location: &Location) -> Option<Fix> {
        match location.quantities(None).unwrap().pop() {
            Some(Quantity::Fix(fix)) => Some(fix),
            Some(Quantity::Absent(_)) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_located_report_is_a_fix_and_the_states_of_the_vehicle() {
        let fields =
            [0x01, 4, 0, 0, 0, 100, 0x02, 2, 0, 125, 0x03, 2, 0, 81, 0x30, 1, 17, 0x31, 1, 9];
        let location = report(0b11, &fields);
        assert_eq!(location.at, Utc::parse("2026-06-04T12:00:00+08:00").ok());
        let position = Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap();
        let expected = [
            Quantity::Ignition(true),
            Quantity::Speed(MillimetresPerSecond(2250)),
            Quantity::Odometer(Metres(10_000)),
            Quantity::FuelVolume(Millilitres(12_500)),
            Quantity::Fix(Fix {
                position,
                speed: Some(MillimetresPerSecond(2194)),
                course: Some(CentiDegrees(4300)),
                accuracy: None,
                satellites: Some(9),
            }),
        ];
        assert_eq!(location.quantities(None).unwrap(), expected);
        assert_eq!((location.fields.signal, location.damage), (Some(17), None));
    }

    #[test]
    fn a_report_that_is_not_located_never_gives_its_position() {
        for status in [0, 1, 0b1100, !0b10] {
            let location = report(status, &[]);
            assert_eq!(fix(&location), None, "{status:x}");
            assert!(location.at.is_some());
        }
        let null = Location::parse(&body(0, 0, 0, &[])).unwrap();
        assert_eq!(fix(&null), None);
    }

    #[test]
    fn coordinates_that_are_no_place_are_refused() {
        for (status, lat, lon) in [
            (0b10, 90_000_001, 0),
            (0b10, 0, 180_000_001),
            (0b10, 0, 0),
            (0b00, 116_307_629, 40_058_359),
            (0b10, u32::MAX, u32::MAX),
        ] {
            let location = Location::parse(&body(status, lat, lon, &[])).unwrap();
            assert_eq!(location.quantities(None), Err(Reason::OutOfRange), "{status} {lat} {lon}");
        }
    }

    #[test]
    fn hemispheres_and_the_shifted_datum() {
        let degrees = |status: u32| {
            let position = fix(&report(status | 0b10, &[])).unwrap().position;
            (position.lat() > 0.0, position.lon() > 0.0, position.datum)
        };
        assert_eq!(degrees(0), (true, true, Datum::Wgs84));
        assert_eq!(degrees(0b0100), (false, true, Datum::Wgs84));
        assert_eq!(degrees(0b1000), (true, false, Datum::Wgs84));
        assert_eq!(degrees(0b10_0000), (true, true, Datum::Gcj02));
    }

    #[test]
    fn a_course_needs_movement() {
        let course = |speed, direction| Location { speed, direction, ..report(0b10, &[]) }.course();
        assert_eq!(course(1, 359), Some(CentiDegrees(35_900)));
        assert_eq!(course(1, 360), Some(CentiDegrees(0)));
        assert_eq!(course(0, 43), None);
        assert_eq!(course(1, 361), None);
    }

    #[test]
    fn the_working_signal_is_a_bit_of_a_field() {
        let fields = [0x25, 4, 0, 0, 0, 0x20, 0x2a, 2, 0, 0x08];
        let location = report(1 << 10 | 0b10, &fields);
        let works = |field, bit, active| {
            let signal = WorkingSignal::new(field, bit, active).unwrap();
            match location.quantities(Some(signal)).unwrap()[0] {
                Quantity::Working(yes) => Some(yes),
                _ => None,
            }
        };
        for (field, bit) in
            [(SignalField::Status, 10), (SignalField::Extended, 5), (SignalField::Io, 3)]
        {
            assert_eq!(works(field, bit, true), Some(true), "{field}");
            assert_eq!(works(field, bit, false), Some(false), "{field}");
            assert_eq!(works(field, bit + 1, true), Some(false), "{field}");
            assert_eq!(works(field, bit + 1, false), Some(true), "{field}");
        }
        let bare = report(0b10, &[]);
        let io = WorkingSignal::new(SignalField::Io, 3, false).unwrap();
        let quantities = bare.quantities(Some(io)).unwrap();
        assert_eq!(quantities[0], Quantity::Ignition(false), "no field, no word");
        let bad = WorkingSignal::new(SignalField::Io, 16, true).unwrap_err();
        assert_eq!(bad.to_string(), "io has no bit 16; its highest is 15");
        assert!(WorkingSignal::new(SignalField::Extended, 32, true).is_err());
    }

    #[test]
    fn damaged_fields_cost_themselves_and_not_the_position() {
        let satellites = [0x31, 1, 9];
        for (fields, damage, kept) in [
            ([&satellites[..], &[0x01, 4, 0]].concat(), Some(Reason::Truncated), Some(9)),
            ([&satellites[..], &[0x01]].concat(), Some(Reason::Truncated), Some(9)),
            ([&[0x01, 3, 0, 0, 0][..], &satellites].concat(), Some(Reason::Malformed), Some(9)),
            // A builder's own meaning of 0x05, and fields that nobody knows.
            ([&[0x05, 3, 1, 2, 3, 0xe1, 0][..], &satellites].concat(), None, Some(9)),
        ] {
            let location = report(0b10, &fields);
            assert_eq!((location.damage, location.fields.satellites), (damage, kept), "{fields:?}");
            assert!(fix(&location).is_some());
        }
        assert_eq!(Location::parse(&body(2, 1, 1, &[])[..27]), Err(Reason::Truncated));
    }

    proptest! {
        #[test]
        fn any_body_is_survived(body in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(location) = Location::parse(&body) {
                let located = location.status & status::LOCATED != 0;
                let quantities = location.quantities(None).unwrap_or_default();
                let has_fix = quantities.iter().any(|q| matches!(q, Quantity::Fix(_)));
                prop_assert!(located || !has_fix);
            }
        }
    }
}
