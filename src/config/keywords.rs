//! The keywords of the file, one row each. A row says how the value is written, where it is stored, how it is written back, when
//! it takes effect, and which warning a user gets for a keyword that has no effect here.
//!
//! The table is the one place that knows a keyword. The parser reads a value by its [`Form`] and stores it in a [`Draft`] with the
//! function of the row; the default is whatever [`Settings::default`] has there. The module's header says how to add a keyword.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::draft::Draft;
use super::live::{Log, LogFormat, Priority, Web};
use super::syntax::Spanned;
use super::{Settings, print};
use crate::multipath::Policy;
use crate::session::SlowClient;
use crate::time::Duration;
use crate::wire::CLASSIC_DAEMON_LIMIT;

/// A word that begins a stanza or a parameter.
#[derive(Debug)]
pub struct Keyword {
    /// The word. Upper and lower case are different.
    pub name: &'static str,
    /// When a new value takes effect.
    pub change: Change,
    pub(super) form: Form,
    /// Writes the value as it stands in a file; `None` if the file leaves this keyword out.
    write: fn(&Settings) -> Option<String>,
    /// Why the keyword does less than its user may expect.
    pub(super) note: Option<&'static str>,
}

/// When a new value of a keyword takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// As soon as the daemon reads its file again.
    Live,
    /// A changed value takes effect as soon as the daemon reads its file again. Whether there is a value at all is decided when
    /// the daemon starts.
    Exchange,
    /// When the daemon starts.
    Start,
    /// It is part of the membership table.
    Table,
    /// Never. The word is accepted so that existing files work.
    Never,
}

/// How a value is written, and how it is stored.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Segment,
    Routes,
    Network,
    Bare(fn(&mut Draft)),
    OptionalText(fn(&mut Draft, Option<String>)),
    Text(fn(&mut Draft, Spanned<String>)),
    Number(RangeInclusive<u32>, fn(&mut Draft, Spanned<u32>)),
    Size(RangeInclusive<usize>, fn(&mut Draft, Spanned<usize>)),
    Boolean(fn(&mut Draft, Spanned<bool>)),
    Choice(&'static [&'static str], fn(&mut Draft, usize)),
    Flags(fn(&mut Draft, Vec<String>)),
    Policy(fn(&mut Draft, Spanned<Policy>)),
    /// An address with a port. An address without a port gets this one.
    Place(u16, fn(&mut Draft, Spanned<SocketAddr>)),
}

/// The keyword that begins a segment.
pub(super) const SEGMENT: &str = "Spread_Segment";

/// A key that files of version 5.x may have for a daemon. It has no effect here.
pub(super) const VIRTUAL_ID: &str = "VirtualID";

/// The largest value of a keyword that is a number.
const NUMBER_LIMIT: u32 = 999_999;

/// The largest BusyPoll in microseconds. With more, the daemon would hardly ever sleep.
const BUSY_POLL_LIMIT: u32 = 10_000;

/// The largest MaxMessageSize. Several such messages must fit in memory for every slow client.
const MESSAGE_SIZE_LIMIT: usize = 256 << 20;

/// The smallest MaxMemory and MaxUserMemory: room for a few small clients.
const MEMORY_LEAST: usize = 1 << 20;

/// The largest MaxMemory and MaxUserMemory: 1 TiB, or all addresses if there are fewer.
const MEMORY_LIMIT: usize = if usize::BITS > 40 { (1_u64 << 40) as usize } else { usize::MAX };

const PRIORITIES: [&str; 6] = ["pDEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"];

const PRIORITY_OF: [Priority; 6] =
    [Priority::Debug, Priority::Info, Priority::Warning, Priority::Error, Priority::Critical, Priority::Fatal];

const LOG_FORMATS: [&str; 2] = ["text", "json"];

const LOG_FORMAT_OF: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

const SLOW_CLIENTS: [&str; 3] = ["disconnect", "block-senders", "drop-unreliable"];

const SLOW_CLIENT_OF: [SlowClient; 3] = [SlowClient::Disconnect, SlowClient::BlockSenders, SlowClient::DropUnreliable];

const LINK_PROTOCOLS: [&str; 2] = ["Hop", "TcpHop"];

const IP_VERSIONS: [&str; 3] = ["IPv4", "IPv6", "Both"];

/// The keys and modes of a `Network` stanza.
pub(super) const NETWORK_KEYS: [&str; 5] = ["Name", "Mode", "Port", "Interface", "Priority"];
pub(super) const MODES: [&str; 3] = ["multicast", "broadcast", "unicast"];

