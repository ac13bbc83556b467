//! From packets to messages: each message is delivered at its turn in the total order, or ahead of it if its service allows that.
//!
//! Causal, agreed and safe messages wait for everything before them. Unreliable, reliable and fifo messages wait neither for a missing
//! packet of another origin nor for a safe message. They go ahead when everything up to their *barrier* is delivered: the last change of
//! groups before them. So every daemon delivers them between the same two changes, to the same members.
//!
//! A ring that breaks pays what it owes by the same rule (owed.rs). No peer then has delivered less than another one had before, because
//! the rule depends only on packets that are here and on messages that were delivered in order.

use std::collections::{BTreeMap, VecDeque};

use super::stream::{Stream, Whole};
use super::window::Window;
use super::{Message, RingEvent};
use crate::wire::{DaemonId, Data};

/// How far the packets of a ring are delivered, and the messages that still wait.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Every packet up to here had its turn.
    pub(crate) delivered: u64,
    streams: BTreeMap<DaemonId, Stream>,
}

impl Delivery {
    /// Begins behind this packet.
    pub(crate) fn behind(delivered: u64) -> Delivery {
        Delivery { delivered, streams: BTreeMap::new() }
    }

    /// A packet is in the window.
    pub(crate) fn arrived(&mut self, window: &Window, seq: u64) {
        // A packet whose turn is over has been read already.
        if seq <= self.delivered {
            return;
        }
        if let Some(data) = window.packet(seq) {
            self.streams.entry(data.origin).or_default().arrived(window, data);
        }
    }

    /// Reads the packets that are in the window although [`Delivery::arrived`] was not called for them.
    pub(crate) fn read_window(&mut self, window: &Window) {
        (self.delivered + 1..=window.high()).for_each(|seq| self.arrived(window, seq));
    }

    /// Whether this packet, the next one in order, continues its origin's stream. In a ring that is whole every packet does.
    pub(crate) fn continues(&self, data: &Data) -> bool {
        self.streams.get(&data.origin).map_or(data.offset == 0, |stream| stream.continues_with(data))
    }

    /// How far an origin's stream has come.
    pub(crate) fn position(&self, origin: DaemonId) -> u64 {
        self.streams.get(&origin).map_or(0, Stream::position)
    }

    /// Delivers the messages of this packet, the next one in order.
    pub(crate) fn deliver(&mut self, data: &Data, events: &mut VecDeque<RingEvent>) {
        self.delivered = data.seq;
        self.deliver_behind_hole(data, events);
    }

    /// Delivers the messages of this packet, though one before it is missing for good.
    pub(crate) fn deliver_behind_hole(&mut self, data: &Data, events: &mut VecDeque<RingEvent>) {
        let stream = self.streams.entry(data.origin).or_default();
        stream.take_turn(data, |whole| events.push_back(message(data.origin, whole)));
    }

    /// Delivers the messages that may go ahead of their turn.
    pub(crate) fn overtake(&mut self, window: &Window, events: &mut VecDeque<RingEvent>) {
        // Nothing lies ahead of its turn. This is the usual case, so it costs one comparison.
        if self.delivered == window.high() {
            return;
        }
        for (&origin, stream) in &mut self.streams {
            stream.overtake(self.delivered, |whole| events.push_back(message(origin, whole)));
        }
    }
}

fn message(origin: DaemonId, Whole { service, payload, numbered, .. }: Whole) -> RingEvent {
    RingEvent::Message(Message { origin, service, payload, numbered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::testing::{barrier_packet, message_packet};
    use crate::wire::Service::{self, *};

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);

    /// Packets come one after the other; after each, what was delivered.
    fn delivered(packets: impl IntoIterator<Item = Data>) -> Vec<String> {
        let (mut window, mut delivery) = (Window::default(), Delivery::default());
        let arrive = |data: Data| {
            let (seq, mut events) = (data.seq, VecDeque::new());
            window.insert(data);
            delivery.arrived(&window, seq);
            while let Some(next) = window.packet(delivery.delivered + 1) {
                delivery.deliver(next, &mut events);
            }
            delivery.overtake(&window, &mut events);
            let text = |event| match event {
                RingEvent::Message(message) => String::from_utf8(message.payload.contiguous().to_vec()).unwrap(),
                RingEvent::Configuration(_) => panic!("no configuration here"),
            };
            events.into_iter().map(text).collect()
        };
        packets.into_iter().map(arrive).collect()
    }

    /// Packets of A from number 2 on, with one message each; then the missing packet of B.
    fn behind_a_hole(services: &[Service]) -> Vec<String> {
        let of_a = services.iter().zip(0..).map(|(&service, n)| message_packet(n + 2, A, service, n));
        delivered(of_a.chain([message_packet(1, B, Agreed, 9)]))
    }

    #[test]
    fn what_need_not_wait_for_its_turn_goes_ahead_of_a_hole() {
        assert_eq!(behind_a_hole(&[Unreliable, Reliable, Fifo]), ["0", "1", "2", "9"]);
        assert_eq!(behind_a_hole(&[Causal, Agreed, Safe]), ["", "", "", "9012"]);
    }

    #[test]
    fn fifo_waits_for_what_its_sender_sent_before_in_order() {
        assert_eq!(behind_a_hole(&[Agreed, Fifo, Reliable, Fifo]), ["", "", "2", "", "9013"]);
        assert_eq!(behind_a_hole(&[Fifo, Agreed, Fifo]), ["0", "", "", "912"]);
    }

    #[test]
    fn a_fifo_message_follows_an_agreed_one_whose_turn_came() {
        let packets = [(4, Fifo, 1), (2, Agreed, 0)].map(|(seq, service, n)| message_packet(seq, A, service, n));
        let of_b = message_packet(1, B, Agreed, 9);
        assert_eq!(delivered(packets.into_iter().chain([of_b])), ["", "", "901"]);
    }

    #[test]
    fn a_missing_packet_of_the_same_sender_holds_everything_back() {
        let packets = [3, 2, 4, 1].map(|n| message_packet(n + 1, A, Reliable, n - 1));
        assert_eq!(delivered(packets), ["", "", "", "0123"]);
    }

    #[test]
    fn nothing_passes_a_barrier() {
        let barrier = || barrier_packet(2, B, 8);
        let ahead = |distance| Data { barrier_distance: distance, ..message_packet(3, A, Reliable, 0) };
        let first = || message_packet(1, B, Agreed, 9);
        assert_eq!(delivered([ahead(1), barrier(), first()]), ["", "", "980"]);
        assert_eq!(delivered([ahead(1), first(), barrier()]), ["", "9", "80"]);
        assert_eq!(delivered([ahead(Data::NO_BARRIER), barrier(), first()]), ["0", "", "98"]);
    }
}
