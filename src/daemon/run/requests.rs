//! The loop's work for other threads: requests of operators and programs, and settings that were read again.

use tracing::{info, warn};

use super::Daemon;
use crate::daemon::files::read_keys;
use crate::daemon::handle::Request;
use crate::daemon::records::{Lists, SessionLine};
use crate::node;
use crate::seal::Keys;

impl Daemon {
    /// Carries out a request of another thread.
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::Drill { network, on } => {
                let change = if on { "a failure drill begins" } else { "the failure drill ends" };
                warn!(name: "drill", network = network.0, on, "{change}");
                self.links.set_drilled(network, on);
            }
            Request::Settings(news) => self.take_over(*news),
            Request::Rekey => self.rekey(),
            Request::List { limit } => self.shared.list(self.lists(limit)),
            Request::Policy(policy) => {
                info!(name: "policy", %policy, "the policy is changed");
                self.live.policy = policy;
                if let Some(next) = &mut self.next {
                    next.policy = policy;
                }
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
                        "the network is not switched: it does not exist, or no other one is on"
                    );
                }
            },
        }
    }

    /// The first groups by name, and the oldest sessions.
    fn lists(&self, limit: usize) -> Lists {
        let groups = self.node.groups().take(limit).map(|(name, members, here)| (name.to_string(), members, here));
        let session = |session: node::SessionStand| SessionLine {
            id: session.id,
            name: session.name.map(|name| name.to_string()).unwrap_or_default(),
            from: self.clients.origin(session.id).to_string(),
            groups: session.groups,
            frames: session.frames,
            bytes: session.bytes,
        };
        Lists {
            groups: groups.collect(),
            sessions: self.node.session_stands().take(limit).map(session).collect(),
            more_groups: self.node.group_count().saturating_sub(limit),
            more_sessions: self.node.sessions().saturating_sub(limit),
        }
    }

    /// Reads the key file again. If the file cannot be used, nothing changes.
    fn rekey(&mut self) {
        let Some(file) = &self.live.key_file else {
            return warn!(name: "no_key_file", "there is no key file: set KeyFile and restart the daemon to seal packets");
        };
        match read_keys(file) {
            Err(error) => {
                warn!(name: "keys_refused", %error, "the keys stay as they are");
                self.key_error = Some(error.to_string());
            }
            Ok(keys) => self.set_keys(keys),
        }
    }

    /// Uses keys that were read again.
    pub(super) fn set_keys(&mut self, keys: Keys) {
        let count = keys.ids().count();
        let now = self.clock.now();
        self.node.set_keys(now, keys);
        for daemon in self.node.without_common_key(now) {
            warn!(name: "key_missing", %daemon, "a daemon is not known to have any key of this file: it is cut off until it reads one of them");
        }
        self.key_error = None;
        info!(name: "keys", count, using = self.node.key().map(tracing::field::display), "key file read");
    }
}
