//! What people and cameras say: which problem it is, and whether it is known already.
//!
//! A report about an asset is about that asset. One that only has a place is about the nearest asset of
//! the category's class inside the category's radius; else it is the problem of the same category that
//! was reported inside that radius; else it is a new one. Places are compared in one datum.

use serde_json::{Map, Value};

use super::desk::{Desk, Problem};
use super::news::News;
use super::ticket::{Witness, WitnessKind};
use crate::commands::Report;
use crate::ids::{AssetKey, Category, Requester, SourceName};
use crate::place::{Datum, Position};
use crate::rules::{Evidence, Severity};
use crate::sightings::{Change, Sighting, Subject};
use crate::site::Site;
use crate::time::Now;

/// Problems that are only known by their place, all categories together. More are refused: somebody
/// must look at those that are there.
const PLACES_MAX: usize = 2000;

/// Why a report was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untaken {
    #[error("no asset {0}")]
    NoAsset(AssetKey),
    #[error("the report says neither at which asset nor where")]
    Nowhere,
    #[error("{PLACES_MAX} places are waiting already: close some of their tickets")]
    Full,
}

impl Desk {
    /// Takes what somebody says.
    pub(crate) fn report(
        &mut self,
        site: &Site,
        report: &Report,
        by: &Requester,
        now: Now,
    ) -> Result<(News, Map<String, Value>), Untaken> {
        let place = report.place.map(Position::to_wgs84);
        let asset = match &report.asset {
            Some(key) if site.assets.contains_key(key) => Some(key.clone()),
            Some(key) => return Err(Untaken::NoAsset(key.clone())),
            None => place.and_then(|place| nearest(site, &report.category, place)),
        };
        let key = match (&asset, place) {
            (Some(asset), _) => format!("{}:{asset}", report.category),
            (None, Some(place)) => self.key_near(site, &report.category, place)?,
            (None, None) => return Err(Untaken::Nowhere),
        };
        let stands = asset.as_ref().and_then(|asset| site.assets[asset].position);
        let problem = Problem {
            key: key.clone(),
            category: report.category.clone(),
            severity: report.severity.unwrap_or(Severity::Medium),
            asset,
            place: stands.or(place),
            rule: None,
            evidence: vec![],
            witness: witness(report, by, now),
            at: now,
        };
        let known = self.latest(&key).is_some_and(|t| t.state.is_open());
        let news = self.raise(site, problem);
        let ticket = self.latest(&key).expect("what was raised is there");
        let mut result = Map::new();
        result.insert("ticket".into(), Value::String(ticket.ticket_id.to_string()));
        result.insert("state".into(), Value::String(ticket.state.to_string()));
        result.insert("rev".into(), Value::from(ticket.rev));
        result.insert("known".into(), Value::Bool(known));
        Ok((news, result))
    }

