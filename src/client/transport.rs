//! The stream to a daemon: connecting within a time, and whole reads and writes on a blocking socket.
//!
//! Signals do not end the calls here: an interrupted system call is repeated. This file reads only the bytes that the caller
//! asked for; `ahead` copies bytes that wait and leaves them in the socket.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::events::{FileEvent, WatchedFile};
#[cfg(unix)]
use super::trust;
use super::{Address, ConnectError, platform};
use crate::pipe::{self, Memory};

/// The socket buffers that are asked for, each way.
const SOCKET_BUFFER: usize = 200 * 1024;
/// The step by which the request is lowered when the system refuses it.
const SOCKET_BUFFER_STEP: usize = 5 * 1024;
/// The longest wait for a TCP connection when the caller sets none; systems give up long before.
const CONNECT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most slices in one system call, the lowest limit of the systems we know.
const SLICE_LIMIT: usize = 1024;

/// When a connect call must be done; `None` for never.
pub type Deadline = Option<Instant>;

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// Bytes at the front of the socket that were handed out from a look and must still be taken out. The number is
    /// outside the receiver's lock, so that a forked child knows it even if a thread held the lock at the fork.
    pub(super) owed: AtomicUsize,
    /// Another process has the same socket since a fork, and may receive from it.
    pub(super) shared: AtomicBool,
}

impl Stream {
    /// Connects to a daemon.
    pub fn connect(address: &Address, deadline: Deadline) -> Result<Stream, ConnectError> {
        let socket = match address {
            Address::Local(port) => connect_local(*port, deadline)?,
            Address::Remote(host, port) => connect_host(host, *port, deadline)?,
        };
        raise_buffers(&socket);
        Ok(Stream::new(socket))
    }

    fn new(socket: Socket) -> Stream {
        Stream { socket, owed: AtomicUsize::new(0), shared: AtomicBool::new(false) }
    }

    /// A stream that is connected already.
    #[cfg(unix)]
    pub fn over(stream: std::os::unix::net::UnixStream) -> Stream {
        let socket = Socket::from(std::os::fd::OwnedFd::from(stream));
        raise_buffers(&socket);
        Stream::new(socket)
    }

    /// A new stream to the peer of this one.
    pub fn another(&self, deadline: Deadline) -> io::Result<Stream> {
        let address = self.socket.peer_addr()?;
        let socket = match address.as_socket() {
            Some(address) => connect_tcp(address, remaining(deadline).ok().flatten().unwrap_or(CONNECT_LIMIT))?,
            None => connect_again(&address, deadline)?,
        };
        Ok(Stream::new(socket))
    }

    /// The socket's number.
    pub fn descriptor(&self) -> i32 {
        platform::descriptor(&self.socket)
    }

    /// Makes reads and writes that last beyond the deadline fail with [`ErrorKind::TimedOut`] or
    /// [`ErrorKind::WouldBlock`].
    pub fn set_deadline(&self, deadline: Deadline) -> io::Result<()> {
        let limit = remaining(deadline).map_err(|_| ErrorKind::TimedOut)?;
        self.socket.set_read_timeout(limit)?;
        self.socket.set_write_timeout(limit)
    }

    /// Fills all the slices.
    pub fn read_all(&self, mut slices: &mut [IoSliceMut<'_>]) -> io::Result<()> {
        IoSliceMut::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let count = self.read_some(slices)?;
            IoSliceMut::advance_slices(&mut slices, count);
        }
        Ok(())
    }

    /// Waits for some bytes and fills the first slices with them.
    pub(super) fn read_some(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let some = slices.len().min(SLICE_LIMIT);
        loop {
            match (&self.socket).read_vectored(&mut slices[..some]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.must_wait(&error) => self.wait_until(FileEvent::Readable),
                result => return result,
            }
        }
    }

