//! The only clock of the daemon. An instant of the core is the time since this clock was made. The clock runs on while the machine is
//! suspended, so that a daemon notices how long it was away.

use std::time::Duration;

use crate::net;
use crate::time::Instant;

/// Time since the daemon started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Duration);

impl Clock {
    /// A clock that shows zero.
    pub(super) fn start() -> Clock {
        Clock(net::uptime())
    }

    /// The time. It never goes back.
    pub(super) fn now(self) -> Instant {
        Instant::ZERO + net::uptime().saturating_sub(self.0)
    }
}
