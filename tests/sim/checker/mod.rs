//! Extended virtual synchrony as a program: reads a [`Trace`] and knows nothing of the code that made it.
//!
//! The rules are those of Moser, Amir, Melliar-Smith, Agarwal, *Extended Virtual Synchrony* (1994), §2.1, by their numbers. They speak
//! of the configuration in which a message is sent. A daemon cannot know it when a message is submitted, because the message
//! waits for the token, so here *the configuration of a message* is the regular configuration in which anybody delivers it, or
//! which comes before the transitional one in which it is delivered; all who deliver it must agree on that (1.3). com(c) is a
//! regular configuration together with the transitional one that follows it at the process in question.

mod barriers;
mod configurations;
mod gaps;
mod messages;
mod order;
mod quiescence;
mod safe;
mod senders;
mod stays;
mod tests;

use std::fmt;

use spread::wire::DaemonId;

use crate::trace::Trace;
use stays::{Chapter, Stay, chapters, stays};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number, or a word where it has none.
    pub rule: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// What a check says.
pub type Verdict = Result<(), Violation>;

/// The rule and how it was broken.
pub fn broken(rule: &'static str, what: String) -> Violation {
    Violation { rule, what }
}

/// The rules that hold at any time.
pub fn check_safety(trace: &Trace) -> Verdict {
    messages::nothing_is_forged(trace)?;
    messages::nothing_is_delivered_twice(trace)?;
    let stays = stays(trace)?;
    configurations::check(&stays)?;
    let chapters = chapters(trace, &stays)?;
    order::everything_has_one_order(trace, &stays)?;
    senders::senders_are_heard_in_order_across_configurations(trace)?;
    order::those_who_move_together_deliver_the_same(trace, &stays)?;
    for chapter in &chapters {
        messages::nothing_is_originated_in_transition(chapter)?;
        messages::own_messages_are_delivered(trace, chapter)?;
        senders::each_sender_is_heard_in_order(trace, chapter)?;
        barriers::nothing_overtakes_a_barrier(trace, chapter)?;
        order::causes_come_first(trace, chapter)?;
        gaps::there_are_no_holes(trace, chapter)?;
        safe::safe_means_all(trace, chapter)?;
    }
    Ok(())
}

/// The rules that hold when all faults are over for long enough: the living share one configuration and have delivered the same in
/// it, and nobody's message was forgotten.
pub fn check_quiescence(trace: &Trace) -> Verdict {
    let stays = stays(trace)?;
    quiescence::the_living_are_together(trace, &stays)?;
    quiescence::every_accepted_message_was_delivered(trace)
}

/// The rule for those who could talk to each other all the time, whatever others do: once they are together they stay so, through the
/// changes that the coming and going of the others needs.
pub fn check_awake(trace: &Trace, awake: &[DaemonId]) -> Verdict {
    quiescence::they_stay_together(&stays(trace)?, awake)
}

/// The rules that hold when every pair of daemons could talk all the time: one configuration from the first common one on, and
/// everything is delivered to everyone in it.
pub fn check_masking(trace: &Trace) -> Verdict {
    let stays = stays(trace)?;
    quiescence::the_first_common_configuration_stays(trace, &stays)?;
    quiescence::everyone_delivered_everything(trace, &stays)
}
