//! From sections to a [`Config`] that cannot be wrong.
//!
//! Every section is read to its end whatever is wrong with it, and what the sections say of each other
//! is checked after that. A `Config` comes out only when nothing is wrong.

mod actors;
mod assets;
mod bins;
mod broker;
mod home_assistant;
mod http;
mod open311;
mod parking;
mod roads;
mod routes;
mod rules;
mod schedule;
mod sources;
mod sweep;
mod tickets;
mod update;
mod uplinks;

use std::path::PathBuf;
use std::time::Duration;

use domain::ids::{BoxId, SiteId, SourceName, TenantId};
use domain::output::Lane;
use domain::site::{Identity, Parking, Site};

use self::assets::Assets;
use self::rules::Around;
use self::sources::Sources;
use super::fault::{Fault, Level};
use super::file::Texts;
use super::section::{Report, Section, Spot, Tree, Value};
use super::values;
use super::{Buffer, Config, defaults};

pub(super) use self::broker::by_url as broker_by_url;
pub(super) use self::rules::built_in as built_in_rules;
pub(super) use self::sources::http_url;

/// Sections that have their place in the configuration and are not built in yet.
const LATER: [&str; 2] = ["gauge", "camera"];

/// One mebibyte.
const MIB: u64 = 1024 * 1024;

/// Checks everything that was read. The configuration comes without a fault of [`Level::Error`] or not
/// at all.
pub(super) fn check(texts: Texts) -> (Option<Config>, Vec<Fault>) {
    let Texts { texts, mut faults, incomplete, hash } = texts;
    let report = Report::new(&texts);
    let config = read(&report, &Tree::new(&report, &texts, incomplete), hash);
    faults.extend(report.into_faults());
    let valid = faults.iter().all(|fault| fault.level == Level::Warning);
    (config.filter(|_| valid), faults)
}

fn read<'a>(report: &'a Report<'a>, tree: &'a Tree<'a>, hash: String) -> Option<Config> {
    let own = expect_table(tree, "box", "id, tenant, site, timezone").map(|s| read_box(&s));
    let own = own.unwrap_or_default();
    let user = own.id.as_ref().map(BoxId::to_string);
    let own_broker = expect_table(tree, "mqtt", "url = \"mqtt://127.0.0.1:1883\"")
        .and_then(|section| broker::own(&section, user));
    let (broker, traffic) = own_broker.unzip();
    let mut buffer = read_buffer(tree.table("buffer").as_ref());
    buffer.columns = traffic.is_some_and(|traffic| traffic.columns);
    let uplinks = uplinks::read(tree, broker.as_ref(), own.id.as_ref(), &buffer);
    let mut sources = Sources::read(tree, broker.as_ref());
    let tariffs = parking::tariffs(tree);
    let zone = own.timezone.clone().unwrap_or(jiff::tz::TimeZone::UTC);
    let mut assets = Assets::read(tree, &mut sources, &tariffs.names, &zone);
    #[cfg(feature = "vision")]
    sources.check_about(tree, &assets.assets);
    let permits = parking::permits(tree, &assets.assets);
    let calendar = parking::calendar(tree, zone.clone());
    sweep::set_zone(&mut assets.assets, &zone);
    let zones = routes::read(tree, &mut assets.assets, &zone);
    let tickets = tickets::read(tree, &assets.assets);
    let around = Around {
        assets: &assets.assets,
        zones: &zones,
        hours: &tickets.hours,
        calendar: &calendar,
    };
    let rules = rules::read(tree, &around);
    let http = http::read(tree.table("http").as_ref(), broker.as_ref());
    let actors = actors::read(tree);
    let open311 = open311::read(tree, &tickets.categories);
    let update = update::read(tree);
    if http.is_none() {
        needs_http(report, open311.is_some(), sources.pushed());
    }
    let home_assistant = home_assistant::read(tree);
    tree.finish(&LATER);
    if !tree.incomplete {
        warn_of_nothing(report, &sources, &assets);
    }
    let identity = Identity { tenant: own.tenant?, site: own.site?, id: own.id? };
    Some(Config {
        site: Site {
            identity,
            assets: assets.assets,
            rules,
            tickets,
            calendar,
            parking: Parking { tariffs: tariffs.tariffs, permits },
        },
        name: own.name,
        timezone: own.timezone?,
        broker: broker?,
        traffic: traffic?,
        buffer,
        uplinks,
        sources: sources.built,
        http,
        actors,
        open311,
        update,
        home_assistant,
        hash,
    })
}

