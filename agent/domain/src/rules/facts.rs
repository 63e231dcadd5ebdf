//! What can be known of an asset, by name.
//!
//! A fact is a number in thousandths of its unit, or yes (1) and no (0). What a fact means is decided in the
//! rooms for parking, waste and sweeping; here it has a name and a unit.

use serde::{Deserialize, Serialize};

use crate::place::Position;
use crate::sample::Detection;
use crate::time::Moment;

/// What the domain rooms tell the rules about an asset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact {
    /// A value in thousandths of its unit.
    Value(FactName, i64),
    /// Where the asset is, known to so many metres.
    At(Position, f64),
    /// What a camera sees there.
    Seen(Detection),
    /// How a bay stands, for how long a car stays.
    Stay(Stay),
    /// The asset was heard.
    Heard(Moment),
}

/// Whether a car stands on a bay, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stay {
    /// Nobody can tell, or the asset is no bay.
    #[default]
    Unknown,
    /// Nothing stands there.
    None,
    /// A car has been standing since then.
    Since(Moment),
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
    /// Fuel in a vehicle's tank in percent.
    FuelPct,
    /// A car stands on a bay: 1, else 0; not told while nobody knows.
    Occupied,
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
    pub const ALL: [FactName; 36] = [
        FactName::LevelPct,
        FactName::TemperatureC,
        FactName::BatteryPct,
        FactName::BatteryV,
        FactName::SpeedKmh,
        FactName::FuelPct,
        FactName::Occupied,
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
            | FactName::FuelPct
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
            FactName::Occupied
            | FactName::Overflow
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
            FactName::FuelPct => "fuel_pct",
            FactName::Occupied => "occupied",
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
