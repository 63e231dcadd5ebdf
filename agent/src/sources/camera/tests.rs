//! Cameras of a bench: a folder, a web server, programs; with the network that sees coloured cells.

mod programs;
mod servers;

use std::path::Path;

use domain::sample::Object;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use vision::manifest::Manifest;
use vision::motion::Thresholds;
use vision::picture::Limits;
use vision::scene::{Settings, Zone};
use vision::swatch;
use vision::zone::Polygon;

use super::*;
use crate::config::{CameraModel, CameraServer, HttpUrl, Place, Secret, Source, SourceKind};
use crate::sources::Status;
use crate::sources::tests::{Bench, in_time};

/// A camera with one zone that tells a bay what stands there.
fn camera(dir: &Path, pictures: Pictures) -> Camera {
    let path = swatch::write(dir).unwrap();
    let polygon = Polygon::new(vec![(0.2, 0.45), (0.55, 0.45), (0.55, 0.8), (0.2, 0.8)]).unwrap();
    let place = Place::nowhere();
    let zone = Zone { polygon, model: 0, task: Task::Occupancy(vec![(0, 0.6)]) };
    Camera {
        pictures,
        every: Duration::from_millis(1),
        models: vec![CameraModel { manifest: Manifest::read(&path).unwrap(), path, place }],
        settings: Settings {
            zones: vec![zone],
            faces: None,
            limits: Limits { bytes: 100_000, ..Limits::default() },
            gate: Thresholds { moved_permille: 0, keepalive: 0, frozen_after: None },
            fault_after: 60_000,
        },
        zones: vec![CameraZone {
            name: DeviceKey::new("b-1").unwrap(),
            objects: vec![Some(Object::Car), None, Some(Object::Person)],
            problem: None,
        }],
    }
}

fn jpeg(cells: &[(u32, u32, usize)]) -> Vec<u8> {
    // Something green in the corner, so that no picture is of one colour.
    let corner = [(0, 0, 1)];
    swatch::picture(128, 96, &[&corner, cells].concat()).encode(90)
}

/// A camera that runs.
struct Running {
    bench: Bench,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(camera: Camera) -> Running {
        let bench = Bench::new("cam-1", 64);
        let kind = SourceKind::Camera(Box::new(camera.clone()));
        let sources = [Source { name: bench.context.name.clone(), kind }];
        let eyes = Eyes::open(&sources, Path::new("/nonexistent"), bench.context.clock.clone());
        let task = tokio::spawn(run(Box::new(camera), eyes, bench.context.clone()));
        Running { bench, task }
    }

    async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
        in_time(self.bench.until(wanted)).await
    }

    /// The next sample.
    async fn seen(&mut self) -> Option<Object> {
        loop {
            let arrival = in_time(self.bench.arrivals.recv()).await.unwrap();
            let Input::Sample(sample) = arrival.input else { continue };
            let [Quantity::Detected(Detection { what, .. })] = sample.quantities[..] else {
                panic!("{sample:?}")
            };
            return what;
        }
    }

    async fn stop(self) {
        self.bench.context.stop.cancel();
        in_time(self.task).await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_of_pictures_tells_what_stands_on_a_bay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in");
    std::fs::create_dir(&path).unwrap();
    let pictures = Pictures::Folder { path: path.clone(), keep: false };
    let mut running = Running::start(camera(dir.path(), pictures));
    std::fs::write(path.join("1.jpg"), jpeg(&[(1, 2, 0)])).unwrap();
    assert_eq!(running.seen().await, Some(Object::Car));
    std::fs::write(path.join("2.jpg"), jpeg(&[])).unwrap();
    assert_eq!(running.seen().await, None);
    let status = running.until(|s| s.pictures.is_some_and(|p| p.looked == 2)).await;
    assert!(status.connected, "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn bad_pictures_are_counted_by_their_reasons_and_nothing_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in");
    std::fs::create_dir(&path).unwrap();
    let pictures = Pictures::Folder { path: path.clone(), keep: false };
    let mut running = Running::start(camera(dir.path(), pictures));
    let good = jpeg(&[(1, 2, 0)]);
    let mut bomb = good.clone();
    let frame = bomb.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let cases: [(&str, &[u8], Reason); 6] = [
        ("empty.jpg", b"", Reason::Truncated),
        ("cut.jpg", &good[..good.len() / 2], Reason::Truncated),
        ("png.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20", Reason::Malformed),
        ("text.jpg", b"<html>", Reason::Malformed),
        ("bomb.jpg", &bomb, Reason::OutOfRange),
        ("long.jpg", &[0; 100_001], Reason::TooLong),
    ];
    for (n, (name, bytes, reason)) in cases.iter().enumerate() {
        let same = cases[..=n].iter().filter(|case| case.2 == *reason).count() as u64;
        std::fs::write(path.join(name), bytes).unwrap();
        running.until(|s| s.tally.rejected.get(reason) == Some(&same)).await;
    }
    std::fs::write(path.join("good.jpg"), good).unwrap();
    assert_eq!(running.seen().await, Some(Object::Car));
    running.stop().await;
}

