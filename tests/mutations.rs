//! Recorded bytes, changed at random: whatever comes out, nothing panics, and whoever keeps to the protocol is served.
//!
//! The seed is fixed, so a failure repeats itself; the fuzz targets in `fuzz/` look further.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde_json::Value;
use spread::config::Live;
use spread::groups::SessionId;
use spread::multipath::System;
use spread::node::{ClientInput, Node, NodeEvent, NodeSettings};
use spread::ring::RingSettings;
use spread::rng::Rng;
use spread::seal::Keys;
use spread::session::{Peer, Request, Session, SessionSettings};
use spread::time::{Duration, Instant};
use spread::wire::{
    ByteOrder, DaemonId, FrameHeader, FrameType, Hint, Incarnation, MembershipBody, Name, NetworkId, Slice,
};

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What recorded clients sent, each a stream of frames.
fn recorded_streams() -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut streams = Vec::new();
    for file in files {
        let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for (_, session) in vectors["sessions"].as_object().into_iter().flatten() {
            let frames = session["frames"].as_array().unwrap().iter().filter(|frame| frame["dir"] == "client->daemon");
            streams.push(frames.map(|frame| unhex(frame["hex"].as_str().unwrap())).collect());
        }
    }
    assert!(streams.len() > 10, "the recorded sessions are there");
    streams
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Changes a few bytes, or cuts, repeats or swaps a stretch.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        let end = at + rng.below((bytes.len() - at).min(64) as u64 + 1) as usize;
        match rng.below(7) {
            0 => _ = bytes.drain(at..end),
            1 => bytes.extend_from_within(at..end),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            3 => bytes[at] ^= 1 << rng.below(8),
            4 => bytes[at..end].reverse(),
            5 => bytes.truncate(at),
            _ => bytes[at] = rng.next_u64() as u8,
        }
    }
}

/// A recorded stream in which some frames are changed, left out, or another session's.
fn mutated_stream(rng: &mut Rng, streams: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let one = &streams[rng.below(streams.len() as u64) as usize];
    let other = &streams[rng.below(streams.len() as u64) as usize];
    let mut bytes = Vec::new();
    for frame in one {
        let mut frame = frame.clone();
        match rng.below(10) {
            0 => frame.clear(),
            1 if !other.is_empty() => frame.clone_from(&other[rng.below(other.len() as u64) as usize]),
            2 | 3 => mutate(rng, &mut frame),
            _ => {}
        }
        bytes.extend(frame);
    }
    bytes
}

/// The stream in pieces of random size.
fn pieces<'a>(rng: &mut Rng, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let limit = if rng.chance(0.5) { bytes.len() } else { bytes.len().min(100) };
        let (piece, rest) = bytes.split_at(1 + rng.below(limit as u64) as usize);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[test]
fn a_session_goes_on_or_closes_whatever_its_client_sends() {
    let (streams, mut rng) = (recorded_streams(), Rng::new(1));
    let (mut open, mut closed) = (0, 0);
    for _ in 0..20_000 {
        let bytes = mutated_stream(&mut rng, &streams);
        let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
        let (mut ended, mut handed_out) = (false, 0);
        for piece in pieces(&mut rng, &bytes) {
            session.handle_bytes(piece);
            while let Some(request) = session.poll_request() {
                assert!(!ended, "{request:?} after the end");
                match request {
                    Request::Hello(hello) => {
                        let name = hello.name.as_ref().map_or(&b"r1"[..], |name| name.as_bytes());
                        session.admit(Name::private_group(name, b"localhost").unwrap());
                    }
                    Request::Authenticated => session.open(),
                    Request::Multicast { frame, .. } => handed_out += frame.len(),
                    Request::Kill | Request::Refused(_) | Request::Slow(_) | Request::Violation(_) => ended = true,
                    Request::Opened | Request::Check(_) | Request::Join(_) | Request::Leave(_) | Request::Denied(_) => {
                    }
                }
            }
        }
        assert!(handed_out <= bytes.len() && session.outbox().bytes() <= 1000);
        *(if ended { &mut closed } else { &mut open }) += 1;
    }
    assert!(open > 1000 && closed > 1000, "{open} open, {closed} closed: the changes are neither too few nor too many");
}

