//! Counters of the datagrams of all networks.

/// What arrived and what was dropped, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// First copies, handed up.
    pub first: u64,
    /// First copies of reports.
    pub reports: u64,
    /// Later copies.
    pub copies: u64,
    /// Packets of an earlier life of their sender.
    pub past_life: u64,
    /// Packets of a second host with a daemon's identity, which gives way.
    pub clones: u64,
    /// Packets for another daemon, or our own that came back.
    pub not_for_us: u64,
    /// Packets that were relayed for others.
    pub relayed: u64,
    /// Packets of another membership table.
    pub other_system: u64,
    /// Packets of a daemon that is not in the table.
    pub unknown_sender: u64,
    /// Packets that were sent on another network than they arrived on: crossed cables, or two networks that are one.
    pub crossed: u64,
    /// Bytes that are not a packet.
    pub malformed: u64,
}