    /// Waits for some bytes, copies them and leaves them in the socket; 0 at the end of the stream.
    pub(super) fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match platform::peek(&self.socket, bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.must_wait(&error) => self.wait_until(FileEvent::Readable),
                result => return result,
            }
        }
    }

    /// Writes all the slices, with one system call if the socket takes it.
    pub fn write_all(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let some = slices.len().min(SLICE_LIMIT);
            match self.socket.send_vectored_with_flags(&slices[..some], platform::SEND) {
                Ok(count) => IoSlice::advance_slices(&mut slices, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.must_wait(&error) => self.wait_until(FileEvent::Writable),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a call must wait although the socket does not: the program has set O_NONBLOCK on its mailbox. On a blocking socket the same
    /// error means that the deadline is over.
    fn must_wait(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::WouldBlock && platform::is_nonblocking(&self.socket)
    }

    fn wait_until(&self, event: FileEvent) {
        platform::wait_for(&[WatchedFile { descriptor: self.descriptor(), event }], None);
    }

    /// Writes as much as the socket takes at once.
    pub fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        platform::send_at_once(&self.socket, bytes)
    }

    /// Offers the daemon memory to share, along with the next byte of the stream. An error leaves the byte unwritten.
    pub(super) fn offer(&self, byte: u8) -> io::Result<Memory> {
        if !self.socket.peer_addr()?.is_unix() {
            return Err(ErrorKind::Unsupported.into());
        }
        pipe::offer(&self.socket, byte, platform::SEND)
    }

    /// Wakes the daemon with a byte that is no part of the stream; false if the socket is full.
    pub(super) fn ring(&self) -> io::Result<bool> {
        loop {
            match self.write_at_once(&[0]) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the stream has ended both ways.
    pub(super) fn has_ended(&self) -> bool {
        let end = WatchedFile { descriptor: self.descriptor(), event: FileEvent::Exceptional };
        platform::wait_for(&[end], Some(Duration::ZERO)) == [true]
    }

    /// Bytes that can be read without waiting; 0 on a broken stream.
    pub fn bytes_waiting(&self) -> usize {
        // This is read first, because bytes that a receiver takes out meanwhile must not count as waiting.
        let owed = self.owed.load(Ordering::Relaxed);
        platform::bytes_waiting(&self.socket).unwrap_or(0).saturating_sub(owed)
    }

    /// Ends the stream both ways and wakes every thread that is blocked on it.
    pub fn shut_down(&self) {
        // An error means that the stream is broken already. Then no thread is blocked on it.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// A second owner of the same descriptor, for a forked child that forgets the first.
    #[cfg(unix)]
    pub fn adopted(&self) -> Stream {
        let owed = AtomicUsize::new(self.owed.load(Ordering::Relaxed));
        Stream { socket: platform::adopt(&self.socket), owed, shared: AtomicBool::new(true) }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(unix)]
fn connect_local(port: u16, deadline: Deadline) -> Result<Socket, ConnectError> {
    let mut failure = ConnectError::Unreachable;
    for place in trust::places(port, "") {
        let address = SockAddr::unix(place).map_err(|_| ConnectError::IllegalAddress)?;
        match connect_trusted(&address, deadline) {
            Ok(socket) => return Ok(socket),
            // Nobody listens at this path. An error of the other path says more, so it is kept.
            Err(ConnectError::Unreachable) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Connects to the unix socket of another stream, if it has a name.
#[cfg(unix)]
fn connect_again(address: &SockAddr, deadline: Deadline) -> io::Result<Socket> {
    if address.as_pathname().is_none() && address.as_abstract_namespace().is_none() {
        return Err(ErrorKind::AddrNotAvailable.into());
    }
    connect_trusted(address, deadline).map_err(|_| ErrorKind::ConnectionRefused.into())
}

/// This system has no unix sockets, so there is nothing to connect to.
#[cfg(not(unix))]
fn connect_again(_address: &SockAddr, _deadline: Deadline) -> io::Result<Socket> {
    Err(ErrorKind::AddrNotAvailable.into())
}

/// Connects to a unix socket if it is a daemon's, as far as the system knows.
#[cfg(unix)]
fn connect_trusted(address: &SockAddr, deadline: Deadline) -> Result<Socket, ConnectError> {
    let socket = connect_unix(address, deadline)?;
    trust::check(&socket)?;
    Ok(socket)
}

#[cfg(unix)]
fn connect_unix(address: &SockAddr, deadline: Deadline) -> Result<Socket, ConnectError> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|_| ConnectError::Unreachable)?;
    loop {
        // If the backlog is full, a unix connect blocks in the same way as a write.
        socket.set_write_timeout(remaining(deadline)?).map_err(|_| ConnectError::Unreachable)?;
        match socket.connect(address) {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(ConnectError::Unreachable),
        }
    }
}

/// Connects to the loopback address of either family. The name `localhost` would give the IPv6 address first. Most daemons do
/// not listen there, and Windows takes two seconds to find that out.
#[cfg(not(unix))]
fn connect_local(port: u16, deadline: Deadline) -> Result<Socket, ConnectError> {
    connect_host("127.0.0.1", port, deadline).or_else(|_| connect_host("::1", port, deadline))
}

/// Connects to the first of the host's addresses that answers.
fn connect_host(host: &str, port: u16, deadline: Deadline) -> Result<Socket, ConnectError> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| ConnectError::IllegalAddress)?;
    let mut outcome = Err(ConnectError::IllegalAddress);
    for address in addresses {
        let limit = remaining(deadline)?.unwrap_or(CONNECT_LIMIT);
        outcome = connect_tcp(address, limit).map_err(|_| ConnectError::Unreachable);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn connect_tcp(address: SocketAddr, limit: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.connect_timeout(&address.into(), limit)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    Ok(socket)
}

/// Asks for as much buffer as the system grants, up to [`SOCKET_BUFFER`].
fn raise_buffers(socket: &Socket) {
    let sizes = || (SOCKET_BUFFER_STEP..=SOCKET_BUFFER).rev().step_by(SOCKET_BUFFER_STEP);
    sizes().find(|&size| socket.set_send_buffer_size(size).is_ok());
    sizes().find(|&size| socket.set_recv_buffer_size(size).is_ok());
}

/// How long it is to the deadline.
fn remaining(deadline: Deadline) -> Result<Option<Duration>, ConnectError> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ConnectError::Unreachable),
        left => Ok(Some(left)),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// As with the classic library: the calls wait, whatever the program has set on its mailbox.
    #[test]
    fn a_mailbox_that_the_program_made_nonblocking_waits_all_the_same() {
        const SIZE: usize = 1 << 20;
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let stream = Stream::new(OwnedFd::from(near).into());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = vec![0; SIZE];
                stream.read_all(&mut [IoSliceMut::new(&mut bytes)]).map(|()| bytes)
            });
            // Much more than the socket takes, in both directions.
            let echo = scope.spawn(move || {
                let mut bytes = vec![0; SIZE];
                far.read_exact(&mut bytes).unwrap();
                io::Write::write_all(&mut far, &bytes).unwrap();
            });
            stream.write_all(&mut [IoSlice::new(&vec![7; SIZE])]).unwrap();
            echo.join().unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), vec![7; SIZE]);
        });
        assert_eq!(stream.peek(&mut [0]).unwrap(), 0, "the end of the stream");
    }
}
