//! A daemon has died, as far as anybody can tell: the system refuses its port, and it does not answer. So the ring does not wait
//! for the time-outs of a silent daemon.
//!
//! A wrong suspicion costs one change of the configuration and no message: the daemon is left out as if it were silent, and comes back
//! the same way.

use super::Ring;
use super::state::State;
use super::transition::{GatherReason, Transition};
use crate::time::Instant;
use crate::wire::DaemonId;

impl Ring {
    /// Goes on without this daemon, because it seems to have died. If this ring does not count on it, nothing changes.
    pub fn suspect(&mut self, now: Instant, daemon: DaemonId) {
        if daemon == self.core.me() {
            return;
        }
        if let State::Gather(gather) = &mut self.state {
            // The gather goes on without that daemon; to begin again would lose what it has heard of the others.
            gather.on_death(&mut self.core, now, daemon);
            return;
        }
        if self.state.members().any(|member| member == daemon) {
            self.follow(now, Some(Transition::gather_without(GatherReason::MemberDied, [daemon])));
        }
    }
}
