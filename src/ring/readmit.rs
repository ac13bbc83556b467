//! The list of daemons that may be members changes while the ring runs.
//!
//! A daemon that comes does not break the ring: its probes and joins find it, like anybody's. A member that goes is left at once, by one
//! gather of those that stay. A join that names a removed daemon comes from somebody who still has the old list. It is dropped, and its
//! sender repeats it when it has the new list.

use super::state::State;
use super::transition::{GatherReason, Transition};
use super::{Handover, Ring, RingSettings};
use crate::time::Instant;
use crate::wire::DaemonId;

impl Ring {
    /// Whether packets may be handed over from now on.
    pub fn set_handover(&mut self, handover: Handover) {
        self.core.handover = handover;
    }

    /// Whether this daemon has handed over a packet and does not know yet whether it has a number.
    pub fn has_handed_over(&self) -> bool {
        match &self.state {
            State::Gather(gather) => gather.owed.is_in_doubt(),
            State::Form(forming) => forming.owed.is_in_doubt(),
            State::Recovery(recovery) => recovery.owed.is_in_doubt(),
            State::Operational(operational) => operational.handed.is_some(),
            State::Between => false,
        }
    }

    /// These daemons may be members from now on, in this ring order, this daemon included. [`RingSettings::check`] has accepted them.
    pub fn readmit(&mut self, now: Instant, daemons: Vec<DaemonId>) {
        self.core.config.daemons = daemons;
        assert_eq!(self.core.config.check(), Ok(()), "whoever changes the daemons keeps the rules of a ring");
        let RingSettings { daemons, .. } = &self.core.config;
        let transition = match &mut self.state {
            // A gather goes on with smaller sets. An agreement or a ring with a stranger in it must end.
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
