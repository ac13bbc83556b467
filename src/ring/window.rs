//! The packets of one ring by number: what is here, what is missing, what everybody has and may be forgotten.
//!
//! A packet is kept until every member has it, because until then it may be asked for again. A copy of a packet that was
//! forgotten is a duplicate, not a new packet: the test is against the number forgotten last, never against anything that another
//! ring could lower (scenario S05).

use std::collections::VecDeque;

use crate::wire::Data;

/// The packets of one ring.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Everything up to here is forgotten.
    forgotten: u64,
    /// Slot n holds packet `forgotten + 1 + n`.
    slots: VecDeque<Option<Data>>,
    /// Everything up to here has been here.
    aru: u64,
}

/// How many packets may lie between the first one kept and the last one.
pub(crate) const SPAN_LIMIT: u64 = 32_768;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It was missing.
    New,
    /// It had been here before.
    Duplicate,
    /// Its number is too far ahead to be kept.
    TooFar,
}

impl Window {
    /// The packets behind this number.
    pub(crate) fn behind(number: u64) -> Window {
        Window { forgotten: number, slots: VecDeque::new(), aru: number }
    }

    /// Everything up to here has been here.
    pub(crate) fn aru(&self) -> u64 {
        self.aru
    }

    /// The highest number that has been here.
    pub(crate) fn high(&self) -> u64 {
        self.forgotten + self.slots.len() as u64
    }

    /// Keeps a packet.
    pub(crate) fn insert(&mut self, data: Data) -> Inserted {
        let Some(index) = self.index(data.seq) else { return Inserted::Duplicate };
        if index as u64 >= SPAN_LIMIT {
            return Inserted::TooFar;
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let slot = &mut self.slots[index];
        if slot.is_some() {
            return Inserted::Duplicate;
        }
        *slot = Some(data);
        while self.packet(self.aru + 1).is_some() {
            self.aru += 1;
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
        self.slots.drain(..count);
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
    fn a_number_far_ahead_takes_no_memory() {
        let mut window = Window::default();
        assert_eq!(window.insert(packet(SPAN_LIMIT + 1)), Inserted::TooFar);
        assert_eq!(window.insert(packet(u64::MAX)), Inserted::TooFar);
        assert_eq!(window.insert(packet(SPAN_LIMIT)), Inserted::New);
    }
}
