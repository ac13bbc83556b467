//! The number of sessions and bytes of frames of each user. A user is one of the password file, one of this machine, or an address if neither is
//! known.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::session::Source;

/// The user of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum User {
    /// Anybody from this source.
    From(Source),
    /// A user of the password file.
    Named(Arc<str>),
}

/// The sessions and memory of one user.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    sessions: usize,
    memory: usize,
}

/// The sessions and memory of all users, as far as there are limits.
#[derive(Debug)]
pub(super) struct Users {
    max_sessions: usize,
    max_memory: usize,
    holdings: BTreeMap<User, Holding>,
}

impl Users {
    pub(super) fn new(max_sessions: usize, max_memory: usize) -> Users {
        Users { max_sessions, max_memory, holdings: BTreeMap::new() }
    }

    /// Other limits from now on. If there was none before, each session must report its memory again.
    pub(super) fn set_limits(&mut self, max_sessions: usize, max_memory: usize) {
        (self.max_sessions, self.max_memory) = (max_sessions, max_memory);
    }

    /// The users whose sessions together take too much.
    pub(super) fn greedy(&self) -> Vec<User> {
        self.holdings.keys().filter(|user| self.is_greedy(user)).cloned().collect()
    }

    /// Whether a user's sessions take too much together.
    pub(super) fn is_greedy(&self, user: &User) -> bool {
        self.holdings.get(user).is_some_and(|holding| holding.memory > self.max_memory)
    }

    /// Whether sessions must report their memory.
    pub(super) fn counts_memory(&self) -> bool {
        self.max_memory != usize::MAX
    }

    /// Whether a user may have one session more.
    pub(super) fn has_room(&self, user: &User) -> bool {
        self.holdings.get(user).is_none_or(|holding| holding.sessions < self.max_sessions)
    }

    /// A session of this user begins.
    pub(super) fn enter(&mut self, user: User) {
        self.holdings.entry(user).or_default().sessions += 1;
    }

    /// A session of this user, which took this much memory, is over.
    pub(super) fn leave(&mut self, user: &User, memory: usize) {
        let Some(holding) = self.holdings.get_mut(user) else { return };
        holding.sessions -= 1;
        holding.memory -= memory;
        // Otherwise every address that ever connected would remain.
        if holding.sessions == 0 {
            self.holdings.remove(user);
        }
    }

    /// The memory of a user's session has changed. Returns whether the user's sessions exceed the limit now.
    pub(super) fn change_memory(&mut self, user: &User, before: usize, now: usize) -> bool {
        let Some(holding) = self.holdings.get_mut(user) else { return false };
        holding.memory = holding.memory - before + now;
        // Only growth counts, so that no session ends while its queue is being read.
        holding.memory > self.max_memory && now > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_memory_are_counted_for_each_user() {
        let (mut users, alice) = (Users::new(2, 1000), User::Named("alice".into()));
        let other = User::From(Source::User(1));
        for _ in 0..2 {
            assert!(users.has_room(&alice));
            users.enter(alice.clone());
        }
        assert!(!users.has_room(&alice) && users.has_room(&other));
        users.enter(other.clone());
        assert!(!users.change_memory(&alice, 0, 600) && !users.change_memory(&other, 0, 600));
        assert!(users.change_memory(&alice, 0, 401));
        assert!(!users.change_memory(&alice, 401, 400));
        users.leave(&alice, 600);
        assert!(users.has_room(&alice));
        users.leave(&alice, 400);
        assert_eq!(users.holdings.len(), 1);
    }
}
