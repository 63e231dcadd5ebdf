//! `[[bay]]`, `[[bin]]`, `[[vehicle]]`, `[[street]]`: what is watched, and what feeds it.

use std::collections::BTreeMap;

use domain::decode::lorawan::Codec;
use domain::ids::{AssetId, AssetKey, Class, DeviceKey, TariffId};
use domain::place::{Datum, Position};
use domain::site::{Asset, Bay, Duty, Feed, Kind, Vehicle, VehicleKind};
use domain::time::Span;
use domain::units::Millimetres;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::super::fault::{Place, did_you_mean};
use super::super::section::{Section, Tree, Value};
use super::super::{defaults, values};
use super::sources::{Naming, Sources, device_name, jt808};
use super::{bins, parking, roads, sweep};

/// Farther from the first asset than this, one of the two positions is wrong.
pub(super) const APART_MAX_M: f64 = 200_000.0;

const VEHICLES: [(&str, VehicleKind); 4] = [
    ("sweeper", VehicleKind::Sweeper),
    ("washer", VehicleKind::Washer),
    ("collector", VehicleKind::Collector),
    ("other", VehicleKind::Other),
];

/// The assets of the configuration.
pub(super) struct Assets {
    /// Those that are right.
    pub(super) assets: BTreeMap<AssetKey, Asset>,
}

impl Assets {
    /// Reads them; local times are those of `zone`.
    pub(super) fn read<'a>(
        tree: &'a Tree<'a>,
        sources: &mut Sources,
        tariffs: &[TariffId],
        zone: &TimeZone,
    ) -> Assets {
        let streets = tree.list("street");
        let mut reading = Reading {
            assets: BTreeMap::new(),
            sources,
            tariffs,
            places: BTreeMap::new(),
            feeds: BTreeMap::new(),
            first: None,
            streets_incomplete: tree.incomplete || streets.iter().any(|section| section.broken),
        };
        for section in &streets {
            reading.asset(section, Class::Street, street);
        }
        for section in &tree.list("plan") {
            roads::read(section, &mut reading.assets, &mut reading.places);
        }
        for section in &tree.list("bay") {
            reading.asset(section, Class::Bay, bay);
        }
        for section in &tree.list("bin") {
            reading.asset(section, Class::Bin, |section| bins::bin(section, zone));
        }
        for section in &tree.list("vehicle") {
            reading.asset(section, Class::Vehicle, vehicle);
        }
        let assets = Assets { assets: reading.assets };
        if !tree.incomplete {
            sources.warn_of_idle(tree);
        }
        assets
    }
}

struct Reading<'s> {
    assets: BTreeMap<AssetKey, Asset>,
    sources: &'s mut Sources,
    tariffs: &'s [TariffId],
    /// Every name that was given, also of assets that are wrong otherwise.
    places: BTreeMap<AssetKey, Place>,
    /// What is fed by each device.
    feeds: BTreeMap<Feed, String>,
    /// The first asset with a position.
    first: Option<(Position, Place)>,
    streets_incomplete: bool,
}

