//! One connection: packets gather in a buffer and go out together, and what comes in is read by the buffer
//! too, so that a hundred publishes or acknowledgements cost one call of the kernel and not a hundred.
//!
//! It is used once and then thrown away: what was on its way is known by the outbox. Time is counted by
//! the runtime's timers; no clock is read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use super::dial::{DialError, Stream, dial};
use super::dialect::{Cut, CutKind, Dialect, Limits, Parcel, Signal};
use super::session::Access;

/// PINGREQ and DISCONNECT are the same in both versions.
const PING: [u8; 2] = [0xc0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];
/// Bytes waiting to be written after which nothing more is taken (the packet that passes it is still in).
const OUT_MAX: usize = 64 * 1024;
/// Bytes read at once at most.
const CHUNK: usize = 8 * 1024;

type Dialing = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, DialError>> + Send>>;

/// How far the connection is.
enum State {
    Dialing(Dialing),
    /// CONNECT is sent.
    Greeting(Box<dyn Stream>),
    Open(Box<dyn Stream>),
    /// It has ended.
    Over,
}

/// A connection for publishing.
pub(super) struct Socket {
    dialect: Box<dyn Dialect>,
    state: State,
    /// Until when the broker must have accepted the connection.
    deadline: Pin<Box<Sleep>>,
    connect_timeout: Duration,
    /// How long a connection that lives may be silent, beside the time between pings.
    patience: Duration,
    pings: Option<Interval>,
    keep_alive: Duration,
    /// Nothing was read since the last ping.
    silent: bool,
    /// To be written.
    out: BytesMut,
    /// The stream may hold back what was written to it.
    unflushed: bool,
    /// DISCONNECT is the last that is written; then it is for us to hang up (MQTT 5, 3.14.4).
    parting: bool,
    /// Somebody may have been told that there is no room.
    crowded: bool,
    /// Read, and not looked at.
    incoming: BytesMut,
    chunk: Box<[u8]>,
    /// Nothing can be written any more. What the broker has sent before is still read: it may be
    /// acknowledgements.
    broken: Option<Cut>,
}

impl Socket {
    /// Prepares the connection; it begins with the first question for a signal.
    pub(super) fn open(access: &Access, dialect: Box<dyn Dialect>) -> Socket {
        Socket {
            state: State::Dialing(Box::pin(dial(access.clone()))),
            deadline: Box::pin(tokio::time::sleep(access.connect_timeout)),
            connect_timeout: access.connect_timeout,
            patience: access.silence_max(Duration::ZERO),
            pings: None,
            keep_alive: dialect.limits().keep_alive,
            silent: false,
            dialect,
            out: BytesMut::new(),
            unflushed: false,
            parting: false,
            crowded: false,
            incoming: BytesMut::new(),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            broken: None,
        }
    }

    /// What is allowed before the broker has said so.
    pub(super) fn limits(&self) -> Limits {
        self.dialect.limits()
    }

    /// Bytes of a packet beside its topic and payload, at most.
    pub(super) fn overhead(&self) -> usize {
        self.dialect.overhead()
    }

    /// The longest time without a sign of life.
    pub(super) fn silence_max(&self) -> Duration {
        self.patience + self.keep_alive
    }

    /// Whether another parcel may be handed over now. If not, a [`Signal::Room`] says when.
    pub(super) fn has_room(&mut self) -> bool {
        let room = self.out.len() < OUT_MAX;
        self.crowded |= !room;
        room
    }

    /// Hands a parcel over, under the packet id `id` if it is assured. It is written with the next
    /// question for a signal.
    pub(super) fn publish(&mut self, id: u16, parcel: &Parcel) {
        self.dialect.publish(id, parcel, &mut self.out);
    }

    /// Says goodbye when everything that was handed over is written, and hangs up.
    pub(super) fn disconnect(&mut self) {
        self.out.extend_from_slice(&DISCONNECT);
        self.parting = true;
    }

