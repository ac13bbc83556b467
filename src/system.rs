//! Where the sockets of this machine are, and what the system says of processes: who is at the other end of a unix socket, who this process is, and whether its environment can be
//! believed. Each is a call without a safe face; they are here because the client library and the daemon both ask.

#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::path::{Path, PathBuf};

/// Where a daemon with a runtime directory has its sockets.
#[cfg(unix)]
pub(crate) const RUNTIME_DIRECTORY: &str = if cfg!(target_os = "linux") { "/run/spread" } else { "/var/run/spread" };
/// Where daemons have their sockets otherwise.
#[cfg(unix)]
const SHARED_DIRECTORY: &str = "/tmp";
/// The suffix of the operators' socket, which follows the port in its name.
pub const CONTROL: &str = ".control";

/// The files where the daemon with this client port may have a socket; `suffix` tells its sockets apart.
#[cfg(unix)]
pub fn places(port: u16, suffix: &str) -> [PathBuf; 2] {
    [RUNTIME_DIRECTORY, SHARED_DIRECTORY].map(|directory| Path::new(directory).join(format!("{port}{suffix}")))
}

/// The process, where the system says it, and the user at the other end of a unix socket when it connected or began to listen.
#[cfg(any(target_os = "linux", target_os = "android"))]
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

/// The process, where the system says it, and the user at the other end of a unix socket when it connected or began to listen.
#[cfg(all(unix, any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd")))]
pub(crate) fn peer_credentials(socket: &impl AsRawFd) -> io::Result<(Option<u32>, u32)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is open as long as it is borrowed, and both places may be written.
    if unsafe { libc::getpeereid(socket.as_raw_fd(), &mut uid, &mut gid) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((None, uid))
}

/// The process, where the system says it, and the user at the other end of a unix socket when it connected or began to listen.
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
pub(crate) fn peer_credentials(_: &impl AsRawFd) -> io::Result<(Option<u32>, u32)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The longest entry of a user or a group that is read.
#[cfg(unix)]
const ENTRY_LIMIT: usize = 1 << 20;

/// The number of a user of this machine.
#[cfg(unix)]
pub(crate) fn user_id(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: the name ends with a NUL, and the system gives the address of the entry that it has written, or null.
    unsafe {
        read_entry(
            |entry, room, length, found| libc::getpwnam_r(name.as_ptr(), entry, room, length, found),
            |user: &libc::passwd| user.pw_uid,
        )
    }
}

/// The name of a user of this machine, or else the number.
#[cfg(unix)]
pub(crate) fn user_name(number: u32) -> String {
    // SAFETY: the system gives the address of the entry that it has written, or null. The name in it ends with a NUL.
    let name = unsafe {
        read_entry(
            |entry, room, length, found| libc::getpwuid_r(number, entry, room, length, found),
            |user: &libc::passwd| std::ffi::CStr::from_ptr(user.pw_name).to_string_lossy().into_owned(),
        )
    };
    name.unwrap_or_else(|| number.to_string())
}

/// The name of the group whose rights this process has, or else the number.
#[cfg(unix)]
pub(crate) fn effective_group_name() -> String {
    // SAFETY: the call takes nothing, changes nothing and cannot fail.
    let number = unsafe { libc::getegid() };
    // SAFETY: the system gives the address of the entry that it has written, or null. The name in it ends with a NUL.
    let name = unsafe {
        read_entry(
            |entry, room, length, found| libc::getgrgid_r(number, entry, room, length, found),
            |group: &libc::group| std::ffi::CStr::from_ptr(group.gr_name).to_string_lossy().into_owned(),
        )
    };
    name.unwrap_or_else(|| number.to_string())
}

/// Asks the system for an entry, with more room each time that it needs more. The call gets a place for the entry, the room for its
/// texts, the bytes of the room, and a place for the address of the entry if there is one.
///
/// # Safety
///
/// If the call returns 0, it must have set that address to null, or to an entry that lives as long as the place and the room.
#[cfg(unix)]
unsafe fn read_entry<E, T>(
    call: impl Fn(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
    take: impl Fn(&E) -> T,
) -> Option<T> {
    let mut room = vec![0u8; 4 << 10];
    loop {
        let mut entry = std::mem::MaybeUninit::<E>::uninit();
        let mut found = std::ptr::null_mut();
        match call(entry.as_mut_ptr(), room.as_mut_ptr().cast(), room.len(), &mut found) {
            0 if found.is_null() => return None,
            // SAFETY: the caller promises that an entry is there, and the place and the room live until the end of this turn.
            0 => return Some(take(unsafe { &*found })),
            libc::ERANGE if room.len() < ENTRY_LIMIT => room.resize(2 * room.len(), 0),
            _ => return None,
        }
    }
}

/// Other systems do not say who is at the other end of a local connection, so the numbers of their users are of no use.
#[cfg(not(unix))]
pub(crate) fn user_id(_name: &str) -> Option<u32> {
    None
}

/// The user whose rights this process has.
#[cfg(unix)]
pub(crate) fn effective_user() -> u32 {
    // SAFETY: the call takes nothing, changes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// A variable of the environment. A program with more rights than who started it (set-user-id and the like) has none: the variables
/// are chosen by who started it.
pub(crate) fn environment(name: &str) -> Option<String> {
    if has_borrowed_rights() {
        return None;
    }
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_borrowed_rights() -> bool {
    // SAFETY: the call reads a number that the kernel left for this process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
fn has_borrowed_rights() -> bool {
    // SAFETY: the call takes nothing and changes nothing.
    unsafe { libc::issetugid() != 0 }
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
fn has_borrowed_rights() -> bool {
    // SAFETY: the calls take nothing, change nothing and cannot fail.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

/// There are no such programs here.
#[cfg(not(unix))]
fn has_borrowed_rights() -> bool {
    false
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(unix)]
    fn users_of_this_machine_are_known() {
        assert_eq!(super::user_id("root"), Some(0));
        assert_eq!((super::user_id("no such user"), super::user_id("")), (None, None));
    }
}
