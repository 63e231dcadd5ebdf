//! Another version of the program by command: signed, fetched over cuts, installed by dpkg into a root of
//! its own, confirmed; refused with reasons; and taken back by itself when it does not work.
//!
//! The service manager is a loop of shell, and where systemd would start the service of root the test
//! does; everything else is as on a box.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use system_tests::data::say;
use system_tests::debian::{Debian, Packed, output, write_program};
use system_tests::mosquitto::Mosquitto;
use system_tests::program::{self, Running};
use system_tests::publisher::publish;
use system_tests::shelf::Shelf;
use system_tests::subscriber::{Heard, Subscriber};

const P: &str = "steward/v1/longcheng/xuejia/xj-1";
/// The last that a connection gives of a file: packages come in several pieces.
const PIECE: usize = 300_000;
/// The administrator's own line in a configuration file.
const OURS: &str = "# ours\n";

struct Rig {
    dir: tempfile::TempDir,
    debian: Debian,
    broker: Mosquitto,
    subscriber: Subscriber,
    shelf: Shelf,
    /// What is installed at first.
    first: Packed,
    /// The loop that starts the program again whenever it ends.
    manager: Running,
}

impl Rig {
    /// A box of version 1.0.
    fn new() -> Option<Rig> {
        let dir = tempfile::tempdir().unwrap();
        if Command::new("minisign").arg("-v").output().is_err() {
            say("SKIPPED: minisign is not installed (apt-get install minisign)");
            return None;
        }
        let debian = Debian::new(&dir.path().join("root"))?;
        let first = Packed::of_a_stand_in(&dir.path().join("first"), "1.0")?;
        debian.install(&first.path);
        let rules = debian.at("etc/steward/rules/default.toml");
        fs::write(&rules, fs::read_to_string(&rules).unwrap() + OURS).unwrap();
        let broker = Mosquitto::start(dir.path())?;
        let subscriber = Subscriber::start(broker.port, "ops", "steward/v1/#");
        let shelf = dir.path().join("shelf");
        fs::create_dir(&shelf).unwrap();
        let shelf = Shelf::start(&shelf, PIECE);
        make_key(dir.path(), "ours");
        fs::write(dir.path().join("steward.toml"), config(dir.path(), &broker.url())).unwrap();
        let mut manager = manage(dir.path(), &debian);
        manager.wait_for("subscribed");
        Some(Rig { dir, debian, broker, subscriber, shelf, first, manager })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another version on the shelf, signed; gives the arguments of a command that wants it.
    fn offer(&self, version: &str, alter: impl FnOnce(&Path)) -> Value {
        let packed = self.first.altered(&self.path(version), version, alter).unwrap();
        let name = packed.path.file_name().unwrap().to_str().unwrap().to_owned();
        let place = self.path("shelf").join(&name);
        fs::copy(packed.path, &place).unwrap();
        sign(self.dir.path(), "ours", &place);
        let sum = output(Command::new("sha256sum").arg(&place));
        json!({"action": "apply", "url": self.shelf.url(&name), "sha256": &sum[..64],
               "size": fs::metadata(&place).unwrap().len(), "within_s": 30})
    }

    fn command(&self, id: &str, args: &Value) {
        let payload = json!({"id": id, "by": "ops", "args": args});
        publish(self.broker.port, &format!("{P}/cmd/update"), &payload);
    }

    /// Waits until the command `id` is told to be in `state`, and gives that answer.
    fn wait(&mut self, id: &str, state: &str) -> Value {
        let is = |m: &Heard| m.json["id"] == id && m.json["state"] == state;
        self.subscriber.wait_until(&format!("{id} {state}"), |heard| heard.iter().any(is));
        self.subscriber.heard.iter().rev().find(|m| is(m)).unwrap().json.clone()
    }

    /// The states that were told of the command `id`, each once.
    fn states(&self, id: &str) -> Vec<String> {
        let of = self.subscriber.heard.iter().filter(|m| m.json["id"] == id);
        let mut states: Vec<String> =
            of.filter_map(|m| m.json["state"].as_str().map(str::to_owned)).collect();
        states.dedup();
        states
    }

    /// Waits for the way an update ended in what the box says of itself.
    fn wait_for_info(&mut self, phase: &str) {
        self.subscriber.wait_until(&format!("an info with {phase}"), |heard| {
            let info = heard.iter().rev().find(|m| m.topic.ends_with("xj-1/info"));
            info.is_some_and(|m| m.json["update"]["last"]["phase"] == phase)
        });
    }

    /// The service of root.
    fn root(&self) -> Command {
        let mut root = Command::new(program::path());
        root.args(["update", "install", "--config"]).arg(self.path("steward.toml"));
        root.arg("--root").arg(self.debian.at(""));
        root.args(["--restart", &format!("kill $(cat {})", self.path("pid").display())]);
        // Here nobody else manages the program, whatever this machine's own service manager says.
        root.args(["--given-up", &format!("test -e {}", self.path("given-up").display())]);
        root.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        root
    }

    fn install(&self) -> Child {
        self.root().spawn().unwrap()
    }

    /// The rules are still the administrator's, and dpkg knows it.
    fn is_ours(&self) {
        let rules = fs::read_to_string(self.debian.at("etc/steward/rules/default.toml")).unwrap();
        assert!(rules.ends_with(OURS), "{rules}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // The manager first: it would start the program again.
        let line = "kill -9 $1; kill -9 $(cat $2); true";
        let pid = self.manager.pid().to_string();
        let kill = Command::new("sh").args(["-c", line, "sh", &pid]).arg(self.path("pid")).output();
        assert!(kill.is_ok());
    }
}

/// Starts the program, and again whenever it ends, as systemd does.
fn manage(dir: &Path, debian: &Debian) -> Running {
    let script = dir.join("manager");
    let lines = format!(
        "export DPKG_ADMINDIR={admin}\nwhile true; do\n{program} run --config {config} &\n\
         echo $! > {pid}\nwait $!\nsleep 0.2\ndone",
        admin = debian.at("var/lib/dpkg").display(),
        program = debian.at("usr/bin/steward").display(),
        config = dir.join("steward.toml").display(),
        pid = dir.join("pid").display(),
    );
    write_program(&script, &lines);
    Running::start_as(&script, &[])
}

fn config(dir: &Path, url: &str) -> String {
    let key = fs::read_to_string(dir.join("ours.pub")).unwrap();
    let dir = dir.display();
    format!(
        "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nurl = \"{url}\"\nconnect_timeout = \"2s\"\n[buffer]\ndir = \"{dir}/buffer\"\n\
         [http]\nenabled = false\n[update]\npublic_key = \"{}\"\nstate_dir = \"{dir}/root-state\"\n\
         size_max = \"1048576MiB\"\n",
        key.lines().nth(1).unwrap()
    )
}

fn make_key(dir: &Path, name: &str) {
    let (public, secret) = (dir.join(format!("{name}.pub")), dir.join(format!("{name}.key")));
    let mut make = Command::new("minisign");
    output(make.args(["-G", "-W", "-f", "-p"]).arg(public).arg("-s").arg(secret));
}

fn sign(dir: &Path, name: &str, file: &Path) {
    let key = dir.join(format!("{name}.key"));
    output(Command::new("minisign").arg("-S").arg("-s").arg(key).arg("-m").arg(file));
}

#[test]
fn an_update_comes_over_cuts_and_a_kill_and_stays_when_it_is_confirmed() {
    let Some(mut rig) = Rig::new() else { return };
    let args = rig.offer("2.0", |root| {
        fs::write(root.join("usr/share/steward/more"), vec![b'x'; 3 * PIECE]).unwrap();
        // The new version has other rules; the administrator's count.
        fs::write(root.join("etc/steward/rules/default.toml"), "# others\n").unwrap();
    });
    rig.command("c1", &args);
    rig.wait("c1", "fetching");
    let pid = fs::read_to_string(rig.path("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    let staged = rig.wait("c1", "staged");
    assert_eq!(staged["result"]["version"], "2.0");
    let mut root = rig.install();
    rig.wait("c1", "connected");
    assert_eq!(rig.debian.version().as_deref(), Some("2.0"));
    rig.command("c2", &json!({"action": "confirm"}));
    rig.wait("c1", "confirmed");
    assert!(root.wait().unwrap().success());
    rig.wait_for_info("confirmed");
    let expected =
        ["received", "fetching", "checked", "staged", "applied", "connected", "confirmed"];
    assert_eq!(rig.states("c1"), expected);
    // Every byte was asked for once.
    let asked = rig.shelf.asked_for("steward_2.0.deb");
    assert!(asked.len() >= 4 && asked.windows(2).all(|two| two[0] < two[1]), "{asked:?}");
    rig.is_ours();
    say(&format!("fetched in {} pieces", asked.len()));
}

#[test]
fn an_update_that_does_not_run_is_taken_back_by_itself() {
    let Some(mut rig) = Rig::new() else { return };
    let args = rig.offer("3.0", |root| {
        write_program(&root.join("usr/bin/steward"), "echo bad >&2; exit 1");
    });
    rig.command("c1", &args);
    rig.wait("c1", "staged");
    let done = rig.install().wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let told = rig.wait("c1", "reverted");
    let why = told["error"]["msg"].as_str().unwrap();
    assert!(why.contains("version 3.0 did not show that it works in 30 s"), "{why}");
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
    rig.wait_for_info("reverted");
    rig.is_ours();
    // The way back has not made the administrator's file the package's own: it stays at the next one, too.
    let next = rig.offer("2.0", |root| {
        fs::write(root.join("etc/steward/rules/default.toml"), "# others\n").unwrap();
    });
    rig.command("c2", &next);
    rig.wait("c2", "staged");
    let mut root = rig.install();
    rig.wait("c2", "connected");
    rig.is_ours();
    // Somebody thinks better of it.
    rig.command("c3", &json!({"action": "revert"}));
    let told = rig.wait("c2", "reverted");
    assert!(told["error"]["msg"].as_str().unwrap().contains("by command"), "{told}");
    assert_eq!(root.wait().unwrap().code(), Some(1));
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
    rig.is_ours();
}

#[test]
fn an_update_that_ends_again_and_again_is_not_waited_for() {
    let Some(mut rig) = Rig::new() else { return };
    let dir = rig.dir.path().display().to_string();
    let mut args = rig.offer("3.0", |root| {
        // The manager of this test starts whatever ends; at the third start somebody has enough.
        let ends = format!(
            "echo start >> {dir}/starts\n[ $(wc -l < {dir}/starts) -lt 3 ] || touch {dir}/given-up\nexit 1"
        );
        write_program(&root.join("usr/bin/steward"), &ends);
    });
    // Nobody lives to see the end of this.
    args["within_s"] = json!(3600);
    rig.command("c1", &args);
    rig.wait("c1", "staged");
    assert_eq!(rig.install().wait().unwrap().code(), Some(1));
    let told = rig.wait("c1", "reverted");
    let why = told["error"]["msg"].as_str().unwrap();
    assert!(why.contains("the service manager has given it up"), "{why}");
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
}

#[test]
fn an_update_that_was_interrupted_is_taken_back_at_the_next_start() {
    let Some(mut rig) = Rig::new() else { return };
    let args = rig.offer("3.0", |root| {
        write_program(&root.join("usr/bin/steward"), "exec sleep 1000");
    });
    rig.command("c1", &args);
    rig.wait("c1", "staged");
    // The power fails while the hung version is on trial, again and again.
    for starts in 1..=3 {
        let mut root = rig.install();
        wait_for_trial(&rig, starts);
        root.kill().unwrap();
        root.wait().unwrap();
    }
    assert_eq!(rig.debian.version().as_deref(), Some("3.0"));
    assert_eq!(rig.install().wait().unwrap().code(), Some(1));
    let told = rig.wait("c1", "reverted");
    assert!(told["error"]["msg"].as_str().unwrap().contains("interrupted too often"), "{told}");
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
}

/// Waits until root watches the new version for the time `starts`.
fn wait_for_trial(rig: &Rig, starts: u64) {
    let look = format!(
        "until grep -q watching {file} && grep -q '\"starts\": {starts}' {file}; do sleep 0.1; done",
        file = rig.path("root-state/trial.json").display()
    );
    let mut looking = Command::new("timeout");
    looking.args(["60", "sh", "-c", &look]).stderr(Stdio::null());
    assert!(looking.status().unwrap().success(), "no trial {starts}");
}

#[test]
fn what_is_not_right_is_refused_with_a_reason() {
    let Some(mut rig) = Rig::new() else { return };
    make_key(rig.dir.path(), "others");
    let good = rig.offer("2.0", |_| {});
    let foreign = rig.offer("2.1", |_| {});
    sign(rig.dir.path(), "others", &rig.path("shelf/steward_2.1.deb"));
    let control = |root: &Path, field: &str, value: &str| {
        let path = root.join("DEBIAN/control");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.split_once(": ") {
            Some((name, _)) if name == field => format!("{field}: {value}\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&path, lines.collect::<String>()).unwrap();
    };
    let machine = rig.offer("2.2", |root| control(root, "Architecture", "riscv64"));
    let other = rig.offer("2.3", |root| control(root, "Package", "stewards"));
    let older = rig.offer("0.9", |_| {});
    let with = |args: &Value, key: &str, value: Value| {
        let mut args = args.clone();
        args[key] = value;
        args
    };
    let cases = [
        ("signature", foreign, "the signature is wrong"),
        ("hash", with(&good, "sha256", json!("0".repeat(64))), "has the SHA-256"),
        ("longer", with(&good, "size", json!(1000)), "longer than the size that was announced"),
        ("machine", machine, "it is for riscv64, and this machine is"),
        ("other", other, "it is the package \"stewards\""),
        ("older", older.clone(), "older than 1.0"),
        ("older-2", with(&older, "allow_downgrade", json!(true)), "and in [update]"),
        ("room", with(&good, "size", json!(1_u64 << 39)), "there is no room"),
        ("missing", with(&good, "url", json!(rig.shelf.url("no.deb"))), "404"),
        ("url", with(&good, "url", json!("ftp://h/s.deb")), "no URL that can be asked"),
    ];
    for (id, args, part) in &cases {
        rig.command(id, args);
        let told = rig.wait(id, "refused");
        let why = told["error"]["msg"].as_str().unwrap();
        assert!(why.contains(part), "{id}: {why}");
    }
    rig.command("none", &json!({"action": "confirm"}));
    assert!(rig.wait("none", "refused")["error"]["msg"] == "no version is on trial");
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
}

/// As if somebody had taken over the service, and with it everything that it may write.
#[test]
fn root_believes_nothing_that_the_service_could_have_written() {
    let Some(rig) = Rig::new() else { return };
    make_key(rig.dir.path(), "others");
    let args = rig.offer("2.0", |_| {});
    let package = rig.path("shelf/steward_2.0.deb");
    let signature = rig.path("shelf/steward_2.0.deb.minisig");
    let stage = rig.path("buffer/update");
    fs::create_dir_all(&stage).unwrap();
    let request = json!({"id": "r", "sha256": args["sha256"], "size": args["size"],
                         "within_s": 30, "allow_downgrade": false});
    let ask = |what: &str| {
        fs::write(stage.join("request.json"), request.to_string()).unwrap();
        let done = rig.root().output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{what}: {said}");
        assert!(!stage.join("request.json").exists(), "{what}: it would be asked for ever");
        let status = fs::read_to_string(rig.path("root-state/status.json")).unwrap();
        assert!(status.contains("refused"), "{what}: {status}");
        status
    };
    // Nothing there; a link to a package that is right; a signature of somebody else.
    assert!(ask("nothing").contains("cannot be read"));
    std::os::unix::fs::symlink(&package, stage.join("package.deb")).unwrap();
    fs::copy(&signature, stage.join("package.deb.minisig")).unwrap();
    assert!(ask("a link").contains("cannot be read"));
    fs::remove_file(stage.join("package.deb")).unwrap();
    fs::copy(&package, stage.join("package.deb")).unwrap();
    sign(rig.dir.path(), "others", &package);
    fs::copy(&signature, stage.join("package.deb.minisig")).unwrap();
    assert!(ask("a foreign signature").contains("the signature is wrong"));
    // A trial without an end.
    let endless = request.to_string().replace("\"within_s\":30", "\"within_s\":4294967295");
    fs::write(stage.join("request.json"), endless).unwrap();
    assert_eq!(rig.root().status().unwrap().code(), Some(1));
    let status = fs::read_to_string(rig.path("root-state/status.json")).unwrap();
    assert!(status.contains("3600 s at the most"), "{status}");
    // A whole folder that is a link.
    fs::rename(&stage, rig.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(rig.path("elsewhere"), &stage).unwrap();
    fs::write(stage.join("request.json"), request.to_string()).unwrap();
    assert!(rig.root().status().unwrap().success(), "there is nothing to do");
    assert!(rig.path("elsewhere/request.json").exists(), "and nothing was touched there");
    assert_eq!(rig.debian.version().as_deref(), Some("1.0"));
}
