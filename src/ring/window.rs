//! The packets of one ring by number: which are here, which are missing, and which all members have and may be forgotten.
//!
//! A packet is kept until every member has it, because until then it may be requested.

use std::collections::VecDeque;

use crate::wire::{Claim, DaemonId, Data};

/// The packets of one ring.
#[derive(Debug)]
pub(crate) struct Window {
    /// Everything up to here is forgotten.
    forgotten: u64,
    /// Payload bytes in all slots, and how many there may be.
    bytes: usize,
    bytes_limit: usize,
    /// Slot n holds packet `forgotten + 1 + n`.
    slots: VecDeque<Option<Data>>,
    /// Everything up to here has been here.
    aru: u64,
    /// The claim of the last of these. Those of all before it are lower.
    claim: Claim,
}

/// How many packets may lie between the first one kept and the last one.
pub(crate) const SPAN_LIMIT: u64 = 32_768;

/// How many payload bytes a window holds, unless this many of the largest packets have more.
const BYTES_LIMIT: usize = 64 << 20;
const LARGE_PACKETS: usize = 4096;

/// The result of adding a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It was missing.
    New,
    /// It had been here before.
    Duplicate,
    /// Its number is too far ahead to be kept.
    TooFar,
    /// There is no room for its bytes until others are forgotten.
    TooMuch,
    /// Another packet with its number is here.
    Contradiction,
}

impl Default for Window {
    fn default() -> Window {
        Window::behind(0, BYTES_LIMIT)
    }
}

impl Window {
    /// How many payload bytes a window holds where packets have at most `size`.
    pub(crate) fn bytes_limit(size: usize) -> usize {
        BYTES_LIMIT.max(LARGE_PACKETS * size)
    }

    /// The packets behind this number, with at most this many payload bytes.
    pub(crate) fn behind(number: u64, bytes_limit: usize) -> Window {
        let claim = Claim { number, origin: DaemonId(u32::MAX) };
        Window { forgotten: number, bytes: 0, bytes_limit, slots: VecDeque::new(), aru: number, claim }
    }

    /// Everything up to here has been here.
    pub(crate) fn aru(&self) -> u64 {
        self.aru
    }

    /// The claim of the last packet up to which everything has been here.
    pub(crate) fn claim(&self) -> Claim {
        self.claim
    }

    /// The highest number that has been here.
    pub(crate) fn high(&self) -> u64 {
        self.forgotten + self.slots.len() as u64
    }

    /// Everything up to here is forgotten.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Payload bytes of the packets that are here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this number is neither here nor forgotten.
    pub(crate) fn is_missing(&self, seq: u64) -> bool {
        self.index(seq).is_some() && self.packet(seq).is_none()
    }

    /// How many packets of this size may be numbered: half of the room is for what others number meanwhile.
    pub(crate) fn room(&self, size: usize) -> u64 {
        ((self.bytes_limit / 2).saturating_sub(self.bytes) / size) as u64
    }

