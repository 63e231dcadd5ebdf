//! Daily states of Wyndham's compactor bins, with what the vendor's own system made of them.

use std::collections::BTreeMap;

use domain::Engine;
use domain::rules::FactName;
use domain::sample::{Absent, Missing, NoData, Quantity};
use domain::site::Kind;
use domain::time::{Span, Utc};
use domain::units::Permille;
use system_tests::data;

use super::{asset, bin, flag, full_rule, key, moment, report, site, tickets};

#[test]
fn every_decision_is_the_vendors_and_an_alert_is_a_sensor_ticket() {
    let Some(set) = data::set("bins") else { return };
    let text = data::text(&set, "wyndham_smart_bins_2018.csv");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (serial, day) = (fields[0], fields[4]);
        let (fullness, threshold, reason) = (fields[5], fields[6], fields[8]);
        let tenths = |text: &str| text.parse::<i64>().unwrap() * 10;
        // Each record alone: the feed is not in order of time, and two bins share a description.
        let settings = bin(tenths(threshold), tenths(threshold) - 20);
        let rules = vec![full_rule(1), flag("fault", "bin_fault", FactName::SensorFault, 1)];
        let at = Utc::parse(&format!("{day}T00:00:00Z")).unwrap();
        let assets = [(key(serial), asset(serial, Kind::Bin(settings)))].into();
        let now = moment(1, at - Span::from_mins(1), at);
        let mut engine = Engine::new(site(assets, rules), vec![], now);
        let measured = if reason == "ALERT" {
            assert_eq!(fullness, "0", "{line}");
            Quantity::Absent(Absent { what: Missing::Distance, why: NoData::SensorFault })
        } else {
            Quantity::Level(Permille::from_percent(tenths(fullness)))
        };
        let out = engine.step(report(serial, vec![measured]), now);
        let raised: Vec<_> = tickets(&out.messages).into_iter().map(|(_, c, _)| c).collect();
        let decision: Vec<&str> = raised.iter().map(String::as_str).collect();
        let expected: &[&str] = match reason {
            "FULLNESS" => &["bin_overflow"],
            "ALERT" => &["bin_fault"],
            "NOT_READY" => &[],
            other => panic!("{other}"),
        };
        assert_eq!(decision, expected, "{line}");
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
    data::say(&format!("Wyndham: every decision is the vendor's: {counts:?}"));
    assert_eq!(counts.values().sum::<usize>(), 79);
    assert!(counts["FULLNESS"] > 0 && counts["ALERT"] > 0);
}
