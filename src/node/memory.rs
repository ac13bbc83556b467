//! The ceiling for what clients make a daemon keep: unfinished frames, frames that wait for readers, large messages on their way to
//! the ring, groups and memberships. A frame that many wait for counts once.
//!
//! The ring's own buffers are not counted and never given up. When the clients' part is nearly full newcomers are refused; above it
//! the session that takes most must end, until what is left fits. What a session that has ended still takes, until its disconnection
//! has its place in the order, does not count against the others.

use crate::groups;

/// Bytes that a session takes without having done anything.
pub(super) const SESSION: usize = 4 << 10;

/// Bytes that one membership takes: a member among those of a group, and a group among those of a member. The measured figure, for
/// groups of a thousand members, is 175.
pub(super) const MEMBERSHIP: usize = 192;

/// The part of the ceiling, one of so many, that clients of this daemon have whatever other daemons' clients take.
const OWN_PART: usize = 4;

/// What is kept for clients elsewhere in the daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elsewhere {
    /// Large messages on their way to the ring.
    pub lanes: usize,
    /// Who is in which group.
    pub groups: groups::Memberships,
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fill {
    /// There is room.
    Room,
    /// Three quarters are taken.
    Much,
    /// Seven eighths are taken: no newcomers.
    Tight,
    /// More is taken than may be.
    Over,
}

/// What the clients take.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// Input, and frames that wait.
    clients: usize,
    /// What sessions that have ended still take.
    departing: usize,
    elsewhere: Elsewhere,
    warned: bool,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { limit, clients: 0, departing: 0, elsewhere: Elsewhere::default(), warned: false }
    }

    /// Clients may take so much from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Clients take so much more, or less.
    pub(super) fn change(&mut self, bytes: isize) {
        self.clients = self.clients.saturating_add_signed(bytes);
    }

    /// A session ended that keeps so much until it is forgotten.
    pub(super) fn depart(&mut self, bytes: usize) {
        self.departing += bytes;
    }

    /// A session that had ended is forgotten.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.departing -= bytes;
    }

    /// What is kept elsewhere now.
    pub(super) fn set_elsewhere(&mut self, elsewhere: Elsewhere) {
        self.elsewhere = elsewhere;
    }

    /// Bytes that sessions of this daemon take.
    pub(super) fn used(&self) -> usize {
        let elsewhere = self.elsewhere.lanes + self.elsewhere.groups.own * MEMBERSHIP;
        (self.clients + elsewhere).saturating_sub(self.departing)
    }

    /// Bytes that they may take.
    pub(super) fn room(&self) -> usize {
        let others = self.elsewhere.groups.others * MEMBERSHIP;
        self.limit.saturating_sub(others).max(self.limit / OWN_PART)
    }

    /// How full it is.
    pub(super) fn fill(&self) -> Fill {
        let (used, room) = (self.used(), self.room());
        match used {
            _ if used > room => Fill::Over,
            _ if used > room - room / 8 => Fill::Tight,
            _ if used > room - room / 4 => Fill::Much,
            _ => Fill::Room,
        }
    }

    /// Whether an operator should hear that little is left: once, until less than half is taken.
    pub(super) fn should_warn(&mut self) -> bool {
        if self.used() <= self.room() / 2 {
            self.warned = false;
        }
        let warns = !self.warned && self.fill() >= Fill::Much;
        self.warned |= warns;
        warns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(used: isize) -> Memory {
        let mut memory = Memory::new(80_000);
        memory.change(used);
        memory
    }

    #[test]
    fn it_fills_in_steps_and_warns_once() {
        for (used, fill) in
            [(0, Fill::Room), (60_000, Fill::Room), (60_001, Fill::Much), (70_001, Fill::Tight), (80_001, Fill::Over)]
        {
            assert_eq!(memory(used).fill(), fill, "{used}");
        }
        let mut memory = memory(61_000);
        assert!(memory.should_warn() && !memory.should_warn());
        memory.change(-11_000);
        memory.change(11_000);
        assert!(!memory.should_warn());
        memory.change(-21_000);
        assert!(!memory.should_warn());
        memory.change(21_000);
        assert!(memory.should_warn());
    }

    #[test]
    fn memberships_of_others_leave_a_part_to_the_clients_here() {
        let mut memory = memory(0);
        let groups = groups::Memberships { own: 10, others: 100 };
        memory.set_elsewhere(Elsewhere { lanes: 500, groups });
        assert_eq!((memory.used(), memory.room()), (500 + 10 * MEMBERSHIP, 80_000 - 100 * MEMBERSHIP));
        memory.set_elsewhere(Elsewhere { lanes: 0, groups: groups::Memberships { own: 0, others: 1_000_000 } });
        assert_eq!(memory.room(), 20_000);
    }

    #[test]
    fn what_is_going_does_not_count() {
        let mut memory = memory(81_000);
        memory.depart(80_000);
        assert_eq!(memory.fill(), Fill::Room);
        memory.forget(80_000);
        assert_eq!(memory.fill(), Fill::Over);
    }
}
