//! The link between a battery node and the agent, over a UART, RS-485 or a radio that carries bytes.
//!
//! Responsible for turning a [`Frame`] into bytes and bytes into what was [`Heard`]. It knows nothing of
//! when a node reports, what a reading means, or how bytes travel, and it must never use `std` or
//! allocate: the same code runs on the microcontroller and in the agent.
//!
//! # Format
//!
//! ```text
//! COBS( version u8 | node u32 | counter u32 | uptime u32 | kind u8 | body … | [tag 16 bytes] | CRC-32C u32 ) 0x00
//! ```
//!
//! * Numbers of the header and the CRC are little endian. The body is postcard
//!   (<https://postcard.jamesmunns.com/wire-format>): variable-length integers, one byte per variant.
//! * COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) keeps 0x00 out of the frame, so
//!   that after any disturbance a receiver is back in step at the next 0x00.
//! * The CRC is CRC-32C (CRC-32/ISCSI), over everything before it. Of what stands inside the stuffing, up to
//!   655 bytes, and none comes near that, it finds every error of up to five bits (Koopman, "32-bit cyclic
//!   redundancy codes for Internet applications", 2002). It is checked before anything is decoded. A flipped
//!   bit on the line may also hit the stuffing; the tests try every one.
//! * Frames of version 2 carry a tag that only the node and its agent can make ([`Key`]). The CRC is checked
//!   first all the same: damage and forgery are different news.
//! * A sender that was silent puts one more 0x00 in front: what the line picked up while nobody drove it
//!   is then a frame of its own, and not the beginning of this one.
//!
//! # What may change
//!
//! * The COBS framing, the CRC and the place of the version byte: never.
//! * The fields of a kind: never. A body must fill its frame exactly, so a new field is a new kind.
//! * New kinds: at any time. A receiver that does not know one says so ([`Heard::Unknown`]).
//! * The rest of the header: with a new version.
//!
//! # History
//!
//! | version | kinds added | |
//! |---|---|---|
//! | 1 | 01 hello, 02 answer, 10 bay, 11 bin, 12 battery; 80 ack, 81 settings, 82 recalibrate, 83 identify, 84 time | the first |
//! | 2 | the same | with a tag |
//! | 1 and 2 | 13 charge; 85 new battery | an agent that does not know 13 never acknowledges it: agents before nodes |

#![no_std]

#[cfg(test)]
extern crate std;

mod body;
mod settings;

mod auth;
mod frame;

mod deframer;

pub use auth::{KEY_LEN, Key, Sealed, TAG_LEN, WrongTag};
pub use body::{
    Ack, Answer, Battery, Bay, BayState, Bin, Charge, Distance, Down, Firmware, Hello, Identify,
    Measured, NodeKind, Outcome, Report, Temperature, Time, Up,
};
pub use deframer::{Deframer, Fault, Heard};
pub use frame::{
    BROADCAST, Body, BufferTooSmall, CRC, DELIMITER, FRAME_MAX, Frame, Header, VERSION,
    VERSION_SEALED,
};
pub use settings::{BaySettings, BinSettings, Settings, SettingsFault};
