//! What the platform answers, in the layout of the terminal that is answered.
//!
//! Each gives the bytes for the connection. `serial` is the platform's own count of frames on it.

use super::header::Terminal;
use crate::time::Utc;

const GENERAL: u16 = 0x8001;
const SERVER_TIME: u16 = 0x8004;
const REGISTERED: u16 = 0x8100;

/// What became of a message of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is safe here; the terminal may forget it.
    Done,
    /// It could not be stored; the terminal sends it again.
    Failed,
    /// It could not be read.
    NotUnderstood,
    /// Nobody here reads such messages.
    NotSupported,
}

/// Why a terminal is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The vehicle has a terminal already.
    VehicleTaken,
    /// Nobody here knows the vehicle.
    VehicleUnknown,
    /// The terminal is in another vehicle already.
    TerminalTaken,
    /// Nobody here knows the terminal.
    TerminalUnknown,
}

/// The longest code that a terminal can be given: the rest of a body.
pub const CODE_MAX: usize = 255;

impl Terminal {
    /// The general response (0x8001) to frame `to_serial`, which was `to_message`. For what has to be
    /// stored, only after the commit.
    #[must_use]
    pub fn general_response(
        &self,
        serial: u16,
        to_message: u16,
        to_serial: u16,
        outcome: Outcome,
    ) -> Vec<u8> {
        let result = match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::NotUnderstood => 2,
            Outcome::NotSupported => 3,
        };
        let body = [&to_serial.to_be_bytes()[..], &to_message.to_be_bytes(), &[result]].concat();
        self.frame(GENERAL, serial, &body)
    }

    /// The terminal is registered (0x8100), and authenticates itself with `code` from now on. `None`
    /// when the code is empty or longer than [`CODE_MAX`].
    #[must_use]
    pub fn registered(&self, serial: u16, to_serial: u16, code: &[u8]) -> Option<Vec<u8>> {
        let fits = (1..=CODE_MAX).contains(&code.len());
        let body = [&to_serial.to_be_bytes()[..], &[0], code].concat();
        fits.then(|| self.frame(REGISTERED, serial, &body))
    }

    /// The terminal is not registered (0x8100).
    #[must_use]
    pub fn not_registered(&self, serial: u16, to_serial: u16, why: Refusal) -> Vec<u8> {
        let result = match why {
            Refusal::VehicleTaken => 1,
            Refusal::VehicleUnknown => 2,
            Refusal::TerminalTaken => 3,
            Refusal::TerminalUnknown => 4,
        };
        let body = [&to_serial.to_be_bytes()[..], &[result]].concat();
        self.frame(REGISTERED, serial, &body)
    }

    /// The time here (0x8004), which is asked for and answered in UTC; since 2019. `None` outside the
    /// years 2000 to 2099, which two digits cannot say.
    #[must_use]
    pub fn server_time(&self, serial: u16, now: Utc) -> Option<Vec<u8>> {
        // 2026-06-04T04:00:00.000Z
        let text = now.to_string();
        let digits: Vec<u8> =
            text.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let body: Vec<u8> =
            digits.get(2..14)?.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        text.starts_with("20").then(|| self.frame(SERVER_TIME, serial, &body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::jt808::header::parse;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_2013(phone: [u8; 6]) -> Terminal {
        let inside = [&[0, 2, 0, 0][..], &phone, &[0, 1]].concat();
        parse(&inside).unwrap().0.terminal
    }

    fn of_2019(phone: [u8; 10]) -> Terminal {
        let inside = [&[0, 2, 0x40, 0, 1][..], &phone, &[0, 1]].concat();
        parse(&inside).unwrap().0.terminal
    }

    // The expected frames were published with two other implementations.

    #[test]
    fn general_response() {
        let terminal = of_2013([0x12, 0x34, 0x56, 0x78, 0x90, 0x12]);
        let frame = terminal.general_response(1, 456, 123, Outcome::NotSupported);
        assert_eq!(hex(&frame), "7e800100051234567890120001007b01c803be7e");
    }

    #[test]
    fn server_time() {
        let terminal = of_2019([0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12]);
        let now = Utc::parse("2019-12-02T10:10:10.999Z").unwrap();
        let frame = terminal.server_time(1, now).unwrap();
        assert_eq!(hex(&frame), "7e8004400601000000001234567890120001191202101010517e");
        for year in ["1970", "2100"] {
            let now = Utc::parse(&format!("{year}-01-01T00:00:00Z")).unwrap();
            assert_eq!(terminal.server_time(1, now), None);
        }
    }

    #[test]
    fn register_responses() {
        let terminal = of_2013([0x12, 0x34, 0x56, 0x78, 0x90, 0x12]);
        let code = b"chwD0SE1fchwD0SE1fchwD0SE1f";
        let frame = terminal.registered(1, 38_668, code).unwrap();
        let expected = "7e8100001e1234567890120001970c00\
            636877443053453166636877443053453166636877443053453166c67e";
        assert_eq!(hex(&frame), expected);
        let terminal = of_2013([0x01, 0x23, 0x45, 0x67, 0x89, 0x00]);
        let frame = terminal.not_registered(10, 100, Refusal::TerminalUnknown);
        assert_eq!(hex(&frame), "7e81000003012345678900000a006404617e");
        assert_eq!(terminal.registered(1, 1, &[]), None);
        assert_eq!(terminal.registered(1, 1, &[b'x'; CODE_MAX + 1]), None);
    }

    #[test]
    fn every_outcome_and_refusal_has_its_own_number() {
        let terminal = of_2013([0; 6]);
        // The result stands before check byte and flag.
        let result = |frame: Vec<u8>| frame[frame.len() - 3];
        let outcomes =
            [Outcome::Done, Outcome::Failed, Outcome::NotUnderstood, Outcome::NotSupported];
        let results = outcomes.map(|o| result(terminal.general_response(1, 0x200, 7, o)));
        assert_eq!(results, [0, 1, 2, 3]);
        let refusals = [
            Refusal::VehicleTaken,
            Refusal::VehicleUnknown,
            Refusal::TerminalTaken,
            Refusal::TerminalUnknown,
        ];
        assert_eq!(refusals.map(|r| result(terminal.not_registered(1, 7, r))), [1, 2, 3, 4]);
    }
}
