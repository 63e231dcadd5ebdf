//! Battery nodes on a serial line: frames up to [`Sample`]s, and the bytes to send down.
//!
//! Responsible for what a report of a node means in the core's quantities. The frames themselves are
//! the [`wire`] crate's; when something is sent down, and to which line, is the source's decision.
//!
//! A report comes again, with the same counter, until its acknowledgement arrives. It must become a
//! sample each time: the engine drops the repeat and has it acknowledged anew. What is not a report
//! makes no sample: hello and answer are kept as [`News`] for the source, kinds newer than this program
//! and the echo of our own words on a two-wire bus are frames and no more.

mod keys;

use std::collections::{BTreeMap, VecDeque};

use wire::{
    Ack, Answer, BROADCAST, Battery, Bay, BayState, Bin, Body, Charge, DELIMITER, Deframer,
    Distance, Down, FRAME_MAX, Fault, Frame, Header, Heard, Hello, Identify, Measured, Report,
    Settings, Temperature, Time, Up,
};

pub use self::keys::{KeyFault, Keys};
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Absent, Missing, NoData, Quantity, Sample};
use crate::time::{Span, Utc};
use crate::units::{MilliCelsius, Millimetres, Millivolts, Permille};

/// What a thermometer at the roadside can show, in thousandths of a degree Celsius. Anything else is a
/// fault of the sensor.
const TEMPERATURE: std::ops::RangeInclusive<i32> = -60_000..=120_000;

/// How many [`News`] are kept. When full the oldest is dropped and counted: a node says hello again,
/// and a command without an answer is sent again.
const NEWS_MAX: usize = 256;

/// Reads the nodes of one line.
#[derive(Debug)]
pub struct NodeLink {
    source: SourceName,
    keys: Keys,
    /// What nodes with a key have reported.
    said: BTreeMap<u32, keys::Said>,
    deframer: Deframer,
    /// When the latest byte came that is not a delimiter. It dates the frame: the delimiter may be lost,
    /// and then the next frame's completes it, minutes later.
    byte_at: Option<Utc>,
    news: VecDeque<News>,
    news_dropped: u64,
    unknown: u64,
    tally: Tally,
}

/// Something a node said that is not a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Which node.
    pub device: DeviceKey,
    /// How long it has been running.
    pub uptime: Span,
    /// What it said.
    pub said: Said,
}

/// What a node can say besides measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Who it is: it has started, or a day has passed.
    Hello(Hello),
    /// What became of a command.
    Answer(Answer),
}

impl NodeLink {
    /// At the beginning of the stream of `source`.
    #[must_use]
    pub fn new(source: SourceName) -> NodeLink {
        NodeLink {
            source,
            keys: Keys::default(),
            said: BTreeMap::new(),
            deframer: Deframer::new(),
            byte_at: None,
            news: VecDeque::new(),
            news_dropped: 0,
            unknown: 0,
            tally: Tally::default(),
        }
    }

    /// Believes nodes that have a key only what is sealed with it.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> NodeLink {
        NodeLink { keys, ..self }
    }

    /// Takes what nodes said besides measurements, oldest first.
    pub fn take_news(&mut self) -> Vec<News> {
        self.news.drain(..).collect()
    }

    /// News that nobody took in time.
    #[must_use]
    pub const fn news_dropped(&self) -> u64 {
        self.news_dropped
    }

    /// Frames of a kind that is newer than this program.
    #[must_use]
    pub const fn unknown_kinds(&self) -> u64 {
        self.unknown
    }

    fn hear(&mut self, heard: Heard, received: Utc, samples: &mut Vec<Sample>) {
        let heard = match self.keys.open(heard) {
            Ok(heard) => heard,
            Err(reason) => return self.tally.reject(reason),
        };
        match heard {
            Heard::Fault(fault) => return self.tally.reject(reason(fault)),
            Heard::Unknown { .. } => self.unknown += 1,
            Heard::Frame(Frame { header, body: Body::Up(up) }) => match up {
                Up::Report(report) => match self.sample(header, report, received) {
                    Some(sample) => samples.push(sample),
                    None => return self.tally.reject(Reason::Duplicate),
                },
                Up::Hello(hello) => self.keep(header, Said::Hello(hello)),
                Up::Answer(answer) => self.keep(header, Said::Answer(answer)),
            },
            // What is sealed has been opened.
            Heard::Frame(Frame { body: Body::Down(_), .. }) | Heard::Sealed(_) => {}
        }
        self.tally.frames += 1;
    }

    /// What a report says; `None` when a node with a key cannot be the one who says it again.
    fn sample(&mut self, header: Header, report: Report, received: Utc) -> Option<Sample> {
        // Of unknown age: it was before the node started, and surely not later.
        let age_s =
            if report.age_s == Report::AGE_UNKNOWN { header.uptime_s } else { report.age_s };
        let mut at = received - Span::from_secs(age_s.into());
        if self.keys.of(header.node).is_some() {
            at = self.said.entry(header.node).or_default().note(header.counter, at)?;
        }
        self.tally.sample(Some(at));
        Some(Sample {
            source: self.source.clone(),
            device: Some(device(header.node)),
            counter: Some(header.counter),
            at: Some(at),
            quantities: quantities(report.measured),
        })
    }

    fn keep(&mut self, header: Header, said: Said) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
            self.news_dropped += 1;
        }
        let uptime = Span::from_secs(header.uptime_s.into());
        self.news.push_back(News { device: device(header.node), uptime, said });
    }
}

