//! Vehicle buses: CAN frames, and the signals in them that a configuration names.
//!
//! Responsible for the way from a frame, or from a line that `candump` wrote, to quantities. What a
//! signal means differs from model to model of the vehicle, so nothing is known but what the
//! configuration says; the conventions of SAE J1939 are applied where a signal is named by its
//! parameter group. Never sends: on a bus of a vehicle we only listen.
//!
//! ```toml
//! [[source]]
//! name = "bus"
//! kind = "can"
//! interface = "can0"
//! every = "1s"                  # at most so often a sample of each group of signals
//!
//! [[source.signal]]             # wheel speed, J1939
//! pgn = 0xFEF1                  # parameter group; with `source_address = 0` of that sender only
//! start = 8                     # first bit, counted as in DBC files
//! length = 16                   # bits, 1 to 32
//! quantity = "speed"
//! unit = "km/h"
//! scale = 0.00390625
//!
//! [[source.signal]]             # the brush, from the builder of this sweeper
//! id = 0x521                    # identifier; with `extended = true` of 29 bits
//! start = 0
//! length = 2
//! order = "motorola"            # intel (default) or motorola
//! signed = false
//! quantity = "working"
//! values = { 0 = "not_fitted", 1 = false, 2 = true }
//! ```
//!
//! A bus repeats itself up to a hundred times a second. A frame becomes a sample when `every` has
//! passed since the last one of its signals, and at once when a state in it (yes, no, absent) is
//! another; the others are counted as thinned.

mod frame;
mod signal;

pub use frame::{CanId, Frame};
pub use signal::{BadSignal, BitOrder, Bits, Found, SIGNALS_MAX, Selector, Signal, SignalMap};

use crate::decode::lines::Lines;
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Quantity, Sample};
use crate::time::{Span, Utc};

/// How often a group of signals becomes a sample, where nothing else is configured.
pub const EVERY: Span = Span::from_secs(1);

/// The longest line of candump: 64 bytes of CAN FD in columns, with time, interface and text.
const LINE_MAX: usize = 512;

/// Reads one bus.
#[derive(Debug, Clone)]
pub struct Can {
    source: SourceName,
    device: Option<DeviceKey>,
    map: SignalMap,
    every: Span,
    lines: Lines,
    /// When the last piece arrived.
    received: Utc,
    /// For each group of signals what was said last; as many as the map has signals, at most.
    last: Vec<Option<Last>>,
    thinned: u64,
    not_available: u64,
    tally: Tally,
}

#[derive(Debug, Clone)]
struct Last {
    at: Utc,
    states: Vec<Quantity>,
}

impl Can {
    /// A decoder for the bus behind `source`, which carries these signals.
    #[must_use]
    pub fn new(source: SourceName, map: SignalMap) -> Can {
        let last = vec![None; map.signals().len()];
        Can {
            source,
            device: None,
            map,
            every: EVERY,
            lines: Lines::new(LINE_MAX),
            received: Utc::from_ms(0),
            last,
            thinned: 0,
            not_available: 0,
            tally: Tally::default(),
        }
    }

    /// The samples are of this device; without it the bus is the one device of its source.
    #[must_use]
    pub fn with_device(self, device: DeviceKey) -> Can {
        Can { device: Some(device), ..self }
    }

    /// At most one sample of each group of signals in `every`, changes of state apart.
    #[must_use]
    pub fn with_every(self, every: Span) -> Can {
        Can { every, ..self }
    }

    /// Takes a frame that was recorded `at`, or now has `received`.
    pub fn frame(
        &mut self,
        frame: &Frame,
        at: Option<Utc>,
        received: Utc,
        samples: &mut Vec<Sample>,
    ) {
        self.tally.frames += 1;
        let Some(found) = self.map.read(frame) else { return };
        for _ in 0..found.short {
            self.tally.reject(Reason::Truncated);
        }
        self.not_available += found.not_available;
        if found.quantities.is_empty() || !self.is_due(&found, at.unwrap_or(received)) {
            return;
        }
        self.tally.sample(at);
        samples.push(Sample {
            source: self.source.clone(),
            device: self.device.clone(),
            counter: None,
            at,
            quantities: found.quantities,
        });
    }

