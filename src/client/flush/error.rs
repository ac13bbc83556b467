//! The errors of the Flush layer, besides those of the mailbox below it.

use std::fmt;

use crate::client::{GroupError, Lost, ReceiveError, SendError};

/// Why a group was not joined, left or flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushError {
    /// Not a member, or leaving; for a join, a member already; or no name of a group.
    IllegalGroup,
    /// There was no flush request, or the next view must come first.
    IllegalState,
    /// The connection is lost.
    Lost(Lost),
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastError {
    /// The type has bits that are not the sender's.
    IllegalService,
    /// The message type is below [`super::LOWEST_MESS_TYPE`].
    IllegalMessType,
    /// The group does not take it now.
    Group(FlushError),
    /// A receiver is no member of the view.
    IllegalReceivers,
    /// The layer below did not send it.
    Send(SendError),
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushReceiveError {
    /// Nothing is there, and the caller does not want to wait.
    WouldBlock,
    /// The layer below received nothing.
    Receive(ReceiveError),
}

impl From<Lost> for FlushError {
    fn from(lost: Lost) -> FlushError {
        FlushError::Lost(lost)
    }
}

impl From<GroupError> for FlushError {
    fn from(error: GroupError) -> FlushError {
        match error {
            GroupError::IllegalGroup => FlushError::IllegalGroup,
            GroupError::Lost(lost) => FlushError::Lost(lost),
        }
    }
}

impl From<FlushError> for CastError {
    fn from(error: FlushError) -> CastError {
        CastError::Group(error)
    }
}

impl From<SendError> for CastError {
    fn from(error: SendError) -> CastError {
        CastError::Send(error)
    }
}

impl From<Lost> for FlushReceiveError {
    fn from(lost: Lost) -> FlushReceiveError {
        FlushReceiveError::Receive(lost.into())
    }
}

impl From<ReceiveError> for FlushReceiveError {
    fn from(error: ReceiveError) -> FlushReceiveError {
        FlushReceiveError::Receive(error)
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlushError::IllegalGroup => write!(f, "not possible for this group"),
            FlushError::IllegalState => write!(f, "not possible at this time"),
            FlushError::Lost(lost) => lost.fmt(f),
        }
    }
}

impl fmt::Display for CastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CastError::IllegalService => write!(f, "illegal service"),
            CastError::IllegalMessType => write!(f, "illegal message type"),
            CastError::Group(error) => error.fmt(f),
            CastError::IllegalReceivers => write!(f, "a receiver is not in the view"),
            CastError::Send(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for FlushReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlushReceiveError::WouldBlock => write!(f, "nothing to receive"),
            FlushReceiveError::Receive(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FlushError {}
impl std::error::Error for CastError {}
impl std::error::Error for FlushReceiveError {}
