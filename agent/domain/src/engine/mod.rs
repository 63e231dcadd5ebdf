//! The engine: one function that decides, and a table of deadlines.
//!
//! * `rounds`: what concerns many bins at once: collection vehicles, and the figures of a day.
//! * `watched`: an asset's state, whatever its class.
//! * `figures`: the days that brokers keep of streets, bays and bins.
//! * `answers`: commands that were carried out, so that a repeat gets the same answer.
//! * `history`: what was told lately and no broker keeps.
//! * `findings`: what becomes known, the rules, and what they find.
//! * `late`: reports that come in bulk, after a network was down.
//! * `publish`: what is said of an asset.
//! * `parking`: what concerns many bays at once: streets, hours, and people's commands.
//! * `presence`: crews that are there, by card or by vehicle.
//! * `public`: what the public reports and asks.
//! * `sightings`: what cameras find by themselves.
//! * `storm`: many silences that are one problem.
//! * `trouble`: what is wrong with the box itself.
//! * `streets`: from the way of vehicles to the coverage of streets.
//! * `vehicles`: what a vehicle has to tell, and what is sent of its track.

mod answers;
mod figures;
mod findings;
mod history;
mod late;
mod parking;
mod presence;
mod public;
mod publish;
mod rounds;
mod sightings;
mod storm;
mod streets;
mod trouble;
mod vehicles;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use self::answers::Answers;
use self::history::History;
use self::late::CatchUp;
use self::rounds::Rounds;
use self::watched::{Hearing, Place, Told, Watched};
use crate::commands::upkeep::{Order, Progress, Stage};
use crate::commands::{Action, BadCommand, BayStep, Command, TicketOrder};
use crate::decode::Reason;
use crate::ids::{AssetId, AssetKey, Class, PermitId, SourceName, TicketId};
use crate::input::Input;
use crate::output::{Message, Outputs, Quality, Record, Rejected, Request, Wanted};
use crate::parking::{CLOSE_AFTER, Guidance, Ledger};
use crate::reading::{Reading, date};
use crate::rules::RuleBook;
use crate::sample::Sample;
use crate::site::{Feed, Kind, Site};
use crate::sweeping::{Arrival, DatumDoubt, Network};
use crate::tickets::{Desk, News, Requests, State, Ticket};
use crate::time::{ClockQuality, Moment, Monotonic, Now, Span};
use crate::timers::{Timer, Timers};
use crate::waste;

/// Everything the box knows and decides.
#[derive(Debug)]
pub struct Engine {
    site: Site,
    feeds: BTreeMap<Feed, AssetKey>,
    assets: BTreeMap<AssetKey, Watched>,
    rules: RuleBook,
    desk: Desk,
    /// The streets that are to be swept.
    network: Network,
    /// By vehicle: whether the streets lie where it sweeps.
    doubts: BTreeMap<AssetKey, DatumDoubt>,
    answers: Answers,
    /// What the public has asked for.
    requests: Requests,
    rounds: Rounds,
    ledger: Ledger,
    history: History,
    /// The bays of each street that is an asset.
    streets: BTreeMap<AssetKey, Vec<AssetKey>>,
    /// What was last said of each street.
    guidance: BTreeMap<AssetKey, Guidance>,
    timers: Timers,
    late: CatchUp,
    /// When the present step began.
    present: Now,
    started: Moment,
    /// Sources that are silent as a whole.
    silent: BTreeSet<SourceName>,
    /// Whether the clock has been set.
    knows_time: bool,
    /// Stored records that could not be read, told at the start.
    unreadable: Vec<String>,
    /// Stored records of assets and rules that are no longer configured, removed at the start.
    orphans: Vec<String>,
}

/// Deadlines worked off in one step. More would mean that a handler sets what it has just been called
/// for; what is left over is due again in the next step.
const DUE_MAX: usize = 100_000;

