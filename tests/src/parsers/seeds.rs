//! Right input for each parser, made by the project or published for everybody.

use wire::{
    Bin, Body, Distance, FRAME_MAX, Firmware, Frame, Header, Hello, Measured, NodeKind, Report,
    Temperature, Up,
};

use super::streams::terminal_frame;

pub(super) const EUI: &str = "24e124713b000001";

/// A location report of a terminal (0x0200, the layout of 2013), as open implementations publish it.
const LOCATION: &str = "02000026123456789012007E000000010000000200BA7F0E07E4F11C0028003C0000\
                        1810151010100104000000640202007D";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// Each line of `text` is one input, its first byte the size in which it is cut.
fn streams(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| [b"\x07", text.as_bytes()].concat()).collect()
}

pub(super) fn gnss() -> Vec<Vec<u8>> {
    streams(&[
        "$GNRMC,080000.00,A,3148.6000,N,11958.4400,E,5.0,90.0,040626,,,A*7E\r\n\
         $GNGGA,080000.00,3148.6000,N,11958.4400,E,1,09,1.0,5.0,M,,M,,*65\r\n",
        "$GPZDA,080000.00,04,06,2026,00,00*6A\r\n$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39\r\n",
    ])
}

pub(super) fn nmea_body() -> Vec<Vec<u8>> {
    let bodies = [
        "GNRMC,080000.00,A,3148.6000,N,11958.4400,E,5.0,90.0,040626,,,A",
        "GNGGA,080000.00,3148.6000,N,11958.4400,E,1,09,1.0,5.0,M,,M,,",
        "GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1",
        "GPGSV,3,1,11,03,03,111,00,04,15,270,00,06,01,010,00,13,06,292,00",
        "GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,A",
        "GNGLL,3148.6000,N,11958.4400,E,080000.00,A,A",
        "GPZDA,080000.00,04,06,2026,00,00",
        "BDGGA,080001.00,3148.6000,N,11958.4400,E,1,09,1.0,5.0,M,,M,,\n\
         BDRMC,080001.00,A,3148.6000,N,11958.4400,E,5.0,90.0,040626,,,A",
    ];
    bodies.iter().map(|body| body.as_bytes().to_vec()).collect()
}

/// NAV-PVT.
pub(super) fn ubx_body() -> Vec<Vec<u8>> {
    let mut payload = [0; 92];
    payload[4..6].copy_from_slice(&2026_u16.to_le_bytes());
    payload[6..12].copy_from_slice(&[6, 4, 8, 0, 0, 7]);
    payload[20..24].copy_from_slice(&[3, 1, 0, 14]);
    payload[24..28].copy_from_slice(&1_199_740_000_i32.to_le_bytes());
    payload[28..32].copy_from_slice(&318_100_000_i32.to_le_bytes());
    vec![[&[0x01, 0x07], &payload[..]].concat()]
}

pub(super) fn gpsd() -> Vec<Vec<u8>> {
    streams(&[
        "{\"class\":\"VERSION\",\"release\":\"3.22\",\"proto_major\":3,\"proto_minor\":14}\n\
         {\"class\":\"TPV\",\"device\":\"/dev/ttyS0\",\"mode\":3,\"time\":\"2026-06-04T08:00:00.000Z\",\
         \"lat\":31.81,\"lon\":119.974,\"alt\":5.0,\"track\":90.0,\"speed\":2.572,\"eph\":4.1}\n",
        "{\"class\":\"SKY\",\"device\":\"/dev/ttyS0\",\"uSat\":9,\"hdop\":1.0,\"satellites\":[]}\n",
    ])
}

pub(super) fn jt808_body() -> Vec<Vec<u8>> {
    vec![
        hex(LOCATION),
        // A heartbeat, and an authentication, of 2019: with a version.
        hex("0002 4000 01 00000000012345678901 0001"),
        hex("0102 4029 01 00000000012345678901 0002 05 3132333435 383631323334353637383930313233\
             56312E3000000000000000000000000000000000"),
    ]
}

pub(super) fn jt808() -> Vec<Vec<u8>> {
    let framed = |body: Vec<u8>| [&[5], &terminal_frame(&body)[..]].concat();
    jt808_body().into_iter().map(framed).collect()
}

pub(super) fn can() -> Vec<Vec<u8>> {
    streams(&[
        "(1780545600.000000) can0 18FEF100#FF00240000000000\n",
        "(1780545600.000000) can0 123#DEADBEEF\n(1780545601.5) can0 18FEF127##1FF00240000\n",
    ])
}

pub(super) fn modbus() -> Vec<Vec<u8>> {
    use domain::decode::modbus::rtu::frame;
    let (question, answer) = (frame(1, &[3, 1, 0, 0, 1]), frame(1, &[3, 2, 2, 0xf2]));
    vec![
        [&[3], &question[..], &answer[..]].concat(),
        b"\x03\x01\x00\x00\x01\xfe\x03\x02\x02\xf2".to_vec(),
    ]
}

fn frames() -> Vec<Vec<u8>> {
    let bin = Measured::Bin(Bin {
        distance: Distance::Millimetres(1100),
        tilted: Some(false),
        lid_open: None,
        fire: Some(true),
        temperature: Temperature::MilliCelsius(21_000),
    });
    let report = |measured| Body::Up(Up::Report(Report { age_s: 3, measured }));
    let hello = Up::Hello(Hello {
        firmware: Firmware { major: 1, minor: 2, patch: 3 },
        kind: NodeKind::Bay,
        boot: 4,
        settings: 5,
    });
    let bodies = [report(bin), Body::Up(hello)];
    let header = Header { node: 7, counter: 300, uptime_s: 70_000 };
    let written = |body| {
        let mut out = [0; FRAME_MAX];
        Frame { header, body }.encode(&mut out).expect("FRAME_MAX always suffices").to_vec()
    };
    bodies.into_iter().map(written).collect()
}

