//! Open311 GeoReport v2, the half that faces the public: what people report, and what they are told of it.
//!
//! Pure functions between the fields of GeoReport v2 and a report (`form`), a public request and its
//! form (`view`), and from JSON to the XML that the standard asks for (`xml`). They know no transport
//! and keep nothing. [`crate::outward`] is the other half: our tickets in a platform's hands.
//!
//! Who somebody is ([`Person`]) never becomes part of a [`Submission`], so no record, message or log of the
//! core can hold it. A request is known to the public by its [`RequestNumber`] alone, which says nothing
//! about the ticket behind it.

mod form;
mod view;
mod xml;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{AssetKey, Category, TicketId};
use crate::place::Position;
use crate::tickets::State;
use crate::time::Utc;

pub use form::{DESCRIPTION_MAX, Draft, Fault, Fields, MEDIA_URL_MAX, Person, query, read};
pub use view::{definition, discovery, errors, receipt, request, services, token};
pub use xml::xml;

/// What the public may report here, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The kinds of problems, in the order in which they are listed.
    pub services: Vec<Category>,
    /// The language of names and notes: `zh` or `en`.
    pub language: String,
    /// Reports from further than this from every asset are not taken, in metres. Without an asset that has
    /// a position there is nothing to measure from.
    pub reach_m: u32,
}

/// The public number of a request: 80 random bits in twenty characters of Crockford's alphabet, in groups
/// of four behind an `r`. It is derived from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestNumber(u128);

/// Crockford's base 32: no letter that is taken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters that carry five bits each.
const DIGITS: u32 = 16;

impl RequestNumber {
    /// The number that the lowest 80 of some random bits make.
    #[must_use]
    pub const fn from_random(bits: u128) -> RequestNumber {
        RequestNumber(bits & ((1 << (5 * DIGITS)) - 1))
    }

    /// Reads a number as people write it: in either case, with or without its hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<RequestNumber> {
        let digits = text.strip_prefix(['r', 'R'])?.bytes().filter(|b| *b != b'-');
        let (mut bits, mut count) = (0u128, 0);
        for digit in digits {
            let value = ALPHABET.iter().position(|known| *known == digit.to_ascii_lowercase())?;
            count += 1;
            if count > DIGITS {
                return None;
            }
            bits = bits << 5 | value as u128;
        }
        (count == DIGITS).then_some(RequestNumber(bits))
    }
}

impl fmt::Display for RequestNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("r")?;
        for place in (0..DIGITS).rev() {
            let digit = (self.0 >> (5 * place)) & 31;
            let digit = usize::try_from(digit).map(|at| ALPHABET[at]).expect("below 32");
            if place % 4 == 3 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(digit))?;
        }
        Ok(())
    }
}

impl Serialize for RequestNumber {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestNumber {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<RequestNumber, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        RequestNumber::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("not a request number: {text:?}")))
    }
}

/// What somebody reports, without who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// By which the public knows it.
    pub number: RequestNumber,
    /// What kind of problem.
    pub category: Category,
    /// At which asset, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetKey>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Position>,
    /// Where, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In their words, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A photo: the hash of what is kept, or where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
}

/// Which requests somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Query {
    /// These; then nothing else counts.
    #[serde(default)]
    pub numbers: Vec<RequestNumber>,
    /// Only of these kinds; none: of all.
    #[serde(default)]
    pub categories: Vec<Category>,
    /// Not before.
    #[serde(default)]
    pub from: Option<Utc>,
    /// Not after.
    #[serde(default)]
    pub to: Option<Utc>,
    /// Only those that are closed, or only those that are not.
    #[serde(default)]
    pub closed: Option<bool>,
}

/// A request that the box knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What was said.
    #[serde(flatten)]
    pub said: Submission,
    /// When.
    pub at: Utc,
    /// The ticket that it belongs to. Not for the public.
    pub ticket: TicketId,
    /// Where that stands; of a ticket that is gone, where it stood last. `None`: nothing is known of it.
    pub standing: Option<Standing>,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The state of its ticket.
    pub state: State,
    /// The sensor does not see it any more.
    pub cleared: bool,
    /// Since when.
    pub updated_at: Utc,
    /// By when it is to be handled.
    pub due: Option<Utc>,
    /// Who is at work on it.
    pub unit: Option<String>,
}

impl Standing {
    /// Whether GeoReport calls it closed: nobody has to do anything more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.state.is_open() || self.state == State::Verified
    }
}

#[cfg(test)]
pub(crate) mod tests;
