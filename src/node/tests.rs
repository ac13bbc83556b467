//! Whole nodes on a bus without faults, with clients that speak the classic protocol.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::multipath::Policy;
use crate::ring::{RingSettings, Windows};
use crate::session::{self, SessionSettings};
use crate::wire::{ByteOrder, DaemonId, Header, PacketKind, PrivateName, Protection, RingId, Version, Way};
use crate::wire::{ConnectRequest, FrameHeader, FrameType, Hint, Incarnation, MethodChoice, MethodName, Name, Refusal};

mod crowds;
mod large;
mod lateness;
mod strangers;
mod users;

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

struct Bus {
    now: Instant,
    nodes: Vec<Node>,
    flying: VecDeque<(usize, Transmit)>,
    /// What each client of each node received, as raw bytes.
    received: Vec<std::collections::BTreeMap<SessionId, Vec<u8>>>,
    closed: Vec<(usize, SessionId, EndReason)>,
    /// A client that does not read.
    deaf: Option<(usize, SessionId)>,
    /// A daemon whose clients do not read.
    all_deaf: Option<usize>,
    /// Those who were not read and may be again.
    welcome: Vec<SessionId>,
    /// Passwords to be compared.
    checks: Vec<(SessionId, Check)>,
    /// No datagram arrives.
    parted: bool,
    /// The ring that was installed last, at any node.
    ring: Option<RingId>,
}

fn config(me: u32, count: u32) -> NodeSettings {
    let daemons = (1..=count).map(DaemonId).collect();
    NodeSettings {
        ring: RingSettings::new(DaemonId(me), Incarnation(1), daemons),
        name: format!("d{me}"),
        names: (1..=count).map(|n| format!("d{n}")).collect(),
        sites: Vec::new(),
        sources: Vec::new(),
        keys: Keys::NONE,
        networks: 2,
        system: System { digest: 7, parts: [0; 12] },
        live: Live::default(),
        handshake_timeout: Duration::from_secs(10),
        seed: 1,
    }
}

impl Bus {
    fn new(count: u32) -> Bus {
        Bus::with(count, SessionSettings::default())
    }

