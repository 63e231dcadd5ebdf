//! Tables of real tariffs, and what must hold for every one.

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::calendar::{Calendar, DayClass, TimeOfDay};

fn yuan(yuan: u64) -> Money {
    Money::from_minor(yuan * 100)
}

fn time(text: &str) -> TimeOfDay {
    TimeOfDay::parse(text).unwrap()
}

fn window(name: &str, from: &str, to: &str, tiers: &[(Option<u32>, u32, u64)]) -> Window {
    let tier =
        |&(up_to, unit, price): &(Option<u32>, u32, u64)| Tier { up_to, unit, price: yuan(price) };
    Window {
        name: name.to_owned(),
        period: Period { from: time(from), to: time(to) },
        days: DayClasses::ALL,
        vehicles: vec![],
        free: Free::NONE,
        tiers: tiers.iter().map(tier).collect(),
        cap: None,
    }
}

fn free(minutes: u32) -> Free {
    Free { minutes, ..Free::NONE }
}

/// Whole minutes cut off, 15 minutes free and void when exceeded, rounded up per window, tiers and the
/// cap per 24 hours from entry.
fn plan(windows: Vec<Window>, cap: Option<u64>) -> Plan {
    Plan {
        version: 1,
        from: None,
        on_change: OnChange::Entry,
        currency: Currency::CNY,
        seconds: Seconds::Truncate,
        free: free(15),
        rounding: Rounding::Window,
        counting: Scope::Rolling24h,
        windows,
        caps: cap.map(|max| Cap { scope: Scope::Rolling24h, max: yuan(max) }).into_iter().collect(),
        campaigns: vec![],
        error_max: None,
    }
}

fn tariff(plans: Vec<Plan>) -> Tariff {
    Tariff::new(TariffId::new("t").unwrap(), plans).unwrap()
}

/// A stadium: first three hours of the day cheaper, a cap for the night and one for 24 hours.
fn stadium() -> Plan {
    let day = window("day", "07:30", "21:30", &[(Some(180), 60, 5), (None, 60, 10)]);
    let night = window("night", "21:30", "07:30", &[(None, 60, 2)]);
    plan(vec![day, Window { cap: Some(yuan(10)), ..night }], Some(35))
}

/// A mall: quarters of an hour by day, hours with a cap by night.
fn mall() -> Plan {
    let day = window("day", "08:00", "22:00", &[(None, 15, 4)]);
    let night = window("night", "22:00", "08:00", &[(None, 60, 4)]);
    plan(vec![day, Window { cap: Some(yuan(10)), ..night }], Some(128))
}

fn shanghai() -> Calendar {
    Calendar::new(TimeZone::posix("CST-8").unwrap())
}

fn berlin() -> Calendar {
    Calendar::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
}

fn utc(text: &str) -> Utc {
    Utc::parse(text).unwrap()
}

fn stay(start: &str, end: &str) -> Stay<'static> {
    Stay { start: utc(start), end: utc(end), vehicle: None }
}

/// The fee in yuan for a stay in Shanghai, with times such as `03 09:00` of June 2026.
fn fee(plan: &Plan, from: &str, to: &str) -> f64 {
    let at = |t: &str| format!("2026-06-{}+08:00", t.replace(' ', "T"));
    let fee = charge(&tariff(vec![plan.clone()]), &shanghai(), &stay(&at(from), &at(to)));
    fee.total.minor() as f64 / 100.0
}

