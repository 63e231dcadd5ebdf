//! Who emptied it, who put it in, what burns, and what cannot be: bins and vehicles through the engine.

use domain::Engine;
use domain::decode::Reason;
use domain::ids::{AssetId, AssetKey, Category, Class, DeviceKey, RuleId};
use domain::input::Input;
use domain::output::{Body, Outputs};
use domain::place::{Datum, Position};
use domain::rules::{Condition, FactName, Handling, Level, Rule, Severity, Side};
use domain::sample::{Absent, Fix, Missing, NoData, Quantity, Sample};
use domain::site::{Kind, Sensing, Service, Site, Vehicle, VehicleKind};
use domain::time::{Span, Utc};
use domain::units::{Grams, MilliCelsius, Millimetres, MillimetresPerSecond, Permille};
use domain::waste::{Deposit, Lift, PersonKey, Tag, Violation, WasteKind, WeekPlan};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::street::START;
use super::{asset, bin, events, flag, key, moment, report, site, tickets};

fn place(lat: f64) -> Position {
    Position::from_degrees(lat, 119.97, Datum::Wgs84).unwrap()
}

fn tag() -> Tag {
    Tag::from_hex("e280116060000208").unwrap()
}

fn street(service: Service, sensing: Sensing) -> Site {
    let mut waste =
        asset("bin-1", Kind::Bin(domain::site::Bin { service, sensing, ..bin(85, 60) }));
    waste.position = Some(place(31.81));
    let truck = Vehicle {
        kind: VehicleKind::Collector,
        work_speed_max: MillimetresPerSecond::from_kmh(15),
        parked_after: Span::from_mins(10),
        stale_after: Span::from_mins(5),
        duty: domain::site::Duty::NONE,
    };
    let weigh = Rule {
        id: RuleId::new("weigh").unwrap(),
        version: 1,
        class: Class::Vehicle,
        category: Category::new("weigh_difference").unwrap(),
        severity: Severity::Medium,
        when: Condition::Threshold {
            fact: FactName::WeighDifferencePct,
            side: Side::Above,
            raise_at: Level::Milli(5000),
            clear_at: Level::Milli(2000),
            hold: Span::ZERO,
            readings: 1,
        },
        handling: Handling::default(),
    };
    let rules = vec![
        flag("fire", "bin_fire", FactName::Burning, 3),
        flag("tilted", "bin_fault", FactName::Tilted, 2),
        flag("moved", "bin_moved", FactName::Moved, 1),
        flag("missed", "missed_collection", FactName::MissedCollection, 1),
        flag("no-fall", "no_fall", FactName::NoFall, 1),
        flag("no-lift", "no_lift", FactName::NoLift, 1),
        super::rule(
            "early",
            "overflow_expected",
            FactName::CollectionLateH,
            (Level::Milli(2000), Level::Milli(0)),
            3,
        ),
        weigh,
    ];
    let truck_key = AssetKey::new(Class::Vehicle, AssetId::new("truck-1").unwrap());
    let assets = [(key("bin-1"), waste), (truck_key, asset("truck-1", Kind::Vehicle(truck)))];
    site(assets.into(), rules)
}

/// An engine and its clock in minutes.
struct Run(Engine);

impl Run {
    fn new(service: Service, sensing: Sensing) -> Run {
        Run(Engine::new(street(service, sensing), vec![], moment(1, START, START)))
    }

    fn say(&mut self, device: &str, minute: u64, quantities: Vec<Quantity>) -> Outputs {
        let at = START + Span::from_mins(minute);
        self.0.step(report(device, quantities), moment(1, START, at))
    }

    fn level(&mut self, minute: u64, percent: i64) -> Outputs {
        self.say("bin-1", minute, vec![Quantity::Level(Permille::from_percent(percent))])
    }

    fn truck(&mut self, minute: u64, lat: f64) -> Outputs {
        let fix = Fix {
            position: place(lat),
            speed: None,
            course: None,
            accuracy: None,
            satellites: None,
        };
        self.say("truck-1", minute, vec![Quantity::Fix(fix)])
    }

