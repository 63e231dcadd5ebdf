//! Finds the recorded sensor data.
//!
//! Logs of real receivers, messages of real network servers and test vectors of real devices are too
//! large and under too many licences to live in this repository. They are looked for in the directory
//! that `STEWARD_DATA` names, and without it in `shared/data` beside the repository. A test that does
//! not find its set says so on stderr and ends well: a checkout alone must pass.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory of one data set, such as `gnss_drives`. `None` when it is not there; that has then
/// been said, and the test should return.
#[must_use]
pub fn set(name: &str) -> Option<PathBuf> {
    let root = root();
    let set = root.join(name);
    if set.is_dir() {
        return Some(set);
    }
    say(&format!(
        "SKIPPED: no data set {name} in {}; set STEWARD_DATA to the directory that holds it",
        root.display()
    ));
    None
}

/// Tells the person at the terminal, also from a test that passes: the test harness holds back what
/// such a test prints.
///
/// # Panics
/// Nobody is there to be told: stderr is closed.
pub fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("stderr takes a line");
}

/// A file of a set, whole.
///
/// # Panics
/// The file is not there or cannot be read: the set is incomplete.
#[must_use]
pub fn read(set: &Path, file: &str) -> Vec<u8> {
    let path = set.join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A text file of a set, whole.
///
/// # Panics
/// As [`read`], and when the file is not UTF-8.
#[must_use]
pub fn text(set: &Path, file: &str) -> String {
    String::from_utf8(read(set, file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> PathBuf {
    if let Some(named) = env::var_os("STEWARD_DATA") {
        return PathBuf::from(named);
    }
    // This package lies one level below the root of the repository.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_not_there_is_none() {
        assert_eq!(set("no-such-set"), None);
    }
}
