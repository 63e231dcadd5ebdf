//! Milesight distance and depth sensors and trackers.
//!
//! A payload is a row of records: channel, type, value (little-endian, its length fixed by channel
//! and type). Layouts: the README files of the vendor's public decoders and the user guides.
//!
//! There is no length in a record, so after one that is not known nothing that follows can be read,
//! and even what came before may have been cut at the wrong place: the whole payload is refused.

use std::mem::discriminant;

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};
use crate::units::{Millimetres, Permille};

use super::quantities::{fix_e6, no, temperature};

/// The port of all Milesight devices, unless somebody changed it.
pub(super) const PORT: u8 = 85;

/// The farthest that any of the sensors measures is 10 m; twice that is certainly no measurement.
const DISTANCE_MAX_MM: u16 = 20_000;

/// A kind of record: channel, type, length of the value, and what to do with the value.
struct Kind(u8, u8, usize, Use);

enum Use {
    /// It is a quantity.
    Read(fn(&[u8]) -> Result<Quantity, Reason>),
    /// A sample has no place for what it measures, only for the word that it could not.
    Fault(fn(&[u8]) -> Option<Quantity>),
    /// It is about the device: versions, serial number, a position that the vendor's own documents
    /// put in two orders.
    Leave,
    /// It is a measurement of earlier, sent again. A sample has one time, which is not this one's, so
    /// it is left; a payload of nothing else is refused, to be counted.
    History,
}

const COMMON: &[Kind] = &[
    Kind(0x01, 0x75, 1, Use::Read(battery)),
    Kind(0xff, 0x01, 1, Use::Leave),
    Kind(0xff, 0x09, 2, Use::Leave),
    Kind(0xff, 0x0a, 2, Use::Leave),
    Kind(0xff, 0x0b, 1, Use::Leave),
    Kind(0xff, 0x0f, 1, Use::Leave),
    Kind(0xff, 0x16, 8, Use::Leave),
    Kind(0xff, 0xfe, 1, Use::Leave),
    Kind(0xff, 0xff, 2, Use::Leave),
];

/// The history has its longitude before its latitude, the other way round than the present position:
/// one more reason to leave it.
const AT101: &[Kind] = &[
    Kind(0x03, 0x67, 2, Use::Read(tenths_of_degree)),
    Kind(0x04, 0x88, 9, Use::Read(location)),
    Kind(0x05, 0x00, 1, Use::Read(tilted)),
    Kind(0x06, 0xd9, 9, Use::Leave),
    Kind(0x07, 0x00, 1, Use::Leave),
    Kind(0x08, 0x9b, 6, Use::Leave),
    Kind(0x83, 0x67, 3, Use::Read(temperature_alarm)),
    Kind(0x84, 0x88, 9, Use::Read(location)),
    Kind(0x20, 0xce, 18, Use::History),
];

const EM310_UDL: &[Kind] =
    &[Kind(0x03, 0x82, 2, Use::Read(distance)), Kind(0x04, 0x00, 1, Use::Read(tilted))];

const EM400: &[Kind] = &[
    Kind(0x03, 0x67, 2, Use::Read(tenths_of_degree)),
    Kind(0x04, 0x82, 2, Use::Read(distance)),
    Kind(0x05, 0x00, 1, Use::Read(tilted)),
    Kind(0x06, 0x88, 9, Use::Leave),
    Kind(0x83, 0x67, 3, Use::Read(temperature_alarm)),
    Kind(0x84, 0x82, 3, Use::Read(distance_alarm)),
];

const EM410_RDL: &[Kind] = &[
    Kind(0x03, 0x67, 2, Use::Read(tenths_of_degree)),
    Kind(0x04, 0x82, 2, Use::Read(distance)),
    Kind(0x05, 0x00, 1, Use::Read(tilted)),
    Kind(0x84, 0x82, 3, Use::Read(distance_alarm)),
    Kind(0x94, 0x82, 5, Use::Read(distance_mutation)),
    Kind(0xb4, 0x82, 3, Use::Read(distance_exception)),
    Kind(0x20, 0xce, 11, Use::History),
];

