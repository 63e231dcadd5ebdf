//! What is installed here: the box, its assets, what feeds them, and the policies for them.
//!
//! Made by the agent's configuration check, which is the only place that turns text into these types;
//! everything in here is already valid.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{Calendar, DayClasses, Period};
use serde::Serialize;

use crate::ids::{
    AssetId, AssetKey, BoxId, Category, Class, CrewId, DeviceKey, PermitId, SiteId, SourceName,
    TariffId, TenantId, VehicleClass,
};
use crate::parking::tariff::{Currency, Tariff};
use crate::place::Position;
use crate::rules::{Rule, Severity};
use crate::sweeping::{Course, Round, Zone};
use crate::tickets::{TimeLimit, WorkingHours};
use crate::time::{Span, Utc};
use crate::units::{
    CentiDegrees, Grams, MilliCelsius, Millimetres, MillimetresPerSecond, Permille,
};
use crate::waste::{Geometry, Tag, WasteKind, WeekPlan};

/// Everything the core must know of its surroundings.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Who the box is.
    pub identity: Identity,
    /// Every asset by its name.
    pub assets: BTreeMap<AssetKey, Asset>,
    /// When a finding is made of facts.
    pub rules: Vec<Rule>,
    /// How tickets behave.
    pub tickets: TicketPolicy,
    /// Local days and hours.
    pub calendar: Calendar,
    /// Tariffs and permits.
    pub parking: Parking,
}

/// What bays refer to by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parking {
    /// The tariffs.
    pub tariffs: BTreeMap<TariffId, Tariff>,
    /// The permits that are valid here, each with the bays it is good for; none named: for all.
    pub permits: BTreeMap<PermitId, Vec<AssetId>>,
}

impl Parking {
    /// The currency of everything that is billed; `None` where nothing is, or in more than one.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        let mut all = self.tariffs.values().flat_map(Tariff::currencies);
        let first = all.next()?;
        all.all(|one| one == first).then_some(first)
    }
}

/// The three levels of the topic prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tenant.
    pub tenant: TenantId,
    /// Site.
    pub site: SiteId,
    /// Box.
    pub id: BoxId,
}

/// Something that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// What people call it, by language tag (`zh`, `en`).
    pub names: BTreeMap<String, String>,
    /// Where it stands, for what stands still.
    pub position: Option<Position>,
    /// Which street it belongs to.
    pub street: Option<AssetId>,
    /// The devices it is measured by.
    pub feeds: Vec<Feed>,
    /// What it is.
    pub kind: Kind,
}

/// One device of one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feed {
    /// The source.
    pub source: SourceName,
    /// The device; `None` when the source is one device.
    pub device: Option<DeviceKey>,
}

/// What an asset is, with what only that kind has.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A parking bay.
    Bay(Bay),
    /// A bin.
    Bin(Bin),
    /// A vehicle.
    Vehicle(Vehicle),
    /// A street: a line to draw, and perhaps to sweep.
    Street {
        /// The middle line, at least two points.
        line: Vec<Position>,
        /// How it is to be swept; `None`: nobody asks.
        sweep: Option<crate::sweeping::Plan>,
    },
}

/// Settings of a bay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bay {
    /// The longest stay that is allowed; `None`: as long as one likes.
    pub max_stay: Option<Span>,
    /// A car counts only after it has stood this long.
    pub occupied_after: Span,
    /// A bay counts as left only after it was free this long.
    pub free_after: Span,
    /// Without a report for this long the bay is `unknown`.
    pub stale_after: Span,
    /// What it costs to stand there, who may, and when its sensors are not believed.
    pub policy: BayPolicy,
}

/// What it costs to stand on a bay, who may, and when its sensors are not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BayPolicy {
    /// The tariff; `None`: nothing is billed.
    pub tariff: Option<TariffId>,
    /// What kind of vehicle stands there, where that is certain.
    pub vehicle: Option<VehicleClass>,
    /// So long the other sensors have to say the same as the first one before it counts alone.
    pub disagree_after: Span,
    /// A sensor that says occupied against another one for this long is asked to learn anew.
    pub drift_after: Span,
    /// A sensor alone that says occupied for this long is not believed any more.
    pub stuck_after: Span,
    /// A car that more than one sensor has seen for this long is abandoned.
    pub zombie_after: Span,
    /// When nobody may stand there.
    pub no_parking: Vec<NoParking>,
    /// Only with a permit: so long a driver has to show one. `None`: for everybody.
    pub reserved: Option<Span>,
}

impl Default for BayPolicy {
    fn default() -> BayPolicy {
        let days = |n: u64| Span::from_mins(n * 24 * 60);
        BayPolicy {
            tariff: None,
            vehicle: None,
            disagree_after: Span::from_mins(3),
            drift_after: Span::from_mins(6 * 60),
            stuck_after: days(7),
            zombie_after: days(7),
            no_parking: vec![],
            reserved: None,
        }
    }
}

