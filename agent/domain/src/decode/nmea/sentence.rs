//! What the sentences say, one by one: RMC, GGA, GLL, GSA, VTG and ZDA of any talker.
//!
//! Layouts: NMEA 0183 version 4.11, and version 2.0 where older receivers leave fields out at the
//! end. Works on the checked text between `$` and `*`; keeps nothing from one sentence to the next.

use crate::decode::Reason;
use crate::place::{Datum, Position};
use crate::units::{CentiDegrees, MillimetresPerSecond};

/// Milliseconds of a day without a leap second.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Milliseconds since midnight UTC, 0 to 86 400 999 (a leap second is 86 400 000 and more).
pub(super) type TimeOfDay = u32;

/// Which constellation or instrument speaks, the first two letters of the address.
pub(super) type Talker = [u8; 2];

/// A sentence that takes part in a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sentence {
    Rmc(Rmc),
    Gga(Gga),
    Gll(Gll),
    Gsa(Gsa),
    Vtg(Motion),
    Zda(Zda),
    /// Well formed, and of no use here (GSV, GNS, proprietary, …).
    Other,
}

/// A calendar day as a sentence gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// The field is empty.
    Unknown,
    /// Digits that are no day of the calendar.
    Impossible,
    /// Midnight of the day, milliseconds since 1970.
    Midnight(i64),
}

/// Speed and direction over ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Motion {
    pub(super) speed: Option<MillimetresPerSecond>,
    pub(super) course: Option<CentiDegrees>,
}

/// Recommended minimum data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rmc {
    pub(super) time: Option<TimeOfDay>,
    pub(super) day: Day,
    /// `None`: void.
    pub(super) fix: Option<(Position, Motion)>,
}

/// Fix data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gga {
    pub(super) talker: Talker,
    pub(super) time: Option<TimeOfDay>,
    /// `None`: no fix, or one that was not measured.
    pub(super) position: Option<Position>,
    pub(super) satellites: Option<u8>,
    pub(super) hdop: Option<Hdop>,
}

/// Geographic position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gll {
    pub(super) talker: Talker,
    pub(super) time: Option<TimeOfDay>,
    /// `None`: void.
    pub(super) position: Option<Position>,
}

/// Dilution of precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gsa {
    pub(super) hdop: Option<Hdop>,
}

/// Time and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zda {
    pub(super) time: Option<TimeOfDay>,
    pub(super) day: Day,
}

/// Horizontal dilution of precision in hundredths, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hdop(pub(super) u32);

/// Reads a sentence whose checksum was right.
///
/// # Errors
/// [`Reason::Malformed`] where a field is not what the sentence must have there,
/// [`Reason::OutOfRange`] where a position is no place on Earth.
pub(super) fn parse(body: &[u8]) -> Result<Sentence, Reason> {
    let Some(([a, b, kind @ ..], _)) = body.split_at_checked(5) else {
        return Ok(Sentence::Other);
    };
    // P begins a proprietary address: PGRMC is Garmin's, not an RMC of a talker PG.
    if *a == b'P' || body.get(5) != Some(&b',') {
        return Ok(Sentence::Other);
    }
    let talker = [*a, *b];
    Ok(match kind {
        b"RMC" => Sentence::Rmc(rmc(&Fields::of(body))?),
        b"GGA" => Sentence::Gga(gga(talker, &Fields::of(body))?),
        b"GLL" => Sentence::Gll(gll(talker, &Fields::of(body))?),
        b"GSA" => Sentence::Gsa(gsa(&Fields::of(body))),
        b"VTG" => vtg(&Fields::of(body))?,
        b"ZDA" => Sentence::Zda(zda(&Fields::of(body))?),
        _ => Sentence::Other,
    })
}

/// `RMC,time,status,lat,N,lon,E,knots,course,ddmmyy,variation,E,mode,…`
fn rmc(fields: &Fields<'_>) -> Result<Rmc, Reason> {
    let time = time_of_day(fields.get(1))?;
    let day = short_date(fields.get(9))?;
    let valid = is_active(fields.get(2))? && is_measured(fields.get(12));
    if !valid {
        return Ok(Rmc { time, day, fix: None });
    }
    if time.is_none() {
        return Err(Reason::Malformed);
    }
    let motion = Motion { speed: speed(fields.get(7))?, course: course(fields.get(8))? };
    Ok(Rmc { time, day, fix: Some((position(fields, 3)?, motion)) })
}

