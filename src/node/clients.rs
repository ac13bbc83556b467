//! The client sessions of a daemon: their names, their ends, and what they ask of the ring.
//!
//! A session may end at any time; its private name stays taken until its disconnection has gone through the order of the ring, so
//! that whatever the old session sent is before whatever a new session of the same name sends. Who asks for such a name meanwhile
//! is not refused but waits for it, as long as a handshake may take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::{Config, Event};
use crate::counters::counters;
use crate::groups::{self, SessionId};
use crate::rng::Rng;
use crate::session::{self, Outbox, Overflow, Peer, Request, Session, SlowClient, Violation};
use crate::time::{Duration, Instant};
use crate::wire::{ConnectRequest, Envelope, FrameHeader, FrameType, Name, Payload, Refusal, Service};

/// All client sessions of a daemon.
#[derive(Debug)]
pub(super) struct Clients {
    config: session::Config,
    daemon: Vec<u8>,
    handshake_timeout: Duration,
    sessions: BTreeMap<SessionId, Client>,
    /// Private groups in use, those of ended sessions included until they are released.
    names: BTreeMap<Name, Holder>,
    /// Ended sessions whose disconnection is on its way through the ring.
    leaving: BTreeMap<SessionId, Name>,
    /// Sessions whose outbox is full, if that stops those who send to them, and who is stopped.
    full: BTreeMap<SessionId, BTreeSet<SessionId>>,
    stats: ClientStats,
    /// When each handshake must be over, in order of time.
    handshakes: VecDeque<(Instant, SessionId)>,
    demands: VecDeque<Demand>,
    events: VecDeque<Event>,
    rng: Rng,
}

#[derive(Debug)]
struct Client {
    session: Session,
    /// The name it was admitted under.
    private_group: Option<Name>,
    membership: bool,
    /// The handshake is done: the groups know the session.
    opened: bool,
    /// It lags, and that was said.
    lagging: bool,
    /// How many sessions with a full outbox it has sent to; it is not read while there are any.
    stopped_by: usize,
}

impl Client {
    /// Its private group, for the log.
    fn name(&self) -> String {
        self.private_group.map_or("a client without a name".to_string(), |name| name.to_string())
    }
}

/// Who has a private group.
#[derive(Debug)]
enum Holder {
    /// A session, from its hello to its end.
    Session(SessionId),
    /// A session that has ended; and the one that waits for the name, with its membership wish.
    Leaving { next: Option<(SessionId, bool)> },
}

counters! {
    /// What was counted of clients.
    pub struct ClientStats in "clients" {
        /// How often a client began to lag: more than half of what may wait for it did.
        lagging,
        /// Sessions ended because too many messages waited for clients that did not read.
        slow_by_messages,
        /// Sessions ended because too many bytes waited for their clients.
        slow_by_bytes,
        /// How often a client was not read because one that it had sent to did not read.
        stopped_senders,
        /// Unreliable messages that a lagging client did not get.
        dropped_unreliable,
        /// Clients refused.
        refused,
        /// Sessions ended because their clients broke the protocol.
        violations,
        /// Sessions ended by their clients.
        disconnected,
        /// Sessions ended because their connections ended or failed.
        gone,
        /// Clients that did not finish their handshake in time.
        handshake_timeouts,
    }
}

/// What a client asks of the rest of the daemon.
#[derive(Debug)]
pub(super) enum Demand {
    /// The session is open.
    Open(groups::Session),
    /// A session's message for the ring.
    Submit { session: SessionId, service: Service, envelope: Envelope },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client said so.
    Kill,
    /// The connection ended or failed.
    Gone,
    /// The client was refused.
    Refused(Refusal),
    /// The client broke the protocol.
    Violation(Violation),
    /// The client did not finish its handshake in time.
    HandshakeTimeout,
    /// The client did not read fast enough.
    Slow(Overflow),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Kill => write!(f, "disconnected"),
            EndReason::Gone => write!(f, "connection ended"),
            EndReason::Refused(refusal) => write!(f, "refused ({})", refusal.0),
            EndReason::Violation(violation) => write!(f, "broke the protocol: {violation}"),
            EndReason::HandshakeTimeout => write!(f, "did not finish the handshake in time"),
            EndReason::Slow(overflow) => write!(f, "reads too slowly: {overflow}"),
        }
    }
}

