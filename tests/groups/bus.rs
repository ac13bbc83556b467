//! A model of the ring: total order and extended virtual synchrony without packets, so that a test decides who receives
//! how much before a ring breaks.
//!
//! A ring has one log. Each member has received some beginning of it and delivered some beginning of that; a safe
//! message is delivered only when every member has received it. When a ring breaks, those who go on together deliver
//! the same: a beginning in the regular configuration, then in the transitional one whatever any of them received, and
//! their own messages.

use std::collections::{BTreeMap, VecDeque};

use spread::groups::{Groups, GroupsEvent, Session, SessionId};
use spread::ring::{Configuration, ConfigurationKind, Message, RingEvent};
use spread::rng::Rng;
use spread::wire::{DaemonId, Envelope, FrameType, Name, Payload, RingId, Service};

use crate::client::{Client, Entry, data_frame, name, read_frame};

/// The daemons in ring order, which is not the order of their ids.
pub const ORDER: [u32; 5] = [3, 1, 5, 2, 4];

struct Daemon {
    groups: Groups,
    ring: Option<RingId>,
    sequence: u64,
    first: VecDeque<(Payload, Service)>,
    queue: VecDeque<(Payload, Service)>,
}

struct Ring {
    members: Vec<u32>,
    log: Vec<Message>,
    received: BTreeMap<u32, usize>,
    delivered: BTreeMap<u32, usize>,
}

impl Ring {
    fn is_deliverable(&self, at: usize) -> bool {
        self.log[at].service != Service::Safe || self.received.values().all(|&received| received > at)
    }
}

/// What the members of one ring that go on together deliver before they do.
struct Recovery {
    ring: RingId,
    members: Vec<u32>,
    next: RingId,
    regular_end: usize,
    transitional: Vec<usize>,
}

/// Daemons, their rings and their clients.
pub struct Bus {
    pub rng: Rng,
    pub clients: BTreeMap<SessionId, Client>,
    /// Daemons carry out only a little of what is due at each event, so that work is left when the next one comes.
    pub is_sliced: bool,
    order: Vec<u32>,
    daemons: BTreeMap<u32, Daemon>,
    rings: BTreeMap<RingId, Ring>,
}

fn daemon(sequence: u64, id: u32) -> Daemon {
    let groups = Groups::new(DaemonId(id), ORDER.map(|id| (DaemonId(id), format!("d{id}"))));
    Daemon { groups, ring: None, sequence, first: VecDeque::new(), queue: VecDeque::new() }
}

impl Bus {
    /// Daemons in this ring order, each without a configuration.
    pub fn new(order: &[u32], seed: u64) -> Bus {
        let daemons = order.iter().map(|&id| (id, daemon(0, id))).collect();
        Bus {
            rng: Rng::new(seed),
            clients: BTreeMap::new(),
            is_sliced: false,
            order: order.to_vec(),
            daemons,
            rings: BTreeMap::new(),
        }
    }

    pub fn groups(&self, daemon: u32) -> &Groups {
        &self.daemons[&daemon].groups
    }

    pub fn connect(&mut self, daemon: u32, private_name: &str, wants_membership: bool) -> SessionId {
        let id = SessionId(self.clients.len() as u64);
        let name = name(&format!("#{private_name}#d{daemon}"));
        let session = Session { id, private_group: name, wants_membership };
        self.daemons.get_mut(&daemon).unwrap().groups.connect(session).unwrap();
        let client =
            Client { id, daemon, name, wants_membership, log: Vec::new(), alive: true, lost: false, released: false };
        self.clients.insert(id, client);
        id
    }

    pub fn join(&mut self, id: SessionId, group: &str) {
        let member = self.clients[&id].name;
        self.submit(id, &Envelope::Join { member, group: name(group) }, Service::Agreed);
    }

    pub fn leave(&mut self, id: SessionId, group: &str) {
        let member = self.clients[&id].name;
        self.submit(id, &Envelope::Leave { member, group: name(group) }, Service::Agreed);
    }

    pub fn disconnect(&mut self, id: SessionId) {
        let member = self.clients[&id].name;
        self.submit(id, &Envelope::Disconnect { member }, Service::Agreed);
        self.clients.get_mut(&id).unwrap().alive = false;
    }

