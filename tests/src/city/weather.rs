//! What goes wrong in the time of a seed: known before anything runs, and over when the city begins to heal.
//!
//! Faults come in the first part of a run; in the last part, [`Weather::heals_at`] and later, nothing does.
//! The sensors' own faults are part of the [truth](super::truth), for tickets must come of them.

use domain::time::ClockQuality;
use steward::demo::chance::Chance;

use super::truth::{HOUR, MINUTE, SECOND, SWEPT_BY, Truth, Window};

/// What is the matter with the link to the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing.
    Good,
    /// There is none.
    Lost,
    /// The far end takes half a window of messages and falls silent: no acknowledgement ever comes.
    HalfOpen,
    /// The far end acknowledges three messages a turn.
    Slow,
    /// The far end ends the connection at the second message of each turn.
    Refusing,
    /// The far end does not want one telemetry message in five, and the box gives them up.
    Picky,
}

/// How the box ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is stopped.
    Orderly,
    /// Killed when a turn is decided and not stored.
    BeforeCommit,
    /// Killed when a turn is stored and nobody was told so.
    AfterCommit,
    /// Killed when the far end has acknowledged, and the box has not noted it.
    AfterDelivery,
}

/// The box ends, and starts again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restart {
    pub(super) at: u64,
    pub(super) how: End,
    /// How long it is down.
    pub(super) down: u64,
}

/// What the box's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Telling {
    pub(super) quality: ClockQuality,
    /// How far ahead of the truth, in milliseconds.
    pub(super) ahead: i64,
}

/// A time in which something is so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spell<T> {
    pub(super) time: Window,
    pub(super) what: T,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub(super) links: Vec<Spell<Link>>,
    pub(super) restarts: Vec<Restart>,
    pub(super) clocks: Vec<Spell<Telling>>,
    /// When the broker of the network server cannot be reached: it keeps what it has.
    pub(super) deaf: Vec<Window>,
    pub(super) heals_at: u64,
}

const YEARS_10: i64 = 10 * 365 * 86_400_000;

impl Weather {
    /// The weather of the truth's seed. A calm one has only what sensors and the air do.
    pub(super) fn new(truth: &Truth, calm: bool) -> Weather {
        let until = truth.size.until();
        let heals_at = until - (until / 5).min(12 * HOUR);
        let mut weather =
            Weather { links: vec![], restarts: vec![], clocks: vec![], deaf: vec![], heals_at };
        if let Some(at) = truth.grows_at() {
            weather.restarts.push(Restart { at, how: End::Orderly, down: 20 * SECOND });
        }
        if !calm {
            weather.brew(truth.seed, heals_at);
        }
        weather.restarts.sort_by_key(|restart| restart.at);
        weather
    }

    fn brew(&mut self, seed: u64, heals_at: u64) {
        let die = |purpose| Chance::new(seed, purpose, 0);
        self.links = spells(&mut die("link"), heals_at, 5 * HOUR, (MINUTE, 2 * HOUR), |chance| {
            let kinds =
                [Link::Lost, Link::HalfOpen, Link::Slow, Link::Refusing, Link::Picky, Link::Lost];
            *pick(chance, &kinds)
        });
        let deaf = spells(&mut die("deaf"), heals_at, 9 * HOUR, (MINUTE, HOUR), |_| ());
        self.deaf = deaf.into_iter().map(|spell| spell.time).collect();
        let mut chance = die("restarts");
        let mut at = 0;
        loop {
            at += chance.between(2 * HOUR, 9 * HOUR);
            if at > heals_at - 2 * HOUR {
                break;
            }
            let ends = [End::Orderly, End::BeforeCommit, End::AfterCommit, End::AfterDelivery];
            let how = *pick(&mut chance, &ends);
            // A sweeper that nobody hears has not swept: while streets are swept, the box is back at once.
            let sweeping = at % (24 * HOUR) < SWEPT_BY;
            let long = !sweeping && chance.once_in(4);
            let down = if long { chance.between(10 * MINUTE, 90 * MINUTE) } else { 10 * SECOND };
            self.restarts.push(Restart { at, how, down });
            if !sweeping && chance.once_in(3) {
                self.lose_time(&mut chance, at + down, down);
            }
        }
        let drift = |chance: &mut Chance| Telling {
            quality: ClockQuality::Ntp,
            ahead: signed(chance, 1500),
        };
        let drifts = spells(&mut die("drift"), heals_at, 7 * HOUR, (10 * MINUTE, HOUR), drift);
        self.clocks.extend(drifts);
    }

    /// After a start at `from` nobody knows the time, or it is as it was when the box went down.
    fn lose_time(&mut self, chance: &mut Chance, from: u64, down: u64) {
        let down = i64::try_from(down).expect("hours");
        let what = match chance.between(0, 2) {
            0 => Telling { quality: ClockQuality::Unset, ahead: YEARS_10 },
            1 => Telling { quality: ClockQuality::Unset, ahead: -YEARS_10 },
            _ => Telling { quality: ClockQuality::Estimated, ahead: -down },
        };
        let until = from + chance.between(MINUTE, 40 * MINUTE);
        self.clocks.push(Spell { time: Window { from, until }, what });
    }

    /// What is the matter with the link at `at`.
    pub(super) fn link(&self, at: u64) -> Link {
        let spell = self.links.iter().find(|spell| spell.time.covers(at));
        spell.map_or(Link::Good, |spell| spell.what)
    }

    /// What the box's clock says at `at`.
    pub(super) fn clock(&self, at: u64) -> Telling {
        let right = Telling { quality: ClockQuality::Ntp, ahead: 0 };
        let spell = self.clocks.iter().find(|spell| spell.time.covers(at));
        spell.map_or(right, |spell| spell.what)
    }

    /// The times in which the box's clock was not to be trusted, and said so.
    pub(super) fn timeless(&self) -> impl Iterator<Item = Window> {
        let wrong = |spell: &&Spell<Telling>| spell.what.quality < ClockQuality::Ntp;
        self.clocks.iter().filter(wrong).map(|spell| spell.time)
    }

    /// When the box was down.
    pub(super) fn downs(&self) -> impl Iterator<Item = Window> {
        self.restarts.iter().map(|r| Window { from: r.at, until: r.at + r.down })
    }
}

fn spells<T>(
    chance: &mut Chance,
    until: u64,
    every: u64,
    lasts: (u64, u64),
    mut what: impl FnMut(&mut Chance) -> T,
) -> Vec<Spell<T>> {
    let mut all = Vec::new();
    let mut at = chance.between(MINUTE, every);
    loop {
        let time = Window { from: at, until: at + chance.between(lasts.0, lasts.1) };
        if time.until > until {
            return all;
        }
        all.push(Spell { time, what: what(chance) });
        at = time.until + chance.between(every / 10, 2 * every);
    }
}

fn pick<'a, T>(chance: &mut Chance, of: &'a [T]) -> &'a T {
    let last = u64::try_from(of.len() - 1).expect("a short list");
    &of[usize::try_from(chance.between(0, last)).expect("a short list")]
}

fn signed(chance: &mut Chance, most: u64) -> i64 {
    let most = i64::try_from(most).expect("small");
    i64::try_from(chance.between(0, 2 * most.unsigned_abs())).expect("small") - most
}
