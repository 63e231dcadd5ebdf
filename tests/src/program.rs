//! The program under test, from outside: started, watched, stopped, killed.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The longest a test waits for a thing that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The `steward` that was built with this test program.
///
/// # Panics
/// It was not built.
#[must_use]
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a test program has a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let program = profile.join("steward");
    assert!(program.exists(), "{} is missing: run cargo build first", program.display());
    program
}

/// Runs `steward` with `args` to its end.
///
/// # Panics
/// It cannot be started.
#[must_use]
pub fn run(args: &[&str]) -> Output {
    Command::new(path()).args(args).stdin(Stdio::null()).output().expect("steward can be started")
}

/// What a finished program wrote on stdout and stderr, and its exit code.
#[must_use]
pub fn texts(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// A `steward run` that is going on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts `steward` with `args`; its log can be waited for.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(args: &[&str]) -> Running {
        Running::start_as(&path(), args)
    }

    /// As [`Running::start`], with a `steward` that is elsewhere.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_as(program: &Path, args: &[&str]) -> Running {
        let mut child = Command::new(program)
            .args(args)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("steward can be started");
        let stderr = child.stderr.take().expect("it is piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines, seen: vec![] }
    }

    /// Waits until a line of the log contains `text`, and gives it.
    ///
    /// # Panics
    /// It does not come in time, or the program ends.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?}; the log was:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Everything the log has said so far.
    #[must_use]
    pub fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// SIGKILL: no chance to tidy up.
    ///
    /// # Panics
    /// It had ended already.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().expect("it is ours").is_none(), "{}", self.log());
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// It cannot be signalled.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill exists");
        assert!(told.success(), "it was gone already:\n{}", self.log());
        let status = self.child.wait().expect("it is ours");
        // The log ends with the program.
        self.seen.extend(self.lines.iter());
        (status, self.seen.join("\n"))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, or to be ended now: both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe to its end.
///
/// # Panics
/// It cannot be read.
pub fn drain(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).expect("a pipe can be read");
    text
}
