//! The Debian package: what is in it, and what installing, upgrading, removing and purging does to a system.
//!
//! Here dpkg works on a root of its own below a temporary folder, with the maintainer scripts told so by
//! `DPKG_ROOT`; the long form, in a whole Debian, is `make deb-test`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use system_tests::authority::Authority;
use system_tests::data::say;
use system_tests::debian::{Debian, Packed, output};
use system_tests::mosquitto::free_port;
use system_tests::program::{self, Running, texts};

/// Where the files of `package` are, with mode and owner as tar tells them.
fn listing(package: &Path) -> BTreeMap<String, (String, String)> {
    let said = output(Command::new("dpkg-deb").arg("-c").arg(package));
    let mut found = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.split_whitespace();
        let (mode, owner) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let name = words.nth(3).unwrap().trim_start_matches('.').to_owned();
        found.insert(name, (mode, owner));
    }
    found
}

#[test]
fn the_package_has_every_file_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let Some(packed) = Packed::of_the_program(dir.path()) else { return };
    let files = listing(&packed.path);
    for (name, mode) in [
        ("/usr/bin/steward", "-rwxr-xr-x"),
        ("/usr/lib/steward/ignition", "-rwxr-xr-x"),
        ("/usr/lib/systemd/system/steward.service", "-rw-r--r--"),
        ("/usr/lib/systemd/system/steward-ignition.service", "-rw-r--r--"),
        ("/usr/lib/systemd/system/steward-update.path", "-rw-r--r--"),
        ("/usr/lib/systemd/system/steward-update.service", "-rw-r--r--"),
        ("/usr/lib/sysusers.d/steward.conf", "-rw-r--r--"),
        ("/usr/lib/tmpfiles.d/steward.conf", "-rw-r--r--"),
        ("/usr/lib/udev/rules.d/60-steward.rules", "-rw-r--r--"),
        ("/etc/steward/rules/default.toml", "-rw-r--r--"),
        ("/usr/share/steward/drop-ins/vehicle.conf", "-rw-r--r--"),
        ("/usr/share/man/man1/steward.1.gz", "-rw-r--r--"),
        ("/usr/share/man/man1/steward-doctor.1.gz", "-rw-r--r--"),
        ("/usr/share/bash-completion/completions/steward", "-rw-r--r--"),
        ("/usr/share/zsh/vendor-completions/_steward", "-rw-r--r--"),
        ("/usr/share/fish/vendor_completions.d/steward.fish", "-rw-r--r--"),
        ("/usr/share/doc/steward/copyright", "-rw-r--r--"),
        ("/usr/share/doc/steward/changelog.gz", "-rw-r--r--"),
        ("/usr/share/doc/steward/operations.md", "-rw-r--r--"),
    ] {
        let found = files.get(name).unwrap_or_else(|| panic!("no {name} in {files:#?}"));
        assert_eq!(found.0, mode, "{name}");
    }
    for (name, (mode, owner)) in &files {
        assert_eq!(owner, "root/root", "{name}");
        assert!(!mode[5..].contains('w') && !mode.contains('s'), "{mode} {name}: others may write");
        let known = ["/usr/", "/etc/steward/"].iter().any(|at| name.starts_with(at));
        assert!(known || "/etc/".starts_with(name), "{name} is in nobody's place");
    }
}

#[test]
fn the_package_says_what_it_needs_and_what_is_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let Some(packed) = Packed::of_the_program(dir.path()) else { return };
    let field = |name: &str| {
        output(Command::new("dpkg-deb").arg("-f").arg(&packed.path).arg(name)).trim().to_owned()
    };
    assert_eq!(field("Package"), "steward");
    let (version, ..) = texts(&program::run(&["--version"]));
    assert_eq!(format!("steward {}", field("Version")), version.trim());
    for needed in ["libc6 (>= 2.", "libgcc-s1", "systemd-standalone-sysusers", "tzdata"] {
        assert!(field("Depends").contains(needed), "{}", field("Depends"));
    }
    let unpacked = dir.path().join("unpacked");
    output(Command::new("dpkg-deb").arg("-R").arg(&packed.path).arg(&unpacked));
    let read = |name: &str| fs::read_to_string(unpacked.join(name)).unwrap();
    // Every file below /etc is an administrator's, and no other one.
    let conffiles: Vec<String> = read("DEBIAN/conffiles").lines().map(str::to_owned).collect();
    let below_etc = listing(&packed.path).into_keys();
    let below_etc = below_etc.filter(|name| name.starts_with("/etc/") && !name.ends_with('/'));
    assert_eq!(conffiles, below_etc.collect::<Vec<_>>());
    // The sums are right, of everything else.
    let mut sums = Command::new("md5sum");
    output(sums.args(["-c", "--quiet", "DEBIAN/md5sums"]).current_dir(&unpacked));
    for script in ["postinst", "prerm", "postrm"] {
        output(Command::new("sh").arg("-n").arg(unpacked.join("DEBIAN").join(script)));
    }
    output(Command::new("bash").arg("-n").arg(unpacked.join(BASH)));
    let pages = output(Command::new("gzip").arg("-dc").arg(unpacked.join(MANUAL)));
    assert!(pages.contains(".TH steward 1") && pages.contains("doctor"), "{pages}");
    // What the first configuration is made from is right.
    let example = unpacked.join("usr/share/steward/gateway.toml").display().to_string();
    assert_eq!(program::run(&["check", &example]).status.code(), Some(0));
}

