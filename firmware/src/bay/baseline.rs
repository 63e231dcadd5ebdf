//! The field of the empty bay, and what the temperature does to it.
//!
//! The baseline follows the field by 1/128 of the difference every five seconds, a time constant of about 11
//! minutes; a step (a vehicle on the next bay) it goes along with at once. Between two moments of quiet at which
//! the temperature differs by 4 °C or more, what the field has changed, without the steps, belongs to the
//! temperature; a quarter of that goes into the slope. The slope moves the baseline with the temperature when it
//! cannot follow the field: under a parked vehicle, and over a restart.

use drivers::Field;

use super::distance_squared;
use crate::record::Learnt;

const ADAPT_SHIFT: u32 = 7;
/// So far apart two temperatures must be to learn from: thousandths of a degree.
const STEP_MC: i32 = 4_000;
/// A field farther than this from where it should be has stepped; below [`QUIET_NT`] it is quiet again.
const JUMP_NT: i32 = 400;
const QUIET_NT: i32 = 150;
/// No sensor is worse: 300 nT per degree, in 1/16 nT.
const SLOPE_MAX: i32 = 300 * 16;
/// Temperatures farther apart than this are a fault of the thermometer, and move the baseline no farther.
const SWING_MC: i32 = 100_000;

/// The field of the empty bay, in 1/256 nT so that slow adaptation does not get stuck in rounding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    axes: [i32; 3],
    /// The temperature that `axes` belongs to.
    mc: Option<i32>,
    /// 1/16 nT per degree.
    slope: [i16; 3],
    is_confirmed: bool,
    /// A moment of quiet to learn the slope from.
    anchor: Option<([i32; 3], i32)>,
}

impl Baseline {
    const FRACTION: i32 = 256;

    /// Of a plausible field: times 256 that fits an i32.
    pub(super) fn new(field: Field, mc: Option<i32>) -> Baseline {
        Baseline { axes: fine(field), mc, slope: [0; 3], is_confirmed: false, anchor: None }
    }

    pub(super) fn recall(learnt: Learnt) -> Baseline {
        let Learnt { field, mc, slope, is_confirmed, standing: _ } = learnt;
        let slope = slope.map(|axis| limited(axis.into()));
        Baseline { slope, is_confirmed, ..Baseline::new(field, mc) }
    }

    pub(super) fn learnt(&self, standing: Option<Field>) -> Learnt {
        let Baseline { mc, slope, is_confirmed, .. } = *self;
        Learnt { field: self.at(None), mc, slope, is_confirmed, standing }
    }

    pub(super) fn confirmed(self) -> Baseline {
        Baseline { is_confirmed: true, ..self }
    }

    pub(super) const fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// The field of the empty bay at this temperature; without one, as it was last.
    pub(super) fn at(&self, mc: Option<i32>) -> Field {
        let [x, y, z] = self.axes_at(mc);
        Field { x: x / Baseline::FRACTION, y: y / Baseline::FRACTION, z: z / Baseline::FRACTION }
    }

    fn axes_at(&self, mc: Option<i32>) -> [i32; 3] {
        let swing = match (mc, self.mc) {
            (Some(now), Some(then)) => now.saturating_sub(then).clamp(-SWING_MC, SWING_MC),
            _ => 0,
        };
        // 1/16 nT per degree times a thousandth of a degree; times 16 for 1/256 nT. At most 4800 · 100 000.
        let moved = |slope: i16| i32::from(slope) * swing / 1000 * 16;
        let [x, y, z] = self.slope.map(moved);
        let [a, b, c] = self.axes;
        [a.saturating_add(x), b.saturating_add(y), c.saturating_add(z)]
    }

    /// Square of the distance to `mean` in nanotesla.
    pub(super) fn distance_squared(&self, mean: Field, mc: Option<i32>) -> i64 {
        distance_squared(self.at(mc), mean)
    }

    /// Moves a little towards the field of a bay that is vacant and still.
    pub(super) fn follow(&mut self, mean: Field, mc: Option<i32>) {
        self.axes = self.axes_at(mc);
        self.mc = mc.or(self.mc);
        let target = fine(mean);
        let mut farthest = 0;
        for (axis, to) in self.axes.iter_mut().zip(target) {
            let step = to.saturating_sub(*axis);
            farthest = farthest.max(step.saturating_abs() / Baseline::FRACTION);
            *axis = axis.saturating_add(step >> ADAPT_SHIFT);
        }
        self.learn(farthest, mc);
    }

    /// Takes the field after a movement for that of the empty bay: the surroundings have changed. A change too
    /// small for that may be the temperature's.
    pub(super) fn step_to(&mut self, mean: Field, mc: Option<i32>) {
        self.axes = self.axes_at(mc);
        self.mc = mc.or(self.mc);
        let target = fine(mean);
        let step: [i32; 3] =
            core::array::from_fn(|axis| target[axis].saturating_sub(self.axes[axis]));
        self.axes = target;
        if step.iter().any(|axis| axis.saturating_abs() > JUMP_NT * Baseline::FRACTION)
            && let Some((then, _)) = &mut self.anchor
        {
            for (then, step) in then.iter_mut().zip(step) {
                *then = then.saturating_add(step);
            }
        }
    }

