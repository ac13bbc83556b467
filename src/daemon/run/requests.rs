//! What the loop does for other threads: requests of operators and programs, and settings that were read again.

use tracing::{info, warn};

use super::Daemon;
use crate::daemon::handle::Request;

impl Daemon {
    /// Does what was asked for by another thread.
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::Drill { network, on } => {
                warn!(name: "drill", network = network.0, on, "failure drill");
                self.links.drill(network, on);
            }
            Request::Live(live) => {
                self.clients.set_timeout(live.client_timeout);
                self.monitors.set_dangerous(live.dangerous_monitor);
                self.node.apply(self.clock.now(), &live);
                self.drain();
                self.live = *live;
            }
            Request::Policy(policy) => {
                info!(name: "policy", %policy, "another policy");
                self.live.policy = policy;
                self.node.apply(self.clock.now(), &self.live);
            }
            Request::Priorities(priorities) => {
                self.live.priorities = priorities;
                self.node.apply(self.clock.now(), &self.live);
            }
            Request::Network { network, on } => match self.node.set_network_enabled(self.clock.now(), network, on) {
                true => info!(name: "network_switched", network = network.0, on, "network switched"),
                false => {
                    warn!(
                        name: "network_not_switched",
                        network = network.0,
                        "there is no such network, or no other that is on: it stays as it is"
                    );
                }
            },
        }
    }
}
