//! From the state of a link to a ticket for whoever looks after the box: a broker is there, and does not take
//! what it should. That a broker is away is no trouble of this kind: it comes back, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::input::{Fault, Input, Trouble};
use domain::output::Lane;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::mqtt::LinkStatus;
use crate::sources::Arrival;

/// Refusals in a row before they are told: a broker that is being set up, or reads its passwords anew,
/// refuses once or twice.
const DENIED_MAX: u32 = 5;
/// Between two looks at a link.
const EVERY: Duration = Duration::from_secs(1);

/// Watches the link to the broker called `name` until `stop`, or until the engine is gone.
pub(super) async fn watch(
    name: String,
    link: watch::Receiver<LinkStatus>,
    engine: mpsc::Sender<Arrival>,
    stop: CancellationToken,
) {
    let mut told = BTreeSet::new();
    // Not at every change: the counts of a link change with every message.
    let mut beat = tokio::time::interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let found = look(&name, &link.borrow().clone(), &mut told);
        for text in found {
            tracing::error!(uplink = name, text, "link trouble");
            let input = Input::Trouble(Trouble { fault: Fault::Link, text });
            let arrival = Arrival { input, committed: None, answer: None };
            if engine.send(arrival).await.is_err() {
                return;
            }
        }
    }
}

/// What is new of what is wrong. Each kind is told once while it lasts: the ticket that comes of it is open
/// until a person ends it.
fn look(name: &str, link: &LinkStatus, told: &mut BTreeSet<&'static str>) -> Vec<String> {
    let mut found = vec![];
    let mut tell = |kind: &'static str, is: bool, text: String| {
        if !is {
            told.remove(kind);
        } else if told.insert(kind) {
            found.push(text);
        }
    };
    for reason in link.refusals.keys() {
        let why = reason.as_str();
        let text = format!(
            "{name} refuses messages ({why}); they are kept and offered again: look at the broker's \
             rules and quotas"
        );
        tell(why, true, text);
    }
    let why = link.last_error.as_deref().unwrap_or("no reason given");
    let text = format!(
        "{name} has not let the box in for {DENIED_MAX} tries ({why}); everything is kept until it does: \
         look at user name, password and the broker's rules"
    );
    tell("denied", link.denied >= DENIED_MAX, text);
    let text = format!(
        "{name} cannot be given some messages at all; they are in the folder \"undelivered\" of its \
         buffer, with the reason"
    );
    tell("undelivered", link.undelivered > 0, text);
    let spent = link.lanes[Lane::Event as usize].held_back;
    let text = format!(
        "the bytes that may be sent to {name} in a day (day_bytes) are spent; everything but tickets \
         waits for tomorrow"
    );
    tell("day_bytes", spent, text);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Refusal;

    #[test]
    fn every_kind_is_told_once_while_it_lasts() {
        let (mut link, mut told) = (LinkStatus::default(), BTreeSet::new());
        assert!(look("mqtt", &link, &mut told).is_empty());
        link.refusals.insert(Refusal::NotAuthorized, 1);
        let found = look("mqtt", &link, &mut told);
        assert!(found.len() == 1 && found[0].contains("not_authorized"), "{found:?}");
        link.refusals.insert(Refusal::NotAuthorized, 2);
        assert!(look("mqtt", &link, &mut told).is_empty());
        link.refusals.insert(Refusal::Quota, 1);
        link.undelivered = 1;
        assert_eq!(look("mqtt", &link, &mut told).len(), 2);
        for denied in 0..20 {
            link.denied = denied;
            let found = look("mqtt", &link, &mut told);
            assert_eq!(found.len(), usize::from(denied == DENIED_MAX), "{denied}: {found:?}");
        }
        link.denied = 0;
        assert!(look("mqtt", &link, &mut told).is_empty());
        link.denied = DENIED_MAX;
        assert!(look("mqtt", &link, &mut told)[0].contains("password"), "told anew");
        for day in 0..3 {
            link.lanes[Lane::Event as usize].held_back = true;
            let found = look("city", &link, &mut told);
            assert!(found.len() == 1 && found[0].contains("city"), "day {day}: {found:?}");
            assert!(look("city", &link, &mut told).is_empty());
            link.lanes[Lane::Event as usize].held_back = false;
            assert!(look("city", &link, &mut told).is_empty());
        }
    }

    #[tokio::test]
    async fn trouble_of_the_link_comes_to_the_engine() {
        let (engine, mut arrivals) = mpsc::channel(4);
        let (status, link) = watch::channel(LinkStatus::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch("mqtt".into(), link, engine, stop.clone()));
        status.send_modify(|s| _ = s.refusals.insert(Refusal::Quota, 1));
        let arrival = arrivals.recv().await.unwrap();
        let Input::Trouble(Trouble { fault, text }) = arrival.input else { panic!("a trouble") };
        assert!(fault == Fault::Link && text.contains("quota"), "{text}");
        stop.cancel();
        task.await.unwrap();
    }
}
