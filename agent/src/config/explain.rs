//! What a box will do, in plain words: for people who want to see that a configuration means what they
//! think it means.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use domain::decode::json::Layout;
use domain::ids::{AssetKey, Class, SourceName};
use domain::output::Lane;
use domain::rules::{Condition, Rule};
use domain::site::{Asset, Bay, Bin, Kind, TicketPolicy, Vehicle, VehicleKind};
use domain::time::Span;
use domain::units::Permille;

use super::check::built_in_rules;
use super::values::{write_duration, write_size};
use super::{
    Broker, CanFrom, Config, HttpPoll, HttpWay, ModbusLink, Rate, Scheme, Serial, SourceKind,
    Traffic, defaults,
};
#[cfg(feature = "vision")]
use super::{Camera, Pictures};
use crate::sources::kind;

/// Says what `config` makes a box do. Values that are as without the key are marked `*`.
#[must_use]
pub fn explain(config: &Config) -> String {
    let mut out = String::new();
    let written = write_all(&mut out, config);
    written.expect("writing to a text cannot fail");
    out
}

fn write_all(out: &mut String, config: &Config) -> fmt::Result {
    write_box(out, config)?;
    write_uplinks(out, config)?;
    write_sources(out, config)?;
    write_assets(out, config)?;
    write_rules(out, config)?;
    writeln!(out, "\n* by default")
}

fn write_box(out: &mut String, config: &Config) -> fmt::Result {
    let identity = &config.site.identity;
    write!(out, "Box {} of {} at {}", identity.id, identity.tenant, identity.site)?;
    match &config.name {
        Some(name) => writeln!(out, ", called {name}")?,
        None => writeln!(out)?,
    }
    let prefix = format!("steward/v1/{}/{}/{}", identity.tenant, identity.site, identity.id);
    let buffer = &config.buffer;
    let size = marked(write_size(buffer.max_size), buffer.max_size == defaults::BUFFER_SIZE);
    let commit =
        marked(write_duration(buffer.commit_every), buffer.commit_every == defaults::COMMIT_EVERY);
    let listen = match &config.http {
        Some(http) => marked(format!("http://{}", http.listen), http.listen == defaults::LISTEN),
        None => "switched off".to_owned(),
    };
    let TicketPolicy { reopen_within, keep_closed, .. } = config.site.tickets;
    let policy = TicketPolicy::default();
    let reopen = marked(words(reopen_within), reopen_within == policy.reopen_within);
    let keep = marked(words(keep_closed), keep_closed == policy.keep_closed);
    let zone = config.timezone.iana_name().unwrap_or("of its own");
    let lines = [
        ("publishes to", broker(&config.broker)),
        ("below", prefix),
        ("link", link(&config.broker)),
        ("sends", traffic(&config.traffic)),
        ("buffers in", format!("{}, at most {size}", buffer.dir.display())),
        ("commits", format!("at the latest after {commit}")),
        ("local time", zone.to_owned()),
        ("dashboard", listen),
        ("updates", updates(config)),
        ("tickets", format!("reopen within {reopen}, are kept for {keep} after closing")),
        ("configuration", config.hash.clone()),
    ];
    for (what, value) in lines {
        writeln!(out, "  {what:<14} {value}")?;
    }
    Ok(())
}

fn updates(config: &Config) -> String {
    match &config.update {
        None => marked("none by command".to_owned(), true),
        Some(update) => {
            let size = write_size(update.size_max);
            let size = marked(size, update.size_max == defaults::PACKAGE_MAX);
            format!("by command, signed with {}, at most {size}", update.key)
        }
    }
}

fn write_uplinks(out: &mut String, config: &Config) -> fmt::Result {
    if config.uplinks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nUplinks beside it")?;
    for uplink in &config.uplinks {
        let lanes = Lane::ALL.into_iter().filter(|lane| uplink.filter.lanes.contains(*lane));
        let lanes = lanes.map(Lane::as_str).collect::<Vec<_>>().join(", ");
        let size = uplink.buffer.max_size;
        let size = marked(write_size(size), size == defaults::UPLINK_SIZE);
        let commands = if uplink.commands { "takes commands" } else { "takes no commands" };
        writeln!(out, "  {:<14} {}", uplink.name, broker(&uplink.broker))?;
        let lines = [
            format!(
                "gets {lanes} on {}, as {}",
                uplink.filter.topics.join(", "),
                uplink.profile.as_str()
            ),
            format!("buffers in {}, at most {size}; {commands}", uplink.buffer.dir.display()),
            traffic(&uplink.traffic),
        ];
        lines.iter().try_for_each(|line| writeln!(out, "  {:<14} {line}", ""))?;
    }
    Ok(())
}

