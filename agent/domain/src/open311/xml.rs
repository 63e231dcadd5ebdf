//! JSON as the XML of GeoReport: the same names, lists in an element of their own.

use std::fmt::Write;

use serde_json::Value;

/// Writes `value` as a document whose outermost element is `root`; where `value` is a list, each of it is
/// an `item`.
#[must_use]
pub fn xml(root: &str, item: &str, value: &Value) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element(&mut text, root, item, value);
    text.push('\n');
    text
}

fn element(text: &mut String, name: &str, item: &str, value: &Value) {
    let written = match value {
        Value::Null => write!(text, "<{name}/>"),
        Value::Array(list) => {
            text.push_str(&format!("<{name}>"));
            list.iter().for_each(|one| element(text, item, single(item), one));
            write!(text, "</{name}>")
        }
        Value::Object(fields) => {
            text.push_str(&format!("<{name}>"));
            fields.iter().for_each(|(key, field)| element(text, key, single(key), field));
            write!(text, "</{name}>")
        }
        Value::String(words) => write!(text, "<{name}>{}</{name}>", escaped(words)),
        plain => write!(text, "<{name}>{plain}</{name}>"),
    };
    written.expect("a text takes everything");
}

/// What one of a list is called: GeoReport uses the singular.
fn single(name: &str) -> &str {
    name.strip_suffix('s').unwrap_or(name)
}

/// Text that means itself. XML has no way to write most control characters at all: they are left out.
fn escaped(words: &str) -> String {
    let mut safe = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}
