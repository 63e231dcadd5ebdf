//! How long a battery lasts: what a node does, times what each of it takes; for a day beforehand, and
//! action by action as it happens.
//!
//! Responsible for the sums and for nothing they are made of: what a board draws is the board's (from datasheets, see
//! `docs/hardware.md`), what is done in a day follows from the settings and from the street. Whole numbers: charge
//! in nanocoulomb, which a nanoampere carries in a second.

use wire::Settings;

use crate::event::{Action, Sense};
use crate::node::{Kind, TEMPERATURE_MS};
use crate::watch::REST_FACTOR;

const DAY_S: u64 = 86_400;
/// A year in hundredths of a day.
const YEAR_CENTIDAYS: u128 = 36_525;
/// A milliampere hour in nanocoulomb.
const MAH: u128 = 3_600_000_000;
/// A microampere hour in picocoulomb, which a nanoampere carries in a millisecond.
const UAH_PC: u64 = 3_600_000_000;
const YEAR_HOURS: u64 = 8_766;

/// What a board draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// What flows all the time, in nanoampere: the core asleep, the chips that measure by themselves.
    pub always_na: u32,
    /// A reading of the magnetometer, in nanocoulomb: the core awake while it asks and thinks.
    pub field_nc: u32,
    /// A reading of the range finder.
    pub range_nc: u32,
    /// A reading of the thermometer.
    pub temperature_nc: u32,
    /// A frame on the line.
    pub frame_nc: u32,
    /// A record or a report written to the memory.
    pub write_nc: u32,
}

/// A battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What can be taken out of it, in milliampere hours.
    pub mah: u32,
    /// What it loses by itself, in thousandths of `mah` a year.
    pub lost_permille: u16,
}

/// What a node lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// What its board draws.
    pub draw: Draw,
    /// What it is drawn from.
    pub cell: Cell,
}

/// Counts what is drawn. What was counted whole goes into the node's record; the rest here is below a
/// microampere hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Meter {
    rest_pc: u32,
}

impl Meter {
    /// Adds `ms` that have passed and `actions` that are to be carried out, and returns the microampere
    /// hours that have become whole.
    pub(crate) fn count(&mut self, supply: &Supply, ms: u64, actions: &[Action]) -> u32 {
        let draw = &supply.draw;
        let always_na = u64::from(draw.always_na).saturating_add(supply.cell.loss_na());
        let done_nc = actions.iter().map(|action| u64::from(draw.of(action))).sum::<u64>();
        let pc = always_na
            .saturating_mul(ms)
            .saturating_add(done_nc.saturating_mul(1_000))
            .saturating_add(self.rest_pc.into());
        // Most steps fill none, and a core without a divider is slow at this.
        let whole = if pc < UAH_PC { 0 } else { pc / UAH_PC };
        self.rest_pc = u32::try_from(pc - whole * UAH_PC).expect("less than UAH_PC, which fits");
        u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

/// What happens on a street in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Street {
    /// Vehicles that come and go, or levels that are worth telling.
    pub changes: u32,
    /// Seconds in which something moves near the sensor.
    pub restless_s: u32,
}

/// What a node does in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty {
    /// Readings of the magnetometer.
    pub fields: u64,
    /// Readings of the range finder.
    pub ranges: u64,
    /// Readings of the thermometer.
    pub temperatures: u64,
    /// Frames on the line, each heard at once.
    pub frames: u64,
    /// Writes to the memory.
    pub writes: u64,
}

