//! MQTT packets as the scripted broker reads and writes them: 3.1.1 and the little of 5 that a box uses.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;

/// The first byte of a packet, and all behind its length.
pub(crate) type Packet = (u8, Vec<u8>);

pub(crate) const CONNECT: u8 = 1;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const PINGREQ: u8 = 12;
pub(crate) const DISCONNECT: u8 = 14;

/// A packet of `first` and `body`.
pub(crate) fn packet(first: u8, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut packet = vec![first];
    let mut length = body.len();
    while length >= 128 {
        packet.push(u8::try_from(length % 128).map_err(io::Error::other)? | 128);
        length /= 128;
    }
    packet.push(u8::try_from(length).map_err(io::Error::other)?);
    packet.extend_from_slice(body);
    Ok(packet)
}

/// CONNACK: accepted, with what the broker allows; 0 stands for not said.
pub(crate) fn connack(five: bool, receive_max: u16, packet_max: u32) -> io::Result<Vec<u8>> {
    if !five {
        return Ok(vec![0x20, 2, 0, 0]);
    }
    let mut properties = vec![];
    if receive_max > 0 {
        properties.push(0x21);
        properties.extend_from_slice(&receive_max.to_be_bytes());
    }
    if packet_max > 0 {
        properties.push(0x27);
        properties.extend_from_slice(&packet_max.to_be_bytes());
    }
    let length = u8::try_from(properties.len()).map_err(io::Error::other)?;
    packet(0x20, &[&[0, 0, length], &properties[..]].concat())
}

/// PUBACK, with a reason where there is one to tell.
pub(crate) fn puback(id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    if reason == 0 { vec![0x40, 2, high, low] } else { vec![0x40, 3, high, low, reason] }
}

/// PUBLISH with QoS 1.
pub(crate) fn publish(
    five: bool,
    topic: &str,
    id: u16,
    payload: &[u8],
    retain: bool,
) -> io::Result<Vec<u8>> {
    let length = u16::try_from(topic.len()).map_err(io::Error::other)?;
    let mut body = length.to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&id.to_be_bytes());
    if five {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(0x32 | u8::from(retain), &body)
}

/// Reads packets until the connection ends or nobody wants them. After `deaf_after` publishes it reads no
/// more and keeps the connection open; 0: never.
pub(crate) async fn read_packets(
    mut reader: OwnedReadHalf,
    packets: mpsc::Sender<Packet>,
    deaf_after: u64,
) {
    let mut publishes = 0;
    while let Ok(packet) = read_packet(&mut reader).await {
        publishes += u64::from(packet.0 >> 4 == PUBLISH);
        if packets.send(packet).await.is_err() {
            return;
        }
        if deaf_after > 0 && publishes >= deaf_after {
            packets.closed().await;
            return;
        }
    }
}

async fn read_packet(reader: &mut OwnedReadHalf) -> io::Result<Packet> {
    let first = reader.read_u8().await?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.read_u8().await?;
        length |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Ok((first, body))
}

/// What the properties of a PUBLISH say, as far as a box says it.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) user: Vec<(String, String)>,
}

/// The fields of a packet, one after another.
pub(crate) struct Fields<'p>(pub(crate) &'p [u8]);

impl<'p> Fields<'p> {
    fn split(&mut self, n: usize) -> io::Result<&'p [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.split(1)?[0])
    }

    pub(crate) fn number(&mut self) -> io::Result<u16> {
        let bytes = self.split(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn bytes(&mut self) -> io::Result<&'p [u8]> {
        let length = self.number()?;
        self.split(length.into())
    }

    pub(crate) fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(io::Error::other)
    }

    /// Properties of MQTT 5, as bytes.
    pub(crate) fn block(&mut self) -> io::Result<Fields<'p>> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            length |= usize::from(byte & 127) << shift;
            if byte & 128 == 0 {
                break;
            }
        }
        Ok(Fields(self.split(length)?))
    }

    /// The properties of a PUBLISH.
    pub(crate) fn properties(&mut self) -> io::Result<Properties> {
        let mut block = self.block()?;
        let mut properties = Properties::default();
        while let Ok(id) = block.byte() {
            match id {
                0x01 => _ = block.byte()?,
                0x02 => _ = block.split(4)?,
                0x03 => properties.content_type = Some(block.text()?),
                0x26 => properties.user.push((block.text()?, block.text()?)),
                other => return Err(io::Error::other(format!("property {other:#x}"))),
            }
        }
        Ok(properties)
    }
}