/// `GGA,time,lat,N,lon,E,quality,satellites,hdop,…`
fn gga(talker: Talker, fields: &Fields<'_>) -> Result<Gga, Reason> {
    let time = time_of_day(fields.get(1))?;
    let measured = match fields.get(6) {
        // 0 and empty: no fix. 7: typed in by hand. 8: simulator.
        b"" | b"0" | b"7" | b"8" => false,
        [b'1'..=b'6' | b'9'] => true,
        _ => return Err(Reason::Malformed),
    };
    if !measured {
        return Ok(Gga { talker, time, position: None, satellites: None, hdop: None });
    }
    if time.is_none() {
        return Err(Reason::Malformed);
    }
    let position = Some(position(fields, 2)?);
    let satellites = decimal(fields.get(7), 0).and_then(|n| u8::try_from(n).ok());
    Ok(Gga { talker, time, position, satellites, hdop: hdop(fields.get(8)) })
}

/// `GLL,lat,N,lon,E,time,status,mode`
fn gll(talker: Talker, fields: &Fields<'_>) -> Result<Gll, Reason> {
    let time = time_of_day(fields.get(5))?;
    let valid = is_active(fields.get(6))? && is_measured(fields.get(7));
    if !valid {
        return Ok(Gll { talker, time, position: None });
    }
    if time.is_none() {
        return Err(Reason::Malformed);
    }
    Ok(Gll { talker, time, position: Some(position(fields, 1)?) })
}

/// `GSA,A,3,` twelve satellites `,pdop,hdop,vdop[,system]`. Receivers for several systems have been
/// seen with more places for satellites; theirs cannot be told from later versions, so they are left.
fn gsa(fields: &Fields<'_>) -> Gsa {
    let usual = matches!(fields.count, 18 | 19);
    Gsa { hdop: if usual { hdop(fields.get(16)) } else { None } }
}

/// `VTG,course,T,magnetic,M,knots,N,km/h,K,mode`; the form of version 1 has no letters and is left.
fn vtg(fields: &Fields<'_>) -> Result<Sentence, Reason> {
    if fields.get(2) != b"T" || !is_measured(fields.get(9)) {
        return Ok(Sentence::Other);
    }
    let motion = Motion { speed: speed(fields.get(5))?, course: course(fields.get(1))? };
    Ok(Sentence::Vtg(motion))
}

/// `ZDA,time,dd,mm,yyyy,…`
fn zda(fields: &Fields<'_>) -> Result<Zda, Reason> {
    let time = time_of_day(fields.get(1))?;
    let number = |place| optional(fields.get(place), 0);
    let day = match (number(2)?, number(3)?, number(4)?) {
        (Some(day), Some(month), Some(year)) => midnight(year, month, day),
        _ => Day::Unknown,
    };
    Ok(Zda { time, day })
}

/// The comma-separated fields; number 0 is the address. What is beyond the places is only counted.
struct Fields<'a> {
    places: [&'a [u8]; 20],
    count: usize,
}

impl<'a> Fields<'a> {
    fn of(body: &'a [u8]) -> Fields<'a> {
        let mut fields = Fields { places: [&[]; 20], count: 0 };
        for field in body.split(|&b| b == b',') {
            if let Some(place) = fields.places.get_mut(fields.count) {
                *place = field;
            }
            fields.count += 1;
        }
        fields
    }

    /// A field, empty when the sentence ends before it.
    fn get(&self, number: usize) -> &'a [u8] {
        self.places.get(number).copied().unwrap_or_default()
    }
}

/// Status: A is valid, V is void; empty where a receiver has nothing to say yet.
fn is_active(status: &[u8]) -> Result<bool, Reason> {
    match status {
        b"A" => Ok(true),
        b"V" | b"" => Ok(false),
        _ => Err(Reason::Malformed),
    }
}

/// Mode indicator (since 2.3; empty before): N no fix, S simulator, M typed in by hand.
fn is_measured(mode: &[u8]) -> bool {
    !matches!(mode, b"N" | b"S" | b"M")
}

