//! A sweeper that does a street, one that only drives through, and one that nobody can see.

use domain::ids::SourceName;
use domain::sample::{Fix, Quantity, Sample};
use domain::time::Span;
use domain::units::{CentiDegrees, Millimetres, MillimetresPerSecond};

use super::street::{Street, config};
use crate::sweeping::place;

/// How long each street is, and how far the next one is from it.
const LENGTH: f64 = 300.0;
const APART: f64 = 400.0;

/// Streets from west to east, one north of the other.
fn streets() -> String {
    let street = |(n, id): (usize, &str)| {
        let y = n as f64 * APART;
        let (a, b) = (place(0.0, y), place(LENGTH, y));
        format!(
            "[[street]]\nid = \"{id}\"\nline = [[{}, {}], [{}, {}]]\n\
             sweep = {{ windows = [\"daily 08:00-12:00\"] }}\n",
            a.lon(),
            a.lat(),
            b.lon(),
            b.lat()
        )
    };
    WAYS.iter().enumerate().map(|(n, (id, ..))| street((n, id))).collect()
}

/// A street, how far beside its line the sweeper goes, how fast, with its brush down or not, and where
/// satellites do not see it.
type Way = (&'static str, f64, f64, bool, Option<(f64, f64)>);

const WAYS: [Way; 5] = [
    ("swept", 2.0, 8.0, true, None),
    ("brush-up", 2.0, 8.0, false, None),
    ("too-fast", 2.0, 18.0, true, None),
    ("parallel", 16.0, 8.0, true, None),
    ("tunnel", 2.0, 8.0, true, Some((100.0, 180.0))),
];

fn say(street: &mut Street, x: f64, y: f64, speed: f64, working: bool) {
    let fix = Fix {
        position: place(x, y),
        speed: Some(MillimetresPerSecond((speed * 1000.0) as u32)),
        course: Some(CentiDegrees(9000)),
        accuracy: Some(Millimetres(1500)),
        satellites: Some(12),
    };
    street.take_sample(Sample {
        source: SourceName::new("gnss").unwrap(),
        device: None,
        counter: None,
        at: Some(street.now.utc),
        quantities: vec![Quantity::Working(working), Quantity::Fix(fix)],
    });
}

#[test]
fn scenario_09_only_what_a_brush_went_over_at_its_speed_is_swept_and_a_tunnel_is_unknown() {
    let sweeper = "[[source]]\nname = \"gnss\"\nkind = \"nmea\"\ndevice = \"/dev/gnss\"\n\
                   [[vehicle]]\nid = \"s-1\"\nkind = \"sweeper\"\nsource = \"gnss\"\n";
    let mut street = Street::new(&(config(&[]) + sweeper + &streets()));
    for (n, (_, beside, kmh, working, dark)) in WAYS.into_iter().enumerate() {
        // From one street to the next with the brush up, out of sight of both.
        street.pass(Span::from_mins(6));
        let (mut x, speed, y) = (-20.0, kmh / 3.6, n as f64 * APART + beside);
        say(&mut street, x, y, speed, false);
        while x < LENGTH + 20.0 {
            street.pass(Span::from_secs(1));
            x += speed;
            if !dark.is_some_and(|(from, to)| (from..to).contains(&x)) {
                say(&mut street, x, y, speed, working);
            }
        }
        street.pass(Span::from_secs(1));
        say(&mut street, x + speed, y, speed, false);
    }
    // A minute of travelling ends what is still open.
    for second in 0..60 {
        street.pass(Span::from_secs(1));
        say(&mut street, 2000.0 + f64::from(second) * 10.0, 2000.0, 10.0, false);
    }
    let share = |id: &str, what: &str| street.state(id)[what].as_f64().unwrap();
    assert_eq!((share("swept", "done_pct"), share("swept", "unknown_pct")), (100.0, 0.0));
    for id in ["brush-up", "too-fast", "parallel"] {
        assert_eq!((share(id, "done_pct"), share(id, "unknown_pct")), (0.0, 0.0), "{id}");
    }
    // 80 of 300 metres, in cells of five: neither done nor missed.
    let (done, unknown) = (share("tunnel", "done_pct"), share("tunnel", "unknown_pct"));
    assert!((unknown - 80.0 / 3.0).abs() < 4.0, "{unknown}");
    assert!((done + unknown - 100.0).abs() < 0.1, "{done} {unknown}");
    assert_eq!(street.tickets("sweep_overspeed"), 1, "{:?}", street.events);
    // At noon the window ends, and what was not swept is a ticket each; the tunnel is none.
    street.pass(Span::from_mins(4 * 60));
    let unswept: Vec<_> = street
        .told
        .values()
        .filter(|ticket| ticket["category"] == "unswept_road")
        .map(|ticket| ticket["asset"]["id"].as_str().unwrap().to_owned())
        .collect();
    let mut sorted = unswept.clone();
    sorted.sort();
    assert_eq!(sorted, ["brush-up", "parallel", "too-fast"]);
}
