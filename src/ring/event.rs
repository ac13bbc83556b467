//! What a ring hands to the level above: configurations and messages, in one order.

use crate::wire::{DaemonId, Payload, RingId, Service};

/// A configuration as extended virtual synchrony defines it: the daemons that share deliveries from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Regular, or the transitional one that leads to the next regular one.
    pub kind: ConfigurationKind,
    /// The ring: the new one for a regular configuration, the one being left for a transitional one.
    pub ring: RingId,
    /// The members in ring order (the order of the daemons in the configuration file), the same list at every member.
    pub members: Vec<DaemonId>,
    /// The ring of the next regular configuration. Only a transitional configuration has one. The ring that is left and this one
    /// together distinguish it from all other transitional configurations.
    pub next: Option<RingId>,
}

/// The two kinds of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationKind {
    /// Messages are originated and delivered with all promises.
    Regular,
    /// The messages that the old ring still owes are delivered, among the daemons that leave it together. No message is
    /// originated in it.
    Transitional,
}

/// A message at its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The daemon that sent it.
    pub origin: DaemonId,
    /// The promise with which it was sent.
    pub service: Service,
    /// Its bytes.
    pub payload: Payload,
    /// Whether it has a number in its ring. A message without a number may be known only to the daemons that left the ring
    /// together with its origin.
    pub numbered: bool,
}

/// An event for the level above, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingEvent {
    /// A configuration begins.
    Configuration(Configuration),
    /// A message is delivered.
    Message(Message),
}