/// An unsigned decimal number times ten to the `places`; digits beyond that are cut off.
fn decimal(text: &[u8], places: u32) -> Option<u64> {
    let point = text.iter().position(|&b| b == b'.').unwrap_or(text.len());
    let whole = &text[..point];
    let fraction = text.get(point + 1..).unwrap_or_default();
    if whole.len() + fraction.len() == 0 || whole.len() > 9 {
        return None;
    }
    let digit = |b: &u8| b.is_ascii_digit().then(|| u64::from(b - b'0'));
    let mut value = 0;
    for b in whole {
        value = value * 10 + digit(b)?;
    }
    // At most 9 digits before the point and 9 places behind it: fits.
    let mut missing = places;
    for b in fraction {
        let next = digit(b)?;
        if missing > 0 {
            value = value * 10 + next;
            missing -= 1;
        }
    }
    Some(value * 10_u64.pow(missing))
}

/// As [`decimal`], where the field may be empty.
fn optional(text: &[u8], places: u32) -> Result<Option<u64>, Reason> {
    if text.is_empty() {
        return Ok(None);
    }
    decimal(text, places).map(Some).ok_or(Reason::Malformed)
}

/// `hhmmss` with any number of decimals.
fn time_of_day(text: &[u8]) -> Result<Option<TimeOfDay>, Reason> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.iter().position(|&b| b == b'.').unwrap_or(text.len()) != 6 {
        return Err(Reason::Malformed);
    }
    let value = decimal(text, 3).ok_or(Reason::Malformed)?;
    let (clock, ms) = (value / 1000, value % 1000);
    let (h, m, s) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if h > 23 || m > 59 || s > 60 {
        return Err(Reason::Malformed);
    }
    let time = ((h * 60 + m) * 60 + s) * 1000 + ms;
    Ok(Some(TimeOfDay::try_from(time).expect("below 86 401 000")))
}

/// `ddmmyy`. Years 80 to 99 are of the 1900s: satellite time began in 1980.
fn short_date(text: &[u8]) -> Result<Day, Reason> {
    if text.is_empty() {
        return Ok(Day::Unknown);
    }
    if text.len() != 6 {
        return Err(Reason::Malformed);
    }
    let value = decimal(text, 0).ok_or(Reason::Malformed)?;
    let year = value % 100;
    let century = if year < 80 { 2000 } else { 1900 };
    Ok(midnight(century + year, value / 100 % 100, value / 10_000))
}

