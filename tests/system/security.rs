//! A broker with certificates on both sides and the rules that `steward schema acl` writes: the box works,
//! says nothing outside its own topics, and obeys nobody who may not command it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use system_tests::authority::Authority;
use system_tests::debian::write_program;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::{self, Running, texts};

const SITE: &str = "steward/v1/longcheng/xuejia";

struct Rig {
    dir: tempfile::TempDir,
    authority: Authority,
    /// With TLS.
    port: u16,
    /// The mosquitto itself, with its plain listener, which lets nobody in.
    _broker: Mosquitto,
}

impl Rig {
    fn new() -> Option<Rig> {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path())?;
        let (cert, key) = authority.certify("broker", 90);
        let acl = dir.path().join("acl");
        let parties = ["--operator", "desk", "--viewer", "board"];
        let (rules, said, code) =
            texts(&program::run(&[&["schema", "acl"][..], &parties].concat()));
        assert_eq!(code, 0, "{said}");
        fs::write(&acl, rules).unwrap();
        let port = free_port();
        let lines = format!(
            // Without a limit, 2.0.11 hangs up on who publishes what is forbidden.
            "max_queued_messages 1000\nallow_anonymous false\nacl_file {acl}\nlistener {port} 127.0.0.1\ncafile {ca}\ncertfile {cert}\n\
             keyfile {key}\nrequire_certificate true\nuse_identity_as_username true\n",
            acl = acl.display(),
            ca = authority.file().display(),
            cert = cert.display(),
            key = key.display()
        );
        let broker = Mosquitto::start_with(dir.path(), &lines)?;
        Some(Rig { dir, authority, port, _broker: broker })
    }

    /// The configuration of a box whose certificate is for `name`.
    fn config(&self, id: &str, name: &str, days: u32) -> PathBuf {
        let (cert, key) = self.authority.certify(name, days);
        let path = self.dir.path().join(format!("{id}-{name}.toml"));
        let text = format!(
            "[box]\nid = \"{id}\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
             [mqtt]\nurl = \"mqtts://localhost:{port}\"\nca_file = \"{ca}\"\ncert_file = \"{cert}\"\n\
             key_file = \"{key}\"\n[buffer]\ndir = \"{dir}/buffer-{id}\"\n[http]\nenabled = false\n",
            port = self.port,
            ca = self.authority.file().display(),
            cert = cert.display(),
            key = key.display(),
            dir = self.dir.path().display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// `program` of mosquitto-clients, as the party `name`.
    fn client(&self, program: &str, name: &str) -> Command {
        let (mut cert, mut key) = self.authority.files(name);
        if !cert.exists() {
            (cert, key) = self.authority.certify(name, 90);
        }
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.port.to_string(), "-V", "5", "-q", "1", "-d"]);
        command.arg("--cafile").arg(self.authority.file());
        command.arg("--cert").arg(cert).arg("--key").arg(key).stdin(Stdio::null());
        command
    }

    /// Publishes as `name`; gives what the broker said of it.
    fn publish(&self, name: &str, topic: &str, payload: &Value) -> String {
        let mut command = self.client("mosquitto_pub", name);
        let done = command.args(["-t", topic, "-m", &payload.to_string()]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }

    /// What `name` hears on `filter`, up to `count` messages.
    fn hear(&self, name: &str, filter: &str, count: u32) -> Command {
        let mut command = self.client("mosquitto_sub", name);
        command.args(["-t", filter, "-C", &count.to_string(), "-W", "20", "-F", "%t %p"]);
        command
    }
}

fn start(config: &Path) -> Running {
    Running::start(&["run", "--config", &config.display().to_string()])
}

#[test]
fn a_box_works_within_its_rules_and_obeys_only_operators() {
    let Some(rig) = Rig::new() else { return };
    let mut agent = start(&rig.config("xj-1", "xj-1", 90));
    agent.wait_for("link to the broker is up");
    agent.wait_for("subscribed");

    // Somebody may look, and sees what the box has said.
    let seen = rig.hear("board", &format!("{SITE}/xj-1/status"), 1).output().unwrap();
    assert!(String::from_utf8_lossy(&seen.stdout).contains("online"), "{seen:?}");

    // The operator is obeyed.
    let mut answers = rig.hear("desk", &format!("{SITE}/xj-1/reply/desk"), 1);
    let answers = answers.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let ping = json!({"id": "p1", "by": "desk", "args": {}});
    let said = rig.publish("desk", &format!("{SITE}/xj-1/cmd/ping"), &ping);
    assert!(!said.contains("Not authorized"), "{said}");
    let heard = answers.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&heard.stdout).contains("\"ok\":true"), "{heard:?}");

    // A viewer, another box, and the box itself are not.
    for name in ["board", "xj-2", "xj-1", "stranger"] {
        let said = rig.publish(name, &format!("{SITE}/xj-1/cmd/config"), &ping);
        assert!(said.contains("Not authorized"), "{name}: {said}");
    }
    // A box says nothing in another's name, and only what boxes say in its own.
    for topic in [
        "xj-2/status".to_owned(),
        "xj-2/bay/b-1/state".to_owned(),
        "xj-1/elsewhere".to_owned(),
        "xj-1/bay/b-1/state/more".to_owned(),
    ] {
        let said = rig.publish("xj-1", &format!("{SITE}/{topic}"), &json!({}));
        assert!(said.contains("Not authorized"), "{topic}: {said}");
    }
    let (status, log) = agent.terminate();
    assert!(status.success() && !log.contains("refused"), "{log}");
}

