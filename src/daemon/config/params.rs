//! The keywords of the file in one table: how the value of each is written, where it goes, and what to tell its user when it
//! means nothing here.
//!
//! The table is the one place that knows a keyword. The parser reads a value by its [`Form`] and hands back a [`Setting`], the
//! value together with the way it is stored in a [`Draft`]; `tunables.rs` turns the draft into parameters.

use super::error::Position;
use super::model::{NetworkPolicy, PortReuse, Priority};
use super::syntax::Spanned;
use crate::session::SlowClient;

/// A word that begins a stanza or a parameter.
#[derive(Debug)]
pub(super) struct Keyword {
    pub name: &'static str,
    pub form: Form,
    /// Why setting it does less than its user may think.
    pub note: Option<&'static str>,
}

/// How a value is written, and how it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Segment,
    Routes,
    Network,
    Bare(fn(&mut Draft)),
    OptionalText(fn(&mut Draft, Option<String>)),
    Text(fn(&mut Draft, Spanned<String>)),
    Number(fn(&mut Draft, Spanned<u32>)),
    Size(fn(&mut Draft, Spanned<usize>)),
    Boolean(fn(&mut Draft, Spanned<bool>)),
    Reuse(fn(&mut Draft, PortReuse)),
    Choice(&'static [&'static str], fn(&mut Draft, usize)),
    Flags,
    Policy,
}

/// A parameter as read.
#[derive(Debug)]
pub(super) enum Setting {
    Bare(fn(&mut Draft)),
    OptionalText(fn(&mut Draft, Option<String>), Option<String>),
    Text(fn(&mut Draft, Spanned<String>), Spanned<String>),
    Number(fn(&mut Draft, Spanned<u32>), Spanned<u32>),
    Size(fn(&mut Draft, Spanned<usize>), Spanned<usize>),
    Boolean(fn(&mut Draft, Spanned<bool>), Spanned<bool>),
    Reuse(fn(&mut Draft, PortReuse), PortReuse),
    Choice(fn(&mut Draft, usize), usize),
    Policy(Spanned<NetworkPolicy>),
}

/// The values of the file so far: the last of each keyword, all of the authentication lists.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub window: Option<Spanned<u32>>,
    pub personal_window: Option<Spanned<u32>>,
    pub accelerated_ring: Option<Spanned<bool>>,
    pub accelerated_window: Option<Spanned<u32>>,
    pub timers: [Option<Spanned<u32>>; TIMERS.len()],
    pub max_session_messages: Option<Spanned<u32>>,
    pub max_sessions: Option<Spanned<u32>>,
    pub client_timeout: Option<u32>,
    pub max_message_size: Option<Spanned<usize>>,
    pub slow_client: Option<SlowClient>,
    pub event_priority: Option<Priority>,
    pub event_log_file: Option<String>,
    pub event_time_stamp: Option<Option<String>>,
    pub event_precise: bool,
    pub dangerous_monitor: bool,
    pub socket_port_reuse: PortReuse,
    pub runtime_dir: Option<String>,
    pub daemon_user: Option<String>,
    pub daemon_group: Option<String>,
    pub allowed: Vec<Spanned<String>>,
    pub required: Vec<Spanned<String>>,
    pub access_policy: Option<Spanned<String>>,
    pub network_policy: Option<Spanned<NetworkPolicy>>,
}

impl Draft {
    /// Stores one parameter.
    pub(super) fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Bare(store) => store(self),
            Setting::OptionalText(store, text) => store(self, text),
            Setting::Text(store, text) => store(self, text),
            Setting::Number(store, number) => store(self, number),
            Setting::Size(store, size) => store(self, size),
            Setting::Boolean(store, boolean) => store(self, boolean),
            Setting::Reuse(store, reuse) => store(self, reuse),
            Setting::Choice(store, index) => store(self, index),
            Setting::Policy(policy) => self.network_policy = Some(policy),
        }
    }

    /// Where the first of the timers is set.
    pub(super) fn first_timer(&self) -> Option<Position> {
        self.timers.iter().flatten().map(|timer| timer.at).min()
    }
}

/// The keyword that begins a segment.
pub(super) const SEGMENT: &str = "Spread_Segment";

/// The nine timers in the order of [`Draft::timers`].
pub(super) const TIMERS: [&str; 9] = [
    "TokenTimeout",
    "HurryTimeout",
    "AliveTimeout",
    "JoinTimeout",
    "RepTimeout",
    "SegTimeout",
    "GatherTimeout",
    "FormTimeout",
    "LookupTimeout",
];

const PRIORITIES: [&str; 6] = ["pDEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"];

