//! Which networks carry a packet, which copy of it counts, and what is known of each path; without I/O.
//!
//! First copy wins: every packet has a counter that its copies on all networks share, and `duplicates` lets each counter through
//! once. That is safe for data and tokens alike because the ring itself accepts a number and a hop once; here the later copies
//! only die earlier, before their body is looked at. No copy is ever waited for, so a dead or slow network delays nothing.
//!
//! Tokens, joins, form tokens and probes always travel on every network; data follows the policy. Whom a packet is from is what
//! its header says, never its source address.

mod duplicates;
mod paths;
mod policy;

use std::collections::BTreeMap;

pub use paths::{Path, PathState};
pub use policy::Policy;

use crate::time::Instant;
use crate::wire::{DaemonId, Header, Incarnation, NetworkId, PacketKind, Reader, Slice};
use duplicates::Copies;
use paths::Paths;
use policy::Chooser;

/// The networks of one daemon and what it knows of the others on them.
#[derive(Debug)]
pub struct Multipath {
    me: DaemonId,
    incarnation: Incarnation,
    system: u32,
    chooser: Chooser,
    /// The last counter used for each destination.
    counters: BTreeMap<Option<DaemonId>, u64>,
    peers: BTreeMap<DaemonId, Peer>,
    paths: Paths,
    /// When the last datagram arrived. Silence on one network is told by what arrives on others.
    latest: Instant,
    stats: Stats,
}

/// What is known of another daemon: its lives, the present one first. Incarnations have no order, and a packet of an earlier life
/// may come late, even as the first one heard of that life. So a life is never over for good: it is the present one again with the
/// first packet whose counter is above all heard of it, and a daemon that lives soon sends such a packet.
#[derive(Debug, Default)]
struct Peer(Vec<Life>);

#[derive(Debug)]
struct Life {
    incarnation: Incarnation,
    to_all: Copies,
    to_me: Copies,
}

/// How many lives of a daemon are remembered.
const LIFE_LIMIT: usize = 8;

/// What arrived and what was dropped, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// First copies, handed up.
    pub first: u64,
    /// Later copies.
    pub copies: u64,
    /// Packets of an earlier life of their sender.
    pub past_life: u64,
    /// Packets for another daemon, or our own that came back.
    pub not_for_us: u64,
    /// Packets of another membership table.
    pub other_system: u64,
    /// Packets of a daemon that is not in the table.
    pub unknown_sender: u64,
    /// Packets that were sent on another network than they arrived on: crossed cables, or two networks that are one.
    pub crossed: u64,
    /// Bytes that are not a packet.
    pub malformed: u64,
}

impl Multipath {
    /// Daemon `me` in this life among `daemons`, on networks 0 to `networks - 1`, with the default policy.
    pub fn new(me: DaemonId, incarnation: Incarnation, system: u32, networks: u8, daemons: &[DaemonId]) -> Multipath {
        let others = daemons.iter().copied().filter(|&daemon| daemon != me);
        Multipath {
            me,
            incarnation,
            system,
            chooser: Chooser::new(Policy::default(), networks),
            counters: BTreeMap::new(),
            peers: BTreeMap::new(),
            paths: Paths::new(others, networks),
            latest: Instant::ZERO,
            stats: Stats::default(),
        }
    }

    /// A datagram arrived. Its header and body if it is the first copy of a packet for us.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) -> Option<(Header, Slice)> {
        self.latest = now;
        let header = match Header::decode(&mut Reader::new(datagram)) {
            Ok(header) => header,
            Err(error) => {
                tracing::debug!(%error, ?network, "not a packet");
                self.stats.malformed += 1;
                return None;
            }
        };
        if !self.is_for_us(&header) {
            return None;
        }
        if header.network != network {
            self.stats.crossed += 1;
        }
        let Some(copies) = self.peers.entry(header.sender).or_default().present(&header) else {
            self.stats.past_life += 1;
            return None;
        };
        let first = copies.is_first(header.counter);
        self.paths.heard(now, header.sender, network, first);
        if !first {
            self.stats.copies += 1;
            return None;
        }
        self.stats.first += 1;
        Some((header, datagram.tail(Header::SIZE)))
    }

    /// The body of a packet that was handed up made no sense.
    pub fn count_malformed(&mut self) {
        self.stats.malformed += 1;
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.chooser.set_policy(policy);
    }

    /// The headers with which a packet leaves: one for each network that carries it, the same counter in all. `again` says that
    /// it was sent before.
    pub fn route(
        &mut self,
        kind: PacketKind,
        to: Option<DaemonId>,
        again: bool,
    ) -> impl Iterator<Item = Header> + use<> {
        let counter = self.counters.entry(to).or_default();
        *counter += 1;
        let (sender, system, incarnation, counter) = (self.me, self.system, self.incarnation, *counter);
        let networks = match kind {
            PacketKind::Data if !again => self.chooser.choose(self.paths.healthy(self.latest)),
            _ => self.chooser.all(),
        };
        let header = move |network| Header { kind, network, sender, destination: to, system, incarnation, counter };
        networks.iter().map(header)
    }

    /// What is known of every path at `now`.
    pub fn paths(&self, now: Instant) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter(now)
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn is_for_us(&mut self, header: &Header) -> bool {
        let elsewhere = header.sender == self.me || header.destination.is_some_and(|to| to != self.me);
        let counter = if header.system != self.system {
            &mut self.stats.other_system
        } else if elsewhere {
            &mut self.stats.not_for_us
        } else if !self.paths.knows(header.sender) {
            &mut self.stats.unknown_sender
        } else {
            return true;
        };
        *counter += 1;
        false
    }
}

