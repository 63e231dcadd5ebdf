//! The last days of a bay or a street as they are kept on the broker: the closed hours of today, and the
//! days before.
//!
//! Whoever opens a page in the evening wants the morning too, and a broker keeps the latest message only:
//! so the latest message holds the week. Responsible for its form; what happened is the [`Ledger`]'s.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::figures::Sum;
use super::ledger::{Ledger, sum_data};
use crate::calendar::Calendar;
use crate::ids::{AssetId, AssetKey};
use crate::time::{Span, Utc};

/// Days before today that are shown.
pub(super) const DAYS_SHOWN: usize = 7;

impl Ledger {
    /// The week of a street with these `bays`. `today`: where the time of day is known.
    pub(crate) fn week_of_street(
        &self,
        street: &AssetId,
        bays: &[AssetKey],
        today: Option<Date>,
        calendar: &Calendar,
    ) -> Map<String, Value> {
        let sum = |sums: &BTreeMap<AssetId, Sum>| {
            let found = bays.iter().filter_map(|bay| sums.get(&bay.id));
            found.copied().reduce(|mut all, one| {
                all.add(&one);
                all
            })
        };
        let days = self.days().filter_map(|(date, day)| Some((date, day.streets.get(street)?)));
        let days = days.map(|(date, hours)| day_view(date, hours, calendar)).collect();
        week(self.today(today, calendar, sum), days)
    }

    /// The week of a bay; of the days before today only the sums are known.
    pub(crate) fn week_of_bay(
        &self,
        bay: &AssetId,
        today: Option<Date>,
        calendar: &Calendar,
    ) -> Map<String, Value> {
        let days = self.days().filter_map(|(date, day)| Some((date, day.bays.get(bay)?)));
        let days = days.map(|(date, sum)| dated(date, sum, calendar)).collect();
        week(self.today(today, calendar, |sums| sums.get(bay).copied()), days)
    }

    /// The closed hours of `today`; nothing before the first one is closed.
    fn today(
        &self,
        today: Option<Date>,
        calendar: &Calendar,
        sum: impl Fn(&BTreeMap<AssetId, Sum>) -> Option<Sum>,
    ) -> Option<Map<String, Value>> {
        let today = today?;
        let open = self.hours().filter(|(hour, _)| calendar.date(*hour) == today);
        let hours: BTreeMap<Utc, Sum> =
            open.filter_map(|(hour, sums)| Some((hour, sum(sums)?))).collect();
        let (&last, _) = hours.last_key_value()?;
        let mut view = day_view(today, &hours, calendar);
        view.insert("until".into(), json!(last + Span::from_mins(60)));
        Some(view)
    }
}

fn week(today: Option<Map<String, Value>>, days: Vec<Map<String, Value>>) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("today".into(), today.map_or(Value::Null, Value::Object));
    map.insert("days".into(), days.into_iter().map(Value::Object).collect());
    map
}

/// A day with its occupancy by local hour: −1 where nobody saw enough, `null` where no hour was closed.
fn day_view(date: Date, hours: &BTreeMap<Utc, Sum>, calendar: &Calendar) -> Map<String, Value> {
    let mut all = Sum::default();
    // An hour that comes twice is one on the wall.
    let mut by_hour: [Option<Sum>; 24] = [None; 24];
    for (&hour, sum) in hours {
        all.add(sum);
        let at = usize::try_from(calendar.local(hour).hour()).unwrap_or(0);
        by_hour[at].get_or_insert_default().add(sum);
    }
    let occupancy = |sum: &Option<Sum>| sum.map(|sum| sum.metrics().occupancy_percent);
    let mut view = dated(date, &all, calendar);
    view.insert("occupancy".into(), json!(by_hour.each_ref().map(occupancy)));
    view
}

