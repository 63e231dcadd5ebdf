//! JT/T 808: the link between vehicle terminals and a platform, of which we are the platform.
//!
//! Responsible for the way from the bytes of a connection to [`Sample`]s and to [`Call`]s, and for the
//! bytes of the answers. Pure: the source owns the sockets, decides who may come in, and answers; what
//! has to be stored it answers after the commit, for a terminal forgets what was answered.
//!
//! * A location report (0x0200), and each item of those that a terminal kept while it had no network
//!   (0x0704), is a sample of the terminal: states of the vehicle, and a fix or that there is none.
//!   "Not located" never gives a position, whatever stands in its place.
//! * Frames of the vehicle's bus (0x0705) are samples of what a [`SignalMap`] names in them.
//! * Registration, authentication, heartbeat, log-out and questions are calls, and so is everything
//!   else that wants an answer.
//!
//! A terminal is called by its phone number without leading zeros. The counter of a sample is the
//! serial number of its frame; of items of one frame it is that plus 65 536 times the place in it, from
//! 1, so that each has its own.
//!
//! ```toml
//! [[source]]
//! name = "fleet"
//! kind = "jt808"
//! listen = "0.0.0.0:6808"
//! working = { field = "io", bit = 3, active = 1 }    # brush or pump: io, extended or status
//!
//! [[source.terminal]]                                # where one is wired in another way
//! phone = "13912345678"
//! working = { field = "extended", bit = 5, active = 0 }
//! ```
//!
//! Sources: JT/T 808-2013 and JT/T 808-2019 (and the layout of 2011 for registrations).

mod answer;
mod frame;
mod header;
mod location;
mod message;
mod parts;

pub use answer::{CODE_MAX, Outcome, Refusal};
pub use header::{Layout, Terminal};
pub use location::{Fields, Location, NoSuchBit, SignalField, WorkingSignal};
pub use message::{Authentication, Private, Registration, Response};

use std::collections::{BTreeMap, VecDeque};

use crate::decode::can::{Frame, SignalMap};
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Quantity, Sample};
use crate::time::Utc;

use frame::Deframer;
use header::Header;
use parts::{Joined, Parts};

/// 2011-01-01: the protocol is of that year. Terminals whose clock nobody has set say 2000.
const DATE_FLOOR: Utc = Utc::from_ms(1_293_840_000_000);

/// How many calls are kept. When full the oldest is dropped and counted: a terminal that is not
/// answered sends again.
const CALLS_MAX: usize = 256;

/// Reads one connection.
#[derive(Debug, Clone)]
pub struct Link {
    source: SourceName,
    working: Option<WorkingSignal>,
    terminals: BTreeMap<DeviceKey, WorkingSignal>,
    bus: Option<SignalMap>,
    /// Dates before this are not believed.
    floor: Utc,
    deframer: Deframer,
    parts: Parts,
    calls: VecDeque<Call>,
    calls_dropped: u64,
    not_available: u64,
    tally: Tally,
}

/// A frame of a terminal, for the source to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who called; also makes the answers.
    pub terminal: Terminal,
    /// Which message it was.
    pub message: u16,
    /// Its serial number.
    pub serial: u16,
    /// What it said.
    pub said: Said,
    /// How many samples it gave. Samples and calls come in the same order.
    pub samples: usize,
}

/// What a terminal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// 0x0001: what became of a message of ours. Wants no answer.
    Responds(Response),
    /// 0x0002: it is there.
    Heartbeat,
    /// 0x0003: it leaves.
    LogsOut,
    /// 0x0004: what time it is. Wants [`Terminal::server_time`].
    AsksTime,
    /// 0x0100: it wants to be known. Wants [`Terminal::registered`] or [`Terminal::not_registered`].
    Registers(Registration),
    /// 0x0102: who it is.
    Authenticates(Authentication),
    /// 0x0200, 0x0704, 0x0705: what it measured. To be answered after the commit of its samples.
    Reports,
    /// A part of a message whose others are missing. To be answered at once: many terminals send the
    /// next one only then. The last part stands for the whole message.
    Part,
    /// A message that is not read here.
    Other,
    /// It could not be read, for this reason. Some terminals send again what was not answered with
    /// [`Outcome::Done`], for ever.
    Refused(Reason),
}

