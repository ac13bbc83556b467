//! For systems that report no changes of interfaces, or none that we read: links are checked by the timer alone.

use std::io;

use mio::{Registry, Token};

/// Nothing to listen to.
#[derive(Debug)]
pub(super) enum InterfaceWatch {}

impl InterfaceWatch {
    /// Never succeeds.
    pub(super) fn open(_registry: &Registry, _token: Token) -> io::Result<InterfaceWatch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    pub(super) fn take_news(&self) -> bool {
        match *self {}
    }
}
