//! What a node does about what it hears.

use wire::{Answer, BROADCAST, Body, Down, Frame, Heard, Outcome, Settings, WrongTag};

use crate::event::{Action, Actions};
use crate::node::{Node, Watch, push};
use crate::watch::after;

impl Node {
    /// Takes what the line said. What is meant for others is let pass. A node with a key believes only what is
    /// sealed with it, and a node without one cannot read what is sealed.
    pub(crate) fn hear(&mut self, heard: Heard, actions: &mut Actions) {
        let own = self.identity.node;
        match (heard, self.identity.key) {
            (Heard::Sealed(sealed), Some(key)) if sealed.node() == own => match sealed.open(&key) {
                Ok(heard) => self.listen(heard, actions),
                Err(WrongTag) => {
                    self.counters.wrong_tags = self.counters.wrong_tags.saturating_add(1);
                }
            },
            (Heard::Frame(Frame { header, body: Body::Down(_) }), Some(_)) => {
                if header.node == own {
                    self.counters.unsealed = self.counters.unsealed.saturating_add(1);
                }
            }
            (heard, _) => self.listen(heard, actions),
        }
    }

    fn listen(&mut self, heard: Heard, actions: &mut Actions) {
        let own = self.identity.node;
        match heard {
            Heard::Fault(_) => {
                self.counters.line_faults = self.counters.line_faults.saturating_add(1);
            }
            Heard::Unknown { header, .. } if header.node == own => {
                self.counters.unknown_kinds = self.counters.unknown_kinds.saturating_add(1);
            }
            Heard::Frame(Frame { header, body: Body::Down(down) }) => {
                if header.node == own {
                    self.obey(header.counter, down, actions);
                } else if header.node == BROADCAST && !matches!(down, Down::Ack(_)) {
                    // All nodes at once would answer on top of each other.
                    self.carry_out(down, actions);
                }
            }
            // Another node of the line, or its conversation.
            Heard::Unknown { .. } | Heard::Frame(_) | Heard::Sealed(_) => {}
        }
    }

    /// Carries out a command and has it answered, when it has a number to answer to.
    fn obey(&mut self, to: u32, down: Down, actions: &mut Actions) {
        let numbered = to != 0 && !matches!(down, Down::Ack(_) | Down::Time(_));
        if numbered && let Some(done) = self.command.filter(|done| done.to == to) {
            self.answer = Some(done);
            return;
        }
        let counts = self.identity.key.is_some() && !matches!(down, Down::Ack(_));
        let outcome =
            if counts && !self.count(to) { Outcome::Stale } else { self.carry_out(down, actions) };
        if numbered {
            let answer = Answer { to, outcome };
            self.answer = Some(answer);
            if outcome != Outcome::Stale {
                self.command = Some(answer);
            }
        }
    }

    /// Whether a sealed command is a new one: its number is above all that were believed.
    fn count(&mut self, number: u32) -> bool {
        let is_new = number > self.record.command;
        if is_new {
            self.record.command = number;
            self.due.store = Some(self.now);
        } else {
            self.counters.stale_commands = self.counters.stale_commands.saturating_add(1);
        }
        is_new
    }

    fn carry_out(&mut self, down: Down, actions: &mut Actions) -> Outcome {
        match down {
            Down::Ack(ack) => {
                if let Some(slot) = self.unsent.acknowledge(ack.counter, self.now) {
                    push(actions, Action::Keep { slot });
                }
            }
            Down::Settings(settings) if settings.check().is_err() => return Outcome::OutOfRange,
            Down::Settings(settings) => self.adopt(settings),
            Down::Recalibrate => match &mut self.watch {
                Watch::Bay(watch) => {
                    watch.bay.recalibrate(self.now);
                    self.record.baseline = None;
                }
                Watch::Bin(_) => return Outcome::NotForMe,
            },
            Down::Identify(identify) => {
                push(actions, Action::Identify { seconds: identify.seconds });
            }
            Down::NewBattery if self.identity.supply.is_none() => return Outcome::NotForMe,
            Down::NewBattery => {
                self.record.used_uah = 0;
                // Told at once, and stored before it is.
                self.due.battery = self.now;
            }
            Down::Time(time) => {
                self.unsent.set_clock(time.unix_s, self.now);
                push(actions, Action::SetClock { unix_s: time.unix_s });
            }
        }
        Outcome::Done
    }

    fn adopt(&mut self, settings: Settings) {
        self.record.settings = settings;
        self.due.store = Some(self.now);
        let battery = after(self.now, u64::from(settings.battery_s) * 1000);
        self.due.battery = self.due.battery.min(battery);
        self.due.hello = self.due.hello.min(battery);
        match &mut self.watch {
            Watch::Bay(watch) => watch.retime(&settings, self.now),
            Watch::Bin(watch) => watch.retime(&settings, self.now),
        }
    }
}
