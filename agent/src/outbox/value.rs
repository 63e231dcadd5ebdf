//! Values of any size over a store of small ones, each piece with a checksum of its own.
//!
//! A blob under key `k` is stored as pieces under `k ‖ 0`, `k ‖ 1`, … (16 bits, big endian). A piece is
//! `CRC-32 (key and rest) ‖ rest`; the rest of the first begins with the number of pieces. The checksum
//! covers the key, so a piece that turns up in the wrong place is as damaged as a flipped bit.

use super::store::{Batch, Store, StoreError, VALUE_MAX};

const CRC: usize = 4;
const COUNT: usize = 2;
/// Bytes of the blob in every piece but the first, which has [`COUNT`] fewer.
const PIECE: usize = VALUE_MAX - CRC;
/// Pieces looked for at a time when their number is not known.
const SWEEP: usize = 256;

/// What is stored under a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The whole blob, and in how many pieces it is stored.
    Blob(Vec<u8>, u16),
    /// Something, but not what was stored.
    Damaged,
}

/// Stores `blob`; returns the number of pieces. `before` is the number of pieces already there.
pub(super) fn put(batch: &mut Batch, key: &[u8], blob: &[u8], before: u16) -> u16 {
    let pieces = (blob.len() + COUNT).div_ceil(PIECE).max(1);
    let pieces = u16::try_from(pieces).expect("a message is far smaller than 400 MB");
    let mut rest = blob;
    for n in 0..pieces {
        let key = piece_key(key, n);
        let head: &[u8] = if n == 0 { &pieces.to_le_bytes() } else { &[] };
        let (now, later) = rest.split_at(rest.len().min(PIECE - head.len()));
        rest = later;
        let crc = checksum(&key, &[head, now]);
        batch.put(key, [&crc.to_le_bytes(), head, now].concat());
    }
    remove(batch, key, pieces..before.max(pieces));
    pieces
}

/// Removes the pieces numbered `pieces`.
pub(super) fn remove(batch: &mut Batch, key: &[u8], pieces: std::ops::Range<u16>) {
    for n in pieces {
        batch.remove(piece_key(key, n));
    }
}

/// Removes whatever is there under `key`, for when the number of pieces cannot be read.
pub(super) fn sweep(store: &dyn Store, batch: &mut Batch, key: &[u8]) -> Result<(), StoreError> {
    let mut from = piece_key(key, 0);
    loop {
        let found = store.scan(&from, &behind(key), SWEEP)?;
        let more = found.len() == SWEEP;
        for (found, _) in found {
            from = [&found[..], &[0]].concat();
            if found.len() == key.len() + 2 {
                batch.remove(found);
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// Reads the blob under `key`.
pub(super) fn get(store: &dyn Store, key: &[u8]) -> Result<Option<Found>, StoreError> {
    match store.get(&piece_key(key, 0))? {
        Some(first) => complete(store, key, &first).map(Some),
        None => Ok(None),
    }
}

/// Reads the rest of the blob under `key`, whose first piece is `first`.
fn complete(store: &dyn Store, key: &[u8], first: &[u8]) -> Result<Found, StoreError> {
    let Some((count, start)) =
        check(&piece_key(key, 0), first).and_then(|rest| rest.split_first_chunk::<COUNT>())
    else {
        return Ok(Found::Damaged);
    };
    let pieces = u16::from_le_bytes(*count);
    let mut blob = start.to_vec();
    for n in 1..pieces {
        let key = piece_key(key, n);
        let piece = store.get(&key)?;
        match piece.as_deref().and_then(|piece| check(&key, piece)) {
            Some(rest) => blob.extend_from_slice(rest),
            None => return Ok(Found::Damaged),
        }
    }
    Ok(Found::Blob(blob, pieces))
}

/// Up to `limit` blobs with `from <= key < to`, in the order of their keys.
pub(super) fn scan(
    store: &dyn Store,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, Found)>, StoreError> {
    let mut blobs: Vec<(Vec<u8>, Found)> = Vec::with_capacity(limit);
    let mut from = from.to_vec();
    while blobs.len() < limit {
        let page = store.scan(&from, to, limit - blobs.len())?;
        let Some((last, _)) = page.last() else { break };
        from = [last, &[0][..]].concat();
        for (key, first) in page {
            let Some((key, n)) = split(&key) else { continue };
            let known = blobs.last().is_some_and(|(last, _)| last == key);
            if n == 0 {
                let found = complete(store, key, &first)?;
                blobs.push((key.to_vec(), found));
            } else if !known {
                // A piece without a beginning: said once, where it stands.
                blobs.push((key.to_vec(), Found::Damaged));
            }
        }
    }
    Ok(blobs)
}

/// The key of a blob and the number of the piece at `key`.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u16)> {
    let (key, n) = key.split_last_chunk::<2>()?;
    Some((key, u16::from_be_bytes(*n)))
}

fn piece_key(key: &[u8], n: u16) -> Vec<u8> {
    [key, &n.to_be_bytes()].concat()
}

/// The first key after every piece of `key`.
pub(super) fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0xff, 0xff, 0]].concat()
}

