//! Notices for an operator about networks, and their texts.

use std::fmt;
use std::net::IpAddr;

use super::health::{Differs, PathState};
use crate::wire::{DaemonId, Incarnation, NetworkId};

/// Something about the networks that an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The state of a path has changed.
    Path {
        /// The other daemon.
        daemon: DaemonId,
        /// The network.
        network: NetworkId,
        /// Its state in the last notice.
        before: PathState,
        /// Its state now.
        state: PathState,
    },
    /// A packet that was sent on one network came on another: crossed cables, or two networks that are one.
    Crossed {
        /// The sender.
        daemon: DaemonId,
        /// Where it was sent.
        sent: NetworkId,
        /// Where it came.
        came: NetworkId,
    },
    /// Another daemon runs with this one's identity.
    SecondSelf {
        /// The network on which it is heard.
        network: NetworkId,
        /// The life of this one.
        life: Incarnation,
        /// The other host.
        other: Host,
    },
    /// Two hosts run as one daemon.
    Clones {
        /// The daemon.
        daemon: DaemonId,
        /// The two hosts. The first one is heard.
        hosts: [Host; 2],
    },
    /// Datagrams above a length vanish on a network, though its interface takes longer ones.
    ShortPath {
        /// A daemon that these datagrams do not reach.
        daemon: DaemonId,
        /// The network.
        network: NetworkId,
        /// Bytes of the longest datagram that passes.
        passes: u16,
        /// Bytes of the longest datagram that this machine's interface takes.
        interface: u16,
    },
    /// A daemon has another configuration; it cannot join this system.
    OtherTable {
        /// The daemon.
        daemon: DaemonId,
        /// The parts that differ.
        differs: Differs,
    },
    /// A daemon of this system uses other settings.
    OtherSettings {
        /// The daemon.
        daemon: DaemonId,
        /// The parts that differ.
        differs: Differs,
    },
    /// This daemon has read a new membership table. It changes to the table when the other daemon has read it too.
    WaitsForOther {
        /// The daemon.
        daemon: DaemonId,
    },
    /// Another daemon has read a new membership table. It changes to the table when this daemon has read it too.
    OtherWaits {
        /// The daemon.
        daemon: DaemonId,
    },
    /// Datagrams are dropped before anything is believed of them.
    Refused {
        /// The network on which the latest one came.
        network: NetworkId,
        /// Where it came from.
        source: IpAddr,
        /// Why.
        reason: Reason,
        /// How many there were since the last notice of this kind.
        count: u64,
    },
}

/// A host that runs as a daemon which is running elsewhere too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The life of its daemon.
    pub life: Incarnation,
    /// Where its latest datagram came from; `None` if that came through another daemon.
    pub address: Option<IpAddr>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "the host at {address} with the life {}", self.life),
            None => write!(f, "the host with the life {}", self.life),
        }
    }
}

/// Why a datagram is dropped before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It comes from an address that is no daemon's.
    ForeignSource,
    /// No key opens it, or it is not sealed at all.
    NotOpened,
    /// It is sealed, and this daemon has no key.
    Sealed,
    /// It is of another version of the protocol between daemons.
    OtherVersion(u8),
    /// Its bytes are no packet, or no packet of the kind that it says.
    Malformed,
    /// It says what no daemon can say.
    Impossible,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ForeignSource => f.write_str("no daemon of the configuration has this address"),
            Reason::NotOpened => f.write_str("wrong key or not sealed"),
            Reason::Sealed => f.write_str("it is sealed, and this daemon has no key file"),
            Reason::OtherVersion(version) => {
                write!(
                    f,
                    "another version of the protocol between daemons ({version}): run the same release everywhere"
                )
            }
            Reason::Malformed => f.write_str("it is no packet of a daemon"),
            Reason::Impossible => f.write_str("no daemon says this: it is forged, or was damaged on its way"),
        }
    }
}

impl Reason {
    /// How many reasons there are.
    pub(super) const COUNT: usize = 6;

    /// Its place in a list of all.
    pub(super) fn number(self) -> usize {
        match self {
            Reason::ForeignSource => 0,
            Reason::NotOpened => 1,
            Reason::Sealed => 2,
            Reason::OtherVersion(_) => 3,
            Reason::Malformed => 4,
            Reason::Impossible => 5,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Path { daemon, network, before, state } => {
                write!(f, "{daemon} on network {}: {state}, was {before}", network.0)
            }
            Notice::Crossed { daemon, sent, came } => {
                let (sent, came) = (sent.0, came.0);
                write!(
                    f,
                    "what {daemon} sends on network {sent} comes on network {came}: are cables crossed, or is it one network?"
                )
            }
            Notice::Refused { network, source, reason, count: 0 | 1 } => {
                write!(f, "a datagram from {source} on network {} is dropped: {reason}", network.0)
            }
            Notice::Refused { network, source, reason, count } => {
                let network = network.0;
                write!(
                    f,
                    "{count} datagrams are dropped since the last such line, one from {source} on network {network}: {reason}"
                )
            }
            Notice::SecondSelf { network, life, other } => {
                // Both hosts compare the same two lives, so exactly one of them gives way.
                let who = if other.life.0 < life.0 { "this one gives way" } else { "the other one gives way" };
                write!(
                    f,
                    "another host runs as this daemon, which has the life {life}: {other} on network {}; {who}, stop one of them",
                    network.0
                )
            }
            Notice::Clones { daemon, hosts: [heard, dropped] } => {
                write!(
                    f,
                    "two hosts run as {daemon}: {heard} is heard, {dropped} gives way and is not heard meanwhile; stop one of them"
                )
            }
            Notice::ShortPath { daemon, network, passes, interface } => {
                write!(
                    f,
                    "datagrams of {interface} bytes vanish on network {} on the way to {daemon}, those of {passes} bytes arrive: \
                     packets are made shorter; let all switches and interfaces of this network take the same length",
                    network.0
                )
            }
            Notice::OtherSettings { daemon, differs } => {
                write!(f, "{daemon} uses other settings: {differs} should be the same in both files")
            }
            Notice::WaitsForOther { daemon } => write!(
                f,
                "the daemons and networks stay as they are until {daemon} has read the new file too: reload it there"
            ),
            Notice::OtherWaits { daemon } => write!(
                f,
                "{daemon} has read a file with other daemons or networks and waits for this one to read it too: reload it here"
            ),
            Notice::OtherTable { daemon, differs } => {
                write!(
                    f,
                    "{daemon} has another configuration, so it is not heard: {differs} must be the same in both files"
                )
            }
        }
    }
}