    /// Keeps a packet. The one that is needed next is kept in any case, so that the ring goes on.
    pub(crate) fn insert(&mut self, data: Data) -> Inserted {
        // A copy of a forgotten packet is a duplicate. The forgotten number only grows, so no later event makes it a new packet (scenario S05).
        let Some(index) = self.index(data.seq) else { return Inserted::Duplicate };
        if index as u64 >= SPAN_LIMIT {
            return Inserted::TooFar;
        }
        if let Some(Some(before)) = self.slots.get(index) {
            return if *before == data { Inserted::Duplicate } else { Inserted::Contradiction };
        }
        // The next packet in order is kept in any case. Otherwise a full window could never empty.
        if self.bytes + data.payload.len() > self.bytes_limit && data.seq != self.aru + 1 {
            return Inserted::TooMuch;
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.bytes += data.payload.len();
        self.slots[index] = Some(data);
        while let Some(next) = self.packet(self.aru + 1) {
            (self.aru, self.claim) = (next.seq, next.claim());
        }
        Inserted::New
    }

    /// The packet with this number, if it is here.
    pub(crate) fn packet(&self, seq: u64) -> Option<&Data> {
        self.slots.get(self.index(seq)?)?.as_ref()
    }

    /// The missing numbers up to `limit`, as ascending ranges of (first, length).
    pub(crate) fn missing(&self, limit: u64) -> impl Iterator<Item = (u64, u16)> {
        let mut seq = self.aru + 1;
        std::iter::from_fn(move || {
            while seq <= limit && self.packet(seq).is_some() {
                seq += 1;
            }
            let first = seq;
            while seq <= limit && seq - first < u64::from(u16::MAX) && self.packet(seq).is_none() {
                seq += 1;
            }
            (seq > first).then(|| (first, (seq - first) as u16))
        })
    }

    /// Forgets everything up to `seq`, which everybody has.
    pub(crate) fn forget(&mut self, seq: u64) {
        assert!(seq <= self.aru, "only what was here can be at everybody");
        let count = seq.saturating_sub(self.forgotten) as usize;
        self.bytes -= self.slots.drain(..count).flatten().map(|data| data.payload.len()).sum::<usize>();
        self.forgotten += count as u64;
    }

    fn index(&self, seq: u64) -> Option<usize> {
        seq.checked_sub(self.forgotten + 1).map(|index| index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::testing::packet;

    #[test]
    fn aru_follows_when_a_hole_is_filled() {
        let mut window = Window::default();
        for (seq, aru) in [(1, 1), (3, 1), (5, 1), (2, 3), (4, 5)] {
            assert_eq!(window.insert(packet(seq)), Inserted::New);
            assert_eq!(window.aru(), aru);
        }
        assert_eq!(window.high(), 5);
    }

    #[test]
    fn missing_numbers_come_as_ranges_below_the_limit() {
        let mut window = Window::default();
        for seq in [1, 4, 5, 9] {
            window.insert(packet(seq));
        }
        assert_eq!(window.missing(12).collect::<Vec<_>>(), [(2, 2), (6, 3), (10, 3)]);
        assert_eq!(window.missing(7).collect::<Vec<_>>(), [(2, 2), (6, 2)]);
        assert_eq!(window.missing(1).count(), 0);
    }

    #[test]
    fn a_forgotten_packet_is_a_duplicate() {
        let mut window = Window::default();
        for seq in 1..=3 {
            window.insert(packet(seq));
        }
        window.forget(2);
        assert_eq!(window.insert(packet(1)), Inserted::Duplicate);
        assert_eq!(window.insert(packet(3)), Inserted::Duplicate);
        assert!(window.packet(2).is_none());
        assert!(window.packet(3).is_some());
    }

    #[test]
    fn the_bytes_of_all_packets_have_a_limit_and_the_next_one_is_kept_all_the_same() {
        let large = |seq| Data { payload: vec![0; 60_000].into(), ..packet(seq) };
        let mut window = Window::behind(0, 1_000_000);
        let kept = (2..12_000).filter(|&seq| window.insert(large(seq)) == Inserted::New).count();
        assert_eq!((kept, window.bytes), (16, 960_000));
        assert_eq!(window.room(60_000), 0);
        assert_eq!(window.insert(large(30)), Inserted::TooMuch);
        assert_eq!(window.insert(large(1)), Inserted::New);
        assert_eq!(window.aru(), 17);
        window.forget(17);
        assert_eq!((window.bytes, window.room(60_000)), (0, 8));
    }

    #[test]
    fn another_packet_with_a_number_that_is_taken_is_a_contradiction() {
        let mut window = Window::default();
        window.insert(packet(1));
        let other = Data { payload: vec![1].into(), ..packet(1) };
        assert_eq!(window.insert(other), Inserted::Contradiction);
    }

    #[test]
    fn a_number_far_ahead_takes_no_memory() {
        let mut window = Window::default();
        assert_eq!(window.insert(packet(SPAN_LIMIT + 1)), Inserted::TooFar);
        assert_eq!(window.insert(packet(u64::MAX)), Inserted::TooFar);
        assert_eq!(window.insert(packet(SPAN_LIMIT)), Inserted::New);
    }
}
