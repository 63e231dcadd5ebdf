//! Open311 GeoReport v2: where the public reports problems and sees what becomes of them.
//!
//! | path below `/open311/v2/` | answer |
//! |---|---|
//! | `services.json`, `services.xml` | what may be reported |
//! | `services/{code}.json` | which attributes it has |
//! | `POST requests.json` | 201 and the number of the request, once its ticket is on disk |
//! | `requests.json?…` | requests and where they stand |
//! | `requests/{number}.json` | one, with what was written |
//! | `tokens/{number}.json` | the number again: every report has one at once |
//! | `discovery.json` | what this endpoint is |
//!
//! Reads forms, keeps photos and names apart (`keeping`), and asks the engine (`way`). What a form means
//! is [`domain::open311`]'s. It must not tell anybody who reported something, nor anything of the ticket.
//! Faults are told in GeoReport's form. Every path out of a report is counted ([`Counts`]).

mod body;
mod keeping;
mod limit;
mod way;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use axum::routing::get;
use domain::input::Input;
use domain::open311::{
    Draft, Fault, Known, Query, RequestNumber, Submission, definition, discovery, errors, query,
    read, receipt, request, services, token, xml,
};
use domain::site::Site;
use domain::time::Now;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use self::keeping::NotKept;
use self::limit::Limit;
use crate::clock::Clock;
use crate::config;

pub use self::keeping::Keeping;
pub use self::way::{ASKED_MAX, Ask, run};

/// Reports that are being sent at once. More are refused: each may have a photo.
const SENDERS_MAX: usize = 8;
/// The longest time that a report may take to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);
/// The longest time that the box may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Questions of one client in an hour, and of all together.
const QUESTIONS: (u32, u32) = (3600, 36_000);

/// What became of what the public sent.
#[derive(Debug, Default)]
pub struct Counts {
    /// Reports that were taken.
    pub taken: AtomicU64,
    /// Reports that were wrong, or without a key.
    pub refused: AtomicU64,
    /// Requests of any kind that were too many.
    pub limited: AtomicU64,
    /// Photos that were not kept though the report was taken.
    pub photos_lost: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The endpoint.
#[derive(Debug)]
pub struct Open311 {
    settings: config::Open311,
    site: Site,
    clock: Clock,
    keeping: Keeping,
    asks: mpsc::Sender<Ask>,
    reports: Limit,
    questions: Limit,
    places: Semaphore,
    counts: Arc<Counts>,
}

impl Open311 {
    /// An endpoint that hands to `asks` what the public sends.
    #[must_use]
    pub fn new(
        settings: config::Open311,
        site: Site,
        clock: Clock,
        keeping: Keeping,
        asks: mpsc::Sender<Ask>,
    ) -> Open311 {
        Open311 {
            reports: Limit::new(settings.reports_per_hour, settings.reports_per_hour_all),
            questions: Limit::new(QUESTIONS.0, QUESTIONS.1),
            places: Semaphore::new(SENDERS_MAX),
            counts: Arc::default(),
            settings,
            site,
            clock,
            keeping,
            asks,
        }
    }

    /// What becomes of what is sent.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }
}

/// The routes.
pub(super) fn routes(endpoint: Open311) -> Router {
    Router::new().route("/open311/{*path}", get(answer).post(take)).with_state(Arc::new(endpoint))
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Xml,
}

/// An answer before it is written: its status, its value, and the XML elements of it and of one of its items.
struct Reply {
    status: StatusCode,
    value: Value,
    names: (&'static str, &'static str),
    retry_after: Option<u64>,
}

impl Reply {
    fn new(names: (&'static str, &'static str), value: Value) -> Reply {
        Reply { status: StatusCode::OK, value, names, retry_after: None }
    }

    fn faults(faults: &[Fault]) -> Reply {
        let status = faults.first().and_then(|fault| StatusCode::from_u16(fault.code).ok());
        let status = status.unwrap_or(StatusCode::BAD_REQUEST);
        Reply { status, ..Reply::new(("errors", "error"), errors(faults)) }
    }

    fn fault(code: u16, why: &str) -> Reply {
        Reply::faults(&[Fault::new(code, why)])
    }

