//! Publishes what the outbox holds; a PUBACK, and nothing else, acknowledges there.
//!
//! One task owns the link. This module connects, again and again, and remembers from one connection to
//! the next what has to be remembered: how long to wait, which version the broker speaks, which message
//! is suspected of killing connections, and what the day has cost. `sender` is one connection.

use std::path::PathBuf;

use domain::site::Identity;
use domain::time::{Boot, Now};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::LinkStatus;
use super::allowance::Allowance;
use super::backoff::{Backoff, Pace};
use super::dialect::{CutKind, Dialect, Opening};
use super::letters::Letters;
use super::link::lost;
use super::sender::{End, Link};
use super::session::{Access, SessionError};
use super::socket::Socket;
use super::suspect::Suspects;
use super::topics::Prefix;
use super::v4::V4;
use super::v5::V5;
use super::version::Versions;
use crate::clock::Clock;
use crate::config::{Broker, Traffic, Version};
use crate::evidence::post::Part;
use crate::outbox::{Outbox, OutboxError};

/// The largest window; the settings say so too.
const WINDOW_MAX: u16 = 1000;

/// Everything the publishing task works with.
pub struct Pipe {
    /// The broker.
    pub settings: Broker,
    /// How much may be sent to it, and in which version of the protocol.
    pub traffic: Traffic,
    /// Who the box is; its id is the client id, and the user name unless the settings have one.
    pub identity: Identity,
    /// Where messages come from.
    pub outbox: Outbox,
    /// The buffer's directory: messages that cannot be delivered are kept below it.
    pub dir: PathBuf,
    /// The time.
    pub clock: Clock,
    /// Ready-made payloads for `P/health`; each new one is sent once, none is waited for.
    pub health: watch::Receiver<Option<Vec<u8>>>,
    /// A topic and what is retained there, sent after `online` over every connection, with no number and beside
    /// the outbox.
    pub greeting: Option<(String, Vec<u8>)>,
    /// Parts of pictures that somebody has asked for; `None`: they go elsewhere.
    pub pictures: Option<mpsc::Receiver<Part>>,
    /// Where the task shows how the link is doing.
    pub status: watch::Sender<LinkStatus>,
    /// Says goodbye and ends.
    pub stop: CancellationToken,
}

/// Why the pipe ended.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The outbox has gone away.
    #[error("the outbox has stopped")]
    OutboxGone,
}

/// What is remembered from one connection to the next.
pub(super) struct Memory {
    pub(super) backoff: Backoff,
    pub(super) versions: Versions,
    pub(super) suspects: Suspects,
    pub(super) allowance: Allowance,
    pub(super) letters: Letters,
    pub(super) health: watch::Receiver<Option<Vec<u8>>>,
    pub(super) pictures: Option<mpsc::Receiver<Part>>,
}

impl Pipe {
    /// Connects, publishes, and connects again, until it is stopped.
    ///
    /// # Errors
    /// The outbox is gone: the box must not go on without it.
    pub async fn run(self) -> Result<(), PipeError> {
        let pace = Pace::within(self.settings.reconnect_spread);
        self.run_at(pace).await
    }

    /// As [`Pipe::run`], with another patience.
    ///
    /// # Errors
    /// As [`Pipe::run`].
    pub async fn run_at(mut self, pace: Pace) -> Result<(), PipeError> {
        let prefix = Prefix::new(&self.identity);
        let now = self.clock.now();
        let mut memory = Memory {
            backoff: Backoff::of(self.identity.id.as_str(), self.clock.boot().0, pace),
            versions: Versions::new(self.traffic.protocol),
            suspects: Suspects::default(),
            allowance: Allowance::open(&self.traffic, &self.dir, now.utc),
            letters: Letters::below(&self.dir),
            health: self.health.clone(),
            pictures: self.pictures.take(),
        };
        let ended = self.connections(&prefix, &mut memory).await;
        memory.allowance.save();
        ended
    }

    async fn connections(&self, prefix: &Prefix, memory: &mut Memory) -> Result<(), PipeError> {
        // Counted per try, not per CONNACK: a broker may have accepted a try of which we never heard,
        // and the last will of that one must not pass for the present one's.
        let mut conn = 0_u32;
        loop {
            conn = conn.saturating_add(1);
            let why = match self.socket(prefix, conn, memory.versions.next()) {
                Err(error) => error.to_string(),
                Ok(socket) => match self.connection(prefix, conn, socket, memory).await? {
                    End::Finished => return Ok(()),
                    End::Broken(why) => why,
                },
            };
            lost(&self.status, &self.clock, self.identity.id.as_str(), why);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(memory.backoff.wait()) => {}
            }
            self.status.send_modify(|s| s.reconnects += 1);
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(
        &self,
        prefix: &Prefix,
        conn: u32,
        socket: Socket,
        memory: &mut Memory,
    ) -> Result<End, PipeError> {
        let mut link = Link::new(self, prefix, socket, conn, memory);
        let end = link.run().await;
        // What the broker has answered for first, then everything else is free again.
        let settled = link.finish();
        self.outbox.settle(settled).await.map_err(gone)?;
        self.outbox.release_all().await.map_err(gone)?;
        Ok(end)
    }

    pub(super) fn window(&self) -> u16 {
        self.settings.window.clamp(1, WINDOW_MAX)
    }

    fn socket(&self, prefix: &Prefix, conn: u32, version: Version) -> Result<Socket, SessionError> {
        let id = self.identity.id.as_str();
        let access = Access::of(&self.settings, id, Some(id))?;
        let will = status_payload("lost", self.clock.boot(), conn, self.clock.now());
        let opening = Opening {
            client_id: id,
            will: (prefix.status(), will),
            window: self.window(),
            packet_max: self.settings.packet_max,
        };
        let dialect: Box<dyn Dialect> = match version {
            Version::V5 => Box::new(V5::new(&access, opening)),
            Version::V311 => Box::new(V4::new(&access, opening)),
        };
        Ok(Socket::open(&access, dialect))
    }
}

impl Memory {
    /// A connection ended that was never accepted.
    pub(super) fn never_accepted(&mut self, kind: CutKind) {
        let before = self.versions.next();
        self.versions.refused(kind);
        let next = self.versions.next();
        if next != before {
            tracing::info!(from = %before, to = %next, "another version of MQTT is tried");
        }
    }
}

/// `{"state":"online","boot":17,"conn":3,"at":…,"clock":…}`
pub(super) fn status_payload(state: &str, boot: Boot, conn: u32, now: Now) -> Vec<u8> {
    let status = serde_json::json!({
        "state": state, "boot": boot, "conn": conn, "at": now.utc, "clock": now.clock,
    });
    status.to_string().into_bytes()
}

fn gone(_: OutboxError) -> PipeError {
    PipeError::OutboxGone
}
