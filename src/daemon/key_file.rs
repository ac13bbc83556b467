//! The file with the keys that all daemons of a system share. `spread --make-key` makes it once; daemons read it at their start and at
//! an operator's command.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ring_crypto::rand::{SecureRandom as _, SystemRandom};

use super::denied::explain;
use crate::seal::{Cipher, Key, KeyError, Keys};

/// Bytes of the largest key file: keys and some comments.
const SIZE_LIMIT: u64 = 64 << 10;

/// Why a key file cannot be used, or was not made.
#[derive(Debug)]
pub struct KeyFileError {
    file: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Missing,
    Unreadable(io::Error),
    Unwritable(io::Error),
    /// Somebody else can read or change it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has such modes"))]
    Open(u32),
    /// It is something else than a file.
    NoFile(&'static str),
    TooLarge,
    /// Its bytes are not UTF-8.
    NoText,
    Keys(KeyError),
    NoRandom,
    Exists,
}

/// Reads the keys. A file that others can read is refused.
pub fn read_key_file(path: &Path) -> Result<Keys, KeyFileError> {
    read(path).map_err(|reason| KeyFileError { file: path.to_path_buf(), reason })
}

/// Makes a file with one new key, which only its owner can read. An existing file is left as it is.
pub fn make_key_file(path: &Path) -> Result<Key, KeyFileError> {
    make(path).map_err(|reason| KeyFileError { file: path.to_path_buf(), reason })
}

fn read(path: &Path) -> Result<Keys, Reason> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Reason::Missing,
        _ => Reason::Unreadable(explain(path, error)),
    })?;
    match metadata.file_type() {
        kind if kind.is_file() => {}
        kind if kind.is_dir() => return Err(Reason::NoFile("a directory")),
        _ => return Err(Reason::NoFile("a pipe, a socket or a device")),
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(Reason::TooLarge);
    }
    check_mode(&metadata)?;
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Reason::NoText,
        _ => Reason::Unreadable(explain(path, error)),
    })?;
    text.parse().map_err(Reason::Keys)
}

/// The owner's group may read, so that a daemon with a user of its own can read a file that root owns. Nobody else may do anything.
#[cfg(unix)]
fn check_mode(metadata: &fs::Metadata) -> Result<(), Reason> {
    const FOREIGN: u32 = 0o027;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & FOREIGN == 0 { Ok(()) } else { Err(Reason::Open(mode)) }
}

/// This system has no modes of files.
#[cfg(not(unix))]
fn check_mode(_: &fs::Metadata) -> Result<(), Reason> {
    Ok(())
}

fn make(path: &Path) -> Result<Key, Reason> {
    let mut secret = [0; Key::SIZE];
    SystemRandom::new().fill(&mut secret).map_err(|_| Reason::NoRandom)?;
    let key = Key::new(best_cipher(), secret);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Reason::Exists,
        _ => Reason::Unwritable(error),
    })?;
    let text =
        format!("# Key {} of a Torc system. Every daemon has the same file; nobody else may read it.\n", key.id());
    let written = file.write_all(format!("{text}{}\n", key.to_line()).as_bytes()).and_then(|()| file.sync_all());
    written.map_err(Reason::Unwritable)?;
    Ok(key)
}

/// The cipher that is fastest on this machine. The key names its cipher, so all daemons use the same one.
fn best_cipher() -> Cipher {
    if has_aes() { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
}

/// Whether this processor has instructions for AES.
pub(super) fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    false
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "key file {file}: ")?;
        match &self.reason {
            Reason::Missing => write!(
                f,
                "it does not exist; make it with 'spread --make-key {file}' and copy it to every daemon's machine"
            ),
            Reason::Unreadable(error) | Reason::Unwritable(error) => error.fmt(f),
            Reason::Open(mode) => write!(
                f,
                "others can read or change it (mode {mode:o}); do 'chmod 600 {file}' if the daemon's user owns it, \
                 or 'chmod 640 {file}' if its group is the daemon's; if others may have read the key, \
                 'spread --make-key {file}.new' makes a file with another one"
            ),
            Reason::NoFile(kind) => write!(f, "it is {kind}, not a file of keys; {}", Maker(&self.file)),
            Reason::TooLarge => {
                write!(f, "it is longer than {} KiB; {}", SIZE_LIMIT >> 10, Maker(&self.file))
            }
            Reason::NoText => write!(f, "it is not text in UTF-8; {}", Maker(&self.file)),
            Reason::Keys(error) => write!(f, "{error}; {}", Maker(&self.file)),
            Reason::NoRandom => f.write_str("the system gives no random numbers"),
            Reason::Exists => f.write_str("it exists and is left as it is"),
        }
    }
}

impl std::error::Error for KeyFileError {}

impl KeyFileError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self.reason, Reason::Missing)
    }
}

/// The command that makes a file with a key beside the one of no use.
struct Maker<'a>(&'a Path);

impl fmt::Display for Maker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'spread --make-key {}.new' makes a file with a key", self.0.display())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::daemon::Identity;

    fn path() -> PathBuf {
        std::env::temp_dir().join(format!("torc-key-{:x}", Identity::new(None).seed))
    }

    fn error(path: &Path) -> String {
        let text = read_key_file(path).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_alone() {
        let path = path();
        let key = make_key_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_key_file(&path).unwrap().iter().cloned().collect::<Vec<_>>(), std::slice::from_ref(&key));
        let again = make_key_file(&path).unwrap_err().to_string();
        assert!(again.ends_with("it exists and is left as it is"), "{again}");
        assert_eq!(read_key_file(&path).unwrap().ids().collect::<Vec<_>>(), [key.id()]);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_key_file_of_no_use_is_refused_with_the_way_out() {
        let path = path();
        assert_eq!(
            error(&path),
            "key file FILE: it does not exist; make it with 'spread --make-key FILE' and copy it to every daemon's machine"
        );
        let key = make_key_file(&path).unwrap();
        for (mode, refused) in [(0o644, true), (0o660, true), (0o640, false), (0o400, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_key_file(&path).is_err(), refused, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(
            error(&path),
            "key file FILE: others can read or change it (mode 604); do 'chmod 600 FILE' if the daemon's user owns it, \
             or 'chmod 640 FILE' if its group is the daemon's; if others may have read the key, \
             'spread --make-key FILE.new' makes a file with another one"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, &key.to_line()[..40]).unwrap();
        let short = "key file FILE: the key of line 1 must have 64 hexadecimal digits; 'spread --make-key FILE.new' makes a file with a key";
        assert_eq!(error(&path), short);
        let made = "; 'spread --make-key FILE.new' makes a file with a key";
        fs::write(&path, b"aes-256-gcm \xff\n").unwrap();
        assert_eq!(error(&path), format!("key file FILE: it is not text in UTF-8{made}"));
        fs::write(&path, vec![b'#'; SIZE_LIMIT as usize + 1]).unwrap();
        assert_eq!(error(&path), format!("key file FILE: it is longer than 64 KiB{made}"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(error(&path), format!("key file FILE: it is a directory, not a file of keys{made}"));
        fs::remove_dir(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let pipe = format!("key file FILE: it is a pipe, a socket or a device, not a file of keys{made}");
        assert_eq!(error(&path), pipe);
        fs::remove_file(&path).unwrap();
    }
}
