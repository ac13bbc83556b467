//! Which networks carry a packet, which copy of it counts, and what is known of each path; without I/O.
//!
//! First copy wins: every packet has a counter that its copies on all networks share, and `duplicates` lets each counter through
//! once. That is safe for data and tokens alike because the ring itself accepts a number and a hop once; here the later copies
//! only die earlier, before their body is looked at. No copy is ever waited for, so a dead or slow network delays nothing.
//!
//! Tokens, joins, form tokens and probes always travel on every network; data follows the policy. Whom a packet is from is what
//! its header says, never its source address.
//!
//! Where no network leads from one daemon to another, a third one relays: see [`relay`].

mod duplicates;
mod lives;
mod networks;
mod paths;
mod policy;
mod relay;
mod table;

use std::collections::{BTreeMap, VecDeque};

pub use networks::Networks;
pub use paths::{Path, PathState};
pub use policy::Policy;

use crate::time::Instant;
use crate::wire::{DaemonId, Header, Incarnation, NetworkId, PacketKind, Reader, Slice, Way};
use lives::Lives;
use paths::Paths;
use policy::Chooser;
use relay::Relay;
use table::Table;

/// How a daemon's networks are set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// This daemon.
    pub me: DaemonId,
    /// This life of it.
    pub incarnation: Incarnation,
    /// All daemons, this one included.
    pub daemons: Vec<DaemonId>,
    /// Digest of the membership table: packets of another table are dropped and counted.
    pub system: u32,
    /// How many networks there are, 1 to [`NetworkId::LIMIT`].
    pub networks: u8,
    /// Which of them carry data.
    pub policy: Policy,
}

/// A datagram to send: header and body, one after the other.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The network it must leave on.
    pub network: NetworkId,
    /// One daemon, or every other daemon of the network. Whom the packet is for in the end is what its header says.
    pub to: Option<DaemonId>,
    /// The packet header, made for this network.
    pub header: Vec<u8>,
    /// The body, shared by the copies on other networks.
    pub body: Slice,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What it is.
    pub kind: PacketKind,
    /// Whom it is for; `None` for all others.
    pub to: Option<DaemonId>,
    /// It was sent before, and somebody seems to lack it.
    pub again: bool,
    /// Its bytes.
    pub body: Slice,
}

