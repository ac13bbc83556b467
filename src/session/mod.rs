//! One client's conversation with its daemon, without I/O.

/// What clients must show and may use.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// Where a client's connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The unix socket.
    Unix,
    /// TCP from this address.
    Tcp(std::net::IpAddr),
}
