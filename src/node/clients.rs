//! The client sessions of a daemon: their connections, time limits and ends. Their requests are in `requests`.
//!
//! The private name of an ended session stays in use until its disconnection has its place in the order of the ring. So all messages of the
//! old session come before those of a new session with the same name. A client that asks for such a name waits for it, as long as a handshake
//! may take.

mod ceiling;
mod delivery;
mod passwords;
mod requests;
mod stands;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::attempts::Attempts;
use super::doorway::Doorway;
use super::ends::{ClientStats, EndReason};
use super::memory::{Fill, Memory, SESSION};
use super::pace::{Pace, Ticket};
use super::users::{User, Users};
use super::{NodeEvent, NodeSettings};
use crate::groups::{self, SessionId};
use crate::rng::Rng;
use crate::session::{Outbox, Peer, Session, SessionSettings, SlowClient, Source};
use crate::time::{Duration, Instant};
use crate::wire::{Envelope, Name, Refusal, Service};

/// The longest pause within a frame of a client while the daemon reads.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// All client sessions of a daemon.
#[derive(Debug)]
pub(super) struct Clients {
    config: SessionSettings,
    daemon: Vec<u8>,
    sessions: BTreeMap<SessionId, Client>,
    /// Private groups in use, those of ended sessions included until they are released.
    names: BTreeMap<Name, Holder>,
    /// Ended sessions whose disconnection is on its way through the ring.
    leaving: BTreeMap<SessionId, Leaving>,
    /// With `block-senders`: the sessions with a full outbox, and the senders that each of them stops.
    full: BTreeMap<SessionId, BTreeSet<SessionId>>,
    doorway: Doorway,
    memory: Memory,
    pace: Pace,
    attempts: Attempts,
    users: Users,
    /// Users whose sessions exceed the user's limit.
    greedy: Vec<User>,
    /// When sessions with an unfinished frame are checked, in order of time; each at most once.
    unfinished: VecDeque<(Instant, SessionId)>,
    stats: ClientStats,
    /// The time of the input that is being handled.
    now: Instant,
    /// When the daemon last stopped reading all clients.
    unread: Instant,
    demands: VecDeque<Demand>,
    events: VecDeque<NodeEvent>,
    rng: Rng,
}

#[derive(Debug)]
struct Client {
    session: Session,
    source: Source,
    user: User,
    /// The name that it asks for, and has once it has authenticated.
    private_group: Option<Name>,
    membership: bool,
    /// The handshake is done: the groups know the session.
    opened: bool,
    /// It lags, and this was logged.
    lagging: bool,
    /// How many sessions with a full outbox it has sent to; it is not read while there are any.
    stopped_by: usize,
    /// A join or leave of it waits for the members of its group to read.
    paced: Option<Ticket>,
    /// The other end of its connection is gone; it is read to the end.
    hung_up: bool,
    /// It is far behind with views.
    behind: bool,
    /// It has an entry in `unfinished`.
    timed: bool,
    /// When its last bytes came, or the daemon did not read it.
    heard: Instant,
    /// Bytes of memory that its input takes.
    input: usize,
    /// Bytes of frames that its user is charged for it.
    charged: usize,
}

/// An ended session whose disconnection has no place in the order yet.
#[derive(Debug)]
struct Leaving {
    name: Name,
    /// Bytes that it takes until then.
    memory: usize,
}

impl Client {
    /// Its private group, for the log.
    fn name(&self) -> String {
        self.private_group.map_or("a client without a name".to_string(), |name| name.to_string())
    }
}

/// Whether something waited for a client before its requests were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutboxState {
    Empty,
    Filled,
}

impl OutboxState {
    fn of(outbox: &Outbox) -> OutboxState {
        if outbox.is_empty() { OutboxState::Empty } else { OutboxState::Filled }
    }
}

/// The owner of a private group.
#[derive(Debug)]
enum Holder {
    /// A session, from the end of its authentication on.
    Session(SessionId),
    /// A session that has ended, and the one that waits for the name.
    Leaving { next: Option<SessionId> },
}