#[test]
fn without_a_certificate_of_the_authority_nobody_comes_in() {
    let Some(rig) = Rig::new() else { return };
    let strangers = tempfile::tempdir().unwrap();
    let other = Authority::new(strangers.path()).unwrap();
    let (cert, key) = other.certify("desk", 90);
    let tried = Command::new("mosquitto_pub")
        .args(["-h", "localhost", "-p", &rig.port.to_string(), "-t", "x", "-m", "y"])
        .arg("--cafile")
        .arg(rig.authority.file())
        .arg("--cert")
        .arg(cert)
        .arg("--key")
        .arg(key)
        .output()
        .unwrap();
    assert!(!tried.status.success());
}

#[test]
fn a_certificate_that_ends_soon_is_a_ticket_and_a_renewed_one_needs_no_restart() {
    let Some(rig) = Rig::new() else { return };
    let config = rig.config("xj-1", "xj-1", 10);
    let mut agent = start(&config);
    agent.wait_for("ends at");
    let ticket = agent.wait_for("gateway_fault");
    assert!(ticket.contains("ticket.raised"), "{ticket}");
    // Renewed, under the same names.
    rig.config("xj-1", "xj-1", 365);
    let pid = agent.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    agent.wait_for("certificates are new");
    agent.wait_for("link to the broker is up");
    assert!(agent.terminate().0.success());
}

