//! What is wrong with the box itself: a ticket for whoever looks after it, not for the city.

use super::Engine;
use crate::ids::{AssetId, AssetKey, Category, Class, RuleId};
use crate::input::{Fault, Trouble};
use crate::output::Outputs;
use crate::rules::{Condition, Edge, Evidence, Finding, Rule, Severity};
use crate::time::Now;

impl Engine {
    /// Opens a ticket about the box, or adds to the one that is open. A person ends it: that nothing
    /// more is wrong does not mean that somebody has looked.
    pub(super) fn trouble(&mut self, trouble: &Trouble, now: Now, out: &mut Outputs) {
        let asset = AssetKey::new(
            Class::Node,
            AssetId::new(self.site.identity.id.as_str())
                .expect("a box's id is written as an asset's"),
        );
        let Trouble { fault, text } = trouble;
        let evidence = Evidence {
            at: now.utc,
            fact: fault.as_str().to_owned(),
            value: None,
            unit: None,
            text: text.clone(),
        };
        let rule = rule(*fault);
        let evidence = vec![evidence];
        let finding = Finding { rule: usize::MAX, asset, at: now, edge: Edge::Raise, evidence };
        let news = self.desk.find(&self.site, &rule, finding);
        self.spread(news, out);
    }
}

/// Such faults need no configuration: they are found by the program itself.
fn rule(fault: Fault) -> Rule {
    let id = match fault {
        Fault::Store => "box-store",
        Fault::Link => "box-link",
        Fault::Configuration => "box-configuration",
        Fault::Certificate => "box-certificate",
    };
    Rule {
        id: RuleId::new(id).expect("a name of ours"),
        version: 1,
        class: Class::Node,
        category: Category::new("gateway_fault").expect("a name of ours"),
        severity: Severity::High,
        when: Condition::Silent { after: None },
    }
}
