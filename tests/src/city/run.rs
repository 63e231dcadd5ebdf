//! One run: faults, then healing, then the judges.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use domain::output::Lane;
use serde_json::{Value, json};

use super::far_end::{FarEnd, Settled};
use super::gateway::{Gateway, Owed};
use super::judges::bounds::{Bounds, Load};
use super::judges::{End as Over, Heard, Judge, bench};
use super::show;
use super::street::Ways;
use super::truth::{HOUR, MINUTE, SECOND, Size, Truth};
use super::weather::{End, Restart, Weather};

/// What arrives in this time is one turn of the box.
const TURN: u64 = MINUTE;
/// The queues are looked at every so many turns, the disk every tenth time.
const LOOK_EVERY: u64 = 10;

/// What came of a run.
#[derive(Debug)]
pub struct Verdict {
    /// Everything that a judge found wrong, with the judge's name before it.
    pub wrong: Vec<String>,
    /// How much there was.
    pub figures: Figures,
}

/// How much there was in a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Days of the city.
    pub days: u64,
    /// Starts of the box.
    pub boots: u64,
    /// Kills among its ends.
    pub kills: u64,
    /// Turns.
    pub turns: u64,
    /// Reports that were acknowledged to sensors.
    pub acknowledged: u64,
    /// Reports that the air took, or a node's full memory.
    pub lost: u64,
    /// Inputs that the core refused: repeats.
    pub refused: u64,
    /// Messages that came, repeats included.
    pub messages: u64,
    /// Messages that the far end did not want.
    pub unwanted: u64,
    /// Problems that were planted.
    pub problems: u64,
    /// Most messages that waited, and most bytes on disk.
    pub waited: u64,
    /// Most bytes of the store's files.
    pub disk: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { days, boots, kills, turns, acknowledged, lost, refused, .. } = self;
        let Figures { messages, unwanted, problems, waited, disk, .. } = self;
        write!(
            f,
            "{days} days in {turns} turns, {boots} boots ({kills} kills), {acknowledged} reports \
             acknowledged, {lost} lost on the way, {refused} refused, {messages} messages \
             ({unwanted} unwanted), {problems} problems; at most {waited} waited, {} KiB on disk",
            disk / 1024
        )
    }
}

/// Which city.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// How large it is.
    pub size: Size,
    /// In good weather.
    pub calm: bool,
    /// An asset (`bay/b-7`) of which everything is printed, to find out what a judge means.
    pub about: Option<String>,
}

/// Runs the city of `plan` in `dir`.
pub async fn run(plan: &Plan, dir: &Path) -> Verdict {
    let truth = Truth::new(plan.seed, plan.size);
    let weather = Weather::new(&truth, plan.calm);
    let mut city = City::new(&truth, &weather, dir);
    city.about.clone_from(&plan.about);
    if let Some(asset) = &plan.about {
        show::plan(asset, &truth, &weather);
    }
    let size = plan.size;
    let mut at = 0;
    let mut restarts: VecDeque<Restart> = weather.restarts.clone().into();
    while at < size.until() {
        let end = restarts.pop_front_if_before(at + TURN);
        at += TURN;
        let running = city.turn(at, end.map(|restart| restart.how)).await;
        if let (Some(restart), None) = (end, running) {
            at = city.down(at, restart.down);
        }
    }
    city.finish(at).await
}

trait Due {
    fn pop_front_if_before(&mut self, at: u64) -> Option<Restart>;
}

impl Due for VecDeque<Restart> {
    fn pop_front_if_before(&mut self, at: u64) -> Option<Restart> {
        let due = self.front().is_some_and(|restart| restart.at < at);
        if due { self.pop_front() } else { None }
    }
}

/// The box is there after a turn.
struct Running;

struct City<'a> {
    truth: &'a Truth,
    weather: &'a Weather,
    dir: PathBuf,
    ways: Ways,
    gateway: Option<Gateway>,
    far_end: FarEnd,
    judges: Vec<Box<dyn Judge>>,
    bounds: Bounds,
    seen: BTreeMap<Lane, std::collections::BTreeSet<u64>>,
    about: Option<String>,
    /// What people send, and when; the first is not answered yet.
    commands: VecDeque<(u64, String)>,
    wrong: Vec<String>,
    figures: Figures,
}

