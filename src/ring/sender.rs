//! Outgoing messages as a stream that is cut into packets.
//!
//! A message belongs to the ring in which its last packet got a number. If the ring breaks before that, the message begins again in the
//! next ring; its receivers drop the part that they have with the old ring.
//!
//! A stretch of the stream may be *lent*: another daemon may number it, or may not. Its messages are kept until that is known.

use std::collections::VecDeque;

use crate::time::{Duration, Instant};
use crate::wire::{MESSAGE_PREFIX, Payload, Service, Slice};

/// The messages of this daemon that have no number yet.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    /// Messages that go before all others, in this ring only.
    first: VecDeque<Outgoing>,
    queue: VecDeque<Outgoing>,
    /// Only messages in `first` are sent.
    held: bool,
    /// Payload bytes in both queues.
    bytes: usize,
    /// Place in the stream of this ring.
    offset: u64,
    /// How much of the first message, its prefix included, is already numbered.
    written: usize,
    /// The messages of the stretch that is lent, in order, and the values of `offset` and `written` before it.
    lent: Vec<(Queue, Outgoing)>,
    before: (u64, usize),
    /// The present time.
    now: Instant,
    /// The times at which messages were pushed that are complete in packets but not delivered here yet. One queue is for messages
    /// that may pass others, and one for the rest. `None` marks where another ring begins.
    underway: [VecDeque<Option<Instant>>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    First,
    Rest,
}

#[derive(Debug)]
struct Outgoing {
    service: Service,
    barrier: bool,
    pushed: Instant,
    payload: Payload,
}

/// A stretch of the stream, to become a data packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) offset: u64,
    pub(crate) first_message: Option<u16>,
    pub(crate) service: Option<Service>,
    /// Whether a barrier message ends here.
    pub(crate) barrier: bool,
    pub(crate) payload: Slice,
}

impl Sender {
    /// Sets the present time.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// Adds a message behind the others.
    pub(crate) fn push(&mut self, service: Service, payload: Payload) {
        self.bytes += payload.len();
        self.queue.push_back(Outgoing { service, barrier: false, pushed: self.now, payload });
    }

    /// Adds an agreed message that nothing overtakes.
    pub(crate) fn push_barrier(&mut self, payload: Payload) {
        self.bytes += payload.len();
        self.queue.push_back(Outgoing { service: Service::Agreed, barrier: true, pushed: self.now, payload });
    }

    /// Adds a message that nothing overtakes, before all others but those added this way before. It is for this ring only: if the
    /// ring breaks before the message has a number, it is dropped. Only before the ring has numbered any other message, or while these are held.
    pub(crate) fn push_first(&mut self, service: Service, payload: Payload) {
        // A stream has one message open at a time. Its receivers could not tell two apart.
        assert!(self.written == 0 || !self.first.is_empty(), "a message cannot pass one that has begun");
        self.bytes += payload.len();
        self.first.push_back(Outgoing { service, barrier: true, pushed: self.now, payload });
    }

