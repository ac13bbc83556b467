//! What the loop tells an operator of networks.

use tracing::{info, warn};

use super::Daemon;
use crate::multipath::{self, PathState};
use crate::time::Instant;

impl Daemon {
    /// Writes it to the log, and publishes the status that goes with it.
    pub(super) fn tell_of(&mut self, event: multipath::Event) {
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