/// A request of a client to the rest of the daemon.
#[derive(Debug)]
pub(super) enum Demand {
    /// The session is open.
    Open(groups::Session),
    /// A session's message for the ring.
    Submit { session: SessionId, service: Service, envelope: Envelope },
}

impl Clients {
    pub(super) fn new(config: &NodeSettings) -> Clients {
        Clients {
            config: config.live.session.clone(),
            daemon: config.name.clone().into_bytes(),
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            leaving: BTreeMap::new(),
            full: BTreeMap::new(),
            doorway: Doorway::new(config.handshake_timeout),
            memory: Memory::new(config.live.session.max_memory),
            pace: Pace::default(),
            attempts: Attempts::default(),
            users: Users::new(config.live.session.max_user_sessions, config.live.session.max_user_memory),
            greedy: Vec::new(),
            unfinished: VecDeque::new(),
            stats: ClientStats::default(),
            now: Instant::ZERO,
            unread: Instant::ZERO,
            demands: VecDeque::new(),
            events: VecDeque::new(),
            rng: Rng::new(config.seed),
        }
    }

    /// Applies other settings. Open sessions stay open, with the new limits. If the new rules do not stop senders, stopped senders continue.
    pub(super) fn configure(&mut self, config: &SessionSettings) {
        self.config = config.clone();
        self.memory.set_limit(config.max_memory);
        self.set_user_limits(config.max_user_sessions, config.max_user_memory);
        self.sessions.values_mut().for_each(|client| client.session.configure(config));
        if config.slow_client != SlowClient::BlockSenders {
            for receiver in self.full.keys().copied().collect::<Vec<SessionId>>() {
                self.release(receiver);
            }
        }
        // With other limits, other outboxes are full.
        for id in self.sessions.keys().copied().collect::<Vec<SessionId>>() {
            self.check_pace(id);
        }
    }

    /// How many sessions there are, unfinished handshakes included.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The counters.
    pub(super) fn stats(&self) -> ClientStats {
        ClientStats { memory_bytes: self.memory.used() as u64, ..self.stats }
    }

    /// An input begins at this time.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// No client is read for now.
    pub(super) fn record_unread(&mut self) {
        self.unread = self.now;
    }

