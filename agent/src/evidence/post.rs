//! Pictures of findings on their way to somebody who has asked for one: in parts, over the broker of
//! `[mqtt]`, after everything that is more urgent.
//!
//! Whether somebody may ask is decided in the core, when parts may go by the link
//! ([`crate::mqtt`]). What is kept is redacted, so what is sent is. Parts are in memory only: those that
//! are on their way when the link breaks, or the box stops, are gone, and whoever lacks them asks again.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::Album;

/// Bytes of a picture in one message: little enough for every broker, and for a ticket that comes behind
/// it on a slow link.
pub const PART_BYTES: usize = 8 * 1024;
/// Parts that may wait for the link: those of one picture. Full: another picture is refused, and whoever
/// asked is told so.
const PARTS_MAX: usize = 16;
/// Between two pictures at least.
pub const PAUSE: Duration = Duration::from_secs(10);

/// A part of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its topic below the box's prefix: `evidence/<sha256>/<number>/<of>`, from 1 on.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Takes pictures from the album and hands their parts to the link.
#[derive(Debug)]
pub struct Post {
    album: Album,
    parts: mpsc::Sender<Part>,
}

impl Post {
    /// Between an album and a link, which takes the parts.
    #[must_use]
    pub fn new(album: Album) -> (Post, mpsc::Receiver<Part>) {
        let (parts, waiting) = mpsc::channel(PARTS_MAX);
        (Post { album, parts }, waiting)
    }

    /// Hands over the picture with this hash; answers what is coming.
    ///
    /// # Errors
    /// Why it is not sent, in words.
    pub fn send(&self, sha256: &str) -> Result<Map<String, Value>, String> {
        let gone = "no such picture is kept: it never was, or has made room for newer ones";
        let jpeg = self.album.find(sha256).ok_or(gone)?;
        let found: String = Sha256::digest(&jpeg).iter().map(|b| format!("{b:02x}")).collect();
        if found != sha256 {
            return Err("the file of this picture is damaged; look at the card".to_owned());
        }
        if self.parts.capacity() < self.parts.max_capacity() {
            return Err("another picture is on its way; ask again when it has come".to_owned());
        }
        let pieces = jpeg.chunks(PART_BYTES);
        let of = pieces.len();
        if of > PARTS_MAX {
            return Err(format!("it has {} bytes, more than are sent", jpeg.len()));
        }
        for (n, bytes) in pieces.enumerate() {
            let path = format!("evidence/{sha256}/{}/{of}", n + 1);
            // There is room for all of them; without a link there is nobody to send it.
            self.parts
                .try_send(Part { path, bytes: bytes.to_vec() })
                .map_err(|_| "this box has no link to send it over".to_owned())?;
        }
        let told = json!({"sha256": sha256, "bytes": jpeg.len(), "parts": of});
        Ok(told.as_object().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_goes_in_parts_that_are_the_picture_again_and_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let album = Album::of(dir.path());
        let jpeg: Vec<u8> = (0..PART_BYTES * 2 + 5).map(|n| n as u8).collect();
        let hash = album.keep(&jpeg).unwrap();
        let (post, mut waiting) = Post::new(album);
        let told = post.send(&hash).unwrap();
        assert_eq!((&told["bytes"], &told["parts"]), (&json!(jpeg.len()), &json!(3)));
        let mut come = vec![waiting.try_recv().unwrap()];
        assert!(post.send(&hash).unwrap_err().contains("another picture is on its way"));
        while let Ok(part) = waiting.try_recv() {
            come.push(part);
        }
        let paths: Vec<_> = come.iter().map(|part| part.path.clone()).collect();
        assert_eq!(paths, [1, 2, 3].map(|n| format!("evidence/{hash}/{n}/3")));
        assert!(come.iter().all(|part| part.bytes.len() <= PART_BYTES));
        let whole: Vec<u8> = come.into_iter().flat_map(|part| part.bytes).collect();
        assert_eq!(whole, jpeg);
        assert!(post.send(&hash).is_ok(), "the first one has gone");
    }

    #[test]
    fn what_is_not_there_too_large_or_damaged_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let album = Album::of(dir.path());
        let large = album.keep(&vec![7; PART_BYTES * PARTS_MAX + 1]).unwrap();
        let damaged = album.keep(b"a picture").unwrap();
        let file = dir.path().join(format!("evidence/{damaged}.jpg"));
        std::fs::write(file, b"a pictuRe").unwrap();
        let (post, waiting) = Post::new(album);
        let cases = [
            ("0".repeat(64), "no such picture is kept"),
            ("../secret".to_owned(), "no such picture is kept"),
            (large, "more than are sent"),
            (damaged, "is damaged"),
        ];
        for (hash, said) in cases {
            assert!(post.send(&hash).unwrap_err().contains(said), "{hash}");
        }
        drop(waiting);
        let hash = post.album.keep(b"another").unwrap();
        assert!(post.send(&hash).unwrap_err().contains("no link"));
    }
}
