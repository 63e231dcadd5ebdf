//! Where something stands: in the topic, in the document, in the item; and what may stand there.

use std::fmt::Write;
use std::str::FromStr;

use serde_json::Value;

use crate::decode::Reason;
use crate::ids::DeviceKey;
use crate::time::Utc;

/// 1990-01-01: before there was anything to read, so the clock was not set.
const DATE_FLOOR: Utc = Utc::from_ms(631_152_000_000);

/// The deepest topic level that can be named.
const LEVEL_MAX: usize = 63;

/// A text that names no place in a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// Not a JSON pointer (RFC 6901).
    #[error("{0:?} is no JSON pointer: it begins with / and has ~ only as ~0 (~) or ~1 (/)")]
    Pointer(String),
    /// Not a level of a topic.
    #[error("{0:?} names no level of a topic; the first is topic:0, the last possible topic:63")]
    Level(String),
    /// A time cannot be taken from a topic.
    #[error("{0:?}: a time stands in the document, not in the topic; a JSON pointer is needed")]
    TimeInTopic(String),
    /// Not a form of a time.
    #[error("{0:?} is no form of a time; there are rfc3339, unix_s and unix_ms")]
    Form(String),
}

/// A JSON pointer (RFC 6901) that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Box<str>);

impl Pointer {
    /// Takes `""` for the whole value, or `/name/0/other`.
    ///
    /// # Errors
    /// The text is no pointer.
    pub(super) fn new(text: &str) -> Result<Pointer, BadPlace> {
        let escapes_fit = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if escapes_fit && (text.is_empty() || text.starts_with('/')) {
            Ok(Pointer(text.into()))
        } else {
            Err(BadPlace::Pointer(text.to_owned()))
        }
    }

    /// What stands there; `null` is nothing.
    #[must_use]
    pub(super) fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.0).filter(|found| !found.is_null())
    }
}

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InDocument {
    /// From the top of the document rather than from the item.
    from_top: bool,
    pointer: Pointer,
}

impl InDocument {
    fn new(text: &str) -> Result<InDocument, BadPlace> {
        let top = text.strip_prefix("document:");
        let pointer = Pointer::new(top.unwrap_or(text))?;
        Ok(InDocument { from_top: top.is_some(), pointer })
    }

    fn get<'a>(&self, document: &'a Value, item: &'a Value) -> Result<&'a Value, Reason> {
        let whole = if self.from_top { document } else { item };
        self.pointer.get(whole).ok_or(Reason::Field)
    }
}

/// What names the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceFrom(From);

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Level(usize),
    Document(InDocument),
}

impl DeviceFrom {
    /// Takes `topic:1`, `/pointer` or `document:/pointer`.
    ///
    /// # Errors
    /// The text is none of them.
    pub(super) fn new(text: &str) -> Result<DeviceFrom, BadPlace> {
        let Some(level) = text.strip_prefix("topic:") else {
            return Ok(DeviceFrom(From::Document(InDocument::new(text)?)));
        };
        match level.parse() {
            Ok(level @ 0..=LEVEL_MAX) => Ok(DeviceFrom(From::Level(level))),
            _ => Err(BadPlace::Level(text.to_owned())),
        }
    }

    /// The device of an item.
    ///
    /// # Errors
    /// [`Reason::Topic`] where the topic has no such level, [`Reason::Field`] where there is no text or
    /// whole number, or none that can name a device.
    pub(super) fn read(
        &self,
        topic: &str,
        document: &Value,
        item: &Value,
    ) -> Result<DeviceKey, Reason> {
        match &self.0 {
            From::Level(level) => {
                device_key(topic.split('/').nth(*level).ok_or(Reason::Topic)?).ok_or(Reason::Topic)
            }
            From::Document(place) => match place.get(document, item)? {
                Value::String(text) => device_key(text).ok_or(Reason::Field),
                Value::Number(number) if !number.is_f64() => {
                    device_key(&number.to_string()).ok_or(Reason::Field)
                }
                _ => Err(Reason::Field),
            },
        }
    }
}

/// A device by any name that people gave it. What a [`DeviceKey`] cannot hold is written as in a URL
/// (RFC 3986): `P01 - Platz` is `P01%20-%20Platz`. No two names become one. `None` for an empty name, or
/// one that is too long.
#[must_use]
pub fn device_key(name: &str) -> Option<DeviceKey> {
    let mut written = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'+' | b'#' | b'/' | b'%') {
            written.push(byte.into());
        } else {
            write!(written, "%{byte:02X}").expect("a string takes everything");
        }
    }
    DeviceKey::new(&written).ok()
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// Text with an offset, `2026-06-04T12:00:03+08:00`.
    Rfc3339,
    /// A number of seconds since 1970, whole or not.
    UnixSeconds,
    /// A number of milliseconds since 1970.
    UnixMillis,
}

impl FromStr for TimeForm {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<TimeForm, BadPlace> {
        match text {
            "rfc3339" => Ok(TimeForm::Rfc3339),
            "unix_s" => Ok(TimeForm::UnixSeconds),
            "unix_ms" => Ok(TimeForm::UnixMillis),
            _ => Err(BadPlace::Form(text.to_owned())),
        }
    }
}

/// What tells when it was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFrom {
    place: InDocument,
    form: TimeForm,
}