#[test]
fn golden_tariffs() {
    let (stadium, mall) = (stadium(), mall());
    assert_eq!((stadium.faults(), mall.faults()), (vec![], vec![]));
    let table = [
        ("03 09:00:00", "03 09:15:00", 0.0, 0.0),
        ("03 09:00:00", "03 09:16:00", 5.0, 8.0),
        ("03 09:00:00", "03 12:00:00", 15.0, 48.0),
        ("03 09:00:00", "03 12:01:00", 25.0, 52.0),
        ("03 20:30:00", "03 22:30:00", 7.0, 28.0),
        ("03 21:20:00", "03 21:40:00", 7.0, 8.0),
        ("03 22:00:00", "04 07:30:00", 10.0, 10.0),
        ("03 09:00:00", "03 21:30:00", 35.0, 128.0),
        ("03 09:00:00", "04 09:00:00", 35.0, 128.0),
        ("03 09:00:00", "04 10:00:00", 40.0, 144.0),
        ("03 23:50:00", "04 00:20:00", 2.0, 4.0),
    ];
    for (from, to, a, b) in table {
        assert_eq!((fee(&stadium, from, to), fee(&mall, from, to)), (a, b), "{from} to {to}");
    }
}

#[test]
fn the_edge_of_the_free_minutes() {
    let exclusive = Plan { free: Free { inclusive: false, ..free(30) }, ..stadium() };
    let inclusive = Plan { free: free(30), ..stadium() };
    let deducted = Free { exceeded: Exceeded::Deducted, ..free(30) };
    let deducted = Plan { free: deducted, ..stadium() };
    let table = [
        ("03 09:29:00", 0.0, 0.0, 0.0),
        ("03 09:30:00", 5.0, 0.0, 0.0),
        ("03 09:31:00", 5.0, 5.0, 5.0),
        ("03 10:30:00", 10.0, 10.0, 5.0),
        ("03 10:31:00", 10.0, 10.0, 10.0),
    ];
    for (to, a, b, c) in table {
        let got = [&exclusive, &inclusive, &deducted].map(|p| fee(p, "03 09:00:00", to));
        assert_eq!(got, [a, b, c], "until {to}");
    }
}

#[test]
fn what_a_begun_minute_counts() {
    let up = Plan { seconds: Seconds::RoundUp, ..stadium() };
    let table = [("03 09:15:59", 0.0, 5.0), ("03 09:15:00", 0.0, 0.0), ("03 10:00:01", 5.0, 10.0)];
    for (to, cut, rounded) in table {
        assert_eq!(
            (fee(&stadium(), "03 09:00:00", to), fee(&up, "03 09:00:00", to)),
            (cut, rounded)
        );
    }
    // The minute the stay began in counts, so that seconds never make a unit of their own.
    assert_eq!(fee(&stadium(), "03 20:30:30", "03 22:30:30"), 7.0);
}

#[test]
fn units_rounded_once_go_on_into_the_next_window() {
    let once = Plan { rounding: Rounding::Stay, ..stadium() };
    assert_eq!(fee(&once, "03 21:20:00", "03 21:40:00"), 5.0, "one unit, begun by day");
    assert_eq!(fee(&once, "03 21:20:00", "03 22:21:00"), 7.0, "the second begins by night");
}

#[test]
fn where_tiers_and_caps_begin_anew() {
    let flat = || vec![window("day", "00:00", "24:00", &[(Some(60), 60, 5), (None, 60, 1)])];
    let per = |scope| Plan { counting: scope, ..plan(flat(), None) };
    let table = [(Scope::Stay, 30.0), (Scope::Rolling24h, 34.0), (Scope::CalendarDay, 34.0)];
    for (scope, due) in table {
        assert_eq!(fee(&per(scope), "03 12:00:00", "04 14:00:00"), due, "{scope:?}");
    }
    // A day's cap lies between midnights, the other from entry.
    let capped = |scope| Plan {
        caps: vec![Cap { scope, max: yuan(5) }],
        ..plan(vec![window("day", "00:00", "24:00", &[(None, 60, 2)])], None)
    };
    let night = |scope| fee(&capped(scope), "03 20:00:00", "04 04:00:00");
    assert_eq!([Scope::CalendarDay, Scope::Rolling24h, Scope::Stay].map(night), [10.0, 5.0, 5.0]);
    let long = |scope| fee(&capped(scope), "03 20:00:00", "05 21:00:00");
    assert_eq!([Scope::CalendarDay, Scope::Rolling24h, Scope::Stay].map(long), [15.0, 12.0, 5.0]);
}

