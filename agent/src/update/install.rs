//! The side of root: installs what the service has left, watches it, and takes it back (`steward update
//! install`, called by `steward-update.service`).
//!
//! Nothing that the service could have written is believed: what it left is copied into a folder that only
//! root writes to, and the copy is what is checked and installed. No link is followed on the way, and the
//! key is that of the file of the installation. At every moment it is written down what is to be done
//! next, so that a power failure leaves either version, and somebody who goes on.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::commands::upkeep::CONFIRM_MAX_S;
use rustix::fs::FlockOperation;

use super::installed::Installed;
use super::package::{self, Unfit};
use super::repack::{ask, repack};
use super::trial::{STARTS_MAX, Step, Trial};
use super::{
    Folder, PACKAGE, Phase, REQUEST, Request, SIGNATURE, SIGNATURE_MAX, STATUS, Settings, Status,
    WORD, has_room, stage, write_note,
};

/// The folder of root's, where nobody says another.
pub const STATE_DIR: &str = "/var/lib/steward-update";
/// What starts the program that is installed now, whatever has become of the one before.
pub const RESTART: &str =
    "systemctl reset-failed steward.service; systemctl restart --no-block steward.service";

/// Succeeds when the program is started no more, since it ended too often in a short time (the start limit
/// of its unit); [`RESTART`] has it counted anew.
pub const GIVEN_UP: &str = "systemctl is-failed --quiet steward.service";

/// Files of root's, beside the status.
const NEW: &str = "new.deb";
const OLD: &str = "old.deb";
const TRIAL: &str = "trial.json";
const LOCK: &str = "lock";
const SCRATCH: &str = "scratch";

/// Why nothing could be done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The folder of root's.
    #[error("{path}: {source}")]
    State {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else is at it.
    #[error("another installation is going on")]
    Busy,
    /// The way back cannot be gone; it is tried again when the service is started again.
    #[error("version {from} cannot be brought back: {source}")]
    Stranded {
        /// The version before.
        from: String,
        /// What dpkg says.
        source: io::Error,
    },
}

/// On what it works.
#[derive(Debug, Clone)]
pub struct Place {
    /// The system: `/`.
    pub root: PathBuf,
    /// The folder of root's.
    pub state: PathBuf,
    /// A line of shell that starts the program anew.
    pub restart: String,
    /// A line of shell that succeeds when nobody starts the program any more.
    pub given_up: String,
}

/// Installs what waits in `buffer_dir`, or goes on with what was interrupted. `None`: there is nothing to
/// do; otherwise what came of it, which is also told in the folder of root's.
///
/// # Errors
/// The folder cannot be written, or the old version cannot be brought back.
pub async fn install(
    place: &Place,
    installation: Option<(&Path, Option<&Settings>)>,
) -> Result<Option<Phase>, InstallError> {
    let state = |source| InstallError::State { path: place.state.clone(), source };
    fs::create_dir_all(&place.state).map_err(state)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(place.at(LOCK));
    let lock = lock.map_err(state)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| InstallError::Busy)?;
    if let Some(trial) = Folder::open(&place.state).map_err(state)?.note::<Trial>(TRIAL) {
        return place.go_on(trial).await.map(Some);
    }
    let Some((buffer_dir, settings)) = installation else { return Ok(None) };
    let stage = stage(buffer_dir);
    let Some(request) = take_request(&stage) else { return Ok(None) };
    tracing::info!(id = request.id, size = request.size, "an update is asked for");
    let trial = match place.prepare(&stage, request.clone(), settings) {
        Ok(trial) => trial,
        Err(why) => {
            tracing::error!(id = request.id, reason = why, "the update is refused");
            let told = Status {
                id: request.id,
                version: None,
                from: None,
                phase: Phase::Refused,
                why: Some(why),
            };
            place.clear().map_err(state)?;
            place.publish(&told).map_err(state)?;
            return Ok(Some(Phase::Refused));
        }
    };
    place.run(trial).await.map(Some)
}

