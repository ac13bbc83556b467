//! Other daemons may be members: the list changes while the ring runs.
//!
//! Who comes is no reason to break the ring: it is found by its probes and joins like everybody. A member that goes is left at once, by
//! one gather of those who stay. Packets that name it come from daemons that have not changed the list yet; a join of that kind is
//! impossible here, and is said again when its sender has changed.

use super::state::{GatherReason, State, Transition};
use super::{Config, Ring};
use crate::time::Instant;
use crate::wire::DaemonId;

impl Ring {
    /// These daemons may be members from now on, in this ring order, this daemon included. [`Config::check`] has accepted them.
    pub fn readmit(&mut self, now: Instant, daemons: Vec<DaemonId>) {
        self.core.config.daemons = daemons;
        assert_eq!(self.core.config.check(), Ok(()), "whoever changes the daemons keeps the rules of a ring");
        let Config { daemons, .. } = &self.core.config;
        let transition = match &mut self.state {
            State::Gather(gather) => gather.readmit(&mut self.core, now),
            State::Form(forming) => forming.members().any(|member| !daemons.contains(&member)).then(anew),
            State::Recovery(recovery) => has_stranger(&recovery.circulation.members, daemons).then(anew),
            State::Operational(operational) => has_stranger(&operational.circulation.members, daemons).then(anew),
            State::Between => None,
        };
        self.follow(now, transition);
    }
}

fn has_stranger(members: &[DaemonId], daemons: &[DaemonId]) -> bool {
    members.iter().any(|member| !daemons.contains(member))
}

fn anew() -> Transition {
    Transition::gather(GatherReason::MemberRemoved)
}
