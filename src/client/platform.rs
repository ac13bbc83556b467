//! What differs between operating systems: send flags, the count of waiting bytes, the descriptor as a number, fork.
//!
//! The rest of `client` is the same everywhere. The system calls here are the only unsafe code of `client`.

use std::io;

use socket2::Socket;

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
    /// There is no such flag here.
    pub const SEND_AT_ONCE: i32 = 0;
}

pub use flags::{SEND, SEND_AT_ONCE};

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

/// Bytes that can be read from the socket without waiting, as far as a look into it shows.
#[cfg(not(unix))]
pub fn bytes_waiting(socket: &Socket) -> io::Result<usize> {
    socket.set_nonblocking(true)?;
    let peeked = socket.peek(&mut [std::mem::MaybeUninit::uninit(); 4096]);
    socket.set_nonblocking(false)?;
    match peeked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        peeked => peeked,
    }
}

/// A second owner of the same descriptor number. The first must be forgotten, not dropped.
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
