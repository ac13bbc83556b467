//! The doors where clients come in: TCP ports and the unix socket.
//!
//! A port in use is an error at start. An address that the machine does not have yet is tried again every second. Without the unix
//! socket clients still come by TCP: several daemons of one machine may share a port number, and only one of them has the file.

mod change;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
#[cfg(unix)]
use tracing::{debug, error};
use tracing::{info, warn};

#[cfg(unix)]
use super::passed::Passed;
use super::spell::Spell;
use super::stream::Stream;
#[cfg(unix)]
use super::unix_socket::{Access, Occupied, UnixSocket};
use crate::config::ClientAddresses;
use crate::net::{self, local_addresses};
use crate::session::Peer;
use crate::time::{Duration, Instant};

/// Everybody on the machine may connect to the unix socket; the session decides who may stay.
#[cfg(unix)]
const UNIX_MODE: u32 = 0o666;
/// How many connections may wait to be accepted.
const ACCEPT_BACKLOG: i32 = 1024;
/// How long no client is accepted after the system ran out of descriptors.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);
/// The pause before the doors for clients of this machine are looked at again when these have passed too much.
const HELD_PAUSE: Duration = Duration::from_millis(20);
/// How often a missing address is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time-out of a connection that tests whether a port is served.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// Failed accepts in a row before the loop turns to other work.
const FAILURE_LIMIT: usize = 16;

/// An address for clients cannot be opened.
#[derive(Debug)]
pub struct ListenError {
    /// The place: an address and port, or a file.
    pub place: String,
    /// The system's reason.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error.kind() {
            ErrorKind::AddrInUse => write!(f, "{} is in use: is another spread running?", self.place),
            _ => write!(f, "{}: {}", self.place, self.error),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// All doors.
#[derive(Debug)]
pub(super) struct Listeners {
    registry: Registry,
    first_token: usize,
    /// The TCP port.
    port: u16,
    /// A door's index gives its poll token. A new door takes the index of a closed one.
    doors: Vec<Door>,
    /// Clients that had connected to doors when these were closed.
    late: VecDeque<(Stream, Peer)>,
    /// No client is accepted before this.
    paused: Option<Instant>,
    /// The time in which the system has no descriptors left. Clients can cause it, and a line for each pause would fill the log.
    shortage: Spell,
    /// Clients of this machine are held back until then: they have passed too much.
    held: Option<Instant>,
    /// When missing doors are tried again.
    retry: Option<Instant>,
}

#[derive(Debug)]
struct Door {
    listener: Listener,
    /// A client may be waiting.
    ready: bool,
}

#[derive(Debug)]
enum Listener {
    /// A place that a new door may take.
    Closed,
    /// An address that the machine does not have yet, or whose port is still held.
    Missing(SocketAddr),
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket, Passed),
}

impl Door {
    /// Whether nobody is let in here now.
    fn is_held(&self) -> bool {
        match &self.listener {
            #[cfg(unix)]
            Listener::Unix(_, passed) => passed.is_full(),
            _ => false,
        }
    }
}

impl Listeners {
    /// How many doors there may be, each with a poll token: the ten addresses of the old and of the new file, and the unix sockets.
    pub(super) const LIMIT: usize = 32;

    /// Opens the TCP doors; their poll tokens begin with `first_token`.
    pub(super) fn open(
        addresses: &ClientAddresses,
        port: u16,
        registry: Registry,
        first_token: usize,
    ) -> Result<Listeners, ListenError> {
        let mut listeners = Listeners {
            registry,
            first_token,
            port,
            doors: Vec::new(),
            late: VecDeque::new(),
            paused: None,
            shortage: Spell::default(),
            held: None,
            retry: None,
        };
        for address in tcp_addresses(addresses, port) {
            listeners.open_at(address)?;
        }
        Ok(listeners)
    }

    /// Opens a TCP door, at once or as soon as the machine has its address.
    fn open_at(&mut self, address: SocketAddr) -> Result<(), ListenError> {
        let listener = match bind(address) {
            Ok(listener) => Listener::Tcp(listener),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                warn!(
                    name: "address_missing",
                    %address,
                    "this machine does not have the address yet: clients cannot connect to it"
                );
                Listener::Missing(address)
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse && !is_served(address) => {
                warn!(
                    name: "port_held",
                    %address,
                    "connections that just ended still hold the port: clients can connect as soon as the system frees it, in a minute or two"
                );
                Listener::Missing(address)
            }
            Err(error) => return Err(ListenError { place: place(address), error }),
        };
        if matches!(listener, Listener::Missing(_)) {
            self.retry = Some(Instant::ZERO);
        }
        self.add(listener).map_err(|error| ListenError { place: place(address), error })
    }

