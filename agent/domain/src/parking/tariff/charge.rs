//! From a stay to a fee, window by window.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{
    Applies, Campaign, Cap, Currency, Exceeded, Free, Money, OnChange, Plan, Rounding, Scope,
    Seconds, Tariff, Window,
};
use crate::calendar::{Calendar, DayClass};
use crate::ids::{TariffId, VehicleClass};
use crate::time::{Span, Utc};

const MINUTE_MS: i64 = 60_000;
const DAY: Span = Span::from_mins(24 * 60);

/// A stay to be billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay<'a> {
    /// Arrival.
    pub start: Utc,
    /// Departure; before `start` it counts as `start`.
    pub end: Utc,
    /// The kind of vehicle, where it is known.
    pub vehicle: Option<&'a VehicleClass>,
    /// What the same vehicle has paid in the first cap's time already, where that is known.
    pub charged_before: Money,
}

/// What a stay costs, and how that comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fee {
    /// The tariff.
    pub tariff: TariffId,
    /// The version of the plan that the stay began under.
    pub version: u32,
    /// The currency of every amount.
    pub currency: Currency,
    /// Minutes that were counted.
    pub minutes: u64,
    /// What is due: the sum of what the windows charge.
    pub total: Money,
    /// Minutes that were free for the stay as a whole.
    pub free_minutes: u64,
    /// The parts of the stay in the order of time.
    pub windows: Vec<Line>,
}

/// One instance of a window, or the part of one that is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The window's name.
    pub window: String,
    /// The version of the plan it belongs to.
    pub version: u32,
    /// The class of the day it begins on.
    pub day: DayClass,
    /// Its beginning.
    pub from: Utc,
    /// Its end.
    pub to: Utc,
    /// Its length in minutes.
    pub minutes: u64,
    /// The units that were begun.
    pub units: Vec<UnitLine>,
    /// What the units cost.
    pub amount: Money,
    /// Percent taken off by a campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_pct: Option<u8>,
    /// Why it is less than that, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// What is due for it.
    pub charged: Money,
}

/// Units of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UnitLine {
    /// How many.
    pub count: u64,
    /// How long each is, in minutes.
    pub unit: u32,
    /// What each costs.
    pub price: Money,
}

/// What `stay` costs by `tariff`.
#[must_use]
pub fn charge(tariff: &Tariff, calendar: &Calendar, stay: &Stay<'_>) -> Fee {
    let plan = tariff.plan_at(stay.start);
    let from = whole_minute(stay.start);
    let lasted = stay.end.since(stay.start);
    let minutes = match plan.seconds {
        Seconds::Truncate => lasted.as_secs() / 60,
        Seconds::RoundUp => lasted.as_ms().div_ceil(60_000),
    };
    let to = from + Span::from_mins(minutes);
    let free_minutes = free_of(plan.free, minutes);
    let begin = from + Span::from_mins(free_minutes);
    let mut counter = Counter {
        calendar,
        entry: from,
        whole: campaign_at(plan, calendar, from, Applies::Stay),
        charged_before: stay.charged_before,
        covered: begin,
        positions: BTreeMap::new(),
        used: BTreeMap::new(),
    };
    let pieces = pieces(tariff, calendar, stay.vehicle, (from, begin, to));
    let windows: Vec<Line> =
        pieces.iter().enumerate().map(|(n, piece)| counter.line(n, piece)).collect();
    let total = windows.iter().fold(Money::ZERO, |sum, line| sum.plus(line.charged));
    let Plan { version, currency, .. } = *plan;
    Fee { tariff: tariff.id.clone(), version, currency, minutes, total, free_minutes, windows }
}

/// The minutes that cost nothing at the beginning of `minutes`.
fn free_of(free: Free, minutes: u64) -> u64 {
    match free.exceeded {
        _ if free.covers(minutes) => minutes,
        Exceeded::Voided => 0,
        Exceeded::Deducted => u64::from(free.minutes).min(minutes),
    }
}

