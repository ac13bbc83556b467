//! The requirements of the Redundant Ring Protocol, section 4 (active replication) and 5 (passive replication), for what is between
//! the ring and its networks: two daemons on two networks, on which a datagram takes 1 ms.

use std::net::{IpAddr, Ipv4Addr};

use spread::multipath::{Attempt, Multipath, MultipathSettings, Outgoing, PathState, Policy, System};
use spread::seal::Keys;
use spread::wire::{Incarnation, NetworkId, PacketKind, Slice};

use super::*;

const MILLI: Duration = Duration::from_millis(1);

/// Two daemons, and which datagrams between them are lost: network, number of the datagram.
struct Pair {
    now: Instant,
    daemons: [Multipath; 2],
    lost: Box<dyn FnMut(u8, u64) -> bool>,
    datagrams: u64,
    flying: Vec<(usize, NetworkId, Slice)>,
    /// Bodies of data that the second daemon handed up.
    got: Vec<Slice>,
    /// Networks that carried data.
    carried: Vec<u8>,
}

fn pair(policy: Policy) -> Pair {
    let daemon = |me| {
        let settings = MultipathSettings {
            me,
            incarnation: Incarnation(u64::from(me.0)),
            daemons: vec![DaemonId(1), DaemonId(2)],
            sites: Vec::new(),
            system: System { digest: 7, parts: [0; 12] },
            networks: 2,
            policy,
            sources: Vec::new(),
            keys: Keys::NONE,
            longest: 1472,
            first_counter: 0,
        };
        Multipath::new(settings, Instant::ZERO)
    };
    let daemons = [1, 2].map(|id| daemon(DaemonId(id)));
    let lost = Box::new(|_, _| false);
    let mut pair = Pair {
        now: Instant::ZERO,
        daemons,
        lost,
        datagrams: 0,
        flying: Vec::new(),
        got: Vec::new(),
        carried: Vec::new(),
    };
    pair.run(500);
    pair
}

impl Pair {
    /// The first daemon sends data.
    fn send(&mut self, body: u8) {
        let body = Slice::copy_from(&[body]);
        self.daemons[0].send(self.now, Outgoing { kind: PacketKind::Data, to: None, attempt: Attempt::First, body });
        self.drain(0);
    }

    fn run(&mut self, millis: u32) {
        for _ in 0..millis {
            self.now += MILLI;
            for (to, network, bytes) in std::mem::take(&mut self.flying) {
                let from = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                let taken = self.daemons[to].handle_datagram(self.now, network, from, bytes);
                self.got.extend(taken.filter(|(header, _)| header.kind == PacketKind::Data).map(|(_, body)| body));
                self.drain(to);
            }
            for at in 0..2 {
                if self.daemons[at].poll_timeout().is_some_and(|due| due <= self.now) {
                    self.daemons[at].handle_timeout(self.now);
                    self.drain(at);
                }
            }
        }
    }

    fn drain(&mut self, from: usize) {
        while let Some(sent) = self.daemons[from].poll_transmit() {
            let bytes = Slice::from([&sent.header[..], &sent.body].concat());
            if bytes[3] == 1 {
                self.carried.push(sent.network.0);
            }
            self.datagrams += 1;
            if !(self.lost)(sent.network.0, self.datagrams) {
                self.flying.push((1 - from, sent.network, bytes));
            }
        }
    }

    fn state(&self, network: u8) -> PathState {
        self.daemons[1].paths().find(|path| path.network.0 == network && path.daemon == DaemonId(1)).unwrap().state
    }

    fn got(&self) -> Vec<u8> {
        self.got.iter().map(|body| body[0]).collect()
    }
}

/// A1: a packet is delivered once, when its first copy comes.
#[test]
fn rrp_a1_the_first_copy_is_delivered_and_no_other() {
    let mut pair = pair(Policy::Active);
    (0..10).for_each(|body| pair.send(body));
    pair.run(10);
    assert_eq!(pair.carried.len(), 20, "each packet on both networks");
    assert_eq!(pair.got(), (0..10).collect::<Vec<u8>>());
}

/// A4: a copy that is lost, and a network that dies, stop nothing.
#[test]
fn rrp_a4_one_copy_is_enough_whichever_network_dies() {
    for dead in [0, 1] {
        let mut pair = pair(Policy::Active);
        pair.lost = Box::new(move |network, _| network == dead);
        for body in 0..100 {
            pair.send(body);
            pair.run(20);
        }
        assert_eq!(pair.got(), (0..100).collect::<Vec<u8>>());
    }
}

/// A5 and P4: a network that fails for good is found, and no other.
#[test]
fn rrp_a5_p4_a_network_that_fails_for_good_is_found() {
    for policy in [Policy::Active, Policy::Passive] {
        let mut pair = pair(policy);
        assert_eq!([0, 1].map(|network| pair.state(network)), [PathState::Healthy; 2]);
        pair.lost = Box::new(|network, _| network == 1);
        pair.run(500);
        assert_eq!([0, 1].map(|network| pair.state(network)), [PathState::Healthy, PathState::Faulty]);
    }
}

/// A6 and P5: packets that are lost now and then do not make a network faulty.
#[test]
fn rrp_a6_p5_sporadic_loss_is_no_fault() {
    for policy in [Policy::Active, Policy::Passive] {
        let mut pair = pair(policy);
        pair.lost = Box::new(|_, datagram| datagram % 7 == 0);
        for _ in 0..300 {
            pair.run(10);
            assert_eq!([0, 1].map(|network| pair.state(network)), [PathState::Healthy; 2]);
        }
    }
}

/// Passive replication: one copy of each packet, on the networks in turn.
#[test]
fn rrp_passive_packets_take_the_networks_in_turn() {
    let mut pair = pair(Policy::Passive);
    (0..10).for_each(|body| pair.send(body));
    pair.run(10);
    assert_eq!(pair.carried.len(), 10);
    assert!(pair.carried.windows(2).all(|two| two[0] != two[1]), "{:?}", pair.carried);
    assert_eq!(pair.got().len(), 10);
}

/// P3: if a network dies, packets take the others as soon as that is known.
#[test]
fn rrp_p3_a_network_that_dies_carries_nothing_soon() {
    let mut pair = pair(Policy::Passive);
    pair.lost = Box::new(|network, _| network == 0);
    pair.run(500);
    pair.carried.clear();
    (0..10).for_each(|body| pair.send(body));
    pair.run(10);
    assert_eq!(pair.carried, [1; 10]);
    assert_eq!(pair.got(), (0..10).collect::<Vec<u8>>());
}
