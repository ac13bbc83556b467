//! Another membership table while the node runs: paths decide when it comes, ring and groups follow before anything else is done.

use super::Node;
use crate::multipath::{self, Differs};
use crate::ring::Handover;
use crate::time::Instant;
use crate::wire::DaemonId;

/// A membership table that takes the place of the present one as soon as all members of the ring that are in it have it.
#[derive(Clone, Debug)]
pub struct NextTable {
    /// The table as paths see it.
    pub paths: multipath::NextTable,
    /// The names of its daemons, in the order of the ring.
    pub names: Vec<String>,
}

/// Whether the node has followed the paths to another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    Table,
    Nothing,
}

impl Node {
    /// Changes to this membership table as soon as all members of the ring that are in it have it too, see [`Node::take_adopted`].
    /// `None` forgets a table that has not come yet. This daemon keeps its id and its name.
    pub fn prepare(&mut self, now: Instant, next: Option<NextTable>) {
        let (paths, names) = next.map(|next| (next.paths, next.names)).unzip();
        let daemons = paths.iter().flat_map(|paths: &multipath::NextTable| paths.daemons.iter().copied());
        self.next_daemons = daemons.zip(names.unwrap_or_default()).collect();
        self.paths.prepare(now, paths);
        self.agree(now);
    }

    /// Announces the next table as soon as it leaves no doubt: nothing that was handed over is under way when it leaves out a member.
    pub(super) fn agree(&mut self, now: Instant) {
        // If a member is about to leave, hand-overs stop first. Otherwise there could always be another packet under way.
        self.ring.set_handover(self.handover());
        if self.paths.is_asked() && !(self.paths.parts_company() && self.ring.has_handed_over()) {
            self.paths.agree(now);
        }
    }

    /// Whether packets may be handed over to a member that the next table may leave out.
    pub(super) fn handover(&self) -> Handover {
        if self.paths.parts_company() { Handover::Stopped } else { Handover::Allowed }
    }

    /// The members of the ring that have not read the table that comes next; `None` if nothing comes.
    pub fn waits_for(&self) -> Option<Vec<DaemonId>> {
        self.paths.waits_for()
    }

    /// The digest of the membership table.
    pub fn system_digest(&self) -> u32 {
        self.paths.system_digest()
    }

    /// The daemons whose files differ from this one's, and what differs.
    pub fn differing(&self) -> impl Iterator<Item = (DaemonId, Differs)> + '_ {
        self.paths.differing()
    }

    /// Whether the next table has come since the last call. Ask after each input, before datagrams are taken out: they name its networks.
    pub fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    /// Ring and groups follow the paths, if these have changed the table.
    pub(super) fn follow_table(&mut self, now: Instant) -> Followed {
        if !self.paths.take_adopted() {
            return Followed::Nothing;
        }
        // The change is done, so no member is about to leave any more.
        self.ring.set_handover(Handover::Allowed);
        let daemons = std::mem::take(&mut self.next_daemons);
        self.ring.readmit(now, daemons.iter().map(|(daemon, _)| *daemon).collect());
        self.groups.meet(daemons);
        self.adopted = true;
        Followed::Table
    }
}
