//! What clients are promised, as a program: reads a [`Journal`] and knows nothing of the code that made it.
//!
//! The rules are the invariants that the classic system keeps, `view 1` to `view 6`, for those who watch memberships, and what the
//! services promise to everybody. No message overtakes a view: who goes from one view to the next together gets the same messages of
//! every service in between. Causal, agreed and safe messages are *ordered*: they come in the same order to everyone.

mod order;
mod reach;
mod tests;
mod views;

use spread::wire::RingId;

use super::journal::Journal;
use crate::checker::{Verdict, broken};
pub use reach::Since;

/// The rules that hold at any time.
pub fn check_safety(journal: &Journal) -> Verdict {
    if let Some(wrong) = journal.wrongs.first() {
        return Err(broken("conduct", wrong.clone()));
    }
    order::nothing_is_delivered_twice(journal)?;
    order::each_sender_is_heard_in_order(journal)?;
    order::own_messages_are_delivered(journal, false)?;
    order::only_the_addressed_are_reached(journal)?;
    order::everything_has_one_order(journal)?;
    views::check(journal, false)
}

/// Whether every client that lasts is where it wants to be, and nowhere else, in a view that all members share.
pub fn check_reunion(journal: &Journal) -> Verdict {
    views::members_share_their_last_view(journal)?;
    // Whose messages are on their way may have left and joined before them.
    order::own_messages_are_delivered(journal, true)
}

/// The rules that hold when all faults are over, everybody has said farewell, and nothing moves any more.
pub fn check_quiescence(journal: &Journal) -> Verdict {
    check_reunion(journal)?;
    views::check(journal, true)?;
    reach::farewells_reach_all_members(journal)?;
    reach::safe_messages_reach_all_members(journal)
}

/// The rules that hold when every pair of daemons could talk all the time and all came together in `ring`.
pub fn check_masking(journal: &Journal, ring: RingId, since: Since) -> Verdict {
    views::nobody_notices_the_network(journal, ring)?;
    reach::everything_reaches_all_members(journal, since)
}
