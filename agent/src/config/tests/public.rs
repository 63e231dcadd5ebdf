//! Who may ask from outside: Open311, and signed commands.

use domain::ids::{Category, Requester};
use domain::time::Span;

use super::super::*;
use super::folder;

const BOX: &str = "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n\
    [mqtt]\nurl = \"mqtt://127.0.0.1\"\n";

fn loaded(more: &str) -> Result<Config, String> {
    let keys = b"0123456789abcdef\n\nanother-key-of-mine\n";
    let text = [BOX, more].concat();
    let folder = folder(&[
        ("keys", keys),
        ("short", b"secret\n"),
        ("duty", b"0123456789abcdef0123456789abcdef\n"),
        ("box.toml", text.as_bytes()),
    ]);
    let loaded = load(&folder.path().join("box.toml"));
    loaded.map(|loaded| loaded.config).map_err(|faults| faults.to_string())
}

#[test]
fn the_public_may_report_what_is_the_citys_when_that_is_switched_on() {
    assert!(loaded("[open311]\nreach_m = 7\n").unwrap().open311.is_none());
    let settings = loaded("[open311]\nenabled = true\n").unwrap().open311.unwrap();
    let offered: Vec<&str> = settings.offer.services.iter().map(Category::as_str).collect();
    assert!(offered.contains(&"bin_overflow") && !offered.contains(&"node_fault"), "{offered:?}");
    assert_eq!((settings.reports_per_hour, settings.reports_per_hour_all), (20, 600));
    assert_eq!(settings.keep, Span::from_mins(90 * 24 * 60));
    // As the reference shows it, switched on.
    let reference = include_str!("../../../../config/steward.toml");
    let section = reference.split("[open311]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let shown = format!("[open311]\n{}", section.replace("enabled = false", "enabled = true"));
    assert_eq!(loaded(&shown).unwrap().open311.unwrap(), settings);
}

#[test]
fn an_endpoint_that_cannot_be_meant_is_refused() {
    for (more, part) in [
        ("[open311]\nenabled = true\n[http]\nenabled = false\n", "switched off"),
        ("[open311]\nkey_required = true\n", "a key is required, and there is none"),
        ("[open311]\nkeys_file = \"short\"\n", "fewer than 16 characters"),
        ("[open311]\nservices = [\"bin_overfull\"]\n", "did you mean \"bin_overflow\"?"),
        ("[open311]\nservices = []\n", "nothing may be reported"),
        ("[open311]\nphoto_max = \"8MiB\"\nphotos_max = \"4MiB\"\n", "no room for one photo"),
        ("[open311]\nlanguage = \"fr\"\n", "language"),
        ("[open311]\nurl = \"311.example.org\"\n", "no endpoint"),
    ] {
        let said = loaded(more).unwrap_err();
        assert!(said.contains(part), "{more}: {said}");
    }
    let keys = loaded("[open311]\nenabled = true\nkeys_file = \"keys\"\n").unwrap();
    let keys = keys.open311.unwrap().keys;
    let keys: Vec<&str> = keys.iter().map(Secret::reveal).collect();
    assert_eq!(keys, ["0123456789abcdef", "another-key-of-mine"]);
}

#[test]
fn actors_have_one_key_each() {
    let good = "[[actor]]\nby = \"duty-1\"\nsecret_file = \"duty\"\n\
        [[actor]]\nby = \"platform\"\ned25519 = \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"\n\
        [commands]\nsigned = true\n";
    let actors = loaded(good).unwrap().actors;
    assert!(actors.required && actors.keys.contains_key(&Requester::new("platform").unwrap()));
    assert!(!format!("{actors:?}").contains("0123"), "secrets are not printed");
    for (more, part) in [
        ("[[actor]]\nby = \"duty-1\"\n", "the actor has no key"),
        ("[[actor]]\nby = \"duty-1\"\nsecret_file = \"short\"\n", "openssl rand -hex 32"),
        ("[[actor]]\nby = \"duty-1\"\ned25519 = \"abc\"\n", "no Ed25519 key"),
        (
            "[[actor]]\nby = \"a\"\nsecret_file = \"duty\"\n[[actor]]\nby = \"a\"\nsecret_file = \"duty\"\n",
            "is there twice",
        ),
        ("[commands]\nsigned = true\n", "nobody has a key"),
        ("[[crew]]\nid = \"a\"\nvehicles = [\"truck\"]\n", "no vehicle \"truck\""),
        ("[[crew]]\nid = \"a\"\ncards = [\"xyz\"]\n", "hexadecimal"),
        (
            "[[crew]]\nid = \"a\"\ncards = [\"0a\"]\n[[crew]]\nid = \"b\"\ncards = [\"0A\"]\n",
            "belongs to a and to b",
        ),
    ] {
        let said = loaded(more).unwrap_err();
        assert!(said.contains(part), "{more}: {said}");
    }
}
