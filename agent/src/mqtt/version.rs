//! Which version of the protocol the next connection speaks: MQTT 5 first, 3.1.1 where there is no other.
//!
//! Pure. A broker that knows only 3.1.1 says so (CONNACK 0x01 or 0x84), or says something that MQTT 5
//! cannot read, or hangs up without a word, as a sick broker does too. So 3.1.1 is tried after
//! [`UNANSWERED_MAX`] tries without an answer, and kept once a broker has accepted it.

use super::dialect::CutKind;
use crate::config::Version;

/// Tries of a version without an answer before the other is tried, for a broker that has accepted none.
const UNANSWERED_MAX: u32 = 2;

/// What is known of a broker's versions. Remembered as long as the box runs.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    /// The settings allow no other.
    only: Option<Version>,
    next: Version,
    /// A connection with `next` was accepted.
    proven: bool,
    unanswered: u32,
}

impl Versions {
    /// `only`: what the settings say; `None`: whatever the broker speaks.
    pub(super) fn new(only: Option<Version>) -> Versions {
        let next = only.unwrap_or(Version::V5);
        Versions { only, next, proven: false, unanswered: 0 }
    }

    /// What the next connection is to speak.
    pub(super) fn next(&self) -> Version {
        self.next
    }

    /// The broker has accepted a connection.
    pub(super) fn accepted(&mut self) {
        self.proven = true;
        self.unanswered = 0;
    }

    /// The broker has accepted a connection that is of no use in this version.
    pub(super) fn useless(&mut self) {
        self.proven = false;
        self.change();
    }

    /// A connection ended without having been accepted.
    pub(super) fn refused(&mut self, kind: CutKind) {
        match kind {
            // A broker that was replaced by an older one, or by a newer that knows no older version.
            CutKind::WrongVersion => {
                self.proven = false;
                self.change();
            }
            CutKind::Unanswered if !self.proven => {
                self.unanswered += 1;
                if self.unanswered >= UNANSWERED_MAX {
                    self.change();
                }
            }
            CutKind::Unanswered | CutKind::Denied | CutKind::Other => {}
        }
    }

    fn change(&mut self) {
        self.unanswered = 0;
        self.next = self.only.unwrap_or(match self.next {
            Version::V5 => Version::V311,
            Version::V311 => Version::V5,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_version_changes_it_at_once_and_what_was_accepted_stays() {
        let mut versions = Versions::new(None);
        assert_eq!(versions.next(), Version::V5);
        versions.refused(CutKind::WrongVersion);
        assert_eq!(versions.next(), Version::V311);
        versions.accepted();
        for _ in 0..10 {
            versions.refused(CutKind::Unanswered);
            versions.refused(CutKind::Other);
            assert_eq!(versions.next(), Version::V311);
        }
        versions.refused(CutKind::WrongVersion);
        assert_eq!(versions.next(), Version::V5);
    }

    #[test]
    fn a_broker_that_never_answers_is_asked_both_ways_in_turn() {
        let mut versions = Versions::new(None);
        let mut asked = vec![];
        for _ in 0..8 {
            asked.push(versions.next() == Version::V5);
            versions.refused(CutKind::Unanswered);
        }
        assert_eq!(asked, [true, true, false, false, true, true, false, false]);
    }

    #[test]
    fn a_broker_that_is_away_says_nothing_about_versions() {
        let mut versions = Versions::new(None);
        for _ in 0..50 {
            versions.refused(CutKind::Other);
            assert_eq!(versions.next(), Version::V5);
        }
    }

    #[test]
    fn what_the_settings_demand_is_never_changed() {
        for only in [Version::V5, Version::V311] {
            let mut versions = Versions::new(Some(only));
            for kind in [CutKind::WrongVersion, CutKind::Unanswered, CutKind::Other] {
                versions.refused(kind);
                versions.refused(kind);
                assert_eq!(versions.next(), only);
            }
            versions.useless();
            assert_eq!(versions.next(), only);
        }
    }

    #[test]
    fn a_version_that_is_of_no_use_there_is_left() {
        let mut versions = Versions::new(None);
        versions.accepted();
        versions.useless();
        assert_eq!(versions.next(), Version::V311);
    }
}
