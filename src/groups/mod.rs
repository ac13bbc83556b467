//! Process groups, views and vs-sets on top of configurations, without I/O.

/// One client connection of this daemon; chosen by the caller, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);
