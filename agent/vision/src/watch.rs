//! When what a camera sees in a zone is a problem: long enough, often enough, and each time once.
//!
//! A network that sees a car in one frame has said nothing yet. An object is followed by the overlap of
//! its boxes; it becomes a finding when it was there in `hits.0` of the last `hits.1` frames and in the
//! same share of all frames for `dwell`. A finding begins once and is over once, when no look has seen it
//! for `clear_after`; after that the zone rests for `rest`. A frame that shows nothing (night, covered lens)
//! is not given to a watch at all, so that it neither raises nor clears; after a gap longer than
//! [`GAP_MAX`] the following begins anew, because nobody saw what stayed.

use crate::bounds::{Bounds, Detection};
use crate::zone::Polygon;

/// A moment of the boot's monotonic clock in milliseconds.
pub type Millis = u64;

/// Between two looks at a zone an object is taken to have stayed for this long, in milliseconds.
pub const GAP_MAX: Millis = 120_000;
/// Objects followed in one zone. A further one is not followed until one is gone.
pub const TRACKS_MAX: usize = 32;
/// The most frames of [`Terms::hits`].
pub const FRAMES_MAX: u32 = 64;

/// Where an object has to be to be in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// The middle of its lower edge in the polygon, and a third of its box: what stands on the ground.
    Foot,
    /// The middle of its box in the polygon.
    Centre,
}

/// When something is a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The classes that count, by the numbers of the model, each with the least score.
    pub classes: Vec<(usize, f32)>,
    /// Where an object has to be.
    pub touch: Touch,
    /// So many of so many frames; `1 <= hits.0 <= hits.1 <= FRAMES_MAX`.
    pub hits: (u32, u32),
    /// For so long.
    pub dwell: Millis,
    /// A box must overlap the first one of its object by so much: the object does not move. `None`:
    /// anything in the zone is the same problem, as with litter.
    pub still: Option<f32>,
    /// Over when every look for so long has seen nothing.
    pub clear_after: Millis,
    /// No new finding for so long after one was over.
    pub rest: Millis,
}

/// What was seen of a problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The class, by the number of the model.
    pub class: usize,
    /// The best score.
    pub score: f32,
    /// The box in the newest frame it was seen in.
    pub bounds: Bounds,
    /// Frames it was seen in.
    pub hits: u32,
    /// Frames that were looked at since it was first seen.
    pub frames: u32,
    /// When it was first seen.
    pub first: Millis,
    /// When it was last seen.
    pub last: Millis,
}

/// What a look at a zone brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// A problem begins.
    Begins(Seen),
    /// It is over, or there was none when the watch began: nothing was seen for long enough.
    Over,
}

/// An object that is followed.
#[derive(Debug, Clone, PartialEq)]
struct Track {
    seen: Seen,
    /// The first box.
    anchor: Bounds,
    /// The latest frames, the newest in the lowest bit.
    recent: u64,
}

/// What is known of the zone as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing yet: a finding of an earlier run may be open.
    Unknown,
    /// No problem; none may begin before this moment.
    Clear(Millis),
    /// A problem.
    Open,
}

/// Watches one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    terms: Terms,
    tracks: Vec<Track>,
    standing: Standing,
    /// Since when every look saw nothing; `None`: the last one saw something.
    absent: Option<Millis>,
    /// The last look.
    last: Option<Millis>,
}

impl Watch {
    /// Watches from now on.
    #[must_use]
    pub const fn new(terms: Terms) -> Watch {
        let standing = Standing::Unknown;
        Watch { terms, tracks: vec![], standing, absent: None, last: None }
    }

