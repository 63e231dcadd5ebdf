//! The parts of a stay that are counted together: cut by window, day, plan and campaign.

use super::charge::whole_minute;
use super::{Applies, Campaign, OnChange, Plan, Scope, Tariff, Window};
use crate::calendar::{Calendar, DayClass};
use crate::ids::VehicleClass;
use crate::time::{Span, Utc};

/// A tiers' and caps' day, from entry.
pub(super) const DAY: Span = Span::from_mins(24 * 60);

/// The campaign of a kind that runs at `at`.
pub(super) fn campaign_at<'a>(
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
pub(super) struct Piece<'a> {
    pub(super) plan: &'a Plan,
    /// The window's place in the plan.
    pub(super) window: usize,
    pub(super) day: DayClass,
    pub(super) campaign: Option<&'a Campaign>,
    pub(super) from: Utc,
    pub(super) to: Utc,
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
pub(super) fn pieces<'a>(
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
