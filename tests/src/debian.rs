//! A Debian system in a folder, just enough of one for dpkg, and packages of this program for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::say;
use crate::program;

/// What the system says it has: what the package needs, and cannot get here.
const INSTALLED: [&str; 5] = ["libc6", "libgcc-s1", "systemd", "tzdata", "ca-certificates"];

/// A package that was made.
#[derive(Debug)]
pub struct Packed {
    /// Where it is.
    pub path: PathBuf,
}

impl Packed {
    /// The program that the tests run, packed into `dir` as it is for a box, without what only a debugger
    /// reads. `None` when something is missing for it, which has then been said.
    ///
    /// # Panics
    /// It cannot be packed.
    #[must_use]
    pub fn of_the_program(dir: &Path) -> Option<Packed> {
        fs::create_dir_all(dir).expect("a folder can be made");
        let lean = dir.join("program");
        let strip = Command::new("strip").arg("-o").arg(&lean).arg(program::path()).status();
        if !strip.is_ok_and(|done| done.success()) {
            say("SKIPPED: strip is not installed (apt-get install binutils)");
            return None;
        }
        pack(&lean, dir, None)
    }

    /// A package of `version` whose program is a line of shell that runs the one that the tests run: small.
    /// As [`Packed::of_the_program`].
    ///
    /// # Panics
    /// It cannot be packed.
    #[must_use]
    pub fn of_a_stand_in(dir: &Path, version: &str) -> Option<Packed> {
        let program = dir.join("program");
        fs::create_dir_all(dir).expect("a folder can be made");
        write_program(&program, &format!("exec {} \"$@\"", program::path().display()));
        pack(&program, dir, Some(version))
    }

    /// Another one of `version` in `dir`, with what `alter` does to its files. As
    /// [`Packed::of_the_program`].
    ///
    /// # Panics
    /// It cannot be packed.
    #[must_use]
    pub fn altered(&self, dir: &Path, version: &str, alter: impl FnOnce(&Path)) -> Option<Packed> {
        fs::create_dir_all(dir).expect("a folder can be made");
        let root = dir.join("unpacked");
        output(Command::new("dpkg-deb").arg("-R").arg(&self.path).arg(&root));
        let control = root.join("DEBIAN/control");
        let text = fs::read_to_string(&control).expect("every package has one");
        let lines = text.lines().map(|line| match line.split_once(": ") {
            Some(("Version", _)) => format!("Version: {version}\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&control, lines.collect::<String>()).expect("it can be written");
        alter(&root);
        let path = dir.join(format!("steward_{version}.deb"));
        let packing = ["--root-owner-group", "-Znone", "--build"];
        output(Command::new("dpkg-deb").args(packing).arg(&root).arg(&path));
        fs::remove_dir_all(root).expect("it is ours");
        Some(Packed { path })
    }
}

/// A program that is a shell script of these lines.
///
/// # Panics
/// It cannot be written.
pub fn write_program(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).expect("a program can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

fn pack(program: &Path, dir: &Path, version: Option<&str>) -> Option<Packed> {
    let architecture = architecture()?;
    let packing = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/deb");
    let mut packing = Command::new(packing);
    packing.arg(architecture).arg(program).arg(dir).env("COMPRESS", "none");
    if let Some(version) = version {
        packing.env("VERSION", version);
    }
    let said = output(&mut packing);
    Some(Packed { path: PathBuf::from(said.trim()) })
}

/// Debian's name of this machine; `None` when this is no Debian, which has then been said.
#[must_use]
pub fn architecture() -> Option<String> {
    let Ok(told) = Command::new("dpkg").arg("--print-architecture").output() else {
        say("SKIPPED: dpkg is not installed");
        return None;
    };
    Some(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

/// A system below a folder.
#[derive(Debug)]
pub struct Debian {
    root: PathBuf,
    /// Whether dpkg runs as root, and not under fakeroot.
    is_root: bool,
}

impl Debian {
    /// An empty system at `root`. `None` when something is missing for it, which has then been said.
    ///
    /// # Panics
    /// Its files cannot be written.
    #[must_use]
    pub fn new(root: &Path) -> Option<Debian> {
        let architecture = architecture()?;
        for tool in ["systemd-sysusers", "systemd-tmpfiles", "fakeroot"] {
            if Command::new(tool).arg("--version").output().is_err() {
                say(&format!(
                    "SKIPPED: {tool} is not installed (apt-get install systemd fakeroot)"
                ));
                return None;
            }
        }
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "usr/bin", "tmp"] {
            fs::create_dir_all(root.join(dir)).expect("a folder can be made");
        }
        let stanza = |name: &&str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nVersion: 999\nArchitecture: {architecture}\n\
                 Maintainer: nobody\nDescription: here in name only\n\n"
            )
        };
        let status: String = INSTALLED.iter().map(stanza).collect();
        fs::write(root.join("var/lib/dpkg/status"), status).expect("it can be written");
        for name in INSTALLED {
            let list = root.join(format!("var/lib/dpkg/info/{name}.list"));
            fs::write(list, "/.\n").expect("it can be written");
        }
        // As in every Debian (base-passwd).
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("as above");
        fs::write(root.join("etc/group"), "root:x:0:\ndialout:x:20:\nvideo:x:44:\n")
            .expect("as above");
        let id = output(Command::new("id").arg("-u"));
        Some(Debian { root: root.to_owned(), is_root: id.trim() == "0" })
    }

    /// A place in it.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether files belong to whom they are given to.
    #[must_use]
    pub fn keeps_owners(&self) -> bool {
        self.is_root
    }

    /// Runs dpkg on it; gives what it said.
    ///
    /// # Panics
    /// dpkg fails.
    pub fn dpkg(&self, args: &[&str]) -> String {
        let mut dpkg = match self.is_root {
            true => Command::new("dpkg"),
            false => Command::new("fakeroot"),
        };
        if !self.is_root {
            dpkg.arg("dpkg");
        }
        dpkg.arg(format!("--root={}", self.root.display())).arg("--force-script-chrootless");
        // What an update does by itself must not ask anybody.
        dpkg.args(["--force-confold", "--force-not-root"]).args(args);
        output(&mut dpkg)
    }

    /// Installs a package; gives what was said.
    ///
    /// # Panics
    /// dpkg fails.
    pub fn install(&self, package: &Path) -> String {
        self.dpkg(&["--install", &package.display().to_string()])
    }

    /// The version that is installed.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let admin = format!("--admindir={}", self.at("var/lib/dpkg").display());
        let mut query = Command::new("dpkg-query");
        let told = query.args([&admin, "-W", "-f=${Version}", "steward"]).output().ok()?;
        told.status.success().then(|| String::from_utf8_lossy(&told.stdout).into_owned())
    }
}

/// What a program says when it ends well, on both ways.
///
/// # Panics
/// It does not.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {out}{err}");
    if out.is_empty() { err.into_owned() } else { out.into_owned() }
}
