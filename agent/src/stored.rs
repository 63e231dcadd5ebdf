//! `steward outbox`: a look into the buffer, and what can be recovered of a damaged one. A box that runs is asked
//! through its local socket, for nobody else can open its store; what it has in memory is seen too then. Messages are printed as JSON lines: `{"lane","seq","topic","retain","at","boot","payload"}`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::output::Lane;
use domain::time::Boot;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::{Buffer, Config};
use crate::control::stores::{self, Ask, Counts, LaneCounts};
use crate::mqtt::topics::Prefix;
use crate::outbox::inspect::{self, Kept, KeptMessage, Look, LookError};
use crate::outbox::{Key, Ledger, Position, StoreError};
use crate::ticket;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The counts.
    Stats {
        /// For programs.
        json: bool,
    },
    /// What is stored, a line each, without payloads.
    Ls {
        /// Of this lane only.
        lane: Option<Lane>,
        /// At most so many.
        limit: usize,
        /// For programs.
        json: bool,
    },
    /// The payload of one message.
    Peek {
        /// Its lane.
        lane: Lane,
        /// Its number; the oldest by default.
        seq: Option<u64>,
    },
    /// Whether all of it can be read, and is as much as the counts say.
    Verify {
        /// For programs.
        json: bool,
    },
    /// Every message.
    Export {
        /// Of this lane only.
        lane: Option<Lane>,
    },
    /// Every message that can be found in what was damaged.
    Salvage {
        /// In this directory; by default in all that was moved aside.
        from: Option<PathBuf>,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The box that runs.
    #[error(transparent)]
    Talk(#[from] ticket::Failure),
    /// There is no such uplink.
    #[error("there is no [[uplink]] called {name:?}; there are {known:?}")]
    NoUplink {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The output, or a damaged file.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<StoreError> for Failure {
    fn from(why: StoreError) -> Failure {
        Failure::Look(why.into())
    }
}

/// Answers `request` on `out`; `false`: there is nothing, or it is not whole.
///
/// # Errors
/// The store cannot be opened or read, the box that runs does not answer, or the output cannot be written.
pub fn outbox(
    config: &Config,
    uplink: Option<&str>,
    request: &Request,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let buffer = buffer_of(config, uplink)?;
    let prefix = Prefix::new(&config.site.identity);
    if let Request::Salvage { from } = request {
        return salvage(&buffer.dir, from.as_deref(), &prefix, out);
    }
    let store = Store::open(config, uplink, &buffer.dir)?;
    match request {
        Request::Stats { json } => stats(&store, buffer, *json, out),
        Request::Ls { lane, limit, json } => {
            let mut left = *limit;
            each(&store, *lane, |kept| {
                left = left.saturating_sub(1);
                list(&kept, *json, out)?;
                Ok(left > 0)
            })
        }
        Request::Peek { lane, seq } => {
            let from = Position { seq: seq.unwrap_or(0), sub: 0 };
            let kept = store.page(*lane, from)?.into_iter().next();
            let wanted = kept.filter(|kept| seq.is_none_or(|seq| kept.key.position.seq == seq));
            let Some(message) = wanted.and_then(|kept| kept.message) else { return Ok(false) };
            out.write_all(&message.payload)?;
            out.write_all(b"\n")?;
            Ok(true)
        }
        Request::Verify { json } => verify(&store, *json, out),
        Request::Export { lane } => {
            let mut whole = true;
            each(&store, *lane, |kept| {
                match kept.message {
                    Some(message) => line(&prefix, kept.key, &message, out)?,
                    None => whole = false,
                }
                Ok(true)
            })?;
            Ok(whole)
        }
        Request::Salvage { .. } => unreachable!("it needs no store"),
    }
}

/// A store that is looked at.
enum Store<'c> {
    /// Of a box that is stopped.
    Stopped(Box<Look>),
    /// Of one that runs.
    Running {
        /// Where its socket is.
        dir: &'c Path,
        uplink: Option<&'c str>,
        counts: Counts,
    },
}

impl<'c> Store<'c> {
    /// `dir`: where the store is; the socket stands in the buffer's own directory.
    fn open(config: &'c Config, uplink: Option<&'c str>, dir: &Path) -> Result<Store<'c>, Failure> {
        let socket = &config.buffer.dir;
        match ask(socket, uplink, None) {
            Ok(counts) => Ok(Store::Running { dir: socket, uplink, counts }),
            Err(ticket::Failure::Nobody { .. }) => Ok(Store::Stopped(Box::new(Look::open(dir)?))),
            Err(other) => Err(other.into()),
        }
    }

    fn boot(&self) -> Result<Boot, Failure> {
        match self {
            Store::Stopped(look) => Ok(look.boot()?),
            Store::Running { counts, .. } => Ok(counts.boot),
        }
    }

    fn lane(&self, lane: Lane) -> Result<Counted, Failure> {
        match self {
            Store::Stopped(look) => {
                let (ledger, lost) = look.ledger(lane)?;
                Ok(Counted { ledger, lost, in_memory: 0, gathering: 0 })
            }
            Store::Running { counts, .. } => {
                let found = counts.lanes.get(lane as usize).cloned();
                let LaneCounts { ledger, in_memory, gathering } = found.unwrap_or_default();
                Ok(Counted { ledger, lost: 0, in_memory, gathering })
            }
        }
    }

    fn page(&self, lane: Lane, from: Position) -> Result<Vec<Kept>, Failure> {
        match self {
            Store::Stopped(look) => Ok(look.page(lane, from)?),
            Store::Running { dir, uplink, .. } => Ok(ask(dir, *uplink, Some((lane, from)))?),
        }
    }
}

/// What is known of a lane.
struct Counted {
    ledger: Ledger,
    /// Messages that a kill has taken from memory.
    lost: u64,
    in_memory: u64,
    gathering: u64,
}

/// Asks the box whose socket is in `dir`.
fn ask<T: DeserializeOwned>(
    dir: &Path,
    uplink: Option<&str>,
    page: Option<(Lane, Position)>,
) -> Result<T, ticket::Failure> {
    let ask = Ask { uplink: uplink.map(str::to_owned), page };
    let mut answer = ticket::exchange(dir, stores::NAME, json!(ask))?;
    if answer["ok"] != true {
        let why = answer["error"]["msg"].as_str().unwrap_or("it says no").to_owned();
        return Err(ticket::Failure::Broken(io::Error::other(why)));
    }
    Ok(serde_json::from_value(answer["result"].take())?)
}

/// The buffer of the uplink called so; of `[mqtt]` by default.
fn buffer_of<'c>(config: &'c Config, uplink: Option<&str>) -> Result<&'c Buffer, Failure> {
    let Some(name) = uplink else { return Ok(&config.buffer) };
    let found = config.uplinks.iter().find(|uplink| uplink.name.as_str() == name);
    found.map(|uplink| &uplink.buffer).ok_or_else(|| Failure::NoUplink {
        name: name.to_owned(),
        known: config.uplinks.iter().map(|uplink| uplink.name.to_string()).collect(),
    })
}

