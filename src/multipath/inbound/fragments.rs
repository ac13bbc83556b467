//! Reassembles datagrams from fragments.
//!
//! A sender may have several datagrams on the way, and some fragments may be lost. So the bytes kept for each sender have a limit. A datagram
//! that is not complete after [`ASSEMBLY_TIMEOUT`] is dropped. When the limit is reached, a new datagram replaces the oldest ones if these have
//! waited for [`STALLED`]. If they have not, the new datagram is refused with all its fragments. Otherwise a burst of too many datagrams
//! would evict each datagram before it is complete. Fragments that contradict each other are dropped and counted.

use std::collections::VecDeque;

use super::super::moves::Moves;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use crate::time::{Duration, Instant};
use crate::wire::{Fragment, Incarnation, Slice};

/// The limit for bytes of incomplete datagrams from one sender.
pub(super) const BYTES_LIMIT: usize = 256 << 10;
/// Each incomplete datagram counts so many bytes more than its length. This also bounds their number, and so the search for each fragment.
const OVERHEAD: usize = 256;
/// How long an incomplete datagram is kept. By then a retransmission of its packet has been requested.
const ASSEMBLY_TIMEOUT: Duration = Duration::from_secs(1);
/// An incomplete datagram that has waited for this long has probably lost a fragment.
const STALLED: Duration = Duration::from_millis(50);
/// How many refused datagrams are remembered.
const REFUSED_LIMIT: usize = 256;

/// How many separate parts of one incomplete datagram are kept.
const PARTS_LIMIT: usize = 512;

/// The incomplete datagrams of all senders.
#[derive(Debug)]
pub(super) struct Fragments(BySeat<Incomplete>);

/// The incomplete datagrams of one sender, the oldest first.
#[derive(Debug, Default)]
struct Incomplete {
    life: Option<Incarnation>,
    datagrams: VecDeque<Partial>,
    /// The numbers of the refused datagrams, the latest last. Their other fragments would take space, but the datagrams would never become
    /// complete.
    refused: VecDeque<u32>,
}

/// A datagram of which fragments are missing.
#[derive(Debug)]
struct Partial {
    number: u32,
    since: Instant,
    bytes: Vec<u8>,
    /// The parts that have arrived: the first byte of each, and the byte after its last one. They are in order and do not overlap.
    parts: Vec<(usize, usize)>,
}

/// The result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Joined {
    /// The datagram is complete.
    Whole(Slice),
    /// Other fragments are missing, or the datagram was refused.
    Waits,
    /// The fragment contradicts those that have arrived, or there are too many separate parts.
    Contradicts,
}

impl Fragments {
    pub(super) fn new(table: &Table) -> Fragments {
        Fragments(BySeat::new(table.len(), |_| Incomplete::default()))
    }

    /// The table has changed.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.0, |_| Incomplete::default());
    }

    /// A fragment arrived from this life of a sender.
    pub(super) fn join(&mut self, now: Instant, sender: Seat, life: Incarnation, fragment: &Fragment) -> Joined {
        let incomplete = &mut self.0[sender];
        // Another life uses the same numbers for other datagrams.
        if incomplete.life != Some(life) {
            *incomplete = Incomplete { life: Some(life), ..Incomplete::default() };
        }
        incomplete.join(now, fragment)
    }
}

impl Incomplete {
    fn join(&mut self, now: Instant, fragment: &Fragment) -> Joined {
        let is_old = |partial: &Partial| now.since(partial.since) >= ASSEMBLY_TIMEOUT;
        while self.datagrams.front().is_some_and(is_old) {
            self.datagrams.pop_front();
        }
        let (number, total) = (fragment.number, usize::from(fragment.total));
        let known = self.datagrams.iter().position(|partial| partial.number == number);
        let place = match known {
            Some(place) => place,
            None if self.refused.contains(&number) => return Joined::Waits,
            None if !self.make_room(now, total) => {
                self.refuse(number);
                return Joined::Waits;
            }
            None => {
                self.datagrams.push_back(Partial { number, since: now, bytes: vec![0; total], parts: Vec::new() });
                self.datagrams.len() - 1
            }
        };
        let partial = &mut self.datagrams[place];
        if !partial.add(fragment) {
            return Joined::Contradicts;
        }
        if !partial.is_whole() {
            return Joined::Waits;
        }
        let whole = self.datagrams.remove(place).map(|partial| partial.bytes);
        Joined::Whole(whole.unwrap_or_default().into())
    }

