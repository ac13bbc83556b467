//! A whole daemon without I/O: paths, ring, groups and sessions composed behind the four verbs.
//!
//! Datagrams go through [`multipath`] to the ring. The ring delivers messages to the groups, and these queue frames for the sessions.
//! Client bytes go the other way: session, lane, envelope, ring.

mod attempts;
mod clients;
mod coupling;
mod doorway;
mod ends;
mod inspect;
mod lanes;
mod memory;
mod pace;
mod passing;
mod patience;
mod succession;
mod users;

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::config::Live;
use crate::groups::{Groups, SessionId};
use crate::multipath::{self, Attempt, Multipath, MultipathSettings, Networks, Reason, System};
use crate::ring::{self, Configuration, Ring, RingSettings, RingSettingsError};
use crate::seal::Keys;
use crate::session::{Check, Peer, Verdict};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Header, NetworkId, Packet, Payload, Slice};
use clients::Clients;
use lanes::{Lanes, PIECE};
use memory::Elsewhere;
use patience::Patience;
use succession::Followed;

pub use crate::multipath::Transmit;
pub use coupling::{Alarm, couple};
pub use ends::{ClientStats, EndReason};
pub use inspect::SessionStand;
pub use succession::NextTable;

/// How a daemon is set up.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The ring, `me` and all daemons included.
    pub ring: RingSettings,
    /// This daemon's name, the last part of its clients' private groups. At most 19 bytes.
    pub name: String,
    /// The names of all daemons, in the order of the ring: a daemon speaks for its own clients alone.
    pub names: Vec<String>,
    /// The site of each daemon, in the order of the ring: daemons at different ones share no LAN. Empty if all are at one.
    pub sites: Vec<usize>,
    /// How many networks there are, 1 to 8.
    pub networks: u8,
    /// Which membership table it has: packets of another one are dropped and counted.
    pub system: System,
    /// The addresses of all daemons on all networks: without keys, a datagram from any other is dropped. Empty to check none.
    pub sources: Vec<IpAddr>,
    /// The keys that seal packets between daemons; none for plain packets.
    pub keys: Keys,
    /// The settings that [`Node::apply`] may change later. The windows and times of `ring` count at the start; see [`Live::tune`].
    pub live: Live,
    /// How long a client may take over its handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Seed for every random choice.
    pub seed: u64,
}

/// An input from a client's connection.
#[derive(Debug)]
pub enum ClientInput<'a> {
    /// A client connected.
    Connected(Peer),
    /// Bytes arrived.
    Bytes(&'a [u8]),
    /// The result of [`NodeEvent::Check`].
    Checked(Verdict),
    /// The other end is gone. There may still be bytes that it sent before; [`ClientInput::Closed`] follows them.
    HungUp,
    /// The stream ended or failed.
    Closed,
}

/// An event for the daemon around the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// [`Node::client_output`] of this session became non-empty.
    Output(SessionId),
    /// Write the rest, if the socket takes it, then close the connection. The node has already removed the session.
    Close {
        /// The session that is over.
        id: SessionId,
        /// Why.
        reason: EndReason,
        /// The rest to write.
        rest: Vec<Payload>,
    },
    /// Compare a password with the file on another thread, and answer with [`ClientInput::Checked`].
    Check {
        /// The session that waits.
        id: SessionId,
        /// The credentials to compare with the file.
        check: Check,
    },
    /// [`Node::takes_bytes_of`] this session again, if it did not.
    Welcome(SessionId),
    /// The ring installed a configuration.
    Configuration(Configuration),
    /// Another daemon has announced that it stops.
    Farewell(DaemonId),
    /// Something about the networks that an operator should know.
    Network(multipath::Notice),
}

/// The budget of the groups for one slice, in names that are copied: about a millisecond. Longer work is done in several slices, and the
/// ring passes tokens in between.
const SLICE: usize = 1 << 15;
/// The pause before the next slice, in which the daemon reads its sockets.
const SLICE_PAUSE: Duration = Duration::from_micros(1);
/// The backlog of the groups above which the work is done without pauses.
const BACKLOG_LIMIT: usize = 1 << 16;

