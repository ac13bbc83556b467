//! A process that a test started and that never outlives it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program. Dropping it kills it; if that is because a test failed, what it had written is shown.
pub struct Process {
    /// The program itself.
    pub child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts a program whose outputs go to files that begin with this name.
    pub fn start(mut command: Command, name: &Path) -> Process {
        let (output, errors) = (name.with_extension("out"), name.with_extension("err"));
        command.stdin(Stdio::null()).stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        Process { child: command.spawn().unwrap(), output, errors }
    }

    /// What it has written to standard error.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap()).into_owned()
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
            let output = fs::read(&self.output).unwrap_or_default();
            eprintln!("--- {}\n{}{}", self.output.display(), String::from_utf8_lossy(&output), self.errors());
        }
    }
}
