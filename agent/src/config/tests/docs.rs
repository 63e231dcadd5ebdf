//! Every section that `docs/sources.md` shows is a configuration that works.

use std::collections::BTreeSet;

use super::super::*;
use super::folder;
use crate::sources::kind;

const SOURCES: &str = include_str!("../../../../docs/sources.md");

const HEAD: &str = "[box]\nid = \"xj-0412\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\n\
    timezone = \"Asia/Shanghai\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n";

#[test]
fn every_section_of_the_documentation_of_sources_is_right() {
    let secrets: [(&str, &[u8]); 4] = [
        ("ttn.password", b"x"),
        ("webhook.token", b"x"),
        ("fleet.key", b"x"),
        ("person.key", &[b'x'; 32]),
    ];
    let folder = folder(&secrets);
    for (name, _) in secrets {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    let path = folder.path().join("box.toml");
    let mut kinds = BTreeSet::new();
    let blocks: Vec<&str> =
        SOURCES.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for block in &blocks {
        let block = block.replace("/etc/steward", folder.path().to_str().unwrap());
        std::fs::write(&path, format!("{HEAD}{block}")).unwrap();
        let loaded = load(&path).unwrap_or_else(|faults| panic!("{block}\n{faults}"));
        let warnings: Vec<_> = loaded.warnings.iter().map(|w| w.cause.clone()).collect();
        assert_eq!(warnings, Vec::<String>::new(), "{block}");
        assert!(!loaded.config.site.assets.is_empty(), "{block}");
        kinds.extend(loaded.config.sources.iter().map(|source| kind(&source.kind)));
    }
    let headings = SOURCES.lines().filter_map(|line| line.strip_prefix("## `")?.split('`').next());
    assert_eq!(kinds, headings.collect(), "each kind has its section");
    assert_eq!(kinds.len(), if cfg!(feature = "vision") { 13 } else { 12 });
}

const RULES: &str = include_str!("../../../../docs/rules.md");

#[test]
fn every_rule_of_the_documentation_does_what_its_examples_say() {
    let blocks = RULES.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut rules = 0;
    for block in blocks {
        let text = format!("{HEAD}{block}");
        let loaded =
            load_text("rules.md", &text).unwrap_or_else(|faults| panic!("{block}\n{faults}"));
        rules += loaded.config.site.rules.len() - check::built_in_rules().len();
    }
    assert!(rules >= 10, "{rules}");
}
