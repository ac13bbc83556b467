//! What comes in, what is handed up, and what goes out, at one daemon and at several.

use std::net::Ipv4Addr;

use super::*;
use crate::seal::Keys;
use crate::time::Duration;
use crate::wire::{Incarnation, Reader, Way};

mod deaths;
mod quiet;
mod sites;
mod strangers;

pub(super) const A: DaemonId = DaemonId(1);
pub(super) const B: DaemonId = DaemonId(2);
pub(super) const C: DaemonId = DaemonId(3);

/// Where datagrams come from, which nobody checks here.
pub(super) const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn daemon(me: DaemonId, incarnation: u64) -> Multipath {
    of_system(me, incarnation, 7)
}

fn of_system(me: DaemonId, incarnation: u64, digest: u32) -> Multipath {
    let incarnation = Incarnation(incarnation);
    let daemons = [A, B, C].into_iter().chain([me]).collect();
    let system = System { digest, parts: [0; 12] };
    let config = MultipathSettings { incarnation, system, policy: Policy::Active, ..config(me, daemons) };
    Multipath::new(config, Instant::ZERO)
}

/// A daemon of two networks without keys.
pub(super) fn config(me: DaemonId, daemons: Vec<DaemonId>) -> MultipathSettings {
    MultipathSettings {
        me,
        incarnation: Incarnation(1),
        daemons,
        sites: Vec::new(),
        system: System { digest: 7, parts: [0; 12] },
        networks: 2,
        policy: Policy::Primary,
        sources: Vec::new(),
        keys: Keys::NONE,
        longest: 1472,
        first_counter: 0,
    }
}

fn send(from: &mut Multipath, to: Option<DaemonId>, attempt: Attempt) -> Vec<Transmit> {
    let body = Slice::copy_from(b"body");
    from.send(Instant::ZERO, Outgoing { kind: PacketKind::Token, to, attempt, body });
    std::iter::from_fn(|| from.poll_transmit()).collect()
}

pub(super) fn datagram(transmit: &Transmit) -> (NetworkId, Slice) {
    (transmit.network, Slice::from([&transmit.header[..], &transmit.body].concat()))
}

fn datagrams(from: &mut Multipath, to: Option<DaemonId>) -> Vec<(NetworkId, Slice)> {
    send(from, to, Attempt::First).iter().map(datagram).collect()
}

fn arrive(at: &mut Multipath, (network, datagram): &(NetworkId, Slice)) -> bool {
    at.handle_datagram(Instant::ZERO, *network, SOMEWHERE, datagram.clone())
        .is_some_and(|(_, body)| &body[..] == b"body")
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
    assert_eq!(b.stats(), stats);
}

#[test]
fn what_is_sent_again_takes_the_scenic_route_too() {
    let (mut a, mut b, mut c) = (daemon(A, 1), daemon(B, 1), daemon(C, 1));
    assert!(arrive(&mut a, &datagrams(&mut c, None)[0]));
    let sent = send(&mut a, Some(B), Attempt::Again);
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
    let to_c = datagram(&send(&mut a, Some(B), Attempt::Again)[2]);
    assert!(!arrive(&mut c, &to_c));
    let relayed = datagram(&c.poll_transmit().unwrap());
    let mut astray = daemon(C, 2);
    assert!(!arrive(&mut astray, &relayed));
    assert!(astray.poll_transmit().is_none());
    assert!(b.paths().all(|path| path.heard == 0));
    assert!(arrive(&mut b, &relayed));
    assert!(b.paths().all(|path| path.heard == 0), "it says nothing about a path to us");
}

#[test]
fn crossed_cables_are_counted_and_say_nothing_about_a_path() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    let (_, datagram) = datagrams(&mut a, None).remove(0);
    assert!(arrive(&mut b, &(NetworkId(1), datagram)));
    assert_eq!(b.stats().crossed, 1);
    assert!(b.paths().all(|path| path.heard == 0));
}

/// Daemons 1, 2, 3, … on two networks, where a datagram takes 1 ms.
pub(super) struct Site {
    pub(super) daemons: Vec<Multipath>,
    pub(super) now: Instant,
    pub(super) flying: Vec<(usize, NetworkId, Slice)>,
    /// Links that carry nothing: network, from, to.
    pub(super) cut: Vec<(u8, u32, u32)>,
    /// Ports that nobody has: network, daemon.
    closed: Vec<(u8, u32)>,
    /// Word of that on its way: to whom, of whom.
    refusals: Vec<(usize, NetworkId, DaemonId)>,
    /// Who is dead as somebody says: by whom, who.
    deaths: Vec<(u32, u32)>,
    /// What was handed up: to whom, from whom.
    got: Vec<(u32, u32)>,
    /// Datagrams that were relayed, reports apart.
    relayed: usize,
    /// Datagrams that crossed to another site.
    crossing: usize,
    /// How often any daemon was woken, by what came or by its time.
    wakes: usize,
    /// Where the daemons are, unless all are at one site.
    sites: Vec<usize>,
}

