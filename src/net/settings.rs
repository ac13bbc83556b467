//! The description of a network in plain values: nothing here reads a configuration file.

use std::net::{IpAddr, SocketAddr};

pub use crate::config::NetworkKind as Kind;
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
    pub peers: Vec<RemoteDaemon>,
    /// The interface, by name, if the address alone does not say.
    pub interface: Option<String>,
}

/// Another daemon on a network, and its address there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteDaemon {
    /// Its id.
    pub daemon: DaemonId,
    /// Where it receives.
    pub address: SocketAddr,
    /// Whether datagrams to all on the network are meant for it: it is at the same site.
    pub near: bool,
}
