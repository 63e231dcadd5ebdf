//! `[[uplink]]`: brokers beside that of `[mqtt]`, each with what it gets and in whose words.

use std::collections::BTreeSet;

use domain::ids::{BoxId, UplinkName};
use domain::output::Lane;
use domain::profile::Profile;

use super::super::fault::did_you_mean;
use super::super::section::{Section, Tree, Value};
use super::super::{Broker, Buffer, Filter, Uplink, defaults, values};
use super::{broker, buffer_size};
use crate::mqtt::topics::valid_filter;
use crate::outbox::Lanes;

/// Each has a store and a connection of its own.
const UPLINKS_MAX: usize = 8;
/// Profiles, as they are written.
const PROFILES: [&str; 5] = ["native", "ngsi-ld", "cds", "open311", "case-record"];

/// Every `[[uplink]]`. `first` is the broker of `[mqtt]`; their buffers stand below that one.
pub(super) fn read<'a>(
    tree: &'a Tree<'a>,
    first: Option<&Broker>,
    box_id: Option<&BoxId>,
    buffer: &Buffer,
) -> Vec<Uplink> {
    let (mut names, mut brokers) = (BTreeSet::new(), BTreeSet::new());
    brokers.extend(first.map(place));
    let mut uplinks = Vec::new();
    for section in tree.list("uplink") {
        let Some(uplink) = uplink(&section, box_id, buffer) else { continue };
        if !names.insert(uplink.name.clone()) {
            let cause = format!("two uplinks are called {}", uplink.name);
            section.report.error(section.at, cause, "give each a name of its own");
        }
        if !brokers.insert(place(&uplink.broker)) {
            let cause = "this broker is connected to already".to_owned();
            let fix = "connect to each broker once: the box has the same client id everywhere";
            section.report.error(section.at, cause, fix);
        }
        if uplinks.len() == UPLINKS_MAX {
            let cause = format!("there are more than {UPLINKS_MAX} uplinks");
            section.report.error(section.at, cause, "remove some");
            break;
        }
        uplinks.push(uplink);
    }
    uplinks
}

/// Where a broker is.
fn place(broker: &Broker) -> (String, u16) {
    (broker.url.host.to_ascii_lowercase(), broker.url.port)
}

fn uplink(section: &Section<'_>, box_id: Option<&BoxId>, buffer: &Buffer) -> Option<Uplink> {
    let name = section.required("name", "\"city\"", values::id(UplinkName::new));
    let filter = Filter {
        lanes: section.or("lanes", Lanes::ALL, lanes),
        topics: section.or("topics", vec!["#".to_owned()], topics),
    };
    let profile = section.or("profile", Profile::Native, profile);
    let district = section.optional("district", district);
    let profile = match (profile, district) {
        (Profile::CaseRecord { .. }, district) => Profile::CaseRecord { district },
        (other, Some(_)) => {
            let cause = format!("\"district\" is of no use where profile = {:?}", other.as_str());
            section.report.error(
                section.at,
                cause,
                "remove it, or write profile = \"case-record\"",
            );
            other
        }
        (other, None) => other,
    };
    let commands = section.or("commands", false, values::boolean);
    let max_size = section.or("max_size", defaults::UPLINK_SIZE, buffer_size);
    let (broker, traffic) = broker::own(section, box_id.map(ToString::to_string))?;
    let name = name?;
    let dir = buffer.dir.join("uplinks").join(name.as_str());
    let buffer = Buffer { dir, max_size, columns: traffic.columns, ..buffer.clone() };
    Some(Uplink { name, broker, traffic, filter, profile, commands, buffer })
}

fn lanes(value: &Value<'_>) -> Option<Lanes> {
    let words = Lane::ALL.map(|lane| (lane.as_str(), lane));
    let items = value.items("\"ticket\", \"event\"")?;
    let found = items.iter().map(values::word(&words)).collect::<Option<Vec<Lane>>>()?;
    if found.is_empty() {
        value.error("an uplink of no lanes gets nothing".to_owned(), "name one, or remove the key");
        return None;
    }
    Some(Lanes::which(|lane| found.contains(&lane)))
}

fn topics(value: &Value<'_>) -> Option<Vec<String>> {
    let items = value.items("\"ticket/#\", \"bay/+/state\"")?;
    if items.is_empty() {
        value
            .error("an uplink of no topics gets nothing".to_owned(), "name one, or remove the key");
        return None;
    }
    let topic = |item: &Value<'_>| {
        let text = item.as_text("a filter such as \"ticket/#\"")?;
        if valid_filter(text) && !text.starts_with('/') {
            return Some(text.to_owned());
        }
        let fix = "write topics as they are below the box's prefix, such as \"bay/+/state\": + stands \
                   for one whole level, # for the last ones";
        item.error(format!("{text:?} is no filter of topics"), fix);
        None
    };
    items.iter().map(topic).collect()
}

fn profile(value: &Value<'_>) -> Option<Profile> {
    let listed = PROFILES.map(|word| format!("{word:?}")).join(", ");
    let text = value.as_text(&format!("one of {listed}"))?;
    let found = match text {
        "native" => Profile::Native,
        "ngsi-ld" => Profile::NgsiLd,
        "cds" => Profile::Cds,
        "open311" => Profile::Open311,
        "case-record" => Profile::CaseRecord { district: None },
        _ => {
            let fix = did_you_mean(text, PROFILES);
            value.error(format!("unknown profile {text:?}"), fix);
            return None;
        }
    };
    Some(found)
}

/// GB/T 2260: six digits.
fn district(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("six digits in double quotes")?;
    if text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(text.to_owned());
    }
    value.error(format!("{text:?} is no administrative division"), "write six digits (GB/T 2260)");
    None
}