    fn lift(&mut self, minute: u64) -> Outputs {
        let (gross, tare) = (Some(Grams(60_000)), Some(Grams(12_000)));
        self.say("truck-1", minute, vec![Quantity::Lift(Lift { tag: tag(), gross, tare })])
    }
}

fn tagged() -> Service {
    Service { tag: Some(tag()), expects_vehicle: true, ..Service::NONE }
}

/// `raised bin_fire`, in order.
fn told(out: &Outputs) -> Vec<String> {
    let line = |(kind, category, _): (&str, String, String)| {
        format!("{} {category}", kind.trim_start_matches("ticket."))
    };
    tickets(&out.messages).into_iter().map(line).collect()
}

fn event(out: &Outputs, kind: &str) -> serde_json::Value {
    let body = events(&out.messages, kind).next().map(|m| &m.body);
    let Some(Body::Event { data, .. }) = body else { panic!("no {kind}") };
    data.clone().into()
}

fn status(run: &Run) -> (serde_json::Value, serde_json::Value) {
    let (_, state) = run.0.states().find(|(k, _)| k.class == Class::Bin).unwrap();
    (state["status"].clone(), state["level_pct"].clone())
}

#[test]
fn a_collection_names_the_vehicle_that_was_near() {
    let mut run = Run::new(tagged(), Sensing::PLAIN);
    let _ = run.level(0, 90);
    let _ = run.truck(10, 31.83);
    let _ = run.truck(20, 31.8101);
    let _ = run.level(30, 5);
    let out = run.level(60, 6);
    let by = event(&out, "waste.collection")["by"].clone();
    assert_eq!((&by["vehicle"], &by["known_by"]), (&"truck-1".into(), &"position".into()));
    assert_eq!(told(&out), Vec::<String>::new());
}

#[test]
fn a_lift_by_tag_is_surer_and_brings_its_weight() {
    let mut run = Run::new(tagged(), Sensing::PLAIN);
    let _ = run.level(0, 90);
    let _ = run.truck(20, 31.8101);
    let lifted = run.lift(21);
    assert_eq!(event(&lifted, "waste.lift")["net_kg"], 48.0);
    let _ = run.level(30, 5);
    let by = event(&run.level(60, 6), "waste.collection")["by"].clone();
    assert_eq!((&by["known_by"], &by["net_g"]), (&"tag".into(), &48_000.into()));
}

#[test]
fn a_fall_without_a_lift_and_a_lift_without_a_fall_are_told() {
    let mut run = Run::new(tagged(), Sensing::PLAIN);
    let _ = run.level(0, 90);
    let _ = run.level(30, 5);
    assert_eq!(told(&run.level(60, 6)), ["raised no_lift"]);
    let _ = run.level(600, 70);
    let _ = run.lift(610);
    assert!(told(&run.level(630, 71)).is_empty(), "one reading may be late");
    assert_eq!(told(&run.level(660, 71)), ["raised no_fall"]);
    let _ = run.lift(670);
    let _ = run.level(680, 5);
    assert_eq!(told(&run.level(690, 5)), ["cleared no_fall", "cleared no_lift"]);
}

#[test]
fn a_vehicle_that_passes_a_full_bin_missed_it() {
    let mut run = Run::new(Service::NONE, Sensing::PLAIN);
    let _ = run.level(0, 90);
    let _ = run.truck(10, 31.8101);
    assert!(told(&run.level(30, 91)).is_empty());
    assert_eq!(told(&run.level(60, 91)), ["raised missed_collection"]);
    let _ = run.level(90, 3);
    assert_eq!(told(&run.level(120, 3)), ["cleared missed_collection"]);
}

#[test]
fn a_planned_collection_that_does_not_come_is_missed_after_its_grace() {
    let plan = WeekPlan::new(TimeZone::UTC, [(Weekday::Tuesday, 360)]);
    let service = Service { plan: Some(plan), ..Service::NONE };
    let mut run = Run::new(service, Sensing::PLAIN);
    // Monday 00:00; planned on Tuesday at 06:00, and four hours are allowed.
    let _ = run.level(0, 70);
    assert!(told(&run.level(33 * 60 + 59, 75)).is_empty());
    assert_eq!(told(&run.level(34 * 60, 75)), ["raised missed_collection"]);
}

