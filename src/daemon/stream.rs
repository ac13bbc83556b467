//! A client's connection, TCP or unix, without blocking and without signals: a peer that has gone must not end the program that a
//! daemon is embedded in.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, Socket, TcpKeepalive};

use super::origin::Origin;
use crate::net::{Delivery, delivery};
use crate::pipe::Memory;
use crate::session::Peer;
use crate::time::Duration;

/// Bytes of buffer that a unix socket has at least; a TCP socket's grow by themselves.
#[cfg(unix)]
const BUFFER_SIZE: usize = 200 << 10;

/// Silence of a TCP client after which its machine is asked whether it is still there; up to [`SPREAD`] longer, so that those who came
/// together are not asked together for ever: what asks and answers for thousands at once gets lost in queues on its way.
const SILENCE: Duration = Duration::from_secs(10);
const SPREAD: u16 = 5;
/// How often it is asked again, and how many times without an answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 5;

#[cfg(unix)]
const NO_SIGNAL: i32 = if cfg!(target_vendor = "apple") { 0 } else { libc::MSG_NOSIGNAL };
#[cfg(not(unix))]
const NO_SIGNAL: i32 = 0;

/// A client's connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// From anywhere.
    Tcp(TcpStream),
    /// From this machine.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// A TCP connection: no message waits for another.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let stream = Stream::Tcp(stream);
        stream.silence()?;
        Ok(stream)
    }

    /// Watches over a client at `far`: if its machine goes, that is noticed within half a minute. A client of this machine goes with a
    /// word of the system in any case.
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
        Ok(ip.is_loopback() || near == Some(ip))
    }

    /// Has the other machine asked after this many seconds more.
    fn probe(&self, more: u16) -> io::Result<()> {
        let silence = SILENCE + Duration::from_secs(more.into());
        self.socket(|socket| socket.set_tcp_keepalive(&keepalive(silence)))
    }

    /// A unix connection.
    #[cfg(unix)]
    pub(super) fn unix(stream: UnixStream) -> io::Result<Stream> {
        let stream = Stream::Unix(stream);
        stream.socket(|socket| {
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

    /// Who is at the other end.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Origin::Unknown, Origin::Tcp),
            #[cfg(unix)]
            Stream::Unix(stream) => Origin::local(stream),
        }
    }

    /// Who came, where the door says only that it was the unix socket's: the user, if the system says it.
    pub(super) fn peer(&self, peer: Peer) -> Peer {
        match (peer, self.origin()) {
            #[cfg(unix)]
            (Peer::Unix, Origin::Local { uid, .. }) => Peer::User(uid),
            _ => peer,
        }
    }

    /// Whether its machine may go without a word, and the system can say how far what was written has come.
    pub(super) fn may_vanish(&self) -> bool {
        let is_elsewhere = |far| self.is_of_this_machine(far).is_ok_and(|here| !here);
        matches!(self.origin(), Origin::Tcp(far) if cfg!(target_os = "linux") && is_elsewhere(far))
    }

    /// How far what was written has come.
    pub(super) fn delivery(&self) -> Option<Delivery> {
        match self {
            Stream::Tcp(stream) => delivery(stream),
            #[cfg(unix)]
            Stream::Unix(_) => None,
        }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    /// Reads what is there, and the pipe if the client passes one along with the last of it.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Option<Memory>)> {
        match self {
            Stream::Tcp(stream) => Ok((stream.read(buffer)?, None)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.try_io(|| crate::pipe::receive(&SockRef::from(&*stream), buffer)),
        }
    }

    /// Writes what fits.
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket(|socket| socket.send_vectored_with_flags(parts, NO_SIGNAL))
    }

    /// Says that nothing more will be written.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.socket(|socket| socket.shutdown(Shutdown::Write))
    }

    /// Begins to be polled.
    pub(super) fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.register(self.source(), token, interest)
    }

    /// Is polled for something else.
    pub(super) fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.reregister(self.source(), token, interest)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Tcp(stream) => stream,
            #[cfg(unix)]
            Stream::Unix(stream) => stream,
        }
    }

    /// Does something with the socket so that the poll knows when it would have blocked.
    fn socket<T>(&self, act: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        match self {
            Stream::Tcp(stream) => stream.try_io(|| act(&SockRef::from(stream))),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.try_io(|| act(&SockRef::from(stream))),
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

/// What asks whether a silent client's machine is still there; some systems have times of their own.
#[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "solaris")))]
fn keepalive(silence: Duration) -> TcpKeepalive {
    TcpKeepalive::new().with_time(silence).with_interval(PROBE_INTERVAL).with_retries(PROBES)
}

/// These systems have times of their own.
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
