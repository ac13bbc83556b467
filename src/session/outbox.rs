//! The queue of frames for one client. Outboxes share a frame's memory.
//!
//! The queue has a limit in bytes and one in messages. Above either the client is too slow: its owner ends the session, or stops those who
//! send to it, and then twice the bytes may wait. Above half of either limit the client lags, which is worth a warning.
//!
//! Membership frames ("views") are charged differently: a client cannot influence how often others join, so a view is no message, and each
//! receiver is charged only its share of the bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::config::{SessionSettings, SlowClient};
use crate::wire::{FrameType, Payload, Slice};

/// Bytes of memory that a frame takes in an outbox besides its own bytes.
const PLACE: usize = 64;

/// A frame for one or more clients, shared by all that still wait for it.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Content>);

#[derive(Debug)]
struct Content {
    payload: Payload,
    kind: FrameType,
    /// The bytes that each receiver of a view is charged; `None` for a message, which is charged byte by byte.
    share: Option<usize>,
}

impl Frame {
    /// A frame for this many clients.
    pub fn new(payload: Payload, receivers: usize) -> Frame {
        let kind = kind(&payload);
        let share = (!kind.intersects(FrameType::SERVICES)).then(|| PLACE + payload.len() / receivers.max(1));
        Frame(Arc::new(Content { payload, kind, share }))
    }

    /// A frame for one client, which is charged each byte.
    fn own(payload: Payload) -> Frame {
        // A client causes its own rejects, so it pays for each byte of them, unlike for views.
        Frame(Arc::new(Content { kind: kind(&payload), payload, share: None }))
    }

    /// Bytes on the stream.
    pub fn len(&self) -> usize {
        self.0.payload.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.payload.is_empty()
    }

    /// Whether this is a message that may be lost.
    pub fn is_unreliable(&self) -> bool {
        self.0.kind.contains(FrameType::UNRELIABLE)
    }

    /// The bytes.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// Whether nobody else holds the frame.
    pub fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// The bytes divided by the number of holders of the frame.
    fn present_share(&self) -> usize {
        PLACE + self.len() / Arc::strong_count(&self.0)
    }

    /// A copy in memory of its own, if the frame keeps a much larger buffer of received packets alive.
    pub fn compact(&self) -> Option<Frame> {
        let payload = &self.0.payload;
        let copy = || Frame(Arc::new(Content { payload: payload.copied(), kind: self.0.kind, share: self.0.share }));
        // A smaller gain is not worth a copy.
        (payload.retained() > 2 * payload.len()).then(copy)
    }
}

/// The type in a frame's header; no bits if the bytes are not a frame.
fn kind(payload: &Payload) -> FrameType {
    payload.front(4).first_chunk().map_or(FrameType(0), |bytes| FrameType::decode(*bytes))
}

/// The frames that wait for one client.
#[derive(Debug)]
pub struct Outbox {
    /// No frame here is empty.
    frames: VecDeque<Frame>,
    /// The rest of the first frame, if a part of it was written.
    front: Option<Payload>,
    bytes: usize,
    /// Bytes that count against the limit.
    charged: usize,
    /// Frames that count against the limit.
    messages: usize,
    /// Bytes of the views that wait.
    view_bytes: usize,
    /// The change of the memory of frames since [`Outbox::take_memory_change`].
    memory_change: isize,
    blocked: bool,
    max_messages: usize,
    max_bytes: usize,
    /// A full queue stops the senders. So there is extra room for messages that are already on their way.
    holds_senders: bool,
}

/// The client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its socket is full, and too many messages wait.
    Messages,
    /// Too many bytes wait.
    Bytes,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overflow::Messages => "too many messages wait for a client that does not read",
            Overflow::Bytes => "too many bytes wait for a client",
        })
    }
}

impl std::error::Error for Overflow {}

