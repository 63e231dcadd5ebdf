//! `[[source]]`: every way in. What is more than a line or a server has a file of its own.

#[cfg(feature = "vision")]
mod camera;
mod can;
mod json;
pub(super) mod jt808;
mod local;
mod modbus;
mod nodes;
mod scale;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domain::decode::json::device_key;
use domain::decode::lorawan::Codec;
use domain::decode::measure::UnknownWord;
use domain::ids::{DeviceKey, SourceName};
#[cfg(feature = "vision")]
use domain::{ids::AssetKey, sightings::Subject, site::Asset};
use toml::de::DeValue;

use super::super::fault::{Place, did_you_mean, nearest};
use super::super::section::{Section, Spot, Tree, Value};
use super::super::{
    Broker, GpsdServer, HttpUrl, HttpWay, NetworkServer, Parity, Serial, Source, SourceKind,
    defaults, values,
};
use super::broker;

/// An address that can be asked over HTTP, otherwise what to write.
pub(crate) fn http_url(text: &str) -> Result<HttpUrl, String> {
    json::parse_url(text).ok_or_else(|| {
        format!(
            "{text:?} is no URL that can be asked; write http:// or https://, a host and a path"
        )
    })
}

/// The kinds there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    NodeLink,
    Gnss,
    Gpsd,
    ChirpStack,
    Ttn,
    MqttJson,
    HttpJson,
    Jt808,
    ModbusRtu,
    ModbusTcp,
    Can,
    Local,
    #[cfg(feature = "vision")]
    Camera,
}

/// How a source names its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// It is one device itself, so that assets name none.
    One,
    /// By the numbers of battery nodes.
    Node,
    /// By DevEUIs; its devices have codecs.
    DevEui,
    /// By phone numbers.
    Phone,
    /// By any text.
    Text,
    /// By names of its own, and by no others.
    Listed(BTreeSet<DeviceKey>),
}

impl Naming {
    /// How a source of this kind does it.
    fn of(kind: &SourceKind) -> Naming {
        match kind {
            SourceKind::NodeLink(_) => Naming::Node,
            SourceKind::Gnss(_) | SourceKind::Gpsd(_) | SourceKind::Can(_) => Naming::One,
            SourceKind::ChirpStack(_) | SourceKind::ThingsStack(_) => Naming::DevEui,
            SourceKind::MqttJson(feed) => Naming::of_layout(feed.layout.names_devices()),
            SourceKind::HttpJson(feed) => Naming::of_layout(feed.layout.names_devices()),
            SourceKind::Jt808(_) => Naming::Phone,
            SourceKind::Modbus(modbus) => {
                Naming::Listed(modbus.stations.iter().map(|s| s.device.clone()).collect())
            }
            SourceKind::Local(chips) => {
                Naming::Listed(chips.chips.iter().map(|c| c.device.clone()).collect())
            }
            #[cfg(feature = "vision")]
            SourceKind::Camera(camera) => {
                let bays = camera.zones.iter().filter(|zone| zone.problem.is_none());
                Naming::Listed(bays.map(|zone| zone.name.clone()).collect())
            }
        }
    }

    const fn of_layout(names_devices: bool) -> Naming {
        if names_devices { Naming::Text } else { Naming::One }
    }
}

/// The kinds that are built in, by their words. What a receiver speaks is told from its bytes, whichever
/// of its three words was used.
const BUILT_IN: &[(&str, Tag)] = &[
    ("node-link", Tag::NodeLink),
    ("gnss", Tag::Gnss),
    ("nmea", Tag::Gnss),
    ("ubx", Tag::Gnss),
    ("gpsd", Tag::Gpsd),
    ("chirpstack", Tag::ChirpStack),
    ("ttn", Tag::Ttn),
    ("mqtt-json", Tag::MqttJson),
    ("http-json", Tag::HttpJson),
    ("jt808", Tag::Jt808),
    ("modbus-rtu", Tag::ModbusRtu),
    ("modbus-tcp", Tag::ModbusTcp),
    ("can", Tag::Can),
    ("local", Tag::Local),
    #[cfg(feature = "vision")]
    ("camera", Tag::Camera),
];

/// The kinds that have their place in the configuration and are not built in.
const LATER: &[&str] = if cfg!(feature = "vision") { &[] } else { &["camera"] };