const PRIORITY_OF: [Priority; 6] =
    [Priority::Debug, Priority::Info, Priority::Warning, Priority::Error, Priority::Critical, Priority::Fatal];

const SLOW_CLIENTS: [&str; 3] = ["disconnect", "block-senders", "drop-unreliable"];

const SLOW_CLIENT_OF: [SlowClient; 3] = [SlowClient::Disconnect, SlowClient::BlockSenders, SlowClient::DropUnreliable];

const LINK_PROTOCOLS: [&str; 2] = ["Hop", "TcpHop"];

/// What may stand in `DebugFlags = { ... }`.
pub(super) const FLAGS: [&str; 19] = [
    "DEBUG",
    "EXIT",
    "PRINT",
    "DATA_LINK",
    "NETWORK",
    "PROTOCOL",
    "SESSION",
    "CONFIGURATION",
    "MEMBERSHIP",
    "FLOW_CONTROL",
    "STATUS",
    "EVENTS",
    "GROUPS",
    "MEMORY",
    "SKIPLIST",
    "ACM",
    "SECURITY",
    "ALL",
    "NONE",
];

/// The keys and modes of a `Network` stanza.
pub(super) const NETWORK_KEYS: [&str; 5] = ["Name", "Mode", "Port", "Interface", "Priority"];
pub(super) const MODES: [&str; 3] = ["multicast", "broadcast", "unicast"];

/// The words of `NetworkPolicy`.
pub(super) const POLICIES: [&str; 3] = ["active", "passive", "primary"];

const BOOLEANS: [&str; 4] = ["true", "false", "yes", "no"];
const TRISTATES: [&str; 3] = ["on", "off", "auto"];
const INTERFACE_LETTERS: [&str; 3] = ["D", "C", "M"];

const STEP_OF_OLD_MEMBERSHIP: Option<&str> = Some("has no effect: forming a ring has no such step here");

/// Every keyword.
pub(super) const KEYWORDS: &[Keyword] = &[
    plain(SEGMENT, Form::Segment),
    noted("RouteMatrix", Form::Routes, "has no effect: every daemon reaches every other directly"),
    plain("NetworkPolicy", Form::Policy),
    plain("Network", Form::Network),
    noted("DebugFlags", Form::Flags, "has no effect: EventPriority says how much is logged"),
    plain("EventPriority", Form::Choice(&PRIORITIES, |d, index| d.event_priority = Some(PRIORITY_OF[index]))),
    plain("EventLogFile", Form::Text(|d, text| d.event_log_file = Some(text.value))),
    plain("EventTimeStamp", Form::OptionalText(|d, text| d.event_time_stamp = Some(text))),
    plain("EventPreciseTimeStamp", Form::Bare(|d| d.event_precise = true)),
    plain("DangerousMonitor", Form::Boolean(|d, boolean| d.dangerous_monitor = boolean.value)),
    noted(
        "SocketPortReuse",
        Form::Reuse(|d, reuse| d.socket_port_reuse = reuse),
        "has no effect: the client port can be used again at once, and a daemon never shares its own",
    ),
    plain("RuntimeDir", Form::Text(|d, text| d.runtime_dir = Some(text.value))),
    plain("DaemonUser", Form::Text(|d, text| d.daemon_user = Some(text.value))),
    plain("DaemonGroup", Form::Text(|d, text| d.daemon_group = Some(text.value))),
    noted(
        "DebugInitialSequence",
        Form::Bare(|_| ()),
        "has no effect: sequence numbers are 64 bits wide and never wrap",
    ),
    plain("AllowedAuthMethods", Form::Text(|d, text| d.allowed.push(text))),
    plain("RequiredAuthMethods", Form::Text(|d, text| d.required.push(text))),
    plain("AccessControlPolicy", Form::Text(|d, text| d.access_policy = Some(text))),
    plain("MaxSessionMessages", Form::Number(|d, number| d.max_session_messages = Some(number))),
    plain("MaxSessions", Form::Number(|d, number| d.max_sessions = Some(number))),
    plain("ClientTimeout", Form::Number(|d, number| d.client_timeout = Some(number.value))),
    plain("MaxMessageSize", Form::Size(|d, size| d.max_message_size = Some(size))),
    plain("SlowClient", Form::Choice(&SLOW_CLIENTS, |d, index| d.slow_client = Some(SLOW_CLIENT_OF[index]))),
    noted("LinkProtocol", Form::Choice(&LINK_PROTOCOLS, |_, _| ()), "has no effect: daemons always talk by UDP"),
    plain("Window", Form::Number(|d, number| d.window = Some(number))),
    plain("PersonalWindow", Form::Number(|d, number| d.personal_window = Some(number))),
    plain("AcceleratedRing", Form::Boolean(|d, boolean| d.accelerated_ring = Some(boolean))),
    noted(
        "AcceleratedWindow",
        Form::Number(|d, number| d.accelerated_window = Some(number)),
        "has no effect: the ring finds out by itself how much to send after the token",
    ),
    plain(TIMERS[0], Form::Number(|d, number| d.timers[0] = Some(number))),
    plain(TIMERS[1], Form::Number(|d, number| d.timers[1] = Some(number))),
    noted(
        TIMERS[2],
        Form::Number(|d, number| d.timers[2] = Some(number)),
        "is taken loosely: daemons that look for each other have one interval, JoinTimeout",
    ),
    plain(TIMERS[3], Form::Number(|d, number| d.timers[3] = Some(number))),
    Keyword {
        name: TIMERS[4],
        form: Form::Number(|d, number| d.timers[4] = Some(number)),
        note: STEP_OF_OLD_MEMBERSHIP,
    },
    Keyword {
        name: TIMERS[5],
        form: Form::Number(|d, number| d.timers[5] = Some(number)),
        note: STEP_OF_OLD_MEMBERSHIP,
    },
    plain(TIMERS[6], Form::Number(|d, number| d.timers[6] = Some(number))),
    Keyword {
        name: TIMERS[7],
        form: Form::Number(|d, number| d.timers[7] = Some(number)),
        note: STEP_OF_OLD_MEMBERSHIP,
    },
    noted(
        TIMERS[8],
        Form::Number(|d, number| d.timers[8] = Some(number)),
        "is taken loosely: it is the longest time to find a healed network, usually it is much shorter",
    ),
];

