//! The invariants of ARCHITECTURE.md that a look at the source can check.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below `dir`, with its path from the root.
fn sources(dir: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 1, "{dir} has sources");
    found
}

/// Lines of code, without comments and without the tests beside it.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let own = text.lines().take_while(|line| *line != "#[cfg(test)]");
    own.filter(|line| !line.trim_start().starts_with("//"))
}

/// The files outside `allowed` whose code names one of `words`.
fn naming(files: &[(String, String)], words: &[&str], allowed: &str) -> Vec<String> {
    let names = |text: &str| code(text).any(|line| words.iter().any(|word| line.contains(word)));
    let outside = files.iter().filter(|(name, _)| !name.starts_with(allowed));
    outside.filter(|(_, text)| names(text)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_core_knows_no_world() {
    let core = sources("agent/domain/src");
    let world =
        ["tokio", "sled::", "rumqttc", "rppal", "tracing", "std::fs", "std::net", "std::env"];
    assert_eq!(naming(&core, &world, "-"), Vec::<String>::new());
    let clocks = ["Instant::now", "SystemTime", "Timestamp::now", "Zoned::now"];
    assert_eq!(naming(&core, &clocks, "-"), Vec::<String>::new());
    assert_eq!(naming(&core, &["HashMap", "HashSet"], "-"), Vec::<String>::new());
}

#[test]
fn each_crate_with_teeth_has_one_room() {
    let agent = sources("agent/src");
    assert_eq!(naming(&agent, &["sled::"], "agent/src/outbox/"), Vec::<String>::new());
    assert_eq!(naming(&agent, &["rppal"], "agent/src/sources/local.rs"), Vec::<String>::new());
    let broker_clients = ["agent/src/mqtt/"];
    assert_eq!(naming(&agent, &["rumqttc::"], broker_clients[0]), Vec::<String>::new());
    let clocks = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];
    assert_eq!(naming(&agent, &clocks, "agent/src/clock.rs"), Vec::<String>::new());
    assert_eq!(naming(&agent, &["catch_unwind"], "agent/src/outbox/"), Vec::<String>::new());
}

#[test]
fn the_firmware_needs_no_std() {
    for package in ["wire", "drivers", "."] {
        let lib = root().join("firmware").join(package).join("src/lib.rs");
        let text = fs::read_to_string(&lib).unwrap();
        assert!(text.contains("no_std"), "{}", lib.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
    let files: Vec<_> = ["agent/src", "agent/domain/src", "firmware/src", "firmware/wire/src"]
        .into_iter()
        .flat_map(sources)
        .collect();
    let left: Vec<_> = files
        .iter()
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
        .map(|(name, _)| name)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The words that the page knows for one thing, in the order of its list.
fn words_of_the_page(file: &str, list: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("agent/dashboard/src/picture").join(file)).unwrap();
    let from = text.find(&format!("export const {list} = [")).unwrap();
    let until = from + text[from..].find(']').unwrap();
    text[from..until].split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_knows_every_state_that_a_box_tells() {
    use domain::{tickets, waste};
    let word = |state: serde_json::Value| state.as_str().unwrap().to_owned();
    let tickets = tickets::State::ALL.map(|state| word(serde_json::to_value(state).unwrap()));
    assert_eq!(words_of_the_page("ticket.ts", "TICKET_STATES"), tickets);
    let mut bins = waste::Status::ALL.map(|status| word(serde_json::to_value(status).unwrap()));
    let mut known = words_of_the_page("model.ts", "BIN_STATUSES");
    bins.sort();
    known.sort();
    assert_eq!(known, bins);
}

#[test]
fn every_defence_that_is_promised_has_its_test() {
    let tests: Vec<_> = ["agent", "tests", "firmware"].into_iter().flat_map(sources).collect();
    let is_test = |name: &str| {
        let head = format!("fn {name}(");
        tests.iter().any(|(_, text)| {
            text.match_indices(&head).any(|(at, _)| {
                // Its attribute stands above it; inside proptest! as well.
                let above = &text[text[..at].rfind("\n\n").unwrap_or(0)..at];
                above.contains("#[test]") || above.contains("#[tokio::test")
            })
        })
    };
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if cell == "test" {
            continue;
        }
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "a threat without a test: {row}");
        for name in names {
            named += 1;
            assert!(is_test(name), "there is no test {name}");
        }
    }
    assert!(named > 40, "{named}");
}
