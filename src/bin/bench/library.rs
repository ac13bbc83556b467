//! The measured library, as the benchmark uses it: it opens sessions. `classic` is any library with the classic C interface, such as
//! ours; `cpg` is that of corosync.

use std::sync::Arc;

use super::{classic, cpg};

/// The service of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Reliable,
    Fifo,
    Causal,
    Agreed,
    Safe,
}

impl Service {
    pub const ALL: [Service; 5] = [Service::Reliable, Service::Fifo, Service::Causal, Service::Agreed, Service::Safe];

    /// Its name in arguments and records.
    pub fn name(self) -> &'static str {
        match self {
            Service::Reliable => "reliable",
            Service::Fifo => "fifo",
            Service::Causal => "causal",
            Service::Agreed => "agreed",
            Service::Safe => "safe",
        }
    }

    /// The service of this name.
    pub fn parse(name: &str) -> Result<Service, String> {
        let found = Service::ALL.into_iter().find(|service| service.name() == name);
        found.ok_or_else(|| format!("{name} is not a service: reliable, fifo, causal, agreed or safe"))
    }

    /// Whether all receivers must get all messages in one order.
    pub fn is_total(self) -> bool {
        matches!(self, Service::Agreed | Service::Safe)
    }
}

/// What a session received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of this many bytes, which are in the buffer.
    Message(usize),
    /// A view with this many members.
    View(usize),
    /// Anything else.
    Other,
}

/// Whether a session receives the views of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    Wanted,
    Unwanted,
}

/// A library.
pub trait Library: Send + Sync {
    /// Opens a session at a daemon.
    fn connect(&self, daemon: &str, name: &str, views: Views) -> Result<Arc<dyn Session>, String>;
}

/// A session. One thread may send while another receives.
pub trait Session: Send + Sync {
    fn join(&self, group: &str) -> Result<(), String>;
    fn leave(&self, group: &str) -> Result<(), String>;
    fn multicast(&self, service: Service, group: &str, body: &[u8]) -> Result<(), String>;
    /// Waits for the next message or view. A body that does not fit into the buffer is an error.
    fn receive(&self, buffer: &mut [u8]) -> Result<Received, String>;
}

/// Loads a library: `ours`, `corosync`, or the file of one with the classic interface.
pub fn load(name: &str) -> Result<Box<dyn Library>, String> {
    match name {
        "ours" => Ok(Box::new(classic::Classic::ours())),
        "corosync" => Ok(Box::new(cpg::Cpg::load()?)),
        file => Ok(Box::new(classic::Classic::load(file)?)),
    }
}
