//! A process that a test started and that never outlives it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program. Dropping it kills it; if that is because a test failed, what it had logged is shown.
pub struct Process {
    /// The program itself.
    pub child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose outputs both go to this file.
    pub fn logging_to(log: &Path, command: &mut Command) -> Process {
        let file = fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Process { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it at once, without leave.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}