    /// What happens next. Loses nothing when it is dropped and asked again.
    pub(super) fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Result<Signal, Cut>> {
        if matches!(self.state, State::Dialing(_)) {
            match self.poll_dial(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(cut)) => return Poll::Ready(Err(self.over(cut))),
                Poll::Pending => return self.poll_deadline(cx, CutKind::Other),
            }
        }
        self.write(cx);
        if self.crowded && self.out.len() < OUT_MAX {
            self.crowded = false;
            return Poll::Ready(Ok(Signal::Room));
        }
        match self.poll_read(cx) {
            Poll::Ready(Ok(signal)) => Poll::Ready(self.follow(signal)),
            Poll::Ready(Err(cut)) => Poll::Ready(Err(self.over(cut))),
            Poll::Pending => match self.broken.take() {
                Some(cut) => Poll::Ready(Err(self.over(cut))),
                None if self.parting && self.out.is_empty() && !self.unflushed => {
                    Poll::Ready(Err(self.over(Cut::other("the box said goodbye"))))
                }
                None if matches!(self.state, State::Greeting(_)) => {
                    self.poll_deadline(cx, CutKind::Unanswered)
                }
                None => self.poll_ping(cx).map(Err),
            },
        }
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let State::Dialing(dialing) = &mut self.state else { return Poll::Ready(Ok(())) };
        let stream = ready!(dialing.as_mut().poll(cx)).map_err(|e| Cut::other(e.to_string()))?;
        self.state = State::Greeting(stream);
        Poll::Ready(self.dialect.connect(&mut self.out).map_err(Cut::other))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, kind: CutKind) -> Poll<Result<Signal, Cut>> {
        ready!(self.deadline.as_mut().poll(cx));
        let why = format!("the broker did not answer within {:?}", self.connect_timeout);
        Poll::Ready(Err(self.over(Cut { kind, why })))
    }

    /// Writes what it can.
    fn write(&mut self, cx: &mut Context<'_>) {
        let (State::Greeting(stream) | State::Open(stream)) = &mut self.state else { return };
        while !self.out.is_empty() && self.broken.is_none() {
            match Pin::new(&mut *stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => self.broken = Some(Cut::other("nothing can be written")),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                }
                Poll::Ready(Err(why)) => self.broken = Some(lost(&why)),
                Poll::Pending => break,
            }
        }
        if self.unflushed && self.broken.is_none() {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(why)) => self.broken = Some(lost(&why)),
                Poll::Pending => {}
            }
        }
    }

    /// The next packet.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Signal, Cut>> {
        let greeting = matches!(self.state, State::Greeting(_));
        let (State::Greeting(stream) | State::Open(stream)) = &mut self.state else {
            return Poll::Ready(Err(Cut::other("the connection is over")));
        };
        // What ends a greeting may be a broker that does not know the version.
        let unanswered =
            |cut: Cut| if greeting { Cut { kind: CutKind::Unanswered, ..cut } } else { cut };
        loop {
            if let Some(signal) = self.dialect.read(&mut self.incoming)? {
                return Poll::Ready(Ok(signal));
            }
            let mut chunk = ReadBuf::new(&mut self.chunk);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk))
                .map_err(|why| unanswered(lost(&why)))?;
            if chunk.filled().is_empty() {
                let why = Cut::other("the broker closed the connection");
                return Poll::Ready(Err(unanswered(why)));
            }
            self.silent = false;
            self.incoming.extend_from_slice(chunk.filled());
        }
    }

    /// The broker says nothing before it has accepted, and accepts once.
    fn follow(&mut self, signal: Signal) -> Result<Signal, Cut> {
        let greeting = matches!(self.state, State::Greeting(_));
        match (&signal, greeting) {
            (Signal::Accepted(limits), true) => {
                self.keep_alive = limits.keep_alive;
                // No pings at all are of no use to us, and the pipe says so.
                let mut pings =
                    tokio::time::interval(limits.keep_alive.max(Duration::from_secs(1)));
                pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
                pings.reset();
                self.pings = Some(pings);
                if let State::Greeting(stream) = std::mem::replace(&mut self.state, State::Over) {
                    self.state = State::Open(stream);
                }
                Ok(signal)
            }
            (Signal::Accepted(_), false) => Err(self.over(Cut::other("accepted twice"))),
            (_, false) => Ok(signal),
            (_, true) => {
                let why = "the broker did not answer CONNECT with CONNACK".to_owned();
                Err(self.over(Cut { kind: CutKind::Unanswered, why }))
            }
        }
    }

    /// Asks for a sign of life every `keep_alive`; ready when there was none since the last time.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        ready!(pings.poll_tick(cx));
        if self.silent {
            let why = format!("the broker left a ping unanswered for {:?}", self.keep_alive);
            return Poll::Ready(self.over(Cut::other(why)));
        }
        self.silent = true;
        self.out.extend_from_slice(&PING);
        self.write(cx);
        // Asked once more, so that the next tick wakes, or a ping that could not be written is told.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The end: nothing more is read or written.
    fn over(&mut self, cut: Cut) -> Cut {
        self.state = State::Over;
        cut
    }
}

