//! The settings that may change while the daemon runs, in the terms of the parts that obey them.
//!
//! [`Live::default`] is the one place for defaults. If a part of the core has a default, it is taken from there. The classic
//! timers belong to another membership protocol. So they are kept as the file gives them, and they scale the times of the ring:
//! see [`Live::tune`].

use std::cmp::Reverse;
use std::net::SocketAddr;

use super::address::fnv1a;
use crate::multipath::Policy;
use crate::ring::{RingSettings, Windows};
use crate::session::SessionSettings;
use crate::time::Duration;
use crate::wire::{DaemonId, Incarnation};

/// The settings that a running daemon takes over when it reads its file again.
#[derive(Clone, Debug)]
pub struct Live {
    /// Which networks carry data. Default: all, if there are one or two networks; each packet on two of them, if there are more.
    pub policy: Policy,
    /// The priority of each network. A policy that prefers one network takes the one with the highest number, and of equals the
    /// first. A network without a number has 0.
    pub priorities: Vec<u8>,
    /// The largest number of packets in one rotation. Default those of the ring.
    pub windows: Windows,
    /// The timers of the file.
    pub timers: Timers,
    /// The authentication and the limits of clients. The contents of other files are not in it.
    pub session: SessionSettings,
    /// How many bytes a daemon keeps for all its clients together. Default a quarter of the machine's memory;
    /// [`SessionSettings::max_memory`] gets this value when the machine is known.
    pub max_memory: Option<usize>,
    /// The file with the keys that seal packets between daemons. Default none: packets travel in the open.
    pub key_file: Option<String>,
    /// How long a client's machine may leave data unacknowledged. Zero: as long as the system allows. Default 20 s.
    pub client_timeout: Duration,
    /// How long the daemon polls for work before it sleeps. Default zero: it sleeps at once.
    pub busy_poll: Duration,
    /// Whether monitors may partition, throttle and stop the daemon. Default no.
    pub dangerous_monitor: bool,
    /// The settings of the log.
    pub log: Log,
    /// Where the program shows the state of the daemon by HTTP.
    pub web: Web,
}

impl Default for Live {
    fn default() -> Live {
        let ring = ring_defaults();
        Live {
            policy: Policy::default(),
            priorities: Vec::new(),
            windows: Windows { ring: ring.window, personal: ring.personal_window },
            timers: Timers::default(),
            session: SessionSettings::default(),
            max_memory: None,
            key_file: None,
            client_timeout: Duration::from_secs(20),
            busy_poll: Duration::ZERO,
            dangerous_monitor: false,
            log: Log::default(),
            web: Web::default(),
        }
    }
}

impl Live {
    /// The shortest time for any timer of the ring.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// Sets the windows and times of a ring. A value that breaks a rule of the ring is moved to the nearest one that does not,
    /// because a daemon must start with every file that is accepted.
    pub fn tune(&self, ring: &mut RingSettings) {
        ring.window = self.windows.ring.clamp(1, RingSettings::WINDOW_LIMIT);
        ring.personal_window = self.windows.personal.clamp(1, ring.window);
        let (timers, ours, shortest) = (&self.timers, ring_defaults(), Live::SHORTEST);
        let scaled = |ours: Duration, given: Duration, usual: Duration| {
            ours.mul_f64(given.as_secs_f64() / usual.as_secs_f64()).max(shortest)
        };
        let usual = Timers::default();
        ring.token_timeout = timers.token.max(6 * shortest);
        ring.token_retransmit =
            scaled(ours.token_retransmit, timers.hurry, usual.hurry).clamp(2 * shortest, ring.token_timeout / 3);
        ring.rest_interval = scaled(ours.rest_interval, timers.token, usual.token).min(ring.token_timeout / 5);
        ring.join_interval = scaled(ours.join_interval, timers.join, usual.join);
        ring.consensus_timeout =
            scaled(ours.consensus_timeout, timers.gather, usual.gather).max(2 * ring.join_interval);
        ring.probe_interval = scaled(ours.probe_interval, timers.alive, usual.alive).min(timers.lookup);
    }

    /// Digests of settings that should be the same at all daemons, although a ring works without: the policy with its priorities,
    /// each timer, and the windows.
    pub fn digests(&self) -> [u32; 8] {
        let Timers { token, hurry, alive, join, gather, lookup } = self.timers;
        let time = |time: Duration| format!("{time:?}");
        let (policy, windows) = (format!("{} {:?}", self.policy, self.priorities), format!("{:?}", self.windows));
        [policy, time(token), time(hurry), time(alive), time(join), time(gather), time(lookup), windows]
            .map(|text| fnv1a(text.as_bytes()))
    }

    /// The numbers of the first `networks` networks, from the one that a policy prefers most to the one that it prefers least.
    pub fn preference(&self, networks: usize) -> Vec<usize> {
        let mut preference: Vec<usize> = (0..networks).collect();
        preference.sort_by_key(|&network| Reverse(self.priorities.get(network).copied().unwrap_or(0)));
        preference
    }
}

/// The defaults of a ring. They do not depend on its members.
fn ring_defaults() -> RingSettings {
    RingSettings::new(DaemonId(0), Incarnation(0), Vec::new())
}

