//! `[open311]`: what the public may report, and how much of it.

use std::collections::BTreeMap;

use domain::ids::Category;
use domain::open311::Offer;
use domain::site::CategorySpec;
use domain::time::Span;

use super::super::fault::did_you_mean;
use super::super::public::Open311;
use super::super::section::{Section, Tree, Value};
use super::super::{Secret, defaults, values};
use super::MIB;

/// The shortest key of a program.
const KEY_MIN: usize = 16;
/// The longest list of keys.
const KEYS_MAX: u64 = 64 * 1024;

/// `None`: switched off, or wrong.
pub(super) fn read<'a>(
    tree: &'a Tree<'a>,
    categories: &BTreeMap<Category, CategorySpec>,
) -> Option<Open311> {
    let section = tree.table("open311")?;
    let enabled = section.or("enabled", false, values::boolean);
    let read = settings(&section, categories);
    section.finish();
    enabled.then_some(read)
}

fn settings(section: &Section<'_>, categories: &BTreeMap<Category, CategorySpec>) -> Open311 {
    let count = |max| values::integer(1..=max);
    let days = |n: u64| Span::from_mins(n * 24 * 60);
    let keys = section.optional("keys_file", keys).unwrap_or_default();
    let key_required = section.or("key_required", false, values::boolean);
    if key_required && keys.is_empty() {
        let cause = "a key is required, and there is none".to_owned();
        section.report.error(section.at, cause, "name a file with one key a line in keys_file");
    }
    let photo_max =
        section.or("photo_max", defaults::PHOTO_MAX, values::size(64 * 1024..=32 * MIB));
    let photos = values::size(MIB..=1024 * 1024 * MIB);
    let photos_max = section.or("photos_max", defaults::PHOTOS_MAX, photos);
    if photos_max < photo_max {
        let cause = "photos_max has no room for one photo of photo_max".to_owned();
        section.report.error(section.at, cause, "make photos_max at least as large as photo_max");
    }
    Open311 {
        offer: Offer {
            services: section
                .optional("services", |value| services(value, categories))
                .unwrap_or_else(|| all_of_the_city(categories)),
            language: section.or("language", "zh".to_owned(), language),
            reach_m: section.or("reach_m", defaults::REACH_M, count(1_000_000)),
        },
        url: section.optional("url", url),
        contact: section.or("contact", defaults::CONTACT.to_owned(), values::name),
        jurisdiction: section.optional("jurisdiction", values::name),
        keys,
        key_required,
        reports_per_hour: section.or("reports_per_hour", defaults::REPORTS_PER_HOUR, count(10_000)),
        reports_per_hour_all: section.or(
            "reports_per_hour_all",
            defaults::REPORTS_PER_HOUR_ALL,
            count(100_000),
        ),
        photo_max,
        photos_max,
        keep: section.or("keep", defaults::KEEP_PERSONS, values::span(days(1)..=days(366))),
        behind_proxy: section.or("behind_proxy", false, values::boolean),
    }
}

/// Everything but what is the operator's own business.
fn all_of_the_city(categories: &BTreeMap<Category, CategorySpec>) -> Vec<Category> {
    let public = categories.iter().filter(|(_, spec)| !spec.internal);
    public.map(|(category, _)| category.clone()).collect()
}

fn services(
    value: &Value<'_>,
    categories: &BTreeMap<Category, CategorySpec>,
) -> Option<Vec<Category>> {
    let one = |item: &Value<'_>| {
        let text = item.as_text("a kind of problem such as \"bin_overflow\"")?;
        let category = Category::new(text).ok().filter(|known| categories.contains_key(known));
        if category.is_none() {
            let fix = did_you_mean(text, categories.keys().map(Category::as_str));
            item.error(format!("no category {text:?}"), fix);
        }
        category
    };
    let found: Vec<Category> =
        value.items("\"bin_overflow\"")?.iter().map(one).collect::<Option<_>>()?;
    if found.is_empty() {
        value.error("nothing may be reported".to_owned(), "name a category, or leave the key out");
        return None;
    }
    Some(found)
}

fn language(value: &Value<'_>) -> Option<String> {
    values::word(&[("zh", "zh"), ("en", "en")])(value).map(str::to_owned)
}

fn url(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("a url such as \"https://311.example.org/open311/v2\"")?;
    let fits = text.starts_with("https://") || text.starts_with("http://");
    if !fits || text.contains(|c: char| c.is_whitespace() || c.is_control() || "?#\"<>".contains(c))
    {
        let fix = "write https://host/path, as the public reaches it";
        value.error(format!("{text:?} is no endpoint"), fix);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// One key a line.
fn keys(value: &Value<'_>) -> Option<Vec<Secret>> {
    let text = super::broker::text_of_file(value, KEYS_MAX)?;
    let keys: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(short) = keys.iter().position(|key| key.len() < KEY_MIN) {
        let cause = format!("key {} of the file has fewer than {KEY_MIN} characters", short + 1);
        value.error(cause, "write keys that nobody can guess");
        return None;
    }
    Some(keys.into_iter().map(|key| Secret::new(key.to_owned())).collect())
}
