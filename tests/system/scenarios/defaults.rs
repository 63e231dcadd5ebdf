//! Every rule that applies without any configuration: a problem is planted, and a ticket comes out with the
//! rule's category.

use std::collections::BTreeMap;

use domain::ids::SourceName;
use domain::place::{Datum, Position};
use domain::sample::{Absent, Fix, Missing, NoData, Quantity, Sample};
use domain::time::Span;
use domain::units::{CentiDegrees, Grams, MillimetresPerSecond, Permille};
use domain::waste::{Lift, Tag};

use super::full;
use super::street::{Street, bay, bin, config};
use crate::sweeping::place;

const TAG: &str = "e280116060000208";

/// A rule, its category, what is configured beside the ordinary assets, and what happens.
type Planted = (&'static str, &'static str, String, fn(&mut Street));

fn bin_with(more: &str) -> String {
    bin("bin-1") + more
}

fn bay_with(more: &str) -> String {
    bay("b-1") + more
}

/// A sweeper with a receiver of its own.
fn sweeper(more: &str) -> String {
    format!(
        "[[source]]\nname = \"gnss\"\nkind = \"nmea\"\ndevice = \"/dev/gnss\"\n\
         [[vehicle]]\nid = \"s-1\"\nkind = \"sweeper\"\nsource = \"gnss\"\n{more}"
    )
}

fn truck() -> String {
    bin_with(&format!("tag = \"{TAG}\"\n"))
        + "[[source]]\nname = \"gnss\"\nkind = \"nmea\"\ndevice = \"/dev/gnss\"\n\
           [[vehicle]]\nid = \"t-1\"\nkind = \"collector\"\nsource = \"gnss\"\n"
}

/// Three stops a kilometre apart, on Monday at half past nine and every quarter of an hour after.
fn round() -> String {
    let stop = |(n, at): (usize, &str)| {
        let place = place(n as f64 * 1000.0, 0.0);
        let (lat, lon) = (place.lat(), place.lon());
        format!(
            "{{ name = \"stop {n}\", position = {{ lat = {lat}, lon = {lon} }}, at = \"{at}\" }}"
        )
    };
    let stops: Vec<String> =
        ["09:30", "09:45", "10:00"].into_iter().enumerate().map(stop).collect();
    let route = "[[route]]\nid = \"r-1\"\nvehicle = \"s-1\"\n";
    sweeper("stale_after = \"1d\"\n") + &format!("{route}stops = [{}]\n", stops.join(", "))
}

/// Says something that concerns a vehicle.
fn ride(street: &mut Street, quantities: Vec<Quantity>) {
    street.take_sample(Sample {
        source: SourceName::new("gnss").unwrap(),
        device: None,
        counter: None,
        at: Some(street.now.utc),
        quantities,
    });
}

fn fix(x: f64, y: f64, kmh: u32) -> Quantity {
    Quantity::Fix(Fix {
        position: place(x, y),
        speed: Some(MillimetresPerSecond::from_kmh(kmh)),
        course: Some(CentiDegrees(9000)),
        accuracy: None,
        satellites: Some(9),
    })
}

/// Stands or drives at `kmh` for so many minutes, with a report every ten seconds.
fn drive(street: &mut Street, minutes: u32, kmh: u32, more: &[Quantity]) {
    for n in 0..minutes * 6 {
        street.pass(Span::from_secs(10));
        let x = f64::from(n) * f64::from(kmh) / 0.36;
        let mut said = more.to_vec();
        said.push(fix(x, 0.0, kmh));
        ride(street, said);
    }
}

/// Goes to a place `km` to the east, stands there for a minute, and goes on.
fn visit(street: &mut Street, km: f64) {
    for _ in 0..3 {
        ride(street, vec![fix(km * 1000.0, 0.0, 0)]);
        street.pass(Span::from_secs(20));
    }
    ride(street, vec![fix(km * 1000.0 + 300.0, 0.0, 25)]);
}

