//! Serves the clients: lets them in, reads from them and writes to them, each a bounded amount in a round.

#[cfg(unix)]
use mio::net::UnixStream;
use tracing::debug;

use super::super::clients::{Read, Written};
use super::super::stream::Stream;
use super::Daemon;
use crate::groups::SessionId;
use crate::node::ClientInput;
use crate::session::Peer;

/// Clients accepted in one round.
const ACCEPTS_PER_ROUND: usize = 64;
/// Client reads in one round.
const READS_PER_ROUND: usize = 64;

impl Daemon {
    pub(super) fn accept(&mut self) {
        #[cfg(unix)]
        for (stream, peer) in self.shared.take_newcomers() {
            match Stream::unix(UnixStream::from_std(stream), self.workers.passed()) {
                Ok(stream) => self.admit(stream, peer),
                Err(error) => debug!(%error, "a client of this process cannot be served"),
            }
        }
        for _ in 0..ACCEPTS_PER_ROUND {
            let Some((stream, peer)) = self.listeners.accept(self.clock.now()) else { return };
            self.admit(stream, peer);
        }
    }

    fn admit(&mut self, stream: Stream, peer: Peer) {
        let peer = stream.peer(peer);
        match self.clients.admit(stream) {
            Ok(id) => self.handle_client(self.clock.now(), id, ClientInput::Connected(peer)),
            Err(error) => debug!(%error, "a client cannot be polled"),
        }
    }

    pub(super) fn read(&mut self) {
        for _ in 0..self.clients.readable().min(READS_PER_ROUND) {
            if !self.node.takes_client_input() {
                return;
            }
            let Some(id) = self.clients.next_readable() else { return };
            if !self.node.takes_bytes_of(id) && self.clients.has_ended(id) {
                self.handle_client(self.clock.now(), id, ClientInput::HungUp);
            }
            if !self.node.takes_bytes_of(id) {
                self.clients.park(id);
                continue;
            }
            match self.clients.read(self.clock.now(), id) {
                Read::Nothing => {}
                Read::Bytes(bytes) => {
                    self.node.handle_client(self.clock.now(), id, ClientInput::Bytes(bytes));
                    self.drain();
                }
                Read::Ended => self.end(id),
            }
        }
    }

    /// Writes to the clients that have output, in turn, until the budget of bytes is used up.
    pub(super) fn write(&mut self, mut budget: usize) {
        for _ in 0..self.clients.writable() {
            if budget == 0 {
                return;
            }
            let Some(id) = self.clients.next_writable() else { return };
            match self.clients.write(id, &mut self.node, &mut budget) {
                Written::All | Written::Blocked => {}
                Written::Some => self.clients.want_output(id),
                Written::Broken => self.end(id),
            }
            self.drain();
        }
    }

    pub(super) fn end(&mut self, id: SessionId) {
        debug!(client = id.0, from = %self.clients.origin(id), "client gone");
        self.clients.remove(id);
        self.handle_client(self.clock.now(), id, ClientInput::Closed);
    }
}
