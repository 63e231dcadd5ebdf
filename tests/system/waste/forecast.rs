//! The forecast against the two baselines it must beat: the mean rate of the last filling, and the same
//! days of last week.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::time::{Span, Utc};
use domain::units::Permille;
use domain::waste::Habits;
use system_tests::data;

use super::edinburgh;
use super::street::{Chance, Habit, START};

const HOUR: f64 = 3_600_000.0;

/// One bin's levels in percent, by time; a level below the one before is an emptying.
type Series = Vec<(Utc, f64)>;

/// How far a way of forecasting is from the truth.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    asked: u32,
    hours_off: f64,
    /// The bin was full more than six hours before the forecast.
    missed: u32,
}

impl Score {
    fn note(&mut self, predicted: Utc, truth: Utc) {
        let late = (predicted.as_ms() - truth.as_ms()) as f64 / HOUR;
        self.asked += 1;
        self.hours_off += late.abs();
        self.missed += u32::from(late > 6.0);
    }

    fn mae(self) -> f64 {
        self.hours_off / f64::from(self.asked)
    }

    fn miss_rate(self) -> f64 {
        f64::from(self.missed) / f64::from(self.asked) * 100.0
    }
}

#[derive(Debug, Default)]
struct Result {
    ours: Score,
    /// The early end of our band, which tickets go by.
    early: Score,
    last_cycle: Score,
    last_week: Score,
    in_band: u32,
    with_band: u32,
}

fn permille(percent: f64) -> Permille {
    Permille::clamped((percent * 10.0).round() as i64)
}

/// When the filling that begins at `i` reaches `goal`, on straight lines between the readings.
fn reached(series: &Series, i: usize, goal: f64) -> Option<Utc> {
    for pair in series[i..].windows(2) {
        let ((t0, l0), (t1, l1)) = (pair[0], pair[1]);
        if l1 < l0 - 20.0 {
            return None;
        }
        if l1 >= goal {
            let share = if l1 > l0 { ((goal - l0) / (l1 - l0)).clamp(0.0, 1.0) } else { 0.0 };
            return Some(t0 + Span::from_ms((t1.since(t0).as_ms() as f64 * share) as u64));
        }
    }
    None
}

/// What a bin gained from `from` to `to`, as its own past tells it: percent.
fn gained(series: &[(Utc, f64)], from: Utc, to: Utc) -> f64 {
    let mut sum = 0.0;
    for pair in series.windows(2) {
        let ((t0, l0), (t1, l1)) = (pair[0], pair[1]);
        let (a, b) = (t0.max(from), t1.min(to));
        if a < b && l1 > l0 {
            sum += (l1 - l0) * b.since(a).as_ms() as f64 / t1.since(t0).as_ms() as f64;
        }
    }
    sum
}

/// Same days of last week: what was gained then is gained now.
fn by_last_week(past: &[(Utc, f64)], now: Utc, need: f64) -> Option<Utc> {
    let week = Span::from_mins(7 * 24 * 60);
    let step = Span::from_mins(60);
    if past.first()?.0 > now - week {
        return None;
    }
    let (mut t, mut sum) = (now, 0.0);
    // Beyond one week the same week comes again.
    for hour in 0..60 * 24 {
        let then = now - week + Span::from_mins(hour % (7 * 24) * 60);
        sum += gained(past, then, then + step);
        t = t + step;
        if sum >= need {
            return Some(t);
        }
    }
    None
}

