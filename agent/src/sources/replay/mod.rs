//! Recordings as inputs of the engine, for `steward replay`.
//!
//! Reads input files piece by piece, puts them in the order of time, decodes them with the same decoders
//! as the live sources, and dates each input with a [`Now`] that comes from the recordings: no clock is
//! read, and the same files give the same inputs. What cannot be read is counted and told with its file
//! and line, and is not the end.
//!
//! * `file`: one file as a stream of items. `input`: which file is for which source.
//! * `timeline`: the [`Now`] of each input.

mod file;
mod input;
mod timeline;

use std::collections::{BTreeMap, VecDeque};

use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::SourceName;
use domain::input::Input;
use domain::output::Rejected;
use domain::sample::Sample;
use domain::time::{Now, Utc};

use self::file::{Feed, Item};
pub use self::input::{BadFormat, Format, InputFile, ReplayError};
use self::timeline::{Stamp, Timeline};
use crate::config::Source;
use crate::record::{BadLine, Content};

/// What a replay yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An input for [`domain::Engine::step`].
    Input {
        /// When it happened. Inside a boot `monotonic` never goes back. A later `boot` than before
        /// means that the box was restarted there: the engine is to be made anew from its records.
        now: Now,
        /// What happened.
        input: Input,
        /// Whether `now` was recorded by a box. Such a recording holds the ticks of its engine; before
        /// any other input the deadlines that have passed must be stepped first.
        recorded: bool,
    },
    /// A line that could not be read; already counted.
    Rejected(Rejected),
}

/// The inputs of several files in the order of time. Where times are equal, and among inputs without a
/// time, the order of the files and of the lines in them stands.
///
/// After an error there is nothing more.
pub struct Replay {
    feeds: Vec<Feed>,
    decoders: Decoders,
    timeline: Timeline,
    /// From the last item; never more than one item gives.
    ready: VecDeque<Event>,
    ended: bool,
}

impl Replay {
    /// Opens `inputs`, which feed `sources`.
    ///
    /// # Errors
    /// A file cannot be opened, its form cannot be told, or it is not clear which source it feeds.
    pub fn open(sources: &[Source], inputs: &[InputFile]) -> Result<Replay, ReplayError> {
        let feeds: Result<Vec<Feed>, ReplayError> =
            inputs.iter().map(|input| Feed::open(input, sources)).collect();
        Ok(Replay {
            feeds: feeds?,
            decoders: Decoders::new(sources),
            timeline: Timeline::new(),
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// The counters of every source. Files are read somewhat ahead of what was yielded.
    #[must_use]
    pub fn tallies(&self) -> BTreeMap<SourceName, Tally> {
        let mut tallies = self.decoders.counted.clone();
        let shared = self.decoders.shared.iter().map(|(name, decoder)| (name, decoder.tally()));
        for (name, tally) in shared.chain(self.feeds.iter().filter_map(Feed::tally)) {
            tallies.entry(name.clone()).or_default().add(tally);
        }
        tallies
    }

    /// The lines that could not be read and are not known to belong to a source, by reason.
    #[must_use]
    pub fn unattributed(&self) -> &BTreeMap<Reason, u64> {
        &self.decoders.unattributed
    }

    /// The item that is due first.
    fn earliest(&mut self) -> Result<Option<Item>, ReplayError> {
        let mut first: Option<(Utc, usize)> = None;
        for (i, feed) in self.feeds.iter_mut().enumerate() {
            if let Some(due) = feed.due(&mut self.decoders)?
                && first.is_none_or(|(earliest, _)| due < earliest)
            {
                first = Some((due, i));
            }
        }
        Ok(first.and_then(|(_, i)| self.feeds[i].take()))
    }

    fn play(&mut self, item: Item) {
        match item {
            Item::Input(stamp, input) => {
                self.decoders.count_input(&input);
                let now = self.timeline.advance(stamp);
                self.ready.push_back(Event::Input {
                    now,
                    input,
                    recorded: stamp.monotonic.is_some(),
                });
            }
            Item::Raw(stamp, source, content) => {
                let now = self.timeline.advance(stamp);
                let samples = self.decoders.decode(&source, &content, now.utc);
                self.ready.extend(samples.into_iter().map(|sample| decoded(now, sample)));
            }
            Item::Samples(clock, samples) => {
                for sample in samples {
                    let now = self.timeline.advance(Stamp::dated(sample.at, clock));
                    self.ready.push_back(decoded(now, sample));
                }
            }
            Item::Rejected(rejected) => {
                self.decoders.count_rejected(&rejected);
                self.ready.push_back(Event::Rejected(rejected));
            }
        }
    }

    /// Every file has ended: what the decoders held back comes out at the last moment.
    fn end(&mut self) {
        self.ended = true;
        let now = self.timeline.last();
        let mut samples = Vec::new();
        for decoder in self.decoders.shared.values_mut() {
            decoder.finish(&mut samples);
        }
        self.ready.extend(samples.into_iter().map(|sample| decoded(now, sample)));
    }
}

impl Iterator for Replay {
    type Item = Result<Event, ReplayError>;

    fn next(&mut self) -> Option<Result<Event, ReplayError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            match self.earliest() {
                Ok(Some(item)) => self.play(item),
                Ok(None) => self.end(),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn decoded(now: Now, sample: Sample) -> Event {
    Event::Input { now, input: Input::Sample(sample), recorded: false }
}

/// The decoders of the sources, for what carries its time outside, and every counter that is no
/// decoder's own.
struct Decoders {
    shared: BTreeMap<SourceName, Box<dyn Decode + Send>>,
    counted: BTreeMap<SourceName, Tally>,
    unattributed: BTreeMap<Reason, u64>,
    /// The names there are, for people.
    has: String,
}

impl Decoders {
    fn new(sources: &[Source]) -> Decoders {
        let each = sources.iter();
        Decoders {
            shared: each.clone().map(|s| (s.name.clone(), super::decoder(s))).collect(),
            counted: each.clone().map(|s| (s.name.clone(), Tally::default())).collect(),
            unattributed: BTreeMap::new(),
            has: input::list(each),
        }
    }

    /// The source, if there is one of that name.
    fn known(&self, source: Option<SourceName>) -> Result<SourceName, BadLine> {
        match source {
            Some(source) if self.shared.contains_key(&source) => Ok(source),
            Some(source) => {
                let has = &self.has;
                Err(BadLine::field(format!(
                    "the configuration has no source {source}: it has {has}"
                )))
            }
            None => Err(BadLine::field(
                "does not say which \"source\" it is for, and it cannot be told from the file; write \
                 --input NAME=FILE",
            )),
        }
    }

    fn decode(&mut self, source: &SourceName, content: &Content, received: Utc) -> Vec<Sample> {
        let mut samples = Vec::new();
        let raw = match content {
            Content::Input(_) => return samples,
            Content::Bytes(bytes) => Raw::Bytes(bytes),
            Content::Mqtt { topic, payload } => Raw::Mqtt { topic, payload },
        };
        if let Some(decoder) = self.shared.get_mut(source) {
            decoder.feed(raw, received, &mut samples);
        }
        samples
    }

    fn count_input(&mut self, input: &Input) {
        if let Input::Sample(sample) = input
            && let Some(tally) = self.counted.get_mut(&sample.source)
        {
            tally.sample(sample.at);
        }
    }

    fn count_rejected(&mut self, rejected: &Rejected) {
        match rejected.source.as_ref().and_then(|source| self.counted.get_mut(source)) {
            Some(tally) => tally.reject(rejected.reason),
            None => *self.unattributed.entry(rejected.reason).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests;