    pub fn send(&mut self, id: SessionId, kind: FrameType, groups: &[Name], message: u64) {
        let frame = data_frame(kind, self.clients[&id].name, groups, message);
        self.submit(id, &Envelope::Data(frame), kind.service().unwrap());
    }

    /// Sends what need not be an envelope.
    pub fn send_bytes(&mut self, id: SessionId, bytes: &[u8]) {
        let daemon = self.daemons.get_mut(&self.clients[&id].daemon).unwrap();
        daemon.queue.push_back((Payload::from(bytes.to_vec()), Service::Agreed));
    }

    fn submit(&mut self, id: SessionId, envelope: &Envelope, service: Service) {
        let daemon = self.daemons.get_mut(&self.clients[&id].daemon).unwrap();
        daemon.queue.push_back((envelope.encode(), service));
    }

    /// Puts the next waiting message of a daemon into its ring's order.
    pub fn originate(&mut self, id: u32) -> bool {
        let daemon = self.daemons.get_mut(&id).unwrap();
        let Some(ring) = daemon.ring else { return false };
        let Some((payload, service)) = daemon.first.pop_front().or_else(|| daemon.queue.pop_front()) else {
            return false;
        };
        let message = Message { origin: DaemonId(id), service, payload, numbered: true };
        self.rings.get_mut(&ring).unwrap().log.push(message);
        true
    }

    /// Lets a daemon receive the next message.
    pub fn receive(&mut self, id: u32) -> bool {
        let Some(ring) = self.daemons[&id].ring else { return false };
        let ring = self.rings.get_mut(&ring).unwrap();
        let more = ring.received[&id] < ring.log.len();
        *ring.received.get_mut(&id).unwrap() += usize::from(more);
        more
    }

    /// Lets a daemon deliver the next message, if it may.
    pub fn deliver(&mut self, id: u32) -> bool {
        let Some(ring) = self.daemons[&id].ring else { return false };
        let ring = self.rings.get_mut(&ring).unwrap();
        let at = ring.delivered[&id];
        if at >= ring.received[&id] || !ring.is_deliverable(at) {
            return false;
        }
        ring.delivered.insert(id, at + 1);
        let message = ring.log[at].clone();
        self.hand(id, RingEvent::Message(message));
        true
    }

    /// Lets everything happen that can happen without a change of configuration.
    pub fn run_until_quiet(&mut self) {
        let ids = self.order.clone();
        let step = |bus: &mut Bus, &id: &u32| bus.originate(id) | bus.receive(id) | bus.deliver(id) | bus.catch_up(id);
        while ids.iter().fold(false, |any, id| step(self, id) | any) {}
    }

    /// Lets a daemon carry out all that is due.
    fn catch_up(&mut self, id: u32) -> bool {
        let was_busy = self.daemons[&id].groups.is_busy();
        self.work(id, usize::MAX);
        was_busy
    }

    /// A daemon and its clients are gone; a new life of it waits for a configuration.
    pub fn crash(&mut self, id: u32) {
        let sequence = self.daemons[&id].sequence;
        self.daemons.insert(id, daemon(sequence, id));
        for client in self.clients.values_mut().filter(|client| client.daemon == id) {
            (client.alive, client.lost) = (false, true);
        }
    }

    /// Breaks every ring and forms one ring for each part. `extend` is the chance that one more message is still
    /// delivered in the regular configuration.
    pub fn reconfigure(&mut self, parts: &[&[u32]], extend: f64) {
        let mut recoveries = Vec::new();
        for part in parts {
            let next = self.next_ring(part);
            for (ring, members) in self.by_old_ring(part) {
                recoveries.push(self.recovery(ring, members, next, extend));
            }
        }
        recoveries.iter().for_each(|recovery| self.recover(recovery));
        self.rings.clear();
        parts.iter().for_each(|part| self.form(part));
    }

    fn in_order(&self, part: &[u32]) -> Vec<u32> {
        self.order.iter().copied().filter(|id| part.contains(id)).collect()
    }

    fn by_old_ring(&self, part: &[u32]) -> BTreeMap<RingId, Vec<u32>> {
        let mut old: BTreeMap<RingId, Vec<u32>> = BTreeMap::new();
        for id in self.in_order(part) {
            if let Some(ring) = self.daemons[&id].ring {
                old.entry(ring).or_default().push(id);
            }
        }
        old
    }

