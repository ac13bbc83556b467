//! Two whole daemons with a client each, to whom anything happens: their datagrams come, are lost, repeated and changed, time passes,
//! clients send any bytes, and somebody who may have their key writes packets of his own. Nothing panics, and memory stays bounded.
#![no_main]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use spread::config::Live;
use spread::groups::SessionId;
use spread::multipath::System;
use spread::node::{ClientInput, Node, NodeEvent, NodeSettings};
use spread::ring::RingSettings;
use spread::seal::{Cipher, Key, Keys, LifeKey};
use spread::session::Peer;
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Head, Header, Incarnation, NetworkId, PacketKind, Protection, Slice, Way};

const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Datagrams on their way; further ones are lost.
const FLYING_LIMIT: usize = 64;
/// What happens at most, lest one input take long.
const STEP_LIMIT: usize = 400;

/// What happens is read from the input.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.byte().map_or(0, usize::from).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

struct World {
    now: Instant,
    nodes: [Node; 2],
    keys: Keys,
    flying: VecDeque<(usize, NetworkId, Vec<u8>)>,
    /// The counter of the last packet that somebody wrote.
    counter: u64,
}

fn key() -> Key {
    Key::new(Cipher::Aes256Gcm, [7; Key::SIZE])
}

fn node(me: u32, keys: Keys) -> Node {
    let mut ring = RingSettings::new(DaemonId(me), Incarnation(u64::from(me)), vec![DaemonId(1), DaemonId(2)]);
    ring.sequence_horizon = 1 << 40;
    let config = NodeSettings {
        ring,
        name: format!("d{me}"),
        names: vec!["d1".into(), "d2".into()],
        sites: Vec::new(),
        sources: Vec::new(),
        keys,
        networks: 2,
        system: System { digest: 7, parts: [0; 12] },
        live: Live::default(),
        handshake_timeout: Duration::from_secs(10),
        seed: u64::from(me),
    };
    Node::new(config, Instant::ZERO).expect("the settings are sound")
}

impl World {
    fn new(keys: Keys) -> World {
        let nodes = [1, 2].map(|me| node(me, keys.clone()));
        let mut world = World { now: Instant::ZERO, nodes, keys, flying: VecDeque::new(), counter: 0 };
        (0..2).for_each(|at| world.drain(at));
        world.run_until_ring_stands();
        for at in 0..2 {
            world.client(at, ClientInput::Connected(Peer::Unix));
            world.client(at, ClientInput::Bytes(b"\x04\x04\x00\x01\x04good"));
            let mut choice = [0; 90];
            choice[..4].copy_from_slice(b"NULL");
            world.client(at, ClientInput::Bytes(&choice));
        }
        world
    }

    fn client(&mut self, at: usize, input: ClientInput<'_>) {
        self.nodes[at].handle_client(self.now, SessionId(1), input);
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        while let Some(transmit) = node.poll_transmit() {
            if self.flying.len() < FLYING_LIMIT {
                self.flying.push_back((1 - at, transmit.network, [&transmit.header[..], &transmit.body].concat()));
            }
        }
        while let Some(event) = node.poll_event() {
            if let NodeEvent::Output(id) = event {
                let bytes = node.client_output(id).map(|slice| slice.len()).sum();
                node.client_wrote(id, bytes);
            }
        }
    }

    /// Everything comes and time passes until the ring stands.
    fn run_until_ring_stands(&mut self) {
        for _ in 0..200 {
            while let Some((at, network, bytes)) = self.flying.pop_front() {
                self.arrive(at, network, bytes);
            }
            self.wait(0);
            self.wait(1);
        }
    }

    fn arrive(&mut self, at: usize, network: NetworkId, bytes: Vec<u8>) {
        self.nodes[at].handle_datagram(self.now, network, SOMEWHERE, Slice::from(bytes));
        self.drain(at);
    }

    /// The next timer of a daemon is due.
    fn wait(&mut self, at: usize) {
        if let Some(due) = self.nodes[at].poll_timeout() {
            self.now = self.now.max(due);
            self.nodes[at].handle_timeout(self.now);
            self.drain(at);
        }
    }

    /// Somebody writes a packet in the other daemon's name.
    fn write(&mut self, at: usize, script: &mut Script<'_>) {
        let how = script.byte().unwrap_or_default();
        let kind = PacketKind::ALL[usize::from(how) % PacketKind::ALL.len()];
        let sender = DaemonId(2 - at as u32);
        let counter = match script.byte().unwrap_or_default() {
            255 => u64::MAX,
            step => self.counter + u64::from(step),
        };
        self.counter = counter.min(1 << 60);
        let mut header = Header {
            kind,
            network: NetworkId(how >> 3 & 1),
            protection: Protection::Plain,
            way: if how & 0x10 == 0 { Way::Direct } else { Way::Relayed },
            sender,
            destination: (how & 0x20 == 0).then_some(DaemonId(at as u32 + 1)),
            system: 7,
            incarnation: Incarnation(u64::from(sender.0) + u64::from(how >> 7)),
            counter,
        };
        let mut body = script.bytes().to_vec();
        let tag = self.keys.iter().next().filter(|_| how & 0x40 == 0).map(|key| {
            header.protection = Protection::Sealed(key.id().hint());
            LifeKey::derive(key, sender, header.incarnation).seal(&header, &mut body)
        });
        let datagram = [&Head::new(&header, tag.as_ref())[..], &body].concat();
        self.arrive(at, header.network, datagram);
    }

    fn step(&mut self, action: u8, script: &mut Script<'_>) {
        let at = usize::from(action >> 7);
        match action & 7 {
            0 | 1 => {
                if let Some((at, network, bytes)) = self.flying.pop_front() {
                    self.arrive(at, network, bytes);
                }
            }
            2 => _ = self.flying.pop_front(),
            3 => {
                if let Some((at, network, mut bytes)) = self.flying.front().cloned() {
                    let place = script.byte().map_or(0, usize::from) % bytes.len().max(1);
                    bytes[place] ^= script.byte().unwrap_or(1);
                    self.arrive(at, network, bytes);
                }
            }
            4 => self.wait(at),
            5 => self.client(at, ClientInput::Bytes(script.bytes())),
            6 => self.flying.rotate_left(usize::from(action >> 3 & 7).min(self.flying.len())),
            _ => self.write(at, script),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script(bytes);
    let Some(first) = script.byte() else { return };
    let keys: Keys = (first & 1 == 0).then(key).into_iter().collect();
    let mut world = World::new(keys);
    for _ in 0..STEP_LIMIT {
        let Some(action) = script.byte() else { break };
        world.step(action, &mut script);
    }
    assert!(world.nodes.iter().all(|node| node.client_stats().memory_bytes < 64 << 20));
});