impl Site {
    pub(super) fn new(daemons: u32) -> Site {
        Site::apart(daemons, &[])
    }

    /// Several sites in one.
    fn apart(daemons: u32, sites: &[usize]) -> Site {
        Site::with(daemons, sites, Keys::NONE)
    }

    /// Daemons with these keys.
    pub(super) fn sealed(daemons: u32, keys: Keys) -> Site {
        Site::with(daemons, &[], keys)
    }

    fn with(daemons: u32, sites: &[usize], keys: Keys) -> Site {
        let ids: Vec<DaemonId> = (1..=daemons).map(DaemonId).collect();
        let config = |me| MultipathSettings { sites: sites.to_vec(), keys: keys.clone(), ..config(me, ids.clone()) };
        let daemons = ids.iter().map(|&me| Multipath::new(config(me), Instant::ZERO)).collect();
        Site {
            daemons,
            now: Instant::ZERO,
            flying: Vec::new(),
            cut: Vec::new(),
            closed: Vec::new(),
            refusals: Vec::new(),
            deaths: Vec::new(),
            got: Vec::new(),
            relayed: 0,
            crossing: 0,
            wakes: 0,
            sites: sites.to_vec(),
        }
    }

    pub(super) fn run(&mut self, millis: u32) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            let mut woken = vec![false; self.daemons.len()];
            for (at, network, daemon) in std::mem::take(&mut self.refusals) {
                self.daemons[at].handle_refusal(self.now, network, daemon);
                self.drain(at);
            }
            for (to, network, bytes) in std::mem::take(&mut self.flying) {
                if let Some((header, _)) = self.daemons[to].handle_datagram(self.now, network, SOMEWHERE, bytes.clone())
                {
                    self.got.push((to as u32 + 1, header.sender.0));
                }
                woken[to] = true;
                self.drain(to);
            }
            for (at, woken) in woken.iter_mut().enumerate() {
                if self.daemons[at].poll_timeout().is_some_and(|at| at <= self.now) {
                    *woken = true;
                    self.daemons[at].handle_timeout(self.now);
                    self.drain(at);
                }
            }
            self.wakes += woken.into_iter().filter(|&woken| woken).count();
        }
    }

    pub(super) fn drain(&mut self, from: usize) {
        while let Some(dead) = self.daemons[from].poll_death() {
            self.deaths.push((from as u32 + 1, dead.0));
        }
        while let Some(transmit) = self.daemons[from].poll_transmit() {
            let (network, bytes) = datagram(&transmit);
            let header = Header::decode(&mut Reader::new(&bytes)).unwrap();
            self.crossing += usize::from(header.way == Way::Crossing);
            self.relayed += usize::from(header.way == Way::Relayed && header.kind != PacketKind::Report);
            for to in (0..self.daemons.len()).filter(|&to| to != from) {
                let meant = match transmit.to {
                    Some(id) => id.0 == to as u32 + 1,
                    None => self.sites.get(from) == self.sites.get(to),
                };
                let refused = transmit.to.is_some() && self.closed.contains(&(network.0, to as u32 + 1));
                if meant && refused {
                    self.refusals.push((from, network, DaemonId(to as u32 + 1)));
                }
                if meant && !self.cut.contains(&(network.0, from as u32 + 1, to as u32 + 1)) {
                    self.flying.push((to, network, bytes.clone()));
                }
            }
        }
    }

    /// Lets a daemon send, and says who got it, and how many datagrams were relayed for that.
    pub(super) fn send(&mut self, from: u32, kind: PacketKind, to: Option<u32>) -> (Vec<u32>, usize) {
        let packet = Outgoing { kind, to: to.map(DaemonId), attempt: Attempt::First, body: Slice::copy_from(b"body") };
        self.send_packet(from, packet)
    }

    /// Lets a daemon send data that was sent before.
    fn send_again(&mut self, from: u32) -> (Vec<u32>, usize) {
        let packet =
            Outgoing { kind: PacketKind::Data, to: None, attempt: Attempt::Again, body: Slice::copy_from(b"body") };
        self.send_packet(from, packet)
    }

    fn send_packet(&mut self, from: u32, packet: Outgoing) -> (Vec<u32>, usize) {
        (self.relayed, self.crossing) = (0, 0);
        self.daemons[from as usize - 1].send(self.now, packet);
        self.drain(from as usize - 1);
        self.got.clear();
        self.run(4);
        let mut who: Vec<u32> = self.got.iter().filter(|(_, sender)| *sender == from).map(|(to, _)| *to).collect();
        who.sort_unstable();
        (who, self.relayed)
    }

    pub(super) fn cut_between(&mut self, network: u8, one: u32, other: u32) {
        self.cut.extend([(network, one, other), (network, other, one)]);
    }

    pub(super) fn state(&self, at: u32, of: u32, network: u8) -> PathState {
        let path = |path: &Path| path.daemon.0 == of && path.network.0 == network;
        self.daemons[at as usize - 1].paths().find(path).unwrap().state
    }

    fn hears(&self, at: u32, by: u32, of: u32) -> Option<u8> {
        let mut known = self.daemons[at as usize - 1].matrix();
        known.find(|hearing| (hearing.by.0, hearing.of.0) == (by, of)).map(|hearing| hearing.networks.bits())
    }
}

