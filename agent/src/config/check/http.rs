//! `[http]`: where the dashboard is served, and where its pictures of the ground come from.

use std::net::SocketAddr;

use super::super::section::{Section, Value};
use super::super::{Broker, Http, Tiles, defaults, values};
use super::broker;

/// How tiles are written.
const EXAMPLE: &str =
    "it as { url = \"https://tiles.example.org/{z}/{x}/{y}.png\", attribution = \"© …\" }";

/// `None`: switched off.
pub(super) fn read(section: Option<&Section<'_>>, broker: Option<&Broker>) -> Option<Http> {
    let Some(section) = section else {
        return Some(Http { listen: defaults::LISTEN, tiles: None });
    };
    let enabled = section.or("enabled", true, values::boolean);
    let listen = section.or("listen", defaults::LISTEN, |value| listen(value, broker));
    let tiles = section.optional("tiles", tiles);
    section.finish();
    enabled.then_some(Http { listen, tiles })
}

fn listen(value: &Value<'_>, broker: Option<&Broker>) -> Option<SocketAddr> {
    let text = value.as_text("an address such as \"127.0.0.1:8080\"")?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        let fix = "write address:port, such as \"127.0.0.1:8080\", or \"[::1]:8080\"";
        value.error(format!("{text:?} is no address to listen on"), fix);
        return None;
    };
    let taken = broker.filter(|b| b.url.port == address.port() && broker::is_here(&b.url.host));
    if let Some(broker) = taken {
        let cause = format!("port {} of this machine is the broker's", broker.url.port);
        value.error(cause, "choose another port");
    }
    if !address.ip().is_loopback() {
        let cause = format!("everybody who reaches {address} sees the dashboard");
        value.warning(cause, "listen on 127.0.0.1, or see that only a trusted network reaches it");
    }
    Some(address)
}

fn tiles(value: &Value<'_>) -> Option<Tiles> {
    let section = value.as_section(EXAMPLE)?;
    let url = section.required("url", "\"https://tiles.example.org/{z}/{x}/{y}.png\"", template);
    let attribution = section.required("attribution", "\"© the makers of the map\"", values::name);
    let max_zoom = section.or("max_zoom", defaults::TILES_MAX_ZOOM, values::integer(1..=22));
    section.finish();
    let (url, origin) = url?;
    Some(Tiles { url, origin, attribution: attribution?, max_zoom })
}

/// A template of addresses, and the server that a browser has to be allowed to ask; `None`: our own.
fn template(value: &Value<'_>) -> Option<(String, Option<String>)> {
    let text = value.as_text("an address with {z}, {x} and {y}")?;
    let fail = |cause: String, fix: &str| {
        value.error(cause, fix);
        None
    };
    if let Some(part) = ["{z}", "{x}", "{y}"].into_iter().find(|part| !text.contains(part)) {
        return fail(format!("{text:?} has no {part}"), "write where zoom, column and row stand");
    }
    if text.starts_with('/') && !text.starts_with("//") {
        return Some((text.to_owned(), None));
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default()).unwrap_or_default();
    // It becomes part of a header: what no server is named by must not get there.
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(named) {
        let fix =
            "write https://server/…/{z}/{x}/{y}.png, or /path/{z}/{x}/{y}.png on the same server";
        return fail(format!("{text:?} names no server"), fix);
    }
    let scheme = text.len() - rest.map_or(0, str::len);
    Some((text.to_owned(), Some(format!("{}{host}", &text[..scheme]))))
}
