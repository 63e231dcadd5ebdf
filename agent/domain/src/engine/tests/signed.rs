//! Signed commands: fresh ones once, copies never, whatever came in between and after a restart.

use super::*;

fn signed(id: &str, by: &str, ticket: &TicketId, step: TicketStep, good: (u64, u64)) -> Input {
    Input::Command(Command {
        id: id.into(),
        by: Requester::new(by).unwrap(),
        issued_at: Some(t(good.0).utc),
        expires_at: Some(t(good.1).utc),
        signed: true,
        action: Action::Ticket(order(ticket, step)),
    })
}

fn ping(id: usize) -> Input {
    Input::Command(Command {
        id: format!("ping-{id}"),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Ping,
    })
}

fn code(out: &Outputs) -> Option<String> {
    let [message] =
        out.messages.iter().filter(|m| matches!(m.topic, Topic::Reply(_))).collect::<Vec<_>>()[..]
    else {
        panic!("one answer: {:?}", out.messages)
    };
    let Body::Flat(body) = &message.body else { panic!("{message:?}") };
    body.get("error").map(|error| error["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_copy_of_a_signed_command_does_nothing_until_it_has_expired_and_nothing_after() {
    let mut engine = engine();
    let mut stored = BTreeMap::new();
    let filled = fill_up(&mut engine);
    store(&mut stored, &filled);
    let id = ticket_in(&filled.messages);
    let ack = || signed("s-1", "duty", &id, TicketStep::Ack, (3, 60));
    let first = engine.step(ack(), t(4));
    store(&mut stored, &first);
    assert_eq!((code(&first), ticket_events(&first.messages)), (None, vec!["ticket.acknowledged"]));
    // More unsigned ones than are remembered come in between.
    for n in 0..600 {
        store(&mut stored, &engine.step(ping(n), t(5)));
    }
    for minute in [6, 59, 60] {
        let copy = engine.step(ack(), t(minute));
        assert_eq!((code(&copy), ticket_events(&copy.messages)), (None, vec![]), "{minute}");
    }
    assert!(stored.keys().filter(|key| key.starts_with("command/")).count() <= 256);
    let records: Vec<Record> =
        stored.into_iter().map(|(key, value)| Record { key, value: Some(value) }).collect();
    let mut again = Engine::new(site(), records, boot(2, 0, 50));
    let copy = again.step(ack(), boot(2, 1, 51));
    assert_eq!((code(&copy), ticket_events(&copy.messages)), (None, vec![]));
    for n in 0..600 {
        let _ = again.step(ping(n), boot(2, 11, 61));
    }
    let late = again.step(ack(), boot(2, 12, 62));
    assert_eq!(code(&late).as_deref(), Some("expired"), "forgotten, and of no use any more");
}

#[test]
fn a_signed_command_that_is_not_fresh_is_refused() {
    let mut engine = engine();
    let id = ticket_in(&fill_up(&mut engine).messages);
    for (name, good, expected) in [
        ("old", (1, 2), "expired"),
        ("future", (60, 70), "denied"),
        ("for ever", (3, 3 + 24 * 60 + 1), "denied"),
    ] {
        let out = engine.step(signed(name, "duty", &id, TicketStep::Ack, good), t(4));
        assert_eq!(code(&out).as_deref(), Some(expected), "{name}");
    }
    let unset = Now { clock: ClockQuality::Unset, ..t(4) };
    let out = engine.step(signed("clock", "duty", &id, TicketStep::Ack, (3, 60)), unset);
    assert_eq!(code(&out).as_deref(), Some("denied"));
    // An id is whose it was first: nobody else learns the answer.
    let out = engine.step(signed("mine", "duty", &id, TicketStep::Ack, (3, 60)), t(5));
    assert_eq!(code(&out), None);
    let out = engine.step(signed("mine", "other", &id, TicketStep::Ack, (3, 60)), t(5));
    assert_eq!(code(&out).as_deref(), Some("denied"));
}
