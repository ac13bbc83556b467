//! A unix socket where local programs connect: a file that must not be taken from a living daemon, and must not stay behind.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::net::{UnixListener, UnixStream};

/// A listening unix socket. Its file goes when this goes.
#[derive(Debug)]
pub(super) struct UnixSocket {
    /// Where clients come in.
    pub listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens at `path`, in the place of a file that a dead daemon left there, for those whom `mode` allows to connect.
    pub(super) fn open(path: &Path, mode: u32) -> io::Result<UnixSocket> {
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        let socket = UnixSocket { listener, path: path.to_path_buf(), identity: identity(path) };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(socket)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
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
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "another daemon answers there")),
    }
}

/// Which file this is.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Identity;

    const MODE: u32 = 0o666;

    fn path() -> PathBuf {
        std::env::temp_dir().join(format!("torc-socket-{:x}", Identity::new(None).seed))
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_socket() {
        let path = path();
        let socket = UnixSocket::open(&path, MODE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_file_is_replaced_and_a_living_one_is_not() {
        let path = path();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let living = UnixSocket::open(&path, MODE).unwrap();
        assert_eq!(UnixSocket::open(&path, MODE).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(living);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let path = path();
        fs::write(&path, "letters").unwrap();
        assert_eq!(UnixSocket::open(&path, MODE).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&path).unwrap();
        let first = UnixSocket::open(&path, MODE).unwrap();
        fs::remove_file(&path).unwrap();
        let second = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        fs::remove_file(&path).unwrap();
    }
}
