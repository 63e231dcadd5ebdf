//! `cmd/report`: somebody, or a camera, says that there is a problem.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NOTE_MAX;
use crate::ids::{AssetKey, Category};
use crate::place::{Datum, Position};
use crate::rules::Severity;
use crate::tickets::WitnessKind;

/// What somebody says is a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What kind.
    pub category: Category,
    /// At which asset, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetKey>,
    /// Where, if not at an asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Position>,
    /// Who says so.
    pub witness: WitnessKind,
    /// Which camera, or the tracking number of a citizen; without it, the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How sure, in percent; without it, as such witnesses are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// How bad; without it, medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A photo: where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportArgs {
    category: Category,
    #[serde(default)]
    asset: Option<AssetKey>,
    #[serde(default)]
    place: Option<PlaceArgs>,
    witness: WitnessKind,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    confidence: Option<u8>,
    #[serde(default)]
    severity: Option<Severity>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    media: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceArgs {
    lat: f64,
    lon: f64,
    #[serde(default)]
    datum: Datum,
}

pub(super) fn read(args: Value) -> Result<Report, String> {
    let args: ReportArgs = serde_json::from_value(args).map_err(|e| {
        format!(
            "args of cmd/report: {e}; they are {{\"category\",\"witness\",\"asset\"?,\"place\"?,\
             \"confidence\"?,\"severity\"?,\"text\"?,\"media\"?,\"from\"?}}"
        )
    })?;
    let place = args.place.map(|p| Position::from_degrees(p.lat, p.lon, p.datum)).transpose();
    let place = place.map_err(|e| format!("args of cmd/report: place: {e}"))?;
    let long = |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > NOTE_MAX);
    if long(&args.text) || long(&args.media) || long(&args.from) {
        return Err(format!("args of cmd/report: a text is longer than {NOTE_MAX} bytes"));
    }
    if args.asset.is_none() && place.is_none() {
        return Err("args of cmd/report: say at which asset, or where: place".to_owned());
    }
    if args.confidence.is_some_and(|c| c > 100) {
        return Err("args of cmd/report: confidence is 0 to 100".to_owned());
    }
    Ok(Report {
        category: args.category,
        asset: args.asset,
        place,
        witness: args.witness,
        from: args.from,
        confidence: args.confidence,
        severity: args.severity,
        text: args.text,
        media: args.media,
    })
}
