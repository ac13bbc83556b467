//! How long the node waits for the groups of other daemons.
//!
//! Without keys a forged packet may take the place of another daemon's groups, which then never come, and clients would not be served until the
//! next ring. So if nothing comes for a long time, the ring forms again, and every daemon sends its groups again. A true daemon with very many
//! groups may be slow too: the time doubles whenever it was too short.

use super::Node;
use crate::ring::GatherReason;
use crate::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// How long nothing may come while this daemon waits for the groups of others.
#[derive(Debug)]
pub(super) struct Patience {
    pause: Duration,
    /// When it is over, while this daemon waits.
    until: Option<Instant>,
}

/// What an exchange of groups waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// There is no exchange.
    Nothing,
    /// This daemon has work to do or messages to send, or there is no ring.
    Here,
    /// Other daemons.
    Others,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience { pause: FIRST, until: None }
    }

    /// The ring delivered something.
    pub(super) fn heard(&mut self) {
        self.until = None;
    }

    fn follow(&mut self, now: Instant, wait: Wait) {
        match wait {
            Wait::Nothing => *self = Patience::new(),
            Wait::Here => self.until = None,
            Wait::Others => {
                self.until.get_or_insert(now + self.pause);
            }
        }
    }

    fn is_over(&mut self, now: Instant) -> bool {
        let over = self.until.take_if(|until| *until <= now).is_some();
        if over {
            self.pause = (self.pause * 2).min(LONGEST);
        }
        over
    }
}

impl Node {
    /// Looks at what the exchange of groups waits for. Call it after each input.
    pub(super) fn follow_exchange(&mut self, now: Instant) {
        let wait = if !self.groups.is_exchanging() {
            Wait::Nothing
        } else if self.ring.installed().is_none() || self.groups.is_busy() || self.ring.waiting_bytes() > 0 {
            Wait::Here
        } else {
            Wait::Others
        };
        self.patience.follow(now, wait);
    }

    /// When the ring forms again, if nothing comes until then.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.patience.until
    }

    /// Lets the ring form again if the groups of others did not come.
    pub(super) fn end_patience(&mut self, now: Instant) {
        if self.patience.is_over(now) {
            self.ring.begin_anew(now, GatherReason::GroupsMissing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_after_a_silence_and_lasts_longer_each_time_until_an_exchange_is_complete() {
        let (mut patience, mut now) = (Patience::new(), Instant::ZERO);
        let second = Duration::from_secs(1);
        for wait in [Wait::Others, Wait::Here, Wait::Others] {
            patience.follow(now, wait);
            now += FIRST - second;
            assert!(!patience.is_over(now), "{wait:?}");
        }
        patience.follow(now, Wait::Others);
        now += second;
        assert!(patience.is_over(now) && !patience.is_over(now));
        patience.follow(now, Wait::Others);
        assert!(!patience.is_over(now + FIRST) && patience.is_over(now + FIRST * 2));
        (0..20).for_each(|_| assert!(!patience.is_over(now)));
        patience.pause = LONGEST;
        patience.follow(now, Wait::Others);
        assert!(patience.is_over(now + LONGEST));
        assert_eq!(patience.pause, LONGEST);
        patience.follow(now, Wait::Nothing);
        assert_eq!((patience.pause, patience.until), (FIRST, None));
    }

    #[test]
    fn what_comes_begins_the_wait_again() {
        let (mut patience, now) = (Patience::new(), Instant::ZERO);
        patience.follow(now, Wait::Others);
        patience.heard();
        patience.follow(now + FIRST / 2, Wait::Others);
        assert!(!patience.is_over(now + FIRST) && patience.is_over(now + FIRST + FIRST / 2));
    }
}
