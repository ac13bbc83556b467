//! Torc: ordered group messaging over several networks at once.
//!
//! A token ring gives total order and extended virtual synchrony; every packet may travel on all networks, so that a network
//! can fail without anyone noticing. `ARCHITECTURE.md` is the map.
//!
//! # The contract of the core
//!
//! Everything below the I/O line ([`wire`], [`ring`], [`multipath`], [`groups`], [`session`], [`node`]) does no I/O. Each level
//! has the same verbs:
//!
//! - `handle_*(now, input)` takes one input from outside,
//! - `poll_*()` hands out what it led to: packets to transmit, events for the level above, the time of the next timeout.
//!
//! One input, then drain every output, then wait for the next input or for `poll_timeout`. `now` never goes back. Time is an
//! argument and chance is a seed, so one seed replays one history.

pub mod counters;
#[doc(hidden)]
pub mod rng;
mod system;
pub mod time;

pub mod wire;

pub mod config;
pub mod groups;
pub mod multipath;
pub mod node;
pub mod ring;
pub mod seal;
pub mod session;

pub mod client;
pub mod daemon;
pub mod ffi;
pub mod net;
pub mod pipe;
