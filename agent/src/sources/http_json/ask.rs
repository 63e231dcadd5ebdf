//! Asks for a document again and again.
//!
//! What is known already (`ETag`) is not sent again.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use domain::decode::Raw;
use domain::decode::json::{DOCUMENT_MAX, JsonMap};
use http_body_util::{BodyExt, Limited};

use super::super::Context;
use super::super::http_get::{self, Answered, GetError};
use super::super::intake::Intake;
use crate::config::HttpPoll;

/// The longest time from the question to the last byte of the answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("it does not answer within {} s", ANSWER_MAX.as_secs())]
    Late,
    #[error(transparent)]
    Get(#[from] GetError),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("the document is longer than {DOCUMENT_MAX} bytes, or breaks off: {0}")]
    Document(String),
}

/// A document, or that nothing is new.
enum Answer {
    Document(Bytes, Option<HeaderValue>),
    NothingNew,
}

/// Asks until the box stops.
pub(super) async fn run(settings: HttpPoll, mut intake: Intake<JsonMap>, context: &Context) {
    let mut known = None;
    let mut turn = tokio::time::interval(settings.every);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            () = intake.publish_due() => continue,
            _ = turn.tick() => {}
        }
        let asked = tokio::time::timeout(ANSWER_MAX, ask(&settings, known.clone()));
        let answer = tokio::select! {
            () = context.stop.cancelled() => return,
            answer = asked => answer.unwrap_or(Err(AskError::Late)),
        };
        match answer {
            Ok(Answer::NothingNew) => intake.gate().connected(),
            Ok(Answer::Document(document, tag)) => {
                intake.gate().connected();
                let raw = Raw::Mqtt { topic: &settings.url.path, payload: &document };
                if intake.take(raw, |_| None).await.is_err() {
                    return;
                }
                known = tag;
            }
            Err(error) => {
                let shown = http_get::shown(&settings.url);
                intake.gate().trouble(format!("{shown}: {error}"));
            }
        }
    }
}

async fn ask(settings: &HttpPoll, known: Option<HeaderValue>) -> Result<Answer, AskError> {
    let url = &settings.url;
    let mut request = http_get::question(url).header(header::ACCEPT, "application/json");
    if let Some(tag) = known {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    if let Some(token) = &settings.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    let answered = http_get::get(url, settings.ca_file.as_deref(), request).await?;
    match answered.response.status() {
        StatusCode::NOT_MODIFIED => return Ok(Answer::NothingNew),
        status if !status.is_success() => return Err(AskError::Status(status)),
        _ => {}
    }
    let Answered { response, connection } = answered;
    let tag = response.headers().get(header::ETAG).cloned();
    let body = Limited::new(response.into_body(), DOCUMENT_MAX).collect().await;
    let body = body.map_err(|error| AskError::Document(error.to_string()))?;
    drop(connection);
    Ok(Answer::Document(body.to_bytes(), tag))
}
