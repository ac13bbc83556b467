//! The loop's reports to operators about networks.

use tracing::{debug, info, warn};

use super::Daemon;
use crate::multipath::{self, PathState};
use crate::net::LinkEvent;
use crate::time::Instant;

impl Daemon {
    /// Writes a notice to the log and the journal, and publishes a new status at once.
    pub(super) fn log_notice(&mut self, notice: multipath::Notice) {
        match notice {
            multipath::Notice::Path { daemon, network, state, .. } => {
                let network = network.0;
                match state {
                    PathState::Healthy | PathState::Off => {
                        info!(name: "path", %daemon, network, %state, "{notice}");
                    }
                    _ if self.members.is_silent_on_purpose(daemon) => {
                        info!(name: "path", %daemon, network, %state, "{notice}, because it stopped");
                    }
                    _ => warn!(name: "path", %daemon, network, %state, "{notice}"),
                }
            }
            multipath::Notice::Crossed { daemon, .. } => warn!(name: "networks_crossed", %daemon, "{notice}"),
            multipath::Notice::Clones { daemon, .. } => warn!(name: "two_hosts", %daemon, "{notice}"),
            multipath::Notice::ShortPath { daemon, network, passes, .. } => {
                warn!(name: "path_short", %daemon, network = network.0, passes, "{notice}");
            }
            multipath::Notice::Refused { source, .. } => warn!(name: "datagrams_refused", %source, "{notice}"),
            multipath::Notice::SecondSelf { .. } => warn!(name: "second_self", "{notice}"),
            multipath::Notice::OtherSettings { daemon, .. } => warn!(name: "other_settings", %daemon, "{notice}"),
            multipath::Notice::WaitsForOther { daemon } => warn!(name: "table_waits", %daemon, "{notice}"),
            multipath::Notice::OtherWaits { daemon } => warn!(name: "table_awaited", %daemon, "{notice}"),
            multipath::Notice::OtherTable { daemon, .. } => {
                warn!(name: "other_configuration", %daemon, "{notice}");
            }
        }
        self.shared.happened(notice_name(&notice), notice.to_string());
        self.next_status = Instant::ZERO;
    }

    /// A link changed, or the system reported something about a peer.
    pub(super) fn on_link(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Up(network) => {
                info!(name: "network_up", network = network.0, "network up");
                self.shared.happened("network_up", format!("network {} is up", network.0));
            }
            LinkEvent::Down(network, reason) => {
                warn!(name: "network_down", network = network.0, reason, "network down");
                self.shared.happened("network_down", format!("network {} is down: {reason}", network.0));
            }
            LinkEvent::Limit(network, bytes) => {
                debug!(network = network.0, bytes, "longest datagram");
                self.node.set_interface_limit(now, network, bytes);
                self.drain();
            }
            LinkEvent::Refused(network, daemon) => {
                debug!(network = network.0, %daemon, "no program listens on a daemon's port");
                self.node.handle_refusal(now, network, daemon);
                self.drain();
                return;
            }
        }
        self.next_status = now;
    }
}

/// The name of a notice's event in the log.
fn notice_name(notice: &multipath::Notice) -> &'static str {
    match notice {
        multipath::Notice::Path { .. } => "path",
        multipath::Notice::Crossed { .. } => "networks_crossed",
        multipath::Notice::Clones { .. } => "two_hosts",
        multipath::Notice::ShortPath { .. } => "path_short",
        multipath::Notice::Refused { .. } => "datagrams_refused",
        multipath::Notice::SecondSelf { .. } => "second_self",
        multipath::Notice::OtherSettings { .. } => "other_settings",
        multipath::Notice::WaitsForOther { .. } => "table_waits",
        multipath::Notice::OtherWaits { .. } => "table_awaited",
        multipath::Notice::OtherTable { .. } => "other_configuration",
    }
}
