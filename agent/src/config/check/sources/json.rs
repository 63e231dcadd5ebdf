//! `mqtt-json`, `http-json`, and what network servers decode themselves: where things stand in JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::decode::json::{Fault, Layout, LayoutText, Mapping, RuleText, Word};
use domain::ids::DeviceKey;
use domain::place::Datum;
use domain::waste::PersonKey;

use super::super::super::section::{Section, Spot, Value};
use super::super::super::{
    Broker, HttpPoll, HttpUrl, HttpWay, JsonBroker, JsonHttp, defaults, values,
};
use super::super::{assets, broker};
use super::{refused, sections, topic_filter};

/// Reads a source of kind `mqtt-json`.
pub(super) fn mqtt(section: &Section<'_>, own: Option<&Broker>) -> Option<JsonBroker> {
    let broker = broker::of_source(section, own);
    let topic = section.required("topic", "\"bays/+\"", topic_filter);
    let layout = section.required("map", "{ quantity = […] }", layout);
    Some(JsonBroker { broker: broker?, topic: topic?, layout: layout? })
}

/// Reads a source of kind `http-json`: with a `url` it asks, without one it is told.
pub(super) fn http(section: &Section<'_>) -> Option<JsonHttp> {
    let token = section.optional("token_file", broker::password);
    let layout = section.required("map", "{ quantity = […] }", layout);
    let every = section.value("every");
    let ca_file = section.value("ca_file");
    let Some(url_value) = section.value("url") else {
        for value in every.iter().chain(&ca_file) {
            let cause = format!("{:?} is of no use where nothing is asked for", value.key);
            value.error(cause, format!("add url = \"https://…\", or remove {}", value.key));
        }
        return Some(JsonHttp { way: HttpWay::Push { token }, layout: layout? });
    };
    let url = url(&url_value);
    let range = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let every = every.map(|value| values::duration(range)(&value));
    let plain = url.as_ref().is_some_and(|url| !url.tls);
    let ca_file = ca_file.and_then(|value| broker::certificates(&value, plain));
    if let Some(url) = &url
        && token.is_some()
        && plain
        && !broker::is_here(&url.host)
    {
        let cause = "the token travels unencrypted".to_owned();
        section.report.warning(section.at, cause, "write https:// in the url");
    }
    let every = every.unwrap_or(Some(defaults::HTTP_EVERY))?;
    let poll = HttpPoll { url: url?, every, token, ca_file };
    Some(JsonHttp { way: HttpWay::Poll(poll), layout: layout? })
}

/// An address that can be asked over HTTP.
pub(super) fn url(value: &Value<'_>) -> Option<HttpUrl> {
    let text = value.as_text("\"https://host/path\"")?;
    let found = parse_url(text);
    if found.is_none() {
        let fix = "write http:// or https://, a host, a port if it is another, and a path";
        value.error(format!("{text:?} is no URL that can be asked"), fix);
    }
    found
}

pub(super) fn parse_url(text: &str) -> Option<HttpUrl> {
    let (tls, rest) = match text.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    if !rest.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'@') {
        return None;
    }
    let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    let (host, port) = broker::host_and_port(authority, if tls { 443 } else { 80 }).ok()?;
    Some(HttpUrl { tls, host, port, path })
}

/// `[source.map]`.
fn layout(value: &Value<'_>) -> Option<Layout> {
    let section = value.as_section("it as a section [source.map]")?;
    let rules = sections(&section, "quantity");
    let texts: Option<Vec<RuleText>> = rules.iter().map(rule).collect();
    let text = |key| section.optional(key, text);
    let layout = LayoutText {
        device: text("device"),
        at: text("at"),
        at_form: text("at_form"),
        each: text("each"),
        datum: section.or("datum", Datum::default(), values::datum),
        quantity: vec![],
    };
    let key_value = section.value("person_key_file");
    let key = key_value.as_ref().and_then(person_key);
    section.finish();
    let layout = LayoutText { quantity: texts?, ..layout };
    let layout = told(&section, &rules, Layout::new(&layout))?;
    match &key_value {
        Some(value) if !layout.reads_persons() => {
            let cause = "\"person_key_file\" is of no use where no \"person\" is read".to_owned();
            value.error(cause, "add a quantity called person, or remove person_key_file");
        }
        None if layout.reads_persons() => {
            let cause = "\"person\" is read and there is no key for its pseudonyms".to_owned();
            let fix = "add person_key_file; until then ids are left out and counted as no_key";
            section.report.warning(section.at, cause, fix);
        }
        _ => {}
    }
    Some(layout.with_person_key(key))
}

