//! One origin's stream: packets go in, whole messages come out.
//!
//! The offset in each packet shows whether an earlier one of this origin is missing. So a message is complete as soon as the packets of its
//! origin are here, even if packets of others are missing. Then it waits for its turn, or until it may go ahead (delivery.rs).

use std::collections::{BTreeSet, VecDeque};

use super::window::Window;
use crate::wire::{Data, MESSAGE_PREFIX, Payload, Reader, Service, Slice};

/// The state of one origin's messages in one ring.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    assembly: Assembly,
    /// The last packet that was read.
    read: u64,
    /// Packets that are here, behind a missing one of this origin.
    waiting: BTreeSet<u64>,
    /// Whole messages that are not delivered, in the order of the stream.
    whole: VecDeque<Whole>,
    /// The first this many of them can only wait for the turn of the first one.
    blocked: usize,
}

/// A whole message.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The packet in which it ends: its place in the order.
    seq: u64,
    barrier: u64,
    /// Whether that packet has a number, and not only a claim.
    pub(crate) numbered: bool,
    pub(crate) service: Service,
    pub(crate) payload: Payload,
}

impl Stream {
    /// A packet of this origin is in the window. A second call with the same packet changes nothing.
    pub(crate) fn arrived(&mut self, window: &Window, data: &Data) {
        if data.seq <= self.read {
            return;
        }
        if self.waiting.is_empty() && self.assembly.continues_with(data) {
            return self.read(data);
        }
        self.waiting.insert(data.seq);
        while let Some(&first) = self.waiting.first() {
            let Some(next) = window.packet(first).filter(|next| self.assembly.continues_with(next)) else { break };
            self.waiting.pop_first();
            self.read(next);
        }
    }

    /// Whether this packet, whose turn has come, begins where the stream has come to.
    pub(crate) fn continues_with(&self, data: &Data) -> bool {
        data.seq <= self.read || self.assembly.continues_with(data)
    }

    /// Where the next packet must begin.
    pub(crate) fn position(&self) -> u64 {
        self.assembly.next
    }

    /// It is this packet's turn: takes the messages that end in it. Whatever of this origin is missing before it is lost for good.
    pub(crate) fn take_turn(&mut self, data: &Data, mut deliver: impl FnMut(Whole)) {
        if data.seq > self.read {
            self.waiting.remove(&data.seq);
            self.read(data);
        }
        while let Some(message) = self.whole.pop_front_if(|message| message.seq <= data.seq) {
            self.blocked = self.blocked.saturating_sub(1);
            deliver(message);
        }
    }

    /// Takes the messages that need not wait for their turn when everything up to `delivered` is delivered.
    pub(crate) fn overtake(&mut self, delivered: u64, mut deliver: impl FnMut(Whole)) {
        while let Some(message) = self.whole.pop_front_if(|first| self.blocked > 0 && first.service == Service::Fifo) {
            self.blocked -= 1;
            deliver(message);
        }
        while let Some(next) = self.whole.get(self.blocked).filter(|next| next.barrier <= delivered) {
            // An unreliable message is never dropped instead of being requested, because it may share its packets with others.
            let free = match next.service {
                Service::Unreliable | Service::Reliable => true,
                // The order of its sender: no fifo or stronger message of it may still wait.
                Service::Fifo => self.blocked == 0,
                Service::Causal | Service::Agreed | Service::Safe => false,
            };
            if free {
                deliver(self.whole.remove(self.blocked).expect("it was just looked at"));
            } else {
                self.blocked += 1;
            }
        }
    }

    fn read(&mut self, data: &Data) {
        self.read = data.seq;
        let (seq, barrier, numbered) = (data.seq, data.barrier(), data.is_numbered());
        let whole = |service, payload| Whole { seq, barrier, numbered, service, payload };
        self.assembly.feed(data, |service, payload| self.whole.push_back(whole(service, payload)));
    }
}

/// The message that has begun.
#[derive(Debug, Default)]
struct Assembly {
    /// Where the next packet must begin.
    next: u64,
    prefix: Vec<u8>,
    body: Vec<Slice>,
    have: usize,
}

/// The longest message that a stream may announce, far above the largest that a daemon sends whole; beyond it the stream is not believed.
const LENGTH_LIMIT: usize = 16 << 20;
/// A place where no packet begins.
const NOWHERE: u64 = u64::MAX;

impl Assembly {
    /// Whether this packet is the next one of the stream.
    fn continues_with(&self, data: &Data) -> bool {
        data.offset == self.next
    }

    /// Takes the messages that end in this packet.
    fn feed(&mut self, data: &Data, mut deliver: impl FnMut(Service, Payload)) {
        let mut rest = data.payload.clone();
        if !self.continues_with(data) {
            // A packet of this origin is lost for good, so the message that has begun cannot be completed.
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
            if length > LENGTH_LIMIT {
                // No honest daemon announces such a length. Nothing more of this stream is believed.
                tracing::debug!(origin = %data.origin, length, "impossible length of a message; the rest of this stream is dropped");
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

    /// What comes of these packets if each gets its turn when it comes.
    fn taken(packets: &[Data]) -> Vec<String> {
        let (mut stream, mut texts) = (Stream::default(), Vec::new());
        let text = |whole: Whole| String::from_utf8(whole.payload.contiguous().to_vec()).unwrap();
        packets.iter().for_each(|data| stream.take_turn(data, |whole| texts.push(text(whole))));
        texts
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
            assert_eq!(taken(&packets(&messages, room)), messages, "packets of {room}");
        }
    }

    #[test]
    fn packets_may_come_in_any_order() {
        let messages = ["abcdefgh", "second", "third"];
        let packets = packets(&messages, 5);
        let mut window = Window::default();
        let mut stream = Stream::default();
        for place in [3, 1, 2, 3, 0, 6, 5, 4] {
            window.insert(packets[place].clone());
            stream.arrived(&window, &packets[place]);
        }
        assert_eq!((stream.read, stream.waiting.len(), stream.whole.len()), (7, 0, 3));
    }

    #[test]
    fn after_a_lost_packet_the_stream_begins_with_the_next_whole_message() {
        let messages = ["abcdefgh", "second", "third"];
        let mut packets = packets(&messages, 8);
        packets.remove(1);
        assert_eq!(taken(&packets), ["third"]);
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_left_until_the_next_message_begins() {
        let mut packets = packets(&["ab", "second", "third"], 7);
        packets[0].payload = Slice::copy_from(b"\xff\xff\xff\xff\x05ab");
        assert_eq!(taken(&packets), ["second", "third"]);
    }

    #[test]
    fn an_empty_packet_brings_nothing() {
        assert!(taken(&[packet(1)]).is_empty());
    }
}
