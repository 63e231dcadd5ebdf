//! Commands on their way to the engine and back: read, handed over, and acknowledged to the broker once
//! their answer is on disk. A command that cannot be read is answered too, as far as it is known who asks.

use std::time::Duration;

use domain::commands::Command;
use domain::input::Input;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::mqtt::inbound::CommandArrival;
use crate::sources::Arrival;

/// The time after which everything that brokers keep is published again: a broker may have lost it.
const REFRESH_EVERY: Duration = Duration::from_secs(6 * 3600);
/// By so much boxes differ, so that those which were switched on together do not speak together.
const REFRESH_SPREAD_S: u32 = 600;

/// How often the box called `name` publishes afresh: six hours, or up to ten minutes less.
#[must_use]
pub fn refresh_every(name: &str) -> Duration {
    let less = crc32fast::hash(name.as_bytes()) % REFRESH_SPREAD_S;
    REFRESH_EVERY - Duration::from_secs(less.into())
}

/// Has everything that brokers keep published again after each `every`, until `stop`, or until the engine
/// is gone.
pub async fn refresh(every: Duration, engine: mpsc::Sender<Arrival>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if engine.send(Arrival { input: Input::Refresh, committed: None }).await.is_err() {
            return;
        }
    }
}

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

    #[tokio::test(start_paused = true)]
    async fn everything_is_published_afresh_every_six_hours_until_the_stop() {
        let (engine, mut arrivals) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let every = refresh_every("xj-0412");
        assert!(every <= REFRESH_EVERY && every > REFRESH_EVERY - Duration::from_secs(600));
        assert_ne!(every, refresh_every("xj-0413"));
        let task = tokio::spawn(refresh(every, engine, stop.clone()));
        let begun = tokio::time::Instant::now();
        for day_quarter in 1..=8 {
            let arrival = arrivals.recv().await.unwrap();
            assert_eq!(arrival.input, Input::Refresh);
            assert_eq!(begun.elapsed().as_secs(), (every * day_quarter).as_secs());
        }
        stop.cancel();
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