    /// Whether clients can connect to every address that they are to find.
    pub(super) fn are_complete(&self) -> bool {
        self.doors.iter().all(|door| !matches!(door.listener, Listener::Missing(_)))
    }

    /// Opens the unix sockets. One that cannot be opened is an error only if there is no other place for clients.
    #[cfg(unix)]
    pub(super) fn open_unix(
        &mut self,
        paths: &[PathBuf],
        owner: Option<(u32, u32)>,
        passed: &Passed,
    ) -> Result<(), ListenError> {
        let access = Access { mode: UNIX_MODE, owner };
        let mut failed = None;
        for path in paths {
            if let Err(error) =
                UnixSocket::open(path, access).and_then(|socket| self.add(Listener::Unix(socket, passed.clone())))
            {
                log_closed_door(path, &error);
                failed = Some(ListenError { place: path.display().to_string(), error });
            }
        }
        match failed {
            // One open door is enough.
            Some(error) if self.doors.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// The poll reported a waiting client for this token; other tokens are ignored.
    pub(super) fn handle_event(&mut self, token: Token) {
        let door = token.0.checked_sub(self.first_token).and_then(|door| self.doors.get_mut(door));
        if let Some(door) = door {
            door.ready = true;
        }
    }

    /// Ends a pause, and tries missing doors again.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
        }
        self.held = self.held.filter(|&until| until > now);
        if self.retry.is_some_and(|at| at <= now) {
            let missing = (0..self.doors.len()).filter(|&door| !self.try_again(door)).count();
            self.retry = (missing > 0).then(|| now + RETRY_INTERVAL);
        }
    }

    /// When [`Listeners::handle_timeout`] must be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.paused.into_iter().chain(self.retry).chain(self.held).min()
    }

    /// Whether a client may be waiting that can be accepted now.
    pub(super) fn is_ready(&self) -> bool {
        !self.late.is_empty() || (self.paused.is_none() && self.doors.iter().any(|door| door.ready && !door.is_held()))
    }

    /// The next client.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(Stream, Peer)> {
        if let Some(client) = self.late.pop_front() {
            return Some(client);
        }
        if self.held.is_none() && self.doors.iter().any(|door| door.ready && door.is_held()) {
            self.held = Some(now + HELD_PAUSE);
        }
        let mut failures = 0;
        while failures < FAILURE_LIMIT && self.paused.is_none() {
            let door = self.doors.iter_mut().find(|door| door.ready && !door.is_held())?;
            match accept(&door.listener) {
                Ok(client) => {
                    self.shortage.should_log(now, false);
                    return Some(client);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => door.ready = false,
                Err(error) if is_shortage(&error) => {
                    if self.shortage.should_log(now, true) {
                        let pause = SHORTAGE_PAUSE.as_millis();
                        warn!(name: "clients_paused", %error, "no client is accepted; the daemon tries again every {pause} ms");
                    }
                    // An attempt at once would fail too, because descriptors come back only when something is closed.
                    self.paused = Some(now + SHORTAGE_PAUSE);
                }
                // Usually this client is gone already, and the next one is well.
                Err(_) => failures += 1,
            }
        }
        None
    }

    fn add(&mut self, listener: Listener) -> io::Result<()> {
        let mut door = Door { listener, ready: false };
        let is_closed = |door: &Door| matches!(door.listener, Listener::Closed);
        let place = self.doors.iter().position(is_closed).unwrap_or(self.doors.len());
        assert!(place < Listeners::LIMIT, "no file has so many addresses");
        register(&mut door.listener, &self.registry, Token(self.first_token + place))?;
        match self.doors.get_mut(place) {
            Some(closed) => *closed = door,
            None => self.doors.push(door),
        }
        Ok(())
    }

    /// Tries to open this door if it is missing. Returns whether it is open now.
    fn try_again(&mut self, number: usize) -> bool {
        let door = &mut self.doors[number];
        let Listener::Missing(address) = door.listener else { return true };
        let token = Token(self.first_token + number);
        let opened = bind(address).map(Listener::Tcp).and_then(|mut listener| {
            register(&mut listener, &self.registry, token)?;
            Ok(listener)
        });
        let Ok(listener) = opened else { return false };
        info!(name: "clients_welcome", %address, "clients can connect now");
        door.listener = listener;
        true
    }
}

