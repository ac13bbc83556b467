//! Counters of a ring: what it did, and what it dropped and why.

use super::GatherReason;
use crate::counters::counters;

counters! {
    /// What a ring did and dropped since it started.
    pub struct Stats in "ring" {
        /// Visits of the token.
        tokens,
        /// Copies of tokens and tokens of other rings.
        tokens_repeated,
        /// Tokens sent again because nobody answered.
        tokens_retransmitted,
        /// Data packets numbered here.
        packets_sent,
        /// Data packets handed over to the daemon at which the token rested.
        handed_over,
        /// How often such a packet claimed another number, because others had passed it.
        claimed_again,
        /// Data packets of others that were not numbered here, because the turn of their claim had passed.
        claims_refused,
        /// Data packets of others, of those numbered here.
        taken_over,
        /// How often the token came to rest here.
        rests,
        /// Data packets sent again because somebody asked.
        retransmitted,
        /// Data packets that had been here before.
        duplicates,
        /// Messages delivered.
        messages,
        /// Those of them that went ahead of their turn in the order.
        messages_ahead,
        /// Regular configurations installed.
        configurations,
        /// Gathers begun after the first one.
        gathers,
        /// How long the token took to come round, when it did not rest and was not sent again.
        token_rotation as times,
        /// How long messages of this daemon's clients took from the ring's queue to their delivery here.
        delivery as times,
        ../// Gathers begun, by reason.
        reasons: Gathers,
        ../// Packets that led to nothing, by reason.
        dropped: Dropped,
    }
}

counters! {
    /// Packets that led to nothing, by reason.
    pub struct Dropped in "ring_dropped" {
        /// The sender is not in the configuration.
        unknown_sender,
        /// Of another ring.
        foreign,
        /// Of the old ring, behind the agreement on a new one.
        late,
        /// Numbered too far ahead.
        too_far,
        /// More bytes than the window holds.
        too_much,
        /// A token that the ring cannot have led to.
        impossible_token,
        /// A data packet that the ring cannot have led to.
        impossible_data,
        /// A token or data packet that contradicts another one: one of the two is a lie.
        contradictions,
        /// A join that no daemon sends.
        impossible_join,
        /// A join that names a daemon which is not in the membership table here.
        other_table,
        /// A farewell of a life that said it before and did not go.
        false_farewell,
        /// A rest, a have or a handed-over packet that no daemon sends.
        impossible_rest,
        /// A form token that no daemon makes.
        impossible_form,
        /// A probe of a ring with a number that no ring has reached.
        impossible_probe,
        /// A join that was overtaken by a later one.
        stale_join,
        /// A form token of an earlier attempt or another membership.
        stale_form,
        /// Of a kind that means nothing in this state.
        out_of_state,
        /// Bytes that are not a packet.
        malformed,
    }
}

impl Dropped {
    /// How many of them no daemon can have sent.
    pub fn lies(&self) -> u64 {
        let impossible = self.impossible_token + self.impossible_data + self.impossible_join + self.impossible_rest;
        let others = self.impossible_form + self.impossible_probe + self.contradictions + self.false_farewell;
        impossible + others + self.malformed
    }
}

counters! {
    /// Gathers begun, by reason.
    pub struct Gathers in "gathers" {
        /// The daemon had just started.
        start,
        /// The token did not come round.
        token_lost,
        /// The token did not come round during recovery.
        token_lost_in_recovery,
        /// The agreed ring did not form in time.
        form_timeout,
        /// Everyone agreed, but no form token came.
        representative_silent,
        /// A ring that did not know this daemon was heard.
        foreign_ring,
        /// A member had installed another ring.
        member_moved,
        /// A daemon asked for a new membership.
        join_received,
        /// A member was about to stop.
        member_leaving,
        /// The token reached a member, but no data did.
        no_progress,
        /// This daemon had stood still for longer than the others wait.
        absent,
        /// Two packets of the ring contradicted each other.
        contradiction,
        /// The groups of another daemon did not come. They may be lost because a forged packet took their place.
        groups_missing,
        /// A member was removed from the membership table.
        member_removed,
        /// A member had died, stood still or was cut off, as its closed port or its silence said.
        member_died,
        /// The daemon at which the token rested was silent.
        holder_silent,
        /// A member did not answer the daemon at which the token rested.
        member_silent,
    }
}

impl Gathers {
    /// Counts a gather.
    pub(crate) fn count(&mut self, reason: GatherReason) {
        let counter = match reason {
            GatherReason::Start => &mut self.start,
            GatherReason::TokenLost => &mut self.token_lost,
            GatherReason::TokenLostInRecovery => &mut self.token_lost_in_recovery,
            GatherReason::FormTimeout => &mut self.form_timeout,
            GatherReason::RepresentativeSilent => &mut self.representative_silent,
            GatherReason::ForeignRing => &mut self.foreign_ring,
            GatherReason::MemberMoved => &mut self.member_moved,
            GatherReason::JoinReceived => &mut self.join_received,
            GatherReason::MemberLeaving => &mut self.member_leaving,
            GatherReason::NoProgress => &mut self.no_progress,
            GatherReason::Absent => &mut self.absent,
            GatherReason::MemberRemoved => &mut self.member_removed,
            GatherReason::Contradiction => &mut self.contradiction,
            GatherReason::GroupsMissing => &mut self.groups_missing,
            GatherReason::MemberDied => &mut self.member_died,
            GatherReason::HolderSilent => &mut self.holder_silent,
            GatherReason::MemberSilent => &mut self.member_silent,
        };
        *counter += 1;
    }
}
