//! The counters of one network's datagrams, by reason: every datagram that is dropped is counted.

use crate::counters::counters;

counters! {
    /// Datagrams of one network since the daemon started.
    pub struct Counters in "network" {
        /// Handed to the system; a copy for each receiver where there is no group address.
        sent,
        /// Taken from the system.
        received,
        /// Not sent because neither the socket's buffer nor the queue behind it had room.
        congested,
        /// Refused by the system: the path failed at that moment.
        failed,
        /// Not sent because the link was down, or the daemon is not on this network.
        unsent,
        /// Refused by the system: too long for the network.
        too_long,
        /// Answered with word that nobody listens there.
        refused,
        /// Thrown away because they came by another interface than the network's.
        foreign,
        /// Thrown away in either direction by a failure drill.
        drilled,
        /// Errors instead of a datagram.
        receive_errors,
    }
}
