//! Which networks carry a data packet.
//!
//! A policy decides about load, never about delivery. Only new data has a choice; tokens, membership packets and retransmissions travel on every
//! network. So when a network fails, the token still goes round, the packets lost on that network are requested at the next visit, and they
//! are retransmitted on all networks within a few rotations, before any time-out.

use std::cmp::Reverse;
use std::fmt;

use super::super::moves::Moves;
use super::super::networks::Networks;
use super::plan::cover;
use crate::time::{Duration, Instant};
use crate::wire::NetworkId;

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
    /// All packets on the healthy network with the highest priority; the others stand by.
    Primary,
}

impl Policy {
    /// The word of each policy in the configuration file and on the command line.
    pub const WORDS: [&'static str; 3] = ["active", "passive", "primary"];

    /// The policy of a word, with the number of networks for each packet if one is given; `None` if there is no such policy.
    pub fn from_words(word: &str, copies: Option<u8>) -> Option<Policy> {
        match (word, copies) {
            ("active", None) => Some(Policy::Active),
            ("active", Some(copies)) => Some(Policy::Copies(copies)),
            ("passive", None) => Some(Policy::Passive),
            ("primary", None) => Some(Policy::Primary),
            _ => None,
        }
    }

    /// Whether a number of networks may follow this word.
    pub fn takes_copies(word: &str) -> bool {
        Policy::from_words(word, Some(1)).is_some()
    }

    /// Describes how this policy sends data on this many networks. `preference` has the networks from the most to the least preferred.
    pub fn explain(self, networks: usize, preference: &[usize]) -> String {
        match self {
            Policy::Active => format!("active, every packet travels on all {networks} networks"),
            Policy::Copies(copies) => format!("active, every packet travels on {copies} of {networks} networks"),
            Policy::Passive => format!("passive, packets take the {networks} networks in turn"),
            Policy::Primary => {
                let order: Vec<String> = preference.iter().map(usize::to_string).collect();
                format!("primary, packets take the first healthy one of networks {}", order.join(", "))
            }
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Active => f.write_str("active"),
            Policy::Copies(count) => write!(f, "active {count}"),
            Policy::Passive => f.write_str("passive"),
            Policy::Primary => f.write_str("primary"),
        }
    }
}

/// Chooses networks for one data packet after the other.
#[derive(Debug)]
pub(in crate::multipath) struct Chooser {
    policy: Policy,
    networks: u8,
    /// Those that are switched on.
    all: Networks,
    priorities: [u8; NetworkId::LIMIT],
    reach: Reach,
    /// Until when each network is passed over.
    held: [Instant; NetworkId::LIMIT],
    turn: usize,
}

/// Which networks reach every daemon that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Each of these does.
    Each(Networks),
    /// Only all of these together do.
    Together(Networks),
}

/// How long a network is passed over after it reaches all again.
const HOLD: Duration = Duration::from_secs(1);

impl Chooser {
    pub(in crate::multipath) fn new(policy: Policy, networks: u8) -> Chooser {
        let all = Networks::first(networks);
        let priorities = [0; NetworkId::LIMIT];
        Chooser {
            policy,
            networks,
            all,
            priorities,
            reach: Reach::Each(all),
            held: [Instant::ZERO; NetworkId::LIMIT],
            turn: 0,
        }
    }

    pub(in crate::multipath) fn policy(&self) -> Policy {
        self.policy
    }

    /// By network.
    pub(in crate::multipath) fn priorities(&self) -> &[u8] {
        &self.priorities[..usize::from(self.networks)]
    }

    pub(in crate::multipath) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(in crate::multipath) fn set_priorities(&mut self, priorities: &[u8]) {
        self.priorities = [0; NetworkId::LIMIT];
        self.priorities.iter_mut().zip(priorities).for_each(|(ours, &new)| *ours = new);
    }

    /// Switches a network on or off. False if there is no such network or it is the last one that is on.
    pub(in crate::multipath) fn set_enabled(&mut self, network: NetworkId, enabled: bool) -> bool {
        let one = if network.0 < self.networks { Networks::from(network) } else { Networks::NONE };
        let all = if enabled { self.all | one } else { self.all - one };
        // The last network stays on: a daemon that sends nothing is lost to the others, and could not receive the command to send again.
        if one.is_empty() || all.is_empty() {
            return false;
        }
        self.all = all;
        // Assumed until the paths are measured again.
        self.reach = Reach::Each(all);
        true
    }