/// The two sensors of a bay; the second one is called after the first.
fn two(street: &mut Street, first: bool, second: bool) {
    street.say("b-1", Quantity::Occupied(first));
    let counter = street.next_counter();
    let mut other = street.sample("b-1", counter, Quantity::Occupied(second));
    let feeds = &street.engine.site().assets.values().next().unwrap().feeds;
    other.device = feeds[1].device.clone();
    street.take_sample(other);
}

fn also() -> String {
    bay_with(
        "also = [{ source = \"nodes\", device = \"00000000000000aa\", codec = \"bosch/tps110\" }]\n",
    )
}

fn bins() -> Vec<Planted> {
    vec![
        ("bin-full", "bin_overflow", bin_with(""), |street| {
            street.say("bin-1", full(90));
            street.say("bin-1", full(91));
        }),
        ("bin-fire", "bin_fire", bin_with(""), |street| street.say("bin-1", Quantity::Fire(true))),
        ("bin-tilted", "bin_fault", bin_with(""), |street| {
            (0..2).for_each(|_| street.say("bin-1", Quantity::Tilted(true)));
        }),
        ("bin-moved", "bin_fault", bin_with(""), |street| {
            let position = Position::from_degrees(31.82, 119.97, Datum::Wgs84).unwrap();
            let fix = Fix { position, speed: None, course: None, accuracy: None, satellites: None };
            (0..3).for_each(|_| street.say("bin-1", Quantity::Fix(fix)));
        }),
        ("bin-sensor", "bin_fault", bin_with(""), |street| {
            let absent = Absent { what: Missing::Distance, why: NoData::SensorFault };
            (0..3).for_each(|_| street.say("bin-1", Quantity::Absent(absent)));
        }),
        ("bin-early", "overflow_expected", bin_with("collections = [\"sun 06:00\"]\n"), |street| {
            // Two percent an hour for days: full long before Sunday.
            for hour in 0..40 {
                street.say("bin-1", full(hour * 2));
                street.pass(Span::from_mins(60));
            }
        }),
        (
            "bin-missed",
            "missed_collection",
            bin_with("collections = [\"mon 10:00\"]\n"),
            |street| {
                for _ in 0..8 {
                    street.say("bin-1", full(70));
                    street.pass(Span::from_mins(60));
                }
            },
        ),
        ("bin-no-fall", "collection_unproven", truck(), |street| {
            street.say("bin-1", full(70));
            lift(street);
            for _ in 0..4 {
                street.pass(Span::from_mins(60));
                street.say("bin-1", full(70));
            }
        }),
        ("bin-no-lift", "collection_unproven", bin_with("expects_vehicle = true\n"), |street| {
            for percent in [70, 70, 5, 5, 5] {
                street.say("bin-1", full(percent));
                street.pass(Span::from_mins(60));
            }
        }),
        ("bin-silent", "bin_fault", bin_with(""), |street| {
            street.say("bin-1", full(10));
            street.pass(Span::from_mins(51 * 60));
        }),
        ("bin-battery-low", "node_battery_low", bin_with(""), |street| {
            let low = Quantity::BatteryLevel(Permille::from_percent(9));
            (0..3).for_each(|_| street.say("bin-1", low));
        }),
    ]
}

fn lift(street: &mut Street) {
    let tag = Tag::from_hex(TAG).unwrap();
    let lift = Lift { tag, gross: Some(Grams(60_000)), tare: Some(Grams(12_000)) };
    ride(street, vec![Quantity::Lift(lift)]);
}

