//! The facts that rules can ask for: which class of asset has them, and what they can be.

use domain::ids::Class;
use domain::rules::FactName;

use super::super::super::fault::did_you_mean;
use super::super::super::section::Value;

/// The facts that assets of a class have.
pub(super) const fn of_class(class: Class) -> &'static [FactName] {
    match class {
        Class::Bay => &[
            FactName::TemperatureC,
            FactName::BatteryPct,
            FactName::BatteryV,
            FactName::Occupied,
            FactName::BayStuck,
            FactName::BayContested,
            FactName::BayDrifted,
            FactName::BayForbidden,
            FactName::BayUnpermitted,
            FactName::BayZombie,
            FactName::StayPct,
        ],
        Class::Bin => &[
            FactName::LevelPct,
            FactName::TemperatureC,
            FactName::BatteryPct,
            FactName::BatteryV,
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
        ],
        Class::Vehicle => &[
            FactName::SpeedKmh,
            FactName::FuelPct,
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
        ],
        Class::Street => &[FactName::SweptPct],
        Class::Gauge | Class::Camera | Class::Node => &[],
    }
}

/// What a fact can be, in its unit.
pub(super) const fn possible(fact: FactName) -> std::ops::RangeInclusive<i64> {
    match fact {
        FactName::LevelPct
        | FactName::BatteryPct
        | FactName::FuelPct
        | FactName::SweptPct
        | FactName::WeighDifferencePct => 0..=100,
        FactName::TemperatureC => -60..=120,
        FactName::BatteryV => 0..=60,
        FactName::SpeedKmh | FactName::OverspeedKmh => 0..=200,
        FactName::StoppedMin | FactName::IdlingMin | FactName::NoFixMin => 0..=10_080,
        FactName::DeviationM => 0..=100_000,
        FactName::StopsSkipped | FactName::StopsLate | FactName::StopsEarly => 0..=1000,
        FactName::CollectionLateH => -168..=168,
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
        | FactName::PlanShifted => 0..=1,
        FactName::StayPct => 0..=100_000,
    }
}

/// The name of a fact that assets of `class` have.
pub(super) fn read(value: &Value<'_>, class: Option<Class>) -> Option<FactName> {
    let text = value.as_text("the name of a fact, such as \"level_pct\"")?;
    let of_class = class.map_or(FactName::ALL.as_slice(), of_class);
    let known: Vec<_> = of_class.iter().map(|fact| fact.as_str()).collect();
    let Some(found) = FactName::ALL.into_iter().find(|fact| fact.as_str() == text) else {
        value.error(format!("unknown fact {text:?}"), did_you_mean(text, known));
        return None;
    };
    if !of_class.contains(&found) {
        let class = class.map_or("asset", Class::as_str);
        let fix = format!("a {class} has {}", known.join(", "));
        value.error(format!("a {class} has no {text}"), fix);
        return None;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::CLASSES;
    use super::*;

    #[test]
    fn every_fact_belongs_to_a_class() {
        for fact in FactName::ALL {
            assert!(CLASSES.iter().any(|(_, class)| of_class(*class).contains(&fact)), "{fact:?}");
        }
    }
}