#[test]
fn each_window_can_have_free_minutes_of_its_own() {
    let day = Window { free: free(15), ..window("day", "08:00", "22:00", &[(None, 15, 4)]) };
    let night = Window {
        free: free(30),
        cap: Some(yuan(10)),
        ..window("night", "22:00", "08:00", &[(None, 60, 4)])
    };
    let plan = Plan { free: Free::NONE, ..plan(vec![day, night], Some(128)) };
    assert_eq!(fee(&plan, "03 21:50:00", "03 22:30:00"), 0.0);
    assert_eq!(fee(&plan, "03 21:50:00", "03 22:31:00"), 4.0);
    assert_eq!(fee(&plan, "03 21:40:00", "03 22:30:00"), 8.0);
}

#[test]
fn a_change_of_prices_inside_a_stay() {
    let cheap = plan(vec![window("day", "00:00", "24:00", &[(None, 60, 1)])], None);
    let dear = |on_change| Plan {
        version: 2,
        from: Some(utc("2026-06-03T12:00:00+08:00")),
        on_change,
        windows: vec![window("day", "00:00", "24:00", &[(None, 60, 3)])],
        ..cheap.clone()
    };
    let due = |on_change, from: &str, to: &str| {
        let tariff = tariff(vec![dear(on_change), cheap.clone()]);
        let fee = charge(&tariff, &shanghai(), &stay(from, to));
        (fee.version, fee.total.minor() / 100)
    };
    let (from, to) = ("2026-06-03T10:00:00+08:00", "2026-06-03T14:00:00+08:00");
    assert_eq!(due(OnChange::Entry, from, to), (1, 4));
    assert_eq!(due(OnChange::Split, from, to), (1, 8));
    let after = "2026-06-03T12:00:00+08:00";
    assert_eq!(due(OnChange::Entry, after, to), (2, 6));
    assert_eq!(due(OnChange::Split, after, to), (2, 6));
}

#[test]
fn days_off_and_the_sundays_that_are_worked() {
    let of = |name, price, days: &[DayClass]| Window {
        days: DayClasses::of(days),
        ..window(name, "00:00", "24:00", &[(None, 60, price)])
    };
    let worked = of("worked", 5, &[DayClass::Workday, DayClass::Makeup]);
    let off = of("off", 1, &[DayClass::Weekend, DayClass::Holiday]);
    let plan = plan(vec![worked, off], None);
    assert_eq!(plan.faults(), []);
    let special = [(date(2026, 9, 27), DayClass::Makeup), (date(2026, 10, 1), DayClass::Holiday)];
    let calendar = shanghai().with_special(special.into_iter().collect());
    let due = |day: &str| {
        let from = format!("2026-{day}T10:00:00+08:00");
        let to = format!("2026-{day}T12:00:00+08:00");
        charge(&tariff(vec![plan.clone()]), &calendar, &stay(&from, &to)).total.minor() / 100
    };
    assert_eq!(["09-26", "09-27", "09-28", "10-01"].map(due), [2, 10, 10, 2]);
    let over = stay("2026-09-26T23:30:00+08:00", "2026-09-27T00:30:00+08:00");
    let fee = charge(&tariff(vec![plan.clone()]), &calendar, &over);
    assert_eq!((fee.total, fee.windows.len()), (yuan(6), 2), "the day class changes at midnight");
}

