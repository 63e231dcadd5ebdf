//! The side of the service: what was asked for, how far it has come, and what whoever asked is told.
//!
//! It is on disk, so that a download goes on after a power failure and the program that comes after this
//! one knows whose update it is. It installs nothing and restarts nothing: that is root's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::commands::update::Update;
use domain::commands::upkeep::{ConfirmedBy, Stage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::carry::carry;
use super::{
    ERRAND, Folder, PACKAGE, Phase, REQUEST, SIGNATURE, Settings, Status, Verdict, WORD, Word,
    has_room, stage, status, write_note,
};
use crate::clock::instant;
use crate::config::{self, Config};
use crate::control::trial::Asked;

/// What is told of an errand that has not been heard yet. Full: progress of a download is left out; the
/// rest waits.
const NEWS_MAX: usize = 16;
/// Between two looks at what root says.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Root takes a request at once, when its units are enabled.
const TAKEN_WITHIN: Duration = Duration::from_secs(300);

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Errand {
    asked: Asked,
    update: Update,
    step: Step,
    /// The package's version, once that is known.
    #[serde(default)]
    version: Option<String>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Fetching,
    /// Root has it, or will.
    Staged,
    /// This program is what was asked for.
    Trial,
    /// And the broker takes what it says.
    Connected,
}

/// What has happened to an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// So many bytes have come.
    Fetching(u64),
    /// It is right, and waits for root.
    Staged(String),
    /// It came to nothing.
    Failed(String),
    /// Root has come to an end with it.
    Root(Status),
}

/// What whoever asked is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Who, and by which command.
    pub asked: Asked,
    /// How far it has come.
    pub stage: Stage,
    /// The figures.
    pub result: Value,
    /// Why it came to nothing.
    pub why: Option<String>,
}

/// Updates of this box: one at a time.
#[derive(Debug)]
pub struct Updates {
    settings: Option<Settings>,
    stage: PathBuf,
    errand: Option<Errand>,
    /// The download, or the looks at what root says. Ends with us.
    work: Option<AbortOnDropHandle<()>>,
    tell: mpsc::Sender<News>,
    heard: mpsc::Receiver<News>,
}

impl Updates {
    /// Goes on with what was asked for before the start; gives what is to be told of it.
    #[must_use]
    pub fn open(config: &Config) -> (Updates, Vec<Told>) {
        let stage = stage(&config.buffer.dir);
        let errand = Folder::open(&stage).ok().and_then(|folder| folder.note::<Errand>(ERRAND));
        let settings = config.update.clone();
        let (tell, heard) = mpsc::channel(NEWS_MAX);
        let mut updates = Updates { settings, stage, errand, work: None, tell, heard };
        let told = updates.resume();
        (updates, told)
    }

    /// What the configuration says now.
    pub fn configure(&mut self, config: &Config) {
        self.settings.clone_from(&config.update);
    }

    /// The next thing that happens. May be dropped at any time.
    pub async fn next(&mut self) -> News {
        self.heard.recv().await.expect("a sender is kept here")
    }

    fn resume(&mut self) -> Vec<Told> {
        let (Some(errand), Some(settings)) = (self.errand.clone(), self.settings.clone()) else {
            return vec![];
        };
        if errand.step == Step::Fetching {
            self.fetch(&errand, settings);
            return vec![];
        }
        let of_it = status(&settings.state_dir).filter(|status| status.id == errand.asked.id);
        match of_it {
            Some(status) if status.is_over() => self.root_says(status),
            // We have started after it was installed: it is us.
            Some(status) if status.phase == Phase::Trial => {
                self.watch(&errand, settings);
                self.step(Step::Trial, status.version);
                vec![self.told(Stage::Applied, None)].into_iter().flatten().collect()
            }
            _ => {
                self.watch(&errand, settings);
                vec![]
            }
        }
    }

