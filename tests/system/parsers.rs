//! The short form of `make fuzz`: every parser of bytes from outside on right input, on right input with
//! things wrong with it, and on noise. The chance is the same in every run.

use system_tests::parsers::{Chance, PARSERS, Parser, spoiled};

/// Spoiled inputs for each parser.
const ROUNDS: usize = 4000;
/// For those that need milliseconds for one.
const ROUNDS_OF_FILES: usize = 150;

#[test]
fn every_parser_understands_what_it_starts_from() {
    for Parser { name, feed, seeds } in PARSERS {
        let (read, refused): (Vec<_>, Vec<_>) = seeds().into_iter().partition(|seed| feed(seed));
        assert!(!read.is_empty(), "{name}");
        let all_are_right = !["lorawan", "config"].contains(&name);
        if let (true, Some(refused)) = (all_are_right, refused.first()) {
            panic!("{name} refused {}", String::from_utf8_lossy(refused));
        }
    }
}

#[test]
fn spoiled_input_breaks_no_promise() {
    for Parser { name, feed, seeds } in PARSERS {
        let (seeds, mut chance) = (seeds(), Chance::new(0x5eed));
        let rounds = if name == "config" { ROUNDS_OF_FILES } else { ROUNDS };
        for _ in 0..rounds {
            let (one, other) =
                (&seeds[chance.below(seeds.len())], &seeds[chance.below(seeds.len())]);
            feed(&spoiled(one, other, &mut chance));
        }
    }
}

#[test]
fn noise_is_survived_by_all() {
    let mut chance = Chance::new(0xbad);
    for _ in 0..300 {
        let length = chance.below(600);
        let noise: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        PARSERS.iter().for_each(|parser| _ = (parser.feed)(&noise));
    }
}