impl<'a> City<'a> {
    fn new(truth: &'a Truth, weather: &'a Weather, dir: &Path) -> City<'a> {
        let gateway = Gateway::start(truth, weather, dir.join("box-1"), 0);
        let problems = truth.problems().len() as u64;
        City {
            truth,
            weather,
            dir: dir.to_owned(),
            ways: Ways::new(truth),
            gateway: Some(gateway),
            far_end: FarEnd::default(),
            judges: bench(),
            bounds: Bounds::default(),
            seen: BTreeMap::new(),
            about: None,
            commands: commands(truth),
            wrong: vec![],
            figures: Figures { days: truth.size.days, boots: 1, problems, ..Figures::default() },
        }
    }

    /// Everything until `until`; `None` when the box has ended in it.
    async fn turn(&mut self, until: u64, end: Option<End>) -> Option<Running> {
        let mut gateway = self.gateway.take().expect("a turn is taken by a box that runs");
        let asked = self.arrive(&mut gateway, until);
        if end == Some(End::BeforeCommit) {
            self.kill(gateway).await;
            return None;
        }
        let now = gateway.clock.now(self.weather, until - 1);
        let Owed { line, lns, commands } = gateway.commit(now).await;
        debug_assert_eq!(commands, asked);
        if end == Some(End::AfterCommit) {
            self.kill(gateway).await;
            return None;
        }
        self.ways.line_acknowledged(&line, until - 1);
        self.ways.lns_acknowledged(&lns);
        self.commands.drain(..asked);
        let settled = if end == Some(End::AfterDelivery) { Settled::Never } else { Settled::Yes };
        let link = self.weather.link(until - 1);
        self.far_end.turn(&gateway.outbox, link, settled).await;
        self.judge();
        self.look(&gateway, until).await;
        self.figures.turns += 1;
        match end {
            None => {
                self.gateway = Some(gateway);
                Some(Running)
            }
            Some(End::Orderly) => {
                self.figures.refused += gateway.rejected;
                let (_, life) = gateway.stop().await;
                self.wrong.extend(life.replay().into_iter().map(|what| format!("replay: {what}")));
                None
            }
            Some(_) => {
                self.kill(gateway).await;
                None
            }
        }
    }

    /// Hands the box what arrives until `until`; gives how many commands were among it.
    fn arrive(&mut self, gateway: &mut Gateway, until: u64) -> usize {
        let (clock, weather) = (gateway.clock, self.weather);
        for (at, arrival) in self.ways.pass(self.truth, until, true) {
            let now = clock.now(weather, at.max(clock.started));
            gateway.tick(now);
            gateway.arrive(&arrival, now);
        }
        let now = clock.now(weather, until - 1);
        if !weather.deaf.iter().any(|deaf| deaf.covers(until - 1)) {
            for arrival in self.ways.uplinks(until - 1) {
                gateway.arrive(&arrival, now);
            }
        }
        let asked = self.commands.iter().take_while(|(at, _)| *at < until).count();
        for (_, payload) in self.commands.iter().take(asked) {
            gateway.command("report", payload.as_bytes(), now);
        }
        gateway.tick(now);
        asked
    }

    async fn kill(&mut self, gateway: Gateway) {
        self.figures.kills += 1;
        self.figures.refused += gateway.rejected;
        let next = self.dir.join(format!("box-{}", self.figures.boots + 1));
        let life = gateway.kill(&next).await;
        self.wrong.extend(life.replay().into_iter().map(|what| format!("replay: {what}")));
    }

    /// The box is down for `down` from `at` on, and starts again; gives when.
    fn down(&mut self, at: u64, down: u64) -> u64 {
        let back = at + down.next_multiple_of(SECOND);
        self.ways.pass(self.truth, back, false);
        self.ways.session_lost();
        self.far_end.box_started();
        let last = self.dir.join(format!("box-{}", self.figures.boots));
        self.figures.boots += 1;
        let dir = self.dir.join(format!("box-{}", self.figures.boots));
        if last.exists() {
            fs::rename(&last, &dir).expect("the store can be moved");
        }
        self.gateway = Some(Gateway::start(self.truth, self.weather, dir, back));
        back
    }

    /// Shows the judges what has arrived.
    fn judge(&mut self) {
        while let Some(arrived) = self.far_end.arrived.pop_front() {
            let body = serde_json::from_slice(&arrived.payload).unwrap_or(Value::Null);
            let seen = self.seen.entry(arrived.lane).or_default();
            let first = arrived.seq.is_some_and(|seq| seen.insert(seq));
            let heard = Heard { arrived, body, first };
            if let Some(asset) = self.about.as_ref().filter(|_| first) {
                show::message(asset, &heard);
            }
            self.judges.iter_mut().for_each(|judge| judge.hear(&heard));
        }
    }

    async fn look(&mut self, gateway: &Gateway, at: u64) {
        if !self.figures.turns.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let stats = gateway.outbox.stats().await.expect("the outbox is there");
        let sum = |of: fn(&steward::outbox::LaneStats) -> u64| stats.lanes.iter().map(of).sum();
        let disk = self.figures.turns.is_multiple_of(10 * LOOK_EVERY);
        let load = Load {
            at,
            in_flight: sum(|lane| lane.in_flight),
            stored: sum(|lane| lane.ledger.stored.saturating_sub(lane.settled)),
            bytes: sum(|lane| lane.ledger.bytes),
            bytes_max: stats.bytes_max,
            disk: if disk { bytes_below(&gateway.dir) } else { 0 },
            open_tickets: gateway.open_tickets() as u64,
            planted: self.figures.problems,
        };
        self.bounds.look(load, self.weather.heals_at);
    }

    /// The end: what is still on its way arrives, and the judges speak.
    async fn finish(mut self, at: u64) -> Verdict {
        let mut gateway = self.gateway.take().expect("the weather is fine at the end");
        let now = gateway.clock.now(self.weather, at);
        gateway.commit(now).await;
        // The first brings what was gathered into messages, the last takes what is settled out of the count.
        for _ in 0..3 {
            gateway.outbox.spill().await.expect("the store is written");
            self.far_end.turn(&gateway.outbox, super::weather::Link::Good, Settled::Yes).await;
            self.judge();
        }
        gateway.outbox.spill().await.expect("the store is written");
        let stats = gateway.outbox.stats().await.expect("the outbox is there");
        self.figures.refused += gateway.rejected;
        let (_, life) = gateway.stop().await;
        self.wrong.extend(life.replay().into_iter().map(|what| format!("replay: {what}")));
        let ledgers = stats.lanes.into_iter().map(|lane| (lane.lane, lane.ledger)).collect();
        let over = Over {
            truth: self.truth,
            timeless: self.weather.timeless().collect(),
            downs: self.weather.downs().collect(),
            ledgers,
            acknowledged: &self.ways.acknowledged,
        };
        for judge in &self.judges {
            let name = judge.name();
            self.wrong.extend(judge.verdict(&over).into_iter().map(|w| format!("{name}: {w}")));
        }
        let bounds = self.bounds.verdict(self.weather.heals_at);
        self.wrong.extend(bounds.into_iter().map(|what| format!("bounds: {what}")));
        self.figures.acknowledged = self.ways.acknowledged.len() as u64;
        self.figures.lost = self.ways.lost_count + self.ways.dropped();
        (self.figures.messages, self.figures.unwanted) = (self.far_end.count, self.far_end.refused);
        (self.figures.waited, self.figures.disk) = (self.bounds.most.stored, self.bounds.most.disk);
        Verdict { wrong: self.wrong, figures: self.figures }
    }
}

/// Every piece of litter is reported by two people, some metres and minutes apart.
fn commands(truth: &Truth) -> VecDeque<(u64, String)> {
    let mut all: Vec<(u64, String)> = Vec::new();
    for (n, litter) in truth.litter.iter().enumerate() {
        for who in 0..2u64 {
            let at = litter.at + who * 10 * MINUTE;
            let place = litter.place.moved(0.0, 3.0 * who as f64);
            let place = json!({"lat": place.lat, "lon": place.lon});
            let args = json!({"category": "exposed_litter", "witness": "citizen", "place": place});
            let payload = json!({"id": format!("c-{n}-{who}"), "by": "people", "args": args});
            all.push((at, payload.to_string()));
        }
    }
    all.sort();
    debug_assert!(all.iter().all(|(at, _)| at + HOUR < truth.size.until()));
    all.into()
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(known) if known.is_dir() => bytes_below(&entry.path()),
            Ok(known) => known.len(),
            Err(_) => 0,
        })
        .sum()
}
