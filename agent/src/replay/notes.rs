//! A file for people beside the messages of a replay.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The file.
pub(super) struct Notes {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Notes {
    pub(super) fn create(path: &Path) -> io::Result<Notes> {
        Ok(Notes { path: path.to_owned(), out: BufWriter::new(File::create(path)?) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