const BOOLEANS: [&str; 4] = ["true", "false", "yes", "no"];
/// These words may have upper or lower case.
pub(super) const TRISTATES: [&str; 3] = ["AUTO", "ON", "OFF"];
const INTERFACE_LETTERS: [&str; 3] = ["D", "C", "M"];

const STEP_OF_OLD_MEMBERSHIP: &str = "has no effect: forming a ring has no such step here";

/// Every keyword.
pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword { name: SEGMENT, change: Change::Table, form: Form::Segment, write: unwritten, note: None },
    Keyword { name: "Network", change: Change::Table, form: Form::Network, write: unwritten, note: None },
    idle("RouteMatrix", Form::Routes, "has no effect: every daemon reaches every other directly"),
    live("NetworkPolicy", Form::Policy(|d, policy| d.policy = Some(policy)), |s| Some(s.live.policy.to_string())),
    live("DebugFlags", Form::Flags(|d, flags| d.live.log.flags = Some(flags)), |s| {
        s.live.log.flags.as_ref().map(|flags| format!("{{ {} }}", flags.join(" ")))
    }),
    live("EventPriority", Form::Choice(&PRIORITIES, |d, index| d.live.log.priority = PRIORITY_OF[index]), |s| {
        word(&PRIORITIES, &PRIORITY_OF, s.live.log.priority)
    }),
    live("EventLogFormat", Form::Choice(&LOG_FORMATS, |d, index| d.live.log.format = LOG_FORMAT_OF[index]), |s| {
        word(&LOG_FORMATS, &LOG_FORMAT_OF, s.live.log.format)
    }),
    live("EventLogFile", Form::Text(|d, text| d.live.log.file = Some(text.value)), |s| {
        s.live.log.file.as_deref().map(print::quoted)
    }),
    live(
        "EventTimeStamp",
        Form::OptionalText(|d, text| d.live.log.time_stamp = Some(text.unwrap_or(Log::DEFAULT_STAMP.to_string()))),
        |s| s.live.log.time_stamp.as_deref().map(print::quoted),
    ),
    live("EventPreciseTimeStamp", Form::Bare(|d| d.live.log.precise = true), |s| s.live.log.precise.then(String::new)),
    live("DangerousMonitor", Form::Boolean(Draft::set_dangerous_monitor), |s| {
        Some(s.live.dangerous_monitor.to_string())
    }),
    live("MetricsAddress", Form::Place(Web::METRICS_PORT, |d, place| d.metrics = Some(place)), |s| {
        s.live.web.metrics.map(|place| place.to_string())
    }),
    live("StatusAddress", Form::Place(Web::STATUS_PORT, |d, place| d.status = Some(place)), |s| {
        s.live.web.status.map(|place| place.to_string())
    }),
    idle(
        "SocketPortReuse",
        Form::Choice(&TRISTATES, |_, _| ()),
        "has no effect: the client port can be used again at once, and a daemon never shares its own",
    ),
    Keyword {
        name: "RuntimeDir",
        change: Change::Start,
        form: Form::Text(|d, text| d.process.runtime_dir = text.value),
        write: |s| Some(print::quoted(&s.process.runtime_dir)),
        note: None,
    },
    Keyword {
        name: "DaemonUser",
        change: Change::Start,
        form: Form::Text(|d, text| d.process.user = text.value),
        write: |s| Some(print::quoted(&s.process.user)),
        note: None,
    },
    Keyword {
        name: "DaemonGroup",
        change: Change::Start,
        form: Form::Text(|d, text| d.process.group = text.value),
        write: |s| Some(print::quoted(&s.process.group)),
        note: None,
    },
    Keyword {
        name: "KeyFile",
        change: Change::Exchange,
        form: Form::Text(|d, text| d.live.key_file = Some(text.value)),
        write: |s| s.live.key_file.as_deref().map(print::quoted),
        note: None,
    },
    idle("DebugInitialSequence", Form::Bare(|_| ()), "has no effect: sequence numbers are 64 bits wide and never wrap"),
    live("AllowedAuthMethods", Form::Text(|d, text| d.allowed.push(text)), print::allowed_methods),
    live("RequiredAuthMethods", Form::Text(|d, text| d.required.push(text)), print::required_methods),
    live("AccessControlPolicy", Form::Text(|d, text| d.access_policy = Some(text)), |_| {
        Some(super::draft::PERMIT.to_string())
    }),
    live("MaxSessionMessages", Form::Number(0..=NUMBER_LIMIT, Draft::set_max_session_messages), |s| {
        Some(s.live.session.max_session_messages.to_string())
    }),
    live(
        "MaxSessions",
        Form::Number(1..=NUMBER_LIMIT, |d, number| d.live.session.quota = number.value as usize),
        |s| Some(s.live.session.quota.to_string()),
    ),
    live(
        "ClientTimeout",
        Form::Number(0..=NUMBER_LIMIT, |d, number| d.live.client_timeout = Duration::from_secs(number.value.into())),
        |s| Some(s.live.client_timeout.as_secs().to_string()),
    ),
    live(
        "BusyPoll",
        Form::Number(0..=BUSY_POLL_LIMIT, |d, number| d.live.busy_poll = Duration::from_micros(number.value.into())),
        |s| Some(s.live.busy_poll.as_micros().to_string()),
    ),
    live(
        "MaxMessageSize",
        // The smallest limit must allow every message that a classic client may send.
        Form::Size(CLASSIC_DAEMON_LIMIT..=MESSAGE_SIZE_LIMIT, |d, size| d.live.session.message_limit = size.value),
        |s| Some(print::size(s.live.session.message_limit)),
    ),
    live("MaxMemory", Form::Size(MEMORY_LEAST..=MEMORY_LIMIT, |d, size| d.max_memory = Some(size)), |s| {
        s.live.max_memory.map(print::size)
    }),
    live(
        "MaxUserSessions",
        Form::Number(1..=NUMBER_LIMIT, |d, number| d.live.session.max_user_sessions = number.value as usize),
        |s| limited(s.live.session.max_user_sessions).map(|sessions| sessions.to_string()),
    ),
    live(
        "MaxUserMemory",
        Form::Size(MEMORY_LEAST..=MEMORY_LIMIT, |d, size| d.live.session.max_user_memory = size.value),
        |s| limited(s.live.session.max_user_memory).map(print::size),
    ),
    live(
        "SlowClient",
        Form::Choice(&SLOW_CLIENTS, |d, index| d.live.session.slow_client = SLOW_CLIENT_OF[index]),
        |s| word(&SLOW_CLIENTS, &SLOW_CLIENT_OF, s.live.session.slow_client),
    ),
    idle(
        "WideAreaNetwork",
        Form::Boolean(|_, _| ()),
        "has no effect: write the times of the timers where links are slow, as in TokenTimeout = 5000",
    ),
    idle("ActiveIPVersion", Form::Choice(&IP_VERSIONS, |_, _| ()), "has no effect: the addresses say what they are"),
    idle(
        "IgnoreMulticastJoinErrors",
        Form::Boolean(|_, _| ()),
        "has no effect: a network that cannot be joined is tried again every second",
    ),
    idle(
        "ExcludeSegAddrsFromHash",
        Form::Boolean(|_, _| ()),
        "has no effect: write the same segment addresses at all daemons",
    ),
    idle("LinkProtocol", Form::Choice(&LINK_PROTOCOLS, |_, _| ()), "has no effect: daemons always talk by UDP"),
    live("Window", Form::Number(1..=NUMBER_LIMIT, |d, number| d.window = Some(number)), |s| {
        Some(s.live.windows.ring.to_string())
    }),
    live("PersonalWindow", Form::Number(1..=NUMBER_LIMIT, |d, number| d.personal_window = Some(number)), |s| {
        Some(s.live.windows.personal.to_string())
    }),
    Keyword {
        name: "AcceleratedRing",
        change: Change::Never,
        form: Form::Boolean(|d, boolean| d.accelerated_ring = Some(boolean)),
        write: unwritten,
        note: None,
    },
    idle(
        "AcceleratedWindow",
        Form::Number(0..=NUMBER_LIMIT, |d, number| d.accelerated_window = Some(number)),
        "has no effect: the ring finds out by itself how much to send after the token",
    ),
    timer("TokenTimeout", |d, time| d.live.timers.token = millis(time), |s| millis_of(s.live.timers.token)),
    timer("HurryTimeout", |d, time| d.live.timers.hurry = millis(time), |s| millis_of(s.live.timers.hurry)),
    timer("AliveTimeout", |d, time| d.live.timers.alive = millis(time), |s| millis_of(s.live.timers.alive)),
    timer("JoinTimeout", |d, time| d.live.timers.join = millis(time), |s| millis_of(s.live.timers.join)),
    idle("RepTimeout", Form::Number(1..=NUMBER_LIMIT, |_, _| ()), STEP_OF_OLD_MEMBERSHIP),
    idle("SegTimeout", Form::Number(1..=NUMBER_LIMIT, |_, _| ()), STEP_OF_OLD_MEMBERSHIP),
    timer("GatherTimeout", |d, time| d.live.timers.gather = millis(time), |s| millis_of(s.live.timers.gather)),
    idle("FormTimeout", Form::Number(1..=NUMBER_LIMIT, |_, _| ()), STEP_OF_OLD_MEMBERSHIP),
    timer("LookupTimeout", |d, time| d.live.timers.lookup = millis(time), |s| millis_of(s.live.timers.lookup)),
];