impl Duty {
    /// What `settings`, which must be valid, make a node do on a street.
    #[must_use]
    pub fn of(kind: Kind, settings: &Settings, street: Street) -> Duty {
        let restless = u64::from(street.restless_s).min(DAY_S);
        let sample_ms = u64::from(settings.bay.sample_ms).max(1);
        let (fields, ranges) = match kind {
            Kind::Bay => {
                let at_rest = (DAY_S - restless) * 1000 / (sample_ms * REST_FACTOR);
                (at_rest + restless * 1000 / sample_ms, 0)
            }
            Kind::Bin => {
                let measurements = DAY_S / u64::from(settings.bin.sample_s).max(1);
                (0, measurements * u64::from(settings.bin.burst))
            }
        };
        let changes = u64::from(street.changes);
        // A sign of life comes only when nothing else was told for so long.
        let alive = (DAY_S / u64::from(settings.keep_alive_s).max(1)).saturating_sub(changes);
        // Each time a hello and the battery's report.
        let batteries = (2 * DAY_S).div_ceil(u64::from(settings.battery_s).max(1));
        let records = 1 + if kind == Kind::Bay { changes } else { 0 };
        Duty {
            fields,
            ranges,
            temperatures: DAY_S * 1000 / TEMPERATURE_MS,
            frames: changes + alive + batteries,
            writes: records,
        }
    }
}

impl Draw {
    const fn of(&self, action: &Action) -> u32 {
        match action {
            Action::Measure(Sense::Field) => self.field_nc,
            Action::Measure(Sense::Range) => self.range_nc,
            Action::Measure(Sense::Temperature) => self.temperature_nc,
            Action::Send(_) => self.frame_nc,
            Action::Store | Action::Keep { .. } => self.write_nc,
            // Some microseconds a day.
            Action::Measure(Sense::Switches | Sense::Battery)
            | Action::Identify { .. }
            | Action::SetClock { .. } => 0,
        }
    }

    /// What a day takes, in nanocoulomb.
    #[must_use]
    pub fn charge_of_a_day(&self, duty: &Duty) -> u64 {
        [
            (self.always_na, DAY_S),
            (self.field_nc, duty.fields),
            (self.range_nc, duty.ranges),
            (self.temperature_nc, duty.temperatures),
            (self.frame_nc, duty.frames),
            (self.write_nc, duty.writes),
        ]
        .iter()
        .fold(0, |sum, (each, times)| sum.saturating_add(u64::from(*each).saturating_mul(*times)))
    }
}

impl Cell {
    /// What it loses by itself, in nanoampere.
    fn loss_na(&self) -> u64 {
        // A milliampere hour in a year of so many hours, in nanoampere: a million divided by them.
        u64::from(self.mah) * u64::from(self.lost_permille) * 1_000 / YEAR_HOURS
    }

    /// What is left of it when `used_uah` microampere hours are gone, in thousandths.
    pub(crate) fn left_permille(&self, used_uah: u32) -> u16 {
        let whole_uah = u64::from(self.mah) * 1_000;
        let left_uah = whole_uah.saturating_sub(used_uah.into());
        u16::try_from(left_uah * 1_000 / whole_uah.max(1)).unwrap_or(1_000)
    }

