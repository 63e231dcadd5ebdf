//! Programs that make pictures, with the command lines of the manual.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::process::Command;

use super::*;

/// The command that the manual gives for this.
fn documented(what: &str) -> Vec<String> {
    let manual = include_str!("../../../../../docs/sources.md");
    let row = manual.lines().find(|line| line.starts_with(&format!("| {what} |"))).unwrap();
    let words = row.split('`').find(|part| part.starts_with('[')).unwrap();
    serde_json::from_str(words).unwrap()
}

/// There is no camera of a Pi here: a stand-in takes the documented words, and nothing else, and writes
/// what `rpicam-vid` would.
#[tokio::test]
async fn the_camera_of_a_pi_is_read_by_its_documented_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut words = documented("the camera of a Pi");
    let picture = dir.path().join("picture");
    std::fs::write(&picture, jpeg(&[(1, 2, 0)])).unwrap();
    let stand_in = dir.path().join(&words[0]);
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = \"{}\" ] || {{ echo \"unrecognised option: $*\" >&2; exit 255; }}\n\
         while cat {}; do sleep 0.05; done\n",
        words[1..].join(" "),
        picture.display()
    );
    std::fs::write(&stand_in, script).unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
    words[0] = stand_in.display().to_string();
    let mut running = Running::start(camera(dir.path(), Pictures::Command(words.clone())));
    assert_eq!(running.seen().await, Some(Object::Car));
    assert_eq!(running.seen().await, Some(Object::Car));
    running.stop().await;
    words.push("--segment".to_owned());
    let mut running = Running::start(camera(dir.path(), Pictures::Command(words)));
    let status = running.until(|s| s.trouble.is_some()).await;
    assert!(status.trouble.unwrap().contains("it says: unrecognised option:"));
    running.stop().await;
}

#[cfg(feature = "usb-camera")]
#[tokio::test]
async fn a_device_that_is_no_usb_camera_is_a_trouble_with_its_name() {
    for (device, said) in [("/dev/null", "/dev/null: "), ("/dev/none", "/dev/none: No such file")] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = Running::start(camera(dir.path(), Pictures::Usb(device.into())));
        let status = running.until(|s| s.trouble.is_some()).await;
        let trouble = status.trouble.unwrap();
        assert!(trouble.starts_with(said) && !trouble.ends_with(said), "{trouble}");
        running.stop().await;
    }
}

/// ffmpeg; `None`, and said, where it is not installed.
fn ffmpeg() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join("ffmpeg")).find(|it| it.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no ffmpeg; apt-get install --no-install-recommends ffmpeg");
    }
    found
}

/// A street in which something moves, made by ffmpeg itself.
const STREET: &str = "testsrc=size=320x240:rate=5";

#[tokio::test]
async fn ffmpeg_makes_pictures_that_are_looked_at() {
    let Some(_) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let words = ["ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", STREET];
    let out = ["-f", "image2pipe", "-c:v", "mjpeg", "-"];
    let mut running = Running::start(camera(dir.path(), program(&[&words[..], &out].concat())));
    let status = running.until(|s| s.pictures.is_some_and(|p| p.looked >= 3)).await;
    assert!(status.connected && status.tally.rejected.is_empty(), "{status:?}");
    running.stop().await;
}

/// The documented command for RTSP, with one more word: it waits to be called, so that another ffmpeg can
/// be the camera.
#[tokio::test]
async fn a_stream_over_rtsp_is_read_by_its_documented_command() {
    let Some(ffmpeg) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("rtsp://127.0.0.1:{port}/live");
    let mut words = documented("RTSP");
    let input = words.iter().position(|word| word == "-i").unwrap();
    words[input + 1].clone_from(&url);
    words.splice(input..input, ["-rtsp_flags", "listen"].map(str::to_owned));
    let mut running = Running::start(camera(dir.path(), Pictures::Command(words)));
    let sending = tokio::spawn(async move {
        loop {
            let mut sender = Command::new(&ffmpeg);
            sender.args(["-loglevel", "error", "-re", "-f", "lavfi", "-i", STREET]);
            sender.args(["-c:v", "mpeg4", "-f", "rtsp", "-rtsp_transport", "tcp", &url]);
            // Until somebody listens it ends at once.
            let _ = sender.kill_on_drop(true).status().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let status = running.until(|s| s.pictures.is_some_and(|p| p.looked >= 2)).await;
    assert!(status.tally.rejected.is_empty(), "{status:?}");
    sending.abort();
    running.stop().await;
}
