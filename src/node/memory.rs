//! The memory limit of all clients: unfinished frames, queued frames, large messages on their way to the ring, groups and memberships. A
//! frame in many queues counts once. The ring's own buffers do not count.
//!
//! Near the limit new clients are refused; above it the largest sessions end until the rest fits. The memory of an ended session, until its
//! disconnection has its place in the order, does not count against the others.

use crate::groups;

/// The memory of an idle session, in bytes.
pub(super) const SESSION: usize = 4 << 10;

/// Bytes that one membership takes: a member among those of a group, and a group among those of a member. The measured figure, for
/// groups of a thousand members, is 175.
pub(super) const MEMBERSHIP: usize = 192;

/// The fraction of the limit (one of this many parts) that is reserved for this daemon's clients against memberships of other daemons.
const OWN_PART: usize = 4;

/// Memory for clients elsewhere in the daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elsewhere {
    /// Large messages on their way to the ring.
    pub lanes: usize,
    /// The members of all groups.
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
    /// The limit is exceeded.
    Over,
}

/// The memory of the clients.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// Input, and frames that wait.
    clients: usize,
    /// The memory of sessions that have ended.
    departing: usize,
    elsewhere: Elsewhere,
    warned: bool,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { limit, clients: 0, departing: 0, elsewhere: Elsewhere::default(), warned: false }
    }

    /// Sets the limit.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The memory of clients has changed by this.
    pub(super) fn change(&mut self, bytes: isize) {
        self.clients = self.clients.saturating_add_signed(bytes);
    }

    /// A session ended, and keeps this many bytes until it is removed.
    pub(super) fn depart(&mut self, bytes: usize) {
        self.departing += bytes;
    }

    /// A session that had ended is forgotten.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.departing -= bytes;
    }

    /// The memory elsewhere, as it is now.
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
        // Memberships of other daemons' clients are in this memory too, and the end of a session here frees none of them.
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

    /// Whether to warn the operator: once, until less than half is in use again.
    pub(super) fn should_warn(&mut self) -> bool {
        // Far below the threshold, so that small changes around it do not warn again and again.
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
