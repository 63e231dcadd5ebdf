//! Words for JSON Schema (draft 7), so that a schema reads like what it describes. Pure.

use serde_json::{Map, Value, json};

/// Any text.
pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// A time: RFC 3339, UTC, milliseconds.
pub(super) fn utc() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// Any number.
pub(super) fn number() -> Value {
    json!({"type": "number"})
}

/// A whole number that is not negative.
pub(super) fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A number from 0 to 100.
pub(super) fn percent() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 100})
}

/// True or false.
pub(super) fn truth() -> Value {
    json!({"type": "boolean"})
}

/// An object of any shape.
pub(super) fn anything() -> Value {
    json!({"type": "object"})
}

/// One of these words.
pub(super) fn words<T: serde::Serialize>(words: impl IntoIterator<Item = T>) -> Value {
    let words: Vec<Value> = words.into_iter().map(|word| json!(word)).collect();
    json!({"enum": words})
}

/// This and nothing else.
pub(super) fn only(value: impl Into<Value>) -> Value {
    json!({"const": value.into()})
}

/// `schema`, or null where nobody knows.
pub(super) fn or_null(schema: Value) -> Value {
    object([("anyOf", Value::Array(vec![schema, json!({"type": "null"})]))])
}

/// Any number of these.
pub(super) fn list(schema: Value) -> Value {
    object([("type", "array".into()), ("items", schema)])
}

/// An object whose keys are names, and whose values are all alike.
pub(super) fn map(schema: Value) -> Value {
    object([("type", "object".into()), ("additionalProperties", schema)])
}

fn object<const N: usize>(keys: [(&str, Value); N]) -> Value {
    Value::Object(keys.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
}

/// The fields of an object, with whether each is always there.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, bool, Value)>);

impl Fields {
    /// A field that is always there.
    pub(super) fn with(mut self, name: &str, schema: Value) -> Fields {
        self.0.push((name.to_owned(), true, schema));
        self
    }

    /// A field that may be missing.
    pub(super) fn perhaps(mut self, name: &str, schema: Value) -> Fields {
        self.0.push((name.to_owned(), false, schema));
        self
    }

    /// Fields that are always there and are alike.
    pub(super) fn all(self, names: &str, schema: &Value) -> Fields {
        names.split(' ').fold(self, |fields, name| fields.with(name, schema.clone()))
    }

    /// Fields that may be missing and are alike.
    pub(super) fn some(self, names: &str, schema: &Value) -> Fields {
        names.split(' ').fold(self, |fields, name| fields.perhaps(name, schema.clone()))
    }

    /// These, and those of `more`.
    pub(super) fn and(mut self, more: Fields) -> Fields {
        self.0.extend(more.0);
        self
    }

    /// The object. Whoever reads it ignores fields that he does not know, so others are not forbidden.
    pub(super) fn object(self) -> Value {
        let required: Vec<&str> =
            self.0.iter().filter(|(_, always, _)| *always).map(|(n, ..)| n.as_str()).collect();
        let required = json!(required);
        let properties: Map<String, Value> =
            self.0.into_iter().map(|(name, _, schema)| (name, schema)).collect();
        json!({"type": "object", "required": required, "properties": properties})
    }
}
