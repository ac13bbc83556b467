//! The hot paths of the core as pieces of work that can be timed and counted: whole nodes in memory, without sockets or clocks.
//!
//! What is set up first does not count; a run does the same work each time, so that instructions can be compared between builds.
//! Packets come from nodes that really talk, so no scenario knows their layout.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use spread::config::Settings;
use spread::daemon::Options;
use spread::groups::SessionId;
use spread::node::{ClientInput, Node, NodeEvent, Transmit};
use spread::session::Peer;
use spread::time::Instant;
use spread::wire::{
    ByteOrder, ConnectRequest, DecodeError, FrameHeader, FrameType, Header, Hint, Incarnation, MethodChoice,
    MethodName, Name, Packet, PacketKind, PathReport, PrivateName, Reader, Slice, Version,
};

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The scenarios by name.
pub const NAMES: [&str; 5] = ["codec", "duplicates", "groups", "losses", "ring"];

/// Messages of one run.
const MESSAGES: usize = 200;
/// Bytes of a message.
const BODY: usize = 1200;
/// Groups of the scenario that looks them up.
const GROUPS: usize = 500;

/// What a run does.
enum Work {
    /// Takes captured packets apart and puts them together again.
    Codec(Vec<Slice>),
    /// A node gets later copies of what it knows.
    Duplicates(Bus, Vec<Transmit>),
    /// Messages go round.
    Traffic { bus: Bus, frames: Vec<(usize, Vec<u8>)> },
}

/// A piece of work that is set up.
pub struct Scenario(Work);

impl Scenario {
    /// Sets up the scenario of this name.
    pub fn new(name: &str) -> Scenario {
        Scenario(match name {
            "codec" => Work::Codec(captured().1.iter().map(datagram).collect()),
            "duplicates" => {
                let (bus, captured) = captured();
                Work::Duplicates(bus, captured.into_iter().filter(|transmit| transmit.network.0 == 1).collect())
            }
            "groups" => groups(),
            "losses" => traffic(2, Some(7)),
            "ring" => traffic(3, None),
            other => panic!("there is no scenario {other}"),
        })
    }

    /// Does the work once; returns a number that depends on all of it.
    pub fn run(&mut self) -> usize {
        match &mut self.0 {
            Work::Codec(datagrams) => datagrams.iter().map(recode).sum(),
            Work::Duplicates(bus, copies) => {
                copies.iter().for_each(|copy| bus.deliver(1, copy));
                copies.len()
            }
            Work::Traffic { bus, frames } => {
                let before = bus.received;
                for (at, frame) in frames {
                    bus.input(*at, ClientInput::Bytes(frame));
                    bus.carry_all();
                }
                bus.run(Duration::from_millis(200));
                assert!(bus.received > before, "the messages are delivered");
                bus.received - before
            }
        }
    }
}

fn recode(datagram: &Slice) -> usize {
    let header = Header::decode(&mut Reader::new(datagram)).expect("a node made it");
    let body = match header.kind {
        PacketKind::Report => {
            let report = PathReport::decode(&datagram[Header::SIZE..]).expect("a node made it");
            report.encode().len()
        }
        kind => match Packet::decode(kind, &datagram.tail(Header::SIZE)) {
            Ok(packet) => packet.encode().len(),
            Err(error) => {
                assert_eq!(error, DecodeError::BadValue("kind"), "only packets that no ring reads have no body here");
                0
            }
        },
    };
    header.encode().len() + body
}

/// Two nodes after some traffic, and everything that the first one sent.
fn captured() -> (Bus, Vec<Transmit>) {
    let Work::Traffic { mut bus, frames } = traffic(2, None) else { unreachable!("traffic is traffic") };
    bus.tape = Some(Vec::new());
    for (at, frame) in frames.iter().take(MESSAGES / 4) {
        bus.input(*at, ClientInput::Bytes(frame));
    }
    bus.run(Duration::from_millis(100));
    let tape = bus.tape.take().unwrap_or_default();
    (bus, tape)
}

/// A client at each node, in one group, and messages of the first one.
fn traffic(nodes: usize, lose_every: Option<usize>) -> Work {
    let mut bus = Bus::new(nodes);
    (0..nodes).for_each(|at| bus.connect(at, at == 0));
    (0..nodes).for_each(|at| bus.send(at, FrameType::JOIN, "bench", &[]));
    bus.run(Duration::from_millis(100));
    bus.lose_every = lose_every;
    let frames = (0..MESSAGES).map(|_| (0, frame(0, FrameType::AGREED, "bench", &[7; BODY])));
    Work::Traffic { bus, frames: frames.collect() }
}