pub(super) fn node_link() -> Vec<Vec<u8>> {
    frames().into_iter().map(|frame| [&[4], &frame[..]].concat()).collect()
}

/// Unstuffed, and without the four bytes of the check.
pub(super) fn node_link_body() -> Vec<Vec<u8>> {
    let raw = |stuffed: Vec<u8>| {
        let (mut raw, mut rest) = (Vec::new(), &stuffed[..stuffed.len() - 1]);
        while let Some((&code, tail)) = rest.split_first() {
            let (block, tail) = tail.split_at(usize::from(code - 1).min(tail.len()));
            raw.extend_from_slice(block);
            if code < 255 && !tail.is_empty() {
                raw.push(0);
            }
            rest = tail;
        }
        raw.truncate(raw.len() - 4);
        raw
    };
    frames().into_iter().map(raw).collect()
}

/// Payloads that some codec reads, under every codec.
pub(super) fn lorawan() -> Vec<Vec<u8>> {
    let payloads = [
        (85, "01755C 0367F800 0482 0840 050000"),
        (85, "0488 36BF7701 F0000907 22"),
        (2, "0D3B 0AEF 00 0105 01"),
        (1, "95"),
        (3, "8000 0302 0000 1E00 0100"),
        (3, "80000D02 00A0 0000 0000 41C80000 42F00000 0000 00 81"),
    ];
    let codecs = domain::decode::lorawan::Codec::ALL.len() as u8;
    let each = |codec| payloads.map(|(port, text)| [&[codec, port], &hex(text)[..]].concat());
    (0..codecs).flat_map(each).collect()
}

pub(super) fn messages() -> Vec<Vec<u8>> {
    let chirpstack = format!(
        "application/7/device/{EUI}/event/up\n{{\"deduplicationId\":\"1\",\
         \"time\":\"2026-06-04T08:00:00Z\",\"deviceInfo\":{{\"devEui\":\"{EUI}\",\
         \"deviceProfileName\":\"EM310-UDL\"}},\"devAddr\":\"01dfbaf2\",\"fCnt\":3,\"fPort\":85,\
         \"data\":\"AXVcA4JECAQAAA==\",\"object\":{{\"level\":4}}}}"
    );
    let things = format!(
        "v3/app@t/devices/bin-21/up\n{{\"end_device_ids\":{{\"device_id\":\"bin-21\",\
         \"dev_eui\":\"{EUI}\",\"dev_addr\":\"260B5972\"}},\"received_at\":\
         \"2026-06-04T08:00:00.1Z\",\"uplink_message\":{{\"session_key_id\":\"AX\",\"f_port\":85,\
         \"f_cnt\":9,\"frm_payload\":\"AXVcA4JECAQAAA==\",\"decoded_payload\":\
         {{\"level\":1.5}},\"rx_metadata\":[{{\"time\":\"2026-06-04T08:00:00Z\"}}],\
         \"received_at\":\"2026-06-04T08:00:00Z\"}}}}"
    );
    let json = "city/bays\n{\"items\":[{\"id\":7,\"at\":\"2026-06-04T08:00:00+08:00\",\
                \"status\":\"Present\",\"level\":\"41.5\",\"d\":12,\"p\":[31.8,119.9]}]}";
    [chirpstack, things, json.to_owned()].map(String::into_bytes).to_vec()
}

pub(super) fn command() -> Vec<Vec<u8>> {
    let lines = [
        "ping\n{\"id\":\"1\",\"by\":\"duty\"}",
        "ticket\n{\"id\":\"2\",\"by\":\"duty\",\"args\":{\"ticket\":\"t-abc\",\"action\":\"ack\",\
         \"note\":\"on the way\"},\"expires_at\":\"2026-06-04T08:00:00Z\"}",
        "coverage\n{\"id\":\"3\",\"by\":\"duty\",\"args\":{\"street\":\"s\",\"from\":3}}",
        "history\n{\"id\":\"4\",\"by\":\"duty\",\"args\":{\"asset\":\"bin/b\",\"since\":\"2026-06-04T00:00:00Z\",\"from\":3}}",
        "bay\n{\"id\":\"4\",\"by\":\"duty\",\"args\":{\"bay\":\"a-1\",\"action\":\"check_in\",\
         \"permit\":\"x\"}}",
        "device\n{\"id\":\"5\",\"by\":\"duty\",\"args\":{\"asset\":\"bay/a-1\",\
         \"action\":\"identify\",\"seconds\":10}}",
        "report\n{\"id\":\"6\",\"by\":\"duty\",\"args\":{\"category\":\"bin_overflow\",\
         \"asset\":{\"class\":\"bin\",\"id\":\"bin-1\"},\"witness\":\"citizen\"}}",
        "tickets\n{\"id\":\"7\",\"by\":\"duty\",\"args\":{\"state\":\"raised\"}}",
    ];
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

/// The reference configuration, and its rules and tariffs, without what names a file.
pub(super) fn config() -> Vec<Vec<u8>> {
    let names_no_file = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let lines = lines.filter(|line| !line.contains("file") && !line.contains("include"));
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    };
    let box_of = "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"Asia/Shanghai\"\n\
                  [mqtt]\nurl = \"mqtt://127.0.0.1\"\n";
    let rules = include_str!("../../../config/rules/default.toml");
    vec![
        names_no_file(include_str!("../../../config/steward.toml")),
        names_no_file(&format!("{box_of}{rules}")),
        box_of.into(),
    ]
}
