//! The time of a replay: made from what the recordings say, never from a clock.

use domain::time::{Boot, ClockQuality, Monotonic, Now, Utc};

/// What a recording says about the time of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Wall time; `None` where nothing in the recording tells.
    pub(super) at: Option<Utc>,
    /// Milliseconds of the boot, where the box itself has recorded them.
    pub(super) monotonic: Option<Monotonic>,
    /// The boot, likewise.
    pub(super) boot: Option<Boot>,
    /// Trust in `at`.
    pub(super) clock: ClockQuality,
}

impl Stamp {
    /// An input that carries its wall time and nothing else.
    pub(super) const fn dated(at: Option<Utc>, clock: ClockQuality) -> Stamp {
        Stamp { at, monotonic: None, boot: None, clock }
    }
}

/// Makes a [`Now`] for one input after the other.
///
/// * A recorded `Now` is given back as it is. One of a later boot begins that boot.
/// * Any other is worked out: wall time never goes back, and the monotonic clock moves with it, from
///   1 ms at the first dated input or from the recorded input before.
/// * Inside a boot the monotonic clock never goes back, whatever the recordings say.
#[derive(Debug)]
pub(super) struct Timeline {
    last: Now,
    /// A wall time and the instant of this boot that belongs to it.
    anchor: Option<(Utc, Monotonic)>,
    /// Whether there was an input: until then no boot counts as the present one.
    begun: bool,
}

impl Timeline {
    /// Before the first input: nobody has set the clock.
    pub(super) const fn new() -> Timeline {
        let last = Now {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(1),
            utc: Utc::from_ms(0),
            clock: ClockQuality::Unset,
        };
        Timeline { last, anchor: None, begun: false }
    }

    /// The present when the input with this stamp came in.
    pub(super) fn advance(&mut self, stamp: Stamp) -> Now {
        if let Some(boot) = stamp.boot.filter(|boot| self.begins(*boot)) {
            self.last = Now { boot, monotonic: Monotonic::from_ms(1), ..self.last };
            self.anchor = None;
        }
        self.begun = true;
        self.last = match (stamp.at, stamp.monotonic) {
            (Some(at), Some(monotonic)) if stamp.boot.is_none_or(|b| b == self.last.boot) => {
                let monotonic = monotonic.max(self.floor());
                self.anchor = Some((at, monotonic));
                Now { monotonic, utc: at, clock: stamp.clock, ..self.last }
            }
            (Some(at), _) => self.worked_out(at, stamp.clock),
            (None, _) => self.last,
        };
        self.last
    }

    /// The present when nothing says how late it is.
    pub(super) const fn last(&self) -> Now {
        self.last
    }

    /// Whether an input of `boot` begins a new boot.
    fn begins(&self, boot: Boot) -> bool {
        boot > self.last.boot || !self.begun
    }

    /// The monotonic clock may stand still but not go back. Before the first input there is no floor.
    fn floor(&self) -> Monotonic {
        if self.anchor.is_some() { self.last.monotonic } else { Monotonic::from_ms(0) }
    }

