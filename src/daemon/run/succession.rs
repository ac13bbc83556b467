//! Settings that were read again. Most take effect at once. New daemons and networks take effect when all members of the ring have
//! read the same table.

use tracing::info;

use super::Daemon;
use crate::config::ClientAddresses;
use crate::daemon::handle::News;
use crate::daemon::setup::Membership;
use crate::multipath::{self, Policy};
use crate::node;
use crate::time::Instant;
use crate::wire::NetworkId;

/// The settings that wait for the other daemons.
#[derive(Debug)]
pub(super) struct Next {
    membership: Membership,
    /// Policy and priorities wait too: they name networks by the numbers of the new table.
    pub(super) policy: Policy,
    priorities: Vec<u8>,
}

/// The present number of each network of a new table; `None` if the table is not new.
type Numbers = Option<Vec<Option<NetworkId>>>;

impl Daemon {
    /// Applies settings that were read again. If a port for a network or for clients cannot be opened, nothing changes.
    pub(super) fn take_over(&mut self, news: News) {
        let News { mut live, has_new_policy, keys, membership, clients } = news;
        let now = self.clock.now();
        let networks = match self.open_all(&membership, clients.as_ref()) {
            Ok(networks) => networks,
            Err(reason) => {
                self.reload_error = Some(reason);
                return self.prepare_again(now);
            }
        };
        self.reload_error = None;
        if !has_new_policy {
            live.policy = self.next.as_ref().map_or(self.live.policy, |next| next.policy);
        }
        match networks {
            None => {
                self.links.stay();
                self.node.prepare(now, None);
                self.next = None;
            }
            Some(networks) => {
                self.node.prepare(now, Some(next_table(&membership, networks)));
                // The present policy and priorities stay until the new table takes effect, and the new ones wait with it.
                let (policy, priorities) = (self.live.policy, self.live.priorities.clone());
                let policy = std::mem::replace(&mut live.policy, policy);
                let priorities = std::mem::replace(&mut live.priorities, priorities);
                self.next = Some(Next { membership, policy, priorities });
            }
        }
        if !keys.is_empty() {
            self.set_keys(keys);
        }
        self.clients.set_timeout(live.client_timeout);
        self.monitors.set_dangerous(live.dangerous_monitor);
        self.node.apply(now, &live);
        self.live = live;
        self.drain();
    }

    /// Opens the ports for new networks and for clients. Returns the present number of each network of a new table.
    fn open_all(&mut self, membership: &Membership, clients: Option<&ClientAddresses>) -> Result<Numbers, String> {
        let is_new = membership.system.digest != self.node.system_digest();
        let networks = is_new.then(|| self.links.prepare(membership.networks.clone())).transpose();
        let networks = networks.map_err(|error| error.to_string())?;
        let changed = clients.map_or(Ok(()), |addresses| self.listeners.change(addresses));
        changed.map_err(|error| error.to_string())?;
        Ok(networks)
    }

    /// Keeps the table that waited before the failed reload.
    fn prepare_again(&mut self, now: Instant) {
        let prepared = self.next.as_ref().and_then(|next| {
            let networks = self.links.prepare(next.membership.networks.clone()).ok()?;
            Some(next_table(&next.membership, networks))
        });
        if prepared.is_none() {
            self.links.stay();
            self.next = None;
        }
        self.node.prepare(now, prepared);
    }

    /// The node has changed to the next table. Sockets, monitors and policy follow before any later output of the node leaves.
    pub(super) fn adopt(&mut self) {
        let Some(Next { membership, policy, priorities }) = self.next.take() else { return };
        let now = self.clock.now();
        // Packets of the old table leave first: their network numbers mean the old sockets.
        self.outbound.flush(&mut self.links);
        self.links.adopt(now);
        let Membership { daemons, segments, system, .. } = membership;
        info!(
            name: "table_adopted",
            daemons = daemons.len(),
            networks = self.links.status().count(),
            "the daemons and networks of the new file count from now on"
        );
        self.shared.happened("table_adopted", "the daemons and networks of the new file count from now on".to_owned());
        self.monitors.adopt(daemons, system.digest, segments);
        (self.live.policy, self.live.priorities) = (policy, priorities);
        self.node.apply(now, &self.live);
        self.set_interface_limits(now);
        self.next_status = now;
    }
}

fn next_table(membership: &Membership, networks: Vec<Option<NetworkId>>) -> node::NextTable {
    let Membership { daemons, names, segments, system, sources, .. } = membership.clone();
    node::NextTable { paths: multipath::NextTable { system, daemons, sites: segments, networks, sources }, names }
}