/// The sources of the configuration.
pub(super) struct Sources {
    /// Those that are right.
    pub(super) built: Vec<Source>,
    /// All that have a name, also those that are wrong otherwise.
    known: BTreeMap<SourceName, Known>,
    /// Whether there may be more than were read.
    incomplete: bool,
    /// Whether an asset named one that is not there: it may have meant any of them.
    missed: bool,
    /// How many sections there are.
    count: usize,
}

struct Known {
    /// `None` where the source is wrong otherwise.
    naming: Option<Naming>,
    at: Spot,
    place: Place,
    fed: usize,
}

impl Sources {
    pub(super) fn read<'a>(tree: &'a Tree<'a>, own: Option<&Broker>) -> Sources {
        let sections = tree.list("source");
        let mut sources = Sources {
            built: Vec::new(),
            known: BTreeMap::new(),
            incomplete: tree.incomplete || sections.iter().any(|section| section.broken),
            missed: false,
            count: sections.len(),
        };
        let mut devices = BTreeMap::new();
        for section in &sections {
            sources.take(section, own, &mut devices);
        }
        sources
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn take(
        &mut self,
        section: &Section<'_>,
        own: Option<&Broker>,
        devices: &mut BTreeMap<PathBuf, Place>,
    ) {
        let name = section.required("name", "\"gnss\"", |value| self.name(value));
        // A kind is known or not; what it needs is asked only when it is.
        let tag = section.required("kind", "\"nmea\"", kind);
        if let Some(name) = &name {
            let (at, place) = (section.at, section.report.place(section.at));
            self.known.insert(name.clone(), Known { naming: None, at, place, fed: 0 });
        }
        let Some(tag) = tag else { return };
        let kind = read(tag, section, own, devices);
        section.finish();
        #[cfg(feature = "vision")]
        if let (Tag::Camera, Some(known)) = (tag, name.as_ref().and_then(|n| self.known.get_mut(n)))
        {
            // What a wrong camera would find is not known.
            known.fed += usize::from(kind.is_none());
        }
        let (Some(name), Some(kind)) = (name, kind) else { return };
        if let Some(known) = self.known.get_mut(&name) {
            known.naming = Some(Naming::of(&kind));
            known.fed += finds(&kind);
        }
        self.built.push(Source { name, kind });
    }

    /// A name that no other source has.
    fn name(&self, value: &Value<'_>) -> Option<SourceName> {
        let name = values::id(SourceName::new)(value)?;
        if let Some(first) = self.known.get(&name) {
            let cause = format!("there are two sources called {name}; first at {}", first.place);
            value.error(cause, "give each its own name");
            return None;
        }
        Some(name)
    }

    /// A source that an asset names; `None`, and a fault, when there is none.
    pub(super) fn find(&mut self, value: &Value<'_>) -> Option<(SourceName, Option<Naming>)> {
        let name = values::id(SourceName::new)(value)?;
        match self.known.get(&name) {
            Some(known) => Some((name, known.naming.clone())),
            None => {
                self.missed = true;
                if !self.incomplete {
                    let known = self.known.keys().map(SourceName::as_str);
                    value.error(
                        format!("no source is called {name}"),
                        did_you_mean(name.as_str(), known),
                    );
                }
                None
            }
        }
    }

    /// Notes that `device` of a source feeds an asset, with the codec that is pinned to it.
    pub(super) fn feed(
        &mut self,
        name: &SourceName,
        device: Option<&DeviceKey>,
        codec: Option<Codec>,
    ) {
        if let Some(known) = self.known.get_mut(name) {
            known.fed += 1;
        }
        let Some(device) = device else { return };
        for source in self.built.iter_mut().filter(|source| source.name == *name) {
            match &mut source.kind {
                SourceKind::ChirpStack(server) | SourceKind::ThingsStack(server) => {
                    server.devices.insert(device.clone(), codec);
                }
                SourceKind::Jt808(platform) => {
                    platform.known.insert(device.clone());
                }
                _ => {}
            }
        }
    }

    /// Whether documents are sent to the box's own web server, and to which source.
    pub(super) fn pushed(&self) -> Option<&SourceName> {
        let is_pushed = |source: &&Source| matches!(&source.kind, SourceKind::HttpJson(feed) if matches!(feed.way, HttpWay::Push { .. }));
        self.built.iter().find(is_pushed).map(|source| &source.name)
    }