    fn worked_out(&mut self, at: Utc, clock: ClockQuality) -> Now {
        let utc = at.max(self.last.utc);
        let (from, monotonic) = *self.anchor.get_or_insert((utc, self.last.monotonic));
        let monotonic = (monotonic + utc.since(from)).max(self.last.monotonic);
        Now { monotonic, utc, clock, ..self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MORNING: i64 = 1_780_545_600_000;

    fn dated(after_ms: i64) -> Stamp {
        Stamp::dated(Some(Utc::from_ms(MORNING + after_ms)), ClockQuality::Ntp)
    }

    fn recorded(after_ms: i64, monotonic: u64, boot: u32) -> Stamp {
        let (monotonic, boot) = (Some(Monotonic::from_ms(monotonic)), Some(Boot(boot)));
        Stamp { monotonic, boot, ..dated(after_ms) }
    }

    /// Boot, monotonic and wall milliseconds of each stamp, one after the other.
    fn play(stamps: &[Stamp]) -> Vec<(u32, u64, i64)> {
        let mut timeline = Timeline::new();
        let now = |stamp: &Stamp| timeline.advance(*stamp);
        let short = |now: Now| (now.boot.0, now.monotonic.as_ms(), now.utc.as_ms() - MORNING);
        stamps.iter().map(now).map(short).collect()
    }

    #[test]
    fn the_first_dated_input_begins_at_one_millisecond_and_time_never_goes_back() {
        let stamps = [dated(0), dated(1500), dated(700), dated(2000)];
        assert_eq!(play(&stamps), [(1, 1, 0), (1, 1501, 1500), (1, 1501, 1500), (1, 2001, 2000)]);
    }

    #[test]
    fn without_any_time_the_clock_is_unset_and_stands() {
        let undated = Stamp::dated(None, ClockQuality::Gnss);
        let mut timeline = Timeline::new();
        let now = timeline.advance(undated);
        assert_eq!((now.utc, now.clock), (Utc::from_ms(0), ClockQuality::Unset));
        assert_eq!(now.monotonic, Monotonic::from_ms(1));
        let first = timeline.advance(dated(0));
        assert_eq!((first.monotonic, first.clock), (Monotonic::from_ms(1), ClockQuality::Ntp));
        timeline.advance(dated(10));
        assert_eq!(timeline.advance(undated), timeline.last());
        assert_eq!(timeline.last().monotonic, Monotonic::from_ms(11));
    }

    #[test]
    fn what_was_recorded_comes_back_as_it_was() {
        // The wall clock was set back by an hour; then the box was started anew.
        let stamps = [
            recorded(0, 60_000, 7),
            recorded(-3_600_000, 61_000, 7),
            recorded(-3_599_000, 61_000, 7),
            recorded(5, 900, 8),
        ];
        assert_eq!(
            play(&stamps),
            [(7, 60_000, 0), (7, 61_000, -3_600_000), (7, 61_000, -3_599_000), (8, 900, 5)]
        );
    }

    #[test]
    fn recorded_and_other_inputs_share_one_clock() {
        let stamps = [recorded(0, 60_000, 7), dated(250), recorded(400, 60_400, 7), dated(500)];
        assert_eq!(
            play(&stamps),
            [(7, 60_000, 0), (7, 60_250, 250), (7, 60_400, 400), (7, 60_500, 500)]
        );
    }

    #[test]
    fn an_earlier_boot_in_between_does_not_turn_time_back() {
        let stamps = [recorded(0, 60_000, 7), recorded(10, 5, 6), recorded(20, 59_000, 7)];
        assert_eq!(play(&stamps), [(7, 60_000, 0), (7, 60_010, 10), (7, 60_010, 20)]);
    }

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        let option = proptest::option::of::<BoxedStrategy<u64>>;
        (
            proptest::option::of(-5_000_000..5_000_000_i64),
            option((0..1_000_000_u64).boxed()),
            proptest::option::of(0..4_u32),
        )
            .prop_map(|(at, monotonic, boot)| Stamp {
                at: at.map(|ms| Utc::from_ms(MORNING + ms)),
                monotonic: monotonic.map(Monotonic::from_ms),
                boot: boot.map(Boot),
                clock: ClockQuality::Ntp,
            })
    }

    proptest! {
        #[test]
        fn neither_boots_nor_the_clock_inside_one_go_back(
            stamps in proptest::collection::vec(any_stamp(), 0..40),
        ) {
            let seen = play(&stamps);
            for pair in seen.windows(2) {
                let ((b0, m0, _), (b1, m1, _)) = (pair[0], pair[1]);
                prop_assert!(b1 > b0 || (b1 == b0 && m1 >= m0), "{:?}", seen);
            }
        }
    }
}
