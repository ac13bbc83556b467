//! Every timer of a ring in one table.

use crate::time::{Duration, Instant};

/// The timers of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The token has not come round: the ring is given up.
    TokenLoss,
    /// Nobody answered the token that was passed on: it is sent again.
    TokenRetransmit,
    /// The token rests here, and an announcement or a question to the others is due.
    Rest,
    /// The token rests elsewhere, and its holder has not been heard for too long.
    HolderSilence,
    /// Packets that were handed over to this daemon wait for their numbers.
    Number,
    /// A packet that was handed over has not come back.
    Handover,
    /// A packet is missing while the token rests elsewhere.
    Ask,
    /// The token comes round, but some member still lacks a packet that it lacked before: it is given up.
    Progress,
    /// The join packet is due again.
    Join,
    /// Membership has not changed for a moment, so it may be agreed on.
    Settle,
    /// Daemons that have not answered, or a ring that did not form, are given up.
    Consensus,
    /// The sign of life is due.
    Probe,
}

const COUNT: usize = Timer::Probe as usize + 1;
const ALL: [Timer; COUNT] = {
    use Timer::*;
    [TokenLoss, TokenRetransmit, Rest, HolderSilence, Number, Handover, Ask, Progress, Join, Settle, Consensus, Probe]
};

/// When each timer expires.
#[derive(Debug)]
pub(crate) struct Timers([Instant; COUNT]);

/// When a timer expires that is not set. So the next one is the least of a few numbers, which is asked for with every packet.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

impl Default for Timers {
    fn default() -> Timers {
        Timers([NEVER; COUNT])
    }
}

impl Timers {
    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// Stops a timer.
    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = NEVER;
    }

    /// Stops them all.
    pub(crate) fn stop_all(&mut self) {
        *self = Timers::default();
    }

    /// Whether a timer is set.
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] < NEVER
    }

    /// Whether a timer is set for now or earlier.
    pub(crate) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.0[timer as usize] <= now
    }

    /// How long it is until a timer expires.
    pub(crate) fn left(&self, timer: Timer, now: Instant) -> Duration {
        self.0[timer as usize].since(now)
    }

    /// When the next one expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.into_iter().min().filter(|&next| next < NEVER)
    }

    /// Takes the earliest timer that has expired at `now`.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Timer> {
        // The earliest first, so that one late call does the same as several timely ones.
        let next = self.next().filter(|&next| next <= now)?;
        let timer = ALL.into_iter().find(|&timer| self.0[timer as usize] == next)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_order_of_time_and_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Probe, Instant::from_millis(1));
        timers.set(Timer::TokenLoss, Instant::from_millis(2));
        timers.set(Timer::Join, Instant::from_millis(9));
        assert_eq!(timers.next(), Some(Instant::from_millis(1)));
        let now = Instant::from_millis(3);
        assert_eq!(timers.expired(now), Some(Timer::Probe));
        assert_eq!(timers.expired(now), Some(Timer::TokenLoss));
        assert_eq!(timers.expired(now), None);
        timers.stop_all();
        assert_eq!(timers.next(), None);
    }
}
