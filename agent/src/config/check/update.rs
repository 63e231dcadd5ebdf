//! `[update]`: whose packages are installed by command.

use std::path::PathBuf;

use minisign_verify::PublicKey;

use super::super::section::{Tree, Value};
use super::super::{defaults, values};
use super::{MIB, broker};
use crate::update::Settings;
use crate::update::install::STATE_DIR;

/// `None`: nobody's.
pub(super) fn read<'a>(tree: &'a Tree<'a>) -> Option<Settings> {
    let section = tree.table("update")?;
    let key = section.optional("public_key", public_key);
    let size = values::size(MIB..=1024 * 1024 * MIB);
    let settings = Settings {
        key: key.clone().unwrap_or_default(),
        size_max: section.or("size_max", defaults::PACKAGE_MAX, size),
        allow_downgrade: section.or("allow_downgrade", false, values::boolean),
        ca_file: section.optional("ca_file", |value| broker::certificates(value, false)),
        state_dir: section.or("state_dir", PathBuf::from(STATE_DIR), values::path),
    };
    section.finish();
    key.map(|_| settings)
}

/// As minisign writes it into the second line of its file: "RW…".
fn public_key(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("a key of minisign such as \"RWQf6LRC…\"")?;
    if PublicKey::from_base64(text).is_err() {
        let fix = "write the second line of the file that minisign -G has made (minisign.pub)";
        value.error(format!("{text:?} is no public key of minisign"), fix);
        return None;
    }
    Some(text.to_owned())
}