fn dated(date: Date, sum: &Sum, calendar: &Calendar) -> Map<String, Value> {
    let mut view = sum_data(sum);
    view.insert("date".into(), json!(date.to_string()));
    view.insert("day".into(), json!(calendar.class(date)));
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Class;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    fn hour_of(occupied_min: u64) -> Sum {
        let occupied_ms = occupied_min * 60_000;
        Sum { open_ms: 3_600_000, occupied_ms, free_ms: 3_600_000 - occupied_ms, ..Sum::default() }
    }

    /// A ledger that has closed `hours` hours from midnight, on which `b-1` was occupied for as many
    /// minutes as the hour's number, and `b-2` was never seen.
    fn ledger(hours: u64) -> (Ledger, Vec<(String, Vec<u8>)>) {
        let mut ledger = Ledger::default();
        let mut stored: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for n in 0..hours {
            let bay = |id: &str| AssetId::new(id).unwrap();
            let blind = Sum { open_ms: 3_600_000, ..Sum::default() };
            let sums = [(bay("b-1"), hour_of(n % 24)), (bay("b-2"), blind)].into();
            let street = |_: &AssetId| Some(AssetId::new("north").unwrap());
            let at = utc("2026-06-01T00:00:00Z") + Span::from_mins(n * 60);
            for record in ledger.close(at, sums, street, &Calendar::default()).records {
                match record.value {
                    Some(value) => stored.insert(record.key, value),
                    None => stored.remove(&record.key),
                };
            }
        }
        (ledger, stored.into_iter().collect())
    }

    fn bays() -> [AssetKey; 2] {
        ["b-1", "b-2"].map(|id| AssetKey::new(Class::Bay, AssetId::new(id).unwrap()))
    }

    #[test]
    fn a_street_shows_seven_days_and_the_closed_hours_of_today() {
        let (ledger, _) = ledger(10 * 24 + 6);
        let (north, calendar) = (AssetId::new("north").unwrap(), Calendar::default());
        let today = "2026-06-11".parse().ok();
        let week = ledger.week_of_street(&north, &bays(), today, &calendar);
        let days = week["days"].as_array().unwrap();
        assert_eq!(days.len(), DAYS_SHOWN);
        assert_eq!(
            (&days[0]["date"], &days[6]["date"]),
            (&json!("2026-06-04"), &json!("2026-06-10"))
        );
        // Half of the time was not seen, which is not more than half.
        assert_eq!(days[6]["occupancy"][6], json!(10.0));
        assert_eq!(week["today"]["until"], json!("2026-06-11T06:00:00.000Z"));
        assert_eq!(week["today"]["occupancy"][3], json!(5.0));
        assert_eq!(week["today"]["occupancy"][6], Value::Null, "that hour is not over");
        assert_eq!(week["today"]["occupied_s"], json!((1 + 2 + 3 + 4 + 5) * 60));
    }

    #[test]
    fn a_bay_that_nobody_saw_has_no_occupancy_and_without_a_clock_there_is_no_today() {
        let (ledger, _) = ledger(30);
        let calendar = Calendar::default();
        let blind = ledger.week_of_bay(&bays()[1].id, "2026-06-02".parse().ok(), &calendar);
        assert_eq!(blind["days"][0]["metrics"]["occupancy_percent"], json!(-1.0));
        assert_eq!(blind["today"]["blind_s"], json!(6 * 3600));
        let seen = ledger.week_of_bay(&bays()[0].id, None, &calendar);
        assert_eq!(seen["today"], Value::Null);
        assert!(seen["days"][0].get("occupancy").is_none(), "hours of past days are a street's");
    }

    #[test]
    fn the_week_outlives_a_restart() {
        let (before, stored) = ledger(9 * 24 + 2);
        let mut after = Ledger::default();
        for (key, value) in &stored {
            assert!(after.restore(key.strip_prefix("figures/").unwrap(), value), "{key}");
        }
        let (north, calendar) = (AssetId::new("north").unwrap(), Calendar::default());
        let today = "2026-06-10".parse().ok();
        let week = |ledger: &Ledger| ledger.week_of_street(&north, &bays(), today, &calendar);
        assert_eq!(week(&after), week(&before));
    }
}
