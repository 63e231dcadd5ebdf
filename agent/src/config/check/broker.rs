//! A broker: `[mqtt]`, and the one of a source that consumes from a broker.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::fault::did_you_mean;
use super::super::file::read_file;
use super::super::section::{Section, Value};
use super::super::{Broker, BrokerUrl, Rate, Scheme, Secret, Traffic, Version, defaults, values};
use crate::tls::Identity;

/// The longest password file; MQTT itself allows 64 KiB.
const PASSWORD_MAX: u64 = 4096;
/// The longest file of certificates: the whole list that browsers trust is 230 KB.
const CA_MAX: u64 = 4 * 1024 * 1024;

/// How URLs begin, with the port that each stands for.
const SCHEMES: [(&str, Scheme, u16); 4] = [
    ("mqtt", Scheme::Mqtt, 1883),
    ("mqtts", Scheme::Mqtts, 8883),
    ("ws", Scheme::Ws, 80),
    ("wss", Scheme::Wss, 443),
];

/// How series are written: whether in columns.
const SERIES: [(&str, bool); 2] = [("points", false), ("columns", true)];

/// The broker at the URL `text`, with everything else as it is by default.
pub(crate) fn by_url(text: &str) -> Result<Broker, String> {
    let url = parse_url(text).map_err(|(cause, fix)| format!("{cause}: {text:?}; {fix}"))?;
    Ok(with_defaults(url, None))
}

/// `[mqtt]`: the box's own broker, on which it is called `user` when nothing else is said.
pub(super) fn own(section: &Section<'_>, user: Option<String>) -> Option<(Broker, Traffic)> {
    let url = section.required("url", "\"mqtt://127.0.0.1:1883\"", url);
    let broker = url.map(|url| with_defaults(url, user));
    let broker = settings(section, broker);
    let traffic = traffic(section);
    section.finish();
    Some((broker?, traffic))
}

/// How much is published.
fn traffic(section: &Section<'_>) -> Traffic {
    let default = Traffic::default();
    Traffic {
        protocol: section.or("protocol", default.protocol, protocol),
        replay: Rate {
            messages: section.or(
                "replay_messages",
                default.replay.messages,
                values::integer(1..=1_000_000_u32),
            ),
            bytes: section.or("replay_bytes", default.replay.bytes, values::size(1024..=1 << 40)),
        },
        day_bytes: section.optional("day_bytes", values::size(64 * 1024..=1 << 50)),
        compress: section.or("compress", default.compress, values::boolean),
        columns: section.or("series", default.columns, values::word(&SERIES)),
    }
}

fn protocol(value: &Value<'_>) -> Option<Option<Version>> {
    match value.as_text("\"auto\", \"5\" or \"3.1.1\"")? {
        "auto" => Some(None),
        "5" => Some(Some(Version::V5)),
        "3.1.1" => Some(Some(Version::V311)),
        other => {
            let fix = "write \"auto\", \"5\" or \"3.1.1\"";
            value.error(format!("{other:?} is no version of MQTT that the box speaks"), fix);
            None
        }
    }
}

/// The broker of a source: the one that it names, or `own`, with what it says about it.
pub(super) fn of_source(section: &Section<'_>, own: Option<&Broker>) -> Option<Broker> {
    let base = match section.value("url") {
        Some(value) => url(&value).map(|url| with_defaults(url, None)),
        None => own.cloned(),
    };
    settings(section, base)
}

fn with_defaults(url: BrokerUrl, username: Option<String>) -> Broker {
    let reconnect_spread = if is_here(&url.host) {
        defaults::RECONNECT_SPREAD_HERE
    } else {
        defaults::RECONNECT_SPREAD
    };
    Broker {
        url,
        username,
        password: None,
        ca_file: None,
        identity: None,
        keep_alive: defaults::KEEP_ALIVE,
        connect_timeout: defaults::CONNECT_TIMEOUT,
        reconnect_spread,
        window: defaults::WINDOW,
        packet_max: defaults::PACKET_MAX,
    }
}

/// Everything but the URL. Without a `base` the keys are checked all the same.
fn settings(section: &Section<'_>, base: Option<Broker>) -> Option<Broker> {
    let scheme = base.as_ref().map(|base| base.url.scheme);
    let username = section.optional("username", values::name);
    let password = section.optional("password_file", password);
    let ca_file = section.optional("ca_file", |value| ca_file(value, scheme));
    let identity = identity(section, scheme);
    let seconds = |from, to| whole_seconds(Duration::from_secs(from)..=Duration::from_secs(to));
    let keep_alive = section.optional("keep_alive", seconds(5, 18 * 3600));
    let connect_timeout = section.optional("connect_timeout", seconds(1, 300));
    let reconnect_spread = section.optional("reconnect_spread", seconds(1, 3600));
    let window = section.optional("window", values::integer(1..=1000_u16));
    // The upper end is the longest packet that MQTT can have.
    let packet_max = section.optional("packet_max", values::size(16 * 1024..=268_435_455));
    refuse_password(section);

    let mut broker = base?;
    if password.is_some() && is_plain(broker.url.scheme) && !is_here(&broker.url.host) {
        let cause = "the password travels unencrypted".to_owned();
        section.report.warning(section.at, cause, "write mqtts:// or wss:// in the url");
    }
    broker.username = username.or(broker.username);
    broker.password = password.or(broker.password);
    broker.ca_file = ca_file.or(broker.ca_file);
    broker.identity = identity.or(broker.identity);
    broker.keep_alive = keep_alive.unwrap_or(broker.keep_alive);
    broker.connect_timeout = connect_timeout.unwrap_or(broker.connect_timeout);
    broker.reconnect_spread = reconnect_spread.unwrap_or(broker.reconnect_spread);
    broker.window = window.unwrap_or(broker.window);
    broker.packet_max =
        packet_max.and_then(|size| u32::try_from(size).ok()).unwrap_or(broker.packet_max);
    Some(broker)
}

