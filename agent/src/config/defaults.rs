//! What a key is when it is left out: each value once. `config/steward.toml` shows them all, and a test
//! holds the two together. (How tickets behave by default is [`domain::site::TicketPolicy`]'s.)

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use domain::rules::Severity;
use domain::time::Span;
use domain::units::{MillimetresPerSecond, Permille};

use super::Rate;

const MIB: u64 = 1024 * 1024;
const HOUR: u64 = 3600;

/// `[mqtt] keep_alive`: a dead link goes unseen for up to twice this long.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// `[mqtt] connect_timeout`.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `[mqtt] window`: fills a link with a quarter of a second of delay at 256 messages a second.
pub(super) const WINDOW: u16 = 64;
/// `[mqtt] packet_max`: eight times the largest message of the box.
pub(super) const PACKET_MAX: u32 = 256 * 1024;
/// `[mqtt] replay_messages` and `replay_bytes`: a day's backlog of a large box in a few minutes, and no
/// more than a broker can take of a fleet that comes back together.
pub(super) const REPLAY: Rate = Rate { messages: 500, bytes: MIB };
/// The path of `ws://` and `wss://` brokers.
pub(super) const WEBSOCKET_PATH: &str = "/mqtt";

/// `[buffer] dir`.
pub(super) const BUFFER_DIR: &str = "/var/lib/steward";
/// `[buffer] max_size`.
pub(super) const BUFFER_SIZE: u64 = 256 * MIB;
/// `[buffer] free_min`: enough for a journal and an update of the system.
pub(super) const FREE_MIN: u64 = 16 * MIB;
/// `[[uplink]] max_size`.
pub(super) const UPLINK_SIZE: u64 = 64 * MIB;
/// `[buffer] commit_every`.
pub(super) const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// `[http] listen`.
pub(super) const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// The deepest zoom that most tile servers have.
pub(super) const TILES_MAX_ZOOM: u8 = 19;

/// `[[source]] baud` of `node-link`.
pub(super) const NODE_LINK_BAUD: u32 = 115_200;
/// `[[source]] address` of `gpsd`: where Debian's listens.
pub(super) const GPSD: (&str, u16) = ("127.0.0.1", 2947);
/// `[[source]] topic` of `ttn`: uplinks and joins of every application that the broker shows.
pub(super) const TTN_TOPIC: &str = "v3/+/devices/+/+";
/// `[[source]] baud` of `gnss`: what receivers leave the factory with.
pub(super) const GNSS_BAUD: u32 = 9600;
/// `[[source]] topic` of `chirpstack`: its own default.
pub(super) const CHIRPSTACK_TOPIC: &str = "application/+/device/+/event/+";

/// `[[source]] baud` of `modbus-rtu`: what level sensors leave the factory with.
pub(super) const MODBUS_BAUD: u32 = 9600;
/// `[[source.station]] every`.
pub(super) const MODBUS_EVERY: Duration = Duration::from_secs(60);
/// `[[source]] every` of `http-json`: as often as cities renew their feeds.
pub(super) const HTTP_EVERY: Duration = Duration::from_secs(60);
/// `[[source]] every` of `camera`: what stands still is not missed in two seconds.
#[cfg(feature = "vision")]
pub(super) const CAMERA_EVERY: Duration = Duration::from_secs(2);
/// `[[source]] moved_pct` of `camera`: a person far off, and no leaf.
#[cfg(feature = "vision")]
pub(super) const CAMERA_MOVED: Permille = Permille::clamped(5);
/// `[[source]] keepalive` of `camera`: four looks in the two minutes that a zone bears without one.
#[cfg(feature = "vision")]
pub(super) const CAMERA_KEEPALIVE: Duration = Duration::from_secs(30);
/// `[[source]] frozen_after` of `camera`: sensors are never without noise for so long.
#[cfg(feature = "vision")]
pub(super) const CAMERA_FROZEN: Duration = Duration::from_secs(600);
/// `[[source]] fault_after` of `camera`: a lorry before the lens goes away again.
#[cfg(feature = "vision")]
pub(super) const CAMERA_FAULT: Duration = Duration::from_secs(600);
/// `[[source]] listen` of `jt808`: terminals come from outside; the port is the usual one.
pub(super) const JT808_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 6808));
/// `[[source]] connections_max` of `jt808`: a fleet, and its connections that died unheard.
pub(super) const JT808_CONNECTIONS: u16 = 256;
/// `[[source]] idle_max` of `jt808`: three heartbeats of a minute.
pub(super) const JT808_IDLE: Duration = Duration::from_secs(180);
/// `[[source.chip]] every`.
pub(super) const LOCAL_EVERY: Duration = Duration::from_secs(60);
/// `[[source.chip]] debounce`: longer than contacts bounce, shorter than anybody notices.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(50);
/// `[[source.chip]] arrive_nt`, `leave_nt`: more than battery nodes need, which follow what the neighbours do.
pub(super) const ARRIVE_NT: u32 = 5000;
/// See [`ARRIVE_NT`].
pub(super) const LEAVE_NT: u32 = 2500;
/// `[[source.chip]] tilted_from`: half way to lying.
pub(super) const TILTED_FROM: u8 = 45;

