//! Stored days as a table: what `steward report` prints.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::figures::{Metrics, Sum};
use super::ledger::Day;
use super::tariff::{Currency, Money};
use crate::ids::{AssetKey, Class};
use crate::output::Record;

/// One bay or street over the days of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which.
    pub asset: AssetKey,
    /// Days with figures.
    pub days: usize,
    /// Metrics over all of them; −1: nobody knows.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Seconds occupied.
    pub occupied_s: u64,
    /// Seconds that nobody saw.
    pub blind_s: u64,
    /// What was billed, in the smallest unit of the currency.
    pub due: u64,
    /// Stays that were left to a person.
    pub unbilled: u64,
}

/// The days among the engine's stored records, from `from` to `to`.
#[must_use]
pub fn days<'r>(records: impl Iterator<Item = &'r Record>, from: Date, to: Date) -> Vec<Day> {
    let day = |record: &Record| {
        let date: Date = record.key.strip_prefix("figures/")?.parse().ok()?;
        let wanted = from <= date && date <= to;
        wanted.then(|| serde_json::from_slice(record.value.as_deref()?).ok()).flatten()
    };
    records.filter_map(day).collect()
}

/// Every street and bay of `days`, streets first.
#[must_use]
pub fn rows(days: &[Day]) -> Vec<Row> {
    let mut sums: BTreeMap<(bool, AssetKey), (usize, Sum)> = BTreeMap::new();
    let mut add = |class, id: &crate::ids::AssetId, sum: &Sum| {
        let key = (class == Class::Bay, AssetKey::new(class, id.clone()));
        let (n, all) = sums.entry(key).or_default();
        *n += 1;
        all.add(sum);
    };
    for day in days {
        for (street, hours) in &day.streets {
            let mut whole = Sum::default();
            hours.values().for_each(|sum| whole.add(sum));
            add(Class::Street, street, &whole);
        }
        for (bay, sum) in &day.bays {
            add(Class::Bay, bay, sum);
        }
    }
    let row = |((_, asset), (days, sum)): ((bool, AssetKey), (usize, Sum))| Row {
        asset,
        days,
        metrics: sum.metrics(),
        occupied_s: sum.occupied_ms / 1000,
        blind_s: sum.blind_ms() / 1000,
        due: sum.due.minor(),
        unbilled: sum.unbilled,
    };
    sums.into_iter().map(row).collect()
}

const COLUMNS: [&str; 10] = [
    "asset",
    "days",
    "occupancy_percent",
    "total_sessions",
    "turnover",
    "average_dwell_time",
    "occupied_s",
    "blind_s",
    "due",
    "unbilled",
];

fn cells(row: &Row) -> [String; 10] {
    let Metrics { total_sessions, turnover, average_dwell_time, occupancy_percent } = row.metrics;
    [
        row.asset.to_string(),
        row.days.to_string(),
        occupancy_percent.to_string(),
        total_sessions.to_string(),
        turnover.to_string(),
        average_dwell_time.to_string(),
        row.occupied_s.to_string(),
        row.blind_s.to_string(),
        row.due.to_string(),
        row.unbilled.to_string(),
    ]
}

/// The rows as lines of cells, a head line first.
#[must_use]
pub fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let head = COLUMNS.map(str::to_owned).to_vec();
    std::iter::once(head).chain(rows.iter().map(|row| cells(row).to_vec())).collect()
}

/// The rows for people, with what all streets come to at the end: shares in percent, stays in a day, times in
/// hours and minutes, money in `currency`, or in its smallest unit where that is not known.
#[must_use]
pub fn people(rows: &[Row], currency: Option<Currency>) -> Vec<Vec<String>> {
    let head =
        ["asset", "days", "occupied", "stays", "a day", "average", "blind", "due", "unbilled"];
    let money =
        |due: u64| currency.map_or_else(|| due.to_string(), |c| c.amount(Money::from_minor(due)));
    let known = |value: f64, text: String| if value < 0.0 { "–".to_owned() } else { text };
    let line = |row: &Row| {
        let m = &row.metrics;
        let hours = |s: u64| format!("{}:{:02}", s / 3600, s / 60 % 60);
        vec![
            row.asset.to_string(),
            row.days.to_string(),
            known(m.occupancy_percent, format!("{:.1} %", m.occupancy_percent)),
            known(m.total_sessions, format!("{:.0}", m.total_sessions)),
            known(m.turnover, format!("{:.1}", m.turnover * 24.0)),
            known(m.average_dwell_time, hours(m.average_dwell_time.max(0.0) as u64)),
            hours(row.blind_s),
            money(row.due),
            row.unbilled.to_string(),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    let mut lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    let streets: Vec<&Row> = rows.iter().filter(|row| row.asset.class == Class::Street).collect();
    if streets.len() > 1 {
        let sum = |of: fn(&Row) -> u64| streets.iter().map(|row| of(row)).sum::<u64>();
        let stays: f64 = streets.iter().map(|row| row.metrics.total_sessions.max(0.0)).sum();
        let dash = || "–".to_owned();
        lines.push(vec![
            "all streets".to_owned(),
            dash(),
            dash(),
            format!("{stays:.0}"),
            dash(),
            dash(),
            dash(),
            money(sum(|row| row.due)),
            sum(|row| row.unbilled).to_string(),
        ]);
    }
    lines
}

/// Lines of cells as comma-separated values. No cell can hold a comma.
#[must_use]
pub fn csv(lines: &[Vec<String>]) -> String {
    lines.iter().map(|line| line.join(",") + "\n").collect()
}

/// Lines of cells, as many in each, as a table for people.
#[must_use]
pub fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (i, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[i] - cell.chars().count());
            // Names stand left, numbers right.
            text += &if i == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AssetId;

    fn record(date: &str, occupied_min: u64) -> Record {
        let sum = Sum {
            open_ms: 86_400_000,
            occupied_ms: occupied_min * 60_000,
            free_ms: 86_400_000 - occupied_min * 60_000,
            sessions: 2,
            dwell_s: occupied_min * 60,
            due: Money::from_minor(500),
            ..Sum::default()
        };
        let mut day = Day::default();
        day.bays.insert(AssetId::new("b-1").unwrap(), sum);
        let value = serde_json::to_vec(&day).unwrap();
        Record { key: format!("figures/{date}"), value: Some(value) }
    }

    #[test]
    fn the_days_that_were_asked_for_are_added_up() {
        let records = ["2026-06-03", "2026-06-04", "2026-06-05"].map(|date| record(date, 360));
        let date = |text: &str| text.parse::<Date>().unwrap();
        let rows = rows(&days(records.iter(), date("2026-06-04"), date("2026-06-30")));
        let expected = "asset,days,occupancy_percent,total_sessions,turnover,average_dwell_time,occupied_s,blind_s,due,unbilled\n\
                        bay/b-1,2,25,4,0.0833,10800,43200,0,1000,0\n";
        assert_eq!(csv(&lines(&rows)), expected);
        assert_eq!(table(&lines(&rows)).lines().count(), 2);
        let table = table(&people(&rows, Some(Currency::CNY)));
        let expected = "asset    days  occupied  stays  a day  average  blind        due  unbilled\n\
             bay/b-1     2    25.0 %      4    2.0     3:00   0:00  10.00 CNY         0\n";
        assert_eq!(table, expected);
        let in_fen = &people(&rows, None)[1];
        assert_eq!(in_fen[7], "1000", "without a tariff nobody knows the currency");
    }
}
