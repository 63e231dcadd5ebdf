//! Reads the configuration's files: the one that was named and what it includes.
//!
//! Responsible for the files themselves (found, small enough, UTF-8, TOML, included once); what stands
//! in them is [`super::check`]'s.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::fault::{Fault, Level, Place};
use super::mend::{self, Mended};
use super::section::{Report, Value};

/// The longest file that is read. A street of a thousand bays is a fifth of it.
pub(crate) const FILE_MAX: u64 = 2 * 1024 * 1024;
/// The most files of one configuration.
const FILES_MAX: usize = 200;

/// One file as it was read, without its broken lines.
#[derive(Debug)]
pub(super) struct Text {
    /// As it is named in faults.
    pub(super) name: String,
    /// What relative paths in it start from; `None` when it is no file, and paths stay as they are.
    pub(super) folder: Option<PathBuf>,
    /// The text that can be parsed, and what cannot.
    pub(super) mended: Mended,
}

/// Every file of a configuration, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The files, the main one first.
    pub(super) texts: Vec<Text>,
    /// What is wrong with them as files.
    pub(super) faults: Vec<Fault>,
    /// Whether a part could not be read, so that what it has is not known to be missing.
    pub(super) incomplete: bool,
    /// First 16 hex digits of the SHA-256 of their bytes, one file after the other.
    pub(super) hash: String,
}

/// Reads the file at `path` and everything it includes.
pub(super) fn read(path: &Path) -> Texts {
    let mut reading = Reading::default();
    let name = path.display().to_string();
    reading.file(path, name, None);
    reading.end()
}

/// As [`read`], for a file whose relative paths start from `folder`.
pub(super) fn read_from(path: &Path, folder: &Path) -> Texts {
    let mut reading = Reading::default();
    let name = path.display().to_string();
    match read_bytes(path) {
        Ok(bytes) => {
            reading.seen.extend(path.canonicalize());
            reading.text(name, Some(folder.to_owned()), &bytes);
        }
        Err(why) => reading.unreadable(name, &why, None),
    }
    reading.end()
}

/// Takes `text` for a file called `name` that cannot include others.
pub(super) fn from_text(name: &str, text: &str) -> Texts {
    let mut reading = Reading::default();
    reading.text(name.to_owned(), None, text.as_bytes());
    reading.end()
}

#[derive(Default)]
struct Reading {
    texts: Texts,
    digest: Sha256,
    /// The files that were read, by their real paths.
    seen: Vec<PathBuf>,
}

impl Reading {
    fn end(mut self) -> Texts {
        let digest = self.digest.finalize();
        self.texts.hash = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.texts
    }

    /// Reads one file; `named_at` is the `include` that names it.
    fn file(&mut self, path: &Path, name: String, named_at: Option<Place>) {
        match read_bytes(path) {
            Ok(bytes) => {
                self.seen.extend(path.canonicalize());
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                self.text(name, Some(folder), &bytes);
            }
            Err(why) => self.unreadable(name, &why, named_at),
        }
    }

    fn unreadable(&mut self, name: String, why: &str, named_at: Option<Place>) {
        let (place, cause) = match named_at {
            Some(place) => (place, format!("{name} cannot be read: {why}")),
            None => {
                let place = Place { file_number: 0, line: 1, col: 1, file: name };
                (place, format!("the file cannot be read: {why}"))
            }
        };
        self.fault(place, cause, "check the path and who may read the file");
    }

