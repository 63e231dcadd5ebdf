//! LoRaWAN sensors: what a network server passes on, to [`Sample`](crate::sample::Sample)s.
//!
//! Two halves meet here. A *codec* knows the payload of one kind of device and nothing else: one
//! function in the file of its vendor, one row in the table below. A *network server* (one file each)
//! knows a JSON format and hands each report to the shared half (`uplinks`), which sorts out
//! repeats and picks the codec. Neither knows what a reading means at this place.

mod bosch;
pub mod chirpstack;
mod milesight;
mod recent;
mod uplinks;

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::decode::Reason;
use crate::sample::{Absent, Missing, NoData, Quantity};
use crate::units::MilliCelsius;

/// One row a codec: what it is called in the configuration, the models that speak it (also how they
/// are found in the name of a device profile), and the function that reads it.
macro_rules! codecs {
    ($($(#[$doc:meta])* $codec:ident = $name:literal, [$($model:literal),*], $read:path;)+) => {
        /// How the payload of a kind of device is read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Codec {
            $($(#[$doc])* $codec,)+
        }

        impl Codec {
            /// Every codec.
            pub const ALL: &[Codec] = &[$(Codec::$codec),+];

            /// Its name in the configuration, `vendor/model`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Codec::$codec => $name,)+
                }
            }

            /// The models that speak it.
            #[must_use]
            pub const fn models(self) -> &'static [&'static str] {
                match self {
                    $(Codec::$codec => &[$($model),*],)+
                }
            }
        }

        /// Reads the application payload that a device sent on `port` (LoRaWAN FPort).
        ///
        /// Strict: a payload is understood to its last byte or refused as a whole, since half of one
        /// that was not understood may mean anything. No quantities at all is an answer too: the
        /// device said something about itself and nothing about the world.
        ///
        /// # Errors
        /// [`Reason::Port`] where the codec does not read the port, [`Reason::Truncated`] where the
        /// payload ends inside a value, [`Reason::OutOfRange`] for a value that shows that the
        /// payload is something else, [`Reason::Payload`] for everything else that does not fit.
        pub fn decode(codec: Codec, port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
            match codec {
                $(Codec::$codec => $read(port, payload),)+
            }
        }
    };
}

codecs! {
    /// Bosch parking lot sensor TPS110 (magnetometer and radar, flush in the bay).
    BoschTps110 = "bosch/tps110", ["tps110"], bosch::tps110;
    /// Milesight EM310-UDL, ultrasonic distance.
    MilesightEm310Udl = "milesight/em310-udl", ["em310-udl"], milesight::em310_udl;
    /// Milesight EM400-MUD, -TLD and -UDL, distance and temperature in a bin or over a bay.
    MilesightEm400 = "milesight/em400", ["em400", "em400-mud", "em400-tld", "em400-udl"], milesight::em400;
    /// Milesight EM410-RDL, radar distance.
    MilesightEm410Rdl = "milesight/em410-rdl", ["em410-rdl"], milesight::em410_rdl;
    /// Milesight EM500-UDL, ultrasonic distance.
    MilesightEm500Udl = "milesight/em500-udl", ["em500-udl"], milesight::em500_udl;
    /// A Milesight distance sensor of unknown model: the records that mean the same on all of them.
    MilesightDistance = "milesight/distance", [], milesight::any_distance;
}

/// A name that no codec has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no codec is called {name:?}; the nearest is {nearest:?}")]
pub struct UnknownCodec {
    /// The name that was given.
    pub name: String,
    /// The most similar name there is.
    pub nearest: String,
}

/// Takes the name of a codec or `vendor/model` of a device that speaks it.
impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Codec, UnknownCodec> {
        let mut nearest = (usize::MAX, String::new());
        for &codec in Codec::ALL {
            for known in codec.names() {
                if known == name {
                    return Ok(codec);
                }
                let distance = strsim::damerau_levenshtein(&known, name);
                if distance < nearest.0 {
                    nearest = (distance, known);
                }
            }
        }
        Err(UnknownCodec { name: name.to_owned(), nearest: nearest.1 })
    }
}

impl Codec {
    fn names(self) -> impl Iterator<Item = String> {
        let vendor = self.as_str().split('/').next().unwrap_or_default();
        let models = self.models().iter().map(move |model| format!("{vendor}/{model}"));
        std::iter::once(self.as_str().to_owned()).chain(models)
    }

    /// The codec of a device that none was set for: by the model in the name of its device profile,
    /// and by port 85, which Milesight devices use and hardly anybody else.
    #[must_use]
    pub fn infer(profile_name: &str, port: u8) -> Option<Codec> {
        let profile = letters_and_digits(profile_name);
        let named = Codec::ALL.iter().flat_map(|&codec| {
            codec.models().iter().map(move |model| (letters_and_digits(model), codec))
        });
        let longest = named
            .filter(|(model, _)| profile.contains(model.as_str()))
            .max_by_key(|(model, _)| model.len());
        match longest {
            Some((_, codec)) => Some(codec),
            None if port == milesight::PORT => Some(Codec::MilesightDistance),
            None => None,
        }
    }
}

/// Profiles are called "EM400-MUD", "em400_mud" and "Milesight EM400 MUD".
fn letters_and_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A temperature in thousandths of a degree, or that there is none where it lies outside of what the
/// sensor can measure: faulty ones report -117 °C.
fn temperature(milli: i32, range: RangeInclusive<i32>) -> Quantity {
    if range.contains(&milli) {
        Quantity::Temperature(MilliCelsius(milli))
    } else {
        Quantity::Absent(Absent { what: Missing::Temperature, why: NoData::OutOfRange })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_is_read_back_and_none_is_taken_twice() {
        let mut names = BTreeSet::new();
        for &codec in Codec::ALL {
            assert_eq!(codec.as_str().parse(), Ok(codec));
            for name in codec.names().collect::<BTreeSet<_>>() {
                assert_eq!(name.parse(), Ok(codec));
                assert!(names.insert(name.clone()), "{name} belongs to two codecs");
            }
        }
        assert_eq!("milesight/em400-tld".parse(), Ok(Codec::MilesightEm400));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        for (name, nearest) in [
            ("bosch/tsp110", "bosch/tps110"),
            ("milesight/em500udl", "milesight/em500-udl"),
            ("em400-mud", "milesight/em400-mud"),
        ] {
            let error = name.parse::<Codec>().unwrap_err();
            assert_eq!(error.nearest, nearest);
            assert!(error.to_string().contains(nearest));
        }
    }

    #[test]
    fn the_codec_is_inferred_from_the_profile_and_then_from_the_port() {
        for (profile, port, codec) in [
            ("Milesight EM400-MUD", 85, Some(Codec::MilesightEm400)),
            ("em500_udl w050", 85, Some(Codec::MilesightEm500Udl)),
            ("Bosch TPS110 EU868", 1, Some(Codec::BoschTps110)),
            // The port is for the codec to refuse.
            ("Bosch TPS110 EU868", 85, Some(Codec::BoschTps110)),
            ("bins", 85, Some(Codec::MilesightDistance)),
            ("", 85, Some(Codec::MilesightDistance)),
            ("Dragino LT22222", 2, None),
            ("", 1, None),
        ] {
            assert_eq!(Codec::infer(profile, port), codec, "{profile:?} {port}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_makes_a_codec_panic(
            port in prop_oneof![Just(85), 0..4_u8, any::<u8>()],
            payload in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            for &codec in Codec::ALL {
                let _quantities = decode(codec, port, &payload);
            }
        }
    }
}
