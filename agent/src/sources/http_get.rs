//! One question to a web server, over TCP or TLS.
//!
//! A connection for each question. Redirections are not followed: the configuration says where things
//! are. How long an answer may take and be is the caller's business.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::AbortOnDropHandle;

use crate::config::HttpUrl;
use crate::tls;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Http(String),
}

/// An answer, whose body comes as long as its connection is held.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: AbortOnDropHandle<()>,
}

/// A question for what is at `url`, with the headers that every one has.
pub(crate) fn question(url: &HttpUrl) -> Builder {
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    Request::get(&url.path)
        .header(header::HOST, format!("{host}:{}", url.port))
        .header(header::USER_AGENT, concat!("steward/", env!("CARGO_PKG_VERSION")))
}

/// Asks, and answers once the head of the answer is there.
pub(crate) async fn get(
    url: &HttpUrl,
    ca_file: Option<&Path>,
    request: Builder,
) -> Result<Answered, GetError> {
    let request = request.body(Body::empty()).map_err(|e| GetError::Http(e.to_string()))?;
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    if !url.tls {
        return converse(request, stream).await;
    }
    let config = tls::client(ca_file, None).map_err(|error| GetError::Tls(error.to_string()))?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| GetError::Tls(format!("{} is no name of a server", url.host)))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    converse(request, stream).await
}

/// The address as it may be shown: queries may hold secrets.
pub(crate) fn shown(url: &HttpUrl) -> String {
    let scheme = if url.tls { "https" } else { "http" };
    let path = url.path.split('?').next().unwrap_or_default();
    format!("{scheme}://{}:{}{path}", url.host, url.port)
}

async fn converse(
    request: Request<Body>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Answered, GetError> {
    let http = |error: hyper::Error| GetError::Http(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    // What breaks a connection shows in the answer that it carries.
    let connection = tokio::spawn(async move { drop(connection.await) });
    let connection = AbortOnDropHandle::new(connection);
    let response = sender.send_request(request).await.map_err(http)?;
    Ok(Answered { response, connection })
}