fn whole_minute(utc: Utc) -> Utc {
    Utc::from_ms(utc.as_ms() - utc.as_ms().rem_euclid(MINUTE_MS))
}

fn campaign_at<'a>(
    plan: &'a Plan,
    calendar: &Calendar,
    at: Utc,
    applies: Applies,
) -> Option<&'a Campaign> {
    let date = calendar.date(at);
    let class = calendar.class(date);
    plan.campaigns
        .iter()
        .find(|c| c.applies == applies && c.first <= date && date <= c.last && c.days.has(class))
}

/// A part of a stay that is counted together.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    plan: &'a Plan,
    /// The window's place in the plan.
    window: usize,
    day: DayClass,
    campaign: Option<&'a Campaign>,
    from: Utc,
    to: Utc,
}

impl Piece<'_> {
    fn goes_on_as(&self, next: &Piece<'_>) -> bool {
        std::ptr::eq(self.plan, next.plan)
            && self.window == next.window
            && self.campaign == next.campaign
            && self.to == next.from
    }
}

/// The billed part of a stay (`begin` to `to`), cut wherever counting begins anew.
fn pieces<'a>(
    tariff: &'a Tariff,
    calendar: &Calendar,
    vehicle: Option<&VehicleClass>,
    (entry, begin, to): (Utc, Utc, Utc),
) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = vec![];
    for (plan, from, to) in plans_of(tariff, entry, begin, to) {
        let rolling = cut_by(plan, Scope::Rolling24h);
        let daily = cut_by(plan, Scope::CalendarDay);
        let mut day_begin = calendar.at(calendar.date(from), 0);
        while day_begin < to {
            let date = calendar.date(day_begin);
            let day_end = calendar.next_day(day_begin);
            let mut first = true;
            for piece in day_pieces(plan, calendar, date, vehicle) {
                for piece in split_rolling(piece, rolling.then_some(entry)) {
                    let piece = Piece { from: piece.from.max(from), to: piece.to.min(to), ..piece };
                    if piece.from >= piece.to {
                        continue;
                    }
                    let cut = (daily && std::mem::take(&mut first))
                        || (rolling && is_rolling_cut(entry, piece.from));
                    match pieces.last_mut() {
                        Some(last) if !cut && last.goes_on_as(&piece) => last.to = piece.to,
                        _ => pieces.push(piece),
                    }
                }
            }
            if day_end <= day_begin {
                break;
            }
            day_begin = day_end;
        }
    }
    pieces
}

fn cut_by(plan: &Plan, scope: Scope) -> bool {
    plan.counting == scope || plan.caps.iter().any(|cap| cap.scope == scope)
}

fn is_rolling_cut(entry: Utc, at: Utc) -> bool {
    at > entry && at.since(entry).as_ms().is_multiple_of(DAY.as_ms())
}

