//! The inputs of one life of the box, recorded as `steward run --record` does and read back, give the same
//! outputs, byte for byte.

use std::fmt::{self, Write};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

use domain::Engine;
use domain::input::Input;
use domain::output::{Outputs, Record};
use domain::site::Site;
use domain::time::{Boot, ClockQuality, Monotonic, Now, Utc};
use serde::Deserialize;
use steward::record::{Recorder, SIZE_MAX};

/// A life of the box, from a start to the next.
pub(in crate::city) struct Life {
    site: Site,
    records: Vec<Record>,
    started: Now,
    file: PathBuf,
    recorder: Recorder,
    /// What came of each input.
    said: Vec<u64>,
}

/// A line of a recording.
#[derive(Deserialize)]
struct Line {
    at: Utc,
    monotonic_ms: Monotonic,
    boot: Boot,
    clock: ClockQuality,
    input: Input,
}

impl Life {
    /// A life that begins at `started` with these records, and is recorded into `file`.
    ///
    /// # Panics
    /// The file cannot be written.
    pub(in crate::city) fn new(
        site: Site,
        records: Vec<Record>,
        started: Now,
        file: PathBuf,
    ) -> Life {
        let recorder = Recorder::append(&file, SIZE_MAX).expect("the recording can be written");
        Life { site, records, started, file, recorder, said: vec![] }
    }

    /// Writes an input down.
    pub(in crate::city) fn record(&mut self, input: &Input, now: Now) {
        self.recorder.record(now, input);
    }

    /// What came of it.
    pub(in crate::city) fn said(&mut self, outputs: &Outputs) {
        self.said.push(hash(outputs));
    }

    /// Lives it again; everything that was different.
    ///
    /// # Panics
    /// The recording cannot be read.
    pub(in crate::city) fn replay(mut self) -> Vec<String> {
        self.recorder.flush();
        let text = fs::read(&self.file).expect("the recording is there");
        fs::remove_file(&self.file).expect("the recording can be removed");
        let mut engine = Engine::new(self.site, self.records, self.started);
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for (number, said) in (1..).zip(self.said) {
            let boot = self.started.boot.0;
            let Some(line) = lines.next() else {
                return vec![format!("boot {boot}: the recording ends before input {number}")];
            };
            let line: Line = match serde_json::from_slice(line) {
                Ok(line) => line,
                Err(why) => return vec![format!("boot {boot}: line {number}: {why}")],
            };
            let Line { at: utc, monotonic_ms: monotonic, boot, clock, input } = line;
            let now = Now { boot, monotonic, utc, clock };
            let shown = format!("{input:?}");
            if hash(&engine.step(input, now)) != said {
                return vec![format!("boot {}: input {number} says otherwise: {shown}", boot.0)];
            }
        }
        match lines.next() {
            Some(_) => vec!["more was recorded than was said".to_owned()],
            None => vec![],
        }
    }
}

/// All that there is in a value, as it is written for programmers, in eight bytes.
fn hash(outputs: &Outputs) -> u64 {
    struct Into(DefaultHasher);
    impl Write for Into {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut into = Into(DefaultHasher::new());
    write!(into, "{outputs:?}").expect("a hasher takes everything");
    into.0.finish()
}

#[cfg(test)]
mod tests {
    use domain::ids::{DeviceKey, SourceName};
    use domain::sample::{Quantity, Sample};
    use steward::demo::street::LINE_SOURCE;

    use super::super::tests::quiet;
    use super::*;
    use crate::city::clock::Clock;
    use crate::city::site;
    use crate::city::weather::Weather;

    /// A life with one report in it; what the box is said to have answered can be falsified.
    fn lived(falsify: impl FnOnce(&mut Life)) -> Vec<String> {
        let truth = quiet();
        let dir = tempfile::tempdir().unwrap();
        let site = site::config(&truth, 0).site;
        let clock = Clock { boot: Boot(1), started: 0 };
        let weather = Weather::new(&truth, true);
        let now = |at| clock.now(&weather, at);
        let mut life = Life::new(site.clone(), vec![], now(0), dir.path().join("life"));
        let mut engine = Engine::new(site, vec![], now(0));
        let sample = Sample {
            source: SourceName::new(LINE_SOURCE).unwrap(),
            device: Some(DeviceKey::new("1000").unwrap()),
            counter: Some(1),
            at: None,
            quantities: vec![Quantity::Occupied(true)],
        };
        for (at, input) in [(0, Input::Start), (5000, Input::Sample(sample)), (9000, Input::Tick)] {
            life.record(&input, now(at));
            life.said(&engine.step(input, now(at)));
        }
        falsify(&mut life);
        life.replay()
    }

    #[test]
    fn a_life_is_the_same_again() {
        assert_eq!(lived(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn another_answer_another_beginning_or_a_missing_input_is_found() {
        assert_eq!(lived(|life| life.said[1] ^= 1).len(), 1);
        assert_eq!(lived(|life| life.said.truncate(2)).len(), 1);
        assert_eq!(lived(|life| life.said.push(0)).len(), 1);
        let other = Record { key: "asset/bay/b-77".to_owned(), value: Some(vec![]) };
        assert_eq!(lived(|life| life.records.push(other)).len(), 1);
    }
}