    fn write(self, format: Format) -> Response<Body> {
        let (text, kind) = match format {
            Format::Json => (self.value.to_string(), "application/json; charset=utf-8"),
            Format::Xml => {
                (xml(self.names.0, self.names.1, &self.value), "text/xml; charset=utf-8")
            }
        };
        let mut answer = Response::new(Body::from(text));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Everything here is for everybody, on whatever page he reads it.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

const REQUESTS: (&str, &str) = ("service_requests", "request");

/// A path without its ending, and how the answer is to be written.
fn asked<'p>(path: &'p str, headers: &HeaderMap) -> (Vec<&'p str>, Format) {
    let path = path.strip_prefix("v2/").unwrap_or(path);
    let (path, format) = match path.rsplit_once('.') {
        Some((path, "json")) => (path, Some(Format::Json)),
        Some((path, "xml")) => (path, Some(Format::Xml)),
        _ => (path, None),
    };
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let wanted = if accepts.contains("xml") && !accepts.contains("json") {
        Format::Xml
    } else {
        Format::Json
    };
    (path.split('/').collect(), format.unwrap_or(wanted))
}

async fn answer(
    State(endpoint): State<Arc<Open311>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let (path, format) = asked(&path, &headers);
    let fields = body::pairs(uri.query().unwrap_or_default().as_bytes());
    let reply = match endpoint.limited(&endpoint.questions, peer, &headers) {
        Some(reply) => reply,
        None => endpoint.answer(&path, &fields, &headers).await.unwrap_or_else(|reply| *reply),
    };
    reply.write(format)
}

async fn take(
    State(endpoint): State<Arc<Open311>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let (path, format) = asked(&path, &headers);
    if path != ["requests"] {
        return Reply::fault(405, "reports are sent to requests").write(format);
    }
    let reply = match endpoint.limited(&endpoint.reports, peer, &headers) {
        Some(reply) => reply,
        None => match endpoint.take(&headers, body).await {
            Ok(reply) => reply,
            Err(reply) => {
                count(&endpoint.counts.refused);
                *reply
            }
        },
    };
    reply.write(format)
}

impl Open311 {
    /// The answer to one who asks too much.
    fn limited(&self, limit: &Limit, peer: SocketAddr, headers: &HeaderMap) -> Option<Reply> {
        let client = if self.settings.behind_proxy { named(headers) } else { None };
        let client = client.unwrap_or(peer.ip());
        let wait = limit.take(client, self.clock.now().monotonic).err()?;
        count(&self.counts.limited);
        let why = format!("too many requests; come again in {wait} s");
        Some(Reply { retry_after: Some(wait), ..Reply::fault(429, &why) })
    }

    fn check_jurisdiction(&self, fields: &[(String, String)]) -> Result<(), Box<Reply>> {
        let asked =
            fields.iter().find(|(key, value)| key == "jurisdiction_id" && !value.is_empty());
        match (&self.settings.jurisdiction, asked) {
            (Some(own), Some((_, asked))) if own != asked => {
                let why = format!("jurisdiction_id {asked:?} is not served here; {own} is");
                Err(Box::new(Reply::fault(404, &why)))
            }
            _ => Ok(()),
        }
    }

    async fn answer(
        &self,
        path: &[&str],
        fields: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Reply, Box<Reply>> {
        self.check_jurisdiction(fields)?;
        let offer = &self.settings.offer;
        let not_found = |why: &str| Box::new(Reply::fault(404, why));
        match path {
            ["services"] => Ok(Reply::new(("services", "service"), services(offer, &self.site))),
            ["services", code] => definition(offer, &self.site, code)
                .map(|value| Reply::new(("service_definition", ""), value))
                .ok_or_else(|| not_found("no service of that code; GET services lists them")),
            ["requests"] => {
                let now = self.clock.now().utc;
                let asked = query(fields, offer, &self.site, now)
                    .map_err(|faults| Box::new(Reply::faults(&faults)))?;
                let words = !asked.numbers.is_empty();
                let known = self.find(asked).await?;
                let shown = known.iter().map(|known| request(offer, &self.site, known, words));
                Ok(Reply::new(REQUESTS, shown.collect()))
            }
            ["requests" | "tokens", number] => {
                let none = || not_found("no request of that number");
                let number = RequestNumber::parse(number).ok_or_else(none)?;
                let asked = Query { numbers: vec![number], ..Query::default() };
                let known = self.find(asked).await?;
                let known = known.first().ok_or_else(none)?;
                if path[0] == "tokens" {
                    return Ok(Reply::new(REQUESTS, token(number)));
                }
                let shown = request(offer, &self.site, known, true);
                Ok(Reply::new(REQUESTS, Value::Array(vec![shown])))
            }
            ["discovery"] => {
                let url = self.url(headers);
                let changed = self.clock.now().utc;
                let value = discovery(&url, &self.settings.contact, changed);
                Ok(Reply::new(("discovery", ""), value))
            }
            _ => Err(not_found("there is nothing here; see GET discovery")),
        }
    }

    /// Where this is, as whoever asks can reach it.
    fn url(&self, headers: &HeaderMap) -> String {
        let plain =
            |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b));
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(plain);
        let asked = || format!("http://{}/open311/v2", host.unwrap_or("localhost"));
        self.settings.url.clone().unwrap_or_else(asked)
    }

    async fn find(&self, asked: Query) -> Result<Vec<Known>, Box<Reply>> {
        let answer = self.ask(Input::Requests(asked)).await?;
        let found = answer.pointer("/result/requests").cloned().unwrap_or_default();
        Ok(serde_json::from_value(found).expect("the engine's answer has requests"))
    }

    async fn ask(&self, input: Input) -> Result<Value, Box<Reply>> {
        let (tell, told) = oneshot::channel();
        let asked = async {
            self.asks.send(Ask { input, tell }).await.ok()?;
            told.await.ok()
        };
        let answer = timeout(ANSWER_WITHIN, asked).await.ok().flatten();
        answer.ok_or_else(|| {
            let why = "the box could not store it; send it again later";
            Box::new(Reply { retry_after: Some(60), ..Reply::fault(503, why) })
        })
    }

