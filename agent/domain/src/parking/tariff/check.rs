//! What a plan must not be: every fault at once, each with what to do.

use std::fmt;

use super::{Applies, Money, Plan, Rounding, Window};
use crate::calendar::{DAY_MINUTES, DayClass};
use crate::ids::VehicleClass;

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub spot: Spot,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub fix: &'static str,
}

/// A part of a plan, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// The plan as a whole.
    Plan,
    /// A window.
    Window(usize),
    /// A tier of a window.
    Tier(usize, usize),
    /// A cap.
    Cap(usize),
    /// A campaign.
    Campaign(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.fix)
    }
}

impl Plan {
    /// Everything that is wrong with the plan; nothing when it can be billed by.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = vec![];
        for (i, window) in self.windows.iter().enumerate() {
            check_window(i, window, self.rounding, &mut faults);
        }
        self.check_cover(&mut faults);
        self.check_caps(&mut faults);
        self.check_campaigns(&mut faults);
        faults
    }

    /// For every class of day and of vehicle, the windows must cover the day once.
    fn check_cover(&self, faults: &mut Vec<Fault>) {
        if self.windows.is_empty() {
            let cause = "the tariff has no window".to_owned();
            let fix = "add one, such as { name = \"day\", from = \"00:00\", to = \"24:00\", … }";
            return faults.push(Fault { spot: Spot::Plan, cause, fix });
        }
        let mut vehicles: Vec<&VehicleClass> =
            self.windows.iter().flat_map(|w| &w.vehicles).collect();
        vehicles.sort_unstable();
        vehicles.dedup();
        for vehicle in vehicles.into_iter().map(Some).chain([None]) {
            let mut holes = Holes::default();
            for day in DayClass::ALL {
                self.check_day(day, vehicle, &mut holes);
            }
            faults.extend(holes.into_faults(vehicle));
        }
    }

    fn check_day(&self, day: DayClass, vehicle: Option<&VehicleClass>, holes: &mut Holes) {
        let applies = |w: &Window| {
            w.days.has(day) && vehicle.map_or(w.vehicles.is_empty(), |v| w.vehicles.contains(v))
        };
        let mut pieces: Vec<(u16, u16, usize)> = vec![];
        for (i, window) in self.windows.iter().enumerate().filter(|(_, w)| applies(w)) {
            pieces.extend(window.period.pieces().iter().map(|&(from, to)| (from, to, i)));
        }
        pieces.sort_unstable();
        let mut reached = 0;
        let mut last = None;
        for (from, to, i) in pieces {
            if from > reached {
                holes.missing(last, (reached, from), day);
            }
            if let Some(other) = last.filter(|_| from < reached) {
                let other: usize = other;
                let name = &self.windows[other].name;
                let until = clock(reached.min(to));
                let cause = format!(
                    "window {:?} overlaps window {name:?} from {} to {until}",
                    self.windows[i].name,
                    clock(from)
                );
                let fix = "let one end where the other begins, or give them different days";
                holes.add(Fault { spot: Spot::Window(i), cause, fix }, day);
            }
            if to > reached {
                (reached, last) = (to, Some(i));
            }
        }
        if reached < DAY_MINUTES {
            holes.missing(last, (reached, DAY_MINUTES), day);
        }
    }

    fn check_caps(&self, faults: &mut Vec<Fault>) {
        let dearest = self.windows.iter().filter_map(first_price).max().unwrap_or(Money::ZERO);
        for (i, cap) in self.caps.iter().enumerate() {
            if cap.max < dearest {
                let cause = format!(
                    "the cap of {} per {} is below the first unit of {}",
                    cap.max.minor(),
                    cap.scope.as_str(),
                    dearest.minor()
                );
                let fix = "raise the cap to a unit at least, or lower the price";
                faults.push(Fault { spot: Spot::Cap(i), cause, fix });
            }
        }
    }

    fn check_campaigns(&self, faults: &mut Vec<Fault>) {
        for (i, campaign) in self.campaigns.iter().enumerate() {
            let spot = Spot::Campaign(i);
            if campaign.last < campaign.first {
                let cause = format!("campaign {:?} ends before it begins", campaign.name);
                faults.push(Fault { spot, cause, fix: "exchange its two dates" });
            }
            if !(1..=100).contains(&campaign.percent) {
                let cause =
                    format!("campaign {:?} takes off {} %", campaign.name, campaign.percent);
                faults.push(Fault { spot, cause, fix: "write 1 to 100; 100 is free" });
            }
            if campaign.days.is_empty() && campaign.applies == Applies::Time {
                let cause = format!("campaign {:?} applies on no day", campaign.name);
                faults.push(Fault { spot, cause, fix: "name a class of days, or leave days out" });
            }
        }
    }
}

