//! What is wrong with a configuration: where, why, and what to do about it.
//!
//! Faults are collected, never returned one by one, so that a person mends a file in one go.

use std::fmt;

/// Where in which file. Line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which file, counted in the order of reading; faults are sorted by it.
    pub(super) file_number: usize,
    /// Line.
    pub line: usize,
    /// Column.
    pub col: usize,
    /// The file as it was named on the command line or by the `include` that led to it.
    pub file: String,
}

#[cfg(test)]
impl Place {
    /// For what was read from no file.
    pub(crate) const fn nowhere() -> Place {
        Place { file_number: 0, line: 1, col: 1, file: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.col)
    }
}

/// Whether a fault stops the box from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It does.
    Error,
    /// It does not, but is most likely not what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// How bad.
    pub level: Level,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "",
            Level::Warning => "warning: ",
        };
        write!(f, "{}: {level}{}\n    {}", self.place, self.cause, self.fix)
    }
}

/// Everything that is wrong with a configuration, sorted by place; the main file first, then what it
/// includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl From<Vec<Fault>> for Faults {
    fn from(mut faults: Vec<Fault>) -> Faults {
        faults.sort();
        faults.dedup();
        Faults(faults)
    }
}

impl Faults {
    /// All of them, sorted by place.
    #[must_use]
    pub fn all(&self) -> &[Fault] {
        &self.0
    }

    /// How many are of `level`.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|fault| fault.level == level).count()
    }

    /// The faults themselves.
    #[must_use]
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

/// One block each, then the count.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        let counted = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
        let errors = counted(self.count(Level::Error), "fault");
        let warnings = counted(self.count(Level::Warning), "warning");
        write!(f, "{errors}, {warnings}")
    }
}

impl std::error::Error for Faults {}

/// The word of `known` that `word` was most likely meant to be; `None` when none is near enough.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let near = |k: &str| strsim::damerau_levenshtein(&word, &plain(k));
    let (distance, best) = known.into_iter().map(|k| (near(k), k)).min()?;
    let allowed = match best.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    (distance <= allowed).then_some(best)
}

/// The fix for a word that is none of `known`.
pub(super) fn did_you_mean<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> String {
    if let Some(best) = nearest(word, known.clone()) {
        return format!("did you mean {best:?}?");
    }
    let mut known = known.into_iter().peekable();
    if known.peek().is_none() {
        return "there are none".to_owned();
    }
    format!("there are: {}", known.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let known = ["device", "baud", "kind", "name", "url"];
        let cases = [
            ("devcie", Some("device")),
            ("Device", Some("device")),
            ("buad", Some("baud")),
            ("uri", Some("url")),
            ("x", None),
            ("position", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest("stale-after", ["stale_after"]), Some("stale_after"));
        assert_eq!(nearest("any", []), None);
    }

    #[test]
    fn without_a_near_word_all_are_listed() {
        assert_eq!(did_you_mean("devcie", ["device"]), "did you mean \"device\"?");
        assert_eq!(did_you_mean("position", ["a", "b"]), "there are: a, b");
        assert_eq!(did_you_mean("position", []), "there are none");
    }
}
