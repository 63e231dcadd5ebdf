use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use domain::decode::Reason;
use domain::decode::json::{DOCUMENT_MAX, Layout, LayoutText, RuleText};
use domain::sample::Quantity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{HttpPoll, HttpUrl};
use crate::http;
use crate::sources::tests::{Bench, in_time};

fn feed(way: HttpWay) -> JsonHttp {
    let quantity = RuleText {
        name: "occupied".to_owned(),
        pointer: "/taken".to_owned(),
        ..RuleText::default()
    };
    let device = Some("/id".to_owned());
    let text = LayoutText { device, quantity: vec![quantity], ..LayoutText::default() };
    JsonHttp { way, layout: Layout::new(&text).unwrap() }
}

/// A web server with one inlet, behind it a source.
async fn pushed(bench: &Bench, token: Option<&str>) -> SocketAddr {
    let token = token.map(|text| Secret::new(text.to_owned()));
    let way = HttpWay::Push { token };
    let source =
        Source { name: bench.context.name.clone(), kind: SourceKind::HttpJson(feed(way.clone())) };
    let mut inboxes = BTreeMap::new();
    let inlets = inlets(&[source], &mut inboxes);
    let sent = inboxes.remove(&bench.context.name).unwrap().documents;
    tokio::spawn(run(feed(way), sent, bench.context.clone()));
    let listening = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listening.addr;
    let site = http::Site {
        files: http::files::tests::files(),
        broker: http::bridge::tcp("127.0.0.1".to_owned(), 1),
        patience: http::bridge::Patience::default(),
        metrics: None,
        names: vec![],
        inlets,
        open311: None,
        evidence: None,
        tiles: None,
    };
    tokio::spawn(listening.serve(site, CancellationToken::new()));
    addr
}

/// Sends a request and answers with the status.
async fn post(addr: SocketAddr, path: &str, token: &str, body: &[u8]) -> StatusCode {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: box\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // One that is refused for its head is closed before its end.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).unwrap_or_default().parse().unwrap()
}

#[tokio::test]
async fn a_document_is_answered_after_its_samples_are_stored() {
    let mut bench = Bench::new("webhook", 8);
    let addr = pushed(&bench, Some("s3cret")).await;
    in_time(bench.until(|status| status.connected)).await;
    let mut sending =
        tokio::spawn(post(addr, "/in/webhook", "s3cret", br#"{"id":7,"taken":true}"#));
    let (sample, committed) = bench.arrival().await;
    assert_eq!(sample.device.unwrap().as_str(), "7");
    assert_eq!(sample.quantities, [Quantity::Occupied(true)]);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut sending).await.is_err());
    committed.unwrap().send(()).unwrap();
    assert_eq!(in_time(sending).await.unwrap(), StatusCode::NO_CONTENT);
    // What could not be stored is to be sent again.
    let sending = tokio::spawn(post(addr, "/in/webhook", "s3cret", br#"{"id":7,"taken":true}"#));
    drop(bench.arrival().await);
    assert_eq!(in_time(sending).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_why() {
    let mut bench = Bench::new("webhook", 8);
    let addr = pushed(&bench, Some("s3cret")).await;
    let long = vec![b' '; DOCUMENT_MAX + 1];
    for (path, token, body, expected) in [
        ("/in/webhook", "s3cret", &b"{"[..], StatusCode::BAD_REQUEST),
        ("/in/webhook", "s3cret", b"{}", StatusCode::NO_CONTENT),
        ("/in/webhook", "other", b"{}", StatusCode::UNAUTHORIZED),
        ("/in/nobody", "s3cret", b"{}", StatusCode::NOT_FOUND),
        ("/in/webhook", "s3cret", &long, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(post(addr, path, token, body).await, expected, "{path} {token}");
    }
    let status = in_time(bench.until(|status| status.tally.rejected_total() == 2)).await;
    assert_eq!(status.tally.rejected, [(Reason::Json, 1), (Reason::Field, 1)].into());
    assert!(bench.is_quiet());
}

/// A server that gives one answer after the other, and the heads of the questions.
async fn asked(answers: Vec<String>) -> (HttpPoll, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = HttpUrl {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        path: "/bays.json?key=k".to_owned(),
    };
    let token = Some(Secret::new("s3cret".to_owned()));
    let poll = HttpPoll { url, every: Duration::from_millis(10), token, ca_file: None };
    let task = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = in_time(listener.accept()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(in_time(stream.read_u8()).await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap());
            // The end of an answer that is cut off is a closed connection.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        heads
    });
    (poll, task)
}

fn answer(status: &str, head: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_document_is_asked_for_again_and_again_and_only_what_is_new_is_sent() {
    let mut bench = Bench::new("city", 8);
    let answers = vec![
        answer("200 OK", "etag: \"1\"\r\n", r#"{"id":"a","taken":true}"#),
        answer("304 Not Modified", "", ""),
        answer("200 OK", "", r#"{"id":"a","taken":false}"#),
    ];
    let (poll, server) = asked(answers).await;
    let task = tokio::spawn(run(feed(HttpWay::Poll(poll)), None, bench.context.clone()));
    for taken in [true, false] {
        let (sample, committed) = bench.arrival().await;
        assert_eq!(sample.quantities, [Quantity::Occupied(taken)]);
        assert!(committed.is_none());
    }
    let heads = in_time(server).await.unwrap();
    assert!(heads[0].starts_with("GET /bays.json?key=k HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("authorization: Bearer s3cret\r\n"));
    assert!(!heads[0].contains("if-none-match"));
    assert!(heads[1].contains("if-none-match: \"1\"\r\n"));
    let status = in_time(bench.until(|status| status.trouble.is_some())).await;
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("/bays.json: ") && !trouble.contains("key"), "{trouble}");
    bench.context.stop.cancel();
    in_time(task).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_trouble_and_the_next_one_is_read() {
    let bad = [
        answer("500 Broken", "", "x"),
        answer("301 Moved", "location: /x\r\n", ""),
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
        format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(DOCUMENT_MAX + 1)),
        "nonsense\r\n\r\n".to_owned(),
        String::new(),
    ];
    for bad in bad {
        let mut bench = Bench::new("city", 8);
        let good = answer("200 OK", "", r#"{"id":"a","taken":true}"#);
        let (poll, _server) = asked(vec![bad.clone(), good]).await;
        let task = tokio::spawn(run(feed(HttpWay::Poll(poll)), None, bench.context.clone()));
        let shown = bad.get(..40).unwrap_or(&bad).to_owned();
        in_time(bench.until(|status| status.trouble.is_some())).await;
        let (sample, _) = bench.arrival().await;
        assert_eq!(sample.quantities, [Quantity::Occupied(true)], "{shown}");
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }
}
