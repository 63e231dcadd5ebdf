//! A message as it is stored, and the keys everything is stored under.

use domain::output::Lane;
use domain::time::{Boot, Utc};
use serde::{Deserialize, Serialize};

use super::ledger::Position;
use super::pack::{self, Packer};

/// A stored message, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Its lane.
    pub lane: Lane,
    /// Its place in the lane.
    pub position: Position,
}

/// Lanes, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes([bool; 4]);

impl Lanes {
    /// Every lane.
    pub const ALL: Lanes = Lanes([true; 4]);

    /// The lanes of which `holds` is true.
    pub fn which(holds: impl Fn(Lane) -> bool) -> Lanes {
        Lanes(Lane::ALL.map(holds))
    }

    /// Whether `lane` is among them.
    #[must_use]
    pub const fn contains(self, lane: Lane) -> bool {
        self.0[lane as usize]
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Lanes([false; 4])
    }
}

/// A message taken out to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What to acknowledge it by.
    pub key: Key,
    /// Its topic below the box's prefix.
    pub path: String,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// Whether it is sent later than meant: committed in another boot, or while another connection
    /// or none was up.
    pub replay: bool,
    /// When what it tells was so.
    pub at: Utc,
    /// The payload, without the replay mark.
    pub payload: Vec<u8>,
    /// As it is stored, when that is compressed.
    pub(super) packed: Option<Vec<u8>>,
}

impl Entry {
    /// The payload compressed (Zstandard, RFC 8878), with the replay mark if it is backlog; `None` when
    /// it is not stored compressed. Costs a copy: nothing is compressed anew.
    #[must_use]
    pub fn compressed(&self) -> Option<Vec<u8>> {
        self.packed.as_deref().map(|packed| pack::complete(packed, self.replay))
    }
}

/// A payload in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Plain(Vec<u8>),
    /// By [`Packer::pack`].
    Packed(Vec<u8>),
}

impl Content {
    /// `payload` in whatever way it is to be stored.
    pub(super) fn of(payload: Vec<u8>, lane: Lane, packer: &Packer) -> Content {
        let packed = if lane == Lane::Telemetry { packer.pack(&payload) } else { None };
        packed.map_or(Content::Plain(payload), Content::Packed)
    }

    /// The payload, and its compressed form if it has one; `None` when it cannot be read.
    pub(super) fn open(self, packer: &Packer) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        match self {
            Content::Plain(payload) => Some((payload, None)),
            Content::Packed(packed) => Some((packer.unpack(&packed)?, Some(packed))),
        }
    }
}

/// A message in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// The boot that committed it.
    pub(super) boot: Boot,
    /// The connection that was up then, 0 for none.
    pub(super) conn: u32,
    pub(super) at: Utc,
    pub(super) retain: bool,
    pub(super) path: String,
    pub(super) content: Content,
}

/// The first byte of a stored message: how the rest is laid out.
const LOOSE: u8 = 1;
const SEALED: u8 = 2;
/// Stands in every sealed message, to find it by in the file of a store that cannot be opened.
pub(super) const MAGIC: [u8; 4] = *b"stwd";
/// The payload is compressed.
const PACKED: u8 = 1;
/// Bytes of a sealed message in front of its sealed part.
const SEAL: usize = 1 + MAGIC.len() + 4 + 4;

impl Stored {
    /// `2 ‖ magic 4 ‖ CRC-32 of the sealed part 4 ‖ its length 4 ‖ sealed part`, the sealed part being
    /// `flags 1 ‖ lane 1 ‖ seq 8 ‖ sub 4 ‖ body`, and the body `boot 4 ‖ conn 4 ‖ at 8 ‖ retain 1 ‖ path
    /// length 2 ‖ path ‖ payload`; numbers little endian. The key is in it once more, so that a message
    /// tells what it is wherever it is found.
    pub(super) fn encode(&self, key: Key) -> Vec<u8> {
        let (flags, payload) = match &self.content {
            Content::Plain(payload) => (0, payload),
            Content::Packed(packed) => (PACKED, packed),
        };
        let path = self.path.as_bytes();
        let length = u16::try_from(path.len()).expect("a topic is at most 65,535 bytes");
        let mut blob = Vec::with_capacity(SEAL + 33 + path.len() + payload.len());
        blob.push(SEALED);
        blob.extend_from_slice(&MAGIC);
        blob.extend_from_slice(&[0; 8]);
        blob.extend_from_slice(&[flags, tag(key.lane)]);
        blob.extend_from_slice(&key.position.seq.to_le_bytes());
        blob.extend_from_slice(&key.position.sub.to_le_bytes());
        blob.extend_from_slice(&self.boot.0.to_le_bytes());
        blob.extend_from_slice(&self.conn.to_le_bytes());
        blob.extend_from_slice(&self.at.as_ms().to_le_bytes());
        blob.push(u8::from(self.retain));
        blob.extend_from_slice(&length.to_le_bytes());
        blob.extend_from_slice(path);
        blob.extend_from_slice(payload);
        let (head, part) = blob.split_at_mut(SEAL);
        let length = u32::try_from(part.len()).expect("a message is far smaller than 4 GB");
        head[SEAL - 8..SEAL - 4].copy_from_slice(&crc32fast::hash(part).to_le_bytes());
        head[SEAL - 4..].copy_from_slice(&length.to_le_bytes());
        blob
    }