#[test]
fn a_ticket_comes_before_the_overflow_when_the_plan_comes_too_late() {
    let plan = WeekPlan::new(TimeZone::UTC, [(Weekday::Saturday, 360)]);
    let service = Service { plan: Some(plan), ..Service::NONE };
    let mut run = Run::new(service, Sensing::PLAIN);
    let mut raised = None;
    for hour in 0..48 {
        let out = run.level(hour * 60, 10 + hour as i64 * 3 / 2);
        if told(&out).contains(&"raised overflow_expected".to_owned()) {
            raised = Some((hour, event_level(&run)));
            break;
        }
    }
    let (hour, level) = raised.expect("at 1.5 % an hour it is full on Wednesday");
    assert!((24..30).contains(&hour) && level < 60.0, "{hour} h, {level} %");
}

fn event_level(run: &Run) -> f64 {
    status(run).1.as_f64().unwrap()
}

#[test]
fn a_fire_is_told_at_once_whatever_the_rule_waits_for() {
    let mut run = Run::new(Service::NONE, Sensing::PLAIN);
    let _ = run.level(0, 40);
    let out = run.say("bin-1", 1, vec![Quantity::Fire(true)]);
    assert_eq!(told(&out), ["raised bin_fire"]);
    assert_eq!(status(&run).0, "burning");
    let hot = |run: &mut Run, minute, t| {
        told(&run.say("bin-1", minute, vec![Quantity::Temperature(MilliCelsius(t))]))
    };
    let mut run = Run::new(Service::NONE, Sensing::PLAIN);
    assert!(hot(&mut run, 0, 66_000).is_empty());
    assert_eq!(hot(&mut run, 30, 67_000), ["raised bin_fire"]);
}

#[test]
fn a_bin_too_near_to_see_is_full_or_suspect_and_never_empty() {
    let sensing = Sensing { blind: Millimetres(250), ..Sensing::PLAIN };
    let blind = |mm| vec![Quantity::Distance(Millimetres(mm))];
    let mut run = Run::new(Service::NONE, sensing.clone());
    let _ = run.level(0, 70);
    let _ = run.say("bin-1", 30, blind(120));
    assert_eq!(status(&run), ("overflow".into(), 100.0.into()));
    let mut run = Run::new(Service::NONE, sensing);
    let _ = run.level(0, 69);
    let _ = run.say("bin-1", 30, blind(120));
    assert_eq!(status(&run), ("unknown".into(), serde_json::Value::Null));
}

#[test]
fn lids_tilts_and_moves_hold_the_level_and_have_their_own_status() {
    let mut run = Run::new(Service::NONE, Sensing::PLAIN);
    let _ = run.level(0, 40);
    let gone = Quantity::Absent(Absent { what: Missing::Distance, why: NoData::NoTarget });
    let _ = run.say("bin-1", 1, vec![Quantity::Tilted(true), gone]);
    assert_eq!(status(&run), ("tilted".into(), 40.0.into()));
    let out = run.say("bin-1", 2, vec![Quantity::Tilted(true), gone]);
    assert_eq!(status(&run), ("lid_open".into(), 40.0.into()));
    assert_eq!(told(&out), ["raised bin_fault"]);
    let _ = run.say("bin-1", 3, vec![Quantity::Tilted(false)]);
    assert_eq!(status(&run).0, "ok");
    let away =
        Fix { position: place(31.82), speed: None, course: None, accuracy: None, satellites: None };
    assert!(told(&run.say("bin-1", 4, vec![Quantity::Fix(away)])).is_empty(), "one may be wild");
    let out = run.say("bin-1", 5, vec![Quantity::Fix(away)]);
    assert_eq!((status(&run).0, told(&out)), ("moved".into(), vec!["raised bin_moved".to_owned()]));
}

