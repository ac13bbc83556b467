//! The tree of a configuration file: what is written where, before any rule beyond the grammar.
//!
//! ```text
//! file       = { segment | parameter | routes | stanza }
//! segment    = "Spread_Segment" network { network } "{" { daemon } "}"
//! network    = address | "unicast" | "unicast:PORT"
//! daemon     = [ name ] { address } [ virtual ] [ "{" interface { interface } "}" ] [ virtual ] [ ";" ]
//! virtual    = "VirtualID" "=" number
//! interface  = { "D" | "C" | "M" } address
//! routes     = "RouteMatrix" "{" { number } "}"
//! stanza     = "Network" number "{" { key "=" value } "}"
//! key        = "Name" | "Mode" | "Port" | "Interface" | "Priority"
//! parameter  = keyword [ "=" value ]
//! ```
//!
//! The classic grammar has one network a segment and at most one address after a name. Names may be missing and the last two parts
//! of a daemon are from 5.x. In a segment with one network an address that begins a line begins a daemon without a name.

use super::address::Endpoint;
use super::draft::Draft;
use super::error::Position;

/// Something and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub value: T,
    pub at: Position,
}

/// A whole file; its parameters are stored as they are read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub segments: Vec<SegmentSyntax>,
    pub draft: Draft,
    pub networks: Vec<NetworkStanza>,
}

/// `Network N { ... }`
#[derive(Debug)]
pub(super) struct NetworkStanza {
    pub at: Position,
    pub number: Spanned<u32>,
    pub name: Option<Spanned<String>>,
    pub mode: Option<Spanned<NetworkMode>>,
    pub port: Option<Spanned<u32>>,
    pub interface: Option<Spanned<String>>,
    pub priority: Option<Spanned<u8>>,
}

/// How a network is said to reach all daemons of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkMode {
    Multicast,
    Broadcast,
    Unicast,
}

/// `Spread_Segment ...`
#[derive(Debug)]
pub(super) struct SegmentSyntax {
    pub at: Position,
    pub networks: Vec<Spanned<NetworkSyntax>>,
    pub daemons: Vec<DaemonSyntax>,
}

/// What stands between `Spread_Segment` and the brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkSyntax {
    Address(Endpoint),
    Unicast { port: Option<u32> },
}

/// One daemon of a segment.
#[derive(Debug)]
pub(super) struct DaemonSyntax {
    pub name: Spanned<String>,
    pub addresses: Vec<Spanned<Endpoint>>,
    pub interfaces: Option<Vec<InterfaceSyntax>>,
    /// Where `VirtualID` stands.
    pub virtual_id: Option<Position>,
}

impl DaemonSyntax {
    /// Whether it has no name but that of its address.
    pub(super) fn is_nameless(&self) -> bool {
        self.addresses.first().is_some_and(|address| address.at == self.name.at)
    }
}

/// One line of a daemon's block. The letter M has no meaning and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceSyntax {
    pub traffic: bool,
    pub clients: bool,
    pub address: Spanned<Endpoint>,
}
