//! What a board tells its node, and what a node tells its board.

use drivers::{Field, Range};
use heapless::Vec;
use wire::{Frame, Heard, Temperature};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// [`crate::Node::next_ms`] has come, or the board woke up for another reason.
    Wake,
    /// A sensor was read: the answer to [`Action::Measure`].
    Read(Reading),
    /// The line said something.
    Heard(Heard),
    /// The answer to [`Action::Store`]: whether the record is safe.
    Stored(bool),
    /// The answer to [`Action::Keep`]: whether the slot holds what it should.
    Kept(bool),
}

/// What a board can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// The magnetometer.
    Field,
    /// The range finder, one echo.
    Range,
    /// The thermometer.
    Temperature,
    /// Tilt and lid.
    Switches,
    /// The battery.
    Battery,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The field; `None` when the magnetometer failed.
    Field(Option<Field>),
    /// One echo; `None` when the range finder failed.
    Range(Option<Range>),
    /// The temperature. A board without a thermometer says so, and is not asked again.
    Temperature(Temperature),
    /// The switches, `None` where there is none. May also come when one of them moves.
    Switches {
        /// Whether the bin lies over.
        tilted: Option<bool>,
        /// Whether the lid is open.
        lid_open: Option<bool>,
    },
    /// Millivolts under load; `None` when they could not be measured.
    Battery(Option<u16>),
}

/// Something for the board to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read a sensor and hand in [`Event::Read`], with or without success.
    Measure(Sense),
    /// Write [`crate::Node::record`] and hand in [`Event::Stored`]. Before anything that follows is done: the
    /// counters in it may be used afterwards.
    Store,
    /// Write [`crate::Node::kept`] into this slot and hand in [`Event::Kept`]. Before anything that follows is
    /// done: a report must not be sent that a power cut could still take back.
    Keep {
        /// 0 to [`crate::SLOTS`] - 1.
        slot: u8,
    },
    /// Send a frame, with a delimiter in front when the line was silent.
    Send(Frame),
    /// Show the node for so many seconds; 0 ends it.
    Identify {
        /// Seconds.
        seconds: u16,
    },
    /// Set the board's clock, if it has one.
    SetClock {
        /// Seconds since 1970-01-01T00:00:00Z.
        unix_s: u64,
    },
}

/// The most actions of one step: a light, a clock or a slot; four senses; the record; a slot and three frames.
pub const ACTIONS_MAX: usize = 10;

/// Actions, to be carried out in this order.
pub type Actions = Vec<Action, ACTIONS_MAX>;
