//! `steward schema`: what others need to know of the box, written from what the program itself uses.

pub mod acl;
pub mod asyncapi;
mod health;
pub mod payloads;
mod shape;
mod ticket;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// The documents that stand beside the documentation are those that the program writes.
    #[test]
    fn the_published_documents_are_up_to_date() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api");
        let made = [
            ("asyncapi.json", "asyncapi", asyncapi::document()),
            ("payloads.schema.json", "json", payloads::document()),
        ];
        for (file, word, document) in made {
            let text = fs::read_to_string(docs.join(file)).unwrap_or_default();
            let published: Value = serde_json::from_str(&text).unwrap_or_default();
            assert!(published == document, "steward schema {word} > docs/api/{file}");
        }
    }

    /// Every reference of the document leads somewhere, and every message is carried by a channel.
    #[test]
    fn the_interface_document_hangs_together() {
        let document = asyncapi::document();
        let text = document.to_string();
        for (at, _) in text.match_indices("\"$ref\":\"#") {
            let path = text[at + 9..].split('"').next().unwrap();
            assert!(document.pointer(path).is_some(), "{path}");
        }
        for name in document["components"]["messages"].as_object().unwrap().keys() {
            let carried = |channel: &Value| channel["messages"].get(name).is_some();
            assert!(document["channels"].as_object().unwrap().values().any(carried), "{name}");
        }
    }
}
