//! Finds the first copy of each packet across the lives of a daemon, in a system without keys, where nothing proves which life is present.
//!
//! Lives have no order, and a packet of an earlier life may come late. So no life ends for good here: a life becomes the present one again with the
//! first packet whose counter is above all others of it. A daemon that runs soon sends such a packet. If a forged packet has made its counter
//! too high, its own packets seem to be late ones. So a life also becomes the present one again after [`LATE_LIMIT`] new packets in a row.

use super::super::health::Copied;
use super::duplicates::{Copies, Mark, SPAN, Seen, Trust};
use crate::wire::{Header, Incarnation};

/// The lives of a daemon, the present one first.
#[derive(Debug, Default)]
pub(super) struct Lives(Vec<Life>);

/// The packets of one life.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) incarnation: Incarnation,
    to_all: Copies,
    to_me: Copies,
    /// Packets that were refused as late ones since the present life was last heard, copies left out.
    late: u32,
}

/// How many lives of a daemon are remembered.
const LIFE_LIMIT: usize = 8;

/// So many new packets of a life, while the present one says nothing, are not left over in some queue. That life goes on, and the present one was
/// forged.
const LATE_LIMIT: u32 = 16;

/// Why a packet does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// It is left over from an earlier life.
    PastLife,
    /// It came this way before.
    Repeated,
}

impl Lives {
    /// The life that is heard now.
    pub(super) fn present(&self) -> Option<Incarnation> {
        self.0.first().map(|life| life.incarnation)
    }

    /// Which copy of a packet this is.
    pub(super) fn record(&mut self, header: &Header, mark: Mark) -> Result<Copied, Old> {
        let known = self.0.iter().position(|life| life.incarnation == header.incarnation);
        match known {
            Some(0) => {}
            // Not above all counters of its life, so it may be left over in some queue.
            Some(place) if self.0[place].is_left_over(header, mark) => return Err(Old::PastLife),
            // That life speaks again. If it were refused, one forged packet of another life could mute the daemon.
            Some(place) => {
                self.0[..=place].rotate_right(1);
                self.0[0].late = 0;
            }
            None => {
                // The life that was heard longest ago goes, so forged lives take bounded memory.
                self.0.truncate(LIFE_LIMIT - 1);
                self.0.insert(0, Life::new(header.incarnation, Trust::Unproved));
            }
        }
        // The present life is heard, so what was late of others may have been left over.
        self.0[1..].iter_mut().for_each(|life| life.late = 0);
        self.0[0].record(header, mark)
    }
}

impl Life {
    pub(super) fn new(incarnation: Incarnation, trust: Trust) -> Life {
        Life { incarnation, to_all: Copies::new(trust, SPAN), to_me: Copies::new(trust, SPAN), late: 0 }
    }

    /// Whether a packet of this life is a late one, while another life is present.
    fn is_left_over(&mut self, header: &Header, mark: Mark) -> bool {
        if !self.copies(header).is_late(header.counter) {
            return false;
        }
        // A copy of what came before does not show that the life goes on.
        self.late += u32::from(self.seen(header, mark) == Seen::Never);
        self.late < LATE_LIMIT
    }

    /// Which copy of a packet of this life this is.
    pub(super) fn record(&mut self, header: &Header, mark: Mark) -> Result<Copied, Old> {
        self.copies(header).record(header.counter, mark).ok_or(Old::Repeated)
    }

    /// Whether a copy of a packet of this life came before, by what its header says.
    pub(super) fn seen(&self, header: &Header, mark: Mark) -> Seen {
        let copies = if header.destination.is_none() { &self.to_all } else { &self.to_me };
        copies.seen(header.counter, mark)
    }

    fn copies(&mut self, header: &Header) -> &mut Copies {
        if header.destination.is_none() { &mut self.to_all } else { &mut self.to_me }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DaemonId, NetworkId, PacketKind, Protection, Way};

    fn header(incarnation: u64, to: Option<u32>, counter: u64) -> Header {
        Header {
            kind: PacketKind::Token,
            network: NetworkId(0),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: DaemonId(1),
            destination: to.map(DaemonId),
            system: 7,
            incarnation: Incarnation(incarnation),
            counter,
        }
    }

    fn record(lives: &mut Lives, header: Header) -> Result<Copied, Old> {
        lives.record(&header, Mark::direct(header.network))
    }

    #[test]
    fn a_life_that_is_over_is_not_heard_again() {
        let mut lives = Lives::default();
        assert_eq!(record(&mut lives, header(1, None, 2)), Ok(Copied::First));
        assert_eq!(record(&mut lives, header(2, None, 1)), Ok(Copied::First));
        assert_eq!(record(&mut lives, header(1, None, 1)), Err(Old::PastLife));
        assert_eq!(record(&mut lives, header(2, None, 1)), Err(Old::Repeated));
    }

    #[test]
    fn a_late_packet_of_an_unknown_earlier_life_does_not_end_the_present_one() {
        let mut lives = Lives::default();
        let order = [header(2, None, 1), header(1, None, 1), header(2, None, 2), header(2, Some(9), 1)];
        assert!(order.into_iter().all(|header| record(&mut lives, header) == Ok(Copied::First)));
    }

    #[test]
    fn a_forged_counter_and_a_forged_life_mute_nobody() {
        let mut lives = Lives::default();
        for forged in [header(1, None, u64::MAX), header(6, None, 1)] {
            assert_eq!(record(&mut lives, forged), Ok(Copied::First));
        }
        let real = (1..9).map(|counter| record(&mut lives, header(1, None, counter)));
        assert!(real.into_iter().all(|copied| copied == Ok(Copied::First)));
    }

    #[test]
    fn a_forged_counter_that_is_little_too_high_and_a_forged_life_mute_nobody_for_long() {
        let mut lives = Lives::default();
        for forged in [header(1, None, 1), header(1, None, 8000), header(6, None, 1)] {
            assert_eq!(record(&mut lives, forged), Ok(Copied::First));
        }
        let real: Vec<_> = (2..40).map(|counter| record(&mut lives, header(1, None, counter))).collect();
        let refused = LATE_LIMIT as usize - 1;
        assert!(real[..refused].iter().all(|copied| *copied == Err(Old::PastLife)));
        assert!(real[refused..].iter().all(|copied| *copied == Ok(Copied::First)));
    }

    #[test]
    fn what_is_left_over_of_an_earlier_life_does_not_end_the_present_one() {
        let mut lives = Lives::default();
        for life in [header(1, None, 1), header(1, None, 8000), header(2, None, 1)] {
            assert_eq!(record(&mut lives, life), Ok(Copied::First));
        }
        for counter in 2..200 {
            assert_eq!(record(&mut lives, header(1, None, counter)), Err(Old::PastLife));
            assert_eq!(record(&mut lives, header(1, None, 8000)), Err(Old::PastLife), "a copy shows nothing");
            assert!(counter % 8 != 0 || record(&mut lives, header(2, None, counter)) == Ok(Copied::First));
        }
    }

    #[test]
    fn the_lives_of_a_daemon_that_are_remembered_are_bounded() {
        let mut lives = Lives::default();
        assert!((0..100).all(|life| record(&mut lives, header(life, None, 1)) == Ok(Copied::First)));
        assert_eq!(lives.0.len(), LIFE_LIMIT);
    }
}
