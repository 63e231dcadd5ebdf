//! The figures of the box: hour by hour, day by day, for every bay and street.
//!
//! Hours are closed some minutes after their end, so that what was still proving itself counts where it
//! belongs. Each closed hour is stored as one record; the closed day takes their place.

use std::collections::{BTreeMap, VecDeque};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::figures::Sum;
use super::week::DAYS_SHOWN;
use crate::calendar::Calendar;
use crate::ids::AssetId;
use crate::output::{Record, to_map};
use crate::time::{Span, Utc};

/// How long after its end an hour is closed.
pub(crate) const CLOSE_AFTER: Span = Span::from_mins(5);
/// Days of which the figures are kept.
pub const DAYS_KEPT: usize = 400;

/// A day as it is stored: what `steward report` reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Day {
    /// Of each bay, the whole day.
    pub bays: BTreeMap<AssetId, Sum>,
    /// Of each street, by the beginning of the hour.
    pub streets: BTreeMap<AssetId, BTreeMap<Utc, Sum>>,
}

/// The open day, the latest closed ones, and the names of all that are stored.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: BTreeMap<Utc, BTreeMap<AssetId, Sum>>,
    /// At most [`DAYS_SHOWN`]; the oldest goes when a newer one is closed.
    latest: BTreeMap<Date, Day>,
    kept: VecDeque<String>,
}

