//! gpsd: the JSON reports of the daemon that shares a receiver between programs.
//!
//! Responsible for the lines that gpsd sends after [`WATCH`]: each position report (class `TPV`) is one
//! sample, a fix or that there is none; satellites come from the sky report (`SKY`) before it. What
//! else gpsd says, about itself and its devices, is understood and passed over, as are sentences that
//! it passes on: they say the same once more. Does not connect to anything.
//!
//! Source: gpsd_json(5), protocol version 3.

use serde::Deserialize;
use serde_json::error::Category;

use crate::decode::lines::Lines;
use crate::decode::nmea::{DATE_FLOOR, NO_FIX, Report};
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::SourceName;
use crate::place::{Datum, Position};
use crate::sample::{Fix, Quantity, Sample};
use crate::time::Utc;
use crate::units::{CentiDegrees, Millimetres, MillimetresPerSecond};

/// What a client sends first, so that gpsd reports.
pub const WATCH: &str = "?WATCH={\"enable\":true,\"json\":true}\n";

/// The longest line that is taken: gpsd builds reports in buffers of 10 240 bytes, those for many
/// satellites in somewhat larger ones.
pub const LINE_MAX: usize = 16_384;

/// Decodes what one gpsd sends.
#[derive(Debug, Clone)]
pub struct Gpsd {
    source: SourceName,
    /// Of several receivers, the one that counts.
    receiver: Option<String>,
    lines: Lines,
    sky: Option<u8>,
    /// Dates before this are not believed.
    floor: Utc,
    tally: Tally,
}