#[test]
fn everybody_learns_who_hears_whom_and_how_well() {
    let mut site = Site::new(3);
    site.cut.push((1, 1, 2));
    site.run(400);
    for at in 1..=3 {
        assert_eq!((site.hears(at, 2, 1), site.hears(at, 1, 2), site.hears(at, 3, 1)), (Some(1), Some(3), Some(3)));
    }
    let faulty = site.daemons[1].paths().find(|path| path.daemon == A && path.network.0 == 1).unwrap();
    assert_eq!((faulty.state, faulty.heard, faulty.round_trip), (PathState::Faulty, 0, None));
    let good = site.daemons[1].paths().find(|path| path.daemon == C && path.network.0 == 0).unwrap();
    assert_eq!((good.state, good.loss, good.loss_there), (PathState::Healthy, Some(0), Some(0)));
    assert_eq!(good.round_trip, Some(Duration::from_millis(2)));
}

#[test]
fn a_cut_is_known_at_both_ends_and_data_avoids_the_network() {
    let mut site = Site::new(3);
    site.run(100);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3], 0));
    site.cut.push((0, 1, 3));
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2], 0), "the primary network does not reach all any more");
    site.run(300);
    assert_eq!((site.state(3, 1, 0), site.state(1, 3, 0)), (PathState::Faulty, PathState::Healthy));
    assert_eq!(site.hears(1, 3, 1), Some(2));
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3], 0));
    assert_eq!(site.send(2, PacketKind::Data, None), (vec![1, 3], 0));
}

#[test]
fn who_shares_no_network_hears_through_one_relay() {
    let mut site = Site::new(4);
    site.cut_between(0, 1, 2);
    site.cut_between(1, 1, 2);
    site.run(400);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3, 4], 1));
    assert_eq!(site.send(2, PacketKind::Join, None), (vec![1, 3, 4], 2));
    assert_eq!(site.send(1, PacketKind::Token, Some(2)), (vec![2], 2));
    assert_eq!(site.send(3, PacketKind::Data, None), (vec![1, 2, 4], 0));
    assert_eq!(site.daemons[3].stats().relayed, 0, "the lowest relays");
    site.daemons.truncate(3);
    site.cut.clear();
    site.run(1000);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3], 0), "nothing is relayed any more");
}

#[test]
fn a_ring_of_one_way_links_is_enough() {
    let mut site = Site::new(3);
    for network in 0..2 {
        site.cut.extend([(network, 2, 1), (network, 3, 2), (network, 1, 3)]);
    }
    site.run(3000);
    for from in 1..=3 {
        assert_eq!(site.send(from, PacketKind::Data, None).0.len(), 2, "daemon {from} reaches all");
        let next = from % 3 + 1;
        assert_eq!(site.send(next, PacketKind::Token, Some(from)).0, [from]);
    }
}

#[test]
fn a_daemon_that_is_alone_is_quiet() {
    let mut site = Site::new(2);
    site.daemons.truncate(1);
    let before = site.now;
    site.run(1000);
    assert_eq!(site.now.since(before), Duration::from_secs(1));
    site.run(5000);
    let before = site.daemons[0].outbound.counted(None);
    site.run(10_000);
    let counted = site.daemons[0].outbound.counted(None) - before;
    assert!((9..=11).contains(&counted), "{counted}");
    let table = MultipathSettings { networks: 1, ..config(A, vec![A]) };
    assert_eq!(Multipath::new(table, Instant::ZERO).poll_timeout(), None);
}

impl Site {
    fn events(&mut self, at: u32) -> Vec<String> {
        let daemon = &mut self.daemons[at as usize - 1];
        std::iter::from_fn(|| daemon.poll_notice()).map(|event| event.to_string()).collect()
    }
}

