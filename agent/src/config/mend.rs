//! Syntax errors, all of them at once.
//!
//! A TOML parser gives up at the first line that it cannot make sense of, or guesses and then complains
//! about its guesses. Here the broken line is noted, taken out, and the rest is read again, until what
//! is left is TOML: every broken line is reported once, and everything around it is still checked.
//! Lines keep their numbers.

use std::collections::BTreeSet;

use toml::de::DeTable;

/// Broken lines that are looked for. When there are more, the file is most likely no TOML at all; the
/// rest shows when these are mended.
const ROUNDS_MAX: usize = 100;

/// Takes the place of a header that cannot be guessed, so that the keys below it do not fall to the
/// section above.
pub(super) const LOST: &str = "lost section";

/// A file without its broken lines.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// What can be parsed.
    pub(super) text: String,
    /// What was wrong.
    pub(super) errors: Vec<SyntaxError>,
    /// The lines that were taken out or rewritten, counted from 0.
    pub(super) broken: BTreeSet<usize>,
    /// Whether a whole section was lost.
    pub(super) lost: bool,
}

/// One syntax error; line and column count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) col: usize,
    pub(super) cause: String,
    pub(super) fix: String,
}

/// Takes the broken lines out of `text`.
pub(super) fn mend(text: &str) -> Mended {
    let mut mending =
        Mending { lines: text.split('\n').map(str::to_owned).collect(), mended: Mended::default() };
    for _ in 0..ROUNDS_MAX {
        let text = mending.lines.join("\n");
        let (_, errors) = DeTable::parse_recoverable(&text);
        let first = errors.iter().min_by_key(|error| start(error));
        let Some(first) = first else { break };
        mending.treat(&text, first);
    }
    mending.mended.text = mending.lines.join("\n");
    mending.mended
}

fn start(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

struct Mending {
    lines: Vec<String>,
    mended: Mended,
}

impl Mending {
    fn treat(&mut self, text: &str, error: &toml::de::Error) {
        let (line, col) = line_and_col(text, start(error));
        if let Some((opener, col)) = self.opener(line, error.message()) {
            let bracket = self.lines[opener].chars().nth(col).unwrap_or('[');
            let cause = format!("the {bracket:?} is not closed");
            let fix = format!("close it with {:?} on this line", closing(bracket));
            self.note(opener, col, cause, fix);
            return self.blank_statement(opener);
        }
        let line = self.back_to_text(line);
        let col = col.min(self.lines[line].chars().count());
        let (cause, fix) = explain(error.message(), &text[error.span().unwrap_or(0..0)]);
        self.note(line, col, cause, fix);
        self.replace(line);
    }

    /// Notes an error, the first of each line: what follows on the same line follows from it.
    fn note(&mut self, line: usize, col: usize, cause: String, fix: String) {
        if self.mended.broken.insert(line) {
            let error = SyntaxError { line: line + 1, col: col + 1, cause, fix };
            self.mended.errors.push(error);
        }
    }

    /// Takes out the statement that begins on line `first`, up to where the next one begins.
    fn blank_statement(&mut self, first: usize) {
        let rest = self.lines.iter().skip(first + 1);
        let length = 1 + rest.take_while(|line| !is_statement(line)).count();
        for line in first..first + length {
            self.mended.broken.insert(line);
            self.lines[line].clear();
        }
    }

    /// Takes a broken line out. A header is completed instead, or replaced, so that its keys stay
    /// together.
    fn replace(&mut self, line: usize) {
        let old = self.lines[line].trim();
        let inner = old.trim_start_matches('[');
        let in_array = inner.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
        if !old.starts_with('[') || in_array || old.contains(LOST) {
            return self.lines[line].clear();
        }
        let brackets = old.chars().take_while(|c| *c == '[').count().min(2);
        let name: String = inner.chars().take_while(is_name).collect();
        let complete = format!("{}{name}{}", "[".repeat(brackets), "]".repeat(brackets));
        let header = old.split('#').next().unwrap_or_default().trim();
        if name.is_empty() || header == complete {
            self.mended.lost = true;
            self.lines[line] = format!("[[{LOST:?}]]");
        } else {
            self.lines[line] = complete;
        }
    }

    /// The line itself, or the last one before it that has text: an error at the end of the file is
    /// the fault of what came before.
    fn back_to_text(&self, line: usize) -> usize {
        let line = line.min(self.lines.len() - 1);
        (0..=line).rev().find(|l| !self.lines[*l].trim().is_empty()).unwrap_or(line)
    }

    /// Where an array or inline table began that swallowed the statement on `line`, or the end of the
    /// file; and the column of its bracket, from 0.
    fn opener(&self, line: usize, message: &str) -> Option<(usize, usize)> {
        let at_end = message.starts_with("unclosed array,")
            || message.starts_with("unclosed inline table")
            || message.contains("multi-line");
        let inside = ["array elements", "in array", "inline table", "key-value pairs"];
        let statement = self.lines.get(line).filter(|text| is_statement(text));
        // A header inside an array is read as an array of unquoted text.
        let swallowed = statement.is_some_and(|text| {
            inside.iter().any(|part| message.contains(part))
                || (message.contains("must be quoted") && text.trim_start().starts_with('['))
        });
        if !at_end && !swallowed {
            return None;
        }
        (0..line).rev().find_map(|l| Some((l, opening_bracket(&self.lines[l])?)))
    }
}

fn closing(bracket: char) -> &'static str {
    match bracket {
        '{' => "}",
        '"' => "\"\"\"",
        '\'' => "'''",
        _ => "]",
    }
}

