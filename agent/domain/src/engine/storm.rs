//! Many silent devices that are one problem: the source they all speak through.

use super::*;
use crate::rules::{Condition, Edge, Evidence, Finding};

impl Engine {
    /// Takes a finding: a silence that the whole source shares is about the source.
    pub(super) fn take_finding(&mut self, finding: Finding, out: &mut Outputs) {
        let silent = matches!(self.site.rules[finding.rule].when, Condition::Silent { .. });
        let news = match self.silent_source(&finding).filter(|_| silent) {
            Some(source) => {
                self.silent.insert(source.clone());
                let evidence = finding.evidence.into_iter();
                let named =
                    |e: Evidence| Evidence { text: format!("{}: {}", finding.asset, e.text), ..e };
                let evidence = evidence.map(named).collect();
                self.desk.source_silent(&self.site, &source, evidence, finding.at)
            }
            None => {
                let rule = &self.site.rules[finding.rule];
                self.desk.find(&self.site, rule, finding)
            }
        };
        self.spread(news, out);
    }

    /// The source of a silent asset, if it has several and all of them have been silent for at least
    /// half of the time that this one has.
    fn silent_source(&self, finding: &Finding) -> Option<SourceName> {
        let policy = &self.site.tickets;
        if finding.edge != Edge::Raise || policy.storm_from == 0 {
            return None;
        }
        let [feed] = self.site.assets[&finding.asset].feeds.as_slice() else { return None };
        let heard = |key: &AssetKey| {
            let heard = self.assets.get(key).and_then(Watched::heard);
            // What was heard before this start counts from the start: the box itself was deaf before.
            heard.filter(|h| h.is_of_boot(self.started.boot)).unwrap_or(self.started)
        };
        let own = finding.at.since(heard(&finding.asset));
        let from_source = self.feeds.iter().filter(|(other, _)| other.source == feed.source);
        let mut devices = 0u32;
        for (_, key) in from_source {
            devices += 1;
            if finding.at.since(heard(key)).saturating_mul(2) < own {
                return None;
            }
        }
        (devices >= policy.storm_from).then(|| feed.source.clone())
    }

    /// A device was heard: its source is not silent as a whole any more. Those that stay silent are
    /// found one by one, when each of them has been silent for its time again.
    pub(super) fn hear_source(&mut self, source: &SourceName, now: Now, out: &mut Outputs) {
        if !self.silent.remove(source) {
            return;
        }
        let news = self.desk.source_heard(&self.site, source, now);
        self.spread(news, out);
        let devices = self.feeds.iter().filter(|(feed, _)| feed.source == *source);
        let keys: Vec<AssetKey> = devices.map(|(_, key)| key.clone()).collect();
        for key in keys {
            let due = self.assets[&key].due();
            let seen = self.rules.listen_anew(&self.site, &key, due, now);
            self.conclude(&key, seen, out);
        }
    }
}
