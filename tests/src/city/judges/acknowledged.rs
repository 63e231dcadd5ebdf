//! What was acknowledged to a sensor, which may forget it then, has arrived as a point of its asset's series.
//!
//! Points are told apart by what was measured, not by when: the box may not have known the time.

use std::collections::BTreeMap;

use domain::output::Lane;
use serde_json::Value;
use steward::demo::sensors::Measured;

use super::{End, Heard, Judge};
use crate::city::sensors::{Told, Who};
use crate::city::truth::{bay_key, bin_key};

/// What a report says of which asset: the distance, or whether the bay is occupied.
type Saying = (String, u64);

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Acknowledged {
    points: BTreeMap<Saying, u64>,
}

impl Judge for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged"
    }

    fn hear(&mut self, heard: &Heard) {
        let path = heard.arrived.path.strip_suffix("/tel");
        let Some(asset) = path.filter(|_| heard.first && heard.arrived.lane == Lane::Telemetry)
        else {
            return;
        };
        for point in heard.body["points"].as_array().into_iter().flatten() {
            if let Some(value) = value(point) {
                *self.points.entry((asset.to_owned(), value)).or_default() += 1;
            }
        }
    }

    fn verdict(&self, end: &End<'_>) -> Vec<String> {
        let mut owed: BTreeMap<Saying, u64> = BTreeMap::new();
        let mut latest = BTreeMap::new();
        // What was delivered twice is acknowledged twice, and is one report.
        let reports: BTreeMap<(Who, u64), &Told> =
            end.acknowledged.iter().map(|told| ((told.who, told.at()), told)).collect();
        for told in reports.into_values() {
            let asset = match told.who {
                Who::Bay(i) => bay_key(i),
                Who::Bin(i) => bin_key(i),
            };
            let value = match told.report.measured {
                Measured::Bay { occupied, .. } => u64::from(occupied),
                Measured::Bin { distance_mm } => distance_mm.into(),
            };
            latest.insert((asset.clone(), value), told.at());
            *owed.entry((asset, value)).or_default() += 1;
        }
        let came = |saying: &Saying| self.points.get(saying).copied().unwrap_or(0);
        let short = owed.iter().filter(|(saying, count)| came(saying) < **count);
        let say = |(saying, count): (&Saying, &u64)| {
            let (asset, value) = saying;
            let (came, last) = (came(saying), latest[saying]);
            format!(
                "{asset}: {count} reports of {value} were acknowledged (the last measured at {last} ms), {came} came"
            )
        };
        short.map(say).collect()
    }
}

fn value(point: &Value) -> Option<u64> {
    point["distance_mm"].as_u64().or_else(|| point["occupied"].as_bool().map(u64::from))
}

#[cfg(test)]
mod tests {
    use domain::time::Span;
    use serde_json::json;
    use steward::demo::sensors::Report;

    use super::super::tests::{end, heard, quiet};
    use super::*;

    #[test]
    fn a_report_that_was_acknowledged_and_did_not_come_is_found() {
        let told = |at| Told {
            who: Who::Bin(1),
            report: Report {
                at: Span::from_ms(at),
                measured: Measured::Bin { distance_mm: 900 },
                temperature_mc: 0,
            },
            confirmed: false,
        };
        let told = [told(5), told(9), told(9)];
        let truth = quiet();
        let mut end = end(&truth);
        end.acknowledged = &told;
        let point = json!({"at": "2026-06-01T00:00:00Z", "distance_mm": 900});
        let came =
            |points: Value| heard(Lane::Telemetry, 1, "bin/bin-1/tel", json!({"points": points}));
        let mut judge = Acknowledged::default();
        judge.hear(&came(json!([point])));
        assert_eq!(judge.verdict(&end).len(), 1, "one of two came");
        judge.hear(&came(json!([point])));
        assert_eq!(judge.verdict(&end), Vec::<String>::new());
    }

    #[test]
    fn a_repeat_does_not_stand_for_another_report() {
        let mut again =
            heard(Lane::Telemetry, 1, "bin/bin-1/tel", json!({"points": [{"distance_mm": 900}]}));
        again.first = false;
        let mut judge = Acknowledged::default();
        judge.hear(&again);
        assert!(judge.points.is_empty());
    }
}
