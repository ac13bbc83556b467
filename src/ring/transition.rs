//! The moves between the states of a ring, and why a ring begins to gather. A state returns a move; only `Ring::enter` makes it.

use std::collections::BTreeSet;
use std::fmt;

use crate::wire::{DaemonId, Form};

/// A move to another state.
#[derive(Debug)]
pub(crate) enum Transition {
    Gather(Regather),
    Form(Form),
    Recovery(Form),
    Operational,
}

/// How a gather begins.
#[derive(Debug)]
pub(crate) struct Regather {
    pub(crate) reason: GatherReason,
    /// Daemons that the gather counts on besides the members of the old ring.
    pub(crate) present: BTreeSet<DaemonId>,
    /// Daemons that are given up from the beginning.
    pub(crate) failed: BTreeSet<DaemonId>,
}

/// Why a gather began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatherReason {
    /// The daemon has just started.
    Start,
    /// The token did not come round in an installed ring.
    TokenLost,
    /// The token did not come round during recovery.
    TokenLostInRecovery,
    /// The agreed ring did not form in time.
    FormTimeout,
    /// Everyone agreed, but no form token came.
    RepresentativeSilent,
    /// A ring that does not know us was heard.
    ForeignRing,
    /// A member of ours has installed another ring.
    MemberMoved,
    /// A daemon asks for a new membership.
    JoinReceived,
    /// A member is about to stop.
    MemberLeaving,
    /// The token reaches a member, but no data does.
    NoProgress,
    /// This daemon stood still for longer than the others wait.
    Absent,
    /// Two packets of the ring contradict each other, so one is a lie.
    Contradiction,
    /// The groups of another daemon did not come. They may be lost because a forged packet took their place.
    GroupsMissing,
    /// A member is not in the membership table any more.
    MemberRemoved,
    /// A member's port is closed, and the member does not answer; or it is silent, and nobody hears it.
    MemberDied,
    /// The daemon at which the token rests is silent.
    HolderSilent,
    /// A member does not answer the daemon at which the token rests.
    MemberSilent,
}

impl GatherReason {
    /// Whether the daemons without which the gather begins have been silent.
    pub(crate) fn is_silence(self) -> bool {
        matches!(self, GatherReason::MemberDied | GatherReason::HolderSilent | GatherReason::MemberSilent)
    }
}

impl fmt::Display for GatherReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GatherReason::Start => "start",
            GatherReason::TokenLost => "token lost",
            GatherReason::TokenLostInRecovery => "token lost in recovery",
            GatherReason::FormTimeout => "ring did not form in time",
            GatherReason::RepresentativeSilent => "representative silent",
            GatherReason::ForeignRing => "foreign ring heard",
            GatherReason::MemberMoved => "a member is in another ring",
            GatherReason::JoinReceived => "join received",
            GatherReason::MemberLeaving => "a member is leaving",
            GatherReason::NoProgress => "a member gets no data",
            GatherReason::Absent => "this daemon stood still for too long",
            GatherReason::GroupsMissing => "the groups of a daemon did not come",
            GatherReason::MemberRemoved => "a member is removed from the configuration",
            GatherReason::Contradiction => "packets contradict each other: somebody forges them",
            GatherReason::MemberDied => "a member has died, stands still or is cut off",
            GatherReason::HolderSilent => "the daemon with the token is silent",
            GatherReason::MemberSilent => "a member does not answer",
        })
    }
}

impl Transition {
    /// Gather among the members of the old ring.
    pub(crate) fn gather(reason: GatherReason) -> Transition {
        Transition::Gather(Regather { reason, present: BTreeSet::new(), failed: BTreeSet::new() })
    }

    /// Gather among the members of the old ring without these.
    pub(crate) fn gather_without(reason: GatherReason, failed: impl IntoIterator<Item = DaemonId>) -> Transition {
        Transition::Gather(Regather { reason, present: BTreeSet::new(), failed: failed.into_iter().collect() })
    }

    /// Gather with these daemons besides the members of the old ring.
    pub(crate) fn gather_with(reason: GatherReason, present: impl IntoIterator<Item = DaemonId>) -> Transition {
        Transition::Gather(Regather { reason, present: present.into_iter().collect(), failed: BTreeSet::new() })
    }
}
