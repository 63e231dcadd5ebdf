//! Frames of vehicle terminals as they come over the air: batches, two layouts, escapes, damage.

use domain::decode::jt808::Link;
use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::SourceName;
use domain::sample::{Quantity, Sample};

use super::street::{Street, config};
use crate::jt808_frames::bytes;

/// A batch that was kept while there was no link; the second item says that it knows no place.
const BATCH: &str = "7E0704005311223344556622B80002000026000000010000000200BA7F0E07E4F11C0028003C00001807\
                     15101010010400000064020200370026000000020000000100CB735507E6A323002900360078180715\
                     10301001040000006002020042D47E";
/// A location with a serial number and a fuel level that have to be escaped (7E and 7D).
const ESCAPED: &str = "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C000018101510\
                       10100104000000640202007D01137E";
/// A real device that says that it speaks the layout of 2019 and speaks that of 2013.
const OLD_LAYOUT: &str = "7e0200406c010030000681090e00000000000c0003026c936f074c794c0004036300d721062515\
                          5739010400000000052801cc00210625155739054145bbc91e4145a2fa1141450000004145bbc81941\
                          45a1370a4145000000240200002a0200002b04000000003001153101125f0a8986041823187085062075\
                          7e";

fn hear(bytes: &[u8], street: &Street) -> (Vec<Sample>, Tally) {
    let (mut link, mut samples) = (Link::new(SourceName::new("fleet").unwrap()), vec![]);
    link.feed(Raw::Bytes(bytes), street.now.utc, &mut samples);
    link.finish(&mut samples);
    let tally = link.tally().clone();
    (samples, tally)
}

fn places(samples: &[Sample]) -> Vec<(f64, f64)> {
    let quantities = samples.iter().flat_map(|sample| &sample.quantities);
    let place = |quantity: &Quantity| match quantity {
        Quantity::Fix(fix) => Some((fix.position.lat(), fix.position.lon())),
        _ => None,
    };
    quantities.filter_map(place).collect()
}

fn vehicle(id: &str, phone: &str) -> String {
    format!(
        "[[vehicle]]\nid = \"{id}\"\nkind = \"sweeper\"\nsource = \"fleet\"\ndevice = \"{phone}\"\n"
    )
}

#[test]
fn scenario_10_batches_layouts_escapes_and_damage_become_what_was_meant_or_a_reason() {
    let fleet = "[[source]]\nname = \"fleet\"\nkind = \"jt808\"\n".to_owned()
        + &vehicle("v-batch", "112233445566")
        + &vehicle("v-escaped", "123456789012")
        + &vehicle("v-old", "10030000681");
    let mut street = Street::at(&(config(&[]) + &fleet), "2026-06-01T09:00:00+08:00");
    let mut take = |hex: &str| {
        let (samples, tally) = hear(&bytes(hex), &street);
        assert!(tally.rejected.is_empty(), "{hex}: {tally:?}");
        samples.iter().cloned().for_each(|sample| street.take_sample(sample));
        places(&samples)
    };
    assert_eq!(take(BATCH), [(12.222_222, 132.444_444)], "the item without a place has none");
    assert_eq!(take(ESCAPED), [(12.222_222, 132.444_444)]);
    assert_eq!(take(OLD_LAYOUT), [(40.670_063, 122.452_3)]);
    assert_eq!(street.rejected, 0);
    for id in ["v-escaped", "v-old"] {
        assert_eq!(street.state(id)["fixes"], 1, "{id}");
    }
    let batch = street.state("v-batch");
    assert_eq!(batch["fixes"], 1);
    assert!(batch["position"].is_null() && batch["reason"] == "no_fix", "{batch:?}");
    // A wrong check byte, and a frame that the line cut off: nothing of it is taken, and both are counted.
    let mut wrong = bytes(ESCAPED);
    let check = wrong.len() - 2;
    wrong[check] ^= 1;
    let (samples, tally) = hear(&wrong, &street);
    assert_eq!((samples.len(), tally.rejected.get(&Reason::Checksum)), (0, Some(&1)));
    let whole = bytes(OLD_LAYOUT);
    for length in 1..whole.len() - 1 {
        let mut cut = whole[..length].to_vec();
        // The next frame is whole: it is heard whatever was before it.
        cut.extend(bytes(ESCAPED));
        let (samples, tally) = hear(&cut, &street);
        assert_eq!(places(&samples), [(12.222_222, 132.444_444)], "cut at {length}");
        let lost = tally.rejected.values().sum::<u64>();
        assert!(lost == 1 || length == 1, "cut at {length}: {tally:?}");
    }
}
