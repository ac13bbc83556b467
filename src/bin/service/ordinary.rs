//! Replaces `privileges` on systems where users are not numbers: the daemon stays the user that started it.

use std::convert::Infallible;
use std::io;
use std::path::Path;

/// The change of the daemon's rights after start: none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "other systems have more plans")]
pub enum Plan {
    /// It stays the same user.
    Ordinary,
    /// Never.
    Become(Infallible),
    /// Never.
    StayRoot(Infallible),
}

impl Plan {
    /// The user and group of the configuration mean nothing here.
    pub fn new(_user: &str, _group: &str) -> Result<Plan, String> {
        Ok(Plan::Ordinary)
    }

    /// The daemon never changes its user.
    pub fn owner(&self) -> Option<(u32, u32)> {
        None
    }

    /// Nothing: there are no sockets in directories.
    pub fn make_directory(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Nothing.
    pub fn hand_over(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Nothing.
    pub fn carry_out(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Nothing.
pub fn forbid_new_privileges() -> Result<(), String> {
    Ok(())
}