#[test]
fn vehicles_that_are_named_have_prices_of_their_own() {
    let truck = VehicleClass::new("truck").unwrap();
    let named = Window {
        vehicles: vec![truck.clone()],
        ..window("trucks", "00:00", "24:00", &[(None, 60, 9)])
    };
    let plan = plan(vec![window("all", "00:00", "24:00", &[(None, 60, 2)]), named], None);
    assert_eq!(plan.faults(), []);
    let tariff = tariff(vec![plan]);
    let bus = VehicleClass::new("bus").unwrap();
    let base = stay("2026-06-03T10:00:00Z", "2026-06-03T11:00:00Z");
    let due = |vehicle| charge(&tariff, &shanghai(), &Stay { vehicle, ..base }).total;
    assert_eq!([Some(&truck), Some(&bus), None].map(due), [yuan(9), yuan(2), yuan(2)]);
}

#[test]
fn campaigns_make_time_or_stays_cheaper() {
    let campaign = |applies, percent| Campaign {
        name: "spring".to_owned(),
        first: date(2026, 6, 4),
        last: date(2026, 6, 4),
        days: DayClasses::ALL,
        percent,
        applies,
    };
    let flat = || vec![window("day", "00:00", "24:00", &[(None, 60, 2)])];
    let with = |c| Plan { campaigns: vec![c], ..plan(flat(), None) };
    let (time, whole) = (with(campaign(Applies::Time, 100)), with(campaign(Applies::Stay, 50)));
    assert_eq!(fee(&time, "03 22:00:00", "04 02:00:00"), 4.0);
    assert_eq!(fee(&time, "04 22:00:00", "05 02:00:00"), 4.0);
    assert_eq!(fee(&whole, "03 22:00:00", "04 02:00:00"), 8.0);
    assert_eq!(fee(&whole, "04 22:00:00", "05 02:00:00"), 4.0);
}

#[test]
fn a_night_lasts_as_long_as_it_does_on_both_clock_change_days() {
    let night = window("night", "22:00", "08:00", &[(None, 60, 2)]);
    let plan = plan(vec![window("day", "08:00", "22:00", &[(None, 60, 5)]), night], None);
    let due = |from: &str, to: &str| {
        charge(&tariff(vec![plan.clone()]), &berlin(), &stay(from, to)).total.minor() / 100
    };
    // 22:00 to 08:00 by the clock on the wall: 10 hours, 9 in spring, 11 in autumn.
    assert_eq!(due("2026-06-03T22:00:00+02:00", "2026-06-04T08:00:00+02:00"), 20);
    assert_eq!(due("2026-03-28T22:00:00+01:00", "2026-03-29T08:00:00+02:00"), 18);
    assert_eq!(due("2026-10-24T22:00:00+02:00", "2026-10-25T08:00:00+01:00"), 22);
    // One stay over both: the hours that passed, not those on the wall.
    let fee = charge(
        &tariff(vec![plan.clone()]),
        &berlin(),
        &stay("2026-03-28T12:00:00+01:00", "2026-10-26T12:00:00+01:00"),
    );
    assert_eq!(fee.minutes, 212 * 24 * 60);
    assert_eq!(fee.windows.iter().map(|l| l.minutes).sum::<u64>(), fee.minutes);
    let nights = fee.windows.iter().filter(|l| l.window == "night");
    assert_eq!(nights.map(|l| l.minutes).sum::<u64>(), 212 * 600);
}

#[test]
fn a_fee_explains_itself() {
    let from = "2026-06-03T20:30:00+08:00";
    let tariff = tariff(vec![stadium()]);
    let fee = charge(&tariff, &shanghai(), &stay(from, "2026-06-04T06:30:00+08:00"));
    let expected = [
        "tariff t version 1: 600 min, 0 min of them free, due 15.00 CNY",
        "  day (workday) 2026-06-03 20:30 to 2026-06-03 21:30, 60 min: 1 × 60 min at 5.00 CNY = 5.00 CNY → 5.00 CNY",
        "  night (workday) 2026-06-03 21:30 to 2026-06-04 06:30, 540 min: 9 × 60 min at 2.00 CNY = 18.00 CNY, cap of window night → 10.00 CNY",
    ];
    assert_eq!(fee.explain(&shanghai()), expected);
}