    fn recovery(&mut self, id: RingId, members: Vec<u32>, next: RingId, extend: f64) -> Recovery {
        let ring = &self.rings[&id];
        let furthest = |of: &BTreeMap<u32, usize>| members.iter().map(|member| of[member]).max().unwrap();
        let received = furthest(&ring.received);
        let mut regular_end = furthest(&ring.delivered);
        while regular_end < received && ring.is_deliverable(regular_end) && self.rng.chance(extend) {
            regular_end += 1;
        }
        let own = |&at: &usize| members.contains(&ring.log[at].origin.0);
        let transitional = (regular_end..received).chain((received..ring.log.len()).filter(own)).collect();
        Recovery { ring: id, members, next, regular_end, transitional }
    }

    fn recover(&mut self, recovery: &Recovery) {
        let together = recovery.members.iter().copied().map(DaemonId).collect();
        let (kind, next) = (ConfigurationKind::Transitional, Some(recovery.next));
        let transitional = Configuration { kind, ring: recovery.ring, members: together, next };
        for &id in &recovery.members {
            let ring = &self.rings[&recovery.ring];
            let rest = ring.delivered[&id]..recovery.regular_end;
            let message = |at: usize| RingEvent::Message(ring.log[at].clone());
            let mut events: Vec<RingEvent> = rest.map(message).collect();
            events.push(RingEvent::Configuration(transitional.clone()));
            events.extend(recovery.transitional.iter().copied().map(message));
            events.into_iter().for_each(|event| self.hand(id, event));
        }
    }

    fn next_ring(&self, part: &[u32]) -> RingId {
        let sequence = 1 + part.iter().map(|id| self.daemons[id].sequence).max().unwrap();
        RingId { sequence, representative: DaemonId(*part.iter().min().unwrap()) }
    }

    fn form(&mut self, part: &[u32]) {
        let members = self.in_order(part);
        let ring = self.next_ring(part);
        let none: BTreeMap<u32, usize> = members.iter().map(|&id| (id, 0)).collect();
        let (received, delivered) = (none.clone(), none);
        self.rings.insert(ring, Ring { members: members.clone(), log: Vec::new(), received, delivered });
        for &id in &self.rings[&ring].members.clone() {
            let daemon = self.daemons.get_mut(&id).unwrap();
            (daemon.ring, daemon.sequence) = (Some(ring), ring.sequence);
            let members = members.iter().copied().map(DaemonId).collect();
            let regular = Configuration { kind: ConfigurationKind::Regular, ring, members, next: None };
            self.hand(id, RingEvent::Configuration(regular));
        }
    }

    /// Gives a daemon one event and carries out what follows.
    fn hand(&mut self, id: u32, event: RingEvent) {
        let daemon = self.daemons.get_mut(&id).unwrap();
        let is_beginning =
            matches!(&event, RingEvent::Configuration(regular) if regular.kind == ConfigurationKind::Regular);
        daemon.groups.handle_event(event);
        // What a daemon says at the beginning of a configuration goes before all messages.
        let waits = self.is_sliced && !is_beginning;
        let budget = if waits { self.rng.below(60) as usize } else { usize::MAX };
        self.work(id, budget);
    }

    /// Lets a daemon carry out what is due, as far as the budget goes.
    fn work(&mut self, id: u32, mut budget: usize) {
        let daemon = self.daemons.get_mut(&id).unwrap();
        while let Some(event) = daemon.groups.poll_event_within(&mut budget) {
            match event {
                GroupsEvent::Submit { payload, service, .. } => daemon.first.push_back((payload, service)),
                GroupsEvent::Whole(_) | GroupsEvent::Changed | GroupsEvent::Begun(_) => {}
                GroupsEvent::Said(_) => {}
                GroupsEvent::Refused(_) | GroupsEvent::RoomForPieces | GroupsEvent::Forged => {
                    panic!("nobody forges anything")
                }
                GroupsEvent::Released(session) => self.clients.get_mut(&session).unwrap().released = true,
                GroupsEvent::Deliver { to, frame } => {
                    let entry = read_frame(&frame);
                    to.iter().for_each(|session| take(self.clients.get_mut(session).unwrap(), &entry));
                }
            }
        }
    }
}

fn take(client: &mut Client, entry: &Entry) {
    if client.alive {
        client.log.push(entry.clone());
    }
}
