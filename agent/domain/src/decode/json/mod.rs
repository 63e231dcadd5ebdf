//! JSON of any shape, told by configuration where things stand in it: messages over MQTT, answers of
//! an HTTP interface, one bay a message or a whole city a document.
//!
//! Responsible for the way from a document to [`Sample`]s by a [`Layout`]; what stands inside one item
//! is read by its [`Mapping`], which the LoRaWAN sources share for objects that the network server has
//! already decoded. Never makes up a value, a device or a time:
//!
//! * a value that cannot be read is counted and left out, the rest of its item stands;
//! * an item whose device or declared time cannot be read, or that holds nothing, is counted and left
//!   out, the other items stand. A state without its time is not dated to now: a poll repeats what it
//!   knew for days;
//! * a document that is no JSON, too long or not of the declared shape is refused as a whole.

mod custody;
mod mapping;
mod place;
mod rule;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::SourceName;
use crate::place::Datum;
use crate::sample::Sample;
use crate::time::Utc;
use crate::waste::PersonKey;

pub use mapping::{Mapping, Read};
pub use place::{BadPlace, device_key};
pub use rule::{BadRule, Name, RuleText, Word};

use place::{DeviceFrom, Pointer, TimeForm, TimeFrom};
use rule::Rule;

/// The longest document that is read: five times the poll of a large city (3,000 bays). Its nesting is
/// bounded by the JSON reader, to 128.
pub const DOCUMENT_MAX: usize = 2 * 1024 * 1024;

/// The most items of one document that are read. The others are counted as [`Reason::TooLong`].
pub const ITEMS_MAX: usize = 20_000;

/// What the configuration says of the documents of a source, as it is written.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutText {
    /// What names the device: `topic:1` (that level of the topic, the first is 0), a JSON pointer into
    /// the item (`/id`), or one into the document (`document:/gateway`). Without it, the source is one
    /// device.
    pub device: Option<String>,
    /// JSON pointer to when it was measured, into the item, or `document:` and one into the document.
    pub at: Option<String>,
    /// How it is written: `rfc3339` (the default), `unix_s` or `unix_ms`.
    pub at_form: Option<String>,
    /// JSON pointer to an array whose elements are the items; empty for a document that is the array.
    /// Without it the document is the item.
    pub each: Option<String>,
    /// The datum of positions; WGS84 where it is not said.
    #[serde(default)]
    pub datum: Datum,
    /// The quantities of an item.
    #[serde(default)]
    pub quantity: Vec<RuleText>,
}

