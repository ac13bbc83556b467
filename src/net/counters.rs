//! What happened to the datagrams of one network, by reason: nothing is dropped without being counted.

/// Datagrams of one network since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handed to the system; a copy for each receiver where there is no group address.
    pub sent: u64,
    /// Taken from the system.
    pub received: u64,
    /// Not sent because neither the socket's buffer nor the queue behind it had room.
    pub congested: u64,
    /// Refused by the system: the path failed at that moment.
    pub failed: u64,
    /// Not sent because the link was down, or the daemon is not on this network.
    pub unsent: u64,
    /// Of those that were sent: too long for the network, so they left in pieces.
    pub in_pieces: u64,
    /// Answered with word that nobody listens there.
    pub refused: u64,
    /// Thrown away because they came by another interface than the network's.
    pub foreign: u64,
    /// Thrown away in either direction by a failure drill.
    pub drilled: u64,
    /// Errors instead of a datagram.
    pub receive_errors: u64,
}