    /// The networks have other numbers, and others come. Data goes on those that stay, until others are known to reach all.
    pub(in crate::multipath) fn adopt(&mut self, now: Instant, moves: &Moves<'_>) {
        let (new, kept) = (moves.new_networks(), moves.set(self.all));
        let before = moves.links(self.held.to_vec(), || now + HOLD);
        self.held = std::array::from_fn(|network| before.get(network).copied().unwrap_or(Instant::ZERO));
        self.networks = moves.network_count();
        let all = new | kept;
        // If all networks that stay were off, they are switched on, because there are no others.
        self.all = if all.is_empty() { Networks::first(self.networks) } else { all };
        self.reach = Reach::Each(if kept.is_empty() { self.all } else { kept });
    }

    /// The networks that are switched on.
    pub(in crate::multipath) fn all(&self) -> Networks {
        self.all
    }

    /// Learns on which networks each living daemon is reached. A daemon that no network reaches is reached through a relay.
    pub(in crate::multipath) fn learn(&mut self, now: Instant, reached: impl Iterator<Item = Networks> + Clone) {
        let all = self.all;
        let reached = reached.map(|networks| networks & all).filter(|networks| !networks.is_empty());
        let each = reached.clone().fold(all, |each, networks| each & networks);
        for network in (self.all - each).iter() {
            // A network that comes and goes would take data with it each time, so it is passed over for a while longer.
            self.held[usize::from(network.0)] = now + HOLD;
        }
        let lasting: Networks = each.iter().filter(|network| self.held[usize::from(network.0)] <= now).collect();
        self.reach = match (lasting.is_empty(), each.is_empty()) {
            (false, _) => Reach::Each(lasting),
            (true, false) => Reach::Each(each),
            (true, true) => Reach::Together(cover(reached)),
        };
    }

    /// The networks for the next data packet.
    pub(in crate::multipath) fn choose(&mut self) -> Networks {
        let usable = match self.reach {
            Reach::Each(usable) => usable,
            // No single network reaches all, so a choice among them would leave somebody out.
            Reach::Together(networks) if self.policy != Policy::Active => return networks,
            Reach::Together(_) => self.all,
        };
        match self.policy {
            // Faulty networks too: they cost a copy, and carry data again the moment that they heal.
            Policy::Active => self.all,
            // A packet that is sent on no network would only come by retransmission.
            Policy::Copies(count) => self.in_turn(usable, count.max(1)),
            Policy::Passive => self.in_turn(usable, 1),
            Policy::Primary => self.preferred(usable).take(1).collect(),
        }
    }

    fn preferred(&self, networks: Networks) -> impl Iterator<Item = NetworkId> + use<> {
        let mut networks: Vec<NetworkId> = networks.iter().collect();
        // A stable sort, so the lowest network comes first among equals.
        networks.sort_by_key(|network| Reverse(self.priorities[usize::from(network.0)]));
        networks.into_iter()
    }

