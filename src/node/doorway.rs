//! Clients with an unfinished handshake. Each has a deadline, and each source (an address, or a user of this machine) has a limit.
//!
//! Above the limit, or when the daemon is full and another source connects, the oldest handshake of the source with the most handshakes is
//! closed. Clients that have sent nothing are closed first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::groups::SessionId;
use crate::session::Source;
use crate::time::{Duration, Instant};

/// The limit of unfinished handshakes of one source. The daemon answers each within a few rounds of its loop, so all clients of a machine
/// stay far below it even when they reconnect at once.
pub(super) const HALF_OPEN_LIMIT: usize = 1000;

/// How far a handshake has come, in the order in which clients must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Silent,
    Named,
}

/// All unfinished handshakes.
#[derive(Debug)]
pub(super) struct Doorway {
    timeout: Duration,
    half_open: BTreeMap<Source, BTreeSet<(Stage, SessionId)>>,
    /// When each handshake must be over, in order of time.
    deadlines: VecDeque<(Instant, SessionId)>,
}

impl Doorway {
    /// No handshakes yet, and the time limit of each.
    pub(super) fn new(timeout: Duration) -> Doorway {
        Doorway { timeout, half_open: BTreeMap::new(), deadlines: VecDeque::new() }
    }

    /// A client connected.
    pub(super) fn enter(&mut self, now: Instant, id: SessionId, source: Source) {
        self.half_open.entry(source).or_default().insert((Stage::Silent, id));
        self.deadlines.push_back((now + self.timeout, id));
    }

    /// A client has sent its name.
    pub(super) fn named(&mut self, id: SessionId, source: Source) {
        if let Some(clients) = self.half_open.get_mut(&source)
            && clients.remove(&(Stage::Silent, id))
        {
            clients.insert((Stage::Named, id));
        }
    }

    /// A client's handshake has ended or failed.
    pub(super) fn leave(&mut self, id: SessionId, source: Source) {
        // The deadline remains in the queue, because finding it would take long. The owner ignores it when it comes.
        let Some(clients) = self.half_open.get_mut(&source) else { return };
        _ = clients.remove(&(Stage::Silent, id)) || clients.remove(&(Stage::Named, id));
        if clients.is_empty() {
            self.half_open.remove(&source);
        }
    }

    /// The session to close because its source has too many unfinished handshakes.
    pub(super) fn surplus(&self, source: Source) -> Option<SessionId> {
        self.half_open.get(&source).filter(|clients| clients.len() > HALF_OPEN_LIMIT).and_then(oldest)
    }

    /// The session to close to make room for a client of this source in a full daemon: one of the source with the most unfinished
    /// handshakes, if it has more than the source of the newcomer, which is already counted.
    pub(super) fn make_room(&self, newcomer: Source) -> Option<SessionId> {
        let (_, most) = self.half_open.iter().max_by_key(|(_, clients)| clients.len())?;
        let own = self.half_open.get(&newcomer).map_or(0, BTreeSet::len);
        // A source that has as many handshakes as any other must not push others out.
        if most.len() > own { oldest(most) } else { None }
    }

    /// When the next handshake must be over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.front().map(|&(at, _)| at)
    }

    /// The next session whose handshake should be over by now.
    pub(super) fn poll_late(&mut self, now: Instant) -> Option<SessionId> {
        self.deadlines.pop_front_if(|&mut (at, _)| at <= now).map(|(_, id)| id)
    }
}

fn oldest(clients: &BTreeSet<(Stage, SessionId)>) -> Option<SessionId> {
    // Stages come first in this order, and then ids, which grow with time.
    clients.first().map(|&(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Source = Source::User(1);
    const OTHER: Source = Source::User(2);

    fn doorway(silent: u64) -> Doorway {
        let mut doorway = Doorway::new(Duration::from_secs(10));
        (0..silent).for_each(|id| doorway.enter(Instant::ZERO, SessionId(id), FLOOD));
        doorway
    }

    #[test]
    fn above_the_limit_the_oldest_that_said_nothing_goes() {
        let mut doorway = doorway(HALF_OPEN_LIMIT as u64);
        assert_eq!(doorway.surplus(FLOOD), None);
        doorway.named(SessionId(0), FLOOD);
        doorway.enter(Instant::ZERO, SessionId(5000), FLOOD);
        assert_eq!(doorway.surplus(FLOOD), Some(SessionId(1)));
        doorway.leave(SessionId(0), FLOOD);
        assert_eq!(doorway.surplus(FLOOD), None);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_one_whose_source_has_more() {
        let mut doorway = doorway(3);
        doorway.enter(Instant::ZERO, SessionId(10), OTHER);
        assert_eq!(doorway.make_room(OTHER), Some(SessionId(0)));
        doorway.enter(Instant::ZERO, SessionId(4), FLOOD);
        assert_eq!(doorway.make_room(FLOOD), None, "not of its own source");
    }

    #[test]
    fn a_source_without_half_open_clients_is_forgotten() {
        let mut doorway = doorway(2);
        doorway.named(SessionId(1), FLOOD);
        (0..2).for_each(|id| doorway.leave(SessionId(id), FLOOD));
        doorway.leave(SessionId(7), OTHER);
        assert!(doorway.half_open.is_empty());
    }
}
