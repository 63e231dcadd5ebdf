//! What the navigation messages come to: one report per epoch.
//!
//! NAV-PVT says everything at once and is a report of its own, given out as it arrives. Receivers
//! before the eighth generation spread the same over NAV-SOL, NAV-POSLLH, NAV-VELNED, NAV-STATUS and
//! NAV-TIMEUTC, which belong together by the time of week they carry; they become one report when the
//! epoch ends: with NAV-EOE, with a message of another time of week, or with the stream. An epoch that
//! had a NAV-PVT gives nothing else.

use crate::decode::nmea::{NO_FIX, Report};
use crate::decode::{Reason, Tally};
use crate::place::{Datum, Position};
use crate::sample::{Fix, Quantity};
use crate::time::Utc;
use crate::units::{CentiDegrees, Millimetres, MillimetresPerSecond};

use super::framing::Message;

/// From this error on, in 1e-5 degrees, a direction of movement says nothing: it may be any of half
/// the circle. Receivers at rest repeat an old course with such an error.
const COURSE_ERROR_MAX: u32 = 90 * 100_000;

/// Collects the messages of the epoch that is under way.
#[derive(Debug, Clone)]
pub(in crate::decode) struct Solutions {
    open: Option<Epoch>,
    /// Dates before this are not believed.
    floor: Utc,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    /// Milliseconds of the GPS week.
    time_of_week: u32,
    reported: bool,
    /// Whether the receiver calls its position valid.
    valid: Option<bool>,
    position: Option<Place>,
    /// From earth-centred coordinates; used where there is no other.
    centred: Option<Place>,
    motion: Option<Motion>,
    centred_motion: Option<Motion>,
    satellites: Option<u8>,
    at: Option<Utc>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    position: Result<Position, Reason>,
    accuracy: Option<Millimetres>,
}

#[derive(Debug, Clone, Copy)]
struct Motion {
    speed: Option<MillimetresPerSecond>,
    course: Option<CentiDegrees>,
}

impl Solutions {
    /// Before the first message. Dates before `floor` are not believed.
    pub(in crate::decode) const fn new(floor: Utc) -> Solutions {
        Solutions { open: None, floor }
    }

    /// Takes a message and hands out the reports that it completes or ends. What is refused is
    /// counted in the tally.
    pub(in crate::decode) fn take(
        &mut self,
        message: Message<'_>,
        tally: &mut Tally,
        mut give: impl FnMut(Report, &mut Tally),
    ) {
        const NAV: u8 = 0x01;
        if message.class != NAV {
            return;
        }
        let fields = Fields(message.payload);
        let lengths: &[usize] = match message.number {
            0x02 => &[28],
            0x03 => &[16],
            0x06 => &[52],
            0x07 => &[84, 92],
            0x12 => &[36],
            0x21 => &[20],
            0x61 => &[4],
            _ => return,
        };
        if !lengths.contains(&message.payload.len()) {
            return tally.reject(Reason::Malformed);
        }
        let time_of_week = fields.u32(0);
        if self.open.is_some_and(|epoch| epoch.time_of_week != time_of_week) {
            self.finish(tally, &mut give);
        }
        let floor = self.floor;
        let epoch = self.open.get_or_insert(Epoch::new(time_of_week));
        match message.number {
            0x02 => epoch.position = Some(posllh(fields)),
            0x03 => epoch.valid = Some(is_valid(fields.u8(4), fields.u8(5))),
            0x06 => epoch.sol(fields),
            0x12 => epoch.motion = Some(velned(fields)),
            0x21 => epoch.at = timeutc(fields).and_then(|at| believed(at, floor, tally)),
            0x07 => {
                epoch.reported = true;
                match pvt(fields, floor, tally) {
                    Ok(report) => give(report, tally),
                    Err(reason) => tally.reject(reason),
                }
            }
            _ => self.finish(tally, &mut give),
        }
    }