impl Engine {
    /// An engine for `site` that goes on from the records `stored` by the one before it.
    ///
    /// A record that cannot be read does not keep the box from starting: it is left where it is and
    /// told as rejected by the first step. Records of assets and rules that are no longer configured
    /// are removed by it.
    #[must_use]
    pub fn new(site: Site, stored: Vec<Record>, now: Now) -> Engine {
        let feeds = site
            .assets
            .iter()
            .flat_map(|(key, asset)| asset.feeds.iter().map(|feed| (feed.clone(), key.clone())))
            .collect();
        let watched = |(key, asset): (&AssetKey, &crate::site::Asset)| {
            Watched::new(&asset.kind).map(|watched| (key.clone(), watched))
        };
        let assets = site.assets.iter().filter_map(watched).collect();
        let rounds = Rounds::new(&site);
        let network = streets::network(&assets);
        let rules = RuleBook::new(&site);
        let mut engine = Engine {
            site,
            feeds,
            assets,
            rules,
            desk: Desk::default(),
            network,
            doubts: BTreeMap::new(),
            answers: Answers::default(),
            requests: Requests::default(),
            rounds,
            ledger: Ledger::default(),
            history: History::default(),
            streets: BTreeMap::new(),
            guidance: BTreeMap::new(),
            timers: Timers::default(),
            late: CatchUp::default(),
            present: now,
            started: now,
            knows_time: false,
            silent: BTreeSet::new(),
            unreadable: vec![],
            orphans: vec![],
        };
        for record in stored {
            engine.restore(record, now);
        }
        engine.silent = engine.desk.silent_sources().collect();
        engine.arm(now);
        engine
    }

    /// Decides what follows from `input` at `now`. Never fails: what cannot be taken is an output.
    pub fn step(&mut self, input: Input, now: Now) -> Outputs {
        let mut out = Outputs::default();
        self.present = now;
        self.learn_time(now, &mut out);
        self.work_off_due(now, &mut out);
        match input {
            Input::Start => self.start(now, &mut out),
            Input::Sample(sample) => self.sample(&sample, now, &mut out),
            Input::Sighting(sighting) => self.sighting(&sighting, now, &mut out),
            Input::Command(command) => self.command(&command, now, &mut out),
            Input::BadCommand(bad) => refuse(&bad, now, &mut out),
            Input::Trouble(trouble) => self.trouble(&trouble, now, &mut out),
            Input::Submission(said) => self.submission(*said, now, &mut out),
            Input::Requests(query) => self.show_requests(&query, now, &mut out),
            Input::Progress(progress) => self.progress(&progress, now, &mut out),
            Input::Refresh => self.publish_all(now, &mut out),
            Input::Tick => {}
        }
        self.remember(now, &mut out);
        out
    }

