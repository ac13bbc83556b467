//! From packets in order to messages: each origin's stream is put together again.

use std::collections::{BTreeMap, VecDeque};

use super::{Event, Message};
use crate::wire::{DaemonId, Data, MESSAGE_PREFIX, Payload, Reader, Service, Slice};

/// How far a ring was delivered, and the messages that have begun but not ended.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Every packet up to here was delivered.
    pub(crate) delivered: u64,
    streams: BTreeMap<DaemonId, Assembly>,
}

impl Delivery {
    /// Begins behind this packet.
    pub(crate) fn behind(delivered: u64) -> Delivery {
        Delivery { delivered, streams: BTreeMap::new() }
    }

    /// Delivers the messages that end in this packet, the next one in order.
    pub(crate) fn deliver(&mut self, data: &Data, events: &mut VecDeque<Event>) {
        self.delivered = data.seq;
        let origin = data.origin;
        self.streams.entry(origin).or_default().feed(data, |service, payload| {
            events.push_back(Event::Message(Message { origin, service, payload }));
        });
    }
}

/// One origin's stream: what is known of the message that has begun.
#[derive(Debug, Default)]
struct Assembly {
    /// Where the next packet must begin.
    next: u64,
    prefix: Vec<u8>,
    body: Vec<Slice>,
    have: usize,
}

/// The longest message that a stream may announce; beyond it the stream is not believed.
const MESSAGE_LIMIT: usize = 1 << 30;
/// A place where no packet begins.
const NOWHERE: u64 = u64::MAX;

impl Assembly {
    fn feed(&mut self, data: &Data, mut deliver: impl FnMut(Service, Payload)) {
        let mut rest = data.payload.clone();
        if data.offset != self.next {
            // A packet of this origin is lost for good: whatever had begun cannot end.
            *self = Assembly::default();
            rest = data.first_message.map_or_else(Slice::default, |at| rest.tail(usize::from(at)));
        }
        self.next = data.offset + data.payload.len() as u64;
        while !rest.is_empty() {
            let missing = MESSAGE_PREFIX - self.prefix.len();
            let taken = missing.min(rest.len());
            self.prefix.extend_from_slice(&rest[..taken]);
            rest = rest.tail(taken);
            let Some((length, service)) = self.begun() else { break };
            if length > MESSAGE_LIMIT {
                tracing::debug!(origin = %data.origin, length, "a stream makes no sense");
                *self = Assembly { next: NOWHERE, ..Assembly::default() };
                break;
            }
            let taken = (length - self.have).min(rest.len());
            self.body.push(rest.part(0, taken));
            self.have += taken;
            rest = rest.tail(taken);
            if self.have == length {
                deliver(service, Payload::from_slices(self.body.drain(..)));
                self.prefix.clear();
                self.have = 0;
            }
        }
    }

    /// Length and service of the message that has begun, once its prefix is whole. An unknown service of a future sender is
    /// taken as the strongest.
    fn begun(&self) -> Option<(usize, Service)> {
        let mut reader = Reader::new(&self.prefix);
        let length = reader.u32().ok()? as usize;
        let service = Service::from_wire(reader.u8().ok()?).unwrap_or(Service::Safe);
        Some((length, service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::sender::Sender;
    use crate::ring::testing::{packet, packet_of};

    fn delivered(packets: &[Data]) -> Vec<String> {
        let (mut delivery, mut events) = (Delivery::default(), VecDeque::new());
        packets.iter().for_each(|data| delivery.deliver(data, &mut events));
        let text = |event| match event {
            Event::Message(message) => String::from_utf8(message.payload.contiguous().to_vec()).unwrap(),
            Event::Configuration(_) => panic!("no configuration here"),
        };
        events.into_iter().map(text).collect()
    }

    fn packets(messages: &[&str], room: usize) -> Vec<Data> {
        let mut sender = Sender::default();
        messages.iter().for_each(|m| sender.push(Service::Agreed, Payload::from(m.as_bytes().to_vec())));
        (1..).map_while(|seq| sender.stretch(room).map(|stretch| packet_of(seq, stretch))).collect()
    }

    #[test]
    fn messages_come_back_whole_whatever_the_packet_size() {
        let messages = ["", "a", "bcd", "efghijklmnopqrstuvwxyz", "", "end"];
        for room in 1..60 {
            assert_eq!(delivered(&packets(&messages, room)), messages, "packets of {room}");
        }
    }

    #[test]
    fn after_a_lost_packet_the_stream_begins_with_the_next_whole_message() {
        let messages = ["abcdefgh", "second", "third"];
        let mut packets = packets(&messages, 8);
        packets.remove(1);
        assert_eq!(delivered(&packets), ["third"]);
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_left_until_the_next_message_begins() {
        let mut packets = packets(&["ab", "second", "third"], 7);
        packets[0].payload = Slice::copy_from(b"\xff\xff\xff\xff\x05ab");
        assert_eq!(delivered(&packets), ["second", "third"]);
    }

    #[test]
    fn an_empty_packet_delivers_nothing() {
        assert!(delivered(&[packet(1)]).is_empty());
    }
}
