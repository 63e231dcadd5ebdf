//! A simulated year of bays against the truth: lost, late and doubled uplinks, sensors and boxes that
//! start anew. Nothing wrong may be billed.
//!
//! The ordinary run takes a month of a street; `whole_year` takes 200 bays for a year, those of four boxes
//! that are simulated side by side as far as there are cores, and prints how long it took: `cargo test --release -p system-tests -- --ignored --nocapture whole_year`.
#![allow(clippy::print_stdout, reason = "what was found is printed beside the verdict")]

use std::collections::BTreeMap;

use domain::Engine;
use domain::calendar::{Calendar, Period, TimeOfDay};
use domain::ids::{
    AssetId, AssetKey, BoxId, Class, DeviceKey, SiteId, SourceName, TariffId, TenantId,
};
use domain::input::Input;
use domain::output::{Body, Outputs, Record, Topic};
use domain::parking::report;
use domain::parking::tariff::{
    Cap, Currency, Exceeded, Free, Money, OnChange, Plan, Rounding, Scope, Seconds, Stay, Tariff,
    Tier, Window, charge,
};
use domain::sample::{Quantity, Sample};
use domain::site::{Asset, Bay, BayPolicy, Feed, Identity, Kind, Parking, Site, TicketPolicy};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use serde_json::{Map, Value};

pub(super) const DAY_S: u64 = 86_400;
pub(super) const SEED: u64 = 0x5eed_2026;

pub(super) fn start() -> Utc {
    Utc::parse("2026-01-01T00:00:00+08:00").unwrap()
}

/// A small generator of chance, so that the year is the same on every machine (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// A stay as it was, in seconds from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    from: u64,
    to: u64,
}

fn stays(chance: &mut Chance, until: u64) -> Vec<Truth> {
    let mut stays = vec![];
    let mut at = chance.between(0, 7200);
    loop {
        let lasts = match chance.between(0, 9) {
            0..=3 => chance.between(90, 1800),
            4..=7 => chance.between(1800, 10_800),
            _ => chance.between(10_800, 50_000),
        };
        if at + lasts > until {
            return stays;
        }
        stays.push(Truth { from: at, to: at + lasts });
        at += lasts + chance.between(150, 14_400);
    }
}

/// A report on its way.
pub(super) struct Arriving {
    pub(super) arrives: u64,
    pub(super) bay: usize,
    pub(super) sample: Sample,
}

fn device(bay: usize) -> DeviceKey {
    DeviceKey::new(&format!("d{bay}")).unwrap()
}

/// What the sensor of a bay sends of its stays. Bays with an even number have a sensor that counts the
/// state before and dates its reports; the others say occupied or free, and no more.
fn reports(chance: &mut Chance, bay: usize, stays: &[Truth], until: u64) -> Vec<Arriving> {
    let counts = bay.is_multiple_of(2);
    let (source, device) = (SourceName::new("s").unwrap(), device(bay));
    let mut edges: Vec<(u64, bool, Option<u64>)> = vec![(1, false, None)];
    let mut last = 0;
    for stay in stays {
        edges.push((stay.from, true, Some(stay.from - last)));
        edges.push((stay.to, false, Some(stay.to - stay.from)));
        last = stay.to;
    }
    edges.push((until + 1, false, None));
    let mut sent: Vec<Arriving> = vec![];
    let mut counter = 0;
    let mut restarted = false;
    for pair in edges.windows(2) {
        let ((at, occupied, previous), (next, ..)) = (pair[0], pair[1]);
        let previous = previous.filter(|_| counts && !std::mem::take(&mut restarted));
        let mut now = at;
        let mut first = true;
        while now < next {
            if chance.one_in(600) {
                (counter, restarted) = (0, true);
            }
            counter += 1;
            let previous = previous.filter(|_| std::mem::take(&mut first));
            let mut quantities = vec![Quantity::Occupied(occupied)];
            quantities.extend(previous.filter(|_| !restarted).map(|s| Quantity::PreviousState {
                lasted: Span::from_secs(s),
                error: Span::from_ms(1000 + s / 2),
            }));
            let sample = Sample {
                source: source.clone(),
                device: Some(device.clone()),
                counter: Some(counter),
                at: counts.then(|| start() + Span::from_secs(now)),
                quantities,
            };
            let late = if counts && chance.one_in(30) { chance.between(60, 7200) } else { 0 };
            let arrives = now + chance.between(0, 4) + late;
            if !chance.one_in(50) {
                if chance.one_in(100) {
                    let again = arrives + chance.between(1, 90);
                    sent.push(Arriving { arrives: again, bay, sample: sample.clone() });
                }
                sent.push(Arriving { arrives, bay, sample });
            }
            now += 4 * 3600;
        }
    }
    sent
}

