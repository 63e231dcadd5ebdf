//! The log: lines on stderr, which the journal takes with their level and fields, from a level on that can
//! be changed for a while.

use std::fmt;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// The log's filter, which can be changed while the program runs.
#[derive(Clone)]
pub struct LogFilter {
    usual: String,
    set: Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFilter").field("usual", &self.usual).finish_non_exhaustive()
    }
}

impl LogFilter {
    /// Logs from `level` on.
    ///
    /// # Errors
    /// The log has gone, in words.
    pub fn from_level(&self, level: &str) -> Result<(), String> {
        (self.set)(EnvFilter::new(filter(level)))
    }

    /// Logs as at the start.
    ///
    /// # Errors
    /// As [`LogFilter::from_level`].
    pub fn as_usual(&self) -> Result<(), String> {
        (self.set)(EnvFilter::new(&self.usual))
    }
}

/// The crates under us are quiet unless asked: what matters of them is told by our own rooms.
fn filter(level: &str) -> String {
    format!("warn,steward={level},mqtt5=error")
}

/// Sends log lines to stderr: as `RUST_LOG` says, or everything from `level` on.
pub fn log(level: &str) -> LogFilter {
    let named = std::env::var("RUST_LOG").ok();
    let usual = named.filter(|text| EnvFilter::try_new(text).is_ok() && !text.is_empty());
    let usual = usual.unwrap_or_else(|| filter(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&usual))
        .with_writer(std::io::stderr)
        .with_filter_reloading();
    let handle = lines.reload_handle();
    // A second call (in tests) changes nothing.
    let _ = lines.try_init();
    let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
    LogFilter { usual, set: Arc::new(set) }
}
