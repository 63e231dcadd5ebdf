//! A table of the configuration, read key by key.
//!
//! A [`Section`] remembers which keys it was asked for. What is in the file and was never asked for is a
//! fault: so the list of known keys is the reading code itself. Faults go to the [`Report`], and the
//! reading goes on.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Level, Place, did_you_mean};
use super::file::Text;
use super::mend::line_and_col;

/// Where faults are collected.
#[derive(Debug)]
pub(super) struct Report<'a> {
    texts: &'a [Text],
    faults: RefCell<Vec<Fault>>,
}

/// A byte of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: usize,
    pub(super) offset: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(texts: &'a [Text]) -> Report<'a> {
        Report { texts, faults: RefCell::default() }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    pub(super) fn error(&self, spot: Spot, cause: String, fix: impl Into<String>) {
        self.add(Level::Error, spot, cause, fix.into());
    }

    pub(super) fn warning(&self, spot: Spot, cause: String, fix: impl Into<String>) {
        self.add(Level::Warning, spot, cause, fix.into());
    }

    fn add(&self, level: Level, spot: Spot, cause: String, fix: String) {
        self.faults.borrow_mut().push(Fault { place: self.place(spot), level, cause, fix });
    }

    pub(super) fn place(&self, spot: Spot) -> Place {
        // There is no file at all when the main one could not be read.
        let Some(text) = self.texts.get(spot.file) else {
            return Place { file_number: 0, line: 1, col: 1, file: String::new() };
        };
        let (line, col) = line_and_col(&text.mended.text, spot.offset);
        let file = text.name.clone();
        Place { file_number: spot.file, line: line + 1, col: col + 1, file }
    }

    /// A path as the program must open it: relative ones start from the folder of the file they
    /// stand in.
    fn resolve(&self, file: usize, path: &str) -> PathBuf {
        match self.texts.get(file).and_then(|text| text.folder.as_ref()) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    report: &'a Report<'a>,
    file: usize,
    /// The key it belongs to.
    pub(super) key: &'a str,
    /// The section it stands in, as it is written: `[[bay]]`.
    title: &'a str,
    value: &'a Spanned<DeValue<'a>>,
    /// Whether lines of the section could not be read.
    broken: bool,
}

impl<'a> Value<'a> {
    /// A value at the top of a file.
    pub(super) fn at_top(
        report: &'a Report<'a>,
        file: usize,
        key: &'a str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Value<'a> {
        Value { report, file, key, title: "the file", value, broken: false }
    }

    pub(super) fn spot(&self) -> Spot {
        Spot { file: self.file, offset: self.value.span().start }
    }

    pub(super) fn place(&self) -> Place {
        self.report.place(self.spot())
    }

    pub(super) fn error(&self, cause: String, fix: impl Into<String>) {
        self.report.error(self.spot(), cause, fix);
    }

    pub(super) fn warning(&self, cause: String, fix: impl Into<String>) {
        self.report.warning(self.spot(), cause, fix);
    }

    pub(super) fn raw(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Says that the value is of the wrong type; `wanted` is what to write instead.
    pub(super) fn wrong_type(&self, wanted: &str) {
        let found = match self.raw() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let cause = format!("{:?} in {} cannot be {found}", self.key, self.title);
        self.error(cause, format!("write {wanted}"));
    }

    /// The text, or a fault that says to write `wanted`.
    pub(super) fn as_text(&self, wanted: &str) -> Option<&'a str> {
        let text = self.raw().as_str();
        if text.is_none() {
            self.wrong_type(wanted);
        }
        text
    }

    /// The values of an array, or a fault that shows how `example` is written as one.
    pub(super) fn items(&self, example: &str) -> Option<Vec<Value<'a>>> {
        let Some(items) = self.raw().as_array() else {
            self.wrong_type(&format!("it in brackets: {} = [{example}]", self.key));
            return None;
        };
        Some(items.iter().map(|value| Value { value, ..*self }).collect())
    }

    /// The value as a section of its own, or a fault that says to write `wanted`.
    pub(super) fn as_section(&self, wanted: &str) -> Option<Section<'a>> {
        let Some(table) = self.raw().as_table() else {
            self.wrong_type(wanted);
            return None;
        };
        let title = format!("{} of {}", self.key, self.title);
        let mut section = Section::new(self.report, self.spot(), title, table);
        section.broken = self.broken;
        Some(section)
    }

    /// The value as a path, relative to the folder of its file.
    pub(super) fn as_path(&self, wanted: &str) -> Option<PathBuf> {
        let text = self.as_text(wanted)?;
        if text.is_empty() || text.contains('\0') {
            self.error(format!("{:?} is no path", self.key), format!("write {wanted}"));
            return None;
        }
        Some(self.report.resolve(self.file, text))
    }
}

/// One table, read key by key.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) report: &'a Report<'a>,
    /// Where it begins.
    pub(super) at: Spot,
    /// As it is written: `[[bay]]`.
    pub(super) title: String,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    /// Whether lines of it could not be read, so that a key is not known to be missing.
    pub(super) broken: bool,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        report: &'a Report<'a>,
        at: Spot,
        title: String,
        table: &'a DeTable<'a>,
    ) -> Section<'a> {
        Section { report, at, title, table, asked: RefCell::default(), broken: false }
    }

    /// The value of `key`, when it is there.
    pub(super) fn value(&self, key: &'static str) -> Option<Value<'_>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        Some(self.value_of(key, self.table.get(key)?))
    }

    fn value_of<'s>(&'s self, key: &'s str, value: &'s Spanned<DeValue<'s>>) -> Value<'s> {
        let Section { report, at, ref title, broken, .. } = *self;
        Value { report, file: at.file, key, title, value, broken }
    }

    /// The value of `key`; `None`, and a fault, when it is missing or wrong. `example` shows what to
    /// write.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.value(key) {
            Some(value) => read(&value),
            None => {
                self.missing(key, example);
                None
            }
        }
    }

    /// Says that `key` is missing, unless it may stand on a line that could not be read.
    pub(super) fn missing(&self, key: &str, example: &str) {
        if !self.broken {
            let cause = format!("{key:?} is missing in {}", self.title);
            self.report.error(self.at, cause, format!("add {key} = {example}"));
        }
    }

    /// The value of `key`; `None` when it is not there, or, with a fault, when it is wrong.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        self.value(key).and_then(|value| read(&value))
    }

    /// The value of `key`, or `default` when it is not there or, with a fault, when it is wrong.
    pub(super) fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// The key and value of everything in the section, for sections whose keys are free.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'_>)> {
        self.table.iter().map(|(key, value)| {
            let key: &str = key.get_ref();
            (key, self.value_of(key, value))
        })
    }

    /// Ends the reading: every key that was never asked for is a fault.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if !asked.contains(&name) {
                let spot = Spot { file: self.at.file, offset: key.span().start };
                let cause = format!("unknown key {name:?} in {}", self.title);
                self.report.error(spot, cause, did_you_mean(name, asked.iter().copied()));
            }
        }
    }
}