#[test]
fn a_network_that_is_switched_off_is_no_fault_to_the_others() {
    let mut site = Site::new(2);
    site.run(100);
    assert!(site.daemons[0].set_network_enabled(site.now, NetworkId(1), false));
    site.run(600);
    assert_eq!((site.state(2, 1, 1), site.state(1, 2, 1)), (PathState::Off, PathState::Healthy));
    assert_eq!(
        site.events(2),
        ["0.0.0.1 on network 0: healthy, was silent", "0.0.0.1 on network 1: healthy, was silent"]
    );
    assert!(!site.daemons[0].set_network_enabled(site.now, NetworkId(0), false), "the last one stays");
    site.run(600);
    assert_eq!(site.events(2), ["0.0.0.1 on network 1: off, was healthy"]);
    let sent = send(&mut site.daemons[0], Some(B), Attempt::First);
    assert_eq!(sent.iter().map(|sent| sent.network.0).collect::<Vec<_>>(), [0]);
    assert!(site.daemons[0].set_network_enabled(site.now, NetworkId(1), true));
    site.run(1500);
    assert_eq!(site.state(2, 1, 1), PathState::Healthy);
    assert!(site.events(2).contains(&"0.0.0.1 on network 1: healthy, was off".to_string()));
}

#[test]
fn priorities_and_policy_change_at_run_time() {
    let mut site = Site::new(2);
    site.run(100);
    assert_eq!(carriers(&mut site, 0), [0]);
    site.daemons[0].set_priorities(&[1, 2]);
    assert_eq!(carriers(&mut site, 0), [1]);
    site.daemons[0].set_policy(Policy::Active);
    assert_eq!(carriers(&mut site, 0), [0, 1]);
}

/// The networks on which a daemon sends data now.
fn carriers(site: &mut Site, from: usize) -> Vec<u8> {
    let packet =
        Outgoing { kind: PacketKind::Data, to: None, attempt: Attempt::First, body: Slice::copy_from(b"body") };
    site.daemons[from].send(site.now, packet);
    std::iter::from_fn(|| site.daemons[from].poll_transmit()).map(|sent| sent.network.0).collect()
}

#[test]
fn data_fails_over_to_the_next_priority_at_once_and_back_after_a_while() {
    let mut site = Site::new(3);
    site.daemons.iter_mut().for_each(|daemon| daemon.set_priorities(&[3, 7]));
    site.run(100);
    let lasts = |site: &mut Site, from: usize, carrier: u8| {
        let waits = (0..100).take_while(|_| {
            site.run(50);
            carriers(site, from) == [carrier]
        });
        50 * waits.count()
    };
    let mut backs = Vec::new();
    for _ in 0..4 {
        assert_eq!(carriers(&mut site, 0), [1]);
        site.cut = vec![(1, 1, 2), (1, 2, 1)];
        assert!(lasts(&mut site, 0, 1) <= 250, "one daemon is out of its reach");
        assert_eq!(carriers(&mut site, 2), [1], "the third daemon still reaches all on it");
        site.cut.clear();
        backs.push(lasts(&mut site, 0, 0));
    }
    assert!(backs[0] >= 1000, "{backs:?}");
    assert!(backs.is_sorted() && backs[3] >= backs[0] + 500, "it waits longer each time: {backs:?}");
}

#[test]
fn crossed_cables_another_configuration_and_a_second_self_are_told() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    let (_, crossed) = datagrams(&mut a, None).remove(0);
    arrive(&mut b, &(NetworkId(1), crossed));
    let mut foreign = of_system(C, 1, 8);
    foreign.handle_timeout(Instant::ZERO);
    arrive(&mut b, &datagram(&foreign.poll_transmit().unwrap()));
    let mut second = daemon(B, 2);
    for seconds in 0..5 {
        let (network, bytes) = datagrams(&mut second, None).remove(0);
        b.handle_datagram(Instant::from_millis(1000 * seconds), network, SOMEWHERE, bytes.clone());
    }
    let differs = Notice::OtherTable { daemon: C, differs: Differs::between([0; 12], [0; 12]) };
    let other = Host { life: Incarnation(2), address: Some(SOMEWHERE) };
    let second = Notice::SecondSelf { network: NetworkId(0), life: Incarnation(1), other };
    let crossed = Notice::Crossed { daemon: A, sent: NetworkId(0), came: NetworkId(1) };
    let events: Vec<Notice> = std::iter::from_fn(|| b.poll_notice()).collect();
    assert_eq!(events, [crossed, differs, second]);
}

#[test]
fn a_copy_that_comes_the_same_way_again_says_nothing_about_a_path() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    let copies = datagrams(&mut a, None);
    assert!(arrive(&mut b, &copies[0]));
    for _ in 0..5 {
        assert!(!arrive(&mut b, &copies[0]));
    }
    assert!(!arrive(&mut b, &copies[1]));
    let heard: Vec<u64> = b.paths().filter(|path| path.daemon == A).map(|path| path.heard).collect();
    assert_eq!((heard, b.stats().repeated, b.stats().copies), (vec![1, 1], 5, 1));
}