    /// Frames that said nothing new within [`Can::with_every`].
    #[must_use]
    pub const fn thinned(&self) -> u64 {
        self.thinned
    }

    /// Signals that their sender does not have at the moment, such as everything with the ignition off.
    #[must_use]
    pub const fn not_available(&self) -> u64 {
        self.not_available
    }

    fn is_due(&mut self, found: &Found, at: Utc) -> bool {
        let states: Vec<Quantity> =
            found.quantities.iter().copied().filter(|quantity| is_state(*quantity)).collect();
        let last = &mut self.last[found.group];
        let is_due = last.as_ref().is_none_or(|last| {
            // In either direction: the clock may have been set.
            let apart = at.since(last.at).max(last.at.since(at));
            apart >= self.every || states != last.states
        });
        if is_due {
            *last = Some(Last { at, states });
        } else {
            self.thinned += 1;
        }
        is_due
    }

    fn line(&mut self, line: &[u8], received: Utc, samples: &mut Vec<Sample>) {
        match frame::candump(line) {
            Ok((at, Some(frame))) => self.frame(&frame, at, received, samples),
            // A request for data, or a word of the bus about itself.
            Ok((_, None)) => self.tally.frames += 1,
            Err(reason) => self.tally.reject(reason),
        }
    }

    /// Lets `cut` cut lines, and reads them.
    fn with_lines(
        &mut self,
        received: Utc,
        samples: &mut Vec<Sample>,
        cut: impl FnOnce(&mut Lines, &mut dyn FnMut(Result<&[u8], Reason>)),
    ) {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(LINE_MAX));
        cut(&mut lines, &mut |line| match line {
            Ok(line) => self.line(line, received, samples),
            Err(reason) => self.tally.reject(reason),
        });
        self.lines = lines;
    }
}

