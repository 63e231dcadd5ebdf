//! From whose hand to which scale: deposits, lifts, trips.
//!
//! A deposit goes into a bin, a bin is lifted by a vehicle, a vehicle's trip ends on the weighbridge.
//! Each step is an event of its own; what must hold between them is checked here, and what does not
//! hold is said with the event. Persons appear as pseudonyms only: their ids become [`Pseudonym`]s
//! before they become part of a sample, so no record, log or message ever holds one.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::ids::AssetId;
use crate::time::{ClockQuality, Moment, Utc};
use crate::units::Grams;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                $name::from_hex(&text).ok_or_else(|| {
                    serde::de::Error::custom(format!("not 1 to 32 hexadecimal digits: {text:?}"))
                })
            }
        }

        impl $name {
            /// Reads 1 to 32 hexadecimal digits.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<$name> {
                let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
                let fits = (1..=32).contains(&text.len());
                let value = (digits && fits).then(|| u128::from_str_radix(text, 16).ok());
                value.flatten().map($name)
            }
        }
    };
}

hex_id!(
    /// Stands for a person: the same person is always the same pseudonym, and nobody without the key can
    /// tell who it is.
    Pseudonym
);
hex_id!(
    /// The RFID tag of a bin (an EPC has 96 bits).
    Tag
);

/// The key that makes pseudonyms. Never printed.
#[derive(Clone)]
pub struct PersonKey(Hmac<Sha256>);

/// Shorter keys can be guessed.
pub const PERSON_KEY_MIN: usize = 32;

/// Keys are the same when they make the same pseudonyms.
impl PartialEq for PersonKey {
    fn eq(&self, other: &PersonKey) -> bool {
        self.pseudonym("") == other.pseudonym("")
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(…)")
    }
}

/// A key that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has {0} bytes; at least {PERSON_KEY_MIN} random bytes are needed")]
pub struct ShortKey(usize);

impl PersonKey {
    /// A key from secret random bytes.
    ///
    /// # Errors
    /// Fewer than [`PERSON_KEY_MIN`] bytes.
    pub fn new(secret: &[u8]) -> Result<PersonKey, ShortKey> {
        if secret.len() < PERSON_KEY_MIN {
            return Err(ShortKey(secret.len()));
        }
        let mac = Hmac::new_from_slice(secret).expect("an HMAC takes keys of every length");
        Ok(PersonKey(mac))
    }

    /// The pseudonym of a card number, QR code or other personal id: the first half of its HMAC-SHA256
    /// (RFC 2104; truncated as its section 5 allows).
    #[must_use]
    pub fn pseudonym(&self, id: &str) -> Pseudonym {
        let hash = self.0.clone().chain_update(id.as_bytes()).finalize().into_bytes();
        let half: [u8; 16] = hash[..16].try_into().expect("SHA-256 has 32 bytes");
        Pseudonym(u128::from_be_bytes(half))
    }
}

/// What kind of waste a bin takes or a deposit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WasteKind {
    /// Everything that has no bin of its own (其他垃圾).
    Residual,
    /// Kitchen and garden waste (厨余垃圾).
    Organic,
    /// Mixed recyclables (可回收物).
    Recyclable,
    /// Hazardous (有害垃圾).
    Hazardous,
    /// Glass.
    Glass,
    /// Paper and cardboard.
    Paper,
    /// Plastic.
    Plastic,
    /// Metal.
    Metal,
    /// Batteries.
    Batteries,
    /// Electronics.
    Electronics,
    /// Used oil.
    Oil,
}

impl WasteKind {
    /// Every kind.
    pub const ALL: [WasteKind; 11] = [
        WasteKind::Residual,
        WasteKind::Organic,
        WasteKind::Recyclable,
        WasteKind::Hazardous,
        WasteKind::Glass,
        WasteKind::Paper,
        WasteKind::Plastic,
        WasteKind::Metal,
        WasteKind::Batteries,
        WasteKind::Electronics,
        WasteKind::Oil,
    ];

    /// The word in configuration and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            WasteKind::Residual => "residual",
            WasteKind::Organic => "organic",
            WasteKind::Recyclable => "recyclable",
            WasteKind::Hazardous => "hazardous",
            WasteKind::Glass => "glass",
            WasteKind::Paper => "paper",
            WasteKind::Plastic => "plastic",
            WasteKind::Metal => "metal",
            WasteKind::Batteries => "batteries",
            WasteKind::Electronics => "electronics",
            WasteKind::Oil => "oil",
        }
    }
}