/// Cuts a piece where 24 hours from `entry` are full.
fn split_rolling(piece: Piece<'_>, entry: Option<Utc>) -> Vec<Piece<'_>> {
    let mut parts = vec![];
    let mut rest = piece;
    if let Some(entry) = entry {
        loop {
            let full = rest.from.since(entry).as_ms() / DAY.as_ms() + 1;
            let cut = entry + DAY.saturating_mul(full);
            if rest.from < entry || cut >= rest.to {
                break;
            }
            parts.push(Piece { to: cut, ..rest });
            rest.from = cut;
        }
    }
    parts.push(rest);
    parts
}

/// Which plan bills which part of the stay.
fn plans_of(tariff: &Tariff, entry: Utc, begin: Utc, to: Utc) -> Vec<(&Plan, Utc, Utc)> {
    let mut parts = vec![];
    let (mut plan, mut from) = (tariff.plan_at(entry), begin);
    for next in tariff.plans() {
        let Some(starts) = next.from.map(whole_minute).filter(|&at| entry < at && at < to) else {
            continue;
        };
        if next.on_change == OnChange::Entry {
            continue;
        }
        if from < starts {
            parts.push((plan, from, starts));
        }
        (plan, from) = (next, from.max(starts));
    }
    if from < to {
        parts.push((plan, from, to));
    }
    parts
}

/// The windows of one local day, from its first instant to its last.
fn day_pieces<'a>(
    plan: &'a Plan,
    calendar: &Calendar,
    date: jiff::civil::Date,
    vehicle: Option<&VehicleClass>,
) -> Vec<Piece<'a>> {
    let day = calendar.class(date);
    let named = vehicle.filter(|v| plan.windows.iter().any(|w| w.vehicles.contains(v)));
    let mut starts: Vec<(u16, usize)> = vec![];
    for (i, window) in plan.windows.iter().enumerate() {
        if window.days.has(day) && window.is_for(named) {
            starts.extend(window.period.pieces().iter().map(|&(from, _)| (from, i)));
        }
    }
    starts.sort_unstable();
    let noon = calendar.at(date, 0);
    let campaign = campaign_at(plan, calendar, noon, Applies::Time);
    let ends = starts.iter().skip(1).map(|&(from, _)| from).chain([crate::calendar::DAY_MINUTES]);
    let piece = |(&(from, window), to): (&(u16, usize), u16)| Piece {
        plan,
        window,
        day,
        campaign,
        from: calendar.at(date, from),
        to: calendar.at(date, to),
    };
    starts.iter().zip(ends).map(piece).collect()
}

impl Window {
    /// Whether it applies to a vehicle of a class that some window names, or to any other.
    fn is_for(&self, named: Option<&VehicleClass>) -> bool {
        match named {
            Some(vehicle) => self.vehicles.contains(vehicle),
            None => self.vehicles.is_empty(),
        }
    }
}

/// What is counted together, by its number: instances, days, 24 hours, or 0 for the stay.
type Bucket = (u32, i64);

/// What was counted so far.
struct Counter<'a> {
    calendar: &'a Calendar,
    entry: Utc,
    /// A campaign for the whole stay.
    whole: Option<&'a Campaign>,
    charged_before: Money,
    /// Until when a begun unit reaches, where units go on from window to window.
    covered: Utc,
    /// Minutes in each window, by plan version, window and bucket.
    positions: BTreeMap<(u32, usize, Bucket), u64>,
    /// What was charged against each cap, by plan version, cap and bucket.
    used: BTreeMap<(u32, usize, Bucket), Money>,
}

