//! Shared by unit tests of several files.

use crate::multipath::{Path, PathState};
use crate::time::Instant;
use crate::wire::{DaemonId, NetworkId};

/// A path in this state on which nothing was measured.
pub(super) fn path(daemon: u32, network: u8, state: PathState) -> Path {
    Path {
        daemon: DaemonId(daemon),
        network: NetworkId(network),
        state,
        since: Instant::ZERO,
        last: None,
        heard: 0,
        first: 0,
        loss: None,
        loss_there: None,
        round_trip: None,
    }
}
