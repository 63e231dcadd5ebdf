//! Topics, both ways: [`Topic`] to text and back.
//!
//! Everything a box says stands below `P = steward/v1/<tenant>/<site>/<box>`. This module knows the
//! levels and nothing of payloads. The ids in a topic are checked ids, so a topic made here is valid.

use domain::ids::{AssetId, AssetKey, Class, Requester, TicketId};
use domain::output::Topic;
use domain::site::Identity;

/// Where everything of one box stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    source: String,
}

impl Prefix {
    /// The prefix of the box `identity`.
    #[must_use]
    pub fn new(identity: &Identity) -> Prefix {
        let path = format!("{}/{}/{}", identity.tenant, identity.site, identity.id);
        Prefix { text: format!("steward/v1/{path}"), source: format!("/steward/{path}") }
    }

    /// `steward/v1/<tenant>/<site>/<box>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The CloudEvents `source` of the box: `/steward/<tenant>/<site>/<box>`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The full topic of `path`, which is a path below the prefix, or that of an answer.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        match answer(path) {
            Some((topic, _)) => topic.to_owned(),
            None => format!("{}/{path}", self.text),
        }
    }

    /// `P/status`, where the box and its last will say whether it is there.
    #[must_use]
    pub fn status(&self) -> String {
        self.join("status")
    }

    /// `P/health`.
    #[must_use]
    pub fn health(&self) -> String {
        self.join("health")
    }

    /// `P/cmd/#`, the filter of all commands.
    #[must_use]
    pub fn commands(&self) -> String {
        self.join("cmd/#")
    }

    /// The part of `topic` below the prefix; `None` when it stands elsewhere.
    #[must_use]
    pub fn strip<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.text)?.strip_prefix('/')
    }

    /// The name of the command sent to `topic` (`P/cmd/<name>`).
    #[must_use]
    pub fn command<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let name = self.strip(topic)?.strip_prefix("cmd/")?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }
}

/// Whether `text` is a filter of topics (MQTT 3.1.1, 4.7).
#[must_use]
pub fn valid_filter(text: &str) -> bool {
    rumqttc::valid_filter(text)
}

/// Whether `topic` fits the valid filter `filter`.
#[must_use]
pub fn fits(topic: &str, filter: &str) -> bool {
    rumqttc::matches(topic, filter)
}

/// The path of `topic` below the prefix.
#[must_use]
pub fn path(topic: &Topic) -> String {
    match topic {
        Topic::Info => "info".to_owned(),
        Topic::AssetInfo(key) => format!("{key}/info"),
        Topic::AssetState(key) => format!("{key}/state"),
        Topic::AssetFigures(key) => format!("{key}/figures"),
        Topic::AssetEvent(key) => format!("{key}/event"),
        Topic::AssetTelemetry(key) => format!("{key}/tel"),
        Topic::TicketState(id) => format!("ticket/{id}/state"),
        Topic::TicketEvent(id) => format!("ticket/{id}/event"),
        Topic::Reply(to) => format!("reply/{to}"),
        // No path below the prefix begins so.
        Topic::Answer { topic, correlation } => {
            let digits: String = correlation.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("/{digits}/{topic}")
        }
        Topic::Form { path, .. } => path.clone(),
    }
}

/// The topic and the correlation data in the path of a [`Topic::Answer`]; `None` for every other path.
#[must_use]
pub fn answer(path: &str) -> Option<(&str, Vec<u8>)> {
    let (digits, topic) = path.strip_prefix('/')?.split_once('/')?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let correlation: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    Some((topic, correlation?))
}

/// Whether what stands at `path` is a form of a profile's, to which nothing may be added.
#[must_use]
pub fn is_form(path: &str) -> bool {
    let first = path.split('/').next();
    first.is_some_and(|level| ["ngsi-ld", "cds", "open311", "case"].contains(&level))
}

/// What stands at `path` below the prefix; `None` when no topic of ours is called so.
#[must_use]
pub fn parse(path: &str) -> Option<Topic> {
    let mut levels = path.split('/');
    let topic = match (levels.next()?, levels.next(), levels.next()) {
        ("info", None, None) => Topic::Info,
        ("reply", Some(to), None) => Topic::Reply(Requester::new(to).ok()?),
        ("ticket", Some(id), Some(kind)) => {
            let id = TicketId::new(id).ok()?;
            match kind {
                "state" => Topic::TicketState(id),
                "event" => Topic::TicketEvent(id),
                _ => return None,
            }
        }
        (class, Some(id), Some(kind)) => {
            let class = Class::ALL.into_iter().find(|c| c.as_str() == class)?;
            let key = AssetKey::new(class, AssetId::new(id).ok()?);
            match kind {
                "info" => Topic::AssetInfo(key),
                "state" => Topic::AssetState(key),
                "figures" => Topic::AssetFigures(key),
                "event" => Topic::AssetEvent(key),
                "tel" => Topic::AssetTelemetry(key),
                _ => return None,
            }
        }
        _ => return None,
    };
    levels.next().is_none().then_some(topic)
}

