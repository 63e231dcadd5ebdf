//! The receivers of the sweepers: NMEA 0183, one GGA and one RMC for each second of the street.
//!
//! A position is off by a metre or two, and drifts rather than jumps, as a real one does. In a tunnel the
//! sentences go on without a position. Now and then a sentence is damaged on the line.

use domain::time::{Span, Utc};

use crate::demo::chance::Chance;
use crate::demo::street::{Point, Round};

/// Between two epochs.
pub const EPOCH: Span = Span::from_secs(1);

/// A fresh error is drawn this often; between, the error drifts from one to the next.
const DRIFT: u64 = 20;
/// Standard deviation of the error in each direction, in metres.
const ERROR_M: f64 = 1.0;
/// One sentence in so many is damaged on the line.
const DAMAGED_ONCE_IN: u64 = 400;

/// One receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    seed: u64,
    number: u64,
    round: Round,
    damaged: u64,
    epochs: u64,
}

impl Receiver {
    /// The receiver of the sweeper with this number, which drives `round`.
    #[must_use]
    pub fn new(seed: u64, number: u64, round: Round) -> Receiver {
        Receiver { seed, number, round, damaged: 0, epochs: 0 }
    }

    /// Sentences damaged so far.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Epochs told so far.
    #[must_use]
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// What it says at `t` after the start, which was at `origin`.
    pub fn epoch(&mut self, t: Span, origin: Utc) -> Vec<u8> {
        let second = t.as_secs();
        let motion = self.round.motion(t);
        let mut chance = self.chance("epoch", second);
        let (east, north) = self.error(second);
        let at = motion.at.moved(east, north);
        let (time, date) = clock(origin + t);
        let speed = (motion.speed + chance.bell() * 0.08).max(0.0);
        let bodies = if motion.sky {
            let place = place(at);
            let knots = speed * 3600.0 / 1852.0;
            // At rest a receiver leaves the course out.
            let course =
                if motion.speed > 0.0 { format!("{:.1}", motion.course) } else { String::new() };
            [
                format!("GNGGA,{time},{place},1,{:02},0.9,4.2,M,7.1,M,,", chance.between(14, 22)),
                format!("GNRMC,{time},A,{place},{knots:.3},{course},{date},,,A"),
            ]
        } else {
            [
                format!("GNGGA,{time},,,,,0,00,99.9,,M,,M,,"),
                format!("GNRMC,{time},V,,,,,,,{date},,,N"),
            ]
        };
        self.epochs += 1;
        bodies.iter().flat_map(|body| self.sentence(body, &mut chance)).collect()
    }

    /// The error of the position, east and north in metres.
    fn error(&self, second: u64) -> (f64, f64) {
        let (step, passed) = (second / DRIFT, (second % DRIFT) as f64 / DRIFT as f64);
        let drawn = |step: u64| {
            let mut chance = self.chance("error", step);
            (chance.bell() * ERROR_M, chance.bell() * ERROR_M)
        };
        let (a, b) = (drawn(step), drawn(step + 1));
        let between = |a: f64, b: f64| a + (b - a) * passed;
        (between(a.0, b.0), between(a.1, b.1))
    }

    fn chance(&self, purpose: &str, step: u64) -> Chance {
        let mut of_receiver = Chance::new(self.seed, purpose, self.number);
        Chance::new(of_receiver.next(), purpose, step)
    }

    /// Adds `$`, checksum and line end; damages one digit now and then.
    fn sentence(&mut self, body: &str, chance: &mut Chance) -> Vec<u8> {
        let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
        let mut bytes = format!("${body}*{sum:02X}\r\n").into_bytes();
        if chance.once_in(DAMAGED_ONCE_IN) {
            // The sixth character of the time: a digit, in every sentence.
            let digit = &mut bytes[12];
            *digit = if *digit == b'7' { b'1' } else { b'7' };
            self.damaged += 1;
        }
        bytes
    }
}

