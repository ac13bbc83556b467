//! Sockets, one set per network, so that the networks can be distinguished.
//!
//! Only a port held by another process is an error at start; everything else is retried. A link of an absent or broken network is checked
//! every second, and at once when the system reports a change. A successful send proves nothing about a path, so failures are only counted and
//! reported at a bounded rate; path health comes from received packets.
//!
//! `links` is the interface of this part, `link` one network, `open` its sockets. Each platform has a file (`linux`, `other_unix`, `windows`), and one of
//! two ways to move datagrams: `mmsg` in batches, `plain` one by one. `watch` and `complaints` receive reports of the kernel; `queue` keeps
//! datagrams for which the kernel has no room; `wires` detects networks that are not separate.

mod change;
#[cfg(target_os = "linux")]
mod complaints;
mod counters;
mod delivery;
mod link;
mod links;
mod open;
mod queue;
mod settings;
mod uptime;
mod wires;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(all(unix, not(target_os = "linux")))]
mod other_unix;
#[cfg(any(test, not(target_os = "linux")))]
mod plain;
#[cfg(not(target_os = "linux"))]
mod silent;
#[cfg(unix)]
mod unix;
#[cfg(not(target_os = "linux"))]
mod unwatched;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use {complaints::Complaints, linux as platform, mmsg::Batches, watch::InterfaceWatch};
#[cfg(all(unix, not(target_os = "linux")))]
use {other_unix as platform, plain::Batches, silent::Complaints, unwatched::InterfaceWatch};
#[cfg(windows)]
use {plain::Batches, silent::Complaints, unwatched::InterfaceWatch, windows as platform};

pub use counters::Counters;
pub(crate) use delivery::{Delivery, delivery};
pub use link::Runs;
pub use links::{LinkStatus, Links, SOCKET_LIMIT, SocketId, TOKEN_LIMIT};
pub use open::OpenError;
pub(crate) use platform::claim;
pub use platform::{local_addresses, local_subnets, raise_descriptor_limit};
pub use settings::{Kind, Network, RemoteDaemon};
pub(crate) use uptime::uptime;
pub use wires::shared_wires;

use std::net::IpAddr;

use crate::wire::{DaemonId, NetworkId, Slice};

/// A datagram to send: its two parts, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Sent first.
    pub header: &'a [u8],
    /// Sent after the header.
    pub body: &'a [u8],
}

/// A datagram that came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Its source address, which anybody can forge.
    pub source: IpAddr,
    /// Its payload.
    pub bytes: Slice,
}

/// Whether datagrams that came together share a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// They do, which costs least.
    Shared,
    /// Each has its own, so that it can be changed in its place.
    Own,
}

impl Datagram<'_> {
    fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// Whether a socket may have more datagrams after a bounded number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// Perhaps more: ask again before waiting.
    Unknown,
    /// Nothing: the poll will tell when something comes.
    Nothing,
}

/// A batch of datagrams from a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Intake {
    remainder: Remainder,
    /// How many datagrams were thrown away because they came by another interface.
    foreign: u64,
}

/// A change of this machine's side of a network, or a report of the system about the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The link works.
    Up(NetworkId),
    /// The link does not work, and why.
    Down(NetworkId, String),
    /// Datagrams of at most this many bytes leave whole from now on.
    Limit(NetworkId, usize),
    /// The machine of this daemon reports that nobody listens at its port on this network. The report can be forged.
    Refused(NetworkId, DaemonId),
}

/// One of this machine's addresses and the interface that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    name: String,
    /// 0 where the platform does not tell.
    index: u32,
    address: IpAddr,
    /// How many bits of the address are its subnet's; all where the platform does not tell.
    prefix: u8,
    /// Switched on and with a carrier.
    running: bool,
}

impl Interface {
    /// Whether an address lies in the subnet of this one.
    fn has_in_subnet(&self, other: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
            (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
            _ => false,
        }
    }
}
