//! Fetches a configuration that a command names by its address.
//!
//! An address proves nothing, and neither does whoever answers there: what comes is taken only when its
//! bytes have the hash that the command gives. Bytes, time and redirections are bounded, and a redirection
//! stays on the server that was named. Addresses are shown without their query, which may hold a secret.
//! It knows nothing of what the text says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{Response, StatusCode, header};
use domain::commands::upkeep::Apply;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio_util::task::AbortOnDropHandle;

use super::trial::Asked;
use super::versions::sha256;
use crate::config::{self, FILE_MAX, HttpUrl};
use crate::sources::http_get::{self, Answered, GetError};

/// The longest time from the question to the last byte.
const WITHIN: Duration = Duration::from_secs(60);
/// Redirections that are followed.
const REDIRECTIONS_MAX: usize = 3;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("url: write http:// or https://, a host and a path, and no user and no password")]
    Url,
    #[error("{0} does not answer within {within} s", within = WITHIN.as_secs())]
    Late(String),
    #[error("{0}: {1}")]
    Get(String, GetError),
    #[error("{0} answers {1}")]
    Status(String, StatusCode),
    #[error("{0} leads elsewhere: only the server that was named is asked; name the right one")]
    Elsewhere(String),
    #[error("{0} leads on and on")]
    Circle(String),
    #[error("what {0} sends breaks off, or is longer than {FILE_MAX} bytes: {1}")]
    Body(String, String),
    #[error("what {at} sends has the SHA-256 {found}: it is not what the command means")]
    Hash { at: String, found: String },
    #[error("what {0} sends is not UTF-8")]
    NotText(String),
}

/// A configuration that is on its way.
#[derive(Debug)]
pub struct Fetching {
    asked: Asked,
    apply: Apply,
    task: AbortOnDropHandle<Result<String, FetchError>>,
}

/// What came of it: who asked, on what terms, and the text, or in words why there is none.
pub type Fetched = (Asked, Apply, Result<String, String>);

impl Fetching {
    /// Begins to fetch what is at `url`, for a command that wants it applied on the terms of `apply`.
    /// `ca_file`: the authority that vouches for the server; without it those that the system trusts.
    #[must_use]
    pub fn begin(
        asked: Asked,
        apply: Apply,
        (url, sha256): (String, String),
        ca_file: Option<PathBuf>,
    ) -> Fetching {
        let fetching = async move { fetch(&url, &sha256, ca_file.as_deref()).await };
        Fetching { asked, apply, task: AbortOnDropHandle::new(tokio::spawn(fetching)) }
    }
}

/// Waits for what is on its way, if something is. Can be dropped and called again.
pub async fn fetched(fetching: &mut Option<Fetching>) -> Fetched {
    let Some(on_its_way) = fetching else { return std::future::pending().await };
    let text = match (&mut on_its_way.task).await {
        Ok(text) => text.map_err(|error| error.to_string()),
        Err(error) => Err(format!("it could not be fetched: {error}")),
    };
    let Fetching { asked, apply, .. } = fetching.take().expect("it was there above");
    (asked, apply, text)
}

async fn fetch(url: &str, wanted: &str, ca_file: Option<&Path>) -> Result<String, FetchError> {
    let url = config::http_url(url).map_err(|_| FetchError::Url)?;
    let at = http_get::shown(&url);
    let bytes = tokio::time::timeout(WITHIN, bytes(url, ca_file)).await;
    let bytes = bytes.unwrap_or_else(|_| Err(FetchError::Late(at.clone())))?;
    let found = sha256(&bytes);
    if found != wanted {
        return Err(FetchError::Hash { at, found });
    }
    String::from_utf8(bytes).map_err(|_| FetchError::NotText(at))
}

