//! The Flush layer: closed groups whose members enter each view together, on top of a mailbox and entirely in the
//! library.
//!
//! When the members of a group change, the layer asks each program to flush. The program finishes sending and says so.
//! The members enter the next view when all of them have said so. So a message is received in the view in which it was
//! sent, and members that go from one view to the next together have received the same messages. All members of a group
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
