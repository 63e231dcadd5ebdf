//! What a bin's day adds up to: overflow, collections, deposits, weight.
//!
//! A day is a local day of the site; what happens is counted on the day on which it was seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::trace::WasteKind;
use crate::calendar::Calendar;
use crate::ids::{AssetId, AssetKey, Class};
use crate::output::{Record, to_map};
use crate::time::{Span, Utc};

/// A collection from less than this came too early: 40 %, in percent.
pub const EARLY_BELOW_PCT: f64 = 40.0;
/// Days kept in the store; older ones go when a day ends.
const DAYS_KEPT: i64 = 62;
/// Days before today that are shown.
const DAYS_SHOWN: usize = 7;

/// Sums over some time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// How long the bin overflowed, as far as it was heard.
    pub overflow_ms: Span,
    /// Emptyings.
    pub collections: u64,
    /// Of these, too early.
    pub early: u64,
    /// Litres taken out, where the size is known.
    pub litres: u64,
    /// Grams taken out, where a lift was weighed.
    pub lifted_g: u64,
    /// Times that something was put in.
    pub deposits: u64,
    /// Of these, with a violation.
    pub violations: u64,
    /// Grams put in by kind, where device and bin know both.
    pub deposited_g: BTreeMap<WasteKind, u64>,
}

impl Figures {
    /// Adds `other`.
    pub fn add(&mut self, other: &Figures) {
        self.overflow_ms = self.overflow_ms.saturating_add(other.overflow_ms);
        for (sum, n) in [
            (&mut self.collections, other.collections),
            (&mut self.early, other.early),
            (&mut self.litres, other.litres),
            (&mut self.lifted_g, other.lifted_g),
            (&mut self.deposits, other.deposits),
            (&mut self.violations, other.violations),
        ] {
            *sum = sum.saturating_add(n);
        }
        for (kind, grams) in &other.deposited_g {
            let sum = self.deposited_g.entry(*kind).or_default();
            *sum = sum.saturating_add(*grams);
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Figures::default()
    }
}

/// The days of every bin, as they are stored.
#[derive(Debug, Default)]
pub(crate) struct Days(BTreeMap<(Date, AssetId), Figures>);

/// A day of a bin that ended.
#[derive(Debug, Serialize)]
pub(crate) struct Ended<'a> {
    day: String,
    #[serde(flatten)]
    pub(crate) figures: &'a Figures,
}

impl Ended<'_> {
    pub(crate) fn of(day: Date, figures: &Figures) -> Ended<'_> {
        Ended { day: day.to_string(), figures }
    }
}

impl Days {
    /// Takes back a stored day; answers whether it could be read.
    pub(crate) fn restore(&mut self, key: &str, value: &[u8]) -> bool {
        match (place(key), serde_json::from_slice(value)) {
            (Some(place), Ok(figures)) => self.0.insert(place, figures).is_none(),
            _ => false,
        }
    }

    /// Counts `figures` of a bin on the day of `at`.
    pub(crate) fn add(
        &mut self,
        bin: &AssetId,
        figures: &Figures,
        at: Utc,
        calendar: &Calendar,
    ) -> Record {
        let date = calendar.date(at);
        let sum = self.0.entry((date, bin.clone())).or_default();
        sum.add(figures);
        let value = serde_json::to_vec(sum).expect("figures are plain data");
        Record { key: record_key(date, bin), value: Some(value) }
    }

    /// What the bins did on `day`.
    pub(crate) fn of(&self, day: Date) -> impl Iterator<Item = (&AssetId, Ended<'_>)> {
        let of_day = self.0.iter().filter(move |((date, _), _)| *date == day);
        of_day.map(move |((_, bin), figures)| (bin, Ended::of(day, figures)))
    }

    /// The week of some bins together: today so far, and the days before on which anything was counted.
    /// `today`: where the time of day is known.
    pub(crate) fn week<'b>(
        &self,
        bins: &(impl Iterator<Item = &'b AssetId> + Clone),
        today: Option<Date>,
    ) -> Map<String, Value> {
        let sum = |date: Date| {
            let of_bin = |bin: &AssetId| self.0.get(&(date, bin.clone()));
            bins.clone().filter_map(of_bin).cloned().reduce(|mut all, one| {
                all.add(&one);
                all
            })
        };
        let view = |date, figures: &Figures| Value::Object(to_map(&Ended::of(date, figures)));
        let mut map = Map::new();
        let now = today.map(|date| view(date, &sum(date).unwrap_or_default()));
        map.insert("today".into(), now.unwrap_or(Value::Null));
        let first = today.and_then(|date| date.checked_sub(7.days()).ok());
        let days = first.into_iter().flat_map(|first| first.series(1.day()).take(DAYS_SHOWN));
        let days = days.filter_map(|date| Some(view(date, &sum(date)?)));
        map.insert("days".into(), days.collect());
        map
    }

    /// Forgets the days that are too old on `today`; gives the records that make it so on disk.
    pub(crate) fn forget(&mut self, today: Date) -> Vec<Record> {
        let old =
            |date: Date| date.until(today).is_ok_and(|span| i64::from(span.get_days()) > DAYS_KEPT);
        let gone: Vec<_> = self.0.keys().filter(|(date, _)| old(*date)).cloned().collect();
        let forget = |(date, bin): (Date, AssetId)| {
            let key = record_key(date, &bin);
            self.0.remove(&(date, bin));
            Record { key, value: None }
        };
        gone.into_iter().map(forget).collect()
    }
}

