//! What a broker answers, and what follows from it.

use super::super::dialect::{Cut, CutKind, Limits, Refusal, Signal, Verdict};
use super::super::link::found;
use super::super::refused::Sentence;
use super::{End, Link, Mail, Phase, SETTLE_AT, Trial};
use crate::outbox::{DropReason, Outcome};

impl Link<'_> {
    /// Follows everything that was heard. What comes behind an end is of no use any more: it is in the
    /// outbox, and goes again.
    pub(super) async fn on_signals(&mut self) -> Result<(), End> {
        let mut heard = std::mem::take(&mut self.heard);
        let mut step = Ok(());
        for signal in heard.drain(..) {
            step = self.on_signal(signal).await;
            if step.is_err() {
                break;
            }
        }
        self.heard = heard;
        step
    }

    async fn on_signal(&mut self, signal: Result<Signal, Cut>) -> Result<(), End> {
        self.beats.heard();
        match signal {
            Ok(Signal::Accepted(limits)) => self.accepted(limits).await,
            Ok(Signal::Answered(id, verdict)) => {
                self.answer(id, verdict);
                Ok(())
            }
            // There may be more to hand over, which is looked at after every round.
            Ok(Signal::Room | Signal::Alive) => Ok(()),
            Err(Cut { kind, why }) => {
                if self.phase == Phase::Connecting {
                    self.memory.never_accepted(kind);
                    let denied = u32::from(kind == CutKind::Denied);
                    self.status.send_modify(|s| s.denied = s.denied.saturating_add(denied));
                }
                let parted = self.phase == Phase::Gone;
                Err(if parted { End::Finished } else { self.broken(why) })
            }
        }
    }

    async fn accepted(&mut self, limits: Limits) -> Result<(), End> {
        if !limits.assures {
            self.memory.versions.useless();
            let why = "the broker acknowledges no messages (maximum QoS 0, or no keep alive)";
            return Err(End::Broken(why.to_owned()));
        }
        self.memory.versions.accepted();
        self.limits = limits;
        self.window = usize::from(limits.window).max(1);
        // Known on disk before anything is sent: after a restart that makes the difference between
        // what may have been sent and what certainly was not.
        let marked = self.outbox.link_up(self.conn).await;
        marked.map_err(|e| End::Broken(format!("the outbox is not ready: {e}")))?;
        self.phase = Phase::Live;
        found(self.status, self.clock, self.client_id, self.conn);
        let version = self.memory.versions.next();
        self.status.send_modify(|s| s.version = Some(version));
        self.send_status("online");
        Ok(())
    }

    fn answer(&mut self, id: u16, verdict: Verdict) {
        match (self.flight.answered(id), verdict) {
            (Some(mail), Verdict::Taken) => self.taken(mail.as_ref()),
            (Some(mail), Verdict::Refused(why)) => self.was_refused(mail, why),
            // Nothing is known of it: nothing is acknowledged by it.
            (None, _) => {}
        }
    }

    fn taken(&mut self, mail: Option<&Mail>) {
        self.answered = true;
        self.tally.acked += 1;
        let Some(&Mail { key, retained, .. }) = mail else { return };
        self.tally.lanes[key.lane as usize].acked += 1;
        self.memory.suspects.answered(key);
        self.refused.taken(key);
        self.settled.push((key, Outcome::Acknowledged));
        if retained {
            // The next message of the topic may go now.
            self.asking.again();
        }
        // With the next question at the latest; before it when there is nothing else to wait for.
        if self.settled.len() >= SETTLE_AT || self.flight.len() == 0 {
            self.settle();
        }
    }

    fn was_refused(&mut self, mail: Option<Mail>, why: Refusal) {
        // The broker is there and answers: what it says is not the line's fault.
        self.answered = true;
        let known = self.status.borrow().refusals.contains_key(&why);
        self.status.send_modify(|s| *s.refusals.entry(why).or_default() += 1);
        let Some(mail) = mail else {
            tracing::error!(reason = why.as_str(), "the broker refuses the box's status");
            return;
        };
        let key = mail.key;
        if !known {
            let (topic, seq) = (&mail.parcel.topic, key.position.seq);
            tracing::error!(
                topic,
                seq,
                reason = why.as_str(),
                "the broker refuses a message; it is kept and offered again"
            );
        }
        self.memory.suspects.answered(key);
        if let Sentence::Hopeless(mail) = self.refused.refuse(key, mail, why, self.beats.all) {
            self.give_up(&mail, DropReason::Refused);
        }
    }

    /// The end of a connection that died: remembers what was first in line, and keeps it aside when it
    /// is convicted.
    pub(super) fn broken(&mut self, why: String) -> End {
        if self.phase == Phase::Connecting {
            return End::Broken(why);
        }
        let alone = matches!(self.trial, Trial::Sent(_));
        let first = self.flight.first().cloned();
        let convicted = self.memory.suspects.died(first.as_ref().map(|mail| mail.key), alone);
        if convicted.is_some()
            && let Some(mail) = first
        {
            self.give_up(&mail, DropReason::Poison);
        }
        End::Broken(why)
    }
}