    /// The bay is empty after it was occupied for longer than can be told what of the change is whose.
    pub(super) fn begun_anew(self, mean: Field, mc: Option<i32>) -> Baseline {
        Baseline { axes: fine(mean), mc: mc.or(self.mc), anchor: None, ..self }
    }

    fn learn(&mut self, farthest_nt: i32, mc: Option<i32>) {
        let Some(mc) = mc.filter(|_| farthest_nt <= JUMP_NT) else {
            self.anchor = None;
            return;
        };
        match self.anchor {
            None if farthest_nt <= QUIET_NT => self.anchor = Some((self.axes, mc)),
            Some((then, mc_then)) if mc.saturating_sub(mc_then).saturating_abs() >= STEP_MC => {
                let degrees = i64::from(mc.saturating_sub(mc_then));
                for ((slope, now), then) in self.slope.iter_mut().zip(self.axes).zip(then) {
                    let seen = (i64::from(now) - i64::from(then)) * 1000 / 16 / degrees;
                    let seen = seen.clamp(-i64::from(SLOPE_MAX), i64::from(SLOPE_MAX)) as i32;
                    *slope = limited(i32::from(*slope) + (seen - i32::from(*slope)) / 4);
                }
                self.anchor = Some((self.axes, mc));
            }
            _ => {}
        }
    }
}

fn limited(slope: i32) -> i16 {
    // Within ±4800.
    slope.clamp(-SLOPE_MAX, SLOPE_MAX) as i16
}

const fn fine(Field { x, y, z }: Field) -> [i32; 3] {
    [x * Baseline::FRACTION, y * Baseline::FRACTION, z * Baseline::FRACTION]
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Field = Field { x: 30_000, y: -4_000, z: 38_000 };

    /// The empty bay of a sensor that changes by 80, -40 and 0 nT per degree.
    fn field(mc: i32) -> Field {
        let degrees = (mc - 20_000) / 100;
        Field { x: EMPTY.x + degrees * 8, y: EMPTY.y - degrees * 4, z: EMPTY.z }
    }

    /// Days of twelve hours of 20 to 40 °C and back, one reading in five seconds.
    fn live(baseline: &mut Baseline, days: i32, extra: impl Fn(i32) -> i32) {
        for i in 0..days * 17_280 {
            let phase = i % 17_280;
            let up = phase.min(17_280 - phase);
            let mc = 20_000 + up * 20_000 / 8_640;
            let mut field = field(mc);
            field.z += extra(i);
            baseline.follow(field, Some(mc));
        }
    }

    #[test]
    fn the_slope_of_a_sensor_is_learnt_in_a_few_days() {
        let mut baseline = Baseline::new(EMPTY, Some(20_000));
        live(&mut baseline, 4, |_| 0);
        let [x, y, z] = baseline.learnt(None).slope;
        assert!((i32::from(x) - 80 * 16).abs() < 160, "{x}");
        assert!((i32::from(y) + 40 * 16).abs() < 80, "{y}");
        assert_eq!(z, 0);
        // Under a vehicle for a whole afternoon.
        let off = baseline.distance_squared(field(40_000), Some(40_000));
        assert!(off < 300 * 300, "{off}");
        let blind = baseline.distance_squared(field(40_000), None);
        assert!(blind > 1_500 * 1_500, "without it: {blind}");
    }

    #[test]
    fn a_neighbour_is_not_the_temperature() {
        let mut baseline = Baseline::new(EMPTY, Some(20_000));
        live(&mut baseline, 4, |i| if i / 1_000 % 2 == 0 { 0 } else { 2_000 });
        let [.., z] = baseline.learnt(None).slope;
        assert!(z.abs() < 20 * 16, "{z}");
    }

    #[test]
    fn without_a_thermometer_nothing_is_learnt_and_nothing_moved() {
        let mut baseline = Baseline::new(EMPTY, None);
        for _ in 0..10_000 {
            baseline.follow(EMPTY, None);
        }
        assert_eq!(
            baseline.learnt(None),
            Learnt { field: EMPTY, mc: None, slope: [0; 3], is_confirmed: false, standing: None }
        );
    }

    #[test]
    fn extremes_make_nothing_overflow() {
        let wild = Learnt {
            field: Field { x: 2_000_000, y: -2_000_000, z: 2_000_000 },
            mc: Some(i32::MIN),
            slope: [i16::MAX, i16::MIN, i16::MAX],
            is_confirmed: false,
            standing: None,
        };
        let mut baseline = Baseline::recall(wild);
        let far = Field { x: -2_000_000, y: 2_000_000, z: -2_000_000 };
        for mc in [i32::MAX, i32::MIN, 0, i32::MAX] {
            assert!(baseline.distance_squared(far, Some(mc)) > 0);
            baseline.follow(far, Some(mc));
            baseline.follow(wild.field, Some(mc));
        }
    }
}
