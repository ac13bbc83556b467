//! The queue of password checks, which slows down guessing.
//!
//! After a few wrong passwords from one address or local user, or for one user name, further checks wait. A client that would wait longer
//! than a handshake may take is refused at once. A right password does not count.

use std::collections::BTreeMap;

use crate::groups::SessionId;
use crate::session::{Check, Source};
use crate::time::{Duration, Instant};

/// The rate and burst of wrong passwords from one source.
const SOURCE: Rate = Rate { interval: Duration::from_secs(1), burst: 5 };
/// The rate and burst of wrong passwords for one user name.
const USER: Rate = Rate { interval: Duration::from_millis(250), burst: 20 };
/// The longest wait.
const WAIT_LIMIT: Duration = Duration::from_secs(8);
/// Sources and users that are remembered, each.
const REMEMBERED: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Rate {
    interval: Duration,
    burst: u32,
}

/// When the allowance of a source or user is full again.
type Debts<K> = BTreeMap<K, Instant>;

/// The checks that wait, and recent wrong passwords.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    sources: Debts<Source>,
    users: Debts<String>,
    waiting: BTreeMap<(Instant, SessionId), Check>,
}

impl Attempts {
    /// A client sent a password. False if there are too many before it.
    pub(super) fn add(&mut self, now: Instant, id: SessionId, source: Source, check: Check) -> bool {
        let user = check.user();
        let at = SOURCE.next(now, &self.sources, &source).max(USER.next(now, &self.users, &user));
        // The handshake would time out first, and meanwhile the attempt would take memory.
        if at > now + WAIT_LIMIT {
            return false;
        }
        // Charged before the result is known. Otherwise many guesses at once would all be compared before the first result.
        SOURCE.charge(now, &mut self.sources, source);
        USER.charge(now, &mut self.users, user);
        self.waiting.insert((at, id), check);
        true
    }

    /// A password was right.
    pub(super) fn forgive(&mut self, now: Instant, source: Source, user: &str) {
        for (debt, rate) in [(self.sources.get_mut(&source), SOURCE), (self.users.get_mut(user), USER)] {
            if let Some(debt) = debt {
                *debt = now + (*debt - now).saturating_sub(rate.interval);
            }
        }
    }

    /// The next password that may be compared now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(SessionId, Check)> {
        let first = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, id), check) = first.remove_entry();
        Some((id, check))
    }

    /// When [`Attempts::poll`] has something.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|&(at, _)| at)
    }
}

impl Rate {
    /// When the next attempt may be.
    fn next<K: Ord>(self, now: Instant, debts: &Debts<K>, key: &K) -> Instant {
        let credit = self.interval * (self.burst - 1);
        debts.get(key).map_or(now, |&debt| now + (debt - now).saturating_sub(credit))
    }

    fn charge<K: Ord + Clone>(self, now: Instant, debts: &mut Debts<K>, key: K) {
        // A guesser with many names or addresses must not fill the memory.
        if debts.len() >= REMEMBERED && !debts.contains_key(&key) {
            forget(now, debts);
        }
        let debt = debts.entry(key).or_insert(now);
        *debt = (*debt).max(now) + self.interval;
    }
}

/// Makes room: removes the entries with a full allowance, or else the one that is nearest to it.
fn forget<K: Ord + Clone>(now: Instant, debts: &mut Debts<K>) {
    debts.retain(|_, debt| *debt > now);
    if debts.len() >= REMEMBERED
        && let Some(least) = debts.iter().min_by_key(|(_, debt)| **debt).map(|(key, _)| key.clone())
    {
        debts.remove(&least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Passwords;

    const HERE: Source = Source::User(7);

    fn check(user: &str) -> Check {
        let mut credentials = [0; Passwords::CREDENTIALS_SIZE];
        credentials[..user.len()].copy_from_slice(user.as_bytes());
        Passwords::default().check(credentials)
    }

    /// How many of this many attempts of a source may be compared by this time.
    fn compared(attempts: &mut Attempts, at: Instant) -> usize {
        std::iter::from_fn(|| attempts.poll(at)).count()
    }

    #[test]
    fn after_a_few_wrong_passwords_one_a_second_is_compared_and_a_flood_is_refused() {
        let (start, mut attempts) = (Instant::ZERO, Attempts::default());
        let taken = (0..1000).filter(|&id| attempts.add(start, SessionId(id), HERE, check(&format!("u{id}")))).count();
        assert_eq!(taken, 13, "a burst, and what fits the patience");
        assert_eq!(compared(&mut attempts, start), 5);
        assert_eq!(attempts.poll_timeout(), Some(start + Duration::from_secs(1)));
        assert_eq!(compared(&mut attempts, start + Duration::from_secs(3)), 3);
        assert!(attempts.add(start, SessionId(5000), Source::User(8), check("other")));
        assert_eq!(compared(&mut attempts, start), 1, "others do not wait");
        assert!(attempts.add(start + 2 * WAIT_LIMIT, SessionId(6000), HERE, check("u0")), "in time it is forgotten");
    }

    #[test]
    fn guesses_for_one_user_wait_wherever_they_come_from() {
        let (start, mut attempts) = (Instant::ZERO, Attempts::default());
        for id in 0..30 {
            assert!(attempts.add(start, SessionId(id), Source::User(id as u32), check("alice")));
        }
        assert_eq!(compared(&mut attempts, start), 20);
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let (start, mut attempts) = (Instant::ZERO, Attempts::default());
        for id in 0..100 {
            assert!(attempts.add(start, SessionId(id), HERE, check("alice")));
            assert_eq!(compared(&mut attempts, start), 1);
            attempts.forgive(start, HERE, "alice");
        }
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut attempts = Attempts::default();
        for id in 0..2 * REMEMBERED as u64 {
            attempts.add(Instant::ZERO, SessionId(id), Source::User(id as u32), check(&format!("u{id}")));
        }
        assert_eq!((attempts.sources.len(), attempts.users.len()), (REMEMBERED, REMEMBERED));
    }
}
