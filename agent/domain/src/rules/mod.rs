//! Facts in, findings out: when something is a problem.
//!
//! A rule watches every asset of its class. What it remembers of each is a `Watch`; what comes out is a
//! [`Finding`] at the moment a problem begins and another when it is over, never in between.

mod book;
mod watch;

pub(crate) use book::{Due, Fact, RuleBook, Seen};
pub use watch::{Edge, Evidence, Finding, READINGS_MAX};

use serde::{Deserialize, Serialize};

use crate::ids::{Category, Class, RuleId};
use crate::time::Span;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// To be done in the ordinary course.
    Medium,
    /// To be done soon.
    High,
    /// Danger: now.
    Critical,
}

/// A `[[rule]]`: when a finding is made, and of what category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Raised by whoever changes it; written into every ticket.
    pub version: u32,
    /// The class of assets it watches.
    pub class: Class,
    /// What kind of ticket it opens.
    pub category: Category,
    /// How bad that is.
    pub severity: Severity,
    /// The condition.
    pub when: Condition,
}

/// A condition over the facts of one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A fact crosses a threshold, and stays there.
    Threshold {
        /// Which fact.
        fact: FactName,
        /// Above or below.
        side: Side,
        /// Raised at this value.
        raise_at: Level,
        /// Cleared at this value, on the other side of `raise_at` (hysteresis).
        clear_at: Level,
        /// Raised only after it has held for this long.
        hold: Span,
        /// Raised only after this many readings in a row, at least 1.
        readings: u32,
    },
    /// A car stays longer than the bay allows.
    Overstay {
        /// On top of the bay's longest stay.
        grace: Span,
    },
    /// Nothing was heard of the asset.
    Silent {
        /// For how long; `None`: the asset's own `stale_after`.
        after: Option<Span>,
    },
}

/// Which way a threshold is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Raised when the value is at or above.
    Above,
    /// Raised when the value is at or below.
    Below,
}

/// A threshold value: a number, or the asset's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Thousandths of the fact's unit.
    Milli(i64),
    /// The asset's own `full_at`.
    FullAt,
    /// The asset's own `clear_at`.
    ClearAt,
}

/// The facts that rules can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactName {
    /// Filling level of a bin in percent.
    LevelPct,
    /// Temperature at the sensor in degrees Celsius.
    TemperatureC,
    /// Battery charge in percent.
    BatteryPct,
    /// Battery voltage in volts.
    BatteryV,
    /// Speed of a vehicle in km/h.
    SpeedKmh,
    /// 1: the only sensor of a bay has said occupied for too long to be believed.
    BayStuck,
    /// 1: the sensors of a bay contradict each other.
    BayContested,
    /// 1: a sensor of a bay was asked to learn anew, and still contradicts another one.
    BayDrifted,
    /// 1: a car stands where and when nobody may.
    BayForbidden,
    /// 1: a car stands on a reserved bay and has shown no permit.
    BayUnpermitted,
    /// 1: a car that more than one sensor has seen for days.
    BayZombie,
    /// Whole multiples of the longest stay in percent: 200 at twice as long.
    StayPct,
    /// Share of a street that was swept or may have been, in percent, told when its window ends.
    SweptPct,
    /// A bin overflows: 1, else 0.
    Overflow,
    /// A bin burns: 1, else 0. Neither `hold` nor `readings` delays it.
    Burning,
    /// A bin lies or hangs at an angle: 1, else 0.
    Tilted,
    /// A lid stands open: 1, else 0.
    LidOpen,
    /// A bin is not where it belongs: 1, else 0.
    Moved,
    /// A level sensor could not say: 1, else 0.
    SensorFault,
    /// How many hours after the expected overflow the next planned collection comes; negative before it.
    CollectionLateH,
    /// A bin should have been emptied and was not: 1, else 0.
    MissedCollection,
    /// A bin was lifted and its level did not fall: 1, else 0.
    NoFall,
    /// A level fell and nobody lifted the bin: 1, else 0.
    NoLift,
    /// How far the lifts of a trip are from the weighbridge, in percent.
    WeighDifferencePct,
    /// How much faster a vehicle is than it may be while its working parts run, in km/h.
    OverspeedKmh,
    /// How long a vehicle has not left a place where it may not rest, in minutes.
    StoppedMin,
    /// How long a vehicle has stood with its ignition on, in minutes.
    IdlingMin,
    /// A vehicle is where it must not be: 1, else 0.
    OutOfArea,
    /// How far a vehicle is from its course, in metres; 0 outside of its hours.
    DeviationM,
    /// How long a vehicle was heard without a position, in minutes.
    NoFixMin,
    /// Stops that a vehicle has skipped in this round.
    StopsSkipped,
    /// Stops that a vehicle has served too late in this round.
    StopsLate,
    /// Stops that a vehicle has served too early in this round.
    StopsEarly,
    /// The planned roads fit the way of the vehicles only in another datum: 1, else 0.
    PlanShifted,
}

