//! The units of the service: systemd finds nothing wrong with them, and they expose little; and what the
//! vehicle's unit does when the ignition goes off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use system_tests::data::say;
use system_tests::debian::write_program;
use system_tests::mosquitto::free_port;
use system_tests::program::{self, Running};

/// The exposure that a unit may have, in tenths, by systemd's own measure (0 none, 10 all).
const EXPOSURE_MAX: &str = "15";
/// And one that runs dpkg as root, while an update is installed.
const EXPOSURE_DPKG: &str = "50";

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
        ("steward-update.service", None),
    ];
    for (unit, drop_in) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = installed(dir.path(), unit, drop_in);
        let Some(verified) = analyze(&["verify", "--recursive-errors=no"], &path) else { return };
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains(unit), "{unit} {drop_in:?}: {said}");
        let most = if unit == "steward-update.service" { EXPOSURE_DPKG } else { EXPOSURE_MAX };
        let args = ["security", "--offline=true", "--no-pager", "--threshold", most];
        let measured = analyze(&args, &path).unwrap();
        let said = String::from_utf8_lossy(&measured.stdout);
        let verdict = said.lines().last().unwrap_or_default();
        say(&format!(
            "{unit} {} {}",
            drop_in.unwrap_or("as it is:"),
            verdict.trim_start_matches("→ ")
        ));
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

/// Sources that a box on a vehicle runs without: what matters is that it runs.
fn run_a_box(dir: &Path) -> Running {
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\n\
         url = \"mqtt://127.0.0.1:{}\"\n[buffer]\ndir = \"{}/buffer\"\n[http]\nenabled = false\n",
        free_port(),
        dir.display()
    );
    let config = dir.join("steward.toml");
    fs::write(&config, text).unwrap();
    let mut agent = Running::start(&["run", "--config", &config.display().to_string()]);
    agent.wait_for("steward runs");
    agent
}

/// The script of `steward-ignition.service` with an input that is a pipe and a systemctl that signals the box
/// that runs here; both write down what they were asked.
fn ignition(dir: &Path, version: &str, pid: u32) -> Command {
    let programs = dir.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let (asked, input) = (dir.join("asked").display().to_string(), dir.join("input"));
    write_program(
        &programs.join("gpiomon"),
        &format!(
            "[ \"$1\" = --version ] && echo \"gpiomon (libgpiod) {version}\" && exit\n\
             echo \"gpiomon $*\" >> {asked}\nread edge < {}",
            input.display()
        ),
    );
    write_program(
        &programs.join("systemctl"),
        &format!("echo \"systemctl $*\" >> {asked}\n[ \"$1\" != kill ] || kill -PWR {pid}"),
    );
    let path = std::env::var("PATH").unwrap();
    let mut script = Command::new(units().join("ignition"));
    script.env("PATH", format!("{}:{path}", programs.display()));
    script.env("CHIP", "gpiochip0").env("LINE", "17").env("GRACE", "1").stdin(Stdio::null());
    script
}

#[test]
fn when_the_ignition_goes_off_everything_is_stored_before_the_box_is_switched_off() {
    for (version, asked_for) in [
        ("v1.6.3", "gpiomon --num-events=1 --falling-edge gpiochip0 17"),
        ("v2.1", "gpiomon --num-events=1 --edges=falling --chip=gpiochip0 17"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = run_a_box(dir.path());
        let input = dir.path().join("input");
        assert!(Command::new("mkfifo").arg(&input).status().unwrap().success());
        let mut script = ignition(dir.path(), version, agent.pid()).spawn().unwrap();
        // The edge: opening the pipe waits until the script listens.
        fs::write(&input, "falling\n").unwrap();
        assert!(script.wait().unwrap().success());
        agent.wait_for("power is failing; everything is stored");
        let asked = fs::read_to_string(dir.path().join("asked")).unwrap();
        let expected = format!(
            "{asked_for}\nsystemctl kill --kill-whom=main --signal=SIGPWR steward.service\n\
             systemctl poweroff\n"
        );
        assert_eq!(asked, expected);
        assert!(agent.terminate().0.success());
    }
}

/// The words of the script are those of the program that is installed.
#[test]
fn the_real_gpiomon_understands_what_it_is_asked() {
    let Ok(told) = Command::new("gpiomon").arg("--version").output() else {
        say("SKIPPED: gpiomon is not installed (apt-get install gpiod)");
        return;
    };
    let mut script = Command::new(units().join("ignition"));
    script.env("CHIP", "gpiochip-none").env("LINE", "17").env("GRACE", "1");
    let done = script.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success(), "there is no such chip");
    let unknown = ["unrecognized", "unknown", "invalid option", "Usage"];
    assert!(unknown.iter().all(|word| !said.contains(word)), "{said}");
    say(String::from_utf8_lossy(&told.stdout).lines().next().unwrap_or_default());
}