#[test]
fn a_key_that_everybody_can_read_is_a_fault() {
    let Some(rig) = Rig::new() else { return };
    let config = rig.config("xj-1", "xj-1", 90);
    let key = rig.dir.path().join("xj-1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, said, code) = texts(&program::run(&["check", &config.display().to_string()]));
    assert_eq!(code, 1);
    assert!(
        said.contains("everybody on this machine can read") && said.contains("chmod o-rwx"),
        "{said}"
    );
}

#[test]
fn the_doctor_tells_what_is_wrong_with_the_way_to_the_broker() {
    let Some(rig) = Rig::new() else { return };
    let doctor = |config: &Path| -> Value {
        let args = ["doctor", "--json", "--config", &config.display().to_string()];
        serde_json::from_str(&texts(&program::run(&args)).0).unwrap()
    };
    let verdict = |found: &Value, check: &str| {
        let all = found["findings"].as_array().unwrap();
        let one = all.iter().find(|f| f["check"] == check);
        one.map(|f| {
            (f["verdict"].as_str().unwrap().to_owned(), f["says"].as_str().unwrap().to_owned())
        })
    };
    let right = rig.config("xj-1", "xj-1", 90);
    fs::create_dir_all(rig.dir.path().join("buffer-xj-1")).unwrap();
    let found = doctor(&right);
    for check in ["name", "connection", "tls", "welcome", "subscribe", "publish", "round-trip"] {
        assert_eq!(
            verdict(&found, check).map(|v| v.0).as_deref(),
            Some("ok"),
            "{check}: {found:#}"
        );
    }
    // Known to the broker as somebody else: its rules forbid what this box would say.
    let found = doctor(&rig.config("xj-1", "xj-9", 90));
    let (bad, says) = verdict(&found, "publish").unwrap();
    assert!(bad == "fault" && says.contains("the broker's rules forbid"), "{found:#}");
    // Another authority, no certificate, another name, nobody there, no such name.
    let text = fs::read_to_string(&right).unwrap();
    let strangers = tempfile::tempdir().unwrap();
    let other = Authority::new(strangers.path()).unwrap();
    let ours = rig.authority.file().display().to_string();
    let with_key =
        text.lines().filter(|l| !l.starts_with("cert_file") && !l.starts_with("key_file"));
    let cases = [
        (
            text.replace(&ours, &other.file().display().to_string()),
            "tls",
            "invalid peer certificate",
        ),
        (with_key.collect::<Vec<_>>().join("\n"), "welcome", "ertificate"),
        (
            text.replace(&rig.port.to_string(), &free_port().to_string()),
            "connection",
            "nobody listens",
        ),
        (text.replace("localhost", "no-such-broker.invalid"), "name", "cannot be found"),
    ];
    for (text, check, part) in cases {
        let path = rig.dir.path().join("bad.toml");
        fs::write(&path, text).unwrap();
        let found = doctor(&path);
        let (bad, says) =
            verdict(&found, check).unwrap_or_else(|| panic!("no {check} in {found:#}"));
        assert!(bad == "fault" && says.contains(part), "{check}: {says}\n{found:#}");
    }
}

#[test]
fn a_bundle_has_everything_but_the_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let planted =
        ["hunter2-Zebra", "MIGHAgEAplantedkeyline", "tok-31415-planted", "sig=planted-query"];
    fs::write(dir.path().join("pw"), format!("{}\n", planted[0])).unwrap();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", planted[1]);
    fs::write(dir.path().join("key.pem"), key).unwrap();
    fs::write(dir.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    fs::write(dir.path().join("token"), planted[2]).unwrap();
    for file in ["pw", "key.pem", "token"] {
        fs::set_permissions(dir.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let buffer = dir.path().join("buffer");
    fs::create_dir_all(&buffer).unwrap();
    // Somebody has put secrets where they do not belong.
    let log = format!("{{\"args\":\"{}\"}}\n{} {}\n", planted[0], planted[1], planted[2]);
    fs::write(buffer.join("audit.jsonl"), log).unwrap();
    let config = dir.path().join("steward.toml");
    let text = format!(
        "# the password is {}\n[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\n\
         url = \"mqtts://127.0.0.1:{}\"\npassword_file = \"pw\"\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n\
         [buffer]\ndir = \"{}\"\n[http]\nenabled = false\n[[source]]\nname = \"docs\"\nkind = \"http-json\"\n\
         url = \"https://127.0.0.1:9/x?{}\"\ntoken_file = \"token\"\n",
        planted[0],
        free_port(),
        buffer.display(),
        planted[3]
    );
    fs::write(&config, text).unwrap();
    let out = dir.path().join("bundle.tar.gz");
    let args =
        ["bundle", "--config", &config.display().to_string(), "--out", &out.display().to_string()];
    let (said, err, code) = texts(&program::run(&args));
    assert_eq!(code, 0, "{said}{err}");
    let mode = fs::metadata(&out).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let unpacked = Command::new("tar").args(["-xOzf"]).arg(&out).output().unwrap();
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let content = String::from_utf8_lossy(&unpacked.stdout);
    for part in ["[[source]]", "\"verdict\"", "[removed]", "\"kernel\""] {
        assert!(content.contains(part), "no {part}");
    }
    for secret in planted {
        assert!(!content.contains(secret), "{secret} is in the bundle");
    }
    // What is there is not overwritten.
    assert_eq!(texts(&program::run(&args)).2, 70);
}

#[test]
fn a_box_listens_on_the_loopback_only_and_its_files_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let config = dir.path().join("steward.toml");
    let port = free_port();
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\nurl = \"{}\"\n\
         [buffer]\ndir = \"{}/buffer\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n",
        broker.url(),
        dir.path().display()
    );
    fs::write(&config, text).unwrap();
    let mut agent = start(&config);
    agent.wait_for("link to the broker is up");
    let sockets = listening(agent.pid());
    assert_eq!(
        sockets,
        [format!("0100007F:{port:04X}")],
        "the dashboard on 127.0.0.1, nothing else"
    );
    let socket = dir.path().join("buffer/steward.sock");
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(agent.terminate().0.success());
}

/// The unit sets the umask; nothing that the program writes widens it.
#[test]
fn nobody_else_may_read_what_a_box_writes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let config = dir.path().join("steward.toml");
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\nurl = \"{}\"\n\
         [buffer]\ndir = \"{}/buffer\"\n[http]\nenabled = false\n",
        broker.url(),
        dir.path().display()
    );
    fs::write(&config, text).unwrap();
    let umask = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/steward.service"),
    );
    assert!(umask.unwrap().contains("UMask=0077"));
    let script = dir.path().join("box");
    let line =
        format!("umask 0077; exec {} run --config {}", program::path().display(), config.display());
    write_program(&script, &line);
    let mut agent = Running::start_as(&script, &[]);
    agent.wait_for("link to the broker is up");
    // A command is a line of the audit log.
    let buffer = dir.path().join("buffer").display().to_string();
    assert_eq!(program::run(&["ticket", "--buffer", &buffer, "list"]).status.code(), Some(0));
    assert!(agent.terminate().0.success());
    let mut folders = vec![dir.path().join("buffer")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let found = fs::symlink_metadata(&path).unwrap();
            let mode = found.permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", path.display());
            if found.is_dir() {
                folders.push(path);
            } else {
                files += 1;
            }
        }
    }
    assert!(files > 4, "{files}");
}

/// The addresses on which the process listens, as the kernel writes them.
fn listening(pid: u32) -> Vec<String> {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut found = vec![];
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A: LISTEN; 07: a UDP socket without a peer.
            if matches!(fields[3], "0A" | "07") && inodes.iter().any(|inode| inode == fields[9]) {
                found.push(fields[1].to_owned());
            }
        }
    }
    found
}
