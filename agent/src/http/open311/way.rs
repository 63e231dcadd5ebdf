//! The way of the public to the engine: reports and questions from the web server, one after the other.
//!
//! The web server outlives the sources at a stop, and the engine ends when nobody can send it anything any
//! more; so the server has no line to the engine of its own, and this task, which stops with the sources, has.

use std::time::Duration;

use domain::input::Input;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::keeping::Keeping;
use crate::control::{AnswerTo, Desk};

/// Reports and questions on their way. Full: whoever comes waits, and is sent away after a time.
pub const ASKED_MAX: usize = 16;
/// Between two looks at what is too old to be kept.
const CLEAR_OUT_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Something from the public, with the wish to be answered.
#[derive(Debug)]
pub struct Ask {
    /// A submission or a question.
    pub input: Input,
    /// Told the answer once what came of it is on disk; dropped without a word when that failed.
    pub tell: oneshot::Sender<Value>,
}

/// Carries what the public sends until `stop`, and clears out what is too old.
pub async fn run(
    mut asked: mpsc::Receiver<Ask>,
    desk: Desk,
    keeping: Keeping,
    stop: CancellationToken,
) {
    let mut clear_out = tokio::time::interval(CLEAR_OUT_EVERY);
    loop {
        let ask = tokio::select! {
            () = stop.cancelled() => return,
            _ = clear_out.tick() => {
                clear(&keeping, &desk).await;
                continue;
            }
            ask = asked.recv() => ask,
        };
        let Some(Ask { input, tell }) = ask else {
            // Nobody can ask any more: the end comes with the stop.
            return stop.cancelled().await;
        };
        let note = matches!(input, Input::Submission(_)).then(|| noted(&input));
        let Some(Some(answer)) = desk.hand_over(input, AnswerTo::Caller).await else { continue };
        if let Some(note) = note {
            desk.note_public(&note, &answer).await;
        }
        // Whoever asked has gone meanwhile.
        let _ = tell.send(answer);
    }
}

/// What the audit log says of a report: what it was about, and never who it was of.
fn noted(input: &Input) -> Value {
    let Input::Submission(said) = input else { return Value::Null };
    let args = json!({"category": said.category, "asset": said.asset, "media": said.media});
    json!({"by": "open311", "id": said.number, "args": args})
}

async fn clear(keeping: &Keeping, desk: &Desk) {
    let (keeping, now) = (keeping.clone(), desk.now());
    let done = tokio::task::spawn_blocking(move || keeping.clear_out(now)).await;
    match done {
        Ok(Ok(0)) => {}
        Ok(Ok(files)) => tracing::info!(files, "what the public sent long ago is removed"),
        Ok(Err(error)) => tracing::warn!(error = %error, "what is too old cannot be removed"),
        Err(error) => tracing::error!(error = %error, "clearing out broke off"),
    }
}
