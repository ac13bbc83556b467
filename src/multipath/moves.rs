//! From one membership table to the next: what is known of a daemon or a network goes with it to its new number.
//!
//! Seats and network numbers mean something in one table only. So every list that is kept by number passes through here once.

use super::networks::Networks;
use super::seat::{BySeat, Seat};
use super::table::Table;
use crate::wire::NetworkId;

/// A change of the membership table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves<'a> {
    pub(super) from: &'a Table,
    pub(super) to: &'a Table,
    /// For each new network: the old network that is the same one.
    pub(super) networks: &'a [Option<NetworkId>],
}

impl Moves<'_> {
    /// Keeps the values of daemons that stay, and makes a new one for each daemon that comes.
    pub(super) fn daemons<T>(&self, values: &mut BySeat<T>, mut new: impl FnMut(Seat) -> T) {
        // Each value is taken out once: a daemon has one seat in either table.
        let mut old: Vec<Option<T>> = values.drain().map(Some).collect();
        *values = BySeat::new(self.to.len(), |seat| {
            let before = self.seat_before(seat).and_then(|before| old.get_mut(before.number()));
            before.and_then(Option::take).unwrap_or_else(|| new(seat))
        });
    }

    /// Keeps the values of networks that stay, and makes a new one for each network that comes.
    pub(super) fn links<T>(&self, old: Vec<T>, mut new: impl FnMut() -> T) -> Vec<T> {
        let mut old: Vec<Option<T>> = old.into_iter().map(Some).collect();
        let mut take = |network: NetworkId| old.get_mut(usize::from(network.0)).and_then(Option::take);
        self.networks.iter().map(|before| before.and_then(&mut take).unwrap_or_else(&mut new)).collect()
    }

    /// The new numbers of a set of networks, without those that go.
    pub(super) fn set(&self, old: Networks) -> Networks {
        self.numbered().filter(|(_, before)| before.is_some_and(|before| old.has(before))).map(|(now, _)| now).collect()
    }

    /// The networks that come.
    pub(super) fn new_networks(&self) -> Networks {
        self.numbered().filter(|(_, before)| before.is_none()).map(|(now, _)| now).collect()
    }

    /// The new number of a network, if it stays.
    pub(super) fn network(&self, old: NetworkId) -> Option<NetworkId> {
        self.set(old.into()).iter().next()
    }

    /// How many networks there are from now on.
    pub(super) fn network_count(&self) -> u8 {
        u8::try_from(self.networks.len()).expect("the settings have checked that there are at most eight networks")
    }

    /// The seat that a daemon had, if it was there.
    pub(super) fn seat_before(&self, seat: Seat) -> Option<Seat> {
        self.from.seat(self.to.id(seat))
    }

    fn numbered(&self) -> impl Iterator<Item = (NetworkId, Option<NetworkId>)> + '_ {
        (0..).map(NetworkId).zip(self.networks.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    #[test]
    fn what_is_kept_by_number_goes_to_the_new_number() {
        let table = |ids: &[u32]| Table::new(DaemonId(3), &ids.iter().copied().map(DaemonId).collect::<Vec<_>>(), &[]);
        let (from, to) = (table(&[1, 3, 5]), table(&[2, 3, 5, 9]));
        // Network 0 goes, 1 becomes 0, and a new one is 1.
        let moves = Moves { from: &from, to: &to, networks: &[Some(NetworkId(1)), None] };
        let mut moved = BySeat::new(3, Seat::number);
        moves.daemons(&mut moved, |seat| 10 + seat.number());
        assert_eq!(moved.iter().copied().collect::<Vec<_>>(), [10, 1, 2, 13]);
        assert_eq!(moves.links(vec!['a', 'b'], || 'c'), ['b', 'c']);
        assert_eq!((moves.network(NetworkId(1)), moves.network(NetworkId(0))), (Some(NetworkId(0)), None));
        assert_eq!((moves.set(Networks::first(2)).bits(), moves.new_networks().bits()), (1, 2));
    }
}
