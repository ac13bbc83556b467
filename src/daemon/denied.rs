//! A file that this process may not read, and the command that lets it.
//!
//! "Permission denied" does not say whose permission is missing. A daemon that root started reads its files as root first and as its own
//! user later, so the error names the file's owner and this user.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

#[cfg(unix)]
use crate::system;

/// Why this process may not read a file, and what to do.
#[derive(Debug)]
struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

/// Adds to a missing permission whose it is and what to do. Other errors stay as they are.
pub(super) fn explain(file: &Path, error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => io::Error::new(ErrorKind::PermissionDenied, Denied(advice(file))),
        _ => error,
    }
}

#[cfg(unix)]
fn advice(file: &Path) -> String {
    let user = system::effective_user();
    let name = system::user_name(user);
    let Ok(metadata) = file.metadata() else {
        return format!(
            "a directory above it keeps user {name} out: move the file to a directory that this user may enter"
        );
    };
    let (owner, file) = (std::os::unix::fs::MetadataExt::uid(&metadata), file.display());
    if owner == user {
        return format!("its mode keeps it from its owner {name}: do 'chmod 600 {file}'");
    }
    let (owner, group) = (system::user_name(owner), system::effective_group_name());
    let commands = format!("chown {owner}:{group} {file}; chmod 640 {file}");
    format!("its owner {owner} keeps it from user {name}; a daemon that runs as this user needs '{commands}'")
}

/// This system has no modes of files.
#[cfg(not(unix))]
fn advice(_: &Path) -> String {
    "the daemon's user may not read it: let this user read it".to_owned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_permission_gets_advice() {
        let file = Path::new("Cargo.toml");
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(explain(file, full).to_string(), io::Error::from(ErrorKind::StorageFull).to_string());
        let denied = explain(file, ErrorKind::PermissionDenied.into());
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        assert!(denied.to_string().contains("chmod 6") && denied.to_string().contains("Cargo.toml"), "{denied}");
        let hidden = explain(Path::new("no/such/file"), ErrorKind::PermissionDenied.into()).to_string();
        assert!(hidden.starts_with("a directory above it keeps user "), "{hidden}");
    }
}
