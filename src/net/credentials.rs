//! Who is at the other end of a unix socket, which each system says in its own way. It is here because it is a call without a safe face.

use std::io;
use std::os::fd::AsRawFd;

#[cfg(any(target_os = "linux", target_os = "android"))]
/// The process, where the system says it, and the user at the other end of a unix socket when it connected.
pub(crate) fn peer_credentials(socket: &impl AsRawFd) -> io::Result<(Option<u32>, u32)> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes at most `length` bytes to `found`, which has them.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut found).cast(), &mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // A process of another pid namespace has the number 0 here.
    Ok((u32::try_from(found.pid).ok().filter(|&pid| pid != 0), found.uid))
}

#[cfg(all(unix, any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd")))]
/// The process, where the system says it, and the user at the other end of a unix socket when it connected.
pub(crate) fn peer_credentials(socket: &impl AsRawFd) -> io::Result<(Option<u32>, u32)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is open as long as it is borrowed, and both places may be written.
    if unsafe { libc::getpeereid(socket.as_raw_fd(), &mut uid, &mut gid) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((None, uid))
}

#[cfg(all(
    unix,
    not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))
))]
/// The process, where the system says it, and the user at the other end of a unix socket when it connected.
pub(crate) fn peer_credentials(_: &impl AsRawFd) -> io::Result<(Option<u32>, u32)> {
    Err(io::ErrorKind::Unsupported.into())
}