fn tariff() -> Tariff {
    let yuan = |n: u64| Money::from_minor(n * 100);
    let time = |text| TimeOfDay::parse(text).unwrap();
    let window = |name: &str, from, to, tiers, cap| Window {
        name: name.to_owned(),
        period: Period { from: time(from), to: time(to) },
        days: domain::calendar::DayClasses::ALL,
        vehicles: vec![],
        free: Free::NONE,
        tiers,
        cap,
    };
    let tier = |up_to, price| Tier { up_to, unit: 60, price: yuan(price) };
    let day = vec![tier(Some(180), 5), tier(None, 10)];
    let plan = Plan {
        version: 1,
        from: None,
        on_change: OnChange::Entry,
        currency: Currency::CNY,
        seconds: Seconds::Truncate,
        free: Free { minutes: 15, inclusive: true, exceeded: Exceeded::Voided },
        rounding: Rounding::Window,
        counting: Scope::Rolling24h,
        windows: vec![
            window("day", "07:30", "21:30", day, None),
            window("night", "21:30", "07:30", vec![tier(None, 2)], Some(yuan(10))),
        ],
        caps: vec![Cap { scope: Scope::Rolling24h, max: yuan(35) }],
        campaigns: vec![],
        error_max: None,
    };
    assert_eq!(plan.faults(), []);
    Tariff::new(TariffId::new("street").unwrap(), vec![plan]).unwrap()
}

fn bay_key(bay: usize) -> AssetKey {
    AssetKey::new(Class::Bay, AssetId::new(&format!("b-{bay}")).unwrap())
}

fn calendar() -> Calendar {
    Calendar::new(jiff::tz::TimeZone::posix("CST-8").unwrap())
}

fn site(bays: usize) -> Site {
    let street = |n: usize| AssetId::new(&format!("street-{n}")).unwrap();
    let bay = |n: usize| Asset {
        names: BTreeMap::new(),
        position: None,
        street: Some(street(n / 20)),
        feeds: vec![Feed { source: SourceName::new("s").unwrap(), device: Some(device(n)) }],
        kind: Kind::Bay(Bay {
            max_stay: None,
            occupied_after: Span::from_secs(60),
            free_after: Span::from_secs(20),
            stale_after: Span::from_mins(12 * 60 + 10),
            policy: BayPolicy { tariff: Some(tariff().id), ..BayPolicy::default() },
        }),
    };
    let mut assets: BTreeMap<_, _> = (0..bays).map(|n| (bay_key(n), bay(n))).collect();
    for n in 0..bays.div_ceil(20) {
        let kind = Kind::Street { line: vec![], sweep: None };
        let road =
            Asset { names: BTreeMap::new(), position: None, street: None, feeds: vec![], kind };
        assets.insert(AssetKey::new(Class::Street, street(n)), road);
    }
    Site {
        identity: Identity {
            tenant: TenantId::new("t").unwrap(),
            site: SiteId::new("s").unwrap(),
            id: BoxId::new("b").unwrap(),
        },
        assets,
        rules: vec![],
        tickets: TicketPolicy::default(),
        calendar: calendar(),
        parking: Parking {
            tariffs: BTreeMap::from([(tariff().id, tariff())]),
            permits: BTreeMap::new(),
        },
    }
}

/// A stay as the box told it.
#[derive(Debug)]
pub(super) struct Told {
    bay: usize,
    from: i64,
    to: i64,
    quality: String,
    error_s: u64,
    /// What was billed for it, if anything.
    pub(super) billed: Option<u64>,
}

impl Told {
    fn read(bay: usize, session: &Map<String, Value>) -> Told {
        let billed = session["billable"] == true;
        Told {
            bay,
            from: seconds(&session["start"]),
            to: seconds(&session["end"]),
            quality: session["quality"].as_str().unwrap().to_owned(),
            error_s: session["error_s"].as_u64().unwrap(),
            billed: billed.then(|| session["fee"]["total"].as_u64().unwrap()),
        }
    }
}

/// What the box said.
#[derive(Default)]
pub(super) struct Heard {
    records: BTreeMap<String, Vec<u8>>,
    pub(super) sessions: Vec<Told>,
    occupied_s: u64,
    days: usize,
    blind_s: u64,
}

