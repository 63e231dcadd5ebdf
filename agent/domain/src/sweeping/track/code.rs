//! A track is one text of printable characters: for each point the difference to the one
//! before in milliseconds, 1e-6 degrees of latitude and longitude, and its [`Why`] as a number, each in the
//! variable-length code of encoded polylines (zigzag, five bits a character, offset 63).

use super::{TrackPoint, Why};
use crate::place::{BadPosition, Datum, Position};
use crate::time::Utc;

/// The most that [`encode`] moves a point, in metres: half the diagonal of a square of 1e-6 degrees, on
/// the equator.
pub(super) const ROUNDING_M: f64 = 0.079;

/// The track as one text. Times are exact, places are rounded to 1e-6 degrees (11 cm).
#[must_use]
pub fn encode(points: &[TrackPoint]) -> String {
    let mut text = String::new();
    let mut before = [0i64; 3];
    for point in points {
        let micro = |degrees: f64| libm::round(degrees * 1e6) as i64;
        let position = point.position;
        let now = [point.at.as_ms(), micro(position.lat()), micro(position.lon())];
        for (now, before) in now.iter().zip(before) {
            put(&mut text, now - before);
        }
        put(&mut text, point.why as i64);
        before = now;
    }
    text
}

fn put(text: &mut String, value: i64) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    loop {
        let five = (rest & 31) as u8;
        rest >>= 5;
        let more = if rest > 0 { 32 } else { 0 };
        text.push(char::from(five + more + 63));
        if rest == 0 {
            return;
        }
    }
}

/// Why a text is no track.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadTrack {
    /// A character that the code does not have, or an end in the middle of a point.
    #[error("the track is damaged at character {0}")]
    Damaged(usize),
    /// Numbers that are no place.
    #[error("point {0} is no place: {1}")]
    Place(usize, BadPosition),
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// The text is damaged, or a point is no place on earth.
pub fn decode(text: &str) -> Result<Vec<TrackPoint>, BadTrack> {
    let bytes = text.as_bytes();
    let mut points = vec![];
    let mut sum = [0i64; 3];
    let mut at = 0;
    while at < bytes.len() {
        for value in &mut sum {
            *value = value.wrapping_add(get(bytes, &mut at)?);
        }
        let why = usize::try_from(get(bytes, &mut at)?).ok();
        let why = why.and_then(|n| Why::ALL.get(n)).ok_or(BadTrack::Damaged(at))?;
        let place = |e| BadTrack::Place(points.len(), e);
        let degrees = |micro: i64| micro as f64 / 1e6;
        let position = Position::from_degrees(degrees(sum[1]), degrees(sum[2]), Datum::Wgs84);
        let at = Utc::from_ms(sum[0]);
        points.push(TrackPoint { position: position.map_err(place)?, at, why: *why });
    }
    Ok(points)
}

fn get(bytes: &[u8], at: &mut usize) -> Result<i64, BadTrack> {
    let mut value = 0u64;
    for shift in (0..64).step_by(5) {
        let byte = bytes.get(*at).and_then(|b| b.checked_sub(63)).filter(|b| *b < 64);
        let five = byte.ok_or(BadTrack::Damaged(*at))?;
        *at += 1;
        value |= u64::from(five & 31) << shift;
        if five < 32 {
            // Zigzag: the sign is the lowest bit.
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(BadTrack::Damaged(*at))
}