fn broker(broker: &Broker) -> String {
    let url = &broker.url;
    let scheme = match url.scheme {
        Scheme::Mqtt => "mqtt",
        Scheme::Mqtts => "mqtts",
        Scheme::Ws => "ws",
        Scheme::Wss => "wss",
    };
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let user = broker.username.as_deref().map_or_else(|| "nobody".to_owned(), str::to_owned);
    let password = if broker.password.is_some() { "with a password" } else { "without a password" };
    format!("{scheme}://{host}:{}{} as {user}, {password}", url.port, url.path)
}

fn link(broker: &Broker) -> String {
    let keep_alive =
        marked(write_duration(broker.keep_alive), broker.keep_alive == defaults::KEEP_ALIVE);
    let connect = broker.connect_timeout;
    let connect = marked(write_duration(connect), connect == defaults::CONNECT_TIMEOUT);
    let window = marked(broker.window, broker.window == defaults::WINDOW);
    let packet = broker.packet_max;
    let packet = marked(write_size(packet.into()), packet == defaults::PACKET_MAX);
    format!("ping every {keep_alive}, connect in {connect}, window {window}, packets to {packet}")
}

fn traffic(traffic: &Traffic) -> String {
    let version = match traffic.protocol {
        None => "MQTT 5 or 3.1.1 (default)".to_owned(),
        Some(version) => format!("MQTT {version}"),
    };
    let Rate { messages, bytes } = traffic.replay;
    let messages = marked(messages, messages == defaults::REPLAY.messages);
    let bytes = marked(write_size(bytes), bytes == defaults::REPLAY.bytes);
    let day = traffic.day_bytes.map_or("any number of bytes".to_owned(), write_size);
    let how = if traffic.compress { "telemetry compressed" } else { "nothing compressed" };
    let series = if traffic.columns { "series in columns" } else { "series point by point" };
    format!(
        "{version}, {series}, {how}, late {messages} messages and {bytes} a second, {day} a day"
    )
}

fn write_sources(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "\nSources")?;
    let mut fed: BTreeMap<&SourceName, BTreeMap<Class, usize>> = BTreeMap::new();
    for (key, asset) in &config.site.assets {
        for feed in &asset.feeds {
            *fed.entry(&feed.source).or_default().entry(key.class).or_default() += 1;
        }
    }
    let rows = config.sources.iter().map(|source| {
        let (kind, from) = (kind(&source.kind), whence(&source.kind));
        let feeds = match fed.get(&source.name) {
            Some(counts) => counted(counts),
            None => "nothing".to_owned(),
        };
        vec![source.name.to_string(), kind.to_owned(), format!("feeds {feeds}"), from]
    });
    write_rows(out, &rows.collect::<Vec<_>>())
}

