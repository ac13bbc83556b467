//! A client's connection, TCP or unix. It never blocks, and a write to a closed connection raises no signal, which would end the
//! program around an embedded daemon.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, Socket, TcpKeepalive};

use super::origin::Origin;
#[cfg(unix)]
use super::passed::Passed;
use crate::groups::SessionId;
use crate::net::{Delivery, delivery};
use crate::session::Peer;
use crate::time::Duration;

/// The smallest buffers of a unix socket, in bytes; those of a TCP socket grow by themselves.
#[cfg(unix)]
const BUFFER_SIZE: usize = 200 << 10;

/// Silence of a TCP client after which its machine gets a keepalive probe; up to [`SPREAD`] seconds longer, so that clients that came
/// together are not probed together for ever. Probes and answers of thousands at once would overflow queues on their way.
const SILENCE: Duration = Duration::from_secs(10);
const SPREAD: u16 = 5;
/// The time between probes, and how many without an answer end the connection.
const PROBE_INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 5;

#[cfg(unix)]
const NO_SIGNAL: i32 = if cfg!(target_vendor = "apple") { 0 } else { libc::MSG_NOSIGNAL };
#[cfg(not(unix))]
const NO_SIGNAL: i32 = 0;

/// What a client of this machine passes along its socket.
#[cfg(unix)]
pub(super) type Files = Vec<std::os::fd::OwnedFd>;
#[cfg(not(unix))]
pub(super) type Files = Vec<std::convert::Infallible>;

/// A client's connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// From any machine.
    Tcp(TcpStream),
    /// From this machine.
    #[cfg(unix)]
    Unix(Local),
}

/// A unix connection, which another thread closes.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Local {
    /// `None` when it has been given to that thread.
    socket: Option<UnixStream>,
    passed: Passed,
}

#[cfg(unix)]
const OPEN: &str = "it is given away at the very end only";

#[cfg(unix)]
impl Local {
    fn socket(&self) -> &UnixStream {
        self.socket.as_ref().expect(OPEN)
    }
}

#[cfg(unix)]
impl Drop for Local {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            // The client learns it now, whenever the thread comes to it. An error means that the client is gone already.
            _ = socket.shutdown(Shutdown::Both);
            self.passed.close(socket.into());
        }
    }
}