fn midnight(year: u64, month: u64, day: u64) -> Day {
    let parts = (i16::try_from(year), i8::try_from(month), i8::try_from(day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Day::Impossible };
    match jiff::civil::Date::new(year, month, day) {
        Ok(date) => {
            let epoch = jiff::civil::Date::constant(1970, 1, 1);
            Day::Midnight(date.duration_since(epoch).as_secs() * 1000)
        }
        Err(_) => Day::Impossible,
    }
}

/// Latitude, its letter, longitude and its letter, from field `first` on.
fn position(fields: &Fields<'_>, first: usize) -> Result<Position, Reason> {
    let lat = degrees_e7(fields.get(first))?;
    let lat = match fields.get(first + 1) {
        b"N" => lat,
        b"S" => -lat,
        _ => return Err(Reason::Malformed),
    };
    let lon = degrees_e7(fields.get(first + 2))?;
    let lon = match fields.get(first + 3) {
        b"E" => lon,
        b"W" => -lon,
        _ => return Err(Reason::Malformed),
    };
    Position::from_e7(lat, lon, Datum::Wgs84).map_err(|_| Reason::OutOfRange)
}

/// `dddmm.mmmm` in 1e-7 degrees, rounded: one of them is 6000e-9 minutes.
fn degrees_e7(text: &[u8]) -> Result<i32, Reason> {
    const MINUTE: u64 = 1_000_000_000;
    let value = decimal(text, 9).ok_or(Reason::Malformed)?;
    let (degrees, minutes) = (value / (100 * MINUTE), value % (100 * MINUTE));
    if minutes >= 60 * MINUTE {
        return Err(Reason::Malformed);
    }
    let e7 = degrees * 10_000_000 + (minutes + 3000) / 6000;
    i32::try_from(e7).map_err(|_| Reason::OutOfRange)
}

/// Knots: 1852 m per hour.
fn speed(text: &[u8]) -> Result<Option<MillimetresPerSecond>, Reason> {
    let Some(micro_knots) = optional(text, 6)? else { return Ok(None) };
    let mm_s = (micro_knots * 1852 + 1_800_000) / 3_600_000;
    let mm_s = u32::try_from(mm_s).map_err(|_| Reason::OutOfRange)?;
    Ok(Some(MillimetresPerSecond(mm_s)))
}

/// Degrees from true north; 360 is north too.
fn course(text: &[u8]) -> Result<Option<CentiDegrees>, Reason> {
    match optional(text, 2)? {
        None => Ok(None),
        Some(36_000) => Ok(Some(CentiDegrees(0))),
        Some(centi) if centi < 36_000 => {
            Ok(Some(CentiDegrees(u16::try_from(centi).expect("below 36 000"))))
        }
        Some(_) => Err(Reason::Malformed),
    }
}

/// Empty, 0 and `NaN` are what receivers send when they cannot say. How good a position is, is left
/// open then; the position stands.
fn hdop(text: &[u8]) -> Option<Hdop> {
    let centi = decimal(text, 2).and_then(|centi| u32::try_from(centi).ok())?;
    (centi > 0).then_some(Hdop(centi))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rmc_of(body: &str) -> Rmc {
        match parse(body.as_bytes()) {
            Ok(Sentence::Rmc(rmc)) => rmc,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn reason(body: &str) -> Reason {
        parse(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn golden_rmc() {
        let rmc = rmc_of("GNRMC,171926.00,A,4404.14063,N,12118.85478,W,0.117,,180315,,,A");
        let (place, motion) = rmc.fix.unwrap();
        // 44° 4.14063' N, 121° 18.85478' W, 0.117 kn.
        let expected = Position::from_e7(440_690_105, -1_213_142_463, Datum::Wgs84).unwrap();
        assert_eq!(place, expected);
        assert_eq!(motion, Motion { speed: Some(MillimetresPerSecond(60)), course: None });
        assert_eq!(rmc.time, Some((17 * 3600 + 19 * 60 + 26) * 1000));
        assert_eq!(rmc.day, Day::Midnight(1_426_636_800_000));

        let rmc = rmc_of("GPRMC,030719.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A");
        let (place, motion) = rmc.fix.unwrap();
        let expected = Position::from_e7(-377_847_883, 1_753_148_967, Datum::Wgs84).unwrap();
        assert_eq!(place, expected);
        assert_eq!(motion.speed, Some(MillimetresPerSecond(355)));
        assert_eq!(motion.course, Some(CentiDegrees(18_139)));
    }

    #[test]
    fn a_void_rmc_has_no_position_whatever_it_carries() {
        for (status, mode) in
            [("V", ""), ("V", ",A"), ("V", ",E"), ("A", ",N"), ("A", ",S"), ("A", ",M")]
        {
            let rmc = rmc_of(&format!(
                "GPRMC,000452.981,{status},36000.0000,N,72000.0000,E,0.0,,190120,,{mode}"
            ));
            assert_eq!(rmc.fix, None, "{status}{mode}");
        }
        assert_eq!(rmc_of("GPRMC,,V,,,,,,,,,,N"), Rmc { time: None, day: Day::Unknown, fix: None });
    }

    #[test]
    fn status_a_without_a_mode_field_is_valid() {
        let old = rmc_of("GPRMC,120824.76,A,3908.8199,N,00023.0832,W,00.0,000.0,130305,01.,W");
        assert!(old.fix.is_some());
    }

    #[test]
    fn fields_that_cannot_be_are_refused() {
        let with = |time: &str, lat: &str, ns: &str, lon: &str, speed: &str, date: &str| {
            format!("GPRMC,{time},A,{lat},{ns},{lon},E,{speed},,{date},,,A")
        };
        let good = with("120000", "3000.0", "N", "11900.0", "1.0", "010126");
        assert!(parse(good.as_bytes()).is_ok());
        for bad in [
            with("", "3000.0", "N", "11900.0", "1.0", "010126"),
            with("240000", "3000.0", "N", "11900.0", "1.0", "010126"),
            with("126000", "3000.0", "N", "11900.0", "1.0", "010126"),
            with("1200", "3000.0", "N", "11900.0", "1.0", "010126"),
            with("120000", "3060.0", "N", "11900.0", "1.0", "010126"),
            with("120000", "", "N", "11900.0", "1.0", "010126"),
            with("120000", ".", "N", "11900.0", "1.0", "010126"),
            with("120000", "3000.0", "E", "11900.0", "1.0", "010126"),
            with("120000", "3000.0", "N", "11900.0", "-1.0", "010126"),
            with("120000", "3000.0", "N", "11900.0", "1.0.0", "010126"),
            with("120000", "3000.0", "N", "11900.0", "1.0", "0101"),
        ] {
            assert_eq!(reason(&bad), Reason::Malformed, "{bad}");
        }
        for nowhere in [
            with("120000", "9100.0", "N", "11900.0", "1.0", "010126"),
            with("120000", "0000.0", "N", "00000.0", "1.0", "010126"),
            with("120000", "3000.0", "N", "999955000.0", "1.0", "010126"),
        ] {
            assert_eq!(reason(&nowhere), Reason::OutOfRange, "{nowhere}");
        }
    }

    #[test]
    fn a_day_that_is_not_in_the_calendar_costs_the_day_not_the_position() {
        let rmc = rmc_of("GPRMC,120000,A,3000.0,N,11900.0,E,,,310226,,,A");
        assert_eq!(rmc.day, Day::Impossible);
        assert!(rmc.fix.is_some());
        assert_eq!(rmc_of("GPRMC,,V,,,,,,,050180,,,N").day, Day::Midnight(315_878_400_000));
    }

    #[test]
    fn gga_qualities() {
        let of = |quality: &str| match parse(
            format!("GNGGA,171926.00,4404.14063,N,12118.85478,W,{quality},12,0.91,,M,,M,,")
                .as_bytes(),
        ) {
            Ok(Sentence::Gga(gga)) => gga,
            other => panic!("{quality}: {other:?}"),
        };
        for measured in ["1", "2", "3", "4", "5", "6", "9"] {
            let gga = of(measured);
            assert!(gga.position.is_some(), "{measured}");
            assert_eq!((gga.satellites, gga.hdop), (Some(12), Some(Hdop(91))));
        }
        for not_measured in ["", "0", "7", "8"] {
            assert_eq!(of(not_measured).position, None, "{not_measured:?}");
        }
        let lost = "GPGGA,124031.00,4810.7885,N,01133.9384,E,1,,0NaN,,M,,M,,";
        assert!(matches!(
            parse(lost.as_bytes()),
            Ok(Sentence::Gga(Gga { position: Some(_), satellites: None, hdop: None, .. }))
        ));
        assert_eq!(reason("GPGGA,120000,,,,,x,,,,M,,M,,"), Reason::Malformed);
        assert_eq!(reason("GPGGA,120000,,,,,1,,,,M,,M,,"), Reason::Malformed);
    }

    #[test]
    fn the_smaller_sentences() {
        assert_eq!(
            parse(b"GPGSA,A,3,23,13,04,20,25,02,,07,,,,,02.2,01.4,01.7"),
            Ok(Sentence::Gsa(Gsa { hdop: Some(Hdop(140)) }))
        );
        let wide = b"GPGSA,A,3,23,13,07,25,,,,,,,,,,,,,,,,,,,,,09.2,07.2,05.7";
        assert_eq!(parse(wide), Ok(Sentence::Gsa(Gsa { hdop: None })));
        let motion =
            Motion { speed: Some(MillimetresPerSecond(514)), course: Some(CentiDegrees(0)) };
        assert_eq!(parse(b"GPVTG,360.0,T,,M,1.000,N,1.852,K,A"), Ok(Sentence::Vtg(motion)));
        assert_eq!(parse(b"GPVTG,,T,,M,,N,,K,N"), Ok(Sentence::Other));
        assert_eq!(
            parse(b"GNZDA,000941.00,10,01,2017,00,00"),
            Ok(Sentence::Zda(Zda { time: Some(581_000), day: Day::Midnight(1_484_006_400_000) }))
        );
        assert_eq!(parse(b"GPZDA,,,,,,"), Ok(Sentence::Zda(Zda { time: None, day: Day::Unknown })));
        assert!(matches!(
            parse(b"GNGLL,4404.1,N,12118.8,W,171926.00,A,A"),
            Ok(Sentence::Gll(Gll { position: Some(_), .. }))
        ));
        assert!(matches!(
            parse(b"GNGLL,,,,,,V,N"),
            Ok(Sentence::Gll(Gll { position: None, time: None, .. }))
        ));
    }

    #[test]
    fn what_is_not_for_us_is_left() {
        for other in ["PGRMC,A,0,100", "GPGSV,3,1,12", "PUBX,00", "GPRMC", "GPRMCX,1", "PMTK001,1"]
        {
            assert_eq!(parse(other.as_bytes()), Ok(Sentence::Other), "{other}");
        }
    }
}