impl Outbox {
    /// An empty outbox with the limits of this configuration.
    pub fn new(config: &SessionSettings) -> Outbox {
        let mut outbox = Outbox {
            frames: VecDeque::new(),
            front: None,
            bytes: 0,
            charged: 0,
            messages: 0,
            view_bytes: 0,
            memory_change: 0,
            blocked: false,
            max_messages: 0,
            max_bytes: 0,
            holds_senders: false,
        };
        outbox.configure(config);
        outbox
    }

    /// Changes the limits; frames above them stay queued.
    pub(super) fn configure(&mut self, config: &SessionSettings) {
        self.max_messages = config.max_session_messages;
        self.max_bytes = config.max_outbox_bytes;
        self.holds_senders = config.slow_client == SlowClient::BlockSenders;
    }

    /// Adds a frame at the end, or returns why the session must end instead. The caller accounts for the frame's memory.
    pub fn push(&mut self, frame: Frame) -> Result<(), Overflow> {
        // Messages count only while the socket takes no more, as in the classic daemon: a burst between two writes does not show a slow
        // reader.
        let is_counted = self.max_messages == 0 || self.blocked && frame.0.share.is_none();
        if !self.holds_senders && is_counted && self.messages >= self.max_messages {
            return Err(Overflow::Messages);
        }
        // This daemon cannot stop senders at other daemons, so their messages still arrive.
        let max_bytes = if self.holds_senders { self.max_bytes.saturating_mul(2) } else { self.max_bytes };
        if self.charged + frame.0.share.unwrap_or(frame.len()) > max_bytes {
            return Err(Overflow::Bytes);
        }
        self.append(frame);
        Ok(())
    }

    /// Adds a frame for this client alone.
    pub(super) fn push_own(&mut self, bytes: Vec<u8>) -> Result<(), Overflow> {
        let frame = Frame::own(bytes.into());
        let len = frame.len();
        self.push(frame)?;
        self.memory_change += len as isize;
        Ok(())
    }

    /// Adds a part of the handshake. It is small and comes before any message, so no limit applies.
    pub(super) fn push_handshake(&mut self, bytes: Vec<u8>) {
        self.memory_change += bytes.len() as isize;
        self.append(Frame::own(bytes.into()));
    }