#[test]
fn a_header_means_the_same_in_both_byte_orders() {
    let mut rng = Rng::new(2);
    for _ in 0..100_000 {
        let random: [u8; FrameHeader::SIZE] = std::array::from_fn(|_| rng.next_u64() as u8);
        let read = FrameHeader::decode(&random);
        // Big-endian writers have no marking; their types do not use its bits.
        let kind = FrameType(read.kind.0 & !0x8000_0080);
        let header = FrameHeader { kind, order: ByteOrder::Little, ..read };
        assert_eq!(FrameHeader::decode(&header.encode()), header, "{random:?}");
        let big = [
            &kind.0.to_be_bytes()[..],
            header.name.field(),
            &header.groups.to_be_bytes(),
            &header.hint.0,
            &header.data_len.to_be_bytes(),
        ];
        let big = FrameHeader::decode(big.concat()[..].try_into().unwrap());
        assert_eq!(big, FrameHeader { order: ByteOrder::Big, ..header }, "{random:?}");
        let mess_type = rng.next_u64() as i16;
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let hint = Hint::new(mess_type, order);
            assert!((hint.mess_type(), hint.order(), hint.is_valid()) == (mess_type, order, true), "{hint:?}");
        }
    }
}

#[test]
fn a_membership_body_is_read_or_refused() {
    let mut rng = Rng::new(3);
    for _ in 0..20_000 {
        let mut body: Vec<u8> =
            (0..rng.below(200)).map(|_| if rng.chance(0.7) { 0 } else { rng.next_u64() as u8 }).collect();
        mutate(&mut rng, &mut body);
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let _ = MembershipBody::decode(&body, order);
        }
    }
}

/// Two daemons that hear each other, of which the first also hears what a `Noise` makes of the second's datagrams.
struct Pair {
    rng: Rng,
    now: Instant,
    nodes: [Node; 2],
    flying: VecDeque<(usize, Vec<u8>)>,
    /// How often a changed copy comes before a datagram.
    noise: f64,
    received: Vec<u8>,
}

/// The client that keeps to the protocol.
const GOOD: SessionId = SessionId(1);

fn node(me: u32) -> Node {
    let config = NodeSettings {
        ring: RingSettings::new(DaemonId(me), Incarnation(1), vec![DaemonId(1), DaemonId(2)]),
        name: format!("d{me}"),
        names: vec!["d1".into(), "d2".into()],
        sites: Vec::new(),
        sources: Vec::new(),
        keys: Keys::NONE,
        networks: 1,
        system: System { digest: 7, parts: [0; 12] },
        live: Live::default(),
        handshake_timeout: Duration::from_secs(10),
        seed: 1,
    };
    Node::new(config, Instant::ZERO).unwrap()
}

impl Pair {
    fn new(seed: u64, noise: f64) -> Pair {
        let nodes = [node(1), node(2)];
        let flying = VecDeque::new();
        let mut pair =
            Pair { rng: Rng::new(seed), now: Instant::ZERO, nodes, flying, noise: 0.0, received: Vec::new() };
        (0..2).for_each(|at| pair.drain(at));
        pair.run(Duration::from_secs(1));
        pair.client(GOOD, ClientInput::Connected(Peer::Unix));
        pair.client(GOOD, ClientInput::Bytes(b"\x04\x04\x00\x01\x04good"));
        let mut choice = [0; 90];
        choice[..4].copy_from_slice(b"NULL");
        pair.client(GOOD, ClientInput::Bytes(&choice));
        pair.client(GOOD, ClientInput::Bytes(&frame(FrameType::JOIN, b"")));
        pair.run(Duration::from_secs(1));
        pair.noise = noise;
        pair
    }

    fn client(&mut self, id: SessionId, input: ClientInput<'_>) {
        self.nodes[0].handle_client(self.now, id, input);
        self.drain(0);
    }

