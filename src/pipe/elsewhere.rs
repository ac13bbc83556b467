//! Systems on which nothing is shared: every session goes over its socket.

use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::time::Duration;

use socket2::Socket;

use super::Pipe;
#[cfg(unix)]
use super::Received;

/// There is none.
#[derive(Debug)]
pub(crate) enum Memory {}

impl Memory {
    pub(crate) fn wake(&self) {
        match *self {}
    }

    pub(crate) fn wait(&self, _limit: Duration) {
        match *self {}
    }
}

impl Deref for Memory {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        match *self {}
    }
}

/// Always fails.
pub(crate) fn offer(_socket: &Socket, _byte: u8, _flags: i32) -> io::Result<Memory> {
    Err(ErrorKind::Unsupported.into())
}

/// Reads what is there.
#[cfg(unix)]
pub(crate) fn receive(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let count = io::Read::read(&mut socket, buffer)?;
    Ok(Received { count, ..Received::default() })
}

/// Never a pipe.
#[cfg(unix)]
pub(crate) fn accept(file: std::os::fd::OwnedFd) -> Result<Memory, std::os::fd::OwnedFd> {
    Err(file)
}
