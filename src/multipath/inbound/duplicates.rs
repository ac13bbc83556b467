//! Lets each packet counter through once.
//!
//! A bitmap over the last [`SPAN`] counters. The first packet heard sets the place, whatever its counter is (a receiver that
//! started at 0 would wait for packets that were sent before it lived). Below the bitmap everything counts as a copy: a packet
//! that late is as good as lost, and the ring asks for it again under a new counter.

/// How many counters back a packet may be late.
const SPAN: u64 = 8192;
const WORD: u64 = u64::BITS as u64;

/// Which counters were seen.
#[derive(Debug, Default)]
pub(in crate::multipath) struct Copies {
    /// The highest counter seen; nothing was seen before there are words.
    highest: u64,
    /// One bit a counter, at its place modulo [`SPAN`].
    words: Vec<u64>,
}

impl Copies {
    /// Whether this counter comes for the first time; it is remembered.
    pub(in crate::multipath) fn is_first(&mut self, counter: u64) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; (SPAN / WORD) as usize];
            self.highest = counter;
        }
        if counter > self.highest {
            self.advance(counter);
        } else if self.highest - counter >= SPAN {
            return false;
        }
        let (word, bit) = place(counter);
        let first = self.words[word] & bit == 0;
        self.words[word] |= bit;
        first
    }

    /// The highest counter seen, 0 before any.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    fn advance(&mut self, counter: u64) {
        let steps = (counter - self.highest).min(SPAN);
        for cleared in counter - steps + 1..=counter {
            let (word, bit) = place(cleared);
            self.words[word] &= !bit;
        }
        self.highest = counter;
    }
}

fn place(counter: u64) -> (usize, u64) {
    let at = counter % SPAN;
    ((at / WORD) as usize, 1 << (at % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_agrees_with_the_set_of_all_counters_seen() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let mut base = [1, 1 << 16, (1 << 32) - 5000, u64::MAX / 2][rng.below(4) as usize];
            let (mut copies, mut seen, mut highest) = (Copies::default(), BTreeSet::new(), 0);
            for _ in 0..5_000 {
                base += [0, 1, 1, 1, 2, 40, SPAN - 1, SPAN, 3 * SPAN][rng.below(9) as usize] * rng.below(2);
                let back = [0, 1, 5, 100, SPAN - 1, SPAN, 2 * SPAN][rng.below(7) as usize].min(base - 1);
                let counter = base - back;
                highest = highest.max(counter);
                let expected = highest - counter < SPAN && seen.insert(counter);
                assert_eq!(copies.is_first(counter), expected, "seed {seed}, counter {counter}, highest {highest}");
            }
        }
    }

    #[test]
    fn the_first_packet_sets_the_place() {
        let mut copies = Copies::default();
        assert!(copies.is_first(1 << 40));
        assert!(copies.is_first((1 << 40) - 1));
        assert!(!copies.is_first(1));
    }
}