fn checksum(key: &[u8], parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    for part in parts {
        crc.update(part);
    }
    crc.finalize()
}

fn check<'v>(key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (crc, rest) = value.split_first_chunk::<CRC>()?;
    (checksum(key, &[rest]) == u32::from_le_bytes(*crc)).then_some(rest)
}

/// One piece as the store holds it, for tests that damage it.
#[cfg(test)]
pub(super) fn raw(store: &dyn Store, key: &[u8], n: u16) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = piece_key(key, n);
    let value = store.get(&key).unwrap()?;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::memory::MemoryStore;

    fn store_with(key: &[u8], blob: &[u8]) -> (MemoryStore, u16) {
        let mut store = MemoryStore::default();
        let mut batch = Batch::default();
        let pieces = put(&mut batch, key, blob, 0);
        store.commit(batch).unwrap();
        (store, pieces)
    }

    #[test]
    fn blobs_of_every_size_come_back() {
        for size in [0, 1, PIECE - COUNT, PIECE - COUNT + 1, PIECE, 2 * PIECE - COUNT, 100_000] {
            let blob: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let (store, pieces) = store_with(b"k", &blob);
            assert_eq!(get(&store, b"k").unwrap(), Some(Found::Blob(blob, pieces)), "{size}");
        }
    }

    #[test]
    fn a_shorter_blob_leaves_nothing_of_the_longer_one() {
        let (mut store, pieces) = store_with(b"k", &[7; 30_000]);
        let mut batch = Batch::default();
        assert_eq!(put(&mut batch, b"k", b"short", pieces), 1);
        store.commit(batch).unwrap();
        assert_eq!(store.scan(b"", b"\xff", 100).unwrap().len(), 1);
        assert_eq!(get(&store, b"k").unwrap(), Some(Found::Blob(b"short".to_vec(), 1)));
    }

    #[test]
    fn every_flipped_bit_and_every_lost_or_moved_piece_is_noticed() {
        let blob = vec![3; PIECE + 40];
        for n in 0..2 {
            let (store, _) = store_with(b"k", &blob);
            let (key, value) = raw(&store, b"k", n).unwrap();
            for at in [0, 3, 4, 5, value.len() - 1] {
                let (mut store, _) = store_with(b"k", &blob);
                let mut flipped = value.clone();
                flipped[at] ^= 1;
                let mut batch = Batch::default();
                batch.put(key.clone(), flipped);
                store.commit(batch).unwrap();
                assert_eq!(get(&store, b"k").unwrap(), Some(Found::Damaged), "{n} {at}");
            }
        }
        let (mut store, _) = store_with(b"k", &blob);
        let mut batch = Batch::default();
        remove(&mut batch, b"k", 1..2);
        let (_, first) = raw(&store, b"k", 0).unwrap();
        batch.put(piece_key(b"other", 0), first);
        store.commit(batch).unwrap();
        assert_eq!(get(&store, b"k").unwrap(), Some(Found::Damaged));
        assert_eq!(get(&store, b"other").unwrap(), Some(Found::Damaged));
    }

    #[test]
    fn a_scan_gives_whole_blobs_in_order_and_headless_pieces_once() {
        let mut store = MemoryStore::default();
        let mut batch = Batch::default();
        for (key, size) in [(b"ka", 10), (b"kb", 40_000), (b"kc", 40_000), (b"kd", 5)] {
            put(&mut batch, key, &vec![1; size], 0);
        }
        remove(&mut batch, b"kb", 0..1);
        store.commit(batch).unwrap();
        let found = scan(&store, b"k", b"l", 100).unwrap();
        let keys: Vec<&[u8]> = found.iter().map(|(key, _)| &key[..]).collect();
        assert_eq!(keys, [b"ka", b"kb", b"kc", b"kd"]);
        assert_eq!(found[1].1, Found::Damaged);
        assert!(matches!(&found[2].1, Found::Blob(blob, 7) if blob.len() == 40_000));
        assert_eq!(scan(&store, b"k", b"l", 2).unwrap().len(), 2);
        let mut batch = Batch::default();
        sweep(&store, &mut batch, b"kb").unwrap();
        store.commit(batch).unwrap();
        assert_eq!(scan(&store, b"k", b"l", 100).unwrap().len(), 3);
    }
}
