//! Who the daemon is once its ports are open: the user and group of the configuration, if root started it.
//!
//! Ports below 1024, key files and the runtime directory are opened as root. Then root is given up for good, in every thread:
//! groups, group and user.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid, setgid, setuid};

/// The user that daemons have by default. A machine need not know it.
const DEFAULT_USER: &str = "spread";
/// Others than the daemon may look for sockets in its directory.
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

/// What becomes of the daemon's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It was not started by root: it stays who it is.
    Ordinary,
    /// It becomes this user.
    Become(Account),
    /// It stays root, and why.
    StayRoot(String),
}

impl Plan {
    /// What a configuration asks for.
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

    /// Who owns what the daemon makes, if that is not who makes it.
    pub fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Plan::Become(account) => Some((account.uid.as_raw(), account.gid.as_raw())),
            _ => None,
        }
    }

    /// Makes the directory where sockets lie, if root starts the daemon and it is not there.
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

    /// Lets the daemon's user have a file or directory that root may have made. What somebody else owns stays theirs.
    pub fn hand_over(&self, path: &Path) -> io::Result<()> {
        let Some((uid, gid)) = self.owner() else { return Ok(()) };
        let owned_by_root = fs::symlink_metadata(path)?.uid() == 0;
        if owned_by_root { chown(path, Some(uid), Some(gid)) } else { Ok(()) }
    }

    /// Gives root up, in all threads and for good.
    pub fn carry_out(&self) -> Result<(), String> {
        if let Plan::Become(account) = self {
            let fails = |what: &str, error: nix::Error| format!("cannot become {account}: {what}: {error}");
            set_groups(account).map_err(|error| fails("groups", error))?;
            setgid(account.gid).map_err(|error| fails("group", error))?;
            setuid(account.uid).map_err(|error| fails("user", error))?;
            if setuid(Uid::from_raw(0)).is_ok() {
                return Err(format!("root was given up for {account}, and can be had again"));
            }
        }
        Ok(())
    }
}

/// The groups that the user is in, in place of root's.
#[cfg(not(target_vendor = "apple"))]
fn set_groups(account: &Account) -> nix::Result<()> {
    let name = std::ffi::CString::new(account.name.clone()).map_err(|_| nix::Error::EINVAL)?;
    nix::unistd::initgroups(&name, account.gid)
}

/// This system looks groups up by itself.
#[cfg(target_vendor = "apple")]
fn set_groups(_: &Account) -> nix::Result<()> {
    Ok(())
}

/// Nothing that this process starts gains rights; it starts nothing. Each thread has this from the one that starts it, so this comes
/// before all others.
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