/// A keyword whose new value takes effect when the daemon reads its file again.
const fn live(name: &'static str, form: Form, write: fn(&Settings) -> Option<String>) -> Keyword {
    Keyword { name, change: Change::Live, form, write, note: None }
}

/// A keyword without effect.
const fn idle(name: &'static str, form: Form, note: &'static str) -> Keyword {
    Keyword { name, change: Change::Never, form, write: unwritten, note: Some(note) }
}

/// A time in milliseconds.
const fn timer(
    name: &'static str,
    store: fn(&mut Draft, Spanned<u32>),
    write: fn(&Settings) -> Option<String>,
) -> Keyword {
    live(name, Form::Number(1..=NUMBER_LIMIT, store), write)
}

fn unwritten(_: &Settings) -> Option<String> {
    None
}

/// The limit; `None` if there is no limit.
fn limited(limit: usize) -> Option<usize> {
    if limit == usize::MAX { None } else { Some(limit) }
}

fn millis(number: Spanned<u32>) -> Duration {
    Duration::from_millis(number.value.into())
}

fn millis_of(time: Duration) -> Option<String> {
    Some(time.as_millis().to_string())
}

fn word<T: PartialEq + Copy>(words: &[&str], values: &[T], value: T) -> Option<String> {
    values.iter().position(|other| *other == value).map(|index| words[index].to_string())
}

