//! Many clients in many groups, each of which knows only the views and the messages that came over its socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use spread::config::Live;
use spread::groups::SessionId;
use spread::node::{ClientInput, Node, NodeEvent, NodeSettings};
use spread::ring::{RingEvent, RingSettings, Stats};
use spread::seal::Keys;
use spread::session::{Peer, SessionSettings};
use spread::time::{Duration, Instant};
use spread::wire::{
    Answer, ByteOrder, ConnectRequest, DaemonId, FrameHeader, FrameType, GroupId, Hint, MembershipBody, MethodChoice,
    MethodList, MethodName, Name, NetworkId, PrivateName, Service, Slice, Version, decode_names,
};

use super::frames;
use crate::actor::{Actor, Assembly, Datagram, policy, system};
use crate::checker::check_safety;
use crate::faults::config;
use crate::links::Quality;
use crate::tables::Table;
use crate::trace::Scribe;
use crate::world::{Action, Log, World};

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

const DAEMONS: usize = 4;
const USERS: usize = 1000;
const GROUPS: usize = 10_000;
/// Groups that each user is in. Each group has two members, at two daemons.
const EACH: usize = 20;

/// A daemon and its share of the users.
struct Crowd {
    node: Node,
    users: BTreeMap<SessionId, User>,
    /// What users have written and the daemon has not read.
    up: VecDeque<(SessionId, Vec<u8>)>,
    configurations: VecDeque<RingEvent>,
    assembly: Assembly,
}

struct User {
    name: Name,
    down: Vec<u8>,
    greeted: bool,
    /// The present view of each group.
    views: BTreeMap<Name, (GroupId, Vec<Name>)>,
    got: usize,
    /// Messages that came in a view to which their sender does not belong.
    early: Vec<Name>,
}

fn group(number: usize) -> Name {
    Name::new(format!("g{number}").as_bytes()).expect("a short name")
}

/// The groups of a user: two users half of all apart share them.
fn groups_of(user: usize) -> impl Iterator<Item = Name> {
    let first = user % (USERS / 2) * EACH;
    (first..first + EACH).map(group)
}

/// The daemon of a user.
fn daemon_of(user: usize) -> usize {
    user / (USERS / DAEMONS)
}

fn session_of(user: usize) -> SessionId {
    SessionId(user as u64 + 1)
}

impl Crowd {
    fn new(ring: RingSettings, now: Instant) -> Crowd {
        let me = ring.me.0 as usize - 1;
        let session = SessionSettings { max_session_messages: 1_000_000, ..SessionSettings::default() };
        let policy = policy(&ring);
        let config = NodeSettings {
            name: format!("d{me}"),
            names: (0..DAEMONS).map(|n| format!("d{n}")).collect(),
            sites: Vec::new(),
            sources: Vec::new(),
            keys: Keys::NONE,
            networks: 1,
            system: system(),
            live: Live { policy, session, ..Live::default() },
            handshake_timeout: Duration::from_secs(100),
            seed: ring.me.0.into(),
            ring,
        };
        let node = Node::new(config, now).expect("the simulator's settings are sound");
        let (users, assembly) = (BTreeMap::new(), Assembly::default());
        Crowd { node, users, up: VecDeque::new(), configurations: VecDeque::new(), assembly }
    }

