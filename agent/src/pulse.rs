//! Whether every task goes on: a task that is being worked on, and has not come back from it since the last
//! look, is stuck in something that blocks. One that waits is well: waiting is what tasks do.
//!
//! What waits for ever although it should not is seen elsewhere: the engine makes a turn every few seconds,
//! and the outbox is asked something.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The pulses of all tasks of a box. One for each task that is started, so as many as the configuration
/// has sources, and a few.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<Pulse>>>>);

#[derive(Debug)]
struct Pulse {
    name: String,
    entered: AtomicU64,
    left: AtomicU64,
    /// What `entered` was when the task was last seen at work.
    seen: AtomicU64,
}

impl Pulses {
    /// The task, with a pulse.
    pub fn watch<F: Future>(&self, name: impl Into<String>, task: F) -> Watched<F> {
        let (entered, left, seen) = Default::default();
        let pulse = Arc::new(Pulse { name: name.into(), entered, left, seen });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        Watched { pulse, task: Box::pin(task) }
    }

    /// The tasks that were at work on the same thing at the last look as they are now.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended.
        pulses.retain(|pulse| Arc::strong_count(pulse) > 1);
        pulses.iter().filter(|pulse| pulse.is_stuck()).map(|pulse| pulse.name.clone()).collect()
    }
}

impl Pulse {
    fn is_stuck(&self) -> bool {
        let left = self.left.load(Ordering::SeqCst);
        let entered = self.entered.load(Ordering::SeqCst);
        let before = self.seen.swap(entered, Ordering::SeqCst);
        entered != left && entered == before
    }
}

/// A task with a pulse.
pub struct Watched<F> {
    pulse: Arc<Pulse>,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.pulse.entered.fetch_add(1, Ordering::SeqCst);
        let polled = self.task.as_mut().poll(cx);
        self.pulse.left.fetch_add(1, Ordering::SeqCst);
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_waits_is_well_and_what_blocks_is_stuck() {
        let pulses = Pulses::default();
        let mut idle = pulses.watch("idle", std::future::pending::<()>());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut idle).poll(&mut cx).is_pending());
        let (go, gone) = mpsc::channel::<()>();
        let (tell, begun) = mpsc::channel();
        let blocked = pulses.watch("blocked", async move {
            tell.send(()).unwrap();
            gone.recv().unwrap();
        });
        let thread = std::thread::spawn(move || {
            let mut task = Box::pin(blocked);
            task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        begun.recv().unwrap();
        assert!(pulses.stuck().is_empty(), "one look tells nothing");
        assert_eq!(pulses.stuck(), ["blocked"]);
        go.send(()).unwrap();
        assert!(thread.join().unwrap().is_ready());
        assert!(pulses.stuck().is_empty());
        drop(idle);
        assert!(pulses.stuck().is_empty());
    }
}
