//! The events that the parts of a node pass each other.

use super::clients::Demand;
use super::lanes::Submission;
use super::{Node, NodeEvent};
use crate::groups::GroupsEvent;
use crate::ring::{ConfigurationKind, GatherReason, RingEvent};
use crate::time::Instant;

impl Node {
    /// Passes events from part to part until none is left. What the ring delivered comes first: a client's request must not be submitted before
    /// the answer to a configuration.
    pub(super) fn pass_events(&mut self, now: Instant) {
        loop {
            if let Some(event) = self.ring.poll_event() {
                self.on_ring(event);
            } else if let Some(event) = self.groups.poll_event_within(&mut self.budget) {
                self.on_groups(now, event);
            } else if let Some(demand) = self.clients.poll_demand() {
                self.on_demand(demand);
            } else if let Some(submission) = self.next_submission() {
                match submission {
                    Submission::Message(service, payload) => self.ring.submit(now, service, payload),
                    Submission::Change(payload) => self.ring.submit_barrier(now, payload),
                }
            } else {
                break;
            }
        }
    }

    fn on_ring(&mut self, event: RingEvent) {
        if let RingEvent::Configuration(configuration) = &event {
            if configuration.kind == ConfigurationKind::Regular {
                // This daemon's state goes before any message of a client, and it may take many slices.
                self.ring.hold();
                self.paths.set_company(&configuration.members);
                // Whether a member leaves with the next table depends on who is in the ring.
                self.ring.set_handover(self.handover());
            }
            self.events.push_back(NodeEvent::Configuration(configuration.clone()));
        }
        self.patience.heard();
        self.groups.handle_event(event);
    }

    fn on_demand(&mut self, demand: Demand) {
        match demand {
            Demand::Open(session) => self.groups.connect(session).expect("the clients keep their names apart"),
            Demand::Submit { session, service, envelope } => self.lanes.submit(session, service, envelope),
        }
    }

    /// Submits to the ring. Pieces wait during an exchange, like the bytes of clients.
    fn next_submission(&mut self) -> Option<Submission> {
        let piece = |node: &mut Node| node.lanes.poll_piece(node.ring.waiting_bytes());
        // During an exchange every message is held back in memory, so large ones wait here instead.
        let waits = self.groups.is_exchanging() || self.groups.is_busy();
        self.lanes.poll_ready().or_else(|| if waits { None } else { piece(self) })
    }

    fn on_groups(&mut self, now: Instant, event: GroupsEvent) {
        match event {
            // The groups may be late. If this ring has broken meanwhile, they will have a state for the next one.
            GroupsEvent::Submit { ring, .. } | GroupsEvent::Said(ring) if self.ring.installed() != Some(ring) => {}
            GroupsEvent::Submit { service, payload, .. } => self.ring.submit_first(now, service, payload),
            GroupsEvent::Said(_) => self.ring.release(now),
            GroupsEvent::Deliver { to, frame } => self.clients.deliver(&to, frame),
            GroupsEvent::Released(id) => self.clients.released(id),
            GroupsEvent::Whole(number) => self.lanes.on_whole(number),
            GroupsEvent::Refused(number) => self.lanes.on_refused(number),
            GroupsEvent::RoomForPieces => self.lanes.on_room(),
            // Somebody forges messages, and nobody can tell which are true. A new ring begins with a new exchange.
            GroupsEvent::Forged => self.ring.begin_anew(now, GatherReason::Contradiction),
            GroupsEvent::Changed => self.clients.changed(),
            GroupsEvent::Begun(ring) => {
                self.lanes.on_configuration(ring);
                self.clients.on_configuration();
            }
        }
    }
}