const EM500_UDL: &[Kind] = &[
    Kind(0x03, 0x82, 2, Use::Read(distance)),
    Kind(0x83, 0xe9, 5, Use::Read(distance_mutation_tenths)),
    Kind(0x20, 0xce, 6, Use::History),
];

const EM500_SWL: &[Kind] =
    &[Kind(0x03, 0x77, 2, Use::Fault(depth_fault)), Kind(0x20, 0xce, 6, Use::History)];

const ANY_DISTANCE: &[Kind] = &[
    Kind(0x03, 0x82, 2, Use::Read(distance)),
    Kind(0x04, 0x82, 2, Use::Read(distance)),
    Kind(0x03, 0x67, 2, Use::Read(tenths_of_degree)),
    Kind(0x04, 0x00, 1, Use::Read(tilted)),
    Kind(0x05, 0x00, 1, Use::Read(tilted)),
    Kind(0x83, 0x67, 3, Use::Read(temperature_alarm)),
    Kind(0x84, 0x82, 3, Use::Read(distance_alarm)),
];

pub(super) fn at101(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    records(port, payload, AT101)
}

pub(super) fn em310_udl(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    records(port, payload, EM310_UDL)
}

/// Also takes the frame of the cellular (NB-IoT) models, which has the same records inside.
pub(super) fn em400(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    let inner = if payload.first() == Some(&CELLULAR_START) { cellular(payload)? } else { payload };
    records(port, inner, EM400)
}

pub(super) fn em410_rdl(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    records(port, payload, EM410_RDL)
}

pub(super) fn em500_udl(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    records(port, payload, EM500_UDL)
}

pub(super) fn em500_swl(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    records(port, payload, EM500_SWL)
}

/// On a leak or door sensor of the same vendor, channels 4 and 5 of type 0 are water and door. They
/// are taken for a tilt only beside a distance, which those do not send.
pub(super) fn any_distance(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    let quantities = records(port, payload, ANY_DISTANCE)?;
    let tilt = quantities.iter().any(|quantity| matches!(quantity, Quantity::Tilted(_)));
    let distance = quantities.iter().any(|quantity| measured(*quantity) == Some(Missing::Distance));
    if tilt && !distance { Err(Reason::Payload) } else { Ok(quantities) }
}

fn records(port: u8, payload: &[u8], kinds: &[Kind]) -> Result<Vec<Quantity>, Reason> {
    if port != PORT {
        return Err(Reason::Port);
    }
    let mut quantities = Vec::new();
    let mut history_only = true;
    let mut rest = payload;
    while let [channel, kind, tail @ ..] = rest {
        let Kind(_, _, length, usage) = COMMON
            .iter()
            .chain(kinds)
            .find(|known| (known.0, known.1) == (*channel, *kind))
            .ok_or(Reason::Payload)?;
        let (value, next) = tail.split_at_checked(*length).ok_or(Reason::Truncated)?;
        match usage {
            Use::Read(read) => put(&mut quantities, read(value)?),
            Use::Fault(fault) => {
                history_only = false;
                if let Some(fault) = fault(value) {
                    put(&mut quantities, fault);
                }
            }
            Use::Leave => history_only = false,
            Use::History => {}
        }
        rest = next;
    }
    match rest {
        [] if quantities.is_empty() && history_only => Err(Reason::Payload),
        [] => Ok(quantities),
        _ => Err(Reason::Truncated),
    }
}

/// Adds a quantity. An alarm record repeats what the regular record beside it says and is the later
/// of the two; a fault stands whatever number is beside it.
fn put(quantities: &mut Vec<Quantity>, new: Quantity) {
    let same = |old: &&mut Quantity| match (measured(**old), measured(new)) {
        (None, None) => discriminant(*old) == discriminant(&new),
        (old, new) => old == new,
    };
    match quantities.iter_mut().find(same) {
        Some(Quantity::Absent(_)) => {}
        Some(old) => *old = new,
        None => quantities.push(new),
    }
}