impl TimeFrom {
    /// Takes `/pointer` or `document:/pointer`.
    ///
    /// # Errors
    /// The text is neither.
    pub(super) fn new(text: &str, form: TimeForm) -> Result<TimeFrom, BadPlace> {
        if text.starts_with("topic:") {
            return Err(BadPlace::TimeInTopic(text.to_owned()));
        }
        Ok(TimeFrom { place: InDocument::new(text)?, form })
    }

    /// The time of an item.
    ///
    /// # Errors
    /// [`Reason::Field`] where there is none of the declared form, [`Reason::Time`] for one before 1990.
    pub(super) fn read(&self, document: &Value, item: &Value) -> Result<Utc, Reason> {
        let value = self.place.get(document, item)?;
        let number = || value.as_f64().ok_or(Reason::Field);
        let at = match self.form {
            TimeForm::Rfc3339 => {
                let text = value.as_str().ok_or(Reason::Field)?;
                Utc::parse(text).map_err(|_| Reason::Field)?
            }
            // The cast saturates, and so does the time.
            TimeForm::UnixSeconds => Utc::from_ms(libm::round(number()? * 1000.0) as i64),
            TimeForm::UnixMillis => Utc::from_ms(libm::round(number()?) as i64),
        };
        if at < DATE_FLOOR { Err(Reason::Time) } else { Ok(at) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers() {
        let value = json!({ "a": [{ "b/c": 1, "d": null }] });
        let get = |pointer: &str| Pointer::new(pointer).unwrap().get(&value).cloned();
        assert_eq!(get("/a/0/b~1c"), Some(json!(1)));
        assert_eq!(get(""), Some(value.clone()));
        assert_eq!(get("/a/1"), None);
        assert_eq!(get("/a/0/d"), None, "null is nothing");
        for bad in ["a", "a/b", "/a~", "/a~2", "/~x/b"] {
            assert_eq!(Pointer::new(bad), Err(BadPlace::Pointer(bad.to_owned())));
        }
    }

    #[test]
    fn devices() {
        let (document, item) = (json!({ "gateway": "g-1" }), json!({ "id": 629, "name": "KA1" }));
        let read = |from: &str| {
            let device = DeviceFrom::new(from).unwrap().read("bays/1001", &document, &item);
            device.map(|device| device.as_str().to_owned())
        };
        assert_eq!(read("topic:1"), Ok("1001".to_owned()));
        assert_eq!(read("topic:0"), Ok("bays".to_owned()));
        assert_eq!(read("/id"), Ok("629".to_owned()));
        assert_eq!(read("/name"), Ok("KA1".to_owned()));
        assert_eq!(read("document:/gateway"), Ok("g-1".to_owned()));
        assert_eq!(read("topic:2"), Err(Reason::Topic));
        assert_eq!(read("/gateway"), Err(Reason::Field));
        assert_eq!(read(""), Err(Reason::Field));
        for bad in ["topic:", "topic:64", "topic:-1", "topic:x"] {
            assert_eq!(DeviceFrom::new(bad), Err(BadPlace::Level(bad.to_owned())));
        }
        assert!(DeviceFrom::new("id").is_err());
    }

    #[test]
    fn any_name_makes_a_device_and_no_two_the_same() {
        let key = |name| device_key(name).map(|key| key.as_str().to_owned());
        assert_eq!(key("P01 - Platz (R)").unwrap(), "P01%20-%20Platz%20(R)");
        assert_eq!(key("Straße").unwrap(), "Stra%C3%9Fe");
        assert_eq!(key("a/b+c#d").unwrap(), "a%2Fb%2Bc%23d");
        assert_ne!(key("a b"), key("a%20b"));
        assert_eq!(key(""), None);
        assert_eq!(key(&"x".repeat(65)), None);
    }

    #[test]
    fn times_in_their_forms() {
        let noon = Ok(Utc::parse("2026-06-04T04:00:03.120Z").unwrap());
        let read = |form, value| {
            let from = TimeFrom::new("/t", form).unwrap();
            from.read(&Value::Null, &json!({ "t": value }))
        };
        use TimeForm::{Rfc3339, UnixMillis, UnixSeconds};
        assert_eq!(read(Rfc3339, json!("2026-06-04T12:00:03.12+08:00")), noon);
        assert_eq!(read(UnixSeconds, json!(1_780_545_603.12)), noon);
        assert_eq!(read(UnixMillis, json!(1_780_545_603_120_i64)), noon);
        // Without an offset nobody knows which noon it is.
        assert_eq!(read(Rfc3339, json!("2026-06-04T12:00:03")), Err(Reason::Field));
        assert_eq!(read(Rfc3339, json!(1_780_545_603)), Err(Reason::Field));
        assert_eq!(read(UnixSeconds, json!("1780545603")), Err(Reason::Field));
        assert_eq!(read(UnixSeconds, Value::Null), Err(Reason::Field));
        // Seconds where milliseconds were declared.
        assert_eq!(read(UnixMillis, json!(1_780_545_603)), Err(Reason::Time));
        assert_eq!(read(UnixSeconds, json!(-1e300)), Err(Reason::Time));
        assert!(read(UnixSeconds, json!(1e300)).is_ok(), "the engine knows the present");
        assert!(TimeFrom::new("topic:1", Rfc3339).is_err());
        assert!("iso".parse::<TimeForm>().is_err());
    }
}