impl Counter<'_> {
    fn line(&mut self, number: usize, piece: &Piece<'_>) -> Line {
        let Piece { plan, day, from, to, .. } = *piece;
        let window = &plan.windows[piece.window];
        let units = self.units(number, piece);
        let price = |u: &UnitLine| u.price.times(u.count);
        let amount = units.iter().map(price).fold(Money::ZERO, Money::plus);
        let discount_pct =
            [self.whole, piece.campaign].into_iter().flatten().map(|c| c.percent).max();
        let mut charged = amount.less_percent(discount_pct.unwrap_or(0));
        let mut limited_by = None;
        if let Some(cap) = window.cap.filter(|&cap| cap < charged) {
            charged = cap;
            limited_by = Some(format!("cap of window {}", window.name));
        }
        self.hold_caps(number, piece, &mut charged, &mut limited_by);
        Line {
            window: window.name.clone(),
            version: plan.version,
            day,
            from,
            to,
            minutes: to.since(from).as_secs() / 60,
            units,
            amount,
            discount_pct,
            limited_by,
            charged,
        }
    }

    fn hold_caps(
        &mut self,
        number: usize,
        piece: &Piece<'_>,
        charged: &mut Money,
        limited_by: &mut Option<String>,
    ) {
        let plan = piece.plan;
        let keys: Vec<(u32, usize, Bucket)> = (plan.caps.iter().enumerate())
            .map(|(i, cap)| (plan.version, i, self.bucket(cap.scope, number, piece.from)))
            .collect();
        for (&key, Cap { scope, max }) in keys.iter().zip(&plan.caps) {
            let before =
                if plan.caps_shared && number == 0 { self.charged_before } else { Money::ZERO };
            let used = self.used.entry(key).or_insert(before);
            let left = max.minus(*used);
            if left < *charged {
                *charged = left;
                *limited_by = Some(format!("cap per {}", scope.as_str()));
            }
        }
        for key in keys {
            let used = self.used.entry(key).or_default();
            *used = used.plus(*charged);
        }
    }

    fn bucket(&self, scope: Scope, number: usize, at: Utc) -> Bucket {
        match scope {
            Scope::Window => (0, i64::try_from(number).unwrap_or(i64::MAX)),
            Scope::CalendarDay => (1, self.calendar.at(self.calendar.date(at), 0).as_ms()),
            Scope::Rolling24h => {
                let full = at.since(self.entry).as_ms() / DAY.as_ms();
                (2, i64::try_from(full).unwrap_or(i64::MAX))
            }
            Scope::Stay => (3, 0),
        }
    }

    /// The units that are begun in a piece.
    fn units(&mut self, number: usize, piece: &Piece<'_>) -> Vec<UnitLine> {
        let plan = piece.plan;
        let window = &plan.windows[piece.window];
        let free = free_of(window.free, piece.to.since(piece.from).as_secs() / 60);
        let mut cursor = piece.from + Span::from_mins(free);
        if plan.rounding == Rounding::Stay {
            cursor = cursor.max(self.covered);
        }
        let mut units: Vec<UnitLine> = vec![];
        let bucket = self.bucket(plan.counting, number, piece.from);
        let position = self.positions.entry((plan.version, piece.window, bucket)).or_default();
        while cursor < piece.to {
            let left = piece.to.since(cursor).as_secs() / 60;
            let Some(tier) =
                window.tiers.iter().find(|t| t.up_to.is_none_or(|up| *position < u64::from(up)))
            else {
                break;
            };
            let run = tier.up_to.map_or(left, |up| left.min(u64::from(up) - *position));
            let unit = u64::from(tier.unit.max(1));
            let count = run.div_ceil(unit);
            let whole = count * unit;
            let taken = if plan.rounding == Rounding::Stay { whole } else { whole.min(left) };
            *position += taken;
            cursor = cursor + Span::from_mins(taken.max(1));
            match units.last_mut() {
                Some(last) if (last.unit, last.price) == (tier.unit, tier.price) => {
                    last.count += count;
                }
                _ => units.push(UnitLine { count, unit: tier.unit, price: tier.price }),
            }
        }
        self.covered = self.covered.max(cursor);
        units
    }
}

impl Fee {
    /// How the fee comes about, one line a window, in local time.
    #[must_use]
    pub fn explain(&self, calendar: &Calendar) -> Vec<String> {
        let mut lines = vec![format!(
            "tariff {} version {}: {} min, {} min of them free, due {}",
            self.tariff,
            self.version,
            self.minutes,
            self.free_minutes,
            self.currency.amount(self.total)
        )];
        lines.extend(self.windows.iter().map(|line| self.explain_line(line, calendar)));
        lines
    }

    fn explain_line(&self, line: &Line, calendar: &Calendar) -> String {
        let time = |utc| calendar.local(utc).strftime("%Y-%m-%d %H:%M").to_string();
        let units: Vec<String> = line
            .units
            .iter()
            .map(|u| format!("{} × {} min at {}", u.count, u.unit, self.currency.amount(u.price)))
            .collect();
        let units = if units.is_empty() { "nothing to pay".to_owned() } else { units.join(" + ") };
        let mut text = format!(
            "  {} ({}) {} to {}, {} min: {units} = {}",
            line.window,
            line.day,
            time(line.from),
            time(line.to),
            line.minutes,
            self.currency.amount(line.amount)
        );
        if let Some(percent) = line.discount_pct {
            text.push_str(&format!(", {percent} % off"));
        }
        if let Some(cap) = &line.limited_by {
            text.push_str(&format!(", {cap}"));
        }
        text.push_str(&format!(" → {}", self.currency.amount(line.charged)));
        text
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}: {}", self.window, self.from, self.to, self.charged.minor())
    }
}
