//! One input file as a stream of items, read piece by piece.
//!
//! What carries its time outside (a line with `at`) is passed on as it stands, and decoded when its turn
//! comes, so that a source's decoder sees everything in the order of time. What carries its time inside
//! (GNSS sentences, a bare MQTT message) must be decoded first to know when its turn is.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::SourceName;
use domain::input::Input;
use domain::output::Rejected;
use domain::sample::Sample;
use domain::time::{ClockQuality, Utc};

use super::Decoders;
use super::input::{Format, InputFile, ReplayError, only_network_server};
use super::timeline::Stamp;
use crate::config::Source;
use crate::record::{BadLine, Content, Entry};
use crate::sources::decoder;

/// Bytes read at once from a file of raw bytes.
const PIECE: usize = 8192;

/// The longest line, in bytes. A longer one is rejected and skipped, never held.
const LINE_MAX: usize = 1 << 20;

/// What a file has next.
#[derive(Debug)]
pub(super) enum Item {
    /// An input that was recorded.
    Input(Stamp, Input),
    /// Raw content for a source, to be decoded now.
    Raw(Stamp, SourceName, Content),
    /// What raw content has become, dated by the samples themselves.
    Samples(ClockQuality, Vec<Sample>),
    /// A line that could not be read.
    Rejected(Rejected),
}

impl Item {
    fn at(&self) -> Option<Utc> {
        match self {
            Item::Input(stamp, _) | Item::Raw(stamp, _, _) => stamp.at,
            Item::Samples(_, samples) => samples.iter().filter_map(|sample| sample.at).max(),
            Item::Rejected(_) => None,
        }
    }
}

/// A file being read.
pub(super) struct Feed {
    path: PathBuf,
    form: Form,
    /// The latest time in the file so far: what orders it among the others.
    due: Utc,
    head: Option<Item>,
}

enum Form {
    Bytes(Bytes),
    Lines(Lines),
}

impl Feed {
    pub(super) fn open(input: &InputFile, sources: &[Source]) -> Result<Feed, ReplayError> {
        let path = input.path.clone();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.is_dir(), file)));
        let file = match opened {
            Ok((false, file)) => file,
            Ok((true, _)) => return Err(ReplayError::Directory(path)),
            Err(error) => return Err(ReplayError::Open { path, error }),
        };
        let form = match input.form()? {
            Format::Nmea => {
                let source = input.receiver(sources)?;
                let (decoder, samples) = (decoder(source), VecDeque::new());
                let source = source.name.clone();
                Form::Bytes(Bytes { file: Some(file), source, decoder, samples })
            }
            form => {
                let source = input.bound(sources)?.map(|source| source.name.clone());
                let server = source.as_ref().or(only_network_server(sources)).cloned();
                let (file, whole) = (BufReader::new(file), form == Format::Json);
                Form::Lines(Lines { file, whole, number: 0, source, server })
            }
        };
        Ok(Feed { path, form, due: Utc::from_ms(i64::MIN), head: None })
    }

    /// When the next item is due, if there is one. An item without a time is due with what stands
    /// before it, and at the beginning of a file before everything else.
    pub(super) fn due(&mut self, decoders: &mut Decoders) -> Result<Option<Utc>, ReplayError> {
        if self.head.is_none() {
            self.head = match &mut self.form {
                Form::Bytes(bytes) => bytes.next(),
                Form::Lines(lines) => lines.next(&self.path, self.due, decoders),
            }
            .map_err(|error| ReplayError::Read { path: self.path.clone(), error })?;
            let at = self.head.as_ref().and_then(Item::at);
            self.due = at.map_or(self.due, |at| at.max(self.due));
        }
        Ok(self.head.is_some().then_some(self.due))
    }

    /// Takes the item that [`Feed::due`] has announced.
    pub(super) fn take(&mut self) -> Option<Item> {
        self.head.take()
    }

    /// What a decoder of the file's own has counted, and for which source.
    pub(super) fn tally(&self) -> Option<(&SourceName, &Tally)> {
        match &self.form {
            Form::Bytes(bytes) => Some((&bytes.source, bytes.decoder.tally())),
            Form::Lines(_) => None,
        }
    }
}

