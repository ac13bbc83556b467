//! The timers of an event loop: what is due first, and at most one for each call.
//!
//! The program decides which calls are different. The classic interface compares function, code and data together.

use std::collections::BTreeMap;
use std::time::Duration;

/// Most calls that can be queued at once.
pub const TIMER_LIMIT: usize = 1 << 16;

/// When a call is due, and its turn among those that are due then.
type Due = (Duration, u64);

/// Calls and when they are due.
#[derive(Clone, Debug)]
pub struct Timers<T> {
    calls: BTreeMap<Due, T>,
    dues: BTreeMap<T, Due>,
    turns: u64,
}

impl<T: Ord + Copy> Timers<T> {
    /// No timers.
    pub(super) const fn new() -> Timers<T> {
        Timers { calls: BTreeMap::new(), dues: BTreeMap::new(), turns: 0 }
    }

    /// Queues a call, again if it is queued already; false if there are [`TIMER_LIMIT`] others.
    pub fn queue(&mut self, call: T, due: Duration) -> bool {
        self.dequeue(&call);
        let room = self.dues.len() < TIMER_LIMIT;
        if room {
            self.calls.insert((due, self.turns), call);
            self.dues.insert(call, (due, self.turns));
            self.turns += 1;
        }
        room
    }

    /// Takes a call out; false if it is not queued.
    pub fn dequeue(&mut self, call: &T) -> bool {
        let due = self.dues.remove(call);
        due.is_some_and(|due| self.calls.remove(&due).is_some())
    }

    /// Whether a call is queued.
    pub fn contains(&self, call: &T) -> bool {
        self.dues.contains_key(call)
    }

    /// When the first call is due.
    pub fn first_due(&self) -> Option<Duration> {
        self.calls.first_key_value().map(|((due, _), _)| *due)
    }

    /// The end of what is queued now, for [`Timers::take_due`].
    pub fn mark(&self) -> u64 {
        self.turns
    }

    /// Takes the first call that is due, unless it was queued after `mark`. So calls that queue themselves again at
    /// once do not block everything else.
    pub fn take_due(&mut self, now: Duration, mark: u64) -> Option<T> {
        let (&(due, turn), &call) = self.calls.first_key_value()?;
        (due <= now && turn < mark).then(|| {
            self.dequeue(&call);
            call
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn due(timers: &mut Timers<char>, now: u64) -> String {
        let mark = timers.mark();
        std::iter::from_fn(|| timers.take_due(at(now), mark)).collect()
    }

    #[test]
    fn timers_come_in_the_order_of_time_and_then_of_queueing() {
        let mut timers = Timers::new();
        for (call, time) in [('c', 3), ('b', 2), ('x', 2), ('a', 2), ('z', 9)] {
            assert!(timers.queue(call, at(time)));
        }
        assert_eq!(timers.first_due(), Some(at(2)));
        assert_eq!(due(&mut timers, 3), "bxac");
        assert_eq!(due(&mut timers, 8), "");
        assert!(timers.contains(&'z') && !timers.contains(&'a'));
    }

    #[test]
    fn queueing_again_replaces_the_time() {
        let mut timers = Timers::new();
        timers.queue('a', at(1));
        timers.queue('b', at(1));
        timers.queue('a', at(5));
        assert_eq!(due(&mut timers, 1), "b");
        assert!(timers.dequeue(&'a') && !timers.dequeue(&'a') && !timers.dequeue(&'b'));
        assert_eq!(timers.first_due(), None);
    }

    #[test]
    fn what_is_queued_meanwhile_waits_for_the_next_round() {
        let mut timers = Timers::new();
        timers.queue('a', at(1));
        let mark = timers.mark();
        assert_eq!(timers.take_due(at(1), mark), Some('a'));
        timers.queue('a', at(1));
        assert_eq!(timers.take_due(at(1), mark), None);
        assert_eq!(due(&mut timers, 1), "a");
    }

    #[test]
    fn there_is_a_limit_that_does_not_hit_those_already_queued() {
        let mut timers = Timers::new();
        assert!((0..TIMER_LIMIT).all(|call| timers.queue(call, at(1))));
        assert!(!timers.queue(TIMER_LIMIT, at(1)));
        assert!(timers.queue(7, at(2)) && timers.contains(&7));
    }
}
