//! Why sessions end, and what is counted of clients.

use std::fmt;

use crate::counters::counters;
use crate::session::{Overflow, Violation};
use crate::wire::Refusal;

counters! {
    /// What was counted of clients.
    pub struct ClientStats in "clients" {
        /// How often a client began to lag: its queue was longer than half of a limit.
        lagging,
        /// Sessions ended because too many messages waited for clients that did not read.
        slow_by_messages,
        /// Sessions ended because too many bytes waited for their clients.
        slow_by_bytes,
        /// Sessions ended because they were the largest when all clients exceeded their memory limit.
        greedy,
        /// Sessions ended because they were the largest of a user who exceeded the memory limit of one.
        greedy_for_user,
        /// How often a client was stopped because a receiver of its messages did not read.
        stopped_senders,
        /// How often a join or leave was delayed because many members were behind with their views.
        paced,
        /// Unreliable messages dropped for lagging clients.
        dropped_unreliable,
        /// Clients refused.
        refused,
        /// Passwords that were wrong, or refused because too many were wrong before.
        wrong_passwords,
        /// Joins and messages refused by the rules for groups.
        denied_by_rules,
        /// Unfinished handshakes closed because others needed their place.
        crowded_out,
        /// Sessions ended because the rest of a frame did not come in time.
        unfinished,
        /// Sessions ended because their clients broke the protocol.
        violations,
        /// Sessions ended by their clients.
        disconnected,
        /// Sessions ended because their connections ended or failed.
        gone,
        /// Clients that did not finish their handshake in time.
        handshake_timeouts,
        /// Bytes that are kept for clients now: frames, sessions, groups.
        memory_bytes as level,
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client ended it.
    Kill,
    /// The connection ended or failed.
    Gone,
    /// The client was refused.
    Refused(Refusal),
    /// The client was refused because all clients together take nearly all the memory that they may.
    MemoryShort,
    /// The client broke the protocol.
    Violation(Violation),
    /// The client did not finish its handshake in time.
    HandshakeTimeout,
    /// The client did not finish its handshake before others from elsewhere needed its place.
    CrowdedOut,
    /// The client began a frame and sent nothing more of it.
    Unfinished,
    /// The client did not read fast enough.
    Slow(Overflow),
    /// All clients together took more memory than they may, and this one took most.
    Greedy,
    /// The sessions of its user together took more memory than they may, and this one took most.
    GreedyUser,
}

impl EndReason {
    /// Whether an operator should know: the client is neither gone by itself nor refused.
    pub(super) fn is_remarkable(self) -> bool {
        let by_itself = matches!(self, EndReason::Kill | EndReason::Gone | EndReason::HandshakeTimeout);
        !by_itself && !self.is_refusal()
    }

    /// Whether the client was refused, and should learn why.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, EndReason::Refused(_) | EndReason::MemoryShort)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Kill => write!(f, "disconnected"),
            EndReason::Gone => write!(f, "connection ended"),
            EndReason::Refused(refusal) => write!(f, "{refusal}"),
            EndReason::MemoryShort => {
                write!(
                    f,
                    "clients use seven eighths of the memory that they may: raise MaxMemory, or see which of them do not read"
                )
            }
            EndReason::Violation(violation) => write!(f, "broke the protocol: {violation}"),
            EndReason::HandshakeTimeout => write!(f, "did not finish the handshake in time"),
            EndReason::CrowdedOut => write!(f, "evicted during the handshake, because another client needed its place"),
            EndReason::Unfinished => write!(f, "began a frame and sent nothing more of it"),
            EndReason::Slow(overflow) => write!(f, "reads too slowly: {overflow}"),
            EndReason::Greedy => {
                write!(f, "takes most of the memory of all clients, which is above the limit of the daemon")
            }
            EndReason::GreedyUser => write!(f, "takes most of its user's memory, which is above MaxUserMemory"),
        }
    }
}

impl ClientStats {
    pub(super) fn count_end(&mut self, reason: EndReason) {
        let counter = match reason {
            EndReason::Slow(Overflow::Messages) => &mut self.slow_by_messages,
            EndReason::Slow(Overflow::Bytes) => &mut self.slow_by_bytes,
            EndReason::Greedy => &mut self.greedy,
            EndReason::GreedyUser => &mut self.greedy_for_user,
            EndReason::Violation(_) => &mut self.violations,
            EndReason::Refused(_) | EndReason::MemoryShort => &mut self.refused,
            EndReason::CrowdedOut => &mut self.crowded_out,
            EndReason::Unfinished => &mut self.unfinished,
            EndReason::Kill => &mut self.disconnected,
            EndReason::Gone => &mut self.gone,
            EndReason::HandshakeTimeout => &mut self.handshake_timeouts,
        };
        *counter += 1;
    }
}
