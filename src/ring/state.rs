//! The states of a ring, the moves between them, and why.

use std::collections::BTreeSet;
use std::fmt;

use super::circulation::Circulation;
use super::form::Forming;
use super::gather::Gather;
use super::operational::Operational;
use super::recovery::Recovery;
use crate::wire::{DaemonId, Form};

/// Where a ring is.
#[derive(Debug)]
pub(crate) enum State {
    /// Finding out who is there.
    Gather(Gather),
    /// The membership is agreed; the form token goes round.
    Form(Forming),
    /// The new ring runs, but only to exchange what the old ones owe.
    Recovery(Recovery),
    /// Messages are originated and delivered.
    Operational(Operational),
    /// Only while [`super::Ring::enter`] carries the data of one state into the next.
    Between,
}

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
    /// Daemons to count on besides the members of the old ring.
    pub(crate) present: BTreeSet<DaemonId>,
    /// Daemons to go on without from the beginning.
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
    /// A member is not in the membership table any more.
    MemberRemoved,
    /// A member's port is closed, and the member does not answer.
    MemberDied,
    /// The daemon at which the token rests is silent.
    HolderSilent,
    /// A member does not answer the daemon at which the token rests.
    MemberSilent,
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
            GatherReason::MemberRemoved => "a member is removed from the configuration",
            GatherReason::Contradiction => "packets contradict each other: somebody forges them",
            GatherReason::MemberDied => "a member has died",
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

impl State {
    /// The state's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            State::Gather(_) => "gather",
            State::Form(_) => "form",
            State::Recovery(_) => "recovery",
            State::Operational(_) => "operational",
            State::Between => "between",
        }
    }

    /// The token's way round, in a ring that has one.
    pub(crate) fn circulation(&self) -> Option<&Circulation> {
        match self {
            State::Recovery(recovery) => Some(&recovery.circulation),
            State::Operational(operational) => Some(&operational.circulation),
            State::Gather(_) | State::Form(_) | State::Between => None,
        }
    }

    /// Whom this state counts on; while gathering that is not settled, and nobody.
    pub(crate) fn members(&self) -> impl Iterator<Item = DaemonId> + '_ {
        let forming = match self {
            State::Form(forming) => Some(forming.members()),
            _ => None,
        };
        let ring = self.circulation().map_or(&[][..], |circulation| &circulation.members);
        forming.into_iter().flatten().chain(ring.iter().copied())
    }

    /// The table of moves.
    pub(crate) fn may(&self, transition: &Transition) -> bool {
        match transition {
            Transition::Gather(_) => !matches!(self, State::Between),
            Transition::Form(_) => matches!(self, State::Gather(_) | State::Form(_)),
            Transition::Recovery(_) => matches!(self, State::Form(_)),
            Transition::Operational => matches!(self, State::Recovery(_)),
        }
    }
}
