//! Who really sent a command: signatures over commands from the broker.
//!
//! A signed command is a JWS in compact form (RFC 7515): `header.payload.signature`, each in base64url. What
//! is signed are its own bytes, so there is no canonical form of JSON to agree on. The payload is the command
//! with one more member, `to`: the whole topic it is sent to, so that a copy is good for no other box and no
//! other command. The key is the requester's in `[[actor]]`; the algorithm is the key's, whatever the header
//! asks for. Whether it is fresh, and not a copy, is decided with the command itself, in the core.
//!
//! Does not decide what anybody may do: that is `[[allow]]`. The local socket needs no signature: its file
//! says who may open it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::commands::{BadCommand, Command};
use domain::ids::Requester;
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::Value;

/// The key of a requester.
#[derive(Clone)]
pub enum Key {
    /// `HS256`: a secret that both sides know.
    Hmac(hmac::Key),
    /// `EdDSA`: the public half of an Ed25519 key.
    Ed25519([u8; 32]),
}

/// Never printed: it may be a secret.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

/// Shorter secrets can be guessed (RFC 7518, 3.2).
pub const SECRET_MIN: usize = 32;

impl Key {
    /// A secret; `None`: shorter than [`SECRET_MIN`].
    #[must_use]
    pub fn secret(bytes: &[u8]) -> Option<Key> {
        let long_enough = bytes.len() >= SECRET_MIN;
        long_enough.then(|| Key::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::Hmac(_) => "HS256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Key::Ed25519(public) => signature::UnparsedPublicKey::new(&signature::ED25519, public)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// Whose signatures are known, and who needs one.
#[derive(Debug, Clone, Default)]
pub struct Actors {
    /// The keys. Whoever has one must sign.
    pub keys: BTreeMap<Requester, Key>,
    /// Nobody may command over the broker without.
    pub required: bool,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<Value>,
    #[serde(default)]
    b64: Option<bool>,
}

impl Actors {
    /// Reads what was sent to `topic`, whose last level is `name`.
    ///
    /// # Errors
    /// It cannot be read, or is not signed as it must be.
    pub fn read(&self, topic: &str, name: &str, payload: &[u8]) -> Result<Command, BadCommand> {
        let Some(parts) = compact(payload) else {
            let command = Command::parse(name, payload)?;
            let must = self.required || self.keys.contains_key(&command.by);
            let why = "commands of this requester must be signed: send a JWS (docs/mqtt-api.md)";
            return if must { Err(denied(command, why)) } else { Ok(command) };
        };
        let nobody = |why: String| BadCommand { id: None, by: None, why, denied: true };
        let bytes = |text: &str| {
            let read = URL_SAFE_NO_PAD.decode(text);
            read.map_err(|error| nobody(format!("the JWS is not base64url: {error}")))
        };
        let [header, body, signature] = parts;
        let signed_text = &payload[..header.len() + 1 + body.len()];
        let (header, body, signature) = (bytes(header)?, bytes(body)?, bytes(signature)?);
        let header: Header = serde_json::from_slice(&header)
            .map_err(|error| nobody(format!("the header of the JWS: {error}")))?;
        let command = Command::parse(name, &body)?;
        let Some(key) = self.keys.get(&command.by) else {
            return Err(denied(command, "no [[actor]] of that name has a key"));
        };
        if header.alg != key.algorithm() {
            let why = format!("the key of this requester is for {}", key.algorithm());
            return Err(denied(command, &why));
        }
        if header.crit.is_some() || header.b64 == Some(false) {
            return Err(denied(command, "the header asks for what is not understood here"));
        }
        if !key.signed(signed_text, &signature) {
            return Err(denied(command, "the signature is wrong"));
        }
        let to = serde_json::from_slice::<Value>(&body).ok();
        let to = to.as_ref().and_then(|body| body.get("to")).and_then(Value::as_str);
        if to != Some(topic) {
            return Err(denied(command, &format!("\"to\" must be signed as {topic:?}")));
        }
        Ok(Command { signed: true, ..command })
    }
}

/// What a command says in JSON, signed or not, whether or not that can be believed: for the audit log.
pub(super) fn body(payload: &[u8]) -> Cow<'_, [u8]> {
    let body = compact(payload).and_then(|[_, body, _]| URL_SAFE_NO_PAD.decode(body).ok());
    body.map_or(Cow::Borrowed(payload), Cow::Owned)
}

/// The three parts of a JWS, where the payload is one: a command in JSON begins with a brace.
fn compact(payload: &[u8]) -> Option<[&str; 3]> {
    let text = std::str::from_utf8(payload).ok()?;
    if text.trim_start().starts_with('{') {
        return None;
    }
    let parts: Vec<&str> = text.split('.').collect();
    parts.try_into().ok()
}

fn denied(command: Command, why: &str) -> BadCommand {
    let Command { id, by, .. } = command;
    BadCommand { id: Some(id), by: Some(by), why: why.to_owned(), denied: true }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOPIC: &str = "steward/v1/t/s/b/cmd/ping";

    /// RFC 7515, A.1: a JWS with its key.
    #[test]
    fn the_example_of_the_standard_with_a_secret() {
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        check(&Key::secret(&from(key)).unwrap(), text, signature);
    }

    /// RFC 8037, A.4.
    #[test]
    fn the_example_of_the_standard_with_ed25519() {
        let public = from("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").try_into().unwrap();
        let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        check(&Key::Ed25519(public), text, signature);
    }

    fn from(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn check(key: &Key, text: &str, signature: &str) {
        let signature = from(signature);
        assert!(key.signed(text.as_bytes(), &signature));
        for bit in 0..signature.len() * 8 {
            let mut wrong = signature.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.signed(text.as_bytes(), &wrong), "bit {bit}");
        }
        assert!(!key.signed(&text.as_bytes()[1..], &signature));
    }

    fn actors() -> Actors {
        let key = |fill: u8| Key::secret(&[fill; 32]).unwrap();
        let names = [("duty-1", 1), ("duty-2", 2)];
        let keys = names.map(|(name, fill)| (Requester::new(name).unwrap(), key(fill)));
        Actors { keys: keys.into(), required: false }
    }

    fn sign(fill: u8, header: &Value, body: &Value) -> Vec<u8> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(body));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[fill; 32]);
        let tag = hmac::sign(&key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())).into_bytes()
    }

    fn body() -> Value {
        json!({"id": "c-1", "by": "duty-1", "to": TOPIC, "args": {}})
    }

    #[test]
    fn a_signed_command_is_its_requesters_and_for_this_box() {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let read = |payload: &[u8]| actors().read(TOPIC, "ping", payload);
        let command = read(&sign(1, &header, &body())).unwrap();
        assert!(command.signed && command.by.as_str() == "duty-1");
        let audited: Value =
            serde_json::from_slice(&super::body(&sign(1, &header, &body()))).unwrap();
        assert_eq!(audited["by"], "duty-1", "the audit log can read it");
        let other = |key: &str, value: &str| {
            let mut changed = body();
            changed[key] = json!(value);
            changed
        };
        for (payload, part) in [
            (sign(2, &header, &body()), "the signature is wrong"),
            (sign(1, &header, &other("by", "duty-2")), "the signature is wrong"),
            (sign(1, &header, &other("by", "somebody")), "no [[actor]]"),
            (sign(1, &header, &other("to", "steward/v1/t/s/c/cmd/ping")), "must be signed as"),
            (sign(1, &json!({"alg": "none"}), &body()), "is for HS256"),
            (sign(1, &json!({"alg": "EdDSA"}), &body()), "is for HS256"),
            (sign(1, &json!({"alg": "HS256", "crit": ["exp"]}), &body()), "not understood"),
            (body().to_string().into_bytes(), "must be signed"),
        ] {
            let bad = read(&payload).unwrap_err();
            assert!(bad.denied && bad.why.contains(part), "{part}: {}", bad.why);
            assert!(bad.by.is_some(), "{part}: whoever it says it is gets the answer");
        }
        let plain = other("by", "somebody").to_string();
        assert!(!read(plain.as_bytes()).unwrap().signed, "who has no key needs none");
        let strict = Actors { required: true, ..actors() };
        assert!(strict.read(TOPIC, "ping", plain.as_bytes()).unwrap_err().denied);
    }

    #[test]
    fn what_is_neither_json_nor_a_jws_is_told() {
        for payload in
            [&b"a.b"[..], b"a.b.c.d", b"..", b"\xff.\xff.\xff", b"", b"!.!.!", b"e30.e30."]
        {
            let bad = actors().read(TOPIC, "ping", payload).unwrap_err();
            assert!(!bad.why.is_empty(), "{payload:?}");
        }
    }
}
