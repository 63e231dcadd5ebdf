//! `config/steward.toml` shows every key, and every default as it is.

use super::super::*;
use super::{faults, folder};

const REFERENCE: &str = include_str!("../../../../config/steward.toml");

/// What a configuration says, without the hash of how it is written.
fn meaning(text: &str) -> String {
    let mut config = load_text("t.toml", text).unwrap_or_else(|faults| panic!("{faults}")).config;
    config.hash.clear();
    format!("{config:?}")
}

/// The lines `key = value` of a text, with their numbers.
fn settings(text: &str) -> Vec<(usize, &str)> {
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    let setting = |line: &&str| {
        let rest = line.trim_start_matches(is_key);
        rest.len() < line.len() && rest.starts_with(" = ")
    };
    text.lines().enumerate().filter(|(_, line)| setting(line)).collect()
}

fn without(text: &str, number: usize) -> String {
    let lines = text.lines().enumerate().filter(|(n, _)| *n != number);
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

/// Whether the remark above a line of the reference, or above the same key before it, says that the key
/// is required.
fn required(text: &str, number: usize) -> bool {
    let lines: Vec<_> = text.lines().collect();
    let above = lines[..number].iter().rev().take_while(|line| line.starts_with('#'));
    above.last().is_some_and(|line| line.starts_with("# Required."))
}

#[test]
fn the_reference_shows_every_default() {
    let whole = meaning(REFERENCE);
    let settings = settings(REFERENCE);
    assert!(settings.len() > 60, "{}", settings.len());
    for (number, line) in settings {
        let rest = without(REFERENCE, number);
        match load_text("t.toml", &rest) {
            Ok(_) => assert_eq!(meaning(&rest), whole, "{line} is not the default"),
            Err(faults) => {
                let key = line.split(' ').next().unwrap();
                let said = faults.to_string();
                let missing = said.contains(&format!("{key:?} is missing"))
                    || said.contains("does not say when")
                    || said.contains("names no message");
                assert!(missing, "{line}: {said}");
            }
        }
        if required(REFERENCE, number) {
            assert!(load_text("t.toml", &rest).is_err(), "{line} is not required");
        }
    }
}

/// The reference with every example switched on.
fn reference_with_examples() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(example) if settings(example).len() == 1 => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    REFERENCE.lines().map(line).collect()
}

#[test]
fn the_examples_of_the_reference_are_right() {
    let folder = folder(&[("rules/none.txt", b"")]);
    let path = folder.path().join("box.toml");
    let mut examples = 0;
    for (number, line) in REFERENCE.lines().enumerate() {
        let Some(example) = line.strip_prefix('#').filter(|text| settings(text).len() == 1) else {
            continue;
        };
        examples += 1;
        let text: Vec<_> = REFERENCE.lines().collect();
        let text = [&text[..number], &[example], &text[number + 1..]].concat().join("\n");
        std::fs::write(&path, text).unwrap();
        let Err(faults) = load(&path) else { continue };
        // Files that are not on this machine, and a key that needs another one changed with it.
        let expected = |fault: &Fault| {
            fault.cause.contains("there is no such file")
                || fault.cause.contains("without TLS has no certificates")
                || fault.cause.contains("only devices of a network server have a codec")
                || fault.cause.contains("is of no use w")
                || fault.cause.contains("it has an interface and a file")
                || fault.cause.contains("it has several ways to its pictures")
                || fault.cause.contains("built without USB cameras")
                || fault.cause.contains("belong together")
                || fault.cause.contains("is yes or no")
        };
        let errors = || faults.all().iter().filter(|fault| fault.level == Level::Error);
        assert!(errors().all(expected), "{example}: {faults}");
    }
    assert!(examples > 20, "{examples}");
}

/// A key that nobody knows is put into every section: the faults then list all that are known, and each
/// of them must stand in that section of the reference.
#[test]
fn the_reference_has_every_key() {
    const STRANGER: &str = "xxxxxxxxxxxxxxxxxxxxxxxx";
    let text = reference_with_examples();
    let mut strange = String::new();
    for line in text.lines() {
        strange += &line.replace("{ lat", &format!("{{ {STRANGER} = 1, lat"));
        strange += "\n";
        if line.starts_with('[') {
            strange += &format!("{STRANGER} = 1\n");
        }
    }
    let found: Vec<_> =
        faults(&strange).into_iter().filter(|fault| fault.cause.contains(STRANGER)).collect();
    let sections = strange.matches(STRANGER).count();
    assert!(sections > 15 && found.len() == sections, "{sections}: {}", Faults::from(found));
    let lines: Vec<_> = strange.lines().collect();
    for fault in found {
        let from = fault.place.line - 1;
        let inline = !lines[from].starts_with(STRANGER);
        let to =
            lines[from..].iter().position(|l| l.starts_with('[')).map_or(lines.len(), |n| from + n);
        let section = if inline { lines[from].to_owned() } else { lines[from..to].join("\n") };
        let known = fault.fix.strip_prefix("there are: ").unwrap();
        for key in known.split(", ").filter(|key| !is_explained_elsewhere(key, &fault.cause)) {
            let written = format!("{key} = ");
            let stands = section.lines().any(|line| line.starts_with(&written))
                || (inline && section.contains(&written));
            assert!(stands, "{key} is not in the reference: {}", fault.cause);
        }
    }
}

/// Keys that are known in order to be refused, or that stand in another section of the same kind.
fn is_explained_elsewhere(key: &str, cause: &str) -> bool {
    let of_rules = "version hold readings quiet escalate evidence above below outside rises falls missing \
                    stuck in_zone out_of_zone count forecast rises_to falls_to sees during overstay silent \
                    all any not";
    let of_rules: Vec<&str> = of_rules.split_whitespace().collect();
    match key {
        "password" => true,
        // As for the box's own broker.
        "cert_file" | "key_file" => cause.contains("[[source]]"),
        "when" => REFERENCE.contains("[rule.when]"),
        // One of two ways to name a message.
        "id" | "extended" | "pgn" | "source_address" if cause.contains("signal") => true,
        key if REFERENCE.contains(&format!(".{key}]")) => true,
        "datum" => cause.contains("position"),
        // As for bays; the vehicle of the reference has a receiver, which has neither.
        "device" | "codec" => cause.contains("[[vehicle]]"),
        key => cause.contains("[[rule]]") && of_rules.contains(&key),
    }
}
