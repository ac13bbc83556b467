//! Slows joins and leaves down to the pace at which members read their views.
//!
//! When a thousand clients join one group, each join leads to a view with all names for every member. So a join or leave waits while many
//! sessions here are behind with their views, and, with many members, while many changes are on their way through the ring. One change
//! proceeds at each interval in any case, so a few sessions that do not read block nobody.

use std::collections::VecDeque;

use crate::groups::SessionId;
use crate::time::{Duration, Instant};
use crate::wire::Envelope;

/// A session with more queued bytes of views is behind.
pub(super) const BEHIND: usize = 256 << 10;
/// The number of sessions that may be behind; or one quarter of those that want views, if that is more.
const TOLERATED: usize = 8;
const TOLERATED_PART: usize = 4;
/// From this many sessions that want views on, the changes on their way are limited.
const CROWD: usize = 100;
/// Changes of this daemon's clients on their way in a crowd.
const IN_FLIGHT: usize = 64;
/// The longest time between two changes when some wait.
const INTERVAL: Duration = Duration::from_millis(20);

/// The changes that wait, and what decides for how long.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Open sessions that want views.
    watchers: usize,
    /// Sessions that are behind.
    behind: usize,
    in_flight: usize,
    waiting: VecDeque<(SessionId, Envelope)>,
    /// When the next change goes on in any case.
    next: Instant,
}

impl Pace {
    /// Another session wants views, or one does no longer.
    pub(super) fn watch(&mut self, change: isize) {
        self.watchers = self.watchers.saturating_add_signed(change);
    }

    /// Another session is behind, or one is no longer.
    pub(super) fn fall_behind(&mut self, change: isize) {
        self.behind = self.behind.saturating_add_signed(change);
    }

    /// A change was submitted.
    pub(super) fn depart(&mut self) {
        self.in_flight += 1;
    }

    /// A change has its place in the order.
    pub(super) fn arrive(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A configuration begins: what was on its way may never arrive.
    pub(super) fn restart(&mut self) {
        // Changes of the old configuration may be void. Otherwise this daemon would wait for them for ever.
        self.in_flight = 0;
    }

    /// Whether a change must wait, because it would lengthen queues or other changes wait already.
    pub(super) fn holds(&self) -> bool {
        // A change must not overtake one that waits.
        self.is_pressed() || !self.waiting.is_empty()
    }

    fn is_pressed(&self) -> bool {
        let is_slow = self.behind > TOLERATED.max(self.watchers / TOLERATED_PART);
        is_slow || self.watchers > CROWD && self.in_flight >= IN_FLIGHT
    }

    /// Lets a change of this session wait.
    pub(super) fn wait(&mut self, now: Instant, id: SessionId, change: Envelope) {
        if self.waiting.is_empty() {
            self.next = now + INTERVAL;
        }
        self.waiting.push_back((id, change));
    }

    /// The next change of a session that still waits, if it need not wait longer.
    pub(super) fn poll(&mut self, now: Instant, waits: impl Fn(SessionId) -> bool) -> Option<(SessionId, Envelope)> {
        // A session that has ended meanwhile must not use up a turn.
        while self.waiting.pop_front_if(|&mut (id, _)| !waits(id)).is_some() {}
        // One change proceeds at each interval in any case, so that members that never read block nobody.
        if self.is_pressed() && now < self.next {
            return None;
        }
        let change = self.waiting.pop_front()?;
        self.next = now + INTERVAL;
        Some(change)
    }

    /// When the next change proceeds: at once if nothing delays it any more.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let at = if self.is_pressed() { self.next } else { Instant::ZERO };
        (!self.waiting.is_empty()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn change(id: u64) -> (SessionId, Envelope) {
        let name = Name::new(b"g").unwrap();
        (SessionId(id), Envelope::Join { member: name, group: name })
    }

    fn pace(watchers: isize, behind: isize) -> Pace {
        let mut pace = Pace::default();
        pace.watch(watchers);
        pace.fall_behind(behind);
        pace
    }

    #[test]
    fn a_change_waits_while_many_are_behind_and_not_for_a_few() {
        assert!(!pace(1, 1).holds());
        assert!(!pace(1000, 250).holds());
        assert!(pace(1000, 251).holds());
        assert!(pace(9, 9).holds());
    }

    #[test]
    fn in_a_crowd_few_changes_are_on_their_way() {
        for (watchers, holds) in [(100, false), (101, true)] {
            let mut pace = pace(watchers, 0);
            (0..IN_FLIGHT).for_each(|_| pace.depart());
            assert_eq!(pace.holds(), holds);
            pace.arrive();
            assert!(!pace.holds());
        }
    }

    #[test]
    fn changes_keep_their_order_and_one_goes_at_each_interval() {
        let mut pace = pace(1000, 1000);
        for id in 0..3 {
            let (id, change) = change(id);
            pace.wait(Instant::ZERO, id, change);
        }
        let all = |_| true;
        assert_eq!(pace.poll(Instant::ZERO, all), None);
        let later = pace.poll_timeout().unwrap();
        assert_eq!(later, Instant::ZERO + INTERVAL);
        assert_eq!((pace.poll(later, all), pace.poll(later, all)), (Some(change(0)), None));
        pace.fall_behind(-900);
        assert!(pace.holds(), "who comes now waits behind the others");
        assert_eq!((pace.poll(later, all), pace.poll(later, all)), (Some(change(1)), Some(change(2))));
        assert_eq!((pace.holds(), pace.poll_timeout()), (false, None));
    }

    #[test]
    fn a_session_that_has_ended_uses_up_no_turn() {
        let mut pace = pace(1000, 1000);
        for id in 0..5 {
            let (id, change) = change(id);
            pace.wait(Instant::ZERO, id, change);
        }
        let odd = |SessionId(id)| id % 2 == 1;
        let later = Instant::ZERO + INTERVAL;
        assert_eq!((pace.poll(later, odd), pace.poll(later, odd)), (Some(change(1)), None));
        assert_eq!(pace.poll(later + INTERVAL, odd), Some(change(3)));
        assert_eq!((pace.poll(later + INTERVAL * 2, odd), pace.holds()), (None, true));
        assert_eq!((pace.poll_timeout(), pace.is_pressed()), (None, true), "the last one has ended too");
    }
}
