//! The configuration: TOML in, types that cannot be wrong out.
//!
//! `file.rs` reads the text with its places; `check.rs` turns it into the types below and reports every
//! fault at once, as `file:line:col`, cause and fix. Nothing after start can fail because of it.
//!
//! ```text
//! file (files, includes) ─► mend (syntax) ─► section (keys, places) ─► values ─► check ─► Config
//! ```

#[cfg(feature = "vision")]
mod cameras;
mod categories;
mod check;
mod defaults;
mod explain;
mod fault;
mod file;
mod mend;
mod public;
mod section;
#[cfg(test)]
mod tests;
mod values;
mod ways;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::decode::gpsd::Gpsd;
use domain::decode::json::Mapping;
use domain::decode::lorawan::Codec;
use domain::decode::node_link::Keys;
use domain::ids::{DeviceKey, SourceName, UplinkName};
use domain::output::Lane;
use domain::profile::Profile;
use domain::site::Site;

use crate::control::signed::Actors;
use crate::mqtt::topics;
use crate::outbox::Lanes;
use crate::tls::Identity;
use crate::update;

#[cfg(feature = "vision")]
pub use self::cameras::{
    Camera, CameraModel, CameraServer, CameraZone, Pictures, Problem, built_in_manifest, object,
    try_models,
};
pub use self::categories::{CategoryEntry, Code, CodeKind, catalogue};
pub use self::explain::explain;
pub use self::fault::{Fault, Faults, Level, Place};
pub use self::public::Open311;
pub use self::ways::{
    Analog, CanBus, CanFrom, Chip, ChipKind, Chips, DigitalInput, HttpPoll, HttpUrl, HttpWay,
    Incline, JsonBroker, JsonHttp, Magnet, Modbus, ModbusLink, Platform, Signal, Station,
    TerminalSettings, Wire,
};

/// A configuration that is right.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is most likely not what was meant, sorted by place.
    pub warnings: Vec<Fault>,
}

/// Reads the configuration at `path`, with everything it includes, and the password files it names.
///
/// # Errors
/// Everything that is wrong with it, warnings included, sorted by place.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    finish(file::read(path))
}

/// As [`load`], for a text that is in no file; `name` stands for it in faults. Relative paths in it
/// start from the working folder, and it cannot include files.
///
/// # Errors
/// As [`load`].
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Faults> {
    finish(file::from_text(name, text))
}

/// As [`load`], for a file whose relative paths and includes start from `folder`, wherever it lies itself.
///
/// # Errors
/// As [`load`].
pub fn load_from(path: &Path, folder: &Path) -> Result<Loaded, Faults> {
    finish(file::read_from(path, folder))
}

/// The files that the configuration at `path` consists of, the main one first, right or wrong.
#[must_use]
pub fn files(path: &Path) -> Vec<PathBuf> {
    file::read(path).texts.into_iter().map(|text| PathBuf::from(text.name)).collect()
}

fn finish(texts: file::Texts) -> Result<Loaded, Faults> {
    let (config, faults) = check::check(texts);
    let faults = Faults::from(faults);
    match config {
        Some(config) => Ok(Loaded { config, warnings: faults.into_vec() }),
        None => Err(faults),
    }
}

/// Everything a box is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the core must know.
    pub site: Site,
    /// What people call the box.
    pub name: Option<String>,
    /// Where local hours are computed.
    pub timezone: jiff::tz::TimeZone,
    /// The broker to publish to.
    pub broker: Broker,
    /// How much is published to it.
    pub traffic: Traffic,
    /// Where and how much to buffer.
    pub buffer: Buffer,
    /// The brokers beside the first, in the order of the file.
    pub uplinks: Vec<Uplink>,
    /// Every way in, in the order of the file.
    pub sources: Vec<Source>,
    /// The local HTTP server; `None`: switched off.
    pub http: Option<Http>,
    /// Whose commands are signed.
    pub actors: Actors,
    /// What the public may report to that server; `None`: nothing.
    pub open311: Option<Open311>,
    /// Whose packages are installed by command; `None`: nobody's.
    pub update: Option<update::Settings>,
    /// First 16 hex digits of the SHA-256 of the files read, for `P/info`.
    pub hash: String,
}

