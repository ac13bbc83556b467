//! Which lines are logged: a level for all parts of the daemon, and other levels for single parts.
//!
//! Unknown words are refused. The usual syntax of such filters takes any word for the name of a part, so one wrong word would silence
//! everything.

use std::collections::BTreeSet;
use std::str::FromStr;

use spread::config::Priority;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// How a level may be given.
const EXPECTED: &str =
    "write error, warn, info, debug, trace or off, or a level for a part as in spread::ring=debug,info";
/// The name that every part's name begins with.
const ROOT: &str = "spread";

/// The parts that each flag of `DebugFlags` logs at debug.
const PARTS: &[(&str, &[&str])] = &[
    ("DATA_LINK", &["spread::net"]),
    ("NETWORK", &["spread::net", "spread::multipath"]),
    ("PROTOCOL", &["spread::ring", "spread::node"]),
    ("MEMBERSHIP", &["spread::ring"]),
    ("FLOW_CONTROL", &["spread::ring"]),
    ("SESSION", &["spread::session", "spread::node", "spread::daemon"]),
    ("CONFIGURATION", &["spread::config"]),
    ("STATUS", &["spread::daemon"]),
    ("EVENTS", &["spread::daemon"]),
    ("GROUPS", &["spread::groups"]),
    ("ACM", &["spread::session"]),
    ("SECURITY", &["spread::session"]),
];

/// Levels, checked.
#[derive(Clone, Debug)]
pub struct Levels {
    targets: Targets,
}

impl Levels {
    /// The levels of a configuration: lines of this priority and above; at debug only those of the flags' parts, if there are flags.
    pub fn of(priority: Priority, flags: Option<&[String]>) -> Levels {
        let level = match priority {
            // The flags choose the lines at debug.
            Priority::Debug if flags.is_some() => LevelFilter::INFO,
            Priority::Debug => LevelFilter::DEBUG,
            Priority::Info => LevelFilter::INFO,
            Priority::Warning => LevelFilter::WARN,
            Priority::Error | Priority::Critical | Priority::Fatal => LevelFilter::ERROR,
        };
        let parts = flagged(flags.unwrap_or_default()).into_iter().map(|part| (part, LevelFilter::DEBUG));
        Levels { targets: Targets::new().with_default(level).with_targets(parts) }
    }

    /// The filter that decides about each line.
    pub fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Levels, String> {
        let mut targets = Targets::new().with_default(LevelFilter::INFO);
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            targets = match word.split_once('=') {
                None => targets.with_default(level(word)?),
                Some((part, level_of_part)) => targets.with_target(part_name(part)?, level(level_of_part)?),
            };
        }
        if text.trim().is_empty() {
            return Err(format!("no level is given: {EXPECTED}"));
        }
        Ok(Levels { targets })
    }
}

/// The parts that these flags name, from left to right: `!FLAG` takes one away, and `NONE` all.
fn flagged(flags: &[String]) -> BTreeSet<&'static str> {
    let parts = |flag: &str| -> Vec<&'static str> {
        let is_meant = |name: &str| name == flag || matches!(flag, "ALL" | "DEBUG");
        PARTS.iter().filter(|(name, _)| is_meant(name)).flat_map(|(_, parts)| *parts).copied().collect()
    };
    let mut set = BTreeSet::new();
    for flag in flags {
        match flag.strip_prefix('!') {
            Some(flag) => parts(flag).iter().for_each(|part| _ = set.remove(*part)),
            None if flag == "NONE" => set.clear(),
            None => set.extend(parts(flag)),
        }
    }
    set
}

fn level(word: &str) -> Result<LevelFilter, String> {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    match known.iter().any(|name| name.eq_ignore_ascii_case(word)) {
        true => word.parse().map_err(|_| format!("{word} is no level")),
        false => Err(format!("{word:?} is no level: {EXPECTED}")),
    }
}

fn part_name(part: &str) -> Result<&str, String> {
    let is_part = part == ROOT || part.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with("::"));
    if is_part { Ok(part) } else { Err(format!("{part:?} is no part of the daemon: {EXPECTED}")) }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_all_and_may_differ_for_a_part() {
        let levels: Levels = "spread::ring=debug, WARN".parse().unwrap();
        let would = |target, level| levels.targets().would_enable(target, &level);
        assert!(would("spread::ring::gather", Level::DEBUG) && !would("spread::node", Level::INFO));
        assert!(would("spread::node", Level::WARN));
        let levels: Levels = "spread::ring=debug".parse().unwrap();
        assert!(levels.targets().would_enable("spread::node", &Level::INFO), "the others stay as they are");
    }

    #[test]
    fn flags_of_the_configuration_name_parts_that_are_logged_at_debug() {
        let would = |priority, flags: &[&str], target, level| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            Levels::of(priority, Some(&flags)).targets().would_enable(target, &level)
        };
        let debug = Level::DEBUG;
        assert!(would(Priority::Error, &["MEMBERSHIP"], "spread::ring::gather", debug));
        assert!(!would(Priority::Debug, &["MEMBERSHIP"], "spread::groups", debug), "the flags say which");
        assert!(would(Priority::Debug, &["MEMBERSHIP"], "spread::groups", Level::INFO));
        assert!(!would(Priority::Info, &["PRINT", "EXIT"], "spread::ring", debug));
        assert!(!would(Priority::Info, &["NETWORK", "!DATA_LINK"], "spread::net", debug));
        assert!(would(Priority::Info, &["NETWORK", "!DATA_LINK"], "spread::multipath", debug));
        assert!(!would(Priority::Info, &["ALL", "NONE"], "spread::net", debug));
        assert!(!would(Priority::Info, &["ALL", "!SESSION"], "spread::daemon::run", debug));
        assert!(!would(Priority::Info, &["ALL", "!ALL"], "spread::net", debug));
        assert!(would(Priority::Info, &["NONE", "ALL"], "spread::net", debug));
        assert!(Levels::of(Priority::Debug, None).targets().would_enable("spread::net", &debug));
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for wrong in
            ["verbose", "", " ", "info,verbose", "ring=debug", "spread::ring=loud", "5", "spreads=info", "a=b=c"]
        {
            let error = Levels::from_str(wrong).unwrap_err();
            assert!(error.contains("spread::ring=debug,info"), "{wrong}: {error}");
        }
    }
}
