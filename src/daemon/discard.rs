//! Closes the sockets of clients on this machine, and what they pass along them, in a thread of its own.
//!
//! Closing a file may take as long as a client likes: a socket that lingers waits for its other end, and a file of a program that serves files waits
//! for that program. Such a file may also lie unread in a socket, and that socket in another one. So the loop of the daemon closes none of them.
//! If a client holds the thread up, what should be closed stays open, until the daemon has as many descriptors as it may have. Then no new client
//! gets in, but the ring and the other clients go on.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Sender};
use std::thread;

/// The way to the thread. It ends with the last way to it.
#[derive(Clone, Debug)]
pub(super) struct Discard(Sender<OwnedFd>);

impl Discard {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Discard> {
        let (queue, files) = mpsc::channel::<OwnedFd>();
        thread::Builder::new().name("discard".to_owned()).spawn(move || files.into_iter().for_each(drop))?;
        Ok(Discard(queue))
    }

    /// Closes this file soon.
    pub(super) fn close(&self, file: OwnedFd) {
        // The thread reads the queue to its end, so it takes the file.
        _ = self.0.send(file);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_discarded_is_closed() {
        let discard = Discard::start().unwrap();
        for _ in 0..2 {
            let (near, mut far) = UnixStream::pair().unwrap();
            discard.clone().close(near.into());
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
        }
    }
}