const BASH: &str = "usr/share/bash-completion/completions/steward";
const MANUAL: &str = "usr/share/man/man1/steward.1.gz";

#[test]
fn the_same_files_make_the_same_package() {
    let dir = tempfile::tempdir().unwrap();
    let one = Packed::of_a_stand_in(&dir.path().join("one"), "1.0");
    let two = Packed::of_a_stand_in(&dir.path().join("two"), "1.0");
    let (Some(one), Some(two)) = (one, two) else { return };
    assert!(fs::read(one.path).unwrap() == fs::read(two.path).unwrap());
}

/// A configuration whose broker is nobody and whose certificate ends soon, so that there is a ticket.
fn config(debian: &Debian, dir: &Path) -> Option<()> {
    let (cert, key) = Authority::new(dir)?.certify("xj-1", 10);
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\n\
         url = \"mqtts://127.0.0.1:{}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n[buffer]\ndir = \"{}\"\n\
         [http]\nenabled = false\n",
        free_port(),
        cert.display(),
        key.display(),
        debian.at("var/lib/steward").display(),
    );
    fs::write(debian.at("etc/steward/steward.toml"), text).unwrap();
    Some(())
}

/// The ticket of the box that was installed, which runs meanwhile and is asked once it has said `ready`.
fn ticket(debian: &Debian, ready: &str) -> String {
    let config = debian.at("etc/steward/steward.toml").display().to_string();
    let program = debian.at("usr/bin/steward");
    let mut agent = Running::start_as(&program, &["run", "--config", &config]);
    agent.wait_for(ready);
    let asked = ["ticket", "--json", "--config", &config, "list"];
    let (told, said, code) = texts(&Command::new(&program).args(asked).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(agent.terminate().0.success());
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let tickets = told["result"]["tickets"].as_array().unwrap();
    assert_eq!(tickets.len(), 1, "{told}");
    tickets[0]["ticket_id"].as_str().unwrap().to_owned()
}

#[test]
fn what_people_wrote_and_what_is_buffered_outlives_everything_but_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let Some(debian) = Debian::new(&dir.path().join("root")) else { return };
    let Some(old) = Packed::of_the_program(&dir.path().join("old")) else { return };
    let said = debian.install(&old.path);
    assert!(said.contains("write this box's id"), "{said}");
    let passwd = fs::read_to_string(debian.at("etc/passwd")).unwrap();
    assert!(passwd.contains("steward:") && passwd.contains("/usr/sbin/nologin"), "{passwd}");
    let mode = |name: &str| fs::metadata(debian.at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("etc/steward/secrets"), 0o750);
    assert_eq!(mode("etc/steward/steward.toml"), 0o640);
    assert_eq!(mode("var/lib/steward"), 0o750);
    if debian.keeps_owners() {
        let uid: u32 = field(&passwd, "steward", 2).parse().unwrap();
        assert_eq!(fs::metadata(debian.at("var/lib/steward")).unwrap().uid(), uid);
        assert_eq!(fs::metadata(debian.at("etc/steward/steward.toml")).unwrap().uid(), 0);
    }
    // Nothing is enabled by itself.
    assert!(!debian.at("etc/systemd/system").exists());

    let Some(()) = config(&debian, dir.path()) else { return };
    let rules = debian.at("etc/steward/rules/default.toml");
    let ours = fs::read_to_string(&rules).unwrap() + "# ours\n";
    fs::write(&rules, &ours).unwrap();
    let first = ticket(&debian, "ticket.raised");

    let Some(new) = old.altered(&dir.path().join("new"), "9.0", |root| {
        // The new version has other rules than the old one: the administrator's still count.
        let rules = root.join("etc/steward/rules/default.toml");
        fs::write(&rules, "# others\n").unwrap();
    }) else {
        return;
    };
    let said = debian.install(&new.path);
    assert!(!said.contains("write this box's id"), "that is said once: {said}");
    assert_eq!(debian.version().as_deref(), Some("9.0"));
    assert_eq!(fs::read_to_string(&rules).unwrap(), ours);
    assert_eq!(ticket(&debian, "steward runs"), first);

    debian.dpkg(&["--remove", "steward"]);
    assert!(!debian.at("usr/bin/steward").exists());
    assert!(debian.at("etc/steward/steward.toml").exists() && rules.exists());
    assert!(debian.at("var/lib/steward/core").exists());
    debian.install(&old.path);
    assert_eq!(ticket(&debian, "steward runs"), first, "also after a removal");

    let said = debian.dpkg(&["--purge", "steward"]);
    assert!(said.contains("removing /var/lib/steward and everything in it"), "{said}");
    assert!(!debian.at("etc/steward").exists() && !debian.at("var/lib/steward").exists());
    say("installed, upgraded, removed, installed again and purged");
}

/// The field `n` of the line of `name` in a file with colons.
fn field<'t>(text: &'t str, name: &str, n: usize) -> &'t str {
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    line.split(':').nth(n).unwrap()
}