    /// Drops stalled datagrams until there is space for this many bytes. Returns whether there is.
    fn make_room(&mut self, now: Instant, total: usize) -> bool {
        while self.held() + OVERHEAD + total > BYTES_LIMIT {
            // One datagram alone always fits: its length is a number of 16 bits.
            let Some(oldest) = self.datagrams.front() else { return true };
            if now.since(oldest.since) < STALLED {
                return false;
            }
            self.datagrams.pop_front();
        }
        true
    }

    /// The bytes that the incomplete datagrams count.
    fn held(&self) -> usize {
        self.datagrams.iter().map(|partial| OVERHEAD + partial.bytes.len()).sum()
    }

    fn refuse(&mut self, number: u32) {
        // The fragments of the oldest one have probably all arrived by now.
        if self.refused.len() == REFUSED_LIMIT {
            self.refused.pop_front();
        }
        self.refused.push_back(number);
    }
}

impl Partial {
    /// Adds the fragment. Returns whether it fits.
    fn add(&mut self, fragment: &Fragment) -> bool {
        let start = usize::from(fragment.offset);
        let end = start + fragment.part.len();
        let place = self.parts.partition_point(|&(_, before)| before <= start);
        let overlaps = self.parts.get(place).is_some_and(|&(next, _)| next < end);
        // The fragments of one datagram agree on its length and do not overlap. The limit bounds the work for each fragment.
        if usize::from(fragment.total) != self.bytes.len() || overlaps || self.parts.len() >= PARTS_LIMIT {
            return false;
        }
        self.bytes[start..end].copy_from_slice(&fragment.part);
        let joins_before = place > 0 && self.parts[place - 1].1 == start;
        let joins_next = self.parts.get(place).is_some_and(|&(next, _)| next == end);
        match (joins_before, joins_next) {
            (true, true) => {
                self.parts[place - 1].1 = self.parts[place].1;
                self.parts.remove(place);
            }
            (true, false) => self.parts[place - 1].1 = end,
            (false, true) => self.parts[place].0 = start,
            (false, false) => self.parts.insert(place, (start, end)),
        }
        true
    }

