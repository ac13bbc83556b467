//! Refused ports on their way in, and deaths on their way out.

use super::Multipath;
use super::outbound::Known;
use crate::time::Instant;
use crate::wire::{DaemonId, NetworkId};

impl Multipath {
    /// The system says that nobody has the port of a daemon on a network, or somebody says so in its name.
    pub fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: DaemonId) {
        // Only a doubt: anybody can forge a refusal.
        if let Some(daemon) = self.table.seat(daemon).filter(|&daemon| daemon != self.table.me()) {
            self.health.on_refused(now, daemon, network);
            self.knock(now);
        }
    }

    /// The next daemon that has died, as its closed ports and its silence say.
    pub fn poll_death(&mut self) -> Option<DaemonId> {
        self.health.poll_death().map(|daemon| self.table.id(daemon))
    }

    /// Knocks at the ports where it is time to.
    pub(super) fn knock(&mut self, now: Instant) {
        while let Some((daemon, doors)) = self.health.poll_knock() {
            self.outbound.knock(Known { now, table: &self.table, health: &self.health }, daemon, doors);
        }
    }
}