/// What a quantity is about, for those that can be absent.
fn measured(quantity: Quantity) -> Option<Missing> {
    match quantity {
        Quantity::Distance(_) => Some(Missing::Distance),
        Quantity::Temperature(_) => Some(Missing::Temperature),
        Quantity::Fix(_) => Some(Missing::Fix),
        Quantity::Absent(absent) => Some(absent.what),
        _ => None,
    }
}

fn u16_le(value: &[u8]) -> u16 {
    u16::from_le_bytes([value[0], value[1]])
}

/// A byte that says why the record was sent. It decides nothing here (limits are set at the place,
/// not in the sensor), but an unknown one shows that this is another kind of record.
fn cause(value: u8, known: u8) -> Result<(), Reason> {
    if value < known { Ok(()) } else { Err(Reason::Payload) }
}

fn battery(value: &[u8]) -> Result<Quantity, Reason> {
    match value[0] {
        percent @ 0..=100 => Ok(Quantity::BatteryLevel(Permille::from_percent(percent.into()))),
        _ => Err(Reason::OutOfRange),
    }
}

/// The sensors work from -30 to +70 °C; up to 125 °C the part still measures, and what burns is
/// hotter than it may be.
fn tenths_of_degree(value: &[u8]) -> Result<Quantity, Reason> {
    let tenths = u16_le(value).cast_signed();
    Ok(temperature(i32::from(tenths) * 100, -40_000..=125_000))
}

fn temperature_alarm(value: &[u8]) -> Result<Quantity, Reason> {
    cause(value[2], 2)?;
    tenths_of_degree(value)
}

fn distance(value: &[u8]) -> Result<Quantity, Reason> {
    let raw = u16_le(value);
    Ok(distance_or_fault(raw, raw))
}

fn distance_alarm(value: &[u8]) -> Result<Quantity, Reason> {
    cause(value[2], 3)?;
    distance(value)
}

/// Distance, by how much it jumped, cause.
fn distance_mutation(value: &[u8]) -> Result<Quantity, Reason> {
    cause(value[4], 3)?;
    distance(value)
}

/// The same with both lengths in tenths of a millimetre.
fn distance_mutation_tenths(value: &[u8]) -> Result<Quantity, Reason> {
    cause(value[4], 3)?;
    let raw = u16_le(value);
    Ok(distance_or_fault(raw, raw / 10))
}

/// Distance and 0 blind zone left, 1 in the blind zone, 2 no target, 3 sensor fault: in the last
/// three the number beside it means nothing.
fn distance_exception(value: &[u8]) -> Result<Quantity, Reason> {
    match value[2] {
        0 => distance(value),
        1 => Ok(no_distance(NoData::TooClose)),
        2 => Ok(no_distance(NoData::NoTarget)),
        3 => Ok(no_distance(NoData::SensorFault)),
        _ => Err(Reason::Payload),
    }
}

/// 0 and the numbers from 65533 on stand for "none"; nothing that hangs in a bin sees its own face.
fn distance_or_fault(raw: u16, mm: u16) -> Quantity {
    match raw {
        u16::MAX => no_distance(NoData::SensorFault),
        65_533.. => no_distance(NoData::OutOfRange),
        _ if mm == 0 || mm > DISTANCE_MAX_MM => no_distance(NoData::OutOfRange),
        _ => Quantity::Distance(Millimetres(mm.into())),
    }
}

/// Centimetres of water over the sensor, or two numbers that stand for none.
fn depth_fault(value: &[u8]) -> Option<Quantity> {
    match u16_le(value) {
        u16::MAX => Some(no(Missing::Level, NoData::SensorFault)),
        65_533 => Some(no(Missing::Level, NoData::OutOfRange)),
        _ => None,
    }
}

fn no_distance(why: NoData) -> Quantity {
    no(Missing::Distance, why)
}

