//! The units of the service: systemd finds nothing wrong with them, and they expose little.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use system_tests::data::say;
use system_tests::program;

/// The exposure that a unit may have, in tenths, by systemd's own measure (0 none, 10 all).
const EXPOSURE_MAX: &str = "15";
/// And one that opens sockets which are not the internet's.
const EXPOSURE_CAN: &str = "18";

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

fn analyze(args: &[&str], unit: &Path) -> Option<Output> {
    let done = Command::new("systemd-analyze").args(args).arg(unit).output();
    if done.is_err() {
        say("SKIPPED: systemd-analyze is not installed (apt-get install systemd)");
    }
    done.ok()
}

/// The unit as it is on a box, with the program where it is here, and perhaps with a drop-in.
fn installed(dir: &Path, unit: &str, drop_in: Option<&str>) -> PathBuf {
    let text = fs::read_to_string(units().join(unit)).unwrap();
    let program = program::path().display().to_string();
    let helper = units().join("ignition").display().to_string();
    let text = text.replace("/usr/bin/steward ", &format!("{program} "));
    let path = dir.join(unit);
    fs::write(&path, text.replace("/usr/lib/steward/ignition", &helper)).unwrap();
    if let Some(drop_in) = drop_in {
        let folder = dir.join(format!("{unit}.d"));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(units().join(drop_in), folder.join(drop_in)).unwrap();
    }
    path
}

#[test]
fn the_units_are_right_and_expose_little() {
    let cases = [
        ("steward.service", None),
        ("steward.service", Some("vehicle.conf")),
        ("steward.service", Some("pins.conf")),
        ("steward.service", Some("can.conf")),
        ("steward-ignition.service", None),
    ];
    for (unit, drop_in) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = installed(dir.path(), unit, drop_in);
        let Some(verified) = analyze(&["verify", "--recursive-errors=no"], &path) else { return };
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains(unit), "{unit} {drop_in:?}: {said}");
        let most = if drop_in == Some("can.conf") { EXPOSURE_CAN } else { EXPOSURE_MAX };
        let args = ["security", "--offline=true", "--no-pager", "--threshold", most];
        let measured = analyze(&args, &path).unwrap();
        let said = String::from_utf8_lossy(&measured.stdout);
        let verdict = said.lines().last().unwrap_or_default();
        say(&format!("{} {}", drop_in.unwrap_or("as it is:"), verdict.trim_start_matches("→ ")));
        assert!(measured.status.success(), "{said}");
    }
}

#[test]
fn a_box_that_cannot_start_is_left_alone_and_one_that_hangs_is_killed() {
    let unit = fs::read_to_string(units().join("steward.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecStartPre=/usr/bin/steward check /etc/steward/steward.toml",
        "WatchdogSec=60",
        "StartLimitBurst=5",
        "Restart=always",
        "DynamicUser=",
    ] {
        assert_eq!(unit.contains(line), line != "DynamicUser=", "{line}");
    }
}