impl Reading<'_> {
    fn asset(
        &mut self,
        section: &Section<'_>,
        class: Class,
        kind: impl Fn(&Section<'_>) -> Option<Kind>,
    ) {
        let key = section.required("id", "\"b-1001\"", |value| self.key(value, class));
        let names = names(section);
        let label = key.as_ref().map_or_else(|| format!("a {class}"), AssetKey::to_string);
        let still = matches!(class, Class::Bay | Class::Bin);
        let (mut position, mut street) = (None, None);
        if still {
            position = section.optional("position", |value| self.position(value));
            street = section.optional("street", |value| self.street(value));
        }
        let mut feeds = Vec::new();
        if class != Class::Street {
            feeds.extend(self.feed(section, &label));
        }
        let mut kind = kind(section);
        if class == Class::Bay {
            feeds.extend(self.other_feeds(section, &label));
            let tariff = section.optional("tariff", |value| self.tariff(value));
            if let Some(Kind::Bay(bay)) = &mut kind {
                bay.policy.tariff = tariff;
            }
        }
        section.finish();
        if let (Some(key), Some(kind)) = (key, kind) {
            self.assets.insert(key, Asset { names, position, street, feeds, kind });
        }
    }

    /// A name that no other asset of the class has.
    fn key(&mut self, value: &Value<'_>, class: Class) -> Option<AssetKey> {
        let key = AssetKey::new(class, values::id(AssetId::new)(value)?);
        if let Some(first) = self.places.get(&key) {
            let cause = format!("there are two assets called {key}; first at {first}");
            value.error(cause, "give each its own id");
            return None;
        }
        self.places.insert(key.clone(), value.place());
        Some(key)
    }

    fn position(&mut self, value: &Value<'_>) -> Option<Position> {
        let position = values::position(value)?;
        match &self.first {
            None => self.first = Some((position, value.place())),
            Some((first, place)) => {
                let apart = first.distance_m(position).filter(|metres| *metres > APART_MAX_M);
                if let Some(metres) = apart {
                    let km = metres / 1000.0;
                    let cause = format!("this is {km:.0} km from the position at {place}");
                    value.warning(cause, "check both; are lat and lon swapped in one of them?");
                }
            }
        }
        Some(position)
    }

    fn street(&self, value: &Value<'_>) -> Option<AssetId> {
        let id = values::id(AssetId::new)(value)?;
        let streets = self.places.keys().filter(|key| key.class == Class::Street);
        let known = streets.map(|key| key.id.as_str());
        if known.clone().any(|street| street == id.as_str()) {
            return Some(id);
        }
        if !self.streets_incomplete {
            value.error(format!("no street is called {id}"), did_you_mean(id.as_str(), known));
        }
        None
    }

    fn tariff(&self, value: &Value<'_>) -> Option<TariffId> {
        let id = values::id(TariffId::new)(value)?;
        if self.tariffs.contains(&id) {
            return Some(id);
        }
        let known = self.tariffs.iter().map(TariffId::as_str);
        value.error(format!("no tariff is called {id}"), did_you_mean(id.as_str(), known));
        None
    }

    /// The bay's other sensors: the first one has the last word.
    fn other_feeds(&mut self, section: &Section<'_>, label: &str) -> Vec<Feed> {
        let Some(value) = section.value("also") else { return vec![] };
        let mut feeds = vec![];
        for item in value.items("{ source = \"lns\", device = \"…\" }").unwrap_or_default() {
            let Some(section) = item.as_section("{ source = \"lns\", device = \"…\" }") else {
                continue;
            };
            feeds.extend(self.feed(&section, label));
            section.finish();
        }
        feeds
    }

    fn feed(&mut self, section: &Section<'_>, label: &str) -> Option<Feed> {
        let source = section.required("source", "\"gnss\"", |value| self.sources.find(value));
        let (source, naming) = source.map_or((None, None), |(name, naming)| (Some(name), naming));
        let device = device(section, naming.as_ref());
        let codec = section.optional("codec", |value| codec(value, naming.as_ref()));
        let source = source?;
        self.sources.feed(&source, device.as_ref(), codec);
        let feed = Feed { source, device };
        if let Some(other) = self.feeds.insert(feed.clone(), label.to_owned()) {
            let from = match &feed.device {
                Some(device) => format!("device {device} of source {}", feed.source),
                None => format!("source {}", feed.source),
            };
            // A device that is missing is a fault of its own.
            if feed.device.is_some() || naming == Some(Naming::One) {
                let spot = section.value("device").or_else(|| section.value("source"));
                let spot = spot.map_or(section.at, |value| value.spot());
                let cause = format!("{from} feeds both {other} and {label}");
                section.report.error(spot, cause, "one device belongs to one asset");
            }
        }
        Some(feed)
    }
}

/// `name`, or `names` by language.
pub(super) fn names(section: &Section<'_>) -> BTreeMap<String, String> {
    let name = section.optional("name", values::name);
    let names = section.optional("names", |value| {
        let section = value.as_section("{ zh = \"…\", en = \"…\" }")?;
        let names = section.entries().filter_map(|(language, value)| named(language, &value));
        Some(names.collect::<BTreeMap<_, _>>())
    });
    if let (Some(_), Some(_), Some(value)) = (&name, &names, section.value("name")) {
        value.error("both name and names are given".to_owned(), "keep one of the two");
    }
    names.unwrap_or_default().into_iter().chain(name.map(by_language)).collect()
}

/// A name with its language: people write the name of a place in the language of the place.
pub(super) fn by_language(name: String) -> (String, String) {
    let language = if name.chars().any(is_han) { "zh" } else { "en" };
    (language.to_owned(), name)
}

