//! Fetches a package over HTTP, a piece at a time if it must be: what has come stays through cuts of the
//! link, of the power and of the program, and is asked for no second time (RFC 9110, 14: range requests).
//!
//! How long it may be is said beforehand, and no byte more is written. What came is not judged here.

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::config::HttpUrl;
use crate::sources::http_get::{self, Answered, GetError};

/// The longest silence of a server, before its answer and in it.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Tries in a row that bring nothing.
const TRIES_MAX: u32 = 10;
/// Between two tries: this, twice this, and so on, up to `PAUSE_MAX`.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// However slowly it drips: after this it is over.
const ALL_MAX: Duration = Duration::from_secs(12 * 3600);
/// It is told how far it has come after each such part of the whole.
const PARTS: u64 = 10;

/// Why a package has not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The server has something else to say.
    #[error("{url}: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// Its word.
        status: StatusCode,
    },
    /// There is more of it than was announced.
    #[error("{0}: it is longer than the size that was announced")]
    TooLong(String),
    /// It has come to nothing for too often or too long.
    #[error("{url}: given up with {have} of {size} bytes: {why}")]
    GivenUp {
        /// What was asked for.
        url: String,
        /// Bytes that came; they stay, for another try.
        have: u64,
        /// Bytes of the whole.
        size: u64,
        /// What was wrong last.
        why: String,
    },
    /// The disk.
    #[error("what comes cannot be written: {0}")]
    Disk(io::Error),
}

/// What is to be fetched.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'w> {
    pub(super) url: &'w HttpUrl,
    pub(super) ca_file: Option<&'w Path>,
    pub(super) size: u64,
}

/// How one try ended.
enum Ended {
    Whole,
    /// Worth another try.
    Cut(String),
    Never(FetchError),
}

/// Fetches all of it into `part`, which may have a beginning of it already; `told` hears how many bytes
/// have come, now and then.
///
/// # Errors
/// It cannot be had. What has come stays in `part`.
pub(super) async fn fetch(
    wanted: &Wanted<'_>,
    part: &Path,
    told: impl FnMut(u64),
) -> Result<(), FetchError> {
    let whole = timeout(ALL_MAX, fetch_all(wanted, part, told)).await;
    whole.unwrap_or_else(|_| Err(wanted.given_up(length(part), "it is too slow".to_owned())))
}

async fn fetch_all(
    wanted: &Wanted<'_>,
    part: &Path,
    mut told: impl FnMut(u64),
) -> Result<(), FetchError> {
    let mut vain = 0;
    loop {
        let before = length(part);
        if before == wanted.size {
            return Ok(());
        }
        let why = match once(wanted, part, before, &mut told).await {
            Ended::Whole => return Ok(()),
            Ended::Never(error) => return Err(error),
            Ended::Cut(why) => why,
        };
        let have = length(part);
        vain = if have > before { 0 } else { vain + 1 };
        tracing::info!(have, size = wanted.size, reason = why, "the download broke off");
        if vain >= TRIES_MAX {
            return Err(wanted.given_up(have, why));
        }
        tokio::time::sleep(PAUSE.saturating_mul(1 << vain.min(6)).min(PAUSE_MAX)).await;
    }
}

async fn once(wanted: &Wanted<'_>, part: &Path, have: u64, told: &mut impl FnMut(u64)) -> Ended {
    let mut question = http_get::question(wanted.url);
    if have > 0 {
        question = question.header(header::RANGE, format!("bytes={have}-"));
    }
    let asked = timeout(SILENCE_MAX, http_get::get(wanted.url, wanted.ca_file, question));
    let mut answered = match said(asked.await) {
        Ok(answered) => answered,
        Err(why) => return Ended::Cut(why),
    };
    let (status, headers) = (answered.response.status(), answered.response.headers());
    let from = match status {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if begins(headers) == Some(have) => have,
        // Less is left there than we have, or another piece than was asked for: from the beginning.
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            return match tokio::fs::remove_file(part).await {
                Ok(()) => Ended::Cut(format!("the server answers {status} to a part")),
                Err(error) => Ended::Never(FetchError::Disk(error)),
            };
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Ended::Cut(format!("the server answers {status}"));
        }
        status => {
            return Ended::Never(FetchError::Status { url: http_get::shown(wanted.url), status });
        }
    };
    match write(wanted, part, from, &mut answered, told).await {
        Ok(ended) => ended,
        Err(error) => Ended::Never(FetchError::Disk(error)),
    }
}

/// Writes what comes behind the first `from` bytes of `part`.
async fn write(
    wanted: &Wanted<'_>,
    part: &Path,
    from: u64,
    answered: &mut Answered,
    told: &mut impl FnMut(u64),
) -> io::Result<Ended> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(part).await?;
    file.set_len(from).await?;
    let mut file = at_end(file).await?;
    let (mut have, step) = (from, (wanted.size / PARTS).max(1));
    told(have);
    let ended = loop {
        let frame = match timeout(SILENCE_MAX, answered.response.body_mut().frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => break Ended::Cut(error.to_string()),
            Ok(None) if have == wanted.size => break Ended::Whole,
            Ok(None) => break Ended::Cut("the connection ended".to_owned()),
            Err(_) => break Ended::Cut("the server is silent".to_owned()),
        };
        let Ok(data) = frame.into_data() else { continue };
        let before = have;
        have += data.len() as u64;
        if have > wanted.size {
            break Ended::Never(FetchError::TooLong(http_get::shown(wanted.url)));
        }
        file.write_all(&data).await?;
        if have / step > before / step {
            told(have);
        }
    };
    file.flush().await?;
    file.sync_data().await?;
    Ok(ended)
}