    fn in_turn(&mut self, usable: Networks, count: u8) -> Networks {
        self.turn += 1;
        let len = usable.len();
        usable.iter().cycle().skip(self.turn % len).take(usize::from(count).min(len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_read_as_it_is_written() {
        for word in Policy::WORDS {
            for copies in [None, Some(2)].into_iter().filter(|copies| copies.is_none() || Policy::takes_copies(word)) {
                let policy = Policy::from_words(word, copies).unwrap();
                let written = copies.map_or_else(|| word.to_owned(), |copies| format!("{word} {copies}"));
                assert_eq!(policy.to_string(), written);
                assert!(policy.explain(3, &[2, 0, 1]).starts_with(word));
            }
        }
        assert_eq!(Policy::from_words("passive", Some(2)), None);
        assert_eq!(Policy::from_words("both", None), None);
    }

    /// What is chosen at a time when daemons are reached on these networks.
    fn chosen_at(chooser: &mut Chooser, millis: u64, reached: &[u8], count: usize) -> Vec<Vec<u8>> {
        let reached = reached.iter().map(|&bits| Networks::from_bits(bits));
        chooser.learn(Instant::from_millis(millis), reached);
        (0..count).map(|_| chooser.choose().iter().map(|network| network.0).collect()).collect()
    }

    fn chosen(policy: Policy, reached: &[u8], count: usize) -> Vec<Vec<u8>> {
        chosen_at(&mut Chooser::new(policy, 3), 0, reached, count)
    }

    #[test]
    fn active_takes_all_networks_whatever_they_reach() {
        assert_eq!(chosen(Policy::Active, &[2], 2), [[0, 1, 2], [0, 1, 2]]);
        assert_eq!(chosen(Policy::Active, &[1, 2], 1), [[0, 1, 2]]);
    }

    #[test]
    fn passive_takes_networks_that_reach_all_in_turn() {
        assert_eq!(chosen(Policy::Passive, &[], 4), [[1], [2], [0], [1]]);
        assert_eq!(chosen(Policy::Passive, &[5, 7], 3), [[2], [0], [2]]);
    }

    #[test]
    fn copies_take_so_many_and_no_more_than_there_are() {
        assert_eq!(chosen(Policy::Copies(2), &[7], 3), [[1, 2], [0, 2], [0, 1]]);
        assert_eq!(chosen(Policy::Copies(2), &[2], 2), [[1], [1]]);
        assert_eq!(chosen(Policy::Copies(0), &[1], 1), [[0]]);
    }

    #[test]
    fn primary_takes_the_first_network_that_reaches_all() {
        assert_eq!(chosen(Policy::Primary, &[7], 2), [[0], [0]]);
        assert_eq!(chosen(Policy::Primary, &[7, 6], 1), [[1]]);
        assert_eq!(chosen(Policy::Primary, &[7, 0], 1), [[0]], "a daemon that no network reaches does not count");
    }

    #[test]
    fn if_no_network_reaches_all_data_goes_on_as_many_as_it_takes() {
        for policy in [Policy::Primary, Policy::Passive, Policy::Copies(1)] {
            assert_eq!(chosen(policy, &[1, 6, 2], 2), [[0, 1], [0, 1]]);
        }
    }

    #[test]
    fn priorities_say_which_network_is_first() {
        let mut chooser = Chooser::new(Policy::Primary, 3);
        chooser.set_priorities(&[1, 5, 5, 9, 9, 9, 9, 9, 9]);
        assert_eq!(chosen_at(&mut chooser, 0, &[7], 1), [[1]]);
        assert_eq!(chosen_at(&mut chooser, 10, &[5], 1), [[2]]);
        assert_eq!(chosen_at(&mut chooser, 20, &[1], 1), [[0]]);
        chooser.set_priorities(&[]);
        assert_eq!(chosen_at(&mut chooser, 5000, &[7], 1), [[0]]);
    }

    #[test]
    fn a_network_that_is_switched_off_carries_nothing_but_the_last_one_stays() {
        let mut chooser = Chooser::new(Policy::Active, 2);
        assert!(chooser.set_enabled(NetworkId(0), false));
        assert_eq!(chosen_at(&mut chooser, 0, &[3], 1), [[1]]);
        assert!(!chooser.set_enabled(NetworkId(1), false) && !chooser.set_enabled(NetworkId(2), true));
        assert!(chooser.set_enabled(NetworkId(0), false), "it is already");
        assert!(chooser.set_enabled(NetworkId(0), true));
        assert_eq!(chosen_at(&mut chooser, 10, &[3], 1), [[0, 1]]);
    }

    #[test]
    fn a_network_that_comes_back_must_last_before_it_is_used() {
        let mut chooser = Chooser::new(Policy::Primary, 2);
        assert_eq!(chosen_at(&mut chooser, 0, &[3, 3], 1), [[0]]);
        assert_eq!(chosen_at(&mut chooser, 100, &[3, 2], 1), [[1]]);
        assert_eq!(chosen_at(&mut chooser, 1099, &[3, 3], 1), [[1]]);
        assert_eq!(chosen_at(&mut chooser, 1100, &[3, 3], 1), [[0]]);
        assert_eq!(chosen_at(&mut chooser, 1200, &[3, 2], 1), [[1]]);
        assert_eq!(chosen_at(&mut chooser, 1300, &[1, 1], 1), [[0]], "there is nothing better");
    }
}
