//! The states of a ring, and which moves between them are allowed. The types that a state names are in `transition.rs`, so that
//! the two files do not name each other in a circle.

use super::circulation::Circulation;
use super::form::Forming;
use super::gather::Gather;
use super::operational::Operational;
use super::recovery::Recovery;
use super::transition::Transition;
use crate::wire::DaemonId;

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

    /// The members that this state counts on. While gathering there are none, because they are not agreed on yet.
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