/// Asks all three at the beginning of each filling in the second half of the series, about `goal`.
fn evaluate(series: &Series, goal: f64, result: &mut Result) {
    let half =
        series[0].0 + Span::from_ms(series[series.len() - 1].0.since(series[0].0).as_ms() / 2);
    let mut habits = Habits::default();
    let mut cycle = (series[0], None);
    habits.take(permille(series[0].1), series[0].0);
    for i in 1..series.len() {
        let (t, level) = series[i];
        let before = series[i - 1];
        if level >= before.1 - 20.0 {
            habits.take(permille(level), t);
            continue;
        }
        let (start, _): ((Utc, f64), Option<f64>) = cycle;
        let hours = before.0.since(start.0).as_ms() as f64 / HOUR;
        let rate = (before.1 - start.1) / hours.max(0.01);
        habits.emptied(permille(level), t);
        cycle = ((t, level), Some(rate));
        let Some(truth) = reached(series, i, goal).filter(|_| t >= half) else { continue };
        let need = goal - level;
        let last_cycle = (rate > 0.0)
            .then(|| t + Span::from_ms((need / rate * HOUR).min(60.0 * 24.0 * HOUR) as u64));
        let ours = habits.forecast(permille(level), t, permille(goal));
        // From a few days of history, so that last week costs what it costs on a box.
        let recent = series[..=i].partition_point(|r| r.0 < t - Span::from_mins(16 * 24 * 60));
        let last_week = by_last_week(&series[recent.saturating_sub(1)..=i], t, need);
        let (Some(ours), Some(cycle), Some(week)) = (ours, last_cycle, last_week) else { continue };
        result.ours.note(ours.at, truth);
        result.last_cycle.note(cycle, truth);
        result.last_week.note(week, truth);
        result.early.note(ours.earliest.unwrap_or(ours.at), truth);
        if let (Some(early), Some(late)) = (ours.earliest, ours.latest) {
            result.with_band += 1;
            result.in_band += u32::from(early <= truth && truth <= late);
        }
    }
}

fn print(name: &str, result: &Result) -> String {
    let mut text = String::new();
    let rows = [
        ("habits of the bin (ours)", result.ours),
        ("early end of its band (tickets)", result.early),
        ("mean rate of the last filling", result.last_cycle),
        ("same days of last week", result.last_week),
    ];
    for (way, score) in rows {
        let (mae, miss) = (score.mae(), score.miss_rate());
        writeln!(text, "| {name} | {way} | {} | {mae:.1} | {miss:.1} |", score.asked).unwrap();
    }
    let share = f64::from(result.in_band) / f64::from(result.with_band.max(1)) * 100.0;
    writeln!(text, "{name}: truth within the band in {share:.0} % of {}", result.with_band)
        .unwrap();
    text
}

#[test]
fn better_than_both_baselines_on_real_collections() {
    let Some(rows) = edinburgh::rows() else { return };
    let mut bins: BTreeMap<String, Series> = BTreeMap::new();
    for row in rows {
        let series = bins.entry(row.site).or_default();
        series.push((row.at - Span::from_secs(1), row.before as f64));
        series.push((row.at, row.after as f64));
    }
    let mut result = Result::default();
    for series in bins.values() {
        evaluate(series, 80.0, &mut result);
    }
    data::say(&print("Edinburgh", &result));
    assert!(result.ours.asked > 300);
    assert!(result.ours.mae() < result.last_cycle.mae());
    assert!(result.ours.mae() < result.last_week.mae());
    let others = result.last_cycle.missed.min(result.last_week.missed);
    assert!(result.early.missed < others);
}

#[test]
fn better_than_both_baselines_in_a_simulated_city() {
    let mut result = Result::default();
    for bin in 0..60 {
        let mut chance = Chance::new(7, bin);
        let habit = Habit::new(&mut chance);
        let (mut level, mut series) = (0.0, Vec::new());
        let step = Span::from_mins(60);
        for hour in 0..60 * 24 {
            let t = START + Span::from_mins(hour * 60);
            let emptied = level > 85.0 && hour % 24 == 6;
            if emptied {
                level = 0.0;
            }
            series.push((t, (level + chance.noise() * 0.7).clamp(0.0, 100.0)));
            level += habit.put_in(t, step, &mut chance);
        }
        evaluate(&series, 80.0, &mut result);
    }
    data::say(&print("simulated city", &result));
    assert!(result.ours.asked > 300);
    assert!(result.ours.mae() < result.last_cycle.mae());
    assert!(result.ours.mae() < result.last_week.mae());
    let others = result.last_cycle.missed.min(result.last_week.missed);
    assert!(result.early.missed < others);
}
