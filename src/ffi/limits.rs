//! How large a message may be, for programs that want to know before they send.

use std::ffi::c_int;

use super::connect::find;
use super::guard;

/// The most bytes that one message of a mailbox can have: body and group names, 32 bytes for each name. Asks the daemon, on a
/// connection of its own, if that was not done before; a classic one does not say, and 143152 is what every one takes.
/// SPREAD_MAX_MESSAGE overrides what the daemon says. Returns the number, or an error code of sp.h.
#[unsafe(no_mangle)]
pub extern "C" fn torc_message_limit(mbox: c_int) -> c_int {
    guard(|| Ok(c_int::try_from(find(mbox)?.message_limit()).unwrap_or(c_int::MAX)))
}
