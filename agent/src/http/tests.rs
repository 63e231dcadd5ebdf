use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::mqtt::broker::{Broker, Running, Storage};

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(20);

type Browser = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Box_ {
    addr: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), HttpError>>,
}

async fn serve(broker: SocketAddr, patience: Patience) -> Box_ {
    let listening = listen(ANY_PORT).await.unwrap();
    let addr = listening.addr;
    let stop = CancellationToken::new();
    let site = Site {
        files: files::tests::files(),
        broker: bridge::tcp(broker.ip().to_string(), broker.port()),
        patience,
        metrics: None,
        names: Vec::new(),
        inlets: Arc::default(),
        open311: None,
        evidence: None,
        tiles: None,
    };
    let task = tokio::spawn(listening.serve(site, stop.clone()));
    Box_ { addr, stop, task }
}

async fn with_broker() -> (Running, Box_) {
    let broker = Broker { storage: Storage::Memory }.start(ANY_PORT).await.unwrap();
    let box_ = serve(broker.addr, Patience::default()).await;
    (broker, box_)
}

async fn open(
    addr: SocketAddr,
    headers: &[(&'static str, &str)],
) -> Result<Browser, tungstenite::Error> {
    let mut request = format!("ws://{addr}/mqtt").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(browser, answer)| {
        assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
        browser
    })
}

async fn mqtt_browser(addr: SocketAddr) -> Browser {
    open(addr, &[("sec-websocket-protocol", "mqtt")]).await.unwrap()
}

fn refused(outcome: Result<Browser, tungstenite::Error>) -> StatusCode {
    match outcome {
        Err(tungstenite::Error::Http(answer)) => {
            StatusCode::from_u16(answer.status().as_u16()).unwrap()
        }
        other => panic!("expected a refusal: {other:?}"),
    }
}

/// Bytes from the box until `wanted` of them are there.
async fn receive(browser: &mut Browser, wanted: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < wanted {
        match timeout(SOON, browser.next()).await.expect("in time").unwrap().unwrap() {
            Message::Binary(bytes) => got.extend_from_slice(&bytes),
            other => panic!("not binary: {other:?}"),
        }
    }
    got
}

async fn close_code_of(browser: &mut Browser) -> u16 {
    loop {
        match timeout(SOON, browser.next()).await.expect("in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("not closed properly: {other:?}"),
        }
    }
}

/// MQTT 3.1.1 packets, written out.
fn connect_packet(id: &str) -> Vec<u8> {
    let rest = [&[0, 4][..], b"MQTT", &[4, 2, 0, 60, 0, id.len() as u8], id.as_bytes()].concat();
    [&[0x10, rest.len() as u8], &rest[..]].concat()
}
fn subscribe_packet(filter: &str) -> Vec<u8> {
    let rest = [&[0, 1, 0, filter.len() as u8], filter.as_bytes(), &[0]].concat();
    [&[0x82, rest.len() as u8], &rest[..]].concat()
}
fn publish_packet(topic: &str, payload: &str) -> Vec<u8> {
    let rest = [&[0, topic.len() as u8], topic.as_bytes(), payload.as_bytes()].concat();
    [&[0x30, rest.len() as u8], &rest[..]].concat()
}
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const SUBACK: [u8; 5] = [0x90, 3, 0, 1, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_speaks_mqtt_with_the_broker_however_frames_are_cut() {
    let (_broker, box_) = with_broker().await;
    let mut browser = mqtt_browser(box_.addr).await;
    for byte in connect_packet("page") {
        browser.send(Message::Binary(vec![byte].into())).await.unwrap();
    }
    assert_eq!(receive(&mut browser, 4).await, CONNACK);
    // Two packets in one frame; what is published comes back to the same page.
    let publish = publish_packet("p/x", "hello");
    let both = [subscribe_packet("p/#"), publish.clone()].concat();
    browser.send(Message::Binary(both.into())).await.unwrap();
    let got = receive(&mut browser, SUBACK.len() + publish.len()).await;
    assert_eq!(got, [&SUBACK[..], &publish[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_is_refused() {
    let (_broker, box_) = with_broker().await;
    let mqtt = ("sec-websocket-protocol", "mqtt");
    let own = format!("http://{}", box_.addr);
    open(box_.addr, &[mqtt, ("origin", &own)]).await.unwrap();
    let foreign = open(box_.addr, &[mqtt, ("origin", "https://evil.example")]).await;
    assert_eq!(refused(foreign), StatusCode::FORBIDDEN);
    let rebound =
        open(box_.addr, &[mqtt, ("origin", "http://evil.example:1"), ("host", "evil.example:1")])
            .await;
    assert_eq!(refused(rebound), StatusCode::FORBIDDEN);
    let chat = open(box_.addr, &[("sec-websocket-protocol", "chat")]).await;
    assert_eq!(refused(chat), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_limited_and_come_free_again() {
    let (_broker, box_) = with_broker().await;
    let mut browsers = Vec::new();
    for i in 0..CONNECTIONS_MAX {
        let mut browser = mqtt_browser(box_.addr).await;
        let hello = connect_packet(&format!("page-{i}"));
        browser.send(Message::Binary(hello.into())).await.unwrap();
        receive(&mut browser, 4).await;
        browsers.push(browser);
    }
    let mqtt = ("sec-websocket-protocol", "mqtt");
    assert_eq!(refused(open(box_.addr, &[mqtt]).await), StatusCode::SERVICE_UNAVAILABLE);
    let mut leaver = browsers.pop().unwrap();
    leaver.close(None).await.unwrap();
    while let Some(Ok(_)) = leaver.next().await {}
    let again = async {
        while open(box_.addr, &[mqtt]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.expect("a place comes free");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_learns_that_the_other_left() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let box_ = serve(listener.local_addr().unwrap(), Patience::default()).await;

    let mut browser = mqtt_browser(box_.addr).await;
    let (mut broker, _) = listener.accept().await.unwrap();
    browser.close(None).await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, broker.read_to_end(&mut rest)).await.expect("in time").unwrap();
    assert!(rest.is_empty());

    let mut browser = mqtt_browser(box_.addr).await;
    let (broker, _) = listener.accept().await.unwrap();
    drop(broker);
    assert_eq!(close_code_of(&mut browser).await, 1000);

    let mut browser = mqtt_browser(box_.addr).await;
    let (_broker, _) = listener.accept().await.unwrap();
    box_.stop.cancel();
    assert_eq!(close_code_of(&mut browser).await, 1001);
    timeout(SOON, box_.task).await.expect("in time").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_wrong_and_huge_are_shown_out() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let broker = listener.local_addr().unwrap();

    let patience = Patience { idle: Duration::from_millis(50), ..Patience::default() };
    let impatient = serve(broker, patience).await;
    assert_eq!(close_code_of(&mut mqtt_browser(impatient.addr).await).await, 1008);

    let box_ = serve(broker, Patience::default()).await;
    let mut browser = mqtt_browser(box_.addr).await;
    browser.send(Message::Text("not MQTT".into())).await.unwrap();
    assert_eq!(close_code_of(&mut browser).await, 1003);

    let mut browser = mqtt_browser(box_.addr).await;
    let huge = vec![0; bridge::FRAME_MAX + 1];
    // The box may hang up while the frame is still being sent.
    let _broken = browser.send(Message::Binary(huge.into())).await;
    let ended = async { while let Some(Ok(Message::Binary(_))) = browser.next().await {} };
    timeout(SOON, ended).await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_said_to_be_away() {
    let taken = TcpListener::bind(ANY_PORT).await.unwrap();
    let nobody = taken.local_addr().unwrap();
    drop(taken);
    let box_ = serve(nobody, Patience::default()).await;
    assert_eq!(close_code_of(&mut mqtt_browser(box_.addr).await).await, 1013);
}

async fn request(addr: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_guarded() {
    let box_ = serve(ANY_PORT, Patience::default()).await;
    for (line, status) in [
        ("GET /", "200"),
        ("HEAD /", "200"),
        ("GET /healthz", "200"),
        ("GET /nothing", "404"),
        ("GET /../../etc/passwd", "404"),
        ("GET /mqtt", "426"),
        ("POST /", "405"),
        ("DELETE /healthz", "405"),
    ] {
        let text = format!("{line} HTTP/1.1\nHost: {}\nConnection: close\n\n", box_.addr);
        let answer = request(box_.addr, &text).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{line}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn an_address_in_use_says_so_and_what_to_do() {
    let first = listen(ANY_PORT).await.unwrap();
    let e = listen(first.addr).await.unwrap_err();
    assert!(matches!(e, HttpError::InUse(_)), "{e}");
    assert!(e.to_string().contains("port 0"), "{e}");
}

#[test]
fn pictures_come_from_elsewhere_only_where_that_is_configured() {
    let said = |tiles| policy(tiles).to_str().unwrap().to_owned();
    assert!(said(None).contains("img-src 'self' data:;"));
    let with = said(Some("https://tiles.example.org"));
    assert!(with.contains("img-src 'self' data: https://tiles.example.org;"), "{with}");
    assert_eq!(with.matches("tiles.example.org").count(), 1);
}
