//! Commands: read from MQTT, handed to the engine, and acknowledged to the broker once their answer is
//! on disk. A command that cannot be read is answered too, as far as it is known who asked.

use domain::commands::Command;
use domain::input::Input;
use tokio::sync::{mpsc, oneshot};

use crate::mqtt::inbound::Delivery;
use crate::mqtt::topics::Topics;
use crate::sources::Arrival;

/// Takes deliveries until there are no more, or the engine is gone. One command at a time: the next one
/// waits until the answer to the one before it is stored.
pub async fn run(
    mut deliveries: mpsc::Receiver<Delivery>,
    topics: Topics,
    engine: mpsc::Sender<Arrival>,
) {
    while let Some(delivery) = deliveries.recv().await {
        let Delivery { topic, payload, retain: _, done } = delivery;
        let input = match topics.command(&topic) {
            Some(name) => match Command::parse(name, &payload) {
                Ok(command) => Input::Command(command),
                Err(bad) => Input::BadCommand(bad),
            },
            // The subscription asks for commands only; anything else is not for us.
            None => {
                tracing::warn!(topic, "a message that is no command came on the command session");
                let _ = done.send(());
                continue;
            }
        };
        let (told, committed) = oneshot::channel();
        if engine.send(Arrival { input, committed: Some(told) }).await.is_err() {
            return;
        }
        // Not stored: not acknowledged, and the broker delivers it again.
        if committed.await.is_ok() {
            let _ = done.send(());
        }
    }
}
