//! Finds and reads the files of a daemon: `spread.conf`, the access file and the password file. [`crate::config`] and
//! [`crate::session`] give them their meaning.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::denied::explain;
use super::key_file::{KeyFileError, has_aes, read_key_file};
use super::memory;
use crate::config::{Hosts, Invalid, Live, Settings};
use crate::net;
use crate::seal::{Cipher, Keys};
use crate::session::{AccessError, AccessList, Method, PasswordError, Passwords, SessionSettings};

/// The name of the configuration file when none is given.
pub const DEFAULT_FILE: &str = "spread.conf";

/// The name of the access file, looked for in the working directory and in `/etc`.
pub const ACCESS_FILE: &str = "spread.access_ip";

/// The name of the password file, looked for in the same places.
pub const PASSWORD_FILE: &str = "spread.access_pword";

/// Descriptors that clients cannot have: for networks, doors, the log, and a client that is refused.
const OTHER_DESCRIPTORS: usize = 64;
/// Descriptors for files that clients of this machine pass: those that may wait (`passed`), and those of one more read. But no more than a quarter
/// of all descriptors. The system closes a file that finds none within the loop, and that may take as long as the client likes.
const PASSED_DESCRIPTORS: usize = 512;

/// Why a file cannot be used.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is larger than [`Settings::FILE_LIMIT`].
    TooLarge(PathBuf),
    /// The configuration has mistakes.
    Invalid(Invalid),
    /// A line of the access file is not a rule.
    Access(PathBuf, AccessError),
    /// A line of the password file is not a user.
    Password(PathBuf, PasswordError),
    /// The key file cannot be used.
    Keys(KeyFileError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Unreadable(path, error) => write!(f, "{}: cannot be read: {error}", path.display()),
            FileError::TooLarge(path) => write!(f, "{}: too large for a configuration", path.display()),
            FileError::Invalid(error) => error.fmt(f),
            FileError::Access(path, error) => write!(f, "{}: {error}", path.display()),
            FileError::Password(path, error) => write!(f, "{}: {error}", path.display()),
            FileError::Keys(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Unreadable(_, error) => Some(error),
            FileError::Access(_, error) => Some(error),
            FileError::Password(_, error) => Some(error),
            FileError::Keys(error) => Some(error),
            FileError::TooLarge(_) | FileError::Invalid(_) => None,
        }
    }
}

impl FileError {
    fn unreadable(path: &Path, error: io::Error) -> FileError {
        FileError::Unreadable(path.to_path_buf(), explain(path, error))
    }
}

impl From<Invalid> for FileError {
    fn from(error: Invalid) -> FileError {
        FileError::Invalid(error)
    }
}

/// The configuration file to read: the one named, otherwise `spread.conf` in the working directory, otherwise in `/etc`. The first that
/// exists counts, even if it cannot be read.
pub fn find_file(name: &Path) -> Option<PathBuf> {
    first_present(&[name, Path::new(DEFAULT_FILE), Path::new("/etc/spread.conf")])
}

/// Reads a configuration file. A daemon without an address is looked up as a host.
pub fn read(path: &Path) -> Result<Settings, FileError> {
    parse(&path.display().to_string(), &read_limited(path)?)
}

/// Reads a configuration file again. It must be a file.
pub fn read_again(path: &Path) -> Result<Settings, FileError> {
    refuse_pipe(path)?;
    read(path)
}

/// A pipe gives its text once, and who reads it waits until somebody writes. So what a reload reads must not be one.
fn refuse_pipe(path: &Path) -> Result<(), FileError> {
    let unreadable = |error| FileError::unreadable(path, error);
    let kind = path.metadata().map_err(unreadable)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    Err(unreadable(io::Error::other("it is a pipe or a device, and these cannot be read again")))
}

/// Reads a configuration; `file` is its name in messages. A daemon without an address is looked up as a host.
pub fn parse(file: &str, text: &[u8]) -> Result<Settings, FileError> {
    let own = net::local_subnets().unwrap_or_default();
    Ok(Settings::parse_with(file, text, &Hosts { lookup: &lookup, own: &own })?)
}