fn check_window(i: usize, window: &Window, rounding: Rounding, faults: &mut Vec<Fault>) {
    let mut fault = |spot, cause: String, fix| faults.push(Fault { spot, cause, fix });
    let name = &window.name;
    if window.days.is_empty() {
        let cause = format!("window {name:?} applies on no day");
        fault(Spot::Window(i), cause, "name a class of days, or leave days out");
    }
    if window.tiers.is_empty() {
        fault(
            Spot::Window(i),
            format!("window {name:?} has no price"),
            "give it a unit and a price",
        );
    }
    if window.free.minutes > 0 && rounding == Rounding::Stay {
        let cause =
            format!("window {name:?} has free minutes, but units go on from window to window");
        fault(Spot::Window(i), cause, "round per window, or give the free minutes to the stay");
    }
    let mut reached = 0;
    for (n, tier) in window.tiers.iter().enumerate() {
        let spot = Spot::Tier(i, n);
        let last = n + 1 == window.tiers.len();
        if tier.unit == 0 {
            fault(spot, format!("a unit of window {name:?} has no minutes"), "write 1 or more");
        }
        match tier.up_to {
            None if !last => {
                let cause = format!("a tier of window {name:?} after the last one");
                fault(spot, cause, "give this tier an end, or remove the ones after it");
            }
            Some(_) if last => {
                let cause = format!("the last tier of window {name:?} has an end");
                fault(spot, cause, "leave its end out: there must be a price for the rest");
            }
            Some(up_to) if up_to <= reached => {
                let cause = format!("a tier of window {name:?} ends before it begins");
                fault(spot, cause, "write the tiers in the order of time");
            }
            Some(up_to) if tier.unit > 0 && (up_to - reached) % tier.unit != 0 => {
                let cause = format!("a tier of window {name:?} ends inside a unit");
                fault(spot, cause, "let it be a multiple of its unit");
            }
            _ => {}
        }
        reached = tier.up_to.unwrap_or(reached);
    }
    if let (Some(cap), Some(price)) = (window.cap, first_price(window))
        && cap < price
    {
        let (cap, price) = (cap.minor(), price.minor());
        let cause =
            format!("the cap of {cap} of window {name:?} is below its first unit of {price}");
        fault(Spot::Window(i), cause, "raise the cap to a unit at least, or lower the price");
    }
}

fn first_price(window: &Window) -> Option<Money> {
    window.tiers.first().map(|tier| tier.price)
}

/// What is not covered once, each with the classes of day it is so on.
#[derive(Default)]
struct Holes(Vec<(Fault, Vec<DayClass>)>);

impl Holes {
    fn add(&mut self, fault: Fault, day: DayClass) {
        match self.0.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, days)) if days.contains(&day) => {}
            Some((_, days)) => days.push(day),
            None => self.0.push((fault, vec![day])),
        }
    }

    fn missing(&mut self, after: Option<usize>, (from, to): (u16, u16), day: DayClass) {
        let cause = format!("no window from {} to {}", clock(from), clock(to));
        let fix = "let the windows cover the whole day; a free time is a window with price 0";
        self.add(Fault { spot: after.map_or(Spot::Plan, Spot::Window), cause, fix }, day);
    }

    fn into_faults(self, vehicle: Option<&VehicleClass>) -> impl Iterator<Item = Fault> {
        let who = vehicle.map_or_else(String::new, |v| format!(" for vehicles of class {v}"));
        self.0.into_iter().map(move |(fault, days)| {
            let words: Vec<&str> = days.iter().map(|day| day.as_str()).collect();
            let on = if days.len() == DayClass::ALL.len() {
                "any day".to_owned()
            } else {
                format!("a {}", words.join(", "))
            };
            Fault { cause: format!("{} on {on}{who}", fault.cause), ..fault }
        })
    }
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
