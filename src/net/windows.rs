//! What is different on Windows: a group or broadcast address cannot be bound.
//!
//! The unicast socket joins the group itself, and hears the broadcasts of its subnet anyway. Interfaces are not listed: whether an
//! address is there shows when one binds to it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::Interface;

/// The largest packet that leaves whole is not known here.
pub(super) fn packet_limit(_interface: &str) -> Option<usize> {
    None
}

/// Nothing: the system tells nothing that we read.
pub(super) fn hear_complaints(_socket: &Socket, _own: IpAddr) {}

/// Nothing: the system sends in pieces what is too long.
pub(super) fn allow_pieces(_socket: &Socket, _to: IpAddr, _allowed: bool) -> io::Result<()> {
    Ok(())
}

/// Whether a socket bound to a group or broadcast address hears it.
pub(super) const BINDS_TO_GROUP: bool = false;

/// The machine's addresses, asked for one by one.
#[derive(Debug)]
pub(super) struct Interfaces;

impl Interfaces {
    /// Nothing to list.
    pub(super) fn snapshot() -> io::Result<Interfaces> {
        Ok(Interfaces)
    }

    /// A nameless interface with this address, if it can be bound.
    pub(super) fn find(&self, own: IpAddr, _name: Option<&str>) -> Option<Interface> {
        let address = SocketAddr::new(own, 0);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).ok()?;
        socket.bind(&address.into()).ok()?;
        Some(Interface { name: String::new(), index: 0, address: own, prefix: u8::MAX, running: true })
    }
}

/// This machine's addresses: those of its name.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    use std::net::ToSocketAddrs;
    let name = std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_string());
    Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Nothing: sockets are not counted here.
pub fn raise_descriptor_limit() -> Option<usize> {
    None
}

/// Nothing: the source address must do.
pub(super) fn hold_to(_socket: &Socket, _interface: &Interface) -> Option<u32> {
    None
}

/// Nothing: a socket hears only what it joined.
pub(super) fn hear_only_own_groups(_socket: &Socket, _group: IpAddr) {}

/// Joins a group on an interface.
pub(super) fn join(socket: &Socket, group: IpAddr, interface: &Interface) -> io::Result<()> {
    match (group, interface.address) {
        (IpAddr::V4(group), IpAddr::V4(address)) => socket.join_multicast_v4(&group, &address),
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, interface.index),
        (IpAddr::V4(_), IpAddr::V6(_)) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Sends to groups through an interface, whatever the routes say.
pub(super) fn send_through(socket: &Socket, interface: &Interface) -> io::Result<()> {
    match interface.address {
        IpAddr::V4(address) => socket.set_multicast_if_v4(&address),
        IpAddr::V6(_) => Ok(()),
    }
}

/// Asks for socket buffers of this size.
pub(super) fn enlarge_buffers(socket: &Socket, size: usize) {
    let result = socket.set_recv_buffer_size(size).and_then(|()| socket.set_send_buffer_size(size));
    if let Err(error) = result {
        debug!(%error, "socket buffers stay as they are");
    }
}

/// Nothing: datagrams come one by one.
pub(super) fn coalesce(_socket: &Socket) {}