fn bays() -> Vec<Planted> {
    vec![
        ("bay-overstay", "overstay", bay_with("max_stay = \"1h\"\n"), |street| {
            street.say("b-1", Quantity::Occupied(true));
            street.pass(Span::from_mins(66));
        }),
        ("bay-silent", "parking_device_fault", bay_with(""), |street| {
            street.say("b-1", Quantity::Occupied(false));
            street.pass(Span::from_mins(51 * 60));
        }),
        ("bay-stuck", "parking_device_fault", bay_with(""), |street| {
            for _ in 0..8 * 24 {
                street.say("b-1", Quantity::Occupied(true));
                street.pass(Span::from_mins(60));
            }
        }),
        ("bay-contested", "parking_device_fault", also(), |street| {
            for _ in 0..12 {
                two(street, true, false);
                street.pass(Span::from_mins(5));
            }
        }),
        ("bay-drifted", "parking_device_fault", also(), |street| {
            for _ in 0..24 {
                two(street, false, true);
                street.pass(Span::from_mins(30));
            }
        }),
        ("bay-zombie", "abandoned_vehicle", also(), |street| {
            for _ in 0..8 * 24 {
                two(street, true, true);
                street.pass(Span::from_mins(60));
            }
        }),
        ("bay-reserved", "illegal_parking", bay_with("reserved = \"5m\"\n"), |street| {
            street.say("b-1", Quantity::Occupied(true));
            street.pass(Span::from_mins(6));
        }),
        (
            "bay-forbidden",
            "illegal_parking",
            bay_with("no_parking = [{ from = \"09:00\", to = \"12:00\" }]\n"),
            |street| {
                street.say("b-1", Quantity::Occupied(true));
                street.pass(Span::from_mins(7));
            },
        ),
        ("bay-battery-low", "node_battery_low", bay_with(""), |street| {
            let low = Quantity::BatteryLevel(Permille::from_percent(9));
            (0..3).for_each(|_| street.say("b-1", low));
        }),
    ]
}

fn yard(kind: &str) -> String {
    let corner = |(x, y): (f64, f64)| format!("[{}, {}]", place(x, y).lon(), place(x, y).lat());
    let corners = [(-500.0, -500.0), (500.0, -500.0), (500.0, 500.0), (-500.0, 500.0)].map(corner);
    format!("[[zone]]\nid = \"yard\"\nkind = \"{kind}\"\narea = [{}]\n", corners.join(", "))
}

fn line(id: &str, (ax, ay): (f64, f64), (bx, by): (f64, f64)) -> String {
    let (a, b) = (place(ax, ay), place(bx, by));
    format!("{id} = [[{}, {}], [{}, {}]]\n", a.lon(), a.lat(), b.lon(), b.lat())
}

/// A street that is to be swept, drawn on a map that is shifted as those of Chinese web maps are.
fn shifted() -> String {
    let shift = |x: f64| place(x, 0.0).to_datum(Datum::Gcj02);
    let (a, b) = (shift(0.0), shift(4000.0));
    format!(
        "[[street]]\nid = \"road\"\nline = [[{}, {}], [{}, {}]]\n\
         sweep = {{ windows = [\"daily 08:00-12:00\"] }}\n",
        a.lon(),
        a.lat(),
        b.lon(),
        b.lat()
    )
}