    /// The epoch has ended: hands out what it came to, if it has not been said.
    pub(in crate::decode) fn finish(
        &mut self,
        tally: &mut Tally,
        mut give: impl FnMut(Report, &mut Tally),
    ) {
        let Some(epoch) = self.open.take() else { return };
        if epoch.reported {
            return;
        }
        match epoch.quantity() {
            Some(Ok(quantity)) => give(Report { at: epoch.at, quantity }, tally),
            Some(Err(reason)) => tally.reject(reason),
            None => {}
        }
    }
}

impl Epoch {
    fn new(time_of_week: u32) -> Epoch {
        Epoch {
            time_of_week,
            reported: false,
            valid: None,
            position: None,
            centred: None,
            motion: None,
            centred_motion: None,
            satellites: None,
            at: None,
        }
    }

    /// NAV-SOL: position and velocity in earth-centred coordinates.
    fn sol(&mut self, fields: Fields<'_>) {
        self.valid = Some(is_valid(fields.u8(10), fields.u8(11)));
        self.satellites = Some(fields.u8(47));
        let metres = |at| f64::from(fields.i32(at)) / 100.0;
        let place = Geodetic::of([metres(12), metres(16), metres(20)]);
        // Of all three dimensions, so the horizontal error is no greater.
        let accuracy = millimetres(fields.u32(24), 10);
        self.centred = Some(Place { position: place.position(), accuracy });
        let (north, east) = place.horizontal([metres(28), metres(32), metres(36)]);
        let speed = libm::sqrt(north * north + east * east);
        // Slower than the error of the speed: no direction.
        let moves = speed > f64::from(fields.u32(40)) / 100.0;
        let degrees = libm::atan2(east, north).to_degrees();
        self.centred_motion = Some(Motion {
            // Two components of at most 2^31 cm/s each: fits.
            speed: Some(MillimetresPerSecond(libm::round(speed * 1000.0) as u32)),
            course: moves.then(|| course(libm::round(degrees * 1e5) as i32)),
        });
    }

    /// What the epoch says of the position; `None` when it says nothing.
    fn quantity(&self) -> Option<Result<Quantity, Reason>> {
        let place = self.position.or(self.centred);
        match (self.valid, place) {
            (Some(false), _) => Some(Ok(NO_FIX)),
            (Some(true), Some(place)) => Some(place.position.map(|position| {
                let motion = self.motion.or(self.centred_motion);
                Quantity::Fix(Fix {
                    position,
                    speed: motion.and_then(|m| m.speed),
                    course: motion.and_then(|m| m.course),
                    accuracy: place.accuracy,
                    satellites: self.satellites,
                })
            })),
            // A position that nothing calls valid: the receiver is set to send NAV-POSLLH alone.
            (None, Some(_)) => Some(Err(Reason::Void)),
            (_, None) => None,
        }
    }
}

/// NAV-PVT: position, velocity and time.
fn pvt(fields: Fields<'_>, floor: Utc, tally: &mut Tally) -> Result<Report, Reason> {
    const DATE_AND_TIME: u8 = 0b11;
    let at = if fields.u8(11) & DATE_AND_TIME == DATE_AND_TIME {
        believed(civil(fields, 4, 16), floor, tally)
    } else {
        None
    };
    // Bit 0 of flags3 takes the coordinates back; before it was invented the place was 0.
    let withdrawn = fields.u8(78) & 1 == 1;
    if !is_valid(fields.u8(20), fields.u8(21)) || withdrawn {
        return Ok(Report { at, quantity: NO_FIX });
    }
    let has_direction = fields.u32(72) < COURSE_ERROR_MAX;
    let fix = Fix {
        position: position(fields.i32(28), fields.i32(24))?,
        speed: u32::try_from(fields.i32(60)).ok().map(MillimetresPerSecond),
        course: has_direction.then(|| course(fields.i32(64))),
        accuracy: millimetres(fields.u32(40), 1),
        satellites: Some(fields.u8(23)),
    };
    Ok(Report { at, quantity: Quantity::Fix(fix) })
}

