//! Whole nodes on a bus without faults, with clients that speak the classic protocol.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::multipath::Policy;
use crate::ring::Windows;
use crate::session;
use crate::wire::{ByteOrder, DaemonId, Header, PacketKind, PrivateName, Protection, Version, Way};
use crate::wire::{ConnectRequest, FrameHeader, FrameType, Hint, Incarnation, MethodChoice, MethodName, Name, Refusal};

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
}

fn config(me: u32, count: u32) -> Config {
    let daemons = (1..=count).map(DaemonId).collect();
    Config {
        ring: ring::Config::new(DaemonId(me), Incarnation(1), daemons),
        name: format!("d{me}"),
        names: (1..=count).map(|n| format!("d{n}")).collect(),
        sites: Vec::new(),
        sources: Vec::new(),
        keys: Keys::NONE,
        networks: 2,
        system: System { digest: 7, parts: [0; 6] },
        live: Live::default(),
        handshake_timeout: Duration::from_secs(10),
        seed: 1,
    }
}

impl Bus {
    fn new(count: u32) -> Bus {
        Bus::with(count, session::Config::default())
    }

    fn with(count: u32, session: session::Config) -> Bus {
        let config = |me| Config { live: Live { session: session.clone(), ..Live::default() }, ..config(me, count) };
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
                Event::Output(id) if self.deaf == Some((at, id)) || self.all_deaf == Some(at) => {}
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
                Event::Welcome(id) => self.welcome.push(id),
                Event::Check { id, check } => self.checks.push((id, check)),
                Event::Configuration(_) | Event::Farewell(_) | Event::Network(_) => {}
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

    /// A bus of which one client reads nothing: its output is left with its node.
    fn with_deaf(count: u32, session: session::Config, deaf: (usize, u64)) -> Bus {
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

    /// Lets so many datagrams arrive.
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
    bus.hello(0, 2, "alice");
    assert_eq!(bus.take(0, 2), [0; 0], "neither refused nor admitted");
    bus.hello(0, 3, "alice");
    assert_eq!(bus.take(0, 3), [0xfa], "one waits for a name");
    bus.input(0, 2, ClientInput::Closed);
    bus.hello(0, 4, "alice");
    bus.input(0, 4, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
    bus.run(Duration::from_secs(1));
    assert!(bus.take(0, 4).ends_with(b"#alice#d1"), "the choice was read when the name was free");
    bus.hello(0, 5, "alice");
    assert_eq!(bus.take(0, 5), [0xfa]);
}

#[test]
fn who_waits_for_a_name_waits_no_longer_than_a_handshake() {
    let mut bus = Bus::new(2);
    bus.connect(1, 1, "alice");
    bus.input(1, 1, ClientInput::Closed);
    bus.flying.clear();
    bus.hello(1, 2, "alice");
    bus.now += Duration::from_secs(11);
    bus.nodes[1].handle_timeout(bus.now);
    bus.drain(1);
    assert_eq!(bus.closed.last(), Some(&(1, SessionId(2), EndReason::HandshakeTimeout)));
    bus.run(Duration::from_secs(5));
    bus.connect(1, 3, "alice");
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
    bus.nodes[0].handle_datagram(bus.now, NetworkId(0), SOMEWHERE, junk);
    assert_eq!(bus.nodes[0].multipath_stats().malformed, 1);
    let header = Header {
        kind: PacketKind::Token,
        network: NetworkId(0),
        protection: Protection::Plain,
        way: Way::Direct,
        sender: DaemonId(2),
        destination: None,
        system: 7,
        incarnation: Incarnation(9),
        counter: 1,
    };
    let bad_body = Slice::from([&header.encode()[..], &[0xff; 60]].concat());
    bus.nodes[0].handle_datagram(bus.now, NetworkId(0), SOMEWHERE, bad_body);
    assert_eq!(bus.nodes[0].multipath_stats().malformed, 2);
    bus.input(0, 9, ClientInput::Connected(Peer::Unix));
    bus.input(0, 9, ClientInput::Bytes(&[0xff; 64]));
    assert!(matches!(bus.closed[..], [(0, SessionId(9), EndReason::Refused(_))]));
    bus.connect(0, 10, "bob");
}

#[test]
fn the_quota_is_kept() {
    let mut bus = Bus::new(1);
    bus.nodes[0] = Node::new(
        Config {
            live: Live { session: session::Config { quota: 1, ..Default::default() }, ..Live::default() },
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
fn narrow(slow_client: session::SlowClient) -> session::Config {
    session::Config { max_session_messages: 10, slow_client, ..Default::default() }
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
fn a_large_message_holds_up_nobody_else() {
    const SIZE: usize = 16 << 20;
    let mut bus = Bus::new(2);
    for (at, id, name) in [(0, 1, "c"), (0, 2, "small"), (1, 1, "c"), (1, 2, "other")] {
        bus.connect(at, id, name);
    }
    bus.say(0, 1, FrameType::AGREED, "#other#d2", &"x".repeat(SIZE - 100));
    assert!(!bus.nodes[0].takes_bytes_of(SessionId(1)), "its own session waits");
    bus.say(0, 1, FrameType::AGREED, "#other#d2", "behind");
    for at in 0..2 {
        assert!(bus.nodes[at].takes_client_input() && bus.nodes[at].takes_bytes_of(SessionId(2)));
    }
    bus.say(1, 1, FrameType::AGREED, "#other#d2", "from there");
    let small = frame("small", 0, FrameType::SAFE, &["#other#d2"], "from here");
    bus.input(0, 2, ClientInput::Bytes(&small));
    bus.run(Duration::from_secs(5));
    let frames = frames(&bus.take(1, 2));
    let bodies: Vec<&str> = frames.iter().map(|frame| &frame.1[..]).filter(|body| body.len() < 100).collect();
    assert_eq!((frames.len(), bodies), (4, vec!["from there", "from here", "behind"]));
    assert_eq!(frames[2].1.len(), SIZE - 100);
    assert!(bus.nodes[0].takes_bytes_of(SessionId(1)));
}

#[test]
fn what_was_sent_before_a_session_ended_is_delivered_before_its_end_however_large() {
    let mut bus = Bus::new(2);
    bus.connect(0, 1, "c");
    bus.connect(1, 1, "c");
    for at in 0..2 {
        bus.say(at, 1, FrameType::JOIN, "g", "");
        bus.run(Duration::from_secs(1));
    }
    bus.take(1, 1);
    bus.say(0, 1, FrameType::RELIABLE, "g", &"x".repeat(1 << 20));
    bus.input(0, 1, ClientInput::Closed);
    bus.hello(0, 2, "c");
    assert_eq!(bus.take(0, 2), [0; 0], "the name is not free yet");
    bus.run(Duration::from_secs(1));
    let kinds: Vec<u32> = frames(&bus.take(1, 1)).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [FrameType::RELIABLE.0, 0x1400]);
    assert_eq!(bus.take(0, 2), b"\x05NULL ");
}

#[test]
fn a_large_message_that_a_broken_ring_cut_comes_once_and_whole() {
    for steps in 1..60 {
        let mut bus = Bus::new(2);
        bus.connect(0, 1, "c");
        bus.connect(0, 2, "here");
        bus.connect(1, 1, "c");
        bus.connect(1, 2, "other");
        bus.say(0, 1, FrameType::SAFE, "#here#d1", "first");
        bus.say_to(0, 1, FrameType::SAFE, &["#here#d1", "#other#d2"], &"x".repeat(1 << 20));
        bus.say(0, 1, FrameType::AGREED, "#here#d1", "last");
        bus.exchange(20 * steps);
        bus.parted = true;
        bus.run(Duration::from_secs(3));
        bus.parted = false;
        bus.run(Duration::from_secs(3));
        let sizes = |frames: Vec<(u32, String)>| frames.iter().map(|frame| frame.1.len()).collect::<Vec<_>>();
        assert_eq!(sizes(frames(&bus.take(0, 2))), [5, 1 << 20, 4], "after {steps} steps");
        let there = sizes(frames(&bus.take(1, 2)));
        assert!(there.is_empty() || there == [1 << 20], "{there:?} after {steps} steps");
    }
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

    let session = session::Config { quota: 1, max_session_messages: 1000, ..Default::default() };
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

impl Bus {
    /// A client of this machine gets in.
    fn connect_from(&mut self, id: u64, name: &str, peer: Peer) -> Vec<u8> {
        self.input(0, id, ClientInput::Connected(peer));
        let name = Some(PrivateName::new(name.as_bytes()).unwrap());
        let request = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name };
        self.input(0, id, ClientInput::Bytes(&request.encode()));
        self.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        self.take(0, id)
    }
}

#[test]
fn a_flood_of_silent_connections_from_one_address_keeps_nobody_out() {
    const FLOOD: u64 = 10_000;
    let mut bus = Bus::new(1);
    (0..FLOOD).for_each(|id| bus.input(0, id, ClientInput::Connected(address(1))));
    assert!(bus.nodes[0].sessions() < 1100, "{} places are taken", bus.nodes[0].sessions());
    assert!(bus.connect_from(FLOOD, "other", address(2)).ends_with(b"#other#d1"));
    assert!(bus.connect_from(FLOOD + 1, "same", address(1)).ends_with(b"#same#d1"));
    assert!(bus.connect_from(FLOOD + 2, "local", Peer::Unix).ends_with(b"#local#d1"));
    assert_eq!(bus.nodes[0].client_stats().crowded_out, FLOOD - 1000 + 1);
}

#[test]
fn a_full_daemon_gives_newcomers_the_places_of_silent_ones_from_elsewhere() {
    let mut bus = Bus::with(1, session::Config { quota: 100, ..Default::default() });
    (0..100).for_each(|id| bus.input(0, id, ClientInput::Connected(address(1))));
    bus.input(0, 100, ClientInput::Connected(address(1)));
    assert_eq!(bus.take(0, 100), [0xfd], "its own kind has all places");
    assert!(bus.connect_from(101, "other", address(2)).ends_with(b"#other#d1"));
    assert_eq!((bus.closed[1].1, bus.closed[1].2), (SessionId(0), EndReason::CrowdedOut));
    assert_eq!(bus.nodes[0].sessions(), 100);
}

/// A header that promises so many bytes.
fn promise(name: &str, bytes: i32) -> Vec<u8> {
    let mut frame = frame(name, 0, FrameType::AGREED, &["g"], "");
    frame[44..48].copy_from_slice(&bytes.to_le_bytes());
    frame
}

#[test]
fn unfinished_frames_of_all_clients_together_stay_below_the_ceiling() {
    const LIMIT: usize = 20 << 20;
    let mut bus = Bus::with(1, session::Config { max_memory: LIMIT, ..Default::default() });
    bus.connect(0, 1000, "small");
    for id in 0..100 {
        let name = format!("c{id}");
        bus.hello(0, id, &name);
        bus.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        bus.input(0, id, ClientInput::Bytes(&promise(&name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; (1 << 20) - 1]));
        assert!(bus.nodes[0].client_stats().memory <= LIMIT as u64);
    }
    let stats = bus.nodes[0].client_stats();
    assert!(stats.refused > 70 && stats.greedy < 5, "{stats:?}: newcomers are refused first");
    bus.input(0, 0, ClientInput::Closed);
    bus.connect(0, 1001, "late");
    bus.input(0, 1000, ClientInput::Bytes(&frame("small", 0, FrameType::JOIN, &["g"], "")));
    bus.input(0, 1001, ClientInput::Bytes(&promise("late", 15 << 20)));
    bus.input(0, 1001, ClientInput::Bytes(&vec![0; (15 << 20) - 1]));
    assert_eq!(bus.closed.last(), Some(&(0, SessionId(1001), EndReason::Greedy)), "who takes most goes");
    bus.run(Duration::from_secs(1));
    assert!(!frames(&bus.take(0, 1000)).is_empty() && bus.nodes[0].takes_client_input());
}

#[test]
fn what_waits_for_readers_stays_below_the_ceiling_and_counts_once() {
    const LIMIT: usize = 8 << 20;
    let session = session::Config { max_memory: LIMIT, max_session_messages: 100_000, ..Default::default() };
    let mut bus = Bus::with(2, session);
    bus.connect(1, 0, "sender");
    for id in 1..=40 {
        bus.connect(0, id, &format!("c{id}"));
        bus.input(0, id, ClientInput::Bytes(&frame(&format!("c{id}"), 0, FrameType::JOIN, &["g"], "")));
    }
    bus.run(Duration::from_secs(1));
    bus.all_deaf = Some(0);
    (1..=40).for_each(|id| bus.nodes[0].client_blocked(SessionId(id)));
    let say = |bus: &mut Bus, to: &str| {
        let message = frame("sender", 1, FrameType::AGREED, &[to], &"x".repeat(100_000));
        bus.input(1, 0, ClientInput::Bytes(&message));
        bus.run(Duration::from_millis(50));
    };
    (0..40).for_each(|_| say(&mut bus, "g"));
    assert_eq!(bus.closed, [], "4 MB for forty readers are 4 MB");
    assert!((4_000_000..5_000_000).contains(&bus.nodes[0].client_stats().memory), "{:?}", bus.nodes[0].client_stats());
    (0..60).for_each(|_| say(&mut bus, "#c7#d1"));
    assert_eq!(bus.closed, [(0, SessionId(7), EndReason::Greedy)]);
    assert!(bus.nodes[0].client_stats().memory <= LIMIT as u64);
}

#[test]
fn a_frame_that_gets_no_further_ends_its_session_and_a_slow_one_does_not() {
    let mut bus = Bus::new(1);
    for (id, name) in [(1, "stuck"), (2, "slow")] {
        bus.connect(0, id, name);
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1000)));
    }
    for _ in 0..10 {
        bus.run(Duration::from_secs(20));
        bus.input(0, 2, ClientInput::Bytes(b"x"));
    }
    assert_eq!(bus.closed, [(0, SessionId(1), EndReason::Unfinished)]);
    assert_eq!(bus.nodes[0].client_stats().unfinished, 1);
    bus.input(0, 2, ClientInput::Bytes(&[b'x'; 990]));
    bus.run(Duration::from_secs(200));
    assert_eq!(bus.closed.len(), 1, "a whole frame is not timed");
}

#[test]
fn a_crowd_joins_at_the_pace_at_which_it_reads_and_nobody_is_closed() {
    const CROWD: u64 = 110;
    let mut bus = Bus::with(2, session::Config { max_session_messages: 10, ..Default::default() });
    for at in 0..2 {
        (0..CROWD).for_each(|id| bus.connect(at, id, &format!("c{id}")));
    }
    bus.all_deaf = Some(0);
    for at in 0..2 {
        for id in 0..CROWD {
            bus.nodes[at].client_blocked(SessionId(id));
            let join = frame(&format!("c{id}"), at, FrameType::JOIN, &["g"], "");
            bus.input(at, id, ClientInput::Bytes(&join));
        }
    }
    let waits = |bus: &Bus| (0..CROWD).filter(|&id| !bus.nodes[0].takes_bytes_of(SessionId(id))).count();
    assert!(waits(&bus) > 40, "{} wait for earlier joins to have their place", waits(&bus));
    bus.run(Duration::from_secs(1));
    assert_eq!(waits(&bus), 0);
    bus.listen_all(0);
    for id in 0..40 {
        for kind in [FrameType::LEAVE, FrameType::JOIN] {
            let change = frame(&format!("c{id}"), 1, kind, &["g"], "");
            bus.input(1, id, ClientInput::Bytes(&change));
        }
    }
    bus.run(Duration::from_secs(1));
    (0..CROWD).for_each(|id| bus.nodes[0].client_blocked(SessionId(id)));
    bus.welcome.clear();
    let join = |id: u64| frame(&format!("c{id}"), 0, FrameType::JOIN, &["h"], "");
    (0..10).for_each(|id| bus.input(0, id, ClientInput::Bytes(&join(id))));
    assert_eq!((waits(&bus), bus.nodes[0].client_stats().greedy), (10, 0), "the members have not read");
    bus.run(Duration::from_millis(50));
    assert_eq!(waits(&bus), 8, "one goes on at each interval");
    bus.listen_all(0);
    bus.run(Duration::from_millis(5));
    assert_eq!((waits(&bus), bus.welcome.len()), (0, 10), "when they have read all go on");
    bus.listen_all(0);
    assert_eq!(bus.closed, []);
    for at in 0..2 {
        for id in 10..CROWD {
            let last = last_header(&bus.take(at, id));
            assert_eq!(last.groups, 2 * CROWD as i32, "client {id} at {at} sees the last view");
        }
    }
}

/// The header of the last frame.
fn last_header(mut bytes: &[u8]) -> FrameHeader {
    loop {
        let header = FrameHeader::decode(bytes.first_chunk().unwrap());
        bytes = &bytes[FrameHeader::SIZE + header.body_len().unwrap()..];
        if bytes.is_empty() {
            return header;
        }
    }
}

#[test]
fn a_mass_disconnect_is_worked_off_in_slices_between_which_the_ring_goes_on() {
    const CLIENTS: u64 = 10;
    const GROUPS: usize = 200;
    let mut bus = Bus::new(2);
    let join_all = |bus: &mut Bus, at: usize, id: u64, name: &str| {
        bus.connect(at, id, name);
        for group in 0..GROUPS {
            let join = frame(name, at, FrameType::JOIN, &[&format!("g{group}")], "");
            bus.input(at, id, ClientInput::Bytes(&join));
        }
    };
    (0..2).for_each(|at| join_all(&mut bus, at, 100, "watcher"));
    (0..CLIENTS).for_each(|id| join_all(&mut bus, 0, id, &format!("c{id}")));
    bus.run(Duration::from_secs(2));
    (0..2).for_each(|at| _ = bus.take(at, 100));
    bus.nodes.iter_mut().for_each(|node| node.set_slice(400));
    (0..CLIENTS).for_each(|id| bus.input(0, id, ClientInput::Closed));
    let (mut slices, mut largest, mut before) = (0, 0, 0);
    let gathers = |bus: &Bus| bus.nodes[0].ring_stats().gathers;
    let (gathers_before, watched) = (gathers(&bus), groups::Memberships { own: GROUPS, others: GROUPS });
    let mut rounds = 0;
    while bus.nodes.iter().any(|node| node.groups.is_busy() || node.groups.memberships() != watched) {
        bus.exchange(1);
        let now: usize = (0..2).filter_map(|at| bus.received[at].get(&SessionId(100))).map(Vec::len).sum();
        slices += usize::from(now > before);
        largest = largest.max(now - before);
        before = now;
        rounds += 1;
        assert!(rounds < 1_000_000, "it comes to an end");
    }
    assert_eq!(gathers(&bus), gathers_before, "the ring stays whole");
    let views: Vec<Vec<(u32, String)>> = (0..2).map(|at| frames(&bus.take(at, 100))).collect();
    assert_eq!((views[0].len(), &views[0]), (CLIENTS as usize * GROUPS, &views[1]));
    assert!(slices > 100 && largest < 20_000, "{slices} slices, the largest of {largest} bytes");
}

const PASSWORDS: &str = "alice:abWAcrLcu.e2o\nbob:./xZjzHv5vzVE\n";

fn with_passwords() -> session::Config {
    session::Config {
        allowed: vec![session::Method::Password],
        passwords: session::Passwords::parse(PASSWORDS).unwrap(),
        ..Default::default()
    }
}

impl Bus {
    /// A client sends a user's name and password.
    fn show_password(&mut self, id: u64, peer: Peer, user: &str, password: &str) {
        self.input(0, id, ClientInput::Connected(peer));
        let name = Some(PrivateName::new(format!("c{id}").as_bytes()).unwrap());
        let request = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name };
        self.input(0, id, ClientInput::Bytes(&request.encode()));
        self.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::PWORD), None, None]).encode()));
        let mut credentials = [0; session::Passwords::CREDENTIALS_SIZE];
        credentials[..user.len()].copy_from_slice(user.as_bytes());
        credentials[32..32 + password.len()].copy_from_slice(password.as_bytes());
        self.input(0, id, ClientInput::Bytes(&credentials));
    }

    /// Compares what is to be compared, and says how many that were.
    fn compare(&mut self) -> usize {
        let checks = std::mem::take(&mut self.checks);
        for (id, check) in &checks {
            let refused = Verdict::Refused(Refusal::AUTH);
            let verdict = if check.is_right() { Verdict::Accepted } else { refused };
            self.input(0, id.0, ClientInput::Checked(verdict));
        }
        checks.len()
    }
}