/// Looks at every message until `look` has enough; answers whether there was any.
fn each(
    store: &Store<'_>,
    lane: Option<Lane>,
    mut look: impl FnMut(Kept) -> io::Result<bool>,
) -> Result<bool, Failure> {
    let mut any = false;
    for lane in Lane::ALL.into_iter().filter(|one| lane.is_none_or(|lane| lane == *one)) {
        let mut from = Position::default();
        loop {
            let page = store.page(lane, from)?;
            let Some(last) = page.last() else { break };
            from = last.key.position.behind();
            any = true;
            for kept in page {
                if !look(kept)? {
                    return Ok(any);
                }
            }
        }
    }
    Ok(any)
}

fn list(kept: &Kept, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    let Kept { key, bytes, message } = kept;
    let (lane, seq) = (key.lane.as_str(), key.position.seq);
    let path = message.as_ref().map(|message| &message.path[..]);
    let at = message.as_ref().map(|message| message.at);
    if as_json {
        let line = json!({"lane": lane, "seq": seq, "at": at, "path": path, "bytes": bytes,
            "readable": message.is_some()});
        return writeln!(out, "{line}");
    }
    let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    writeln!(out, "{lane:9} {seq:>10} {at:24} {bytes:>7} {}", path.unwrap_or("damaged"))
}

