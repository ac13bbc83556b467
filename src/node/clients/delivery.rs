//! Queues frames for clients, and applies `SlowClient` to those that read too slowly.

use super::Clients;
use crate::groups::SessionId;
use crate::node::ends::EndReason;
use crate::node::{NodeEvent, clients::Holder, pace};
use crate::session::{Frame, SlowClient};
use crate::wire::{FrameHeader, Name, Payload};

impl Clients {
    /// A frame for these clients.
    pub(in crate::node) fn deliver(&mut self, to: &[SessionId], payload: Payload) {
        let blocks = self.config.slow_client == SlowClient::BlockSenders;
        let sender = if blocks { sender(&payload) } else { None };
        let frame = Frame::new(payload, to.len());
        let mut compact: Option<Option<Frame>> = None;
        for &id in to {
            let Some(client) = self.sessions.get_mut(&id) else { continue };
            if client.lagging && self.config.slow_client == SlowClient::DropUnreliable && frame.is_unreliable() {
                self.stats.dropped_unreliable += 1;
                continue;
            }
            let outbox = client.session.outbox_mut();
            // A frame that may wait long must not keep the whole received packet in memory.
            let compacted = if outbox.is_blocked() { compact.get_or_insert_with(|| frame.compact()) } else { &None };
            let quiet = outbox.is_empty();
            match outbox.push(compacted.as_ref().unwrap_or(&frame).clone()) {
                // One event is enough: the daemon writes until the outbox is empty.
                Ok(()) if quiet => self.events.push_back(NodeEvent::Output(id)),
                Ok(()) => {}
                Err(overflow) => {
                    self.end(id, EndReason::Slow(overflow));
                    continue;
                }
            }
            // First, because `stop` acts only if the outbox is known to be full.
            self.check_pace(id);
            self.charge_user(id);
            if let Some(sender) = &sender {
                self.stop(sender, id);
            }
        }
        // Counted once for all receivers. A frame that nobody else holds has no receiver.
        for frame in [Some(frame), compact.flatten()].into_iter().flatten().filter(|frame| !frame.is_unshared()) {
            self.memory.change(frame.len() as isize);
        }
    }

    /// A message of this sender went to a session. If the outbox of the session is full now, the sender is stopped.
    pub(super) fn stop(&mut self, sender: &Name, receiver: SessionId) {
        let Some(stopped) = self.full.get_mut(&receiver) else { return };
        // A sender at another daemon cannot be stopped from here.
        let Some(Holder::Session(id)) = self.names.get(sender) else { return };
        // Counted once for each full outbox, because `release` also subtracts it once.
        if stopped.insert(*id)
            && let Some(client) = self.sessions.get_mut(id)
        {
            client.stopped_by += 1;
            self.stats.stopped_senders += 1;
        }
    }

    /// A session's outbox is no longer full, or the session has ended: the senders that it stopped continue.
    pub(super) fn release(&mut self, receiver: SessionId) {
        for id in self.full.remove(&receiver).into_iter().flatten() {
            let Some(client) = self.sessions.get_mut(&id) else { continue };
            client.stopped_by -= 1;
            if client.stopped_by == 0 {
                self.events.push_back(NodeEvent::Welcome(id));
            }
        }
    }

    /// Logs when a client begins to lag. It lags until its queue is empty.
    pub(super) fn check_pace(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let outbox = client.session.outbox();
        let behind = outbox.view_bytes() > pace::BEHIND;
        if behind != std::mem::replace(&mut client.behind, behind) {
            self.pace.fall_behind(if behind { 1 } else { -1 });
        }
        if !client.lagging && outbox.is_lagging() {
            let (messages, bytes) = (outbox.frames(), outbox.bytes());
            let from = client.source;
            tracing::warn!(name: "client_slow", client = %client.name(), %from, messages, bytes, "client reads slowly");
            self.stats.lagging += 1;
            client.lagging = true;
        }
        client.lagging &= !outbox.is_empty();
        if self.config.slow_client != SlowClient::BlockSenders {
            return;
        }
        if outbox.is_full() {
            self.full.entry(id).or_default();
        } else {
            self.release(id);
        }
    }
}

/// The sender of a message, or the group of a membership frame.
fn sender(frame: &Payload) -> Option<Name> {
    frame.front(FrameHeader::SIZE).first_chunk().map(|header| FrameHeader::decode(header).name)
}
