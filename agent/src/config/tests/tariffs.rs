//! The tariffs that are shipped: what they cost, and how a file of them is included.

use domain::ids::TariffId;
use domain::parking::tariff::{Stay, charge};
use domain::time::Utc;

use super::super::*;
use super::{BASE, folder};

const STADIUM: &str = include_str!("../../../../config/tariffs/stadium.toml");
const MALL: &str = include_str!("../../../../config/tariffs/mall.toml");
const KERB: &str = include_str!("../../../../config/tariffs/kerb.toml");

fn shipped() -> Config {
    let bay = |(device, tariff): (usize, &&str)| {
        format!(
            "[[bay]]\nid = {tariff:?}\nsource = \"nodes\"\ndevice = {device}\ntariff = {tariff:?}\n"
        )
    };
    let bays: String = ["stadium", "mall", "kerb"].iter().enumerate().map(bay).collect();
    let main = format!("include = [\"tariffs/*.toml\"]\n{BASE}{bays}");
    let files: [(&str, &[u8]); 4] = [
        ("box.toml", main.as_bytes()),
        ("tariffs/stadium.toml", STADIUM.as_bytes()),
        ("tariffs/mall.toml", MALL.as_bytes()),
        ("tariffs/kerb.toml", KERB.as_bytes()),
    ];
    let loaded = load(&folder(&files).path().join("box.toml")).unwrap();
    assert!(loaded.warnings.iter().all(|w| w.cause.contains("feeds nothing")), "{loaded:?}");
    loaded.config
}

/// What a stay costs, in the smallest unit, with times such as `2026-06-03 09:00`.
fn fee(config: &Config, tariff: &str, (from, to): (&str, &str)) -> u64 {
    let tariff = &config.site.parking.tariffs[&TariffId::new(tariff).unwrap()];
    let at = |t: &str| Utc::parse(&format!("{}:00+08:00", t.replace(' ', "T"))).unwrap();
    let (start, end) = (at(from), at(to));
    let stay = Stay { start, end, vehicle: None };
    let fee = charge(tariff, &config.site.calendar, &stay);
    assert_eq!(fee.explain(&config.site.calendar).len(), fee.windows.len() + 1);
    fee.total.minor()
}

#[test]
fn the_shipped_tariffs_cost_what_their_remarks_say() {
    let config = shipped();
    let golden = [
        ("03 09:00", "03 09:15", 0, 0),
        ("03 09:00", "03 09:16", 5, 8),
        ("03 09:00", "03 12:00", 15, 48),
        ("03 09:00", "03 12:01", 25, 52),
        ("03 20:30", "03 22:30", 7, 28),
        ("03 21:20", "03 21:40", 7, 8),
        ("03 22:00", "04 07:30", 10, 10),
        ("03 09:00", "03 21:30", 35, 128),
        ("03 09:00", "04 09:00", 35, 128),
        ("03 09:00", "04 10:00", 40, 144),
        ("03 23:50", "04 00:20", 2, 4),
    ];
    for (from, to, stadium, mall) in golden {
        let (from, to) = (format!("2026-06-{from}"), format!("2026-06-{to}"));
        let cost = |tariff| fee(&config, tariff, (&from, &to)) / 100;
        assert_eq!((cost("stadium"), cost("mall")), (stadium, mall), "{from} to {to}");
    }
    let kerb = [
        // The half hour is off: 60 minutes begin a first hour, 61 a half hour more; exactly 30 are not free.
        ("2026-06-03 09:00", "2026-06-03 09:29", 0),
        ("2026-06-03 09:00", "2026-06-03 10:30", 1000),
        ("2026-06-03 09:00", "2026-06-03 10:31", 1500),
        // A Saturday; half the price in the campaign, on a Monday; the evening's cap,
        // twice, because a new day counts anew.
        ("2026-06-06 09:00", "2026-06-06 11:30", 600),
        ("2027-02-08 09:00", "2027-02-08 10:30", 500),
        ("2026-06-03 19:00", "2026-06-04 07:00", 500 + 500),
        // Over the change: two hours of the evening, less the free half hour, then four half hours.
        ("2027-06-30 22:00", "2027-07-01 02:00", 200 + 4 * 600),
    ];
    for (from, to, expected) in kerb {
        assert_eq!(fee(&config, "kerb", (from, to)), expected, "{from} to {to}");
    }
}