    /// Assets that zones of cameras are about, and that are not there.
    #[cfg(feature = "vision")]
    pub(super) fn check_about(&self, tree: &Tree<'_>, assets: &BTreeMap<AssetKey, Asset>) {
        for source in &self.built {
            let SourceKind::Camera(camera) = &source.kind else { continue };
            for zone in &camera.zones {
                let Some(Subject::Asset(key)) = zone.problem.as_ref().map(|p| &p.subject) else {
                    continue;
                };
                if tree.incomplete || assets.contains_key(key) {
                    continue;
                }
                let known: Vec<_> = assets.keys().map(ToString::to_string).collect();
                let cause = format!(
                    "the zone {} of {} is about {key}, which is not there",
                    zone.name, source.name
                );
                let fix = did_you_mean(&key.to_string(), known.iter().map(String::as_str));
                tree.report.error(self.known[&source.name].at, cause, fix);
            }
        }
    }

    /// Sources that feed nothing are most likely named wrongly by their assets.
    pub(super) fn warn_of_idle(&self, tree: &Tree<'_>) {
        if self.missed || self.incomplete {
            return;
        }
        for (name, known) in self.known.iter().filter(|(_, known)| known.fed == 0) {
            let cause = format!("the source {name} feeds nothing");
            let fix =
                format!("name it in an asset with source = {:?}, or remove it", name.as_str());
            tree.report.warning(known.at, cause, fix);
        }
    }
}

/// How much a source does besides feeding assets.
fn finds(kind: &SourceKind) -> usize {
    match kind {
        #[cfg(feature = "vision")]
        SourceKind::Camera(camera) => camera.zones.iter().filter(|z| z.problem.is_some()).count(),
        _ => 0,
    }
}

/// What a source of the kind must know.
fn read(
    tag: Tag,
    section: &Section<'_>,
    own: Option<&Broker>,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<SourceKind> {
    Some(match tag {
        Tag::NodeLink => SourceKind::NodeLink(nodes::line(section, devices)?),
        Tag::Gnss => SourceKind::Gnss(serial(section, defaults::GNSS_BAUD, devices)?),
        Tag::Gpsd => SourceKind::Gpsd(gpsd(section)?),
        Tag::ChirpStack => {
            SourceKind::ChirpStack(network_server(section, own, defaults::CHIRPSTACK_TOPIC)?)
        }
        Tag::Ttn => SourceKind::ThingsStack(network_server(section, own, defaults::TTN_TOPIC)?),
        Tag::MqttJson => SourceKind::MqttJson(json::mqtt(section, own)?),
        Tag::HttpJson => SourceKind::HttpJson(json::http(section)?),
        Tag::Jt808 => SourceKind::Jt808(jt808::platform(section)?),
        Tag::ModbusRtu => SourceKind::Modbus(modbus::line(section, devices)?),
        Tag::ModbusTcp => SourceKind::Modbus(modbus::tcp(section)?),
        Tag::Can => SourceKind::Can(can::bus(section)?),
        Tag::Local => SourceKind::Local(local::chips(section, devices)?),
        #[cfg(feature = "vision")]
        Tag::Camera => SourceKind::Camera(Box::new(camera::camera(section)?)),
    })
}

fn kind(value: &Value<'_>) -> Option<Tag> {
    let built_in = BUILT_IN.iter().map(|(word, _)| *word);
    let listed = built_in.clone().collect::<Vec<_>>().join(", ");
    let text = value.as_text(&format!("one of {listed}"))?;
    if let Some((_, tag)) = BUILT_IN.iter().find(|(word, _)| *word == text) {
        return Some(*tag);
    }
    if LATER.contains(&text) {
        let cause = format!("kind {text:?} is not built into this version; built in are {listed}");
        value.error(cause, "use one of these, or a version that has it");
    } else {
        let fix = match nearest(text, built_in.chain(LATER.iter().copied())) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("built in are {listed}"),
        };
        value.error(format!("unknown kind {text:?} of source"), fix);
    }
    None
}

fn serial(
    section: &Section<'_>,
    baud: u32,
    devices: &mut BTreeMap<PathBuf, Place>,
) -> Option<Serial> {
    let device = section.required("device", "\"/dev/ttyAMA0\"", |value| tty(value, devices));
    let baud = section.or("baud", baud, values::integer(300..=4_000_000_u32));
    Some(Serial { device: device?, baud, parity: Parity::None })
}

