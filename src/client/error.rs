//! Errors, a small enum for each kind of call. The classic numbers for them are in `ffi`, in one table.

use std::fmt;

use crate::wire::Refusal;

/// Why no mailbox was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The daemon's name is malformed, or its host cannot be resolved.
    IllegalAddress,
    /// Nobody answers at the address in time.
    Unreachable,
    /// This user listens at the daemon's address and is neither root, nor the daemon's user, nor the client's own. The client sends
    /// nothing to such a process.
    Untrusted(u32),
    /// The daemon refused the client, or the client's side of the handshake failed for the same reason.
    Refused(Refusal),
    /// The connection broke during the handshake.
    Closed,
    /// The handshake timed out.
    TimedOut,
    /// This process has reached its limit of mailboxes.
    TooManyMailboxes,
}

/// The connection to the daemon is lost; only disconnecting helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It broke or was closed during this call.
    Now,
    /// An earlier call found it broken.
    Before,
}

/// Why a group was not joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// Not 1 to 31 bytes in `0x24..=0x7e`.
    IllegalGroup,
    /// The connection is lost.
    Lost(Lost),
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No service bit is set.
    NoService,
    /// More groups than a daemon accepts.
    TooManyGroups,
    /// Body and group names together are over the mailbox's limit.
    TooLong,
    /// The connection is lost.
    Lost(Lost),
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    /// The daemon sent something that is no message.
    Malformed,
    /// The message is larger than the memory that this call allocates. It stays, and the program can receive it into
    /// its own memory.
    TooLong,
    /// The connection is lost.
    Lost(Lost),
}

/// Why the data of a membership message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipError {
    /// The message is of another kind, or its data ends too early.
    NotMembership,
    /// The caller's array is too small.
    TooShort,
}

impl From<Lost> for GroupError {
    fn from(lost: Lost) -> GroupError {
        GroupError::Lost(lost)
    }
}

impl From<Lost> for SendError {
    fn from(lost: Lost) -> SendError {
        SendError::Lost(lost)
    }
}

impl From<Lost> for ReceiveError {
    fn from(lost: Lost) -> ReceiveError {
        ReceiveError::Lost(lost)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::IllegalAddress => write!(f, "the daemon's name is malformed, or its host is unknown"),
            ConnectError::Unreachable => write!(f, "no daemon reached"),
            ConnectError::Untrusted(user) => write!(
                f,
                "user {user} listens in the daemon's place, who is neither root nor the daemon's user nor you; \
                 if that is the daemon's user, set SPREAD_TRUST_USER={user}"
            ),
            ConnectError::Refused(refusal) => write!(f, "refused: {refusal}"),
            ConnectError::Closed => write!(f, "connection closed during the handshake"),
            ConnectError::TimedOut => write!(f, "the connection was not open in time"),
            ConnectError::TooManyMailboxes => write!(f, "too many mailboxes in this process"),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Now => "connection closed",
            Lost::Before => "connection was closed before",
        })
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::IllegalGroup => write!(f, "illegal group name"),
            GroupError::Lost(lost) => lost.fmt(f),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::NoService => write!(f, "no service given"),
            SendError::TooManyGroups => write!(f, "too many groups"),
            SendError::TooLong => write!(f, "message too long"),
            SendError::Lost(lost) => lost.fmt(f),
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::Malformed => write!(f, "malformed message"),
            ReceiveError::TooLong => write!(f, "message too long"),
            ReceiveError::Lost(lost) => lost.fmt(f),
        }
    }
}

impl fmt::Display for MembershipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MembershipError::NotMembership => "not a membership message",
            MembershipError::TooShort => "array too short",
        })
    }
}

impl std::error::Error for ConnectError {}
impl std::error::Error for Lost {}
impl std::error::Error for GroupError {}
impl std::error::Error for SendError {}
impl std::error::Error for ReceiveError {}
impl std::error::Error for MembershipError {}
