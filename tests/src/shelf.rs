//! A web server of files in a folder that gives parts of them (RFC 9110, 14), and hangs up in the middle.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Ends with the test program.
#[derive(Debug)]
pub struct Shelf {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The file's name.
    pub name: String,
    /// From which byte on; 0 where nothing was said.
    pub from: usize,
}

impl Shelf {
    /// Gives the files in `dir`, no connection more than `at_most` bytes.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(dir: &Path, at_most: usize) -> Shelf {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(vec![]));
        let (dir, seen) = (dir.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (dir, seen) = (dir.clone(), Arc::clone(&seen));
                // Who asks may hang up.
                std::thread::spawn(move || drop(answer(stream, &dir, at_most, &seen)));
            }
        });
        Shelf { port, asked }
    }

    /// Every question for the file `name`: from which byte on.
    #[must_use]
    pub fn asked_for(&self, name: &str) -> Vec<usize> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.name == name).map(|asked| asked.from).collect()
    }

    /// Where the file `name` is.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

fn answer(
    stream: TcpStream,
    dir: &Path,
    at_most: usize,
    seen: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let name = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut from = 0;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(rest) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = rest.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { name: name.clone(), from });
    let mut stream = stream;
    let path: PathBuf = dir.join(&name);
    let Ok(content) = fs::read(path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let from = from.min(content.len());
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let (all, left) = (content.len(), content.len() - from);
    let range = format!("bytes {from}-{}/{all}", all.saturating_sub(1));
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {left}\r\nContent-Range: {range}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&content[from..all.min(from + at_most)])
}