/// NAV-POSLLH: geographic position.
fn posllh(fields: Fields<'_>) -> Place {
    let accuracy = millimetres(fields.u32(20), 1);
    Place { position: position(fields.i32(8), fields.i32(4)), accuracy }
}

/// NAV-VELNED: velocity, in cm/s and 1e-5 degrees.
fn velned(fields: Fields<'_>) -> Motion {
    let has_direction = fields.u32(32) < COURSE_ERROR_MAX;
    Motion {
        speed: fields.u32(20).checked_mul(10).map(MillimetresPerSecond),
        course: has_direction.then(|| course(fields.i32(24))),
    }
}

/// NAV-TIMEUTC; the outer `None`: the receiver does not know it yet.
fn timeutc(fields: Fields<'_>) -> Option<Option<Utc>> {
    const UTC: u8 = 0b100;
    (fields.u8(19) & UTC != 0).then(|| civil(fields, 12, 8))
}

/// Year, month, day, hour, minute and second from place `date` on, and nanoseconds of either sign.
fn civil(fields: Fields<'_>, date: usize, nanoseconds: usize) -> Option<Utc> {
    let byte = |after| fields.u8(date + after);
    let year = i16::try_from(fields.u16(date)).ok()?;
    let second = Utc::from_civil((year, byte(2), byte(3)), (byte(4), byte(5), byte(6)))?;
    let ns = i64::from(fields.i32(nanoseconds));
    Some(Utc::from_ms(second.as_ms() + (ns + 500_000).div_euclid(1_000_000)))
}

/// A time that the receiver calls valid: unless it cannot be, which is counted.
fn believed(at: Option<Utc>, floor: Utc, tally: &mut Tally) -> Option<Utc> {
    let believed = at.filter(|&at| at >= floor);
    if believed.is_none() {
        tally.reject(Reason::Time);
    }
    believed
}

/// Kind of fix 2 is flat, 3 full, 4 satellites with dead reckoning; bit 0 of the flags says that it
/// is within the limits set in the receiver. 1 is dead reckoning alone, 5 time only.
fn is_valid(kind: u8, flags: u8) -> bool {
    matches!(kind, 2..=4) && flags & 1 == 1
}

fn position(lat_e7: i32, lon_e7: i32) -> Result<Position, Reason> {
    Position::from_e7(lat_e7, lon_e7, Datum::Wgs84).map_err(|_| Reason::OutOfRange)
}

/// An error in units of `unit` millimetres; the largest number means that it is not known.
fn millimetres(value: u32, unit: u32) -> Option<Millimetres> {
    if value == u32::MAX { None } else { value.checked_mul(unit).map(Millimetres) }
}

/// From 1e-5 degrees of either sign.
fn course(degrees_e5: i32) -> CentiDegrees {
    let centi = (i64::from(degrees_e5) + 500).div_euclid(1000).rem_euclid(36_000);
    CentiDegrees(u16::try_from(centi).expect("below 36 000"))
}

/// A point on the ellipsoid of WGS-84, in radians.
#[derive(Debug, Clone, Copy)]
struct Geodetic {
    lat: f64,
    lon: f64,
}

impl Geodetic {
    /// From earth-centred coordinates in metres, by Bowring's formula (Survey Review 23, 1976): near
    /// the ground its error is far below a millimetre.
    fn of([x, y, z]: [f64; 3]) -> Geodetic {
        const A: f64 = 6_378_137.0;
        const F: f64 = 1.0 / 298.257_223_563;
        const B: f64 = A * (1.0 - F);
        const E2: f64 = F * (2.0 - F);
        let axis = libm::sqrt(x * x + y * y);
        let reduced = libm::atan2(z * A, axis * B);
        let (sin, cos) = (libm::sin(reduced), libm::cos(reduced));
        let up = z + E2 * A * A / B * sin * sin * sin;
        Geodetic { lat: libm::atan2(up, axis - E2 * A * cos * cos * cos), lon: libm::atan2(y, x) }
    }

