//! A program that writes JPEGs to its output, one after the other: `ffmpeg` for RTSP, `rpicam-vid` for
//! the camera of a Pi.
//!
//! It is started without a shell, in a process group of its own, and ends with this box: the whole group
//! is killed. One that shows no picture for half a minute, or ends, is started again after a growing wait. What
//! it says on stderr is shown, its last line, without the passwords that addresses carry.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

use super::live::{Bytestream, Live};

/// The end of its complaints that is kept, in bytes.
const TAIL_MAX: usize = 300;

/// Runs the program until it ends or hangs; answers why it did, in words.
pub(super) async fn run(words: &[String], live: &mut Live) -> String {
    let Some((program, arguments)) = words.split_first() else { return "no program".to_owned() };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return format!("{program}: {error}"),
    };
    let group = Group::of(&child);
    let (said, last_words) = watch::channel(String::new());
    let complaints = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, said)));
    let ended = match child.stdout.take() {
        Some(output) => live.read(Bytestream::Program(output)).await,
        None => "it has no output".to_owned(),
    };
    drop(group);
    let status = child.wait().await;
    if let Some(complaints) = complaints {
        // What it said last came before its end.
        drop(tokio::time::timeout(Duration::from_secs(1), complaints).await);
    }
    let said = last_words.borrow().clone();
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let said = if said.is_empty() { said } else { format!("; it says: {}", hide(&said)) };
    format!("{program}: {ended} ({status}){said}")
}

/// Kills everything that the program has started.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It has ended already, most of the time: then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Keeps the last line of what it complains of. Never stops reading: a full pipe would stop the program.
async fn listen(mut stderr: ChildStderr, said: watch::Sender<String>) {
    let (mut tail, mut bytes) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
        tail.extend_from_slice(&bytes[..count]);
        tail.drain(..tail.len().saturating_sub(TAIL_MAX));
        let text = String::from_utf8_lossy(&tail);
        if let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            said.send_replace(line.to_owned());
        }
    }
}

/// A text without user names and passwords in addresses.
pub(super) fn hide(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rfind('@') {
            Some(sign) => {
                shown.push('…');
                shown.push_str(&authority[sign..]);
            }
            None => shown.push_str(authority),
        }
        rest = &after[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        let cases = [
            ("rtsp://admin:s3cret@10.0.0.9:554/live failed", "rtsp://…@10.0.0.9:554/live failed"),
            ("http://a/b rtsp://u@h", "http://a/b rtsp://…@h"),
            ("rtsp://u:p@ss@h/x: no", "rtsp://…@h/x: no"),
            ("nothing here @ all", "nothing here @ all"),
            ("://", "://"),
        ];
        for (text, shown) in cases {
            assert_eq!(hide(text), shown);
        }
    }
}
