//! Slows joins and leaves down to the pace at which members read their views.
//!
//! When a thousand clients join one group, each join leads to a view with all names for every member. So a join or leave waits while many
//! sessions here are behind with their views, and, with many members, while many changes are on their way through the ring. One change
//! proceeds at each interval in any case, so a few sessions that do not read block nobody. Users take turns, so that many changes of one user
//! delay another user's by one interval.

use std::collections::BTreeMap;

use super::users::User;
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
    /// The queues of users that have one, never empty.
    queues: BTreeMap<User, Queue>,
    /// The owners of the queues; the first is next.
    turns: BTreeMap<u64, User>,
    /// The number of the last turn or ticket.
    last: u64,
    /// When the next change goes on in any case.
    next: Instant,
}

/// The changes of one user that wait.
#[derive(Debug)]
struct Queue {
    /// The user's place in `turns`.
    turn: u64,
    changes: BTreeMap<Ticket, (SessionId, Envelope)>,
}

/// The place of a change in its user's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

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
        // A change must not overtake those whose turn it is.
        self.is_pressed() || !self.turns.is_empty()
    }

    fn is_pressed(&self) -> bool {
        let is_slow = self.behind > TOLERATED.max(self.watchers / TOLERATED_PART);
        is_slow || self.watchers > CROWD && self.in_flight >= IN_FLIGHT
    }

    /// Lets a change of this user's session wait.
    pub(super) fn wait(&mut self, now: Instant, user: &User, id: SessionId, change: Envelope) -> Ticket {
        if self.turns.is_empty() {
            self.next = now + INTERVAL;
        }
        let ticket = Ticket(self.number());
        if let Some(queue) = self.queues.get_mut(user) {
            queue.changes.insert(ticket, (id, change));
        } else {
            self.line_up(user.clone(), BTreeMap::from([(ticket, (id, change))]));
        }
        ticket
    }

    /// The session of a waiting change has ended: it must not use up a turn.
    pub(super) fn withdraw(&mut self, user: &User, ticket: Ticket) {
        let Some(queue) = self.queues.get_mut(user) else { return };
        queue.changes.remove(&ticket);
        if queue.changes.is_empty() {
            self.turns.remove(&queue.turn);
            self.queues.remove(user);
        }
    }

    /// The next change, if it need not wait longer.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(SessionId, Envelope)> {
        // One change proceeds at each interval in any case, so that members that never read block nobody.
        if self.is_pressed() && now < self.next {
            return None;
        }
        let (_, user) = self.turns.pop_first()?;
        let mut changes = self.queues.remove(&user)?.changes;
        let (_, change) = changes.pop_first()?;
        if !changes.is_empty() {
            self.line_up(user, changes);
        }
        self.next = now + INTERVAL;
        Some(change)
    }

    /// Puts a user with these changes behind all others.
    fn line_up(&mut self, user: User, changes: BTreeMap<Ticket, (SessionId, Envelope)>) {
        let turn = self.number();
        self.turns.insert(turn, user.clone());
        self.queues.insert(user, Queue { turn, changes });
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// When the next change proceeds: at once if nothing delays it any more.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let at = if self.is_pressed() { self.next } else { Instant::ZERO };
        (!self.turns.is_empty()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Source;
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

    fn user(id: u32) -> User {
        User::From(Source::User(id))
    }

    /// Lets a change of this session of the user wait.
    fn wait(pace: &mut Pace, user: &User, id: u64) -> Ticket {
        let (id, change) = change(id);
        pace.wait(Instant::ZERO, user, id, change)
    }

    #[test]
    fn changes_keep_their_order_and_one_goes_at_each_interval() {
        let mut pace = pace(1000, 1000);
        (0..3).for_each(|id| _ = wait(&mut pace, &user(1), id));
        assert_eq!(pace.poll(Instant::ZERO), None);
        let later = pace.poll_timeout().unwrap();
        assert_eq!(later, Instant::ZERO + INTERVAL);
        assert_eq!((pace.poll(later), pace.poll(later)), (Some(change(0)), None));
        pace.fall_behind(-900);
        assert!(pace.holds(), "who comes now waits behind the others");
        assert_eq!((pace.poll(later), pace.poll(later)), (Some(change(1)), Some(change(2))));
        assert_eq!((pace.holds(), pace.poll_timeout()), (false, None));
    }

    #[test]
    fn users_take_turns_and_a_newcomer_waits_for_one_change_of_each_other() {
        let mut pace = pace(1000, 1000);
        (0..300).for_each(|id| _ = wait(&mut pace, &user(1), id));
        (300..303).for_each(|id| _ = wait(&mut pace, &user(2), id));
        let mut now = Instant::ZERO;
        let mut poll = |pace: &mut Pace| {
            now += INTERVAL;
            let next = pace.poll(now).unwrap().0.0;
            assert_eq!(pace.poll(now), None);
            next
        };
        assert_eq!([poll(&mut pace), poll(&mut pace), poll(&mut pace)], [0, 300, 1]);
        wait(&mut pace, &user(3), 303);
        assert_eq!([poll(&mut pace), poll(&mut pace), poll(&mut pace)], [301, 2, 303]);
        // Whoever waits again at once has its turn after all others all the same.
        wait(&mut pace, &user(3), 304);
        assert_eq!([poll(&mut pace), poll(&mut pace), poll(&mut pace)], [302, 3, 304]);
        (4..300).for_each(|id| assert_eq!(poll(&mut pace), id));
        assert!(pace.queues.is_empty() && pace.turns.is_empty());
    }

    #[test]
    fn a_session_that_has_ended_uses_up_no_turn_and_no_memory() {
        let mut pace = pace(1000, 1000);
        let tickets: Vec<Ticket> = (0..5).map(|id| wait(&mut pace, &user(1), id)).collect();
        let other = wait(&mut pace, &user(2), 5);
        wait(&mut pace, &user(3), 6);
        pace.withdraw(&user(2), other);
        tickets.iter().step_by(2).for_each(|&ticket| pace.withdraw(&user(1), ticket));
        let later = Instant::ZERO + INTERVAL;
        assert_eq!((pace.poll(later), pace.poll(later)), (Some(change(1)), None));
        assert_eq!(pace.poll(later + INTERVAL), Some(change(6)));
        assert_eq!(pace.poll_timeout(), Some(later + INTERVAL * 2));
        pace.withdraw(&user(1), tickets[3]);
        assert_eq!((pace.poll_timeout(), pace.is_pressed()), (None, true), "the last one has ended too");
        assert!(pace.queues.is_empty() && pace.turns.is_empty());
    }
}
