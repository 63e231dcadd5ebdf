//! `[commands]` and `[[actor]]`: whose commands are signed, and with which key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::ids::Requester;

use super::super::section::{Section, Tree, Value};
use super::super::values;
use crate::control::signed::{Actors, Key, SECRET_MIN};

/// The longest file with a secret.
const SECRET_FILE_MAX: u64 = 4096;

pub(super) fn read<'a>(tree: &'a Tree<'a>) -> Actors {
    let mut actors = Actors::default();
    for section in &tree.list("actor") {
        let Some((by, key)) = actor(section) else { continue };
        if actors.keys.insert(by.clone(), key).is_some() {
            let cause = format!("the actor {by} is there twice");
            section.report.error(section.at, cause, "give each requester one key");
        }
    }
    if let Some(section) = tree.table("commands") {
        actors.required = section.or("signed", false, values::boolean);
        section.finish();
        if actors.required && actors.keys.is_empty() {
            let cause = "commands must be signed, and nobody has a key".to_owned();
            section.report.error(section.at, cause, "add an [[actor]] with its key");
        }
    }
    actors
}

fn actor(section: &Section<'_>) -> Option<(Requester, Key)> {
    let by = section.required("by", "\"duty-1\"", values::id(Requester::new));
    let secret = section.optional("secret_file", secret);
    let public = section.optional("ed25519", public);
    section.finish();
    let named = [section.value("secret_file"), section.value("ed25519")];
    match (secret, public) {
        (Some(key), None) | (None, Some(key)) => Some((by?, key)),
        (Some(_), Some(_)) => {
            let cause = "an actor has one key".to_owned();
            section.report.error(section.at, cause, "keep secret_file or ed25519");
            None
        }
        (None, None) => {
            // A key that is there and wrong has been told already.
            if named.iter().all(Option::is_none) {
                let cause = "the actor has no key".to_owned();
                let fix = "add secret_file = \"/etc/steward/duty-1.key\", or ed25519 = \"…\"";
                section.report.error(section.at, cause, fix);
            }
            None
        }
    }
}

/// A secret from a file: the bytes of its text, without the line's end.
fn secret(value: &Value<'_>) -> Option<Key> {
    let text = super::broker::text_of_file(value, SECRET_FILE_MAX)?;
    let key = Key::secret(text.trim_end_matches(['\r', '\n']).as_bytes());
    if key.is_none() {
        let cause = format!("the secret has fewer than {SECRET_MIN} characters");
        value.error(cause, "make one with: openssl rand -hex 32");
    }
    key
}

/// The public half of an Ed25519 key: 32 bytes in base64 or base64url.
fn public(value: &Value<'_>) -> Option<Key> {
    let text = value.as_text("a public key in base64")?;
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
    let key = bytes.ok().and_then(|bytes| bytes.try_into().ok()).map(Key::Ed25519);
    if key.is_none() {
        let cause = format!("{text:?} is no Ed25519 key");
        value.error(cause, "write its 32 bytes in base64, without a head or a line");
    }
    key
}
