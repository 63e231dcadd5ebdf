//! Satellite receivers: NMEA 0183 sentences to one position per epoch.
//!
//! Responsible for the way from the bytes of a serial line, cut anywhere, to [`Sample`]s: `framing`
//! cuts out sentences and checks them, `sentence` reads their fields, `epoch` joins those of one
//! moment. Never uses a sentence whose checksum is missing or wrong, never gives a position that the
//! receiver itself calls void, and never makes up a time.
//!
//! What comes out, for each epoch:
//! * a [`Quantity::Fix`](crate::sample::Quantity::Fix), where the receiver has one. RMC decides and
//!   gives position, speed and course; GGA of the same time of day adds accuracy (5 m times HDOP) and
//!   satellites. Without RMC, GGA or else GLL give the position, VTG the motion and ZDA the date.
//! * [`Absent`](crate::sample::Quantity::Absent) fix, where the receiver is alive and has none. That
//!   is a sample, not a rejection.
//!
//! The bytes decide, not how they were cut: whole, one by one, or anything between gives the same.

mod epoch;
mod framing;
mod sentence;

use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::SourceName;
use crate::sample::Sample;
use crate::time::Utc;

pub(super) use epoch::{NO_FIX, Report, SAME_MOMENT_MS};

use epoch::Epochs;
use framing::Framer;

/// 1990-01-01. Receivers that have no date yet send the start of satellite time, 6 January 1980;
/// everything real is later. It does not catch a week roll-over (a date 1024 weeks, almost twenty
/// years, too early): for that a live source sets the day its program was built.
pub(super) const DATE_FLOOR: Utc = Utc::from_ms(631_152_000_000);

/// Decodes the byte stream of one receiver.
#[derive(Debug, Clone)]
pub struct Nmea {
    source: SourceName,
    sentences: Sentences,
    tally: Tally,
}

impl Nmea {
    /// A decoder for the receiver behind `source`. Dates before 1990 are not believed.
    #[must_use]
    pub fn new(source: SourceName) -> Nmea {
        Nmea { source, sentences: Sentences::new(DATE_FLOOR), tally: Tally::default() }
    }

    /// Does not believe dates before `floor`, such as the day the program was built: they are counted
    /// as [`Reason::Time`] and the sample goes without a time of its own. To be set before the first
    /// byte.
    #[must_use]
    pub fn with_date_floor(mut self, floor: Utc) -> Nmea {
        self.sentences = Sentences::new(floor);
        self
    }
}

impl Decode for Nmea {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                let Nmea { source, sentences, tally } = self;
                tally.bytes += bytes.len() as u64;
                sentences.feed(bytes, tally, |report, tally| {
                    report.give_out(source, tally, samples);
                });
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        let Nmea { source, sentences, tally } = self;
        sentences.finish(tally, |report, tally| report.give_out(source, tally, samples));
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The way from the bytes of one receiver to its reports, for every decoder that meets sentences.
#[derive(Debug, Clone)]
pub(super) struct Sentences {
    framer: Framer,
    epochs: Epochs,
}

impl Sentences {
    /// At the start of a stream. Dates before `floor` are not believed.
    pub(super) const fn new(floor: Utc) -> Sentences {
        Sentences { framer: Framer::new(), epochs: Epochs::new(floor) }
    }

    /// Takes a piece of the stream and hands what it completes to `give`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        tally: &mut Tally,
        mut give: impl FnMut(Report, &mut Tally),
    ) {
        let Sentences { framer, epochs } = self;
        framer.feed(bytes, |cut| take(cut, epochs, tally, &mut give));
    }

    /// The stream has ended: hands out what was held back.
    pub(super) fn finish(&mut self, tally: &mut Tally, mut give: impl FnMut(Report, &mut Tally)) {
        let Sentences { framer, epochs } = self;
        framer.finish(|cut| take(cut, epochs, tally, &mut give));
        if let Some(last) = epochs.finish() {
            give(last, tally);
        }
    }
}

fn take(
    cut: Result<&[u8], Reason>,
    epochs: &mut Epochs,
    tally: &mut Tally,
    give: &mut impl FnMut(Report, &mut Tally),
) {
    let read = cut.and_then(|body| {
        tally.frames += 1;
        sentence::parse(body)
    });
    match read {
        Ok(sentence) => {
            if let Some(report) = epochs.take(sentence, tally) {
                give(report, tally);
            }
        }
        Err(reason) => tally.reject(reason),
    }
}