    /// The problem at a place: a known one inside the radius, or a new one.
    fn key_near(
        &self,
        site: &Site,
        category: &Category,
        place: Position,
    ) -> Result<String, Untaken> {
        let prefix = format!("{category}:@");
        let radius = radius(site, category);
        let known = self.with_prefix(&prefix).filter_map(|ticket| {
            let metres = ticket.place?.to_wgs84().distance_m(place)?;
            (metres <= radius).then_some((metres, ticket.key.clone()))
        });
        let nearest = known.min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, key)) = nearest {
            return Ok(key);
        }
        if self.places() >= PLACES_MAX {
            return Err(Untaken::Full);
        }
        Ok(format!("{prefix}{:.5},{:.5}", place.lat(), place.lon()))
    }

    /// Takes what a camera finds by itself.
    ///
    /// What is over for the camera ends nothing that a sensor or a person says as well: they see more of
    /// it, or something else.
    pub(crate) fn sight(
        &mut self,
        site: &Site,
        sighting: &Sighting,
        now: Now,
    ) -> Result<News, Untaken> {
        let Sighting { source, category, subject, change, .. } = sighting;
        let (asset, place) = about(site, subject)?;
        let key = match (&asset, place) {
            (Some(asset), _) => format!("{category}:{asset}"),
            (None, Some(place)) => self.key_near(site, category, place)?,
            (None, None) => format!("{category}:camera/{source}"),
        };
        let seen = match change {
            Change::Begins(seen) => seen,
            Change::Over => {
                let sources = self.latest(&key).map(|ticket| ticket.sources.as_slice());
                let alone = sources.unwrap_or_default().iter().all(|w| w.by == sighting.by());
                let evidence = vec![sighting.evidence(now)];
                return Ok(if alone {
                    self.clear(site, &key, evidence, now)
                } else {
                    News::default()
                });
            }
        };
        let problem = Problem {
            key,
            category: category.clone(),
            severity: sighting.severity,
            asset,
            place,
            rule: None,
            evidence: vec![sighting.evidence(now)],
            witness: Witness {
                kind: WitnessKind::Camera,
                by: sighting.by(),
                at: now.utc,
                confidence: seen.confidence.min(100),
                text: None,
                media: seen.media.clone(),
                seen: seen.look.clone().map(Box::new),
            },
            at: now,
        };
        Ok(self.raise(site, problem))
    }

    /// A source is silent as a whole: one ticket about it, whatever number of devices it has.
    pub(crate) fn source_silent(
        &mut self,
        site: &Site,
        source: &SourceName,
        evidence: Vec<Evidence>,
        now: Now,
    ) -> News {
        let problem = Problem {
            key: source_key(source),
            category: Category::new(SOURCE_FAULT).expect("a symbol"),
            severity: Severity::High,
            asset: None,
            place: None,
            rule: None,
            evidence,
            witness: Witness {
                kind: WitnessKind::Sensor,
                by: source.to_string(),
                at: now.utc,
                confidence: WitnessKind::Sensor.confidence(),
                text: None,
                media: None,
                seen: None,
            },
            at: now,
        };
        self.raise(site, problem)
    }

    /// A source that was silent as a whole is heard again.
    pub(crate) fn source_heard(&mut self, site: &Site, source: &SourceName, now: Now) -> News {
        let text = format!("source {source} is heard again");
        let evidence = Evidence::text(now, "silent", text);
        self.clear(site, &source_key(source), vec![evidence], now)
    }

    /// The sources that are silent as a whole, as far as anybody knows.
    pub(crate) fn silent_sources(&self) -> impl Iterator<Item = SourceName> {
        let of_source = self.with_prefix(SOURCE_PREFIX);
        of_source
            .filter(|ticket| ticket.state.is_open() && !ticket.cleared_by_sensor)
            .filter_map(|ticket| SourceName::new(ticket.key.strip_prefix(SOURCE_PREFIX)?).ok())
    }
}

const SOURCE_FAULT: &str = "gateway_fault";
const SOURCE_PREFIX: &str = "gateway_fault:source/";

fn source_key(source: &SourceName) -> String {
    format!("{SOURCE_PREFIX}{source}")
}

/// The asset that a sighting is about, and where it is; neither for a camera.
fn about(site: &Site, subject: &Subject) -> Result<(Option<AssetKey>, Option<Position>), Untaken> {
    match subject {
        Subject::Asset(key) => {
            let asset = site.assets.get(key).ok_or_else(|| Untaken::NoAsset(key.clone()))?;
            Ok((Some(key.clone()), asset.position))
        }
        Subject::Place(place) => Ok((None, Some(place.to_wgs84()))),
        Subject::Camera => Ok((None, None)),
    }
}

fn radius(site: &Site, category: &Category) -> f64 {
    site.tickets.categories.get(category).map_or(0.0, |spec| f64::from(spec.radius_m))
}

/// The nearest asset that the report can be about.
fn nearest(site: &Site, category: &Category, place: Position) -> Option<AssetKey> {
    let class = site.tickets.categories.get(category)?.class?;
    let radius = radius(site, category);
    let assets = site.assets.iter().filter(|(key, _)| key.class == class);
    let near = assets.filter_map(|(key, asset)| {
        let metres = asset.position?.to_datum(Datum::Wgs84).distance_m(place)?;
        (metres <= radius).then_some((metres, key))
    });
    near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key.clone())
}

fn witness(report: &Report, by: &Requester, now: Now) -> Witness {
    Witness {
        kind: report.witness,
        by: report.from.clone().unwrap_or_else(|| by.to_string()),
        at: now.utc,
        confidence: report.confidence.unwrap_or_else(|| report.witness.confidence()).min(100),
        text: report.text.clone(),
        media: report.media.clone(),
        seen: None,
    }
}