/// The key of the pseudonyms of personal ids.
fn person_key(value: &Value<'_>) -> Option<PersonKey> {
    let secret = broker::password(value)?;
    PersonKey::new(secret.reveal().as_bytes())
        .map_err(|short| {
            let fix = "write random characters into the file: openssl rand -hex 32";
            value.error(format!("the key {short}"), fix);
        })
        .ok()
}

/// `[[source.decoded]]` of a network server: devices, and where things stand in what it decodes.
pub(super) fn decoded(section: &Section<'_>) -> BTreeMap<DeviceKey, Mapping> {
    let mut decoded = BTreeMap::new();
    for section in &sections(section, "decoded") {
        let devices = section.required("devices", "[\"24e124713b000001\"]", |value| {
            let items = value.items("\"24e124713b000001\"")?;
            Some(items.iter().filter_map(assets::dev_eui).collect::<Vec<_>>())
        });
        let datum = section.or("datum", Datum::default(), values::datum);
        let rules = sections(section, "quantity");
        let texts: Option<Vec<RuleText>> = rules.iter().map(rule).collect();
        section.finish();
        let Some(texts) = texts else { continue };
        let Some(mapping) = told(section, &rules, Mapping::new(datum, &texts)) else { continue };
        decoded.extend(devices.into_iter().flatten().map(|device| (device, mapping.clone())));
    }
    decoded
}

/// Says what is wrong with a layout or a mapping, each at its place.
fn told<T>(section: &Section<'_>, rules: &[Section<'_>], made: Result<T, Vec<Fault>>) -> Option<T> {
    made.map_err(|faults| {
        for Fault { key, problem } in faults {
            let at = place(section, rules, &key).unwrap_or(section.at);
            refused(section, at, &format!("{key}: {problem}"));
        }
    })
    .ok()
}

/// Where a key such as `at` or `quantity[2].unit` stands.
fn place(section: &Section<'_>, rules: &[Section<'_>], key: &str) -> Option<Spot> {
    let rule = key.strip_prefix("quantity[").and_then(|rest| rest.split_once("]."));
    let (section, key) = match rule {
        Some((number, key)) => (rules.get(number.parse::<usize>().ok()?)?, key),
        None => (section, key),
    };
    let value = section.entries().find(|(known, _)| *known == key);
    Some(value.map_or(section.at, |(_, value)| value.spot()))
}

fn text(value: &Value<'_>) -> Option<String> {
    value.as_text("it in double quotes").map(str::to_owned)
}

/// One `[[…quantity]]`.
fn rule(section: &Section<'_>) -> Option<RuleText> {
    let name = section.required("name", "\"occupied\"", text);
    let pointer = section.required("pointer", "\"/status\"", text);
    let rule = RuleText {
        unit: section.optional("unit", text),
        scale: section.optional("scale", values::real),
        offset: section.optional("offset", values::real),
        values: section.optional("values", words).unwrap_or_default(),
        optional: section.or("optional", false, values::boolean),
        ..RuleText::default()
    };
    section.finish();
    Some(RuleText { name: name?, pointer: pointer?, ..rule })
}

/// `{ Present = true, Unoccupied = false }`.
fn words(value: &Value<'_>) -> Option<BTreeMap<String, Word>> {
    let section = value.as_section("{ Present = true }, words with what they mean")?;
    let words = section.entries().filter_map(|(word, value)| {
        let raw = value.raw();
        let meaning = match (raw.as_bool(), raw.as_str()) {
            (Some(truth), _) => Word::Truth(truth),
            (None, Some(why)) => Word::Why(why.to_owned()),
            (None, None) => Word::Number(values::real(&value)?),
        };
        Some((word.to_owned(), meaning))
    });
    Some(words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let url = |tls, host: &str, port, path: &str| {
            Some(HttpUrl { tls, host: host.to_owned(), port, path: path.to_owned() })
        };
        for (text, expected) in [
            ("http://10.0.0.1", url(false, "10.0.0.1", 80, "/")),
            ("https://a.example:8443/b?c=d", url(true, "a.example", 8443, "/b?c=d")),
            ("https://a.example?c", url(true, "a.example", 443, "/?c")),
            ("http://[::1]:81/x", url(false, "::1", 81, "/x")),
            ("ftp://a", None),
            ("http://", None),
            ("http://a:0/", None),
            ("http://a b/", None),
            ("http://user@a/", None),
            ("http://a/#top", None),
        ] {
            assert_eq!(parse_url(text), expected, "{text}");
        }
    }
}
