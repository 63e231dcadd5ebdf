//! `[[source]]`: every way in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::decode::lorawan::Codec;
use domain::ids::{DeviceKey, SourceName};

use super::super::fault::{Place, did_you_mean, nearest};
use super::super::section::{Section, Spot, Tree, Value};
use super::super::{
    Broker, GpsdServer, NetworkServer, Serial, Source, SourceKind, defaults, values,
};
use super::broker;

/// What is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    NodeLink,
    Gnss,
    Gpsd,
    ChirpStack,
    Ttn,
}

impl Tag {
    /// Whether a source of the kind is one device itself, so that assets name none.
    pub(super) const fn is_one_device(self) -> bool {
        matches!(self, Tag::Gnss | Tag::Gpsd)
    }

    /// Whether its devices have a codec.
    pub(super) const fn has_codecs(self) -> bool {
        matches!(self, Tag::ChirpStack | Tag::Ttn)
    }
}

/// The kinds that are built in, by their words. What a receiver speaks is told from its bytes, whichever
/// of its three words was used.
const BUILT_IN: [(&str, Tag); 7] = [
    ("node-link", Tag::NodeLink),
    ("gnss", Tag::Gnss),
    ("nmea", Tag::Gnss),
    ("ubx", Tag::Gnss),
    ("gpsd", Tag::Gpsd),
    ("chirpstack", Tag::ChirpStack),
    ("ttn", Tag::Ttn),
];

/// The kinds that have their place in the configuration and are not built in yet.
const LATER: [&str; 8] =
    ["modbus-rtu", "modbus-tcp", "mqtt-json", "http-json", "jt808", "can", "local", "camera"];

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
    tag: Option<Tag>,
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
            self.known.insert(name.clone(), Known { tag, at, place, fed: 0 });
        }
        let Some(tag) = tag else { return };
        let mut serial = |baud| serial(section, baud, devices);
        let kind = match tag {
            Tag::NodeLink => serial(defaults::NODE_LINK_BAUD).map(SourceKind::NodeLink),
            Tag::Gnss => serial(defaults::GNSS_BAUD).map(SourceKind::Gnss),
            Tag::Gpsd => gpsd(section).map(SourceKind::Gpsd),
            Tag::ChirpStack => {
                network_server(section, own, defaults::CHIRPSTACK_TOPIC).map(SourceKind::ChirpStack)
            }
            Tag::Ttn => {
                network_server(section, own, defaults::TTN_TOPIC).map(SourceKind::ThingsStack)
            }
        };
        section.finish();
        if let (Some(name), Some(kind)) = (name, kind) {
            self.built.push(Source { name, kind });
        }
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
    pub(super) fn find(&mut self, value: &Value<'_>) -> Option<(SourceName, Option<Tag>)> {
        let name = values::id(SourceName::new)(value)?;
        match self.known.get(&name) {
            Some(known) => Some((name, known.tag)),
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
        for source in self.built.iter_mut().filter(|source| source.name == *name) {
            let (SourceKind::ChirpStack(server) | SourceKind::ThingsStack(server)) =
                &mut source.kind
            else {
                continue;
            };
            if let Some(device) = device {
                server.devices.insert(device.clone(), codec);
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
        let fix = match nearest(text, built_in.chain(LATER)) {
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
    let device = section.required("device", "\"/dev/ttyAMA0\"", |value| {
        let path = values::path(value)?;
        if let Some(first) = devices.get(&path) {
            let cause = format!("{} is read by two sources; first at {first}", path.display());
            value.error(cause, "one device belongs to one source");
            return None;
        }
        devices.insert(path.clone(), value.place());
        Some(path)
    });
    let baud = section.or("baud", baud, values::integer(300..=4_000_000_u32));
    Some(Serial { device: device?, baud })
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
    Some(NetworkServer { broker: broker?, topic, devices: BTreeMap::new() })
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