#[test]
fn a_password_is_compared_outside_and_the_client_waits_for_it() {
    let mut bus = Bus::with(1, with_passwords());
    bus.show_password(1, Peer::Unix, "alice", "secret-o");
    bus.show_password(2, Peer::Unix, "alice", "secret-x");
    assert_eq!(bus.take(0, 1), b"\x06PWORD ");
    assert_eq!(bus.compare(), 2);
    assert!(bus.take(0, 1).ends_with(b"#c1#d1"));
    assert_eq!(bus.take(0, 2), b"\x06PWORD \x00\xf7");
    assert_eq!(bus.closed, [(0, SessionId(2), EndReason::Refused(Refusal::AUTH))]);
    bus.show_password(3, Peer::Unix, "bob", "password");
    bus.input(0, 3, ClientInput::Closed);
    assert_eq!(bus.compare(), 1, "the answer comes too late and means nothing");
}

#[test]
fn who_guesses_passwords_is_slowed_down_and_others_are_not() {
    let mut bus = Bus::with(1, with_passwords());
    let mut compared = 0;
    for id in 0..1000 {
        bus.show_password(id, address(1), &format!("user{id}"), "guess");
        compared += bus.compare();
    }
    assert_eq!(compared, 5);
    bus.show_password(2000, address(2), "alice", "secret-o");
    assert_eq!(bus.compare(), 1);
    assert!(bus.take(0, 2000).ends_with(b"#c2000#d1"));
    for _ in 0..60 {
        bus.run(Duration::from_millis(500));
        compared += bus.compare();
    }
    assert!(compared < 20, "{compared} guesses in half a minute");
    assert!(bus.nodes[0].client_stats().wrong_passwords >= 990, "{:?}", bus.nodes[0].client_stats());
    bus.show_password(3000, address(1), "alice", "secret-o");
    assert_eq!(bus.compare(), 1, "when the guessing is over it is as before");
}

