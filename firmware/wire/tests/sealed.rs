//! The bytes of sealed frames, pinned for ever: nodes in the street will not be changed.
//!
//! The hex was worked out apart from this crate, from the description of the format, with the key
//! 00 01 02 … 1f. A line may be added; none may be changed or taken away.

use wire::*;

const FRAMES: [(&str, Frame); 2] = [
    (
        "0402e903010228010103100e010310031c01982a02f8cf02b6c850e819c02acc3073aceddb8a47812342f16400",
        Frame {
            header: Header { node: 1001, counter: 40, uptime_s: 3600 },
            body: Body::Up(Up::Report(Report {
                age_s: 3,
                measured: Measured::Bay(Bay {
                    state: BayState::Free,
                    previous_s: Some(5400),
                    temperature: Temperature::MilliCelsius(21_500),
                }),
            })),
        },
    ),
    (
        "0302150101020101010358020103110c04ca0601020102011902949d02d4c1b5c319ce966e981711c8c91c0bb313435f8100",
        Frame {
            header: Header { node: 21, counter: 1, uptime_s: 600 },
            body: Body::Up(Up::Report(Report {
                age_s: 12,
                measured: Measured::Bin(Bin {
                    distance: Distance::Millimetres(842),
                    tilted: Some(false),
                    lid_open: Some(false),
                    fire: Some(false),
                    temperature: Temperature::MilliCelsius(18_250),
                }),
            })),
        },
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn key() -> Key {
    Key::new(std::array::from_fn(|n| n as u8))
}

fn heard(stream: &[u8]) -> Sealed {
    let mut sealed = vec![];
    Deframer::new().push_slice(stream, |heard| match heard {
        Heard::Sealed(frame) => sealed.push(frame),
        other => panic!("{other:?}"),
    });
    let [one] = sealed.try_into().expect("one frame");
    one
}

#[test]
fn sealed_frames_are_written_and_read_as_ever() {
    for (hex, frame) in FRAMES {
        let golden = bytes(hex);
        let mut room = [0; FRAME_MAX];
        assert_eq!(frame.seal(&key(), &mut room), Ok(&golden[..]), "{frame:?}");
        let sealed = heard(&golden);
        assert_eq!(sealed.node(), frame.header.node);
        assert_eq!(sealed.open(&key()), Ok(Heard::Frame(frame)), "{hex}");
    }
}

#[test]
fn another_key_opens_nothing() {
    let another = Key::new([7; KEY_LEN]);
    for (hex, _) in FRAMES {
        assert!(heard(&bytes(hex)).open(&another).is_err(), "{hex}");
    }
}