    /// Whether all messages but those of [`Sender::push_first`] are held back. No message has begun when that begins.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Payload bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && (self.held || self.queue.is_empty())
    }

    /// A new ring begins: its stream starts at 0, with whole messages, and without what was only for the old one.
    pub(crate) fn restart(&mut self) {
        self.keep();
        self.bytes -= self.first.drain(..).map(|message| message.payload.len()).sum::<usize>();
        // Receivers of a new ring expect every stream at 0, and have nothing of a message that had begun.
        (self.offset, self.written) = (0, 0);
        self.underway.iter_mut().for_each(|underway| underway.push_back(None));
    }

    /// The next message of this daemon with this service is delivered here. Returns the time since it was pushed; `None` if that
    /// is not known.
    pub(crate) fn delivered(&mut self, service: Service) -> Option<Duration> {
        // Nothing of the next ring comes before its configuration.
        let pushed = self.underway[lane(service)].pop_front_if(|pushed| pushed.is_some())?;
        pushed.map(|pushed| self.now.since(pushed))
    }

    /// The configuration of the next ring is delivered: what was sent in the ring before it is delivered, or never will be.
    pub(crate) fn begin_ring(&mut self) {
        for underway in &mut self.underway {
            while underway.pop_front().is_some_and(|pushed| pushed.is_some()) {}
        }
    }

    /// The next stretch of at most `room` bytes. No stretch is lent.
    pub(crate) fn stretch(&mut self, room: usize) -> Option<Stretch> {
        let stretch = self.lend(room);
        self.keep();
        stretch
    }

    /// The lent stretch has a number: it is not to be sent again.
    pub(crate) fn keep(&mut self) {
        // Dropped only now: until the packet has a number, these are the only copies.
        self.lent.clear();
    }

    /// The lent stretch got no number and never will: its messages wait again, before all others.
    pub(crate) fn take_back(&mut self) {
        // A stretch inside one long message contains no whole message. So the offset also shows whether anything was lent.
        if self.lent.is_empty() && self.offset == self.before.0 {
            return;
        }
        // Backwards, so that the first one ends up in front.
        for (queue, message) in self.lent.drain(..).rev() {
            self.bytes += message.payload.len();
            self.underway[lane(message.service)].pop_back();
            match queue {
                Queue::First => self.first.push_front(message),
                Queue::Rest => self.queue.push_front(message),
            }
        }
        (self.offset, self.written) = self.before;
    }

    /// The next stretch of at most `room` bytes, of which it is not known yet whether it gets a number. No other stretch is taken
    /// before that is known.
    pub(crate) fn lend(&mut self, room: usize) -> Option<Stretch> {
        self.before = (self.offset, self.written);
        let waiting = self.bytes + (self.first.len() + self.queue.len()) * MESSAGE_PREFIX;
        // Exactly what is needed, so that a short message does not take a packet's memory.
        let mut payload = Vec::with_capacity(room.min(waiting));
        let (mut first_message, mut service, mut barrier) = (None, None, false);
        // To the last byte: packets of equal size leave in one system call (GSO).
        while payload.len() < room {
            let (kind, queue) = match self.first.is_empty() {
                true if self.held => break,
                true => (Queue::Rest, &mut self.queue),
                false => (Queue::First, &mut self.first),
            };
            let Some(message) = queue.front() else { break };
            if self.written == 0 && first_message.is_none() {
                // Here a receiver finds its way back into the stream if an earlier packet is lost for good.
                first_message = Some(payload.len() as u16);
            }
            self.written += message.copy(self.written, room - payload.len(), &mut payload);
            if self.written == message.size() {
                // A packet in which several messages end waits as the strongest of them does.
                service = service.max(Some(message.service));
                barrier |= message.barrier;
                self.bytes -= message.payload.len();
                self.written = 0;
                self.underway[lane(message.service)].push_back(Some(message.pushed));
                self.lent.extend(queue.pop_front().map(|message| (kind, message)));
            }
        }
        if payload.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset += payload.len() as u64;
        Some(Stretch { offset, first_message, service, barrier, payload: payload.into() })
    }
}

/// Messages of one lane are delivered in the order in which they were sent.
fn lane(service: Service) -> usize {
    usize::from(service >= Service::Fifo)
}

impl Outgoing {
    fn size(&self) -> usize {
        MESSAGE_PREFIX + self.payload.len()
    }

    /// Appends at most `room` bytes of this message, prefix included, from `at` on; says how many.
    fn copy(&self, mut at: usize, room: usize, out: &mut Vec<u8>) -> usize {
        let begin = out.len();
        let mut prefix = [0; MESSAGE_PREFIX];
        prefix[..4].copy_from_slice(&(self.payload.len() as u32).to_be_bytes());
        prefix[4] = self.service as u8;
        for piece in std::iter::once(&prefix[..]).chain(self.payload.slices().map(|slice| &slice[..])) {
            let skipped = at.min(piece.len());
            at -= skipped;
            let left = room - (out.len() - begin);
            let piece = &piece[skipped..];
            out.extend_from_slice(&piece[..left.min(piece.len())]);
        }
        out.len() - begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &str) -> Payload {
        Payload::from(bytes.as_bytes().to_vec())
    }

    #[test]
    fn what_is_held_waits_for_all_that_goes_first() {
        let mut sender = Sender::default();
        sender.hold(true);
        sender.push(Service::Agreed, message("rest"));
        assert!(sender.is_empty() && sender.stretch(100).is_none());
        for part in ["a", "b"] {
            sender.push_first(Service::Safe, message(part));
            let stretch = sender.stretch(100).expect("it is not held");
            assert!(stretch.payload.ends_with(part.as_bytes()));
            assert!(sender.is_empty() && sender.bytes() == 4);
        }
        sender.hold(false);
        assert!(sender.stretch(100).expect("it is released").payload.ends_with(b"rest"));
    }

    #[test]
    fn small_messages_share_a_packet() {
        let mut sender = Sender::default();
        sender.push(Service::Agreed, message("ab"));
        sender.push(Service::Safe, message("c"));
        let stretch = sender.stretch(100).unwrap();
        assert_eq!(&stretch.payload[..], b"\0\0\0\x02\x05ab\0\0\0\x01\x06c");
        assert_eq!((stretch.offset, stretch.first_message, stretch.service), (0, Some(0), Some(Service::Safe)));
        assert_eq!(sender.stretch(100), None);
        assert!(sender.is_empty());
        assert_eq!(sender.bytes(), 0);
    }

