//! Commands on their way to the engine and back: read, handed over, and acknowledged to the broker once
//! their answer is on disk. A command that cannot be read is answered too, as far as it is known who asks.

use domain::commands::Command;
use domain::input::Input;
use tokio::sync::{mpsc, oneshot};

use crate::mqtt::inbound::CommandArrival;
use crate::sources::Arrival;

/// Takes commands until there are no more, or the engine is gone. One at a time: the next one waits until
/// the answer to the one before it is stored.
pub async fn run(mut commands: mpsc::Receiver<CommandArrival>, engine: mpsc::Sender<Arrival>) {
    while let Some(CommandArrival { name, payload, done }) = commands.recv().await {
        let input = match Command::parse(&name, &payload) {
            Ok(command) => Input::Command(command),
            Err(bad) => Input::BadCommand(bad),
        };
        let (told, committed) = oneshot::channel();
        if engine.send(Arrival { input, committed: Some(told) }).await.is_err() {
            return;
        }
        // Not stored: not acknowledged, and the broker delivers it again.
        if committed.await.is_ok() {
            // A session that has ended meanwhile delivers it again; the engine knows it by its id.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_acknowledged_when_its_answer_is_stored() {
        let (tell, commands) = mpsc::channel(1);
        let (engine, mut arrivals) = mpsc::channel(1);
        let task = tokio::spawn(run(commands, engine));
        for (payload, readable) in [(&br#"{"id":"1","by":"duty"}"#[..], true), (b"{", false)] {
            let (done, mut acknowledged) = oneshot::channel();
            let arrival = CommandArrival { name: "ping".into(), payload: payload.into(), done };
            tell.send(arrival).await.unwrap();
            let arrival = arrivals.recv().await.unwrap();
            assert_eq!(matches!(arrival.input, Input::Command(_)), readable);
            assert!(acknowledged.try_recv().is_err(), "not before");
            arrival.committed.unwrap().send(()).unwrap();
            acknowledged.await.unwrap();
        }
        drop(tell);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_not_stored_is_not_acknowledged() {
        let (tell, commands) = mpsc::channel(1);
        let (engine, mut arrivals) = mpsc::channel(1);
        tokio::spawn(run(commands, engine));
        let (done, acknowledged) = oneshot::channel();
        let payload = br#"{"id":"1","by":"duty"}"#.to_vec();
        tell.send(CommandArrival { name: "ping".into(), payload, done }).await.unwrap();
        drop(arrivals.recv().await.unwrap().committed);
        assert!(acknowledged.await.is_err());
    }
}