/// Takes the request away, so that nobody is asked for it twice.
fn take_request(stage: &Path) -> Option<Request> {
    let folder = Folder::open(stage).ok()?;
    let request = folder.note(REQUEST);
    match folder.remove(REQUEST) {
        Ok(_) => request,
        // It would be found again and again.
        Err(error) => {
            tracing::error!(error = %error, "the request cannot be taken away");
            None
        }
    }
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// Copies what the service has left, checks the copy, and packs what is there for the way back.
    /// Otherwise says why nothing is changed.
    fn prepare(
        &self,
        stage: &Path,
        request: Request,
        settings: Option<&Settings>,
    ) -> Result<Trial, String> {
        let settings = settings.ok_or("[update] of the installation's file has no key")?;
        if request.size > settings.size_max {
            return Err(format!("the package is longer than {} bytes", settings.size_max));
        }
        if request.within_s > CONFIRM_MAX_S {
            return Err(format!("a trial may last {CONFIRM_MAX_S} s at the most"));
        }
        has_room(&self.state, request.size)?;
        let words = |error: io::Error| format!("what was fetched cannot be read: {error}");
        let signature = self.copy(stage, request.size).map_err(words)?;
        let installed = Installed::look(&self.root)
            .map_err(|error| format!("dpkg cannot be asked: {error}"))?
            .ok_or("this program is not installed by dpkg")?;
        let checked = package::check(&self.at(NEW), &signature, &request, settings, &installed);
        let to = checked.map_err(|unfit: Unfit| unfit.to_string())?;
        repack(&self.root, &self.at(SCRATCH), &self.at(OLD))
            .map_err(|error| format!("what is installed cannot be packed: {error}"))?;
        let (from, stage, step) = (installed.version, stage.to_owned(), Step::Installing);
        Ok(Trial { request, from, to, stage, step, starts: 0, why: None })
    }

    /// Copies the package, one byte more than it may have at the most, and gives its signature.
    fn copy(&self, stage: &Path, size: u64) -> io::Result<String> {
        let folder = Folder::open(stage)?;
        let mut from = folder.file(PACKAGE)?.take(size.saturating_add(1));
        let mut to = OpenOptions::new();
        let to = to.write(true).create(true).truncate(true).mode(0o600);
        let mut to = to.open(self.at(NEW))?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no signature");
        let signature = folder.text(SIGNATURE, SIGNATURE_MAX).ok_or_else(missing)?;
        for name in [PACKAGE, SIGNATURE] {
            folder.remove(name)?;
        }
        Ok(signature)
    }

    /// After a power failure.
    async fn go_on(&self, mut trial: Trial) -> Result<Phase, InstallError> {
        tracing::warn!(step = ?trial.step, to = trial.to, "an update was interrupted");
        match trial.step {
            Step::Installing => {
                self.take_back(trial, "it was interrupted while it was being installed").await
            }
            Step::Reverting => {
                let why = trial.why.take().unwrap_or_default();
                self.take_back(trial, &why).await
            }
            Step::Watching if trial.starts >= STARTS_MAX => {
                self.take_back(trial, "its trial was interrupted too often").await
            }
            Step::Watching => self.watch(trial).await,
        }
    }

    async fn run(&self, trial: Trial) -> Result<Phase, InstallError> {
        self.note(&trial, Phase::Installing)?;
        tracing::info!(from = trial.from, to = trial.to, "installing");
        if let Err(error) = self.dpkg(NEW) {
            return self.take_back(trial, &format!("it cannot be installed: {error}")).await;
        }
        self.watch(trial).await
    }

    async fn watch(&self, mut trial: Trial) -> Result<Phase, InstallError> {
        trial.step = Step::Watching;
        trial.starts += 1;
        // Said before it starts: by this a program knows that it is the one on trial.
        self.note(&trial, Phase::Trial)?;
        self.restart();
        match trial.wait(|| self.has_given_up()).await {
            Ok(()) => self.end(&trial, Phase::Confirmed),
            Err(why) => self.take_back(trial, &why).await,
        }
    }

    async fn take_back(&self, mut trial: Trial, why: &str) -> Result<Phase, InstallError> {
        tracing::error!(from = trial.to, to = trial.from, reason = why, "the update is taken back");
        trial.step = Step::Reverting;
        trial.why = Some(why.to_owned());
        self.note(&trial, Phase::Trial)?;
        let stranded = |source| InstallError::Stranded { from: trial.from.clone(), source };
        // dpkg works with files; nothing else runs here meanwhile that would have to wait.
        self.dpkg(OLD).map_err(stranded)?;
        let ended = self.end(&trial, Phase::Reverted);
        self.restart();
        ended
    }

    /// Tells how it ended, and lets go of everything else.
    fn end(&self, trial: &Trial, phase: Phase) -> Result<Phase, InstallError> {
        let state = |source| InstallError::State { path: self.state.clone(), source };
        self.tell(trial, phase).map_err(state)?;
        self.clear().map_err(state)?;
        if let Err(error) = Folder::open(&trial.stage).and_then(|folder| folder.remove(WORD)) {
            tracing::warn!(error = %error, "the word about the update cannot be taken away");
        }
        tracing::info!(version = trial.to, phase = ?phase, "the update has ended");
        Ok(phase)
    }

    /// Writes down what is to be done next, and tells it.
    fn note(&self, trial: &Trial, phase: Phase) -> Result<(), InstallError> {
        let state = |source| InstallError::State { path: self.state.clone(), source };
        write_note(&self.at(TRIAL), trial).map_err(state)?;
        self.tell(trial, phase).map_err(state)
    }

    fn tell(&self, trial: &Trial, phase: Phase) -> io::Result<()> {
        let told = Status {
            id: trial.request.id.clone(),
            version: Some(trial.to.clone()),
            from: Some(trial.from.clone()),
            phase,
            why: trial.why.clone(),
        };
        self.publish(&told)
    }

    /// For everybody to read: the service among them.
    fn publish(&self, status: &Status) -> io::Result<()> {
        write_note(&self.at(STATUS), status)?;
        fs::set_permissions(self.at(STATUS), fs::Permissions::from_mode(0o644))
    }

    fn clear(&self) -> io::Result<()> {
        let folder = Folder::open(&self.state)?;
        for name in [TRIAL, NEW, OLD] {
            folder.remove(name)?;
        }
        Ok(())
    }

    /// Installs one of the packages here, with the configuration files that people have changed as they
    /// are.
    fn dpkg(&self, package: &str) -> io::Result<()> {
        let mut dpkg = Command::new("dpkg");
        if self.root != Path::new("/") {
            dpkg.arg(format!("--root={}", self.root.display())).arg("--force-script-chrootless");
        }
        dpkg.args(["--force-confdef", "--force-confold", "--install"]).arg(self.at(package));
        // What is installed is started here, and watched.
        dpkg.env("DEBIAN_FRONTEND", "noninteractive").env("STEWARD_RESTART", "no");
        ask(&mut dpkg).map(drop)
    }

    /// Whether the service manager starts the program no more. Where it cannot be asked, the time of the
    /// trial decides.
    fn has_given_up(&self) -> bool {
        Command::new("sh").args(["-c", &self.given_up]).status().is_ok_and(|is| is.success())
    }

    fn restart(&self) {
        let done = Command::new("sh").args(["-c", &self.restart]).status();
        match done {
            Ok(status) if status.success() => {}
            // The trial shows whether it runs all the same.
            Ok(status) => tracing::warn!(status = %status, "the program could not be restarted"),
            Err(error) => tracing::warn!(error = %error, "the program could not be restarted"),
        }
    }
}
