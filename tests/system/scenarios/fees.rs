//! What stays cost at the edges of a tariff, billed by what the sensor saw.

use domain::sample::Quantity;
use domain::time::{Span, Utc};

use super::street::{Street, bay, config};

/// Fifteen minutes free and void once exceeded; by day 5.00 for each of the first three hours and 10.00 for
/// each further one, by night 2.00 an hour and 10.00 at most; 35.00 at most in 24 hours.
const STADIUM: &str = include_str!("../../../config/tariffs/stadium.toml");

/// Half an hour costs 3.00, a begun one the whole; from July on 4.00.
const HALVES: &str = "[[tariff]]\nid = \"halves\"\nversion = 1\n\
    windows = [{ name = \"day\", from = \"00:00\", to = \"24:00\", tiers = [{ unit = 30, price = 300 }] }]\n\
    [[tariff]]\nid = \"halves\"\nversion = 2\nfrom = \"2026-07-01T00:00:00+08:00\"\non_change = \"CHANGE\"\n\
    windows = [{ name = \"day\", from = \"00:00\", to = \"24:00\", tiers = [{ unit = 30, price = 400 }] }]\n";

/// What a stay costs, in the smallest unit of the currency.
fn cost(tariff: &str, name: &str, from: &str, to: &str) -> i64 {
    let paid = bay("b-1") + &format!("tariff = \"{name}\"\n");
    let mut street = Street::at(&(config(&[paid]) + tariff), "2026-06-02T00:00:00+08:00");
    let at = |text: &str| Utc::parse(&format!("{text}:00+08:00")).unwrap();
    street.say("b-1", Quantity::Occupied(false));
    for (time, occupied) in [(from, true), (to, false)] {
        // The sensor says every hour how it is, so that nobody doubts it.
        loop {
            let left = at(time).since(street.now.utc);
            if left == Span::ZERO {
                break;
            }
            street.pass(left.min(Span::from_mins(60)));
            if at(time) > street.now.utc {
                street.say("b-1", Quantity::Occupied(!occupied));
            }
        }
        street.say("b-1", Quantity::Occupied(occupied));
    }
    street.pass(Span::from_mins(5));
    assert_eq!(street.sessions.len(), 1, "{from} to {to}: {:?}", street.sessions);
    let session = &street.sessions[0];
    assert_eq!((&session["quality"], &session["billable"]), (&"exact".into(), &true.into()));
    assert_eq!(session["duration_s"], at(to).since(at(from)).as_secs());
    session["fee"]["total"].as_i64().unwrap()
}

#[test]
fn scenario_12_what_a_stay_costs_at_the_edges_of_a_tariff() {
    let day = |time: &str| format!("2026-06-03T{time}");
    let stadium = |from: &str, to: &str| cost(STADIUM, "stadium", from, to);
    // Free minutes, midnight, and the cap of 24 hours.
    for (from, to, cents) in [
        (day("09:00"), day("09:15"), 0),
        (day("09:00"), day("09:16"), 500),
        (day("23:50"), "2026-06-04T00:20".into(), 200),
        (day("09:00"), "2026-06-04T09:00".into(), 3500),
        (day("09:00"), "2026-06-04T10:00".into(), 4000),
    ] {
        assert_eq!(stadium(&from, &to), cents, "{from} to {to}");
    }
    // A unit ends with its last minute.
    let halves = HALVES.replace("CHANGE", "entry");
    for (to, cents) in [("09:29", 300), ("09:30", 300), ("09:31", 600)] {
        assert_eq!(cost(&halves, "halves", &day("09:00"), &day(to)), cents, "to {to}");
    }
    // A dearer version begins inside of a stay.
    let over = |change: &str, from: &str, to: &str| {
        cost(&HALVES.replace("CHANGE", change), "halves", from, to)
    };
    let (from, to) = ("2026-06-30T23:00", "2026-07-01T01:00");
    assert_eq!(over("entry", from, to), 4 * 300);
    assert_eq!(over("split", from, to), 2 * 300 + 2 * 400);
    assert_eq!(over("entry", "2026-07-01T00:00", to), 2 * 400);
}
