//! The messages that wait for one client, shared with the other receivers.
//!
//! Two limits. Bytes are bounded always. Messages are counted only while the client's socket takes no more, as the classic
//! daemon counts them: a burst between two writes says nothing about the reader, unless none may wait at all. Over either the client is too slow, and its
//! owner ends the session, or stops those who send to it: then only twice the bytes is too much. Above half of either limit the client
//! lags, which is worth a warning. What the handshake says is small and comes before any message; it is never refused.

use std::collections::VecDeque;
use std::fmt;

use super::config::{Config, SlowClient};
use crate::wire::{Payload, Slice};

/// What waits for one client.
#[derive(Debug)]
pub struct Outbox {
    /// The first one without what was already written; none is empty.
    messages: VecDeque<Payload>,
    bytes: usize,
    blocked: bool,
    max_messages: usize,
    max_bytes: usize,
    /// Being full stops the senders, so messages that were on their way still fit.
    holds_senders: bool,
}

/// The client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its socket takes nothing and too many messages wait.
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
    pub fn new(config: &Config) -> Outbox {
        let mut outbox = Outbox {
            messages: VecDeque::new(),
            bytes: 0,
            blocked: false,
            max_messages: 0,
            max_bytes: 0,
            holds_senders: false,
        };
        outbox.configure(config);
        outbox
    }

    /// Other limits from now on; what waits above them is kept.
    pub(super) fn configure(&mut self, config: &Config) {
        self.max_messages = config.max_session_messages;
        self.max_bytes = config.max_outbox_bytes;
        self.holds_senders = config.slow_client == SlowClient::BlockSenders;
    }

    /// Adds a message at the end, or says why the session must end instead.
    pub fn push(&mut self, message: Payload) -> Result<(), Overflow> {
        let is_counted = self.blocked || self.max_messages == 0;
        if !self.holds_senders && is_counted && self.messages.len() >= self.max_messages {
            return Err(Overflow::Messages);
        }
        let max_bytes = if self.holds_senders { self.max_bytes.saturating_mul(2) } else { self.max_bytes };
        if self.bytes + message.len() > max_bytes {
            return Err(Overflow::Bytes);
        }
        self.append(message);
        Ok(())
    }

    /// Adds a part of the handshake.
    pub(super) fn push_handshake(&mut self, bytes: Vec<u8>) {
        self.append(bytes.into());
    }

    /// The slices to write, in order; none is empty.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.messages.iter().flat_map(Payload::slices).filter(|slice| !slice.is_empty())
    }

    /// The first `n` bytes of [`Outbox::slices`] have been written. Panics if there are fewer.
    pub fn wrote(&mut self, mut n: usize) {
        assert!(n <= self.bytes, "wrote {n} of {} bytes", self.bytes);
        self.bytes -= n;
        self.blocked = false;
        while n > 0 {
            let first = self.messages.front_mut().expect("the bytes are those of the messages");
            if n < first.len() {
                *first = first.skip(n);
                return;
            }
            n -= first.len();
            self.messages.pop_front();
        }
    }

    /// The client's socket takes no more for now: from here on messages count, until [`Outbox::wrote`].
    pub fn block(&mut self) {
        self.blocked = true;
    }

    /// Whether more waits than half of what may.
    pub fn is_lagging(&self) -> bool {
        self.bytes > self.max_bytes / 2 || self.blocked && self.messages.len() > self.max_messages / 2
    }

    /// Whether as much waits as may.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.max_bytes || self.blocked && self.messages.len() >= self.max_messages
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many messages wait.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What still waits.
    pub fn into_messages(self) -> Vec<Payload> {
        self.messages.into()
    }

    fn append(&mut self, message: Payload) {
        if !message.is_empty() {
            self.bytes += message.len();
            self.messages.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[&str]) -> Payload {
        Payload::from_slices(parts.iter().map(|part| Slice::copy_from(part.as_bytes())))
    }

    fn outbox(max_session_messages: usize, max_outbox_bytes: usize) -> Outbox {
        Outbox::new(&Config { max_session_messages, max_outbox_bytes, ..Config::default() })
    }

    fn waiting(outbox: &Outbox) -> Vec<&str> {
        outbox.slices().map(|slice| std::str::from_utf8(slice).unwrap()).collect()
    }

    #[test]
    fn a_write_may_end_anywhere() {
        let mut outbox = outbox(10, 100);
        outbox.push(message(&["ab", "", "cd"])).unwrap();
        outbox.push(message(&["ef"])).unwrap();
        assert_eq!((waiting(&outbox), outbox.messages(), outbox.bytes()), (vec!["ab", "cd", "ef"], 2, 6));
        outbox.wrote(3);
        assert_eq!((waiting(&outbox), outbox.messages(), outbox.bytes()), (vec!["d", "ef"], 2, 3));
        outbox.wrote(0);
        outbox.wrote(2);
        assert_eq!((waiting(&outbox), outbox.messages(), outbox.bytes()), (vec!["f"], 1, 1));
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
        assert_eq!(outbox.into_messages(), [message(&["NULL "])]);
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
        let limits = Config { max_session_messages: 2, max_outbox_bytes: 4, ..Config::default() };
        let mut outbox = Outbox::new(&Config { slow_client: SlowClient::BlockSenders, ..limits });
        outbox.block();
        (0..8).for_each(|_| outbox.push(message(&["x"])).unwrap());
        assert!(outbox.is_full());
        assert_eq!(outbox.push(message(&["x"])), Err(Overflow::Bytes));
    }
}