impl Link {
    /// At the beginning of a connection of `source`. Dates before 2011 are not believed.
    #[must_use]
    pub fn new(source: SourceName) -> Link {
        Link {
            source,
            working: None,
            terminals: BTreeMap::new(),
            bus: None,
            floor: DATE_FLOOR,
            deframer: Deframer::default(),
            parts: Parts::default(),
            calls: VecDeque::new(),
            calls_dropped: 0,
            not_available: 0,
            tally: Tally::default(),
        }
    }

    /// Terminals tell in this way whether their vehicle works, unless [`Link::with_terminal`] says
    /// otherwise.
    #[must_use]
    pub fn with_working(self, signal: WorkingSignal) -> Link {
        Link { working: Some(signal), ..self }
    }

    /// This terminal tells in its own way whether its vehicle works.
    #[must_use]
    pub fn with_terminal(mut self, device: DeviceKey, signal: WorkingSignal) -> Link {
        self.terminals.insert(device, signal);
        self
    }

    /// The vehicles' buses carry these signals.
    #[must_use]
    pub fn with_bus(self, map: SignalMap) -> Link {
        Link { bus: Some(map), ..self }
    }

    /// Does not believe dates before `floor`, such as the day the program was built: they are counted
    /// as [`Reason::Time`] and the sample goes without a time of its own. To be left alone where
    /// terminals may have kept reports from before that day.
    #[must_use]
    pub fn with_date_floor(self, floor: Utc) -> Link {
        Link { floor, ..self }
    }

    /// Takes the calls, oldest first.
    pub fn take_calls(&mut self) -> Vec<Call> {
        self.calls.drain(..).collect()
    }

    /// Takes the counters, which begin anew: for a source that adds up those of many connections.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Calls that nobody took in time.
    #[must_use]
    pub const fn calls_dropped(&self) -> u64 {
        self.calls_dropped
    }

    /// Signals of a bus that their sender did not have.
    #[must_use]
    pub const fn not_available(&self) -> u64 {
        self.not_available
    }

