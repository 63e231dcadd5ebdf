//! rumqttc's event loops, made safe to wait for.
//!
//! A connection is used once: client and event loop are made new each time, so that nothing rumqttc
//! remembers of an old link can be mistaken for the present one.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, ready};

use tokio_util::sync::ReusableBoxFuture;

/// An event loop of rumqttc, of either version of the protocol.
pub(super) trait Turning: Send + 'static {
    type Event: Send;
    type Error: Send;

    /// The next event; connects first, when there is no connection.
    fn turn(&mut self) -> impl Future<Output = Result<Self::Event, Self::Error>> + Send;
}

impl Turning for rumqttc::EventLoop {
    type Event = rumqttc::Event;
    type Error = rumqttc::ConnectionError;

    fn turn(&mut self) -> impl Future<Output = Result<Self::Event, Self::Error>> + Send {
        self.poll()
    }
}

impl Turning for rumqttc::v5::EventLoop {
    type Event = rumqttc::v5::Event;
    type Error = rumqttc::v5::ConnectionError;

    fn turn(&mut self) -> impl Future<Output = Result<Self::Event, Self::Error>> + Send {
        self.poll()
    }
}

struct Turned<L: Turning> {
    event_loop: Box<L>,
    result: Result<L::Event, L::Error>,
}

async fn turn<L: Turning>(mut event_loop: Box<L>) -> Turned<L> {
    let result = event_loop.turn().await;
    Turned { event_loop, result }
}

/// An event loop, one event at a time.
pub(super) struct Events<L: Turning> {
    turning: ReusableBoxFuture<'static, Turned<L>>,
}

impl<L: Turning> Events<L> {
    /// The connection begins with the first call of [`Events::next`] or [`Events::poll`].
    pub(super) fn of(event_loop: L) -> Events<L> {
        Events { turning: ReusableBoxFuture::new(turn(Box::new(event_loop))) }
    }

    /// The next event. Can be dropped and called again without losing anything: a turn that has begun
    /// goes on where it was, whereas rumqttc's own poll, dropped half-way, can lose a packet.
    pub(super) async fn next(&mut self) -> Result<L::Event, L::Error> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// As [`Events::next`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<L::Event, L::Error>> {
        let Turned { event_loop, result } = ready!(self.turning.poll(cx));
        // After the end nobody is to ask again; but if somebody does, it is a new try and not a panic.
        self.turning.set(turn(event_loop));
        Poll::Ready(result)
    }
}
