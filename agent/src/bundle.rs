//! `steward bundle`: what somebody far away needs to understand a box, in one file, without its secrets.
//!
//! The configuration, what the doctor finds, the last heartbeat, the audit log, what is kept of
//! configurations, and the journal. Secrets are found by what they are: the contents of every file that
//! the configuration names as one are cut out of everything, wherever they turn up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::config::{self, Config};
use crate::control::ask::ask;
use crate::control::local::HEALTH;
use crate::doctor;

/// The most that is taken of one file: its end.
const FILE_MAX: usize = 1024 * 1024;
/// Lines of the journal.
const JOURNAL_LINES: &str = "5000";
/// What stands in place of a secret.
const REMOVED: &str = "[removed]";
/// A shorter one would cut holes everywhere, and protects nothing.
const SECRET_MIN: usize = 4;
/// How the keys end that name files with secrets.
const SECRET_KEYS: [&str; 3] = ["password_file", "token_file", "key_file"];

/// One file of the bundle.
struct Part {
    name: String,
    content: String,
}

/// Writes the bundle for the configuration at `file` into `out`, a tar archive compressed with gzip; gives
/// the names of its files.
///
/// # Errors
/// `out` is there already, or cannot be written.
pub async fn bundle(file: &Path, out: &Path) -> io::Result<Vec<String>> {
    use std::os::unix::fs::OpenOptionsExt;
    let config = config::load(file).ok().map(|loaded| loaded.config);
    let findings = serde_json::to_string_pretty(&doctor::examine(file).await)?;
    let files = config::files(file);
    let secrets = secrets(&files);
    let mut parts = vec![
        Part { name: "doctor.json".to_owned(), content: findings },
        Part { name: "machine.json".to_owned(), content: format!("{:#}", machine()) },
        Part { name: "journal.txt".to_owned(), content: journal() },
    ];
    parts.extend(texts(&files, config.as_ref()));
    // Whoever may read what is in it may read it; nobody else.
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out)?;
    let mut archive = GzEncoder::new(target, Compression::default());
    let mut names = vec![];
    for Part { name, content } in parts {
        let content = clean(content, &secrets);
        append(&mut archive, &format!("steward-bundle/{name}"), content.as_bytes())?;
        names.push(name);
    }
    archive.write_all(&[0; 1024])?;
    archive.finish()?.sync_all()?;
    Ok(names)
}

/// The configuration's files, and what lies beside the buffer.
fn texts(files: &[PathBuf], config: Option<&Config>) -> Vec<Part> {
    let mut parts = vec![];
    let mut take = |name: String, path: &Path| {
        if let Some(content) = end_of(path) {
            parts.push(Part { name, content });
        }
    };
    for (n, path) in files.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        take(format!("config/{n}-{name}"), path);
    }
    let Some(dir) = config.map(|config| &config.buffer.dir) else { return parts };
    for name in
        ["audit.jsonl", "audit.1.jsonl", "config/versions.json", "floor.json", "day-bytes.json"]
    {
        take(format!("buffer/{name}"), &dir.join(name));
    }
    let kept = fs::read_dir(dir.join("config")).into_iter().flatten().filter_map(Result::ok);
    for path in
        kept.map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "toml"))
    {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        take(format!("buffer/config/{name}"), &path);
    }
    if let Ok(health) = ask(dir, HEALTH, json!({})) {
        parts.push(Part { name: "health.json".to_owned(), content: format!("{health:#}") });
    }
    parts
}

fn end_of(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let from = bytes.len().saturating_sub(FILE_MAX);
    Some(String::from_utf8_lossy(&bytes[from..]).into_owned())
}

/// What the machine is.
fn machine() -> Value {
    let read =
        |path: &str| fs::read_to_string(path).ok().map(|t| t.trim_matches(['\0', '\n']).to_owned());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": read("/proc/device-tree/model"),
        "kernel": read("/proc/version"),
        "system": read("/etc/os-release"),
        "memory": read("/proc/meminfo"),
        "uptime": read("/proc/uptime"),
        "mounts": read("/proc/self/mounts"),
    })
}

/// The service's last lines, where there is a journal.
fn journal() -> String {
    let said = Command::new("journalctl")
        .args([
            "--no-pager",
            "--quiet",
            "--output=short-iso",
            "--unit=steward",
            "--lines",
            JOURNAL_LINES,
        ])
        .stdin(Stdio::null())
        .output();
    match said {
        Ok(said) => String::from_utf8_lossy(&said.stdout).into_owned(),
        Err(error) => format!("there is no journal: {error}\n"),
    }
}

/// Everything that the configuration says is a secret: what stands in the files that it names, and what
/// follows the question mark of an address.
fn secrets(files: &[PathBuf]) -> Vec<String> {
    let mut found = vec![];
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        for (key, value) in text.lines().filter_map(setting) {
            if SECRET_KEYS.iter().any(|secret| key.ends_with(secret)) {
                let path = file.parent().unwrap_or(Path::new("")).join(value);
                let content = fs::read_to_string(path).unwrap_or_default();
                // Of a key, its lines: it can turn up without its line ends.
                found.extend(content.lines().map(str::to_owned));
            } else if let Some((_, query)) = value.split_once('?') {
                found.push(query.to_owned());
            }
        }
    }
    found.retain(|secret| secret.trim().len() >= SECRET_MIN && !secret.starts_with("-----"));
    // The longest first: one may be a part of another.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

/// Key and text of a line `key = "text"`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once('=')?;
    let quoted = rest.trim_start().strip_prefix('"')?;
    Some((key.trim(), quoted.split('"').next()?))
}

fn clean(mut content: String, secrets: &[String]) -> String {
    for secret in secrets {
        content = content.replace(secret.trim(), REMOVED);
        // As it would stand in JSON.
        let quoted = Value::from(secret.trim()).to_string();
        content = content.replace(quoted.trim_matches('"'), REMOVED);
    }
    content
}

/// Appends a file to a tar archive (POSIX.1-1988, ustar).
fn append(archive: &mut GzEncoder<File>, name: &str, content: &[u8]) -> io::Result<()> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    let short: String = name.chars().filter(char::is_ascii).take(99).collect();
    put(0, &short);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.write_all(&header)?;
    archive.write_all(content)?;
    let padding = content.len().next_multiple_of(BLOCK) - content.len();
    archive.write_all(&vec![0; padding])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_what_the_configuration_names_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("steward.toml");
        fs::write(dir.path().join("pw"), "hush-hush\n").unwrap();
        fs::write(dir.path().join("key"), "-----BEGIN PRIVATE KEY-----\nMIIabc\n").unwrap();
        let text = "password_file = \"pw\"\n[[source]]\nkey_file=\"key\"\nca_file = \"pw2\"\n\
                    url = \"https://h/p?token=zzzz\"\n";
        fs::write(&config, text).unwrap();
        assert_eq!(secrets(&[config]), ["token=zzzz", "hush-hush", "MIIabc"]);
    }

    #[test]
    fn a_secret_is_cut_out_also_where_json_writes_it() {
        let secrets = vec!["pa\"ss-word".to_owned(), "1234".to_owned()];
        let text = "a pa\"ss-word b {\"x\":\"pa\\\"ss-word\"} 1234".to_owned();
        assert_eq!(clean(text, &secrets), "a [removed] b {\"x\":\"[removed]\"} [removed]");
    }
}