/// What is wrong with a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// Not what this bin takes.
    WrongKind,
    /// Several kinds in one.
    Mixed,
    /// More than the bin may hold.
    Overweight,
    /// Without a card that is known.
    Unauthorised,
    /// The scale before and after does not fit what was put in.
    WeightMismatch,
}

/// Somebody put something in, as the device told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deposit {
    /// By whom, where a card or code was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Pseudonym>,
    /// What kind, where the device or a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WasteKind>,
    /// How much was put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Grams>,
    /// What the bin's scale showed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Grams>,
    /// What it showed after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Grams>,
    /// What the device itself found wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<Violation>,
}

/// A vehicle lifted a bin, as its reader and scale told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    /// The tag that was read.
    pub tag: Tag,
    /// Weight on the arm going up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross: Option<Grams>,
    /// Weight on the arm coming down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tare: Option<Grams>,
}

impl Lift {
    /// What came out of the bin; `None` without both weights, or when the bin came down heavier.
    #[must_use]
    pub fn net(self) -> Option<Grams> {
        self.gross?.0.checked_sub(self.tare?.0).map(Grams)
    }
}

/// A deposit as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DepositEvent {
    #[serde(flatten)]
    deposit: Deposit,
    violations: Vec<Violation>,
}

impl DepositEvent {
    /// Whether anything is wrong with it.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        !self.violations.is_empty()
    }
}

/// Checks a deposit into a bin for `bin_kind` that may hold `load_max`; the scale may be off by
/// `tolerance`. Violations are those the device found and those that follow from its own numbers.
#[must_use]
pub fn judge(
    deposit: Deposit,
    bin_kind: Option<WasteKind>,
    load_max: Option<Grams>,
    tolerance: Grams,
) -> DepositEvent {
    let mut violations: Vec<Violation> = deposit.violation.into_iter().collect();
    if let (Some(kind), Some(own)) = (deposit.kind, bin_kind)
        && kind != own
    {
        violations.push(Violation::WrongKind);
    }
    if let (Some(after), Some(max)) = (deposit.after, load_max)
        && after > max
    {
        violations.push(Violation::Overweight);
    }
    if let (Some(before), Some(weight), Some(after)) =
        (deposit.before, deposit.weight, deposit.after)
        && before.0.saturating_add(weight.0).abs_diff(after.0) > tolerance.0
    {
        violations.push(Violation::WeightMismatch);
    }
    violations.sort_unstable();
    violations.dedup();
    DepositEvent { deposit, violations }
}

/// What a vehicle has on board since it was last weighed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trip {
    began: Option<Moment>,
    lifts: u32,
    /// Lifts of which no weight is known: the sum is then a lower bound.
    unweighed: u32,
    net: u64,
}

/// A trip that ended on the weighbridge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TripEvent {
    /// The first lift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Utc>,
    /// The weighing.
    pub to: Utc,
    /// Bins lifted.
    pub lifts: u32,
    /// Of these, without a weight.
    pub unweighed: u32,
    /// Sum of the lifts in kilograms.
    pub lifted_kg: f64,
    /// What the weighbridge found in kilograms.
    pub station_kg: f64,
    /// How far the lifts are from the weighbridge, in percent of it; `None` with nothing on the bridge
    /// or lifts without a weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference_pct: Option<f64>,
    /// Trust in the times.
    pub clock: ClockQuality,
}

impl Trip {
    /// A bin was lifted onto the vehicle.
    pub fn lift(&mut self, lift: Lift, at: Moment) {
        self.began.get_or_insert(at);
        self.lifts = self.lifts.saturating_add(1);
        match lift.net() {
            Some(net) => self.net = self.net.saturating_add(net.0.into()),
            None => self.unweighed = self.unweighed.saturating_add(1),
        }
    }