    fn text(&mut self, name: String, folder: Option<PathBuf>, bytes: &[u8]) {
        self.digest.update(bytes);
        let number = self.texts.texts.len();
        let text = String::from_utf8_lossy(bytes);
        if let Err(error) = std::str::from_utf8(bytes) {
            let (line, col) = mend::line_and_col(&text, error.valid_up_to());
            let place =
                Place { file_number: number, line: line + 1, col: col + 1, file: name.clone() };
            self.fault(place, "this is not UTF-8".to_owned(), "save the file as UTF-8");
        }
        let mended = mend::mend(text.strip_prefix('\u{feff}').unwrap_or(&text));
        for error in &mended.errors {
            self.texts.faults.push(Fault {
                place: Place {
                    file_number: number,
                    line: error.line,
                    col: error.col,
                    file: name.clone(),
                },
                level: Level::Error,
                cause: error.cause.clone(),
                fix: error.fix.clone(),
            });
        }
        self.texts.incomplete |= mended.lost;
        self.texts.texts.push(Text { name, folder, mended });
        for (path, place) in self.includes(number) {
            self.include(&path, place);
        }
    }

    fn fault(&mut self, place: Place, cause: String, fix: &str) {
        self.texts.incomplete = true;
        self.texts.faults.push(Fault { place, level: Level::Error, cause, fix: fix.to_owned() });
    }

    /// The files that the text counted `number` includes, each with the place that names it.
    fn includes(&mut self, number: usize) -> Vec<(PathBuf, Place)> {
        let report = Report::new(&self.texts.texts);
        let text = &self.texts.texts[number];
        let (table, _) = DeTable::parse_recoverable(&text.mended.text);
        let mut found = Vec::new();
        if let Some((key, value)) = table.get_ref().get_key_value("include") {
            let value = Value::at_top(&report, number, key.get_ref(), value);
            for pattern in value.items("\"rules/*.toml\"").unwrap_or_default() {
                expand(&pattern, text.folder.as_deref(), &mut found);
            }
        }
        let faults = report.into_faults();
        self.texts.incomplete |= faults.iter().any(|fault| fault.level == Level::Error);
        self.texts.faults.extend(faults);
        found
    }

    fn include(&mut self, path: &Path, place: Place) {
        let name = path.display().to_string();
        let real = path.canonicalize();
        if real.as_ref().is_ok_and(|real| self.seen.contains(real)) {
            let cause = format!("{name} was read before");
            return self.fault(
                place,
                cause,
                "include each file once, and never the file that includes it",
            );
        }
        if self.texts.texts.len() >= FILES_MAX {
            let cause = format!("more than {FILES_MAX} files");
            return self.fault(place, cause, "put more into each file");
        }
        self.file(path, name, Some(place));
    }
}

/// The files that `pattern` means, sorted by name, relative to `folder`.
fn expand(pattern: &Value<'_>, folder: Option<&Path>, found: &mut Vec<(PathBuf, Place)>) {
    let Some(text) = pattern.as_text("a path such as \"rules/*.toml\"") else { return };
    let Some(folder) = folder else {
        return pattern.error("only a file can include others".to_owned(), "remove include");
    };
    if !text.contains(['*', '?', '[']) {
        return found.push((folder.join(text), pattern.place()));
    }
    // The folder stands as it is, whatever it is called.
    let whole = if Path::new(text).is_absolute() || folder.as_os_str().is_empty() {
        text.to_owned()
    } else {
        format!("{}/{text}", glob::Pattern::escape(&folder.to_string_lossy()))
    };
    let paths = match glob::glob(&whole) {
        Ok(paths) => paths.filter_map(Result::ok).filter(|path| path.is_file()),
        Err(error) => {
            let fix = "use * for any characters of a name and ** for any folders";
            return pattern.error(format!("{text:?} is no pattern: {}", error.msg), fix);
        }
    };
    let before = found.len();
    found.extend(paths.take(FILES_MAX + 1).map(|path| (path, pattern.place())));
    if found.len() == before {
        let fix = "check the pattern; it is relative to the file it stands in";
        pattern.warning(format!("{text:?} includes no file"), fix);
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    read_file(path, FILE_MAX)
}

/// Reads a whole regular file of at most `max` bytes.
pub(super) fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let in_words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // Asked before it is opened: opening a named pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(in_words)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(in_words)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(in_words)?;
    if bytes.len() as u64 > max {
        return Err(format!("it is longer than {max} bytes"));
    }
    Ok(bytes)
}
