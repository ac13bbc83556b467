//! Where no system call tells of changes of interfaces, or none that we use: links are looked at by the timer alone.

use std::io;

use mio::{Registry, Token};

/// Nothing to listen to.
#[derive(Debug)]
pub(super) enum Watch {}

impl Watch {
    /// Never succeeds.
    pub(super) fn open(_registry: &Registry, _token: Token) -> io::Result<Watch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    pub(super) fn take_news(&self) -> bool {
        match *self {}
    }
}