/// A time at which nobody may stand on a bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoParking {
    /// When.
    pub period: Period,
    /// On which days.
    pub days: DayClasses,
    /// How long a car may stand all the same.
    pub grace: Span,
}

/// Settings of a bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bin {
    /// Distance from the sensor to the bottom of the empty bin.
    pub empty: Millimetres,
    /// Distance from the sensor to the full line; smaller than `empty`.
    pub full: Millimetres,
    /// From this level on the bin is full.
    pub full_at: Permille,
    /// Below this level it no longer is; smaller than `full_at`.
    pub clear_at: Permille,
    /// Litres, where known.
    pub capacity_l: Option<u32>,
    /// Without a report for this long the level is `unknown`.
    pub stale_after: Span,
    /// How its sensor sees it.
    pub sensing: Sensing,
    /// What it is for and when it is emptied.
    pub service: Service,
}

/// How the sensor sees the inside of a bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensing {
    /// The shape of the inside.
    pub geometry: Geometry,
    /// The angle between the sensor and straight down, below 90°.
    pub mount_angle: CentiDegrees,
    /// The sensor reckons with the speed of sound at 20 °C whatever the weather: correct for it.
    pub assumes_20_c: bool,
    /// Nearer than this the sensor cannot measure; 0 where it can.
    pub blind: Millimetres,
    /// The level is the median of this many readings, 1 to 9. 1 takes every reading as it is.
    pub median_of: u8,
    /// Twice this hot in a row is fire.
    pub fire_at: MilliCelsius,
    /// So far from its place, by its own position, the bin was moved.
    pub moved_beyond: Millimetres,
}

impl Sensing {
    /// Straight walls, looked at from above by a sensor that needs no help.
    pub const PLAIN: Sensing = Sensing {
        geometry: Geometry::Prism,
        mount_angle: CentiDegrees(0),
        assumes_20_c: false,
        blind: Millimetres(0),
        median_of: 1,
        fire_at: MilliCelsius(65_000),
        moved_beyond: Millimetres(100_000),
    };
}

impl Default for Sensing {
    fn default() -> Sensing {
        Sensing::PLAIN
    }
}

/// What a bin is for, and when it is emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it takes, where that is settled.
    pub waste: Option<WasteKind>,
    /// Its RFID tag.
    pub tag: Option<Tag>,
    /// The most it may hold.
    pub load_max: Option<Grams>,
    /// The planned collections; `None` where there is no plan.
    pub plan: Option<WeekPlan>,
    /// A collection may come this long after its planned time.
    pub plan_grace: Span,
    /// How far a scale may be off.
    pub scale_tolerance: Grams,
    /// Every emptying must come with a lift or a vehicle of ours.
    pub expects_vehicle: bool,
}

impl Service {
    /// Nothing is planned or known.
    pub const NONE: Service = Service {
        waste: None,
        tag: None,
        load_max: None,
        plan: None,
        plan_grace: Span::from_mins(4 * 60),
        scale_tolerance: Grams(100),
        expects_vehicle: false,
    };
}

impl Default for Service {
    fn default() -> Service {
        Service::NONE
    }
}

/// Settings of a vehicle.
#[derive(Debug, Clone, PartialEq)]
pub struct Vehicle {
    /// What it does.
    pub kind: VehicleKind,
    /// The fastest it may go and still be sweeping.
    pub work_speed_max: MillimetresPerSecond,
    /// Standing still for this long is parked rather than idle.
    pub parked_after: Span,
    /// Without a position for this long the vehicle is `unknown`.
    pub stale_after: Span,
    /// Where it is to go, and what it tells of its way.
    pub duty: Duty,
}

/// Where a vehicle is to go, and what it tells of its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Duty {
    /// No fix is further from the track that is sent, at its own time.
    pub track_error: Millimetres,
    /// Every fix is sent as it is, beside the track.
    pub raw_fixes: bool,
    /// Trips further apart than this belong to different shifts.
    pub shift_ends_after: Span,
    /// The areas it is to stay in, must not enter, or may rest in.
    pub zones: Vec<Arc<Zone>>,
    /// The lines along which it is to go.
    pub courses: Vec<Arc<Course>>,
    /// The stops of its routes.
    pub round: Option<Round>,
}

impl Duty {
    /// Nothing is planned; the track is good to five metres.
    pub const NONE: Duty = Duty {
        track_error: Millimetres(5000),
        raw_fixes: false,
        shift_ends_after: Span::from_mins(3 * 60),
        zones: vec![],
        courses: vec![],
        round: None,
    };

    /// The bound of the track in metres.
    #[must_use]
    pub fn track_error_m(&self) -> f64 {
        f64::from(self.track_error.0) / 1000.0
    }
}