/// The access file to read: in the working directory, otherwise in `/etc`.
pub fn find_access_file() -> Option<PathBuf> {
    first_present(&[Path::new(ACCESS_FILE), &Path::new("/etc").join(ACCESS_FILE)])
}

/// Reads an access file.
pub fn read_access_file(path: &Path) -> Result<AccessList, FileError> {
    refuse_pipe(path)?;
    let text = read_limited(path)?;
    let list = AccessList::parse_with(&String::from_utf8_lossy(&text), &crate::system::user_id);
    list.map_err(|error| FileError::Access(path.into(), error))
}

/// The password file to read: in the working directory, otherwise in `/etc`.
pub fn find_password_file() -> Option<PathBuf> {
    first_present(&[Path::new(PASSWORD_FILE), &Path::new("/etc").join(PASSWORD_FILE)])
}

/// Reads a password file.
pub fn read_password_file(path: &Path) -> Result<Passwords, FileError> {
    refuse_pipe(path)?;
    let text = read_limited(path)?;
    Passwords::parse(&String::from_utf8_lossy(&text)).map_err(|error| FileError::Password(path.into(), error))
}

/// Reads the files that these settings name or need, as [`crate::daemon::Options::read_files`] does. Gives the keys.
pub fn read_all(live: &mut Live) -> Result<Keys, FileError> {
    read_access(&mut live.session)?;
    live.key_file.as_deref().map_or(Ok(Keys::NONE), read_keys)
}

/// Reads the access file, and the password file if clients are checked by password. Without its file a check refuses everybody. If no
/// check uses the access file, a mistake in it is only a warning, unless it has rules for groups: these always count.
pub(super) fn read_access(session: &mut SessionSettings) -> Result<(), FileError> {
    let (by_access, by_password) = checks(session);
    match find_access_file() {
        Some(path) => match read_access_file(&path) {
            Ok(access) => session.access = access,
            Err(error) if by_access || has_group_rules(&path) => return Err(error),
            Err(error) => {
                warn!(name: "access_unused", %error, "the access file has a mistake; nothing uses the file now")
            }
        },
        None if by_access => {
            warn!(name: "access_missing", "there is no access file: the methods IP and UNIX refuse everybody")
        }
        None => {}
    }
    match find_password_file() {
        Some(path) if by_password => session.passwords = read_password_file(&path)?,
        None if by_password => {
            warn!(name: "access_missing", "there is no password file: the method PWORD refuses everybody")
        }
        _ => {}
    }
    Ok(())
}

/// The files that a reload reads again besides the configuration. Root may have read them before the daemon became another user.
#[derive(Clone, Debug)]
pub struct FilesInUse {
    rules: Option<PathBuf>,
    passwords: Option<PathBuf>,
    keys: Option<PathBuf>,
}

impl FilesInUse {
    /// The files that a daemon with these settings uses.
    pub fn of(live: &Live) -> FilesInUse {
        let (by_access, by_password) = checks(&live.session);
        FilesInUse {
            rules: find_access_file().filter(|path| by_access || has_group_rules(path)),
            passwords: find_password_file().filter(|_| by_password),
            keys: live.key_file.as_ref().map(PathBuf::from),
        }
    }

    /// Reads the files as the user that this process is now.
    pub fn read(&self) -> Result<(), FileError> {
        self.keys.as_deref().map(read_key_file).transpose().map_err(FileError::Keys)?;
        self.passwords.as_deref().map(read_password_file).transpose()?;
        self.rules.as_deref().map(read_access_file).transpose()?;
        Ok(())
    }
}

/// Whether clients are checked by the access file, and whether by the password file.
fn checks(session: &SessionSettings) -> (bool, bool) {
    let checks = |method| session.allowed.contains(&method) || session.required.contains(&method);
    (checks(Method::Ip) || checks(Method::Unix), checks(Method::Password))
}