/// Something in the configuration of a layout or mapping that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Fault {
    /// Where, from the section on: `device`, `quantity[2].unit`.
    pub key: String,
    /// What, and what would be right.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A place in a document.
    #[error(transparent)]
    Place(#[from] BadPlace),
    /// A quantity.
    #[error(transparent)]
    Rule(#[from] BadRule),
    /// Nothing to read.
    #[error("is empty; at least one quantity is needed")]
    Empty,
    /// A quantity that is there already.
    #[error("{0:?} is there twice; a sample holds each quantity once")]
    Twice(&'static str),
    /// Half a position.
    #[error("{0:?} needs a latitude and a longitude beside it")]
    HalfPosition(&'static str),
}

/// Where things stand in the documents of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    device: Option<DeviceFrom>,
    at: Option<TimeFrom>,
    each: Option<Pointer>,
    mapping: Mapping,
}

impl Layout {
    /// Checks what the configuration says.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(text: &LayoutText) -> Result<Layout, Vec<Fault>> {
        let mut faults = Vec::new();
        let device = text.device.as_deref().map(DeviceFrom::new);
        let device = note(&mut faults, "device", device);
        let form = note(&mut faults, "at_form", text.at_form.as_deref().map(str::parse));
        let form = form.unwrap_or(TimeForm::Rfc3339);
        let at = text.at.as_deref().map(|at| TimeFrom::new(at, form));
        let at = note(&mut faults, "at", at);
        let each = note(&mut faults, "each", text.each.as_deref().map(Pointer::new));
        match Mapping::new(text.datum, &text.quantity) {
            Ok(mapping) if faults.is_empty() => Ok(Layout { device, at, each, mapping }),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    /// With the key that makes pseudonyms of personal ids. Without one they are left out, and counted as
    /// [`Reason::NoKey`]; the rest of their items stands.
    #[must_use]
    pub fn with_person_key(self, key: Option<PersonKey>) -> Layout {
        Layout { mapping: self.mapping.with_person_key(key), ..self }
    }

    /// Whether it reads personal ids, so that it needs a key.
    #[must_use]
    pub fn reads_persons(&self) -> bool {
        self.mapping.reads_persons()
    }

    /// Whether it reads personal ids and has the key that makes pseudonyms of them.
    #[must_use]
    pub fn keeps_persons(&self) -> bool {
        self.mapping.keeps_persons()
    }

    /// Whether the documents name devices; if not, the source is one device.
    #[must_use]
    pub const fn names_devices(&self) -> bool {
        self.device.is_some()
    }
}

/// The value where it is right; a fault where it is not.
fn note<T>(faults: &mut Vec<Fault>, key: &str, checked: Option<Result<T, BadPlace>>) -> Option<T> {
    checked.transpose().unwrap_or_else(|bad| {
        faults.push(Fault { key: key.to_owned(), problem: bad.into() });
        None
    })
}

/// Decodes the documents of one source.
#[derive(Debug, Clone)]
pub struct JsonMap {
    source: SourceName,
    layout: Layout,
    tally: Tally,
}

impl JsonMap {
    /// A decoder for the documents that arrive by `source`. An answer over HTTP is fed as a message
    /// with the path as its topic. Which devices belong to an asset is not decided here.
    #[must_use]
    pub fn new(source: SourceName, layout: Layout) -> JsonMap {
        JsonMap { source, layout, tally: Tally::default() }
    }

    fn document(
        &mut self,
        topic: &str,
        payload: &[u8],
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        if payload.len() > DOCUMENT_MAX {
            return Err(Reason::TooLong);
        }
        let document: Value = serde_json::from_slice(payload).map_err(|_| Reason::Json)?;
        let items = match &self.layout.each {
            None => std::slice::from_ref(&document),
            Some(each) => {
                let items = each.get(&document).and_then(Value::as_array);
                items.ok_or(Reason::Field)?.as_slice()
            }
        };
        self.tally.frames += 1;
        for (read, item) in items.iter().enumerate() {
            let taken = match read < ITEMS_MAX {
                true => self.item(topic, &document, item),
                false => Err(Reason::TooLong),
            };
            match taken {
                Ok(sample) => {
                    self.tally.sample(sample.at);
                    samples.push(sample);
                }
                Err(reason) => self.tally.reject(reason),
            }
        }
        Ok(())
    }

    fn item(&mut self, topic: &str, document: &Value, item: &Value) -> Result<Sample, Reason> {
        let layout = &self.layout;
        let device = layout.device.as_ref().map(|from| from.read(topic, document, item));
        let at = layout.at.as_ref().map(|from| from.read(document, item));
        let (device, at) = (device.transpose()?, at.transpose()?);
        let Read { quantities, refused } = layout.mapping.read(item);
        if quantities.is_empty() {
            return Err(refused.first().copied().unwrap_or(Reason::Field));
        }
        for reason in refused {
            self.tally.reject(reason);
        }
        Ok(Sample { source: self.source.clone(), device, counter: None, at, quantities })
    }
}

impl Decode for JsonMap {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        let (size, taken) = match raw {
            Raw::Mqtt { topic, payload } => (payload.len(), self.document(topic, payload, samples)),
            Raw::Bytes(bytes) => (bytes.len(), Err(Reason::Malformed)),
        };
        self.tally.bytes += size as u64;
        if let Err(reason) = taken {
            self.tally.reject(reason);
        }
    }

    /// Documents arrive whole: nothing is held back.
    fn finish(&mut self, _samples: &mut Vec<Sample>) {}

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests;
