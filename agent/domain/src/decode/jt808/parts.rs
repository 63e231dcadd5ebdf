//! Messages that come in parts, put together again.
//!
//! The parts of a message carry serial numbers one after the other, so serial number minus index is the
//! same for all of them. A terminal that was not answered sends parts again, in any order.

use std::collections::VecDeque;

use super::header::{Header, Part, Terminal};

/// How many messages may be under way. When another begins the oldest is given up and counted.
pub(super) const UNDER_WAY_MAX: usize = 4;

/// How many parts a message may have: 64 full ones hold more than two thousand positions. A message
/// that announces more is refused.
pub(super) const PARTS_MAX: u16 = 64;

/// The messages that are under way, at most 4 · 64 parts of at most 1023 bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    under_way: VecDeque<Message>,
}

#[derive(Debug, Clone)]
struct Message {
    key: Key,
    parts: Vec<Option<Vec<u8>>>,
}

/// What all parts of a message have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    terminal: Terminal,
    message: u16,
    before_first: u16,
    total: u16,
}

/// What came of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Others are missing.
    Waiting,
    /// It was the last one that was missing: the whole body.
    Whole(Vec<u8>),
    /// It announces more parts than are taken.
    TooMany,
}

impl Parts {
    /// Takes a part. Also answers how many messages were given up for it.
    pub(super) fn add(&mut self, header: &Header, part: Part, body: &[u8]) -> (Joined, u64) {
        if part.total > PARTS_MAX {
            return (Joined::TooMany, 0);
        }
        let key = Key {
            terminal: header.terminal,
            message: header.message,
            before_first: header.serial.wrapping_sub(part.index),
            total: part.total,
        };
        let (place, given_up) = self.place(key);
        let message = &mut self.under_way[place];
        message.parts[usize::from(part.index) - 1] = Some(body.to_vec());
        if message.parts.iter().any(Option::is_none) {
            return (Joined::Waiting, given_up);
        }
        let whole = self.under_way.remove(place).expect("the place was found above");
        (Joined::Whole(whole.parts.into_iter().flatten().flatten().collect()), given_up)
    }

    /// Forgets everything; answers how many messages were not whole.
    pub(super) fn give_up(&mut self) -> u64 {
        let count = self.under_way.len() as u64;
        self.under_way.clear();
        count
    }

    fn place(&mut self, key: Key) -> (usize, u64) {
        if let Some(place) = self.under_way.iter().position(|message| message.key == key) {
            return (place, 0);
        }
        let mut given_up = 0;
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
            given_up = 1;
        }
        self.under_way.push_back(Message { key, parts: vec![None; key.total.into()] });
        (self.under_way.len() - 1, given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::jt808::header::parse;

    fn header(serial: u16) -> Header {
        let [high, low] = serial.to_be_bytes();
        let inside = [7, 4, 0, 0, 1, 0x39, 0x12, 0x34, 0x56, 0x78, high, low];
        parse(&inside).unwrap().0
    }

    /// Adds part `index` of three, whose first has the serial number `first`.
    fn add(parts: &mut Parts, first: u16, index: u16) -> (Joined, u64) {
        let serial = first.wrapping_add(index - 1);
        let body = [index.to_be_bytes()[1]; 2];
        parts.add(&header(serial), Part { total: 3, index }, &body)
    }

    #[test]
    fn parts_in_any_order_and_sent_twice_make_one_message() {
        for first in [7, 65_535] {
            let mut parts = Parts::default();
            for index in [3, 1, 1, 3] {
                assert_eq!(add(&mut parts, first, index), (Joined::Waiting, 0));
            }
            let whole = Joined::Whole(vec![1, 1, 2, 2, 3, 3]);
            assert_eq!(add(&mut parts, first, 2), (whole, 0));
            assert_eq!(parts.give_up(), 0);
        }
        let single = Parts::default().add(&header(1), Part { total: 1, index: 1 }, &[5]);
        assert_eq!(single, (Joined::Whole(vec![5]), 0));
    }

    #[test]
    fn messages_are_kept_apart_and_bounded() {
        let mut parts = Parts::default();
        for message in 0..4 {
            assert_eq!(add(&mut parts, message * 10, 1), (Joined::Waiting, 0));
        }
        assert_eq!(add(&mut parts, 90, 1), (Joined::Waiting, 1), "the oldest is given up");
        assert_eq!(add(&mut parts, 10, 2), (Joined::Waiting, 0), "the second stands");
        assert_eq!(parts.give_up(), 4);
        let many = Part { total: PARTS_MAX + 1, index: 1 };
        assert_eq!(parts.add(&header(1), many, &[]), (Joined::TooMany, 0));
    }
}
