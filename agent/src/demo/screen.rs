//! What a demo shows in the terminal while it runs: what to open, and one line for each thing that
//! happens to a ticket.
//!
//! Everything that is printed goes through one [`Screen`], so that lines never mix and tests can read
//! them. Colour codes are written only where the caller says that they can be seen.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use domain::ids::AssetKey;
use domain::site::Site;
use domain::time::{Span, Utc};
use jiff::tz::TimeZone;

use super::judge::{News, Step, prefix};

/// What is said at the start.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// Where the dashboard is.
    pub http: SocketAddr,
    /// Where the broker is.
    pub mqtt: SocketAddr,
    /// The configuration file that was written.
    pub config: &'a Path,
    /// The seed of the street.
    pub seed: u64,
    /// How many times real time the clock runs.
    pub speed: u32,
}

/// How it goes, said every few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The time in the street.
    pub now: Utc,
    /// How long the street has lived.
    pub simulated: Span,
    /// Samples taken by all sources.
    pub samples: u64,
    /// Things refused by all sources.
    pub refused: u64,
    /// Messages that arrived at the judge.
    pub received: u64,
    /// Tickets that are open.
    pub open: usize,
}

/// The one writer.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    colour: bool,
    timezone: TimeZone,
    names: BTreeMap<AssetKey, BTreeMap<String, String>>,
    prefix: String,
    counts: (usize, usize, usize),
}

impl<W: Write> Screen<W> {
    /// A screen for the box configured as `site`, whose hours are those of `timezone`.
    pub fn new(out: W, colour: bool, timezone: TimeZone, site: &Site) -> Screen<W> {
        use domain::ids::Class;
        let count = |class| site.assets.keys().filter(|key| key.class == class).count();
        let names = site.assets.iter().map(|(key, asset)| (key.clone(), asset.names.clone()));
        Screen {
            out,
            colour,
            timezone,
            names: names.collect(),
            prefix: prefix(&site.identity),
            counts: (count(Class::Bay), count(Class::Bin), count(Class::Vehicle)),
        }
    }

    /// Says what runs here and what to open.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn opening(&mut self, opening: &Opening<'_>) -> io::Result<()> {
        let Opening { http, mqtt, config, seed, speed } = opening;
        let url = format!("http://{http}");
        let rule = "─".repeat(url.len() + 11);
        let (bold, plain) = self.paint("1");
        let (bays, bins, vehicles) = self.counts;
        let out = &mut self.out;
        writeln!(out, "\n  ┌{rule}┐")?;
        writeln!(out, "  │   Open {bold}{url}{plain}   │")?;
        writeln!(out, "  └{rule}┘\n")?;
        writeln!(
            out,
            "  A simulated street of Xuejia, Changzhou 常州薛家 · seed {seed}, {speed}× real time"
        )?;
        writeln!(out, "  {bays} bays, {bins} bins, {vehicles} sweepers")?;
        writeln!(
            out,
            "  MQTT           mosquitto_sub -h {} -p {} -v -t '{}/#'",
            mqtt.ip(),
            mqtt.port(),
            self.prefix
        )?;
        writeln!(out, "  configuration  {}", config.display())?;
        writeln!(out, "  Ctrl-C ends it and prints the summary.\n")?;
        out.flush()
    }

    /// One line for what happened to a ticket.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn ticket(&mut self, news: &News) -> io::Result<()> {
        let (word, code) = match news.step {
            Step::Raised => ("raised", "1;31"),
            Step::Reopened => ("reopened", "1;31"),
            Step::Cleared => ("cleared", "1;32"),
            Step::Expired => ("expired", "2"),
            Step::Handled => ("handled", "1;34"),
            Step::Ended => ("ended", "1;34"),
        };
        let (zh, en) = label(news.category.as_str());
        let label = padded(&format!("{en} {zh}"), 34);
        let time = self.time(news.at);
        let name = |language: &str| self.names.get(&news.asset).and_then(|n| n.get(language));
        let place = match (name("en"), name("zh")) {
            (Some(en), Some(zh)) => format!("{en} {zh}"),
            (Some(name), None) | (None, Some(name)) => name.clone(),
            (None, None) => String::new(),
        };
        let asset = padded(news.asset.id.as_str(), 8);
        let (paint, plain) = self.paint(code);
        writeln!(self.out, "  {time}  {paint}{word:<9}{plain} {label} {asset} {place}")?;
        self.out.flush()
    }

    /// One line for how it goes.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn status(&mut self, status: &Status) -> io::Result<()> {
        let Status { now, simulated, samples, refused, received, open } = *status;
        let time = self.time(now);
        let (dim, plain) = self.paint("2");
        writeln!(
            self.out,
            "  {dim}{time}  {simulated} · {samples} readings, {refused} refused · \
             {received} messages at the broker · {open} tickets open{plain}"
        )?;
        self.out.flush()
    }

    /// The writer itself, for the summary at the end, and whether it shows colours.
    pub fn end(&mut self) -> (&mut W, bool) {
        (&mut self.out, self.colour)
    }

    fn paint(&self, code: &str) -> (String, &'static str) {
        if self.colour { (format!("\x1b[{code}m"), "\x1b[0m") } else { (String::new(), "") }
    }

    /// Hours, minutes and seconds where the street is.
    fn time(&self, at: Utc) -> String {
        match jiff::Timestamp::from_millisecond(at.as_ms()) {
            Ok(timestamp) => {
                timestamp.to_zoned_datetime(self.timezone.clone()).strftime("%H:%M:%S").to_string()
            }
            // Cannot be: a `Utc` is within the years 1 to 9999.
            Err(_) => at.to_string(),
        }
    }
}