impl Report {
    /// The report as a sample of `source`, which is one receiver.
    pub(super) fn give_out(
        self,
        source: &SourceName,
        tally: &mut Tally,
        samples: &mut Vec<Sample>,
    ) {
        tally.sample(self.at);
        samples.push(Sample {
            source: source.clone(),
            device: None,
            counter: None,
            at: self.at,
            quantities: vec![self.quantity],
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
    use crate::units::{CentiDegrees, Millimetres, MillimetresPerSecond};

    /// Adds `$`, checksum and line end.
    fn line(body: &str) -> String {
        let sum = body.bytes().fold(0, |sum, b| sum ^ b);
        format!("${body}*{sum:02X}\r\n")
    }

    fn rmc(time: &str, status: char, date: &str) -> String {
        line(&format!("GNRMC,{time},{status},3148.6,N,11958.44,E,10.0,43.5,{date},,,A"))
    }

    fn gga(time: &str, quality: char) -> String {
        line(&format!("GNGGA,{time},3148.6,N,11958.44,E,{quality},12,0.91,5.0,M,0.0,M,,"))
    }

    fn zda(time: &str, date: &str) -> String {
        line(&format!("GNZDA,{time},{date},00,00"))
    }

    fn run(stream: &str) -> (Vec<Sample>, Tally) {
        run_pieces(Nmea::new(SourceName::new("gnss").unwrap()), &[stream.as_bytes()])
    }

    fn run_pieces(mut nmea: Nmea, pieces: &[&[u8]]) -> (Vec<Sample>, Tally) {
        let mut samples = Vec::new();
        for piece in pieces {
            nmea.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
        }
        nmea.finish(&mut samples);
        (samples, nmea.tally().clone())
    }

    /// Each sample as its time and what it has: position, speed, accuracy.
    fn summary(samples: &[Sample]) -> Vec<String> {
        let one = |sample: &Sample| {
            let at = sample.at.map_or("?".to_owned(), |at| at.to_string()[..19].to_owned());
            match sample.quantities[..] {
                [Quantity::Fix(fix)] => {
                    let speed = if fix.speed.is_some() { " speed" } else { "" };
                    let accuracy = if fix.accuracy.is_some() { " accuracy" } else { "" };
                    format!("{at} fix{speed}{accuracy}")
                }
                [Quantity::Absent(_)] => format!("{at} none"),
                _ => panic!("{sample:?}"),
            }
        };
        samples.iter().map(one).collect()
    }

    #[test]
    fn rmc_and_gga_of_one_moment_are_one_fix() {
        let (samples, tally) = run(&(rmc("040000.00", 'A', "040626") + &gga("040000.00", '1')));
        let position =
            crate::place::Position::from_degrees(31.81, 119.974, crate::place::Datum::Wgs84);
        let expected = Fix {
            position: position.unwrap(),
            speed: Some(MillimetresPerSecond(5144)),
            course: Some(CentiDegrees(4350)),
            // 0.91 times 5 m.
            accuracy: Some(Millimetres(4550)),
            satellites: Some(12),
        };
        let at = Utc::parse("2026-06-04T04:00:00Z").unwrap();
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].quantities, [Quantity::Fix(expected)]);
        assert_eq!((samples[0].at, samples[0].device.as_ref()), (Some(at), None));
        assert_eq!((tally.frames, tally.samples), (2, 1));
        assert_eq!((tally.first_at, tally.last_at), (Some(at), Some(at)));
        assert_eq!(tally.rejected_total(), 0);
    }

    #[test]
    fn the_order_inside_an_epoch_does_not_matter_and_nothing_waits_for_the_next() {
        let both = [
            rmc("040000.00", 'A', "040626") + &gga("040000.00", '1'),
            gga("040000.00", '1') + &rmc("040000.00", 'A', "040626"),
            // The two may round differently.
            gga("040000.005", '1') + &rmc("040000.00", 'A', "040626"),
        ];
        for stream in both {
            let mut nmea = Nmea::new(SourceName::new("gnss").unwrap());
            let mut samples = Vec::new();
            nmea.feed(Raw::Bytes(stream.as_bytes()), Utc::from_ms(0), &mut samples);
            assert_eq!(summary(&samples), ["2026-06-04T04:00:00 fix speed accuracy"]);
            nmea.finish(&mut samples);
            assert_eq!(samples.len(), 1, "given out once");
        }
    }

    #[test]
    fn with_rmc_only_rmc_counts() {
        // GGA ten times a second, RMC once; GGA of the second before at the start.
        let stream = gga("035959.90", '1')
            + &rmc("040000.00", 'A', "040626")
            + &gga("040000.10", '1')
            + &gga("040000.20", '1')
            + &rmc("040001.00", 'A', "040626")
            + &gga("040001.00", '1')
            + &gga("040001.10", '1');
        let expected = ["2026-06-04T04:00:00 fix speed", "2026-06-04T04:00:01 fix speed accuracy"];
        assert_eq!(summary(&run(&stream).0), expected);
    }

    #[test]
    fn when_rmc_falls_silent_gga_takes_over() {
        let mut stream = rmc("040000", 'A', "040626");
        for second in 1..=62 {
            stream += &gga(&format!("04{:02}{:02}", second / 60, second % 60), '1');
        }
        let samples = run(&stream).0;
        assert_eq!(
            summary(&samples)[1..],
            ["2026-06-04T04:01:01 fix accuracy", "2026-06-04T04:01:02 fix accuracy"]
        );
    }

    #[test]
    fn every_valid_rmc_is_a_fix_even_inside_one_second() {
        let stream = rmc("040000", 'A', "040626").repeat(3) + &gga("040000", '1');
        assert_eq!(run(&stream).0.len(), 3);
    }

    #[test]
    fn without_rmc_the_date_comes_from_zda_and_the_motion_from_vtg() {
        let vtg = line("GNVTG,43.5,T,,M,10.0,N,18.5,K,A");
        let stream = gga("235958.00", '1')
            + &zda("235959.00", "31,12,2026")
            + &gga("235959.00", '1')
            + &vtg
            + &gga("000000.00", '1')
            + &vtg;
        let expected = [
            "2026-12-31T23:59:58 fix accuracy",
            "2026-12-31T23:59:59 fix speed accuracy",
            "2027-01-01T00:00:00 fix speed accuracy",
        ];
        assert_eq!(summary(&run(&stream).0), expected);
        let undated = gga("235958.00", '1') + &gga("235959.00", '0');
        assert_eq!(summary(&run(&undated).0), ["? fix accuracy", "? none"]);
    }

    #[test]
    fn gll_counts_where_nothing_else_does() {
        let gll =
            |time: &str, status| line(&format!("GNGLL,3148.6,N,11958.44,E,{time},{status},A"));
        let alone = zda("040000", "04,06,2026") + &gll("040000", 'A') + &gll("040001", 'V');
        assert_eq!(
            summary(&run(&alone).0),
            ["2026-06-04T04:00:00 fix", "2026-06-04T04:00:01 none"]
        );
        let beside = gll("040000", 'A') + &gga("040000", '1');
        assert_eq!(summary(&run(&beside).0), ["? fix accuracy"]);
    }

    #[test]
    fn no_position_from_a_receiver_that_has_none() {
        let none = Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix });
        for stream in [
            rmc("040000", 'V', "040626"),
            rmc("040000", 'V', "040626") + &gga("040000", '1'),
            rmc("040000", 'A', "040626") + &gga("040000", '0'),
            gga("040000", '8') + &rmc("040000", 'A', "040626"),
            gga("040000", '8'),
            gga("040000", '7'),
            line("GPRMC,,V,,,,,,,,,,N"),
        ] {
            let (samples, tally) = run(&stream);
            assert_eq!(samples.len(), 1, "{stream}");
            assert_eq!(samples[0].quantities, [none], "{stream}");
            assert_eq!(tally.rejected_total(), 0, "alive is not a rejection: {stream}");
        }
        // No time at all, second after second: each says so.
        let cold = (line("GPGGA,,,,,,0,,,,M,,M,,") + &line("GPRMC,,V,,,,,,,,,,N")).repeat(3);
        assert_eq!(summary(&run(&cold).0), ["? none"; 3]);
    }

    #[test]
    fn a_date_that_cannot_be_gives_no_time() {
        let built = Utc::parse("2026-01-01T00:00:00Z").unwrap();
        let nmea = Nmea::new(SourceName::new("gnss").unwrap());
        // 1024 weeks before 4 June 2026.
        let rolled_over = rmc("040000", 'A', "191006");
        let (samples, tally) = run_pieces(nmea.clone(), &[rolled_over.as_bytes()]);
        assert_eq!(summary(&samples), ["2006-10-19T04:00:00 fix speed"]);
        assert_eq!(tally.rejected_total(), 0);
        let (samples, tally) =
            run_pieces(nmea.clone().with_date_floor(built), &[rolled_over.as_bytes()]);
        assert_eq!(summary(&samples), ["? fix speed"]);
        assert_eq!(tally.rejected[&Reason::Time], 1);
        assert_eq!(tally.first_at, None);
        for date in ["060180", "310226", "000000"] {
            let (samples, tally) = run_pieces(nmea.clone(), &[rmc("040000", 'A', date).as_bytes()]);
            assert_eq!(summary(&samples), ["? fix speed"], "{date}");
            assert_eq!(tally.rejected[&Reason::Time], 1, "{date}");
        }
    }

    #[test]
    fn a_cut_last_line_is_counted_and_the_last_epoch_given_out() {
        let whole = rmc("040000", 'A', "040626");
        let (samples, tally) = run(whole.trim_end());
        assert_eq!((samples.len(), tally.frames), (1, 1), "only the line end is missing");
        let (samples, tally) = run(&(whole + "$GNGGA,0400"));
        assert_eq!((samples.len(), tally.frames), (1, 1));
        assert_eq!(tally.rejected[&Reason::NoChecksum], 1);
    }

    #[test]
    fn after_the_end_nothing_is_remembered() {
        let mut nmea = Nmea::new(SourceName::new("gnss").unwrap());
        let mut samples = Vec::new();
        let first = zda("235959", "31,12,2026") + "$GNGG";
        nmea.feed(Raw::Bytes(first.as_bytes()), Utc::from_ms(0), &mut samples);
        nmea.finish(&mut samples);
        nmea.feed(Raw::Bytes(gga("040000", '1').as_bytes()), Utc::from_ms(0), &mut samples);
        nmea.finish(&mut samples);
        assert_eq!(summary(&samples), ["? fix accuracy"]);
    }

    #[test]
    fn a_message_is_not_a_byte_stream() {
        let mut nmea = Nmea::new(SourceName::new("gnss").unwrap());
        let message = Raw::Mqtt { topic: "gnss", payload: b"$GNGGA" };
        nmea.feed(message, Utc::from_ms(0), &mut Vec::new());
        assert_eq!(nmea.tally().rejected[&Reason::Malformed], 1);
    }

    fn session() -> impl Strategy<Value = String> {
        let sentence = prop_oneof![
            (0..60_u8, "[AV]").prop_map(|(s, v)| rmc(
                &format!("0400{s:02}"),
                v.chars().next().unwrap(),
                "040626"
            )),
            (0..60_u8, "[0128]")
                .prop_map(|(s, q)| gga(&format!("0400{s:02}"), q.chars().next().unwrap())),
            Just(zda("040000", "04,06,2026")),
            Just(line("GPGSV,1,1,00")),
            "[ -~]{0,200}",
            "\\$G[NP](RMC|GGA|GLL|VTG|ZDA|GSA),[0-9A-Z.,]{0,80}".prop_map(|s| line(&s[1..])),
        ];
        proptest::collection::vec(sentence, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_is_never_a_sample(
            noise in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let nmea = Nmea::new(SourceName::new("gnss").unwrap());
            let (samples, tally) = run_pieces(nmea, &[&noise]);
            prop_assert_eq!(tally.bytes, noise.len() as u64);
            // A right checksum by chance is one in 256 of what has the form of a sentence.
            prop_assert!(tally.frames > 0 || samples.is_empty());
        }

        #[test]
        fn the_cut_changes_nothing(stream in session(), cuts in proptest::collection::vec(0..40_usize, 0..60)) {
            let whole = run(&stream);
            let mut rest = stream.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            pieces.push(rest);
            let cut = run_pieces(Nmea::new(SourceName::new("gnss").unwrap()), &pieces);
            prop_assert_eq!(cut, whole);
        }

        #[test]
        fn a_damaged_sentence_gives_nothing(at in 1..57_usize, flip in 1..=255_u8) {
            let mut bytes = rmc("040000", 'A', "040626").into_bytes();
            bytes[at] ^= flip;
            let nmea = Nmea::new(SourceName::new("gnss").unwrap());
            let (samples, tally) = run_pieces(nmea, &[&bytes]);
            prop_assert!(samples.is_empty(), "{:?}", tally);
        }

        #[test]
        fn a_truncated_sentence_gives_nothing(kept in 0..59_usize) {
            let whole = rmc("040000", 'A', "040626");
            let (samples, _) = run(&whole[..kept]);
            prop_assert!(samples.is_empty());
        }
    }
}
