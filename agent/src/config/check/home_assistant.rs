//! `[home_assistant]`: whether the box is a device there.

use super::super::section::{Tree, Value};
use super::super::values;
use crate::home_assistant::HomeAssistant;

/// `None`: switched off, or wrong.
pub(super) fn read<'a>(tree: &'a Tree<'a>) -> Option<HomeAssistant> {
    let section = tree.table("home_assistant")?;
    let enabled = section.or("enabled", false, values::boolean);
    let prefix = section.or("prefix", "homeassistant".to_owned(), level);
    section.finish();
    enabled.then_some(HomeAssistant { prefix })
}

/// One level of a topic.
fn level(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("a level of a topic such as \"homeassistant\"")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.is_empty() || !text.chars().all(plain) {
        let cause = format!("{text:?} is no level of a topic");
        value.error(cause, "write letters, digits, _ and -, as in Home Assistant's own settings");
        return None;
    }
    Some(text.to_owned())
}
