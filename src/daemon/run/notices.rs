//! What the loop tells an operator of networks.

use tracing::{debug, info, warn};

use super::Daemon;
use crate::multipath::{self, PathState};
use crate::net::LinkEvent;
use crate::time::Instant;

impl Daemon {
    /// Writes it to the log, and publishes the status that goes with it.
    pub(super) fn log_notice(&mut self, event: multipath::Event) {
        match event {
            multipath::Event::Path { daemon, network, state, .. } => {
                let network = network.0;
                match state {
                    PathState::Healthy | PathState::Off => {
                        info!(name: "path", %daemon, network, %state, "{event}");
                    }
                    _ if self.members.is_silent_on_purpose(daemon) => {
                        info!(name: "path", %daemon, network, %state, "{event}, because it stopped");
                    }
                    _ => warn!(name: "path", %daemon, network, %state, "{event}"),
                }
            }
            multipath::Event::Crossed { daemon, .. } => warn!(name: "networks_crossed", %daemon, "{event}"),
            multipath::Event::Clones { daemon, .. } => warn!(name: "two_hosts", %daemon, "{event}"),
            multipath::Event::Refused { source, .. } => warn!(name: "datagrams_refused", %source, "{event}"),
            multipath::Event::SecondSelf { .. } => warn!(name: "second_self", "{event}"),
            multipath::Event::OtherSettings { daemon, .. } => warn!(name: "other_settings", %daemon, "{event}"),
            multipath::Event::WaitsForOther { daemon } => warn!(name: "table_waits", %daemon, "{event}"),
            multipath::Event::OtherWaits { daemon } => warn!(name: "table_awaited", %daemon, "{event}"),
            multipath::Event::OtherConfiguration { daemon, .. } => {
                warn!(name: "other_configuration", %daemon, "{event}");
            }
        }
        self.shared.happened(event_name(&event), event.to_string());
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
                self.fit_packets();
            }
            LinkEvent::Refused(network, daemon) => {
                debug!(network = network.0, %daemon, "nobody has the port of a daemon");
                self.node.handle_refusal(now, network, daemon);
                self.drain();
                return;
            }
        }
        self.next_status = now;
    }
}

/// What the log calls it.
fn event_name(event: &multipath::Event) -> &'static str {
    match event {
        multipath::Event::Path { .. } => "path",
        multipath::Event::Crossed { .. } => "networks_crossed",
        multipath::Event::Clones { .. } => "two_hosts",
        multipath::Event::Refused { .. } => "datagrams_refused",
        multipath::Event::SecondSelf { .. } => "second_self",
        multipath::Event::OtherSettings { .. } => "other_settings",
        multipath::Event::WaitsForOther { .. } => "table_waits",
        multipath::Event::OtherWaits { .. } => "table_awaited",
        multipath::Event::OtherConfiguration { .. } => "other_configuration",
    }
}