/// Whether a line of the access file begins like a rule for groups. One that is there and may not be read can have such rules, and
/// without them clients could do what the rules forbid.
fn has_group_rules(path: &Path) -> bool {
    match refuse_pipe(path).and_then(|()| read_limited(path)) {
        Ok(text) => String::from_utf8_lossy(&text).lines().any(|line| line.split_whitespace().next() == Some("group")),
        Err(FileError::Unreadable(_, error)) => {
            error.kind() == ErrorKind::PermissionDenied && path.symlink_metadata().is_ok()
        }
        Err(_) => false,
    }
}

/// The keys of the file that the settings name.
pub(super) fn read_keys(file: &str) -> Result<Keys, FileError> {
    let keys = read_key_file(Path::new(file)).map_err(FileError::Keys)?;
    if keys.iter().any(|key| key.cipher() == Cipher::Aes256Gcm) && !has_aes() {
        warn!(name: "slow_cipher", "this processor has no instructions for AES: a key for chacha20-poly1305 would be faster here");
    }
    Ok(keys)
}

/// Gives clients the memory that the file sets, or else a part of the machine's.
pub(super) fn fit_memory(live: &mut Live) {
    live.session.max_memory = live.max_memory.unwrap_or_else(memory::default_limit);
}

/// Limits the clients to the descriptors of this process.
pub(super) fn fit_descriptors(session: &mut SessionSettings, descriptors: usize) {
    let others = OTHER_DESCRIPTORS + PASSED_DESCRIPTORS.min(descriptors / 4);
    let room = descriptors.saturating_sub(others).max(1);
    if room < session.quota {
        warn!(name: "few_descriptors", descriptors, wanted = session.quota, "fewer clients than MaxSessions fit: raise the limit of open files");
        session.quota = room;
    }
}

fn first_present(candidates: &[&Path]) -> Option<PathBuf> {
    let absent = |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let present = |path: &&&Path| !path.symlink_metadata().is_err_and(absent);
    candidates.iter().find(present).map(|path| path.to_path_buf())
}

/// The bytes of a file that is not too large.
fn read_limited(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut text = Vec::new();
    let limit = Settings::FILE_LIMIT as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut text))
        .map_err(|error| FileError::unreadable(path, error))?;
    if text.len() > Settings::FILE_LIMIT {
        return Err(FileError::TooLarge(path.to_path_buf()));
    }
    Ok(text)
}

/// The addresses of the host with this name.
fn lookup(name: &str) -> Vec<IpAddr> {
    (name, 0).to_socket_addrs().map(|found| found.map(|socket| socket.ip()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_a_clear_error() {
        let missing = read(Path::new("no/such/spread.conf")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such/spread.conf: cannot be read: "), "{missing}");
        assert!(matches!(read(Path::new("src")), Err(FileError::Unreadable(..))));
    }

    #[test]
    #[cfg(unix)]
    fn only_a_file_is_read_again() {
        let refused = read_again(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(refused, "/dev/null: cannot be read: it is a pipe or a device, and these cannot be read again");
        assert!(read_again(Path::new("no/such/spread.conf")).unwrap_err().to_string().contains("cannot be read"));
        assert!(read_again(Path::new("docs/spread.conf.example")).is_ok());
        let device = Path::new("/dev/null");
        for refused in [read_access_file(device).unwrap_err(), read_password_file(device).unwrap_err()] {
            assert!(refused.to_string().contains("it is a pipe or a device"), "{refused}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_file_without_end_is_refused() {
        assert!(matches!(read(Path::new("/dev/zero")), Err(FileError::TooLarge(..))));
    }

    #[test]
    fn the_first_file_that_is_there_is_found() {
        let [missing, here, also] = ["no/such/spread.conf", "docs/spread.conf.example", "Cargo.toml"].map(Path::new);
        assert_eq!(first_present(&[missing, here, also]).as_deref(), Some(here));
        assert_eq!(first_present(&[missing]), None);
        assert_eq!(find_file(also).as_deref(), Some(also));
    }
}
