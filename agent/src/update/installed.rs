//! What dpkg knows of what is installed.

use std::io;
use std::path::Path;
use std::process::Command;

/// The package that this program came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) version: String,
    pub(super) architecture: String,
}

impl Installed {
    /// Asks dpkg about the system at `root`; `None`: the program came in no package.
    ///
    /// # Errors
    /// This is no Debian.
    pub(super) fn look(root: &Path) -> io::Result<Option<Installed>> {
        let form = "--showformat=${db:Status-Status}\n${Version}\n${Architecture}";
        let told = query(root).args([form, "--show", super::package::NAME]).output()?;
        let text = String::from_utf8_lossy(&told.stdout);
        let mut lines = text.lines();
        // After an interrupted installation it may be less than installed, and there all the same.
        let is_there = lines.next().is_some_and(|s| !matches!(s, "not-installed" | "config-files"));
        let (Some(version), Some(architecture), true) = (lines.next(), lines.next(), is_there)
        else {
            return Ok(None);
        };
        Ok(Some(Installed { version: version.to_owned(), architecture: architecture.to_owned() }))
    }
}

/// `dpkg-query`, for the system at `root`. For the machine's own, its environment may name another
/// database (`DPKG_ADMINDIR`).
pub(super) fn query(root: &Path) -> Command {
    let mut query = Command::new("dpkg-query");
    if root != Path::new("/") {
        query.arg(format!("--admindir={}", root.join("var/lib/dpkg").display()));
    }
    query
}

/// Whether version `a` is older than `b`, by Debian's rules.
///
/// # Errors
/// This is no Debian.
pub(super) fn is_older(a: &str, b: &str) -> io::Result<bool> {
    Ok(Command::new("dpkg").args(["--compare-versions", a, "lt", b]).status()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_debian_does() {
        if Command::new("dpkg").arg("--version").output().is_err() {
            return;
        }
        for (older, newer) in [("0.9", "0.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0+site1")] {
            assert!(is_older(older, newer).unwrap(), "{older} {newer}");
            assert!(!is_older(newer, older).unwrap() && !is_older(newer, newer).unwrap());
        }
    }

    #[test]
    fn what_is_not_installed_is_not_there() {
        if Command::new("dpkg").arg("--version").output().is_err() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let dpkg = root.path().join("var/lib/dpkg");
        std::fs::create_dir_all(dpkg.join("info")).unwrap();
        let status = |state: &str| {
            let text = format!(
                "Package: steward\nStatus: {state}\nVersion: 1.2\nArchitecture: arm64\n\
                 Maintainer: m\nDescription: d\n"
            );
            std::fs::write(dpkg.join("status"), text).unwrap();
            Installed::look(root.path()).unwrap().map(|found| found.version)
        };
        assert_eq!(status("install ok installed").as_deref(), Some("1.2"));
        assert_eq!(status("install reinstreq half-installed").as_deref(), Some("1.2"));
        assert_eq!(status("deinstall ok config-files"), None);
    }
}