#[cfg(test)]
mod tests {
    use domain::ids::{BoxId, SiteId, TenantId};
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> Prefix {
        Prefix::new(&Identity {
            tenant: TenantId::new("longcheng").unwrap(),
            site: SiteId::new("xuejia").unwrap(),
            id: BoxId::new("xj-0412").unwrap(),
        })
    }

    fn bay() -> AssetKey {
        AssetKey::new(Class::Bay, AssetId::new("b-1001").unwrap())
    }

    #[test]
    fn every_topic_has_its_place() {
        let ticket = TicketId::new("t-1").unwrap();
        let table = [
            (Topic::Info, "info"),
            (Topic::AssetInfo(bay()), "bay/b-1001/info"),
            (Topic::AssetState(bay()), "bay/b-1001/state"),
            (Topic::AssetFigures(bay()), "bay/b-1001/figures"),
            (Topic::AssetEvent(bay()), "bay/b-1001/event"),
            (Topic::AssetTelemetry(bay()), "bay/b-1001/tel"),
            (Topic::TicketState(ticket.clone()), "ticket/t-1/state"),
            (Topic::TicketEvent(ticket), "ticket/t-1/event"),
            (Topic::Reply(Requester::new("duty-1").unwrap()), "reply/duty-1"),
        ];
        for (topic, text) in table {
            assert_eq!(path(&topic), text);
            assert_eq!(parse(text), Some(topic));
        }
        assert_eq!(prefix().join("info"), "steward/v1/longcheng/xuejia/xj-0412/info");
        assert_eq!(prefix().status(), "steward/v1/longcheng/xuejia/xj-0412/status");
        assert_eq!(prefix().source(), "/steward/longcheng/xuejia/xj-0412");
    }

    #[test]
    fn an_answer_goes_where_it_is_wanted_and_a_form_below_the_prefix() {
        let correlation = vec![0, 0xff, b'/'];
        let to = Topic::Answer { topic: "duty/7/in".into(), correlation: correlation.clone() };
        assert_eq!(path(&to), "/00ff2f/duty/7/in");
        assert_eq!(answer(&path(&to)), Some(("duty/7/in", correlation)));
        assert_eq!(prefix().join(&path(&to)), "duty/7/in");
        let bare = Topic::Answer { topic: "/x".into(), correlation: vec![] };
        assert_eq!(prefix().join(&path(&bare)), "/x");
        let form = Topic::Form { path: "case/t-1/2".into(), retained: false };
        assert_eq!(prefix().join(&path(&form)), format!("{}/case/t-1/2", prefix().as_str()));
        assert!(is_form(&path(&form)) && !is_form("ticket/t-1/state") && !is_form(&path(&to)));
        assert_eq!((answer("info"), answer("/zz/x"), answer("/0")), (None, None, None));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        for text in [
            "",
            "/",
            "info/",
            "info/x",
            "bay",
            "bay/b-1",
            "bay/B/state",
            "bay/b-1/state/x",
            "boat/b-1/state",
            "ticket/t-1",
            "ticket/t-1/tel",
            "ticket//state",
            "reply",
            "reply/",
            "reply/a/b",
            "status",
            "cmd/ping",
            "bay/+/state",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_command_is_one_level_below_cmd_of_this_box() {
        let p = "steward/v1/longcheng/xuejia/xj-0412";
        assert_eq!(prefix().command(&format!("{p}/cmd/ping")), Some("ping"));
        for other in ["/cmd/", "/cmd", "/cmd/a/b", "/reply/x", "x/cmd/ping"] {
            assert_eq!(prefix().command(&format!("{p}{other}")), None, "{other}");
        }
        assert_eq!(prefix().command("steward/v1/longcheng/xuejia/other/cmd/ping"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-z]{0,7}(/[a-z0-9-]{0,5}){0,3}") {
            if let Some(topic) = parse(&text) {
                prop_assert_eq!(path(&topic), text);
            }
        }
    }
}