impl FactName {
    /// Every fact.
    pub const ALL: [FactName; 34] = [
        FactName::LevelPct,
        FactName::TemperatureC,
        FactName::BatteryPct,
        FactName::BatteryV,
        FactName::SpeedKmh,
        FactName::BayStuck,
        FactName::BayContested,
        FactName::BayDrifted,
        FactName::BayForbidden,
        FactName::BayUnpermitted,
        FactName::BayZombie,
        FactName::StayPct,
        FactName::SweptPct,
        FactName::Overflow,
        FactName::Burning,
        FactName::Tilted,
        FactName::LidOpen,
        FactName::Moved,
        FactName::SensorFault,
        FactName::CollectionLateH,
        FactName::MissedCollection,
        FactName::NoFall,
        FactName::NoLift,
        FactName::WeighDifferencePct,
        FactName::OverspeedKmh,
        FactName::StoppedMin,
        FactName::IdlingMin,
        FactName::OutOfArea,
        FactName::DeviationM,
        FactName::NoFixMin,
        FactName::StopsSkipped,
        FactName::StopsLate,
        FactName::StopsEarly,
        FactName::PlanShifted,
    ];

    /// Whether it is so or not, rather than how much: its values are 0 and 1.
    #[must_use]
    pub const fn is_flag(self) -> bool {
        self.unit().is_empty()
    }

    /// The unit that people read it in; empty for what is so or not.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            FactName::LevelPct
            | FactName::BatteryPct
            | FactName::StayPct
            | FactName::SweptPct
            | FactName::WeighDifferencePct => "%",
            FactName::TemperatureC => "°C",
            FactName::BatteryV => "V",
            FactName::SpeedKmh | FactName::OverspeedKmh => "km/h",
            FactName::StoppedMin | FactName::IdlingMin | FactName::NoFixMin => "min",
            FactName::DeviationM => "m",
            FactName::StopsSkipped | FactName::StopsLate | FactName::StopsEarly => "stops",
            FactName::CollectionLateH => "h",
            FactName::Overflow
            | FactName::Burning
            | FactName::Tilted
            | FactName::LidOpen
            | FactName::Moved
            | FactName::SensorFault
            | FactName::MissedCollection
            | FactName::NoFall
            | FactName::NoLift
            | FactName::BayStuck
            | FactName::BayContested
            | FactName::BayDrifted
            | FactName::BayForbidden
            | FactName::BayUnpermitted
            | FactName::BayZombie
            | FactName::OutOfArea
            | FactName::PlanShifted => "",
        }
    }

    /// The word in configuration and evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FactName::LevelPct => "level_pct",
            FactName::TemperatureC => "temperature_c",
            FactName::BatteryPct => "battery_pct",
            FactName::BatteryV => "battery_v",
            FactName::SpeedKmh => "speed_kmh",
            FactName::BayStuck => "bay_stuck",
            FactName::BayContested => "bay_contested",
            FactName::BayDrifted => "bay_drifted",
            FactName::BayForbidden => "bay_forbidden",
            FactName::BayUnpermitted => "bay_unpermitted",
            FactName::BayZombie => "bay_zombie",
            FactName::StayPct => "stay_pct",
            FactName::SweptPct => "swept_pct",
            FactName::Overflow => "overflow",
            FactName::Burning => "burning",
            FactName::Tilted => "tilted",
            FactName::LidOpen => "lid_open",
            FactName::Moved => "moved",
            FactName::SensorFault => "sensor_fault",
            FactName::CollectionLateH => "collection_late_h",
            FactName::MissedCollection => "missed_collection",
            FactName::NoFall => "no_fall",
            FactName::NoLift => "no_lift",
            FactName::WeighDifferencePct => "weigh_difference_pct",
            FactName::OverspeedKmh => "overspeed_kmh",
            FactName::StoppedMin => "stopped_min",
            FactName::IdlingMin => "idling_min",
            FactName::OutOfArea => "out_of_area",
            FactName::DeviationM => "deviation_m",
            FactName::NoFixMin => "no_fix_min",
            FactName::StopsSkipped => "stops_skipped",
            FactName::StopsLate => "stops_late",
            FactName::StopsEarly => "stops_early",
            FactName::PlanShifted => "plan_shifted",
        }
    }
}
