//! A set of networks, in one byte: a bit for each of the eight networks.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

use crate::wire::NetworkId;

/// A set of networks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Networks(u8);

impl Networks {
    /// None.
    pub const NONE: Networks = Networks(0);

    /// Networks 0 to `count - 1`.
    pub fn first(count: u8) -> Networks {
        (0..count).map(NetworkId).collect()
    }

    /// The set with this byte: network 0 is its lowest bit.
    pub const fn from_bits(bits: u8) -> Networks {
        Networks(bits)
    }

    /// The byte of this set.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether this network is in the set.
    pub fn has(self, network: NetworkId) -> bool {
        self.0.checked_shr(u32::from(network.0)).is_some_and(|bits| bits & 1 != 0)
    }

    /// Whether it has no network.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Iterates over the networks in ascending order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = NetworkId> + Clone {
        let end = u8::BITS - self.0.leading_zeros();
        (0..end as u8).map(NetworkId).filter(move |&network| self.has(network))
    }
}

impl FromIterator<NetworkId> for Networks {
    fn from_iter<I: IntoIterator<Item = NetworkId>>(networks: I) -> Networks {
        Networks(networks.into_iter().fold(0, |set, network| set | 1 << network.0))
    }
}

impl From<NetworkId> for Networks {
    fn from(network: NetworkId) -> Networks {
        Networks(1 << network.0)
    }
}

impl BitAnd for Networks {
    type Output = Networks;
    fn bitand(self, other: Networks) -> Networks {
        Networks(self.0 & other.0)
    }
}

impl BitOr for Networks {
    type Output = Networks;
    fn bitor(self, other: Networks) -> Networks {
        Networks(self.0 | other.0)
    }
}

impl Sub for Networks {
    type Output = Networks;
    fn sub(self, other: Networks) -> Networks {
        Networks(self.0 & !other.0)
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|network| network.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set_of_eight() {
        let (low, all) = (Networks::first(3), Networks::first(8));
        assert_eq!((low.len(), all.len(), all.bits(), Networks::NONE.is_empty()), (3, 8, 0xff, true));
        assert_eq!((all - low).iter().map(|network| network.0).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
        assert_eq!(low & Networks::from(NetworkId(1)) | Networks::from(NetworkId(7)), Networks::from_bits(0x82));
        assert!(low.has(NetworkId(2)) && !low.has(NetworkId(3)) && !all.has(NetworkId(8)));
    }
}