    /// A user connects and joins its groups.
    fn connect(&mut self, now: Instant, user: usize) {
        let (id, private) = (session_of(user), format!("u{user}"));
        let name = PrivateName::new(private.as_bytes()).expect("a short name");
        let daemon = format!("d{}", daemon_of(user));
        let group = Name::private_group(private.as_bytes(), daemon.as_bytes()).expect("short names");
        let (down, views, early) = Default::default();
        self.users.insert(id, User { name: group, down, greeted: false, views, got: 0, early });
        self.node.handle_client(now, id, ClientInput::Connected(Peer::Unix));
        let hello = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name: Some(name) }.encode();
        self.up.push_back((id, hello));
        self.up.push_back((id, MethodChoice([Some(MethodName::NULL), None, None]).encode().to_vec()));
        let joins = groups_of(user).map(|to| (id, frames::request(FrameType::JOIN, group, &[to])));
        self.up.extend(joins);
        self.run_until_quiet(now);
    }

    /// A user sends to one of its groups.
    fn send(&mut self, now: Instant, user: usize, to: Name, kind: FrameType) {
        let name = self.users[&session_of(user)].name;
        let hint = Hint::new(0, ByteOrder::Little);
        let header = FrameHeader { kind, name, groups: 1, hint, data_len: 3, order: ByteOrder::Little };
        let frame = [&header.encode()[..], to.field(), b"hey"].concat();
        self.up.push_back((session_of(user), frame));
        self.run_until_quiet(now);
    }

    fn run_until_quiet(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.node.poll_event() {
                self.on_event(event);
            }
            if !self.node.takes_client_input() {
                return;
            }
            let Some((id, bytes)) = self.up.pop_front() else { return };
            self.node.handle_client(now, id, ClientInput::Bytes(&bytes));
        }
    }

    fn on_event(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Output(id) => {
                let bytes: Vec<u8> = self.node.client_output(id).flat_map(|slice| slice.to_vec()).collect();
                self.node.client_wrote(id, bytes.len());
                self.users.get_mut(&id).expect("only users are written to").arrived(&bytes);
            }
            NodeEvent::Configuration(configuration) => {
                self.configurations.push_back(RingEvent::Configuration(configuration));
            }
            NodeEvent::Close { id, reason, .. } => panic!("the session of {} ended: {reason}", self.users[&id].name),
            _ => {}
        }
    }
}

impl User {
    fn arrived(&mut self, bytes: &[u8]) {
        self.down.extend_from_slice(bytes);
        let mut rest = &self.down[..];
        if !self.greeted {
            let Ok(Some((_, methods))) = MethodList::decode(rest) else { return };
            let Ok(Some((_, answer))) = Answer::decode(&rest[methods..], Version::OURS) else { return };
            (self.greeted, rest) = (true, &rest[methods + answer..]);
        }
        while let Some(len) = frames::next(rest) {
            let (frame, behind) = rest.split_at(len);
            rest = behind;
            let (header, body) = frame.split_first_chunk().expect("a whole frame has a header");
            let header = FrameHeader::decode(header);
            let (names, data) = body.split_at(header.groups as usize * Name::SIZE);
            let names: Vec<Name> = decode_names(names).collect();
            if header.kind.intersects(FrameType::SERVICES) {
                self.got += 1;
                let view = self.views.get(&names[0]);
                if view.is_none_or(|(_, members)| !members.contains(&header.name)) {
                    self.early.push(header.name);
                }
            } else if header.kind.contains(FrameType::REG_MEMB) {
                let body = MembershipBody::decode(data, header.order).expect("daemons send sound views");
                self.views.insert(header.name, (body.id, names));
            }
        }
        self.down = rest.to_vec();
    }
}

impl Actor for Crowd {
    fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) {
        self.node.handle_datagram(now, network, SOMEWHERE, datagram.clone());
        self.run_until_quiet(now);
    }

    fn set_keys(&mut self, now: Instant, keys: Keys) {
        self.node.set_keys(now, keys);
    }

    fn reload(&mut self, _now: Instant, _table: &Table) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
        self.run_until_quiet(now);
    }

    fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: DaemonId) {
        self.node.handle_refusal(now, network, daemon);
    }

    fn submit(&mut self, _now: Instant, _service: Service, _size: usize, _scribe: Scribe<'_>) {}

    fn answer(&mut self, _now: Instant, _scribe: Scribe<'_>) {}

    fn leave(&mut self, now: Instant) {
        self.node.leave(now);
        self.run_until_quiet(now);
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        let transmit = self.node.poll_transmit()?;
        Some(self.assembly.datagram(&transmit))
    }

    fn poll_event(&mut self) -> Option<RingEvent> {
        self.configurations.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.node.poll_timeout()
    }

    fn knowledge(&mut self) -> String {
        let counted = self.node.multipath_stats();
        let counted = [counted.first, counted.reports, counted.copies, counted.relayed, counted.path_changes];
        let (state, timeout) = (self.node.ring_state(), self.node.poll_timeout());
        format!("{counted:?} {state} {timeout:?} {:?}", self.node.ring_stats())
    }

    fn state(&self) -> &'static str {
        self.node.ring_state()
    }

    fn stats(&self) -> &Stats {
        self.node.ring_stats()
    }
}

