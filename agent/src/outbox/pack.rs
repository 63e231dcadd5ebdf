//! Blocks are stored compressed (Zstandard, RFC 8878): ten to twenty bytes a reading in place of a hundred.
//!
//! The last byte of the payload, its closing brace, stays outside. So the mark that tells backlog can be
//! added, and the object be closed, by a second frame: frames behind each other are one content (§3.1).

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::mqtt::payload::mark_replay;

/// More costs time and gains little: the readings of a block resemble each other.
const LEVEL: i32 = 1;
/// Shorter payloads gain nothing.
const SHORT: usize = 128;
/// The largest payload that is compressed, and the most that anything is expanded to.
const PAYLOAD_MAX: usize = 64 * 1024;

/// Compresses and expands. Its working memory is kept from one block to the next.
pub(super) struct Packer {
    compressor: RefCell<Compressor<'static>>,
    expander: RefCell<Decompressor<'static>>,
}

impl Default for Packer {
    fn default() -> Packer {
        let compressor = Compressor::new(LEVEL).expect("memory for a compressor");
        let expander = Decompressor::new().expect("memory for an expander");
        Packer { compressor: RefCell::new(compressor), expander: RefCell::new(expander) }
    }
}

impl Packer {
    /// The payload without its closing brace, compressed; `None` when that gains nothing.
    pub(super) fn pack(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let open = payload.strip_suffix(b"}")?;
        if !(SHORT..=PAYLOAD_MAX).contains(&payload.len()) {
            return None;
        }
        let packed = self.compressor.borrow_mut().compress(open).ok()?;
        (packed.len() < open.len()).then_some(packed)
    }

    /// What [`Packer::pack`] was given; `None` when `packed` is something else.
    pub(super) fn unpack(&self, packed: &[u8]) -> Option<Vec<u8>> {
        let capacity = Decompressor::upper_bound(packed).unwrap_or(PAYLOAD_MAX);
        let capacity = capacity.min(PAYLOAD_MAX);
        let mut payload = self.expander.borrow_mut().decompress(packed, capacity).ok()?;
        payload.push(b'}');
        Some(payload)
    }
}

/// `packed` as it travels: with its closing brace, and marked when it is backlog.
pub(super) fn complete(packed: &[u8], replay: bool) -> Vec<u8> {
    let end = if replay { mark_replay(b"}") } else { b"}".to_vec() };
    [packed, &raw_frame(&end)].concat()
}

/// A frame that holds `content` as it is: magic, a header that gives the size in one byte (single segment,
/// no checksum), and one last raw block (RFC 8878 §3.1.1).
fn raw_frame(content: &[u8]) -> Vec<u8> {
    let size = u8::try_from(content.len()).expect("a mark is a few bytes");
    let block = u32::from(size) << 3 | 1;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, size];
    frame.extend_from_slice(&block.to_le_bytes()[..3]);
    frame.extend_from_slice(content);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(readings: usize) -> Vec<u8> {
        let points: Vec<_> = (0..readings)
            .map(|n| format!(r#"{{"at":"2026-06-04T04:{:02}:03.120Z","level_pct":{}}}"#, n % 60, n))
            .collect();
        format!(r#"{{"v":1,"points":[{}]}}"#, points.join(",")).into_bytes()
    }

    #[test]
    fn a_payload_comes_back_and_is_smaller() {
        let packer = Packer::default();
        let payload = payload(300);
        let packed = packer.pack(&payload).unwrap();
        assert!(packed.len() * 5 < payload.len(), "{} of {}", packed.len(), payload.len());
        assert_eq!(packer.unpack(&packed).unwrap(), payload);
        assert_eq!(packer.pack(b"{}"), None, "too short");
        assert_eq!(packer.pack(&vec![b'x'; 1000]), None, "not an object");
    }

    #[test]
    fn as_it_travels_any_decoder_reads_the_payload_with_its_mark() {
        let packer = Packer::default();
        let payload = payload(20);
        let packed = packer.pack(&payload).unwrap();
        let read = |bytes: &[u8]| zstd::stream::decode_all(bytes).unwrap();
        assert_eq!(read(&complete(&packed, false)), payload);
        assert_eq!(read(&complete(&packed, true)), mark_replay(&payload));
    }

    proptest! {
        #[test]
        fn nothing_is_expanded_beyond_its_bound_and_garbage_is_refused(garbage: Vec<u8>) {
            let packer = Packer::default();
            if let Some(payload) = packer.unpack(&garbage) {
                prop_assert!(payload.len() <= PAYLOAD_MAX + 1);
            }
        }
    }
}