    async fn take(&self, headers: &HeaderMap, body: Body) -> Result<Reply, Box<Reply>> {
        let failed = |fault: Fault| Box::new(Reply::faults(&[fault]));
        let Ok(_place) = self.places.try_acquire() else {
            let busy = Reply::fault(503, "too many reports are being sent; send it again");
            return Err(Box::new(Reply { retry_after: Some(10), ..busy }));
        };
        let form = timeout(ARRIVE_WITHIN, body::read(headers, body, self.settings.photo_max)).await;
        let form = form.map_err(|_| failed(Fault::new(408, "the report did not arrive whole")))?;
        let form = form.map_err(failed)?;
        self.check_key(&form.fields).map_err(failed)?;
        self.check_jurisdiction(&form.fields)?;
        let draft = read(&form.fields, &self.settings.offer, &self.site);
        let draft = draft.map_err(|faults| Box::new(Reply::faults(&faults)))?;
        if form.photo.as_ref().is_some_and(|photo| keeping::kind(photo).is_none()) {
            let why = "the photo is neither a JPEG nor a PNG";
            return Err(failed(Fault::new(415, why)));
        }
        let now = self.clock.now();
        let number = new_number();
        let account = draft.person.account_id.clone();
        let (media, notice) = self.keep(number, &draft, form.photo, now).await.map_err(failed)?;
        let answer = self.ask(Input::Submission(Box::new(submission(number, draft, media)))).await;
        let taken = answer.as_ref().is_ok_and(|answer| answer["ok"] == true);
        if !taken {
            let keeping = self.keeping.clone();
            // Whether there was anything to forget does not matter.
            let _ = tokio::task::spawn_blocking(move || keeping.forget(number)).await;
        }
        let answer = answer?;
        if !taken {
            let full = answer["error"]["code"] == "full";
            let why = answer["error"]["msg"].as_str().unwrap_or("it was refused");
            return Err(failed(Fault::new(if full { 503 } else { 400 }, why)));
        }
        count(&self.counts.taken);
        let receipt = receipt(number, &notice, account.as_deref());
        Ok(Reply { status: StatusCode::CREATED, ..Reply::new(REQUESTS, receipt) })
    }

    /// Keeps the photo and the person, each synced: what the ticket calls the photo, and what whoever sent it
    /// is told.
    async fn keep(
        &self,
        number: RequestNumber,
        draft: &Draft,
        photo: Option<bytes::Bytes>,
        now: Now,
    ) -> Result<(Option<String>, String), Fault> {
        let (keeping, person) = (self.keeping.clone(), draft.person.clone());
        let kept = tokio::task::spawn_blocking(move || {
            if !person.is_nobody() {
                keeping.person(number, &person, now).map_err(NotKept::from)?;
            }
            Ok::<_, NotKept>(photo.map(|photo| keeping.photo(&photo, now)))
        });
        let unkept = || Fault::new(503, "the report could not be stored; send it again later");
        let kept = kept.await.map_err(|_| unkept())?;
        let mut notice = format!("Keep the number {number}: it shows what becomes of your report.");
        match kept {
            Err(error) => {
                tracing::error!(error = %error, "what the public sent cannot be kept");
                Err(unkept())
            }
            Ok(Some(Err(error))) => {
                count(&self.counts.photos_lost);
                tracing::warn!(error = %error, "a photo of the public is not kept");
                notice += &format!(" Your photo was not kept: {error}.");
                Ok((None, notice))
            }
            Ok(kept) => Ok((kept.and_then(Result::ok), notice)),
        }
    }

    /// Whether the key is one of ours. How long that takes says nothing about the keys.
    fn check_key(&self, fields: &[(String, String)]) -> Result<(), Fault> {
        let shown = fields.iter().find(|(key, value)| key == "api_key" && !value.is_empty());
        let Some((_, shown)) = shown else {
            return if self.settings.key_required {
                Err(Fault::new(403, "api_key is missing"))
            } else {
                Ok(())
            };
        };
        let shown = Sha256::digest(shown.as_bytes());
        let ours = self.settings.keys.iter().map(|key| Sha256::digest(key.reveal().as_bytes()));
        let known = ours.fold(false, |known, ours| known | (ours == shown));
        if known || self.settings.keys.is_empty() {
            return Ok(());
        }
        Err(Fault::new(403, "api_key is not known here"))
    }
}

/// Whoever the proxy in front says it is: it appends the address that it saw.
fn named(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

fn new_number() -> RequestNumber {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    RequestNumber::from_random(u128::from_le_bytes(bytes))
}

fn submission(number: RequestNumber, draft: Draft, photo: Option<String>) -> Submission {
    let Draft { category, asset, place, address, text, media_url, person: _ } = draft;
    Submission { number, category, asset, place, address, text, media: photo.or(media_url) }
}

#[cfg(test)]
mod tests;