#[test]
fn faults_name_their_place() {
    let base = stadium();
    let with = |i: usize, change: fn(&mut Window)| {
        let mut plan = base.clone();
        change(&mut plan.windows[i]);
        plan
    };
    let cheap = Plan { caps: vec![Cap { scope: Scope::Rolling24h, max: yuan(4) }], ..base.clone() };
    let table: [(Plan, Spot, &str); 9] = [
        (
            with(0, |w| w.period.to = time("22:00")),
            Spot::Window(1),
            "overlaps window \"day\" from 21:30 to 22:00",
        ),
        (
            with(0, |w| w.period.to = time("21:00")),
            Spot::Window(0),
            "no window from 21:00 to 21:30",
        ),
        (
            with(0, |w| w.days = DayClasses::of(&[DayClass::Workday])),
            Spot::Window(1),
            "no window from 07:30 to 21:30 on a weekend, holiday, makeup",
        ),
        (with(0, |w| w.tiers[0].unit = 0), Spot::Tier(0, 0), "has no minutes"),
        (with(0, |w| w.tiers[0].up_to = Some(90)), Spot::Tier(0, 0), "ends inside a unit"),
        (with(0, |w| w.tiers[1].up_to = Some(240)), Spot::Tier(0, 1), "last tier"),
        (with(1, |w| w.cap = Some(yuan(1))), Spot::Window(1), "is below its first unit of 200"),
        (cheap, Spot::Cap(0), "the cap of 400 per rolling_24h is below the first unit of 500"),
        (Plan { windows: vec![], ..base.clone() }, Spot::Plan, "no window"),
    ];
    for (plan, spot, text) in table {
        let faults = plan.faults();
        let found = faults.iter().any(|f| f.spot == spot && f.to_string().contains(text));
        assert!(found, "{text}: {faults:?}");
    }
}

fn any_free() -> impl Strategy<Value = Free> {
    (0u32..40, any::<bool>(), any::<bool>()).prop_map(|(minutes, inclusive, voided)| Free {
        minutes,
        inclusive,
        exceeded: if voided { Exceeded::Voided } else { Exceeded::Deducted },
    })
}

fn any_window(name: usize, period: Period) -> impl Strategy<Value = Window> {
    let tiers = (1u32..5, 1u32..100, 0u64..900, 1u32..100, 0u64..900, any::<bool>());
    (tiers, any_free(), proptest::option::of(0u64..4000)).prop_map(move |(tiers, free, cap)| {
        let (n, unit, price, later, later_price, two) = tiers;
        let first = Tier { up_to: two.then_some(n * unit), unit, price: Money::from_minor(price) };
        let rest = Tier { up_to: None, unit: later, price: Money::from_minor(later_price) };
        Window {
            name: format!("w{name}"),
            period,
            days: DayClasses::ALL,
            vehicles: vec![],
            free,
            tiers: if two { vec![first, rest] } else { vec![first] },
            cap: cap.map(|more| Money::from_minor(price + more)),
        }
    })
}

fn any_windows() -> impl Strategy<Value = Vec<Window>> {
    proptest::collection::btree_set(0u16..1440, 1..4).prop_flat_map(|cuts| {
        let cuts: Vec<u16> = cuts.into_iter().collect();
        let of = |m: u16| TimeOfDay::from_minutes(m).unwrap();
        let windows: Vec<_> = (0..cuts.len())
            .map(|i| Period { from: of(cuts[i]), to: of(cuts[(i + 1) % cuts.len()]) })
            .enumerate()
            .map(|(i, period)| any_window(i, period))
            .collect();
        windows
    })
}

fn any_scope() -> impl Strategy<Value = Scope> {
    proptest::sample::select(Scope::ALL.to_vec())
}

