//! How a client decides whether a process is the daemon of this machine.
//!
//! Any user can listen at a name in /tmp before the daemon does. So the client asks the system which user listens, and trusts only
//! root, the daemon's user and its own user. The daemon's user is the owner of the runtime directory, which only root can have made,
//! or the user `spread` of the machine, or the user that `SPREAD_TRUST_USER` names.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ConnectError;
use crate::system::{self, RUNTIME_DIRECTORY};

pub use crate::system::{CONTROL, places};

/// The variable that names one more trusted user, by name or number.
const VARIABLE: &str = "SPREAD_TRUST_USER";
/// The user that daemons have by default.
const DAEMON_USER: &str = "spread";
/// The machine's users.
const USERS: &str = "/etc/passwd";
/// Write permission for others than the owner.
const WRITABLE: u32 = 0o022;

/// Whether the process at the other end of this socket is trusted.
pub fn check(socket: &impl AsRawFd) -> Result<(), ConnectError> {
    // Some systems cannot tell who listens.
    let Ok((_, user)) = system::peer_credentials(socket) else { return Ok(()) };
    let believed = user == 0 || user == system::effective_user() || is_daemons(user);
    if believed { Ok(()) } else { Err(ConnectError::Untrusted(user)) }
}

fn is_daemons(user: u32) -> bool {
    owner_of(Path::new(RUNTIME_DIRECTORY)) == Some(user) || is_named(user, DAEMON_USER) || is_chosen(user)
}

/// The owner of a directory that nobody else can put sockets into.
fn owner_of(directory: &Path) -> Option<u32> {
    let metadata = fs::symlink_metadata(directory).ok()?;
    (metadata.is_dir() && metadata.mode() & WRITABLE == 0).then(|| metadata.uid())
}

fn is_chosen(user: u32) -> bool {
    let Some(chosen) = system::environment(VARIABLE) else { return false };
    chosen.parse().map_or_else(|_| is_named(user, &chosen), |number: u32| number == user)
}

fn is_named(user: u32, name: &str) -> bool {
    fs::read_to_string(USERS).is_ok_and(|users| number_of(&users, name) == Some(user))
}

/// The number of a user, from lines of `name:password:number:...`.
fn number_of(users: &str, name: &str) -> Option<u32> {
    let mut lines = users.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_own_user_is_believed() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert_eq!(check(&near), Ok(()));
    }

    #[test]
    fn users_are_found_by_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# spread:x:5:\nspread:x:991:991::/:/bin/false\n";
        assert_eq!(
            (number_of(users, "spread"), number_of(users, "spre"), number_of("spread", "spread")),
            (Some(991), None, None)
        );
    }

    #[test]
    fn a_directory_that_others_may_write_says_nothing() {
        assert_eq!(owner_of(Path::new("/tmp")), None);
        assert_eq!(owner_of(Path::new("/no/such/directory")), None);
        assert_eq!(owner_of(Path::new("/proc")), Some(0));
    }
}