/// `[[bay]] occupied_after`: longer than somebody needs to turn round.
pub(super) const OCCUPIED_AFTER: Span = Span::from_secs(60);
/// `[[bay]] free_after`.
pub(super) const FREE_AFTER: Span = Span::from_secs(20);
/// `[[bay]]` and `[[bin]] stale_after`: sensors that have nothing to tell report once a day. One such
/// report may be lost on the air; after the second, and two hours, the sensor is silent.
pub(super) const SENSOR_STALE_AFTER: Span = Span::from_secs(50 * HOUR);

/// `[[bin]] full_at_pct`.
pub(super) const FULL_AT: Permille = Permille::from_percent(85);
/// `[[bin]] clear_at_pct`.
pub(super) const CLEAR_AT: Permille = Permille::from_percent(60);

/// `[[vehicle]] work_speed_max`: what operators allow for cleaning.
pub(super) const WORK_SPEED_MAX: MillimetresPerSecond = MillimetresPerSecond::from_kmh(15);
/// `[[vehicle]] parked_after`.
pub(super) const PARKED_AFTER: Span = Span::from_secs(600);
/// `[[vehicle]] stale_after`: longer than a tunnel, shorter than a shift.
pub(super) const VEHICLE_STALE_AFTER: Span = Span::from_secs(300);

/// `[[street]] sweep.width_mm`: two lanes.
pub(super) const ROAD_WIDTH: u32 = 7000;

/// `[[rule]] version`.
pub(super) const RULE_VERSION: u32 = 1;
/// `[[rule]] severity`.
pub(super) const SEVERITY: Severity = Severity::Medium;
/// `[[rule]] when.hold`.
pub(super) const HOLD: Span = Span::ZERO;
/// `[[rule]] when.readings`.
pub(super) const READINGS: u32 = 1;
/// `[[rule]] when.grace`.
pub(super) const GRACE: Span = Span::from_secs(300);
/// `[[rule]] when.confidence_pct`: what a model must be sure of to count at all.
pub(super) const CONFIDENCE: Permille = Permille::from_percent(50);
/// `[[rule.test]] max_stay`: of the bay of an example.
pub(super) const EXAMPLE_STAY: Span = Span::from_secs(HOUR);

/// `[update] size_max`: many times what the program has.
pub(super) const PACKAGE_MAX: u64 = 64 * 1024 * 1024;

/// `[open311] photo_max`: what a telephone takes.
pub(super) const PHOTO_MAX: u64 = 8 * 1024 * 1024;
/// `[open311] photos_max`.
pub(super) const PHOTOS_MAX: u64 = 256 * 1024 * 1024;
/// `[open311] reach_m`: a town.
pub(super) const REACH_M: u32 = 5000;
/// `[open311] contact`.
pub(super) const CONTACT: &str = "the operator of this box";
/// `[open311] reports_per_hour`: somebody who walks through a street.
pub(super) const REPORTS_PER_HOUR: u32 = 20;
/// `[open311] reports_per_hour_all`: a bad day.
pub(super) const REPORTS_PER_HOUR_ALL: u32 = 600;
/// `[open311] keep`: as long as GeoReport lets people ask.
pub(super) const KEEP_PERSONS: Span = Span::from_secs(90 * 24 * HOUR);
