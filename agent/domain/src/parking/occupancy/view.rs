//! A bay as it is published.

use serde::Serialize;

use super::{Occupancy, Status};
use crate::ids::PermitId;
use crate::parking::session::SessionQuality;
use crate::sample::NoData;
use crate::time::Utc;

/// The published state of a bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BayState {
    status: Status,
    since: Option<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NoData>,
    /// 100: every sensor says so; 50: the sensors contradict each other; 0: unknown.
    confidence: u8,
    session: Option<SessionView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct SessionView {
    start: Utc,
    quality: SessionQuality,
    #[serde(skip_serializing_if = "Option::is_none")]
    permit: Option<PermitId>,
}

impl Occupancy {
    /// What is published.
    #[must_use]
    pub fn view(&self) -> BayState {
        let confidence = match self.status {
            Status::Unknown => 0,
            _ if self.contested.is_some() => 50,
            _ => 100,
        };
        let session = self.session.as_ref().map(|s| SessionView {
            start: s.start.utc,
            quality: s.quality,
            permit: self.permit.clone(),
        });
        let since = self.since.map(|m| m.utc);
        BayState { status: self.status, since, reason: self.reason, confidence, session }
    }
}
