//! Logs of more than fifty kinds of receivers through the NMEA decoder: every sentence is accounted
//! for, and no position comes from a receiver that says it has none.

use domain::decode::Reason;
use domain::sample::Sample;
use system_tests::data;

use crate::nmea_drives::{decode, fixes, voids};

/// A row of `EXPECT.csv`.
struct Expected {
    log: String,
    good: u64,
    bad: u64,
    missing: u64,
    /// RMC sentences by status A and V.
    rmc_active: usize,
    rmc_void: usize,
    /// GGA sentences with a measured fix.
    gga_fixes: usize,
}

fn each_log(check: impl Fn(&Expected, &[u8])) {
    let Some(set) = data::set("gnss_gpsd") else { return };
    let table = data::text(&set, "EXPECT.csv");
    let mut lines = table.lines();
    let header = cells(lines.next().unwrap());
    let mut logs = 0;
    for line in lines {
        let row = cells(line);
        let expected = expected(&|name| {
            let column = header.iter().position(|column| column == name).unwrap();
            row[column].clone()
        });
        check(&expected, &data::read(&set, &format!("{}.log", expected.log)));
        logs += 1;
    }
    assert!(logs >= 50, "only {logs} logs");
}

fn expected(cell: &dyn Fn(&str) -> String) -> Expected {
    let number = |name: &str| cell(name).parse::<u64>().unwrap();
    let by = |name: &str, keys: &[&str]| {
        let counts: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&cell(name)).unwrap();
        keys.iter().filter_map(|key| counts.get(*key)?.as_u64()).sum::<u64>() as usize
    };
    Expected {
        log: cell("log"),
        good: number("sentences_checksum_ok"),
        bad: number("sentences_checksum_bad"),
        missing: number("sentences_without_checksum"),
        rmc_active: by("rmc_by_status", &["A"]),
        rmc_void: by("rmc_by_status", &["V"]),
        gga_fixes: by("gga_by_quality", &["1", "2", "3", "4", "5", "6"]),
    }
}

/// Splits a line of CSV with quotes.
pub(crate) fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let cell = cells.last_mut().unwrap();
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells
}

/// Whole sentences that the table leaves out: it counts addresses of exactly five characters, and
/// some proprietary ones have others. First those within the length the decoder takes, then longer.
fn odd_addresses(log: &[u8]) -> (u64, u64) {
    let lines = log.split(|&b| b == b'\n' || b == b'\r').filter(|line| !line.starts_with(b"#"));
    let sentence = |line: &&[u8]| {
        let Some(rest) = line.strip_prefix(b"$P") else { return false };
        let address = rest.iter().position(|&b| b == b',' || b == b'*').unwrap_or(rest.len());
        address != 4 && rest.iter().rev().nth(2) == Some(&b'*')
    };
    let (short, long): (Vec<&[u8]>, Vec<&[u8]>) =
        lines.filter(sentence).partition(|line| line.len() <= 121);
    (short.len() as u64, long.len() as u64)
}

#[test]
fn every_sentence_is_accounted_for() {
    each_log(|expected, bytes| {
        let log = &expected.log;
        let (_, tally) = decode(bytes, &[]);
        let count = |reason| tally.rejected.get(&reason).copied().unwrap_or(0);
        assert_eq!(tally.bytes, bytes.len() as u64, "{log}");
        let (odd, too_long) = odd_addresses(bytes);
        assert_eq!(tally.frames - odd, expected.good, "{log}");
        assert_eq!(count(Reason::TooLong), too_long, "{log}");
        assert_eq!(count(Reason::Checksum), expected.bad, "{log}");
        assert_eq!(count(Reason::NoChecksum), expected.missing, "{log}");
        // Nothing of a real receiver is beyond the field reader, except dates before the first fix.
        let others = tally.rejected_total() - expected.bad - expected.missing - too_long;
        assert_eq!(others, count(Reason::Time), "{log}: {:?}", tally.rejected);
    });
}

#[test]
fn a_position_comes_from_a_fix_and_from_nothing_else() {
    each_log(|expected, bytes| {
        let log = &expected.log;
        let samples = decode(bytes, &[]).0;
        let fixes = fixes(&samples).len();
        if expected.rmc_active + expected.rmc_void > 0 {
            assert_eq!(fixes, expected.rmc_active, "{log}");
            assert_eq!(voids(&samples), expected.rmc_void, "{log}");
        } else {
            assert!(fixes >= expected.gga_fixes, "{log}: {fixes}");
        }
        assert_eq!(fixes + voids(&samples), samples.len(), "{log}");
    });
}

#[test]
fn receivers_with_a_story() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    let of = |name: &str, check: &dyn Fn(&[Sample])| {
        check(&decode(&data::read(&set, &format!("{name}.log")), &[]).0);
    };
    // A simulator is not a drive; a receiver without sky has no place.
    of("garmin-geko201", &|samples| assert_eq!((fixes(samples).len(), voids(samples)), (0, 18)));
    of("tn200-all", &|samples| assert_eq!((fixes(samples).len(), voids(samples)), (0, 9)));
    // Its GGA have a wrong checksum: the fix stands, the satellites are not known.
    of("firefly-II", &|samples| {
        assert!(fixes(samples).iter().all(|(_, fix)| fix.satellites.is_none()));
    });
    // 1980 until the first fix: those samples have no time, the others have.
    of("mtk-3301", &|samples| {
        assert!(fixes(samples).iter().all(|(at, _)| at.is_some()));
        assert!(samples.iter().filter(|sample| sample.at.is_none()).count() >= 5);
    });
    // GGA and ZDA only: time of day from the one, date from the other.
    of("mr-350p", &|samples| {
        assert_eq!(fixes(samples).len(), 14);
        let first = samples[0].at.unwrap().to_string();
        assert_eq!(first, "2012-07-04T05:11:33.000Z");
    });
    // GLL every second, GGA twice in a minute.
    of("ericsson-gru04-02-70sec", &|samples| assert_eq!(fixes(samples).len(), 71));
}
