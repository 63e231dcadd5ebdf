//! From a stay to a fee, window by window.

use std::collections::BTreeMap;

use super::pieces::{DAY, Piece, campaign_at, pieces};
use super::{
    Applies, Campaign, Cap, Exceeded, Fee, Free, Line, Money, Plan, Rounding, Scope, Seconds,
    Tariff, UnitLine,
};
use crate::calendar::Calendar;
use crate::ids::VehicleClass;
use crate::time::{Span, Utc};

const MINUTE_MS: i64 = 60_000;

/// A stay to be billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay<'a> {
    /// Arrival.
    pub start: Utc,
    /// Departure; before `start` it counts as `start`.
    pub end: Utc,
    /// The kind of vehicle, where it is known.
    pub vehicle: Option<&'a VehicleClass>,
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

pub(super) fn whole_minute(utc: Utc) -> Utc {
    Utc::from_ms(utc.as_ms() - utc.as_ms().rem_euclid(MINUTE_MS))
}

/// What is counted together, by its number: instances, days, 24 hours, or 0 for the stay.
type Bucket = (u32, i64);

/// What was counted so far.
struct Counter<'a> {
    calendar: &'a Calendar,
    entry: Utc,
    /// A campaign for the whole stay.
    whole: Option<&'a Campaign>,
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
            let used = self.used.entry(key).or_insert(Money::ZERO);
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
