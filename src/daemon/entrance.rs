//! The door for clients in the daemon's own process: the loop gets one end of a socket pair, the client keeps the other.
//!
//! The door is open as long as the daemon lives. It needs no name in the file system, so daemons that share a port are told apart. The
//! stream is like that of any other client, so a mailbox is still a descriptor that can be polled.

use std::io::{self, ErrorKind};
use std::mem;
use std::os::unix::net::UnixStream;

use parking_lot::Mutex;

use crate::session::Peer;

/// Streams that may wait for the loop; further ones are refused.
const NEWCOMER_LIMIT: usize = 100;

/// Streams that wait for the loop; `None` once the door is closed.
#[derive(Debug)]
pub(super) struct Entrance(Mutex<Option<Vec<Newcomer>>>);

/// A stream, and the place from which its client counts as coming.
pub(super) type Newcomer = (UnixStream, Peer);

impl Entrance {
    /// An open door; no stream waits.
    pub(super) fn new() -> Entrance {
        Entrance(Mutex::new(Some(Vec::new())))
    }

    /// Makes a socket pair. One end waits for the loop; the other is returned.
    pub(super) fn enter(&self, peer: Peer) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let mut waiting = self.0.lock();
        let waiting = waiting.as_mut().ok_or(ErrorKind::ConnectionRefused)?;
        if waiting.len() >= NEWCOMER_LIMIT {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        waiting.push((near, peer));
        Ok(far)
    }

    /// The streams that came since the last call.
    pub(super) fn take(&self) -> Vec<Newcomer> {
        self.0.lock().as_mut().map(mem::take).unwrap_or_default()
    }

    /// Closes the door, and all streams that wait.
    pub(super) fn close(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn who_waits_before_a_closing_door_is_turned_away() {
        let entrance = Entrance::new();
        let mut waiting = entrance.enter(Peer::Unix).unwrap();
        entrance.close();
        assert_eq!(waiting.read(&mut [0]).unwrap(), 0);
        assert_eq!(entrance.enter(Peer::Unix).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(entrance.take().is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let entrance = Entrance::new();
        let _all: Vec<_> = (0..NEWCOMER_LIMIT).map(|_| entrance.enter(Peer::Unix).unwrap()).collect();
        assert!(entrance.enter(Peer::Unix).is_err());
        assert_eq!(entrance.take().len(), NEWCOMER_LIMIT);
    }
}
