//! Web servers with pictures: those that want to know who asks, and those that talk without showing
//! anything.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use tokio::net::TcpStream;

use super::*;

/// Answers every question on a connection of its own.
async fn serve_with(mut answer: impl FnMut(&str) -> Vec<u8> + Send + 'static) -> HttpUrl {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let question = read_head(&mut stream).await;
            stream.write_all(&answer(&question)).await.ok();
            stream.shutdown().await.ok();
        }
    });
    HttpUrl { tls: false, host: "127.0.0.1".to_owned(), port, path: "/snap?channel=1".to_owned() }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut question = vec![0; 4096];
    let length = stream.read(&mut question).await.unwrap();
    String::from_utf8_lossy(&question[..length]).into_owned()
}

fn hash(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of a Digest login; `None` without one.
fn login(question: &str) -> Option<BTreeMap<String, String>> {
    let line =
        question.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:"))?;
    let fields = line.split_once("Digest ")?.1.split(", ");
    let pair = |field: &str| {
        let (name, value) = field.split_once('=').unwrap();
        (name.trim().to_owned(), value.trim().trim_matches('"').to_owned())
    };
    Some(fields.map(pair).collect())
}

/// Whether the login is right, by RFC 7616, 3.4.1.
fn is_right(login: &BTreeMap<String, String>, nonce: &str) -> bool {
    let of = |name: &str| login.get(name).map_or("", String::as_str);
    let secret = hash(&format!("admin:{}:pass word", of("realm")));
    let asked = hash(&format!("GET:{}", of("uri")));
    let wanted = format!("{secret}:{nonce}:{}:{}:{}:{asked}", of("nc"), of("cnonce"), of("qop"));
    of("response") == hash(&wanted) && of("nonce") == nonce && of("uri") == "/snap?channel=1"
}

fn unauthorized(challenges: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 401 Unauthorized\r\n{challenges}content-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_camera_that_wants_digest_gets_it_and_again_when_its_number_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let (said, mut heard) = mpsc::unbounded_channel();
    let good = answer("image/jpeg", &jpeg(&[(1, 2, 0)]));
    let mut answered = 0;
    let url = serve_with(move |question| {
        // Every number is good for three pictures.
        let nonce = format!("n{}", answered / 3);
        let login = login(question);
        said.send(login.clone().unwrap_or_default()).ok();
        match login {
            Some(login) if is_right(&login, &nonce) => {
                answered += 1;
                good.clone()
            }
            old => unauthorized(&format!(
                "WWW-Authenticate: Basic realm=\"cam\"\r\nWWW-Authenticate: Digest realm=\"cam\", \
                 nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5{}\r\n",
                if old.is_some() { ", stale=true" } else { "" }
            )),
        }
    });
    let mut running = Running::start(camera(dir.path(), Pictures::Snapshot(server(url.await))));
    for _ in 0..5 {
        assert_eq!(running.seen().await, Some(Object::Car));
    }
    let mut counts = vec![];
    while counts.len() < 7 {
        let login = in_time(heard.recv()).await.unwrap();
        let shown = login.values().any(|value| value.contains("pass word"));
        assert!(!shown, "the password itself never travels: {login:?}");
        counts.push(login.get("nc").cloned().unwrap_or_default());
    }
    // Unknown at first; three with one number; the fourth is told that it is old, and goes on with another.
    let [none, one, two, three, four] =
        ["", "00000001", "00000002", "00000003", "00000004"].map(str::to_owned);
    assert_eq!(counts, [none, one.clone(), two.clone(), three, four, one, two]);
    let status = running.until(|s| s.connected).await;
    assert_eq!(status.trouble, None);
    running.stop().await;
}

#[tokio::test]
async fn who_has_no_login_or_a_wrong_one_is_told_so() {
    let basic = "WWW-Authenticate: Basic realm=\"cam\"\r\n";
    let wrong = "WWW-Authenticate: Negotiate\r\n";
    for (has_login, challenges, said) in [
        (true, basic, "it wants another username or password"),
        (false, basic, "it wants a username and a password"),
        (true, wrong, "in a way unknown here"),
        (true, "", "in a way unknown here"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let refused = unauthorized(challenges);
        let mut asked = server(serve_with(move |_| refused.clone()).await);
        asked.login = asked.login.filter(|_| has_login);
        let mut running = Running::start(camera(dir.path(), Pictures::Snapshot(asked)));
        let status = running.until(|s| s.trouble.is_some()).await;
        let trouble = status.trouble.unwrap();
        assert!(trouble.contains(said) && !trouble.contains("pass word"), "{trouble}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_talks_without_a_picture_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let kind = "multipart/x-mixed-replace; boundary=f";
        stream.write_all(&answer(kind, &jpeg(&[]))).await.unwrap();
        // From here on it says that it lives, and nothing else.
        while stream.write_all(b"\r\n--f\r\nX-Alive: yes\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let path = "/live".to_owned();
    let asked = server(HttpUrl { tls: false, host: "127.0.0.1".to_owned(), port, path });
    let (newest, _seen) = watch::channel((0, Vec::new()));
    let (too_long, state) = (watch::channel(0).0, watch::channel(None).0);
    let patience = Duration::from_millis(500);
    let mut live = Live { patience, most: 100_000, newest, too_long, state, number: 0 };
    let why = in_time(Visitor::new(&asked).stream(&mut live)).await;
    assert!(why.ends_with("/live: it has shown no picture for 0 s"), "{why}");
    assert_eq!(live.number, 1);
}

#[test]
fn a_camera_that_makes_a_picture_a_minute_is_waited_for() {
    assert_eq!(live::patience(Duration::from_secs(1)), Duration::from_secs(30));
    assert_eq!(live::patience(Duration::from_secs(60)), Duration::from_secs(180));
}
