//! How a daemon's networks are set up.

use std::net::IpAddr;

use super::outbound::Policy;
use crate::seal::Keys;
use crate::wire::{DaemonId, Incarnation, NetworkId, PathReport};

/// How a daemon's networks are set up.
#[derive(Clone, Debug)]
pub struct MultipathSettings {
    /// This daemon.
    pub me: DaemonId,
    /// This life of it.
    pub incarnation: Incarnation,
    /// All daemons, this one included.
    pub daemons: Vec<DaemonId>,
    /// The site of each daemon. Daemons at different sites share no LAN. Empty if all are at one site.
    pub sites: Vec<usize>,
    /// Its membership table. Packets under another table are dropped and counted.
    pub system: System,
    /// How many networks there are, 1 to 8.
    pub networks: u8,
    /// Which of them carry data.
    pub policy: Policy,
    /// The addresses of all daemons on all networks. Without keys, a datagram from any other address is dropped. Empty to check
    /// none.
    pub sources: Vec<IpAddr>,
    /// The keys that seal packets; none for plain packets.
    pub keys: Keys,
    /// Bytes of the longest datagram that anybody wants to send.
    pub longest: usize,
    /// The number from which the packets to each destination are counted. 0 except in tests of large numbers.
    pub first_counter: u64,
}

/// A membership table by its digests. Daemons with different ones form separate systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Of the whole table.
    pub digest: u32,
    /// The digests of its parts, and then of settings that should be the same at all daemons. They show what differs.
    pub parts: [u32; PathReport::DIGESTS],
}

/// A membership table that takes the place of the present one as soon as all members of the ring that are in it have it.
#[derive(Clone, Debug)]
pub struct NextTable {
    /// Its digests.
    pub system: System,
    /// All daemons, this one included.
    pub daemons: Vec<DaemonId>,
    /// The site of each of them.
    pub sites: Vec<usize>,
    /// For each of its networks: the present network that is the same one, or `None` for a new network. 1 to 8.
    pub networks: Vec<Option<NetworkId>>,
    /// The addresses of all daemons on all networks, as in [`MultipathSettings`].
    pub sources: Vec<IpAddr>,
}