prop_compose! {
    fn any_plan()(
        windows in any_windows(),
        free in any_free(),
        whole in any::<bool>(),
        up in any::<bool>(),
        counting in any_scope(),
        caps in proptest::collection::vec((any_scope(), 900u64..9000), 0..3),
        campaign in proptest::option::of((0i32..3, 1u8..=100, any::<bool>())),
    ) -> Plan {
        let mut windows = windows;
        if whole {
            windows.iter_mut().for_each(|w| w.free = Free::NONE);
        }
        let cap = |(scope, max)| Cap { scope, max: Money::from_minor(max) };
        let first = date(2026, 3, 28);
        let campaign = campaign.map(|(days, percent, time)| Campaign {
            name: "c".to_owned(),
            first,
            last: first.checked_add(jiff::Span::new().days(days)).unwrap(),
            days: DayClasses::ALL,
            percent,
            applies: if time { Applies::Time } else { Applies::Stay },
        });
        Plan {
            free,
            seconds: if up { Seconds::RoundUp } else { Seconds::Truncate },
            rounding: if whole { Rounding::Stay } else { Rounding::Window },
            counting,
            windows,
            caps: caps.into_iter().map(cap).collect(),
            campaigns: campaign.into_iter().collect(),
            ..plan(vec![], None)
        }
    }
}

/// Stays that begin in the days around either clock change.
fn any_start() -> impl Strategy<Value = Utc> {
    let spring = utc("2026-03-27T00:00:00Z");
    let autumn = utc("2026-10-23T00:00:00Z");
    (any::<bool>(), 0u64..4 * 86_400)
        .prop_map(move |(first, s)| (if first { spring } else { autumn }) + Span::from_secs(s))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_longer_stay_never_costs_less(
        plan in any_plan(),
        start in any_start(),
        s in 0u64..4 * 86_400,
        more in 0u64..86_400,
    ) {
        prop_assert_eq!(plan.faults(), vec![]);
        let tariff = tariff(vec![plan]);
        let until = |s| Stay {
            start,
            end: start + Span::from_secs(s),
            vehicle: None
        };
        let (short, long) = (until(s), until(s + more));
        let due = |stay| charge(&tariff, &berlin(), stay).total;
        prop_assert!(due(&short) <= due(&long), "{:?} then {:?}", short, long);
    }

    #[test]
    fn windows_follow_each_other_and_add_up_to_the_fee_and_caps_hold(
        plan in any_plan(),
        start in any_start(),
        s in 0u64..4 * 86_400,
    ) {
        let calendar = berlin();
        let tariff = tariff(vec![plan.clone()]);
        let end = start + Span::from_secs(s);
        let fee = charge(&tariff, &calendar, &Stay { start, end, vehicle: None });
        let sum: u64 = fee.windows.iter().map(|l| l.charged.minor()).sum();
        prop_assert_eq!(sum, fee.total.minor());
        let minutes: u64 = fee.windows.iter().map(|l| l.minutes).sum();
        prop_assert_eq!(minutes + fee.free_minutes, fee.minutes);
        for pair in fee.windows.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
        }
        for line in &fee.windows {
            prop_assert!(line.charged <= line.amount);
            let window = plan.windows.iter().find(|w| w.name == line.window).unwrap();
            prop_assert!(window.cap.is_none_or(|cap| line.charged <= cap));
        }
        for cap in &plan.caps {
            let entry = start.as_ms() - start.as_ms().rem_euclid(60_000);
            let bucket = |l: &Line| match cap.scope {
                Scope::Window => l.from.as_ms(),
                Scope::CalendarDay => calendar.at(calendar.date(l.from), 0).as_ms(),
                Scope::Rolling24h => (l.from.as_ms() - entry) / 86_400_000,
                Scope::Stay => 0,
            };
            for line in &fee.windows {
                let same = fee.windows.iter().filter(|l| bucket(l) == bucket(line));
                prop_assert!(same.map(|l| l.charged.minor()).sum::<u64>() <= cap.max.minor());
            }
        }
    }
}
