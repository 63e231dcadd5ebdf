//! `steward demo` as a newcomer runs it: one command, a verdict, exit code 0.

use serde_json::Value;
use system_tests::program::{run, texts};

fn demo(args: &[&str]) -> (Value, String, i32) {
    let fixed = ["demo", "--json", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    let all: Vec<&str> = fixed.iter().chain(args).copied().collect();
    let (stdout, stderr, code) = texts(&run(&all));
    let figures =
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}\n{stdout}\n{stderr}"));
    (figures, stderr, code)
}

#[test]
fn an_hour_of_the_street_gives_each_planted_problem_its_one_ticket() {
    // An hour in twenty seconds.
    let (figures, shown, code) = demo(&["--for", "20s", "--speed", "180"]);
    assert_eq!(code, 0, "{shown}\n{figures:#}");
    assert_eq!(figures["good"], true);
    let verdict = &figures["verdict"];
    for category in ["overstay", "bin_overflow", "bin_fault", "parking_device_fault"] {
        let tickets = &verdict["tickets"][category];
        assert!(tickets["planted"].as_u64().unwrap() >= 1, "{category}: {tickets}");
        assert!(tickets["raised"].as_u64() >= tickets["planted"].as_u64(), "{category}: {tickets}");
    }
    for lane in ["ticket", "event", "state", "telemetry"] {
        let lane = &figures["lanes"][lane];
        assert_eq!(lane["lost"], 0, "{lane}");
        assert_eq!(lane["gaps"], 0, "{lane}");
        assert_eq!(lane["published"], lane["acknowledged"], "{lane}");
        assert!(lane["received"].as_u64().unwrap() > 0, "{lane}");
    }
    // The street misbehaves on purpose; what it damages is refused and counted.
    let refused = |source: &str| figures["sources"][source]["rejected"].as_object().unwrap().len();
    assert!(refused("street-line") > 0 && refused("sweeper-01") > 0, "{figures:#}");
    assert!(shown.contains("http://127.0.0.1:"), "{shown}");
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for flag in ["--http", "--mqtt"] {
        let other = if flag == "--http" { "--mqtt" } else { "--http" };
        let args = ["demo", "--for", "1s", flag, &addr, other, "127.0.0.1:0"];
        let (_, stderr, code) = texts(&run(&args));
        assert_ne!(code, 0);
        assert!(stderr.contains(&addr) && stderr.contains("in use"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    }
}
