//! Counters of the datagrams of all networks.

use super::notice::Reason;
use crate::counters::counters;

counters! {
    /// Packets that arrived, and those that were dropped, by reason.
    pub struct Stats in "packets" {
        /// First copies, handed up.
        first,
        /// First copies of reports.
        reports,
        /// First copies of knocks.
        knocks,
        /// Probes of how long datagrams may be that came.
        size_probes,
        /// Fragments of datagrams that came.
        fragments,
        /// Datagrams that were complete with a fragment.
        joined,
        /// Fragments that did not fit together.
        strange_fragments,
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
        /// Copies that had come the same way already.
        repeated,
        /// Later copies of sealed packets that were dropped unopened.
        unopened,
        /// Packets of a life that has not shown yet that it lives; they are answered with a greeting.
        strangers,
        /// Datagrams from an address that no daemon has.
        foreign_source,
        /// Datagrams that no key opens or that are not sealed, and sealed ones where there is no key.
        not_opened,
        /// Datagrams of another version of the protocol between daemons.
        other_version,
    }
}

impl Stats {
    /// Datagrams that were dropped before anything was believed of them.
    pub fn refused(&self) -> u64 {
        self.foreign_source + self.not_opened + self.other_version + self.malformed
    }

    pub(super) fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::ForeignSource => &mut self.foreign_source,
            Reason::NotOpened | Reason::Sealed => &mut self.not_opened,
            Reason::OtherVersion(_) => &mut self.other_version,
            Reason::Malformed => &mut self.malformed,
            // The ring has counted it, by what is impossible in it.
            Reason::Impossible => return,
        } += 1;
    }
}