/// The broker at a URL, as a command line names it; everything else is as by default.
///
/// # Errors
/// The URL is none; says why and what to write.
pub fn broker_by_url(url: &str) -> Result<Broker, String> {
    check::broker_by_url(url)
}

/// An address that can be asked over HTTP, as a command names it.
///
/// # Errors
/// The text is none; says what to write.
pub fn http_url(text: &str) -> Result<HttpUrl, String> {
    check::http_url(text)
}

/// A broker and how to speak to it.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Where.
    pub url: BrokerUrl,
    /// User name; by default the box id.
    pub username: Option<String>,
    /// Password, read from `password_file`.
    pub password: Option<Secret>,
    /// Own certificate authority, PEM; `None`: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// By what the box shows who it is, where the broker asks.
    pub identity: Option<Identity>,
    /// Time between pings; also bounds how long a dead link goes unseen.
    pub keep_alive: Duration,
    /// How long TCP, TLS and CONNACK together may take.
    pub connect_timeout: Duration,
    /// Most messages on their way without PUBACK, 1 to 1000.
    pub window: u16,
    /// Largest packet the broker takes, in bytes.
    pub packet_max: u32,
}

impl Broker {
    /// Every file of certificates that a connection to it needs.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let own = self.identity.as_ref().map(|identity| identity.cert_file.clone());
        self.ca_file.iter().cloned().chain(own).collect()
    }
}

/// How much may be sent to a broker, and in which version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// The only version to speak; `None`: MQTT 5, and 3.1.1 where the broker has no other.
    pub protocol: Option<Version>,
    /// What may be sent late, after an outage.
    pub replay: Rate,
    /// Bytes of packets in a day (UTC); `None`: no limit.
    pub day_bytes: Option<u64>,
    /// Telemetry travels as it is stored, compressed (Zstandard, RFC 8878), where it is.
    pub compress: bool,
    /// Readings travel in columns.
    pub columns: bool,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            protocol: None,
            replay: defaults::REPLAY,
            day_bytes: None,
            compress: false,
            columns: false,
        }
    }
}

/// A broker beside the first: what it gets, in whose words, and how much may wait for it.
#[derive(Debug, Clone)]
pub struct Uplink {
    /// Its name; unique.
    pub name: UplinkName,
    /// The broker.
    pub broker: Broker,
    /// How much is published to it.
    pub traffic: Traffic,
    /// What it gets.
    pub filter: Filter,
    /// In whose words.
    pub profile: Profile,
    /// Whether commands are taken from it.
    pub commands: bool,
    /// Where and how much to buffer for it.
    pub buffer: Buffer,
}

/// Which messages an uplink gets, by what they are called in our own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of these lanes.
    pub lanes: Lanes,
    /// On topics below the box's prefix that fit one of these filters of MQTT (3.1.1, 4.7).
    pub topics: Vec<String>,
}

impl Filter {
    /// Whether a message of `lane` at `path` below the box's prefix is wanted.
    #[must_use]
    pub fn wants(&self, lane: Lane, path: &str) -> bool {
        self.lanes.contains(lane) && self.topics.iter().any(|filter| topics::fits(path, filter))
    }
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 5.
    V5,
    /// MQTT 3.1.1.
    V311,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V5 => "5",
            Version::V311 => "3.1.1",
        })
    }
}

/// Messages and bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Messages.
    pub messages: u32,
    /// Bytes of their packets.
    pub bytes: u64,
}

impl Rate {
    /// As fast as the link can.
    pub const UNLIMITED: Rate = Rate { messages: u32::MAX, bytes: u64::MAX };
}

/// `mqtt://host:port`, `mqtts://`, `ws://host:port/path`, `wss://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// The transport.
    pub scheme: Scheme,
    /// Host name or address.
    pub host: String,
    /// Port; by default 1883, 8883, 80, 443.
    pub port: u16,
    /// Path for `ws` and `wss`, with its leading slash; empty otherwise.
    pub path: String,
}