#[test]
fn a_user_has_only_so_many_sessions() {
    let mut bus = Bus::with(1, session::Config { max_user_sessions: 2, ..with_passwords() });
    for (id, user, password) in [(1, "alice", "secret-o"), (2, "alice", "secret-o"), (3, "bob", "password")] {
        bus.show_password(id, address(1), user, password);
        bus.compare();
        assert!(bus.take(0, id).ends_with(format!("#c{id}#d1").as_bytes()));
    }
    bus.show_password(4, address(2), "alice", "secret-o");
    bus.compare();
    assert_eq!(bus.take(0, 4), b"\x06PWORD \x01\xfd", "the password is right");
    bus.input(0, 1, ClientInput::Closed);
    bus.show_password(5, address(1), "alice", "secret-o");
    bus.compare();
    assert!(bus.take(0, 5).ends_with(b"#c5#d1"));
    let mut bus = Bus::with(1, session::Config { max_user_sessions: 2, ..Default::default() });
    for (id, peer) in [(1, Peer::User(7)), (2, Peer::User(7)), (3, Peer::User(8)), (4, address(1))] {
        assert!(bus.connect_from(id, &format!("c{id}"), peer).ends_with(format!("#c{id}#d1").as_bytes()));
    }
    bus.input(0, 5, ClientInput::Connected(Peer::User(7)));
    assert_eq!(bus.take(0, 5), [0xfd]);
}

