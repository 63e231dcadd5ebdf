//! From reading to decision: the engine alone, without a disk or a link.

use std::time::Instant;

use domain::Engine;
use domain::input::Input;
use domain::sample::{Quantity, Sample};
use domain::site::{Kind, Site};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Now, Span, Utc};
use domain::units::Millimetres;

use crate::table::Table;

const READINGS: u64 = 200_000;
/// Between two readings of the street: one every 100 ms is a busy one.
const STEP_MS: u64 = 100;

fn site() -> Site {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/steward.toml");
    steward::config::load(&file).unwrap().config.site
}

fn now(n: u64) -> Now {
    let start = Utc::parse("2026-03-02T08:00:00+08:00").unwrap();
    let past = n * STEP_MS;
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(past),
        utc: start + Span::from_ms(past),
        clock: ClockQuality::Ntp,
    }
}

/// A reading for each bay and bin of the site in turn; a bay changes every 64 rounds.
fn samples(site: &Site) -> Vec<Sample> {
    let sensed = site.assets.values().filter_map(|asset| {
        let feed = asset.feeds.first()?.clone();
        matches!(asset.kind, Kind::Bay(_) | Kind::Bin(_)).then_some((feed, &asset.kind))
    });
    let sensed: Vec<_> = sensed.collect();
    let quantity = |n: u64, kind: &Kind| match kind {
        Kind::Bay(_) => Quantity::Occupied((n / (64 * sensed.len() as u64)).is_multiple_of(2)),
        _ => Quantity::Distance(Millimetres(600 + (n % 50) as u32)),
    };
    let sample = |n: u64| {
        let (feed, kind) = &sensed[n as usize % sensed.len()];
        Sample {
            source: feed.source.clone(),
            device: feed.device.clone(),
            counter: Some(n as u32),
            at: None,
            quantities: vec![quantity(n, kind)],
        }
    };
    (0..READINGS).map(sample).collect()
}

/// The reference: what it costs just to write and read such a reading as JSON, as any agent must.
fn as_json(samples: &[Sample]) -> f64 {
    let started = Instant::now();
    for sample in samples {
        let text = serde_json::to_vec(sample).unwrap();
        let back: Sample = serde_json::from_slice(&text).unwrap();
        std::hint::black_box(back);
    }
    samples.len() as f64 / started.elapsed().as_secs_f64()
}

pub(crate) fn rows(table: &mut Table) {
    let site = site();
    let samples = samples(&site);
    let json = as_json(&samples);
    let mut engine = Engine::new(site, vec![], now(0));
    let mut messages = engine.step(Input::Start, now(0)).messages.len();
    let started = Instant::now();
    for (n, sample) in samples.into_iter().enumerate() {
        messages += engine.step(Input::Sample(sample), now(n as u64)).messages.len();
    }
    let rate = READINGS as f64 / started.elapsed().as_secs_f64();
    table.row("readings through the rules", rate, "readings/s").how(format!(
        "one core, {READINGS} readings of config/steward.toml, {messages} messages out"
    ));
    table
        .row("… against a JSON round trip of the same", rate / json, "x")
        .how(format!("the round trip alone: {json:.0} readings/s"));
}
