//! The rules of a broker for boxes: each may say what it says, and hear its commands, and nothing else.
//!
//! In the form of mosquitto's `acl_file`: what no line allows is forbidden. `%u` is the user name that the
//! broker knows the client by; with client certificates and `use_identity_as_username` the common name.

use domain::ids::Class;

use crate::config::Config;
use crate::home_assistant;
use crate::mqtt::probe;

/// Who else may come to the broker, and from which boxes on.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// User names that may read everything and give commands.
    pub operators: Vec<String>,
    /// User names that may read everything.
    pub viewers: Vec<String>,
}

/// The levels after the prefix to which a box publishes.
fn published() -> Vec<String> {
    let mut all: Vec<String> = ["status", "info", "health", "reply/+"].map(str::to_owned).into();
    for class in Class::ALL {
        all.extend(
            ["info", "state", "figures", "event", "tel"].map(|what| format!("{class}/+/{what}")),
        );
    }
    all.extend(["ticket/+/state", "ticket/+/event"].map(str::to_owned));
    all
}

/// The rules for the boxes of one tenant and site, or of all without a configuration.
#[must_use]
pub fn mosquitto(config: Option<&Config>, wanted: &Wanted) -> String {
    let (tenant, site) = match config.map(|config| &config.site.identity) {
        Some(identity) => (identity.tenant.to_string(), identity.site.to_string()),
        None => ("+".to_owned(), "+".to_owned()),
    };
    let mut text = String::from(
        "# Made by: steward schema acl. What no line allows is forbidden.\n\n# Every box, by its user name: \
         what it says, its commands, and what steward\n# doctor says to itself.\n",
    );
    let root = format!("steward/v1/{tenant}/{site}");
    for path in published() {
        text.push_str(&format!("pattern write {root}/%u/{path}\n"));
    }
    text.push_str(&format!("pattern read {root}/%u/cmd/+\n"));
    text.push_str(&format!("pattern readwrite {root}/%u/{}\n", probe::PATH));
    if let Some(settings) = config.and_then(|config| config.home_assistant.as_ref()) {
        text.push_str(&format!(
            "\n# Every box, for Home Assistant.\npattern write {}\n",
            home_assistant::topic(&settings.prefix, "%u")
        ));
    }
    let mut party = |name: &str, commands: bool| {
        text.push_str(&format!("\nuser {name}\ntopic read {root}/#\n"));
        if commands {
            text.push_str(&format!("topic write {root}/+/cmd/+\n"));
        }
    };
    wanted.operators.iter().for_each(|name| party(name, true));
    wanted.viewers.iter().for_each(|name| party(name, false));
    text
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetKey, Requester, TicketId};
    use domain::output::Topic;

    use super::*;
    use crate::mqtt::topics;

    fn matches(filter: &str, topic: &str) -> bool {
        let (filter, topic): (Vec<_>, Vec<_>) =
            (filter.split('/').collect(), topic.split('/').collect());
        filter.len() == topic.len() && filter.iter().zip(&topic).all(|(f, t)| *f == "+" || f == t)
    }

    #[test]
    fn every_topic_of_a_box_is_allowed_and_no_command() {
        let key: AssetKey = "bay/b-1".parse().unwrap();
        let ticket = TicketId::new("t-1").unwrap();
        let topics = [
            Topic::Info,
            Topic::AssetInfo(key.clone()),
            Topic::AssetState(key.clone()),
            Topic::AssetFigures(key.clone()),
            Topic::AssetEvent(key.clone()),
            Topic::AssetTelemetry(key),
            Topic::TicketState(ticket.clone()),
            Topic::TicketEvent(ticket),
            Topic::Reply(Requester::new("duty-1").unwrap()),
        ];
        let allowed = published();
        for topic in topics.iter().map(topics::path) {
            assert!(allowed.iter().any(|filter| matches(filter, &topic)), "{topic}");
        }
        for topic in ["cmd/ping", "cmd/config", "bay/b-1", "x/y/state"] {
            assert!(!allowed.iter().any(|filter| matches(filter, topic)), "{topic}");
        }
    }

    #[test]
    fn parties_read_and_only_operators_command() {
        let wanted = Wanted { operators: vec!["desk".into()], viewers: vec!["board".into()] };
        let text = mosquitto(None, &wanted);
        let (_, parties) = text.split_once("\nuser desk\n").unwrap();
        let (desk, board) = parties.split_once("\nuser board\n").unwrap();
        assert_eq!(desk, "topic read steward/v1/+/+/#\ntopic write steward/v1/+/+/+/cmd/+\n");
        assert_eq!(board, "topic read steward/v1/+/+/#\n");
    }
}
