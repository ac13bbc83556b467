//! Counters of a ring: what it did, and what it dropped and why.

/// What a ring did and dropped since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Visits of the token.
    pub tokens: u64,
    /// Copies of tokens and tokens of other rings.
    pub tokens_repeated: u64,
    /// Tokens sent again because nobody answered.
    pub tokens_retransmitted: u64,
    /// Data packets numbered here.
    pub packets_sent: u64,
    /// Data packets sent again because somebody asked.
    pub retransmitted: u64,
    /// Data packets that had been here before.
    pub duplicates: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Those of them that went ahead of their turn in the order.
    pub messages_ahead: u64,
    /// Regular configurations installed.
    pub configurations: u64,
    /// Gathers begun.
    pub gathers: u64,
    /// Packets that led to nothing, by reason.
    pub dropped: Dropped,
}

/// Packets that led to nothing, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The sender is not in the configuration.
    pub unknown_sender: u64,
    /// Of another ring.
    pub foreign: u64,
    /// Of the old ring, behind the agreement on a new one.
    pub late: u64,
    /// Numbered too far ahead.
    pub too_far: u64,
    /// More bytes than the window holds.
    pub too_much: u64,
    /// A token that the ring cannot have led to.
    pub impossible_token: u64,
    /// A data packet that the ring cannot have led to.
    pub impossible_data: u64,
    /// A token or data packet that contradicts another one: one of the two is a lie.
    pub contradictions: u64,
    /// A join that no daemon sends.
    pub impossible_join: u64,
    /// A goodbye of a life that said it before and did not go.
    pub false_farewell: u64,
    /// A form token that no daemon makes.
    pub impossible_form: u64,
    /// A probe of a ring with a number that no ring has reached.
    pub impossible_probe: u64,
    /// A join that was overtaken by a later one.
    pub stale_join: u64,
    /// A form token of an earlier attempt or another membership.
    pub stale_form: u64,
    /// Of a kind that means nothing in this state.
    pub out_of_state: u64,
    /// Bytes that are not a packet.
    pub malformed: u64,
}
