//! A client's connection, TCP or unix, without blocking and without signals: a peer that has gone must not end the program that a
//! daemon is embedded in.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, Socket};

/// Bytes of buffer that a unix socket has at least; a TCP socket's grow by themselves.
#[cfg(unix)]
const BUFFER_SIZE: usize = 200 << 10;

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
    /// A TCP connection: no message waits for another, and a machine that has gone is noticed some day.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let stream = Stream::Tcp(stream);
        stream.socket(|socket| socket.set_keepalive(true))?;
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
