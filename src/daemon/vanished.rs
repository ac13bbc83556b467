//! Finds clients whose machine has vanished while bytes are on their way to it. The system would retransmit them for a quarter of an
//! hour.
//!
//! A machine whose program does not read has not vanished: it still acknowledges what it is sent, even if only to say that it has no
//! room. But it answers only when something is sent, and the system sends probes and retransmissions ever more rarely. So silence
//! alone proves nothing: several of them must have been sent, with no answer in all that time.

use std::collections::BTreeMap;

use crate::groups::SessionId;
use crate::net::Delivery;
use crate::time::{Duration, Instant};

/// Checks within one time-out.
const CHECKS: u32 = 4;
/// How many retransmissions or probes must have gone unanswered.
const WORDS: u32 = 2;

/// Watches over the clients that were written to.
#[derive(Debug)]
pub(super) struct MachineWatch {
    /// Zero: nobody is watched.
    timeout: Duration,
    next: Instant,
    watched: BTreeMap<SessionId, Option<Silence>>,
}

/// A time in which nothing has come from a client's machine.
#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Instant,
    /// The count of retransmissions when it began.
    repeated: u32,
}

impl MachineWatch {
    /// A machine has vanished if it acknowledges nothing for `timeout`; zero watches nobody.
    pub(super) fn new(timeout: Duration) -> MachineWatch {
        MachineWatch { timeout, next: Instant::ZERO, watched: BTreeMap::new() }
    }

    /// Changes the time-out; with zero, nobody is watched any more.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        if timeout.is_zero() {
            self.watched.clear();
        }
        self.next = Instant::ZERO;
    }

    /// Something was written to this client.
    pub(super) fn wrote(&mut self, id: SessionId) {
        if !self.timeout.is_zero() {
            self.watched.entry(id).or_default();
        }
    }

    /// This client's connection is over.
    pub(super) fn forget(&mut self, id: SessionId) {
        self.watched.remove(&id);
    }

    /// When to check again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.watched.is_empty()).then_some(self.next)
    }

    /// If it is time, checks the clients that were written to, and returns those that have vanished. A client that has acknowledged
    /// everything is not checked again before something is written to it.
    pub(super) fn check(&mut self, now: Instant, delivery: impl Fn(SessionId) -> Option<Delivery>) -> Vec<SessionId> {
        if self.next > now {
            return Vec::new();
        }
        let (timeout, mut gone) = (self.timeout, Vec::new());
        self.next = now + timeout / CHECKS;
        self.watched.retain(|&id, silence| {
            let Some(delivery) = delivery(id).filter(|delivery| delivery.outstanding) else { return false };
            // Any packet from the machine since then ends a silence, and a new one begins.
            let lasting = silence.filter(|silence| delivery.silence >= now - silence.since);
            *silence = lasting.or(Some(Silence { since: now, repeated: delivery.repeated }));
            let has_gone =
                lasting.is_some_and(|silence| now - silence.since >= timeout && silence.is_in_answer_to(&delivery));
            gone.extend(has_gone.then_some(id));
            !has_gone
        });
        gone
    }
}

impl Silence {
    /// Whether the machine was silent although enough was sent to it.
    fn is_in_answer_to(&self, delivery: &Delivery) -> bool {
        delivery.repeated.wrapping_sub(self.repeated) >= WORDS || u32::from(delivery.probes) >= WORDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CLIENT: SessionId = SessionId(7);
    const ACKNOWLEDGED: Delivery = Delivery { outstanding: false, silence: Duration::ZERO, repeated: 9, probes: 0 };

    /// Checks a client that was written to every second, for this many seconds. Returns when it counted as gone.
    fn check_every_second(seconds: u32, delivery: impl Fn(u32) -> Delivery) -> Option<u32> {
        let mut watch = MachineWatch::new(SECOND * 4);
        watch.wrote(CLIENT);
        (0..seconds).find(|&second| {
            let gone = watch.check(Instant::ZERO + SECOND * second, |_| Some(delivery(second)));
            assert!(gone.is_empty() || gone == [CLIENT] && watch.poll_timeout().is_none());
            !gone.is_empty()
        })
    }

    #[test]
    fn a_machine_that_answers_nothing_has_gone() {
        let sent_again =
            |second| Delivery { outstanding: true, silence: SECOND * (100 + second), repeated: 9 + second, probes: 0 };
        assert_eq!(check_every_second(10, sent_again), Some(4));
        let asked = |second| Delivery { repeated: 9, probes: second as u8, ..sent_again(second) };
        assert_eq!(check_every_second(10, asked), Some(4));
    }

    #[test]
    fn a_machine_that_was_not_spoken_to_has_not_gone() {
        let silent = |second| Delivery { outstanding: true, silence: SECOND * (100 + second), repeated: 10, probes: 1 };
        assert_eq!(check_every_second(1000, silent), None);
    }

    #[test]
    fn a_machine_that_answers_now_and_then_has_not_gone() {
        let answers =
            |second| Delivery { outstanding: true, silence: SECOND * (second % 4), repeated: second, probes: 0 };
        assert_eq!(check_every_second(1000, answers), None);
    }

    #[test]
    fn who_has_everything_is_looked_at_when_there_is_more() {
        let mut watch = MachineWatch::new(SECOND);
        watch.wrote(CLIENT);
        assert_eq!(watch.poll_timeout(), Some(Instant::ZERO));
        assert!(watch.check(Instant::ZERO, |_| Some(ACKNOWLEDGED)).is_empty());
        assert_eq!(watch.poll_timeout(), None);
        watch.wrote(CLIENT);
        assert_eq!(watch.poll_timeout(), Some(Instant::ZERO + SECOND / CHECKS));
        watch.forget(CLIENT);
        assert_eq!(watch.poll_timeout(), None);
    }

    #[test]
    fn without_a_time_nobody_is_watched() {
        let mut watch = MachineWatch::new(Duration::ZERO);
        watch.wrote(CLIENT);
        assert_eq!(watch.poll_timeout(), None);
    }
}
