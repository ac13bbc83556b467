//! The blocking client: a mailbox at a daemon, for Rust programs and for the C functions of `ffi`.
//!
//! ```no_run
//! use spread::client::{ConnectOptions, Mailbox, Received};
//! use spread::wire::{FrameType, Name};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions { daemon: "4803".into(), private_name: "alice".into(), ..Default::default() };
//! let mailbox = Mailbox::connect(&options)?;
//! let group = Name::new(b"chat").expect("short");
//! mailbox.join(group)?;
//! mailbox.multicast(FrameType::SAFE, &[group], 0, b"hello")?;
//! loop {
//!     match mailbox.receive()? {
//!         Received::Message(message) => println!("{}: {}", message.sender, message.body.escape_ascii()),
//!         Received::View(view) => println!("{} has {} members", view.group, view.members.len()),
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! One thread may receive while others send. A mailbox leaves in the socket what it has not handed out, so its descriptor is
//! readable for select and poll whenever a message waits.

#![expect(clippy::disallowed_types, reason = "above the I/O line: connecting has a deadline")]

mod address;
mod ahead;
mod auth;
mod error;
pub mod events;
pub mod flush;
mod handshake;
mod limit;
mod mailbox;
mod membership;
mod outlet;
mod platform;
mod received;
mod receiving;
pub mod registry;
mod transport;
#[cfg(unix)]
pub mod trust;

pub use address::Address;
pub use auth::{AuthMethod, Conversation};
pub use error::{ConnectError, GroupError, Lost, MembershipError, ReceiveError, SendError};
pub use mailbox::{ConnectOptions, Mailbox};
pub use membership::{BodyBytes, MembershipReader, VsSet};
#[cfg(unix)]
pub use platform::ignore_default_sigpipe;
pub use platform::{doze, monotonic, wait_for};
pub use received::{Message, Received, View};
pub use receiving::{Excess, Fate, MessageHead, Room};
