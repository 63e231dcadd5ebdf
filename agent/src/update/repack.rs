//! The version that is installed, as a package again, so that there is a way back whatever it came in.
//!
//! Files are taken as they are now. A configuration file that somebody has changed is left out: dpkg then
//! leaves it alone and goes on knowing it as changed; packed as it is, it would count as the package's own
//! from then on, and the next version would overwrite it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::installed::query;
use super::package::NAME;

/// What dpkg keeps of a package that is made anew here, or that `dpkg-deb` makes.
const NOT_COPIED: [&str; 2] = ["list", "conffiles"];

/// Packs what is installed below `root` into `package`, working in `scratch`.
///
/// # Errors
/// A file cannot be read or written, or dpkg knows of none.
pub(super) fn repack(root: &Path, scratch: &Path, package: &Path) -> io::Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let control = scratch.join("DEBIAN");
    fs::create_dir_all(&control)?;
    for folder in [scratch, &control] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let said = ask(query(root).args(["--status", NAME]))?;
    fs::write(control.join("control"), control_of(&said))?;
    copy_scripts(&root.join("var/lib/dpkg/info"), &control)?;
    let conffiles = conffiles_of(&said);
    let mut unchanged = String::new();
    let list = root.join("var/lib/dpkg/info").join(format!("{NAME}.list"));
    for path in fs::read_to_string(list)?.lines() {
        let within = path.trim_start_matches('/');
        if within.is_empty() || within == "." {
            continue;
        }
        if let Some(sum) = conffiles.get(path) {
            if !is_unchanged(&root.join(within), sum)? {
                continue;
            }
            unchanged += &format!("{path}\n");
        }
        copy(&root.join(within), &scratch.join(within))?;
    }
    fs::write(control.join("conffiles"), unchanged)?;
    let packing = ["--root-owner-group", "-Zgzip", "--build"];
    ask(Command::new("dpkg-deb").args(packing).arg(scratch).arg(package))?;
    fs::remove_dir_all(scratch)
}

/// What a package says of itself, from what dpkg says of it once it is installed.
fn control_of(said: &str) -> String {
    let mut out = String::new();
    let mut skips = false;
    for line in said.lines() {
        if !line.starts_with(' ') {
            skips =
                ["Status:", "Conffiles:", "Config-Version:"].iter().any(|f| line.starts_with(f));
        }
        if !skips {
            out += line;
            out.push('\n');
        }
    }
    out
}

/// Every configuration file with the MD5 that it was shipped with.
fn conffiles_of(said: &str) -> BTreeMap<String, String> {
    let lines = said.lines().skip_while(|line| !line.starts_with("Conffiles:")).skip(1);
    let lines = lines.take_while(|line| line.starts_with(' '));
    let words = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    words.collect()
}

/// Whether a configuration file is as it was shipped; one that is gone is not.
fn is_unchanged(path: &Path, sum: &str) -> io::Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let said = ask(Command::new("md5sum").arg(path))?;
    Ok(said.trim_start_matches('\\').starts_with(sum))
}

fn copy_scripts(info: &Path, control: &Path) -> io::Result<()> {
    for entry in fs::read_dir(info)? {
        let path = entry?.path();
        let kind = path.file_name().and_then(|name| name.to_str());
        let kind = kind.and_then(|name| name.strip_prefix(NAME)?.strip_prefix('.'));
        if let Some(kind) = kind.filter(|kind| !NOT_COPIED.contains(kind)) {
            fs::copy(&path, control.join(kind))?;
        }
    }
    Ok(())
}

/// Copies one entry of the list; one that somebody has removed is left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(from) else {
        tracing::warn!(path = %from.display(), "a file of the installed version is gone");
        return Ok(());
    };
    if found.is_dir() {
        fs::create_dir_all(to)?;
    } else if found.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    } else {
        let folder = to.parent().map(PathBuf::from).unwrap_or_default();
        fs::create_dir_all(folder)?;
        fs::copy(from, to)?;
    }
    fs::set_permissions(to, found.permissions())
}

/// What a program says when it ends well.
pub(super) fn ask(command: &mut Command) -> io::Result<String> {
    let done = command.output()?;
    if !done.status.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(io::Error::other(format!("{name}: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Package: steward\nStatus: install ok installed\nVersion: 1.0\n\
        Conffiles:\n /etc/steward/rules/default.toml 0123 \n /etc/steward/old 4567 obsolete\n\
        Description: d\n more of it\n";

    #[test]
    fn what_only_an_installed_package_has_is_left_out() {
        assert_eq!(
            control_of(SAID),
            "Package: steward\nVersion: 1.0\nDescription: d\n more of it\n"
        );
        let conffiles = conffiles_of(SAID);
        assert_eq!(conffiles["/etc/steward/rules/default.toml"], "0123");
        assert_eq!(conffiles.len(), 2);
    }
}