/// MQTT counts in whole seconds.
fn whole_seconds(
    range: std::ops::RangeInclusive<Duration>,
) -> impl Fn(&Value<'_>) -> Option<Duration> {
    let read = values::duration(range);
    move |value| {
        let found = read(value)?;
        if found.subsec_nanos() != 0 {
            value.error(format!("{:?} is no whole number of seconds", value.key), "write seconds");
            return None;
        }
        Some(found)
    }
}

/// A password in the configuration would be in every copy of it.
fn refuse_password(section: &Section<'_>) {
    if let Some(value) = section.value("password") {
        let fix = "write it into a file that only steward may read, and name that in password_file";
        value.error("a password has no place in the configuration".to_owned(), fix);
    }
}

/// A secret from a file.
pub(super) fn password(value: &Value<'_>) -> Option<Secret> {
    let path = values::path(value)?;
    let text = read_text(value, &path, PASSWORD_MAX)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        value.error(format!("{} is empty", path.display()), "write the password into it");
        return None;
    }
    if is_open(&path) {
        let cause = format!("everybody on this machine can read {}", path.display());
        value.warning(cause, format!("chmod o-rwx {}", path.display()));
    }
    Some(Secret::new(password.to_owned()))
}

/// The box's own certificate and its key: both or neither.
fn identity(section: &Section<'_>, scheme: Option<Scheme>) -> Option<Identity> {
    let cert_file = section.optional("cert_file", |value| ca_file(value, scheme));
    let key_file = section.optional("key_file", private_key);
    let (named, other) = match (section.value("cert_file"), section.value("key_file")) {
        (Some(_), Some(_)) => {
            return Some(Identity { cert_file: cert_file?, key_file: key_file? });
        }
        (Some(value), None) => (value, "key_file"),
        (None, Some(value)) => (value, "cert_file"),
        (None, None) => return None,
    };
    named.error(format!("{:?} is of no use without {other:?}", named.key), "name both or neither");
    None
}

/// A file with a private key, which nobody else on the machine may read.
fn private_key(value: &Value<'_>) -> Option<PathBuf> {
    let path = values::path(value)?;
    if !read_text(value, &path, CA_MAX)?.contains("PRIVATE KEY-----") {
        value.error(format!("{} has no key", path.display()), "name a file in PEM format");
        return None;
    }
    if is_open(&path) {
        let fix = format!("chmod o-rwx {}", path.display());
        value.error(format!("everybody on this machine can read {}", path.display()), fix);
        return None;
    }
    Some(path)
}

/// Whether those who are neither the owner nor of the group may read a file.
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o007 != 0)
}

fn ca_file(value: &Value<'_>, scheme: Option<Scheme>) -> Option<PathBuf> {
    certificates(value, scheme.is_some_and(is_plain))
}

/// A file of certificates, which is of no use for a connection that is `plain`.
pub(super) fn certificates(value: &Value<'_>, plain: bool) -> Option<PathBuf> {
    let path = values::path(value)?;
    if plain {
        let fix = "write mqtts://, wss:// or https:// in the url, or remove ca_file";
        value.error("a connection without TLS has no certificates".to_owned(), fix);
        return None;
    }
    if !read_text(value, &path, CA_MAX)?.contains("-----BEGIN CERTIFICATE-----") {
        let cause = format!("{} has no certificate", path.display());
        value.error(cause, "name a file in PEM format");
        return None;
    }
    Some(path)
}

/// The text of the file that is named.
pub(super) fn text_of_file(value: &Value<'_>, max: u64) -> Option<String> {
    read_text(value, &values::path(value)?, max)
}

/// The text of a file that the configuration names.
pub(super) fn read_text(value: &Value<'_>, path: &Path, max: u64) -> Option<String> {
    let text = read_file(path, max)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    match text {
        Ok(text) => Some(text),
        Err(why) => {
            let cause = format!("{} cannot be read: {why}", path.display());
            value.error(cause, "check the path and who may read the file");
            None
        }
    }
}

/// Whether bytes travel as they are.
const fn is_plain(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Mqtt | Scheme::Ws)
}

/// Whether `host` is this machine.
pub(super) fn is_here(host: &str) -> bool {
    let is_here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_here)
}

