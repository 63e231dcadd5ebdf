//! `POST /in/<source>`: documents for sources of kind `http-json`.
//!
//! Answered once what the document says is on disk, so that a sender that is told otherwise, or nothing,
//! keeps it. Does not read documents beyond asking whether they are JSON.
//!
//! | answer | meaning |
//! |---|---|
//! | 204 | it is safe here |
//! | 400 | it is no JSON; sending it again would not help |
//! | 401 | the token is missing or wrong |
//! | 404 | no source of that name takes documents |
//! | 408 | it did not come whole in time |
//! | 413 | it is too long |
//! | 503 | it could not be stored, or too many are being sent; send it again later |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::post;
use domain::decode::json::DOCUMENT_MAX;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::files::plain;
use crate::config::Secret;
use crate::mqtt::inbound::Delivery;
use crate::sources::http_json::{Inlet, Inlets};

/// Documents that are being sent at once. More are refused: each may be as long as a document can be.
const SENDERS_MAX: usize = 16;
/// The longest time that a document may take to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// The longest time that it may take to be stored.
const STORE_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Shared {
    inlets: Arc<BTreeMap<String, Inlet>>,
    places: Arc<Semaphore>,
}

/// The route.
pub(super) fn routes(inlets: Inlets) -> Router {
    let shared = Shared { inlets, places: Arc::new(Semaphore::new(SENDERS_MAX)) };
    Router::new().route("/in/{source}", post(take)).with_state(shared)
}

async fn take(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let Some(inlet) = shared.inlets.get(&source) else {
        let words = "No source of that name takes documents; see docs/sources.md, http-json.\n";
        return plain(StatusCode::NOT_FOUND, words);
    };
    if inlet.token.as_ref().is_some_and(|token| !shows(&headers, token)) {
        return plain(StatusCode::UNAUTHORIZED, "Show the token: Authorization: Bearer …\n");
    }
    let Ok(_place) = shared.places.try_acquire() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "Too many are sending; come again.\n");
    };
    let document = match timeout(ARRIVE_WITHIN, to_bytes(body, DOCUMENT_MAX)).await {
        Ok(Ok(document)) => document,
        Ok(Err(_)) => {
            let words = format!("The document is longer than {DOCUMENT_MAX} bytes or broke off.\n");
            return plain(StatusCode::PAYLOAD_TOO_LARGE, words);
        }
        Err(_) => {
            return plain(StatusCode::REQUEST_TIMEOUT, "The document did not arrive whole.\n");
        }
    };
    hand_over(inlet, format!("in/{source}"), document).await
}

async fn hand_over(inlet: &Inlet, topic: String, document: Bytes) -> Response<Body> {
    let is_json = serde_json::from_slice::<IgnoredAny>(&document);
    let (done, safe) = oneshot::channel();
    let delivery =
        Delivery { topic, payload: document.to_vec(), retain: false, response: None, done };
    let stored = timeout(STORE_WITHIN, async {
        inlet.documents.send(delivery).await.is_ok() && safe.await.is_ok()
    });
    match (stored.await, is_json) {
        (Ok(true), Ok(IgnoredAny)) => plain(StatusCode::NO_CONTENT, ""),
        (Ok(true), Err(error)) => {
            plain(StatusCode::BAD_REQUEST, format!("The document is no JSON: {error}\n"))
        }
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "It could not be stored; send it again.\n"),
    }
}

/// Whether the sender shows the token. How long that takes says nothing about the token.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    Sha256::digest(shown.as_bytes()) == Sha256::digest(token.reveal().as_bytes())
}