impl Stream {
    /// A TCP connection. Small messages leave at once (`TCP_NODELAY`).
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let stream = Stream::Tcp(stream);
        stream.silence()?;
        Ok(stream)
    }

    /// Turns keepalive on for a client at `far`: if its machine vanishes, the connection ends within half a minute. The system reports the
    /// end of a client on this machine in any case.
    pub(super) fn watch(&self, far: SocketAddr) -> io::Result<()> {
        if self.is_of_this_machine(far)? {
            return Ok(());
        }
        self.probe(far.port() % (SPREAD + 1))
    }

    /// Whether a client at `far` is on this machine.
    fn is_of_this_machine(&self, far: SocketAddr) -> io::Result<bool> {
        let near = self.socket(|socket| Ok(socket.local_addr()?.as_socket().map(|near| near.ip().to_canonical())))?;
        let ip = far.ip().to_canonical();
        // A connection from this machine to one of its own addresses usually has that address at both ends.
        Ok(ip.is_loopback() || near == Some(ip))
    }

    /// Turns keepalive on, with this many seconds more before the first probe.
    fn probe(&self, more: u16) -> io::Result<()> {
        let silence = SILENCE + Duration::from_secs(more.into());
        self.socket(|socket| socket.set_tcp_keepalive(&keepalive(silence)))
    }

    /// A unix connection.
    #[cfg(unix)]
    pub(super) fn unix(stream: UnixStream, passed: &Passed) -> io::Result<Stream> {
        let stream = Stream::Unix(Local { socket: Some(stream), passed: passed.clone() });
        stream.socket(|socket| {
            // Only raised: the defaults of the system may be larger.
            if socket.send_buffer_size()? < BUFFER_SIZE {
                socket.set_send_buffer_size(BUFFER_SIZE)?;
            }
            if socket.recv_buffer_size()? < BUFFER_SIZE {
                socket.set_recv_buffer_size(BUFFER_SIZE)?;
            }
            Ok(())
        })?;
        stream.silence()?;
        Ok(stream)
    }

    /// The other end of this stream.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Origin::Unknown, Origin::Tcp),
            #[cfg(unix)]
            Stream::Unix(local) => Origin::local(local.socket()),
        }
    }

    /// The peer, with the user of a unix connection if the system tells it.
    pub(super) fn peer(&self, peer: Peer) -> Peer {
        match (peer, self.origin()) {
            #[cfg(unix)]
            (Peer::Unix, Origin::Local { uid, .. }) => Peer::User(uid),
            _ => peer,
        }
    }

    /// Whether the client's machine may vanish unnoticed, and the system can tell what that machine has acknowledged.
    pub(super) fn may_vanish(&self) -> bool {
        let is_elsewhere = |far| self.is_of_this_machine(far).is_ok_and(|here| !here);
        matches!(self.origin(), Origin::Tcp(far) if cfg!(target_os = "linux") && is_elsewhere(far))
    }

    /// The system's counts of the bytes for the client; `None` for a unix socket.
    pub(super) fn delivery(&self) -> Option<Delivery> {
        match self {
            Stream::Tcp(stream) => delivery(stream),
            #[cfg(unix)]
            Stream::Unix(_) => None,
        }
    }

    /// Reads what is there. What a client passes along is closed.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // In one way only: what is not asked for would be closed by the system within the call.
        let (count, files) = self.receive(buffer)?;
        self.close(files);
        Ok(count)
    }

    /// Reads what is there, and what the client passes with the last bytes.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Files)> {
        match self {
            Stream::Tcp(stream) => Ok((stream.read(buffer)?, Files::new())),
            #[cfg(unix)]
            Stream::Unix(local) => {
                let socket = local.socket();
                let received = socket.try_io(|| crate::pipe::receive(&SockRef::from(socket), buffer))?;
                Ok((received.count, received.files))
            }
        }
    }

    /// Has a pipe made of what this client has passed, if it can be. The answer comes later.
    pub(super) fn examine(&self, id: SessionId, files: Files) {
        match self {
            Stream::Tcp(_) => _ = (id, files),
            #[cfg(unix)]
            Stream::Unix(local) => local.passed.examine(id, files),
        }
    }

    /// Closes what this client has passed.
    pub(super) fn close(&self, files: Files) {
        match self {
            Stream::Tcp(_) => drop(files),
            #[cfg(unix)]
            Stream::Unix(local) => files.into_iter().for_each(|file| local.passed.close(file)),
        }
    }

    /// Whether clients of this machine have passed so much that this one is not read now.
    pub(super) fn must_wait(&self) -> bool {
        match self {
            Stream::Tcp(_) => false,
            #[cfg(unix)]
            Stream::Unix(local) => local.passed.is_full(),
        }
    }

    /// Writes what fits.
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket(|socket| socket.send_vectored_with_flags(parts, NO_SIGNAL))
    }

    /// Ends the writing side.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.socket(|socket| socket.shutdown(Shutdown::Write))
    }

    /// Begins to poll the stream.
    pub(super) fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.register(self.source(), token, interest)
    }

    /// Changes what the poll watches for.
    pub(super) fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.reregister(self.source(), token, interest)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Tcp(stream) => stream,
            #[cfg(unix)]
            Stream::Unix(local) => local.socket.as_mut().expect(OPEN),
        }
    }

    /// Does something with the socket. If that would block, the poll reports when it no longer would.
    fn socket<T>(&self, act: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        match self {
            Stream::Tcp(stream) => stream.try_io(|| act(&SockRef::from(stream))),
            #[cfg(unix)]
            Stream::Unix(local) => local.socket().try_io(|| act(&SockRef::from(local.socket()))),
        }
    }

    #[cfg(target_vendor = "apple")]
    fn silence(&self) -> io::Result<()> {
        self.socket(|socket| socket.set_nosigpipe(true))
    }

    #[cfg(not(target_vendor = "apple"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "other systems need an option here")]
    fn silence(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Keepalive probes with our times.
#[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "solaris")))]
fn keepalive(silence: Duration) -> TcpKeepalive {
    TcpKeepalive::new().with_time(silence).with_interval(PROBE_INTERVAL).with_retries(PROBES)
}

/// Keepalive probes; these systems set the other times themselves.
#[cfg(any(target_os = "openbsd", target_os = "haiku", target_os = "solaris"))]
fn keepalive(silence: Duration) -> TcpKeepalive {
    TcpKeepalive::new().with_time(silence)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn pair() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (Stream::tcp(TcpStream::from_std(near)).unwrap(), far)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_silent_machine_is_noticed_within_half_a_minute() {
        let (stream, _far) = pair();
        stream.watch(SocketAddr::from(([192, 0, 2, 1], SPREAD + 6))).unwrap();
        let longest = stream.socket(|socket| {
            assert!(socket.keepalive()?);
            Ok(socket.tcp_keepalive_time()? + socket.tcp_keepalive_interval()? * socket.tcp_keepalive_retries()?)
        });
        assert_eq!(longest.unwrap(), Duration::from_secs(30));
    }

    #[test]
    fn clients_of_this_machine_are_not_asked() {
        let (stream, far) = pair();
        stream.watch(far.local_addr().unwrap()).unwrap();
        assert!(!stream.socket(Socket::keepalive).unwrap());
    }
}