    /// The slices to write, in order; none is empty.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        let begun = usize::from(self.front.is_some());
        let whole = self.frames.iter().skip(begun).map(Frame::payload);
        self.front.iter().chain(whole).flat_map(Payload::slices).filter(|slice| !slice.is_empty())
    }

    /// The first `n` bytes of [`Outbox::slices`] have been written. Panics if there are fewer.
    pub fn wrote(&mut self, mut n: usize) {
        assert!(n <= self.bytes, "wrote {n} of {} bytes", self.bytes);
        self.bytes -= n;
        // The socket took bytes, so the client reads.
        self.blocked = false;
        while n > 0 {
            let first = self.frames.front().expect("the bytes are those of the frames");
            let left = self.front.as_ref().unwrap_or(first.payload());
            if n < left.len() {
                let rest = left.skip(n);
                match first.0.share {
                    // A view's charge ends only when all of it is written.
                    Some(_) => self.view_bytes -= n,
                    None => self.charged -= n,
                }
                self.front = Some(rest);
                return;
            }
            let len = left.len();
            n -= len;
            self.front = None;
            self.pop(len);
        }
    }

    /// Removes the first frame, of which `len` bytes were left.
    fn pop(&mut self, len: usize) {
        let Some(frame) = self.frames.pop_front() else { return };
        match frame.0.share {
            Some(share) => {
                self.view_bytes -= len;
                self.charged -= share;
            }
            None => {
                self.charged -= len;
                self.messages -= 1;
            }
        }
        // The last holder of a frame frees its memory.
        if frame.is_unshared() {
            self.memory_change -= frame.len() as isize;
        }
    }

    /// The client's socket is full for now. Messages count against the limit until [`Outbox::wrote`].
    pub fn block(&mut self) {
        self.blocked = true;
    }

    /// Whether the client's socket is full.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether the queue is longer than half of a limit.
    pub fn is_lagging(&self) -> bool {
        self.charged > self.max_bytes / 2 || self.blocked && self.messages > self.max_messages / 2
    }

    /// Whether the queue is full.
    pub fn is_full(&self) -> bool {
        self.charged >= self.max_bytes || self.blocked && self.messages >= self.max_messages
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The number of queued frames, views included.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The number of queued bytes, views included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of queued bytes of views.
    pub fn view_bytes(&self) -> usize {
        self.view_bytes
    }

    /// The change of the memory of frames since the last call: frames for this client alone were added, and frames that no other client
    /// waits for were freed.
    pub fn take_memory_change(&mut self) -> isize {
        std::mem::take(&mut self.memory_change)
    }

    /// This client's part of the memory of its frames. The cost is linear in the number of frames.
    pub fn memory_share(&self) -> usize {
        self.frames.iter().map(Frame::present_share).sum()
    }

    /// Removes and returns everything that is queued.
    pub fn take_all(&mut self) -> Vec<Payload> {
        let mut rest = Vec::new();
        while let Some(frame) = self.frames.front() {
            let left = self.front.take().unwrap_or_else(|| frame.payload().clone());
            self.bytes -= left.len();
            self.pop(left.len());
            rest.push(left);
        }
        rest
    }

    fn append(&mut self, frame: Frame) {
        if frame.is_empty() {
            return;
        }
        self.bytes += frame.len();
        self.charged += frame.0.share.unwrap_or(frame.len());
        match frame.0.share {
            Some(_) => self.view_bytes += frame.len(),
            None => self.messages += 1,
        }
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message: its bytes begin with no service bit, so it says itself that every byte counts.
    fn message(parts: &[&str]) -> Frame {
        Frame::own(Payload::from_slices(parts.iter().map(|part| Slice::copy_from(part.as_bytes()))))
    }

    fn view(bytes: usize, receivers: usize) -> Frame {
        Frame::new(vec![0; bytes].into(), receivers)
    }

    fn outbox(max_session_messages: usize, max_outbox_bytes: usize) -> Outbox {
        Outbox::new(&SessionSettings { max_session_messages, max_outbox_bytes, ..SessionSettings::default() })
    }

    fn waiting(outbox: &Outbox) -> Vec<&str> {
        outbox.slices().map(|slice| std::str::from_utf8(slice).unwrap()).collect()
    }

    #[test]
    fn a_write_may_end_anywhere() {
        let mut outbox = outbox(10, 100);
        outbox.push(message(&["ab", "", "cd"])).unwrap();
        outbox.push(message(&["ef"])).unwrap();
        assert_eq!((waiting(&outbox), outbox.frames(), outbox.bytes()), (vec!["ab", "cd", "ef"], 2, 6));
        outbox.wrote(3);
        assert_eq!((waiting(&outbox), outbox.frames(), outbox.bytes()), (vec!["d", "ef"], 2, 3));
        outbox.wrote(0);
        outbox.wrote(2);
        assert_eq!((waiting(&outbox), outbox.frames(), outbox.bytes()), (vec!["f"], 1, 1));
        outbox.wrote(1);
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }

    #[test]
    fn messages_count_while_the_socket_takes_nothing() {
        let mut outbox = outbox(2, 100);
        (0..5).for_each(|_| outbox.push(message(&["x"])).unwrap());
        outbox.block();
        assert_eq!(outbox.push(message(&["x"])), Err(Overflow::Messages));
        outbox.wrote(4);
        outbox.block();
        assert_eq!(outbox.push(message(&["x"])), Ok(()));
        assert_eq!(outbox.push(message(&["x"])), Err(Overflow::Messages));
    }

    #[test]
    fn where_no_message_may_wait_the_first_is_too_much() {
        assert_eq!(outbox(0, 100).push(message(&["x"])), Err(Overflow::Messages));
    }

    #[test]
    fn bytes_count_always_and_a_refused_message_leaves_no_trace() {
        let mut outbox = outbox(1000, 4);
        outbox.push(message(&["abc"])).unwrap();
        assert_eq!(outbox.push(message(&["de"])), Err(Overflow::Bytes));
        assert_eq!(outbox.push(message(&["d"])), Ok(()));
        assert_eq!(waiting(&outbox), ["abc", "d"]);
    }

    #[test]
    fn what_waits_can_be_taken_over() {
        let mut outbox = outbox(0, 0);
        outbox.push_handshake(b"\x05NULL ".to_vec());
        outbox.wrote(1);
        assert_eq!(outbox.take_all(), [message(&["NULL "]).payload().clone()]);
        assert_eq!((outbox.bytes(), outbox.take_memory_change()), (0, 0));
    }

    #[test]
    fn a_client_lags_above_half_of_either_limit() {
        let mut by_bytes = outbox(1000, 10);
        by_bytes.push(message(&["abcde"])).unwrap();
        assert!(!by_bytes.is_lagging());
        by_bytes.push(message(&["f"])).unwrap();
        assert!(by_bytes.is_lagging() && !by_bytes.is_full());
        by_bytes.push(message(&["ghij"])).unwrap();
        assert!(by_bytes.is_full());
        by_bytes.wrote(5);
        assert!(!by_bytes.is_lagging());
        let mut by_messages = outbox(4, 1000);
        (0..4).for_each(|_| by_messages.push(message(&["x"])).unwrap());
        assert!(!by_messages.is_lagging());
        by_messages.block();
        assert!(by_messages.is_lagging() && by_messages.is_full());
        by_messages.wrote(1);
        assert!(!by_messages.is_lagging());
    }

    #[test]
    fn an_outbox_that_holds_senders_takes_what_is_on_its_way() {
        let limits = SessionSettings { max_session_messages: 2, max_outbox_bytes: 4, ..SessionSettings::default() };
        let mut outbox = Outbox::new(&SessionSettings { slow_client: SlowClient::BlockSenders, ..limits });
        outbox.block();
        (0..8).for_each(|_| outbox.push(message(&["x"])).unwrap());
        assert!(outbox.is_full());
        assert_eq!(outbox.push(message(&["x"])), Err(Overflow::Bytes));
    }

    #[test]
    fn a_view_is_no_message_and_each_receiver_is_charged_its_share() {
        let mut outbox = outbox(2, 10_000);
        outbox.block();
        (0..50).for_each(|_| outbox.push(view(64_000, 1000)).unwrap());
        assert_eq!((outbox.view_bytes(), outbox.charged), (50 * 64_000, 50 * (PLACE + 64)));
        assert!(!outbox.is_full());
        outbox.push(message(&["x"])).unwrap();
        outbox.wrote(100);
        outbox.wrote(50 * 64_000 - 100);
        assert_eq!((outbox.view_bytes(), outbox.charged, outbox.bytes()), (0, 1, 1));
        (0..78).for_each(|_| outbox.push(view(64_000, 1000)).unwrap());
        assert_eq!(outbox.push(view(64_000, 1000)), Err(Overflow::Bytes), "of views there may be too many as well");
    }

    #[test]
    fn the_memory_of_a_frame_is_given_back_by_the_last_who_waits_for_it() {
        let frame = view(1000, 2);
        let mut outboxes = [outbox(10, 10_000), outbox(10, 10_000)];
        outboxes.iter_mut().for_each(|outbox| outbox.push(frame.clone()).unwrap());
        assert!(!frame.is_unshared());
        drop(frame);
        assert_eq!(outboxes[0].memory_share(), PLACE + 500);
        outboxes[0].wrote(1000);
        assert_eq!((outboxes[0].take_memory_change(), outboxes[1].memory_share()), (0, PLACE + 1000));
        outboxes[1].take_all();
        assert_eq!(outboxes[1].take_memory_change(), -1000);
    }

    #[test]
    fn a_small_frame_need_not_keep_a_large_buffer() {
        let packets = Slice::from(vec![7; 60_000]);
        let frame = Frame::own(packets.part(100, 200).into());
        let compact = frame.compact().unwrap();
        assert_eq!((compact.payload(), compact.payload().retained()), (frame.payload(), 100));
        assert!(compact.compact().is_none());
    }
}