    fn take(&mut self, inside: &[u8], samples: &mut Vec<Sample>) {
        let (header, body) = match header::parse(inside) {
            Ok(parsed) => parsed,
            // Who called is not known, so nobody can be answered.
            Err(reason) => return self.tally.reject(reason),
        };
        self.tally.frames += 1;
        let before = samples.len();
        let said = self.joined(&header, body, samples).unwrap_or_else(|reason| {
            self.tally.reject(reason);
            Said::Refused(reason)
        });
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
            self.calls_dropped += 1;
        }
        self.calls.push_back(Call {
            terminal: header.terminal,
            message: header.message,
            serial: header.serial,
            said,
            samples: samples.len() - before,
        });
    }

    fn joined(
        &mut self,
        header: &Header,
        body: &[u8],
        samples: &mut Vec<Sample>,
    ) -> Result<Said, Reason> {
        if header.is_encrypted {
            return Err(Reason::Codec);
        }
        let Some(part) = header.part else { return self.read(header, body, samples) };
        // Pictures and sound come in hundreds of parts, and nobody here looks at them.
        if !is_read(header.message) {
            return Ok(Said::Part);
        }
        let (joined, given_up) = self.parts.add(header, part, body);
        for _ in 0..given_up {
            self.tally.reject(Reason::Truncated);
        }
        match joined {
            Joined::Waiting => Ok(Said::Part),
            Joined::Whole(body) => self.read(header, &body, samples),
            Joined::TooMany => Err(Reason::TooLong),
        }
    }

    fn read(
        &mut self,
        header: &Header,
        body: &[u8],
        samples: &mut Vec<Sample>,
    ) -> Result<Said, Reason> {
        let layout = header.terminal.layout();
        Ok(match header.message {
            id::RESPONSE => Said::Responds(Response::parse(body)?),
            id::HEARTBEAT => Said::Heartbeat,
            id::LOG_OUT => Said::LogsOut,
            id::TIME => Said::AsksTime,
            id::REGISTER => Said::Registers(Registration::parse(layout, body)?),
            id::AUTHENTICATE => Said::Authenticates(Authentication::parse(layout, body)?),
            id::LOCATION => {
                self.location(header, header.serial.into(), body, samples)?;
                Said::Reports
            }
            id::LOCATIONS => {
                self.each(header, message::batch(body)?, |link, counter, body| {
                    link.location(header, counter, body, samples)
                });
                Said::Reports
            }
            id::BUS => {
                self.each(header, message::bus(body)?, |link, counter, frame| {
                    link.bus(header, counter, &frame, samples);
                    Ok(())
                });
                Said::Reports
            }
            _ => Said::Other,
        })
    }

    /// Reads items, each with its own counter. What is wrong with one costs that one.
    fn each<T>(
        &mut self,
        header: &Header,
        items: Vec<Result<T, Reason>>,
        mut read: impl FnMut(&mut Link, u32, T) -> Result<(), Reason>,
    ) {
        // At most 65 535 items, so that the place fits into the upper half.
        for (counter, item) in (1..=u32::from(u16::MAX)).zip(items) {
            let counter = counter << 16 | u32::from(header.serial);
            if let Err(reason) = item.and_then(|item| read(self, counter, item)) {
                self.tally.reject(reason);
            }
        }
    }

    fn location(
        &mut self,
        header: &Header,
        counter: u32,
        body: &[u8],
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        let location = Location::parse(body)?;
        let device = header.terminal.device();
        let working = self.terminals.get(&device).copied().or(self.working);
        let quantities = location.quantities(working)?;
        if let Some(damage) = location.damage {
            self.tally.reject(damage);
        }
        let at = location.at.filter(|&at| at >= self.floor);
        if at.is_none() {
            self.tally.reject(Reason::Time);
        }
        self.sample(device, counter, at, quantities, samples);
        Ok(())
    }

    fn bus(&mut self, header: &Header, counter: u32, frame: &Frame, samples: &mut Vec<Sample>) {
        let Some(found) = self.bus.as_ref().and_then(|map| map.read(frame)) else { return };
        for _ in 0..found.short {
            self.tally.reject(Reason::Truncated);
        }
        self.not_available += found.not_available;
        if !found.quantities.is_empty() {
            let device = header.terminal.device();
            self.sample(device, counter, None, found.quantities, samples);
        }
    }

    fn sample(
        &mut self,
        device: DeviceKey,
        counter: u32,
        at: Option<Utc>,
        quantities: Vec<Quantity>,
        samples: &mut Vec<Sample>,
    ) {
        self.tally.sample(at);
        let (source, device) = (self.source.clone(), Some(device));
        samples.push(Sample { source, device, counter: Some(counter), at, quantities });
    }

    /// Lets `cut` cut frames, and reads them.
    fn with_frames(
        &mut self,
        samples: &mut Vec<Sample>,
        cut: impl FnOnce(&mut Deframer, &mut dyn FnMut(Result<&[u8], Reason>)),
    ) {
        let mut deframer = std::mem::take(&mut self.deframer);
        cut(&mut deframer, &mut |cut| match cut {
            Ok(inside) => self.take(inside, samples),
            Err(reason) => self.tally.reject(reason),
        });
        self.deframer = deframer;
    }
}

impl Decode for Link {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        match raw {
            Raw::Bytes(bytes) => {
                self.tally.bytes += bytes.len() as u64;
                self.with_frames(samples, |deframer, take| deframer.feed(bytes, take));
            }
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                self.tally.reject(Reason::Malformed);
            }
        }
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        self.with_frames(samples, |deframer, take| deframer.finish(take));
        for _ in 0..self.parts.give_up() {
            self.tally.reject(Reason::Truncated);
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The messages that are read.
mod id {
    pub(super) const RESPONSE: u16 = 0x0001;
    pub(super) const HEARTBEAT: u16 = 0x0002;
    pub(super) const LOG_OUT: u16 = 0x0003;
    pub(super) const TIME: u16 = 0x0004;
    pub(super) const REGISTER: u16 = 0x0100;
    pub(super) const AUTHENTICATE: u16 = 0x0102;
    pub(super) const LOCATION: u16 = 0x0200;
    pub(super) const LOCATIONS: u16 = 0x0704;
    pub(super) const BUS: u16 = 0x0705;
}

/// Whether the body of this message is looked at, and so worth joining.
const fn is_read(message: u16) -> bool {
    matches!(
        message,
        id::RESPONSE | id::REGISTER | id::AUTHENTICATE | id::LOCATION | id::LOCATIONS | id::BUS
    )
}

#[cfg(test)]
mod tests;
