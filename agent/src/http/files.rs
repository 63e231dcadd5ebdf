//! The dashboard's files: carried inside the program, compressed once at the start, and served with
//! what a browser needs to ask for nothing twice.
//!
//! Where the program was built without a dashboard, one plain page tells how to build it.

use std::collections::BTreeMap;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use rust_embed::{Embed, EmbeddedFile};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::config::Tiles;

/// What the dashboard's build left in `agent/dashboard/dist`; nothing when it has not been built.
#[derive(Embed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Dist;

/// Smaller files are not worth compressing: they fit into one packet anyway.
const GZIP_FROM: usize = 1024;

/// A name that carries the hash of its content never changes its content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Everything else is asked for again each time, and answered with 304 when it is the same.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// What the page asks for first.
const PAGE: &str = "page.json";

/// Shown in place of a dashboard that was not built.
const NOT_BUILT: &str = include_str!("not_built.html");

/// Every file, by its path without the leading slash.
#[derive(Debug)]
pub struct Files(BTreeMap<String, File>);

#[derive(Debug)]
struct File {
    plain: Variant,
    gzip: Option<Variant>,
    mime: HeaderValue,
    cache: HeaderValue,
}

/// The same file in one encoding; each has its own tag, as HTTP asks.
#[derive(Debug)]
struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Files {
    /// The dashboard that this program was built with.
    #[must_use]
    pub fn embedded() -> Files {
        let named = Dist::iter().filter_map(|path| Some((path.to_string(), Dist::get(&path)?)));
        Files::from_embedded(named)
    }

    fn from_embedded(named: impl Iterator<Item = (String, EmbeddedFile)>) -> Files {
        let mut files: BTreeMap<String, File> = named
            .map(|(path, file)| {
                let mime = mime(file.metadata.mimetype());
                let file = File::new(&path, &file.data, &file.metadata.sha256_hash(), mime);
                (path, file)
            })
            .collect();
        files.entry("index.html".to_owned()).or_insert_with(|| {
            File::new("index.html", NOT_BUILT.as_bytes(), b"not built", mime("text/html"))
        });
        Files(files)
    }

    /// The same with what the page has to know of this box in place of what it was built with: where map
    /// tiles come from.
    #[must_use]
    pub fn with_tiles(mut self, tiles: Option<&Tiles>) -> Files {
        if let Some(Tiles { url, attribution, max_zoom, .. }) = tiles {
            let told =
                json!({"tiles": {"url": url, "attribution": attribution, "max_zoom": max_zoom}});
            let text = told.to_string();
            let hash = Sha256::digest(text.as_bytes());
            let file = File::new(PAGE, text.as_bytes(), &hash, mime("application/json"));
            self.0.insert(PAGE.to_owned(), file);
        }
        self
    }

    /// Answers a GET for `path` (with its leading slash).
    #[must_use]
    pub fn answer(&self, path: &str, asked: &HeaderMap) -> Response<Body> {
        let name = match path.trim_start_matches('/') {
            "" => "index.html",
            name => name,
        };
        match self.0.get(name) {
            Some(file) => file.answer(asked),
            None => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
        }
    }
}

