//! The daemons of the system by seat: their place in the order of ids, which is the same everywhere that the membership table is the same.

use super::seat::Seat;
use crate::wire::DaemonId;

/// All daemons, this one included, in the order of their ids.
#[derive(Debug)]
pub(super) struct Table {
    ids: Vec<DaemonId>,
    /// By number.
    sites: Vec<usize>,
    far_sites: Vec<usize>,
    me: Seat,
}

impl Table {
    /// The table of these daemons, which include `me`. `sites` has the site of each; if it is empty, all are at one site.
    pub(super) fn new(me: DaemonId, daemons: &[DaemonId], sites: &[usize]) -> Table {
        let sites = sites.iter().copied().chain(std::iter::repeat(0));
        let mut placed: Vec<(DaemonId, usize)> = daemons.iter().copied().zip(sites).collect();
        // By id, whatever the order in the file, so that seats mean the same at all daemons.
        placed.sort_unstable();
        placed.dedup_by_key(|(id, _)| *id);
        let (ids, sites): (Vec<DaemonId>, Vec<usize>) = placed.into_iter().unzip();
        let me = ids.binary_search(&me).expect("a daemon is in its own table");
        let mut far_sites: Vec<usize> = sites.iter().copied().filter(|&site| site != sites[me]).collect();
        far_sites.sort_unstable();
        far_sites.dedup();
        Table { ids, sites, far_sites, me: Seat::new(me) }
    }

    /// How many daemons there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// This daemon.
    pub(super) fn me(&self) -> Seat {
        self.me
    }

    /// This daemon's id.
    pub(super) fn my_id(&self) -> DaemonId {
        self.id(self.me)
    }

    /// All daemons.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = Seat> + Clone + use<> {
        Seat::first(self.ids.len())
    }

    /// The others.
    pub(super) fn others(&self) -> impl DoubleEndedIterator<Item = Seat> + Clone + use<> {
        let me = self.me;
        self.all().filter(move |&seat| seat != me)
    }

    /// The site of this daemon.
    pub(super) fn site(&self, seat: Seat) -> usize {
        self.sites[seat.number()]
    }

    /// The daemons at this site.
    pub(super) fn at(&self, site: usize) -> impl Iterator<Item = Seat> + '_ {
        self.all().filter(move |&seat| self.site(seat) == site)
    }

    /// The daemons at other sites.
    pub(super) fn far(&self) -> impl Iterator<Item = Seat> + '_ {
        self.all().filter(|&seat| self.site(seat) != self.site(self.me))
    }

    /// The other sites.
    pub(super) fn far_sites(&self) -> &[usize] {
        &self.far_sites
    }

    /// The daemon with this seat.
    pub(super) fn id(&self, seat: Seat) -> DaemonId {
        self.ids[seat.number()]
    }

    /// The seat of a daemon, if it is in the table.
    pub(super) fn seat(&self, daemon: DaemonId) -> Option<Seat> {
        self.ids.binary_search(&daemon).ok().map(Seat::new)
    }
}
