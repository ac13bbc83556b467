//! Whole daemons with clients: histories in which clients connect, join, send, read slowly, leave and come back while the networks
//! fail, and a checker that sees only what each client asked for and what its socket got.

mod checker;
mod client;
mod crowd;
mod frames;
mod histories;
mod journal;
mod node_daemon;

pub use histories::hostile_history;
pub use histories::played;