    /// Reads what [`Stored::encode`] wrote, now or before messages were sealed; `None` when it is
    /// something else.
    pub(super) fn decode(blob: &[u8]) -> Option<Stored> {
        match *blob.first()? {
            LOOSE => Stored::body(0, &blob[1..]),
            SEALED => Stored::find(&blob[1..]).map(|(_, stored)| stored),
            _ => None,
        }
    }

    /// Reads a sealed message whose magic stands at the beginning of `bytes`, and its key.
    pub(super) fn find(bytes: &[u8]) -> Option<(Key, Stored)> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let part = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        (crc32fast::hash(part) == u32::from_le_bytes(*crc)).then_some(())?;
        let (&[flags, lane], rest) = part.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (sub, rest) = rest.split_first_chunk()?;
        let lane = Lane::ALL.into_iter().find(|one| tag(*one) == lane)?;
        let position = Position { seq: u64::from_le_bytes(*seq), sub: u32::from_le_bytes(*sub) };
        Some((Key { lane, position }, Stored::body(flags, rest)?))
    }

    fn body(flags: u8, rest: &[u8]) -> Option<Stored> {
        let (boot, rest) = rest.split_first_chunk()?;
        let (conn, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (retain, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (path, payload) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let payload = payload.to_vec();
        let packed = flags & PACKED != 0;
        Some(Stored {
            boot: Boot(u32::from_le_bytes(*boot)),
            conn: u32::from_le_bytes(*conn),
            at: Utc::from_ms(i64::from_le_bytes(*at)),
            retain: *retain != 0,
            path: String::from_utf8(path.to_vec()).ok()?,
            content: if packed { Content::Packed(payload) } else { Content::Plain(payload) },
        })
    }
}

const META: u8 = b'm';
const RECORD: u8 = b'r';

/// The key of a piece of the outbox's own state.
pub(super) fn meta_key(name: &str) -> Vec<u8> {
    [&[META], name.as_bytes()].concat()
}

/// The key of an engine record. The zero at the end keeps the pieces of `a` apart from the record `ab`;
/// names are made of ids, which have none.
pub(super) fn record_key(name: &str) -> Vec<u8> {
    [&[RECORD], name.as_bytes(), &[0]].concat()
}

/// The name of the record at `key`.
pub(super) fn record_name(key: &[u8]) -> Option<String> {
    String::from_utf8(key.strip_prefix(&[RECORD])?.strip_suffix(&[0])?.to_vec()).ok()
}

/// First and end of the keys of all records.
pub(super) const RECORDS: ([u8; 1], [u8; 1]) = ([RECORD], [RECORD + 1]);

/// The key of a message: `lane 1 ‖ seq 8 ‖ sub 4`, big endian, so that keys sort as positions do.
pub(super) fn message_key(key: Key) -> Vec<u8> {
    let Position { seq, sub } = key.position;
    [&[tag(key.lane)], &seq.to_be_bytes()[..], &sub.to_be_bytes()[..]].concat()
}

/// The position of the message at `key`.
pub(super) fn message_position(key: &[u8]) -> Option<Position> {
    let (seq, sub) = key.get(1..)?.split_first_chunk()?;
    let sub = sub.try_into().ok()?;
    Some(Position { seq: u64::from_be_bytes(*seq), sub: u32::from_be_bytes(sub) })
}

/// The first key behind everything in `lane`.
pub(super) fn lane_end(lane: Lane) -> [u8; 1] {
    [tag(lane) + 1]
}

/// Written to disk: never to be given to another lane.
const fn tag(lane: Lane) -> u8 {
    match lane {
        Lane::Ticket => b'1',
        Lane::Event => b'2',
        Lane::State => b'3',
        Lane::Telemetry => b'4',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_message_comes_back(boot: u32, conn: u32, retain: bool, path in "[a-z/]{0,40}",
            payload in proptest::collection::vec(any::<u8>(), 0..100), ms in 0..9_000_000_000_000_i64,
            packed: bool, seq: u64, cut: proptest::sample::Index, flip: proptest::sample::Index)
        {
            let at = Utc::from_ms(ms);
            let content = if packed { Content::Packed(payload) } else { Content::Plain(payload) };
            let stored = Stored { boot: Boot(boot), conn, at, retain, path, content };
            let key = Key { lane: Lane::Event, position: Position { seq, sub: 0 } };
            let mut blob = stored.encode(key);
            prop_assert_eq!(Stored::find(&blob[1..]), Some((key, stored.clone())));
            prop_assert_eq!(Stored::decode(&blob), Some(stored));
            prop_assert_eq!(Stored::decode(&blob[..cut.index(blob.len())]), None);
            let at = flip.index(blob.len());
            blob[at] ^= 4;
            prop_assert_eq!(Stored::decode(&blob), None);
        }

        #[test]
        fn keys_sort_as_positions(a: (u64, u32), b: (u64, u32)) {
            let key = |(seq, sub)| Key { lane: Lane::Event, position: Position { seq, sub } };
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(message_key(a).cmp(&message_key(b)), a.position.cmp(&b.position));
            prop_assert_eq!(message_position(&message_key(a)), Some(a.position));
        }
    }
}