/// The listed addresses, or all addresses of the machine; only those of families that the system has.
fn tcp_addresses(addresses: &ClientAddresses, port: u16) -> Vec<SocketAddr> {
    let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    let ips = match addresses {
        ClientAddresses::All => &all[..],
        ClientAddresses::Only(ips) => ips,
    };
    let known = |address: &SocketAddr| Socket::new(Domain::for_address(*address), Type::STREAM, None).is_ok();
    ips.iter().map(|&ip| SocketAddr::new(ip, port)).filter(known).collect()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has a door of its own at the same port.
        socket.set_only_v6(true)?;
    }
    // Ended connections of an earlier daemon may still hold the port. On Windows the option would let two programs use one port.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    net::claim(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whether a program accepts connections at this address. If only ended connections hold the port, none does.
fn is_served(address: SocketAddr) -> bool {
    let own = || local_addresses().unwrap_or_default().into_iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
    let ips: Vec<IpAddr> = match address.ip() {
        ip if ip.is_unspecified() => own().collect(),
        ip => vec![ip],
    };
    let connect = |ip| std::net::TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), PROBE_TIMEOUT);
    // Only a refusal proves that no program listens there.
    let serves = |ip: IpAddr| connect(ip).map_or_else(|error| error.kind() != ErrorKind::ConnectionRefused, |_| true);
    ips.into_iter().any(serves)
}

/// Logs that clients cannot use this unix socket. Outside `/tmp` a missing or forbidden directory is normal: only daemons that root
/// or a service manager starts have the runtime directory.
#[cfg(unix)]
fn log_closed_door(path: &Path, error: &io::Error) {
    let (file, is_shared) = (path.display(), path.starts_with("/tmp"));
    let occupied = error.get_ref().and_then(|error| error.downcast_ref::<Occupied>());
    match (occupied, error.kind()) {
        (Some(occupied), _) if occupied.is_stranger() => {
            error!(name: "socket_taken", %file, %error, "clients cannot use the unix socket");
        }
        (None, ErrorKind::NotFound | ErrorKind::PermissionDenied) if !is_shared => {
            debug!(%file, %error, "clients cannot use the unix socket");
        }
        (Some(_), _) => warn!(name: "socket_taken", %file, %error, "clients cannot use the unix socket"),
        (None, _) => error!(name: "socket_failed", %file, %error, "clients cannot use the unix socket"),
    }
}

fn place(address: SocketAddr) -> String {
    format!("TCP port {} of {}", address.port(), address.ip())
}

fn register(listener: &mut Listener, registry: &Registry, token: Token) -> io::Result<()> {
    let source: &mut dyn Source = match listener {
        Listener::Closed | Listener::Missing(_) => return Ok(()),
        Listener::Tcp(listener) => listener,
        #[cfg(unix)]
        Listener::Unix(socket, _) => &mut socket.listener,
    };
    registry.register(source, token, Interest::READABLE)
}

fn accept(listener: &Listener) -> io::Result<(Stream, Peer)> {
    match listener {
        Listener::Closed | Listener::Missing(_) => Err(ErrorKind::WouldBlock.into()),
        Listener::Tcp(listener) => {
            let (stream, from) = listener.accept()?;
            let stream = Stream::tcp(stream)?;
            stream.watch(from)?;
            Ok((stream, Peer::Tcp(from.ip().to_canonical())))
        }
        #[cfg(unix)]
        Listener::Unix(socket, passed) => Ok((Stream::unix(socket.listener.accept()?.0, passed)?, Peer::Unix)),
    }
}

/// Whether the process or the system has run out of something that may be free again soon.
#[cfg(unix)]
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| shortages.contains(&code))
}

