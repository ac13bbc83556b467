//! What a network is, in plain values: nothing here knows a configuration file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::wire::DaemonId;

/// One network as this daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// How a packet reaches many daemons.
    pub kind: Kind,
    /// The UDP port of this daemon and of the group.
    pub port: u16,
    /// This daemon's address.
    pub own: IpAddr,
    /// Every other daemon that is on the network.
    pub peers: Vec<Peer>,
    /// The interface, by name, if the address alone does not say.
    pub interface: Option<String>,
}

/// How a packet reaches many daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent once, to this group.
    Multicast(IpAddr),
    /// Sent once, to this broadcast address of the subnet.
    Broadcast(Ipv4Addr),
    /// Sent to each in turn.
    Unicast,
}

impl Kind {
    /// The address that reaches many, if there is one.
    pub fn group(self) -> Option<IpAddr> {
        match self {
            Kind::Multicast(group) => Some(group),
            Kind::Broadcast(group) => Some(group.into()),
            Kind::Unicast => None,
        }
    }
}

/// Another daemon on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub daemon: DaemonId,
    /// Where it receives.
    pub address: SocketAddr,
    /// Whether it is meant by what is sent to all on the network: it is at the same site.
    pub near: bool,
}