    /// When [`Engine::step`] must be called again, if nothing comes in before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.next()
    }

    /// The present state of every asset, as it would be published.
    pub fn states(&self) -> impl Iterator<Item = (&AssetKey, Map<String, Value>)> {
        self.assets.iter().map(|(key, watched)| (key, watched.view(&self.site.assets[key].kind)))
    }

    /// Tickets on which work may still be due.
    #[must_use]
    pub fn open_tickets(&self) -> usize {
        self.desk.all().filter(|t| t.state.is_open()).count()
    }

    /// A ticket, as it is now.
    #[must_use]
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.desk.get(id)
    }

    /// The site the engine was made for.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    fn restore(&mut self, Record { key, value }: Record, now: Now) {
        let Some(value) = value else { return };
        let (kind, rest) = key.split_once('/').unwrap_or((&key, ""));
        let known = match kind {
            "asset" => {
                let key_of = rest.parse::<AssetKey>().ok();
                let place = key_of.and_then(|k| self.assets.get_mut(&k));
                match place.map(|watched| watched.restore(&value)) {
                    Some(true) => true,
                    Some(false) => return self.unreadable.push(key),
                    None => false,
                }
            }
            "watch" => self.rules.restore(&self.site, rest, &value),
            "ticket" => match self.desk.restore(&value) {
                Some(id) => {
                    self.set_timers(self.desk.timers_of(&self.site, &id, now));
                    true
                }
                None => return self.unreadable.push(key),
            },
            "case" => self.desk.restore_case(rest),
            "public" => self.requests.restore(&value),
            "command" => self.answers.restore(rest, &value),
            "waste" => self.rounds.days.restore(rest, &value),
            "trip" => self.rounds.restore(&self.site, rest, &value),
            "figures" => self.ledger.restore(rest, &value),
            "history" => match self.history.restore(&value) {
                true => true,
                false => return self.unreadable.push(key),
            },
            _ => false,
        };
        if !known {
            self.orphans.push(key);
        }
    }

    /// Sets every deadline that follows from what is known at the start.
    fn arm(&mut self, now: Now) {
        self.open_streets();
        self.arm_hour(now);
        self.arm_day(now);
        let keys: Vec<AssetKey> = self.assets.keys().cloned().collect();
        for key in keys {
            let kind = &self.site.assets[&key].kind;
            if let Some(watched) = self.assets.get_mut(&key) {
                watched.resume(kind, now);
            }
            self.rearm(&key, now);
            let due = self.assets[&key].due();
            for (rule, deadline) in self.rules.listen(&self.site, &key, due, now) {
                let deadline = self.hold_at_start(&key, rule, deadline, now);
                self.timers.set(Timer::Rule(rule, key.clone()), deadline);
            }
        }
    }

    fn start(&mut self, now: Now, out: &mut Outputs) {
        for key in std::mem::take(&mut self.orphans) {
            out.records.push(Record { key, value: None });
        }
        for key in std::mem::take(&mut self.unreadable) {
            let detail = format!("the stored record {key} cannot be read");
            out.rejected.push(Rejected { source: None, reason: Reason::Malformed, detail });
        }
        self.publish_all(now, out);
    }

    /// Everything that brokers keep, as it is now.
    fn publish_all(&self, now: Now, out: &mut Outputs) {
        for (key, asset) in &self.site.assets {
            out.messages.push(publish::info(key, asset, now));
            out.messages.extend(self.state(key, now));
        }
        self.publish_figures(now, out);
        out.messages.extend(self.desk.all().map(|ticket| News::state(&self.site, ticket)));
    }

    /// The state of an asset as it is published; nothing for a street that nobody asks about.
    fn state(&self, key: &AssetKey, at: Moment) -> Option<Message> {
        let watched = self.assets.get(key).map(|watched| (watched, &self.site.assets[key].kind));
        let parking = self.guidance.get(key);
        let said = watched.is_some() || parking.is_some();
        said.then(|| publish::state(key, watched, parking, at))
    }

    fn work_off_due(&mut self, now: Now, out: &mut Outputs) {
        for _ in 0..DUE_MAX {
            let Some((deadline, timer)) = self.timers.pop_due(now.monotonic) else { return };
            let at = now.at_instant(deadline);
            match timer {
                Timer::Settle(key) => {
                    self.change(&key, at, at, out, |w, id, place| w.settle(id, place, at));
                }
                Timer::Stale(key) => {
                    self.change(&key, at, at, out, |w, id, place| w.silent(id, place, at));
                }
                Timer::Rule(rule, key) => {
                    let own = self.late.release(&key, rule);
                    let at = own.map_or(at, |deadline| now.at_instant(deadline));
                    self.look(rule, &key, at, out);
                }
                Timer::Hour => self.close_hours(at, out),
                Timer::Day => self.close_day(at, out),
                Timer::Ticket(id) => {
                    let news = self.desk.pass(&self.site, &id, at);
                    self.spread(news, out);
                }
                Timer::Purge(id) => self.purge(&id, at, out),
            }
        }
    }

    fn sample(&mut self, sample: &Sample, now: Now, out: &mut Outputs) {
        let feed = Feed { source: sample.source.clone(), device: sample.device.clone() };
        let Some(key) = self.feeds.get(&feed).cloned() else {
            let device = feed.device.as_ref().map_or("without a name", |d| d.as_str());
            let detail = format!("no asset is fed by device {device} of source {}", feed.source);
            return reject(&feed.source, Reason::UnknownDevice, detail, out);
        };
        let (at, quality) = date(sample, now);
        let watched = self.assets.get_mut(&key).expect("only watched assets have feeds");
        let Some(gap) = watched.note(&feed, sample.counter, at.utc) else {
            let counter = sample.counter.unwrap_or_default();
            let detail = format!("{key} has report {counter} already");
            return reject(&feed.source, Reason::Duplicate, detail, out);
        };
        self.hear_source(&feed.source, now, out);
        self.catch_up(&key, at, now, out);
        let mut quantities = sample.quantities.clone();
        let crews = self.take_cards(&mut quantities);
        if let Kind::Bin(bin) = &self.site.assets[&key].kind {
            let guessed = quality == Quality::Uncertain && sample.at.is_some();
            if guessed && now.clock > ClockQuality::Unset {
                let detail = format!("{key}: the time cannot be; the report counts from arrival");
                reject(&feed.source, Reason::Time, detail, out);
            }
            for what in waste::refuse(&mut quantities, bin) {
                reject(&feed.source, Reason::OutOfRange, format!("{key}: {what}"), out);
            }
        }
        let place = out.messages.len();
        let (mut level, mut duplicate) = (None, false);
        let arrival = Arrival { at, now, dated: sample.at == Some(at.utc) };
        let hearing = Hearing { feed: &feed, gap, quantities: &quantities, arrival };
        self.change(&key, at, now, out, |w, id, place| {
            let told = w.report(id, place, &hearing);
            (level, duplicate) = (told.level, told.duplicate);
            told
        });
        if duplicate {
            let detail = format!("{key} has a fix of {} already", at.utc);
            return reject(&feed.source, Reason::Duplicate, detail, out);
        }
        let raw = vehicles::sent_raw(&self.site.assets[&key].kind, &quantities);
        if !raw.is_empty() || quantities.is_empty() {
            let reading = Reading { asset: &key, at, quality, quantities: &raw };
            out.messages.insert(place, publish::telemetry(&reading, level));
        }
        self.on_round(&key, &feed.source, &quantities, at, now, out);
        if !crews.is_empty() {
            self.cards_shown(&key, &crews, at, out);
        }
        if key.class == Class::Vehicle {
            self.may_have_stopped(&key, at, out);
        }
    }

    /// Lets `how` change an asset, and draws every consequence: state, events, rules, deadlines.
    fn change(
        &mut self,
        key: &AssetKey,
        at: Moment,
        now: Now,
        out: &mut Outputs,
        how: impl FnOnce(&mut Watched, &str, &Place<'_>) -> Told,
    ) {
        let place = Place { site: &self.site, asset: &self.site.assets[key] };
        let watched = self.assets.get_mut(key).expect("every deadline is of a watched asset");
        let told = how(watched, key.id.as_str(), &place);
        if !told.keeps {
            out.records.push(watched.record(key));
        }
        if told.state {
            out.messages.extend(self.state(key, at));
        }
        for (kind, data) in told.events {
            out.messages.push(publish::event(key, kind, data, at));
        }
        self.count_waste(key, &told.figures, at, out);
        let request = |feed| Request { feed, what: Wanted::Recalibrate };
        out.requests.extend(told.recalibrate.into_iter().map(request));
        if told.state {
            self.guide(key, at, out);
        }
        out.messages.extend(told.track.iter().map(|sent| vehicles::track(key, sent, at)));
        self.rearm(key, now);
        self.find(key, &told.facts, at, now, out);
        for piece in &told.pieces {
            self.sweep(key, piece, at, now, out);
        }
    }

    /// Sets the asset's own deadlines anew.
    fn rearm(&mut self, key: &AssetKey, now: Now) {
        let place = Place { site: &self.site, asset: &self.site.assets[key] };
        let watched = &self.assets[key];
        let settle = watched.settle_at(&place, now);
        let stale = watched.stale_at(&place.asset.kind, self.started, now);
        self.timers.set(Timer::Settle(key.clone()), settle);
        self.timers.set(Timer::Stale(key.clone()), stale);
    }

    fn spread(&mut self, news: News, out: &mut Outputs) {
        out.records.extend(news.records);
        out.messages.extend(news.messages);
        self.set_timers(news.timers);
    }

    fn set_timers(&mut self, timers: Vec<(Timer, Option<Monotonic>)>) {
        for (timer, deadline) in timers {
            self.timers.set(timer, deadline);
        }
    }

    fn command(&mut self, command: &Command, now: Now, out: &mut Outputs) {
        if let Some(answer) = self.answers.known(command) {
            out.messages.push(publish::reply(&command.by, answer, now));
            return;
        }
        let answer = match self.carry_out(command, now, out) {
            Ok(result) if matches!(command.action, Action::Upkeep(_)) => {
                let (id, by) = (command.id.clone(), command.by.clone());
                answers::stage(&Progress { id, by, stage: Stage::Received, result, why: None })
            }
            Ok(result) => answers::yes(&command.id, result),
            Err((code, why)) => answers::no(&command.id, code, &why),
        };
        out.messages.push(publish::reply(&command.by, answer.clone(), now));
        // A question may be asked again, and a map is too large to be kept; only what changes something
        // must not be done twice.
        if !command.action.only_asks() {
            out.records.extend(self.answers.keep(command, answer, now));
        }
    }

    /// Tells whoever asked how far it has come; a repeat of the command gets this from now on.
    fn progress(&mut self, progress: &Progress, now: Now, out: &mut Outputs) {
        let answer = answers::stage(progress);
        out.messages.push(publish::reply(&progress.by, answer.clone(), now));
        out.records.extend(self.answers.keep_stage(progress, answer, now));
    }

    /// Whether somebody has said who may command, or this requester has shown who he is.
    fn is_named(&self, command: &Command) -> bool {
        command.signed || !self.site.tickets.allow.is_empty()
    }

    fn carry_out(
        &mut self,
        command: &Command,
        now: Now,
        out: &mut Outputs,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        if let Some(until) = command.expires_at
            && now.clock > ClockQuality::Unset
            && until < now.utc
        {
            return Err((
                "expired",
                format!("it was to be done by {until}, and it is {}", now.utc),
            ));
        }
        if command.signed {
            self.answers.believe(command, now)?;
        }
        let name = command.action.name();
        if !self.site.tickets.allows(command.by.as_str(), &name) {
            return Err(("denied", format!("{} may not do {name}", command.by)));
        }
        match &command.action {
            Action::Ping => Ok(Map::new()),
            Action::Upkeep(what) if what.wants_a_name() && !self.is_named(command) => {
                let why = "is only for requesters whom an [[allow]] names, or who sign";
                Err(("denied", format!("{name} {why}")))
            }
            Action::Upkeep(what) => {
                let (id, by) = (command.id.clone(), command.by.clone());
                out.orders.push(Order { id, by, what: what.clone() });
                Ok(Map::new())
            }
            Action::Refresh => {
                self.publish_all(now, out);
                Ok(Map::new())
            }
            Action::Bay { bay, step, permit } => {
                self.bay_step(bay, *step, permit.as_ref(), now, out)
            }
            Action::Device { asset, what } => self.ask_devices(asset, *what, out),
            Action::Coverage { street, from } => self.coverage_of(street.as_ref(), *from),
            Action::History(query) => self.history_of(query),
            Action::Tickets(query) => {
                let answer = self.desk.query(&self.site, query);
                answer.map_err(|refusal| ("refused", refusal.to_string()))
            }
            Action::Report(report) => {
                let taken = self.desk.report(&self.site, report, &command.by, now);
                let (news, result) = taken.map_err(|untaken| ("refused", untaken.to_string()))?;
                self.spread(news, out);
                Ok(result)
            }
            Action::Ticket(order) => {
                let (news, taken) = self.desk.order(&self.site, order, &command.by, now);
                self.spread(news, out);
                let result = taken.map_err(|refusal| ("refused", refusal.to_string()))?;
                self.watch_afresh(order, out);
                Ok(result)
            }
        }
    }
}

