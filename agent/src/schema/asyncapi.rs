//! The interface as an AsyncAPI 3 document: which topic carries which message, and how.

use serde_json::{Map, Value, json};

use super::payloads::{self, Payload, STATES};

/// A kind of topic.
struct Channel {
    name: String,
    /// Below `P`.
    path: String,
    messages: Vec<String>,
    qos: u8,
    retain: bool,
    summary: &'static str,
}

/// The document, for `steward schema asyncapi`.
#[must_use]
pub fn document() -> Value {
    let payloads = payloads::all();
    let channels = channels(&payloads);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "steward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Made by: steward schema asyncapi. What a box says and hears over MQTT 5 or 3.1.1; \
                            docs/mqtt-api.md says what it means. Within v1 fields are only added.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels.iter().map(channel).collect::<Map<String, Value>>(),
        "operations": channels.iter().map(operation).collect::<Map<String, Value>>(),
        "components": {
            "parameters": parameters(),
            "messages": payloads.iter().map(message).collect::<Map<String, Value>>(),
            "schemas": payloads.iter().map(|p| (p.name.clone(), p.schema.clone())).collect::<Map<String, Value>>(),
        },
    })
}

fn channels(payloads: &[Payload]) -> Vec<Channel> {
    let one = |name: &str, path: &str, message: &str, qos, retain, summary| Channel {
        name: name.to_owned(),
        path: path.to_owned(),
        messages: vec![message.to_owned()],
        qos,
        retain,
        summary,
    };
    let events = payloads.iter().map(|p| &p.name).filter(|name| name.contains('.')).cloned();
    let mut all = vec![
        one(
            "status",
            "status",
            "status",
            1,
            true,
            "Says that it is there, and by its will that not",
        ),
        one("info", "info", "info", 1, true, "Says what it is"),
        one("health", "health", "health", 0, true, "Says how it is doing, every 30 s"),
        one("asset-info", "{class}/{id}/info", "asset-info", 1, true, "Describes an asset"),
        one(
            "figures",
            "{class}/{id}/figures",
            "figures",
            1,
            true,
            "Tells the day and the days before",
        ),
        one("telemetry", "{class}/{id}/tel", "telemetry", 1, false, "Tells what was measured"),
        one("ticket-state", "ticket/{ticket}/state", "ticket-state", 1, true, "Shows a ticket"),
        one(
            "ticket-event",
            "ticket/{ticket}/event",
            "ticket-event",
            1,
            false,
            "Tells a step of a ticket",
        ),
        one("reply", "reply/{requester}", "reply", 1, false, "Answers a command"),
        one(
            "command",
            "cmd/{command}",
            "command",
            1,
            false,
            "Takes a command; never a retained one",
        ),
    ];
    all.extend(STATES.map(|(class, message)| {
        let path = format!("{class}/{{id}}/state");
        one(message, &path, message, 1, true, "Shows an asset as it stands")
    }));
    let events = Channel {
        messages: events.collect(),
        ..one("event", "{class}/{id}/event", "", 1, false, "Tells what happened")
    };
    all.push(events);
    all
}

fn channel(channel: &Channel) -> (String, Value) {
    let address = format!("steward/v1/{{tenant}}/{{site}}/{{box}}/{}", channel.path);
    let names = address.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameters: Map<String, Value> =
        names.map(|name| (name.to_owned(), refer("parameters", name))).collect();
    let messages: Map<String, Value> =
        channel.messages.iter().map(|name| (name.clone(), refer("messages", name))).collect();
    let value = json!({"address": address, "parameters": parameters, "messages": messages});
    (channel.name.clone(), value)
}

/// From the box's side: it receives commands, and sends everything else.
fn operation(channel: &Channel) -> (String, Value) {
    let action = if channel.name == "command" { "receive" } else { "send" };
    let mqtt = json!({"qos": channel.qos, "retain": channel.retain, "bindingVersion": "0.2.0"});
    let value = json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{}", channel.name)},
        "summary": channel.summary,
        "bindings": {"mqtt": mqtt},
    });
    (channel.name.clone(), value)
}

fn message(payload: &Payload) -> (String, Value) {
    let value = json!({
        "name": payload.name,
        "summary": payload.summary,
        "contentType": payload.media,
        "payload": refer("schemas", &payload.name),
    });
    (payload.name.clone(), value)
}

fn parameters() -> Value {
    let classes: Vec<String> = domain::ids::Class::ALL.iter().map(ToString::to_string).collect();
    json!({
        "tenant": {"description": "Who the box works for"},
        "site": {"description": "Where it stands"},
        "box": {"description": "The box; its MQTT client id and user name"},
        "class": {"description": "What kind of asset", "enum": classes},
        "id": {"description": "Which asset"},
        "ticket": {"description": "Which ticket"},
        "requester": {"description": "Whoever gave the command: its \"by\""},
        "command": {"description": "The command's name"},
    })
}

fn refer(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}
