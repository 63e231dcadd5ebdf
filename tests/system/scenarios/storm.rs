//! Ten thousand findings in a minute.

use domain::sample::Quantity;
use domain::time::Span;

use super::full;
use super::street::{Street, bin, config};

/// Bins of the street.
const BINS: u32 = 1000;
/// Those that are really full.
const PLANTED: u32 = 100;

#[test]
fn ten_thousand_findings_in_a_minute_are_the_planted_tickets_and_none_is_lost() {
    let bins: Vec<String> = (0..BINS).map(|n| bin(&format!("bin-{n}"))).collect();
    let mut street = Street::new(&config(&bins));
    // Every bin says twice that it is full, or three that it is empty, in turn: for those that are not
    // planted a single reading is a stray echo.
    let mut readings = 0u32;
    for round in 0..10u32 {
        for n in 0..BINS {
            let planted = n < PLANTED;
            let level = if planted || round % 3 == 0 { 95 } else { 20 };
            street.say(&format!("bin-{n}"), full(level));
            readings += 1;
        }
        street.pass(Span::from_secs(6));
    }
    assert_eq!(readings, 10_000);
    assert_eq!(street.tickets("bin_overflow"), PLANTED as usize);
    assert_eq!(street.engine.open_tickets(), PLANTED as usize);
    let raised = street.events.iter().filter(|step| *step == "raised").count();
    assert_eq!((raised, street.events.len()), (PLANTED as usize, PLANTED as usize));
    // What is stored is bounded by what there is, not by what was said.
    let of = |kind: &str| street.records.keys().filter(|key| key.starts_with(kind)).count();
    assert_eq!((of("asset/"), of("ticket/")), (BINS as usize, PLANTED as usize));
}

#[test]
fn a_problem_that_comes_and_goes_a_hundred_times_in_a_minute_is_one_ticket_of_bounded_size() {
    let mut street = Street::new(&config(&[bin("bin-1")]));
    for n in 0..400u32 {
        let level = if n / 2 % 2 == 0 { 95 } else { 20 };
        street.say("bin-1", full(level));
    }
    assert_eq!(street.tickets("bin_overflow"), 1);
    assert!(street.events.len() <= 10, "{:?}", street.events);
    let size = street.records.iter().filter(|(key, _)| key.starts_with("ticket/"));
    let size: usize = size.map(|(_, value)| value.len()).sum();
    assert!(size < 16 * 1024, "{size}");
    street.pass(Span::from_mins(61));
    assert_eq!(street.events.iter().filter(|step| *step == "settled").count(), 1);
    // Nothing that was said is lost: the level that counts is the last one.
    street.say("bin-1", Quantity::Distance(domain::units::Millimetres(300)));
    assert_eq!(street.tickets("bin_overflow"), 1);
}