/// How bytes travel to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Mqtt,
    /// TLS over TCP.
    Mqtts,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The outbox on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// Its directory.
    pub dir: PathBuf,
    /// Most bytes on disk.
    pub max_size: u64,
    /// Longest time that what is acknowledged stays.
    pub commit_every: Duration,
    /// While less than so many bytes are free where it lies, telemetry makes room.
    pub free_min: u64,
    /// By lane: what is older makes room; `None`: whatever its age, it stays.
    pub max_age: [Option<Duration>; 4],
    /// Readings are stored and sent in columns.
    pub columns: bool,
}

impl Buffer {
    /// A buffer in `dir`, with everything else as it is by default.
    #[must_use]
    pub fn below(dir: PathBuf) -> Buffer {
        Buffer {
            dir,
            max_size: defaults::BUFFER_SIZE,
            commit_every: defaults::COMMIT_EVERY,
            free_min: defaults::FREE_MIN,
            max_age: [None; 4],
            columns: false,
        }
    }
}

/// The local HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Pictures of the ground under the dashboard's map; `None`: it draws the streets alone.
    pub tiles: Option<Tiles>,
}

/// Where map tiles come from: Web Mercator, WGS84.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiles {
    /// The address of a tile, with `{z}`, `{x}` and `{y}`.
    pub url: String,
    /// The server that browsers ask, `https://tiles.example.org`; `None`: the one the page comes from.
    pub origin: Option<String>,
    /// Who made them: shown on the map.
    pub attribution: String,
    /// The deepest zoom there are tiles of, 1 to 22.
    pub max_zoom: u8,
}

/// One way in.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// What it is.
    pub kind: SourceKind,
}

/// The kinds of sources, with what each must know.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// Battery nodes over a serial line.
    NodeLink(NodeLine),
    /// A GNSS receiver that speaks NMEA 0183, UBX or both, on a tty; or a file, read once to its end.
    Gnss(Serial),
    /// A gpsd, over TCP.
    Gpsd(GpsdServer),
    /// A ChirpStack v4 network server behind an MQTT broker.
    ChirpStack(NetworkServer),
    /// The Things Stack v3, likewise.
    ThingsStack(NetworkServer),
    /// Messages of any shape on an MQTT broker.
    MqttJson(JsonBroker),
    /// Documents of any shape over HTTP.
    HttpJson(JsonHttp),
    /// Vehicle terminals, for which the box is the platform.
    Jt808(Platform),
    /// Modbus devices, over a serial line or over TCP.
    Modbus(Modbus),
    /// A vehicle's bus.
    Can(CanBus),
    /// Chips on the box's own pins and buses.
    Local(Chips),
    /// Pictures that networks look at.
    #[cfg(feature = "vision")]
    Camera(Box<Camera>),
}

/// A line with battery nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLine {
    /// The line.
    pub serial: Serial,
    /// How its nodes shall work; `None`: as they are. The revision is never 0, and another one for other
    /// settings.
    pub settings: Option<wire::Settings>,
    /// The keys of those that seal what they say.
    pub keys: Keys,
}

/// A serial line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// The tty (or, for `gnss`, a file).
    pub device: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
}

/// The parity bit of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// There is none.
    #[default]
    None,
    /// Ones are made even.
    Even,
    /// Ones are made odd.
    Odd,
}

/// A gpsd and which of its receivers counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpsdServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path by which gpsd names the receiver; `None`: it has one only.
    pub receiver: Option<String>,
}

impl GpsdServer {
    /// A decoder for what it sends, as `source`.
    #[must_use]
    pub fn decoder(&self, source: SourceName) -> Gpsd {
        let decoder = Gpsd::new(source);
        match &self.receiver {
            Some(path) => decoder.with_receiver(path),
            None => decoder,
        }
    }
}

/// A network server's broker.
#[derive(Debug, Clone)]
pub struct NetworkServer {
    /// Where its events are published; by default the box's own broker.
    pub broker: Broker,
    /// The topic filter of the events.
    pub topic: String,
    /// The devices that belong to assets, each with the codec that is pinned to it.
    pub devices: BTreeMap<DeviceKey, Option<Codec>>,
    /// The devices whose payloads the network server itself decodes, and where things stand in that.
    pub decoded: BTreeMap<DeviceKey, Mapping>,
}
