//! Bugs that systems of this family have shipped, to be put back into this one: a test that the simulator finds them.
//!
//! Without the feature `known-bugs` the question is a constant, so nothing of this is left in what is built. With it one bug at a
//! time can be put back for the daemons of one thread. Optimized builds without debug assertions refuse the feature.

#[cfg(all(feature = "known-bugs", not(debug_assertions)))]
compile_error!("the feature known-bugs is for tests alone");

/// A bug of a system of this family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBug {
    /// A copy of the token counts as the token.
    TokenCopies,
    /// Whoever has more raises aru, although somebody else lowered it.
    AruRaised,
    /// What one token says counts as said by all of a rotation.
    SafeTooEarly,
    /// A packet is forgotten as soon as it is delivered here.
    ForgottenTooEarly,
    /// A packet of another ring is taken for one of this ring.
    ForeignPackets,
    /// Ring ids begin anew with every life.
    RingIdsRepeat,
    /// A form token of another attempt is taken for this one.
    StaleForm,
    /// A packet of the old ring still counts when the exchange has begun.
    LatePackets,
    /// Each sends what it has above its own aru, not above the lowest.
    TooLittleOwed,
    /// The first calm visit of the token ends the exchange.
    InstalledTooEarly,
    /// What an earlier exchange has made trusted is forgotten when a recovery fails.
    TrustForgotten,
    /// Trust is extended and the ring installed at the same visit.
    TrustedTooLate,
    /// What the peers trusted is not taken over.
    TrustNotInherited,
    /// A safe message is delivered like any other when the ring breaks.
    SafeLikeAgreed,
    /// Whatever is there is delivered behind a hole.
    DeliveredBehindHoles,
    /// A message that was numbered in part goes on in the next ring.
    MessagesGoOn,
    /// What was said for one configuration is said in the next.
    AnswersKept,
    /// A ring that is heard is not joined.
    MergesMissed,
    /// Messages of clients are carried out before the groups are exchanged.
    ExchangeOvertaken,
}

/// Whether this bug is back.
#[cfg(not(feature = "known-bugs"))]
#[inline(always)]
pub(crate) const fn is_back(_: KnownBug) -> bool {
    false
}

#[cfg(feature = "known-bugs")]
pub use put_back::*;

#[cfg(feature = "known-bugs")]
mod put_back {
    use std::cell::Cell;

    use super::KnownBug;

    thread_local! {
        static BACK: Cell<Option<KnownBug>> = const { Cell::new(None) };
    }

    /// Whether this bug is back.
    pub(crate) fn is_back(bug: KnownBug) -> bool {
        BACK.get() == Some(bug)
    }

    /// Puts this bug back, instead of any other, for the daemons of this thread.
    pub fn put_back(bug: Option<KnownBug>) {
        BACK.set(bug);
    }
}