    /// For how long it lasts when a day takes `nanocoulombs`, in tenths of a year.
    #[must_use]
    pub fn tenths_of_years(&self, nanocoulombs: u64) -> u64 {
        // All of a u32 in nanocoulomb fills a u64.
        let whole = u128::from(self.mah) * MAH;
        let lost_a_year = whole * u128::from(self.lost_permille) / 1000;
        let used_a_year = u128::from(nanocoulombs) * YEAR_CENTIDAYS / 100;
        let tenths = whole * 10 / (used_a_year + lost_a_year).max(1);
        u64::try_from(tenths).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::BaySettings;

    const NOTHING: Draw = Draw {
        always_na: 0,
        field_nc: 0,
        range_nc: 0,
        temperature_nc: 0,
        frame_nc: 0,
        write_nc: 0,
    };
    const STREET: Street = Street { changes: 10, restless_s: 0 };

    #[test]
    fn a_milliampere_empties_a_battery_of_8766_mah_in_a_year() {
        let draw = Draw { always_na: 1_000_000, ..NOTHING };
        let day = draw.charge_of_a_day(&Duty::of(Kind::Bay, &Settings::INITIAL, STREET));
        assert_eq!(day, 86_400 * 1_000_000);
        assert_eq!(Cell { mah: 8_766, lost_permille: 0 }.tenths_of_years(day), 10);
        assert_eq!(Cell { mah: 8_766, lost_permille: 1_000 }.tenths_of_years(day), 5);
        assert_eq!(Cell { mah: 1, lost_permille: 1_000 }.tenths_of_years(0), 10);
    }

    #[test]
    fn a_day_is_what_the_settings_say() {
        let duty = Duty::of(Kind::Bay, &Settings::INITIAL, STREET);
        // One field a second, one temperature a minute; 10 changes, 14 signs of life, a hello and a battery.
        let expected =
            Duty { fields: 86_400, ranges: 0, temperatures: 1_440, frames: 26, writes: 11 };
        assert_eq!(duty, expected);
        let restless = Street { restless_s: 86_400, ..STREET };
        assert_eq!(Duty::of(Kind::Bay, &Settings::INITIAL, restless).fields, 4 * 86_400);
        let duty = Duty::of(Kind::Bin, &Settings::INITIAL, STREET);
        assert_eq!((duty.fields, duty.ranges, duty.writes), (0, 144 * 7, 1));
    }

    #[test]
    fn whatever_is_more_takes_more() {
        let draw = Draw { field_nc: 7_000, frame_nc: 20_000, ..NOTHING };
        let day =
            |settings: Settings| draw.charge_of_a_day(&Duty::of(Kind::Bay, &settings, STREET));
        let usual = Settings::INITIAL;
        let quick = Settings { bay: BaySettings { sample_ms: 50, ..usual.bay }, ..usual };
        let chatty = Settings { keep_alive_s: 60, ..usual };
        assert!(day(quick) > day(usual));
        assert!(day(chatty) > day(usual));
        let cell = Cell { mah: 1000, lost_permille: 10 };
        assert!(cell.tenths_of_years(day(quick)) < cell.tenths_of_years(day(usual)));
    }

    #[test]
    fn what_is_counted_in_pieces_is_what_was_drawn() {
        let draw = Draw { always_na: 1_000, field_nc: 7_200, ..NOTHING };
        let supply = Supply { draw, cell: Cell { mah: 8_766, lost_permille: 1 } };
        let mut meter = Meter::default();
        // A microampere, a microampere of its own loss, and two of samples, for ten hours by the second.
        let actions = [Action::Measure(Sense::Field)];
        let mut uah = 0;
        for i in 0..36_000 {
            let actions: &[Action] = if i % 3 == 0 { &actions } else { &[] };
            uah += meter.count(&supply, 1_000, actions);
        }
        assert_eq!(uah, 10 + 10 + 24);
        assert_eq!(meter.count(&supply, 36_000_000, &[]), 20, "or at once");
    }

    #[test]
    fn what_is_left_is_between_all_and_nothing() {
        let cell = Cell { mah: 13_600, lost_permille: 10 };
        for (used_uah, left) in
            [(0, 1000), (6_800_000, 500), (13_599_999, 0), (13_600_000, 0), (u32::MAX, 0)]
        {
            assert_eq!(cell.left_permille(used_uah), left, "{used_uah}");
        }
        assert_eq!(Cell { mah: 0, ..cell }.left_permille(0), 0);
    }

    #[test]
    fn extremes_make_nothing_overflow() {
        let all = u32::MAX;
        let draw = Draw {
            always_na: all,
            field_nc: all,
            range_nc: all,
            temperature_nc: all,
            frame_nc: all,
            write_nc: all,
        };
        let street = Street { changes: all, restless_s: all };
        let day = draw.charge_of_a_day(&Duty::of(Kind::Bay, &Settings::INITIAL, street));
        let cell = Cell { mah: all, lost_permille: u16::MAX };
        assert!(cell.tenths_of_years(day) < 10);
        let supply = Supply { draw, cell };
        let mut meter = Meter::default();
        let actions = [Action::Measure(Sense::Field); 10];
        assert_eq!(meter.count(&supply, u64::MAX, &actions), u32::MAX);
        assert!(cell.left_permille(1) < 1_000);
    }
}
