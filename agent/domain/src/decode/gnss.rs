//! Satellite receivers that speak NMEA 0183, UBX, or both on one line.
//!
//! Responsible for sorting the two protocols apart and for one report per epoch. UBX frames are cut out
//! of the stream; everything else goes to the reader of sentences, of which [`nmea`](super::nmea)
//! tells. What comes out is the same as there: a fix, or that there is none.
//!
//! A receiver that speaks both says every moment twice. UBX is then preferred, for it knows its own
//! accuracy, and sentences are only listened to: they give nothing while a UBX solution has been heard
//! within the last sixty of their reports. Until the first UBX solution sentences count; the UBX
//! solution of a moment that a sentence has already reported is left out.

use crate::decode::nmea::{DATE_FLOOR, Report, SAME_MOMENT_MS, Sentences};
use crate::decode::ubx::{Piece, Solutions, Splitter};
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::SourceName;
use crate::sample::Sample;
use crate::time::{Span, Utc};

/// After this many reports of sentences without a UBX solution between them, sentences count again.
const UBX_SILENCE_MAX: u32 = 60;

/// Decodes the byte stream of one receiver.
#[derive(Debug, Clone)]
pub struct Gnss {
    source: SourceName,
    splitter: Splitter,
    readers: Readers,
    tally: Tally,
}

#[derive(Debug, Clone)]
struct Readers {
    sentences: Sentences,
    solutions: Solutions,
    lead: Lead,
}

/// Who speaks for the receiver.
#[derive(Debug, Clone, Copy)]
enum Lead {
    Nobody,
    /// Sentences, which have last reported this moment.
    Sentences(Option<Utc>),
    /// UBX, and so many reports of sentences have passed since it last did.
    Ubx(u32),
}

impl Gnss {
    /// A decoder for the receiver behind `source`. Dates before 1990 are not believed.
    #[must_use]
    pub fn new(source: SourceName) -> Gnss {
        Gnss {
            source,
            splitter: Splitter::default(),
            readers: Readers::new(DATE_FLOOR),
            tally: Tally::default(),
        }
    }

    /// Does not believe dates before `floor`, such as the day the program was built: they are counted
    /// as [`Reason::Time`] and the sample goes without a time of its own. To be set before the first
    /// byte.
    #[must_use]
    pub fn with_date_floor(mut self, floor: Utc) -> Gnss {
        self.readers = Readers::new(floor);
        self
    }
}

impl Decode for Gnss {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                let Gnss { source, splitter, readers, tally } = self;
                tally.bytes += bytes.len() as u64;
                splitter.feed(bytes, |piece| {
                    readers.take(piece, tally, |report, tally| {
                        report.give_out(source, tally, samples);
                    });
                });
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        let Gnss { source, splitter, readers, tally } = self;
        let mut give = |report: Report, tally: &mut Tally| report.give_out(source, tally, samples);
        splitter.finish(|piece| readers.take(piece, tally, &mut give));
        readers.finish(tally, &mut give);
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Readers {
    const fn new(floor: Utc) -> Readers {
        Readers {
            sentences: Sentences::new(floor),
            solutions: Solutions::new(floor),
            lead: Lead::Nobody,
        }
    }

    fn take(
        &mut self,
        piece: Piece<'_>,
        tally: &mut Tally,
        mut give: impl FnMut(Report, &mut Tally),
    ) {
        let Readers { sentences, solutions, lead } = self;
        match piece {
            Piece::Other(bytes) => {
                sentences.feed(bytes, tally, |report, tally| {
                    if lead.sentence(report.at) {
                        give(report, tally);
                    }
                });
            }
            Piece::Message(message) => {
                tally.frames += 1;
                // A frame in the middle of a sentence ends it, as any byte does that is not text.
                sentences.feed(&[0], tally, |report, tally| {
                    if lead.sentence(report.at) {
                        give(report, tally);
                    }
                });
                solutions.take(message, tally, |report, tally| {
                    if lead.ubx(report.at) {
                        give(report, tally);
                    }
                });
            }
            Piece::Bad(reason) => tally.reject(reason),
        }
    }

    /// The stream has ended. Forgets who spoke, since what comes next may be another receiver.
    fn finish(&mut self, tally: &mut Tally, mut give: impl FnMut(Report, &mut Tally)) {
        let Readers { sentences, solutions, lead } = self;
        solutions.finish(tally, |report, tally| {
            if lead.ubx(report.at) {
                give(report, tally);
            }
        });
        sentences.finish(tally, |report, tally| {
            if lead.sentence(report.at) {
                give(report, tally);
            }
        });
        *lead = Lead::Nobody;
    }
}

impl Lead {
    /// Sentences report the moment `at`; answers whether that counts.
    fn sentence(&mut self, at: Option<Utc>) -> bool {
        *self = match *self {
            Lead::Ubx(silence) if silence < UBX_SILENCE_MAX => Lead::Ubx(silence + 1),
            _ => Lead::Sentences(at),
        };
        matches!(self, Lead::Sentences(_))
    }