fn is_name(c: &char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Whether a line begins a statement: `[header]` or `key =`.
fn is_statement(line: &str) -> bool {
    let line = line.trim();
    let name = line.trim_start_matches('[');
    let rest = name.trim_start_matches(|c| is_name(&c)).trim_start();
    let letter_first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    letter_first && (rest.starts_with('=') || (name.len() < line.len() && rest.starts_with(']')))
}

/// The column of the bracket in `key = [`, `key = {` or `key = """` that the line does not close.
fn opening_bracket(line: &str) -> Option<usize> {
    let (key, value) = line.split_once('=')?;
    let value_at = value.len() - value.trim_start().len();
    let value = value.trim_start();
    let open = match value.chars().next()? {
        bracket @ ('[' | '{') => {
            let close = if bracket == '[' { ']' } else { '}' };
            value.matches(bracket).count() > value.matches(close).count()
        }
        '"' => value.starts_with("\"\"\"") && value.matches("\"\"\"").count() == 1,
        '\'' => value.starts_with("'''") && value.matches("'''").count() == 1,
        _ => false,
    };
    open.then(|| key.chars().count() + 1 + value_at)
}

/// Line and column of a byte offset, both from 0, the column in characters.
pub(super) fn line_and_col(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count(), before[line_start..].chars().count())
}

/// What each message of the parser comes from, most telling first, and what to do about it.
const FIXES: [(&str, &str); 16] = [
    ("duplicate key", "it was there before: keep one of the two"),
    ("cannot extend", "the name is in use for a value: choose one of the two"),
    ("basic string", "end the text with \" on the same line"),
    ("literal string", "end the text with ' on the same line"),
    ("escape", "write \\\\ for a backslash, or put the text in single quotes"),
    ("unicode", "write \\\\ for a backslash, or put the text in single quotes"),
    ("array table", "write [[name]] on a line of its own"),
    ("table open", "write [name] on a line of its own"),
    ("unclosed table", "write [name] on a line of its own"),
    ("no value", "write key = value"),
    ("missing value", "write key = value"),
    ("extra comma", "remove the comma"),
    ("missing comma", "put a comma between the two"),
    ("unexpected key or value", "write one key = value a line, and # before a remark"),
    ("boolean", "write true or false"),
    ("leading zero", "remove the zeros, or put the value in double quotes"),
];