    /// Begins an update; otherwise says why not.
    ///
    /// # Errors
    /// There is no key, one is under way already, or it cannot be had.
    pub fn apply(&mut self, update: Update, asked: Asked) -> Result<(), String> {
        let settings = self.settings.clone().ok_or(
            "this box takes no updates by command: [update] of its configuration has no public_key",
        )?;
        if let Some(errand) = &self.errand {
            return Err(format!("the update {} is under way; revert it first", errand.asked.id));
        }
        if update.size > settings.size_max {
            return Err(format!("packages may have {} bytes at the most", settings.size_max));
        }
        config::http_url(&update.url)?;
        fs::create_dir_all(&self.stage)
            .map_err(|error| format!("{} cannot be made: {error}", self.stage.display()))?;
        has_room(&self.stage, update.size)?;
        let errand = Errand { asked, update, step: Step::Fetching, version: None };
        self.fetch(&errand, settings);
        self.errand = Some(errand);
        self.save();
        Ok(())
    }

    /// Whether the broker must take a message before anything can be confirmed.
    #[must_use]
    pub fn awaits_link(&self) -> bool {
        self.errand.as_ref().is_some_and(|errand| errand.step == Step::Trial)
    }

    /// The broker has taken a message under this program.
    pub fn connected(&mut self) -> Vec<Told> {
        if !self.awaits_link() {
            return vec![];
        }
        self.step(Step::Connected, None);
        let by = self.errand.as_ref().map(|errand| errand.update.by);
        if by == Some(ConfirmedBy::Connection) {
            self.say(Verdict::Confirmed);
        }
        self.told(Stage::Connected, None).into_iter().collect()
    }

    /// Somebody says that the new version is right.
    ///
    /// # Errors
    /// None is on trial, or it is not connected yet.
    pub fn confirm(&mut self) -> Result<(), String> {
        match self.errand.as_ref().map(|errand| errand.step) {
            Some(Step::Connected) => {
                self.say(Verdict::Confirmed);
                Ok(())
            }
            Some(Step::Trial) => {
                Err("the new version is not connected to its broker yet; confirm it once it is"
                    .to_owned())
            }
            _ => Err("no version is on trial".to_owned()),
        }
    }

    /// Somebody wants none of it: a download ends, a version on trial goes.
    ///
    /// # Errors
    /// Nothing is under way.
    pub fn revert(&mut self) -> Result<Vec<Told>, String> {
        let step = self.errand.as_ref().map(|errand| errand.step);
        let stopped = || Some("it was stopped by command".to_owned());
        match step {
            None => Err("no update is under way; a version that was confirmed stays".to_owned()),
            Some(Step::Fetching) => Ok(self.give_up(Stage::Refused, stopped())),
            // Root may have taken it just now: then it is told like one that runs.
            Some(Step::Staged) if withdraw(&self.stage) => {
                Ok(self.give_up(Stage::Refused, stopped()))
            }
            Some(_) => {
                self.say(Verdict::Revert);
                Ok(vec![])
            }
        }
    }

    /// Takes in what has happened; gives what is to be told of it.
    pub fn hear(&mut self, news: News) -> Vec<Told> {
        match news {
            News::Fetching(have) => {
                let Some(mut told) = self.told(Stage::Fetching, None) else { return vec![] };
                told.result["bytes"] = json!(have);
                vec![told]
            }
            News::Staged(version) => {
                self.step(Step::Staged, Some(version));
                if let Some((errand, settings)) = self.errand.clone().zip(self.settings.clone()) {
                    self.watch(&errand, settings);
                }
                let told = [Stage::Checked, Stage::Staged].map(|stage| self.told(stage, None));
                told.into_iter().flatten().collect()
            }
            News::Failed(why) => self.give_up(Stage::Refused, Some(why)),
            News::Root(status) => self.root_says(status),
        }
    }

    /// How far it has come, for people; null without an update under way.
    #[must_use]
    pub fn show(&self) -> Value {
        let last = self.settings.as_ref().and_then(|settings| status(&settings.state_dir));
        let errand = self.errand.as_ref().map(
            |errand| json!({"id": errand.asked.id, "step": errand.step, "version": errand.version}),
        );
        json!({"under_way": errand, "last": last})
    }

