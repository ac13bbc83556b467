//! The daemons of the system by number: their place in the order of ids, which is the same everywhere that the membership table is the same.

use crate::wire::DaemonId;

/// All daemons, this one included, in the order of their ids.
#[derive(Debug)]
pub(super) struct Table {
    ids: Vec<DaemonId>,
    me: usize,
}

impl Table {
    /// The table of `me` among `daemons`, which include it.
    pub(super) fn new(me: DaemonId, daemons: &[DaemonId]) -> Table {
        let mut ids = daemons.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let me = ids.binary_search(&me).expect("a daemon is in its own table");
        Table { ids, me }
    }

    /// How many daemons there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// This daemon's number.
    pub(super) fn me(&self) -> usize {
        self.me
    }

    /// The numbers of the others.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.ids.len()).filter(move |&number| number != me)
    }

    /// Who has this number.
    pub(super) fn id(&self, number: usize) -> DaemonId {
        self.ids[number]
    }

    /// The number of a daemon, if it is in the table.
    pub(super) fn number(&self, daemon: DaemonId) -> Option<usize> {
        self.ids.binary_search(&daemon).ok()
    }
}
