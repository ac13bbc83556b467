//! Settings that were read again. Most count at once; other daemons and networks count when all members of the ring have read of them.

use tracing::info;

use super::Daemon;
use crate::config::Live;
use crate::daemon::setup::Membership;
use crate::multipath::{self, Policy};
use crate::node;
use crate::seal::Keys;
use crate::time::Instant;

/// What waits for the other daemons.
#[derive(Debug)]
pub(super) struct Next {
    membership: Membership,
    /// What is said by the numbers of its networks.
    policy: Policy,
    priorities: Vec<u8>,
}

impl Daemon {
    /// Works by these settings, and seals with these keys if there are any. If a port for a new network cannot be opened, nothing changes.
    pub(super) fn take_over(&mut self, mut live: Live, keys: Keys, membership: Membership) {
        let now = self.clock.now();
        self.reload_error = None;
        if membership.system.digest == self.node.system_digest() {
            self.links.stay();
            self.node.prepare(now, None);
            self.next = None;
        } else {
            let networks = match self.links.prepare(membership.networks.clone()) {
                Ok(networks) => networks,
                Err(error) => {
                    self.reload_error = Some(error.to_string());
                    return self.prepare_again(now);
                }
            };
            self.node.prepare(now, Some(next_table(&membership, networks)));
            let (policy, priorities) = (self.live.policy, self.live.priorities.clone());
            let policy = std::mem::replace(&mut live.policy, policy);
            let priorities = std::mem::replace(&mut live.priorities, priorities);
            self.next = Some(Next { membership, policy, priorities });
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

    /// What was to come before still is to come.
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

    /// The node has changed the table: sockets and everybody else follow before anything leaves that the node says from then on.
    pub(super) fn adopt(&mut self) {
        let Some(Next { membership, policy, priorities }) = self.next.take() else { return };
        let now = self.clock.now();
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
        self.tell_limits(now);
        self.next_status = now;
    }
}

fn next_table(membership: &Membership, networks: Vec<Option<crate::wire::NetworkId>>) -> node::NextTable {
    let Membership { daemons, names, segments, system, sources, .. } = membership.clone();
    node::NextTable { paths: multipath::NextTable { system, daemons, sites: segments, networks, sources }, names }
}
