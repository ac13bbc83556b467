//! What is known of each path: another daemon, heard over one network.
//!
//! Only what is received counts; that a send succeeded proves nothing. Daemons say at least once each probe interval that they
//! are there, so silence on one network while another brings something means that the path is faulty. A faulty path is still
//! listened to, and sent on: it comes back by itself with the first packet.

use std::collections::BTreeMap;

use super::networks::Networks;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, NetworkId};

/// Silence after which a path counts as faulty, if the daemon is heard on another network.
const FAULTY_AFTER: Duration = Duration::from_millis(1000);

/// One path as it is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The other daemon.
    pub daemon: DaemonId,
    /// The network.
    pub network: NetworkId,
    /// How it is doing.
    pub state: PathState,
    /// Packets heard on it.
    pub heard: u64,
    /// Packets of which it brought the first copy.
    pub first: u64,
}

/// How a path is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Heard lately.
    Healthy,
    /// Silent, while the daemon is heard on another network.
    Faulty,
    /// The daemon is not heard on any network.
    Silent,
}

#[derive(Debug)]
pub(super) struct Paths {
    daemons: BTreeMap<DaemonId, Vec<Heard>>,
    /// Until when each network is passed over.
    faulty_until: Vec<Instant>,
    /// The healthy networks as they were found at a time, so that not every packet looks at every path.
    healthy: Option<(Instant, Networks)>,
}

/// How long the healthy networks are taken as they were found.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Default)]
struct Heard {
    last: Option<Instant>,
    heard: u64,
    first: u64,
}

impl Paths {
    pub(super) fn new(daemons: impl Iterator<Item = DaemonId>, networks: u8) -> Paths {
        let daemons = daemons.map(|daemon| (daemon, vec![Heard::default(); usize::from(networks)])).collect();
        let faulty_until = vec![Instant::ZERO; usize::from(networks)];
        Paths { daemons, faulty_until, healthy: None }
    }

    /// Whether this daemon was heard lately on any network.
    pub(super) fn is_alive(&self, now: Instant, daemon: DaemonId) -> bool {
        let lately = |path: &Heard| path.last.is_some_and(|last| now.since(last) < FAULTY_AFTER);
        self.daemons.get(&daemon).is_some_and(|paths| paths.iter().any(lately))
    }

    pub(super) fn heard(&mut self, now: Instant, daemon: DaemonId, network: NetworkId, first: bool) {
        let Some(path) = self.daemons.get_mut(&daemon).and_then(|paths| paths.get_mut(usize::from(network.0))) else {
            return;
        };
        path.last = Some(now);
        path.heard += 1;
        path.first += u64::from(first);
    }

    /// The networks on which no daemon is silent that is heard elsewhere, nor has been lately.
    pub(super) fn healthy(&mut self, now: Instant) -> Networks {
        match self.healthy {
            Some((at, healthy)) if now.since(at) < LOOK_INTERVAL => healthy,
            _ => {
                let healthy = self.look(now);
                self.healthy = Some((now, healthy));
                healthy
            }
        }
    }

    fn look(&mut self, now: Instant) -> Networks {
        let faulty: Networks =
            self.iter(now).filter(|path| path.state == PathState::Faulty).map(|path| path.network).collect();
        let networks = (0..).map(NetworkId).zip(&mut self.faulty_until);
        let healthy = networks.filter_map(|(network, until)| {
            if faulty.has(network) {
                *until = now + FAULTY_AFTER;
            }
            (*until <= now).then_some(network)
        });
        healthy.collect()
    }

    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = Path> + '_ {
        self.daemons.iter().flat_map(move |(&daemon, paths)| {
            let lately = move |path: &Heard| path.last.is_some_and(|last| now.since(last) < FAULTY_AFTER);
            let state = if paths.iter().any(lately) { PathState::Faulty } else { PathState::Silent };
            paths.iter().enumerate().map(move |(network, path)| Path {
                daemon,
                network: NetworkId(network as u8),
                state: if lately(path) { PathState::Healthy } else { state },
                heard: path.heard,
                first: path.first,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(paths: &Paths, millis: u64) -> Vec<PathState> {
        paths.iter(Instant::from_millis(millis)).map(|path| path.state).collect()
    }

    #[test]
    fn silence_on_one_network_is_a_fault_and_one_packet_ends_it() {
        let daemon = DaemonId(1);
        let mut paths = Paths::new([daemon].into_iter(), 2);
        assert_eq!(states(&paths, 0), [PathState::Silent; 2]);
        (0..2).for_each(|network| paths.heard(Instant::from_millis(10), daemon, NetworkId(network), true));
        assert_eq!(states(&paths, 1009), [PathState::Healthy; 2]);
        paths.heard(Instant::from_millis(1000), daemon, NetworkId(1), true);
        assert_eq!(states(&paths, 1010), [PathState::Faulty, PathState::Healthy]);
        paths.heard(Instant::from_millis(1011), daemon, NetworkId(0), false);
        assert_eq!(states(&paths, 1012), [PathState::Healthy; 2]);
        assert_eq!(states(&paths, 9000), [PathState::Silent; 2]);
    }

    #[test]
    fn a_network_is_healthy_while_nobody_is_silent_on_it_alone() {
        let mut paths = Paths::new([DaemonId(1), DaemonId(2)].into_iter(), 2);
        let healthy = |paths: &mut Paths, millis| -> Vec<u8> {
            paths.healthy(Instant::from_millis(millis)).iter().map(|network| network.0).collect()
        };
        assert_eq!(healthy(&mut paths, 0), [0, 1], "nothing is known of daemons that nobody hears");
        for (daemon, network) in [(1, 0), (1, 1), (2, 1)] {
            paths.heard(Instant::from_millis(100), DaemonId(daemon), NetworkId(network), true);
        }
        assert_eq!(healthy(&mut paths, 100), [1], "daemon 2 is heard on network 1 only");
        paths.heard(Instant::from_millis(100), DaemonId(2), NetworkId(0), true);
        assert_eq!(healthy(&mut paths, 900), [1], "it may go again");
        for (daemon, network) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            paths.heard(Instant::from_millis(1000), DaemonId(daemon), NetworkId(network), false);
        }
        assert_eq!(healthy(&mut paths, 1100), [0, 1]);
    }
}