fn named(language: &str, value: &Value<'_>) -> Option<(String, String)> {
    let tag = |part: &str| {
        (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !language.split('-').all(tag) {
        value.error(format!("{language:?} is no language"), "write zh, en or another language tag");
        return None;
    }
    Some((language.to_owned(), values::name(value)?))
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// How the source names the device; `None` where it is one device itself.
fn device(section: &Section<'_>, naming: Option<&Naming>) -> Option<DeviceKey> {
    let Some(naming) = naming else {
        // What it must look like is the source's; that it is a known key is certain.
        let _ = section.value("device");
        return None;
    };
    match naming {
        Naming::Node => section.required("device", "17", node),
        Naming::DevEui => section.required("device", "\"24e124713b000001\"", dev_eui),
        Naming::Phone => section.required("device", "\"13912345678\"", jt808::phone),
        Naming::Text => section.required("device", "\"1001\"", device_name),
        Naming::Listed(names) => section.required("device", "\"well-3\"", |value| {
            let name = device_name(value)?;
            if names.contains(&name) {
                return Some(name);
            }
            let known = names.iter().map(DeviceKey::as_str);
            let fix = did_you_mean(name.as_str(), known);
            value.error(format!("the source has no device {name}"), fix);
            None
        }),
        Naming::One => {
            if let Some(value) = section.value("device") {
                let cause = "the source is one device: it has no others".to_owned();
                value.error(cause, "remove device");
            }
            None
        }
    }
}

/// The number of a battery node. The last number means all of them.
fn node(value: &Value<'_>) -> Option<DeviceKey> {
    let number = match value.raw() {
        DeValue::Integer(n) => u32::from_str_radix(n.as_str(), n.radix()).ok(),
        DeValue::String(text) => text.parse().ok(),
        _ => None,
    };
    let Some(number) = number.filter(|number| *number < u32::MAX) else {
        let fix = "write the number on the node, 0 to 4294967294";
        value.error(format!("{:?} is no number of a node", value.key), fix);
        return None;
    };
    DeviceKey::new(&number.to_string()).ok()
}

/// A DevEUI, as network servers write it: in small letters.
pub(super) fn dev_eui(value: &Value<'_>) -> Option<DeviceKey> {
    let text = value.as_text("the DevEUI in double quotes, such as \"24e124713b000001\"")?;
    let plain = text.replace(['-', ':', ' '], "").to_ascii_lowercase();
    if plain.len() != 16 || !plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        value.error(format!("{text:?} is no DevEUI"), "write its 16 hexadecimal digits");
        return None;
    }
    DeviceKey::new(&plain).ok()
}

fn codec(value: &Value<'_>, naming: Option<&Naming>) -> Option<Codec> {
    if naming.is_some_and(|naming| *naming != Naming::DevEui) {
        let cause = "only devices of a network server have a codec".to_owned();
        value.error(cause, "remove codec");
        return None;
    }
    let text = value.as_text("a codec such as \"milesight/em400\"")?;
    let found = text.parse::<Codec>().ok();
    if found.is_none() {
        let known: Vec<_> = Codec::ALL.iter().map(|codec| codec.as_str()).collect();
        value.error(format!("unknown codec {text:?}"), did_you_mean(text, known));
    }
    found
}

/// From a minute to two months: what is silent for longer is not installed.
pub(super) fn stale_after(section: &Section<'_>, default: Span) -> Span {
    let range = Span::from_secs(1)..=Span::from_mins(60 * 24 * 60);
    section.or("stale_after", default, values::span(range))
}

fn bay(section: &Section<'_>) -> Option<Kind> {
    let day = Span::from_mins(24 * 60);
    let settle = || values::span(Span::ZERO..=Span::from_mins(60));
    let stay = values::span(Span::from_secs(1)..=day.saturating_mul(366));
    Some(Kind::Bay(Bay {
        max_stay: section.optional("max_stay", stay),
        occupied_after: section.or("occupied_after", defaults::OCCUPIED_AFTER, settle()),
        free_after: section.or("free_after", defaults::FREE_AFTER, settle()),
        stale_after: stale_after(section, defaults::SENSOR_STALE_AFTER),
        policy: parking::policy(section)?,
    }))
}

fn vehicle(section: &Section<'_>) -> Option<Kind> {
    let kind = section.required("kind", "\"sweeper\"", values::word(&VEHICLES));
    let parked = values::span(Span::from_secs(1)..=Span::from_mins(24 * 60));
    let work_speed_max = section.or("work_speed_max", defaults::WORK_SPEED_MAX, values::speed);
    let parked_after = section.or("parked_after", defaults::PARKED_AFTER, parked);
    let stale_after = stale_after(section, defaults::VEHICLE_STALE_AFTER);
    let shift = values::span(Span::from_mins(1)..=Span::from_mins(48 * 60));
    let error = values::integer(1000..=100_000_u32);
    let duty = Duty {
        track_error: Millimetres(section.or("track_error_mm", Duty::NONE.track_error.0, error)),
        raw_fixes: section.or("raw_fixes", Duty::NONE.raw_fixes, values::boolean),
        shift_ends_after: section.or("shift_ends_after", Duty::NONE.shift_ends_after, shift),
        ..Duty::NONE
    };
    Some(Kind::Vehicle(Vehicle { kind: kind?, work_speed_max, parked_after, stale_after, duty }))
}

fn street(section: &Section<'_>) -> Option<Kind> {
    let datum = section.or("datum", Datum::default(), values::datum);
    let example = "[[119.974, 31.811], [119.975, 31.812]]";
    let line = section.required("line", example, |value| values::line(value, datum));
    let sweep = section.optional("sweep", sweep::read);
    Some(Kind::Street { line: line?, sweep })
}
