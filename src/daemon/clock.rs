//! The only clock of the daemon: what the core calls an instant is time since this was made.

use std::time;

use crate::time::Instant;

/// Time since the daemon started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(time::Instant);

impl Clock {
    /// A clock that shows zero.
    pub(super) fn start() -> Clock {
        Clock(time::Instant::now())
    }

    /// The time. It never goes back.
    pub(super) fn now(self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}