/// `ddmm.mmmmm,N,dddmm.mmmmm,E`, for the north-eastern quarter of the world, where the street is.
fn place(at: Point) -> String {
    let split = |degrees: f64| (degrees.floor(), (degrees - degrees.floor()) * 60.0);
    let ((lat, lat_minutes), (lon, lon_minutes)) = (split(at.lat), split(at.lon));
    format!("{lat:02.0}{lat_minutes:08.5},N,{lon:03.0}{lon_minutes:08.5},E")
}

/// Time and date as NMEA writes them: `hhmmss.ss`, `ddmmyy`.
fn clock(at: Utc) -> (String, String) {
    // 2026-06-04T04:00:03.120Z
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let time = format!("{}{}{}.{}", part(11, 13), part(14, 16), part(17, 19), part(20, 22));
    (time, format!("{}{}{}", part(8, 10), part(5, 7), part(2, 4)))
}

#[cfg(test)]
mod tests {
    use domain::decode::nmea::Nmea;
    use domain::decode::{Decode, Raw, Reason};
    use domain::ids::SourceName;
    use domain::sample::{Absent, Missing, Quantity, Sample};

    use super::*;
    use crate::demo::street::SWEEPERS;

    const ORIGIN: Utc = Utc::from_ms(1_780_000_000_000);

    fn hour(receiver: &mut Receiver) -> (Vec<Sample>, Nmea) {
        let mut decoder = Nmea::new(SourceName::new("gnss").unwrap());
        let mut samples = Vec::new();
        for second in 0..3600 {
            let bytes = receiver.epoch(Span::from_secs(second), ORIGIN);
            decoder.feed(Raw::Bytes(&bytes), ORIGIN, &mut samples);
        }
        decoder.finish(&mut samples);
        (samples, decoder)
    }

    #[test]
    fn the_real_decoder_follows_the_sweeper() {
        for (number, round) in SWEEPERS.into_iter().enumerate() {
            let mut receiver = Receiver::new(7, number as u64, round);
            let (samples, decoder) = hour(&mut receiver);
            let mut dark = 0;
            for sample in &samples {
                let at = sample.at.expect("every epoch has its time");
                let truth = round.motion(at.since(ORIGIN));
                match sample.quantities[0] {
                    Quantity::Fix(fix) => {
                        let told = Point { lon: fix.position.lon(), lat: fix.position.lat() };
                        let off = told.distance(truth.at);
                        assert!(off < 8.0, "{off} m off at {at}");
                        let speed = fix.speed.map_or(0.0, |s| f64::from(s.0) / 1000.0);
                        assert!((speed - truth.speed).abs() < 0.7 || fix.speed.is_none());
                    }
                    Quantity::Absent(Absent { what: Missing::Fix, .. }) => {
                        assert!(!truth.sky);
                        dark += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(samples.len() >= 3590, "{}", samples.len());
            assert_eq!(dark > 0, round.tunnel.1 > round.tunnel.0);
            let tally = decoder.tally();
            assert!(receiver.damaged() > 5, "{}", receiver.damaged());
            assert_eq!(tally.rejected.get(&Reason::Checksum), Some(&receiver.damaged()));
        }
    }

    #[test]
    fn the_same_seed_says_the_same_bytes() {
        let say = |seed| {
            let mut receiver = Receiver::new(seed, 0, SWEEPERS[0]);
            (0..300).flat_map(|s| receiver.epoch(Span::from_secs(s), ORIGIN)).collect::<Vec<_>>()
        };
        assert_eq!(say(1), say(1));
        assert_ne!(say(1), say(2));
    }

    #[test]
    fn sentences_are_written_as_the_standard_has_them() {
        let text = place(Point { lon: 119.974, lat: 31.81 });
        assert_eq!(text, "3148.60000,N,11958.44000,E");
        let at = Utc::parse("2026-06-04T04:00:03.120Z").unwrap();
        assert_eq!(clock(at), ("040003.12".to_owned(), "040626".to_owned()));
    }
}
