//! Gives root up: if root started the daemon, it becomes the user and group of the configuration.
//!
//! Ports below 1024, key files and the runtime directory are opened as root before that. Then every thread gives up root's groups, group
//! and user for good.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid, setgid, setuid};

/// The default user. It need not exist on a machine.
const DEFAULT_USER: &str = "spread";
/// Clients may look for sockets in the daemon's directory.
const DIRECTORY_MODE: u32 = 0o755;

/// A user and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (user {}, group {})", self.name, self.uid, self.gid)
    }
}

/// The change of the daemon's rights after start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Root did not start it: it stays the same user.
    Ordinary,
    /// It becomes this user.
    Become(Account),
    /// It stays root; the reason.
    StayRoot(String),
}

impl Plan {
    /// The plan for this user and group of the configuration.
    pub fn new(user: &str, group: &str) -> Result<Plan, String> {
        if geteuid().is_root() { Plan::of_root(user, group) } else { Ok(Plan::Ordinary) }
    }

    fn of_root(user: &str, group: &str) -> Result<Plan, String> {
        let Some((name, uid)) = find_user(user)? else {
            let reason = format!("there is no user {user}");
            return if user == DEFAULT_USER {
                Ok(Plan::StayRoot(reason))
            } else {
                Err(format!("DaemonUser: {reason}"))
            };
        };
        if uid.is_root() {
            return Ok(Plan::StayRoot(format!("DaemonUser is {user}")));
        }
        let gid = find_group(group)?.ok_or_else(|| format!("DaemonGroup: there is no group {group}"))?;
        Ok(Plan::Become(Account { name, uid, gid }))
    }

    /// The user and group that must own the daemon's files, if it changes its user.
    pub fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Plan::Become(account) => Some((account.uid.as_raw(), account.gid.as_raw())),
            _ => None,
        }
    }

    /// Makes the directory for the sockets, if root started the daemon and the directory does not exist.
    pub fn make_directory(&self, directory: &Path) -> io::Result<()> {
        if *self == Plan::Ordinary {
            return Ok(());
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
        self.hand_over(directory)
    }

    /// Gives a file or directory of root to the daemon's user. One that another user owns is not changed.
    pub fn hand_over(&self, path: &Path) -> io::Result<()> {
        let Some((uid, gid)) = self.owner() else { return Ok(()) };
        let owned_by_root = fs::symlink_metadata(path)?.uid() == 0;
        if owned_by_root { chown(path, Some(uid), Some(gid)) } else { Ok(()) }
    }

    /// Gives root up, in all threads and for good.
    pub fn carry_out(&self) -> Result<(), String> {
        if let Plan::Become(account) = self {
            // The user comes last, because changing the groups needs root.
            let fails = |what: &str, error: nix::Error| format!("cannot become {account}: {what}: {error}");
            set_groups(account).map_err(|error| fails("groups", error))?;
            setgid(account.gid).map_err(|error| fails("group", error))?;
            setuid(account.uid).map_err(|error| fails("user", error))?;
            if setuid(Uid::from_raw(0)).is_ok() {
                return Err(format!("the daemon became {account}, but could become root again"));
            }
        }
        Ok(())
    }
}

/// Replaces root's groups by those of the user.
#[cfg(not(target_vendor = "apple"))]
fn set_groups(account: &Account) -> nix::Result<()> {
    let name = std::ffi::CString::new(account.name.clone()).map_err(|_| nix::Error::EINVAL)?;
    nix::unistd::initgroups(&name, account.gid)
}

/// This system looks the groups up itself.
#[cfg(target_vendor = "apple")]
fn set_groups(_: &Account) -> nix::Result<()> {
    Ok(())
}

/// Forbids that programs which this process starts gain rights (the daemon starts none). Threads inherit this, so it must come before
/// the first thread.
#[cfg(target_os = "linux")]
pub fn forbid_new_privileges() -> Result<(), String> {
    nix::sys::prctl::set_no_new_privs().map_err(|error| format!("no_new_privs: {error}"))
}

#[cfg(not(target_os = "linux"))]
pub fn forbid_new_privileges() -> Result<(), String> {
    Ok(())
}

/// A user by name or number.
fn find_user(text: &str) -> Result<Option<(String, Uid)>, String> {
    let found = match text.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(text),
    };
    found.map(|found| found.map(|user| (user.name, user.uid))).map_err(|error| format!("DaemonUser {text}: {error}"))
}

/// A group by name or number.
fn find_group(text: &str) -> Result<Option<Gid>, String> {
    match text.parse() {
        Ok(number) => Ok(Some(Gid::from_raw(number))),
        Err(_) => Group::from_name(text)
            .map(|found| found.map(|group| group.gid))
            .map_err(|error| format!("DaemonGroup {text}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_the_user_of_the_configuration() {
        let Plan::Become(nobody) = Plan::of_root("nobody", "0").unwrap() else { panic!("no user") };
        assert_eq!((nobody.name.as_str(), nobody.gid), ("nobody", Gid::from_raw(0)));
        assert_eq!(Plan::of_root(&nobody.uid.to_string(), "0").unwrap(), Plan::Become(nobody));
        assert!(matches!(Plan::of_root("root", "root").unwrap(), Plan::StayRoot(_)));
    }

    #[test]
    fn a_user_or_group_that_is_not_there_is_an_error_unless_nobody_asked_for_it() {
        let error = Plan::of_root("no-such-user", "0").unwrap_err();
        assert_eq!(error, "DaemonUser: there is no user no-such-user");
        assert_eq!(
            Plan::of_root("nobody", "no-such-group").unwrap_err(),
            "DaemonGroup: there is no group no-such-group"
        );
        if User::from_name(DEFAULT_USER).unwrap().is_none() {
            assert!(matches!(Plan::of_root(DEFAULT_USER, DEFAULT_USER).unwrap(), Plan::StayRoot(_)));
        }
    }
}