/// What cannot be without the web server, which is switched off.
fn needs_http(report: &Report<'_>, open311: bool, pushed: Option<&SourceName>) {
    let top = Spot { file: 0, offset: 0 };
    if open311 {
        let cause = "the public is to report over [http], which is switched off".to_owned();
        report.error(top, cause, "switch [http] on, or [open311] off");
    }
    if let Some(source) = pushed {
        let cause =
            format!("documents are to be sent to the source {source}, but [http] is switched off");
        report.error(top, cause, "switch it on, or give the source a url");
    }
}

/// The `[name]` that must be there.
fn expect_table<'a>(tree: &'a Tree<'a>, name: &'static str, with: &str) -> Option<Section<'a>> {
    let section = tree.table(name);
    if section.is_none() && !tree.incomplete && !tree.has(name) {
        let top = Spot { file: 0, offset: 0 };
        let fix = format!("add the section [{name}] with {with}");
        tree.report.error(top, format!("the section [{name}] is missing"), fix);
    }
    section
}

/// A box that hears nothing or watches nothing runs, but is hardly what was meant.
fn warn_of_nothing(report: &Report<'_>, sources: &Sources, assets: &Assets) {
    let top = Spot { file: 0, offset: 0 };
    if sources.is_empty() {
        let fix = "add a [[source]]";
        report.warning(top, "there is no [[source]]: the box hears nothing".to_owned(), fix);
    }
    if assets.assets.is_empty() {
        let fix = "add a [[bay]], [[bin]] or [[vehicle]]";
        report.warning(top, "there are no assets: the box watches nothing".to_owned(), fix);
    }
}

#[derive(Default)]
struct Own {
    id: Option<BoxId>,
    tenant: Option<TenantId>,
    site: Option<SiteId>,
    timezone: Option<jiff::tz::TimeZone>,
    name: Option<String>,
}

fn read_box(section: &Section<'_>) -> Own {
    let own = Own {
        id: section.required("id", "\"xj-0412\"", values::id(BoxId::new)),
        tenant: section.required("tenant", "\"longcheng\"", values::id(TenantId::new)),
        site: section.required("site", "\"xuejia\"", values::id(SiteId::new)),
        timezone: section.required("timezone", "\"Asia/Shanghai\"", timezone),
        name: section.optional("name", values::name),
    };
    section.finish();
    own
}

fn timezone(value: &Value<'_>) -> Option<jiff::tz::TimeZone> {
    let text = value.as_text("a zone such as \"Asia/Shanghai\"")?;
    let zones = jiff::tz::db();
    if zones.is_definitively_empty() {
        let cause = "this machine has no time zones".to_owned();
        value.error(cause, "install the package tzdata");
        return None;
    }
    let found = zones.get(text).ok();
    if found.is_none() {
        let known: Vec<_> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
        let fix = match super::fault::nearest(text, known.iter().map(String::as_str)) {
            Some(zone) => format!("did you mean {zone:?}?"),
            None => "write a zone of the IANA list, such as \"Asia/Shanghai\"".to_owned(),
        };
        value.error(format!("unknown time zone {text:?}"), fix);
    }
    found
}

fn read_buffer(section: Option<&Section<'_>>) -> Buffer {
    let mut buffer = Buffer::below(PathBuf::from(defaults::BUFFER_DIR));
    let Some(section) = section else { return buffer };
    let commit = Duration::from_millis(10)..=Duration::from_secs(10);
    buffer.dir = section.or("dir", buffer.dir, values::path);
    buffer.max_size = section.or("max_size", buffer.max_size, buffer_size);
    buffer.commit_every = section.or("commit_every", buffer.commit_every, values::duration(commit));
    buffer.free_min = section.or("free_min", buffer.free_min, values::size(0..=1024 * 1024 * MIB));
    if let Some(ages) = section.value("max_age") {
        buffer.max_age =
            ages.as_section("{ telemetry = \"30d\" }").map_or([None; 4], |s| max_age(&s));
    }
    section.finish();
    buffer
}

/// How much may be buffered.
fn buffer_size(value: &Value<'_>) -> Option<u64> {
    values::size(MIB..=1024 * 1024 * MIB)(value)
}

/// By lane, how old a message may become.
fn max_age(section: &Section<'_>) -> [Option<Duration>; 4] {
    let age = Duration::from_secs(60)..=Duration::from_secs(3660 * 86_400);
    let ages = Lane::ALL.map(|lane| section.optional(lane.as_str(), values::duration(age.clone())));
    section.finish();
    ages
}
