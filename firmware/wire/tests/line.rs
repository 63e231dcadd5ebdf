//! What a line does to frames: it cuts, flips, loses and adds. None of it may become a frame that nobody
//! sent, and the next whole frame must be heard.

use proptest::prelude::*;
use wire::*;

fn temperature() -> impl Strategy<Value = Temperature> {
    prop_oneof![
        Just(Temperature::NotFitted),
        Just(Temperature::Fault),
        any::<i32>().prop_map(Temperature::MilliCelsius),
    ]
}

fn measured() -> impl Strategy<Value = Measured> {
    let state = prop_oneof![Just(BayState::Free), Just(BayState::Occupied), Just(BayState::Fault)];
    let distance = prop_oneof![
        any::<u16>().prop_map(Distance::Millimetres),
        Just(Distance::NoTarget),
        Just(Distance::TooClose),
        Just(Distance::Fault),
    ];
    prop_oneof![
        (state, any::<Option<u32>>(), temperature()).prop_map(
            |(state, previous_s, temperature)| Measured::Bay(Bay {
                state,
                previous_s,
                temperature
            })
        ),
        (
            distance,
            any::<Option<bool>>(),
            any::<Option<bool>>(),
            any::<Option<bool>>(),
            temperature()
        )
            .prop_map(|(distance, tilted, lid_open, fire, temperature)| {
                Measured::Bin(Bin { distance, tilted, lid_open, fire, temperature })
            }),
        any::<u16>().prop_map(|millivolts| Measured::Battery(Battery { millivolts })),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let bay =
        any::<[u16; 5]>().prop_map(|[sample_ms, arrive_nt, leave_nt, moving_nt, settle_ms]| {
            BaySettings { sample_ms, arrive_nt, leave_nt, moving_nt, settle_ms }
        });
    let bin = any::<(u32, u8, u16, i32)>().prop_map(|(sample_s, burst, change_mm, fire_mc)| {
        BinSettings { sample_s, burst, change_mm, fire_mc }
    });
    (any::<u16>(), any::<u32>(), any::<u32>(), bay, bin).prop_map(
        |(revision, keep_alive_s, battery_s, bay, bin)| Settings {
            revision,
            keep_alive_s,
            battery_s,
            bay,
            bin,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let firmware =
        any::<[u8; 3]>().prop_map(|[major, minor, patch]| Firmware { major, minor, patch });
    let hello = (firmware, any::<u8>(), any::<u32>(), any::<u16>()).prop_map(
        |(firmware, kind, boot, settings)| {
            Up::Hello(Hello { firmware, kind: NodeKind::from(kind), boot, settings })
        },
    );
    let answer = any::<(u32, u8)>()
        .prop_map(|(to, code)| Up::Answer(Answer { to, outcome: Outcome::from(code) }));
    let report = (any::<u32>(), measured())
        .prop_map(|(age_s, measured)| Up::Report(Report { age_s, measured }));
    let up = prop_oneof![hello, answer, report].prop_map(Body::Up);
    let down = prop_oneof![
        any::<u32>().prop_map(|counter| Down::Ack(Ack { counter })),
        settings().prop_map(Down::Settings),
        Just(Down::Recalibrate),
        any::<u16>().prop_map(|seconds| Down::Identify(Identify { seconds })),
        any::<u64>().prop_map(|unix_s| Down::Time(Time { unix_s })),
    ]
    .prop_map(Body::Down);
    prop_oneof![up, down]
}

fn frame() -> impl Strategy<Value = Frame> {
    (0..BROADCAST, any::<u32>(), any::<u32>(), body()).prop_map(
        |(node, counter, uptime_s, body)| Frame {
            header: Header { node, counter, uptime_s },
            body,
        },
    )
}

fn encoded(frame: &Frame) -> Vec<u8> {
    frame.encode(&mut [0; FRAME_MAX]).expect("the room for the longest").to_vec()
}

fn hear(pieces: &[&[u8]]) -> Vec<Heard> {
    let (mut deframer, mut all) = (Deframer::new(), vec![]);
    for piece in pieces {
        deframer.push_slice(piece, |heard| all.push(heard));
    }
    all.extend(deframer.finish().map(Heard::Fault));
    all
}

fn frames(heard: &[Heard]) -> Vec<Frame> {
    heard.iter().filter_map(|h| if let Heard::Frame(f) = h { Some(*f) } else { None }).collect()
}

/// `bytes` cut at `cuts`, taken modulo its length.
fn cut<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(frame in frame()) {
        let bytes = encoded(&frame);
        prop_assert!(bytes.len() <= FRAME_MAX);
        prop_assert_eq!(bytes.iter().position(|b| *b == DELIMITER), Some(bytes.len() - 1));
        prop_assert_eq!(hear(&[&bytes]), [Heard::Frame(frame)]);
    }

    #[test]
    fn a_flipped_bit_is_found_and_the_next_frame_is_heard(one in frame(), next in frame()) {
        let good = encoded(&one);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The delimiter in front is what a sender gives after silence.
            bytes.push(DELIMITER);
            bytes.extend(encoded(&next));
            let heard = hear(&[&bytes]);
            prop_assert_eq!(frames(&heard), [next], "bit {}", bit);
            prop_assert!(heard.len() >= 2, "bit {} was not counted", bit);
        }
    }

    #[test]
    fn a_frame_cut_short_is_found_and_the_next_frame_is_heard(one in frame(), next in frame()) {
        let good = encoded(&one);
        for len in 1..good.len() - 1 {
            let bytes = [&good[..len], &[DELIMITER], &encoded(&next)].concat();
            let heard = hear(&[&bytes]);
            prop_assert!(matches!(heard[..], [Heard::Fault(_), Heard::Frame(f)] if f == next));
        }
    }

    #[test]
    fn a_wrong_check_is_found(frame in frame(), other in 1..=u32::MAX) {
        let mut raw = encoded(&frame);
        raw.pop();
        let len = cobs::decode_in_place(&mut raw).unwrap();
        raw.truncate(len);
        let sum = raw.last_chunk_mut::<4>().unwrap();
        *sum = (u32::from_le_bytes(*sum) ^ other).to_le_bytes();
        let mut stuffed = [0; FRAME_MAX + 1];
        let len = cobs::encode(&raw, &mut stuffed);
        prop_assert_eq!(hear(&[&stuffed[..=len]]), [Heard::Fault(Fault::Checksum)]);
    }

    #[test]
    fn where_the_stream_is_cut_does_not_matter(
        parts in prop::collection::vec(
            prop_oneof![
                frame().prop_map(|f| encoded(&f)),
                prop::collection::vec(any::<u8>(), 0..300),
            ],
            0..8,
        ),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let bytes = parts.concat();
        let whole = hear(&[&bytes]);
        prop_assert_eq!(&hear(&cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&hear(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn noise_is_never_a_frame(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(frames(&hear(&[&noise])), []);
    }
}
