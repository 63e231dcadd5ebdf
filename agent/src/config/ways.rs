//! What the ways in must know that are more than a line or a server: register maps, signal maps, JSON
//! mappings, terminals, chips. Everything here was checked when the configuration was read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::decode::can::{Can, SignalMap};
use domain::decode::json::Layout;
use domain::decode::jt808::{Link, WorkingSignal};
use domain::decode::modbus::RegisterMap;
use domain::ids::{DeviceKey, SourceName};
use domain::time::Span;

use super::{Broker, Secret, Serial};

/// Messages of any shape on a broker (`mqtt-json`).
#[derive(Debug, Clone)]
pub struct JsonBroker {
    /// Where they are published; by default the box's own broker.
    pub broker: Broker,
    /// The topic filter of the messages.
    pub topic: String,
    /// Where things stand in them.
    pub layout: Layout,
}

/// Documents of any shape over HTTP (`http-json`).
#[derive(Debug, Clone)]
pub struct JsonHttp {
    /// Who calls whom.
    pub way: HttpWay,
    /// Where things stand in the documents.
    pub layout: Layout,
}

/// How documents come over HTTP.
#[derive(Debug, Clone)]
pub enum HttpWay {
    /// They are sent to `POST /in/<source>` of the box's own web server.
    Push {
        /// What the sender must show as `Authorization: Bearer`; `None`: nothing.
        token: Option<Secret>,
    },
    /// They are asked for.
    Poll(HttpPoll),
}

/// A document that is asked for again and again.
#[derive(Debug, Clone)]
pub struct HttpPoll {
    /// Where it is.
    pub url: HttpUrl,
    /// Between two questions.
    pub every: Duration,
    /// What is shown as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// Own certificate authority, PEM; `None`: the system's roots.
    pub ca_file: Option<PathBuf>,
}

/// `http://host:port/path` or `https://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Whether it is TLS.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port; by default 80 or 443.
    pub port: u16,
    /// Path and query, with the leading slash.
    pub path: String,
}

/// Modbus devices behind one line or one server.
#[derive(Debug, Clone)]
pub struct Modbus {
    /// How they are reached.
    pub link: ModbusLink,
    /// The devices.
    pub stations: Vec<Station>,
}

/// How Modbus devices are reached.
#[derive(Debug, Clone)]
pub enum ModbusLink {
    /// Over a serial line (`modbus-rtu`).
    Line(Serial),
    /// Over TCP (`modbus-tcp`).
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// One Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// Its address on the line, or its unit behind the server.
    pub address: u8,
    /// What assets call it.
    pub device: DeviceKey,
    /// Between two questions.
    pub every: Duration,
    /// What it is asked for.
    pub map: RegisterMap,
}

/// A vehicle's bus (`can`).
#[derive(Debug, Clone)]
pub struct CanBus {
    /// Where frames come from.
    pub from: CanFrom,
    /// At most one sample of each group of signals in this time, changes of state apart.
    pub every: Span,
    /// The signals.
    pub map: SignalMap,
}

impl CanBus {
    /// A decoder for the bus, as `source`.
    #[must_use]
    pub fn decoder(&self, source: SourceName) -> Can {
        Can::new(source, self.map.clone()).with_every(self.every)
    }
}

/// Where the frames of a bus come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanFrom {
    /// A network interface of the kernel, such as `can0`.
    Interface(String),
    /// A recording in the form of candump, read once to its end.
    File(PathBuf),
}

/// A platform for vehicle terminals (`jt808`).
#[derive(Debug, Clone)]
pub struct Platform {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What the codes of terminals are made from; `None`: from the name of the source alone.
    pub key: Option<Secret>,
    /// How terminals tell that their vehicle works, unless they have a way of their own.
    pub working: Option<WorkingSignal>,
    /// What their buses carry.
    pub bus: Option<SignalMap>,
    /// Terminals with settings of their own.
    pub terminals: BTreeMap<DeviceKey, TerminalSettings>,
    /// Every terminal that may come in: those of `terminals`, and those that feed an asset.
    pub known: BTreeSet<DeviceKey>,
    /// Most connections at once.
    pub connections_max: usize,
    /// A connection without a whole frame for this long is closed.
    pub idle_max: Duration,
}

