//! Mistakes in a configuration file, as values that name the place.
//!
//! After a mistake, reading goes on wherever the rest still makes sense, so one run reports all mistakes. [`FINDING_LIMIT`]
//! limits the reports about a file that is no configuration at all.

use std::fmt;
use std::sync::Arc;

/// How many errors, and how many warnings, are kept for one file.
pub const FINDING_LIMIT: usize = 100;

/// A place in a file. Both numbers count from 1. Each character is one column, a tab too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The number of the character in its line.
    pub column: u32,
}

impl Position {
    pub(super) const START: Position = Position { line: 1, column: 1 };
}

/// One error or warning, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Where it is.
    pub at: Position,
    /// The mistake, and the words to write instead.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.message)
    }
}

/// The mistakes of a text, in file order. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Diagnostic>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Why it is not known which entry of the file belongs to this daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// No daemon has the given name. The list has all names of the file.
    UnknownName(String, Vec<String>),
    /// No daemon has an address of this machine.
    NoAddress,
    /// Several daemons have an address of this machine. The list has their names.
    Ambiguous(Vec<String>),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::UnknownName(name, known) => {
                write!(f, "the configuration has no daemon {}; it has {}", shown(name), known.join(", "))
            }
            EntryError::NoAddress => f.write_str(
                "no daemon of the configuration has an address of this machine; say which to be with -n NAME",
            ),
            EntryError::Ambiguous(names) => {
                write!(f, "this machine could be any of {}; say which to be with -n NAME", names.join(", "))
            }
        }
    }
}

impl std::error::Error for EntryError {}

/// One mistake, before the name of the file is added.
#[derive(Debug)]
pub(super) struct Mistake {
    pub at: Position,
    pub message: String,
}

impl Mistake {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Mistake {
        Mistake { at, message: message.into() }
    }
}

/// The errors and warnings of all stages of reading so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

impl Findings {
    pub(super) fn error(&mut self, mistake: Mistake) {
        if self.errors.len() < FINDING_LIMIT {
            self.errors.push(mistake);
        }
    }

    pub(super) fn warning(&mut self, at: Position, message: impl Into<String>) {
        if self.warnings.len() < FINDING_LIMIT {
            self.warnings.push(Mistake::new(at, message));
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Errors and warnings of `file`, each in file order.
    pub(super) fn into_diagnostics(self, file: &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let file: Arc<str> = file.into();
        let placed = |mut mistakes: Vec<Mistake>| {
            mistakes.sort_by_key(|mistake| mistake.at);
            let place = |Mistake { at, message }| Diagnostic { file: file.clone(), at, message };
            mistakes.into_iter().map(place).collect()
        };
        (placed(self.errors), placed(self.warnings))
    }
}

/// A word of the file as messages show it: in quotes, with escapes, and cut if it is long.
pub(super) fn shown(word: &str) -> String {
    const SHOWN_LIMIT: usize = 40;
    match word.char_indices().nth(SHOWN_LIMIT) {
        Some((cut, _)) => format!("\"{}...\"", word[..cut].escape_debug()),
        None => format!("\"{}\"", word.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_reads_as_file_line_column_and_message() {
        let mut findings = Findings::default();
        findings.error(Mistake::new(Position { line: 7, column: 3 }, "later"));
        findings.error(Mistake::new(Position { line: 2, column: 9 }, "earlier"));
        let (errors, _) = findings.into_diagnostics("spread.conf");
        let text = Invalid(errors).to_string();
        assert_eq!(text, "spread.conf:2:9: earlier\nspread.conf:7:3: later");
    }

    #[test]
    fn findings_stop_at_their_limit() {
        let mut findings = Findings::default();
        for _ in 0..2 * FINDING_LIMIT {
            findings.error(Mistake::new(Position::START, "again"));
            findings.warning(Position::START, "again");
        }
        let (errors, warnings) = findings.into_diagnostics("f");
        assert_eq!((errors.len(), warnings.len()), (FINDING_LIMIT, FINDING_LIMIT));
    }

    #[test]
    fn a_shown_word_is_escaped_and_cut() {
        assert_eq!(shown("a\tb"), r#""a\tb""#);
        assert_eq!(shown(&"é".repeat(50)), format!("\"{}...\"", "é".repeat(40)));
    }
}