/// The bytes of a packet's body that fit a datagram on Ethernet.
const USUAL_BODY: usize = 1436;

/// Payload bytes that may wait for the token before clients are no longer read.
const WAITING_LIMIT: usize = 1 << 20;

/// A daemon without I/O.
#[derive(Debug)]
pub struct Node {
    ring: Ring,
    paths: Multipath,
    groups: Groups,
    clients: Clients,
    lanes: Lanes,
    /// The budget of the groups for one slice.
    slice: usize,
    /// The rest of the budget in this slice.
    budget: usize,
    /// When the next slice of long work is due.
    next_slice: Option<Instant>,
    /// How long the groups of others may not come.
    patience: Patience,
    /// The daemons of the table that comes next, in ring order, and their names.
    next_daemons: Vec<(DaemonId, String)>,
    /// The next table has come, and nobody has asked for it yet.
    adopted: bool,
    events: VecDeque<NodeEvent>,
    /// The time that [`Node::poll_timeout`] returned last.
    alarm: Alarm,
}

impl Node {
    /// A daemon that begins to gather at `now`.
    pub fn new(config: NodeSettings, now: Instant) -> Result<Node, RingSettingsError> {
        // Pieces for one visit of the token, if packets have the usual length. At most half of the limit, so that pieces alone never stop the
        // reading of clients.
        let visit = config.ring.personal_window as usize * config.ring.body_limit.min(USUAL_BODY);
        let lanes = Lanes::new(visit.clamp(PIECE, WAITING_LIMIT / 2));
        let clients = Clients::new(&config);
        let longest = config.ring.body_limit + Header::SIZE;
        let ring = Ring::new(config.ring.clone(), now)?;
        let groups = Groups::new(config.ring.me, config.ring.daemons.iter().copied().zip(config.names));
        let paths = MultipathSettings {
            me: config.ring.me,
            incarnation: config.ring.incarnation,
            daemons: config.ring.daemons,
            sites: config.sites,
            system: config.system,
            networks: config.networks,
            policy: config.live.policy,
            sources: config.sources,
            keys: config.keys,
            longest,
            first_counter: 0,
        };
        let mut node = Node {
            paths: Multipath::new(paths, now),
            groups,
            ring,
            clients,
            lanes,
            slice: SLICE,
            budget: SLICE,
            next_slice: None,
            patience: Patience::new(),
            next_daemons: Vec::new(),
            adopted: false,
            events: VecDeque::new(),
            alarm: Alarm::default(),
        };
        node.paths.set_priorities(&config.live.priorities);
        // The paths must notice that a daemon is gone before the ring gives its token up.
        node.paths.set_believed_silence(node.ring.believed_silence());
        node.pump(now);
        Ok(node)
    }

