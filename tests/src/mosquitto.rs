//! A real broker: mosquitto on a free port of the loopback, started and stopped by the test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running mosquitto with persistence. Killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    dir: PathBuf,
    lines: String,
}

/// A mosquitto that is stopped and can be started again as it was.
#[derive(Debug)]
pub struct Stopped {
    port: u16,
    dir: PathBuf,
    lines: String,
}

/// Where Debian puts it; `/usr/sbin` is not on everybody's path.
const PLACES: [&str; 3] = ["mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];

impl Mosquitto {
    /// Starts one that keeps its sessions and messages in `dir`. `None` when mosquitto is not
    /// installed; that has then been said, and the test should return.
    ///
    /// # Panics
    /// It is installed and does not start.
    #[must_use]
    pub fn start(dir: &Path) -> Option<Mosquitto> {
        Mosquitto::start_with(dir, "persistence true\nautosave_interval 1\nlog_type all\n")
    }

    /// Starts one in `dir` with these lines of configuration beside its listener, and every message it
    /// is given allowed to wait. As [`Mosquitto::start`].
    ///
    /// # Panics
    /// As [`Mosquitto::start`].
    #[must_use]
    pub fn start_with(dir: &Path, lines: &str) -> Option<Mosquitto> {
        let Some(program) = installed() else {
            let told = writeln!(
                std::io::stderr(),
                "SKIPPED: mosquitto is not installed (apt-get install mosquitto mosquitto-clients)"
            );
            told.expect("stderr takes a line");
            return None;
        };
        // A port that was free a moment ago may be taken by another test: then another one is tried.
        for _ in 0..20 {
            let port = free_port();
            if let Some(broker) = launch(program, port, dir.to_owned(), lines.to_owned()) {
                return Some(broker);
            }
        }
        panic!("mosquitto does not start, see {}", dir.display());
    }

    /// Ends it as an operator would; sessions and retained messages are on disk afterwards.
    ///
    /// # Panics
    /// It cannot be signalled.
    #[must_use]
    pub fn stop(mut self) -> Stopped {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill exists");
        assert!(killed.success(), "mosquitto was gone already");
        self.child.wait().expect("a child can be waited for");
        Stopped { port: self.port, dir: self.dir.clone(), lines: self.lines.clone() }
    }

    /// Ends it as a power failure would: at once.
    ///
    /// # Panics
    /// It cannot be signalled.
    #[must_use]
    pub fn kill(mut self) -> Stopped {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
        Stopped { port: self.port, dir: self.dir.clone(), lines: self.lines.clone() }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Stopped {
    /// Starts it again on its old port.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(self) -> Mosquitto {
        let program = installed().expect("it ran before");
        launch(program, self.port, self.dir, self.lines).expect("its port is still free")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // Stopped already, or to be stopped now: both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
///
/// # Panics
/// The loopback has none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

fn installed() -> Option<&'static str> {
    let runs = |program: &&str| {
        Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    PLACES.iter().copied().find(|program| runs(program))
}

fn launch(program: &str, port: u16, dir: PathBuf, lines: String) -> Option<Mosquitto> {
    let config = dir.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence_location {}/\n\
         max_queued_messages 0\nmax_inflight_messages 0\nuser root\nlog_dest stderr\n{lines}",
        dir.display()
    );
    fs::write(&config, text).expect("the test's directory can be written");
    let mut child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto is installed");
    let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while log.read_line(&mut said).is_ok_and(|n| n > 0) {
        if said.contains(" running") {
            // Its log must be read on, or it stops when the pipe is full.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Some(Mosquitto { child, port, dir, lines });
        }
    }
    child.wait().expect("a child can be waited for");
    fs::write(dir.join("mosquitto.log"), said).expect("the test's directory can be written");
    None
}