/// Cause and fix for a message of the parser about the text `found`.
fn explain(message: &str, found: &str) -> (String, String) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let found = found.trim().trim_matches('"');
    // A text that begins like true, false, inf or nan is taken for one of these.
    let is_word = found.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false"].iter().any(|word| found.eq_ignore_ascii_case(word));
    let is_guess = matches!(what, "invalid float" | "invalid boolean") && is_word;
    if what == "string values must be quoted" || is_guess {
        return (format!("the text {found} has no quotes"), format!("write \"{found}\""));
    }
    let cause = if found.is_empty() || found.contains('\n') {
        format!("not TOML: {what}")
    } else {
        format!("not TOML: {what}: {found}")
    };
    let fix = FIXES.iter().find(|(part, _)| what.contains(part)).map(|(_, fix)| (*fix).to_owned());
    let general = || match expected {
        "" | "nothing" => "remove it, or see https://toml.io for how it is written".to_owned(),
        expected => format!("expected here: {expected}; see https://toml.io"),
    };
    (cause, fix.unwrap_or_else(general))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(usize, usize, String)> {
        mend(text).errors.into_iter().map(|e| (e.line, e.col, e.cause)).collect()
    }

    #[test]
    fn sound_text_stays_as_it_is() {
        let text = "a = 1\n[b]\nc = [\n  1,\n]\n[[d]]\ne = { f = 1 }\n";
        let mended = mend(text);
        assert!(mended.errors.is_empty() && mended.broken.is_empty() && !mended.lost);
        assert_eq!(mended.text, text);
    }

    #[test]
    fn every_broken_line_is_found_once() {
        let text = "[box]\nid = abc\nname = \"x\nbaud = 12x\nok = 1\n[[bay]\nid = 1\nid 3\nx = \n= 4\n\
                    [bin\nid=2\n";
        let lines: Vec<_> = errors(text).into_iter().map(|(line, ..)| line).collect();
        assert_eq!(lines.len(), 8);
        assert_eq!(BTreeSet::from_iter(lines), BTreeSet::from([2, 3, 4, 6, 8, 9, 10, 11]));
    }

    #[test]
    fn what_is_left_keeps_its_lines() {
        let mended = mend("[box]\nid = abc\nname = \"n\"\n[[bay]\nid = \"b\"\n");
        assert_eq!(mended.text, "[box]\n\nname = \"n\"\n[[bay]]\nid = \"b\"\n");
        assert_eq!(mended.broken.into_iter().collect::<Vec<_>>(), [1, 3]);
        assert!(!mended.lost);
    }

    #[test]
    fn an_open_bracket_is_blamed_where_it_stands() {
        let array = "[a]\nb = [1,\n[c]\nd = 1\n";
        assert_eq!(errors(array), [(2, 5, "the '[' is not closed".to_owned())]);
        let table = "[a]\np = { lat = 1, lon = 2\nd = 1\n[c]\n";
        assert_eq!(errors(table), [(2, 5, "the '{' is not closed".to_owned())]);
        let at_end = "[a]\nb = [1,\n  2\n\n";
        assert_eq!(errors(at_end), [(2, 5, "the '[' is not closed".to_owned())]);
        let text = "[a]\nb = \"\"\"one\ntwo = 2\n";
        assert_eq!(errors(text), [(2, 5, "the '\"' is not closed".to_owned())]);
        assert!(mend(text).text.contains("two = 2"), "what was swallowed is read again");
    }

    #[test]
    fn a_table_that_is_there_twice_is_lost_with_its_keys() {
        let mended = mend("[a]\nb = 1\n[a]\nc = 1\n");
        assert_eq!(mended.errors.len(), 1);
        assert_eq!((mended.errors[0].line, mended.errors[0].col), (3, 2));
        assert!(mended.lost);
        let (table, rest) = DeTable::parse_recoverable(&mended.text);
        assert!(rest.is_empty());
        assert!(table.get_ref().contains_key(LOST));
    }

    #[test]
    fn the_fix_says_what_to_write() {
        let cases = [
            ("a = abc", "the text abc has no quotes", "write \"abc\""),
            ("a = nodes", "the text nodes has no quotes", "write \"nodes\""),
            ("a = free", "the text free has no quotes", "write \"free\""),
            ("a = \"abc", "not TOML: invalid basic string", "end the text with"),
            ("a = 1\na = 2", "not TOML: duplicate key: a", "keep one of the two"),
            ("a", "not TOML: key with no value", "write key = value"),
            ("a = \"x\" b = 2", "not TOML: unexpected key or value", "one key = value a line"),
            ("a = TRUE", "not TOML: invalid boolean: TRUE", "write true or false"),
            ("a = \"\\q\"", "not TOML: missing escaped value", "write \\\\ for a backslash"),
            ("a = 007", "not TOML: unexpected leading zero", "remove the zeros"),
            ("a = [1,,2]", "not TOML: extra comma in array", "remove the comma"),
        ];
        for (text, cause, fix) in cases {
            let found = mend(text).errors;
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].cause.starts_with(cause), "{text}: {found:?}");
            assert!(found[0].fix.contains(fix), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_at_all_ends() {
        let noise = "<xml>\n".repeat(3 * ROUNDS_MAX);
        assert_eq!(mend(&noise).errors.len(), ROUNDS_MAX);
    }
}
