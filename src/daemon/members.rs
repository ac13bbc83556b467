//! Reports to operators which daemons join and leave the ring. A daemon that says farewell is normal; one that falls silent is a warning.

use std::collections::BTreeSet;

use tracing::{info, warn};

use crate::multipath::Path;
use crate::ring::Configuration;
use crate::time::Instant;
use crate::wire::DaemonId;

/// The daemons of the ring, and those that said that they are about to stop.
#[derive(Debug, Default)]
pub(super) struct Members {
    present: BTreeSet<DaemonId>,
    leaving: BTreeSet<DaemonId>,
    /// Those that left in order, until they come back: their silence is normal.
    stopped: BTreeSet<DaemonId>,
}

/// Why a daemon is not in the ring any more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Departure {
    /// It said that it was about to stop.
    Stopped,
    /// It fell silent: how many milliseconds ago, if it was ever heard, and on which networks it had been heard.
    Lost { silent_ms: Option<u64>, networks: String },
}

impl Members {
    /// A daemon announced that it is about to stop.
    pub(super) fn on_farewell(&mut self, daemon: DaemonId) {
        if self.present.contains(&daemon) {
            self.leaving.insert(daemon);
        }
    }

    /// Whether its silence was announced.
    pub(super) fn is_silent_on_purpose(&self, daemon: DaemonId) -> bool {
        self.leaving.contains(&daemon) || self.stopped.contains(&daemon)
    }

    /// A ring of these daemons is installed. Writes that to the log, and returns the events and texts for the journal.
    pub(super) fn on_configuration(
        &mut self,
        now: Instant,
        configuration: &Configuration,
        paths: &[Path],
    ) -> Vec<(&'static str, String)> {
        let members: BTreeSet<DaemonId> = configuration.members.iter().copied().collect();
        info!(
            name: "ring_installed",
            ring = %configuration.ring,
            daemons = members.len(),
            members = ?configuration.members,
            "a ring of {} daemons is installed",
            members.len()
        );
        let mut told = vec![("ring_installed", format!("a ring of {} daemons is installed", members.len()))];
        for &daemon in self.present.difference(&members) {
            told.push(log_departure(daemon, &self.departure(now, daemon, paths)));
        }
        self.stopped.extend(self.present.difference(&members).filter(|daemon| self.leaving.contains(daemon)));
        self.stopped.retain(|daemon| !members.contains(daemon));
        for daemon in members.difference(&self.present) {
            info!(name: "member_joined", %daemon, "{daemon} is in the ring");
            told.push(("member_joined", format!("{daemon} is in the ring")));
        }
        self.present = members;
        self.leaving.clear();
        told
    }

    fn departure(&self, now: Instant, daemon: DaemonId, paths: &[Path]) -> Departure {
        if self.leaving.contains(&daemon) {
            return Departure::Stopped;
        }
        let heard = || paths.iter().filter(|path| path.daemon == daemon && path.last.is_some());
        let last = heard().filter_map(|path| path.last).max();
        let silent_ms = last.map(|last| u64::try_from(now.since(last).as_millis()).unwrap_or(u64::MAX));
        let networks: Vec<String> = heard().map(|path| path.network.0.to_string()).collect();
        Departure::Lost { silent_ms, networks: networks.join(",") }
    }
}

/// Logs a departure, and returns the event's name and text.
fn log_departure(daemon: DaemonId, departure: &Departure) -> (&'static str, String) {
    match departure {
        Departure::Stopped => {
            let text = format!("{daemon} has stopped in order");
            info!(name: "member_stopped", %daemon, "{text}");
            ("member_stopped", text)
        }
        Departure::Lost { silent_ms: None, .. } => {
            let text = format!("{daemon} is lost: it was never heard directly");
            warn!(name: "member_lost", %daemon, "{text}");
            ("member_lost", text)
        }
        Departure::Lost { silent_ms: Some(silent_ms), networks } => {
            let before = format!("it had been heard on networks {networks}");
            let text = format!("{daemon} is lost: nothing came from it for {silent_ms} ms; {before}");
            warn!(name: "member_lost", %daemon, silent_ms, networks = networks.as_str(), "{text}");
            ("member_lost", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipath::PathState;
    use crate::ring::ConfigurationKind;
    use crate::wire::RingId;

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);

    fn path(daemon: DaemonId, network: u8, last: Option<u64>) -> Path {
        Path {
            last: last.map(Instant::from_millis),
            ..crate::daemon::testing::path(daemon.0, network, PathState::Silent)
        }
    }

    fn members() -> Members {
        Members { present: [A, B].into(), ..Members::default() }
    }

    #[test]
    fn who_says_farewell_has_stopped_and_who_does_not_is_lost() {
        let mut members = members();
        let paths = [path(B, 0, Some(700)), path(B, 1, Some(900)), path(B, 2, None), path(A, 0, Some(999))];
        let lost = members.departure(Instant::from_millis(1000), B, &paths);
        assert_eq!(lost, Departure::Lost { silent_ms: Some(100), networks: "0,1".to_owned() });
        members.on_farewell(B);
        assert_eq!(members.departure(Instant::from_millis(1000), B, &paths), Departure::Stopped);
    }

    #[test]
    fn the_silence_of_a_daemon_that_stopped_is_no_news_until_it_is_back() {
        let ring = |sequence| RingId { representative: A, sequence };
        let configuration = |sequence, members: &[DaemonId]| Configuration {
            kind: ConfigurationKind::Regular,
            ring: ring(sequence),
            members: members.to_vec(),
            next: None,
        };
        let mut members = members();
        members.on_farewell(B);
        assert!(members.is_silent_on_purpose(B) && !members.is_silent_on_purpose(A));
        members.on_configuration(Instant::ZERO, &configuration(1, &[A]), &[]);
        assert!(members.is_silent_on_purpose(B));
        members.on_configuration(Instant::ZERO, &configuration(2, &[A, B]), &[]);
        members.on_configuration(Instant::ZERO, &configuration(3, &[A]), &[]);
        assert!(!members.is_silent_on_purpose(B), "this time it said nothing");
    }

    #[test]
    fn strangers_who_say_farewell_are_not_remembered() {
        let mut members = members();
        (3..1000).for_each(|id| members.on_farewell(DaemonId(id)));
        assert!(members.leaving.is_empty());
    }
}