impl Clients {
    pub(super) fn new(config: &Config) -> Clients {
        Clients {
            config: config.live.session.clone(),
            daemon: config.name.clone().into_bytes(),
            handshake_timeout: config.handshake_timeout,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            leaving: BTreeMap::new(),
            full: BTreeMap::new(),
            stats: ClientStats::default(),
            handshakes: VecDeque::new(),
            demands: VecDeque::new(),
            events: VecDeque::new(),
            rng: Rng::new(config.seed),
        }
    }

    /// Other rules from now on. Sessions that are open stay open, with the new limits; who is stopped by a slow reader goes on if the
    /// rules do not stop senders any more.
    pub(super) fn configure(&mut self, config: &session::Config) {
        self.config = config.clone();
        self.sessions.values_mut().for_each(|client| client.session.configure(config));
        if config.slow_client != SlowClient::BlockSenders {
            let receivers: Vec<SessionId> = self.full.keys().copied().collect();
            receivers.into_iter().for_each(|receiver| self.release(receiver));
        }
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        all.into_iter().for_each(|id| self.note_pace(id));
    }

    /// How many sessions there are, unfinished handshakes included.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// What was counted.
    pub(super) fn stats(&self) -> &ClientStats {
        &self.stats
    }

    /// Whether this session must not send more, as one that it has sent to does not read.
    pub(super) fn stops(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|client| client.stopped_by > 0)
    }

    /// A client connected.
    pub(super) fn connected(&mut self, now: Instant, id: SessionId, peer: Peer) {
        let session = Session::new(&self.config, peer);
        self.handshakes.push_back((now + self.handshake_timeout, id));
        let client =
            Client { session, private_group: None, membership: false, opened: false, lagging: false, stopped_by: 0 };
        let replaced = self.sessions.insert(id, client);
        assert!(replaced.is_none(), "a session id is used once");
        if self.sessions.len() > self.config.quota {
            self.refuse(id, Refusal::QUOTA);
        }
    }

    /// A client's bytes arrived.
    pub(super) fn bytes(&mut self, id: SessionId, bytes: &[u8]) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let quiet = client.session.outbox().is_empty();
        client.session.handle_bytes(bytes);
        self.requests(id, quiet);
    }

    /// Does what a client asks for, as far as its bytes are there. `quiet`: nothing waited for it before.
    fn requests(&mut self, id: SessionId, quiet: bool) {
        while let Some(request) = self.sessions.get_mut(&id).and_then(|client| client.session.poll_request()) {
            self.on_request(id, request);
        }
        if quiet && self.outbox(id).is_some_and(|outbox| !outbox.is_empty()) {
            self.events.push_back(Event::Output(id));
        }
    }

    /// A frame for a client.
    pub(super) fn deliver(&mut self, id: SessionId, frame: Payload) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        if client.lagging && self.config.slow_client == SlowClient::DropUnreliable && is_unreliable(&frame) {
            self.stats.dropped_unreliable += 1;
            return;
        }
        let sender = sender(&frame).filter(|_| self.config.slow_client == SlowClient::BlockSenders);
        let outbox = client.session.outbox_mut();
        let quiet = outbox.is_empty();
        match outbox.push(frame) {
            Ok(()) if quiet => self.events.push_back(Event::Output(id)),
            Ok(()) => {}
            Err(overflow) => return self.end(id, EndReason::Slow(overflow)),
        }
        self.note_pace(id);
        sender.into_iter().for_each(|sender| self.stop(&sender, id));
    }

    /// A message of this sender went to a session; the sender is stopped if that made or found its outbox full.
    fn stop(&mut self, sender: &Name, receiver: SessionId) {
        let Some(stopped) = self.full.get_mut(&receiver) else { return };
        let Some(Holder::Session(id)) = self.names.get(sender) else { return };
        if stopped.insert(*id)
            && let Some(client) = self.sessions.get_mut(id)
        {
            client.stopped_by += 1;
            self.stats.stopped_senders += 1;
        }
    }

    /// A session's outbox is not full any more, or the session is over: those whom it stopped may go on.
    fn release(&mut self, receiver: SessionId) {
        for id in self.full.remove(&receiver).into_iter().flatten() {
            let Some(client) = self.sessions.get_mut(&id) else { continue };
            client.stopped_by -= 1;
            if client.stopped_by == 0 {
                self.events.push_back(Event::Welcome(id));
            }
        }
    }

    /// The first `n` bytes of what waits for a client have been written.
    pub(super) fn wrote(&mut self, id: SessionId, n: usize) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.outbox_mut().wrote(n);
            self.note_pace(id);
        }
    }

    /// A client's socket takes no more for now.
    pub(super) fn blocked(&mut self, id: SessionId) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.outbox_mut().block();
            self.note_pace(id);
        }
    }

    /// Compares what waits for a client with the limits, and says when it begins to lag. It lags until nothing waits.
    fn note_pace(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let outbox = client.session.outbox();
        if !client.lagging && outbox.is_lagging() {
            let (messages, bytes) = (outbox.messages(), outbox.bytes());
            tracing::warn!(name: "client_slow", client = %client.name(), messages, bytes, "client reads slowly");
            self.stats.lagging += 1;
            client.lagging = true;
        }
        client.lagging &= !outbox.is_empty();
        if self.config.slow_client != SlowClient::BlockSenders {
            return;
        }
        if outbox.is_full() {
            self.full.entry(id).or_default();
        } else {
            self.release(id);
        }
    }

    /// The session is over. Its disconnection goes through the ring; until then its name is taken.
    pub(super) fn end(&mut self, id: SessionId, reason: EndReason) {
        let Some(client) = self.sessions.remove(&id) else { return };
        self.release(id);
        self.count_end(&client, reason);
        if let Some(private_group) = client.private_group {
            self.leave_name(id, private_group, client.opened);
        }
        let rest = match reason {
            EndReason::Refused(_) => client.session.into_outbox().into_messages(),
            _ => Vec::new(),
        };
        self.events.push_back(Event::Close { id, reason, rest });
    }

    fn count_end(&mut self, client: &Client, reason: EndReason) {
        let counter = match reason {
            EndReason::Slow(Overflow::Messages) => &mut self.stats.slow_by_messages,
            EndReason::Slow(Overflow::Bytes) => &mut self.stats.slow_by_bytes,
            EndReason::Violation(_) => &mut self.stats.violations,
            EndReason::Refused(_) => &mut self.stats.refused,
            EndReason::Kill => &mut self.stats.disconnected,
            EndReason::Gone => &mut self.stats.gone,
            EndReason::HandshakeTimeout => &mut self.stats.handshake_timeouts,
        };
        *counter += 1;
        match reason {
            EndReason::Kill | EndReason::Gone | EndReason::HandshakeTimeout => {}
            EndReason::Refused(_) => tracing::debug!(client = %client.name(), %reason, "session ended"),
            _ => tracing::warn!(name: "session_ended", client = %client.name(), %reason, "session ended"),
        }
    }

    /// A session that had a name, or waited for it, is over.
    fn leave_name(&mut self, id: SessionId, name: Name, opened: bool) {
        if opened {
            self.leaving.insert(id, name);
            self.names.insert(name, Holder::Leaving { next: None });
            return self.submit(id, Service::Agreed, Envelope::Disconnect { member: name });
        }
        match self.names.get_mut(&name) {
            Some(Holder::Leaving { next }) => *next = next.filter(|&(waiting, _)| waiting != id),
            _ => _ = self.names.remove(&name),
        }
    }

    /// The session's disconnection has gone through the order: its name is free, or who waited for it has it.
    pub(super) fn released(&mut self, id: SessionId) {
        let Some(name) = self.leaving.remove(&id) else { return };
        if let Some(Holder::Leaving { next: Some((next, membership)) }) = self.names.remove(&name) {
            let quiet = self.outbox(next).is_some_and(Outbox::is_empty);
            self.admit(next, name, membership);
            self.requests(next, quiet);
        }
    }

    /// What waits for a client.
    pub(super) fn outbox(&self, id: SessionId) -> Option<&Outbox> {
        Some(self.sessions.get(&id)?.session.outbox())
    }

    /// When the next handshake must be over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.handshakes.front().map(|&(at, _)| at)
    }

    /// Ends the handshakes that took too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, id)) = self.handshakes.pop_front_if(|&mut (at, _)| at <= now) {
            if self.sessions.get(&id).is_some_and(|client| !client.opened) {
                self.end(id, EndReason::HandshakeTimeout);
            }
        }
    }

    pub(super) fn poll_demand(&mut self) -> Option<Demand> {
        self.demands.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn on_request(&mut self, id: SessionId, request: Request) {
        match request {
            Request::Hello(hello) => self.on_hello(id, &hello),
            Request::Opened => self.on_opened(id),
            Request::Join(group) => self.on_member(id, |member| Envelope::Join { member, group }),
            Request::Leave(group) => self.on_member(id, |member| Envelope::Leave { member, group }),
            Request::Multicast { service, frame } => self.submit(id, service, Envelope::Data(frame.into())),
            Request::Kill => self.end(id, EndReason::Kill),
            Request::Refused(refusal) => self.end(id, EndReason::Refused(refusal)),
            Request::Slow(overflow) => self.end(id, EndReason::Slow(overflow)),
            Request::Violation(violation) => self.end(id, EndReason::Violation(violation)),
        }
    }

    fn on_hello(&mut self, id: SessionId, hello: &ConnectRequest) {
        let Some(name) = self.private_group(id, hello) else { return self.refuse(id, Refusal::ILLEGAL_NAME) };
        match self.names.get_mut(&name) {
            None => self.admit(id, name, hello.membership),
            Some(Holder::Leaving { next: next @ None }) => {
                *next = Some((id, hello.membership));
                self.sessions.entry(id).and_modify(|client| client.private_group = Some(name));
            }
            Some(_) => self.refuse(id, Refusal::NOT_UNIQUE),
        }
    }

    fn admit(&mut self, id: SessionId, name: Name, membership: bool) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        client.private_group = Some(name);
        client.membership = membership;
        client.session.admit(name);
        self.names.insert(name, Holder::Session(id));
    }

    /// The private group that the client asks for, or one that is made up for it.
    fn private_group(&mut self, id: SessionId, hello: &ConnectRequest) -> Option<Name> {
        if let Some(name) = &hello.name {
            return Name::private_group(name.as_bytes(), &self.daemon).ok();
        }
        loop {
            let name = format!("r{}-{}", self.rng.below(9999), id.0 % 1000);
            let name = Name::private_group(name.as_bytes(), &self.daemon).ok()?;
            if !self.names.contains_key(&name) {
                return Some(name);
            }
        }
    }

    fn on_opened(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let private_group = client.private_group.expect("a session opens under the name it was admitted with");
        client.opened = true;
        let session = groups::Session { id, private_group, wants_membership: client.membership };
        self.demands.push_back(Demand::Open(session));
    }

    fn on_member(&mut self, id: SessionId, envelope: impl FnOnce(Name) -> Envelope) {
        if let Some(member) = self.sessions.get(&id).and_then(|client| client.private_group) {
            self.submit(id, Service::Agreed, envelope(member));
        }
    }

    fn refuse(&mut self, id: SessionId, refusal: Refusal) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.refuse(refusal);
            self.end(id, EndReason::Refused(refusal));
        }
    }

    fn submit(&mut self, session: SessionId, service: Service, envelope: Envelope) {
        self.demands.push_back(Demand::Submit { session, service, envelope });
    }
}

/// Who wrote a message; the group of a membership frame.
fn sender(frame: &Payload) -> Option<Name> {
    frame.front(FrameHeader::SIZE).first_chunk().map(|header| FrameHeader::decode(header).name)
}

/// Whether this is a client's message that may be lost.
fn is_unreliable(frame: &Payload) -> bool {
    frame.front(4).first_chunk().is_some_and(|bytes| FrameType::decode(*bytes).contains(FrameType::UNRELIABLE))
}
