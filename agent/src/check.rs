//! `steward check`: every fault of a configuration at once.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{self, Config, Loaded};

/// Checks the configuration at `file`; says what is wrong on stderr and, when it is right, so on stdout.
/// With `explain` it also says what the box would do. Answers whether it is right.
///
/// # Errors
/// The output cannot be written.
pub fn check(file: &Path, explain: bool) -> io::Result<bool> {
    let Some(config) = load(file)? else { return Ok(false) };
    if !models_work(&config)? {
        return Ok(false);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}: ok", file.display())?;
    if explain {
        write!(out, "\n{}", config::explain(&config))?;
    }
    Ok(true)
}

/// Loads the configuration at `file`. Its faults and warnings go to stderr; `None` when it is not right.
///
/// # Errors
/// The output cannot be written.
pub fn load(file: &Path) -> io::Result<Option<Config>> {
    let mut err = io::stderr().lock();
    match config::load(file) {
        Ok(Loaded { config, warnings }) => {
            for warning in warnings {
                writeln!(err, "{warning}")?;
            }
            Ok(Some(config))
        }
        Err(faults) => {
            writeln!(err, "{faults}")?;
            Ok(None)
        }
    }
}

/// Tries the models of cameras; says on stderr what is wrong with them.
#[cfg(feature = "vision")]
fn models_work(config: &Config) -> io::Result<bool> {
    let faults = config::try_models(&config.sources);
    let mut err = io::stderr().lock();
    for fault in &faults {
        writeln!(err, "{fault}")?;
    }
    Ok(faults.iter().all(|fault| fault.level == config::Level::Warning))
}

/// Built without cameras.
#[cfg(not(feature = "vision"))]
#[allow(clippy::unnecessary_wraps, reason = "as with cameras")]
fn models_work(_: &Config) -> io::Result<bool> {
    Ok(true)
}
