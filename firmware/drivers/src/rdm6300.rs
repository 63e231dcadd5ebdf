//! RDM6300 and its kin: a reader of 125 kHz cards (EM4100) that talks by itself.
//!
//! While a card is near it sends, at 9600 baud, 8N1: `02`, ten hexadecimal digits (version and number of
//! the card), two of their sum (exclusive or of the five bytes), `03`.

/// Begins a frame.
const START: u8 = 0x02;
/// Ends it.
const END: u8 = 0x03;
/// Digits between the two.
const DIGITS: usize = 12;

/// The five bytes of a card: its maker's version, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card(pub [u8; 5]);

/// Finds cards in the bytes of the reader. After any disturbance it is back in step with the next frame.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    digits: [u8; DIGITS],
    /// Digits so far; `None` outside a frame.
    len: Option<usize>,
    damaged: u32,
}

impl Parser {
    /// Knows nothing yet.
    #[must_use]
    pub const fn new() -> Parser {
        Parser { digits: [0; DIGITS], len: None, damaged: 0 }
    }

    /// Takes one byte; answers when it completes a card.
    pub fn push(&mut self, byte: u8) -> Option<Card> {
        match (byte, self.len) {
            (START, before) => {
                if before.is_some() {
                    self.damaged = self.damaged.saturating_add(1);
                }
                self.len = Some(0);
            }
            (_, None) => {}
            (END, Some(DIGITS)) => {
                self.len = None;
                let card = read(&self.digits);
                if card.is_none() {
                    self.damaged = self.damaged.saturating_add(1);
                }
                return card;
            }
            (digit, Some(len)) if len < DIGITS && digit.is_ascii_hexdigit() => {
                self.digits[len] = digit;
                self.len = Some(len + 1);
            }
            (_, Some(_)) => {
                self.len = None;
                self.damaged = self.damaged.saturating_add(1);
            }
        }
        None
    }

    /// Frames that were begun and could not be read.
    #[must_use]
    pub const fn damaged(&self) -> u32 {
        self.damaged
    }
}

fn read(digits: &[u8; DIGITS]) -> Option<Card> {
    let mut bytes = [0; DIGITS / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    let [a, b, c, d, e, sum] = bytes;
    (a ^ b ^ c ^ d ^ e == sum).then_some(Card([a, b, c, d, e]))
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    // 62 E3 08 6C ED: the card of the reader's manual, sum 08.
    const FRAME: &[u8] = b"\x0262E3086CED08\x03";
    const CARD: Card = Card([0x62, 0xE3, 0x08, 0x6C, 0xED]);

    fn push(parser: &mut Parser, bytes: &[u8]) -> usize {
        bytes
            .iter()
            .filter_map(|byte| parser.push(*byte))
            .inspect(|card| assert_eq!(*card, CARD))
            .count()
    }

    #[test]
    fn a_card_is_read_wherever_the_stream_is_entered() {
        for from in 0..FRAME.len() {
            let mut parser = Parser::new();
            push(&mut parser, &FRAME[from..]);
            assert_eq!(push(&mut parser, FRAME), 1, "{from}");
            assert_eq!(parser.damaged(), 0, "{from}");
        }
    }

    #[test]
    fn no_damage_passes() {
        for at in 1..13 {
            for byte in 0..=255 {
                if byte == FRAME[at] || byte.eq_ignore_ascii_case(&FRAME[at]) {
                    continue;
                }
                let mut damaged = [0; 14];
                damaged.copy_from_slice(FRAME);
                damaged[at] = byte;
                let mut parser = Parser::new();
                assert_eq!(push(&mut parser, &damaged), 0, "{at} {byte}");
                assert_eq!(push(&mut parser, FRAME), 1);
                assert!(parser.damaged() >= 1, "{at} {byte}");
            }
        }
        let mut parser = Parser::new();
        assert_eq!(push(&mut parser, &FRAME[..9]) + push(&mut parser, FRAME), 1);
        assert_eq!(parser.damaged(), 1);
        assert_eq!(push(&mut parser, b"\x0262E3086CED0801\x03"), 0);
        assert_eq!(parser.damaged(), 2);
    }
}