/// A tty that nothing else reads.
fn tty(value: &Value<'_>, devices: &mut BTreeMap<PathBuf, Place>) -> Option<PathBuf> {
    let path = values::path(value)?;
    if let Some(first) = devices.get(&path) {
        let cause = format!("{} is read by two sources; first at {first}", path.display());
        value.error(cause, "one device belongs to one source");
        return None;
    }
    devices.insert(path.clone(), value.place());
    Some(path)
}

/// The sections `[[source.key]]` inside a source.
fn sections<'a>(section: &'a Section<'_>, key: &'static str) -> Vec<Section<'a>> {
    let Some(value) = section.value(key) else { return vec![] };
    let items = value.items("{ … }").unwrap_or_default();
    items.iter().filter_map(|item| item.as_section("it as a section of its own")).collect()
}

/// A word that a type of the core reads.
fn parsed<T: std::str::FromStr<Err = UnknownWord>>(value: &Value<'_>) -> Option<T> {
    let text = value.as_text("one of its words in double quotes")?;
    text.parse()
        .map_err(|unknown: UnknownWord| {
            let fix = did_you_mean(text, unknown.known.iter().copied());
            value.error(format!("{text:?} is no {}", unknown.what), fix);
        })
        .ok()
}

/// Says what a type of the core says: the cause, and after a semicolon what to do.
fn refused(section: &Section<'_>, at: Spot, said: &str) {
    let (cause, fix) = said.split_once("; ").unwrap_or((said, "correct it"));
    section.report.error(at, format!("{}: {cause}", section.title), fix);
}

/// A name of a device, as people give it.
pub(super) fn device_name(value: &Value<'_>) -> Option<DeviceKey> {
    let text = match value.raw() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        _ => value.as_text("the name of the device in double quotes")?,
    };
    let name = device_key(text);
    if name.is_none() {
        value.error(format!("{text:?} is empty or too long"), "write 1 to 64 bytes");
    }
    name
}

fn gpsd(section: &Section<'_>) -> Option<GpsdServer> {
    let (host, port) = defaults::GPSD;
    let (host, port) = section.or("address", (host.to_owned(), port), host_and_port);
    let receiver = section.optional("receiver", |value| {
        let path = values::path(value)?;
        let text = path.to_str().map(str::to_owned);
        if text.is_none() {
            value.error("receiver is no UTF-8".to_owned(), "write it as gpsd writes it");
        }
        text
    });
    Some(GpsdServer { host, port, receiver })
}

/// `host:port`; an IPv6 address stands in brackets.
fn host_and_port(value: &Value<'_>) -> Option<(String, u16)> {
    let text = value.as_text("host:port, such as \"127.0.0.1:2947\"")?;
    let found = text.rsplit_once(':').and_then(|(host, port)| {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_plain = !host.is_empty() && !host.contains([':', '/', ' ']);
        let host = inside.or(is_plain.then_some(host))?;
        Some((host.to_owned(), port.parse().ok().filter(|port| *port > 0)?))
    });
    if found.is_none() {
        let fix = "write host:port, such as \"127.0.0.1:2947\" or \"[::1]:2947\"";
        value.error(format!("{:?} {text:?} is no address", value.key), fix);
    }
    found
}

fn network_server(
    section: &Section<'_>,
    own: Option<&Broker>,
    topic: &str,
) -> Option<NetworkServer> {
    let broker = broker::of_source(section, own);
    let topic = section.or("topic", topic.to_owned(), topic_filter);
    let decoded = json::decoded(section);
    Some(NetworkServer { broker: broker?, topic, devices: BTreeMap::new(), decoded })
}

/// An MQTT topic filter: `+` is a whole level, `#` the whole end (MQTT 3.1.1, 4.7.1).
fn topic_filter(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("a topic such as \"application/+/device/+/event/+\"")?;
    let levels: Vec<_> = text.split('/').collect();
    let last = levels.len() - 1;
    let misplaced = |(n, level): (usize, &&str)| {
        (level.contains(['+', '#']) && level.len() > 1) || (*level == "#" && n < last)
    };
    let misplaced = levels.iter().enumerate().any(misplaced);
    if text.is_empty() || text.len() > 65_535 || text.contains('\0') || misplaced {
        let fix = "write + for one whole level, and # only as the last one";
        value.error(format!("{text:?} is no topic filter"), fix);
        return None;
    }
    Some(text.to_owned())
}