#[test]
fn a_deposit_is_an_event_with_a_pseudonym_and_its_violations() {
    let service = Service { waste: Some(WasteKind::Organic), ..Service::NONE };
    let mut run = Run::new(service, Sensing::PLAIN);
    let user = PersonKey::new(&[7; 32]).unwrap().pseudonym("card 4711");
    let deposit = Deposit {
        user: Some(user),
        kind: Some(WasteKind::Glass),
        weight: Some(Grams(900)),
        before: Some(Grams(10_000)),
        after: Some(Grams(10_900)),
        violation: None,
    };
    let out = run.say("bin-1", 0, vec![Quantity::Deposit(deposit)]);
    let told = event(&out, "waste.deposit");
    assert_eq!(told["user"], user.to_string());
    assert_eq!(told["violations"], serde_json::json!([Violation::WrongKind]));
    assert!(!format!("{out:?}").contains("4711"));
}

#[test]
fn a_trip_that_does_not_weigh_what_was_lifted_is_a_finding() {
    let mut run = Run::new(tagged(), Sensing::PLAIN);
    let _ = run.lift(10);
    let _ = run.lift(20);
    let out = run.say("truck-1", 60, vec![Quantity::StationWeight(Grams(90_000))]);
    let trip = event(&out, "waste.trip");
    assert_eq!((&trip["lifted_kg"], &trip["station_kg"]), (&96.0.into(), &90.0.into()));
    assert_eq!(told(&out), ["raised weigh_difference"]);
    let _ = run.lift(70);
    let out = run.say("truck-1", 90, vec![Quantity::StationWeight(Grams(48_000))]);
    assert_eq!(told(&out), ["cleared weigh_difference"]);
}

#[test]
fn what_cannot_be_is_counted_with_its_reason_and_read_as_nothing() {
    let mut run = Run::new(Service::NONE, Sensing::PLAIN);
    let _ = run.level(0, 50);
    for (minute, mm) in [(1, 0), (2, 65_533), (3, 65_535)] {
        let out = run.say("bin-1", minute, vec![Quantity::Distance(Millimetres(mm))]);
        let reasons: Vec<_> = out.rejected.iter().map(|r| r.reason).collect();
        assert_eq!(reasons, [Reason::OutOfRange], "{mm} mm");
        assert_eq!(status(&run), ("unknown".into(), serde_json::Value::Null), "{mm} mm");
    }
    let cold = vec![Quantity::Temperature(MilliCelsius(-117_000))];
    let out = run.say("bin-1", 4, cold);
    assert_eq!(out.rejected[0].reason, Reason::OutOfRange);
    assert!(out.rejected[0].detail.contains("-117 °C"), "{:?}", out.rejected);
    let future = Input::Sample(Sample {
        source: super::source(),
        device: Some(DeviceKey::new("bin-1").unwrap()),
        counter: None,
        at: Some(START + Span::from_mins(60 * 24)),
        quantities: vec![Quantity::Level(Permille::from_percent(50))],
    });
    let out = run.0.step(future, moment(1, START, START + Span::from_mins(5)));
    assert_eq!(out.rejected[0].reason, Reason::Time);
    let stranger = run.say("nobody", 6, vec![Quantity::Distance(Millimetres(900))]);
    assert_eq!(stranger.rejected[0].reason, Reason::UnknownDevice);
    assert!(Utc::parse("2026-01-05T00:00:00Z").unwrap() == START);
}

#[test]
fn a_restart_goes_on_with_the_same_bins_and_trips() {
    let mut run = Run::new(tagged(), Sensing { median_of: 3, ..Sensing::PLAIN });
    let mut records = std::collections::BTreeMap::new();
    let mut keep = |out: Outputs| {
        records.extend(out.records.into_iter().map(|record| (record.key.clone(), record)));
    };
    for hour in 0..60 {
        keep(run.level(hour * 60, (hour * 7 % 90) as i64));
    }
    keep(run.say("bin-1", 3600, vec![Quantity::Temperature(MilliCelsius(21_000))]));
    keep(run.truck(3601, 31.8101));
    keep(run.lift(3602));
    let now = moment(2, START + Span::from_mins(3605), START + Span::from_mins(3605));
    let site = street(tagged(), Sensing { median_of: 3, ..Sensing::PLAIN });
    let mut again = Run(Engine::new(site, records.into_values().collect(), now));
    let states = |run: &Run| run.0.states().map(|(k, s)| (k.clone(), s)).collect::<Vec<_>>();
    assert_eq!(states(&again), states(&run));
    let out = again.0.step(Input::Start, now);
    assert_eq!(out.rejected, []);
    let weighed =
        again.0.step(report("truck-1", vec![Quantity::StationWeight(Grams(48_000))]), now);
    assert_eq!(event(&weighed, "waste.trip")["lifts"], 1);
}

