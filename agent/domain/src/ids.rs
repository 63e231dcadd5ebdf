//! Names that can only be made by checking.
//!
//! An id is used in topics, keys and file names, so it is checked once, where it enters, and is then
//! safe everywhere: `[a-z0-9][a-z0-9-]{0,31}`. Copies of an id share its text: every reading carries some.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than `max` characters.
    #[error("is longer than {max} characters")]
    TooLong {
        /// The most that is allowed.
        max: usize,
    },
    /// Not the name of a class of assets.
    #[error("has {0:?} in place of a class of assets")]
    Class(String),
    /// A character that the rule does not allow.
    #[error("has {found:?} at position {position}; allowed are {allowed}")]
    Character {
        /// The character.
        found: char,
        /// Counted from 1.
        position: usize,
        /// The rule in words.
        allowed: &'static str,
    },
}

fn check_id(text: &str) -> Result<(), BadId> {
    const ALLOWED: &str = "a-z, 0-9 and - (not first)";
    check_characters(text, 32, ALLOWED, |i, c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || (c == '-' && i > 0)
    })
}

fn check_symbol(text: &str) -> Result<(), BadId> {
    const ALLOWED: &str = "a-z, 0-9 and _ (a letter first)";
    check_characters(text, 32, ALLOWED, |i, c| {
        c.is_ascii_lowercase() || (i > 0 && (c.is_ascii_digit() || c == '_'))
    })
}

fn check_device(text: &str) -> Result<(), BadId> {
    const ALLOWED: &str = "printable ASCII except space, +, # and /";
    check_characters(text, 64, ALLOWED, |_, c| {
        c.is_ascii_graphic() && !matches!(c, '+' | '#' | '/')
    })
}

fn check_characters(
    text: &str,
    max: usize,
    allowed: &'static str,
    ok: impl Fn(usize, char) -> bool,
) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    for (i, found) in text.chars().enumerate() {
        if i >= max {
            return Err(BadId::TooLong { max });
        }
        if !ok(i, found) {
            return Err(BadId::Character { found, position: i + 1, allowed });
        }
    }
    Ok(())
}

macro_rules! checked_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl $name {
            /// Makes the id from a text that follows the rule.
            ///
            /// # Errors
            /// The first thing that is wrong with the text.
            pub fn new(text: &str) -> Result<$name, BadId> {
                $check(text)?;
                Ok($name(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<$name, BadId> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<$name, BadId> {
                $name::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_id!(
    /// A machine that runs steward; also its MQTT client id and user name.
    BoxId, check_id
);
checked_id!(
    /// Who the box works for.
    TenantId, check_id
);
checked_id!(
    /// Where the box stands.
    SiteId, check_id
);
checked_id!(
    /// A bay, bin, vehicle, gauge, camera, node or street of this box; unique in its class.
    AssetId, check_id
);
checked_id!(
    /// A `[[source]]` of the configuration.
    SourceName, check_id
);
checked_id!(
    /// An `[[uplink]]` of the configuration.
    UplinkName, check_id
);
checked_id!(
    /// A `[[rule]]` of the configuration.
    RuleId, check_id
);
checked_id!(
    /// A `[[tariff]]` of the configuration.
    TariffId, check_id
);
checked_id!(
    /// A permit to stand on a reserved bay.
    PermitId, check_id
);
checked_id!(
    /// A kind of vehicle that tariffs tell apart, such as `car` or `new_energy`.
    VehicleClass, check_symbol
);
checked_id!(
    /// A ticket; derived from what happened, so that the same problem never gets two.
    TicketId, check_id
);
checked_id!(
    /// Who asks or acts: the last level of a reply topic.
    Requester, check_id
);
checked_id!(
    /// A `[[crew]]` of the configuration: people who do the work.
    CrewId, check_id
);
checked_id!(
    /// The symbol of a ticket category, such as `bin_overflow`.
    Category, check_symbol
);
checked_id!(
    /// How a source names one of its devices: a DevEUI, a node number, a bay number.
    DeviceKey, check_device
);

/// What kind of thing an asset is; the class level of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A parking bay.
    Bay,
    /// A waste bin or container.
    Bin,
    /// A sweeper or collection truck.
    Vehicle,
    /// Any other sensor of the city.
    Gauge,
    /// A camera.
    Camera,
    /// A battery node or another device of ours.
    Node,
    /// A street, drawn on the map and summed over.
    Street,
}

impl Class {
    /// Every class, in topic order.
    pub const ALL: [Class; 7] = [
        Class::Bay,
        Class::Bin,
        Class::Vehicle,
        Class::Gauge,
        Class::Camera,
        Class::Node,
        Class::Street,
    ];

    /// The topic level and configuration word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Bay => "bay",
            Class::Bin => "bin",
            Class::Vehicle => "vehicle",
            Class::Gauge => "gauge",
            Class::Camera => "camera",
            Class::Node => "node",
            Class::Street => "street",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Class and id: the full name of an asset inside a box. Written `bay/b-1001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AssetKey {
    /// The class.
    pub class: Class,
    /// The id inside the class.
    pub id: AssetId,
}

impl AssetKey {
    /// Names an asset.
    #[must_use]
    pub const fn new(class: Class, id: AssetId) -> AssetKey {
        AssetKey { class, id }
    }
}

impl FromStr for AssetKey {
    type Err = BadId;
    fn from_str(text: &str) -> Result<AssetKey, BadId> {
        let (class, id) = text.split_once('/').unwrap_or((text, ""));
        let known = Class::ALL.into_iter().find(|c| c.as_str() == class);
        let Some(class) = known else { return Err(BadId::Class(class.to_owned())) };
        Ok(AssetKey { class, id: AssetId::new(id)? })
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_ids() {
        for good in ["a", "0", "xj-0412", "b-1001", "a2345678901234567890123456789012"] {
            assert!(AssetId::new(good).is_ok(), "{good}");
        }
        assert_eq!(AssetId::new(""), Err(BadId::Empty));
        assert_eq!(AssetId::new(&"a".repeat(33)), Err(BadId::TooLong { max: 32 }));
        for bad in ["-a", "A", "a_b", "a/b", "a+", "ü", "a b", "a#", "a\0"] {
            assert!(matches!(AssetId::new(bad), Err(BadId::Character { .. })), "{bad}");
        }
    }

    #[test]
    fn an_id_from_outside_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<AssetId>("\"b-1\"").is_ok());
        assert!(serde_json::from_str::<AssetId>("\"b/1\"").is_err());
    }

    #[test]
    fn asset_keys_are_read_as_they_are_written() {
        for class in Class::ALL {
            let key = AssetKey::new(class, AssetId::new("x-1").unwrap());
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!("bay".parse::<AssetKey>(), Err(BadId::Empty));
        assert!(matches!("bus/x".parse::<AssetKey>(), Err(BadId::Class(_))));
    }

    #[test]
    fn categories_are_symbols_and_devices_are_printable() {
        assert!(Category::new("bin_overflow").is_ok());
        assert!(Category::new("_x").is_err());
        assert!(DeviceKey::new("24E124713B000001").is_ok());
        assert!(DeviceKey::new("a/b").is_err());
    }
}