impl Keyword {
    /// The value in these settings, as it stands in a file. Empty for a word that stands alone; `None` if the file leaves it out.
    pub fn value(&self, settings: &Settings) -> Option<String> {
        (self.write)(settings)
    }
}

/// The flags of `DebugFlags = { ... }`.
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

/// The keyword with this name. Upper and lower case are different.
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

/// The name of the keyword that the user probably meant.
pub(super) fn nearest_keyword(word: &str) -> Option<&'static str> {
    nearest(word, KEYWORDS.iter().map(|keyword| keyword.name))
}

/// The candidate that is most like `word`, if it is like it at all. Upper and lower case are equal.
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

    /// What a line with a keyword does.
    #[derive(Clone, Copy, Debug)]
    enum Use {
        /// It works: this stands in the file as it is understood, and would not without the line.
        Works(&'static str),
        /// It says what is so in any case, without a word.
        Agrees,
        /// It means nothing here, and one line says why.
        Idle(&'static str),
    }

    use Use::{Agrees, Idle, Works};

    /// Lines with each keyword, those of the classic daemon first.
    const LINES: &[(&str, Use)] = &[
        ("Spread_Segment 239.1.1.1:4900 { b 10.3.0.8 }", Works("b 10.3.0.8")),
        ("RouteMatrix {\n 0 1\n 1 0\n}", Idle("reaches every other directly")),
        ("DebugFlags = { ALL !NETWORK }", Works("DebugFlags = { ALL !NETWORK }")),
        ("EventPriority = pDEBUG", Works("EventPriority = pDEBUG")),
        ("EventPriority = WARNING", Works("EventPriority = WARNING")),
        ("EventPriority = ERROR", Works("EventPriority = ERROR")),
        ("EventPriority = CRITICAL", Works("EventPriority = CRITICAL")),
        ("EventPriority = FATAL", Works("EventPriority = FATAL")),
        ("EventPriority = INFO", Agrees),
        ("EventLogFile = /var/log/spread_%h.log", Works("EventLogFile = \"/var/log/spread_%h.log\"")),
        ("EventTimeStamp", Works("EventTimeStamp = \"[%m/%d/%y %H:%M:%S]\"")),
        ("EventTimeStamp = \"[%a %d %b %Y]\"", Works("EventTimeStamp = \"[%a %d %b %Y]\"")),
        ("EventPreciseTimeStamp", Works("EventPreciseTimeStamp")),
        ("DangerousMonitor = false", Agrees),
        ("SocketPortReuse = ON", Idle("can be used again at once")),
        ("RuntimeDir = /run/ring", Works("RuntimeDir = \"/run/ring\"")),
        ("DaemonUser = me", Works("DaemonUser = \"me\"")),
        ("DaemonGroup = us", Works("DaemonGroup = \"us\"")),
        ("DebugInitialSequence", Idle("64 bits wide")),
        ("AllowedAuthMethods = IP", Works("AllowedAuthMethods = \"IP\"")),
        ("AllowedAuthMethods = NULL RequiredAuthMethods = IP", Works("RequiredAuthMethods = \"IP\"")),
        ("AccessControlPolicy = PERMIT", Agrees),
        ("MaxSessionMessages = 70", Works("MaxSessionMessages = 70")),
        ("LinkProtocol = Hop", Idle("always talk by UDP")),
        ("LinkProtocol = TcpHop", Idle("always talk by UDP")),
        ("Window = 90", Works("Window = 90")),
        ("PersonalWindow = 9", Works("PersonalWindow = 9")),
        ("AcceleratedRing = true", Agrees),
        ("AcceleratedRing = false", Idle("always passes the token early")),
        ("AcceleratedWindow = 15", Idle("finds out by itself")),
        ("TokenTimeout = 5000", Works("TokenTimeout = 5000")),
        ("HurryTimeout = 1500", Works("HurryTimeout = 1500")),
        ("AliveTimeout = 300", Works("AliveTimeout = 300")),
        ("JoinTimeout = 300", Works("JoinTimeout = 300")),
        ("RepTimeout = 1250", Idle("no such step")),
        ("SegTimeout = 500", Idle("no such step")),
        ("GatherTimeout = 2500", Works("GatherTimeout = 2500")),
        ("FormTimeout = 2500", Idle("no such step")),
        ("LookupTimeout = 45000", Works("LookupTimeout = 45000")),
        // Those of 5.x.
        ("WideAreaNetwork = true", Idle("write the times of the timers")),
        ("ActiveIPVersion = Both", Idle("the addresses say what they are")),
        ("IgnoreMulticastJoinErrors = true", Idle("tried again every second")),
        ("ExcludeSegAddrsFromHash = true", Idle("the same segment addresses")),
        // Ours.
        ("Network 0 { Name = lan }", Works("Network 0 { Name = \"lan\" }")),
        ("NetworkPolicy = passive", Works("NetworkPolicy = passive")),
        ("EventLogFormat = json", Works("EventLogFormat = json")),
        ("MetricsAddress = 127.0.0.1", Works("MetricsAddress = 127.0.0.1:9480")),
        ("StatusAddress = 127.0.0.1:99", Works("StatusAddress = 127.0.0.1:99")),
        ("KeyFile = /etc/torc.key", Works("KeyFile = \"/etc/torc.key\"")),
        ("MaxSessions = 7", Works("MaxSessions = 7")),
        ("ClientTimeout = 7", Works("ClientTimeout = 7")),
        ("BusyPoll = 7", Works("BusyPoll = 7")),
        ("MaxMessageSize = 1M", Works("MaxMessageSize = 1M")),
        ("MaxMemory = 1G", Works("MaxMemory = 1G")),
        ("MaxUserSessions = 7", Works("MaxUserSessions = 7")),
        ("MaxUserMemory = 7M", Works("MaxUserMemory = 7M")),
        ("SlowClient = block-senders", Works("SlowClient = block-senders")),
    ];

    #[test]
    fn every_keyword_works_or_says_in_one_line_why_it_means_nothing() {
        let read = |line: &str| {
            let text = format!("Spread_Segment 10.3.7.255 {{ a 10.3.0.9 }}\n{line}\n");
            Settings::parse("f", text.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        let usual = read("").to_string();
        let stands = |text: &str, line: &str| text.lines().any(|other| other.trim_start() == line);
        for (line, does) in LINES {
            let settings = read(line);
            let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
            let understood = settings.to_string();
            match does {
                Works(expected) => {
                    assert!(stands(&understood, expected) && !stands(&usual, expected), "{line}: {understood}");
                    assert_eq!(warnings, [""; 0], "{line}");
                }
                Agrees => assert_eq!((&understood, warnings.len()), (&usual, 0), "{line}: {warnings:?}"),
                Idle(reason) => {
                    assert_eq!((understood, warnings.len()), (usual.clone(), 1), "{line}: {warnings:?}");
                    let keyword = line.split(' ').next().unwrap();
                    let said = &warnings[0];
                    assert!(said.contains(keyword) && said.contains(" has no effect: "), "{line}: {said}");
                    assert!(said.contains(reason) && said.lines().count() == 1, "{line}: {said}");
                }
            }
        }
    }

    /// Whether a line begins with a keyword, or has it later.
    fn has_line(keyword: &str) -> bool {
        LINES.iter().any(|(line, _)| line.split_whitespace().any(|word| word == keyword))
    }

    #[test]
    fn there_is_a_line_for_every_keyword() {
        for keyword in KEYWORDS {
            assert!(has_line(keyword.name), "{}", keyword.name);
        }
    }
}
