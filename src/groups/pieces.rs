//! Large messages that arrive in pieces, so that other messages can go between.
//!
//! A message has its place in the order where its last piece is. A piece counts only in the configuration that it names. Its sender receives
//! the pieces at the same places, so it knows when a message was not completed, and sends all of it again; see `node/lanes.rs`. So a message is
//! complete in one configuration at most.
//!
//! The limits are constants, because all daemons must take and refuse the same messages at the same place in the order.

use std::collections::BTreeMap;

use tracing::debug;

use super::Dropped;
use crate::wire::{DaemonId, Payload, Piece, RingId, Slice};

/// How many unfinished messages in pieces one daemon may have; further ones are dropped.
pub const PIECED_LIMIT: usize = 4;

/// The longest message that may come in pieces: the largest that a configuration file may allow, and its group names.
const LENGTH_LIMIT: usize = (256 << 20) + (64 << 10);
/// How many bytes all unfinished messages together may have when they are whole.
const BYTES_LIMIT: usize = 2 * LENGTH_LIMIT;

/// The frames that have begun to arrive.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    ring: Option<RingId>,
    begun: BTreeMap<(DaemonId, u64), Begun>,
    /// Bytes of all messages that have begun, when they are whole.
    bytes: usize,
    /// A message was refused since the last one ended.
    refused: bool,
}

/// The result of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// More pieces must come, or this one was dropped.
    Nothing,
    /// It was the last one.
    Whole(Payload),
    /// It was the first one, and there is no room for its message.
    Refused,
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
        // A new member may have missed the beginning of a message, so nothing begun in the old configuration is completed.
        *self = Pieces { ring: Some(ring), ..Pieces::default() };
    }

    /// A piece arrived.
    pub fn add(&mut self, origin: DaemonId, piece: Piece, dropped: &mut Dropped) -> Added {
        if self.ring != Some(piece.ring) {
            dropped.stale_pieces += 1;
            return Added::Nothing;
        }
        let key = (origin, piece.number);
        if piece.offset == 0 && self.has_room(origin) {
            // The sender began this message again.
            self.end(key);
            let total = piece.total as usize;
            if self.bytes + total > BYTES_LIMIT {
                debug!(%origin, number = piece.number, total, "no room for a message in pieces");
                dropped.refused_pieces += 1;
                self.refused = true;
                return Added::Refused;
            }
            self.bytes += total;
            self.begun.insert(key, Begun { total, have: 0, slices: Vec::new() });
        }
        let begun = self.begun.get_mut(&key);
        let Some(begun) = begun.filter(|begun| begun.is_followed_by(&piece)) else {
            debug!(%origin, number = piece.number, offset = piece.offset, "a piece that does not fit");
            // The message cannot be completed any more, so its memory is freed.
            self.end(key);
            dropped.malformed += 1;
            return Added::Nothing;
        };
        begun.have += piece.bytes.len();
        begun.slices.extend(piece.bytes.slices().filter(|slice| !slice.is_empty()).cloned());
        if begun.have < begun.total {
            return Added::Nothing;
        }
        self.end(key).map_or(Added::Nothing, |begun| Added::Whole(Payload::from_slices(begun.slices)))
    }

    /// How many messages are unfinished.
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether a refused message may be tried again. It is true once for each refusal.
    pub fn has_room_again(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    fn end(&mut self, key: (DaemonId, u64)) -> Option<Begun> {
        let ended = self.begun.remove(&key)?;
        self.bytes -= ended.total;
        Some(ended)
    }

    fn has_room(&self, origin: DaemonId) -> bool {
        self.begun.range((origin, 0)..=(origin, u64::MAX)).count() < PIECED_LIMIT
    }
}

impl Begun {
    /// Pieces come in order, so the next one begins exactly where the last one ended.
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
            match self.pieces.add(DaemonId(origin), piece, &mut self.dropped) {
                Added::Whole(whole) => Some(String::from_utf8(whole.contiguous().to_vec()).unwrap()),
                Added::Nothing | Added::Refused => None,
            }
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
    fn messages_that_have_begun_have_a_limit_together_and_what_ends_makes_room() {
        let mut arriving = Arriving::new();
        let total = u32::try_from(LENGTH_LIMIT).unwrap();
        let begin = |number| Piece { total, ..piece(number, 0, "abc") };
        let add = |arriving: &mut Arriving, origin, piece| {
            arriving.pieces.add(DaemonId(origin), piece, &mut arriving.dropped)
        };
        assert_eq!(add(&mut arriving, 1, begin(1)), Added::Nothing);
        assert_eq!(add(&mut arriving, 2, begin(1)), Added::Nothing);
        assert_eq!(add(&mut arriving, 3, begin(1)), Added::Refused);
        assert_eq!(
            add(&mut arriving, 3, Piece { offset: 3, ..begin(1) }),
            Added::Nothing,
            "what follows a refused piece"
        );
        assert_eq!((arriving.pieces.begun.len(), arriving.pieces.bytes), (2, 2 * LENGTH_LIMIT));
        assert_eq!(add(&mut arriving, 1, Piece { offset: 9, ..begin(1) }), Added::Nothing, "it does not fit, and ends");
        assert!(arriving.pieces.has_room_again() && !arriving.pieces.has_room_again());
        assert_eq!(add(&mut arriving, 3, begin(1)), Added::Nothing);
        assert_eq!(arriving.pieces.begun.len(), 2);
        let endless = Piece { total: u32::MAX, ..piece(7, 0, "abc") };
        assert_eq!(add(&mut arriving, 2, endless), Added::Refused);
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