fn url(value: &Value<'_>) -> Option<BrokerUrl> {
    let text = value.as_text("a url such as \"mqtt://127.0.0.1:1883\"")?;
    match parse_url(text) {
        Ok(url) => Some(url),
        Err((cause, fix)) => {
            value.error(cause, fix);
            None
        }
    }
}

/// Reads a broker's URL; otherwise cause and fix.
fn parse_url(text: &str) -> Result<BrokerUrl, (String, String)> {
    const FORM: &str = "write mqtt://host:port, mqtts://, ws://host:port/path or wss://";
    let fault = |cause: &str, fix: &str| Err((cause.to_owned(), fix.to_owned()));
    let Some((scheme, rest)) = text.split_once("://") else {
        return fault("the url has no scheme", FORM);
    };
    let Some((_, scheme, port)) = SCHEMES.into_iter().find(|(word, ..)| *word == scheme) else {
        let known = SCHEMES.iter().map(|(word, ..)| *word);
        return Err((format!("unknown scheme {scheme:?}"), did_you_mean(scheme, known)));
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains('@') {
        let fix = "take user and password out; write username = and password_file = instead";
        return fault("a password has no place in the url", fix);
    }
    if text.contains(['?', '#', ' ']) || text.chars().any(char::is_control) {
        return fault("the url has a query, a fragment or a space", FORM);
    }
    let (host, port) = host_and_port(authority, port)?;
    let path = match (scheme, path) {
        (Scheme::Ws | Scheme::Wss, "" | "/") => defaults::WEBSOCKET_PATH,
        (Scheme::Mqtt | Scheme::Mqtts, "/") => "",
        (Scheme::Mqtt | Scheme::Mqtts, path) if !path.is_empty() => {
            return fault("mqtt:// and mqtts:// have no path", "remove what follows the port");
        }
        (_, path) => path,
    };
    Ok(BrokerUrl { scheme, host, port, path: path.to_owned() })
}

/// Host and port of a URL; otherwise cause and fix.
pub(super) fn host_and_port(
    authority: &str,
    default: u16,
) -> Result<(String, u16), (String, String)> {
    let bad = |cause: String, fix: &str| Err((cause, fix.to_owned()));
    let (host, port) = match authority.strip_prefix('[') {
        // An IPv6 address stands in brackets.
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else {
                return bad("the '[' of the host is not closed".to_owned(), "write [address]:port");
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return bad(format!("{host:?} is no IPv6 address"), "write [address]:port");
            }
            (host, port.strip_prefix(':').or((!port.is_empty()).then_some(port)))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return bad("the url has no host".to_owned(), "write a name or an address after ://");
    }
    let number = port.map_or(Ok(default), str::parse);
    match number {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => bad(format!("{:?} is no port", port.unwrap_or_default()), "write 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_their_ports() {
        let cases = [
            ("mqtt://127.0.0.1:1883", Scheme::Mqtt, "127.0.0.1", 1883, ""),
            ("mqtt://broker", Scheme::Mqtt, "broker", 1883, ""),
            ("mqtt://broker/", Scheme::Mqtt, "broker", 1883, ""),
            ("mqtts://broker.example", Scheme::Mqtts, "broker.example", 8883, ""),
            ("ws://broker:9001", Scheme::Ws, "broker", 9001, "/mqtt"),
            ("wss://broker/ingest/mqtt", Scheme::Wss, "broker", 443, "/ingest/mqtt"),
            ("mqtt://[::1]:1884", Scheme::Mqtt, "::1", 1884, ""),
            ("mqtts://[2001:db8::1]", Scheme::Mqtts, "2001:db8::1", 8883, ""),
        ];
        for (text, scheme, host, port, path) in cases {
            let expected = BrokerUrl { scheme, host: host.into(), port, path: path.into() };
            assert_eq!(parse_url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        let cases = [
            ("127.0.0.1:1883", "no scheme", "mqtt://host:port"),
            ("mqt://a", "unknown scheme \"mqt\"", "did you mean \"mqtt\"?"),
            ("https://a", "unknown scheme \"https\"", ""),
            ("mqtt://", "no host", "after ://"),
            ("mqtt://:1883", "no host", ""),
            ("mqtt://a:b:1", "\"b:1\" is no port", "1 to 65535"),
            ("mqtt://a:0", "\"0\" is no port", ""),
            ("mqtt://a:65536", "is no port", ""),
            ("mqtt://a:", "\"\" is no port", ""),
            ("mqtt://u:secret@a", "password has no place in the url", "password_file"),
            ("mqtt://a/topic", "no path", "remove"),
            ("ws://a/m?x=1", "query", ""),
            ("mqtt://[::1", "not closed", "[address]:port"),
            ("mqtt://[a]:1", "no IPv6 address", ""),
        ];
        for (text, cause, fix) in cases {
            let (found, how) = parse_url(text).unwrap_err();
            assert!(found.contains(cause) && how.contains(fix), "{text}: {found}: {how}");
            assert!(!found.contains("secret"), "a secret is not repeated");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0"] {
            assert!(is_here(here), "{here}");
        }
        assert!(!is_here("broker") && !is_here("10.0.0.1"));
    }
}
