//! Whole nodes on a bus without faults, with clients that speak the classic protocol.

use std::collections::VecDeque;

use super::*;
use crate::wire::{ByteOrder, PrivateName, Version};
use crate::wire::{ConnectRequest, FrameHeader, FrameType, Hint, Incarnation, MethodChoice, MethodName, Name};

struct Bus {
    now: Instant,
    nodes: Vec<Node>,
    flying: VecDeque<(usize, Transmit)>,
    /// What each client of each node received, as raw bytes.
    received: Vec<std::collections::BTreeMap<SessionId, Vec<u8>>>,
    closed: Vec<(usize, SessionId, EndReason)>,
}

fn config(me: u32, count: u32) -> Config {
    let daemons = (1..=count).map(DaemonId).collect();
    Config {
        ring: ring::Config::new(DaemonId(me), Incarnation(1), daemons),
        name: format!("d{me}"),
        networks: 2,
        policy: Policy::default(),
        system: 7,
        session: session::Config::default(),
        handshake_timeout: Duration::from_secs(10),
        seed: 1,
    }
}

impl Bus {
    fn new(count: u32) -> Bus {
        let node = |me| Node::new(config(me, count), Instant::ZERO).unwrap();
        let mut bus = Bus {
            now: Instant::ZERO,
            nodes: (1..=count).map(node).collect(),
            flying: VecDeque::new(),
            received: (0..count).map(|_| Default::default()).collect(),
            closed: Vec::new(),
        };
        (0..bus.nodes.len()).for_each(|at| bus.drain(at));
        bus.run(Duration::from_secs(1));
        bus
    }

