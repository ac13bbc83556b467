//! The events for which other threads may wait while a daemon runs: changes of paths, and the end of the daemon.
//!
//! The loop only writes here. Waiting threads never delay it. The changes are numbered, so that many readers can follow them, each at
//! its own speed. A slow reader misses the oldest changes, and sees that from the numbers.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::{Condvar, Mutex};

use crate::multipath::{Path, PathState};
use crate::time::Duration;
use crate::wire::{DaemonId, NetworkId};

/// Changes that are kept for slow readers.
const EVENT_LIMIT: usize = 256;

/// Whether a daemon is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// It runs, or starts.
    #[default]
    Running,
    /// A stop was requested, and it has stopped.
    Stopped,
    /// Its thread panicked, which is a bug in the daemon. Its clients have lost their connections.
    Crashed,
}

/// A path whose state has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEvent {
    /// The number of this change; the daemon's first has 1.
    pub number: u64,
    /// The path after the change.
    pub path: Path,
}

/// The changes of paths, and whether the daemon still runs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Log {
    state: RunState,
    states: BTreeMap<(DaemonId, NetworkId), PathState>,
    events: VecDeque<PathEvent>,
    count: u64,
}

impl Progress {
    /// Records the present paths; only changes count.
    pub(super) fn record(&self, paths: &[Path]) {
        let mut log = self.log.lock();
        let before = log.count;
        paths.iter().for_each(|path| log.record(*path, path.shown_state(paths)));
        if log.count > before {
            self.changed.notify_all();
        }
    }

    /// Records that the daemon has ended.
    pub(super) fn end(&self, state: RunState) {
        self.log.lock().state = state;
        self.changed.notify_all();
    }

    /// Whether the daemon is still there.
    pub(super) fn run_state(&self) -> RunState {
        self.log.lock().state
    }

    /// The first kept change after the one with this number. Waits for it at most for `patience`, and not if the daemon has ended.
    pub(super) fn next_path_event(&self, after: u64, patience: Duration) -> Option<PathEvent> {
        let mut log = self.log.lock();
        let nothing = |log: &mut Log| log.after(after).is_none() && log.state == RunState::Running;
        self.changed.wait_while_for(&mut log, nothing, patience);
        log.after(after)
    }
}

impl Log {
    fn record(&mut self, path: Path, shown: PathState) {
        let told = self.states.entry((path.daemon, path.network)).or_insert(PathState::Silent);
        // A path that was silent stays so until it is heard, even if its daemon is heard elsewhere a moment before.
        if [path.state, shown].contains(told) {
            return;
        }
        *told = shown;
        let path = Path { state: shown, ..path };
        self.count += 1;
        if self.events.len() == EVENT_LIMIT {
            self.events.pop_front();
        }
        self.events.push_back(PathEvent { number: self.count, path });
    }

    fn after(&self, number: u64) -> Option<PathEvent> {
        self.events.iter().find(|event| event.number > number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn path(network: u8, state: PathState) -> Path {
        crate::daemon::testing::path(7, network, state)
    }

    #[test]
    fn only_changes_are_told_and_silence_comes_first() {
        let progress = Progress::default();
        progress.record(&[path(0, PathState::Silent), path(1, PathState::Healthy)]);
        progress.record(&[path(0, PathState::Silent), path(1, PathState::Healthy)]);
        progress.record(&[path(0, PathState::Healthy), path(1, PathState::Faulty)]);
        let told: Vec<_> = (0..4).map_while(|after| progress.next_path_event(after, NOW)).collect();
        let expected = [(1, 1, PathState::Healthy), (2, 0, PathState::Healthy), (3, 1, PathState::Faulty)];
        assert_eq!(told, expected.map(|(number, network, state)| PathEvent { number, path: path(network, state) }));
    }

    #[test]
    fn a_network_that_is_switched_on_is_on_probation_while_its_daemon_is_heard_elsewhere() {
        let progress = Progress::default();
        let [silent, healthy, off] = [PathState::Silent, PathState::Healthy, PathState::Off];
        for states in [[healthy, silent], [healthy, off], [healthy, silent], [healthy, healthy], [silent, silent]] {
            progress.record(&[path(0, states[0]), path(1, states[1])]);
        }
        let told = (0..9).map_while(|after| progress.next_path_event(after, NOW));
        let told: Vec<_> = told.map(|event| (event.path.network.0, event.path.state)).collect();
        assert_eq!(told, [(0, healthy), (1, off), (1, PathState::Probation), (1, healthy), (0, silent), (1, silent)]);
    }

    #[test]
    fn who_comes_late_misses_the_oldest() {
        let progress = Progress::default();
        for round in 0..300 {
            progress.record(&[path(0, [PathState::Healthy, PathState::Faulty][round % 2])]);
        }
        let first = progress.next_path_event(0, NOW).unwrap();
        assert_eq!(first.number, 300 - EVENT_LIMIT as u64 + 1);
    }

    #[test]
    fn nobody_waits_for_a_daemon_that_has_ended() {
        let progress = Progress::default();
        progress.end(RunState::Crashed);
        assert_eq!(progress.next_path_event(0, Duration::from_secs(3600)), None);
        assert_eq!(progress.run_state(), RunState::Crashed);
    }
}