/// Where a source gets what it reads.
fn whence(kind: &SourceKind) -> String {
    let line = |line: &Serial, usual: u32| {
        format!("{} at {} baud", line.device.display(), marked(line.baud, line.baud == usual))
    };
    let topic = |topic: &str, usual: Option<&str>, from: &Broker| {
        format!("{} on {}", marked(topic, Some(topic) == usual), broker(from))
    };
    match kind {
        SourceKind::NodeLink(nodes) => line(&nodes.serial, defaults::NODE_LINK_BAUD),
        SourceKind::Gnss(serial) => line(serial, defaults::GNSS_BAUD),
        SourceKind::Gpsd(server) => {
            let (host, port) = (server.host.as_str(), server.port);
            let address = marked(format!("{host}:{port}"), (host, port) == defaults::GPSD);
            let receiver = server.receiver.as_ref();
            address + &receiver.map(|path| format!(", {path}")).unwrap_or_default()
        }
        SourceKind::ThingsStack(server) => {
            topic(&server.topic, Some(defaults::TTN_TOPIC), &server.broker)
        }
        SourceKind::ChirpStack(server) => {
            topic(&server.topic, Some(defaults::CHIRPSTACK_TOPIC), &server.broker)
        }
        SourceKind::MqttJson(feed) => {
            topic(&feed.topic, None, &feed.broker) + persons(&feed.layout)
        }
        SourceKind::HttpJson(feed) => {
            let way = match &feed.way {
                HttpWay::Push { .. } => "sent to POST /in/ and its name".to_owned(),
                HttpWay::Poll(HttpPoll { url, every, .. }) => {
                    let every = marked(write_duration(*every), *every == defaults::HTTP_EVERY);
                    format!("{}:{}{} every {every}", url.host, url.port, url.path)
                }
            };
            way + persons(&feed.layout)
        }
        SourceKind::Jt808(platform) => {
            let listen = marked(platform.listen, platform.listen == defaults::JT808_LISTEN);
            format!("terminals at {listen}, {} known", platform.known.len())
        }
        SourceKind::Modbus(modbus) => {
            let from = match &modbus.link {
                ModbusLink::Line(serial) => line(serial, defaults::MODBUS_BAUD),
                ModbusLink::Tcp { host, port } => format!("{host}:{port}"),
            };
            format!("{} devices at {from}", modbus.stations.len())
        }
        SourceKind::Can(bus) => match &bus.from {
            CanFrom::Interface(name) => name.clone(),
            CanFrom::File(path) => path.display().to_string(),
        },
        SourceKind::Local(chips) => format!("{} chips of the box itself", chips.chips.len()),
        #[cfg(feature = "vision")]
        SourceKind::Camera(camera) => pictures(camera),
    }
}

/// Where a camera's pictures come from, without passwords.
#[cfg(feature = "vision")]
fn pictures(camera: &Camera) -> String {
    let from = match &camera.pictures {
        Pictures::Folder { path, .. } => path.display().to_string(),
        Pictures::Snapshot(server) | Pictures::Stream(server) => {
            format!("{}:{}{}", server.url.host, server.url.port, server.url.path)
        }
        Pictures::Command(words) => format!("the program {}", words[0]),
    };
    let every = marked(write_duration(camera.every), camera.every == defaults::CAMERA_EVERY);
    format!("{from} every {every}, {} zones", camera.zones.len())
}

/// What becomes of the personal ids in documents.
fn persons(layout: &Layout) -> &'static str {
    match (layout.reads_persons(), layout.keeps_persons()) {
        (false, _) => "",
        (true, true) => ", persons as pseudonyms",
        (true, false) => ", persons left out (no key)",
    }
}

fn write_assets(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "\nWhat feeds what")?;
    let rows =
        config.site.assets.iter().map(|(key, asset)| {
            vec![key.to_string(), feeds(asset), settings(asset), called(asset)]
        });
    write_rows(out, &rows.collect::<Vec<_>>())
}

fn feeds(asset: &Asset) -> String {
    let feeds = asset.feeds.iter().map(|feed| match &feed.device {
        Some(device) => format!("{} {device}", feed.source),
        None => feed.source.to_string(),
    });
    let feeds = feeds.collect::<Vec<_>>().join(", ");
    if feeds.is_empty() { "-".to_owned() } else { format!("from {feeds}") }
}

fn called(asset: &Asset) -> String {
    asset.names.values().map(String::as_str).collect::<Vec<_>>().join(" / ")
}

fn settings(asset: &Asset) -> String {
    match &asset.kind {
        Kind::Bay(bay) => bay_settings(bay),
        Kind::Bin(bin) => bin_settings(bin),
        Kind::Vehicle(vehicle) => vehicle_settings(vehicle),
        Kind::Street { line, sweep } => {
            let plan = sweep.as_ref().map(|plan| format!(", swept {}", times(plan.passes)));
            format!("a line of {} points{}", line.len(), plan.unwrap_or_default())
        }
    }
}

fn times(passes: u8) -> String {
    match passes {
        1 => "once in each window".to_owned(),
        n => format!("{n} times in each window"),
    }
}

