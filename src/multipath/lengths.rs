//! The longest datagram for each destination on each network. [`super::health`] has proved these lengths; here they are in the
//! form in which they are looked up for each datagram.

use std::collections::BTreeMap;

use super::networks::Networks;
use crate::wire::{DaemonId, NetworkId};

/// The longest datagrams.
#[derive(Clone, Debug, Default)]
pub(super) struct Lengths {
    /// By network: the length for all daemons on it, and whether anybody is reached there.
    all: [u16; NetworkId::LIMIT],
    reached: Networks,
    /// The networks on which datagrams vanish that their interfaces take, or on which nobody is reached.
    short: Networks,
    each: BTreeMap<DaemonId, [u16; NetworkId::LIMIT]>,
}

impl Lengths {
    /// Nobody is reached yet. `floors` has the length that passes on each network in any case.
    pub(super) fn new(floors: impl Iterator<Item = u16>) -> Lengths {
        Lengths { all: by_network(floors), ..Lengths::default() }
    }

    /// Sets the length for one daemon, on each network.
    pub(super) fn set_one(&mut self, daemon: DaemonId, lengths: impl Iterator<Item = u16>) {
        self.each.insert(daemon, by_network(lengths));
    }

    /// Sets the length for all daemons on a network; `None` if nobody is reached there.
    pub(super) fn set_all(&mut self, network: NetworkId, least: Option<u16>, interface: u16) {
        let is_short = least.is_none_or(|least| least < interface);
        self.short = if is_short { self.short | network.into() } else { self.short - network.into() };
        if let Some(least) = least {
            self.all[usize::from(network.0)] = least;
            self.reached = self.reached | network.into();
        }
    }

    /// How long a datagram may be for one daemon, or for all, on a network.
    pub(super) fn of(&self, to: Option<DaemonId>, network: NetworkId) -> usize {
        let place = usize::from(network.0);
        let one = to.and_then(|to| self.each.get(&to)).map(|lengths| lengths[place]);
        usize::from(one.unwrap_or(self.all[place]))
    }

    /// The longest datagram that passes on every one of these networks on which anybody is reached.
    pub(super) fn everywhere(&self, networks: Networks) -> usize {
        let reached = networks & self.reached;
        let counted = if reached.is_empty() { networks } else { reached };
        counted.iter().map(|network| self.of(None, network)).min().unwrap_or_default()
    }

    /// The networks on which datagrams vanish that their interfaces take, or on which nobody is reached.
    pub(super) fn short(&self) -> Networks {
        self.short
    }
}

fn by_network(lengths: impl Iterator<Item = u16>) -> [u16; NetworkId::LIMIT] {
    let mut all = [0; NetworkId::LIMIT];
    all.iter_mut().zip(lengths).for_each(|(place, length)| *place = length);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_network_counts_on_which_anybody_is_reached() {
        let all = Networks::first(3);
        let mut lengths = Lengths::new([1232, 1232, 700].into_iter());
        assert_eq!((lengths.everywhere(all), lengths.everywhere(Networks::first(2))), (700, 1232));
        lengths.set_all(NetworkId(0), Some(8972), 8972);
        lengths.set_all(NetworkId(1), Some(1472), 8972);
        lengths.set_all(NetworkId(2), None, 1472);
        assert_eq!((lengths.everywhere(all), lengths.everywhere(Networks::first(1))), (1472, 8972));
        assert_eq!(lengths.short().bits(), 6);
        lengths.set_one(DaemonId(5), [8972, 600].into_iter());
        let of = |to, network| lengths.of(to, NetworkId(network));
        assert_eq!((of(None, 1), of(Some(DaemonId(5)), 1), of(Some(DaemonId(6)), 1)), (1472, 600, 1472));
    }
}