    /// The vehicle was weighed: ends the trip. The second value is the difference in thousandths of a
    /// percent of the weighbridge's, for rules.
    pub fn weigh(&mut self, station: Grams, at: Moment) -> (TripEvent, Option<i64>) {
        let trip = std::mem::take(self);
        let known = trip.unweighed == 0 && station.0 > 0;
        let apart = trip.net.abs_diff(station.0.into());
        let milli = known.then(|| {
            let share = u128::from(apart) * 100_000 / u128::from(station.0);
            i64::try_from(share).unwrap_or(i64::MAX)
        });
        let event = TripEvent {
            from: trip.began.map(|m| m.utc),
            to: at.utc,
            lifts: trip.lifts,
            unweighed: trip.unweighed,
            lifted_kg: trip.net as f64 / 1000.0,
            station_kg: station.kilograms(),
            difference_pct: milli.map(|m| m as f64 / 1000.0),
            clock: at.clock,
        };
        (event, milli)
    }
}

/// How it is known who emptied a bin, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The vehicle read the bin's tag.
    Tag,
    /// The vehicle was near.
    Position,
}

/// Who emptied a bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct By {
    /// The vehicle.
    pub vehicle: AssetId,
    /// How that is known.
    pub known_by: KnownBy,
    /// What the lift weighed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_g: Option<Grams>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waste::bin::tests::t;

    #[test]
    fn a_pseudonym_is_the_keyed_hash_of_the_id() {
        // RFC 4231, test case 3: 20 bytes of 0xaa are too short here, so case 6 with 131 of them.
        let key = PersonKey::new(&[0xaa; 131]).unwrap();
        let found = key.pseudonym("Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(found.to_string(), "60e431591ee0b67f0d8a26aacbf5b77f");
        assert_eq!(serde_json::to_string(&found).unwrap(), format!("\"{found}\""));
        assert_eq!(Pseudonym::from_hex(&found.to_string()), Some(found));
        assert_ne!(PersonKey::new(&[1; 32]).unwrap().pseudonym("x"), key.pseudonym("x"));
        assert_eq!(PersonKey::new(&[0; 31]).err(), Some(ShortKey(31)));
        assert_eq!(format!("{key:?}"), "PersonKey(…)");
    }

    #[test]
    fn tags_are_hexadecimal() {
        assert_eq!(Tag::from_hex("E2801160"), Some(Tag(0xe280_1160)));
        for bad in ["", "+1", "xyz", "123456789012345678901234567890123"] {
            assert_eq!(Tag::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_deposit_is_judged_by_its_own_numbers() {
        let g = |n| Some(Grams(n));
        let good =
            Deposit { weight: g(1200), before: g(30_000), after: g(31_210), ..Deposit::default() };
        let judged = |d| judge(d, Some(WasteKind::Organic), g(80_000), Grams(50)).violations;
        assert_eq!(judged(good), []);
        assert_eq!(judged(Deposit { after: g(31_251), ..good }), [Violation::WeightMismatch]);
        assert_eq!(judged(Deposit { after: None, ..good }), []);
        assert_eq!(
            judged(Deposit { kind: Some(WasteKind::Glass), ..good }),
            [Violation::WrongKind]
        );
        let heavy = Deposit { before: None, after: g(80_001), ..good };
        assert_eq!(judged(heavy), [Violation::Overweight]);
        let twice =
            Deposit { kind: Some(WasteKind::Paper), violation: Some(Violation::WrongKind), ..good };
        assert_eq!(judged(twice), [Violation::WrongKind]);
    }

    #[test]
    fn a_trip_ends_on_the_weighbridge_and_the_difference_is_told() {
        let lift =
            |gross, tare| Lift { tag: Tag(1), gross: Some(Grams(gross)), tare: Some(Grams(tare)) };
        let mut trip = Trip::default();
        trip.lift(lift(60_000, 12_000), t(0));
        trip.lift(lift(64_000, 12_000), t(10));
        let (event, milli) = trip.weigh(Grams(96_000), t(60));
        assert_eq!((event.lifts, event.lifted_kg, event.station_kg), (2, 100.0, 96.0));
        assert_eq!((event.from, milli), (Some(t(0).utc), Some(4_166)));
        assert_eq!(trip, Trip::default(), "a new trip");
        trip.lift(lift(10_000, 12_000), t(70));
        let (event, milli) = trip.weigh(Grams(50_000), t(80));
        assert_eq!((event.unweighed, milli, event.difference_pct), (1, None, None));
        assert_eq!(trip.weigh(Grams(0), t(90)).1, None);
    }
}
