//! Notifies the service manager: the daemon is ready when its first ring is formed; it is alive as long as its loop runs; it reloads;
//! it stops. Without a service manager nothing is sent.
//!
//! Notifications are datagrams, as sd_notify(3) describes them. The loop never waits for their reader.

use std::env;
use std::io;
#[cfg(unix)]
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use spread::daemon::Status;
use tracing::{debug, info};

/// The socket of the service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    /// How often to notify it that the daemon is alive.
    interval: Option<Duration>,
}

impl Manager {
    /// The service manager that started this process.
    pub fn of_this_process() -> Manager {
        let socket = env::var("NOTIFY_SOCKET").ok().and_then(|place| {
            let socket = connect(&place);
            socket.inspect_err(|error| debug!(place, %error, "the service manager cannot be reached")).ok()
        });
        // Several times within the time that it allows, because one notification may be late.
        Manager { socket, interval: watchdog().map(|allowed| allowed / 4) }
    }

    /// The daemon begins to read its files again.
    pub fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", spread::client::monotonic().as_micros()));
    }

    /// It has read them.
    pub fn reloaded(&self) {
        self.say("READY=1");
    }

    /// The daemon stops on request.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Sends a notification. True if it was sent, or if there is no service manager.
    fn say(&self, words: &str) -> bool {
        let Some(socket) = &self.socket else { return true };
        let sent = socket.send(words.as_bytes());
        sent.inspect_err(|error| debug!(%error, "the service manager cannot be notified")).is_ok()
    }
}

/// The facts about the daemon that the service manager already has.
#[derive(Debug)]
pub struct Reporter<'a> {
    manager: &'a Manager,
    ready: bool,
    alive: Option<Instant>,
    status: String,
}

impl Reporter<'_> {
    /// Before the first ring.
    pub fn new(manager: &Manager) -> Reporter<'_> {
        Reporter { manager, ready: false, alive: None, status: String::new() }
    }

    /// The daemon's loop has a new status.
    pub fn on_status(&mut self, status: &Status) {
        let daemons = status.configuration.as_ref().map_or(0, |configuration| configuration.members.len());
        if !self.ready && daemons > 0 && self.manager.say("READY=1") {
            self.ready = true;
            info!(name: "ready", daemons, "the first ring is formed");
        }
        let line = format!("STATUS={daemons} daemons in the ring, {} clients", status.clients);
        if line != self.status && self.manager.say(&line) {
            self.status = line;
        }
        let due = |interval| self.alive.is_none_or(|alive| alive.elapsed() >= interval);
        if self.manager.interval.is_some_and(due) && self.manager.say("WATCHDOG=1") {
            self.alive = Some(Instant::now());
        }
    }
}

/// This system has no such service manager.
#[cfg(not(unix))]
#[derive(Debug)]
enum UnixDatagram {}

#[cfg(not(unix))]
impl UnixDatagram {
    fn send(&self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }
}

#[cfg(not(unix))]
fn connect(_: &str) -> io::Result<UnixDatagram> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn connect(place: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match place.strip_prefix('@') {
        None => socket.connect(place)?,
        Some(name) => connect_abstract(&socket, name)?,
    }
    Ok(socket)
}

/// Connects to a name outside the file system.
#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

/// Other systems have no such names.
#[cfg(all(unix, not(target_os = "linux")))]
fn connect_abstract(_: &UnixDatagram, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long the service manager waits for a notification, if it watches this process.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_meant = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
    if !is_meant {
        return None;
    }
    number("WATCHDOG_USEC").map(Duration::from_micros)
}
