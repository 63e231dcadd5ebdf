//! Frames that nobody but the node and its agent can make: HMAC-SHA-256 (RFC 2104) over header and body,
//! cut to 128 bits, with a key that one node and its agent share.
//!
//! Responsible for the tag. Whether a frame that was said before is believed again is the receiver's
//! business: reports and commands are numbered for it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::deframer::Heard;
use crate::frame::{Frame, Header, RAW_MAX};

/// The length of a key in bytes.
pub const KEY_LEN: usize = 32;

/// The length of the tag in bytes.
pub const TAG_LEN: usize = 16;

/// In front of what is authenticated, so that a tag made for another use of the same key fits to nothing here.
const USE: &[u8] = b"steward wire 2";

/// What one node and its agent share. Nobody sees it in a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// A key from its bytes, which are to be random.
    #[must_use]
    pub const fn new(bytes: [u8; KEY_LEN]) -> Key {
        Key(bytes)
    }

    /// A key from 64 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Key> {
        let digits: &[u8; 2 * KEY_LEN] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; KEY_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some(Key(bytes))
    }

    fn mac(&self, checked: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(USE);
        mac.update(checked);
        mac
    }

    pub(crate) fn tag(&self, checked: &[u8]) -> [u8; TAG_LEN] {
        let full = self.mac(checked).finalize().into_bytes();
        *full.first_chunk().expect("the tag is a part of 32 bytes")
    }

    fn fits(&self, checked: &[u8], tag: &[u8; TAG_LEN]) -> bool {
        // In constant time: how long it takes tells nothing of the right tag.
        self.mac(checked).verify_truncated_left(tag).is_ok()
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A frame with a tag: whole by its CRC, and not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Header, body and tag.
    raw: [u8; RAW_MAX],
    len: usize,
}

/// The tag is not the one that the key makes: another key, or a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongTag;

impl core::fmt::Display for WrongTag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the tag does not fit the key")
    }
}

impl core::error::Error for WrongTag {}

impl Sealed {
    /// From header, body and tag, the CRC taken off; `None` when they are too short.
    pub(crate) fn new(checked: &[u8]) -> Option<Sealed> {
        let mut raw = [0; RAW_MAX];
        raw.get_mut(..checked.len())?.copy_from_slice(checked);
        let sealed = Sealed { raw, len: checked.len() };
        sealed.parts()?;
        Some(sealed)
    }

    /// Who claims to speak, or who is spoken to. Not to be believed before [`Sealed::open`].
    #[must_use]
    pub fn node(&self) -> u32 {
        self.parts().map_or(crate::BROADCAST, |(checked, _)| Header::node(checked))
    }

    /// What it says, if the tag fits.
    ///
    /// # Errors
    /// The tag does not fit.
    pub fn open(&self, key: &Key) -> Result<Heard, WrongTag> {
        let (checked, tag) = self.parts().ok_or(WrongTag)?;
        if !key.fits(checked, tag) {
            return Err(WrongTag);
        }
        Ok(Frame::read(checked))
    }

    fn parts(&self) -> Option<(&[u8], &[u8; TAG_LEN])> {
        let raw = self.raw.get(..self.len)?;
        raw.split_last_chunk().filter(|(checked, _)| checked.len() >= Header::LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_key_is_read_from_hexadecimal_and_never_shown() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let key = Key::from_hex(text).unwrap();
        assert_eq!(key, Key::new(core::array::from_fn(|i| i as u8)));
        assert_eq!(format!("{key:?}"), "Key(..)");
        for wrong in [&text[1..], &text.replace('1', "g"), "", &text.replace("00", "é")] {
            assert_eq!(Key::from_hex(wrong), None, "{wrong}");
        }
    }

    /// RFC 4231, test case 2, shows that the crate is what it says; the tag adds [`USE`].
    #[test]
    fn the_mac_is_the_one_of_the_rfc() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let full = mac.finalize().into_bytes();
        assert_eq!(full[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }
}
