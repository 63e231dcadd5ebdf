//! The catalogue of ticket categories: what each symbol is called, and its codes on the platforms of
//! cities. The whole table is `config/categories.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::ids::{Category, Class};
use domain::site::{CategoryCode, CategorySpec};
use serde::Deserialize;

const CATALOGUE: &str = include_str!("../../../config/categories.toml");

/// One kind of ticket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryEntry {
    /// The word in rules and tickets.
    pub symbol: String,
    /// What people call it, by language tag.
    pub names: BTreeMap<String, String>,
    /// Its codes; none where no platform has one.
    #[serde(default)]
    pub codes: Vec<Code>,
    /// The class of assets that it is about, where it is about one.
    #[serde(default)]
    pub class: Option<Class>,
    /// Reports nearer to each other than this are of the same problem, in metres; 0: never.
    #[serde(default = "radius")]
    pub radius_m: u32,
    /// Whether a person has to look before a ticket is raised that only a camera asks for.
    #[serde(default)]
    pub review: bool,
    /// Whether it stays inside the operator's house, and out of the figures of the city.
    #[serde(default)]
    pub internal: bool,
    /// What tells it from its neighbours.
    #[serde(default)]
    pub remark: Option<String>,
}

/// A code of a platform or standard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Which list of codes.
    pub scheme: String,
    /// The code space: `component` (something installed) or `matter` (something that happened). The
    /// same digits mean different things in the two.
    pub kind: CodeKind,
    /// The code itself, with its leading zeros.
    pub code: String,
    /// Whether it is an extension that only some places have.
    #[serde(default)]
    pub local: bool,
    /// Whether it was compared with a transcription of the standard.
    #[serde(default)]
    pub verified: bool,
    /// Which of several it is, where the symbol alone does not tell.
    #[serde(default)]
    pub of: Option<String>,
}

/// The two code spaces of urban management.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeKind {
    /// Something installed.
    Component,
    /// Something that happened.
    Matter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    category: Vec<CategoryEntry>,
}

/// Every category, in the order of the file.
pub fn catalogue() -> &'static [CategoryEntry] {
    static READ: LazyLock<Vec<CategoryEntry>> = LazyLock::new(|| {
        let read: Catalogue = toml::from_str(CATALOGUE).expect("the catalogue is valid: tested");
        read.category
    });
    &READ
}

/// Reports of most things are within the error of two receivers of each other.
const fn radius() -> u32 {
    30
}

/// What tickets need to know of each kind.
pub(super) fn specs() -> BTreeMap<Category, CategorySpec> {
    let code = |code: &Code| CategoryCode {
        scheme: code.scheme.clone(),
        kind: match code.kind {
            CodeKind::Component => "component".to_owned(),
            CodeKind::Matter => "matter".to_owned(),
        },
        code: code.code.clone(),
        local: code.local,
    };
    let spec = |entry: &CategoryEntry| {
        let symbol = Category::new(&entry.symbol).expect("the catalogue has symbols: tested");
        let spec = CategorySpec {
            names: entry.names.clone(),
            codes: entry.codes.iter().map(code).collect(),
            class: entry.class,
            radius_m: entry.radius_m,
            review: entry.review,
            internal: entry.internal,
        };
        (symbol, spec)
    };
    catalogue().iter().map(spec).collect()
}

/// Every symbol.
pub(super) fn symbols() -> Vec<&'static str> {
    catalogue().iter().map(|entry| entry.symbol.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_entry_is_a_symbol_with_both_names_and_sound_codes() {
        let mut seen = BTreeSet::new();
        let mut used = BTreeMap::new();
        for entry in catalogue() {
            assert!(Category::new(&entry.symbol).is_ok(), "{}", entry.symbol);
            assert!(seen.insert(&entry.symbol), "{} is there twice", entry.symbol);
            assert!(["zh", "en"].iter().all(|l| entry.names.contains_key(*l)), "{}", entry.symbol);
            for code in &entry.codes {
                let key = (&code.scheme, code.kind, &code.code);
                let other = used.insert(key, &entry.symbol);
                assert_eq!(other, None, "{key:?} belongs to {} too", entry.symbol);
                if code.scheme == "GB/T47678.5" {
                    assert!(code.code.len() == 5 && code.code.bytes().all(|b| b.is_ascii_digit()));
                    // The two leading digits tell the code space: components to 05, matters from 06.
                    let kind =
                        if *code.code < *"06" { CodeKind::Component } else { CodeKind::Matter };
                    assert_eq!(code.kind, kind, "{}", entry.symbol);
                }
            }
        }
        assert!(seen.len() >= 44, "{}", seen.len());
    }

    #[test]
    fn the_codes_of_what_the_box_sees_itself() {
        let code = |symbol: &str| {
            let entry = catalogue().iter().find(|entry| entry.symbol == symbol).unwrap();
            entry.codes.iter().find(|c| c.scheme == "GB/T47678.5").map(|c| c.code.as_str())
        };
        assert_eq!(code("bin_overflow"), Some("06042"));
        assert_eq!(code("bin_fault"), Some("03005"));
        assert_eq!(code("parking_device_fault"), Some("02003"));
        assert_eq!(code("illegal_parking"), Some("09009"));
        assert_eq!(code("bin_fire"), None);
        assert_eq!(code("overstay"), None);
    }
}