fn bay_settings(bay: &Bay) -> String {
    let stay = bay.max_stay.map_or_else(|| "any stay".to_owned(), |s| format!("stay {}", words(s)));
    let occupied =
        marked(words(bay.occupied_after), bay.occupied_after == defaults::OCCUPIED_AFTER);
    let free = marked(words(bay.free_after), bay.free_after == defaults::FREE_AFTER);
    let stale = marked(words(bay.stale_after), bay.stale_after == defaults::SENSOR_STALE_AFTER);
    format!("{stay}; taken after {occupied}, free after {free}, unknown after {stale}")
}

fn bin_settings(bin: &Bin) -> String {
    let percent = |at: Permille, default| marked(format!("{}%", at.percent()), at == default);
    let full = percent(bin.full_at, defaults::FULL_AT);
    let clear = percent(bin.clear_at, defaults::CLEAR_AT);
    let stale = marked(words(bin.stale_after), bin.stale_after == defaults::SENSOR_STALE_AFTER);
    let litres = bin.capacity_l.map_or_else(String::new, |litres| format!("{litres} l, "));
    let (empty, line) = (bin.empty.0, bin.full.0);
    format!(
        "{litres}{empty} to {line} mm; full from {full}, no longer below {clear}, unknown after \
         {stale}"
    )
}

fn vehicle_settings(vehicle: &Vehicle) -> String {
    let kind = match vehicle.kind {
        VehicleKind::Sweeper => "sweeper",
        VehicleKind::Washer => "washer",
        VehicleKind::Collector => "collector",
        VehicleKind::Other => "vehicle",
    };
    let speed = vehicle.work_speed_max;
    let speed = marked(format!("{:.1} km/h", speed.kmh()), speed == defaults::WORK_SPEED_MAX);
    let parked = vehicle.parked_after;
    let parked = marked(words(parked), parked == defaults::PARKED_AFTER);
    let stale = vehicle.stale_after;
    let stale = marked(words(stale), stale == defaults::VEHICLE_STALE_AFTER);
    format!("{kind}; works up to {speed}, parked after {parked}, unknown after {stale}")
}

fn write_rules(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "\nRules")?;
    let built_in = built_in_rules();
    let (at_work, idle): (Vec<_>, Vec<_>) =
        config.site.rules.iter().partition(|rule| watched(rule, config) > 0);
    let rows = at_work.iter().map(|rule| {
        vec![
            marked(&rule.id, built_in.contains(rule)),
            number(watched(rule, config), rule.class),
            format!("{} {}", rule.severity.as_str(), rule.category),
            format!("when {}", rule.when.words(None)),
        ]
    });
    write_rows(out, &rows.collect::<Vec<_>>())?;
    if !idle.is_empty() {
        let idle: Vec<_> = idle.iter().map(|rule| rule.id.as_str()).collect();
        writeln!(out, "  nothing to watch for {}", idle.join(", "))?;
    }
    Ok(())
}

/// How many assets a rule can ever be true for.
fn watched(rule: &Rule, config: &Config) -> usize {
    let overstay = matches!(rule.when, Condition::Overstay { .. });
    let watches = |key: &AssetKey, asset: &Asset| {
        let limited = matches!(&asset.kind, Kind::Bay(bay) if bay.max_stay.is_some());
        // Nobody asks what was swept of a street without a plan.
        let planned = !matches!(&asset.kind, Kind::Street { sweep: None, .. });
        key.class == rule.class && planned && (limited || !overstay)
    };
    config.site.assets.iter().filter(|(key, asset)| watches(key, asset)).count()
}

fn counted(counts: &BTreeMap<Class, usize>) -> String {
    counts.iter().map(|(class, n)| number(*n, *class)).collect::<Vec<_>>().join(", ")
}

fn number(n: usize, class: Class) -> String {
    if n == 1 { format!("1 {class}") } else { format!("{n} {class}s") }
}

fn marked(value: impl Display, default: bool) -> String {
    if default { format!("{value}*") } else { value.to_string() }
}

fn words(span: Span) -> String {
    write_duration(Duration::from_millis(span.as_ms()))
}

/// Columns, each as wide as its widest cell; the last one is not filled up.
fn write_rows(out: &mut String, rows: &[Vec<String>]) -> fmt::Result {
    if rows.is_empty() {
        return writeln!(out, "  none");
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|c| width(c).unwrap_or_default()).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