fn vehicles() -> Vec<Planted> {
    let route = "[[route]]\nid = \"loop\"\nvehicle = \"s-1\"\n".to_owned()
        + &line("line", (0.0, 200.0), (2000.0, 200.0));
    let road = "[[street]]\nid = \"road\"\n".to_owned()
        + &line("line", (0.0, 0.0), (300.0, 0.0))
        + "sweep = { windows = [\"mon 10:00-11:00\"] }\n";
    vec![
        ("vehicle-silent", "signal_lost", sweeper(""), |street| {
            ride(street, vec![fix(0.0, 0.0, 0)]);
            street.pass(Span::from_mins(6));
        }),
        ("vehicle-weigh", "weigh_difference", truck(), |street| {
            lift(street);
            ride(street, vec![Quantity::StationWeight(Grams(40_000))]);
        }),
        ("vehicle-overspeed", "sweep_overspeed", sweeper(""), |street| {
            drive(street, 1, 20, &[Quantity::Working(true)]);
        }),
        ("vehicle-long-stop", "long_stop", sweeper(""), |street| drive(street, 24, 0, &[])),
        ("vehicle-idling", "idling", sweeper(""), |street| {
            drive(street, 15, 0, &[Quantity::Ignition(true)]);
        }),
        ("vehicle-out-of-area", "out_of_area", sweeper("") + &yard("forbidden"), |street| {
            drive(street, 2, 0, &[]);
        }),
        ("vehicle-off-course", "route_deviation", sweeper("") + &route, |street| {
            drive(street, 2, 10, &[]);
        }),
        ("vehicle-no-fix", "signal_lost", sweeper(""), |street| {
            let absent = Absent { what: Missing::Fix, why: NoData::NoFix };
            for _ in 0..20 {
                ride(street, vec![Quantity::Absent(absent)]);
                street.pass(Span::from_mins(1));
            }
        }),
        ("vehicle-stops-skipped", "stops_skipped", round(), |street| {
            street.pass(Span::from_mins(30));
            visit(street, 0.0);
            street.pass(Span::from_mins(28));
            visit(street, 2.0);
            street.pass(Span::from_mins(180));
            ride(street, vec![fix(9000.0, 0.0, 25)]);
        }),
        ("vehicle-stops-late", "stops_untimely", round(), |street| {
            street.pass(Span::from_mins(55));
            visit(street, 0.0);
        }),
        ("vehicle-stops-early", "stops_untimely", round(), |street| {
            street.pass(Span::from_mins(18));
            visit(street, 0.0);
            // It could have come again in time, until that has passed.
            street.pass(Span::from_mins(75));
            ride(street, vec![fix(9000.0, 0.0, 25)]);
        }),
        ("vehicle-plan-shifted", "plan_fault", sweeper("") + &shifted(), |street| {
            for n in 0..1200 {
                street.pass(Span::from_secs(1));
                let said = vec![Quantity::Working(true), fix(f64::from(n) * 2.5, 0.0, 9)];
                ride(street, said);
            }
        }),
        ("street-unswept", "unswept_road", road, |street| street.pass(Span::from_mins(125))),
    ]
}

/// The rules that are built in, each as it is written.
fn written() -> BTreeMap<&'static str, String> {
    let text = include_str!("../../../config/rules/default.toml");
    let rule = |block: &'static str| {
        let id = block.split('"').nth(1).expect("each begins with its id");
        (id, format!("[[rule]]\n{block}\n"))
    };
    text.split("\n[[rule]]\n").skip(1).map(rule).collect()
}

#[test]
fn each_default_rule_raises_a_ticket_of_its_category() {
    let (mut rules, mut wrong) = (written(), vec![]);
    for (rule, category, assets, plant) in [bins(), bays(), vehicles()].concat() {
        // Alone, so that no other one has found it before.
        let alone = rules.remove(rule).unwrap_or_else(|| panic!("{rule} is no default rule"));
        let text = format!("{}[rules]\ndefaults = false\n{alone}", config(&[assets]));
        let mut street = Street::new(&text);
        plant(&mut street);
        let found: Vec<_> = street.told.values().collect();
        let [ticket] = found.as_slice() else {
            wrong.push(format!("{rule}: {} tickets: {:?}", found.len(), street.events));
            continue;
        };
        assert_eq!((&ticket["category"], &ticket["rule"]["id"]), (&category.into(), &rule.into()));
        assert!(ticket["rule"]["when"].as_str().is_some_and(|when| !when.is_empty()), "{rule}");
        assert!(!ticket["evidence"].as_array().unwrap().is_empty(), "{rule}");
    }
    assert_eq!(wrong, Vec::<String>::new(), "one problem is one ticket");
    assert!(rules.is_empty(), "each of them: {rules:?}");
}
