//! `steward watch`: what a box that runs here decides, as it happens, a line each.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::control::ask::{AskError, follow};

/// A line's content is cut here, in characters.
const WIDTH: usize = 160;

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The box.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The connection or the output.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Prints what the box that buffers in `dir` decides, until it stops or `most` lines are out.
///
/// # Errors
/// No box answers, or the output cannot be written.
pub fn watch(
    dir: &Path,
    json: bool,
    most: Option<usize>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for line in follow(dir)?.take(most.unwrap_or(usize::MAX)) {
        let line = line?;
        if json {
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", in_words(&serde_json::from_str(&line).unwrap_or_default()))?;
        }
        out.flush()?;
    }
    Ok(())
}

fn in_words(line: &Value) -> String {
    if let Some(missed) = line["missed"].as_u64() {
        return format!("({missed} more, too fast to be shown)");
    }
    let at = line["at"].as_str().unwrap_or_default();
    let time = at.split('T').nth(1).map_or(at, |time| time.trim_end_matches('Z'));
    let topic = line["topic"].as_str().unwrap_or_default();
    let body: String = line["body"].to_string().chars().take(WIDTH).collect();
    format!("{time:<12}  {topic:<32}  {body}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_a_line() {
        let line = json!({"at": "2026-06-04T04:00:03.120Z", "topic": "bay/b-1/state", "body": {"status": "free"}});
        assert_eq!(
            in_words(&line),
            "04:00:03.120  bay/b-1/state                     {\"status\":\"free\"}"
        );
        assert_eq!(in_words(&json!({"missed": 3})), "(3 more, too fast to be shown)");
    }
}
