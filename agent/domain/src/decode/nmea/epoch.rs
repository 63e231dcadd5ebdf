//! Makes one report of the sentences of one epoch.
//!
//! A receiver says the same moment several times over: RMC with speed and date, GGA with quality, GLL
//! once more. Sentences with the same time of day are one epoch and give one report. It is given out
//! as soon as both RMC and GGA are there, and otherwise when the time of day changes, so that nothing
//! waits longer than one epoch. This room does not know bytes, sources or samples.

use crate::decode::{Reason, Tally};
use crate::place::Position;
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::time::Utc;
use crate::units::Millimetres;

use super::sentence::{DAY_MS, Day, Gga, Gll, Hdop, Motion, Rmc, Sentence, Talker, TimeOfDay};

/// Millimetres of accuracy for each hundredth of HDOP: 5 m times HDOP. Five metres is the usual
/// one-sigma range error of a single-frequency receiver; the GPS performance standard (2020, 3.4)
/// promises 2 m from the satellites alone, the rest is atmosphere and receiver. For a receiver with
/// corrections it is too careful, which is the safe side.
const MM_PER_HDOP_CENTI: u32 = 50;

/// While RMC has been heard within this many epochs, RMC alone says where we are: receivers that
/// send GGA ten times a second and RMC once would otherwise be a different track every tenth epoch.
const RMC_SILENCE_MAX: u32 = 60;

/// Sentences this close together in time of day, in milliseconds, are of one moment: receivers round
/// it to different decimals from sentence to sentence. The fastest send every 20 ms.
pub(in crate::decode) const SAME_MOMENT_MS: u32 = 5;

/// What an epoch comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Report {
    /// The receiver's time, where it is known and plausible.
    pub(in crate::decode) at: Option<Utc>,
    /// A fix, or that there is none.
    pub(in crate::decode) quantity: Quantity,
}

/// The epoch that is under way and what is known from earlier ones.
#[derive(Debug, Clone)]
pub(super) struct Epochs {
    open: Option<Epoch>,
    /// Epochs without an RMC since the last one; `None` before the first.
    rmc_silence: Option<u32>,
    /// A recent instant, for sentences that give a time of day only.
    reference: Option<Utc>,
    /// Dates before this are not believed.
    floor: Utc,
}

#[derive(Debug, Clone, Copy, Default)]
struct Epoch {
    time: Option<TimeOfDay>,
    rmc: Option<(Rmc, Option<Utc>)>,
    gga: Option<Gga>,
    gll: Option<Gll>,
    motion: Option<Motion>,
    gsa_hdop: Option<Hdop>,
    reported: bool,
}

impl Epochs {
    /// Before the first sentence.
    pub(super) const fn new(floor: Utc) -> Epochs {
        Epochs { open: None, rmc_silence: None, reference: None, floor }
    }

    /// Takes a sentence and gives out the report that it completes or ends. A date that is not
    /// believed is counted in the tally.
    pub(super) fn take(&mut self, sentence: Sentence, tally: &mut Tally) -> Option<Report> {
        match sentence {
            Sentence::Rmc(rmc) => {
                let at = self.dated(&rmc, tally);
                self.rmc_silence = Some(0);
                // Every RMC is a report: with whole seconds in the time of day, a receiver at 5 Hz
                // sends five that look alike.
                let ended = self.turn_to(rmc.time, |epoch| epoch.rmc.is_none());
                self.open.get_or_insert_default().rmc = Some((rmc, at));
                ended.or_else(|| self.completed())
            }
            Sentence::Gga(gga) => {
                if self.is_echo(gga.time, gga.talker, |epoch| epoch.gga.map(|g| g.talker)) {
                    return None;
                }
                let ended = self.turn_to(gga.time, |epoch| epoch.gga.is_none());
                self.open.get_or_insert_default().gga = Some(gga);
                ended.or_else(|| self.completed())
            }
            Sentence::Gll(gll) => {
                if self.is_echo(gll.time, gll.talker, |epoch| epoch.gll.map(|g| g.talker)) {
                    return None;
                }
                let ended = self.turn_to(gll.time, |epoch| epoch.gll.is_none());
                self.open.get_or_insert_default().gll = Some(gll);
                ended
            }
            // These carry no time that matters and belong to the epoch they stand in.
            Sentence::Gsa(gsa) => {
                if let Some(epoch) = &mut self.open {
                    epoch.gsa_hdop = gsa.hdop;
                }
                None
            }
            Sentence::Vtg(motion) => {
                if let Some(epoch) = &mut self.open {
                    epoch.motion = Some(motion);
                }
                None
            }
            Sentence::Zda(zda) => {
                self.reference = self.instant(zda.day, zda.time, tally).or(self.reference);
                None
            }
            Sentence::Other => None,
        }
    }

    /// The stream has ended: the report of the epoch that was under way. Forgets everything, since
    /// what comes next may be another receiver or another day.
    pub(super) fn finish(&mut self) -> Option<Report> {
        let last = self.end();
        *self = Epochs::new(self.floor);
        last
    }

