//! Making the sockets of one network.
//!
//! The *own* socket sends everything, so that every datagram carries this network's source address. It never shares its port,
//! so that no second daemon can receive the tokens unnoticed. The *group* socket only listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tracing::debug;

use super::queue::Queue;
use super::{Interface, Kind, Network, platform};
use crate::wire::DaemonId;

/// The size asked for each socket buffer: several bursts of every daemon of a ring.
const BUFFER_SIZE: usize = 4 << 20;

/// A port of a network cannot be opened.
#[derive(Debug)]
pub struct OpenError {
    /// Where.
    pub address: SocketAddr,
    /// The error of the system.
    pub error: io::Error,
}

impl OpenError {
    /// Whether retrying is useless: another process holds the port, or this user may not open it.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self.error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(f, "port {port} of {ip} is in use: is another spread running?"),
            _ => write!(f, "port {port} of {ip}: {}", self.error),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// How many networks the daemon has, as far as its sockets care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkCount {
    One,
    Several,
}

impl NetworkCount {
    pub(super) fn of(networks: usize) -> NetworkCount {
        if networks > 1 { NetworkCount::Several } else { NetworkCount::One }
    }
}

/// The facts about this machine on which the sockets of a network depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Whether there are other networks to tell it from.
    pub network_count: NetworkCount,
    /// Whether another of its daemons is on this machine.
    pub shared_host: bool,
    /// Whether datagrams to all are meant for another of its daemons.
    pub near_peers: bool,
}

/// The sockets of one network and where they send.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The index of their interface when they were made.
    pub interface: u32,
    /// The surroundings for which they were opened.
    pub around: Surroundings,
    /// The only interface from which datagrams are accepted, if the sockets themselves receive from any.
    pub only: Option<u32>,
    /// Sends everything, receives what is for this daemon alone.
    pub own: UdpSocket,
    /// Receives what is for all, on platforms that need a separate socket for it.
    pub group: Option<UdpSocket>,
    /// The destinations of datagrams to all: the group, and the daemons that do not hear it.
    pub everybody: Vec<SockAddr>,
    /// The destination of datagrams to one daemon, by daemon.
    pub peers: Vec<(DaemonId, SockAddr)>,
    /// Whether the system takes many datagrams of equal size at once.
    pub offload: bool,
    /// The datagrams that wait for room.
    pub queue: Queue,
}

impl Sockets {
    /// Makes the sockets.
    pub(super) fn open(network: &Network, interface: &Interface, around: Surroundings) -> Result<Sockets, OpenError> {
        let hold = around.network_count == NetworkCount::Several && !around.shared_host && !network.own.is_loopback();
        let held = |socket: &Socket| if hold { platform::hold_to(socket, interface) } else { None };
        let address = scoped(network.own, network.port, interface);
        let own = own_socket(network, address, interface, around).map_err(|error| OpenError { address, error })?;
        let only = held(&own);
        platform::hear_complaints(&own, network.own);
        if let Err(error) = platform::forbid_pieces(&own, network.own) {
            debug!(%error, "long datagrams leave in pieces");
        }
        let group = group(network, interface);
        let mut listener = None;
        if let Some(address) = group {
            let opened = group_socket(network, &own, address, interface);
            let opened = opened.map_err(|error| explained(error, network));
            listener = opened.map_err(|error| OpenError { address, error })?;
            if let Some(listener) = &listener {
                let _ = held(listener);
            }
        }
        let mut sockets = Sockets {
            interface: interface.index,
            around,
            only,
            own: UdpSocket::from_std(own.into()),
            group: listener.map(|socket| UdpSocket::from_std(socket.into())),
            everybody: Vec::new(),
            peers: Vec::new(),
            offload: true,
            queue: Queue::default(),
        };
        sockets.address(network, interface);
        Ok(sockets)
    }

    /// Sends to the daemons of this network from now on.
    pub(super) fn address(&mut self, network: &Network, interface: &Interface) {
        let group = group(network, interface);
        let each = network.peers.iter().filter(|peer| group.is_none() && peer.near);
        let everybody = group.into_iter().chain(each.map(|peer| peer.address));
        let mut peers: Vec<_> = network.peers.iter().map(|peer| (peer.daemon, peer.address)).collect();
        peers.sort();
        let scoped_again = |address: SocketAddr| scoped(address.ip(), address.port(), interface).into();
        self.everybody = everybody.map(scoped_again).collect();
        self.peers = peers.into_iter().map(|(daemon, address)| (daemon, scoped_again(address))).collect();
    }
}

/// The system's error, with advice if the machine does not know the group or broadcast address.
fn explained(error: io::Error, network: &Network) -> io::Error {
    match network.kind {
        Kind::Broadcast(_) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let own = network.own;
            let message = format!(
                "no interface of this machine has this broadcast address: write the one of the subnet of {own}, or the word unicast"
            );
            io::Error::new(error.kind(), message)
        }
        _ => error,
    }
}

/// The one address to which datagrams to all are sent, if there is one.
fn group(network: &Network, interface: &Interface) -> Option<SocketAddr> {
    if !network.peers.iter().any(|peer| peer.near) {
        return None;
    }
    network.kind.group().map(|group| scoped(group, network.port, interface))
}

fn own_socket(
    network: &Network,
    address: SocketAddr,
    interface: &Interface,
    around: Surroundings,
) -> io::Result<Socket> {
    let socket = udp_socket(address)?;
    platform::claim(&socket)?;
    socket.bind(&address.into())?;
    match network.kind {
        Kind::Multicast(IpAddr::V4(_)) => {
            platform::send_through(&socket, interface)?;
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(around.shared_host)?;
        }
        Kind::Multicast(IpAddr::V6(_)) => {
            platform::send_through(&socket, interface)?;
            socket.set_multicast_hops_v6(1)?;
            socket.set_multicast_loop_v6(around.shared_host)?;
        }
        Kind::Broadcast(_) => socket.set_broadcast(true)?,
        Kind::Unicast => {}
    }
    Ok(socket)
}

/// Receives the group with a separate socket, or with the network's own socket, depending on the platform.
fn group_socket(
    network: &Network,
    own: &Socket,
    address: SocketAddr,
    interface: &Interface,
) -> io::Result<Option<Socket>> {
    let made = if platform::BINDS_TO_GROUP { Some(udp_socket(address)?) } else { None };
    let listener = made.as_ref().unwrap_or(own);
    platform::hear_only_own_groups(listener, address.ip());
    if let Some(socket) = &made {
        platform::hear_only_others(socket, SocketAddr::new(network.own, network.port));
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
    }
    if let Kind::Multicast(group) = network.kind {
        platform::join(listener, group, interface)?;
    }
    Ok(made)
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    platform::enlarge_buffers(&socket, BUFFER_SIZE);
    platform::coalesce(&socket);
    Ok(socket)
}

/// The address, with the interface in it if it is a link-local one.
fn scoped(ip: IpAddr, port: u16, interface: &Interface) -> SocketAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() || ip.is_multicast() => {
            SocketAddrV6::new(ip, port, 0, interface.index).into()
        }
        _ => SocketAddr::new(ip, port),
    }
}
