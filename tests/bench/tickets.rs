//! A storm of findings: what one costs, and what it leaves behind.

use std::collections::BTreeMap;
use std::time::Instant;

use domain::Engine;
use domain::input::Input;
use domain::output::Topic;
use domain::sample::{Quantity, Sample};
use domain::site::Site;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Now, Span, Utc};
use domain::units::Millimetres;

use crate::table::Table;

const BINS: usize = 1000;
const FINDINGS: usize = 10_000;

/// One finding for each crossing.
const FULL: &str = "[[rule]]\nid = \"bin-full\"\nclass = \"bin\"\ncategory = \"bin_overflow\"\n\
                    when = { above = \"level_pct\", raise_at = 85, clear_at = 60 }\n";

/// A thousand bins of one source, with these rules.
fn site(rules: &str) -> Site {
    use std::fmt::Write;
    let mut text = String::from(
        "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[tickets]\nflaps = 0\n\
         [[source]]\nname = \"nodes\"\nkind = \"chirpstack\"\n[[limit]]\nwithin = \"4 work_hour\"\n",
    ) + rules;
    for n in 0..BINS {
        let bin = format!(
            "[[bin]]\nid = \"bin-{n}\"\nsource = \"nodes\"\ndevice = \"{n:016x}\"\n\
             codec = \"milesight/em400\"\nempty_mm = 1500\nfull_mm = 300\n"
        );
        write!(text, "{bin}").unwrap();
    }
    steward::config::load_text("storm.toml", &text).unwrap().config.site
}

fn now(n: usize) -> Now {
    // All of them in one minute.
    let past = n as u64 * 6;
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(past),
        utc: Utc::parse("2026-06-01T09:00:00+08:00").unwrap() + Span::from_ms(past),
        clock: ClockQuality::Ntp,
    }
}

/// Each reading is a finding: full, empty, full again, for every bin in turn.
fn samples(site: &Site) -> Vec<Sample> {
    let feeds: Vec<_> = site.assets.values().map(|asset| asset.feeds[0].clone()).collect();
    let sample = |n: usize| Sample {
        source: feeds[n % BINS].source.clone(),
        device: feeds[n % BINS].device.clone(),
        counter: Some(n as u32),
        at: None,
        quantities: vec![Quantity::Distance(Millimetres(if (n / BINS).is_multiple_of(2) {
            350
        } else {
            1400
        }))],
    };
    (0..FINDINGS).map(sample).collect()
}

/// Conditions of every kind that a bin can have; none of them ever comes true.
const CONDITIONS: [&str; 10] = [
    "{ above = \"level_pct\", raise_at = 100, clear_at = 99 }",
    "{ outside = \"level_pct\", from = 0, to = 100 }",
    "{ rises = \"level_pct\", by = 99, within = \"1m\" }",
    "{ missing = \"level_pct\", after = \"9d\" }",
    "{ stuck = \"level_pct\", band = 1, after = \"9d\" }",
    "{ count = \"level_pct\", above = 80, times = 30, within = \"1h\" }",
    "{ forecast = \"level_pct\", rises_to = 100, within = \"1s\", over = \"1m\" }",
    "{ silent = true, after = \"9d\" }",
    "{ all = [{ above = \"level_pct\", raise_at = 80, clear_at = 60 }, { during = [\"03:00-04:00\"] }] }",
    "{ not = { any = [{ below = \"level_pct\", raise_at = 20, clear_at = 30 }, \
     { above = \"level_pct\", raise_at = 25, clear_at = 20 }] } }",
];

/// Seconds that all readings take with these rules, and the bytes of what the rules stored in the end.
fn run(rules: &str) -> (f64, usize) {
    let site = site(&format!("[rules]\ndefaults = false\n{rules}"));
    let samples = samples(&site);
    let mut engine = Engine::new(site, vec![], now(0));
    let mut stored = BTreeMap::new();
    let started = Instant::now();
    for (n, sample) in samples.into_iter().enumerate() {
        let out = engine.step(Input::Sample(sample), now(n));
        let of_rules = out.records.into_iter().filter(|record| record.key.starts_with("watch/"));
        stored.extend(of_rules.map(|record| (record.key, record.value)));
    }
    let took = started.elapsed().as_secs_f64();
    (took, stored.values().flatten().map(Vec::len).sum())
}

fn rule_rows(table: &mut Table) {
    let each = |(n, when): (usize, &&str)| {
        format!(
            "[[rule]]\nid = \"r-{n}\"\nclass = \"bin\"\ncategory = \"bin_fault\"\nwhen = {when}\n"
        )
    };
    let rules: String = CONDITIONS.iter().enumerate().map(each).collect();
    // The first run of a program is slower than the others.
    let _ = run(&rules);
    let ((without, _), (with, bytes)) = (run(""), run(&rules));
    let evaluations = (FINDINGS * CONDITIONS.len()) as f64;
    let extra = (with - without).max(f64::EPSILON);
    table
        .row("rule evaluations a second", evaluations / extra, "1/s")
        .how("one core; a rule of each kind with each reading, what it stores written as JSON");
    table
        .row("a reading with ten rules, against one without any", with / without, "x")
        .how(format!("{FINDINGS} readings of {BINS} bins"));
    table
        .row(
            "stored by a rule for an asset",
            bytes as f64 / (BINS * CONDITIONS.len()) as f64,
            "bytes",
        )
        .how("ten readings each; at most 32 points and 8 readings for each condition");
}

pub(crate) fn rows(table: &mut Table) {
    let site = site(FULL);
    let samples = samples(&site);
    rule_rows(table);
    let mut engine = Engine::new(site, vec![], now(0));
    let (mut transitions, mut stored) = (0usize, BTreeMap::new());
    let started = Instant::now();
    let outputs: Vec<_> = samples
        .into_iter()
        .enumerate()
        .map(|(n, sample)| engine.step(Input::Sample(sample), now(n)))
        .collect();
    let each = started.elapsed().as_secs_f64() * 1e6 / FINDINGS as f64;
    for out in outputs {
        transitions +=
            out.messages.iter().filter(|m| matches!(m.topic, Topic::TicketEvent(_))).count();
        stored.extend(out.records.into_iter().map(|record| (record.key, record.value)));
    }
    let bytes: usize = stored.values().flatten().map(Vec::len).sum();
    table
        .row("findings that were told, of those planted", transitions as f64 / FINDINGS as f64, "x")
        .at_least(1.0)
        .how(format!("{FINDINGS} findings on {BINS} bins in a minute of their time"));
    table
        .row("open tickets per bin after it", engine.open_tickets() as f64 / BINS as f64, "x")
        .at_most(1.0)
        .how("each bin was full five times");
    table
        .row("on disk per bin after it", bytes as f64 / BINS as f64, "bytes")
        .how("its state, its rules and its ticket with the whole flow log");
    table
        .row("one finding, from the reading to what is told and stored", each, "µs")
        .how("one core, the log entry hashed, the ticket written as JSON twice");
}
