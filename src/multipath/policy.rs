//! Which networks carry a data packet.
//!
//! Only data has a choice: tokens, joins, form tokens, probes and packets that are sent again are small or urgent and travel on every
//! network. That is what makes the choice safe. The token gets round whatever network has just failed, the packets that were
//! on that network are missed at the next visit, and they come back on all networks: within rotations, before any timeout. So a
//! policy decides about load, never about delivery.
//!
//! A network on which some daemon is silent that is heard elsewhere is passed over, and so it is for as long again after the
//! daemon was heard there, lest a path that comes and goes take the data with it. If there are none but such networks, all count.

use super::networks::Networks;

/// Which networks carry data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Every packet on all networks: losing one delays nothing. The default.
    #[default]
    Active,
    /// Every packet on this many networks, in turn; at least one.
    Copies(u8),
    /// Each packet on one network, in turn: the bandwidths add up.
    Passive,
    /// All packets on the first healthy network; the others stand by.
    Primary,
}

/// Chooses networks for one data packet after the other.
#[derive(Debug)]
pub(super) struct Chooser {
    policy: Policy,
    all: Networks,
    turn: usize,
}

impl Chooser {
    pub(super) fn new(policy: Policy, networks: u8) -> Chooser {
        Chooser { policy, all: Networks::first(networks), turn: 0 }
    }

    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(super) fn all(&self) -> Networks {
        self.all
    }

    /// The networks for the next data packet, `healthy` being those without a silent daemon.
    pub(super) fn choose(&mut self, healthy: Networks) -> Networks {
        let usable = if healthy.is_empty() { self.all } else { healthy };
        match self.policy {
            Policy::Active => self.all,
            Policy::Copies(count) => self.in_turn(usable, count.max(1)),
            Policy::Passive => self.in_turn(usable, 1),
            Policy::Primary => usable.iter().take(1).collect(),
        }
    }

    fn in_turn(&mut self, usable: Networks, count: u8) -> Networks {
        self.turn += 1;
        let len = usable.iter().count();
        usable.iter().cycle().skip(self.turn % len).take(usize::from(count).min(len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NetworkId;

    fn chosen(policy: Policy, healthy: &[u8], count: usize) -> Vec<Vec<u8>> {
        let mut chooser = Chooser::new(policy, 3);
        let healthy: Networks = healthy.iter().copied().map(NetworkId).collect();
        (0..count).map(|_| chooser.choose(healthy).iter().map(|network| network.0).collect()).collect()
    }

    #[test]
    fn active_takes_all_networks_whatever_their_health() {
        assert_eq!(chosen(Policy::Active, &[1], 2), [[0, 1, 2], [0, 1, 2]]);
    }

    #[test]
    fn passive_takes_healthy_networks_in_turn() {
        assert_eq!(chosen(Policy::Passive, &[0, 1, 2], 4), [[1], [2], [0], [1]]);
        assert_eq!(chosen(Policy::Passive, &[0, 2], 3), [[2], [0], [2]]);
    }

    #[test]
    fn copies_take_so_many_and_no_more_than_there_are() {
        assert_eq!(chosen(Policy::Copies(2), &[0, 1, 2], 3), [[1, 2], [0, 2], [0, 1]]);
        assert_eq!(chosen(Policy::Copies(2), &[1], 2), [[1], [1]]);
        assert_eq!(chosen(Policy::Copies(0), &[0], 1), [[0]]);
    }

    #[test]
    fn primary_takes_the_first_healthy_network() {
        assert_eq!(chosen(Policy::Primary, &[0, 1, 2], 2), [[0], [0]]);
        assert_eq!(chosen(Policy::Primary, &[1, 2], 1), [[1]]);
    }

    #[test]
    fn if_all_are_faulty_all_count() {
        assert_eq!(chosen(Policy::Passive, &[], 3), [[1], [2], [0]]);
        assert_eq!(chosen(Policy::Primary, &[], 1), [[0]]);
    }
}