fn lost(why: &io::Error) -> Cut {
    Cut::other(format!("the connection broke: {why}"))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::dialect::{Opening, Verdict};
    use super::super::v4::V4;
    use super::*;
    use crate::config::{Broker, BrokerUrl, Scheme};

    const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

    /// A connection that was accepted, and the broker's end of it.
    async fn accepted() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url =
            BrokerUrl { scheme: Scheme::Mqtt, host: "127.0.0.1".into(), port, path: String::new() };
        let broker = Broker {
            url,
            username: None,
            password: None,
            ca_file: None,
            identity: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            window: 20,
            packet_max: 1024,
        };
        let access = Access::of(&broker, "box", None).unwrap();
        let will = ("lost".to_owned(), vec![]);
        let opening = Opening { client_id: "box", will, window: 20, packet_max: 1024 };
        let mut socket = Socket::open(&access, Box::new(V4::new(&access, opening)));
        let far = async {
            let (mut far, _) = listener.accept().await.unwrap();
            let mut first = [0; 2];
            far.read_exact(&mut first).await.unwrap();
            let mut connect = vec![0; first[1].into()];
            far.read_exact(&mut connect).await.unwrap();
            far.write_all(&CONNACK).await.unwrap();
            far
        };
        let (signal, far) = tokio::join!(next(&mut socket), far);
        assert!(matches!(signal, Ok(Signal::Accepted(_))), "{signal:?}");
        (socket, far)
    }

    async fn next(socket: &mut Socket) -> Result<Signal, Cut> {
        poll_fn(|cx| socket.poll_signal(cx)).await
    }

    fn parcel(bytes: usize) -> Parcel {
        Parcel {
            topic: "t".to_owned(),
            payload: Bytes::from(vec![b'x'; bytes]),
            assured: true,
            retain: false,
            content_type: "application/json",
            replay: false,
            correlation: None,
            expires: None,
        }
    }

    #[tokio::test]
    async fn what_came_before_the_end_still_counts() {
        let (mut socket, mut far) = accepted().await;
        far.write_all(&[0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0]).await.unwrap();
        drop(far);
        for id in [1, 2] {
            assert_eq!(next(&mut socket).await.unwrap(), Signal::Answered(id, Verdict::Taken));
        }
        next(&mut socket).await.unwrap_err();
    }

    #[tokio::test]
    async fn publishes_gather_and_a_goodbye_is_the_last_that_is_written() {
        let (mut socket, mut far) = accepted().await;
        (1..=3).for_each(|id| socket.publish(id, &parcel(10)));
        socket.disconnect();
        next(&mut socket).await.unwrap_err();
        drop(socket);
        let mut written = vec![];
        far.read_to_end(&mut written).await.unwrap();
        assert_eq!(written.len(), 3 * (2 + 3 + 2 + 10) + 2);
        assert!(written.ends_with(&DISCONNECT));
    }

    #[tokio::test]
    async fn a_full_buffer_takes_no_more_until_it_is_written() {
        let (mut socket, mut far) = accepted().await;
        let mut id = 0;
        while socket.has_room() {
            id += 1;
            socket.publish(id, &parcel(1000));
        }
        assert!(socket.out.len() >= OUT_MAX && socket.out.len() < OUT_MAX + 1100);
        let reading = tokio::spawn(async move { far.read_to_end(&mut vec![]).await });
        assert_eq!(next(&mut socket).await.unwrap(), Signal::Room);
        assert!(socket.has_room());
        drop(socket);
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn nobody_is_accepted_twice() {
        let (mut socket, mut far) = accepted().await;
        far.write_all(&CONNACK).await.unwrap();
        let cut = next(&mut socket).await.unwrap_err();
        assert_eq!(cut.kind, CutKind::Other, "accepted twice: {cut:?}");
    }
}
