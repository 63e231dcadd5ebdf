//! JSON over HTTP: documents that are sent to the box's own web server, or asked for.
//!
//! A document that is sent is answered after its samples are on disk, so that the sender keeps what is
//! not. One that is asked for comes again by itself: the sender knows only its present, so nothing is
//! lost by asking late. How documents are read is the mapping's business.

mod ask;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::decode::json::JsonMap;
use domain::ids::SourceName;
use tokio::sync::mpsc;

use super::broker::{Forgetful, Make, consume};
use super::intake::{Intake, Stopped};
use super::{Context, Inbox};
use crate::config::{HttpWay, JsonHttp, Secret, Source, SourceKind};
use crate::mqtt::inbound::Delivery;

/// Documents on their way from the web server to a source. Full: the sender waits for its answer.
const DOCUMENTS_MAX: usize = 16;

/// Where the web server puts documents for a source.
#[derive(Debug, Clone)]
pub struct Inlet {
    /// What the sender must show.
    pub token: Option<Secret>,
    /// The way to the source. Each is told once it is safe; dropped without a word, it is not.
    pub documents: mpsc::Sender<Delivery>,
}

/// The inlets of a box, by the names of their sources.
pub type Inlets = Arc<BTreeMap<String, Inlet>>;

/// One inlet for each source that documents are sent to; its other end goes into the source's inbox.
#[must_use]
pub fn inlets(sources: &[Source], inboxes: &mut BTreeMap<SourceName, Inbox>) -> Inlets {
    let mut inlets = BTreeMap::new();
    for source in sources {
        let SourceKind::HttpJson(JsonHttp { way: HttpWay::Push { token }, .. }) = &source.kind
        else {
            continue;
        };
        let (documents, receiver) = mpsc::channel(DOCUMENTS_MAX);
        inlets.insert(source.name.to_string(), Inlet { token: token.clone(), documents });
        inboxes.entry(source.name.clone()).or_default().documents = Some(receiver);
    }
    Arc::new(inlets)
}

/// Takes documents until the box stops.
pub(super) async fn run(
    settings: JsonHttp,
    sent: Option<mpsc::Receiver<Delivery>>,
    context: Context,
) {
    let JsonHttp { way, layout } = settings;
    match (way, sent) {
        (HttpWay::Push { .. }, Some(sent)) => {
            let name = context.name.clone();
            let make: Make = Box::new(move || Box::new(JsonMap::new(name.clone(), layout.clone())));
            let mut intake = Intake::new(Forgetful::new(make), context.clone());
            intake.gate().connected();
            tokio::select! {
                () = context.stop.cancelled() => {}
                Stopped = consume(sent, intake) => {}
            }
        }
        // Without a web server nothing is sent.
        (HttpWay::Push { .. }, None) => {
            context.status.send_modify(|status| {
                status.trouble = Some("the web server is switched off".to_owned());
            });
        }
        (HttpWay::Poll(poll), _) => {
            let decoder = JsonMap::new(context.name.clone(), layout);
            ask::run(poll, Intake::new(decoder, context.clone()), &context).await;
        }
    }
    context.stop.cancelled().await;
}

#[cfg(test)]
mod tests;
