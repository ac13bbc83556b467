//! The differences between operating systems: send flags, the count of waiting bytes, the descriptor as a number, fork,
//! waiting for descriptors, clocks.
//!
//! The rest of `client` is the same everywhere. The system calls here are the only unsafe code of `client`.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use socket2::Socket;

use super::events::{FileEvent, WatchedFile};

#[cfg(all(unix, not(target_vendor = "apple")))]
mod flags {
    /// A send to a closed connection is an error, not a signal.
    pub const SEND: i32 = libc::MSG_NOSIGNAL;
    /// As [`SEND`], and only what fits into the socket at once.
    pub const SEND_AT_ONCE: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
}

#[cfg(target_vendor = "apple")]
mod flags {
    /// The socket itself is marked to give errors, not signals.
    pub const SEND: i32 = 0;
    /// Only what fits into the socket at once.
    pub const SEND_AT_ONCE: i32 = libc::MSG_DONTWAIT;
}

#[cfg(not(unix))]
mod flags {
    /// There are no signals here.
    pub const SEND: i32 = 0;
}

pub use flags::SEND;

/// The number by which programs know the socket.
#[cfg(unix)]
pub fn descriptor(socket: &Socket) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(socket)
}

/// The number by which programs know the socket.
#[cfg(windows)]
pub fn descriptor(socket: &Socket) -> i32 {
    // Windows promises that handles fit 32 bits.
    std::os::windows::io::AsRawSocket::as_raw_socket(socket) as i32
}

