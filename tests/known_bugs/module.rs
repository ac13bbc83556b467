//! Bugs that systems of this family have shipped: one at a time can be put back for the daemons of one thread.

use std::cell::Cell;

/// A bug of a system of this family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBug {
    // THE BUGS
}

thread_local! {
    static BACK: Cell<Option<KnownBug>> = const { Cell::new(None) };
}

/// Whether this bug is back.
pub(crate) fn is_back(bug: KnownBug) -> bool {
    BACK.get() == Some(bug)
}

/// Puts this bug back, instead of any other, for the daemons of this thread.
pub fn put_back(bug: Option<KnownBug>) {
    BACK.set(bug);
}
