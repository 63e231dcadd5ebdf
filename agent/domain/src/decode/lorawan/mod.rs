//! LoRaWAN sensors: what a network server passes on, to [`Sample`](crate::sample::Sample)s.
//!
//! Two halves meet here. A *codec* knows the payload of one kind of device and nothing else: one
//! function in the file of its vendor, one row in the table below. A *network server* (one file each)
//! knows a message format and hands each report to the shared half (`uplinks`), which sorts out
//! repeats and picks the codec, or reads what the server has decoded itself by a
//! [`Mapping`](crate::decode::json::Mapping). Neither knows what a reading means at this place.

pub mod chirpstack;
pub mod things_stack;

mod protobuf;
mod recent;
mod uplinks;

mod bosch;
mod decentlab;
mod digital_matter;
mod dingtek;
mod dragino;
mod elsys;
mod libelium;
mod milesight;
mod moko;
mod noah;
mod nwave;
mod pepperl_fuchs;
mod quantities;
mod rivercity;
mod tekzitel;

use std::str::FromStr;

use crate::decode::{Reason, nearest};
use crate::sample::Quantity;

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
    /// Decentlab DL-MBX, ultrasonic distance.
    DecentlabDlMbx = "decentlab/dl-mbx", ["dl-mbx"], decentlab::dl_mbx;
    /// Decentlab DL-DWS, weighing scale: its battery. What it weighs takes the calibration of that one
    /// scale, which no report carries.
    DecentlabDlDws = "decentlab/dl-dws", ["dl-dws"], decentlab::dl_dws;
    /// Digital Matter Oyster, position. Not the Oyster3, whose payload is another one, so no profile
    /// is taken for it.
    DigitalMatterOyster = "digital-matter/oyster", [], digital_matter::oyster;
    /// Dingtek DC410, ultrasonic distance over a container.
    DingtekDc410 = "dingtek/dc410", ["dc410"], dingtek::df530;
    /// Dingtek DF530, ultrasonic distance over a tank, some with GPS.
    DingtekDf530 = "dingtek/df530", ["df530"], dingtek::df530;
    /// Dingtek DF702, ultrasonic distance, tilt and fire in a bin, some with GPS.
    DingtekDf702 = "dingtek/df702", ["df702"], dingtek::df702;
    /// Dingtek DO201, parking sensor (ultrasonic and magnetic).
    DingtekDo201 = "dingtek/do201", ["do201"], dingtek::do201;
    /// Dragino LDDS75, LDDS45 and LDDS20, ultrasonic distance, in every firmware.
    DraginoLdds75 = "dragino/ldds75",
        ["ldds75", "ldds45", "ldds20", "ldds75-114", "ldds20-114"], dragino::ldds75;
    /// Dragino DDS75-LB, ultrasonic distance.
    DraginoDds75Lb = "dragino/dds75-lb", ["dds75-lb"], dragino::dds75_lb;
    /// Dragino LDDS04, four ultrasonic distances, of which the first is read.
    DraginoLdds04 = "dragino/ldds04", ["ldds04"], dragino::ldds04;
    /// Dragino DS20L, distance by light up to 2 m.
    DraginoDs20l = "dragino/ds20l", ["ds20l"], dragino::ds20l;
    /// Dragino LGT-92, position.
    DraginoLgt92 = "dragino/lgt92", ["lgt92"], dragino::lgt92;
    /// Dragino TrackerD and TrackerD-LS, position.
    DraginoTrackerD = "dragino/trackerd", ["trackerd"], dragino::trackerd;
    /// Elsys ELT with an ultrasonic head.
    ElsysEltUltrasonic = "elsys/elt-ultrasonic", ["elt-ultrasonic"], elsys::elt_ultrasonic;
    /// Libelium Smart Parking, firmware 2 and 3.
    LibeliumSmartParking = "libelium/smart-parking", [], libelium::smart_parking;
    /// Milesight AT101, position.
    MilesightAt101 = "milesight/at101", ["at101"], milesight::at101;
    /// Milesight EM310-UDL, ultrasonic distance.
    MilesightEm310Udl = "milesight/em310-udl", ["em310-udl"], milesight::em310_udl;
    /// Milesight EM400-MUD, -TLD and -UDL, distance and temperature in a bin or over a bay.
    MilesightEm400 = "milesight/em400", ["em400", "em400-mud", "em400-tld", "em400-udl"], milesight::em400;
    /// Milesight EM410-RDL, radar distance.
    MilesightEm410Rdl = "milesight/em410-rdl", ["em410-rdl"], milesight::em410_rdl;
    /// Milesight EM500-UDL, ultrasonic distance.
    MilesightEm500Udl = "milesight/em500-udl", ["em500-udl"], milesight::em500_udl;
    /// Milesight EM500-SWL, depth under water: its battery and its faults. How deep it lies says nothing
    /// of how far the surface is from anything.
    MilesightEm500Swl = "milesight/em500-swl", ["em500-swl"], milesight::em500_swl;
    /// A Milesight distance sensor of unknown model: the records that mean the same on all of them.
    MilesightDistance = "milesight/distance", [], milesight::any_distance;
    /// MOKO LW001-BG, position. Its oldest firmware has another payload under the same name, so no
    /// profile is taken for it.
    MokoLw001Bg = "moko/lw001-bg", [], moko::lw001_bg;
    /// Noah trash bin sensor, filling level.
    NoahTrashbin = "noah/trashbin", [], noah::trashbin;
    /// Nwave NCC405 vehicle counter: its battery. What it counts belongs to no asset.
    NwaveNcc405 = "nwave/ncc405", ["ncc405"], nwave::ncc405;
    /// Nwave NPS310SM parking sensor.
    NwaveNps310sm = "nwave/nps310sm", ["nps310sm"], nwave::nps310sm;
    /// Nwave NPS405 parking sensor of today: occupancy in bit 0. No profile tells it from the first
    /// generation, so none is taken for it.
    NwaveNps405 = "nwave/nps405", [], nwave::nps405;
    /// Nwave NPS405 parking sensor of the first generation: occupancy in bit 7.
    NwaveNps405V1 = "nwave/nps405-v1", [], nwave::nps405_v1;
    /// Pepperl+Fuchs WILSEN.sonic.level and .distance, ultrasonic distance, filling level, position.
    PepperlFuchsWilsen = "pepperl-fuchs/wilsen", ["wilsen-sonic"], pepperl_fuchs::wilsen;
    /// RiverCity Innovations Lynx, position. The name alone is anybody's, so no profile is taken for it.
    RivercityLynx = "rivercity/lynx", [], rivercity::lynx;
    /// TekZiPark parking sensor (magnetic and radar).
    TekzitelTekzipark = "tekzitel/tekzipark", ["tekzipark"], tekzitel::tekzipark;
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
        let named = Codec::ALL.iter().copied().find(|codec| codec.names().any(|n| n == name));
        named.ok_or_else(|| {
            let known = Codec::ALL.iter().flat_map(|codec| codec.names());
            UnknownCodec { name: name.to_owned(), nearest: nearest(name, known) }
        })
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

