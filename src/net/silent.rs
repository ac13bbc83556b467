//! For systems that report no errors after they have accepted a datagram, or none that we read.

use std::net::SocketAddr;

use mio::net::UdpSocket;

/// Nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    /// Always empty.
    pub refused: Vec<SocketAddr>,
    /// Never known.
    pub packet_limit: Option<usize>,
    /// Always 0.
    pub count: usize,
}

impl Complaints {
    /// There are none.
    pub(super) fn take(_socket: &UdpSocket) -> Complaints {
        Complaints::default()
    }
}