/// A payload is JSON, or nothing.
fn line(prefix: &Prefix, key: Key, message: &KeptMessage, out: &mut impl Write) -> io::Result<()> {
    let payload: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let line = json!({
        "lane": key.lane, "seq": key.position.seq, "topic": prefix.join(&message.path),
        "retain": message.retain, "at": message.at, "boot": message.boot, "payload": payload,
    });
    writeln!(out, "{line}")
}

fn stats(
    store: &Store<'_>,
    buffer: &Buffer,
    as_json: bool,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let dir = &buffer.dir;
    let (aside, disk) = (inspect::set_aside(dir)?, disk_bytes(dir)?);
    let mut lanes = vec![];
    for lane in Lane::ALL {
        let Counted { ledger, lost, in_memory, gathering } = store.lane(lane)?;
        let oldest = store.page(lane, Position::default())?.into_iter().next();
        let oldest = oldest.and_then(|kept| kept.message).map(|message| message.at);
        lanes.push(json!({
            "lane": lane, "last": ledger.last.seq, "accepted": ledger.accepted,
            "acknowledged": ledger.acknowledged, "coalesced": ledger.coalesced,
            "stored": ledger.stored.saturating_sub(lost), "bytes": ledger.bytes,
            "lost_in_memory": lost, "in_memory": in_memory, "gathering": gathering,
            "dropped": ledger.dropped, "gaps": ledger.gaps,
            "oldest_at": oldest,
        }));
    }
    let all = json!({"boot": store.boot()?, "running": matches!(store, Store::Running { .. }),
        "disk_bytes": disk,
        "bytes_max": buffer.max_size, "set_aside": aside, "lanes": lanes});
    if as_json {
        writeln!(out, "{all}")?;
        return Ok(true);
    }
    writeln!(out, "boot {}, {disk} bytes on disk", all["boot"])?;
    writeln!(out, "lane           last accepted   acked  stored     bytes dropped  oldest")?;
    for lane in &lanes {
        let text = |key: &str| lane[key].as_str().unwrap_or("-").to_owned();
        let dropped: u64 =
            lane["dropped"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        writeln!(
            out,
            "{:9} {:>9} {:>8} {:>7} {:>7} {:>9} {dropped:>7}  {}",
            text("lane"),
            lane["last"],
            lane["accepted"],
            lane["acknowledged"],
            lane["stored"],
            lane["bytes"],
            text("oldest_at")
        )?;
    }
    for path in aside {
        writeln!(out, "damaged and moved aside: {}", path.display())?;
    }
    Ok(true)
}

fn disk_bytes(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += disk_bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

fn verify(store: &Store<'_>, as_json: bool, out: &mut impl Write) -> Result<bool, Failure> {
    let mut whole = true;
    for lane in Lane::ALL {
        let Counted { ledger: Ledger { stored, .. }, lost, .. } = store.lane(lane)?;
        let expected = stored.saturating_sub(lost);
        let (mut readable, mut damaged) = (0_u64, vec![]);
        let read = each(store, Some(lane), |kept| {
            match kept.message {
                Some(_) => readable += 1,
                None => damaged.push(kept.key.position.seq),
            }
            Ok(true)
        });
        let error = match read {
            Ok(_) => None,
            Err(Failure::Look(error)) => Some(error.to_string()),
            Err(other) => return Err(other),
        };
        let good = error.is_none() && damaged.is_empty() && readable == expected;
        whole &= good;
        if as_json {
            let line = json!({"lane": lane, "good": good, "readable": readable,
                "expected": expected, "damaged": damaged, "error": error});
            writeln!(out, "{line}")?;
        } else {
            let word = if good { "good" } else { "NOT WHOLE" };
            writeln!(out, "{:9} {word}: {readable} of {expected} can be read", lane.as_str())?;
            damaged.iter().try_for_each(|seq| writeln!(out, "  damaged: {seq}"))?;
            error.iter().try_for_each(|error| writeln!(out, "  {error}"))?;
        }
    }
    Ok(whole)
}

fn salvage(
    dir: &Path,
    from: Option<&Path>,
    prefix: &Prefix,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let places = match from {
        Some(place) => vec![place.to_owned()],
        None => inspect::set_aside(dir)?,
    };
    let mut found = 0;
    for place in places {
        found += inspect::carve(&place, &mut |key, message| line(prefix, key, &message, out))?;
    }
    Ok(found > 0)
}