fn world() -> World<Crowd> {
    let ids: Vec<DaemonId> = (1..=DAEMONS as u32).map(DaemonId).collect();
    let starter = move |me, life, now| Crowd::new(config(me, life, now, &ids), now);
    let mut world = World::new(DAEMONS, 1, 28, Box::new(starter), Log::Nothing);
    world.links.heal(&Quality::good());
    world.answers_configurations = false;
    (0..DAEMONS).for_each(|daemon| world.act(Action::Start(daemon)));
    assert!(world.run_until_whole(Duration::from_secs(3)), "a ring forms without faults");
    world
}

/// Some users send to some of their groups, with all services, while time passes.
fn chat(world: &mut World<Crowd>, messages: usize) {
    const KINDS: [FrameType; 4] = [FrameType::RELIABLE, FrameType::FIFO, FrameType::AGREED, FrameType::UNRELIABLE];
    for n in 0..messages {
        let user = n * 37 % USERS;
        let to = groups_of(user).nth(n % EACH).expect("each user is in so many groups");
        world.visit(daemon_of(user), |crowd, now| crowd.send(now, user, to, KINDS[n % 4]));
        world.run(Duration::from_micros(500));
    }
}

/// How many members the views of each group have, the same at all of them; and nobody heard strangers.
fn check_views(world: &World<Crowd>, members: usize) {
    let mut views: BTreeMap<Name, Vec<(GroupId, &[Name])>> = BTreeMap::new();
    for user in 0..USERS {
        let user = &world.actor(daemon_of(user)).users[&session_of(user)];
        assert!(
            user.early.is_empty(),
            "{} got messages of {:?} before it shared a view with them",
            user.name,
            user.early
        );
        assert_eq!(user.views.len(), EACH, "{} has a view of each of its groups", user.name);
        for (group, (id, names)) in &user.views {
            assert_eq!(names.len(), members, "{} sees {names:?} in {group}", user.name);
            views.entry(*group).or_default().push((*id, names));
        }
    }
    assert_eq!(views.len(), GROUPS);
    let same = |views: &Vec<(GroupId, &[Name])>| members == 1 || views.iter().all(|view| *view == views[0]);
    assert!(views.values().all(same), "members of one view agree on its id and its members");
}

/// S28: two halves with 10 000 groups and 1 000 members part and merge while messages of all services flow.
#[test]
fn ten_thousand_groups_merge_while_messages_flow() {
    let mut world = world();
    for user in 0..USERS {
        world.visit(daemon_of(user), |crowd, now| crowd.connect(now, user));
        world.run(Duration::from_millis(2));
    }
    world.run(Duration::from_secs(2));
    check_views(&world, 2);
    for _ in 0..2 {
        world.act(Action::Partition(vec![0, 0, 1, 1]));
        chat(&mut world, 4000);
        check_views(&world, 1);
        world.act(Action::Partition(vec![0; 4]));
        chat(&mut world, 4000);
        world.run(Duration::from_secs(2));
        assert!(world.is_whole(), "the halves have merged");
        check_views(&world, 2);
    }
    let got: usize = (0..USERS).map(|user| world.actor(daemon_of(user)).users[&session_of(user)].got).sum();
    assert!(got > 16_000, "only {got} messages arrived");
    check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
}