#[cfg(not(unix))]
fn is_shortage(error: &io::Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use mio::{Events, Poll};

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn open(ip: IpAddr, port: u16) -> (Poll, Result<Listeners, ListenError>) {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let listeners = Listeners::open(&ClientAddresses::Only(vec![ip]), port, registry, 7);
        (poll, listeners)
    }

    fn address(listeners: &Listeners) -> SocketAddr {
        match &listeners.doors[0].listener {
            Listener::Tcp(listener) => listener.local_addr().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next client, waiting for it.
    fn accepted(poll: &mut Poll, listeners: &mut Listeners) -> (Stream, Peer) {
        let mut events = Events::with_capacity(8);
        for _ in 0..50 {
            if let Some(client) = listeners.accept(Instant::ZERO) {
                return client;
            }
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            events.iter().for_each(|event| listeners.handle_event(event.token()));
        }
        panic!("nobody came");
    }

    #[test]
    #[cfg(unix)]
    fn while_too_many_files_wait_nobody_of_this_machine_is_let_in_and_others_are() {
        let place = std::env::temp_dir().join(format!("torc-held-{:x}", crate::daemon::Identity::new(None).seed));
        let (mut poll, listeners) = open(LOOPBACK, 0);
        let (mut listeners, passed) = (listeners.unwrap(), Passed::for_test());
        listeners.open_unix(std::slice::from_ref(&place), None, &passed).unwrap();
        let _local = std::os::unix::net::UnixStream::connect(&place).unwrap();
        let mut events = Events::with_capacity(8);
        while listeners.doors.iter().all(|door| !door.ready) {
            poll.poll(&mut events, None).unwrap();
            events.iter().for_each(|event| listeners.handle_event(event.token()));
        }
        passed.fill();
        let now = Instant::from_millis(1000);
        assert!(listeners.accept(now).is_none() && !listeners.is_ready());
        let due = listeners.poll_timeout().unwrap();
        assert_eq!(due, now + HELD_PAUSE);
        let _other = TcpStream::connect(address(&listeners)).unwrap();
        assert_eq!(accepted(&mut poll, &mut listeners).1, Peer::Tcp(LOOPBACK));
        passed.empty();
        listeners.handle_timeout(due);
        assert!(listeners.is_ready() && matches!(listeners.accept(due), Some((_, Peer::Unix))));
    }

    #[test]
    fn clients_come_in_by_tcp_and_by_the_unix_socket() {
        let (mut poll, listeners) = open(LOOPBACK, 0);
        let mut listeners = listeners.unwrap();
        let _far = TcpStream::connect(address(&listeners)).unwrap();
        assert_eq!(accepted(&mut poll, &mut listeners).1, Peer::Tcp(LOOPBACK));
        #[cfg(unix)]
        {
            let path = std::env::temp_dir().join(format!("torc-door-{:x}", crate::daemon::Identity::new(None).seed));
            listeners.open_unix(std::slice::from_ref(&path), None, &Passed::for_test()).unwrap();
            let _far = std::os::unix::net::UnixStream::connect(&path).unwrap();
            assert_eq!(accepted(&mut poll, &mut listeners).1, Peer::Unix);
        }
        assert!(!listeners.is_ready() || listeners.accept(Instant::ZERO).is_none());
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let (_poll, first) = open(LOOPBACK, 0);
        let port = address(&first.unwrap_or_else(|error| panic!("{error}"))).port();
        let holder = std::net::TcpListener::bind((LOOPBACK, port)).unwrap();
        let error = open(LOOPBACK, port).1.err().unwrap();
        assert_eq!(error.to_string(), format!("TCP port {port} of 127.0.0.1 is in use: is another spread running?"));
        drop(holder);
    }

    #[test]
    fn a_missing_address_is_tried_again() {
        let (_poll, listeners) = open([203, 0, 113, 9].into(), 0);
        let mut listeners = listeners.unwrap();
        let now = Instant::from_millis(5);
        listeners.handle_timeout(now);
        assert_eq!(listeners.poll_timeout(), Some(now + RETRY_INTERVAL));
        assert!(listeners.accept(now).is_none() && !listeners.are_complete());
        listeners.doors[0].listener = Listener::Missing(SocketAddr::new(LOOPBACK, 0));
        listeners.handle_timeout(now + RETRY_INTERVAL);
        assert_eq!(listeners.poll_timeout(), None);
        assert!(listeners.are_complete());
        address(&listeners);
    }

    #[test]
    fn a_pause_ends() {
        let (_poll, listeners) = open(LOOPBACK, 0);
        let mut listeners = listeners.unwrap();
        listeners.doors[0].ready = true;
        listeners.paused = Some(Instant::ZERO + SHORTAGE_PAUSE);
        assert!(!listeners.is_ready() && listeners.accept(Instant::ZERO).is_none());
        listeners.handle_timeout(Instant::ZERO + SHORTAGE_PAUSE);
        assert!(listeners.is_ready());
    }

    #[test]
    #[cfg(unix)]
    fn without_tcp_the_unix_socket_must_be_had() {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut none = Listeners::open(&ClientAddresses::Only(vec![]), 1, registry, 7).unwrap();
        let nowhere = [PathBuf::from("/no/such/folder/socket")];
        assert!(none.open_unix(&nowhere, None, &Passed::for_test()).is_err());
        let (_poll, some) = open(LOOPBACK, 0);
        assert!(some.unwrap().open_unix(&nowhere, None, &Passed::for_test()).is_ok());
    }
}