/// The bytes of one receiver. It has a decoder of its own, for it begins and ends by itself.
struct Bytes {
    /// `None` once it has been read to its end.
    file: Option<File>,
    source: SourceName,
    decoder: Box<dyn Decode + Send>,
    /// From the last piece; never more than one piece gives.
    samples: VecDeque<Sample>,
}

impl Bytes {
    fn next(&mut self) -> io::Result<Option<Item>> {
        while self.samples.is_empty() {
            let Some(file) = &mut self.file else { return Ok(None) };
            let mut piece = [0; PIECE];
            let mut samples = Vec::new();
            match file.read(&mut piece) {
                Ok(0) => {
                    self.file = None;
                    self.decoder.finish(&mut samples);
                }
                // When it was received nobody knows; the sentences carry their own time.
                Ok(n) => self.decoder.feed(Raw::Bytes(&piece[..n]), Utc::from_ms(0), &mut samples),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            self.samples.extend(samples);
        }
        let sample = self.samples.pop_front();
        Ok(sample.map(|sample| Item::Samples(ClockQuality::Gnss, vec![sample])))
    }
}

/// JSON objects, one a line; or one that is the whole file.
struct Lines {
    file: BufReader<File>,
    whole: bool,
    number: u64,
    /// The source that the file is bound to.
    source: Option<SourceName>,
    /// The source that messages are for which do not say.
    server: Option<SourceName>,
}

impl Lines {
    fn next(&mut self, path: &Path, due: Utc, decoders: &mut Decoders) -> io::Result<Option<Item>> {
        while let Some(line) = self.line()? {
            self.number += 1;
            match line.and_then(|line| self.item(&line, due, decoders)) {
                Ok(Some(item)) => return Ok(Some(item)),
                Ok(None) => {}
                Err(BadLine { reason, detail }) => {
                    let detail = if self.whole {
                        format!("{}: {detail}", path.display())
                    } else {
                        format!("{}:{}: {detail}", path.display(), self.number)
                    };
                    let source = self.source.clone();
                    return Ok(Some(Item::Rejected(Rejected { source, reason, detail })));
                }
            }
        }
        Ok(None)
    }

    /// The next line, or the whole file; `None` at its end.
    fn line(&mut self) -> io::Result<Option<Result<Vec<u8>, BadLine>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.file).take(LINE_MAX as u64 + 1);
        let read = if self.whole {
            bounded.read_to_end(&mut line)?
        } else {
            bounded.read_until(b'\n', &mut line)?
        };
        if read <= LINE_MAX {
            return Ok((read > 0).then_some(Ok(line)));
        }
        if self.whole {
            io::copy(&mut self.file, &mut io::sink())?;
        } else if line.last() != Some(&b'\n') {
            self.file.skip_until(b'\n')?;
        }
        let detail = format!("is longer than {LINE_MAX} bytes");
        Ok(Some(Err(BadLine { reason: Reason::TooLong, detail })))
    }

    /// What a line means; `None` when it is empty, or a message that gives no sample.
    fn item(
        &self,
        line: &[u8],
        due: Utc,
        decoders: &mut Decoders,
    ) -> Result<Option<Item>, BadLine> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let Entry { at, monotonic, boot, clock, source, content } = Entry::parse(line)?;
        // A line that does not say was dated by a clock in step: recordings are made by such.
        let clock = clock.unwrap_or(ClockQuality::Ntp);
        let stamp = Stamp { at, monotonic, boot, clock };
        let source = match content {
            Content::Input(input) => return Ok(Some(Item::Input(stamp, input))),
            Content::Bytes(_) => source.or_else(|| self.source.clone()),
            Content::Mqtt { .. } => source.or_else(|| self.server.clone()),
        };
        let source = decoders.known(source)?;
        if at.is_some() {
            return Ok(Some(Item::Raw(stamp, source, content)));
        }
        let samples = decoders.decode(&source, &content, due);
        Ok((!samples.is_empty()).then_some(Item::Samples(clock, samples)))
    }
}