    /// Whether something is followed or open: the zone must be looked at although nothing moves.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.tracks.is_empty() || !matches!(self.standing, Standing::Clear(_))
    }

    /// Takes what was found in a frame.
    pub fn look(&mut self, zone: &Polygon, found: &[Detection], now: Millis) -> Option<Change> {
        if self.last.is_some_and(|last| now.saturating_sub(last) > GAP_MAX) {
            self.tracks.clear();
            self.absent = None;
        }
        self.last = Some(now);
        let hits: Vec<&Detection> =
            found.iter().filter(|one| self.terms.counts(zone, one)).collect();
        self.follow(&hits, now);
        self.judge(!hits.is_empty(), now)
    }

    /// Every object gets the box that fits it best; what fits none is new.
    fn follow(&mut self, hits: &[&Detection], now: Millis) {
        let mut free: Vec<&Detection> = hits.to_vec();
        for track in &mut self.tracks {
            let fit = |one: &Detection| self.terms.fit(&track.anchor, one);
            let best = (0..free.len()).max_by(|a, b| fit(free[*a]).total_cmp(&fit(free[*b])));
            let hit = best.filter(|n| fit(free[*n]) > 0.0).map(|n| free.swap_remove(n));
            track.take(hit, now);
        }
        let (_, window) = self.terms.hits;
        self.tracks.retain(|track| track.in_last(window) > 0);
        // Where everything is one problem, more boxes are no more problems.
        let wanted = if self.terms.still.is_some() { TRACKS_MAX } else { 1 };
        free.sort_by(|a, b| b.score.total_cmp(&a.score));
        let room = wanted.saturating_sub(self.tracks.len());
        self.tracks.extend(free.into_iter().take(room).map(|one| Track::new(one, now)));
    }

    fn judge(&mut self, hit: bool, now: Millis) -> Option<Change> {
        self.absent = if hit { None } else { Some(self.absent.unwrap_or(now)) };
        let gone =
            self.absent.is_some_and(|since| now.saturating_sub(since) >= self.terms.clear_after);
        let ripe = self.tracks.iter().find(|track| self.terms.is_met(track));
        match self.standing {
            Standing::Open if gone => {
                self.standing = Standing::Clear(now.saturating_add(self.terms.rest));
                Some(Change::Over)
            }
            Standing::Unknown if gone => {
                self.standing = Standing::Clear(now);
                Some(Change::Over)
            }
            Standing::Clear(from) if now < from => None,
            Standing::Unknown | Standing::Clear(_) => {
                let seen = ripe?.seen;
                self.standing = Standing::Open;
                Some(Change::Begins(seen))
            }
            Standing::Open => None,
        }
    }
}

impl Terms {
    fn counts(&self, zone: &Polygon, one: &Detection) -> bool {
        let wanted = |(class, score): &(usize, f32)| *class == one.class && one.score >= *score;
        self.classes.iter().any(wanted) && is_in(zone, self.touch, &one.bounds)
    }

    /// How well a box fits an object that was first seen at `anchor`; 0: not at all.
    fn fit(&self, anchor: &Bounds, one: &Detection) -> f32 {
        match self.still {
            None => one.score,
            Some(still) => Some(anchor.overlap(&one.bounds)).filter(|o| *o >= still).unwrap_or(0.0),
        }
    }

    fn is_met(&self, track: &Track) -> bool {
        let (hits, of) = self.hits;
        let Seen { first, last, .. } = track.seen;
        track.in_last(of) >= hits
            && u64::from(track.seen.hits) * u64::from(of)
                >= u64::from(track.seen.frames) * u64::from(hits)
            && last.saturating_sub(first) >= self.dwell
    }
}

/// Whether a box is in a zone.
#[must_use]
pub fn is_in(zone: &Polygon, touch: Touch, bounds: &Bounds) -> bool {
    /// A box that only reaches into a zone with a corner belongs to what stands beside it.
    const SHARE_MIN: f32 = 0.3;
    // What a classifier says of the part around a zone, it says of the zone.
    if *bounds == zone.bounds() {
        return true;
    }
    match touch {
        Touch::Foot => zone.contains(bounds.foot()) && zone.share(bounds) >= SHARE_MIN,
        Touch::Centre => zone.contains(bounds.centre()),
    }
}

impl Track {
    fn new(one: &Detection, now: Millis) -> Track {
        let Detection { class, score, bounds } = *one;
        let seen = Seen { class, score, bounds, hits: 1, frames: 1, first: now, last: now };
        Track { seen, anchor: bounds, recent: 1 }
    }

    fn take(&mut self, hit: Option<&Detection>, now: Millis) {
        self.recent = self.recent << 1 | u64::from(hit.is_some());
        self.seen.frames = self.seen.frames.saturating_add(1);
        let Some(one) = hit else { return };
        self.seen.hits = self.seen.hits.saturating_add(1);
        (self.seen.last, self.seen.bounds) = (now, one.bounds);
        if one.score > self.seen.score {
            (self.seen.class, self.seen.score) = (one.class, one.score);
        }
    }

    /// Frames with a hit among the last `count`.
    fn in_last(&self, count: u32) -> u32 {
        let mask = if count >= FRAMES_MAX { u64::MAX } else { (1 << count) - 1 };
        (self.recent & mask).count_ones()
    }
}

#[cfg(test)]
mod tests;