const fn plain(name: &'static str, form: Form) -> Keyword {
    Keyword { name, form, note: None }
}

const fn noted(name: &'static str, form: Form, note: &'static str) -> Keyword {
    Keyword { name, form, note: Some(note) }
}

/// The keyword that a word is; case counts.
pub(super) fn keyword(word: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == word)
}

/// Whether a bare word cannot name a daemon.
pub(super) fn is_reserved(word: &str) -> bool {
    let exact = [&FLAGS[..], &PRIORITIES, &LINK_PROTOCOLS, &INTERFACE_LETTERS];
    let any_case = [&BOOLEANS[..], &TRISTATES];
    keyword(word).is_some()
        || exact.iter().any(|words| words.contains(&word))
        || any_case.iter().any(|words| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// The name of the keyword that was probably meant.
pub(super) fn nearest_keyword(word: &str) -> Option<&'static str> {
    nearest(word, KEYWORDS.iter().map(|keyword| keyword.name))
}

/// The candidate that differs from `word` least, if it differs little; case does not count.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const LENGTH_LIMIT: usize = 64;
    if word.len() > LENGTH_LIMIT {
        return None;
    }
    let near = |candidate: &str| (candidate.len() / 3).max(1);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= near(candidate))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or changed (Levenshtein), ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_keyword_is_found_when_it_is_near() {
        assert_eq!(nearest_keyword("spread_segment"), Some("Spread_Segment"));
        assert_eq!(nearest_keyword("Spread_Segmnt"), Some("Spread_Segment"));
        assert_eq!(nearest_keyword("WINDOWS"), Some("Window"));
        assert_eq!(nearest_keyword("NetworkPolice"), Some("NetworkPolicy"));
        assert_eq!(nearest_keyword("FooBar"), None);
        assert_eq!(nearest_keyword(&"Window".repeat(1000)), None);
    }

    #[test]
    fn words_with_a_meaning_are_reserved() {
        for word in ["Window", "C", "PRINT", "NONE", "pDEBUG", "TcpHop", "TRUE", "Auto"] {
            assert!(is_reserved(word), "{word}");
        }
        for word in ["window", "c", "print", "hop", "alpha", "unicast", "active"] {
            assert!(!is_reserved(word), "{word}");
        }
    }

    #[test]
    fn no_keyword_is_in_the_table_twice() {
        for (n, one) in KEYWORDS.iter().enumerate() {
            assert!(KEYWORDS[..n].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }

    #[test]
    fn the_manual_page_has_every_keyword() {
        let manual = include_str!("../../../docs/man/spread.conf.5");
        for Keyword { name, .. } in KEYWORDS {
            let explains =
                |line: &str| line.split_once("Ic ").is_some_and(|(_, words)| words.split(' ').next() == Some(name));
            assert!(manual.lines().any(explains), "{name}");
        }
    }
}
