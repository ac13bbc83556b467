//! The daemons of the system by number: their place in the order of ids, which is the same everywhere that the membership table is the same.

use crate::wire::DaemonId;

/// All daemons, this one included, in the order of their ids.
#[derive(Debug)]
pub(super) struct Table {
    ids: Vec<DaemonId>,
    /// By number.
    sites: Vec<usize>,
    far_sites: Vec<usize>,
    me: usize,
}

impl Table {
    /// The table of `me` among `daemons`, which include it, each at its site; all at one if `sites` says nothing.
    pub(super) fn new(me: DaemonId, daemons: &[DaemonId], sites: &[usize]) -> Table {
        let sites = sites.iter().copied().chain(std::iter::repeat(0));
        let mut placed: Vec<(DaemonId, usize)> = daemons.iter().copied().zip(sites).collect();
        placed.sort_unstable();
        placed.dedup_by_key(|(id, _)| *id);
        let (ids, sites): (Vec<DaemonId>, Vec<usize>) = placed.into_iter().unzip();
        let me = ids.binary_search(&me).expect("a daemon is in its own table");
        let mut far_sites: Vec<usize> = sites.iter().copied().filter(|&site| site != sites[me]).collect();
        far_sites.sort_unstable();
        far_sites.dedup();
        Table { ids, sites, far_sites, me }
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
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let me = self.me;
        (0..self.ids.len()).filter(move |&number| number != me)
    }

    /// Where this one is.
    pub(super) fn site(&self, number: usize) -> usize {
        self.sites[number]
    }

    /// The numbers of all who are elsewhere.
    pub(super) fn far(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.ids.len()).filter(|&number| self.sites[number] != self.sites[self.me])
    }

    /// The other sites.
    pub(super) fn far_sites(&self) -> &[usize] {
        &self.far_sites
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
