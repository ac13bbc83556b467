//! The duplicate filter: a window over the last counters of a sender. It passes each counter once, and each further copy once for each path.
//!
//! A packet that is late by the whole window counts as lost, and the ring requests it again under a new counter.

use super::super::health::Copied;
use crate::wire::NetworkId;

/// How many counters back a packet may be late.
pub(in crate::multipath) const SPAN: usize = 8192;

/// Which counters were seen, and how.
#[derive(Debug)]
pub(in crate::multipath) struct Copies {
    trust: Trust,
    span: u64,
    /// The highest counter seen; no counter was seen if there are no marks.
    highest: u64,
    /// The ways by which each counter came, at its place modulo the span.
    marks: Vec<u16>,
}

/// Whether counters are proved by a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Trust {
    Proved,
    Unproved,
}

/// Whether a copy of a packet came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Seen {
    /// None did, as far as is known.
    Never,
    /// One did, another way.
    Otherwise,
    /// One did, this way; or the counter is too old to tell.
    Thus,
}

/// How a copy came: directly or otherwise, and on which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) struct Mark(u16);

impl Mark {
    /// From its sender, on the network that it was sent on.
    pub(in crate::multipath) fn direct(network: NetworkId) -> Mark {
        Mark(1 << (network.0 & 7))
    }

    /// By a relay, or on another network than it was sent on.
    pub(in crate::multipath) fn other(network: NetworkId) -> Mark {
        Mark(1 << (8 + (network.0 & 7)))
    }
}

impl Copies {
    pub(in crate::multipath) fn new(trust: Trust, span: usize) -> Copies {
        Copies { trust, span: span as u64, highest: 0, marks: Vec::new() }
    }

    /// Records a copy and returns which one it is. `None` if it came this way before, or its counter is too old to
    /// tell.
    pub(in crate::multipath) fn record(&mut self, counter: u64, mark: Mark) -> Option<Copied> {
        if self.marks.is_empty() {
            // The first packet sets the window. A window that starts at 0 would take the first packets of a long life for packets far ahead.
            self.marks = vec![0; self.span as usize];
            self.highest = counter;
        }
        if counter > self.highest {
            self.advance(counter);
        } else if self.highest - counter >= self.span {
            // A sealed counter is true, so this is an old packet.
            if self.trust == Trust::Proved {
                return None;
            }
            // Without a seal a forged counter far ahead may have moved the window. It must not mute the sender, so the window moves back.
            self.marks.fill(0);
            self.highest = counter;
        }
        let before = std::mem::replace(&mut self.marks[(counter % self.span) as usize], 0);
        self.marks[(counter % self.span) as usize] = before | mark.0;
        match before {
            0 => Some(Copied::First),
            _ if before & mark.0 == 0 => Some(Copied::Later),
            _ => None,
        }
    }

    /// Whether a copy came before, according to its header. Nothing is recorded.
    pub(in crate::multipath) fn seen(&self, counter: u64, mark: Mark) -> Seen {
        if self.marks.is_empty() || counter > self.highest {
            return Seen::Never;
        }
        if self.highest - counter >= self.span {
            return if self.trust == Trust::Proved { Seen::Thus } else { Seen::Never };
        }
        match self.marks[(counter % self.span) as usize] {
            0 => Seen::Never,
            before if before & mark.0 == 0 => Seen::Otherwise,
            _ => Seen::Thus,
        }
    }

    /// Whether a packet with this counter would be a late one.
    pub(in crate::multipath) fn is_late(&self, counter: u64) -> bool {
        let behind = self.highest.checked_sub(counter);
        behind.is_some_and(|behind| self.trust == Trust::Proved || behind < self.span)
    }

    fn advance(&mut self, counter: u64) {
        let steps = counter - self.highest;
        if steps >= self.span {
            self.marks.fill(0);
        } else {
            // These places still have the marks of counters one span earlier.
            (self.highest + 1..=counter).for_each(|cleared| self.marks[(cleared % self.span) as usize] = 0);
        }
        self.highest = counter;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::Rng;

    const LENGTH: u64 = SPAN as u64;
    const DIRECT: Mark = Mark(1);

    #[test]
    fn it_agrees_with_the_set_of_all_counters_seen() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let mut base = [1, 1 << 16, (1 << 32) - 5000, u64::MAX / 2][rng.below(4) as usize];
            let (mut copies, mut seen, mut highest) = (Copies::new(Trust::Proved, SPAN), BTreeSet::new(), 0);
            for _ in 0..5_000 {
                base += [0, 1, 1, 1, 2, 40, LENGTH - 1, LENGTH, 3 * LENGTH][rng.below(9) as usize] * rng.below(2);
                let back = [0, 1, 5, 100, LENGTH - 1, LENGTH, 2 * LENGTH][rng.below(7) as usize].min(base - 1);
                let counter = base - back;
                highest = highest.max(counter);
                let first = highest - counter < LENGTH && seen.insert(counter);
                let expected = first.then_some(Copied::First);
                let known = if first { Seen::Never } else { Seen::Thus };
                assert_eq!(copies.seen(counter, DIRECT), known, "seed {seed}, counter {counter}, highest {highest}");
                assert_eq!(
                    copies.record(counter, DIRECT),
                    expected,
                    "seed {seed}, counter {counter}, highest {highest}"
                );
            }
        }
    }

    #[test]
    fn the_first_packet_sets_the_place() {
        let mut copies = Copies::new(Trust::Proved, SPAN);
        let copied = [1 << 40, (1 << 40) - 1, 1].map(|counter| copies.record(counter, DIRECT));
        assert_eq!(copied, [Some(Copied::First), Some(Copied::First), None]);
    }

    #[test]
    fn a_copy_counts_once_for_each_way() {
        let mut copies = Copies::new(Trust::Proved, SPAN);
        let (one, two) = (NetworkId(0), NetworkId(7));
        let ways = [Mark::direct(two), Mark::direct(one), Mark::direct(two), Mark::other(two), Mark::other(two)];
        let copied = ways.map(|way| copies.record(5, way));
        assert_eq!([one, two].map(|network| copies.seen(5, Mark::other(network))), [Seen::Otherwise, Seen::Thus]);
        assert_eq!(copied, [Some(Copied::First), Some(Copied::Later), None, Some(Copied::Later), None]);
    }

    #[test]
    fn an_unproved_jump_of_the_counter_mutes_nobody_and_a_proved_one_is_final() {
        for (trust, after) in [(Trust::Unproved, Some(Copied::First)), (Trust::Proved, None)] {
            let mut copies = Copies::new(trust, SPAN);
            assert_eq!(copies.record(7, DIRECT), Some(Copied::First));
            assert_eq!(copies.record(u64::MAX, DIRECT), Some(Copied::First));
            assert_eq!(copies.record(8, DIRECT), after, "{trust:?}");
            assert_eq!(copies.record(9, DIRECT), after, "{trust:?}");
        }
    }
}
