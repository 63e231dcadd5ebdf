//! Readings in columns: the names stand once, and times are counted from the header's. A third of the bytes of
//! readings one by one, and still JSON that a person can read.
//!
//! `{"at_ms":[0,1000,2500],"distance_mm":[812,810,null],"level_pct":[57.3,57.5,57.5]}`: the n-th of every
//! array is the n-th reading; `at_ms` is its time in milliseconds after the header's `at`, and `null` stands for
//! what a reading does not say.

use std::collections::BTreeMap;

use domain::time::Utc;
use serde_json::Value;

/// The key of a reading's time.
const AT: &str = "at";
/// The column of times.
const AT_MS: &str = "at_ms";

/// Readings that are being gathered.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// By name, the values as JSON with commas between.
    columns: BTreeMap<String, Column>,
    rows: usize,
}

#[derive(Debug, Clone, Default)]
struct Column {
    text: Vec<u8>,
    rows: usize,
}

impl Column {
    /// Adds a value as that of row `row`; those before it that are missing are nothing.
    fn put(&mut self, row: usize, value: &Value) {
        while self.rows < row {
            self.add(&Value::Null);
        }
        self.add(value);
    }

    fn add(&mut self, value: &Value) {
        if self.rows > 0 {
            self.text.push(b',');
        }
        serde_json::to_writer(&mut self.text, value).expect("JSON into memory cannot fail");
        self.rows += 1;
    }
}

impl Columns {
    /// Adds a reading; `from` is the header's time.
    pub(super) fn push(&mut self, reading: &Value, from: Utc) {
        let row = self.rows;
        self.rows += 1;
        let Value::Object(fields) = reading else {
            // A number without a name has a column of its own.
            return self.put("value", row, reading);
        };
        for (name, value) in fields {
            let at = value.as_str().filter(|_| name == AT).and_then(|text| Utc::parse(text).ok());
            match at {
                Some(at) => self.put(AT_MS, row, &(at.as_ms() - from.as_ms()).into()),
                None => self.put(name, row, value),
            }
        }
    }

    fn put(&mut self, name: &str, row: usize, value: &Value) {
        match self.columns.get_mut(name) {
            Some(column) => column.put(row, value),
            None => self.columns.entry(name.to_owned()).or_default().put(row, value),
        }
    }

    /// Bytes of all values.
    pub(super) fn bytes(&self) -> usize {
        self.columns.values().map(|column| column.text.len()).sum()
    }

    /// The object of all columns, as long as there are readings.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (n, (name, column)) in self.columns.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            serde_json::to_writer(&mut *out, name).expect("JSON into memory cannot fail");
            out.extend_from_slice(b":[");
            out.extend_from_slice(&column.text);
            for row in column.rows..self.rows {
                out.extend_from_slice(if row > 0 { b",null" } else { b"null" });
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    const FROM: i64 = 1_780_545_600_000;

    fn written(readings: &[Value]) -> Value {
        let mut columns = Columns::default();
        readings.iter().for_each(|reading| columns.push(reading, Utc::from_ms(FROM)));
        let mut text = vec![];
        columns.write(&mut text);
        serde_json::from_slice(&text).unwrap()
    }

    /// What a reader makes of columns: the readings again, without what is null.
    fn rows(columns: &Value, count: usize) -> Vec<Map<String, Value>> {
        let row = |n: usize| {
            let all = columns.as_object().unwrap().iter();
            let told = all.filter_map(|(name, values)| {
                assert_eq!(values.as_array().unwrap().len(), count, "{name}");
                let value = values[n].clone();
                (!value.is_null()).then(|| match name.as_str() {
                    AT_MS => {
                        let at = Utc::from_ms(FROM + value.as_i64().unwrap());
                        (AT.to_owned(), json!(at))
                    }
                    name => (name.to_owned(), value),
                })
            });
            told.collect()
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn names_stand_once_and_times_are_counted() {
        let at = |ms: i64| Utc::from_ms(FROM + ms);
        let found = written(&[
            json!({"at": at(0), "level_pct": 57.3}),
            json!({"at": at(1_000), "level_pct": 57.5, "lid": true}),
            json!({"at": at(-20), "distance_mm": 810}),
            json!(7),
        ]);
        let expected = json!({
            "at_ms": [0, 1000, -20, null], "level_pct": [57.3, 57.5, null, null],
            "lid": [null, true, null, null], "distance_mm": [null, null, 810, null],
            "value": [null, null, null, 7],
        });
        assert_eq!(found, expected);
        assert_eq!(written(&[]), json!({}));
    }

    fn reading() -> impl Strategy<Value = Value> {
        let value =
            prop_oneof![any::<i32>().prop_map(Value::from), any::<bool>().prop_map(Value::from)];
        let fields = proptest::collection::btree_map("[a-d]_mm", value, 0..4);
        (fields, -100_000..100_000_i64).prop_map(|(fields, ms)| {
            let mut map: Map<String, Value> = fields.into_iter().collect();
            map.insert(AT.into(), json!(Utc::from_ms(FROM + ms)));
            Value::Object(map)
        })
    }

    proptest! {
        #[test]
        fn every_reading_can_be_read_again(readings in proptest::collection::vec(reading(), 1..40)) {
            let found = rows(&written(&readings), readings.len());
            let expected: Vec<_> = readings.iter().map(|r| r.as_object().unwrap().clone()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
