//! Asks for a document again and again.
//!
//! A connection for each question: they are a minute apart. What is known already (`ETag`) is not sent
//! again. Redirections are not followed: the configuration says where the document is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use domain::decode::Raw;
use domain::decode::json::{DOCUMENT_MAX, JsonMap};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::Context;
use super::super::intake::Intake;
use crate::config::HttpPoll;
use crate::tls;

/// The longest time from the question to the last byte of the answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("it does not answer within {} s", ANSWER_MAX.as_secs())]
    Late,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Http(String),
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
                let url = &settings.url;
                let scheme = if url.tls { "https" } else { "http" };
                let (host, port, path) = (&url.host, url.port, &url.path);
                let path = path.split('?').next().unwrap_or_default();
                intake.gate().trouble(format!("{scheme}://{host}:{port}{path}: {error}"));
            }
        }
    }
}

async fn ask(settings: &HttpPoll, known: Option<HeaderValue>) -> Result<Answer, AskError> {
    let url = &settings.url;
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    if !url.tls {
        return converse(settings, known, stream).await;
    }
    let config = tls::client(settings.ca_file.as_deref(), None)
        .map_err(|error| AskError::Tls(error.to_string()))?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| AskError::Tls(format!("{} is no name of a server", url.host)))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    converse(settings, known, stream).await
}

async fn converse(
    settings: &HttpPoll,
    known: Option<HeaderValue>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Answer, AskError> {
    let http = |error: &dyn std::fmt::Display| AskError::Http(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| http(&e))?;
    let request = request(settings, known).map_err(|e| http(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| http(&e))?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(Answer::NothingNew),
            status if !status.is_success() => return Err(AskError::Status(status)),
            _ => {}
        }
        let tag = response.headers().get(header::ETAG).cloned();
        let body = Limited::new(response.into_body(), DOCUMENT_MAX).collect().await;
        let body = body.map_err(|error| AskError::Document(error.to_string()))?;
        Ok(Answer::Document(body.to_bytes(), tag))
    };
    // The connection does the work while the answer is waited for, and ends with it.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            // Its last bytes may not have been looked at yet.
            Ok(()) => answer.await,
            Err(error) => Err(http(&error)),
        },
    }
}

fn request(
    settings: &HttpPoll,
    known: Option<HeaderValue>,
) -> Result<Request<Body>, axum::http::Error> {
    let url = &settings.url;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let mut request = Request::get(&url.path)
        .header(header::HOST, format!("{host}:{}", url.port))
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("steward/", env!("CARGO_PKG_VERSION")));
    if let Some(tag) = known {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    if let Some(token) = &settings.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    request.body(Body::empty())
}