    /// Whether this session must wait, because a receiver of its messages does not read, or members are behind with their views.
    pub(super) fn stops(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|client| client.stopped_by > 0 || client.paced.is_some())
    }

    /// A client connected.
    pub(super) fn connected(&mut self, id: SessionId, peer: Peer) {
        let source = peer.source();
        let client = Client {
            session: Session::new(&self.config, peer),
            source,
            user: User::From(source),
            private_group: None,
            membership: false,
            opened: false,
            lagging: false,
            stopped_by: 0,
            paced: None,
            hung_up: false,
            behind: false,
            timed: false,
            heard: self.now,
            input: 0,
            charged: 0,
        };
        // Asked before the client itself counts.
        let has_room = self.users.has_room(&client.user);
        // Entered even if it is refused below, because every end takes a session from its user.
        self.users.enter(client.user.clone());
        let replaced = self.sessions.insert(id, client);
        assert!(replaced.is_none(), "a session id is used once");
        self.memory.change(SESSION as isize);
        // It counts before it is judged, so that a crowd cannot slip in between the checks.
        self.doorway.enter(self.now, id, source);
        if has_room {
            self.admit_newcomer(id, source);
        } else {
            self.refuse(id, Refusal::QUOTA);
        }
    }

    /// Finds a place for a client that has just connected, or refuses it.
    fn admit_newcomer(&mut self, id: SessionId, source: Source) {
        // Refused before the limit is reached, because open sessions need the rest.
        if self.memory.fill() >= Fill::Tight {
            // The protocol has no word for this, but the log has.
            return self.refuse_as(id, Refusal::QUOTA, EndReason::MemoryShort);
        }
        if let Some(surplus) = self.doorway.surplus(source) {
            self.end(surplus, EndReason::CrowdedOut);
        }
        // The newcomer is already one of them.
        if self.sessions.len() > self.config.quota {
            // Somebody who opens connections and sends nothing must not lock others out.
            match self.doorway.make_room(source) {
                Some(other) => self.end(other, EndReason::CrowdedOut),
                None => self.refuse(id, Refusal::QUOTA),
            }
        }
    }

    /// A client's bytes arrived.
    pub(super) fn bytes(&mut self, id: SessionId, bytes: &[u8]) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let before = OutboxState::of(client.session.outbox());
        client.heard = self.now;
        client.session.handle_bytes(bytes);
        self.requests(id, before);
        self.watch_frame(id);
    }

    /// Watches a frame that has begun.
    fn watch_frame(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        if client.session.is_inside_frame() && !client.timed {
            client.timed = true;
            self.unfinished.push_back((self.now + FRAME_TIMEOUT, id));
        }
    }

    /// Carries out the complete requests of a client, whose outbox was in this state before.
    fn requests(&mut self, id: SessionId, before: OutboxState) {
        // A change that waits must not be overtaken by the next requests of its client.
        let next = |client: &mut Client| if client.paced.is_some() { None } else { client.session.poll_request() };
        while let Some(request) = self.sessions.get_mut(&id).and_then(next) {
            self.on_request(id, request);
        }
        self.update_accounts(id);
        // The daemon writes until the outbox is empty, so it needs one event when it stops being empty.
        if before == OutboxState::Empty && self.outbox(id).is_some_and(|outbox| !outbox.is_empty()) {
            self.events.push_back(NodeEvent::Output(id));
        }
    }

    /// The other end of the client's connection is gone. A join or leave of it that waits is dropped: the disconnection takes it out of all groups.
    /// So its name is free again as soon as its last bytes are read.
    pub(super) fn hung_up(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        client.hung_up = true;
        let before = OutboxState::of(client.session.outbox());
        if let Some(ticket) = client.paced.take() {
            self.pace.withdraw(&client.user, ticket);
            self.requests(id, before);
        }
    }

    /// The first `n` bytes of what waits for a client have been written.
    pub(super) fn wrote(&mut self, id: SessionId, n: usize) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.outbox_mut().wrote(n);
            self.update_accounts(id);
            self.check_pace(id);
        }
    }

    /// A client's socket is full for now.
    pub(super) fn blocked(&mut self, id: SessionId) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.outbox_mut().block();
            self.check_pace(id);
        }
    }

    /// The session is over. Its disconnection goes through the ring; until then its name is taken.
    pub(super) fn end(&mut self, id: SessionId, reason: EndReason) {
        // Accounts are settled first, so that nothing of this session stays counted.
        self.update_accounts(id);
        let Some(mut client) = self.sessions.remove(&id) else { return };
        self.release(id);
        self.doorway.leave(id, client.source);
        self.users.leave(&client.user, client.charged);
        if let Some(ticket) = client.paced {
            self.pace.withdraw(&client.user, ticket);
        }
        self.pace.fall_behind(-isize::from(client.behind));
        self.pace.watch(-isize::from(client.opened && client.membership));
        self.count_end(&client, reason);
        match client.private_group {
            Some(name) if client.opened => self.leave_name(id, name),
            // It has sent nothing to the ring, so nobody can take a new session with this name for it.
            Some(name) => self.give_name_back(id, name),
            None => {}
        }
        let outbox = client.session.outbox_mut();
        let rest = outbox.take_all();
        self.memory.change(outbox.take_memory_change() - client.input as isize - SESSION as isize);
        // A refused client should learn why. To any other nothing more can be promised.
        let rest = if reason.is_refusal() { rest } else { Vec::new() };
        self.events.push_back(NodeEvent::Close { id, reason, rest });
    }

    fn count_end(&mut self, client: &Client, reason: EndReason) {
        self.stats.count_end(reason);
        if !reason.is_remarkable() {
            tracing::debug!(client = %client.name(), from = %client.source, %reason, "session ended");
        } else {
            // With its source: a flood from one must not use up the lines of all others.
            tracing::warn!(name: "session_ended", client = %client.name(), from = %client.source, %reason, "session ended");
        }
    }

    /// An open session is over. Its name stays in use until the disconnection has its place in the order.
    fn leave_name(&mut self, id: SessionId, name: Name) {
        self.leaving.insert(id, Leaving { name, memory: 0 });
        self.names.insert(name, Holder::Leaving { next: None });
        self.submit(id, Service::Agreed, Envelope::Disconnect { member: name });
    }

    /// Frees the name of a session that ended before it was open, if the session held the name or waited for it.
    fn give_name_back(&mut self, id: SessionId, name: Name) {
        match self.names.get_mut(&name) {
            Some(Holder::Leaving { next }) => *next = next.filter(|&waiting| waiting != id),
            Some(Holder::Session(holder)) if *holder == id => _ = self.names.remove(&name),
            _ => {}
        }
    }

    /// The session's disconnection has its place in the order: its name is free, or goes to the client that waits for it.
    pub(super) fn released(&mut self, id: SessionId) {
        let Some(Leaving { name, memory }) = self.leaving.remove(&id) else { return };
        self.memory.forget(memory);
        if let Some(Holder::Leaving { next: Some(next) }) = self.names.remove(&name) {
            let before = self.outbox(next).map_or(OutboxState::Filled, OutboxState::of);
            self.open(next, name);
            self.requests(next, before);
        }
    }

    /// The outbox of a client.
    pub(super) fn outbox(&self, id: SessionId) -> Option<&Outbox> {
        Some(self.sessions.get(&id)?.session.outbox())
    }

    /// When the next handshake or frame must be over, or a change that waits goes on.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let frame = self.unfinished.front().map(|&(at, _)| at);
        let (doorway, attempt) = (self.doorway.poll_timeout(), self.attempts.poll_timeout());
        doorway.into_iter().chain(frame).chain(self.pace.poll_timeout()).chain(attempt).min()
    }

    /// Ends sessions that took too long, and releases waiting changes.
    pub(super) fn handle_timeout(&mut self) {
        while let Some(id) = self.doorway.poll_late(self.now) {
            // A deadline remains when its handshake ends, so the session may be open or gone.
            if self.sessions.get(&id).is_some_and(|client| !client.opened) {
                self.end(id, EndReason::HandshakeTimeout);
            }
        }
        while let Some((_, id)) = self.unfinished.pop_front_if(|&mut (at, _)| at <= self.now) {
            self.judge_frame(id);
        }
        self.compare();
        self.resume();
    }

    /// The time limit of an unfinished frame has passed.
    fn judge_frame(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        // The daemon itself did not read the client, so the pause is not the client's fault.
        if client.stopped_by > 0 || client.paced.is_some() {
            client.heard = self.now;
        }
        let due = client.heard.max(self.unread) + FRAME_TIMEOUT;
        if !client.session.is_inside_frame() {
            client.timed = false;
        } else if due > self.now {
            self.unfinished.push_back((due, id));
        } else {
            self.end(id, EndReason::Unfinished);
        }
    }

    /// Releases changes that waited for members to read.
    fn resume(&mut self) {
        while let Some((id, change)) = self.pace.poll(self.now) {
            let Some(client) = self.sessions.get_mut(&id) else { continue };
            client.paced = None;
            let before = OutboxState::of(client.session.outbox());
            self.change(id, change);
            self.requests(id, before);
            // Its next requests may have stopped it again.
            if !self.stops(id) {
                self.events.push_back(NodeEvent::Welcome(id));
            }
        }
    }

    /// A change of this daemon's clients has its place in the order.
    pub(super) fn changed(&mut self) {
        self.pace.arrive();
        self.resume();
    }

    /// A configuration begins.
    pub(super) fn on_configuration(&mut self) {
        self.pace.restart();
    }

    pub(super) fn poll_demand(&mut self) -> Option<Demand> {
        self.demands.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front()
    }
}
