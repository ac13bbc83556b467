//! Large messages that arrive in pieces, between which everybody else's messages go on.
//!
//! A message has its place in the order where its last piece has. A piece counts only in the configuration that it names, and what
//! has begun is forgotten when the next regular configuration begins: who is there may have missed the beginning. The sender knows,
//! for it gets its own pieces at the same places, and sends the whole message again; see `node/lanes.rs`. So a message is whole in one
//! configuration at most, and all that leave it together got it or did not.
//!
//! The limits are the same at all daemons and not a matter of configuration: what one takes another may not drop.

use std::collections::BTreeMap;

use tracing::debug;

use super::Dropped;
use crate::wire::{DaemonId, Payload, Piece, RingId, Slice};

/// Messages in pieces that one daemon may have begun and not ended; further ones are dropped.
pub const PIECED_LIMIT: usize = 4;

/// The longest message that may come in pieces, as long as any that the ring carries whole.
const LENGTH_LIMIT: usize = 1 << 30;

/// What has begun to arrive.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    ring: Option<RingId>,
    begun: BTreeMap<(DaemonId, u64), Begun>,
}

#[derive(Debug)]
struct Begun {
    total: usize,
    have: usize,
    slices: Vec<Slice>,
}

impl Pieces {
    /// A regular configuration begins.
    pub fn begin(&mut self, ring: RingId) {
        *self = Pieces { ring: Some(ring), begun: BTreeMap::new() };
    }

    /// A piece arrived; the message, if it was the last.
    pub fn add(&mut self, origin: DaemonId, piece: Piece, dropped: &mut Dropped) -> Option<Payload> {
        if self.ring != Some(piece.ring) {
            dropped.stale_pieces += 1;
            return None;
        }
        let key = (origin, piece.number);
        if piece.offset == 0 && self.has_room(origin) {
            let total = piece.total as usize;
            self.begun.insert(key, Begun { total, have: 0, slices: Vec::new() });
        }
        let begun = self.begun.get_mut(&key);
        let Some(begun) = begun.filter(|begun| begun.is_followed_by(&piece)) else {
            debug!(%origin, number = piece.number, offset = piece.offset, "a piece that does not fit");
            self.begun.remove(&key);
            dropped.malformed += 1;
            return None;
        };
        begun.have += piece.bytes.len();
        begun.slices.extend(piece.bytes.slices().filter(|slice| !slice.is_empty()).cloned());
        let whole = begun.have == begun.total;
        whole.then(|| self.begun.remove(&key)).flatten().map(|begun| Payload::from_slices(begun.slices))
    }

    fn has_room(&self, origin: DaemonId) -> bool {
        self.begun.range((origin, 0)..=(origin, u64::MAX)).count() < PIECED_LIMIT
    }
}

impl Begun {
    fn is_followed_by(&self, piece: &Piece) -> bool {
        let fits = self.have + piece.bytes.len() <= self.total.min(LENGTH_LIMIT);
        fits && piece.offset as usize == self.have && piece.total as usize == self.total && !piece.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: RingId = RingId { sequence: 5, representative: DaemonId(1) };

    fn piece(number: u64, offset: u32, text: &str) -> Piece {
        Piece { ring: RING, number, total: 6, offset, bytes: Payload::from(text.as_bytes().to_vec()) }
    }

    struct Arriving {
        pieces: Pieces,
        dropped: Dropped,
    }

    impl Arriving {
        fn new() -> Arriving {
            let mut pieces = Pieces::default();
            pieces.begin(RING);
            Arriving { pieces, dropped: Dropped::default() }
        }

        fn add(&mut self, origin: u32, piece: Piece) -> Option<String> {
            let whole = self.pieces.add(DaemonId(origin), piece, &mut self.dropped)?;
            Some(String::from_utf8(whole.contiguous().to_vec()).unwrap())
        }
    }

    #[test]
    fn messages_of_several_daemons_come_whole_with_their_last_piece() {
        let mut arriving = Arriving::new();
        assert_eq!(arriving.add(1, piece(1, 0, "abc")), None);
        assert_eq!(arriving.add(2, piece(1, 0, "uvw")), None);
        assert_eq!(arriving.add(1, piece(2, 0, "whole!")).as_deref(), Some("whole!"));
        assert_eq!(arriving.add(2, piece(1, 3, "xyz")).as_deref(), Some("uvwxyz"));
        assert_eq!(arriving.add(1, piece(1, 3, "def")).as_deref(), Some("abcdef"));
        assert_eq!((arriving.dropped, arriving.pieces.begun.len()), (Dropped::default(), 0));
    }

    #[test]
    fn a_piece_counts_in_its_own_configuration_only() {
        let mut arriving = Arriving::new();
        arriving.add(1, piece(1, 0, "abc"));
        let next = RingId { sequence: 6, ..RING };
        arriving.pieces.begin(next);
        assert_eq!(arriving.add(1, piece(1, 3, "def")), None);
        assert_eq!(arriving.add(1, Piece { ring: next, ..piece(1, 3, "def") }), None);
        assert_eq!(arriving.dropped, Dropped { stale_pieces: 1, malformed: 1, ..Dropped::default() });
    }

    #[test]
    fn pieces_that_do_not_fit_hold_no_memory() {
        let mut arriving = Arriving::new();
        for bad in [
            piece(1, 2, "c"),
            piece(1, 3, "more"),
            Piece { total: 7, ..piece(1, 3, "def") },
            piece(1, 3, ""),
            Piece { offset: u32::MAX, ..piece(1, 3, "def") },
        ] {
            arriving.add(1, piece(1, 0, "abc"));
            assert_eq!(arriving.add(1, bad), None);
            assert!(arriving.pieces.begun.is_empty());
        }
        assert_eq!(arriving.dropped.malformed, 5);
    }

    #[test]
    fn a_daemon_may_begin_a_few_messages() {
        let mut arriving = Arriving::new();
        (0..10).for_each(|number| _ = arriving.add(1, piece(number, 0, "abc")));
        assert_eq!((arriving.pieces.begun.len(), arriving.dropped.malformed), (PIECED_LIMIT, 6));
        assert_eq!(arriving.add(1, piece(3, 3, "def")).as_deref(), Some("abcdef"));
        assert_eq!(arriving.add(2, piece(3, 0, "others")).as_deref(), Some("others"));
    }
}
