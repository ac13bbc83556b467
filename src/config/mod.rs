//! The configuration file, `spread.conf`: from text to checked [`Settings`], or to a list of all mistakes. It does no I/O: facts
//! about hosts are an argument.
//!
//! There are four stages, one file each. `lexer` cuts the bytes into tokens. `parser` builds a tree (`syntax`) and a draft.
//! `check` applies the rules (with `networks`, `stanza` and `draft`). The result is a [`Table`] of members and [`Live`] settings.
//! Every file that a classic daemon accepts is accepted, except one that could not have worked. No content of a file can cause a
//! panic.
//!
//! # To add a keyword
//!
//! 1. Give the part that obeys it a field with its default and its meaning: in the part's own settings if [`Live`] holds that
//!    (as [`SessionSettings`](crate::session::SessionSettings)), otherwise in `live.rs`, in [`Live`], or in [`Process`] if it counts at the
//!    start only.
//! 2. Add a row to `keywords.rs`: name, form with its range, the function that stores the value, the function that writes it. If the
//!    value must agree with another one, store it in `Draft` (draft.rs) and judge both there.
//! 3. Add an entry `.It Ic NAME` to `docs/man/spread.conf.5` that has the default as the row writes it; `tests/manual.rs` compares.
//! 4. Obey it: in [`Node::apply`](crate::node::Node::apply), or above the I/O line where the daemon applies its [`Live`].
//!
//! `--check --print`, suggestions for misspelt words and the tests of the table need no change.

mod address;
mod check;
mod differences;
mod draft;
mod error;
mod explain;
mod hosts;
mod keywords;
mod labels;
mod lexer;
mod live;
mod networks;
mod parser;
mod print;
mod stanza;
mod syntax;
mod table;
mod values;

pub use differences::Difference;
pub use error::{Diagnostic, EntryError, FINDING_LIMIT, Invalid, Position};
pub use explain::explain;
pub use hosts::Hosts;
pub use keywords::{Change, Keyword};
pub use labels::Labels;
pub use live::{Live, Log, LogFormat, Priority, Process, Timers, Web};
pub use table::{ClientAddresses, Daemon, Network, NetworkKind, NetworkNotes, Segment, Table};

use error::Findings;

/// Everything that a file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The daemons and networks of the system: the same at all daemons.
    pub table: Table,
    /// The settings that a running daemon takes over when it reads the file again.
    pub live: Live,
    /// The settings of the process; only a restart changes them.
    pub process: Process,
    /// Words that are allowed, but do less than their author may expect.
    pub warnings: Vec<Diagnostic>,
}

impl Settings {
    /// Digests of settings that should be the same in the files of all daemons: first the parts of the table, then those of
    /// [`Live::digests`].
    pub fn digests(&self) -> [u32; 12] {
        let mut digests = [0; 12];
        let (table, live) = digests.split_at_mut(4);
        table.copy_from_slice(&self.table.digests());
        live.copy_from_slice(&self.live.digests());
        digests
    }

    /// The largest file that is read, in bytes.
    pub const FILE_LIMIT: usize = 1 << 20;

    /// The configuration of `spread` without any file: one daemon named `localhost`, on 127.0.0.1 port 4803 only.
    pub fn localhost() -> Settings {
        let (live, process) = (Live { priorities: vec![0], ..Live::default() }, Process::default());
        Settings { table: Table::localhost(), live, process, warnings: Vec::new() }
    }

    /// Reads a text; `file` is its name in messages. Each daemon must have an address.
    pub fn parse(file: &str, text: &[u8]) -> Result<Settings, Invalid> {
        Settings::parse_with(file, text, &Hosts::UNKNOWN)
    }

    /// Like [`Settings::parse`], but a daemon without an address is looked up by its name in `hosts`.
    pub fn parse_with(file: &str, text: &[u8], hosts: &Hosts<'_>) -> Result<Settings, Invalid> {
        let mut findings = Findings::default();
        let tokens = lexer::tokens(text, &mut findings);
        let tree = parser::parse(&tokens, &mut findings);
        let settings = check::check(tree, hosts, &mut findings);
        let (errors, warnings) = findings.into_diagnostics(file);
        if errors.is_empty() { Ok(Settings { warnings, ..settings }) } else { Err(Invalid(errors)) }
    }
}

/// Every keyword, in the order in which they are written.
pub fn keywords() -> &'static [Keyword] {
    keywords::KEYWORDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SAMPLE: &str = include_str!("../../docs/spread.conf.example");

    fn parse(text: &[u8]) -> Result<Settings, Invalid> {
        Settings::parse("f", text)
    }

    #[test]
    fn the_sample_file_is_sound() {
        let settings = parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(settings.warnings, []);
        assert_eq!((settings.table.daemons.len(), settings.table.network_count()), (3, 2));
    }

    #[test]
    fn random_bytes_give_a_value() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let length = rng.below(300);
            let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn random_words_give_a_value() {
        const WORDS: [&str; 45] = [
            ";",
            "VirtualID",
            "fe80::1%eth0",
            "a,",
            "Spread_Segment",
            "Spread_Segment",
            "{",
            "{",
            "}",
            "}",
            "=",
            "= ",
            "\n",
            "#",
            "\"",
            "'",
            "a",
            "b",
            "a#b",
            "\"\"",
            "10.0.0.1",
            "10.0.0.2:0",
            "10.0.0.255:4803",
            "[ff02::1]:99999",
            "fd00::1",
            "127.0.0.1",
            "unicast",
            "unicast:",
            "D",
            "C",
            "M",
            "!",
            "PRINT",
            "DebugFlags",
            "Window",
            "160",
            "1000000",
            "TokenTimeout",
            "RouteMatrix",
            "NetworkPolicy",
            "Network",
            "active",
            "9",
            "EventTimeStamp",
            "\u{fffd}\u{1f600}",
        ];
        let mut rng = Rng::new(2);
        for _ in 0..5000 {
            let text: Vec<&str> = (0..rng.below(60)).map(|_| WORDS[rng.below(WORDS.len() as u64) as usize]).collect();
            let _ = parse(text.join(" ").as_bytes()).map(|settings| explain(&settings, None));
        }
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_place_in_it_or_taken() {
        let lines = SAMPLE.lines().count() as u32;
        let mut rng = Rng::new(3);
        for _ in 0..2000 {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            for _ in 0..rng.below(6) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = b" \n{}#=\"a9"[rng.below(9) as usize];
            }
            let added = bytes.iter().filter(|&&byte| byte == b'\n').count() as u32;
            match parse(&bytes) {
                Ok(settings) => assert!(!explain(&settings, None).is_empty()),
                Err(Invalid(errors)) => {
                    assert!(!errors.is_empty());
                    assert!(errors.iter().all(|e| e.at.column > 0 && (1..=lines.max(added) + 1).contains(&e.at.line)));
                }
            }
        }
    }
}