/// Bytes are lines of `candump`, of its log (`-l`, `-L`) or of its screen.
impl Decode for Can {
    fn feed(&mut self, raw: Raw<'_>, received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                self.tally.bytes += bytes.len() as u64;
                self.received = received;
                self.with_lines(received, samples, |lines, take| lines.feed(bytes, take));
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        // What is left over arrived with the last piece.
        self.with_lines(self.received, samples, |lines, take| lines.finish(take));
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Whether a change of this quantity is told at once.
const fn is_state(quantity: Quantity) -> bool {
    matches!(
        quantity,
        Quantity::Occupied(_)
            | Quantity::Tilted(_)
            | Quantity::LidOpen(_)
            | Quantity::Fire(_)
            | Quantity::Working(_)
            | Quantity::Ignition(_)
            | Quantity::Absent(_)
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::measure::{Meaning, Measure, Scaling};
    use crate::units::MillimetresPerSecond;

    /// Wheel speed, and the brush of a sweeper.
    fn map() -> SignalMap {
        let speed = Scaling::new(Measure::Speed).with_scale(1.0 / 256.0, 0.0).unwrap();
        let bits = |start, length| Bits::new(start, length, BitOrder::Intel).unwrap();
        let any = Selector::Pgn { pgn: 0xfef1, source_address: None };
        let speed = Signal::new(any, bits(8, 16), speed);
        let brush = Scaling::new(Measure::Working)
            .with_meaning(0, Meaning::NotFitted)
            .and_then(|s| s.with_meaning(1, Meaning::State(false)))
            .and_then(|s| s.with_meaning(2, Meaning::State(true)))
            .unwrap();
        let brush = Signal::new(Selector::Id(brush_id()), bits(0, 2), brush);
        SignalMap::new(vec![speed.unwrap(), brush.unwrap()]).unwrap()
    }

    fn brush_id() -> CanId {
        CanId::standard(0x521).unwrap()
    }

    fn can() -> Can {
        Can::new(SourceName::new("bus").unwrap(), map())
    }

    fn read(mut can: Can, pieces: &[&[u8]]) -> (Vec<Sample>, Can) {
        let mut samples = Vec::new();
        for piece in pieces {
            can.feed(Raw::Bytes(piece), Utc::from_ms(1_000), &mut samples);
        }
        can.finish(&mut samples);
        (samples, can)
    }

    /// Second and quantity of each sample.
    fn summary(samples: &[Sample]) -> Vec<(i64, Quantity)> {
        let one = |sample: &Sample| (sample.at.unwrap().as_ms(), sample.quantities[0]);
        samples.iter().map(one).collect()
    }

    const T: i64 = 1_780_545_600_000;

    fn speed(mm_s: u32) -> Quantity {
        Quantity::Speed(MillimetresPerSecond(mm_s))
    }

    #[test]
    fn a_log_becomes_samples_of_what_the_map_names() {
        let log = "(1780545600.000000) can0 18FEF100#FF00240000000000\n\
            (1780545600.100000) can0 0CF00400#FFFFFF6813FFFFFF\n\
            (1780545600.200000) can0 521#0200000000000000\n";
        let (samples, can) = read(can(), &[log.as_bytes()]);
        let expected = [(T, speed(10_000)), (T + 200, Quantity::Working(true))];
        assert_eq!(summary(&samples), expected);
        assert_eq!((can.tally().frames, can.tally().samples), (3, 2));
        assert_eq!(can.tally().rejected_total(), 0);
        assert_eq!(samples[0].device, None);
        let device = DeviceKey::new("sweeper-7").unwrap();
        let (samples, _) = read(self::can().with_device(device.clone()), &[log.as_bytes()]);
        assert_eq!(samples[0].device, Some(device));
    }

    #[test]
    fn a_busy_bus_is_thinned_but_a_state_is_told_at_once() {
        let mut log = String::new();
        for tenth in 0..25 {
            let time = format!("({}.{}00000)", 1_780_545_600 + tenth / 10, tenth % 10);
            log += &format!("{time} can0 18FEF100#FF00{:02X}0000000000\n", tenth + 1);
            let down = if tenth < 3 { "01" } else { "02" };
            log += &format!("{time} can0 521#{down}\n");
        }
        let (samples, can) = read(can(), &[log.as_bytes()]);
        let expected = [
            (T, speed(278)),
            (T, Quantity::Working(false)),
            (T + 300, Quantity::Working(true)),
            (T + 1000, speed(3056)),
            (T + 1300, Quantity::Working(true)),
            (T + 2000, speed(5833)),
            (T + 2300, Quantity::Working(true)),
        ];
        assert_eq!(summary(&samples), expected);
        assert_eq!(can.thinned(), 50 - 7);
        let (samples, can) = read(self::can().with_every(Span::ZERO), &[log.as_bytes()]);
        assert_eq!((samples.len(), can.thinned()), (50, 0));
    }

    #[test]
    fn what_a_sender_has_not_is_no_sample_and_an_error_is_absent() {
        use crate::sample::{Absent, Missing, NoData};
        let lines = "(1780545600.0) can0 18FEF100#FFFFFFFFFFFFFFFF\n\
            (1780545601.0) can0 521#00\n\
            (1780545602.0) can0 18FEF117#FFFFFEFFFFFFFFFF\n";
        let (samples, can) = read(can(), &[lines.as_bytes()]);
        let fault = Absent { what: Missing::Speed, why: NoData::SensorFault };
        assert_eq!(summary(&samples), [(T + 2000, Quantity::Absent(fault))]);
        assert_eq!(can.not_available(), 2);
    }

    #[test]
    fn a_frame_without_its_own_time_is_of_the_moment_it_arrived() {
        let (samples, _) = read(can(), &[b"  can0  18FEF100   [8]  FF 00 24 00 00 00 00 00\n"]);
        assert_eq!((samples.len(), samples[0].at), (1, None));
        let frame = Frame::new(CanId::standard(0x521).unwrap(), &[2]).unwrap();
        let (mut can, mut samples) = (can(), Vec::new());
        can.frame(&frame, None, Utc::from_ms(T), &mut samples);
        can.frame(&frame, None, Utc::from_ms(T + 999), &mut samples);
        can.frame(&frame, None, Utc::from_ms(T + 1000), &mut samples);
        // The clock is set back by an hour: nothing falls silent.
        can.frame(&frame, None, Utc::from_ms(T - 3_600_000), &mut samples);
        assert_eq!(samples.len(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let log = format!(
            "nonsense\n(1780545600.0) can0 521##1020304\n(1780545600.0) can0 18FEF100#FF00\n{}\n",
            "x".repeat(LINE_MAX + 1)
        );
        let (samples, can) = read(can(), &[log.as_bytes()]);
        let counted: Vec<_> = can.tally().rejected.iter().map(|(r, n)| (*r, *n)).collect();
        let expected = [
            (Reason::Malformed, 1),
            (Reason::TooLong, 1),
            (Reason::Truncated, 1),
            (Reason::Version, 1),
        ];
        assert_eq!(samples, []);
        assert_eq!(counted, expected);
        let mut can = self::can();
        let message = Raw::Mqtt { topic: "bus", payload: b"" };
        can.feed(message, Utc::from_ms(0), &mut Vec::new());
        assert_eq!(can.tally().rejected[&Reason::Malformed], 1);
    }

    /// Every identifier there is of eleven bits, and as many of 29: what is kept grows with the map and
    /// not with the bus, and the frame that is wanted is read among them.
    #[test]
    fn a_flood_of_strangers_is_counted_and_hides_nothing() {
        let (mut can, mut samples) = (can(), Vec::new());
        for id in 0..0x800_u16 {
            let strangers = [CanId::standard(id), CanId::extended(0x0400_0000 + u32::from(id))];
            for stranger in strangers.into_iter().flatten().filter(|s| *s != brush_id()) {
                can.frame(
                    &Frame::new(stranger, &[0xff; 8]).unwrap(),
                    None,
                    Utc::from_ms(T),
                    &mut samples,
                );
            }
        }
        assert_eq!((samples.len(), can.tally().frames), (0, 2 * 0x800 - 1));
        assert_eq!((can.last.len(), can.thinned(), can.tally().rejected_total()), (2, 0, 0));
        let brush = Frame::new(brush_id(), &[2]).unwrap();
        for _ in 0..10_000 {
            can.frame(&brush, None, Utc::from_ms(T), &mut samples);
        }
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].quantities[0], can.thinned()), (Quantity::Working(true), 9_999));
    }

    #[test]
    fn a_line_without_an_end_is_counted_once_and_is_not_kept() {
        let (mut can, mut samples) = (can(), Vec::new());
        for _ in 0..1024 {
            can.feed(Raw::Bytes(&[b'F'; 1024]), Utc::from_ms(T), &mut samples);
            assert!(can.lines.held() <= LINE_MAX);
        }
        can.feed(Raw::Bytes(b"\n(1780545600.0) can0 521#02\n"), Utc::from_ms(T), &mut samples);
        assert_eq!(summary(&samples), [(T, Quantity::Working(true))]);
        assert_eq!(can.tally().rejected, [(Reason::TooLong, 1)].into());
    }

    proptest! {
        #[test]
        fn bytes_by_chance_give_no_sample(
            noise in proptest::collection::vec(any::<u8>(), 0..4000),
        ) {
            let (samples, can) = read(can(), &[&noise]);
            prop_assert_eq!(samples, []);
            prop_assert_eq!((can.tally().frames, can.tally().bytes), (0, noise.len() as u64));
            // A log that follows the noise is read from its second line on.
            let log = [&noise[..], b"\n(1780545600.0) can0 521#02\n"].concat();
            prop_assert_eq!(summary(&read(self::can(), &[&log]).0), [(T, Quantity::Working(true))]);
        }

        #[test]
        fn any_text_is_survived_and_the_cut_changes_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    "\\([0-9]{1,12}\\.[0-9]{0,7}\\) can0 (18FEF100|521|[0-9A-F]{3,9})#[0-9A-F]{0,18}\n",
                    " can0 +(18FEF100|521) +\\[[0-9]\\]( [0-9A-F]{2}){0,9}\n",
                    "[ -~]{0,30}\n?",
                    "\\PC{0,20}",
                ],
                0..12,
            ),
            cuts in proptest::collection::vec(0..50_usize, 0..30),
        ) {
            let stream = parts.concat().into_bytes();
            let all = |(samples, can): (Vec<Sample>, Can)| (samples, can.tally().clone());
            let whole = all(read(can(), &[&stream]));
            let (mut rest, mut pieces) = (&stream[..], Vec::new());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(&all(read(can(), &pieces)), &whole);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&all(read(can(), &single)), &whole);
        }
    }
}