impl Decode for NodeLink {
    fn feed(&mut self, raw: Raw<'_>, received: Utc, samples: &mut Vec<Sample>) {
        let bytes = match raw {
            Raw::Bytes(bytes) => bytes,
            Raw::Mqtt { payload, .. } => {
                self.tally.bytes += payload.len() as u64;
                return self.tally.reject(Reason::Topic);
            }
        };
        self.tally.bytes += bytes.len() as u64;
        for &byte in bytes {
            if byte != DELIMITER {
                self.byte_at = Some(received);
            }
            if let Some(heard) = self.deframer.push(byte) {
                self.hear(heard, self.byte_at.unwrap_or(received), samples);
            }
        }
    }

    fn finish(&mut self, _samples: &mut Vec<Sample>) {
        if let Some(fault) = self.deframer.finish() {
            self.tally.reject(reason(fault));
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

const fn reason(fault: Fault) -> Reason {
    match fault {
        Fault::TooLong => Reason::TooLong,
        Fault::Truncated => Reason::Truncated,
        Fault::Checksum => Reason::Checksum,
        Fault::Version(_) => Reason::Version,
        Fault::Malformed { .. } => Reason::Malformed,
    }
}

fn device(node: u32) -> DeviceKey {
    DeviceKey::new(&node.to_string()).expect("one to ten digits are a device key")
}

fn quantities(measured: Measured) -> Vec<Quantity> {
    match measured {
        Measured::Bay(bay) => bay_quantities(bay),
        Measured::Bin(bin) => bin_quantities(bin),
        Measured::Battery(Battery { millivolts }) => {
            vec![Quantity::BatteryVoltage(Millivolts(millivolts))]
        }
        Measured::Charge(Charge { left_permille }) if left_permille <= Permille::FULL.get() => {
            vec![Quantity::BatteryLevel(Permille::clamped(left_permille.into()))]
        }
        Measured::Charge(_) => vec![absent(Missing::Battery, NoData::OutOfRange)],
    }
}

fn bay_quantities(bay: Bay) -> Vec<Quantity> {
    let state = match bay.state {
        BayState::Free => Quantity::Occupied(false),
        BayState::Occupied => Quantity::Occupied(true),
        BayState::Fault => absent(Missing::Occupied, NoData::SensorFault),
    };
    [Some(state), bay.previous_s.map(previous), temperature(bay.temperature)]
        .into_iter()
        .flatten()
        .collect()
}

fn bin_quantities(bin: Bin) -> Vec<Quantity> {
    let distance = match bin.distance {
        Distance::Millimetres(mm) => Quantity::Distance(Millimetres(mm.into())),
        Distance::NoTarget => absent(Missing::Distance, NoData::NoTarget),
        Distance::TooClose => absent(Missing::Distance, NoData::TooClose),
        Distance::Fault => absent(Missing::Distance, NoData::SensorFault),
    };
    [
        Some(distance),
        bin.tilted.map(Quantity::Tilted),
        bin.lid_open.map(Quantity::LidOpen),
        bin.fire.map(Quantity::Fire),
        temperature(bin.temperature),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The node cuts to whole seconds, and its clock may be wrong by 500 parts in a million: an RC
/// oscillator that is calibrated against a crystal.
fn previous(seconds: u32) -> Quantity {
    let lasted = Span::from_secs(seconds.into());
    let error = Span::from_secs(1).saturating_add(Span::from_ms(lasted.as_ms() / 2000));
    Quantity::PreviousState { lasted, error }
}

fn temperature(temperature: Temperature) -> Option<Quantity> {
    match temperature {
        Temperature::NotFitted => None,
        Temperature::Fault => Some(absent(Missing::Temperature, NoData::SensorFault)),
        Temperature::MilliCelsius(mc) if TEMPERATURE.contains(&mc) => {
            Some(Quantity::Temperature(MilliCelsius(mc)))
        }
        Temperature::MilliCelsius(_) => Some(absent(Missing::Temperature, NoData::OutOfRange)),
    }
}

const fn absent(what: Missing, why: NoData) -> Quantity {
    Quantity::Absent(Absent { what, why })
}

/// Frames for nodes, sealed for those that have a key. `None` throughout when the device is not the number
/// of a node. `command` is the number that the answer repeats: sending the same command again is safe, and a
/// node with a key takes none whose number is not above all before.
impl Keys {
    /// Tells the node `device` that its report `counter` is stored for good; to be sent only after the
    /// commit.
    #[must_use]
    pub fn ack_frame(&self, device: &DeviceKey, counter: u32) -> Option<Vec<u8>> {
        Some(self.down_frame(node(device)?, 0, Down::Ack(Ack { counter })))
    }

    /// Gives the node new settings. `None` also when [`Settings::check`] finds a fault: the node would
    /// refuse it.
    #[must_use]
    pub fn settings_frame(
        &self,
        device: &DeviceKey,
        command: u32,
        settings: &Settings,
    ) -> Option<Vec<u8>> {
        settings.check().ok()?;
        Some(self.down_frame(node(device)?, command, Down::Settings(*settings)))
    }

    /// Has the node learn the field of its empty bay anew.
    #[must_use]
    pub fn recalibrate_frame(&self, device: &DeviceKey, command: u32) -> Option<Vec<u8>> {
        Some(self.down_frame(node(device)?, command, Down::Recalibrate))
    }

    /// Tells the node that it has a new battery.
    #[must_use]
    pub fn new_battery_frame(&self, device: &DeviceKey, command: u32) -> Option<Vec<u8>> {
        Some(self.down_frame(node(device)?, command, Down::NewBattery))
    }

    /// Has the node show itself for `seconds`; 0 ends it.
    #[must_use]
    pub fn identify_frame(
        &self,
        device: &DeviceKey,
        command: u32,
        seconds: u16,
    ) -> Option<Vec<u8>> {
        Some(self.down_frame(node(device)?, command, Down::Identify(Identify { seconds })))
    }

    /// Tells a node with a key what time it is, cut to whole seconds. `None` also before 1970, and for a
    /// node without a key, which [`time_frame`] tells.
    #[must_use]
    pub fn sealed_time_frame(&self, device: &DeviceKey, command: u32, utc: Utc) -> Option<Vec<u8>> {
        let node = node(device).filter(|node| self.of(*node).is_some())?;
        Some(self.down_frame(node, command, Down::Time(time(utc)?)))
    }

    /// Whether the device has a key.
    #[must_use]
    pub fn seal(&self, device: &DeviceKey) -> bool {
        node(device).is_some_and(|node| self.of(node).is_some())
    }

    /// A frame with a delimiter in front, for the line has been silent.
    fn down_frame(&self, node: u32, counter: u32, down: Down) -> Vec<u8> {
        let frame = Frame { header: Header { node, counter, uptime_s: 0 }, body: Body::Down(down) };
        let mut room = [0; FRAME_MAX];
        let bytes = match self.of(node) {
            Some(key) => frame.seal(key, &mut room),
            None => frame.encode(&mut room),
        };
        [&[DELIMITER], bytes.expect("FRAME_MAX bytes hold every frame")].concat()
    }
}

/// Tells every node of the line without a key what time it is, cut to whole seconds. `None` before 1970.
#[must_use]
pub fn time_frame(utc: Utc) -> Option<Vec<u8>> {
    Some(Keys::default().down_frame(BROADCAST, 0, Down::Time(time(utc)?)))
}

fn time(utc: Utc) -> Option<Time> {
    Some(Time { unix_s: u64::try_from(utc.as_ms()).ok()? / 1000 })
}

/// The node's number, written as [`device`] writes it and no other way.
fn node(key: &DeviceKey) -> Option<u32> {
    let node = key.as_str().parse().ok()?;
    (node != BROADCAST && device(node) == *key).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::{BaySettings, Firmware, NodeKind, Outcome};

    const RECEIVED: Utc = Utc::from_ms(1_780_545_600_500);

    // Taken from the golden frames of the wire crate.
    const HELLO: &str = "030107010101010201020101010501010203020905fe59341600";
    const ANSWER: &str = "0301070101020c0101024e01010802640174b6774b00";
    const BAY_FREE: &str = "0401e903010228010103100e010310030c01982a02f8cf027619c3a100";
    const BAY_OCCUPIED: &str = "0401e903010229010103201c01021002010902fff00457d19d4600";
    const BAY_FAULT: &str = "0401e90301022a010103211c010210020201058457d2b900";
    const BIN: &str = "0301150101020101010358020103110c04ca0601020102010902949d02767576d600";
    const BIN_OPEN: &str = "03011501010202010103b0040102110601010101010601943f165400";
    const BIN_BURNS: &str = "0301150101020301010308070102110202010b010102f08d0bd68a80b800";
    const BIN_FAULT: &str = "030115010102040101036009010211020301010105b25cd40d00";
    const BATTERY: &str = "03011501010205010103b80b010a12ac02f019bd34df7000";
    const CHARGE: &str = "03011501010206010103b80b01091301b5037b3095d200";
    const ACK: &str = "030115010101010101010101010780050e486ca900";
    const SETTINGS: &str =
        "030115010102060101010101011d8107901c80a305fa018827c413dc0bd00fd8040732d0f70714289f4c00";
    const RECALIBRATE: &str = "0401e90301020701010101010106825cb3367400";
    const NEW_BATTERY: &str = "0401e9030102090101010101010685723dd12b00";
    const IDENTIFY: &str = "0401e90301020801010101010107833c600acc1d00";
    const TIME: &str = "0601ffffffff010101010101010b84c0f083d1068f18206500";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    fn link() -> NodeLink {
        NodeLink::new(SourceName::new("line-1").unwrap())
    }

    fn key(text: &str) -> DeviceKey {
        DeviceKey::new(text).unwrap()
    }

    fn read(pieces: &[&[u8]]) -> (Vec<Sample>, NodeLink) {
        let (mut link, mut samples) = (link(), vec![]);
        for piece in pieces {
            link.feed(Raw::Bytes(piece), RECEIVED, &mut samples);
        }
        link.finish(&mut samples);
        (samples, link)
    }

    fn up(node: u32, counter: u32, report: Report) -> Vec<u8> {
        let header = Header { node, counter, uptime_s: 1 };
        Frame { header, body: Body::Up(Up::Report(report)) }
            .encode(&mut [0; FRAME_MAX])
            .unwrap()
            .to_vec()
    }

    fn rejected(link: &NodeLink) -> Vec<(Reason, u64)> {
        link.tally().rejected.iter().map(|(reason, n)| (*reason, *n)).collect()
    }

    #[test]
    fn golden_reports_become_samples() {
        use Quantity::{BatteryVoltage, Fire, LidOpen, Occupied, Tilted};
        let missing = |what, why| Quantity::Absent(Absent { what, why });
        let celsius = |mc| Quantity::Temperature(MilliCelsius(mc));
        let previous = Quantity::PreviousState {
            lasted: Span::from_secs(5400),
            error: Span::from_ms(1000 + 2700),
        };
        let distance = Quantity::Distance(Millimetres(842));
        let table = [
            (BAY_FREE, "1001", 40, 3, vec![Occupied(false), previous, celsius(21_500)]),
            (BAY_OCCUPIED, "1001", 41, 0, vec![Occupied(true), celsius(-40_000)]),
            (BAY_FAULT, "1001", 42, 0, vec![missing(Missing::Occupied, NoData::SensorFault)]),
            (
                BIN,
                "21",
                1,
                12,
                vec![distance, Tilted(false), LidOpen(false), Fire(false), celsius(18_250)],
            ),
            (
                BIN_OPEN,
                "21",
                2,
                0,
                vec![
                    missing(Missing::Distance, NoData::NoTarget),
                    Tilted(true),
                    LidOpen(true),
                    missing(Missing::Temperature, NoData::SensorFault),
                ],
            ),
            (
                BIN_BURNS,
                "21",
                3,
                0,
                vec![missing(Missing::Distance, NoData::TooClose), Fire(true), celsius(91_000)],
            ),
            (BIN_FAULT, "21", 4, 0, vec![missing(Missing::Distance, NoData::SensorFault)]),
            (BATTERY, "21", 5, 300, vec![BatteryVoltage(Millivolts(3312))]),
            (CHARGE, "21", 6, 1, vec![Quantity::BatteryLevel(Permille::clamped(437))]),
        ];
        for (text, device, counter, age, quantities) in table {
            let (samples, link) = read(&[&hex(text)]);
            let at = RECEIVED - Span::from_secs(age);
            let expected = Sample {
                source: SourceName::new("line-1").unwrap(),
                device: Some(key(device)),
                counter: Some(counter),
                at: Some(at),
                quantities,
            };
            assert_eq!(samples, [expected], "{text}");
            let tally = link.tally();
            assert_eq!((tally.frames, tally.samples, tally.rejected_total()), (1, 1, 0));
            assert_eq!((tally.first_at, tally.bytes), (Some(at), text.len() as u64 / 2));
        }
    }

    #[test]
    fn hello_and_answer_are_news_and_no_samples() {
        let (samples, mut link) = read(&[&hex(HELLO), &hex(ANSWER)]);
        assert_eq!(samples, []);
        assert_eq!((link.tally().frames, link.tally().rejected_total()), (2, 0));
        let hello = Hello {
            firmware: Firmware { major: 1, minor: 2, patch: 3 },
            kind: NodeKind::Bay,
            boot: 9,
            settings: 0,
        };
        let answer = Answer { to: 100, outcome: Outcome::OutOfRange };
        assert_eq!(
            link.take_news(),
            [
                News { device: key("7"), uptime: Span::from_secs(1), said: Said::Hello(hello) },
                News { device: key("7"), uptime: Span::from_secs(78), said: Said::Answer(answer) },
            ]
        );
        assert_eq!(link.take_news(), []);
    }

    #[test]
    fn news_that_nobody_takes_are_bounded_and_counted() {
        let hellos = hex(HELLO).repeat(NEWS_MAX + 3);
        let (_, mut link) = read(&[&hellos]);
        assert_eq!(link.news_dropped(), 3);
        assert_eq!(link.take_news().len(), NEWS_MAX);
    }

    #[test]
    fn our_own_echo_is_a_frame_and_nothing_else() {
        let (samples, mut link) = read(&[&hex(ACK), &hex(SETTINGS), &hex(TIME)]);
        assert_eq!((samples.len(), link.take_news().len()), (0, 0));
        assert_eq!((link.tally().frames, link.tally().rejected_total()), (3, 0));
    }

    /// The frame with its kind and version overwritten and a CRC that fits.
    fn altered(text: &str, version: u8, kind: u8) -> Vec<u8> {
        let mut raw = hex(text);
        raw.pop();
        // Undo the stuffing by hand: each code byte tells how far the next zero is.
        let (mut plain, mut at) = (vec![], 0);
        while at < raw.len() {
            let code = usize::from(raw[at]);
            plain.extend_from_slice(&raw[at + 1..at + code]);
            at += code;
            if at < raw.len() {
                plain.push(0);
            }
        }
        (plain[0], plain[13]) = (version, kind);
        plain.truncate(plain.len() - 4);
        plain.extend_from_slice(&wire::CRC.checksum(&plain).to_le_bytes());
        let mut stuffed = vec![];
        for block in plain.split(|byte| *byte == 0) {
            stuffed.push(u8::try_from(block.len() + 1).unwrap());
            stuffed.extend_from_slice(block);
        }
        stuffed.push(DELIMITER);
        stuffed
    }

    #[test]
    fn an_unknown_kind_is_counted_and_not_refused() {
        assert_eq!(altered(BIN, 1, 0x11), hex(BIN), "the alteration itself is sound");
        let (samples, link) = read(&[&altered(BIN, 1, 0x42)]);
        assert_eq!((samples.len(), link.unknown_kinds(), link.tally().frames), (0, 1, 1));
        assert_eq!(link.tally().rejected_total(), 0);
    }

    #[test]
    fn what_is_refused_is_counted_by_reason() {
        let mut flipped = hex(BIN);
        flipped[17] ^= 0x10;
        let cut = [&hex(BIN)[..15], &[DELIMITER]].concat();
        let table: [(Vec<u8>, Reason); 6] = [
            (flipped, Reason::Checksum),
            (cut, Reason::Truncated),
            (hex(BIN)[..15].to_vec(), Reason::Truncated),
            (vec![0x55; 5000], Reason::TooLong),
            (altered(BIN, 3, 0x11), Reason::Version),
            (altered(BATTERY, 1, 0x01), Reason::Malformed),
        ];
        for (bytes, reason) in table {
            let (samples, link) = read(&[&bytes]);
            assert_eq!(samples, [], "{reason:?}");
            assert_eq!(rejected(&link), [(reason, 1)]);
            assert_eq!(link.tally().frames, 0, "{reason:?}");
        }
    }

    #[test]
    fn an_mqtt_message_is_not_for_this_source() {
        let (mut link, mut samples) = (link(), vec![]);
        link.feed(Raw::Mqtt { topic: "a", payload: &hex(BIN) }, RECEIVED, &mut samples);
        assert_eq!((samples.len(), rejected(&link)), (0, vec![(Reason::Topic, 1)]));
    }

    #[test]
    fn a_temperature_that_cannot_be_is_left_out_with_the_reason() {
        let out = Quantity::Absent(Absent { what: Missing::Temperature, why: NoData::OutOfRange });
        let is = |mc| Quantity::Temperature(MilliCelsius(mc));
        let table = [
            (i32::MIN, out),
            (-60_001, out),
            (-60_000, is(-60_000)),
            (120_000, is(120_000)),
            (120_001, out),
            (i32::MAX, out),
        ];
        for (mc, expected) in table {
            assert_eq!(temperature(Temperature::MilliCelsius(mc)), Some(expected), "{mc}");
        }
    }

    #[test]
    fn more_than_a_whole_battery_is_no_level() {
        let charge = |left_permille| quantities(Measured::Charge(Charge { left_permille }));
        let out = Quantity::Absent(Absent { what: Missing::Battery, why: NoData::OutOfRange });
        assert_eq!(charge(1000), [Quantity::BatteryLevel(Permille::FULL)]);
        assert_eq!(charge(0), [Quantity::BatteryLevel(Permille::clamped(0))]);
        assert_eq!(charge(1001), [out]);
    }

    #[test]
    fn the_age_is_taken_off_and_cannot_leave_the_calendar() {
        let report =
            Report { age_s: u32::MAX - 1, measured: Measured::Battery(Battery { millivolts: 1 }) };
        let (samples, _) = read(&[&up(1, 1, report)]);
        assert_eq!(samples[0].at, Some(RECEIVED - Span::from_secs((u32::MAX - 1).into())));
        let (mut link, mut samples) = (link(), vec![]);
        link.feed(Raw::Bytes(&up(1, 1, report)), Utc::from_ms(i64::MIN), &mut samples);
        assert_eq!(samples[0].at, Some(Utc::from_ms(i64::MIN)));
    }

    #[test]
    fn a_frame_is_dated_by_its_last_byte_and_not_by_a_late_delimiter() {
        let (mut link, mut samples) = (link(), vec![]);
        let bytes = hex(BAY_OCCUPIED);
        let (delimiter, frame) = bytes.split_last().unwrap();
        link.feed(Raw::Bytes(frame), RECEIVED, &mut samples);
        assert_eq!(samples, []);
        let later = RECEIVED + Span::from_mins(10);
        link.feed(Raw::Bytes(&[*delimiter]), later, &mut samples);
        assert_eq!(samples[0].at, Some(RECEIVED));
    }

    #[test]
    fn a_report_that_comes_again_is_a_sample_again() {
        let (samples, _) = read(&[&hex(BIN), &hex(BIN)]);
        assert_eq!((samples.len(), samples[0].counter), (2, samples[1].counter));
    }

    #[test]
    fn downlinks_are_the_golden_frames_after_a_delimiter() {
        let after_delimiter = |text| Some([&[DELIMITER], &hex(text)[..]].concat());
        // Spelled out: the bytes stay what they are when the initial settings change.
        let bay = BaySettings { arrive_nt: 5000, leave_nt: 2500, ..Settings::INITIAL.bay };
        let settings = Settings { revision: 7, bay, ..Settings::INITIAL };
        assert_eq!(Keys::default().ack_frame(&key("21"), 5), after_delimiter(ACK));
        assert_eq!(
            Keys::default().settings_frame(&key("21"), 6, &settings),
            after_delimiter(SETTINGS)
        );
        assert_eq!(
            Keys::default().recalibrate_frame(&key("1001"), 7),
            after_delimiter(RECALIBRATE)
        );
        assert_eq!(
            Keys::default().new_battery_frame(&key("1001"), 9),
            after_delimiter(NEW_BATTERY)
        );
        assert_eq!(Keys::default().identify_frame(&key("1001"), 8, 60), after_delimiter(IDENTIFY));
        assert_eq!(time_frame(RECEIVED), after_delimiter(TIME));
        assert_eq!(time_frame(Utc::from_ms(-1)), None);
    }

    #[test]
    fn only_the_number_of_a_node_can_be_spoken_to() {
        for bad in ["4294967295", "4294967296", "007", "-1", "7a", "24E124713B000001"] {
            assert_eq!(Keys::default().ack_frame(&key(bad), 1), None, "{bad}");
            assert_eq!(
                Keys::default().settings_frame(&key(bad), 1, &Settings::INITIAL),
                None,
                "{bad}"
            );
            assert_eq!(Keys::default().recalibrate_frame(&key(bad), 1), None, "{bad}");
            assert_eq!(Keys::default().identify_frame(&key(bad), 1, 1), None, "{bad}");
        }
        assert!(Keys::default().ack_frame(&key("0"), 1).is_some());
        assert!(Keys::default().ack_frame(&key("4294967294"), 1).is_some());
    }

    #[test]
    fn settings_that_a_node_would_refuse_are_not_sent() {
        let settings = Settings { keep_alive_s: 0, ..Settings::INITIAL };
        assert_eq!(Keys::default().settings_frame(&key("21"), 1, &settings), None);
    }

    /// Golden frames and stretches of noise, each ended by a delimiter, as a line carries them.
    fn traffic() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
        let frame = prop::sample::select(vec![BAY_FREE, BAY_OCCUPIED, BIN, BATTERY])
            .prop_map(|text| (hex(text), true));
        let noise = prop::collection::vec(any::<u8>(), 0..200).prop_map(|mut noise| {
            noise.push(DELIMITER);
            (noise, false)
        });
        prop::collection::vec(prop_oneof![frame, noise], 0..12)
    }

    proptest! {
        #[test]
        fn noise_between_frames_loses_no_frame(traffic in traffic()) {
            let whole: Vec<u8> = traffic.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let (samples, _) = read(&[&whole]);
            let good: Vec<&[u8]> =
                traffic.iter().filter(|(_, good)| *good).map(|(bytes, _)| &bytes[..]).collect();
            prop_assert_eq!(samples, read(&good).0);
        }

        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            traffic in traffic(),
            piece in 1_usize..40,
        ) {
            let whole: Vec<u8> = traffic.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let (samples, link) = read(&[&whole]);
            for size in [1, piece] {
                let (again, other) = read(&whole.chunks(size).collect::<Vec<_>>());
                prop_assert_eq!(&again, &samples);
                prop_assert_eq!(other.tally(), link.tally());
            }
        }

        #[test]
        fn bytes_by_chance_give_no_sample(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let (samples, mut link) = read(&[&bytes]);
            prop_assert_eq!(samples, []);
            prop_assert_eq!(link.take_news(), []);
            prop_assert_eq!((link.tally().frames, link.tally().bytes), (0, bytes.len() as u64));
        }
    }
}
