//! Counters of the datagrams of all networks.

use crate::counters::counters;

counters! {
    /// What arrived and what was dropped, by reason.
    pub struct Stats in "packets" {
        /// First copies, handed up.
        first,
        /// First copies of reports.
        reports,
        /// Later copies.
        copies,
        /// Packets of an earlier life of their sender.
        past_life,
        /// Packets of a second host with a daemon's identity, which gives way.
        clones,
        /// Packets for another daemon, or our own that came back.
        not_for_us,
        /// Packets that were relayed for others.
        relayed,
        /// Packets of another membership table.
        other_system,
        /// Packets of a daemon that is not in the table.
        unknown_sender,
        /// Packets that were sent on another network than they arrived on: crossed cables, or two networks that are one.
        crossed,
        /// Bytes that are not a packet.
        malformed,
        /// Changes of the state of a path.
        path_changes,
    }
}