#[tokio::test]
async fn a_model_that_is_damaged_is_a_trouble_of_the_camera() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in");
    std::fs::create_dir(&path).unwrap();
    let camera = camera(dir.path(), Pictures::Folder { path: path.clone(), keep: false });
    std::fs::write(dir.path().join("swatch.onnx"), b"another file").unwrap();
    let mut running = Running::start(camera);
    std::fs::write(path.join("1.jpg"), jpeg(&[(1, 2, 0)])).unwrap();
    let status = running.until(|s| s.trouble.is_some()).await;
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("swatch.onnx: its SHA-256 is"), "{trouble}");
    running.until(|s| s.pictures.is_some_and(|p| p.failed == 1)).await;
    running.stop().await;
}

/// Answers each connection once with `answer`, after it has read a question; tells the questions.
async fn serve(answers: Vec<Vec<u8>>) -> (HttpUrl, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; 4096];
            let length = stream.read(&mut question).await.unwrap();
            tell.send(String::from_utf8_lossy(&question[..length]).into_owned()).ok();
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.ok();
        }
        std::future::pending::<()>().await;
    });
    let path = "/snap?token=s3cret".to_owned();
    (HttpUrl { tls: false, host: "127.0.0.1".to_owned(), port, path }, asked)
}

fn answer(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn server(url: HttpUrl) -> CameraServer {
    let login = Some(("admin".to_owned(), Secret::new("pass word".to_owned())));
    CameraServer { url, login, ca_file: None }
}

#[tokio::test]
async fn snapshots_are_asked_for_with_a_login_that_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let refused = b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"cam\"\r\n\
        content-length: 0\r\n\r\n";
    let refused = refused.to_vec();
    let good = answer("image/jpeg", &jpeg(&[(1, 2, 0)]));
    let answers = vec![refused.clone(), refused.clone(), refused, good];
    let (url, mut asked) = serve(answers).await;
    let mut running = Running::start(camera(dir.path(), Pictures::Snapshot(server(url))));
    let question = in_time(asked.recv()).await.unwrap().to_ascii_lowercase();
    assert!(question.starts_with("get /snap?token=s3cret http/1.1"), "{question}");
    assert!(!question.contains("authorization"), "not before it is asked for: {question}");
    let question = in_time(asked.recv()).await.unwrap().to_ascii_lowercase();
    assert!(question.contains("authorization: basic ywrtaw46cgfzcyb3b3jk"), "{question}");
    let status = running.until(|s| s.trouble.is_some()).await;
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("/snap: it wants another username or password"), "{trouble}");
    assert!(!trouble.contains("s3cret") && !trouble.contains("pass word"), "{trouble}");
    assert_eq!(running.seen().await, Some(Object::Car));
    running.stop().await;
}

#[tokio::test]
async fn a_stream_is_read_and_asked_for_again_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let part = |jpeg: Vec<u8>| [b"--f\r\nContent-Type: image/jpeg\r\n\r\n".to_vec(), jpeg].concat();
    let kind = "multipart/x-mixed-replace; boundary=f";
    let first = answer(kind, &part(jpeg(&[(1, 2, 0)])));
    let second = answer(kind, &[part(jpeg(&[])), vec![0xff; 10]].concat());
    let (url, _asked) = serve(vec![first, second]).await;
    let mut running = Running::start(camera(dir.path(), Pictures::Stream(server(url))));
    assert_eq!(running.seen().await, Some(Object::Car));
    let status = running.until(|s| s.trouble.is_some()).await;
    assert!(status.trouble.unwrap().ends_with("/snap: its output has ended"));
    assert_eq!(running.seen().await, None);
    running.stop().await;
}

fn program(words: &[&str]) -> Pictures {
    Pictures::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

#[tokio::test]
async fn a_program_is_started_again_when_it_ends_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stream");
    std::fs::write(&file, [jpeg(&[]), jpeg(&[(1, 2, 0)])].concat()).unwrap();
    let script = "cat \"$0\"; echo first >&2; echo rtsp://u:s3cret@h: gone >&2; exit 3";
    let words = ["sh", "-c", script, file.to_str().unwrap()];
    let mut running = Running::start(camera(dir.path(), program(&words)));
    let status = running.until(|s| s.trouble.is_some()).await;
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("its output has ended (exit status: 3)"), "{trouble}");
    assert!(trouble.ends_with("it says: rtsp://…@h: gone"), "{trouble}");
    // Of two pictures that come at once the newest counts, again and again.
    let status = running.until(|s| s.pictures.is_some_and(|p| p.looked >= 2)).await;
    assert!(status.pictures.unwrap().dropped >= 1, "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_trouble_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(camera(dir.path(), program(&["no-such-program"])));
    let status = running.until(|s| s.trouble.is_some()).await;
    assert!(status.trouble.unwrap().starts_with("no-such-program: No such file"));
    running.stop().await;
}

#[tokio::test]
async fn a_program_and_what_it_started_end_with_the_box() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let picture = dir.path().join("picture");
    std::fs::write(&picture, jpeg(&[(1, 2, 0)])).unwrap();
    let script = "cat \"$1\"; sleep 1000 & echo $! > \"$0\"; wait";
    let words = ["sh", "-c", script, pid.to_str().unwrap(), picture.to_str().unwrap()];
    let mut running = Running::start(camera(dir.path(), program(&words)));
    assert_eq!(running.seen().await, Some(Object::Car));
    let started = in_time(async {
        loop {
            match std::fs::read_to_string(&pid)
                .ok()
                .and_then(|text| text.trim().parse::<u32>().ok())
            {
                Some(pid) => return pid,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let started = started.await;
    running.stop().await;
    in_time(async {
        // A dead process may wait for its parent to look: it is no program any more.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{started}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while runs() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
