//! Which fixes of a vehicle are believed: not those that come twice, nor those that it cannot have
//! reached; and which belong to the past, because they waited in a terminal until its link was back.

use serde::{Deserialize, Serialize};

use crate::sample::Fix;
use crate::time::{ClockQuality, Moment, Span};

/// Faster than this is no street vehicle, and faster than [`JUMP_MIN_M`] allows for noise: 70 m/s.
const SPEED_MAX_MM_S: u64 = 70_000;
/// A fix may be this far off without being a jump: urban canyons do that.
const JUMP_MIN_M: f64 = 80.0;
/// So many fixes in a row that agree with each other are right, and those before them were wrong.
const AGREED: u8 = 3;
/// A receiver's clock may step back by this much and go on; what is older waited somewhere.
const STEP_BACK_MAX: Span = Span::from_secs(10);
/// So many fixes in a row from before the newest, when nobody can tell what time it is, are the present.
const LATE_MAX: u8 = 10;

/// One fix as it arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// When it was measured.
    pub(crate) at: Moment,
    /// When it arrived.
    pub(crate) now: Moment,
    /// Whether the source has said when it was measured.
    pub(crate) dated: bool,
}

/// What a fix is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Where the vehicle is.
    Present,
    /// Where it is, and the way to there was not driven: the fix before was wrong.
    Elsewhere,
    /// Where it was, told late.
    Past,
    /// The same report again.
    Duplicate,
    /// Nobody drives that fast.
    Jump,
}

/// What is remembered for the judgement, and the counts of what was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Belief {
    /// A fix too far from the one before to be true, and how many have agreed with it.
    doubted: Option<(Fix, Moment, u8)>,
    /// Fixes in a row from before the newest.
    late_row: u8,
    pub(super) jumps: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
}

impl Belief {
    /// Judges a fix by the newest one.
    pub(super) fn judge(
        &mut self,
        last: Option<(Fix, Moment)>,
        fix: Fix,
        arrival: Arrival,
    ) -> Verdict {
        let Some((_, newest)) = last else { return Verdict::Present };
        let Arrival { at, dated, .. } = arrival;
        if dated && at.utc == newest.utc {
            self.duplicates += 1;
            return Verdict::Duplicate;
        }
        if dated && at.utc + STEP_BACK_MAX < newest.utc && !self.was_ahead(newest, arrival) {
            self.late += 1;
            return Verdict::Past;
        }
        self.late_row = 0;
        self.reached(last, fix, at)
    }

    /// Whether it was the newest fix whose time was wrong: it lies in the future, or, while nobody
    /// knows the time, one fix after the other says so.
    fn was_ahead(&mut self, newest: Moment, Arrival { now, .. }: Arrival) -> bool {
        if now.clock > ClockQuality::Unset {
            return newest.utc > now.utc + STEP_BACK_MAX;
        }
        self.late_row = self.late_row.saturating_add(1);
        self.late_row >= LATE_MAX
    }

    /// Whether a vehicle can have come here since the last fix. One that stays where it jumped to is
    /// believed in the end: the wrong fix was the one before.
    fn reached(&mut self, last: Option<(Fix, Moment)>, fix: Fix, at: Moment) -> Verdict {
        let reachable = |(from, then): (Fix, Moment)| {
            let allowed = at.since(then).as_ms().saturating_mul(SPEED_MAX_MM_S) as f64 / 1e6;
            let metres = from.position.to_wgs84().distance_m(fix.position.to_wgs84());
            metres.is_none_or(|metres| metres <= JUMP_MIN_M + allowed)
        };
        if last.is_none_or(reachable) {
            self.doubted = None;
            return Verdict::Present;
        }
        let agreed = match self.doubted {
            Some((other, then, agreed)) if reachable((other, then)) => agreed + 1,
            _ => 1,
        };
        if agreed >= AGREED {
            self.doubted = None;
            return Verdict::Elsewhere;
        }
        self.doubted = Some((fix, at, agreed));
        self.jumps += 1;
        Verdict::Jump
    }
}
