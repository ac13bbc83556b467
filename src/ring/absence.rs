//! A daemon that stood still: its process was stopped, its machine slept, or it had too much to do.
//!
//! It finds out by what should have been done earlier. The others may have gone on without it meanwhile. So it acts on no old right, and
//! believes nothing that was said of it in that time.

use super::Ring;
use super::state::State;
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use crate::time::{Duration, Instant};

impl Ring {
    /// Something should have been done `late` ago. So this daemon was not running meanwhile. The ring sees that itself if one of its own timers
    /// was due, but these are far apart while nothing is sent.
    pub fn on_lateness(&mut self, now: Instant, late: Duration) {
        if late >= self.believed_silence() / 2 {
            // Others may have given this daemon up meanwhile, with joins that wait in its socket.
            self.core.woke = Some(now);
        }
    }

    /// This daemon may have stood still for so long that the others have gone on without it. Then it has no right to the token,
    /// which it may hold or find in its socket, and it cannot judge who is silent. So it gathers again before anything else.
    pub(super) fn notice_absence(&mut self, now: Instant) {
        self.core.sender.set_now(now);
        // A timer that is due and was not handled shows how long this daemon was not running.
        let Some(due) = self.core.timers.next().filter(|&due| due <= now) else { return };
        let patience = match &self.state {
            State::Operational(operational) => operational.patience(&self.core),
            _ => self.core.config.token_timeout,
        };
        let late = now.since(due);
        self.on_lateness(now, late);
        let away = late >= patience;
        let reason = match &self.state {
            State::Operational(operational) if operational.is_alone() => None,
            _ if away => Some(GatherReason::Absent),
            State::Operational(_) => Some(GatherReason::TokenLost),
            State::Recovery(_) => Some(GatherReason::TokenLostInRecovery),
            State::Gather(_) | State::Form(_) | State::Between => None,
        };
        if away || self.core.timers.is_due(Timer::TokenLoss, now) {
            self.follow(now, reason.map(Transition::gather));
        }
    }
}
