//! Reports of the Linux kernel that interfaces, carriers or addresses have changed: an rtnetlink socket.
//!
//! The contents of a report do not matter: every report leads to a check of all links, as the timer does. So nothing depends on complete
//! reports, and if the socket cannot be opened, the timer alone checks.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Messages taken in one call; those that are left are taken in the next.
const BATCH_LIMIT: usize = 1024;

const GROUPS: libc::c_int = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;

/// The socket.
#[derive(Debug)]
pub(super) struct InterfaceWatch(Socket);

impl InterfaceWatch {
    /// Begins to listen. The poll tells with this token when there is news.
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<InterfaceWatch> {
        let protocol = Protocol::from(libc::NETLINK_ROUTE);
        let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.bind(&groups()?)?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        Ok(InterfaceWatch(socket))
    }

    /// Takes the news, and says whether there was any. News that did not fit the socket's buffer is news.
    pub(super) fn take_news(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 64];
        let mut news = false;
        for _ in 0..BATCH_LIMIT {
            match self.0.recv(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                _ => news = true,
            }
        }
        news
    }
}

fn groups() -> io::Result<SockAddr> {
    let initialise = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        let address = storage.cast::<libc::sockaddr_nl>();
        // SAFETY: the storage is zeroed, aligned and large enough for every kind of address, and so for this plain C struct.
        unsafe {
            (*address).nl_family = libc::AF_NETLINK as _;
            (*address).nl_groups = GROUPS as u32;
            *length = mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        }
        Ok(())
    };
    // SAFETY: the closure writes an address of the family that it names, and its length.
    unsafe { SockAddr::try_init(initialise) }.map(|((), address)| address)
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    #[test]
    fn without_a_change_there_is_no_news() {
        let poll = Poll::new().unwrap();
        let watch = InterfaceWatch::open(poll.registry(), Token(0)).unwrap();
        watch.take_news();
        assert!(!watch.take_news());
    }
}
