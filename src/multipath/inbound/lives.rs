//! Which packet of another daemon is the first copy, across its lives.
//!
//! Incarnations have no order, and a packet of an earlier life may come late, even as the first one heard of that life. So a life is never
//! over for good: it is the present one again with the first packet whose counter is above all heard of it, and a daemon that lives
//! soon sends such a packet.

use super::duplicates::Copies;
use crate::wire::{Header, Incarnation};

/// The lives of a daemon, the present one first.
#[derive(Debug, Default)]
pub(super) struct Lives(Vec<Life>);

#[derive(Debug)]
struct Life {
    incarnation: Incarnation,
    to_all: Copies,
    to_me: Copies,
}

/// How many lives of a daemon are remembered.
const LIFE_LIMIT: usize = 8;

impl Lives {
    /// The life that is heard now.
    pub(super) fn present(&self) -> Option<Incarnation> {
        self.0.first().map(|life| life.incarnation)
    }

    /// Whether this is the first copy of a packet; `None` if it is left over from an earlier life.
    pub(super) fn is_first(&mut self, header: &Header) -> Option<bool> {
        let known = self.0.iter().position(|life| life.incarnation == header.incarnation);
        match known {
            Some(0) => {}
            Some(place) if self.0[place].copies(header).highest() >= header.counter => return None,
            Some(place) => self.0[..=place].rotate_right(1),
            None => {
                self.0.truncate(LIFE_LIMIT - 1);
                self.0.insert(0, Life::new(header.incarnation));
            }
        }
        self.0.first_mut().map(|life| life.copies(header).is_first(header.counter))
    }
}

impl Life {
    fn new(incarnation: Incarnation) -> Life {
        Life { incarnation, to_all: Copies::default(), to_me: Copies::default() }
    }

    fn copies(&mut self, header: &Header) -> &mut Copies {
        if header.destination.is_none() { &mut self.to_all } else { &mut self.to_me }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DaemonId, NetworkId, PacketKind, Way};

    fn header(incarnation: u64, to: Option<u32>, counter: u64) -> Header {
        Header {
            kind: PacketKind::Token,
            network: NetworkId(0),
            way: Way::Direct,
            sender: DaemonId(1),
            destination: to.map(DaemonId),
            system: 7,
            incarnation: Incarnation(incarnation),
            counter,
        }
    }

    #[test]
    fn a_life_that_is_over_is_not_heard_again() {
        let mut lives = Lives::default();
        assert_eq!(lives.is_first(&header(1, None, 2)), Some(true));
        assert_eq!(lives.is_first(&header(2, None, 1)), Some(true));
        assert_eq!(lives.is_first(&header(1, None, 1)), None);
        assert_eq!(lives.is_first(&header(2, None, 1)), Some(false));
    }

    #[test]
    fn a_late_packet_of_an_unknown_earlier_life_does_not_end_the_present_one() {
        let mut lives = Lives::default();
        let order = [header(2, None, 1), header(1, None, 1), header(2, None, 2), header(2, Some(9), 1)];
        assert!(order.iter().all(|header| lives.is_first(header) == Some(true)));
    }

    #[test]
    fn the_lives_of_a_daemon_that_are_remembered_are_bounded() {
        let mut lives = Lives::default();
        assert!((0..100).all(|life| lives.is_first(&header(life, None, 1)) == Some(true)));
        assert_eq!(lives.0.len(), LIFE_LIMIT);
    }
}
