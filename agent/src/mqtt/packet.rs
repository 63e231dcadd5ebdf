//! PUBLISH packets, written by hand: they are what the link is full of, and a topic or payload is copied
//! once, into the buffer that goes to the socket. Tests read them back with rumqttc's codec.
//!
//! Everything else is written and read by that codec.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::dialect::Parcel;

/// PUBLISH, and its flags (MQTT 5, 3.3.1).
const PUBLISH: u8 = 0x30;
const QOS_1: u8 = 0x02;
const RETAIN: u8 = 0x01;
/// A property is told by one of these bytes (MQTT 5, 2.2.2.2).
const PAYLOAD_FORMAT: u8 = 0x01;
const MESSAGE_EXPIRY: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const CORRELATION_DATA: u8 = 0x09;
const USER_PROPERTY: u8 = 0x26;
/// The user property of what is sent later than meant.
const REPLAY: (&str, &str) = ("replay", "true");

/// Appends a PUBLISH of MQTT 3.1.1.
pub(super) fn publish4(id: u16, parcel: &Parcel, out: &mut BytesMut) {
    let length = 2 + parcel.topic.len() + id_bytes(parcel) + parcel.payload.len();
    begin(id, parcel, length, out);
    out.put_slice(&parcel.payload);
}

/// Appends a PUBLISH of MQTT 5.
pub(super) fn publish5(id: u16, parcel: &Parcel, out: &mut BytesMut) {
    let told = properties_bytes(parcel);
    let properties = varint_bytes(told) + told;
    let length = 2 + parcel.topic.len() + id_bytes(parcel) + properties + parcel.payload.len();
    begin(id, parcel, length, out);
    put_varint(told, out);
    put_properties(parcel, out);
    out.put_slice(&parcel.payload);
}

/// Everything up to the packet id.
fn begin(id: u16, parcel: &Parcel, length: usize, out: &mut BytesMut) {
    out.reserve(1 + varint_bytes(length) + length);
    let qos = if parcel.assured { QOS_1 } else { 0 };
    let retain = if parcel.retain { RETAIN } else { 0 };
    out.put_u8(PUBLISH | qos | retain);
    put_varint(length, out);
    put_bytes(parcel.topic.as_bytes(), out);
    if parcel.assured {
        out.put_u16(id);
    }
}

const fn id_bytes(parcel: &Parcel) -> usize {
    if parcel.assured { 2 } else { 0 }
}

/// The correlation data, if there is any.
fn correlation(parcel: &Parcel) -> Option<&[u8]> {
    parcel.correlation.as_deref().filter(|data| !data.is_empty())
}

fn is_text(parcel: &Parcel) -> bool {
    parcel.content_type.ends_with("json")
}

fn properties_bytes(parcel: &Parcel) -> usize {
    let text = if is_text(parcel) { 2 } else { 0 };
    let expires = if parcel.expires.is_some() { 5 } else { 0 };
    let correlation = correlation(parcel).map_or(0, |data| 3 + data.len());
    let replay = if parcel.replay { 5 + REPLAY.0.len() + REPLAY.1.len() } else { 0 };
    text + expires + 3 + parcel.content_type.len() + correlation + replay
}

fn put_properties(parcel: &Parcel, out: &mut BytesMut) {
    if is_text(parcel) {
        out.put_slice(&[PAYLOAD_FORMAT, 1]);
    }
    if let Some(expires) = parcel.expires {
        out.put_u8(MESSAGE_EXPIRY);
        out.put_u32(seconds(expires));
    }
    out.put_u8(CONTENT_TYPE);
    put_bytes(parcel.content_type.as_bytes(), out);
    if let Some(data) = correlation(parcel) {
        out.put_u8(CORRELATION_DATA);
        put_bytes(data, out);
    }
    if parcel.replay {
        out.put_u8(USER_PROPERTY);
        put_bytes(REPLAY.0.as_bytes(), out);
        put_bytes(REPLAY.1.as_bytes(), out);
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// Bytes behind their length.
fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    let length = u16::try_from(bytes.len()).expect("topics and what stands beside them are short");
    out.put_u16(length);
    out.put_slice(bytes);
}

/// How many bytes `length` takes (MQTT 5, 1.5.5).
const fn varint_bytes(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn put_varint(mut length: usize, out: &mut BytesMut) {
    while length >= 0x80 {
        out.put_u8((length % 0x80) as u8 | 0x80);
        length /= 0x80;
    }
    out.put_u8(length as u8);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;

    fn parcel() -> impl Strategy<Value = Parcel> {
        let payload = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            (100_usize..70_000).prop_map(|length| vec![b'x'; length]),
        ];
        let kinds = vec!["application/json", "application/zstd", "application/cloudevents+json"];
        let beside = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let expires = proptest::option::of(0_u64..1 << 34);
        ("[a-z/]{1,200}", payload, flags, proptest::sample::select(kinds), beside, expires)
            .prop_map(|(topic, payload, (assured, retain, replay), kind, beside, expires)| Parcel {
                topic,
                payload: Bytes::from(payload),
                assured,
                retain,
                content_type: kind,
                replay,
                correlation: beside,
                expires: expires.map(Duration::from_secs),
            })
    }

    proptest! {
        #[test]
        fn a_publish_is_what_the_codec_reads(parcel in parcel(), id in 1..=u16::MAX) {
            let id = if parcel.assured { id } else { 0 };
            let mut bytes = BytesMut::new();
            publish4(id, &parcel, &mut bytes);
            let read = v4::Packet::read(&mut bytes, usize::MAX).unwrap();
            let v4::Packet::Publish(old) = read else { panic!("{read:?}") };
            prop_assert!(bytes.is_empty() && !old.dup);
            prop_assert_eq!((&old.topic, old.pkid, old.retain), (&parcel.topic, id, parcel.retain));
            prop_assert_eq!((&old.payload, old.qos as u8), (&parcel.payload, parcel.assured.into()));

            publish5(id, &parcel, &mut bytes);
            let read = v5::Packet::read(&mut bytes, None).unwrap();
            let v5::Packet::Publish(new) = read else { panic!("{read:?}") };
            prop_assert!(bytes.is_empty() && !new.dup);
            prop_assert_eq!(&new.topic[..], parcel.topic.as_bytes());
            prop_assert_eq!((new.pkid, new.retain, new.qos as u8), (id, parcel.retain, parcel.assured.into()));
            prop_assert_eq!(&new.payload, &parcel.payload);
            let told = new.properties.unwrap();
            prop_assert_eq!(told.content_type.as_deref(), Some(parcel.content_type));
            let text = parcel.content_type.ends_with("json").then_some(1);
            prop_assert_eq!(told.payload_format_indicator, text);
            prop_assert_eq!(told.message_expiry_interval, parcel.expires.map(seconds));
            prop_assert_eq!(told.correlation_data.as_deref(), correlation(&parcel));
            let replay = told.user_properties == [(REPLAY.0.to_owned(), REPLAY.1.to_owned())];
            prop_assert_eq!(replay, parcel.replay);
        }
    }
}