    #[test]
    fn a_large_message_spans_packets_of_equal_size() {
        let mut sender = Sender::default();
        sender.push(Service::Agreed, message("abcdefgh"));
        sender.push(Service::Agreed, message("xy"));
        let stretches: Vec<Stretch> = std::iter::from_fn(|| sender.stretch(6)).collect();
        let sizes: Vec<usize> = stretches.iter().map(|stretch| stretch.payload.len()).collect();
        assert_eq!(sizes, [6, 6, 6, 2]);
        assert_eq!(stretches.iter().map(|s| s.first_message).collect::<Vec<_>>(), [Some(0), None, Some(1), None]);
        assert_eq!(stretches.iter().map(|s| s.service.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(stretches[3].offset, 18);
    }

    #[test]
    fn each_message_took_from_its_push_to_its_delivery() {
        let (mut sender, at) = (Sender::default(), Instant::from_millis);
        let push = |sender: &mut Sender, millis, service| {
            sender.set_now(at(millis));
            sender.push(service, message("a"));
        };
        push(&mut sender, 1, Service::Agreed);
        push(&mut sender, 2, Service::Reliable);
        push(&mut sender, 3, Service::Safe);
        sender.stretch(100).unwrap();
        push(&mut sender, 4, Service::Agreed);
        sender.lend(100).unwrap();
        sender.set_now(at(10));
        let took = |sender: &mut Sender, service| sender.delivered(service).map(|took| took.as_millis());
        assert_eq!(took(&mut sender, Service::Reliable), Some(8), "it passed the one before it");
        assert_eq!(took(&mut sender, Service::Agreed), Some(9));
        // The ring breaks before the last two are delivered; one of them is delivered in the old ring, one is sent again.
        sender.take_back();
        sender.restart();
        assert_eq!(took(&mut sender, Service::Safe), Some(7));
        assert_eq!(took(&mut sender, Service::Agreed), None, "nothing is under way");
        sender.begin_ring();
        sender.stretch(100).unwrap();
        assert_eq!(took(&mut sender, Service::Agreed), Some(6));
        // What was sent and got lost with its ring is not waited for.
        push(&mut sender, 10, Service::Agreed);
        sender.stretch(100).unwrap();
        sender.restart();
        sender.begin_ring();
        push(&mut sender, 11, Service::Agreed);
        sender.stretch(100).unwrap();
        sender.set_now(at(12));
        assert_eq!(took(&mut sender, Service::Agreed), Some(1));
    }

    #[test]
    fn a_barrier_lies_where_its_message_ends() {
        let mut sender = Sender::default();
        sender.push(Service::Fifo, message("ab"));
        sender.push_barrier(message("cdefgh"));
        sender.push(Service::Fifo, message("i"));
        let barriers: Vec<bool> = std::iter::from_fn(|| sender.stretch(8)).map(|stretch| stretch.barrier).collect();
        assert_eq!(barriers, [false, false, true]);
    }

    #[test]
    fn what_was_lent_in_vain_is_sent_again_before_the_rest() {
        let mut sender = Sender::default();
        ["abcdef", "g", "hijklmno"].into_iter().for_each(|text| sender.push(Service::Agreed, message(text)));
        sender.push_first(Service::Agreed, message("1"));
        sender.stretch(8).unwrap();
        let bytes = sender.bytes();
        let lent = sender.lend(20).unwrap();
        sender.take_back();
        assert_eq!(sender.bytes(), bytes);
        assert_eq!(sender.lend(20), Some(lent));
        sender.take_back();
        sender.restart();
        let again = sender.stretch(100).unwrap();
        assert_eq!(&again.payload[..], b"\0\0\0\x06\x05abcdef\0\0\0\x01\x05g\0\0\0\x08\x05hijklmno");
    }

    #[test]
    fn what_was_lent_and_got_a_number_is_not_sent_again() {
        let mut sender = Sender::default();
        ["abc", "defghi"].into_iter().for_each(|text| sender.push(Service::Agreed, message(text)));
        sender.lend(10).unwrap();
        sender.restart();
        assert_eq!(&sender.stretch(100).unwrap().payload[..], b"\0\0\0\x06\x05defghi");
    }

    #[test]
    fn a_broken_message_begins_again_in_the_next_ring() {
        let mut sender = Sender::default();
        sender.push(Service::Agreed, message("abcdef"));
        let before = sender.stretch(8).unwrap();
        sender.restart();
        sender.push_first(Service::Agreed, message("!"));
        sender.restart();
        sender.push_first(Service::Agreed, message("1"));
        sender.push_first(Service::Agreed, message("2"));
        let after = sender.stretch(100).unwrap();
        assert_eq!(&before.payload[..], b"\0\0\0\x06\x05abc");
        assert_eq!(&after.payload[..], b"\0\0\0\x01\x051\0\0\0\x01\x052\0\0\0\x06\x05abcdef");
        assert_eq!(after.offset, 0);
    }
}