/// Every file's tables, one after the other.
pub(super) struct Tree<'a> {
    pub(super) report: &'a Report<'a>,
    files: Vec<DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
    /// Whether parts of the configuration could not be read, so that what should be there is not
    /// known to be missing.
    pub(super) incomplete: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(report: &'a Report<'a>, texts: &'a [Text], incomplete: bool) -> Tree<'a> {
        let parse = |text: &'a Text| DeTable::parse_recoverable(&text.mended.text).0.into_inner();
        let files = texts.iter().map(parse).collect();
        Tree { report, files, asked: RefCell::default(), incomplete }
    }

    /// Whether any file has something called `name` at its top.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|table| table.contains_key(name))
    }

    /// The `[name]` of the configuration, in whichever file it stands.
    pub(super) fn table(&'a self, name: &'static str) -> Option<Section<'a>> {
        let mut found = self.sections(name, &format!("[{name}]")).into_iter();
        let first = found.next()?;
        let place = self.report.place(first.at);
        for section in found {
            let cause = format!("{} is there twice; first at {place}", section.title);
            self.report.error(section.at, cause, "keep one of the two");
        }
        Some(first)
    }

    /// Every `[[name]]` of the configuration, in the order of reading.
    pub(super) fn list(&'a self, name: &'static str) -> Vec<Section<'a>> {
        self.sections(name, &format!("[[{name}]]"))
    }

    fn sections(&'a self, name: &'static str, title: &str) -> Vec<Section<'a>> {
        self.asked.borrow_mut().push(name);
        let mut sections = Vec::new();
        for (file, table) in self.files.iter().enumerate() {
            let Some((key, value)) = table.get_key_value(name) else { continue };
            let spot = Spot { file, offset: value.span().start };
            let list = title.starts_with("[[");
            let tables: Vec<_> = match value.get_ref() {
                DeValue::Table(table) if !list => vec![(value.span(), table)],
                DeValue::Array(items) if list => items
                    .iter()
                    .filter_map(|item| Some((item.span(), item.get_ref().as_table()?)))
                    .collect(),
                _ => Vec::new(),
            };
            if tables.is_empty() {
                let cause = format!("{:?} must be a section {title}", key.get_ref());
                self.report.error(spot, cause, format!("write {title} on a line of its own"));
            }
            for (span, table) in tables {
                let at = Spot { file, offset: span.start };
                let mut section = Section::new(self.report, at, title.to_owned(), table);
                section.broken = self.has_broken_lines(file, span);
                sections.push(section);
            }
        }
        sections
    }

    /// Whether a line between the header at `span` and the next header could not be read.
    fn has_broken_lines(&self, file: usize, span: Range<usize>) -> bool {
        let mended = &self.report.texts[file].mended;
        let starts = self.files[file].values().flat_map(header_starts);
        let end = starts.filter(|start| *start > span.start).min().unwrap_or(mended.text.len());
        let (first, _) = line_and_col(&mended.text, span.start);
        let (last, _) = line_and_col(&mended.text, end);
        let last = if end == mended.text.len() { last + 1 } else { last };
        mended.broken.range(first..last).next().is_some()
    }

    /// Ends the reading: every section that was never asked for is a fault. `later` names those that
    /// exist in other versions.
    pub(super) fn finish(&self, later: &[&str]) {
        let asked = self.asked.borrow();
        let entries =
            self.files.iter().enumerate().flat_map(|(n, t)| t.iter().map(move |e| (n, e)));
        for (file, (key, value)) in entries {
            let name: &str = key.get_ref();
            if asked.contains(&name) || matches!(name, "include" | super::mend::LOST) {
                continue;
            }
            let spot = Spot { file, offset: key.span().start };
            let title = match value.get_ref() {
                DeValue::Table(_) => format!("section [{name}]"),
                DeValue::Array(items) if items.iter().all(|i| i.get_ref().is_table()) => {
                    format!("section [[{name}]]")
                }
                _ => format!("key {name:?} above the first section"),
            };
            let built_in = asked.iter().copied();
            if later.contains(&name) {
                let built_in = built_in.collect::<Vec<_>>().join(", ");
                let cause = format!("{title} is not built into this version");
                self.report.error(spot, cause, format!("remove it; built in are {built_in}"));
            } else {
                self.report.error(spot, format!("unknown {title}"), did_you_mean(name, built_in));
            }
        }
    }
}

/// Where the sections begin that a value at the top of a file makes up.
fn header_starts(value: &Spanned<DeValue<'_>>) -> Vec<usize> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(|item| item.span().start).collect(),
        _ => vec![value.span().start],
    }
}