/// The timers of the classic daemon that have a meaning here, as the file gives them. None is zero. With their defaults, the ring
/// has its own default times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Silence of the token after which the ring is given up. Default that of the ring.
    pub token: Duration,
    /// The time after which a token is sent again. Default 500 ms.
    pub hurry: Duration,
    /// The interval of probes, which say that this daemon is there. Default 250 ms.
    pub alive: Duration,
    /// Interval of join packets. Default 250 ms.
    pub join: Duration,
    /// The time for a whole gather. Default 1250 ms.
    pub gather: Duration,
    /// The longest time until a network that works again is noticed. Default 30 s.
    pub lookup: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        let millis = Duration::from_millis;
        Timers {
            token: ring_defaults().token_timeout,
            hurry: millis(500),
            alive: millis(250),
            join: millis(250),
            gather: millis(1250),
            lookup: millis(30_000),
        }
    }
}

/// The settings of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The priority of the least important lines that are logged. Default INFO.
    pub priority: Priority,
    /// Flags of the parts that log details for somebody who searches a fault. A `!` before a flag takes its part away. Without
    /// the keyword the priority decides: all parts log details, or none.
    pub flags: Option<Vec<String>>,
    /// The format of lines. Default text.
    pub format: LogFormat,
    /// The log file; `%h` and `%H` stand for the host name. Default standard output. See [`Log::path`].
    pub file: Option<String>,
    /// The `strftime` format of time stamps; `None`, the default, for no stamps.
    pub time_stamp: Option<String>,
    /// Whether time stamps have microseconds. Default no.
    pub precise: bool,
}

impl Log {
    /// The format of time stamps if the file gives none.
    pub const DEFAULT_STAMP: &str = "[%m/%d/%y %H:%M:%S]";

    /// The log file of the host with this name.
    pub fn path(&self, host_name: &str) -> Option<String> {
        self.file.as_ref().map(|file| file.replace("%h", host_name).replace("%H", host_name))
    }
}

/// Where the program shows the state of the daemon by HTTP. Nothing can be changed there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// Metrics for Prometheus. Default nowhere.
    pub metrics: Option<SocketAddr>,
    /// The page that draws ring and networks. Default nowhere.
    pub status: Option<SocketAddr>,
}

impl Web {
    /// The port of metrics if the file gives none.
    pub const METRICS_PORT: u16 = 9480;
    /// The port of the page if the file gives none.
    pub const STATUS_PORT: u16 = 4880;
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `pDEBUG`
    Debug,
    /// `INFO`
    #[default]
    Info,
    /// `WARNING`
    Warning,
    /// `ERROR`
    Error,
    /// `CRITICAL`
    Critical,
    /// `FATAL`
    Fatal,
}

/// The settings that a process takes over before it serves anybody; only a restart changes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The root directory after a start as root. Default `/var/run/spread`.
    pub runtime_dir: String,
    /// The user after a start as root. Default `spread`.
    pub user: String,
    /// The group after a start as root. Default `spread`.
    pub group: String,
}

impl Default for Process {
    fn default() -> Process {
        let text = str::to_string;
        Process { runtime_dir: text("/var/run/spread"), user: text("spread"), group: text("spread") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned(live: &Live) -> RingSettings {
        let mut ring = RingSettings::new(DaemonId(1), Incarnation(1), vec![DaemonId(1)]);
        live.tune(&mut ring);
        ring
    }

    #[test]
    fn the_defaults_of_a_file_are_those_of_the_ring() {
        let (ring, ours) = (tuned(&Live::default()), ring_defaults());
        assert_eq!((ring.window, ring.personal_window), (ours.window, ours.personal_window));
        assert_eq!(
            [ring.token_timeout, ring.rest_interval, ring.token_retransmit],
            [ours.token_timeout, ours.rest_interval, ours.token_retransmit]
        );
        assert_eq!(
            [ring.join_interval, ring.consensus_timeout, ring.probe_interval],
            [ours.join_interval, ours.consensus_timeout, ours.probe_interval]
        );
    }

    #[test]
    fn any_window_that_a_file_may_say_starts() {
        let live = Live { windows: Windows { ring: 999_999, personal: 99_999 }, ..Live::default() };
        let ring = tuned(&live);
        assert_eq!((ring.window, ring.personal_window, ring.check()), (8192, 8192, Ok(())));
    }

    #[test]
    fn any_timers_give_a_ring_that_starts() {
        for short in 0..=6 {
            for (low, high) in [(1, 1), (1, 999_999), (999_999, 1), (250, 250)] {
                let time = |n: u32| Duration::from_millis(if n == short { low } else { high });
                let timers = Timers {
                    token: time(0),
                    hurry: time(1),
                    alive: time(2),
                    join: time(3),
                    gather: time(4),
                    lookup: time(5),
                };
                assert_eq!(tuned(&Live { timers, ..Live::default() }).check(), Ok(()), "{timers:?}");
            }
        }
    }

    #[test]
    fn the_log_file_may_carry_the_host_name() {
        let log = Log { file: Some("log_%h.%H".to_string()), ..Log::default() };
        assert_eq!(log.path("h1").as_deref(), Some("log_h1.h1"));
    }
}
