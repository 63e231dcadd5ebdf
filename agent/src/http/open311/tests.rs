//! The endpoint over TCP, with the core behind it and no store.

use domain::Engine;
use domain::output::{Body as MessageBody, Topic};
use domain::time::Boot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http;

struct Endpoint {
    addr: SocketAddr,
    counts: Arc<Counts>,
    folder: tempfile::TempDir,
}

const BOX: &str = "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n\
    [mqtt]\nurl = \"mqtt://127.0.0.1\"\n\
    [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n\
    [[bin]]\nid = \"bin-21\"\nsource = \"nodes\"\ndevice = \"21\"\nempty_mm = 1000\nfull_mm = 100\n\
    position = { lat = 31.811, lon = 119.974 }\n";

impl Endpoint {
    async fn start(settings: &str) -> Endpoint {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), "0123456789abcdef\n").unwrap();
        let path = folder.path().join("box.toml");
        std::fs::write(&path, format!("{BOX}[open311]\nenabled = true\n{settings}")).unwrap();
        let config = config::load(&path).unwrap_or_else(|faults| panic!("{faults}")).config;
        let clock = Clock::system(Boot(1));
        let settings = config.open311.unwrap();
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        let keeping = Keeping::new(folder.path(), settings.photos_max, settings.keep);
        let engine = Engine::new(config.site.clone(), vec![], clock.now());
        tokio::spawn(decide(engine, asked, clock.clone()));
        let endpoint = Open311::new(settings, config.site, clock, keeping, asks);
        let counts = endpoint.counts();
        let listening = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listening.addr;
        let site = http::Site {
            files: http::files::tests::files(),
            broker: http::bridge::tcp("127.0.0.1".to_owned(), 1),
            patience: http::bridge::Patience::default(),
            metrics: None,
            names: vec![],
            inlets: Arc::default(),
            evidence: None,
            tiles: None,
            open311: Some(endpoint),
        };
        tokio::spawn(listening.serve(site, CancellationToken::new()));
        Endpoint { addr, counts, folder }
    }

    async fn send(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let length = body.len();
        let head = format!(
            "{head}\r\nhost: box:8080\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // One that is refused before its end is closed.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = timeout(ANSWER_WITHIN, stream.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        (status, body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.send(&format!("GET /open311/v2/{path} HTTP/1.1"), b"").await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn form(&self, form: &str) -> (u16, Value) {
        let head = "POST /open311/v2/requests.json HTTP/1.1\r\n\
            content-type: application/x-www-form-urlencoded";
        let (status, body) = self.send(head, form.as_bytes()).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn with_photo(&self, photo: &[u8]) -> (u16, Value) {
        let field = |name: &str, value: &str| {
            format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let mut body = [("service_code", "bin_overflow"), ("lat", "31.811"), ("long", "119.974")]
            .map(|(name, value)| field(name, value))
            .concat()
            .into_bytes();
        body.extend(
            b"--XX\r\ncontent-disposition: form-data; name=\"media\"; filename=\"a.jpg\"\r\n\
            content-type: image/jpeg\r\n\r\n",
        );
        body.extend(photo);
        body.extend(b"\r\n--XX--\r\n");
        let head = "POST /open311/v2/requests.json HTTP/1.1\r\n\
            content-type: multipart/form-data; boundary=XX";
        let (status, answer) = self.send(head, &body).await;
        (status, serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }
}

/// The core without a store: what it answers, it answers at once.
async fn decide(mut engine: Engine, mut asked: mpsc::Receiver<Ask>, clock: Clock) {
    while let Some(Ask { input, tell }) = asked.recv().await {
        let out = engine.step(input, clock.now());
        let reply = out.messages.into_iter().find(|m| matches!(m.topic, Topic::Reply(_))).unwrap();
        let MessageBody::Flat(body) = reply.body else { panic!("{reply:?}") };
        tell.send(Value::Object(body)).unwrap();
    }
}

const REPORT: &str = "service_code=bin_overflow&lat=31.8111&long=119.9741&description=%E6%BB%A1%E4%BA%86\
    &first_name=San&last_name=Zhang&phone=13800000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_gets_a_number_and_is_found_by_it() {
    let endpoint = Endpoint::start("").await;
    let (status, receipt) = endpoint.form(REPORT).await;
    assert_eq!(status, 201, "{receipt}");
    let number = receipt[0]["service_request_id"].as_str().unwrap().to_owned();
    let (_, other) = endpoint.form(REPORT).await;
    assert_ne!(other[0]["service_request_id"], number.as_str(), "each report has its own");
    let (status, shown) = endpoint.get(&format!("requests/{number}.json")).await;
    assert_eq!(
        (status, &shown[0]["status"], &shown[0]["description"]),
        (200, &"open".into(), &"满了".into())
    );
    let (_, listed) = endpoint.get("requests.json?status=open").await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0].get("description"), None, "nobody's words in a list");
    for text in [shown.to_string(), listed.to_string()] {
        assert!(!text.contains("Zhang") && !text.contains("138000"), "{text}");
    }
    let (_, token) = endpoint.get(&format!("tokens/{number}.json")).await;
    assert_eq!(token[0]["service_request_id"], number.as_str());
    let person = endpoint.folder.path().join("people").join(format!("{number}.json"));
    assert!(std::fs::read_to_string(person).unwrap().contains("13800000000"));
    let (status, text) = endpoint.get(&format!("requests/{number}.xml")).await;
    let text = text.as_str().unwrap();
    assert!(
        status == 200 && text.starts_with("<?xml") && text.contains("<service_requests><request>")
    );
    assert_eq!(endpoint.counts.taken.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_the_endpoint_itself_are_told() {
    let endpoint =
        Endpoint::start("services = [\"bin_overflow\", \"road_damage\"]\nlanguage = \"en\"\n")
            .await;
    let (_, listed) = endpoint.get("services.json").await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(
        (&listed[0]["service_code"], &listed[0]["service_name"]),
        (&"06042".into(), &"Bin overflowing".into())
    );
    let (_, definition) = endpoint.get("services/06042.json").await;
    assert_eq!(definition["attributes"][0]["code"], "asset");
    let (_, told) = endpoint.get("discovery.json").await;
    assert_eq!(told["endpoints"][0]["url"], "http://box:8080/open311/v2");
    let head = "GET /open311/v2/services HTTP/1.1\r\naccept: text/xml";
    let (_, text) = endpoint.send(head, b"").await;
    assert!(text.contains("<services><service>"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_in_the_form_of_the_standard() {
    let endpoint = Endpoint::start("keys_file = \"keys\"\njurisdiction = \"longcheng\"\n").await;
    for (form, status, part) in [
        ("service_code=1&lat=31.811&long=119.974", 404, "GET services"),
        ("service_code=bin_overflow", 400, "lat and long are missing"),
        ("service_code=bin_overflow&lat=52.5&long=13.4", 400, "more than 5000 m"),
        ("service_code=bin_overflow&lat=31.811&long=119.974&api_key=wrong", 403, "api_key"),
        ("service_code=bin_overflow&lat=31.811&long=119.974&jurisdiction_id=x", 404, "longcheng"),
    ] {
        let (found, faults) = endpoint.form(form).await;
        assert_eq!((found, &faults[0]["code"]), (status, &status.into()), "{form}: {faults}");
        assert!(faults[0]["description"].as_str().unwrap().contains(part), "{form}: {faults}");
    }
    let (status, _) = endpoint.form(&format!("{REPORT}&api_key=0123456789abcdef")).await;
    assert_eq!(status, 201);
    for (path, status) in [
        ("requests/r0000-0000-0000-0000.json", 404),
        ("requests/t-1.json", 404),
        ("services/1.json", 404),
        ("nothing.json", 404),
        ("requests.json?start_date=2020-01-01T00:00:00Z", 400),
        ("services.json?jurisdiction_id=x", 404),
    ] {
        let (found, faults) = endpoint.get(path).await;
        assert_eq!((found, &faults[0]["code"]), (status, &status.into()), "{path}: {faults}");
    }
    let head = "POST /open311/v2/requests.json HTTP/1.1\r\ncontent-type: application/json";
    let (status, text) = endpoint.send(head, b"{}").await;
    assert!(status == 415 && text.contains("urlencoded"), "{text}");
    let (status, _) = endpoint.send("POST /open311/v2/services.json HTTP/1.1", b"").await;
    assert_eq!(status, 405);
    assert_eq!(endpoint.counts.refused.load(Ordering::Relaxed), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_are_what_they_are_and_no_longer_than_they_may_be() {
    let endpoint =
        Endpoint::start("photo_max = \"64KiB\"\nphotos_max = \"1MiB\"\nreports_per_hour = 100\n")
            .await;
    let photo = |fill: u8, length: usize| {
        let mut photo = b"\xff\xd8\xff\xe0".to_vec();
        photo.resize(length, fill);
        photo
    };
    let (status, receipt) = endpoint.with_photo(&photo(1, 60_000)).await;
    assert_eq!(status, 201, "{receipt}");
    let (status, faults) = endpoint.with_photo(b"GIF89a not a photo").await;
    assert_eq!(status, 415, "{faults}");
    let (status, faults) = endpoint.with_photo(&photo(2, 70_000)).await;
    assert_eq!(status, 413, "{faults}");
    let (status, _) = endpoint.with_photo(b"").await;
    assert_eq!(status, 201, "no photo after all");
    let photos = std::fs::read_dir(endpoint.folder.path().join("photos")).unwrap();
    assert_eq!(photos.count(), 1);
    let long = format!("service_code=bin_overflow&description={}", "x".repeat(70_000));
    let (status, faults) = endpoint.form(&long).await;
    assert_eq!(status, 413, "{faults}");
    // 1 MiB has room for seventeen of them.
    for n in 3..21 {
        let (status, receipt) = endpoint.with_photo(&photo(n, 60_000)).await;
        let told = receipt[0]["service_notice"].as_str().unwrap_or_default();
        let lost = n > 18;
        assert_eq!((status, told.contains("no room for photos")), (201, lost), "{n}: {receipt}");
    }
    assert_eq!(endpoint.counts.photos_lost.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_is_told_when_to_come_again() {
    let endpoint = Endpoint::start("reports_per_hour = 2\nbehind_proxy = true\n").await;
    assert_eq!(endpoint.form(REPORT).await.0, 201);
    assert_eq!(endpoint.form("wrong").await.0, 400, "wrong ones count as well");
    let (status, faults) = endpoint.form(REPORT).await;
    assert_eq!((status, &faults[0]["code"]), (429, &429.into()));
    let head = "POST /open311/v2/requests.json HTTP/1.1\r\nx-forwarded-for: 10.0.0.1, 192.0.2.9\r\n\
        content-type: application/x-www-form-urlencoded";
    assert_eq!(endpoint.send(head, REPORT.as_bytes()).await.0, 201, "another one behind the proxy");
    assert_eq!(endpoint.counts.limited.load(Ordering::Relaxed), 1);
}