/// What is said of one terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TerminalSettings {
    /// The builder's number of it; another that registers with its phone number is refused.
    pub id: Option<String>,
    /// How it tells that its vehicle works.
    pub working: Option<WorkingSignal>,
}

impl Platform {
    /// A decoder for one connection, as `source`.
    #[must_use]
    pub fn decoder(&self, source: SourceName) -> Link {
        let mut link = Link::new(source);
        if let Some(working) = self.working {
            link = link.with_working(working);
        }
        if let Some(bus) = &self.bus {
            link = link.with_bus(bus.clone());
        }
        for (device, settings) in &self.terminals {
            if let Some(working) = settings.working {
                link = link.with_terminal(device.clone(), working);
            }
        }
        link
    }
}

/// Chips on the box's own pins and buses (`local`).
#[derive(Debug, Clone)]
pub struct Chips {
    /// Every chip.
    pub chips: Vec<Chip>,
}

/// One chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// What assets call it.
    pub device: DeviceKey,
    /// Between two readings.
    pub every: Duration,
    /// Which chip, and how it is connected.
    pub kind: ChipKind,
}

/// The chips that can be read, with how each is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChipKind {
    /// Ultrasonic range finder on two pins (also JSN-SR04T).
    Hcsr04 {
        /// The pin that starts a measurement.
        trigger: u8,
        /// The pin on which the echo comes.
        echo: u8,
    },
    /// Ultrasonic range finder on a serial line (also JSN-SR04T in its serial modes).
    A02yyuw {
        /// The tty.
        device: PathBuf,
    },
    /// Time-of-flight range finder.
    Vl53l0x(Wire),
    /// Magnetometer.
    Lis3mdl(Wire, Magnet),
    /// Magnetometer.
    Qmc5883l(Wire, Magnet),
    /// Magnetometer.
    Lsm303dlhc(Wire, Magnet),
    /// Accelerometer as an inclinometer.
    Adxl345(Wire, Incline),
    /// Accelerometer as an inclinometer.
    Lis3dh(Wire, Incline),
    /// Thermometer (also TMP112, TMP75, LM75).
    Tmp102(Wire),
    /// Thermometer on the 1-Wire bus of the kernel.
    Ds18b20 {
        /// Its number, such as `28-00000574c2bd`.
        id: String,
    },
    /// Analogue input.
    Ads1115(Wire, Analog),
    /// A pin that is high or low.
    Input(DigitalInput),
    /// 125 kHz card reader on a serial line (RDM6300).
    Rdm6300 {
        /// The tty.
        device: PathBuf,
    },
    /// 13.56 MHz card reader on SPI.
    Mfrc522 {
        /// The bus, 0 to 6.
        bus: u8,
        /// Which chip select of it, 0 to 15.
        select: u8,
    },
}

/// A chip's place on an I²C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// The bus: 1 is `/dev/i2c-1`.
    pub bus: u8,
    /// The address, 7 bits.
    pub address: u8,
}

/// When a magnetometer sees a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Magnet {
    /// The field of the empty bay along the three axes of the chip, in nanotesla.
    pub empty_nt: [i32; 3],
    /// A field farther than this from that of the empty bay is a vehicle, in nanotesla.
    pub arrive_nt: u32,
    /// A field nearer than this is none.
    pub leave_nt: u32,
}

/// When an accelerometer counts as tilted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incline {
    /// The angle from the upright, in whole degrees, 1 to 90.
    pub degrees: u8,
}

/// What an analogue input measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analog {
    /// The input, 0 to 3.
    pub channel: u8,
    /// Volts at the battery for each volt at the input, in thousandths (a divider of 1:5 is 5000).
    pub ratio_milli: u32,
}

/// What a pin tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitalInput {
    /// The pin, as the processor counts (BCM).
    pub pin: u8,
    /// What it means.
    pub signal: Signal,
    /// Whether it means so while it is low.
    pub active_low: bool,
    /// How long it must keep still before it counts, in milliseconds.
    pub debounce_ms: u32,
}

/// What a pin can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The lid of a bin stands open.
    LidOpen,
    /// Brush, pump or suction works.
    Working,
    /// The ignition is on.
    Ignition,
    /// Something stands on the bay.
    Occupied,
    /// The bin or its sensor hangs at an angle it should not have.
    Tilted,
    /// There is fire.
    Fire,
}
