//! The identities that packets carry, and the delivery promise.

use std::fmt;

/// A daemon: the IPv4 address that names it in the configuration, as a number. Never 0, which stands for nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DaemonId(pub u32);

impl DaemonId {
    /// How many daemons a system has at most, and so a ring, a list in a packet and a report.
    pub const LIMIT: usize = 128;

    /// The wire form of an optional daemon: 0 for none.
    pub const fn to_wire(id: Option<DaemonId>) -> u32 {
        match id {
            Some(DaemonId(number)) => number,
            None => 0,
        }
    }

    /// The optional daemon behind a wire number.
    pub const fn from_wire(number: u32) -> Option<DaemonId> {
        if number == 0 { None } else { Some(DaemonId(number)) }
    }
}

impl fmt::Debug for DaemonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DaemonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&std::net::Ipv4Addr::from(self.0), f)
    }
}

/// One of up to eight separate LANs, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub u8);

impl NetworkId {
    /// How many networks one ring may use.
    pub const LIMIT: usize = 8;
}

/// One life of a daemon process. Two lives of the same daemon differ; nothing else is promised, not even an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// The identity of one ring: who formed it, and a number larger than that of any ring its members were in before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    /// Larger than the sequence of every earlier ring of every member.
    pub sequence: u64,
    /// The member with the lowest id, which formed the ring.
    pub representative: DaemonId,
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.representative, self.sequence)
    }
}

/// The delivery promise of a message, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// May be lost, any order.
    Unreliable = 1,
    /// Not lost while sender and receiver stay connected; no order.
    Reliable = 2,
    /// Reliable, and in the order of its sender.
    Fifo = 3,
    /// Consistent with causality.
    Causal = 4,
    /// One total order at all receivers.
    Agreed = 5,
    /// Agreed, and only when every daemon of the configuration has it.
    Safe = 6,
}

impl Service {
    /// The service with this wire number.
    pub const fn from_wire(number: u8) -> Option<Service> {
        match number {
            1 => Some(Service::Unreliable),
            2 => Some(Service::Reliable),
            3 => Some(Service::Fifo),
            4 => Some(Service::Causal),
            5 => Some(Service::Agreed),
            6 => Some(Service::Safe),
            _ => None,
        }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Unreliable => "unreliable",
            Service::Reliable => "reliable",
            Service::Fifo => "fifo",
            Service::Causal => "causal",
            Service::Agreed => "agreed",
            Service::Safe => "safe",
        })
    }
}