fn record_key(date: Date, bin: &AssetId) -> String {
    format!("waste/{date}/{bin}")
}

fn place(key: &str) -> Option<(Date, AssetId)> {
    let (date, bin) = key.split_once('/')?;
    Some((date.parse().ok()?, bin.parse().ok()?))
}

/// One bin or street over the days of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which.
    pub asset: AssetKey,
    /// Days on which anything was counted.
    pub days: u64,
    /// What.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The streets and bins among the engine's stored records, from `from` to `to`. `street_of` names the
/// street that a bin belongs to.
#[must_use]
pub fn rows<'r>(
    records: impl Iterator<Item = &'r Record>,
    (from, to): (Date, Date),
    street_of: impl Fn(&AssetId) -> Option<AssetId>,
) -> Vec<Row> {
    let mut sums: BTreeMap<(bool, AssetId), (BTreeSet<Date>, Figures)> = BTreeMap::new();
    for record in records {
        let Some((date, bin)) = record.key.strip_prefix("waste/").and_then(place) else { continue };
        let value = record.value.as_deref().and_then(|v| serde_json::from_slice(v).ok());
        let Some(figures) = value.filter(|_| from <= date && date <= to) else { continue };
        let street = street_of(&bin).map(|street| (false, street));
        for place in street.into_iter().chain([(true, bin)]) {
            let (days, sum) = sums.entry(place).or_default();
            days.insert(date);
            sum.add(&figures);
        }
    }
    let row = |((is_bin, id), (days, figures)): ((bool, AssetId), (BTreeSet<Date>, Figures))| {
        let class = if is_bin { Class::Bin } else { Class::Street };
        Row { asset: AssetKey::new(class, id), days: days.len() as u64, figures }
    };
    sums.into_iter().map(row).collect()
}

/// The rows as lines of cells, a head line first.
#[must_use]
pub fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    const FIXED: [&str; 9] = [
        "asset",
        "days",
        "overflow_min",
        "collections",
        "early",
        "litres",
        "lifted_kg",
        "deposits",
        "violations",
    ];
    let kg = |grams: u64| format!("{}.{:03}", grams / 1000, grams % 1000);
    let mut head: Vec<String> = FIXED.iter().map(|&name| name.to_owned()).collect();
    head.extend(WasteKind::ALL.map(|kind| format!("{}_kg", kind.as_str())));
    let cells = |row: &Row| {
        let f = &row.figures;
        let numbers = [row.days, f.overflow_ms.as_secs() / 60, f.collections, f.early, f.litres];
        let mut cells = vec![row.asset.to_string()];
        cells.extend(numbers.map(|n| n.to_string()));
        cells.extend([kg(f.lifted_g), f.deposits.to_string(), f.violations.to_string()]);
        let of = |kind| kg(f.deposited_g.get(&kind).copied().unwrap_or_default());
        cells.extend(WasteKind::ALL.map(of));
        cells
    };
    std::iter::once(head).chain(rows.iter().map(cells)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn days_add_up_are_restored_and_forgotten() {
        let bin: AssetId = "bin-1".parse().unwrap();
        let figures = Figures {
            overflow_ms: Span::from_mins(30),
            collections: 1,
            early: 1,
            deposited_g: [(WasteKind::Glass, 1200)].into(),
            ..Figures::default()
        };
        let mut days = Days::default();
        let calendar = Calendar::default();
        let at = Utc::parse("2026-06-04T10:00:00Z").unwrap();
        let mut records = vec![];
        for days_on in [0, 0, 1] {
            let at = at + Span::from_mins(days_on * 24 * 60);
            let record = days.add(&bin, &figures, at, &calendar);
            records.retain(|r: &Record| r.key != record.key);
            records.push(record);
        }
        let day = date("2026-06-04");
        let rows = rows(records.iter(), (day, day), |_| Some("road".parse().unwrap()));
        assert_eq!((rows.len(), rows[1].days, rows[1].figures.collections), (2, 1, 2));
        assert_eq!(rows[0].asset.to_string(), "street/road");
        assert_eq!(rows[0].figures, rows[1].figures, "it is its only bin");
        let lines = lines(&rows);
        assert_eq!(lines[0].len(), lines[1].len());
        assert_eq!(lines[2][..5], ["bin/bin-1", "1", "60", "2", "2"]);
        let glass = lines[0].iter().position(|name| name == "glass_kg").unwrap();
        assert_eq!(lines[1][glass], "2.400");
        let mut again = Days::default();
        for record in &records {
            let key = record.key.strip_prefix("waste/").unwrap();
            assert!(again.restore(key, record.value.as_deref().unwrap()));
        }
        assert_eq!(again.of(date("2026-06-05")).count(), 1);
        let week = again.week(&[&bin, &bin].into_iter(), Some(date("2026-06-05")));
        assert_eq!(
            (&week["today"]["collections"], &week["today"]["day"]),
            (&2.into(), &"2026-06-05".into())
        );
        assert_eq!(
            week["days"].as_array().unwrap().len(),
            1,
            "the days without anything are left out"
        );
        assert_eq!(week["days"][0]["collections"], 4);
        assert!(again.week(&[&bin].into_iter(), None)["today"].is_null());
        let gone = again.forget(date("2026-08-06"));
        assert_eq!(gone.len(), 1, "the fourth of June is 63 days ago, the fifth 62");
        assert_eq!(again.of(date("2026-06-04")).count(), 0);
    }
}