    fn root_says(&mut self, status: Status) -> Vec<Told> {
        let stage = match status.phase {
            Phase::Confirmed => Stage::Confirmed,
            Phase::Reverted => Stage::Reverted,
            Phase::Refused => Stage::Refused,
            Phase::Installing | Phase::Trial => return vec![],
        };
        if let Some(errand) = &mut self.errand {
            errand.version = status.version.or(errand.version.take());
        }
        self.give_up(stage, status.why)
    }

    /// It is over, in one way or the other.
    fn give_up(&mut self, stage: Stage, why: Option<String>) -> Vec<Told> {
        let told = self.told(stage, why);
        self.work = None;
        self.errand = None;
        tidy(&self.stage);
        told.into_iter().collect()
    }

    fn told(&self, stage: Stage, why: Option<String>) -> Option<Told> {
        let errand = self.errand.as_ref()?;
        tracing::info!(id = errand.asked.id, stage = stage.as_str(), reason = why, "update");
        let result = json!({"version": errand.version, "size": errand.update.size});
        Some(Told { asked: errand.asked.clone(), stage, result, why })
    }

    fn step(&mut self, step: Step, version: Option<String>) {
        if let Some(errand) = &mut self.errand {
            errand.step = step;
            errand.version = version.or(errand.version.take());
        }
        self.save();
    }

    /// Without it a start would not know whose update it is; the update itself would go on.
    fn save(&self) {
        let Some(errand) = &self.errand else { return };
        if let Err(error) = write_note(&self.stage.join(ERRAND), errand) {
            tracing::error!(error = %error, "what is known of the update cannot be written");
        }
    }

    /// Tells root. When it cannot be written, root takes the new version back in time.
    fn say(&self, says: Verdict) {
        let Some(errand) = &self.errand else { return };
        let word = Word { id: errand.asked.id.clone(), says };
        if let Err(error) = write_note(&self.stage.join(WORD), &word) {
            tracing::error!(error = %error, "the word about the update cannot be written");
        }
    }

    fn fetch(&mut self, errand: &Errand, settings: Settings) {
        let (stage, tell) = (self.stage.clone(), self.tell.clone());
        let Errand { asked, update, .. } = errand.clone();
        let carrying = tokio::spawn(async move {
            let news = match carry(&stage, asked.id, update, settings, &tell).await {
                Ok(version) => News::Staged(version),
                Err(why) => News::Failed(why),
            };
            // Nobody is left when the box stops.
            let _ = tell.send(news).await;
        });
        self.work = Some(AbortOnDropHandle::new(carrying));
    }

    fn watch(&mut self, errand: &Errand, settings: Settings) {
        let (stage, tell, id) = (self.stage.clone(), self.tell.clone(), errand.asked.id.clone());
        let watching = tokio::spawn(async move {
            let news = listen(&settings.state_dir, &stage, &id).await;
            // As above.
            let _ = tell.send(news).await;
        });
        self.work = Some(AbortOnDropHandle::new(watching));
    }
}

impl Status {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Confirmed | Phase::Reverted | Phase::Refused)
    }
}

/// Looks at what root says of the request `id` until that is the end of it.
async fn listen(state_dir: &Path, stage: &Path, id: &str) -> News {
    let begun = instant();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match status(state_dir).filter(|status| status.id == id) {
            Some(status) if status.is_over() => return News::Root(status),
            None if begun.elapsed() > TAKEN_WITHIN && withdraw(stage) => {
                let why = "nobody on the box installs it; see that steward-update.path is enabled";
                return News::Failed(why.to_owned());
            }
            _ => {}
        }
    }
}

/// Takes the request back. Answers whether it was still there.
fn withdraw(stage: &Path) -> bool {
    Folder::open(stage).and_then(|folder| folder.remove(REQUEST)).unwrap_or(false)
}

/// Removes what an errand that is over has left, beginnings of packages aside: they may be asked for again.
fn tidy(stage: &Path) {
    let Ok(folder) = Folder::open(stage) else { return };
    for name in [ERRAND, PACKAGE, SIGNATURE] {
        if let Err(error) = folder.remove(name) {
            tracing::warn!(name, error = %error, "what an update has left cannot be removed");
        }
    }
}