/// The category for people, in Chinese and English; its symbol when it is none of the usual ones.
fn label(category: &str) -> (&str, &str) {
    match category {
        "overstay" => ("超时停车", "Parked over time"),
        "bin_full" => ("垃圾箱已满", "Bin full"),
        "bin_overflow" => ("垃圾箱满溢", "Bin overflowing"),
        "bin_fire" => ("垃圾箱起火", "Bin on fire"),
        "sensor_silent" => ("传感器无数据", "Sensor silent"),
        "parking_device_fault" => ("停车设备异常", "Bay sensor fault"),
        "bin_fault" => ("垃圾箱异常", "Bin sensor fault"),
        "signal_lost" => ("车辆失联", "Vehicle lost"),
        "node_battery_low" => ("电池电量低", "Battery low"),
        other => ("", other),
    }
}

/// Padded to `width` columns; a Chinese character takes two.
fn padded(text: &str, width: usize) -> String {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{ffe6}');
    let columns: usize = text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetId, Category, Class};

    use super::*;
    use crate::demo::plan::tests::site;

    fn shown(colour: bool, show: impl FnOnce(&mut Screen<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        let timezone = TimeZone::get("Asia/Shanghai").unwrap();
        show(&mut Screen::new(&mut out, colour, timezone, &site()));
        String::from_utf8(out).unwrap()
    }

    fn news(step: Step) -> News {
        News {
            at: Utc::parse("2026-06-04T04:06:41Z").unwrap(),
            step,
            category: Category::new("bin_full").unwrap(),
            asset: AssetKey::new(Class::Bin, AssetId::new("bin-01").unwrap()),
        }
    }

    #[test]
    fn the_first_thing_to_see_is_what_to_open() {
        let opening = Opening {
            http: "127.0.0.1:8080".parse().unwrap(),
            mqtt: "127.0.0.1:1883".parse().unwrap(),
            config: Path::new("/tmp/demo.toml"),
            seed: 7,
            speed: 20,
        };
        let text = shown(false, |screen| screen.opening(&opening).unwrap());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2].trim(), "│   Open http://127.0.0.1:8080   │");
        let width = |line: &str| line.chars().count();
        assert!(width(lines[1]) == width(lines[2]) && width(lines[2]) == width(lines[3]));
        assert!(text.contains("-t 'steward/v1/longcheng/xuejia/demo/#'"));
        assert!(text.contains("20 bays, 12 bins, 0 sweepers"), "{text}");
    }

    #[test]
    fn a_ticket_is_one_line_in_two_languages_at_local_time() {
        let text = shown(false, |screen| screen.ticket(&news(Step::Raised)).unwrap());
        let line = "  12:06:41  raised    Bin full 垃圾箱已满                bin-01   bay 泊位\n";
        assert_eq!(text, line);
    }

    #[test]
    fn colour_only_where_it_can_be_seen() {
        let status = Status {
            now: Utc::parse("2026-06-04T04:10:00Z").unwrap(),
            simulated: Span::from_mins(10),
            samples: 1234,
            refused: 5,
            received: 2345,
            open: 3,
        };
        let say = |screen: &mut Screen<&mut Vec<u8>>| {
            screen.ticket(&news(Step::Cleared)).unwrap();
            screen.status(&status).unwrap();
        };
        assert!(shown(true, say).contains("\x1b[1;32mcleared"));
        let plain = shown(false, say);
        assert!(!plain.contains('\x1b'));
        assert!(plain.contains("12:10:00  10m 00s · 1234 readings, 5 refused"), "{plain}");
    }
}