#[test]
fn limits_of_memory_and_of_users_that_change_count_at_once() {
    let mut bus = Bus::with(1, session::Config::default());
    for (id, name, bytes) in [(1, "small", 200_000), (2, "middle", 300_000), (3, "large", 700_000)] {
        bus.connect_from(id, name, Peer::User(7));
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; bytes]));
    }
    let apply = |bus: &mut Bus, session: session::Config| {
        let (now, live) = (bus.now, Live { session, ..Live::default() });
        bus.nodes[0].apply(now, &live);
        bus.drain(0);
    };
    apply(&mut bus, session::Config { max_user_memory: 600_000, ..Default::default() });
    assert_eq!(bus.closed, [(0, SessionId(3), EndReason::GreedyUser)], "what was taken before counts");
    apply(&mut bus, session::Config { max_user_sessions: 2, ..Default::default() });
    bus.input(0, 4, ClientInput::Connected(Peer::User(7)));
    assert_eq!(bus.take(0, 4), [0xfd]);
    bus.closed.clear();
    apply(&mut bus, session::Config { max_memory: 300_000, ..Default::default() });
    assert_eq!(bus.closed, [(0, SessionId(2), EndReason::Greedy)]);
}

#[test]
fn a_user_whose_sessions_take_too_much_loses_the_largest() {
    let mut bus = Bus::with(1, session::Config { max_user_memory: 1 << 20, ..Default::default() });
    for (id, name, peer, bytes) in [
        (1, "small", Peer::User(7), 200_000),
        (2, "other", Peer::User(8), 900_000),
        (3, "large", Peer::User(7), 700_000),
        (4, "last", Peer::User(7), 300_000),
    ] {
        bus.connect_from(id, name, peer);
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; bytes]));
    }
    assert_eq!(bus.closed, [(0, SessionId(3), EndReason::GreedyUser)]);
}
