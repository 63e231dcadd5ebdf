//! The level of a bin: a burst of readings, of which the median counts, and what of it is worth telling.

use drivers::Range;
use heapless::Vec;
use wire::{Bin, BinSettings, Distance};

/// The largest burst that [`wire::Settings::check`] allows.
const BURST_MAX: usize = 15;

/// Readings of one measurement; `None` where the sensor did not answer.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    readings: Vec<Option<Range>, BURST_MAX>,
}

impl Burst {
    /// Takes a reading and answers, when there are `wanted`, with what the burst says.
    pub(crate) fn push(&mut self, reading: Option<Range>, wanted: u8) -> Option<Distance> {
        let kept = self.readings.push(reading).is_ok();
        let complete = !kept || self.readings.len() >= wanted.into() || self.readings.is_full();
        complete.then(|| core::mem::take(self).median())
    }

    /// The middle reading by distance: too close is nearest, no target is farthest. An echo that was
    /// missed, or that came from a rim, is on one side and falls out. With most readings missing there
    /// is none.
    fn median(self) -> Distance {
        let mut ranges: Vec<Range, BURST_MAX> = self.readings.iter().copied().flatten().collect();
        if ranges.len() * 2 <= self.readings.len() {
            return Distance::Fault;
        }
        ranges.sort_unstable_by_key(|range| match range {
            Range::TooClose => 0,
            Range::Millimetres(mm) => 1 + u32::from(*mm),
            Range::NoTarget => u32::MAX,
        });
        match ranges.get((ranges.len() - 1) / 2) {
            Some(Range::TooClose) => Distance::TooClose,
            Some(Range::Millimetres(mm)) => Distance::Millimetres(*mm),
            Some(Range::NoTarget) => Distance::NoTarget,
            None => Distance::Fault,
        }
    }
}

/// Whether `now` is worth a report after `told`, the one reported last. The temperature alone is not.
pub(crate) fn is_news(told: Option<&Bin>, now: &Bin, settings: &BinSettings) -> bool {
    let Some(told) = told else { return true };
    let level = match (told.distance, now.distance) {
        (Distance::Millimetres(a), Distance::Millimetres(b)) => a.abs_diff(b) >= settings.change_mm,
        (a, b) => a != b,
    };
    level || (told.tilted, told.lid_open, told.fire) != (now.tilted, now.lid_open, now.fire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Settings, Temperature};

    const NOTHING: Option<Range> = None;
    const CLOSE: Option<Range> = Some(Range::TooClose);
    const OPEN: Option<Range> = Some(Range::NoTarget);

    const fn mm(mm: u16) -> Option<Range> {
        Some(Range::Millimetres(mm))
    }

    fn burst(readings: &[Option<Range>]) -> Option<Distance> {
        let wanted = u8::try_from(readings.len()).unwrap();
        let mut burst = Burst::default();
        let (last, before) = readings.split_last().unwrap();
        for reading in before {
            assert_eq!(burst.push(*reading, wanted), None);
        }
        let distance = burst.push(*last, wanted);
        assert!(burst.readings.is_empty(), "ready for the next");
        distance
    }

    #[test]
    fn the_median_counts() {
        use Distance::{Fault, Millimetres, NoTarget, TooClose};
        let table: [(&[Option<Range>], Distance); 12] = [
            (&[mm(800), mm(810), mm(805)], Millimetres(805)),
            (&[mm(800), OPEN, mm(805)], Millimetres(805)),
            (&[mm(800), mm(60), mm(805)], Millimetres(800)),
            (&[OPEN, OPEN, mm(805)], NoTarget),
            (&[CLOSE, mm(805), CLOSE], TooClose),
            (&[CLOSE, mm(805), OPEN], Millimetres(805)),
            (&[mm(u16::MAX), mm(0), OPEN], Millimetres(u16::MAX)),
            (&[NOTHING, mm(1), mm(2)], Millimetres(1)),
            (&[NOTHING, NOTHING, mm(2)], Fault),
            (&[NOTHING; 15], Fault),
            (&[mm(5), NOTHING, mm(4), NOTHING, mm(3)], Millimetres(4)),
            (&[mm(5), NOTHING, mm(4), NOTHING], Fault),
        ];
        for (readings, expected) in table {
            assert_eq!(burst(readings), Some(expected), "{readings:?}");
        }
    }

    #[test]
    fn fewer_than_half_wrong_readings_change_nothing() {
        for wrong in [OPEN, CLOSE, mm(30), mm(4000)] {
            let mut readings = [mm(1000); 7];
            readings[..3].fill(wrong);
            assert_eq!(burst(&readings), Some(Distance::Millimetres(1000)), "{wrong:?}");
        }
    }

    #[test]
    fn a_burst_never_grows_over_its_room() {
        let mut burst = Burst::default();
        let complete = (0..15).filter(|_| burst.push(mm(7), u8::MAX).is_some()).count();
        assert_eq!(complete, 1);
    }

    #[test]
    fn what_is_worth_telling() {
        let told = Bin {
            distance: Distance::Millimetres(800),
            tilted: Some(false),
            lid_open: Some(false),
            fire: Some(false),
            temperature: Temperature::MilliCelsius(20_000),
        };
        let table = [
            (told, false),
            (Bin { distance: Distance::Millimetres(849), ..told }, false),
            (Bin { distance: Distance::Millimetres(850), ..told }, true),
            (Bin { distance: Distance::Millimetres(751), ..told }, false),
            (Bin { distance: Distance::Millimetres(750), ..told }, true),
            (Bin { distance: Distance::NoTarget, ..told }, true),
            (Bin { tilted: Some(true), ..told }, true),
            (Bin { lid_open: None, ..told }, true),
            (Bin { fire: Some(true), ..told }, true),
            (Bin { temperature: Temperature::Fault, ..told }, false),
        ];
        for (now, expected) in table {
            assert_eq!(is_news(Some(&told), &now, &Settings::INITIAL.bin), expected, "{now:?}");
        }
        assert!(is_news(None, &told, &Settings::INITIAL.bin));
    }
}