impl Heard {
    /// What the engine has stored.
    pub(super) fn stored(&self) -> Vec<Record> {
        let record = |(key, value): (&String, &Vec<u8>)| Record {
            key: key.clone(),
            value: Some(value.clone()),
        };
        self.records.iter().map(record).collect()
    }

    fn take(&mut self, out: Outputs) {
        for Record { key, value } in out.records {
            match value {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
        for message in out.messages {
            let (Topic::AssetEvent(key), Body::Event { kind, data }) =
                (message.topic, message.body)
            else {
                continue;
            };
            match (key.class, kind) {
                (Class::Bay, "parking.session") => {
                    let bay = key.id.as_str().trim_start_matches("b-").parse().unwrap();
                    self.sessions.push(Told::read(bay, &data));
                }
                (Class::Bay, "parking.day") => {
                    self.days += 1;
                    self.occupied_s += data["occupied_s"].as_u64().unwrap();
                    self.blind_s += data["blind_s"].as_u64().unwrap();
                }
                _ => {}
            }
        }
    }
}

/// What truly happens, and every report of it in the order of arrival.
pub(super) fn arriving(seed: u64, bays: usize, until: u64) -> (Vec<Vec<Truth>>, Vec<Arriving>) {
    let mut chance = Chance(seed);
    let truth: Vec<Vec<Truth>> = (0..bays).map(|_| stays(&mut chance, until - 7200)).collect();
    let mut arriving: Vec<Arriving> = vec![];
    for (bay, stays) in truth.iter().enumerate() {
        arriving.extend(reports(&mut chance, bay, stays, until));
    }
    arriving.sort_by_key(|a| (a.arrives, a.bay));
    (truth, arriving)
}

pub(super) fn run(seed: u64, bays: usize, days: u64, restarts: u64) -> (Vec<Vec<Truth>>, Heard) {
    let until = days * DAY_S;
    let (truth, arriving) = arriving(seed, bays, until);
    let site = site(bays);
    let now = |boot: u32, booted: u64, s: u64| Moment {
        boot: Boot(boot),
        monotonic: Monotonic::from_ms((s - booted) * 1000),
        utc: start() + Span::from_secs(s),
        clock: ClockQuality::Ntp,
    };
    let mut heard = Heard::default();
    let (mut boot, mut booted) = (1, 0);
    let mut engine = Engine::new(site.clone(), vec![], now(boot, booted, 0));
    heard.take(engine.step(Input::Start, now(boot, booted, 0)));
    for one in arriving {
        let due = until / (restarts + 1) * u64::from(boot);
        if one.arrives >= due && u64::from(boot) <= restarts {
            (boot, booted) = (boot + 1, one.arrives);
            engine = Engine::new(site.clone(), heard.stored(), now(boot, booted, booted));
            heard.take(engine.step(Input::Start, now(boot, booted, booted)));
        }
        heard.take(engine.step(Input::Sample(one.sample), now(boot, booted, one.arrives)));
    }
    let end = until + 600;
    heard.take(engine.step(Input::Tick, now(boot, booted, end)));
    (truth, heard)
}

/// Judges what was billed and found.
#[derive(Debug, Default)]
struct Verdict {
    stays: usize,
    matched: usize,
    billed: usize,
    by_quality: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn seconds(value: &Value) -> i64 {
    (Utc::parse(value.as_str().unwrap()).unwrap().as_ms() - start().as_ms()) / 1000
}

fn judge(truth: &[Vec<Truth>], heard: &Heard) -> Verdict {
    let tariff = tariff();
    let calendar = calendar();
    let due = |from: u64, to: u64| {
        let at = |s| start() + Span::from_secs(s);
        let stay = Stay { start: at(from), end: at(to), vehicle: None };
        charge(&tariff, &calendar, &stay).total.minor()
    };
    let mut verdict = Verdict { stays: truth.iter().map(Vec::len).sum(), ..Verdict::default() };
    for session in &heard.sessions {
        let &Told { bay, from, to, error_s: error, billed, .. } = session;
        *verdict.by_quality.entry(session.quality.clone()).or_default() += 1;
        let overlap = |t: &Truth| {
            let (a, b) = (i64::try_from(t.from).unwrap(), i64::try_from(t.to).unwrap());
            (to.min(b) - from.max(a)).max(0)
        };
        let first = truth[bay].partition_point(|t| i64::try_from(t.to).unwrap() < from);
        let near = &truth[bay][first..(first + 8).min(truth[bay].len())];
        let best = near.iter().max_by_key(|t| overlap(t)).filter(|t| overlap(t) > 0);
        let cars = near.iter().filter(|t| overlap(t) > 60).count();
        if let Some(t) = best {
            let off = |a: u64, b: i64| (i64::try_from(a).unwrap() - b).abs();
            verdict.matched += usize::from(off(t.from, from) <= 120 && off(t.to, to) <= 120);
        }
        let Some(total) = billed else { continue };
        verdict.billed += 1;
        // Reports travel for some seconds: so much a bill may be off. It is wrong when it is more than the
        // stay cost, when the car did not stand there all the time, or when the stay was longer than
        // its error allows; and of a stay that is known to the minute, also when it is less.
        let fits = best.is_some_and(|t| {
            let (came, left) = (i64::try_from(t.from).unwrap(), i64::try_from(t.to).unwrap());
            let bound = i64::try_from(error).unwrap() + 10;
            let most =
                due(t.from, t.to + 10).max(due(t.from + 10, t.to + 10)).max(due(t.from, t.to));
            let shorter = t.to.saturating_sub(2 * error + 10).max(t.from);
            let least = due(t.from, shorter).min(due((t.from + 2 * error + 10).min(t.to), t.to));
            // Around the hour at which prices change, an earlier arrival can be the cheaper one.
            let least = least.min(due(t.from.saturating_sub(error + 10), t.to));
            let there = came - bound <= from && to <= left + bound;
            let bounded = (left - came) - (to - from) <= bound;
            there && bounded && total <= most && (error > 60 || total >= least)
        });
        if !fits || cars > 1 {
            verdict.wrong.push(format!("{best:?}: {session:?}"));
        }
    }
    verdict
}

/// What `steward report` makes of what was stored: it must say the same as the events.
fn print_report(heard: &Heard, bays: usize) {
    let stored = heard.stored();
    let day = |text: &str| text.parse().unwrap();
    let days = report::days(stored.iter(), day("2026-01-01"), day("2026-12-31"));
    let rows = report::rows(&days);
    let table = report::table(&report::lines(&rows));
    println!("{}", table.lines().take(4).collect::<Vec<_>>().join("\n"));
    let of_bays = rows.iter().filter(|row| row.asset.class == Class::Bay);
    let occupied: u64 = of_bays.map(|row| row.occupied_s).sum();
    // Each day of the events is cut to whole seconds.
    assert!(occupied.abs_diff(heard.occupied_s) <= heard.days as u64);
    assert_eq!(rows.len(), bays + bays.div_ceil(20));
    assert_eq!(report::csv(&report::lines(&rows)).lines().count(), rows.len() + 1);
}

fn check(seed: u64, bays: usize, days: u64, restarts: u64) -> Verdict {
    let (truth, heard) = run(seed, bays, days, restarts);
    let verdict = judge(&truth, &heard);
    let true_s: u64 = truth.iter().flatten().map(|t| t.to - t.from).sum();
    let share = heard.occupied_s as f64 / true_s as f64;
    let matched = verdict.matched as f64 / verdict.stays as f64;
    println!(
        "{bays} bays, {days} days, seed {seed:#x}: {} stays, {:.2} % matched, qualities {:?}, \
         {} billed, {} wrong; occupied {:.3} of the truth, blind {:.2} %",
        verdict.stays,
        matched * 100.0,
        verdict.by_quality,
        verdict.billed,
        verdict.wrong.len(),
        share,
        heard.blind_s as f64 * 100.0 / (bays as u64 * days * DAY_S) as f64,
    );
    for wrong in verdict.wrong.iter().take(30) {
        println!("wrong: {wrong}");
    }
    print_report(&heard, bays);
    assert_eq!(verdict.wrong.len(), 0, "seed {seed:#x}");
    assert_eq!(heard.days as u64, bays as u64 * days, "every bay has every day");
    assert!((0.97..=1.03).contains(&share), "{share}");
    assert!(matched > 0.93, "{matched}");
    verdict
}

#[test]
fn a_month_of_a_street() {
    check(SEED, 20, 30, 3);
}

#[test]
#[ignore = "as long as the year"]
fn other_streets() {
    for seed in 1..=20 {
        check(seed * 0x9e37_79b9, 40, 60, 5);
    }
}

#[test]
#[ignore = "minutes in a debug build: see the head of the file"]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what is measured")]
fn whole_year() {
    const BOXES: u64 = 4;
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for number in 0..BOXES {
            scope.spawn(move || check(SEED + number, 200 / BOXES as usize, 365, 12));
        }
    });
    println!("the year took {:.1} s", begun.elapsed().as_secs_f64());
}
