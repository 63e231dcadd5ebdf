//! Looks into the stores of a box that runs, for people at the box: the counts, and what is stored page by
//! page, in memory too. Nothing is changed by it, so it is no command and stands in no audit log.

use std::collections::BTreeMap;

use domain::output::Lane;
use domain::time::Boot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::outbox::inspect::Kept;
use crate::outbox::{Ledger, Outbox, OutboxError, Position};

/// The name of the request on the local socket.
pub const NAME: &str = "outbox";

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Of which uplink; `None`: of the first.
    pub uplink: Option<String>,
    /// From where on; `None`: the counts.
    pub page: Option<(Lane, Position)>,
}

/// The counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counts {
    /// The boot.
    pub boot: Boot,
    /// By lane, highest first.
    pub lanes: Vec<LaneCounts>,
}

/// The counts of a lane.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LaneCounts {
    /// What became of its messages.
    pub ledger: Ledger,
    /// Messages in memory only.
    pub in_memory: u64,
    /// Readings gathered for a message that has no number yet.
    pub gathering: u64,
}

/// Every store of a box.
#[derive(Debug, Clone)]
pub struct Stores {
    first: Outbox,
    others: BTreeMap<String, Outbox>,
}

impl Stores {
    /// The first one, and the others by the names of their uplinks.
    #[must_use]
    pub fn new(first: Outbox, others: BTreeMap<String, Outbox>) -> Stores {
        Stores { first, others }
    }

    /// Answers what is asked in `payload`: `{"ok":true,"result":…}`, or why not.
    pub(super) async fn answer(&self, payload: Value) -> Value {
        let no =
            |code: &str, msg: String| json!({"ok": false, "error": {"code": code, "msg": msg}});
        let ask: Ask = match serde_json::from_value(payload) {
            Ok(ask) => ask,
            Err(error) => return no("invalid", error.to_string()),
        };
        let outbox = match &ask.uplink {
            None => &self.first,
            Some(name) => match self.others.get(name) {
                Some(outbox) => outbox,
                None => return no("invalid", format!("no uplink called {name:?} runs")),
            },
        };
        let result = match ask.page {
            None => counts(outbox).await.map(|counts| json!(counts)),
            Some((lane, from)) => outbox.page(lane, from).await.map(|kept: Vec<Kept>| json!(kept)),
        };
        match result {
            Ok(result) => json!({"ok": true, "result": result}),
            Err(error) => no("store", error.to_string()),
        }
    }
}

async fn counts(outbox: &Outbox) -> Result<Counts, OutboxError> {
    let stats = outbox.stats().await?;
    let lanes = stats.lanes.into_iter().map(|lane| {
        let mut ledger = lane.ledger;
        // What is settled is only still there to be deleted.
        ledger.stored = ledger.stored.saturating_sub(lane.settled);
        ledger.acknowledged += lane.settled;
        LaneCounts { ledger, in_memory: lane.in_memory, gathering: lane.gathering }
    });
    Ok(Counts { boot: stats.boot, lanes: lanes.collect() })
}
