//! A client's connection, TCP or unix, without blocking and without signals: a peer that has gone must not end the program that a
//! daemon is embedded in.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, Socket, TcpKeepalive};

use crate::time::Duration;

/// Bytes of buffer that a unix socket has at least; a TCP socket's grow by themselves.
#[cfg(unix)]
const BUFFER_SIZE: usize = 200 << 10;

/// Silence of a TCP client after which its machine is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(10);
/// How often it is asked again, and how many times without an answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

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
    /// A TCP connection: no message waits for another, and a machine that has gone is noticed within half a minute.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let stream = Stream::Tcp(stream);
        stream.socket(|socket| socket.set_tcp_keepalive(&keepalive()))?;
        stream.silence()?;
        Ok(stream)
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

    /// Reads what is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(buffer),
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
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(SILENCE).with_interval(PROBE_INTERVAL).with_retries(PROBES)
}

/// These systems have times of their own.
#[cfg(any(target_os = "openbsd", target_os = "haiku", target_os = "solaris"))]
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(SILENCE)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_silent_machine_is_noticed_within_half_a_minute() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let stream = Stream::tcp(TcpStream::from_std(near)).unwrap();
        let longest = stream.socket(|socket| {
            assert!(socket.keepalive()?);
            Ok(socket.tcp_keepalive_time()? + socket.tcp_keepalive_interval()? * socket.tcp_keepalive_retries()?)
        });
        assert!(longest.unwrap() <= Duration::from_secs(30));
    }
}
