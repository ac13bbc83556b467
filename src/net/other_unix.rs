//! The differences of Unix systems other than Linux: a group address can be bound, but no socket is held to an interface.
//!
//! Networks are distinguished by their groups and by the interface that was named in joining, which these systems respect.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;
use tracing::debug;

use super::Interface;
pub(super) use super::unix::Interfaces;
pub(crate) use super::unix::claim;
pub use super::unix::{local_addresses, local_subnets, raise_descriptor_limit};

/// The largest packet that leaves whole is not known here.
pub(super) fn packet_limit(_interface: &str) -> Option<usize> {
    None
}

/// Nothing: this daemon reads no reports of the system here.
pub(super) fn hear_complaints(_socket: &Socket, _own: IpAddr) {}

/// Nothing: the system sends long datagrams in pieces.
pub(super) fn forbid_pieces(_socket: &Socket, _own: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Whether a socket bound to a group or broadcast address hears it.
pub(super) const BINDS_TO_GROUP: bool = true;

/// Nothing: the source address and the joined interface must be enough.
pub(super) fn hold_to(_socket: &Socket, _interface: &Interface) -> Option<u32> {
    None
}

/// Several group sockets on one port need this here.
pub(super) fn hear_only_own_groups(socket: &Socket, group: IpAddr) {
    if let Err(error) = socket.set_reuse_port(true) {
        debug!(%group, %error, "the port cannot be shared between groups");
    }
}

/// Nothing: a daemon hears its own broadcasts here, and drops them.
pub(super) fn hear_only_others(_socket: &Socket, _own: SocketAddr) {}

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
        IpAddr::V6(_) => socket.set_multicast_if_v6(interface.index),
    }
}

/// Asks for socket buffers of this size, or half of it, and so on.
pub(super) fn enlarge_buffers(socket: &Socket, size: usize) {
    let sizes = || std::iter::successors(Some(size), |size| Some(size / 2)).take_while(|&size| size > 64 << 10);
    let granted = sizes().any(|size| socket.set_recv_buffer_size(size).is_ok());
    let granted = sizes().any(|size| socket.set_send_buffer_size(size).is_ok()) && granted;
    debug!(granted, "socket buffers");
}

/// Nothing: the standard library's clock is as good as any here.
pub(super) fn boot_time() -> Option<std::time::Duration> {
    None
}

/// Nothing: datagrams come one by one.
pub(super) fn coalesce(_socket: &Socket) {}