impl File {
    fn new(path: &str, bytes: &[u8], hash: &[u8], mime: HeaderValue) -> File {
        let tag: String = hash.iter().take(16).map(|b| format!("{b:02x}")).collect();
        let variant = |bytes: &[u8], suffix: &str| Variant {
            bytes: Bytes::copy_from_slice(bytes),
            etag: HeaderValue::from_str(&format!("\"{tag}{suffix}\"")).expect("hex is plain text"),
        };
        let gzip = (bytes.len() >= GZIP_FROM && compresses(&mime))
            .then(|| gzip(bytes))
            .flatten()
            .filter(|packed| packed.len() < bytes.len())
            .map(|packed| variant(&packed, "-gz"));
        let cache = if hashed(path) { FOR_EVER } else { ASK_AGAIN };
        File { plain: variant(bytes, ""), gzip, mime, cache }
    }

    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let packed = self.gzip.as_ref().filter(|_| accepts_gzip(asked));
        let variant = packed.unwrap_or(&self.plain);
        let known = holds(asked, &variant.etag);
        let mut answer =
            Response::new(if known { Body::empty() } else { Body::from(variant.bytes.clone()) });
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(ETAG, variant.etag.clone());
        headers.insert(CACHE_CONTROL, self.cache.clone());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(CONTENT_TYPE, self.mime.clone());
        if packed.is_some() && !known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

/// A short answer in plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Whether the name carries the hash of its content, as the build names everything it puts into
/// `assets/`: `assets/index-Bx3_9aQd.js`.
fn hashed(path: &str) -> bool {
    const HASH: usize = 8;
    let Some(name) = path.strip_prefix("assets/") else { return false };
    let stem = name.split('.').next().unwrap_or(name).as_bytes();
    stem.len() > HASH + 1
        && stem[stem.len() - HASH - 1] == b'-'
        && stem[stem.len() - HASH..]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Texts are UTF-8, and say so.
fn mime(guess: &str) -> HeaderValue {
    let text = guess.starts_with("text/") || guess == "application/json";
    let full = if text { format!("{guess}; charset=utf-8") } else { guess.to_owned() };
    HeaderValue::from_str(&full)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// Pictures and fonts are compressed already.
fn compresses(mime: &HeaderValue) -> bool {
    mime.to_str().is_ok_and(|mime| {
        mime.starts_with("text/")
            || mime.starts_with("application/json")
            || mime.starts_with("application/wasm")
            || mime.starts_with("image/svg")
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(8));
    packer.write_all(bytes).ok()?;
    packer.finish().ok()
}

/// Whether the browser takes gzip: named, or everything, and not with weight 0 (RFC 9110, 12.5.3).
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    let codings: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
    let weight = |wanted: &str| {
        codings.iter().find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let name_fits = name.trim().eq_ignore_ascii_case(wanted);
            let q = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), |q| q.trim().parse());
            name_fits.then(|| q.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|q: f32| q > 0.0)
}

/// Whether the browser already holds the file with this tag (RFC 9110, 13.1.2: weak comparison).
fn holds(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let tags = asked.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    tags.flat_map(|list| list.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::borrow::Cow;

    use axum::body::to_bytes;
    use rust_embed::Metadata;

    use super::*;

    fn embedded(content: &str, mime: &'static str, hash: u8) -> EmbeddedFile {
        EmbeddedFile {
            data: Cow::Owned(content.as_bytes().to_vec()),
            metadata: Metadata::__rust_embed_new([hash; 32], None, None, mime),
        }
    }

    /// A dashboard for tests, whatever is built beside it.
    pub(crate) fn files() -> Files {
        let script = "export const street = '薛家';\n".repeat(100);
        Files::from_embedded(
            [
                ("index.html", embedded("<!doctype html><title>x</title>", "text/html", 1)),
                ("assets/index-Bx3_9aQd.js", embedded(&script, "text/javascript", 2)),
                ("favicon.svg", embedded("<svg/>", "image/svg+xml", 3)),
            ]
            .into_iter()
            .map(|(path, file)| (path.to_owned(), file)),
        )
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    fn text<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|v| v.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_script_is_packed_typed_and_kept_for_ever() {
        let asked = headers(&[("accept-encoding", "br, gzip;q=0.8")]);
        let answer = files().answer("/assets/index-Bx3_9aQd.js", &asked);
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(text(&answer, "content-encoding"), Some("gzip"));
        assert_eq!(text(&answer, "content-type"), Some("text/javascript; charset=utf-8"));
        assert!(text(&answer, "cache-control").unwrap().contains("immutable"));
        let packed = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain)
            .unwrap();
        assert_eq!(plain, "export const street = '薛家';\n".repeat(100));
    }

    #[test]
    fn gzip_only_where_it_is_wanted() {
        for (accept, packed) in [
            (None, false),
            (Some("gzip"), true),
            (Some("GZIP"), true),
            (Some("*"), true),
            (Some("br"), false),
            (Some("gzip;q=0"), false),
            (Some("gzip;q=0, *"), false),
            (Some("identity, gzip; q=0.5"), true),
        ] {
            let asked = accept.map_or(headers(&[]), |a| headers(&[("accept-encoding", a)]));
            let answer = files().answer("/assets/index-Bx3_9aQd.js", &asked);
            assert_eq!(text(&answer, "content-encoding").is_some(), packed, "{accept:?}");
        }
    }

    #[test]
    fn what_the_browser_holds_is_not_sent_again() {
        let files = files();
        let first = files.answer("/", &headers(&[]));
        assert_eq!(text(&first, "cache-control"), Some("no-cache"));
        let etag = text(&first, "etag").unwrap().to_owned();
        let weak = format!("\"other\", W/{etag}");
        for tag in [etag.as_str(), weak.as_str(), "*"] {
            let again = files.answer("/", &headers(&[("if-none-match", tag)]));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tag}");
        }
        let other = files.answer("/", &headers(&[("if-none-match", "\"other\"")]));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn each_encoding_has_its_own_tag() {
        let files = files();
        let path = "/assets/index-Bx3_9aQd.js";
        let plain = files.answer(path, &headers(&[]));
        let packed = files.answer(path, &headers(&[("accept-encoding", "gzip")]));
        assert_ne!(text(&plain, "etag"), text(&packed, "etag"));
    }

    #[test]
    fn only_names_with_a_hash_are_for_ever() {
        for (path, forever) in [
            ("assets/index-Bx3_9aQd.js", true),
            ("assets/barlow-400-normal-D-3x_k1a.woff2", true),
            ("assets/index.js", false),
            ("assets/index-short.js", false),
            ("index.html", false),
            ("favicon-Bx3_9aQd.svg", false),
        ] {
            assert_eq!(hashed(path), forever, "{path}");
        }
    }

    #[tokio::test]
    async fn without_a_dashboard_a_page_tells_how_to_build_it() {
        let files = Files::from_embedded(std::iter::empty());
        let answer = files.answer("/", &headers(&[]));
        assert_eq!(text(&answer, "content-type"), Some("text/html; charset=utf-8"));
        let page = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert!(std::str::from_utf8(&page).unwrap().contains("npm run build"));
    }

    #[test]
    fn nothing_else_is_served() {
        for path in ["/../Cargo.toml", "/assets/", "/assets/%2e%2e/index.html", "/nothing"] {
            let answer = files().answer(path, &headers(&[]));
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_page_is_told_where_tiles_come_from() {
        let tiles = Tiles {
            url: "https://tiles.example.org/{z}/{x}/{y}.png".into(),
            origin: Some("https://tiles.example.org".into()),
            attribution: "© \"them\"".into(),
            max_zoom: 17,
        };
        let told = files().with_tiles(Some(&tiles)).0.remove("page.json").unwrap();
        assert!(told.mime.to_str().unwrap().starts_with("application/json"));
        let told: serde_json::Value = serde_json::from_slice(&told.plain.bytes).unwrap();
        assert_eq!(told["tiles"]["url"], tiles.url);
        assert_eq!(
            (&told["tiles"]["attribution"], &told["tiles"]["max_zoom"]),
            (&json!("© \"them\""), &json!(17))
        );
        assert!(!files().with_tiles(None).0.contains_key("page.json"));
    }
}