/// Hexadecimal digits to bytes, whatever stands between them.
#[cfg(test)]
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
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
            ("Dragino LDDS75 v1.1.4", 2, Some(Codec::DraginoLdds75)),
            ("DDS75-LB", 2, Some(Codec::DraginoDds75Lb)),
            ("Dingtek DF702", 3, Some(Codec::DingtekDf702)),
            ("Milesight AT101", 85, Some(Codec::MilesightAt101)),
            // Two generations under one name: somebody has to say which.
            ("Nwave NPS405", 1, None),
            ("nwave/nps405-v1", 1, None),
            ("Oyster3", 1, None),
            ("EM500-SWL", 85, Some(Codec::MilesightEm500Swl)),
            ("P+F WILSEN.sonic.level", 1, Some(Codec::PepperlFuchsWilsen)),
            ("WILSEN.valve", 1, None),
            ("LW001-BG PRO", 1, None),
            ("Dragino LT22222", 2, None),
            ("", 1, None),
        ] {
            assert_eq!(Codec::infer(profile, port), codec, "{profile:?} {port}");
        }
    }

    /// One uplink of each codec with everything in it.
    const GOLDEN: &[(Codec, u8, &str)] = &[
        (Codec::BoschTps110, 2, "01ff"),
        (Codec::DecentlabDlMbx, 1, "02012f000304d200010bb1"),
        (Codec::DecentlabDlDws, 1, "0203d400033bf67fff3bf60c60"),
        (Codec::DigitalMatterOyster, 1, "0030edec003224450000de"),
        (Codec::DingtekDc410, 3, "800001021106a400160100000000010081"),
        (Codec::DingtekDf530, 3, "8000010211000f00190000100000000081"),
        (Codec::DingtekDf702, 3, "800001011907d001cd03e942ef2720421900000000000000 81"),
        (Codec::DingtekDo201, 3, "800031021706b40000016100 10fff6fff08b2d00010081"),
        (Codec::DraginoLdds75, 2, "0d3b0aef00ff3f01"),
        (Codec::DraginoDds75Lb, 2, "1d3b00000000000003200aef0014038400010501"),
        (Codec::DraginoLdds04, 2, "0d4a03160318031a031501"),
        (Codec::DraginoDs20l, 2, "0ce44001f40000000007"),
        (Codec::DraginoLgt92, 2, "015a785406cf33d80d2060004b0190000102"),
        (Codec::DraginoTrackerD, 2, "015a785406cf33d80000000800 00005a0d2060025800ff"),
        (Codec::ElsysEltUltrasonic, 1, "0100e202290301270514060101110e2311"),
        (Codec::LibeliumSmartParking, 3, "805b0009001400de0a0801"),
        (Codec::MilesightAt101, 85, "01756403671b01050000048836bf7701f000090722"),
        (Codec::MilesightEm310Udl, 85, "01755c03824408040001"),
        (Codec::MilesightEm400, 85, "01755c0367010104824408050001"),
        (Codec::MilesightEm410Rdl, 85, "01755c0367010104824408050001"),
        (Codec::MilesightEm500Udl, 85, "01756403821e00"),
        (Codec::MilesightEm500Swl, 85, "01756403770200"),
        (Codec::MilesightDistance, 85, "01755c0367010104824408050001"),
        (Codec::MokoLw001Bg, 2, "211ec00207ea0604061e00080912f5d220478294600f"),
        (Codec::NoahTrashbin, 1, "ae0004331a5e"),
        (Codec::NwaveNcc405, 2, "00d3d8"),
        (Codec::NwaveNps310sm, 3, "010d000200"),
        (Codec::NwaveNps405, 2, "00d3d800590b"),
        (Codec::NwaveNps405V1, 10, "e81f345678"),
        (Codec::PepperlFuchsWilsen, 1, "040b010031030b065d06020141a6666603510122"),
        (Codec::RivercityLynx, 2, "031ba177f9a4fef194df26"),
        (Codec::TekzitelTekzipark, 1, "a82d63b000550120"),
    ];

    #[test]
    fn every_codec_reads_its_uplink() {
        let tried: BTreeSet<Codec> = GOLDEN.iter().map(|(codec, ..)| *codec).collect();
        assert_eq!(tried, Codec::ALL.iter().copied().collect());
        for (codec, port, hex) in GOLDEN {
            let read = decode(*codec, *port, &bytes(hex)).unwrap();
            assert!(!read.is_empty(), "{codec:?}");
        }
    }

    /// Formats in records, and those that are there in several lengths, can be cut between two: they
    /// then say less, never something else. All others are refused.
    #[test]
    fn what_is_left_of_a_cut_uplink_is_refused_or_true() {
        for (codec, port, hex) in GOLDEN {
            let whole = bytes(hex);
            let all = decode(*codec, *port, &whole).unwrap();
            for length in 0..whole.len() {
                for quantity in decode(*codec, *port, &whole[..length]).unwrap_or_default() {
                    // The LDDS75 says by its shortest form that it has no sensor.
                    let none = matches!((codec, length), (Codec::DraginoLdds75, 4))
                        && matches!(quantity, Quantity::Absent(_));
                    assert!(none || all.contains(&quantity), "{codec:?} {length} {quantity:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_payload_makes_a_codec_panic(
            port in prop_oneof![Just(85), 0..11_u8, any::<u8>()],
            payload in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..120),
                // A real one with some bytes of it changed.
                (proptest::sample::select(GOLDEN), any::<[(u8, u8); 3]>()).prop_map(
                    |((_, _, hex), changes)| {
                        let mut payload = bytes(hex);
                        for (at, byte) in changes {
                            let at = usize::from(at) % payload.len();
                            payload[at] = byte;
                        }
                        payload
                    }
                ),
            ],
        ) {
            for &codec in Codec::ALL {
                let _quantities = decode(codec, port, &payload);
            }
        }
    }
}
