//! A whole daemon without I/O: ring, paths, groups and sessions composed behind the four verbs.

use crate::groups::SessionId;
use crate::ring::{self, Configuration};
use crate::session;
use crate::time::Instant;
use crate::wire::{DaemonId, NetworkId, Payload, Slice};

/// How a daemon is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ring, `me` and all daemons included.
    pub ring: ring::Config,
    /// This daemon's name, the last part of its clients' private groups.
    pub name: String,
    /// How many networks there are, 1 to 8.
    pub networks: u8,
    /// Digest of the membership table: packets of another table are dropped and counted.
    pub system: u32,
    /// What clients must show and may use.
    pub session: session::Config,
    /// Seed for every random choice.
    pub seed: u64,
}

/// A datagram to send: header and body, one after the other.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The network it must leave on.
    pub network: NetworkId,
    /// One daemon, or every other daemon of the network.
    pub to: Option<DaemonId>,
    /// The packet header, made for this network.
    pub header: Vec<u8>,
    /// The body, shared by the copies on other networks.
    pub body: Slice,
}

/// What a client's connection brought.
#[derive(Debug)]
pub enum ClientInput<'a> {
    /// A client connected.
    Connected(session::Peer),
    /// Bytes arrived.
    Bytes(&'a [u8]),
    /// The stream ended or failed.
    Closed,
}

/// What the daemon around the node must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Node::client_output`] of this session became non-empty.
    Output(SessionId),
    /// Write out what [`Node::client_output`] still holds, then close the connection. The node has forgotten the session.
    Close(SessionId, Vec<Payload>),
    /// The ring installed a configuration.
    Configuration(Configuration),
}

/// A daemon without I/O.
#[derive(Debug)]
pub struct Node {}

#[expect(unused_variables, clippy::todo, reason = "the shape that the parts are written against")]
impl Node {
    /// A daemon that begins to gather at `now`.
    pub fn new(config: Config, now: Instant) -> Result<Node, ring::ConfigError> {
        todo!()
    }

    /// A datagram arrived on `network`.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: Slice) {
        todo!()
    }

    /// A client's connection brought something. The caller chooses the id and never uses it twice.
    pub fn handle_client(&mut self, now: Instant, id: SessionId, input: ClientInput<'_>) {
        todo!()
    }

    /// The time that [`Node::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// Leaves the ring at once, so that the others need not wait for a timeout. Drain the transmits, then drop the node.
    pub fn leave(&mut self, now: Instant) {
        todo!()
    }

    /// Whether client bytes are welcome. While not, the caller leaves them in the sockets, which blocks the senders.
    pub fn takes_client_input(&self) -> bool {
        todo!()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When [`Node::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Bytes waiting for this client: the slices to write first, as many as are convenient.
    pub fn client_output(&self, id: SessionId) -> impl Iterator<Item = &Slice> {
        std::iter::empty()
    }

    /// The first `n` bytes of [`Node::client_output`] have been written.
    pub fn client_wrote(&mut self, id: SessionId, n: usize) {
        todo!()
    }
}