/// Bytes that can be read from the socket without waiting.
#[cfg(unix)]
pub fn bytes_waiting(socket: &Socket) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` lives, and FIONREAD writes one int through the pointer.
    let result = unsafe { libc::ioctl(descriptor(socket), libc::FIONREAD, &mut count) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(count).unwrap_or(0)) }
}

/// Bytes that can be read from the socket without waiting. The socket stays blocking, because another thread may be reading.
#[cfg(windows)]
pub fn bytes_waiting(socket: &Socket) -> io::Result<usize> {
    /// The system's FIONREAD.
    const COUNT_BYTES: i32 = 0x4004_667f;
    #[link(name = "ws2_32")]
    unsafe extern "system" {
        fn ioctlsocket(socket: usize, command: i32, argument: *mut u32) -> i32;
    }
    let mut count = 0;
    let number = std::os::windows::io::AsRawSocket::as_raw_socket(socket) as usize;
    // SAFETY: the socket is open as long as `socket` lives, and the command writes one number through the pointer.
    let result = unsafe { ioctlsocket(number, COUNT_BYTES, &mut count) };
    if result == 0 { Ok(count as usize) } else { Err(io::Error::last_os_error()) }
}

/// Writes as much as the socket takes at once.
#[cfg(unix)]
pub fn send_at_once(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send_with_flags(bytes, flags::SEND_AT_ONCE)
}

/// Writes a few bytes if the socket has room. The system has no flag for one send that does not wait.
#[cfg(windows)]
pub fn send_at_once(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    let room = WatchedFile { descriptor: descriptor(socket), event: FileEvent::Writable };
    if wait_for(&[room], Some(Duration::ZERO)) == [true] {
        socket.send(bytes)
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Copies bytes from the front of the socket and leaves them there.
pub fn peek(socket: &Socket, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: bytes may always hold bytes that are not initialized here, and the call only writes to them.
    let bytes = unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [std::mem::MaybeUninit<u8>]) };
    socket.peek(bytes)
}

/// Whether the program has made the socket return at once where it would wait.
#[cfg(unix)]
pub fn is_nonblocking(socket: &Socket) -> bool {
    socket.nonblocking().unwrap_or(false)
}

/// The system does not tell, and no classic program does it here.
#[cfg(windows)]
pub fn is_nonblocking(_: &Socket) -> bool {
    false
}

/// A second owner of the same descriptor number. The caller must forget the first and not drop it.
#[cfg(unix)]
pub fn adopt(socket: &Socket) -> Socket {
    use std::os::fd::FromRawFd;
    // SAFETY: the descriptor is open, and the caller never drops the socket that it was taken from.
    unsafe { Socket::from_raw_fd(descriptor(socket)) }
}

/// Runs these three around every fork from now on: in the parent before it, in the parent after it, in the child.
#[cfg(unix)]
pub fn around_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    unsafe extern "C" {
        fn pthread_atfork(
            before: Option<extern "C" fn()>,
            in_parent: Option<extern "C" fn()>,
            in_child: Option<extern "C" fn()>,
        ) -> libc::c_int;
    }
    // SAFETY: the handlers are functions of this library, which the C library forgets when this one is unloaded.
    let result = unsafe { pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if result != 0 {
        tracing::debug!(result, "no memory for fork handlers: a child of a process with threads must only exec");
    }
}

/// Ignores SIGPIPE in this process unless the program has chosen a disposition.
#[cfg(unix)]
pub fn ignore_default_sigpipe() {
    // SAFETY: zeroes are a disposition, which the system overwrites; it only writes to the place that it is given.
    let chosen = unsafe {
        let mut disposition: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut disposition) != 0
            || disposition.sa_sigaction != libc::SIG_DFL
    };
    if !chosen {
        // SAFETY: no function of ours is called when the signal comes.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
}

/// Waits for at most this long until one of these has happened or a signal comes. Returns for each whether it has
/// happened. A closed descriptor counts as ready, so that the next call on it returns the error.
pub fn wait_for(watches: &[WatchedFile], limit: Option<Duration>) -> Vec<bool> {
    let mut places = BTreeMap::new();
    let mut polled: Vec<polling::Polled> = Vec::new();
    // One entry for each descriptor, because systems allow no more entries than descriptors.
    for watch in watches {
        let place = *places.entry(watch.descriptor).or_insert(polled.len());
        if place == polled.len() {
            polled.push(polling::entry(watch.descriptor));
        }
        polled[place].events |= polling::asked(watch.event);
    }
    if polling::poll(&mut polled, limit) <= 0 {
        return vec![false; watches.len()];
    }
    let happened = |watch: &WatchedFile| {
        let entry = &polled[places[&watch.descriptor]];
        // The system reports the end of a connection even if only exceptions are watched. A handler must be called for
        // it, otherwise this wait returns at once forever.
        let end = if entry.events == polling::asked(FileEvent::Exceptional) { polling::END } else { 0 };
        entry.revents & (polling::answered(watch.event) | end) != 0
    };
    watches.iter().map(happened).collect()
}

#[cfg(unix)]
mod polling {
    use std::time::Duration;

    use super::FileEvent;

    pub type Polled = libc::pollfd;

    /// The connection hung up or failed, or the descriptor is closed.
    pub const END: i16 = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;

    pub fn entry(descriptor: i32) -> Polled {
        libc::pollfd { fd: descriptor, events: 0, revents: 0 }
    }

    pub fn asked(event: FileEvent) -> i16 {
        match event {
            FileEvent::Readable => libc::POLLIN,
            FileEvent::Writable => libc::POLLOUT,
            FileEvent::Exceptional => libc::POLLPRI,
        }
    }

    /// The conditions that select calls ready.
    pub fn answered(event: FileEvent) -> i16 {
        match event {
            FileEvent::Readable => libc::POLLIN | END,
            FileEvent::Writable => libc::POLLOUT | END,
            FileEvent::Exceptional => libc::POLLPRI | libc::POLLNVAL,
        }
    }

    #[cfg(target_os = "linux")]
    pub fn poll(polled: &mut [Polled], limit: Option<Duration>) -> i32 {
        let limit = limit.map(|limit| libc::timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos() as libc::c_long,
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the entries are a slice, the time lives until the call returns, and no signal mask is given.
        unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit, std::ptr::null()) }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn poll(polled: &mut [Polled], limit: Option<Duration>) -> i32 {
        // SAFETY: the entries are a slice.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, super::milliseconds(limit)) }
    }
}

#[cfg(windows)]
mod polling {
    use std::time::Duration;

    use super::FileEvent;

    /// This system has no bell that ends a wait, so no wait is longer than this.
    const LONGEST_WAIT: Duration = Duration::from_millis(100);

    /// The connection hung up or failed, or the socket is closed.
    pub const END: i16 = 0x0001 | 0x0002 | 0x0004;

    /// The system's WSAPOLLFD.
    #[repr(C)]
    pub struct Polled {
        socket: usize,
        pub events: i16,
        pub revents: i16,
    }

    #[link(name = "ws2_32")]
    unsafe extern "system" {
        fn WSAPoll(entries: *mut Polled, count: u32, milliseconds: i32) -> i32;
    }

    pub fn entry(descriptor: i32) -> Polled {
        Polled { socket: descriptor as usize, events: 0, revents: 0 }
    }

    pub fn asked(event: FileEvent) -> i16 {
        match event {
            FileEvent::Readable => 0x0100,
            FileEvent::Writable => 0x0010,
            FileEvent::Exceptional => 0x0200,
        }
    }

    /// The conditions that select calls ready.
    pub fn answered(event: FileEvent) -> i16 {
        asked(event) | if event == FileEvent::Exceptional { 0x0004 } else { END }
    }

    pub fn poll(polled: &mut [Polled], limit: Option<Duration>) -> i32 {
        let limit = limit.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        if polled.is_empty() {
            // The system refuses to wait for nothing.
            super::doze(limit);
            return 0;
        }
        // SAFETY: the entries are a slice.
        unsafe { WSAPoll(polled.as_mut_ptr(), polled.len() as u32, super::milliseconds(Some(limit))) }
    }
}

/// A time limit as poll wants it, rounded up so that nobody waits too short; -1 for none.
#[cfg(not(target_os = "linux"))]
fn milliseconds(limit: Option<Duration>) -> i32 {
    limit.map_or(-1, |limit| i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX))
}

/// Sleeps for this long, or until a signal.
#[cfg(unix)]
pub fn doze(time: Duration) {
    let time = libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the time lives until the call returns, and the call stores nothing.
    unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
}

/// Sleeps for this long.
#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "above the I/O line")]
pub fn doze(time: Duration) {
    std::thread::sleep(time);
}

/// A clock that never goes back; it begins at some time of its own.
#[cfg(unix)]
pub fn monotonic() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system writes the time to the place it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// A clock that never goes back; it begins at some time of its own.
#[cfg(not(unix))]
pub fn monotonic() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn ready(descriptor: i32, events: &[FileEvent]) -> Vec<bool> {
        let watches: Vec<_> = events.iter().map(|&event| WatchedFile { descriptor, event }).collect();
        wait_for(&watches, Some(Duration::ZERO))
    }

    #[test]
    fn each_watch_of_a_descriptor_is_answered() {
        use FileEvent::{Exceptional, Readable, Writable};
        let (one, other) = UnixStream::pair().unwrap();
        let one = one.as_raw_fd();
        assert_eq!(ready(one, &[Readable, Writable, Exceptional]), [false, true, false]);
        drop(other);
        assert_eq!(ready(one, &[Exceptional, Readable, Writable]), [false, true, true]);
        assert_eq!(ready(one, &[Exceptional]), [true]);
        assert_eq!(wait_for(&[], Some(Duration::ZERO)), []);
    }
}