/// What a closed hour or day has to say: the subject, the event type and its data.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    pub(crate) records: Vec<Record>,
    pub(crate) streets: Vec<(AssetId, &'static str, Map<String, Value>)>,
    pub(crate) bays: Vec<(AssetId, &'static str, Map<String, Value>)>,
}

impl Ledger {
    /// Takes back a record; answers whether it was one of figures.
    pub(crate) fn restore(&mut self, key: &str, value: &[u8]) -> bool {
        if let Ok(hour) = Utc::parse(key) {
            return serde_json::from_slice(value).map(|bays| self.open.insert(hour, bays)).is_ok();
        }
        let Ok(date) = key.parse::<Date>() else { return false };
        self.kept.push_back(key.to_owned());
        // A day that cannot be read is not shown; its record is left for whoever can.
        if let Ok(day) = serde_json::from_slice(value) {
            self.show(date, day);
        }
        true
    }

    /// The closed hours of the open day, oldest first.
    pub(super) fn hours(&self) -> impl Iterator<Item = (Utc, &BTreeMap<AssetId, Sum>)> {
        self.open.iter().map(|(&hour, sums)| (hour, sums))
    }

    /// The latest closed days, oldest first.
    pub(super) fn days(&self) -> impl Iterator<Item = (Date, &Day)> {
        self.latest.iter().map(|(&date, day)| (date, day))
    }

    fn show(&mut self, date: Date, day: Day) {
        self.latest.insert(date, day);
        while self.latest.len() > DAYS_SHOWN {
            self.latest.pop_first();
        }
    }

    /// Closes the hour that began at `hour` with what each bay came to. `street` tells where a bay is.
    pub(crate) fn close(
        &mut self,
        hour: Utc,
        bays: BTreeMap<AssetId, Sum>,
        street: impl Fn(&AssetId) -> Option<AssetId>,
        calendar: &Calendar,
    ) -> Closed {
        let mut closed = Closed::default();
        let date = calendar.date(hour);
        // An earlier day that is still open ends here: the box was off at its midnight.
        let days: Vec<Date> = self.open.keys().map(|&h| calendar.date(h)).collect();
        if let Some(&earlier) = days.first().filter(|&&first| first < date) {
            self.close_day(earlier, &street, calendar, &mut closed);
        }
        for (name, (sum, n)) in by_street(&bays, &street) {
            let data = hour_data(hour, calendar, &sum, n);
            closed.streets.push((name, "parking.hour", data));
        }
        let value = serde_json::to_vec(&bays).expect("figures are plain data");
        closed.records.push(Record { key: format!("figures/{hour}"), value: Some(value) });
        self.open.insert(hour, bays);
        if calendar.date(hour + Span::from_mins(60)) > date {
            self.close_day(date, &street, calendar, &mut closed);
        }
        closed
    }

    fn close_day(
        &mut self,
        date: Date,
        street: &impl Fn(&AssetId) -> Option<AssetId>,
        calendar: &Calendar,
        closed: &mut Closed,
    ) {
        let end = calendar.at(date, crate::calendar::DAY_MINUTES);
        let later = self.open.split_off(&end);
        let hours = std::mem::replace(&mut self.open, later);
        let mut day = Day::default();
        let mut by_bay: BTreeMap<AssetId, BTreeMap<Utc, Sum>> = BTreeMap::new();
        for (&hour, bays) in &hours {
            for (name, (sum, _)) in by_street(bays, street) {
                day.streets.entry(name).or_default().insert(hour, sum);
            }
            for (bay, sum) in bays {
                day.bays.entry(bay.clone()).or_default().add(sum);
                by_bay.entry(bay.clone()).or_default().insert(hour, *sum);
            }
            closed.records.retain(|r| r.key != format!("figures/{hour}"));
            closed.records.push(Record { key: format!("figures/{hour}"), value: None });
        }
        for (bay, hours) in &by_bay {
            closed.bays.push((bay.clone(), "parking.day", day_data(date, hours, calendar)));
        }
        for (name, hours) in &day.streets {
            closed.streets.push((name.clone(), "parking.day", day_data(date, hours, calendar)));
        }
        let value = serde_json::to_vec(&day).expect("figures are plain data");
        closed.records.push(Record { key: format!("figures/{date}"), value: Some(value) });
        self.kept.push_back(date.to_string());
        self.show(date, day);
        while self.kept.len() > DAYS_KEPT {
            if let Some(oldest) = self.kept.pop_front() {
                closed.records.push(Record { key: format!("figures/{oldest}"), value: None });
            }
        }
    }
}

fn by_street(
    bays: &BTreeMap<AssetId, Sum>,
    street: impl Fn(&AssetId) -> Option<AssetId>,
) -> BTreeMap<AssetId, (Sum, usize)> {
    let mut streets: BTreeMap<AssetId, (Sum, usize)> = BTreeMap::new();
    for (bay, sum) in bays {
        if let Some(name) = street(bay) {
            let (all, n) = streets.entry(name).or_default();
            all.add(sum);
            *n += 1;
        }
    }
    streets
}

fn hour_data(hour: Utc, calendar: &Calendar, sum: &Sum, bays: usize) -> Map<String, Value> {
    let local = calendar.local(hour);
    let mut data = sum_data(sum);
    data.insert("from".into(), json!(hour));
    data.insert("to".into(), json!(hour + Span::from_mins(60)));
    data.insert("date".into(), json!(local.date().to_string()));
    data.insert("hour".into(), json!(local.hour()));
    data.insert("bays".into(), json!(bays));
    data
}

fn day_data(date: Date, hours: &BTreeMap<Utc, Sum>, calendar: &Calendar) -> Map<String, Value> {
    let mut all = Sum::default();
    hours.values().for_each(|sum| all.add(sum));
    let mut data = sum_data(&all);
    data.insert("date".into(), json!(date.to_string()));
    data.insert("day".into(), json!(calendar.class(date)));
    let occupancy = |sum: &Sum| sum.metrics().occupancy_percent;
    let series: Vec<Value> = hours
        .iter()
        .map(|(&hour, sum)| {
            json!({"hour": calendar.local(hour).hour(), "occupancy_percent": occupancy(sum),
                   "sessions": sum.sessions})
        })
        .collect();
    let peak = hours.iter().filter(|(_, sum)| !sum.is_blind());
    let peak = peak.max_by(|(_, a), (_, b)| occupancy(a).total_cmp(&occupancy(b)));
    let peak = peak.map(|(&hour, sum)| {
        json!({"hour": calendar.local(hour).hour(), "occupancy_percent": occupancy(sum)})
    });
    data.insert("peak".into(), peak.unwrap_or(Value::Null));
    data.insert("hours".into(), Value::Array(series));
    data
}

pub(super) fn sum_data(sum: &Sum) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("occupied_s".into(), json!(sum.occupied_ms / 1000));
    data.insert("free_s".into(), json!(sum.free_ms / 1000));
    data.insert("blind_s".into(), json!(sum.blind_ms() / 1000));
    data.insert("out_of_service_s".into(), json!(sum.out_ms / 1000));
    data.insert("due".into(), json!(sum.due));
    data.insert("unbilled".into(), json!(sum.unbilled));
    data.insert("metrics".into(), Value::Object(to_map(&sum.metrics())));
    data
}