/// What a vehicle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VehicleKind {
    /// Sweeps.
    Sweeper,
    /// Washes.
    Washer,
    /// Collects bins.
    Collector,
    /// Anything else.
    Other,
}

/// How tickets behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketPolicy {
    /// The same problem inside this time after closing is the old ticket again, as rework.
    pub reopen_within: Span,
    /// How long the retained state of a closed ticket stays on the broker.
    pub keep_closed: Span,
    /// When people work.
    pub hours: WorkingHours,
    /// By when what has to be handled; the first one that fits counts.
    pub limits: Vec<LimitRule>,
    /// Who does the work.
    pub crews: BTreeMap<CrewId, Crew>,
    /// What is known of the kinds of tickets.
    pub categories: BTreeMap<Category, CategorySpec>,
    /// When nobody is to hear of what.
    pub maintenance: Vec<Maintenance>,
    /// Who may do what; none: everybody everything.
    pub allow: Vec<Allow>,
    /// A problem that comes or goes this often within `flap_within` flaps.
    pub flaps: u32,
    /// See `flaps`; a problem that has been still for so long no longer flaps.
    pub flap_within: Span,
    /// Silent devices of one source that are one ticket about the source, if it has been silent as a
    /// whole; 0 means never.
    pub storm_from: u32,
}

impl Default for TicketPolicy {
    fn default() -> TicketPolicy {
        TicketPolicy {
            reopen_within: Span::from_mins(24 * 60),
            keep_closed: Span::from_mins(7 * 24 * 60),
            hours: WorkingHours::default(),
            limits: vec![],
            crews: BTreeMap::new(),
            categories: BTreeMap::new(),
            maintenance: vec![],
            allow: vec![],
            flaps: 8,
            flap_within: Span::from_mins(60),
            storm_from: 3,
        }
    }
}

impl TicketPolicy {
    /// The time limit of a kind of ticket, and how long before its end somebody is told.
    #[must_use]
    pub fn limit_for(&self, category: &Category, severity: Severity) -> Option<(TimeLimit, Span)> {
        let fits = |rule: &&LimitRule| {
            rule.category.as_ref().is_none_or(|c| c == category)
                && rule.severity.is_none_or(|s| s == severity)
        };
        self.limits.iter().find(fits).map(|rule| (rule.limit, rule.remind))
    }
}

/// An `[[allow]]`: who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Requesters; a `*` at the end stands for anything.
    pub by: Vec<String>,
    /// Commands (`ping`, `ticket.ack`); a `*` at the end stands for anything.
    pub commands: Vec<String>,
}

impl TicketPolicy {
    /// Whether `by` may do `command`. Without any `[[allow]]` everybody may do everything.
    #[must_use]
    pub fn allows(&self, by: &str, command: &str) -> bool {
        let fits = |pattern: &String, text: &str| match pattern.strip_suffix('*') {
            Some(begin) => text.starts_with(begin),
            None => pattern == text,
        };
        let allowed = |allow: &Allow| {
            allow.by.iter().any(|p| fits(p, by)) && allow.commands.iter().any(|p| fits(p, command))
        };
        self.allow.is_empty() || self.allow.iter().any(allowed)
    }
}

/// A `[[limit]]`: by when tickets of a kind have to be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// Which; `None`: all.
    pub category: Option<Category>,
    /// How bad; `None`: however bad.
    pub severity: Option<Severity>,
    /// By when.
    pub limit: TimeLimit,
    /// How much of it is left when somebody is told, in its kind of time; zero: nobody is.
    pub remind: Span,
}

/// A `[[crew]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crew {
    /// What people call it, by language tag.
    pub names: BTreeMap<String, String>,
    /// The unit that it belongs to.
    pub unit: Option<String>,
    /// What it does; none: everything.
    pub categories: Vec<Category>,
}

/// What is known of a kind of ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CategorySpec {
    /// Its codes on the platforms of cities.
    pub codes: Vec<CategoryCode>,
    /// The class of assets that it is about.
    pub class: Option<Class>,
    /// Reports nearer to each other than this are of the same problem, in metres; 0: never.
    pub radius_m: u32,
    /// Whether a person has to look before it is raised, where only a camera says so.
    pub review: bool,
    /// Whether it stays inside the operator's house, and out of the figures of the city.
    pub internal: bool,
}

/// A code of a platform or standard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CategoryCode {
    /// Which list of codes.
    pub scheme: String,
    /// The code space: `component` or `matter`.
    pub kind: String,
    /// The code itself.
    pub code: String,
    /// Whether it is an extension that only some places have.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
}

/// A `[[maintenance]]`: nobody is to hear of what is found then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Where; none: everywhere.
    pub assets: Vec<AssetKey>,
    /// The beginning.
    pub from: Utc,
    /// The end.
    pub until: Utc,
    /// What is done.
    pub reason: String,
}