    /// A second solution for the same moment by another talker (GP beside GL): the first stands.
    fn is_echo(
        &self,
        time: Option<TimeOfDay>,
        talker: Talker,
        taken: impl Fn(&Epoch) -> Option<Talker>,
    ) -> bool {
        self.open.as_ref().is_some_and(|epoch| {
            time.is_some() && epoch.is_of(time) && taken(epoch).is_some_and(|by| by != talker)
        })
    }

    /// Makes sure that the open epoch is that of `time` and has room, ending the one before.
    fn turn_to(
        &mut self,
        time: Option<TimeOfDay>,
        has_room: impl Fn(&Epoch) -> bool,
    ) -> Option<Report> {
        if self.open.as_ref().is_some_and(|epoch| epoch.is_of(time) && has_room(epoch)) {
            return None;
        }
        let ended = self.end();
        self.open = Some(Epoch { time, ..Epoch::default() });
        ended
    }

    fn completed(&mut self) -> Option<Report> {
        let complete = self.open.is_some_and(|epoch| epoch.rmc.is_some() && epoch.gga.is_some());
        if complete { self.report() } else { None }
    }

    fn end(&mut self) -> Option<Report> {
        let report = self.report();
        if self.open.take().is_some_and(|epoch| epoch.rmc.is_none()) {
            self.rmc_silence = self.rmc_silence.map(|n| n.saturating_add(1));
        }
        report
    }

    /// What the open epoch comes to, once.
    fn report(&mut self) -> Option<Report> {
        let mut epoch = self.open?;
        if epoch.reported {
            return None;
        }
        let report = if let Some((rmc, at)) = epoch.rmc {
            Some(Report { at, quantity: epoch.by_rmc(&rmc) })
        } else if self.rmc_silence.is_some_and(|n| n < RMC_SILENCE_MAX) {
            None
        } else {
            self.without_rmc(&epoch)
        };
        epoch.reported = true;
        self.open = Some(epoch);
        report
    }

    fn without_rmc(&mut self, epoch: &Epoch) -> Option<Report> {
        let position = match (epoch.gga, epoch.gll) {
            (Some(gga), _) => gga.position,
            (None, Some(gll)) => gll.position,
            (None, None) => return None,
        };
        let at = self.nearest(epoch.time);
        let Some(position) = position else { return Some(Report { at, quantity: NO_FIX }) };
        self.reference = at.or(self.reference);
        let motion = epoch.motion.unwrap_or(Motion { speed: None, course: None });
        Some(Report { at, quantity: epoch.fix(position, motion) })
    }

    /// The instant of an RMC, by its own date.
    fn dated(&mut self, rmc: &Rmc, tally: &mut Tally) -> Option<Utc> {
        if rmc.day == Day::Unknown {
            return self.nearest(rmc.time);
        }
        let at = self.instant(rmc.day, rmc.time, tally)?;
        if rmc.fix.is_some() {
            // The clock of a receiver that sees no satellites may be anything; it is passed on, but
            // nothing is worked out from it.
            self.reference = Some(at);
        }
        Some(at)
    }

    /// Day and time of day together, unless the day is not believed: that is counted.
    fn instant(&self, day: Day, time: Option<TimeOfDay>, tally: &mut Tally) -> Option<Utc> {
        let at = match day {
            Day::Unknown => return None,
            Day::Impossible => None,
            Day::Midnight(ms) => Some(Utc::from_ms(ms + time.map_or(0, i64::from))),
        };
        let believed = at.filter(|&at| at >= self.floor);
        if believed.is_none() {
            tally.reject(Reason::Time);
        }
        time.and(believed)
    }

    /// The instant with this time of day that is nearest to the last one known: right over midnight
    /// in both directions.
    fn nearest(&self, time: Option<TimeOfDay>) -> Option<Utc> {
        let (known, time) = (self.reference?.as_ms(), i64::from(time?));
        let same_day = known - known.rem_euclid(DAY_MS) + time;
        let days_off = (known - same_day + DAY_MS / 2).div_euclid(DAY_MS);
        Some(Utc::from_ms(same_day + days_off * DAY_MS))
    }
}

/// The receiver is alive and has no position.
pub(in crate::decode) const NO_FIX: Quantity =
    Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix });

impl Epoch {
    fn is_of(&self, time: Option<TimeOfDay>) -> bool {
        match (self.time, time) {
            (Some(ours), Some(other)) => ours.abs_diff(other) <= SAME_MOMENT_MS,
            (None, None) => true,
            _ => false,
        }
    }

    /// Position and motion from RMC; GGA adds how good they are, and can take them back: a receiver
    /// that says both "valid" and "no fix" of one moment is not believed.
    fn by_rmc(&self, rmc: &Rmc) -> Quantity {
        let denied = self.gga.is_some_and(|gga| gga.position.is_none());
        match rmc.fix {
            Some((position, motion)) if !denied => self.fix(position, motion),
            _ => NO_FIX,
        }
    }

    fn fix(&self, position: Position, motion: Motion) -> Quantity {
        let hdop = self.gga.and_then(|gga| gga.hdop).or(self.gsa_hdop);
        Quantity::Fix(Fix {
            position,
            speed: motion.speed,
            course: motion.course,
            accuracy: hdop.map(|hdop| Millimetres(hdop.0.saturating_mul(MM_PER_HDOP_CENTI))),
            satellites: self.gga.and_then(|gga| gga.satellites),
        })
    }
}
