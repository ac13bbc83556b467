//! The tree of a configuration file: the words and their places, checked by the grammar and by no other rule.
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
//! In the classic grammar a segment has one network, and at most one address follows a name. A daemon may have no name, and its
//! last two parts are from version 5.x. In a segment with one network, an address at the beginning of a line begins a daemon
//! without a name.

use super::address::Endpoint;
use super::draft::Draft;
use super::error::Position;

/// A value and its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub value: T,
    pub at: Position,
}

/// A whole file. The parser stores each parameter in the draft as it reads it.
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

/// The mode of a network in its stanza: how a packet reaches all daemons of a segment.
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

/// A network between `Spread_Segment` and the brace.
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
    /// The place of `VirtualID`.
    pub virtual_id: Option<Position>,
}

impl DaemonSyntax {
    /// Whether the file gives it no name, so that its address is its name.
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
