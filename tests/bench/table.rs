//! The rows that were measured, and how they are shown.

use std::io::{self, Write};

use serde::Serialize;

/// What a figure is meant to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// It may be more.
    AtLeast(f64),
    /// It may be less.
    AtMost(f64),
}

impl Target {
    fn met_by(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The part of the system.
    pub(crate) area: &'static str,
    /// What was measured.
    pub(crate) figure: String,
    /// How much of it.
    pub(crate) value: f64,
    /// In what: `bytes`, `readings/s`, `x` for a ratio.
    pub(crate) unit: &'static str,
    /// What it is meant to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    /// How it was measured, and beside what.
    pub(crate) how: String,
}

impl Row {
    /// What it is meant to reach at least.
    pub(crate) fn at_least(&mut self, least: f64) -> &mut Row {
        self.target = Some(Target::AtLeast(least));
        self
    }

    /// What it is meant to stay under.
    pub(crate) fn at_most(&mut self, most: f64) -> &mut Row {
        self.target = Some(Target::AtMost(most));
        self
    }

    /// How it was measured.
    pub(crate) fn how(&mut self, how: impl Into<String>) -> &mut Row {
        self.how = how.into();
        self
    }

    fn verdict(&self) -> String {
        let Some(target) = self.target else { return String::new() };
        let (sign, bound) = match target {
            Target::AtLeast(bound) => ("≥", bound),
            Target::AtMost(bound) => ("≤", bound),
        };
        let word = if target.met_by(self.value) { "met" } else { "MISSED" };
        format!("{sign} {} {word}", number(bound))
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Table {
    area: &'static str,
    rows: Vec<Row>,
}

impl Table {
    /// What follows is about this part of the system. Said on stderr, since a run takes minutes.
    pub(crate) fn area(&mut self, name: &'static str) {
        self.area = name;
        let _ = writeln!(io::stderr(), "bench: {name} …");
    }

    /// Adds a figure.
    pub(crate) fn row(
        &mut self,
        figure: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> &mut Row {
        let (area, figure, how) = (self.area, figure.into(), String::new());
        self.rows.push(Row { area, figure, value, unit, target: None, how });
        self.rows.last_mut().expect("it was just pushed")
    }

    /// For programs: an array of rows.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.rows).expect("rows are plain data")
    }

    /// For people.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let lines: Vec<[String; 5]> = self
            .rows
            .iter()
            .map(|row| {
                let value = format!("{} {}", number(row.value), row.unit);
                [row.area.into(), row.figure.clone(), value, row.verdict(), row.how.clone()]
            })
            .collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..4).map(width).collect();
        for [area, figure, value, verdict, how] in &lines {
            let [a, f, v, t] = [widths[0], widths[1], widths[2], widths[3]];
            writeln!(out, "{area:a$}  {figure:f$}  {value:>v$}  {verdict:t$}  {how}")?;
        }
        let missed = lines.iter().filter(|line| line[3].ends_with("MISSED")).count();
        writeln!(out, "\n{} figures, {missed} of their targets missed", lines.len())
    }
}

/// Three significant figures, thousands set apart.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 100.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) && !out.ends_with('-') {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_marked_and_counted() {
        let mut table = Table::default();
        table.area("store");
        table.row("bytes per reading", 41.5, "bytes").at_most(40.0).how("of 1000 readings");
        table.row("readings", 1_234_567.0, "readings/s").at_least(1e6);
        let mut out = vec![];
        table.print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("41.5 bytes  ≤ 40 MISSED"), "{text}");
        assert!(text.contains("1 234 567 readings/s  ≥ 1 000 000 met"), "{text}");
        assert!(text.ends_with("2 figures, 1 of their targets missed\n"), "{text}");
        let rows: serde_json::Value = serde_json::from_str(&table.json()).unwrap();
        assert_eq!(rows[0]["target"]["at_most"], 40.0);
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        let shown = [0.0, 0.25, 12.0, 999.6, 1000.0, -1234.0, 65_536.0].map(number);
        assert_eq!(shown, ["0", "0.25", "12", "1 000", "1 000", "-1 234", "65 536"]);
    }
}