impl Engine {
    /// A rule whose ticket was closed looks anew: if the condition still holds, that is rework.
    fn watch_afresh(&mut self, order: &TicketOrder, out: &mut Outputs) {
        let Some(ticket) = self.desk.get(&order.ticket).filter(|t| t.state == State::Closed) else {
            return;
        };
        if let (Some(rule), Some(asset)) = (&ticket.rule, &ticket.asset) {
            out.records.extend(self.rules.closed(&self.site, rule.id.as_str(), asset));
        }
    }

    /// Corrects what was found before the box knew the time.
    fn learn_time(&mut self, now: Now, out: &mut Outputs) {
        let knew = std::mem::replace(&mut self.knows_time, now.clock > ClockQuality::Unset);
        if self.knows_time && !knew {
            let news = self.desk.correct_times(&self.site, now);
            self.spread(news, out);
            // What lasted from before the boot had no length until now.
            let keys = self.assets.keys();
            let looks = keys
                .flat_map(|key| self.rules.by_the_clock(key.class).map(|rule| (rule, key.clone())));
            for (rule, key) in looks.collect::<Vec<_>>() {
                let deadline = self.late.hold(&key, rule, Some(now.monotonic));
                self.timers.set(Timer::Rule(rule, key), deadline);
            }
        }
    }
}

