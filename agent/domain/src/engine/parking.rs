//! What concerns many bays at once: the streets, the hours, and what people do with a bay.

use super::*;
use crate::time::Utc;

/// What a command comes to: its result, or a code and the reason.
type Answer = Result<Map<String, Value>, (&'static str, String)>;

const HOUR: Span = Span::from_mins(60);

impl Engine {
    /// Which bays each street has, and how they stand.
    pub(super) fn open_streets(&mut self) {
        for (key, asset) in &self.site.assets {
            let Some(street) = asset.street.clone().filter(|_| key.class == Class::Bay) else {
                continue;
            };
            let street = AssetKey::new(Class::Street, street);
            if self.site.assets.contains_key(&street) {
                self.streets.entry(street).or_default().push(key.clone());
            }
        }
        let all = self.streets.keys().map(|street| (street.clone(), self.count(street)));
        self.guidance = all.collect();
    }

    fn count(&self, street: &AssetKey) -> Guidance {
        let bays = self.streets.get(street).into_iter().flatten();
        Guidance::of(bays.filter_map(|bay| self.assets.get(bay)?.bay_status()))
    }

    /// A bay has another state: its street may have another number of free bays.
    pub(super) fn guide(&mut self, bay: &AssetKey, at: Moment, out: &mut Outputs) {
        let Some(street) = self.site.assets[bay].street.clone() else { return };
        let street = AssetKey::new(Class::Street, street);
        if bay.class != Class::Bay || !self.streets.contains_key(&street) {
            return;
        }
        let guidance = self.count(&street);
        if self.guidance.get(&street) != Some(&guidance) {
            self.guidance.insert(street.clone(), guidance);
            out.messages.extend(self.state(&street, at));
        }
    }

    /// Looks at the clock again when the present hour can be closed.
    pub(super) fn arm_hour(&mut self, now: Now) {
        let calendar = &self.site.calendar;
        let has_hours = self.assets.keys().any(|key| matches!(key.class, Class::Bay | Class::Bin));
        let hour = calendar.hour(now.utc - CLOSE_AFTER);
        let close = hour + HOUR.saturating_add(CLOSE_AFTER);
        let at = now.at(close).monotonic;
        self.timers.set(Timer::Hour, has_hours.then_some(at));
    }

    /// Closes the hour that ended [`CLOSE_AFTER`] before `at`.
    pub(super) fn close_hours(&mut self, at: Moment, out: &mut Outputs) {
        let end = self.site.calendar.hour(at.utc);
        let hour = end - HOUR;
        self.arm_hour(at);
        // Without a clock there are no hours; with a clock that jumped there is nothing to close here.
        if at.clock == ClockQuality::Unset || at.utc.since(end) > CLOSE_AFTER.saturating_mul(2) {
            return;
        }
        let calendar = &self.site.calendar;
        let sums = self.assets.iter_mut().filter_map(|(key, watched)| {
            watched.close_hour(hour, end, calendar).map(|sum| (key.id.clone(), sum))
        });
        let sums: BTreeMap<AssetId, crate::parking::Sum> = sums.collect();
        let day_closed = calendar.date(hour) < calendar.date(end);
        let mut news = std::mem::take(&mut self.rounds.grown);
        let left = sums.iter().filter(|(_, sum)| sum.sessions > 0);
        news.extend(left.map(|(bay, _)| AssetKey::new(Class::Bay, bay.clone())));
        self.close_parking(hour, sums, at, out);
        if day_closed {
            self.publish_figures(at, out);
        } else {
            self.publish_news(&news, at, out);
        }
    }

    fn close_parking(
        &mut self,
        hour: Utc,
        sums: BTreeMap<AssetId, crate::parking::Sum>,
        at: Moment,
        out: &mut Outputs,
    ) {
        if sums.is_empty() {
            return;
        }
        let calendar = &self.site.calendar;
        let site = &self.site;
        let street = |bay: &AssetId| {
            site.assets.get(&AssetKey::new(Class::Bay, bay.clone()))?.street.clone()
        };
        let closed = self.ledger.close(hour, sums, street, calendar);
        out.records.extend(closed.records);
        let told = closed.streets.into_iter().map(|t| (Class::Street, t));
        for (class, (id, kind, data)) in
            told.chain(closed.bays.into_iter().map(|t| (Class::Bay, t)))
        {
            let key = AssetKey::new(class, id);
            if site.assets.contains_key(&key) {
                out.messages.push(publish::event(&key, kind, data, at));
            }
        }
    }

    /// A person does something with a bay.
    pub(super) fn bay_step(
        &mut self,
        bay: &AssetId,
        step: BayStep,
        permit: Option<&PermitId>,
        now: Now,
        out: &mut Outputs,
    ) -> Answer {
        let key = AssetKey::new(Class::Bay, bay.clone());
        if !self.assets.contains_key(&key) {
            return Err(("refused", format!("no bay {bay}")));
        }
        if let Some(permit) = permit {
            let good_for = self.site.parking.permits.get(permit);
            if !good_for.is_some_and(|bays| bays.is_empty() || bays.contains(bay)) {
                return Err(("refused", format!("permit {permit} is not valid on bay {bay}")));
            }
        }
        let mut done = false;
        self.change(&key, now, now, out, |watched, id, place| {
            let told = watched.bay_step(id, place, step, permit.cloned(), now);
            done = told.is_some();
            told.unwrap_or_default()
        });
        if !done {
            return Err(("refused", format!("nobody stands on bay {bay}")));
        }
        Ok(self.assets[&key].view(&self.site.assets[&key].kind))
    }
}
