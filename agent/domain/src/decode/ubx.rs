//! The binary protocol of u-blox receivers: messages cut out of a stream, and the navigation solutions
//! among them.
//!
//! Responsible for the frame (two sync bytes, class and number, length, checksum) and for what the
//! messages of class NAV say about where the receiver is. `framing` knows bytes and no message,
//! `solution` knows messages and no stream. Never uses a message whose checksum is wrong, never gives
//! a position that the receiver does not call valid. Which of two protocols on one line is believed
//! is the business of [`gnss`](super::gnss).
//!
//! Source: u-blox M8 receiver description, UBX-13003221, chapter 32; F9 interface description,
//! UBX-22008968; for the messages of older receivers ANTARIS protocol specification, GPS.G3-X-03002.

mod framing;
mod solution;

#[cfg(test)]
pub(super) use framing::frame;
pub(super) use framing::{Piece, Splitter};
pub(super) use solution::Solutions;