impl Engine {
    /// Asks every device that feeds an asset. Whether they can, and did, is known where the devices are.
    fn ask_devices(
        &self,
        asset: &AssetKey,
        what: Wanted,
        out: &mut Outputs,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        let Some(found) = self.site.assets.get(asset) else {
            return Err(("refused", format!("there is no {asset}")));
        };
        let feeds = found.feeds.iter().cloned();
        out.requests.extend(feeds.map(|feed| Request { feed, what }));
        let asked = Value::from(found.feeds.len());
        Ok(Map::from_iter([("asked".to_owned(), asked)]))
    }
}

fn refuse(bad: &BadCommand, now: Now, out: &mut Outputs) {
    if let (Some(id), Some(by)) = (&bad.id, &bad.by) {
        let code = if bad.denied { "denied" } else { "invalid" };
        out.messages.push(publish::reply(by, answers::no(id, code, &bad.why), now));
    }
    let by = bad.by.as_ref().map_or("somebody", |by| by.as_str());
    let detail = format!("a command of {by}: {}", bad.why);
    out.rejected.push(Rejected { source: None, reason: Reason::Malformed, detail });
}

fn reject(source: &SourceName, reason: Reason, detail: String, out: &mut Outputs) {
    out.rejected.push(Rejected { source: Some(source.clone()), reason, detail });
}

#[cfg(test)]
mod tests;
