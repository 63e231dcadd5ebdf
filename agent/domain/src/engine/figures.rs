//! The figures of the last days as brokers keep them: of streets, bays and bins.
//!
//! Told when an hour is closed: of every street, and of the bays and bins that something happened to, since a
//! box may have hundreds of them and pays for its line. Of all of them when a day is closed, and whenever
//! everything retained is told. What happened is added up in [`crate::parking`] and [`crate::waste`]; nothing
//! is counted here.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::Engine;
use crate::ids::{AssetKey, Class};
use crate::output::{Body, Lane, Message, Outputs, Quality, Topic, to_map};
use crate::time::{ClockQuality, Moment};

impl Engine {
    /// The figures of everything that has some.
    pub(super) fn publish_figures(&self, at: Moment, out: &mut Outputs) {
        self.publish_figures_of(|_| true, at, out);
    }

    /// The figures of streets, and of what is `news`.
    pub(super) fn publish_news(&self, news: &BTreeSet<AssetKey>, at: Moment, out: &mut Outputs) {
        self.publish_figures_of(|key| key.class == Class::Street || news.contains(key), at, out);
    }

    fn publish_figures_of(
        &self,
        chosen: impl Fn(&AssetKey) -> bool,
        at: Moment,
        out: &mut Outputs,
    ) {
        let today = (at.clock > ClockQuality::Unset).then(|| self.site.calendar.date(at.utc));
        for key in self.site.assets.keys().filter(|key| chosen(key)) {
            let body = self.figures(key, today, at);
            if !body.is_empty() {
                out.messages.push(message(key, body, at));
            }
        }
    }

    fn figures(&self, key: &AssetKey, today: Option<Date>, at: Moment) -> Map<String, Value> {
        let calendar = &self.site.calendar;
        let mut body = Map::new();
        let parking = match key.class {
            Class::Bay => Some(self.ledger.week_of_bay(&key.id, today, calendar)),
            Class::Street => self.streets.get(key).map(|bays| {
                let mut week = self.ledger.week_of_street(&key.id, bays, today, calendar);
                week.insert("bays".into(), json!(bays.len()));
                week
            }),
            _ => None,
        };
        if let Some(mut week) = parking {
            if let Some(currency) = self.site.parking.currency() {
                week.insert("currency".into(), json!(currency));
            }
            body.insert("parking".into(), Value::Object(week));
        }
        let days = &self.rounds.days;
        let waste = match key.class {
            Class::Bin => Some(days.week(&std::iter::once(&key.id), today)),
            Class::Street => self.rounds.streets.get(key).map(|bins| {
                let mut week = days.week(&bins.iter().map(|bin| &bin.id), today);
                week.insert("capacity".into(), Value::Object(to_map(&self.capacity(bins, at))));
                week
            }),
            _ => None,
        };
        if let Some(week) = waste {
            body.insert("waste".into(), Value::Object(week));
        }
        body
    }
}

fn message(key: &AssetKey, body: Map<String, Value>, at: Moment) -> Message {
    Message {
        lane: Lane::State,
        topic: Topic::AssetFigures(key.clone()),
        at: at.utc,
        clock: at.clock,
        quality: Quality::Good,
        body: Body::Flat(body),
    }
}
