//! The bytes of every kind, pinned for ever: nodes in the street will not be changed.
//!
//! The hex was worked out apart from this crate, from the description of the format. A line may be added;
//! none may be changed or taken away.

use wire::*;

fn frame(node: u32, counter: u32, uptime_s: u32, body: Body) -> Frame {
    Frame { header: Header { node, counter, uptime_s }, body }
}

fn up(node: u32, counter: u32, uptime_s: u32, up: Up) -> Frame {
    frame(node, counter, uptime_s, Body::Up(up))
}

fn report(node: u32, counter: u32, uptime_s: u32, age_s: u32, measured: Measured) -> Frame {
    up(node, counter, uptime_s, Up::Report(Report { age_s, measured }))
}

fn down(node: u32, counter: u32, down: Down) -> Frame {
    frame(node, counter, 0, Body::Down(down))
}

fn node_speaks() -> Vec<(&'static str, Frame)> {
    let hello = |major, minor, patch, kind, boot, settings| {
        Up::Hello(Hello { firmware: Firmware { major, minor, patch }, kind, boot, settings })
    };
    let answer = |to, outcome| Up::Answer(Answer { to, outcome });
    vec![
        (
            "030107010101010201020101010501010203020905fe59341600",
            up(7, 65_536, 1, hello(1, 2, 3, NodeKind::Bay, 9, 0)),
        ),
        (
            "07010403020105010104805101020102010b01f0a204ac022b9e819300",
            up(0x0102_0304, 5, 86_400, hello(0, 1, 0, NodeKind::Bin, 70_000, 300)),
        ),
        ("0301070101020c0101024d0101030263056a89747b00", up(7, 12, 77, answer(99, Outcome::Done))),
        (
            "0301070101020c0101024e01010802640174b6774b00",
            up(7, 12, 78, answer(100, Outcome::OutOfRange)),
        ),
    ]
}

fn bay_reports() -> Vec<(&'static str, Frame)> {
    let bay =
        |state, previous_s, temperature| Measured::Bay(Bay { state, previous_s, temperature });
    vec![
        (
            "0401e903010228010103100e010310030c01982a02f8cf027619c3a100",
            report(
                1001,
                40,
                3600,
                3,
                bay(BayState::Free, Some(5400), Temperature::MilliCelsius(21_500)),
            ),
        ),
        (
            "0401e903010229010103201c01021002010902fff00457d19d4600",
            report(
                1001,
                41,
                7200,
                0,
                bay(BayState::Occupied, None, Temperature::MilliCelsius(-40_000)),
            ),
        ),
        (
            "0401e90301022a010103211c010210020201058457d2b900",
            report(1001, 42, 7201, 0, bay(BayState::Fault, None, Temperature::NotFitted)),
        ),
    ]
}

fn bin_reports() -> Vec<(&'static str, Frame)> {
    let bin = |distance, tilted, lid_open, fire, temperature| {
        Measured::Bin(Bin { distance, tilted, lid_open, fire, temperature })
    };
    let (no, yes) = (Some(false), Some(true));
    vec![
        (
            "0301150101020101010358020103110c04ca0601020102010902949d02767576d600",
            report(
                21,
                1,
                600,
                12,
                bin(Distance::Millimetres(842), no, no, no, Temperature::MilliCelsius(18_250)),
            ),
        ),
        (
            "03011501010202010103b0040102110601010101010601943f165400",
            report(21, 2, 1200, 0, bin(Distance::NoTarget, yes, yes, None, Temperature::Fault)),
        ),
        (
            "0301150101020301010308070102110202010b010102f08d0bd68a80b800",
            report(
                21,
                3,
                1800,
                0,
                bin(Distance::TooClose, None, None, yes, Temperature::MilliCelsius(91_000)),
            ),
        ),
        (
            "030115010102040101036009010211020301010105b25cd40d00",
            report(21, 4, 2400, 0, bin(Distance::Fault, None, None, None, Temperature::NotFitted)),
        ),
        (
            "03011501010205010103b80b010a12ac02f019bd34df7000",
            report(21, 5, 3000, 300, Measured::Battery(Battery { millivolts: 3312 })),
        ),
        (
            "03011501010206010103b80b01091301b5037b3095d200",
            report(21, 6, 3000, 1, Measured::Charge(Charge { left_permille: 437 })),
        ),
    ]
}

fn agent_speaks() -> Vec<(&'static str, Frame)> {
    let settings = Settings {
        revision: 7,
        keep_alive_s: 3600,
        battery_s: 86_400,
        bay: BaySettings {
            sample_ms: 250,
            arrive_nt: 5000,
            leave_nt: 2500,
            moving_nt: 1500,
            settle_ms: 2000,
        },
        bin: BinSettings { sample_s: 600, burst: 7, change_mm: 50, fire_mc: 65_000 },
    };
    vec![
        ("030115010101010101010101010780050e486ca900", down(21, 0, Down::Ack(Ack { counter: 5 }))),
        (
            "030115010102060101010101011d8107901c80a305fa018827c413dc0bd00fd8040732d0f70714289f4c00",
            down(21, 6, Down::Settings(settings)),
        ),
        ("0401e90301020701010101010106825cb3367400", down(1001, 7, Down::Recalibrate)),
        (
            "0401e90301020801010101010107833c600acc1d00",
            down(1001, 8, Down::Identify(Identify { seconds: 60 })),
        ),
        ("0401e9030102090101010101010685723dd12b00", down(1001, 9, Down::NewBattery)),
        (
            "0601ffffffff010101010101010b84c0f083d1068f18206500",
            down(BROADCAST, 0, Down::Time(Time { unix_s: 1_780_545_600 })),
        ),
    ]
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex digits"))
        .collect()
}

#[test]
fn every_kind_is_written_and_read_as_ever() {
    for (hex, frame) in [node_speaks(), bay_reports(), bin_reports(), agent_speaks()].concat() {
        let golden = bytes(hex);
        let mut room = [0; FRAME_MAX];
        assert_eq!(frame.encode(&mut room), Ok(&golden[..]), "{frame:?}");

        let mut heard = vec![];
        Deframer::new().push_slice(&golden, |h| heard.push(h));
        assert_eq!(heard, [Heard::Frame(frame)], "{hex}");
    }
}