    fn with(count: u32, session: SessionSettings) -> Bus {
        let config =
            |me| NodeSettings { live: Live { session: session.clone(), ..Live::default() }, ..config(me, count) };
        let node = |me| Node::new(config(me), Instant::ZERO).unwrap();
        let mut bus = Bus {
            now: Instant::ZERO,
            nodes: (1..=count).map(node).collect(),
            flying: VecDeque::new(),
            received: (0..count).map(|_| Default::default()).collect(),
            closed: Vec::new(),
            deaf: None,
            all_deaf: None,
            welcome: Vec::new(),
            checks: Vec::new(),
            parted: false,
            ring: None,
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
                NodeEvent::Output(id) if self.deaf == Some((at, id)) || self.all_deaf == Some(at) => {}
                NodeEvent::Output(id) => {
                    let bytes: Vec<u8> = node.client_output(id).flat_map(|slice| slice.to_vec()).collect();
                    node.client_wrote(id, bytes.len());
                    self.received[at].entry(id).or_default().extend(bytes);
                }
                NodeEvent::Close { id, reason, rest } => {
                    let bytes = rest.iter().flat_map(|payload| payload.contiguous().to_vec());
                    self.received[at].entry(id).or_default().extend(bytes);
                    self.closed.push((at, id, reason));
                }
                NodeEvent::Welcome(id) => self.welcome.push(id),
                NodeEvent::Check { id, check } => self.checks.push((id, check)),
                NodeEvent::Configuration(configuration) => self.ring = Some(configuration.ring),
                NodeEvent::Farewell(_) | NodeEvent::Network(_) => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            while let Some((from, transmit)) = self.flying.pop_front() {
                self.arrive(from, &transmit);
            }
            let next = (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min();
            let Some((time, at)) = next.filter(|(time, _)| *time < end) else { break };
            self.now = self.now.max(time);
            self.nodes[at].handle_timeout(self.now);
            self.drain(at);
        }
        self.now = self.now.max(end);
    }

    fn arrive(&mut self, from: usize, transmit: &Transmit) {
        self.now += Duration::from_micros(10);
        let bytes = Slice::from([&transmit.header[..], &transmit.body].concat());
        let arrives = !self.parted;
        for at in (0..self.nodes.len()).filter(|&at| at != from && arrives) {
            self.nodes[at].handle_datagram(self.now, transmit.network, SOMEWHERE, bytes.clone());
            self.drain(at);
        }
    }

    /// Lets the next timer expire.
    fn run_timer(&mut self) {
        let next = (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min();
        let (time, at) = next.unwrap();
        self.now = self.now.max(time);
        self.nodes[at].handle_timeout(self.now);
        self.drain(at);
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

    /// A client sends all that a client needs to send.
    fn greet(&mut self, at: usize, id: u64, name: &str) {
        self.hello(at, id, name);
        self.input(at, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
    }

    fn connect(&mut self, at: usize, id: u64, name: &str) {
        self.greet(at, id, name);
        let answer = self.take(at, id);
        let group = format!("#{name}#d{}", at + 1);
        assert!(answer.ends_with(group.as_bytes()), "{}", answer.escape_ascii());
    }

    fn take(&mut self, at: usize, id: u64) -> Vec<u8> {
        self.received[at].remove(&SessionId(id)).unwrap_or_default()
    }

    /// A bus of which one client reads nothing: its output is left with its node.
    fn with_deaf(count: u32, session: SessionSettings, deaf: (usize, u64)) -> Bus {
        let mut bus = Bus::with(count, session);
        bus.connect(deaf.0, deaf.1, "c");
        bus.say(deaf.0, deaf.1, FrameType::JOIN, "g", "");
        bus.run(Duration::from_secs(1));
        bus.take(deaf.0, deaf.1);
        bus.deaf = Some((deaf.0, SessionId(deaf.1)));
        bus.nodes[deaf.0].client_blocked(SessionId(deaf.1));
        bus
    }

    /// Lets a client read all that waits for it.
    fn listen(&mut self, at: usize, id: u64) -> Vec<u8> {
        self.deaf = None;
        let node = &mut self.nodes[at];
        let bytes: Vec<u8> = node.client_output(SessionId(id)).flat_map(|slice| slice.to_vec()).collect();
        node.client_wrote(SessionId(id), bytes.len());
        bytes
    }

    /// Lets all clients of a daemon read what waits for them. Whether anything did.
    fn listen_all(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let mut heard = false;
        for id in (0..200).map(SessionId) {
            let bytes: Vec<u8> = node.client_output(id).flat_map(|slice| slice.to_vec()).collect();
            node.client_wrote(id, bytes.len());
            heard |= !bytes.is_empty();
            self.received[at].entry(id).or_default().extend(bytes);
        }
        heard
    }

    /// Client "c" writes a frame.
    fn say(&mut self, at: usize, id: u64, kind: FrameType, group: &str, body: &str) {
        self.say_to(at, id, kind, &[group], body);
    }

    fn say_to(&mut self, at: usize, id: u64, kind: FrameType, groups: &[&str], body: &str) {
        let frame = frame("c", at, kind, groups, body);
        self.input(at, id, ClientInput::Bytes(&frame));
    }

    /// Lets this many datagrams arrive.
    fn exchange(&mut self, datagrams: usize) {
        for _ in 0..datagrams {
            match self.flying.pop_front() {
                Some((from, transmit)) => self.arrive(from, &transmit),
                None => self.run_timer(),
            }
        }
    }
}

fn frame(name: &str, at: usize, kind: FrameType, groups: &[&str], body: &str) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        name: Name::private_group(name.as_bytes(), format!("d{}", at + 1).as_bytes()).unwrap(),
        groups: groups.len() as i32,
        hint: Hint::new(0, ByteOrder::Little),
        data_len: body.len() as i32,
        order: ByteOrder::Little,
    };
    let groups: Vec<_> = groups.iter().map(|group| *Name::new(group.as_bytes()).unwrap().field()).collect();
    [&header.encode()[..], groups.as_flattened(), body.as_bytes()].concat()
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
fn who_comes_back_at_once_waits_for_its_name() {
    // The token rests at the second daemon, so what the first one sends waits for an answer.
    let mut bus = Bus::new(2);
    bus.connect(0, 1, "alice");
    bus.input(0, 1, ClientInput::Closed);
    bus.greet(0, 2, "alice");
    assert_eq!(bus.take(0, 2), b"\x05NULL ", "neither refused nor let in");
    bus.hello(0, 3, "alice");
    assert_eq!(bus.take(0, 3), [0xfa], "one waits for a name");
    bus.input(0, 2, ClientInput::Closed);
    bus.greet(0, 4, "alice");
    bus.input(0, 4, ClientInput::Bytes(&frame("alice", 0, FrameType::JOIN, &["g"], "")));
    assert_eq!(bus.take(0, 4), b"\x05NULL ");
    bus.run(Duration::from_secs(1));
    let answer = bus.take(0, 4);
    assert!(answer.windows(10).any(|part| part == b"\x09#alice#d1"), "it has the name when that is free");
    assert!(answer.len() > 48, "and what it sent meanwhile was read then: {}", answer.escape_ascii());
    bus.hello(0, 5, "alice");
    assert_eq!(bus.take(0, 5), [0xfa]);
}

#[test]
fn who_waits_for_a_name_waits_no_longer_than_a_handshake() {
    // The token rests at the second daemon, and its answer is lost.
    let mut bus = Bus::new(2);
    bus.connect(0, 1, "alice");
    bus.input(0, 1, ClientInput::Closed);
    bus.flying.clear();
    bus.greet(0, 2, "alice");
    assert_eq!(bus.take(0, 2), b"\x05NULL ");
    bus.now += Duration::from_secs(11);
    bus.nodes[0].handle_timeout(bus.now);
    bus.drain(0);
    assert_eq!(bus.closed.last(), Some(&(0, SessionId(2), EndReason::HandshakeTimeout)));
    bus.run(Duration::from_secs(5));
    bus.connect(0, 3, "alice");
}

#[test]
fn a_half_open_client_is_ended() {
    let mut bus = Bus::new(1);
    bus.hello(0, 1, "alice");
    bus.run(Duration::from_secs(11));
    assert_eq!(bus.closed, [(0, SessionId(1), EndReason::HandshakeTimeout)]);
    bus.connect(0, 2, "alice");
}

#[test]
fn who_has_not_authenticated_keeps_a_name_from_nobody() {
    let mut bus = Bus::new(1);
    bus.hello(0, 1, "alice");
    bus.connect(0, 2, "alice");
    bus.take(0, 1);
    bus.input(0, 1, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
    assert_eq!(bus.take(0, 1), [0xfa], "the other one was first");
    assert_eq!(bus.closed, [(0, SessionId(1), EndReason::Refused(Refusal::NOT_UNIQUE))]);
    bus.hello(0, 3, "alice");
    assert_eq!(bus.take(0, 3), [0xfa], "and has the name still");
}

#[test]
fn the_quota_is_kept() {
    let mut bus = Bus::new(1);
    bus.nodes[0] = Node::new(
        NodeSettings {
            live: Live { session: SessionSettings { quota: 1, ..Default::default() }, ..Live::default() },
            ..config(1, 1)
        },
        bus.now,
    )
    .unwrap();
    bus.connect(0, 1, "alice");
    bus.input(0, 2, ClientInput::Connected(Peer::Unix));
    assert_eq!(bus.take(0, 2), [0xfd]);
}

/// Limits that a few messages reach.
fn narrow(slow_client: session::SlowClient) -> SessionSettings {
    SessionSettings { max_session_messages: 10, slow_client, ..Default::default() }
}

#[test]
fn a_slow_client_is_disconnected_and_nobody_else_notices() {
    let mut bus = Bus::with_deaf(2, narrow(session::SlowClient::Disconnect), (1, 1));
    bus.connect(0, 1, "c");
    bus.connect(1, 2, "other");
    for n in 0..30 {
        bus.say(0, 1, FrameType::AGREED, "g", &n.to_string());
        bus.say(0, 1, FrameType::AGREED, "#other#d2", &n.to_string());
        assert!(bus.nodes[1].takes_client_input());
    }
    bus.run(Duration::from_secs(1));
    assert_eq!(bus.closed, [(1, SessionId(1), EndReason::Slow(session::Overflow::Messages))]);
    assert_eq!(frames(&bus.take(1, 2)).len(), 30);
    let stats = bus.nodes[1].client_stats();
    assert_eq!((stats.lagging, stats.slow_by_messages), (1, 1));
}

#[test]
fn a_slow_client_may_stop_those_who_send_to_it_until_it_reads() {
    let mut bus = Bus::with_deaf(1, narrow(session::SlowClient::BlockSenders), (0, 1));
    let (sender, bystander) = (SessionId(2), SessionId(3));
    bus.connect(0, 2, "sender");
    bus.connect(0, 3, "bystander");
    let mut sent = 0;
    while bus.nodes[0].takes_bytes_of(sender) {
        bus.input(0, 2, ClientInput::Bytes(&frame("sender", 0, FrameType::AGREED, &["g"], &sent.to_string())));
        bus.input(0, 3, ClientInput::Bytes(&frame("bystander", 0, FrameType::AGREED, &["h"], "elsewhere")));
        bus.run(Duration::from_millis(100));
        sent += 1;
        assert!(sent < 100, "nobody was stopped");
    }
    assert_eq!((sent, bus.closed.len()), (10, 0));
    assert!(bus.nodes[0].takes_client_input() && bus.nodes[0].takes_bytes_of(bystander), "of another group");
    bus.input(0, 2, ClientInput::Bytes(&frame("sender", 0, FrameType::AGREED, &["g"], "on its way")));
    bus.run(Duration::from_millis(100));
    assert_eq!(bus.welcome, []);
    assert_eq!(frames(&bus.listen(0, 1)).len(), 11);
    bus.drain(0);
    assert!(bus.nodes[0].takes_bytes_of(sender));
    assert_eq!((&bus.welcome[..], bus.nodes[0].client_stats().stopped_senders), (&[sender][..], 1));
}

#[test]
fn a_slow_client_that_goes_lets_the_senders_go_on() {
    let mut bus = Bus::with_deaf(1, narrow(session::SlowClient::BlockSenders), (0, 1));
    bus.connect(0, 2, "sender");
    let message = frame("sender", 0, FrameType::AGREED, &["g"], "");
    (0..10).for_each(|_| bus.input(0, 2, ClientInput::Bytes(&message)));
    bus.run(Duration::from_millis(100));
    assert!(!bus.nodes[0].takes_bytes_of(SessionId(2)));
    bus.input(0, 1, ClientInput::Closed);
    assert!(bus.nodes[0].takes_bytes_of(SessionId(2)));
    assert_eq!(bus.welcome, [SessionId(2)]);
}

#[test]
fn a_slow_client_may_lose_unreliable_messages_first() {
    let mut bus = Bus::with_deaf(2, narrow(session::SlowClient::DropUnreliable), (1, 1));
    bus.connect(0, 1, "c");
    for n in 0..40 {
        let service = if n < 4 || n == 20 { FrameType::AGREED } else { FrameType::UNRELIABLE };
        bus.say(0, 1, service, "g", &n.to_string());
    }
    bus.run(Duration::from_secs(1));
    let bodies: Vec<String> = frames(&bus.listen(1, 1)).into_iter().map(|frame| frame.1).collect();
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "20"]);
    assert_eq!(bus.nodes[1].client_stats().dropped_unreliable, 33);
    bus.say(0, 1, FrameType::UNRELIABLE, "g", "again");
    bus.run(Duration::from_secs(1));
    assert_eq!(frames(&bus.take(1, 1)).len(), 1, "it has caught up");
    assert_eq!(bus.closed, []);
}

#[test]
fn ten_thousand_sessions_come_and_go() {
    const SESSIONS: u64 = 10_000;
    let mut bus = Bus::new(1);
    for id in 0..SESSIONS {
        bus.connect(0, id, &format!("c{id}"));
    }
    assert_eq!(bus.nodes[0].sessions(), SESSIONS as usize);
    bus.input(0, SESSIONS, ClientInput::Connected(Peer::Unix));
    assert_eq!(bus.take(0, SESSIONS), [0xfd], "the quota");
    for id in 0..SESSIONS {
        bus.input(0, id, ClientInput::Closed);
    }
    bus.run(Duration::from_secs(1));
    assert_eq!(bus.nodes[0].sessions(), 0);
    bus.connect(0, SESSIONS + 1, "c0");
}

#[test]
fn settings_change_while_clients_stay() {
    let mut bus = Bus::with_deaf(1, narrow(session::SlowClient::BlockSenders), (0, 1));
    bus.connect(0, 2, "sender");
    let message = frame("sender", 0, FrameType::AGREED, &["g"], "");
    (0..10).for_each(|_| bus.input(0, 2, ClientInput::Bytes(&message)));
    bus.run(Duration::from_millis(100));
    assert!(!bus.nodes[0].takes_bytes_of(SessionId(2)));

    let session = SessionSettings { quota: 1, max_session_messages: 1000, ..Default::default() };
    let mut live = Live { session, policy: Policy::Passive, priorities: vec![0, 7], ..Live::default() };
    live.windows = Windows { ring: 40, personal: 4 };
    bus.nodes[0].apply(bus.now, &live);
    bus.drain(0);
    assert!(bus.nodes[0].takes_bytes_of(SessionId(2)), "a sender that was stopped goes on");
    assert_eq!((bus.nodes[0].windows(), bus.nodes[0].policy()), (live.windows, Policy::Passive));
    assert_eq!((bus.nodes[0].priorities(), bus.closed.len()), (&[0, 7][..], 0));
    bus.input(0, 3, ClientInput::Connected(Peer::Unix));
    assert!(
        matches!(bus.closed[..], [(0, SessionId(3), EndReason::Refused(_))]),
        "the new quota counts for new clients"
    );
    (0..50).for_each(|_| bus.input(0, 2, ClientInput::Bytes(&message)));
    bus.run(Duration::from_millis(100));
    assert_eq!(frames(&bus.listen(0, 1)).len(), 60);
}

/// Another machine.
fn address(last: u8) -> Peer {
    Peer::Tcp(std::net::Ipv4Addr::new(192, 0, 2, last).into())
}