/// Latitude and longitude in millionths of a degree, all ones where there is no fix, then whether it is
/// inside its fence (0 to 3) and whether it moves or is tilted (0 to 5).
fn location(value: &[u8]) -> Result<Quantity, Reason> {
    if value[8] >> 4 > 3 || value[8] & 0x0f > 5 {
        return Err(Reason::Payload);
    }
    let number = |at: usize| i32::from_le_bytes([0, 1, 2, 3].map(|i| value[at + i]));
    match (number(0), number(4)) {
        (-1, _) | (_, -1) => Ok(no(Missing::Fix, NoData::NoFix)),
        (lat, lon) => Ok(fix_e6(lat, lon)),
    }
}

fn tilted(value: &[u8]) -> Result<Quantity, Reason> {
    match value[0] {
        0 => Ok(Quantity::Tilted(false)),
        1 => Ok(Quantity::Tilted(true)),
        _ => Err(Reason::Payload),
    }
}

/// First byte of the cellular frame; no record has this channel.
const CELLULAR_START: u8 = 0x02;

/// Flag, frame count, versions, serial number, IMEI, IMSI, ICCID and signal: of no use here.
const CELLULAR_HEAD: usize = 1 + 2 + 1 + 4 + 4 + 16 + 15 + 15 + 20 + 1;