/// A line of gpsd.
#[derive(Debug, Deserialize)]
#[serde(tag = "class")]
enum Line {
    #[serde(rename = "TPV")]
    Position(PositionReport),
    #[serde(rename = "SKY")]
    Sky(SkyReport),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct PositionReport {
    device: Option<String>,
    mode: u8,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    /// Metres per second.
    speed: Option<f64>,
    /// Degrees from true north.
    track: Option<f64>,
    /// Metres, horizontal.
    eph: Option<f64>,
    /// Metres, of longitude.
    epx: Option<f64>,
    /// Metres, of latitude.
    epy: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct SkyReport {
    device: Option<String>,
    #[serde(rename = "uSat")]
    used: Option<u8>,
    satellites: Option<Vec<Satellite>>,
}

#[derive(Debug, Deserialize)]
struct Satellite {
    used: bool,
}

impl Gpsd {
    /// A decoder for the gpsd behind `source`. Dates before 1990 are not believed.
    #[must_use]
    pub fn new(source: SourceName) -> Gpsd {
        Gpsd {
            source,
            receiver: None,
            lines: Lines::new(LINE_MAX),
            sky: None,
            floor: DATE_FLOOR,
            tally: Tally::default(),
        }
    }

    /// Of a gpsd with several receivers, believes only the one at `path`, such as `/dev/ttyUSB0`; the
    /// reports of others are counted as [`Reason::UnknownDevice`].
    #[must_use]
    pub fn with_receiver(mut self, path: &str) -> Gpsd {
        self.receiver = Some(path.to_owned());
        self
    }

    /// Does not believe dates before `floor`, such as the day the program was built: they are counted
    /// as [`Reason::Time`] and the sample goes without a time of its own.
    #[must_use]
    pub fn with_date_floor(mut self, floor: Utc) -> Gpsd {
        self.floor = floor;
        self
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Report>, Reason> {
        // NMEA and AIS sentences, and the remarks of recorded logs.
        if matches!(line.first(), Some(b'$' | b'!' | b'#')) {
            return Ok(None);
        }
        let line = serde_json::from_slice(line).map_err(|error| match error.classify() {
            Category::Data => Reason::Field,
            Category::Eof => Reason::Truncated,
            Category::Syntax | Category::Io => Reason::Json,
        })?;
        self.tally.frames += 1;
        match line {
            Line::Position(report) => {
                self.is_ours(report.device.as_deref())?;
                self.position(&report).map(Some)
            }
            Line::Sky(report) => {
                self.is_ours(report.device.as_deref())?;
                self.sky = report.used().or(self.sky);
                Ok(None)
            }
            Line::Other => Ok(None),
        }
    }

    fn is_ours(&self, device: Option<&str>) -> Result<(), Reason> {
        match (&self.receiver, device) {
            (Some(ours), Some(device)) if ours != device => Err(Reason::UnknownDevice),
            _ => Ok(()),
        }
    }

    fn position(&mut self, report: &PositionReport) -> Result<Report, Reason> {
        let at = self.time(report.time.as_deref());
        // 0: nothing known yet, 1: no fix, 2: flat, 3: full.
        if report.mode < 2 {
            // What the sky was before the loss says nothing about the next fix.
            self.sky = None;
            return Ok(Report { at, quantity: NO_FIX });
        }
        let (Some(lat), Some(lon)) = (report.lat, report.lon) else { return Err(Reason::Field) };
        let position = Position::from_degrees(lat, lon, Datum::Wgs84);
        let fix = Fix {
            position: position.map_err(|_| Reason::OutOfRange)?,
            speed: report.speed.and_then(thousandths).map(MillimetresPerSecond),
            course: report.track.and_then(course),
            accuracy: report.accuracy(),
            satellites: self.sky,
        };
        Ok(Report { at, quantity: Quantity::Fix(fix) })
    }

    fn time(&mut self, text: Option<&str>) -> Option<Utc> {
        let believed = Utc::parse(text?).ok().filter(|&at| at >= self.floor);
        if believed.is_none() {
            self.tally.reject(Reason::Time);
        }
        believed
    }
}

impl Decode for Gpsd {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                self.tally.bytes += bytes.len() as u64;
                self.with_lines(samples, |lines, take| lines.feed(bytes, take));
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        self.with_lines(samples, |lines, take| lines.finish(take));
        self.sky = None;
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Gpsd {
    /// Lets `cut` cut lines, and reads them.
    fn with_lines(
        &mut self,
        samples: &mut Vec<Sample>,
        cut: impl FnOnce(&mut Lines, &mut dyn FnMut(Result<&[u8], Reason>)),
    ) {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(LINE_MAX));
        cut(&mut lines, &mut |line| match line.and_then(|line| self.take(line)) {
            Ok(Some(report)) => report.give_out(&self.source, &mut self.tally, samples),
            Ok(None) => {}
            Err(reason) => self.tally.reject(reason),
        });
        self.lines = lines;
    }
}

impl PositionReport {
    /// gpsd's own horizontal error, or else that of its two parts.
    fn accuracy(&self) -> Option<Millimetres> {
        let parts = || Some(libm::hypot(self.epx?, self.epy?));
        self.eph.or_else(parts).and_then(thousandths).map(Millimetres)
    }
}

impl SkyReport {
    /// Satellites used; older versions only mark them in the list.
    fn used(&self) -> Option<u8> {
        let counted = || {
            let used = self.satellites.as_ref()?.iter().filter(|satellite| satellite.used);
            u8::try_from(used.count()).ok()
        };
        self.used.or_else(counted)
    }
}

/// Metres or metres per second in thousandths; `None` for what no receiver can mean.
fn thousandths(value: f64) -> Option<u32> {
    // Below 4e6 the product fits.
    (0.0..4e6).contains(&value).then(|| libm::round(value * 1000.0) as u32)
}

fn course(degrees: f64) -> Option<CentiDegrees> {
    // In range by the check; 360 is north, as 0 is.
    (0.0..=360.0)
        .contains(&degrees)
        .then(|| CentiDegrees(libm::round(degrees * 100.0) as u16 % 36_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(gpsd: Gpsd, stream: &str) -> (Vec<Sample>, Tally) {
        read_pieces(gpsd, &[stream.as_bytes()])
    }

    fn read_pieces(mut gpsd: Gpsd, pieces: &[&[u8]]) -> (Vec<Sample>, Tally) {
        let mut samples = Vec::new();
        for piece in pieces {
            gpsd.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
        }
        gpsd.finish(&mut samples);
        (samples, gpsd.tally().clone())
    }

    fn gpsd() -> Gpsd {
        Gpsd::new(SourceName::new("gnss").unwrap())
    }

    const FIX: &str = r#"{"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-06-04T04:00:00.120Z","lat":31.811,"lon":119.974,"speed":2.193,"track":43.0,"epx":3.0,"epy":4.0}"#;

    fn fix_of(sample: &Sample) -> Fix {
        match sample.quantities[..] {
            [Quantity::Fix(fix)] => fix,
            _ => panic!("{sample:?}"),
        }
    }

    #[test]
    fn a_position_report_is_a_fix_with_the_sky_before_it() {
        let sky = r#"{"class":"SKY","device":"/dev/ttyS0","nSat":20,"uSat":14,"satellites":[]}"#;
        let version = r#"{"class":"VERSION","release":"3.25","proto_major":3}"#;
        let stream = [version, sky, "$GPGGA,1", FIX, ""].join("\r\n");
        let (samples, tally) = read(gpsd(), &stream);
        let expected = Fix {
            position: Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond(2193)),
            course: Some(CentiDegrees(4300)),
            accuracy: Some(Millimetres(5000)),
            satellites: Some(14),
        };
        let at = Utc::parse("2026-06-04T04:00:00.120Z").ok();
        assert_eq!(fix_of(&samples[0]), expected);
        assert_eq!((samples.len(), samples[0].at), (1, at));
        assert_eq!((tally.frames, tally.samples, tally.rejected_total()), (3, 1, 0));
    }

    #[test]
    fn the_error_that_gpsd_gives_for_the_whole_goes_before_its_parts() {
        let with_eph = FIX.replace("\"epx\"", "\"eph\":2.5,\"epx\"");
        assert_eq!(fix_of(&read(gpsd(), &with_eph).0[0]).accuracy, Some(Millimetres(2500)));
        let half = FIX.replace(",\"epy\":4.0", "");
        assert_eq!(fix_of(&read(gpsd(), &half).0[0]).accuracy, None);
    }

    #[test]
    fn satellites_are_counted_where_they_are_not_summed_up_and_forgotten_without_a_fix() {
        let sky = r#"{"class":"SKY","satellites":[{"PRN":1,"used":true},{"PRN":2,"used":false}]}"#;
        let lost = r#"{"class":"TPV","mode":1}"#;
        let only_dop = r#"{"class":"SKY","hdop":0.9}"#;
        let stream = [sky, FIX, only_dop, FIX, lost, FIX].join("\n");
        let samples = read(gpsd(), &stream).0;
        let satellites = [0, 1, 3].map(|i| fix_of(&samples[i]).satellites);
        assert_eq!(satellites, [Some(1), Some(1), None]);
    }

    #[test]
    fn no_fix_is_a_sample_and_never_a_position() {
        for mode in ["0", "1"] {
            let (samples, tally) =
                read(gpsd(), &FIX.replace("\"mode\":3", &format!("\"mode\":{mode}")));
            assert_eq!(samples[0].quantities, [NO_FIX]);
            assert!(samples[0].at.is_some());
            assert_eq!((samples.len(), tally.rejected_total()), (1, 0));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        for (line, reason) in [
            ("{\"class\":\"TPV\"", Reason::Truncated),
            ("{class:TPV}", Reason::Json),
            ("speed 12", Reason::Json),
            ("{\"mode\":3}", Reason::Field),
            ("{\"class\":\"TPV\"}", Reason::Field),
            ("{\"class\":\"TPV\",\"mode\":\"3\"}", Reason::Field),
            ("{\"class\":\"TPV\",\"mode\":3,\"lat\":31.8}", Reason::Field),
            ("{\"class\":\"TPV\",\"mode\":3,\"lat\":91.0,\"lon\":1.0}", Reason::OutOfRange),
            ("{\"class\":\"TPV\",\"mode\":3,\"lat\":0.0,\"lon\":0.0}", Reason::OutOfRange),
        ] {
            let (samples, tally) = read(gpsd(), line);
            assert_eq!(samples, [], "{line}");
            assert_eq!(tally.rejected.into_iter().collect::<Vec<_>>(), [(reason, 1)], "{line}");
        }
        let odd = FIX.replace("2.193", "-1.0").replace("43.0", "400.0").replace("3.0,", "1e9,");
        let fix = fix_of(&read(gpsd(), &odd).0[0]);
        assert_eq!((fix.speed, fix.course, fix.accuracy), (None, None, None), "the place stands");
    }

    #[test]
    fn a_date_that_cannot_be_gives_no_time() {
        let built = Utc::parse("2026-01-01T00:00:00Z").unwrap();
        let with = |time: &str| FIX.replace("2026-06-04T04:00:00.120Z", time);
        for (gpsd, time) in [
            (gpsd(), "1980-01-06T00:00:13.000Z"),
            // 1024 weeks before 4 June 2026.
            (gpsd().with_date_floor(built), "2006-10-19T04:00:00.000Z"),
            (gpsd(), "yesterday"),
        ] {
            let (samples, tally) = read(gpsd, &with(time));
            assert_eq!((samples.len(), samples[0].at), (1, None), "{time}");
            assert_eq!(tally.rejected[&Reason::Time], 1, "{time}");
        }
    }

    #[test]
    fn of_several_receivers_one_counts() {
        let other = FIX.replace("ttyS0", "ttyUSB1");
        let stream = [FIX, &other].join("\n");
        assert_eq!(read(gpsd(), &stream).0.len(), 2);
        let (samples, tally) = read(gpsd().with_receiver("/dev/ttyS0"), &stream);
        assert_eq!((samples.len(), tally.rejected[&Reason::UnknownDevice]), (1, 1));
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let stream = format!("{{\"class\":\"{}\"}}\n{FIX}\n", "x".repeat(LINE_MAX));
        let (samples, tally) = read(gpsd(), &stream);
        assert_eq!((samples.len(), tally.rejected[&Reason::TooLong]), (1, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_the_cut_changes_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(FIX.to_owned()),
                    Just("\n".to_owned()),
                    "[ -~]{0,40}",
                    "\\PC{0,20}",
                ],
                0..12,
            ),
            cuts in proptest::collection::vec(0..50_usize, 0..30),
        ) {
            let stream = parts.concat().into_bytes();
            let whole = read_pieces(gpsd(), &[&stream]);
            let (mut rest, mut pieces) = (&stream[..], Vec::new());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(&read_pieces(gpsd(), &pieces), &whole);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&read_pieces(gpsd(), &single), &whole);
        }
    }
}
