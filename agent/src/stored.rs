//! `steward outbox`: a look into the buffer of a box that is stopped, and what can be recovered of a damaged
//! one. Messages are printed as JSON lines: `{"lane","seq","topic","retain","at","boot","payload"}`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::output::Lane;
use serde_json::{Value, json};

use crate::config::Config;
use crate::mqtt::topics::Prefix;
use crate::outbox::inspect::{self, Kept, KeptMessage, Look, LookError};
use crate::outbox::{Key, Ledger, Position, StoreError};

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
/// The store cannot be opened (a box that runs holds it), or the output cannot be written.
pub fn outbox(config: &Config, request: &Request, out: &mut impl Write) -> Result<bool, Failure> {
    let dir = &config.buffer.dir;
    let prefix = Prefix::new(&config.site.identity);
    match request {
        Request::Stats { json } => stats(config, *json, out),
        Request::Ls { lane, limit, json } => {
            let mut left = *limit;
            each(&Look::open(dir)?, *lane, |kept| {
                left = left.saturating_sub(1);
                list(&kept, *json, out)?;
                Ok(left > 0)
            })
        }
        Request::Peek { lane, seq } => {
            let from = Position { seq: seq.unwrap_or(0), sub: 0 };
            let kept = Look::open(dir)?.page(*lane, from)?.into_iter().next();
            let wanted = kept.filter(|kept| seq.is_none_or(|seq| kept.key.position.seq == seq));
            let Some(message) = wanted.and_then(|kept| kept.message) else { return Ok(false) };
            out.write_all(&message.payload)?;
            out.write_all(b"\n")?;
            Ok(true)
        }
        Request::Verify { json } => verify(&Look::open(dir)?, *json, out),
        Request::Export { lane } => {
            let mut whole = true;
            each(&Look::open(dir)?, *lane, |kept| {
                match kept.message {
                    Some(message) => line(&prefix, kept.key, &message, out)?,
                    None => whole = false,
                }
                Ok(true)
            })?;
            Ok(whole)
        }
        Request::Salvage { from } => salvage(dir, from.as_deref(), &prefix, out),
    }
}

/// Looks at every message until `look` has enough; answers whether there was any.
fn each(
    store: &Look,
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

fn stats(config: &Config, as_json: bool, out: &mut impl Write) -> Result<bool, Failure> {
    let dir = &config.buffer.dir;
    let look = Look::open(dir)?;
    let (aside, disk) = (inspect::set_aside(dir)?, disk_bytes(dir)?);
    let mut lanes = vec![];
    for lane in Lane::ALL {
        let (ledger, lost) = look.ledger(lane)?;
        let oldest = look.page(lane, Position::default())?.into_iter().next();
        let oldest = oldest.and_then(|kept| kept.message).map(|message| message.at);
        lanes.push(json!({
            "lane": lane, "last": ledger.last.seq, "accepted": ledger.accepted,
            "acknowledged": ledger.acknowledged, "coalesced": ledger.coalesced,
            "stored": ledger.stored.saturating_sub(lost), "bytes": ledger.bytes,
            "lost_in_memory": lost, "dropped": ledger.dropped, "gaps": ledger.gaps,
            "oldest_at": oldest,
        }));
    }
    let all = json!({"boot": look.boot()?, "disk_bytes": disk,
        "bytes_max": config.buffer.max_size, "set_aside": aside, "lanes": lanes});
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

fn verify(look: &Look, as_json: bool, out: &mut impl Write) -> Result<bool, Failure> {
    let mut whole = true;
    for lane in Lane::ALL {
        let (Ledger { stored, .. }, lost) = look.ledger(lane)?;
        let expected = stored.saturating_sub(lost);
        let (mut readable, mut damaged) = (0_u64, vec![]);
        let read = each(look, Some(lane), |kept| {
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