async fn at_end(mut file: File) -> io::Result<File> {
    tokio::io::AsyncSeekExt::seek(&mut file, io::SeekFrom::End(0)).await?;
    Ok(file)
}

/// A short text that is at `url`, such as a signature of at most `max` bytes.
///
/// # Errors
/// It cannot be had, after as many tries as [`fetch`] makes.
pub(super) async fn text(
    url: &HttpUrl,
    ca_file: Option<&Path>,
    max: u64,
) -> Result<String, FetchError> {
    let given_up = |why| FetchError::GivenUp { url: http_get::shown(url), have: 0, size: max, why };
    let mut vain = 0;
    loop {
        let asked = http_get::get(url, ca_file, http_get::question(url));
        let why = match said(timeout(SILENCE_MAX, asked).await) {
            Ok(Answered { response, .. }) if response.status().is_client_error() => {
                let status = response.status();
                return Err(FetchError::Status { url: http_get::shown(url), status });
            }
            Ok(mut answered) => match timeout(SILENCE_MAX, short(&mut answered, max)).await {
                Ok(Some(text)) => return Ok(text),
                _ => "it does not come, or is no short text".to_owned(),
            },
            Err(why) => why,
        };
        vain += 1;
        if vain >= TRIES_MAX {
            return Err(given_up(why));
        }
        tokio::time::sleep(PAUSE.saturating_mul(1 << vain.min(6)).min(PAUSE_MAX)).await;
    }
}

/// The whole body, while it has at most `max` bytes and came well.
async fn short(answered: &mut Answered, max: u64) -> Option<String> {
    if answered.response.status() != StatusCode::OK {
        return None;
    }
    let mut bytes = vec![];
    while let Some(frame) = answered.response.body_mut().frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        bytes.extend_from_slice(&data);
        if bytes.len() as u64 > max {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

impl Wanted<'_> {
    fn given_up(&self, have: u64, why: String) -> FetchError {
        FetchError::GivenUp { url: http_get::shown(self.url), have, size: self.size, why }
    }
}

/// The answer, or in words why there is none.
fn said(
    asked: Result<Result<Answered, GetError>, tokio::time::error::Elapsed>,
) -> Result<Answered, String> {
    match asked {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err("the server is silent".to_owned()),
    }
}

/// Where the piece begins that the server sends: `Content-Range: bytes 500-999/1000`.
fn begins(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn length(part: &Path) -> u64 {
    std::fs::metadata(part).map_or(0, |found| found.len())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// A server of `content` that cuts each connection after `at_most` bytes of it; what it was asked for
    /// is written down.
    async fn server(content: Vec<u8>, at_most: usize, ranges: bool) -> (HttpUrl, Asked) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let (mut line, mut range) = (String::new(), None);
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    if let Some(rest) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                        range = rest.trim().trim_end_matches('-').parse::<usize>().ok();
                    }
                    line.clear();
                }
                seen.lock().unwrap().push(range);
                let from = range.filter(|_| ranges).unwrap_or(0);
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\n\r\n",
                    content.len() - 1,
                    content.len(),
                    content.len() - from
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                let to = content.len().min(from + at_most);
                stream.write_all(&content[from..to]).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let url = HttpUrl { tls: false, host: "127.0.0.1".into(), port, path: "/s.deb".into() };
        (url, asked)
    }

    type Asked = Arc<Mutex<Vec<Option<usize>>>>;

    fn content() -> Vec<u8> {
        (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    async fn fetched(url: &HttpUrl, size: u64, part: &Path) -> Result<(), FetchError> {
        fetch(&Wanted { url, ca_file: None, size }, part, |_| {}).await
    }

    #[tokio::test]
    async fn what_has_come_is_not_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let (url, asked) = server(content(), 40_000, true).await;
        fetched(&url, 100_000, &part).await.unwrap();
        assert!(std::fs::read(&part).unwrap() == content());
        assert_eq!(*asked.lock().unwrap(), [None, Some(40_000), Some(80_000)]);
        // All there: nobody is asked.
        fetched(&url, 100_000, &part).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_server_without_ranges_is_asked_for_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        std::fs::write(&part, &content()[..30_000]).unwrap();
        let (url, asked) = server(content(), 100_000, false).await;
        fetched(&url, 100_000, &part).await.unwrap();
        assert!(std::fs::read(&part).unwrap() == content());
        assert_eq!(*asked.lock().unwrap(), [Some(30_000)]);
    }

    #[tokio::test]
    async fn no_byte_more_than_announced_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let (url, _) = server(content(), 100_000, true).await;
        let error = fetched(&url, 50_000, &part).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLong(_)), "{error}");
        assert!(length(&part) <= 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_up_after_tries_that_bring_nothing_and_what_came_stays() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        std::fs::write(&part, b"beginning").unwrap();
        let url = HttpUrl { tls: false, host: "127.0.0.1".into(), port: 1, path: "/".into() };
        let error = fetched(&url, 100, &part).await.unwrap_err();
        assert!(error.to_string().contains("given up with 9 of 100 bytes"), "{error}");
        assert_eq!(std::fs::read(&part).unwrap(), b"beginning");
    }
}