    fn position(self) -> Result<Position, Reason> {
        Position::from_degrees(self.lat.to_degrees(), self.lon.to_degrees(), Datum::Wgs84)
            .map_err(|_| Reason::OutOfRange)
    }

    /// The parts to the north and to the east of an earth-centred vector.
    fn horizontal(self, [x, y, z]: [f64; 3]) -> (f64, f64) {
        let (sin_lat, cos_lat) = (libm::sin(self.lat), libm::cos(self.lat));
        let (sin_lon, cos_lon) = (libm::sin(self.lon), libm::cos(self.lon));
        let outwards = cos_lon * x + sin_lon * y;
        (cos_lat * z - sin_lat * outwards, cos_lon * y - sin_lon * x)
    }
}

/// A payload whose length was checked, so that every place named in this file is inside.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u8(self, at: usize) -> u8 {
        self.0[at]
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn i32(self, at: usize) -> i32 {
        self.u32(at).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::nmea::DATE_FLOOR;

    /// A payload of `length` bytes with these values in their places.
    fn payload(length: usize, values: &[(usize, &[u8])]) -> Vec<u8> {
        let mut payload = vec![0; length];
        for (at, bytes) in values {
            payload[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        payload
    }

    fn read(messages: &[(u8, Vec<u8>)]) -> (Vec<Report>, Tally) {
        let (mut solutions, mut tally) = (Solutions::new(DATE_FLOOR), Tally::default());
        let mut reports = Vec::new();
        for (number, payload) in messages {
            let message = Message { class: 1, number: *number, payload };
            solutions.take(message, &mut tally, |report, _| reports.push(report));
        }
        solutions.finish(&mut tally, |report, _| reports.push(report));
        (reports, tally)
    }

    fn fix_of(report: &Report) -> Fix {
        match report.quantity {
            Quantity::Fix(fix) => fix,
            other => panic!("{other:?}"),
        }
    }

    const LON: i32 = 1_199_740_000;
    const LAT: i32 = 318_100_000;

    /// 2026-06-04 04:00:00, a full fix of fourteen satellites that moves north-east at 2 m/s.
    fn pvt_with(changes: &[(usize, &[u8])]) -> (u8, Vec<u8>) {
        let mut values: Vec<(usize, &[u8])> = vec![
            (0, &[1, 0, 0, 0]),
            (4, &[0xea, 0x07, 6, 4, 4, 0, 0, 0b111]),
            (20, &[3, 1, 0, 14]),
        ];
        let place = (LON.to_le_bytes(), LAT.to_le_bytes());
        let (speed, course) = (2000_i32.to_le_bytes(), 4_500_000_i32.to_le_bytes());
        values.extend([(24, &place.0[..]), (28, &place.1), (60, &speed), (64, &course)]);
        values.push((40, &[0xc4, 0x09]));
        values.extend(changes);
        (0x07, payload(92, &values))
    }

    #[test]
    fn pvt_is_a_fix_when_the_receiver_calls_it_one() {
        let expected = Fix {
            position: Position::from_e7(LAT, LON, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond(2000)),
            course: Some(CentiDegrees(4500)),
            accuracy: Some(Millimetres(2500)),
            satellites: Some(14),
        };
        for kind in 0..=5_u8 {
            for flags in [0, 1, 0b11, 0b1000_0010] {
                let (reports, tally) = read(&[pvt_with(&[(20, &[kind, flags])])]);
                let valid = (2..=4).contains(&kind) && flags & 1 == 1;
                let quantity = if valid { Quantity::Fix(expected) } else { NO_FIX };
                assert_eq!(reports[0].quantity, quantity, "{kind} {flags}");
                assert_eq!(reports.len(), 1);
                assert_eq!(reports[0].at, Utc::parse("2026-06-04T04:00:00Z").ok(), "{kind}");
                assert_eq!(tally.rejected_total(), 0);
            }
        }
        let (reports, _) = read(&[pvt_with(&[(78, &[1])])]);
        assert_eq!(reports[0].quantity, NO_FIX, "the receiver takes its coordinates back");
    }

    #[test]
    fn the_time_of_pvt_counts_when_date_and_time_are_valid_and_can_be() {
        let at = |changes: &[(usize, &[u8])]| {
            let (reports, tally) = read(&[pvt_with(changes)]);
            (reports[0].at.map(|at| at.to_string()), tally.rejected_total())
        };
        let text = |text: &str| Some(text.to_owned());
        for (valid, known) in [(0, false), (1, false), (2, false), (4, false), (3, true)] {
            assert_eq!(at(&[(11, &[valid])]).0.is_some(), known, "{valid}");
            assert_eq!(at(&[(11, &[valid])]).1, 0, "not to know is not a fault");
        }
        let nano = |ns: i32| at(&[(16, &ns.to_le_bytes())]);
        assert_eq!(nano(-100_231), (text("2026-06-04T04:00:00.000Z"), 0));
        assert_eq!(nano(799_899_687), (text("2026-06-04T04:00:00.800Z"), 0));
        assert_eq!(nano(-250_000_000), (text("2026-06-04T03:59:59.750Z"), 0));
        // 6 January 1980; month 13.
        assert_eq!(at(&[(4, &[0xbc, 0x07, 1, 6])]), (None, 1));
        assert_eq!(at(&[(6, &[13])]), (None, 1));
    }

    #[test]
    fn a_course_that_may_be_anything_is_left_out() {
        let course = |error: u32| {
            let (reports, _) = read(&[pvt_with(&[(72, &error.to_le_bytes())])]);
            fix_of(&reports[0]).course
        };
        assert_eq!(course(8_999_999), Some(CentiDegrees(4500)));
        assert_eq!(course(9_000_000), None);
        assert_eq!(course(18_000_000), None);
        for (raw, expected) in [(-9_000_000, 27_000), (35_999_999, 0), (0, 0), (3_147_178, 3147)] {
            assert_eq!(super::course(raw), CentiDegrees(expected), "{raw}");
        }
    }

    #[test]
    fn no_place_and_no_known_error() {
        let (reports, tally) = read(&[pvt_with(&[(28, &900_000_001_i32.to_le_bytes())])]);
        assert_eq!((reports.len(), tally.rejected[&Reason::OutOfRange]), (0, 1));
        let (reports, tally) = read(&[pvt_with(&[(24, &[0; 8])])]);
        assert_eq!((reports.len(), tally.rejected[&Reason::OutOfRange]), (0, 1));
        let (reports, _) = read(&[pvt_with(&[(40, &[0xff; 4])])]);
        assert_eq!(fix_of(&reports[0]).accuracy, None);
    }

    #[test]
    fn the_short_pvt_reads_the_same_and_other_lengths_are_refused() {
        let (number, long) = pvt_with(&[]);
        let short = (number, long[..84].to_vec());
        assert_eq!(read(&[short]).0, read(&[(number, long.clone())]).0);
        for length in [0, 4, 83, 85, 91] {
            let (reports, tally) = read(&[(number, long[..length].to_vec())]);
            assert_eq!((reports.len(), tally.rejected[&Reason::Malformed]), (0, 1), "{length}");
        }
    }

    fn status(time_of_week: u8, kind: u8) -> (u8, Vec<u8>) {
        (0x03, payload(16, &[(0, &[time_of_week]), (4, &[kind, 1])]))
    }

    fn posllh(time_of_week: u8) -> (u8, Vec<u8>) {
        let (lon, lat) = (LON.to_le_bytes(), LAT.to_le_bytes());
        let values: &[(usize, &[u8])] =
            &[(0, &[time_of_week]), (4, &lon), (8, &lat), (20, &[0xc4, 0x09])];
        (0x02, payload(28, values))
    }

    fn velned(time_of_week: u8) -> (u8, Vec<u8>) {
        let course = 4_500_000_i32.to_le_bytes();
        (0x12, payload(36, &[(0, &[time_of_week]), (20, &[200]), (24, &course)]))
    }

    fn timeutc(time_of_week: u8, valid: u8) -> (u8, Vec<u8>) {
        let time = [0xea, 0x07, 6, 4, 4, 0, 0, valid];
        (0x21, payload(20, &[(0, &[time_of_week]), (12, &time)]))
    }

    #[test]
    fn messages_of_one_time_of_week_are_one_report() {
        let epoch = [posllh(1), status(1, 3), velned(1), timeutc(1, 7)];
        let (reports, tally) = read(&epoch);
        let fix = fix_of(&reports[0]);
        assert_eq!(fix.position, Position::from_e7(LAT, LON, Datum::Wgs84).unwrap());
        assert_eq!(fix.speed, Some(MillimetresPerSecond(2000)));
        assert_eq!(fix.course, Some(CentiDegrees(4500)));
        assert_eq!(fix.accuracy, Some(Millimetres(2500)));
        assert_eq!(reports[0].at, Utc::parse("2026-06-04T04:00:00Z").ok());
        assert_eq!((reports.len(), tally.rejected_total()), (1, 0));
        // The end is told by the next epoch, or by the message for it.
        let (reports, _) = read(&[posllh(1), status(1, 3), posllh(2), status(2, 3)]);
        assert_eq!(reports.len(), 2);
        let end = (0x61, payload(4, &[(0, &[1])]));
        let (mut solutions, mut tally, mut count) =
            (Solutions::new(DATE_FLOOR), Tally::default(), 0);
        for (number, payload) in [posllh(1), status(1, 3), end] {
            let message = Message { class: 1, number, payload: &payload };
            solutions.take(message, &mut tally, |_, _| count += 1);
        }
        assert_eq!(count, 1);
    }

    #[test]
    fn an_epoch_without_a_word_on_validity_gives_no_position() {
        let (reports, tally) = read(&[posllh(1), posllh(2)]);
        assert_eq!((reports.len(), tally.rejected[&Reason::Void]), (0, 2));
        let (reports, _) = read(&[posllh(1), status(1, 0)]);
        assert_eq!(reports[0].quantity, NO_FIX);
        let (reports, tally) = read(&[status(1, 3), timeutc(1, 7)]);
        assert_eq!((reports.len(), tally.rejected_total()), (0, 0), "valid, but no position sent");
    }

    #[test]
    fn utc_that_the_receiver_does_not_know_is_no_time() {
        let (reports, tally) = read(&[posllh(1), status(1, 3), timeutc(1, 3)]);
        assert_eq!((reports[0].at, tally.rejected_total()), (None, 0));
    }

    #[test]
    fn an_epoch_with_pvt_gives_nothing_else() {
        let (reports, _) = read(&[posllh(1), status(1, 3), pvt_with(&[]), velned(1), posllh(2)]);
        assert_eq!(reports.len(), 1);
        assert_eq!(fix_of(&reports[0]).satellites, Some(14));
    }

    #[test]
    fn earth_centred_coordinates_become_geographic_ones() {
        // Points of the equator, a pole and 45° on the ellipsoid; the last by the definition of its
        // normal radius.
        let (a, b) = (6_378_137.0_f64, 6_356_752.314_245);
        let normal = a / (1.0 - (1.0 - b * b / (a * a)) / 2.0).sqrt();
        let half = 0.5_f64.sqrt();
        for ([x, y, z], lat, lon) in [
            ([a, 0.0, 0.0], 0.0, 0.0),
            ([0.0, -a, 0.0], 0.0, -90.0),
            ([0.0, 0.0, b], 90.0, 0.0),
            ([normal * half, 0.0, normal * half * b * b / (a * a)], 45.0, 0.0),
        ] {
            let place = Geodetic::of([x, y, z]);
            assert!((place.lat.to_degrees() - lat).abs() < 1e-9, "{place:?}");
            assert!((place.lon.to_degrees() - lon).abs() < 1e-9, "{place:?}");
        }
        let on_the_equator = Geodetic { lat: 0.0, lon: 0.0 };
        assert_eq!(on_the_equator.horizontal([9.0, 2.0, 1.0]), (1.0, 2.0));
    }
}