    fn is_whole(&self) -> bool {
        self.parts == [(0, self.bytes.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::wire::DaemonId;

    const LIFE: Incarnation = Incarnation(7);

    fn fragment(number: u32, total: u16, offset: u16, part: &[u8]) -> Fragment {
        Fragment { number, total, offset, part: Slice::copy_from(part) }
    }

    fn fragments() -> (Fragments, Seat) {
        let table = Table::new(DaemonId(1), &[1, 2].map(DaemonId), &[]);
        (Fragments::new(&table), Seat::new(1))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn in_whatever_order_they_come_the_datagram_is_whole_with_the_last_one() {
        let (mut fragments, sender) = fragments();
        let mut rng = Rng::new(3);
        let datagram: Vec<u8> = (0..=255).cycle().take(9000).collect();
        for number in 0..50 {
            let mut cuts: Vec<usize> = (0..9000).step_by(1 + rng.below(3000) as usize).collect();
            for last in (1..cuts.len()).rev() {
                cuts.swap(last, rng.below(last as u64 + 1) as usize);
            }
            let mut starts = cuts.clone();
            starts.sort_unstable();
            let end = |start| starts.iter().copied().find(|&next| next > start).unwrap_or(9000);
            let part = |&start: &usize| fragment(number, 9000, start as u16, &datagram[start..end(start)]);
            let joined: Vec<_> = cuts.iter().map(|cut| fragments.join(at(0), sender, LIFE, &part(cut))).collect();
            let (last, before) = joined.split_last().unwrap();
            assert!(before.iter().all(|joined| *joined == Joined::Waits));
            assert_eq!(*last, Joined::Whole(Slice::copy_from(&datagram)));
        }
        assert!(fragments.0[sender].datagrams.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_told_and_breaks_nothing() {
        let (mut fragments, sender) = fragments();
        let mut join = |fragment| fragments.join(at(0), sender, LIFE, &fragment);
        assert_eq!(join(fragment(1, 6, 2, b"cd")), Joined::Waits);
        let strange =
            [fragment(1, 7, 4, b"ef"), fragment(1, 6, 1, b"bb"), fragment(1, 6, 3, b"d"), fragment(1, 6, 0, b"abcdef")];
        assert!(strange.into_iter().all(|fragment| join(fragment) == Joined::Contradicts));
        assert_eq!(join(fragment(1, 6, 0, b"ab")), Joined::Waits);
        assert_eq!(join(fragment(1, 6, 4, b"ef")), Joined::Whole(Slice::copy_from(b"abcdef")));
    }

    #[test]
    fn what_is_kept_of_a_sender_is_bounded_in_bytes_and_time() {
        let (mut fragments, sender) = fragments();
        for number in 0..1000 {
            assert_eq!(fragments.join(at(0), sender, LIFE, &fragment(number, u16::MAX, 9, b"a")), Joined::Waits);
            let held = fragments.0[sender].held();
            assert!(held <= BYTES_LIMIT, "{held}");
        }
        assert_eq!(fragments.0[sender].datagrams.len(), 3);
        assert_eq!(fragments.join(at(1000), sender, LIFE, &fragment(1000, 2, 0, b"a")), Joined::Waits);
        assert_eq!(fragments.0[sender].datagrams.len(), 1, "the others are too old");
    }

    #[test]
    fn many_short_datagrams_that_stay_incomplete_are_bounded_in_number() {
        let (mut fragments, sender) = fragments();
        for number in 0..20_000 {
            assert_eq!(fragments.join(at(0), sender, LIFE, &fragment(number, 2, 0, b"a")), Joined::Waits);
        }
        let kept = fragments.0[sender].datagrams.len();
        assert!(kept <= 1024, "{kept} datagrams are kept");
        assert_eq!(fragments.join(at(100), sender, LIFE, &fragment(20_000, 2, 0, b"a")), Joined::Waits);
        assert_eq!(
            fragments.join(at(100), sender, LIFE, &fragment(20_000, 2, 1, b"b")),
            Joined::Whole(Slice::copy_from(b"ab"))
        );
    }

    /// The networks have different delays. So the fragments of all datagrams of a burst arrive in mixed order.
    #[test]
    fn a_burst_larger_than_the_room_comes_through_bit_by_bit() {
        let (mut fragments, sender) = fragments();
        let mut rng = Rng::new(5);
        let (total, part) = (9000u16, 1200);
        let mut missing: Vec<u32> = (0..64).collect();
        // Incomplete datagrams are sent again with new numbers.
        for round in 0..6 {
            let number = |packet: u32| round * 64 + packet;
            let starts = |packet: u32| (0..total).step_by(part).map(move |start| (packet, start));
            let mut burst: Vec<(u32, u16)> = missing.iter().flat_map(|&packet| starts(packet)).collect();
            for last in (1..burst.len()).rev() {
                burst.swap(last, rng.below(last as u64 + 1) as usize);
            }
            for (packet, start) in burst {
                let bytes = vec![packet as u8; part.min(usize::from(total - start))];
                let fragment = fragment(number(packet), total, start, &bytes);
                if let Joined::Whole(_) = fragments.join(at(u64::from(round)), sender, LIFE, &fragment) {
                    missing.retain(|&it| it != packet);
                }
            }
        }
        assert_eq!(missing, []);
    }

    #[test]
    fn another_life_numbers_anew() {
        let (mut fragments, sender) = fragments();
        assert_eq!(fragments.join(at(0), sender, LIFE, &fragment(1, 2, 0, b"a")), Joined::Waits);
        let other = fragments.join(at(0), sender, Incarnation(8), &fragment(1, 2, 1, b"z"));
        assert_eq!(other, Joined::Waits);
    }
}
