//! A daemon that has died as far as anybody can tell: the level below says so when the system refuses its port and it does not answer
//! when it is asked. Then nobody waits for the timeouts that its silence would need.
//!
//! A wrong suspicion costs one configuration change and no message: the daemon is left out like one that was silent, and comes back like
//! that one.

use super::Ring;
use super::state::{GatherReason, Regather, State, Transition};
use crate::time::Instant;
use crate::wire::DaemonId;

impl Ring {
    /// Goes on without this daemon: it seems to have died. One that this ring does not count on makes no difference.
    pub fn suspect(&mut self, now: Instant, daemon: DaemonId) {
        if daemon == self.core.me() {
            return;
        }
        if let State::Gather(gather) = &mut self.state {
            gather.on_death(&mut self.core, now, daemon);
            return;
        }
        if self.state.members().any(|member| member == daemon) {
            let (reason, present) = (GatherReason::MemberDied, Default::default());
            self.follow(now, Some(Transition::Gather(Regather { reason, present, failed: [daemon].into() })));
        }
    }
}