    /// UBX reports the moment `at`; answers whether that counts. Where one of the two does not know
    /// the time they are taken for the same moment: one left out does less harm than one twice.
    fn ubx(&mut self, at: Option<Utc>) -> bool {
        let counts = match *self {
            Lead::Sentences(said) => said.zip(at).is_some_and(|(said, at)| at > said + SAME_MOMENT),
            Lead::Nobody | Lead::Ubx(_) => true,
        };
        *self = Lead::Ubx(0);
        counts
    }
}

const SAME_MOMENT: Span = Span::from_ms(SAME_MOMENT_MS as u64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::ubx::frame;
    use crate::place::{Datum, Position};
    use crate::sample::{Fix, Quantity};
    use crate::units::{CentiDegrees, Millimetres, MillimetresPerSecond};

    /// NAV-PVT of 2026-06-04 04:00:00, laid out by hand.
    const PVT: &str = "b56201075c00002a7515ea070604040000371900000000000000\
        0301000e6094824730f9f512e02e000088130000c4090000a00f0000dc050000400600000000000091080000\
        e09c41005e01000020bf02008200000000000000e09c4100000000008785";

    fn hex(text: &str) -> Vec<u8> {
        let digit = |b: &u8| char::from(*b).to_digit(16).unwrap() as u8;
        text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) * 16 + digit(&pair[1])).collect()
    }

    fn read(pieces: &[&[u8]]) -> (Vec<Sample>, Tally) {
        let mut gnss = Gnss::new(SourceName::new("gnss").unwrap());
        let mut samples = Vec::new();
        for piece in pieces {
            gnss.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
        }
        gnss.finish(&mut samples);
        (samples, gnss.tally().clone())
    }

    fn line(body: &str) -> Vec<u8> {
        let sum = body.bytes().fold(0, |sum, b| sum ^ b);
        format!("${body}*{sum:02X}\r\n").into_bytes()
    }

    fn rmc(second: u8) -> Vec<u8> {
        line(&format!("GNRMC,0400{second:02},A,3148.6,N,11958.44,E,4.0,43.5,040626,,,A"))
    }

    fn gga(second: u8) -> Vec<u8> {
        line(&format!("GNGGA,0400{second:02},3148.6,N,11958.44,E,1,12,0.91,5.0,M,0.0,M,,"))
    }

    /// The golden message with another second.
    fn pvt(second: u8) -> Vec<u8> {
        let mut payload = hex(PVT)[6..98].to_vec();
        payload[10] = second;
        payload[0] = second;
        frame(1, 7, &payload)
    }

    /// Second and satellites: 14 from UBX, 12 from GGA, none from RMC alone.
    fn summary(samples: &[Sample]) -> Vec<(i64, Option<u8>)> {
        let second = |sample: &Sample| sample.at.unwrap().as_ms() / 1000 % 60;
        let one = |sample: &Sample| match sample.quantities[..] {
            [Quantity::Fix(fix)] => (second(sample), fix.satellites),
            _ => panic!("{sample:?}"),
        };
        samples.iter().map(one).collect()
    }

    #[test]
    fn golden_pvt() {
        let (samples, tally) = read(&[&hex(PVT)]);
        let fix = Fix {
            position: Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond(2193)),
            course: Some(CentiDegrees(4300)),
            accuracy: Some(Millimetres(2500)),
            satellites: Some(14),
        };
        let at = Utc::parse("2026-06-04T04:00:00Z").ok();
        assert_eq!(samples[0].quantities, [Quantity::Fix(fix)]);
        assert_eq!((samples.len(), samples[0].at, &samples[0].device), (1, at, &None));
        assert_eq!((tally.frames, tally.samples, tally.first_at), (1, 1, at));
        assert_eq!(tally.rejected_total(), 0);
    }

    #[test]
    fn ubx_speaks_where_both_do_and_no_moment_is_told_twice() {
        let sentences_first: Vec<u8> =
            (1..=3).flat_map(|s| [rmc(s), gga(s), pvt(s)].concat()).collect();
        // The first moment was reported before UBX was known to be there.
        let expected = [(1, Some(12)), (2, Some(14)), (3, Some(14))];
        assert_eq!(summary(&read(&[&sentences_first]).0), expected);
        let ubx_first: Vec<u8> = (1..=3).flat_map(|s| [pvt(s), rmc(s)].concat()).collect();
        let expected = [(1, Some(14)), (2, Some(14)), (3, Some(14))];
        let (samples, tally) = read(&[&ubx_first]);
        assert_eq!(summary(&samples), expected);
        assert_eq!((tally.frames, tally.samples), (6, 3));
    }

    #[test]
    fn when_ubx_falls_silent_sentences_count_again() {
        let mut stream = pvt(0);
        for i in 0..62_u8 {
            stream.extend(rmc(i % 60));
        }
        // The last sentence of each moment is held until the next; at the end all are out.
        assert_eq!(summary(&read(&[&stream]).0), [(0, Some(14)), (0, None), (1, None)]);
    }

    #[test]
    fn a_frame_ends_a_sentence_that_was_cut() {
        let sentence = rmc(1);
        let (head, tail) = sentence.split_at(20);
        let (samples, tally) = read(&[head, &pvt(2), tail]);
        assert_eq!(summary(&samples), [(2, Some(14))]);
        assert_eq!(tally.rejected[&Reason::NoChecksum], 1);
    }

    #[test]
    fn a_date_before_the_floor_gives_no_time_in_either_protocol() {
        let floor = Utc::parse("2026-07-01T00:00:00Z").unwrap();
        for stream in [rmc(1), pvt(1)] {
            let mut gnss = Gnss::new(SourceName::new("gnss").unwrap()).with_date_floor(floor);
            let mut samples = Vec::new();
            gnss.feed(Raw::Bytes(&stream), Utc::from_ms(0), &mut samples);
            gnss.finish(&mut samples);
            assert_eq!((samples.len(), samples[0].at), (1, None));
            assert_eq!(gnss.tally().rejected[&Reason::Time], 1);
        }
    }

    #[test]
    fn a_message_is_not_a_byte_stream() {
        let mut gnss = Gnss::new(SourceName::new("gnss").unwrap());
        let message = Raw::Mqtt { topic: "gnss", payload: &hex(PVT) };
        gnss.feed(message, Utc::from_ms(0), &mut Vec::new());
        assert_eq!(gnss.tally().rejected[&Reason::Malformed], 1);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            (0..60_u8).prop_map(rmc),
            (0..60_u8).prop_map(pvt),
            proptest::collection::vec(any::<u8>(), 0..60),
            Just(vec![0xb5, 0x62]),
            Just(hex(PVT)[..40].to_vec()),
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..100))
                .prop_map(|(number, payload)| frame(1, number, &payload)),
        ];
        proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_cut_changes_nothing(
            stream in stream(),
            cuts in proptest::collection::vec(0..60_usize, 0..60),
        ) {
            let whole = read(&[&stream]);
            let (mut rest, mut pieces) = (&stream[..], Vec::new());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(&read(&pieces), &whole);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&read(&single), &whole);
        }

        #[test]
        fn noise_never_panics_and_is_never_a_sample(
            noise in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            let (samples, tally) = read(&[&noise]);
            prop_assert_eq!(tally.bytes, noise.len() as u64);
            prop_assert!(tally.frames > 0 || samples.is_empty());
        }

        #[test]
        fn a_damaged_message_gives_nothing(at in 0..100_usize, flip in 1..=255_u8) {
            let mut bytes = hex(PVT);
            bytes[at] ^= flip;
            let (samples, _) = read(&[&bytes]);
            prop_assert!(samples.is_empty());
        }
    }
}