    /// A datagram arrived on `network`, and comes from `source` as it says.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, source: IpAddr, datagram: Slice) {
        // First of all: a ring that was not running must know it before it reads what others said meanwhile.
        self.alarm.check(now, &mut self.ring);
        let first = self.paths.handle_datagram(now, network, source, datagram);
        // The packet may have completed the change to another table. The ring must have its members before it reads the packet.
        let followed = self.follow_table(now);
        let Some((header, body)) = first else {
            if followed == Followed::Table {
                self.pump(now);
            }
            return;
        };
        match Packet::decode(header.kind, &body) {
            Ok(packet) => {
                if let Packet::Join(join) = &packet
                    && join.leaving
                {
                    // Reported before the ring handles it, so that the log can tell a farewell from a loss.
                    self.events.push_back(NodeEvent::Farewell(header.sender));
                }
                // The ring counts by kind what no daemon says. It does not know the source.
                let lies = self.ring.stats().dropped.lies();
                self.ring.handle_packet(now, header.sender, packet);
                if self.ring.stats().dropped.lies() != lies {
                    self.paths.refuse_body(now, network, source, Reason::Impossible);
                }
            }
            Err(error) => {
                tracing::debug!(%error, sender = %header.sender, kind = ?header.kind, "malformed packet");
                self.paths.refuse_body(now, network, source, Reason::Malformed);
            }
        }
        self.pump(now);
    }

    /// Handles an input from a client's connection. The caller chooses the id and never uses it twice.
    pub fn handle_client(&mut self, now: Instant, id: SessionId, input: ClientInput<'_>) {
        self.clients.set_now(now);
        match input {
            ClientInput::Connected(peer) => self.clients.connected(id, peer),
            ClientInput::Bytes(bytes) => self.clients.bytes(id, bytes),
            ClientInput::Checked(verdict) => self.clients.checked(id, verdict),
            ClientInput::HungUp => self.clients.hung_up(id),
            ClientInput::Closed => self.clients.end(id, EndReason::Gone),
        }
        self.pump(now);
    }

    /// The system reports that nobody has the port of a daemon on a network. Such a report can be forged.
    pub fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: DaemonId) {
        self.paths.handle_refusal(now, network, daemon);
    }

    /// The time that [`Node::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.alarm.check(now, &mut self.ring);
        // Each part ignores a time-out that is not its own, so all are called.
        self.paths.handle_timeout(now);
        self.follow_table(now);
        while let Some(daemon) = self.paths.poll_death() {
            self.ring.suspect(now, daemon);
        }
        self.ring.handle_timeout(now);
        self.end_patience(now);
        self.clients.set_now(now);
        self.clients.handle_timeout();
        // While a slice is scheduled, the groups have no budget. This one is due, so they get one again.
        self.next_slice = self.next_slice.filter(|&at| at > now);
        self.pump(now);
    }

    /// Applies settings: the only entry for everything that may change at run time. No accepted message is lost, and clients keep their
    /// sessions even if the new rules would refuse them.
    pub fn apply(&mut self, now: Instant, live: &Live) {
        self.paths.set_policy(live.policy);
        self.paths.set_priorities(&live.priorities);
        self.paths.set_settings(live.digests());
        self.ring.retune(|ring| live.tune(ring));
        // It depends on the time-outs of the ring, which have just changed.
        self.paths.set_believed_silence(self.ring.believed_silence());
        self.clients.configure(&live.session);
        self.pump(now);
    }

    /// Leaves the ring at once, so that the others need not wait for a timeout. Drain the transmits, then drop the node.
    pub fn leave(&mut self, now: Instant) {
        self.ring.leave();
        self.pump(now);
    }

    /// Whether the node takes client bytes. If it does not, the caller leaves them in the sockets, which blocks the senders.
    pub fn takes_client_input(&self) -> bool {
        // Clients stop before the backlog makes the groups work without pauses.
        let has_time = self.next_slice.is_none() || self.groups.backlog() < BACKLOG_LIMIT / 2;
        // Messages that arrive during an exchange wait in the memory of every daemon, so clients send none meanwhile.
        self.ring.waiting_bytes() < WAITING_LIMIT && !self.groups.is_exchanging() && has_time
    }

    /// Whether messages wait for the token. It comes in any case, so other input need not be read before.
    pub fn waits_for_token(&self) -> bool {
        self.ring.waiting_bytes() > 0
    }

    /// Whether the node takes bytes of this client in particular. If it does not, [`NodeEvent::Welcome`] follows when it does.
    pub fn takes_bytes_of(&self, id: SessionId) -> bool {
        !self.lanes.holds(id) && !self.clients.stops(id)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.paths.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front().or_else(|| self.paths.poll_notice().map(NodeEvent::Network))
    }

    /// When [`Node::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let others = self
            .clients
            .poll_timeout()
            .into_iter()
            .chain(self.paths.poll_timeout())
            .chain(self.next_slice)
            .chain(self.patience_ends());
        self.alarm.set(self.ring.poll_timeout().into_iter().chain(others).min())
    }

    /// Bytes waiting for this client: the slices to write first, as many as are convenient.
    pub fn client_output(&self, id: SessionId) -> impl Iterator<Item = &Slice> {
        self.clients.outbox(id).into_iter().flat_map(|outbox| outbox.slices())
    }

    /// The caller has written the first `n` bytes of [`Node::client_output`].
    pub fn client_wrote(&mut self, id: SessionId, n: usize) {
        self.clients.wrote(id, n);
        self.collect_events();
    }

    /// The client's socket takes no more for now. From here on its queued messages count against its limit.
    pub fn client_blocked(&mut self, id: SessionId) {
        self.clients.blocked(id);
    }

    /// Groups do long work in slices of this cost, in names that are copied; a test chooses small ones.
    pub fn set_slice(&mut self, slice: usize) {
        self.slice = slice;
    }

    /// Sets the longest datagram that leaves whole by the interface of a network.
    pub fn set_interface_limit(&mut self, now: Instant, network: NetworkId, bytes: usize) {
        self.paths.set_interface_limit(now, network, bytes);
        self.pump(now);
    }

    /// The networks that carry only shorter datagrams than their interfaces take, as far as is known.
    pub fn short_networks(&self) -> Networks {
        self.paths.short_networks()
    }

    /// Switches a network on or off. Nothing is sent on one that is off, and reports tell the other daemons. Returns false, and does nothing,
    /// if there is no such network or no other one is on.
    pub fn set_network_enabled(&mut self, now: Instant, network: NetworkId, enabled: bool) -> bool {
        self.paths.set_network_enabled(now, network, enabled)
    }

    /// Opens packets with these keys from now on, and seals with the newest one that all reachable daemons have. Returns false, and does
    /// nothing, if the daemon started without keys, or if it has keys and would lose them all.
    pub fn set_keys(&mut self, now: Instant, keys: Keys) -> bool {
        self.paths.set_keys(now, keys)
    }

    /// Passes outputs from part to part until there are none.
    fn pump(&mut self, now: Instant) {
        // The ring must know how long its packets may be before it makes any.
        couple(now, &mut self.ring, &mut self.paths);
        self.clients.set_now(now);
        self.budget = self.slice_budget();
        self.pass_events(now);
        // Only now, because delivered messages fill the outboxes.
        self.keep_ceiling();
        // Sessions that the memory limit has ended have disconnections to submit.
        self.pass_events(now);
        if self.groups.is_busy() && self.next_slice.is_none() {
            self.next_slice = Some(now + SLICE_PAUSE);
        }
        if !self.takes_client_input() {
            // An unfinished frame that nobody reads must not time out.
            self.clients.record_unread();
        }
        if self.paths.is_asked() {
            self.agree(now);
        }
        self.follow_exchange(now);
        self.collect_events();
        // Last, because everything before this may submit messages, and the ring sends them in packets.
        while let Some(transmit) = self.ring.poll_transmit() {
            self.transmit(now, transmit);
        }
    }

    /// How much work groups may do now: none while long work waits for its next slice.
    fn slice_budget(&self) -> usize {
        match self.next_slice {
            _ if self.groups.backlog() > BACKLOG_LIMIT => usize::MAX,
            Some(_) => 0,
            None => self.slice,
        }
    }

    /// Ends the largest sessions while all clients together exceed the memory limit.
    fn keep_ceiling(&mut self) {
        let (lanes, groups) = (&self.lanes, &self.groups);
        let elsewhere = Elsewhere { lanes: lanes.bytes(), groups: groups.memberships() };
        self.clients.keep_ceiling(elsewhere, |id, name| {
            lanes.bytes_of(id) + Clients::memory_of_groups(name.map_or(0, |name| groups.groups_of(&name)))
        });
        self.clients.keep_user_ceilings();
    }

    fn collect_events(&mut self) {
        let welcome = std::iter::from_fn(|| self.lanes.poll_welcome()).map(NodeEvent::Welcome);
        self.events.extend(welcome);
        self.events.extend(std::iter::from_fn(|| self.clients.poll_event()));
    }

    fn transmit(&mut self, now: Instant, ring::Transmit { to, again, packet }: ring::Transmit) {
        let body = packet.encode();
        // A retransmission takes more networks than the policy gives to new data.
        let attempt = if again { Attempt::Again } else { Attempt::First };
        self.paths.send(now, multipath::Outgoing { kind: packet.kind(), to, attempt, body });
    }
}

#[cfg(test)]
mod tests;