/// The networks of one daemon and what it knows of the others on them.
#[derive(Debug)]
pub struct Multipath {
    incarnation: Incarnation,
    system: u32,
    table: Table,
    chooser: Chooser,
    /// The last counter used for each destination.
    counters: BTreeMap<Option<DaemonId>, u64>,
    /// By the daemon's number.
    lives: Vec<Lives>,
    paths: Paths,
    relay: Relay,
    transmits: VecDeque<Transmit>,
    stats: Stats,
}

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
    /// Packets that were relayed for others.
    pub relayed: u64,
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
    /// The networks of a daemon as it starts.
    pub fn new(config: Config) -> Multipath {
        let table = Table::new(config.me, &config.daemons);
        let others = config.daemons.iter().copied().filter(|&daemon| daemon != config.me);
        Multipath {
            incarnation: config.incarnation,
            system: config.system,
            chooser: Chooser::new(config.policy, config.networks),
            counters: BTreeMap::new(),
            lives: table.others().map(|_| Lives::default()).chain([Lives::default()]).collect(),
            paths: Paths::new(others, config.networks),
            relay: Relay::new(&table),
            table,
            transmits: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// A datagram arrived. Its header and body if it is the first copy of a packet for us.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) -> Option<(Header, Slice)> {
        let header = match Header::decode(&mut Reader::new(datagram)) {
            Ok(header) => header,
            Err(error) => {
                tracing::debug!(%error, ?network, "not a packet");
                self.stats.malformed += 1;
                return None;
            }
        };
        let sender = self.admit(&header)?;
        let body = datagram.tail(Header::SIZE);
        if header.network != network {
            self.stats.crossed += 1;
        }
        if header.destination.is_some_and(|to| self.table.number(to) != Some(self.table.me())) {
            if header.way == Way::Direct {
                self.paths.heard(now, header.sender, network, false);
            }
            self.pass_on(sender, &header, &body);
            return None;
        }
        let Some(first) = self.lives[sender].is_first(&header) else {
            self.stats.past_life += 1;
            return None;
        };
        if header.way == Way::Direct {
            self.paths.heard(now, header.sender, network, first);
        }
        if !first {
            self.stats.copies += 1;
            return None;
        }
        self.stats.first += 1;
        Some((header, body))
    }

    /// The body of a packet that was handed up made no sense.
    pub fn count_malformed(&mut self) {
        self.stats.malformed += 1;
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.chooser.set_policy(policy);
    }

    /// Sends a packet on the networks that are to carry it.
    pub fn send(&mut self, now: Instant, packet: Outgoing) {
        let Outgoing { kind, to, again, body } = packet;
        let counter = self.counters.entry(to).or_default();
        *counter += 1;
        let header = Header {
            kind,
            network: NetworkId(0),
            way: Way::Direct,
            sender: self.table.id(self.table.me()),
            destination: to,
            system: self.system,
            incarnation: self.incarnation,
            counter: *counter,
        };
        let networks = match kind {
            PacketKind::Data if !again => self.chooser.choose(self.paths.healthy(now)),
            _ => self.chooser.all(),
        };
        self.put(&header, &body, networks, to);
        if let Some(to) = to.filter(|_| again) {
            let lives = |number| self.paths.is_alive(now, self.table.id(number));
            if let Some(relay) = self.relay.around(&self.table, to, lives) {
                self.put(&header, &body, self.chooser.all(), Some(self.table.id(relay)));
            }
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What is known of every path at `now`.
    pub fn paths(&self, now: Instant) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter(now)
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The number of the sender of a packet that concerns us.
    fn admit(&mut self, header: &Header) -> Option<usize> {
        let sender = self.table.number(header.sender);
        let counter = match sender {
            _ if header.system != self.system => &mut self.stats.other_system,
            None => &mut self.stats.unknown_sender,
            Some(sender) if sender == self.table.me() => &mut self.stats.not_for_us,
            Some(_) => return sender,
        };
        *counter += 1;
        None
    }

    /// A packet for another daemon: its sender wants it relayed.
    fn pass_on(&mut self, sender: usize, header: &Header, body: &Slice) {
        let known = header.destination.and_then(|to| self.table.number(to)).is_some();
        if header.way != Way::Direct || !known {
            self.stats.not_for_us += 1;
        } else if self.relay.is_first(sender, header) {
            self.stats.relayed += 1;
            let header = Header { way: Way::Relayed, ..*header };
            self.put(&header, body, self.chooser.all(), header.destination);
        }
    }

    fn put(&mut self, header: &Header, body: &Slice, networks: Networks, to: Option<DaemonId>) {
        for network in networks.iter() {
            let header = Header { network, ..*header }.encode();
            self.transmits.push_back(Transmit { network, to, header, body: body.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);
    const C: DaemonId = DaemonId(3);

    fn daemon(me: DaemonId, incarnation: u64) -> Multipath {
        of_system(me, incarnation, 7)
    }

    fn of_system(me: DaemonId, incarnation: u64, system: u32) -> Multipath {
        let incarnation = Incarnation(incarnation);
        let daemons = [A, B, C].into_iter().chain([me]).collect();
        Multipath::new(Config { me, incarnation, daemons, system, networks: 2, policy: Policy::Active })
    }

    fn send(from: &mut Multipath, to: Option<DaemonId>, again: bool) -> Vec<Transmit> {
        let body = Slice::copy_from(b"body");
        from.send(Instant::ZERO, Outgoing { kind: PacketKind::Token, to, again, body });
        std::iter::from_fn(|| from.poll_transmit()).collect()
    }

    fn datagram(transmit: &Transmit) -> (NetworkId, Slice) {
        (transmit.network, Slice::from([&transmit.header[..], &transmit.body].concat()))
    }

    fn datagrams(from: &mut Multipath, to: Option<DaemonId>) -> Vec<(NetworkId, Slice)> {
        send(from, to, false).iter().map(datagram).collect()
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
        let other = datagrams(&mut a, Some(DaemonId(8)));
        assert!(!arrive(&mut b, &other[0]));
        let mut foreign = of_system(A, 1, 8);
        assert!(!arrive(&mut b, &datagrams(&mut foreign, None)[0]));
        let mut stranger = daemon(DaemonId(9), 1);
        assert!(!arrive(&mut b, &datagrams(&mut stranger, None)[0]));
        assert!(!arrive(&mut b, &(NetworkId(0), Slice::copy_from(b"junk"))));
        let stats = Stats { not_for_us: 2, other_system: 1, unknown_sender: 1, malformed: 1, ..Stats::default() };
        assert_eq!(b.stats(), &stats);
    }

    #[test]
    fn what_is_sent_again_takes_the_scenic_route_too() {
        let (mut a, mut b, mut c) = (daemon(A, 1), daemon(B, 1), daemon(C, 1));
        assert!(arrive(&mut a, &datagrams(&mut c, None)[0]));
        let sent = send(&mut a, Some(B), true);
        let places: Vec<(u8, Option<DaemonId>)> = sent.iter().map(|sent| (sent.network.0, sent.to)).collect();
        assert_eq!(places, [(0, Some(B)), (1, Some(B)), (0, Some(C)), (1, Some(C))]);
        assert!(sent[2..].iter().all(|sent| !arrive(&mut c, &datagram(sent))));
        let relayed: Vec<Transmit> = std::iter::from_fn(|| c.poll_transmit()).collect();
        assert!(relayed.iter().all(|sent| sent.to == Some(B)));
        assert_eq!((relayed.len(), c.stats().relayed), (2, 1), "once on each network, whatever the copies");
        assert!(arrive(&mut b, &datagram(&relayed[1])));
        assert!(!arrive(&mut b, &datagram(&sent[0])), "the direct copy is a copy");
    }

    #[test]
    fn what_was_relayed_is_not_relayed_again() {
        let (mut a, mut b, mut c) = (daemon(A, 1), daemon(B, 1), daemon(C, 1));
        assert!(arrive(&mut a, &datagrams(&mut c, None)[0]));
        let to_c = datagram(&send(&mut a, Some(B), true)[2]);
        assert!(!arrive(&mut c, &to_c));
        let relayed = datagram(&c.poll_transmit().unwrap());
        let mut astray = daemon(C, 2);
        assert!(!arrive(&mut astray, &relayed));
        assert!(astray.poll_transmit().is_none());
        assert!(b.paths(Instant::ZERO).all(|path| path.heard == 0));
        assert!(arrive(&mut b, &relayed));
        assert!(b.paths(Instant::ZERO).all(|path| path.heard == 0), "it says nothing about a path to us");
    }

    #[test]
    fn crossed_cables_are_counted() {
        let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
        let (_, datagram) = datagrams(&mut a, None).remove(0);
        assert!(arrive(&mut b, &(NetworkId(1), datagram)));
        assert_eq!(b.stats().crossed, 1);
    }
}
