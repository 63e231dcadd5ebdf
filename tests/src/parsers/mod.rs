//! Every parser of bytes from outside, as one function of bytes each: what the fuzzer feeds, and what a
//! short run on fixed chance feeds in every test run.
//!
//! A parser here does not only have to survive. It also has to mean the same however a stream is cut, to
//! count exactly the samples it gave, and to give no number that no sensor can mean.

mod documents;
mod seeds;
mod streams;

/// A parser of bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Parser {
    /// What the fuzzer calls it.
    pub name: &'static str,
    /// Feeds it, and says whether it understood anything.
    ///
    /// # Panics
    /// The parser broke a promise.
    pub feed: fn(&[u8]) -> bool,
    /// Right input to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const PARSERS: [Parser; 14] = [
    Parser { name: "gnss", feed: streams::gnss, seeds: seeds::gnss },
    Parser { name: "nmea_body", feed: streams::nmea_body, seeds: seeds::nmea_body },
    Parser { name: "ubx_body", feed: streams::ubx_body, seeds: seeds::ubx_body },
    Parser { name: "gpsd", feed: streams::gpsd, seeds: seeds::gpsd },
    Parser { name: "jt808", feed: streams::jt808, seeds: seeds::jt808 },
    Parser { name: "jt808_body", feed: streams::jt808_body, seeds: seeds::jt808_body },
    Parser { name: "can", feed: streams::can, seeds: seeds::can },
    Parser { name: "modbus", feed: streams::modbus, seeds: seeds::modbus },
    Parser { name: "node_link", feed: streams::node_link, seeds: seeds::node_link },
    Parser { name: "node_link_body", feed: streams::node_link_body, seeds: seeds::node_link_body },
    Parser { name: "lorawan", feed: documents::lorawan, seeds: seeds::lorawan },
    Parser { name: "messages", feed: documents::messages, seeds: seeds::messages },
    Parser { name: "command", feed: documents::command, seeds: seeds::command },
    Parser { name: "config", feed: documents::config, seeds: seeds::config },
];

/// The parser of this name.
///
/// # Panics
/// There is none.
pub fn named(name: &str) -> Parser {
    let found = PARSERS.into_iter().find(|parser| parser.name == name);
    found.unwrap_or_else(|| panic!("no parser is called {name:?}"))
}

/// Chance that is the same in every run: xorshift64* of Vigna (2016).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Chance of `seed`, which is not 0.
    #[must_use]
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number below `end`, which is not 0.
    pub const fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// `input` with one to eight things wrong with it.
#[must_use]
pub fn spoiled(input: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(8) {
        spoil(&mut bytes, other, chance);
    }
    bytes
}

fn spoil(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    /// What parsers stumble over.
    const EDGES: [u8; 16] = *b"\x00\xff\x7f\x80\x7e\x7d\xb5\x62$*,\n{\"-9";
    let at = chance.below(bytes.len() + 1);
    let length = chance.below(9);
    let end = (at + length).min(bytes.len());
    match chance.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = EDGES[chance.below(EDGES.len())],
        2 => bytes.insert(at, chance.below(256) as u8),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
        }
        _ => {
            let from = chance.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
    }
}
