//! Handing over to the connection: what the outbox gave, and the box's own status and health.

use std::time::Duration;

use bytes::Bytes;

use super::super::dialect::Parcel;
use super::super::letters::Letter;
use super::super::payload::{self, mark_replay};
use super::super::pipe::status_payload;
use super::super::topics::{self, Prefix};
use super::{Link, Mail, Trial};
use crate::outbox::{DropReason, Entry, Outcome};

/// A heartbeat that is older than three of them is worth nothing.
const HEALTH_EXPIRES: Duration = Duration::from_secs(90);

impl Link<'_> {
    /// Sends the suspect when everything that was sent before it has arrived, and nothing beside it.
    pub(super) fn go_on_trial(&mut self) {
        if self.flight.len() > 0 || !self.answered {
            return;
        }
        let Trial::Waiting(key) = self.trial else {
            // It was answered for.
            self.trial = Trial::None;
            return;
        };
        let shelf = &mut self.shelf[key.lane as usize];
        match shelf.iter().position(|mail| mail.key == key) {
            Some(at) => {
                let mail = shelf.remove(at).expect("it was found there");
                tracing::warn!(
                    topic = mail.parcel.topic,
                    seq = key.position.seq,
                    "a message that was first in line of dying connections is tried alone"
                );
                self.trial = Trial::Sent(key);
                self.send(mail);
            }
            None => {
                // Not among the first any more; if nothing was taken yet it may come.
                if self.asked {
                    self.trial = Trial::None;
                }
            }
        }
    }

    pub(super) fn send(&mut self, mut mail: Mail) {
        let parcel = &mut mail.parcel;
        let beside = parcel.correlation.as_ref().map_or(0, Vec::len);
        let bytes = self.socket.overhead() + parcel.topic.len() + parcel.payload.len() + beside;
        if bytes > usize::try_from(self.limits.packet_max).unwrap_or(usize::MAX) {
            self.give_up(&mail, DropReason::TooLarge);
            return;
        }
        if !rumqttc::valid_topic(&parcel.topic) || parcel.topic.len() > usize::from(u16::MAX) {
            self.give_up(&mail, DropReason::BadTopic);
            return;
        }
        parcel.retain &= self.limits.retains;
        let (lane, replay) = (mail.key.lane, parcel.replay);
        self.memory.allowance.spend(bytes as u64, replay);
        let id = self.flight.next_id();
        self.socket.publish(id, parcel);
        self.flight.hand_over(id, Some(mail), self.beats.all);
        self.tally.sent += 1;
        let counted = &mut self.tally.lanes[lane as usize];
        counted.sent += 1;
        counted.replayed += u64::from(replay);
        counted.bytes += bytes as u64;
    }

    pub(super) fn send_status(&mut self, state: &str) {
        let payload = status_payload(state, self.clock.boot(), self.conn, self.clock.now());
        let parcel = self.own(self.prefix.status(), payload, true, None);
        let id = self.flight.next_id();
        self.socket.publish(id, &parcel);
        self.flight.hand_over(id, None, self.beats.all);
    }

    pub(super) fn send_health(&mut self, payload: Option<Vec<u8>>) {
        let Some(payload) = payload else { return };
        if !self.socket.has_room() {
            tracing::debug!("health not sent: the link is busy");
            return;
        }
        // Not assured: no id, and no place among what is on its way. The next one will do as well.
        let parcel = self.own(self.prefix.health(), payload, false, Some(HEALTH_EXPIRES));
        self.socket.publish(0, &parcel);
    }

    /// A retained message that is not the outbox's.
    fn own(
        &self,
        topic: String,
        payload: Vec<u8>,
        assured: bool,
        expires: Option<Duration>,
    ) -> Parcel {
        let retain = self.limits.retains;
        let (payload, content_type) = (Bytes::from(payload), payload::JSON);
        let (replay, correlation) = (false, None);
        Parcel { topic, payload, assured, retain, content_type, replay, correlation, expires }
    }

    /// Keeps a message aside that cannot be delivered, and takes it out of the outbox. If it cannot be
    /// kept it stays in the outbox, and comes again with the next connection.
    pub(super) fn give_up(&mut self, mail: &Mail, reason: DropReason) {
        let Parcel { topic, retain, payload, .. } = &mail.parcel;
        let (seq, bytes, why) = (mail.key.position.seq, payload.len(), reason.as_str());
        tracing::error!(topic, seq, bytes, reason = why, "a message cannot be delivered");
        let at = self.clock.now().utc.to_string();
        // On this task: it happens a few times in a box's life, and must be on disk before the outbox
        // forgets the message.
        let letter = Letter { key: mail.key, topic, retain: *retain, payload, reason, at: &at };
        match self.memory.letters.keep(letter) {
            Ok(gone) => {
                self.status.send_modify(|s| {
                    s.lanes[mail.key.lane as usize].quarantined += 1;
                    s.undelivered_gone += gone;
                });
                self.settled.push((mail.key, Outcome::Dropped(reason)));
            }
            Err(error) => {
                tracing::error!(error = %error, topic, seq, "it cannot be kept aside either");
            }
        }
    }
}

/// A message of the outbox as it goes to the broker.
pub(super) fn mail(prefix: &Prefix, entry: Entry, compress: bool) -> Mail {
    let compressed = if compress { entry.compressed() } else { None };
    let Entry { key, path, retain, replay, payload, .. } = entry;
    let (payload, content_type) = match compressed {
        Some(compressed) => (compressed, payload::ZSTD),
        None if replay && !topics::is_form(&path) => {
            (mark_replay(&payload), payload::content_type(&path))
        }
        None => (payload, payload::content_type(&path)),
    };
    let parcel = Parcel {
        topic: prefix.join(&path),
        correlation: topics::answer(&path).map(|(_, correlation)| correlation),
        payload: Bytes::from(payload),
        assured: true,
        retain,
        content_type,
        replay,
        expires: None,
    };
    Mail { key, retained: retain, parcel }
}