#[test]
fn a_street_is_told_its_day_and_what_its_bins_will_hold() {
    let mut site = street(tagged(), Sensing::PLAIN);
    let road = AssetKey::new(Class::Street, AssetId::new("road").unwrap());
    let line = Kind::Street { line: vec![], sweep: None };
    site.assets.insert(road.clone(), domain::site::Asset { feeds: vec![], ..asset("road", line) });
    site.assets.get_mut(&key("bin-1")).unwrap().street = Some(road.id.clone());
    let mut run = Run(Engine::new(site, vec![], moment(1, START, START)));
    let mut told = Vec::new();
    for hour in 0..=72 {
        let out = run.level(hour * 60 + 20, hour as i64);
        told.extend(events(&out.messages, "waste.street").cloned());
    }
    let days: Vec<_> = told.iter().map(|m| (&m.topic, data(&m.body))).collect();
    assert_eq!(days.len(), 3);
    let (topic, last) = &days[2];
    assert_eq!(**topic, domain::output::Topic::AssetEvent(road));
    assert_eq!((&last["day"], &last["collections"]), (&"2026-01-07".into(), &0.into()));
    let capacity = &last["capacity"];
    assert_eq!((&capacity["bins"], &capacity["unknown"]), (&1.into(), &0.into()));
    // 71 % of 240 litres at a quarter past midnight, and about one percent an hour.
    assert_eq!((&capacity["capacity_l"], &capacity["filled_l"]), (&240.into(), &170.into()));
    let ahead = capacity["ahead"].as_array().unwrap();
    assert_eq!((&ahead[0]["hours"], &ahead[0]["full"]), (&24.into(), &1.into()));
    assert!((215..=232).contains(&ahead[0]["filled_l"].as_u64().unwrap()), "{ahead:?}");
    // On the first day too little was known to look ahead, and that is said.
    assert_eq!(days[0].1["capacity"]["unknown"], 1);
}

fn data(body: &Body) -> &serde_json::Map<String, serde_json::Value> {
    let Body::Event { data, .. } = body else { panic!("no event") };
    data
}

#[test]
fn a_day_of_a_bin_is_told_after_midnight_and_stored_for_reports() {
    let service = Service { waste: Some(WasteKind::Organic), ..tagged() };
    let mut run = Run::new(service, Sensing::PLAIN);
    let mut records = Vec::new();
    let deposit = Deposit { weight: Some(Grams(1500)), ..Deposit::default() };
    let outs = [
        run.say("bin-1", 0, vec![Quantity::Deposit(deposit)]),
        run.level(60, 99),
        run.level(90, 99),
        run.level(120, 99),
        run.lift(130),
        run.level(150, 5),
        run.level(180, 5),
        run.level(300, 30),
        run.level(330, 2),
        run.level(360, 2),
    ];
    for out in outs {
        assert!(events(&out.messages, "waste.day").next().is_none());
        records.extend(out.records.into_iter().filter(|r| r.key.starts_with("waste/")));
    }
    // The day ends in the site's zone; it is told a quarter of an hour later.
    let at = START + Span::from_mins(24 * 60 + 15);
    let out = run.0.step(Input::Tick, moment(1, START, at));
    let day = event(&out, "waste.day");
    let expected = serde_json::json!({
        "day": "2026-01-05", "overflow_ms": 90 * 60_000, "collections": 2, "early": 1,
        "litres": 225 + 67, "lifted_g": 48_000, "deposits": 1, "violations": 0,
        "deposited_g": {"organic": 1500},
    });
    assert_eq!(day, expected);
    let date = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let latest = records.last().into_iter();
    let days = (date("2026-01-05"), date("2026-01-05"));
    let rows = domain::waste::figures::rows(latest, days, |_| None);
    assert_eq!((rows[0].figures.collections, rows[0].figures.lifted_g), (2, 48_000));
}
