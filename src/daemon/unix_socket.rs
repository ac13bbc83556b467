//! A unix socket to which local programs connect. Its file must not be taken from a running daemon, and must go when the daemon ends.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use mio::net::{UnixListener, UnixStream};

use crate::system::{effective_user, peer_credentials};

/// A listening unix socket. Dropping it removes its file.
#[derive(Debug)]
pub(super) struct UnixSocket {
    /// Where clients come in.
    pub listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens at `path`, and lets in those whom `access` allows. A file that a dead daemon left there is replaced.
    pub(super) fn open(path: &Path, access: Access) -> io::Result<UnixSocket> {
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        let socket = UnixSocket { listener, path: path.to_path_buf(), identity: identity(path) };
        fs::set_permissions(path, Permissions::from_mode(access.mode))?;
        if let Some((user, group)) = access.owner {
            lchown(path, Some(user), Some(group))?;
        }
        Ok(socket)
    }
}

/// Who may connect to a socket, and who may remove its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// Permissions of the file.
    pub mode: u32,
    /// The user and group that own it, if not those of the process that makes it.
    pub owner: Option<(u32, u32)>,
}

/// Another process listens at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupied {
    /// The user who listens, if the system tells.
    user: Option<u32>,
}

impl Occupied {
    /// Whether the user is neither root nor the daemon's own, and so could pretend to be the daemon.
    pub(super) fn is_stranger(self) -> bool {
        self.user.is_some_and(|user| user != 0 && user != effective_user())
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) if self.is_stranger() => {
                write!(
                    f,
                    "user {user} listens there, and programs that trust the name connect to that user's program: end it"
                )
            }
            _ => f.write_str("another daemon answers there"),
        }
    }
}

impl std::error::Error for Occupied {}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another daemon may have put its own file there since; that one stays.
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket file on which nobody listens.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket: remove it"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        // No program listens, so a dead daemon left the file there.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(stream) => {
            let user = peer_credentials(&stream).ok().map(|(_, user)| user);
            Err(io::Error::new(ErrorKind::AddrInUse, Occupied { user }))
        }
        Err(_) => Err(io::Error::new(ErrorKind::AddrInUse, Occupied { user: None })),
    }
}

/// The device and number of a file: two files never share both.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Identity;

    const MODE: u32 = 0o666;
    const ACCESS: Access = Access { mode: MODE, owner: None };

    fn path() -> PathBuf {
        std::env::temp_dir().join(format!("torc-socket-{:x}", Identity::new(None).seed))
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_socket() {
        let path = path();
        let socket = UnixSocket::open(&path, ACCESS).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_file_is_replaced_and_a_living_one_is_not() {
        let path = path();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let living = UnixSocket::open(&path, ACCESS).unwrap();
        assert_eq!(UnixSocket::open(&path, ACCESS).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(living);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let path = path();
        fs::write(&path, "letters").unwrap();
        assert_eq!(UnixSocket::open(&path, ACCESS).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&path).unwrap();
        let first = UnixSocket::open(&path, ACCESS).unwrap();
        fs::remove_file(&path).unwrap();
        let second = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        fs::remove_file(&path).unwrap();
    }
}