async fn bytes(mut url: HttpUrl, ca_file: Option<&Path>) -> Result<Vec<u8>, FetchError> {
    let at = http_get::shown(&url);
    let ca_file = ca_file.filter(|_| url.tls);
    for _ in 0..=REDIRECTIONS_MAX {
        let answered = http_get::get(&url, ca_file, http_get::question(&url)).await;
        let answered = answered.map_err(|error| FetchError::Get(at.clone(), error))?;
        let status = answered.response.status();
        if status.is_redirection() {
            let next = next(&url, &answered.response);
            url = next.ok_or_else(|| FetchError::Elsewhere(at.clone()))?;
        } else if status.is_success() {
            return body(answered).await.map_err(|why| FetchError::Body(at, why));
        } else {
            return Err(FetchError::Status(at, status));
        }
    }
    Err(FetchError::Circle(at))
}

/// Where an answer leads, if that is on the same server.
fn next(from: &HttpUrl, answer: &Response<Incoming>) -> Option<HttpUrl> {
    let to = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let to = match to.strip_prefix('/') {
        // Two slashes begin the name of a server.
        Some(rest) if !rest.starts_with('/') => HttpUrl { path: to.to_owned(), ..from.clone() },
        _ => config::http_url(to).ok()?,
    };
    let same = (to.tls, &to.host, to.port) == (from.tls, &from.host, from.port);
    same.then_some(to)
}

async fn body(answered: Answered) -> Result<Vec<u8>, String> {
    let Answered { response, connection } = answered;
    let limit = usize::try_from(FILE_MAX).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), limit).collect().await;
    drop(connection);
    Ok(body.map_err(|error| error.to_string())?.to_bytes().into())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;

    use super::*;

    const TEXT: &str = "[box]\n";

    async fn serve(router: Router) -> u16 {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        port
    }

    /// A server with everything that a server can do wrong.
    async fn server() -> u16 {
        let elsewhere = serve(Router::new().route("/c", get(async || TEXT))).await;
        let router = Router::new()
            .route("/c", get(async || TEXT))
            .route("/here", get(async || Redirect::temporary("/c?again=secret")))
            .route("/round", get(async || Redirect::temporary("/round")))
            .route("/large", get(async || vec![b' '; 3 * 1024 * 1024]))
            .route("/binary", get(async || vec![0xff_u8, 0xfe]))
            .route("/slashes", get(async || Redirect::temporary("//other.example/c")))
            .route(
                "/away",
                get(async move || Redirect::temporary(&format!("http://127.0.0.1:{elsewhere}/c"))),
            );
        serve(router).await
    }

    #[tokio::test]
    async fn what_has_the_hash_is_taken_over_redirections_of_the_same_server() {
        let port = server().await;
        let wanted = sha256(TEXT.as_bytes());
        for path in ["c", "c?token=secret", "here"] {
            let text = fetch(&format!("http://127.0.0.1:{port}/{path}"), &wanted, None).await;
            assert_eq!(text.unwrap(), TEXT);
        }
    }

    #[tokio::test]
    async fn everything_else_is_refused_in_words_without_the_secret() {
        let port = server().await;
        let wanted = sha256(TEXT.as_bytes());
        let cases = [
            ("c?token=secret", "0".repeat(64), "not what the command means"),
            ("none?token=secret", wanted.clone(), "404"),
            ("away?token=secret", wanted.clone(), "leads elsewhere"),
            ("slashes?token=secret", wanted.clone(), "leads elsewhere"),
            ("round?token=secret", wanted.clone(), "on and on"),
            ("large?token=secret", wanted.clone(), "longer than 2097152 bytes"),
            ("binary?token=secret", sha256(&[0xff, 0xfe]), "not UTF-8"),
        ];
        for (path, wanted, part) in cases {
            let url = format!("http://127.0.0.1:{port}/{path}");
            let why = fetch(&url, &wanted, None).await.unwrap_err().to_string();
            assert!(why.contains(part) && !why.contains("secret"), "{path}: {why}");
        }
        for url in ["ftp://h/c", "http://user:secret@h/c", "c"] {
            let why = fetch(url, &wanted, None).await.unwrap_err().to_string();
            assert!(why.starts_with("url:") && !why.contains("secret"), "{url}: {why}");
        }
        let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let gone = nobody.local_addr().unwrap();
        drop(nobody);
        let why = fetch(&format!("http://{gone}/c"), &wanted, None).await.unwrap_err().to_string();
        assert!(why.contains("refused"), "{why}");
    }
}
