//! The daemon around the node: one thread that polls sockets, reads the clock and carries out what the node decides.
//!
//! Nothing here decides about order, membership or clients. `run` is the loop; `transmit` carries packets from the node to
//! [`crate::net`]; `listen` and `clients` hold the clients' connections; `monitor` and `control` serve operators; `setup` turns
//! settings into [`Options`]. Signal handlers and the output of the log belong to the program.
#![expect(clippy::disallowed_types, reason = "above the I/O line")]

mod clients;
mod clock;
#[cfg(unix)]
mod control;
mod denied;
#[cfg(unix)]
mod entrance;
mod handle;
mod identity;
mod intake;
mod journal;
mod key_file;
mod listen;
mod members;
mod memory;
mod monitor;
mod origin;
#[cfg(unix)]
mod passed;
mod passwords;
mod progress;
mod records;
mod reload;
mod run;
mod setup;
mod silence;
mod spell;
mod stream;
mod tally;
#[cfg(test)]
mod testing;
mod transmit;
#[cfg(unix)]
mod unix_socket;
mod vanished;

pub mod embedded;
pub mod files;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::thread;

pub use handle::{Exit, Handle, Outcome, Program, Status};
pub use identity::Identity;
pub use journal::Happening;
pub use key_file::{KeyFileError, make_key_file, read_key_file};
pub use listen::ListenError;
pub use progress::{PathEvent, RunState};
pub use reload::{ReloadError, Reloaded};
pub use run::Daemon;

use crate::config::{ClientAddresses, Settings};
pub use crate::multipath::{Path, PathState};
use crate::net;
use crate::node::NodeSettings;
use crate::ring::RingSettingsError;

/// How a daemon is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The daemon itself.
    pub node: NodeSettings,
    /// Its networks, in order.
    pub networks: Vec<net::Network>,
    /// The TCP port for clients.
    pub client_port: u16,
    /// The addresses on which TCP clients can connect.
    pub client_addresses: ClientAddresses,
    /// The unix sockets for clients. Clients look in `/run/spread` and in `/tmp` for a socket named after the port.
    pub unix_sockets: Vec<PathBuf>,
    /// The places for the control socket: the first one that can be opened is used.
    pub control_sockets: Vec<PathBuf>,
    /// The user and group that will own the socket files, if the daemon changes its user after it has opened them.
    pub owner: Option<(u32, u32)>,
    /// The segment of each daemon, in the order of the ring, for monitors.
    pub segments: Vec<usize>,
    /// The settings of the file; a reload is compared with them.
    pub settings: Settings,
    /// How many descriptors this process may open, if that is known.
    pub descriptors: Option<usize>,
    /// A file that keeps the last ring's sequence across restarts, for machines whose clock may go back.
    pub state_file: Option<PathBuf>,
}

/// Why a daemon did not start.
#[derive(Debug)]
pub enum StartError {
    /// The settings of the ring break a rule.
    Ring(RingSettingsError),
    /// A port between daemons cannot be opened.
    Network(net::OpenError),
    /// An address for clients cannot be opened.
    Clients(ListenError),
    /// The settings name a key file, but its keys were not read: packets would not be sealed.
    NoKeys,
    /// The system refused something basic, such as a thread or a poll.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Ring(error) => error.fmt(f),
            StartError::Network(error) => error.fmt(f),
            StartError::Clients(error) => error.fmt(f),
            StartError::NoKeys => {
                f.write_str("KeyFile is set, but its keys were not read: call Options::read_files first")
            }
            StartError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Ring(error) => Some(error),
            StartError::Network(error) => Some(error),
            StartError::Clients(error) => Some(error),
            StartError::NoKeys => None,
            StartError::System(error) => Some(error),
        }
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error)
    }
}

/// A daemon on a thread of its own. Dropping it stops the daemon.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

/// Starts a daemon on a thread of its own; its ports are open when this returns.
pub fn spawn(options: Options) -> Result<Running, StartError> {
    let daemon = Daemon::start(options)?;
    let handle = daemon.handle();
    let thread = thread::Builder::new().name("spread".to_string()).spawn(|| daemon.run())?;
    Ok(Running { handle, thread: Some(thread) })
}

impl Running {
    /// The handle through which other threads use the daemon.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Leaves the ring, closes everything and waits until that is done.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged when it happened.
            let _ = thread.join();
        }
    }
}