/// One node whose client is in many groups, and messages to each of them.
fn groups() -> Work {
    let mut bus = Bus::new(1);
    bus.connect(0, false);
    let name = |number: usize| format!("bench{number}");
    (0..GROUPS).for_each(|number| bus.send(0, FrameType::JOIN, &name(number), &[]));
    bus.run(Duration::from_millis(100));
    let frames = (0..MESSAGES).map(|number| (0, frame(0, FrameType::AGREED, &name(number * 2), b"short")));
    Work::Traffic { bus, frames: frames.collect() }
}

/// Nodes, and a bus on which everything arrives, or all but each n-th.
struct Bus {
    now: Instant,
    nodes: Vec<Node>,
    flying: VecDeque<(usize, Transmit)>,
    lose_every: Option<usize>,
    carried: usize,
    /// Bytes that clients got.
    received: usize,
    /// What the first node sent, while somebody wants to know.
    tape: Option<Vec<Transmit>>,
}

impl Bus {
    fn new(count: usize) -> Bus {
        let daemon = |at: usize| format!("n{at} 10.0.0.{0} {{ D 10.0.0.{0}  D 10.0.1.{0} }}\n", at + 1);
        let daemons: String = (0..count).map(daemon).collect();
        let text = format!("Spread_Segment 239.0.0.1 239.0.0.2 {{\n{daemons}}}");
        let settings = Settings::parse("scenario", text.as_bytes()).expect("it is sound");
        let node = |daemon| {
            let mut node = Options::from_settings(&settings, daemon).node;
            node.sources.clear();
            // Whatever differs from run to run.
            (node.seed, node.ring.incarnation, node.ring.sequence_floor) = (1, Incarnation(1), 1);
            Node::new(node, Instant::ZERO).expect("its settings are sound")
        };
        let nodes = settings.table.daemons.iter().map(node).collect();
        let flying = VecDeque::new();
        let mut bus = Bus { now: Instant::ZERO, nodes, flying, lose_every: None, carried: 0, received: 0, tape: None };
        (0..count).for_each(|at| bus.drain(at));
        bus.run(Duration::from_secs(2));
        bus
    }

    fn connect(&mut self, at: usize, membership: bool) {
        self.input(at, ClientInput::Connected(Peer::Unix));
        let name = Some(PrivateName::new(b"client").expect("short enough"));
        let request = ConnectRequest { version: Version::OURS, membership, priority: 0, name };
        self.input(at, ClientInput::Bytes(&request.encode()));
        self.input(at, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        self.run(Duration::from_millis(50));
    }

    fn send(&mut self, at: usize, kind: FrameType, group: &str, body: &[u8]) {
        self.input(at, ClientInput::Bytes(&frame(at, kind, group, body)));
        self.carry_all();
    }

    fn input(&mut self, at: usize, input: ClientInput<'_>) {
        self.nodes[at].handle_client(self.now, session(at), input);
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        while let Some(transmit) = node.poll_transmit() {
            if let Some(tape) = self.tape.as_mut().filter(|_| at == 0) {
                tape.push(transmit.clone());
            }
            self.flying.push_back((at, transmit));
        }
        while let Some(event) = node.poll_event() {
            if let NodeEvent::Output(id) = event {
                let length = node.client_output(id).map(|slice| slice.len()).sum();
                node.client_wrote(id, length);
                self.received += length;
            }
        }
    }

    /// Carries everything that is on its way.
    fn carry_all(&mut self) {
        while let Some((from, transmit)) = self.flying.pop_front() {
            self.now += Duration::from_micros(5);
            self.carried += 1;
            if self.lose_every.is_some_and(|n| self.carried.is_multiple_of(n)) {
                continue;
            }
            (0..self.nodes.len()).filter(|&at| at != from).for_each(|at| self.deliver(at, &transmit));
        }
    }

    fn deliver(&mut self, at: usize, transmit: &Transmit) {
        self.nodes[at].handle_datagram(self.now, transmit.network, SOMEWHERE, datagram(transmit));
        self.drain(at);
    }

    /// Carries everything, and lets timers expire for so long.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.carry_all();
            let next = (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min();
            let Some((time, at)) = next.filter(|(time, _)| *time < end) else { break };
            self.now = self.now.max(time);
            self.nodes[at].handle_timeout(self.now);
            self.drain(at);
        }
        self.now = self.now.max(end);
    }
}

fn session(at: usize) -> SessionId {
    SessionId(at as u64 + 1)
}

fn datagram(transmit: &Transmit) -> Slice {
    Slice::from([&transmit.header[..], &transmit.body].concat())
}

fn frame(at: usize, kind: FrameType, group: &str, body: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        name: Name::private_group(b"client", format!("n{at}").as_bytes()).expect("short enough"),
        groups: 1,
        hint: Hint::new(0, ByteOrder::Little),
        data_len: body.len() as i32,
        order: ByteOrder::Little,
    };
    let group = *Name::new(group.as_bytes()).expect("short enough").field();
    [&header.encode()[..], &group, body].concat()
}