    fn drain(&mut self, at: usize) {
        while let Some(transmit) = self.nodes[at].poll_transmit() {
            self.flying.push_back((1 - at, [&transmit.header[..], &transmit.body].concat()));
        }
        while let Some(event) = self.nodes[at].poll_event() {
            if let NodeEvent::Output(id) = event {
                let bytes: Vec<u8> = self.nodes[at].client_output(id).flat_map(|slice| slice.to_vec()).collect();
                self.nodes[at].client_wrote(id, bytes.len());
                if (at, id) == (0, GOOD) {
                    self.received.extend(bytes);
                }
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            while self.now < end
                && let Some((at, datagram)) = self.flying.pop_front()
            {
                self.now += Duration::from_micros(50);
                if at == 0 && self.rng.chance(self.noise) {
                    let mut changed = datagram.clone();
                    mutate(&mut self.rng, &mut changed);
                    self.nodes[0].handle_datagram(self.now, NetworkId(0), SOMEWHERE, Slice::from(changed));
                    self.drain(0);
                }
                self.nodes[at].handle_datagram(self.now, NetworkId(0), SOMEWHERE, datagram.into());
                self.drain(at);
            }
            let next = (0..2).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min();
            let Some((time, at)) = next.filter(|(time, _)| *time < end) else { break };
            self.now = self.now.max(time);
            self.nodes[at].handle_timeout(self.now);
            self.drain(at);
        }
        self.now = self.now.max(end);
    }

    /// The good client gets what it sends to its group.
    fn expect_echo(&mut self, text: &[u8]) {
        self.client(GOOD, ClientInput::Bytes(&frame(FrameType::SAFE, text)));
        self.run(Duration::from_secs(10));
        assert!(self.received.ends_with(text), "{} is not there", text.escape_ascii());
        self.received.clear();
    }
}

/// A frame of the good client to its group.
fn frame(kind: FrameType, data: &[u8]) -> Vec<u8> {
    let name = Name::private_group(b"good", b"d1").unwrap();
    let hint = Hint::new(0, ByteOrder::Little);
    let header = FrameHeader { kind, name, groups: 1, hint, data_len: data.len() as i32, order: ByteOrder::Little };
    [&header.encode()[..], Name::new(b"good-group").unwrap().field(), data].concat()
}

#[test]
fn bad_clients_do_not_harm_a_good_one() {
    let (streams, mut pair) = (recorded_streams(), Pair::new(4, 0.0));
    for round in 0..100 {
        for number in 0..50 {
            let id = SessionId(2 + round * 50 + number);
            let bytes = mutated_stream(&mut pair.rng, &streams);
            pair.client(id, ClientInput::Connected(Peer::Unix));
            for piece in pieces(&mut pair.rng.fork(), &bytes) {
                pair.client(id, ClientInput::Bytes(piece));
            }
            pair.client(id, ClientInput::Closed);
        }
        pair.expect_echo(format!("round {round}").as_bytes());
    }
    assert_eq!(pair.nodes[0].sessions(), 1);
}

#[test]
fn datagrams_that_cannot_be_read_change_nothing() {
    let mut pair = Pair::new(5, 0.0);
    let configurations = pair.nodes[0].ring_stats().configurations;
    for round in 0..200 {
        pair.client(GOOD, ClientInput::Bytes(&frame(FrameType::AGREED, b"traffic")));
        let heard: Vec<Vec<u8>> = pair.flying.iter().map(|(_, datagram)| datagram.clone()).collect();
        for mut datagram in heard {
            // Another system, another version, or cut short: none of this can be ours.
            match round % 3 {
                0 => datagram[16] ^= 0x55,
                1 => datagram[2] += 1,
                _ => datagram.truncate(pair.rng.below(36) as usize),
            }
            pair.nodes[0].handle_datagram(pair.now, NetworkId(0), SOMEWHERE, datagram.clone().into());
            pair.nodes[1].handle_datagram(pair.now, NetworkId(0), SOMEWHERE, datagram.into());
        }
        pair.run(Duration::from_millis(100));
    }
    pair.expect_echo(b"the end");
    assert_eq!(pair.nodes[0].ring_stats().configurations, configurations);
}

#[test]
fn changed_datagrams_do_not_panic() {
    for seed in 0..100 {
        let mut pair = Pair::new(seed, 0.2);
        for _ in 0..20 {
            pair.client(GOOD, ClientInput::Bytes(&frame(FrameType::AGREED, b"traffic")));
            pair.run(Duration::from_millis(50));
        }
    }
}
