//! Ten weeks of collections of Edinburgh's litter bins, from the city's ultrasonic sensors.

use std::collections::BTreeMap;

use domain::Engine;
use domain::sample::Quantity;
use domain::site::Kind;
use domain::time::{Span, Utc};
use domain::units::Permille;
use system_tests::data;

use super::{asset, bin, events, full_rule, key, moment, report, site, tickets};

/// A collection: how full the bin was, and how full it is.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) site: String,
    pub(super) at: Utc,
    pub(super) before: i64,
    pub(super) after: i64,
}

/// Every collection, by time. `None` without the data.
pub(super) fn rows() -> Option<Vec<Row>> {
    let set = data::set("bins")?;
    let text = data::text(&set, "edinburgh_litter_bin_collections_2016.csv");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name: &str| names.iter().position(|n| *n == name).unwrap();
    let (bin, at) = (place("site_id"), place("collected_at_local"));
    let (before, after) = (place("fill_before_pct"), place("fill_after_pct"));
    let row = |line: &str| {
        let fields = fields(line);
        assert_eq!(fields.len(), names.len(), "{line}");
        let number = |i: usize| fields[i].parse::<f64>().unwrap() as i64;
        let at = local(&fields[at]);
        Row { site: fields[bin].clone(), at, before: number(before), after: number(after) }
    };
    let mut rows: Vec<Row> = lines.map(row).collect();
    rows.sort_by_key(|row| row.at);
    Some(rows)
}

/// A line of a table; a field in double quotes may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// The whole period is British Summer Time, an hour ahead of UTC.
fn local(text: &str) -> Utc {
    Utc::parse(&format!("{}+01:00", text.replace(' ', "T"))).unwrap()
}

#[test]
fn the_local_clock_is_an_hour_ahead() {
    assert_eq!(local("2016-06-10 07:42:32"), Utc::parse("2016-06-10T06:42:32Z").unwrap());
}

#[test]
fn one_ticket_per_bin_until_it_is_emptied() {
    let Some(rows) = rows() else { return };
    assert_eq!(rows.len(), 4971);
    let full = rows.iter().filter(|row| row.before >= 80).count();
    assert_eq!(full, 2643, "readings at 80 % or more");
    let bins: BTreeMap<_, _> =
        rows.iter().map(|row| (key(&row.site), asset(&row.site, Kind::Bin(bin(80, 60))))).collect();
    assert_eq!(bins.len(), 167);
    let start = rows[0].at - Span::from_mins(60);
    let mut engine = Engine::new(site(bins, vec![full_rule(1)]), vec![], moment(1, start, start));
    let mut open: BTreeMap<&str, bool> = BTreeMap::new();
    let (mut expected, mut found, mut collections) = (0, 0, 0);
    let level = |percent: i64| Quantity::Level(Permille::from_percent(percent));
    for row in &rows {
        // Told by hand: a ticket at 80 % or more unless one is open, over at 60 % or less.
        for (percent, at) in [(row.before, row.at - Span::from_secs(1)), (row.after, row.at)] {
            let is_open = open.entry(&row.site).or_default();
            let raises = percent >= 80 && !*is_open;
            *is_open = raises || (*is_open && percent > 60);
            expected += usize::from(raises);
            let out = engine.step(report(&row.site, vec![level(percent)]), moment(1, start, at));
            let raised = |kind: &str| matches!(kind, "ticket.raised" | "ticket.reopened");
            let now = tickets(&out.messages).iter().filter(|(kind, ..)| raised(kind)).count();
            assert_eq!(now, usize::from(raises), "{row:?} at {percent} %");
            found += now;
            collections += events(&out.messages, "waste.collection").count();
        }
    }
    data::say(&format!(
        "Edinburgh: {} collections at {} bins, {full} at 80 % or more, {found} tickets raised or \
         reopened, {collections} emptyings confirmed by a second reading",
        rows.len(),
        open.len()
    ));
    assert_eq!(found, expected);
}