/// The records inside a cellular frame: start, id (2, big-endian; 1 is data), length of what follows
/// (2), head, length of the records (2), records.
fn cellular(payload: &[u8]) -> Result<&[u8], Reason> {
    let [CELLULAR_START, 0, 1, high, low, frame @ ..] = payload else {
        return Err(Reason::Payload);
    };
    let stated = usize::from(u16::from_be_bytes([*high, *low]));
    if frame.len() != stated {
        return Err(if frame.len() < stated { Reason::Truncated } else { Reason::Payload });
    }
    match frame.get(CELLULAR_HEAD..) {
        Some([high, low, records @ ..])
            if records.len() == usize::from(u16::from_be_bytes([*high, *low])) =>
        {
            Ok(records)
        }
        _ => Err(Reason::Payload),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::place::{Datum, Position};
    use crate::sample::{Absent, Fix};
    use crate::units::MilliCelsius;

    const fn battery(percent: i64) -> Quantity {
        Quantity::BatteryLevel(Permille::from_percent(percent))
    }

    const fn mm(mm: u32) -> Quantity {
        Quantity::Distance(Millimetres(mm))
    }

    const fn celsius(tenths: i32) -> Quantity {
        Quantity::Temperature(MilliCelsius(tenths * 100))
    }

    const TILTED: Quantity = Quantity::Tilted(true);

    const CELLULAR: &str = "020001005f00000001 30313031 30313130 36373439443139303534363930303331 \
        383638353038303634383037333530 343630303433323234323133313130 \
        3839383630343132313032323730303632383537 09 000e 01756403670b0104823b01050001";

    #[test]
    fn golden_uplinks() {
        let em400_all = vec![battery(92), celsius(257), mm(2116), TILTED];
        assert_eq!(em400(85, &bytes("01755C 03670101 04824408 050001")), Ok(em400_all.clone()));
        assert_eq!(em400(85, &bytes("8367E80001 8482410601")), Ok(vec![celsius(232), mm(1601)]));
        assert_eq!(em400(85, &bytes("8482330701")), Ok(vec![mm(1843)]));
        let cellular = vec![battery(100), celsius(267), mm(315), TILTED];
        assert_eq!(em400(85, &bytes(CELLULAR)), Ok(cellular));
        assert_eq!(
            em310_udl(85, &bytes("01755C 03824408 040001")),
            Ok(vec![battery(92), mm(2116), TILTED])
        );
        assert_eq!(em500_udl(85, &bytes("017564 03821E00")), Ok(vec![battery(100), mm(30)]));
        assert_eq!(em500_udl(85, &bytes("83E9 204E C409 02")), Ok(vec![mm(2000)]));
        // The models by their records, where the name is not known.
        assert_eq!(any_distance(85, &bytes("01755C 03670101 04824408 050001")), Ok(em400_all));
        assert_eq!(
            any_distance(85, &bytes("01755C 03824408 040001")),
            Ok(vec![battery(92), mm(2116), TILTED])
        );
    }

    fn at(lat: f64, lon: f64) -> Quantity {
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            speed: None,
            course: None,
            accuracy: None,
            satellites: None,
        })
    }

    #[test]
    fn a_tracker() {
        let moving = "017564 03671B01 050000 048836BF7701F000090722";
        let place = at(24.62495, 118.030576);
        assert_eq!(
            at101(85, &bytes(moving)),
            Ok(vec![battery(100), celsius(283), Quantity::Tilted(false), place])
        );
        let no_fix = no(Missing::Fix, NoData::NoFix);
        assert_eq!(at101(85, &bytes("0488 FFFFFFFF FFFFFFFF 20")), Ok(vec![no_fix]));
        assert_eq!(at101(85, &bytes("0488 00000000 00000000 20")), Ok(vec![no_fix]));
        let networks = "050001 06D9081CC316222DF9C302 06D90824E124F6A667B602";
        assert_eq!(at101(85, &bytes(networks)), Ok(vec![TILTED]));
        assert_eq!(at101(85, &bytes("0488 36BF7701 F0000907 42")), Err(Reason::Payload));
    }

    /// Longitude first in the history, latitude first in the present: taken for one another, a
    /// vehicle in Xiamen would be off the map.
    #[test]
    fn the_history_of_a_tracker_is_not_its_place() {
        let history = "20CE 00112233 F0000907 36BF7701 000000000000";
        assert_eq!(at101(85, &bytes(history)), Err(Reason::Payload));
        let both = format!("{history} 0488 36BF7701 F0000907 22");
        assert_eq!(at101(85, &bytes(&both)), Ok(vec![at(24.62495, 118.030576)]));
        let swapped = at101(85, &bytes("0488 F0000907 36BF7701 22")).unwrap();
        assert_eq!(swapped, [no(Missing::Fix, NoData::OutOfRange)]);
    }

    #[test]
    fn a_depth_is_not_a_distance_and_its_fault_is_told() {
        assert_eq!(em500_swl(85, &bytes("017564 03770200")), Ok(vec![battery(100)]));
        assert_eq!(em500_swl(85, &bytes("03770200")), Ok(vec![]));
        for (raw, why) in [("FFFF", NoData::SensorFault), ("FDFF", NoData::OutOfRange)] {
            let read = em500_swl(85, &bytes(&format!("017564 0377{raw}")));
            assert_eq!(read, Ok(vec![battery(100), no(Missing::Level, why)]));
        }
        assert_eq!(em500_swl(85, &bytes("017564 037702")), Err(Reason::Truncated));
        assert_eq!(em500_swl(85, &bytes("03821E00")), Err(Reason::Payload));
    }

    #[test]
    fn below_zero() {
        assert_eq!(em400(85, &bytes("0367 9CFF")), Ok(vec![celsius(-100)]));
        assert_eq!(em400(85, &bytes("0367 FFFF")), Ok(vec![celsius(-1)]));
    }

    #[test]
    fn what_cannot_be_measured_is_never_a_number() {
        for (raw, why) in [
            ("0000", NoData::OutOfRange),
            ("FDFF", NoData::OutOfRange),
            ("FFFF", NoData::SensorFault),
            ("214E", NoData::OutOfRange),
        ] {
            for record in [format!("0482{raw}"), format!("8482{raw}01")] {
                let read = em400(85, &bytes(&record));
                assert_eq!(read, Ok(vec![no_distance(why)]), "{record}");
            }
            assert_eq!(em310_udl(85, &bytes(&format!("0382{raw}"))), Ok(vec![no_distance(why)]));
        }
        assert_eq!(em400(85, &bytes("0482204E")), Ok(vec![mm(20_000)]));
        for fault in ["83E9FFFF000001", "83E9FDFF000001", "83E90900000001"] {
            let read = em500_udl(85, &bytes(fault)).unwrap();
            assert!(matches!(read[..], [Quantity::Absent(_)]), "{fault}: {read:?}");
        }
        let hot = em400(85, &bytes("0367 E304")).unwrap();
        assert!(matches!(hot[..], [Quantity::Absent(Absent { what: Missing::Temperature, .. })]));
    }

    #[test]
    fn a_radar_exception_outweighs_the_number_beside_it() {
        for (exception, why) in
            [("01", NoData::TooClose), ("02", NoData::NoTarget), ("03", NoData::SensorFault)]
        {
            let before = bytes(&format!("04824408 B4824408{exception}"));
            let after = bytes(&format!("B4824408{exception} 04824408"));
            assert_eq!(em410_rdl(85, &before), Ok(vec![no_distance(why)]));
            assert_eq!(em410_rdl(85, &after), Ok(vec![no_distance(why)]));
        }
        assert_eq!(em410_rdl(85, &bytes("B482440800")), Ok(vec![mm(2116)]));
        assert_eq!(em410_rdl(85, &bytes("9482440810 0002")), Ok(vec![mm(2116)]));
    }

    #[test]
    fn an_alarm_beside_the_regular_record_is_one_distance() {
        assert_eq!(em400(85, &bytes("04824408 8482410601")), Ok(vec![mm(1601)]));
    }

    #[test]
    fn about_the_device_only_is_no_sample_and_history_only_is_refused() {
        let joined = "ff0bff ff0101 ff166329c42503920003 ff090100 ff0a0101 ff0f00";
        assert_eq!(em400(85, &bytes(joined)), Ok(vec![]));
        assert_eq!(em400(85, &bytes("0688 00000000 00000000 20")), Ok(vec![]));
        let history = "20CE 00112233 4408";
        assert_eq!(em500_udl(85, &bytes(history)), Err(Reason::Payload));
        assert_eq!(em500_udl(85, &bytes(&format!("03821E00{history}"))), Ok(vec![mm(30)]));
        assert_eq!(em400(85, &[]), Err(Reason::Payload));
    }

    #[test]
    fn what_is_not_understood_to_the_end_is_refused() {
        for (payload, reason) in [
            ("01755C 0377 0200", Reason::Payload),
            ("0377 0200 01755C", Reason::Payload),
            ("01755C 0482 44", Reason::Truncated),
            ("01755C 04", Reason::Truncated),
            ("0175 65", Reason::OutOfRange),
            ("0500 02", Reason::Payload),
            ("8482 4106 03", Reason::Payload),
            ("8367 E800 02", Reason::Payload),
            // Records of other models.
            ("0382 4408", Reason::Payload),
            ("20CE 00112233 4408", Reason::Payload),
        ] {
            assert_eq!(em400(85, &bytes(payload)), Err(reason), "{payload}");
        }
        assert_eq!(em400(2, &bytes("01755C")), Err(Reason::Port));
    }

    #[test]
    fn every_cut_of_the_cellular_frame_is_refused() {
        let whole = bytes(CELLULAR);
        for length in 0..whole.len() {
            assert!(em400(85, &whole[..length]).is_err(), "{length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(em400(85, &longer), Err(Reason::Payload));
        let mut other_id = whole;
        other_id[2] = 2;
        assert_eq!(em400(85, &other_id), Err(Reason::Payload));
    }

    #[test]
    fn a_leak_is_not_a_tilt() {
        assert_eq!(any_distance(85, &bytes("050001")), Err(Reason::Payload));
        assert_eq!(any_distance(85, &bytes("01755C 0400 01")), Err(Reason::Payload));
        let read = any_distance(85, &bytes("0482FFFF 050001")).unwrap();
        assert_eq!(read, [no_distance(NoData::SensorFault), TILTED]);
    }
}
