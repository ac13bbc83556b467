//! The Flush layer: closed groups whose members enter each view together, on top of a mailbox and entirely in the
//! library.
//!
//! When the members of a group change, each program is asked to flush; it finishes what it was sending and says so, and
//! when all members of the coming view have said so, they enter it. So a message is received in the view in which it
//! was sent, and who goes from one view to the next together has received the same messages. All members of a group
//! must use the layer.
//!
//! The files: `format` what the layer adds to messages; `pending` the memberships to come; `group` the states of one
//! group; `layer` all groups of one mailbox; these do no I/O. `mailbox` receives and sends.

mod error;
mod format;
mod group;
mod layer;
mod mailbox;
mod pending;

pub use error::{CastError, FlushError, FlushReceiveError};
pub use format::{FLUSH_REQ, LOWEST_MESS_TYPE, SUBGROUP, VIEW_COUNT, VIEW_ID, VIEW_NAMES};
pub use group::HELD_LIMIT;
pub use mailbox::{CastKind, FlushMailbox, Wait};
pub use pending::{EARLY_LIFE, PENDING_LIMIT};