impl Peer {
    /// What was heard for this destination in the life that the header says, unless the packet is left over from an earlier life.
    fn present(&mut self, header: &Header) -> Option<&mut Copies> {
        let known = self.0.iter().position(|life| life.incarnation == header.incarnation);
        match known {
            Some(0) => {}
            Some(place) if self.0[place].copies(header).highest() >= header.counter => return None,
            Some(place) => self.0[..=place].rotate_right(1),
            None => {
                self.0.truncate(LIFE_LIMIT - 1);
                self.0.insert(0, Life::new(header.incarnation));
            }
        }
        self.0.first_mut().map(|life| life.copies(header))
    }
}

impl Life {
    fn new(incarnation: Incarnation) -> Life {
        Life { incarnation, to_all: Copies::default(), to_me: Copies::default() }
    }

    fn copies(&mut self, header: &Header) -> &mut Copies {
        if header.destination.is_none() { &mut self.to_all } else { &mut self.to_me }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);

    fn daemon(me: DaemonId, incarnation: u64) -> Multipath {
        Multipath::new(me, Incarnation(incarnation), 7, 2, &[A, B])
    }

    fn datagrams(from: &mut Multipath, to: Option<DaemonId>) -> Vec<(NetworkId, Slice)> {
        let datagram = |header: Header| (header.network, Slice::from([header.encode(), b"body".to_vec()].concat()));
        from.route(PacketKind::Token, to, false).map(datagram).collect()
    }

    fn arrive(at: &mut Multipath, (network, datagram): &(NetworkId, Slice)) -> bool {
        at.handle_datagram(Instant::ZERO, *network, datagram).is_some_and(|(_, body)| &body[..] == b"body")
    }

    #[test]
    fn the_first_copy_wins_whatever_the_network() {
        let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
        for winner in [0, 1] {
            let copies = datagrams(&mut a, Some(B));
            assert_eq!(copies.len(), 2);
            assert!(arrive(&mut b, &copies[winner]));
            assert!(!arrive(&mut b, &copies[1 - winner]));
        }
        assert_eq!((b.stats().first, b.stats().copies), (2, 2));
    }

    #[test]
    fn packets_that_do_not_concern_us_are_counted_by_reason() {
        let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
        let mine = datagrams(&mut b, None);
        assert!(!arrive(&mut b, &mine[0]));
        let other = datagrams(&mut a, Some(DaemonId(3)));
        assert!(!arrive(&mut b, &other[0]));
        let mut foreign = Multipath::new(A, Incarnation(1), 8, 2, &[A, B]);
        assert!(!arrive(&mut b, &datagrams(&mut foreign, None)[0]));
        let mut stranger = Multipath::new(DaemonId(9), Incarnation(1), 7, 2, &[A, B]);
        assert!(!arrive(&mut b, &datagrams(&mut stranger, None)[0]));
        assert!(!arrive(&mut b, &(NetworkId(0), Slice::copy_from(b"junk"))));
        let stats = Stats { not_for_us: 2, other_system: 1, unknown_sender: 1, malformed: 1, ..Stats::default() };
        assert_eq!(b.stats(), &stats);
    }

    #[test]
    fn a_life_that_is_over_is_not_heard_again() {
        let (mut old, mut new, mut b) = (daemon(A, 1), daemon(A, 2), daemon(B, 1));
        let late = datagrams(&mut old, None);
        assert!(arrive(&mut b, &datagrams(&mut old, None)[0]));
        assert!(arrive(&mut b, &datagrams(&mut new, None)[0]));
        assert!(!arrive(&mut b, &late[0]));
        assert!(arrive(&mut b, &datagrams(&mut new, None)[1]));
        assert_eq!(b.stats().past_life, 1);
    }

    #[test]
    fn a_late_packet_of_an_unknown_earlier_life_does_not_end_the_present_one() {
        let (mut old, mut new, mut b) = (daemon(A, 1), daemon(A, 2), daemon(B, 1));
        assert!(arrive(&mut b, &datagrams(&mut new, None)[0]));
        assert!(arrive(&mut b, &datagrams(&mut old, None)[0]));
        assert!(arrive(&mut b, &datagrams(&mut new, None)[0]));
        assert!(arrive(&mut b, &datagrams(&mut new, Some(B))[0]));
    }

    #[test]
    fn the_lives_of_a_daemon_that_are_remembered_are_bounded() {
        let mut b = daemon(B, 1);
        for life in 0..100 {
            assert!(arrive(&mut b, &datagrams(&mut daemon(A, life), None)[0]));
        }
        assert_eq!(b.peers[&A].0.len(), LIFE_LIMIT);
    }

    #[test]
    fn crossed_cables_are_counted() {
        let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
        let (_, datagram) = datagrams(&mut a, None).remove(0);
        assert!(arrive(&mut b, &(NetworkId(1), datagram)));
        assert_eq!(b.stats().crossed, 1);
    }
}
