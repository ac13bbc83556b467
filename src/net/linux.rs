//! The Linux part: sockets are bound to one interface, and receive only the groups that they joined themselves.
//!
//! Otherwise two networks could not be distinguished: by default a socket receives every group that any socket of the machine has joined, on any
//! interface, and a unicast datagram from any interface.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{InterfaceIndexOrAddress, SockFilter, Socket};
use tracing::debug;

use super::Interface;
pub(super) use super::unix::Interfaces;
pub(crate) use super::unix::claim;
pub use super::unix::{local_addresses, local_subnets, raise_descriptor_limit};

/// Whether a socket bound to a group or broadcast address hears it.
pub(super) const BINDS_TO_GROUP: bool = true;

/// Holds a socket to an interface. If this process has no right to do that, every datagram tells the interface by which it
/// came. Then this returns the only interface to accept.
pub(super) fn hold_to(socket: &Socket, interface: &Interface) -> Option<u32> {
    let error = socket.bind_device(Some(interface.name.as_bytes())).err()?;
    debug!(interface = interface.name, %error, "sockets cannot be held to the interface");
    match request_interfaces(socket, interface.address) {
        Ok(()) => Some(interface.index),
        Err(error) => {
            debug!(interface = interface.name, %error, "the system does not tell by which interface datagrams come");
            None
        }
    }
}

/// Makes every datagram tell the interface by which it came.
pub(super) fn request_interfaces(socket: &Socket, own: IpAddr) -> io::Result<()> {
    let on: libc::c_int = 1;
    match own {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, &on),
        IpAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &on),
    }
}

/// Makes the system keep the errors of datagrams that it has accepted.
pub(super) fn hear_complaints(socket: &Socket, own: IpAddr) {
    let on: libc::c_int = 1;
    let result = match own {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, &on),
        IpAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &on),
    };
    if let Err(error) = result {
        debug!(%error, "the system does not report errors of sent datagrams");
    }
}

/// Forbids everyone on the way to cut a datagram in pieces. This system or a router refuses a datagram that is too
/// long.
pub(super) fn forbid_pieces(socket: &Socket, own: IpAddr) -> io::Result<()> {
    match own {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_DO),
        IpAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_DO),
    }
}

/// Lets a socket hear only what it joined itself.
pub(super) fn hear_only_own_groups(socket: &Socket, group: IpAddr) {
    let result = match group {
        IpAddr::V4(_) => socket.set_multicast_all_v4(false),
        IpAddr::V6(_) => socket.set_multicast_all_v6(false),
    };
    if let Err(error) = result {
        debug!(%group, %error, "the system cannot keep other groups out");
    }
}

/// Lets the system drop what this daemon sends to all and hears itself. No option keeps broadcasts from their sender.
pub(super) fn hear_only_others(socket: &Socket, own: SocketAddr) {
    let SocketAddr::V4(own) = own else { return };
    let (address, port) = (own.ip().to_bits(), u32::from(own.port()));
    let load = |width: u32, at: u32| SockFilter::new((libc::BPF_LD | width | libc::BPF_ABS) as u16, 0, 0, at);
    let skip_unless =
        |value: u32, steps: u8| SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, steps, value);
    let accept = |bytes: u32| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes);
    // The filter sees a datagram from its UDP header on. Negative places count from the IP header.
    let source_address = (libc::SKF_NET_OFF + 12) as u32;
    let filter = [
        load(libc::BPF_W, source_address),
        skip_unless(address, 3),
        load(libc::BPF_H, 0),
        skip_unless(port, 1),
        accept(0),
        accept(u32::MAX),
    ];
    if let Err(error) = socket.attach_filter(&filter) {
        debug!(%error, "this daemon hears its own broadcasts");
    }
}

/// Joins a group on an interface.
pub(super) fn join(socket: &Socket, group: IpAddr, interface: &Interface) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface.index)),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, interface.index),
    }
}

/// Sends to groups through an interface, whatever the routes say.
pub(super) fn send_through(socket: &Socket, interface: &Interface) -> io::Result<()> {
    let IpAddr::V4(address) = interface.address else {
        return socket.set_multicast_if_v6(interface.index);
    };
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr { s_addr: address.to_bits().to_be() },
        imr_ifindex: interface.index as libc::c_int,
    };
    set_option(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// Asks for socket buffers of this size: beyond the system's limit if this process may, otherwise as large as it grants.
pub(super) fn enlarge_buffers(socket: &Socket, size: usize) {
    let wanted = size as libc::c_int;
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &wanted).is_err()
        && let Err(error) = socket.set_recv_buffer_size(size)
    {
        debug!(%error, "the receive buffer stays as it is");
    }
    if set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &wanted).is_err()
        && let Err(error) = socket.set_send_buffer_size(size)
    {
        debug!(%error, "the send buffer stays as it is");
    }
}

/// The largest packet, headers included, that leaves whole by an interface.
pub(super) fn packet_limit(interface: &str) -> Option<usize> {
    std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

/// Takes several datagrams of one sender as one, where the system can.
pub(super) fn coalesce(socket: &Socket) {
    let on: libc::c_int = 1;
    if let Err(error) = set_option(socket, libc::SOL_UDP, libc::UDP_GRO, &on) {
        debug!(%error, "datagrams are received one by one");
    }
}

/// How long the machine has been up, suspended or not.
pub(super) fn boot_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes one `timespec`, which is ours.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (result == 0).then(|| Duration::new(seconds, nanos))
}

fn set_option<T>(socket: &Socket, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let size = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes of `value`, a plain C value that the caller chose for this option.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
