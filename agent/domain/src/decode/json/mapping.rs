//! From one item to quantities: all rules, and positions put together.

use serde_json::Value;

use crate::decode::Reason;
use crate::place::{BadPosition, Datum, Position};
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::time::Span;
use crate::units::{
    CentiDegrees, Grams, MilliCelsius, Millimetres, MillimetresPerSecond, Millivolts, Permille,
};
use crate::waste::PersonKey;

use super::custody::Custody;
use super::rule::Found;
use super::{Fault, Name, Problem, Rule, RuleText};

/// The quantities of an item and where they stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    rules: Vec<Rule>,
    datum: Datum,
    /// Without it, personal ids are left out and counted.
    person_key: Option<PersonKey>,
}

/// What was read from an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// The quantities.
    pub quantities: Vec<Quantity>,
    /// Why others could not be read.
    pub refused: Vec<Reason>,
}

impl Mapping {
    /// Checks what the configuration says.
    ///
    /// # Errors
    /// Everything that is wrong; keys begin with `quantity`.
    pub fn new(datum: Datum, rules: &[RuleText]) -> Result<Mapping, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut checked: Vec<Rule> = Vec::new();
        for (i, text) in rules.iter().enumerate() {
            let mut put = |key: &str, problem: Problem| {
                faults.push(Fault { key: format!("quantity[{i}].{key}"), problem });
            };
            match Rule::new(text) {
                Ok(rule) if checked.iter().any(|other| other.name == rule.name) => {
                    put("name", Problem::Twice(rule.name.as_str()));
                }
                Ok(rule) => checked.push(rule),
                Err(bad) => put(bad.key(), bad.into()),
            }
        }
        if faults.is_empty() {
            faults.extend(Self::incomplete(&checked));
        }
        if faults.is_empty() {
            Ok(Mapping { rules: checked, datum, person_key: None })
        } else {
            Err(faults)
        }
    }

    /// With the key that makes pseudonyms of personal ids.
    #[must_use]
    pub fn with_person_key(self, key: Option<PersonKey>) -> Mapping {
        Mapping { person_key: key, ..self }
    }

    /// Whether it reads personal ids, so that it needs a key.
    #[must_use]
    pub fn reads_persons(&self) -> bool {
        self.rules.iter().any(|rule| rule.name == Name::Person)
    }

    /// Whether it reads personal ids and has the key that makes pseudonyms of them.
    #[must_use]
    pub fn keeps_persons(&self) -> bool {
        self.reads_persons() && self.person_key.is_some()
    }

    fn incomplete(rules: &[Rule]) -> Option<Fault> {
        let fault = |problem| Fault { key: "quantity".to_owned(), problem };
        if rules.is_empty() {
            return Some(fault(Problem::Empty));
        }
        let has = |name| rules.iter().any(|rule| rule.name == name);
        let whole = has(Name::Latitude) && has(Name::Longitude);
        let part = rules.iter().find(|rule| rule.name.is_of_position())?;
        (!whole).then(|| fault(Problem::HalfPosition(part.name.as_str())))
    }

    /// Reads an item. What one rule cannot read does not touch what the others can.
    #[must_use]
    pub fn read(&self, item: &Value) -> Read {
        let mut gathered = Gathered::default();
        let mut refused = Vec::new();
        for rule in &self.rules {
            match rule.read(item) {
                Ok(Found::Text(text)) => {
                    let key = self.person_key.as_ref();
                    refused.extend(gathered.custody.text(rule.name, &text, key).err());
                }
                Ok(found) => gathered.take(rule, found),
                Err(reason) => refused.push(reason),
            }
        }
        let (custody, homeless) = std::mem::take(&mut gathered.custody).finish();
        gathered.quantities.extend(custody);
        refused.extend(homeless);
        match gathered.position(self.datum) {
            Ok(position) => gathered.quantities.extend(position),
            // The half that could not be read has been counted already.
            Err(_) if !refused.is_empty() => {}
            Err(reason) => refused.push(reason),
        }
        Read { quantities: gathered.quantities, refused }
    }
}

/// What the rules have found so far.
#[derive(Debug, Default)]
struct Gathered {
    quantities: Vec<Quantity>,
    no_fix: Option<NoData>,
    lat: Option<i32>,
    lon: Option<i32>,
    speed: Option<MillimetresPerSecond>,
    course: Option<CentiDegrees>,
    accuracy: Option<Millimetres>,
    satellites: Option<u8>,
    custody: Custody,
}

impl Gathered {
    fn take(&mut self, rule: &Rule, found: Found) {
        match (found, rule.name.missing()) {
            (Found::Nothing | Found::Text(_), _) | (Found::Absent(_), None) => {}
            (Found::Absent(why), Some(Missing::Fix)) => self.no_fix = Some(why),
            (Found::Absent(why), Some(what)) => {
                self.quantities.push(Quantity::Absent(Absent { what, why }));
            }
            (Found::Truth(truth), _) => self.number(rule, truth.into()),
            (Found::Number(number), _) => self.number(rule, number),
        }
    }

    /// The number is in the range of its name, which is inside that of its type: the casts are exact.
    fn number(&mut self, rule: &Rule, number: i64) {
        let truth = number != 0;
        let quantity = match rule.name {
            Name::Occupied => Quantity::Occupied(truth),
            Name::Tilted => Quantity::Tilted(truth),
            Name::LidOpen => Quantity::LidOpen(truth),
            Name::Fire => Quantity::Fire(truth),
            Name::Working => Quantity::Working(truth),
            Name::Distance => Quantity::Distance(Millimetres(number as u32)),
            Name::Level => Quantity::Level(Permille::clamped(number)),
            Name::Temperature => Quantity::Temperature(MilliCelsius(number as i32)),
            Name::BatteryLevel => Quantity::BatteryLevel(Permille::clamped(number)),
            Name::BatteryVoltage => Quantity::BatteryVoltage(Millivolts(number as u16)),
            Name::PreviousState => Quantity::PreviousState {
                lasted: Span::from_ms(number as u64),
                error: Span::from_ms(libm::round(rule.step()) as u64),
            },
            Name::Latitude => return self.lat = Some(number as i32),
            Name::Longitude => return self.lon = Some(number as i32),
            Name::Speed => return self.speed = Some(MillimetresPerSecond(number as u32)),
            Name::Course => return self.course = Some(CentiDegrees((number % 36_000) as u16)),
            Name::Accuracy => return self.accuracy = Some(Millimetres(number as u32)),
            Name::Satellites => return self.satellites = Some(number as u8),
            Name::StationWeight => Quantity::StationWeight(Grams(number as u32)),
            name => return self.custody.weight(name, Grams(number as u32)),
        };
        self.quantities.push(quantity);
    }

    /// The position, if there is one. Half of one is [`Reason::Field`].
    fn position(&self, datum: Datum) -> Result<Option<Quantity>, Reason> {
        let &Gathered { speed, course, accuracy, satellites, .. } = self;
        let absent = |why| Quantity::Absent(Absent { what: Missing::Fix, why });
        match (self.no_fix, self.lat, self.lon) {
            (Some(why), _, _) => Ok(Some(absent(why))),
            (None, None, None) => Ok(None),
            (None, Some(lat), Some(lon)) => match Position::from_e7(lat, lon, datum) {
                Ok(position) => {
                    let fix = Fix { position, speed, course, accuracy, satellites };
                    Ok(Some(Quantity::Fix(fix)))
                }
                Err(BadPosition::Null) => Ok(Some(absent(NoData::NoFix))),
                Err(_) => Err(Reason::OutOfRange),
            },
            _ => Err(Reason::Field),
        }
    }
}