    fn drain(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        while let Some(transmit) = node.poll_transmit() {
            self.flying.push_back((at, transmit));
        }
        while let Some(event) = node.poll_event() {
            match event {
                Event::Output(id) => {
                    let bytes: Vec<u8> = node.client_output(id).flat_map(|slice| slice.to_vec()).collect();
                    node.client_wrote(id, bytes.len());
                    self.received[at].entry(id).or_default().extend(bytes);
                }
                Event::Close { id, reason, rest } => {
                    let bytes = rest.iter().flat_map(|payload| payload.contiguous().to_vec());
                    self.received[at].entry(id).or_default().extend(bytes);
                    self.closed.push((at, id, reason));
                }
                Event::Configuration(_) => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            while let Some((from, transmit)) = self.flying.pop_front() {
                self.now += Duration::from_micros(10);
                let bytes = Slice::from([&transmit.header[..], &transmit.body].concat());
                for at in (0..self.nodes.len()).filter(|&at| at != from) {
                    self.nodes[at].handle_datagram(self.now, transmit.network, bytes.clone());
                    self.drain(at);
                }
            }
            let next = (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min();
            let Some((time, at)) = next.filter(|(time, _)| *time < end) else { break };
            self.now = self.now.max(time);
            self.nodes[at].handle_timeout(self.now);
            self.drain(at);
        }
        self.now = self.now.max(end);
    }

    fn input(&mut self, at: usize, id: u64, input: ClientInput<'_>) {
        self.nodes[at].handle_client(self.now, SessionId(id), input);
        self.drain(at);
    }

    fn hello(&mut self, at: usize, id: u64, name: &str) {
        self.input(at, id, ClientInput::Connected(Peer::Unix));
        let name = Some(PrivateName::new(name.as_bytes()).unwrap());
        let request = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name };
        self.input(at, id, ClientInput::Bytes(&request.encode()));
    }

    fn connect(&mut self, at: usize, id: u64, name: &str) {
        self.hello(at, id, name);
        self.input(at, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        let answer = self.take(at, id);
        let group = format!("#{name}#d{}", at + 1);
        assert!(answer.ends_with(group.as_bytes()), "{}", answer.escape_ascii());
    }

    fn take(&mut self, at: usize, id: u64) -> Vec<u8> {
        self.received[at].remove(&SessionId(id)).unwrap_or_default()
    }

    /// Client "c" writes a frame.
    fn say(&mut self, at: usize, id: u64, kind: FrameType, group: &str, body: &str) {
        let header = FrameHeader {
            kind,
            name: Name::private_group(b"c", format!("d{}", at + 1).as_bytes()).unwrap(),
            groups: 1,
            hint: Hint::new(0, ByteOrder::Little),
            data_len: body.len() as i32,
            order: ByteOrder::Little,
        };
        let group = Name::new(group.as_bytes()).unwrap();
        let frame = [&header.encode()[..], group.field(), body.as_bytes()].concat();
        self.input(at, id, ClientInput::Bytes(&frame));
    }
}

/// The frames in a client's bytes: type without marking, and body.
fn frames(mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<{ FrameHeader::SIZE }>() {
        let header = FrameHeader::decode(header);
        let groups = 32 * header.groups as usize;
        let body = &rest[groups..groups + header.data_len as usize];
        frames.push((header.kind.0, String::from_utf8_lossy(body).into_owned()));
        bytes = &rest[groups + header.data_len as usize..];
    }
    frames
}

#[test]
fn clients_at_three_daemons_see_the_same_messages_in_the_same_order() {
    let mut bus = Bus::new(3);
    for at in 0..3 {
        bus.connect(at, 1, "c");
        bus.say(at, 1, FrameType::JOIN, "g", "");
    }
    bus.run(Duration::from_secs(1));
    for at in 0..3 {
        let frames = frames(&bus.take(at, 1));
        assert_eq!(frames.last().map(|frame| frame.0), Some(0x1100), "the last view is a join");
    }
    for n in 0..30 {
        bus.say(n % 3, 1, FrameType::AGREED, "g", &n.to_string());
    }
    bus.run(Duration::from_secs(1));
    let first = frames(&bus.take(0, 1));
    assert_eq!(first.len(), 30);
    assert_eq!(frames(&bus.take(1, 1)), first);
    assert_eq!(frames(&bus.take(2, 1)), first);
}

#[test]
fn a_name_is_free_again_when_the_disconnection_is_ordered() {
    let mut bus = Bus::new(2);
    bus.connect(0, 1, "alice");
    bus.hello(0, 2, "alice");
    assert_eq!(bus.take(0, 2), [0xfa], "not unique");
    bus.connect(1, 1, "alice");
    bus.input(0, 1, ClientInput::Closed);
    bus.run(Duration::from_secs(1));
    bus.connect(0, 3, "alice");
}

#[test]
fn a_half_open_client_is_ended_and_its_name_freed() {
    let mut bus = Bus::new(1);
    bus.hello(0, 1, "alice");
    bus.run(Duration::from_secs(11));
    assert_eq!(bus.closed, [(0, SessionId(1), EndReason::HandshakeTimeout)]);
    bus.connect(0, 2, "alice");
}

#[test]
fn garbage_leads_to_a_count_and_nothing_else() {
    let mut bus = Bus::new(2);
    let junk = Slice::copy_from(&[7; 100]);
    bus.nodes[0].handle_datagram(bus.now, NetworkId(0), junk);
    assert_eq!(bus.nodes[0].multipath_stats().malformed, 1);
    bus.input(0, 9, ClientInput::Connected(Peer::Unix));
    bus.input(0, 9, ClientInput::Bytes(&[0xff; 64]));
    assert!(matches!(bus.closed[..], [(0, SessionId(9), EndReason::Refused(_))]));
    bus.connect(0, 10, "bob");
}

#[test]
fn the_quota_is_kept() {
    let mut bus = Bus::new(1);
    bus.nodes[0] =
        Node::new(Config { session: session::Config { quota: 1, ..Default::default() }, ..config(1, 1) }, bus.now)
            .unwrap();
    bus.connect(0, 1, "alice");
    bus.input(0, 2, ClientInput::Connected(Peer::Unix));
    assert_eq!(bus.take(0, 2), [0xfd]);
}
