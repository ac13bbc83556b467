//! The programs of `tests/c/ring.c`, compiled as C and as C++ against the built library, and what they report. Three of them,
//! one at each daemon of a site, are the members of one group.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

use crate::site::Site;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const C: &[&str] = &["cc", "-std=c99"];
const CXX: &[&str] = &["c++", "-x", "c++"];

/// What the members are called.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// How the members reach the daemon of their node: two through its unix socket.
const DOORS: [&str; 3] = ["4803", "4803@127.0.0.1", "4803"];

/// Starts one member at each of three daemons. They are allowed the first stage.
pub fn members(site: &Site, messages: Messages) -> Vec<Member> {
    let programs = Programs::build(site.rig.directory());
    let start = |node: usize| {
        let program = if node == 1 { &programs.cxx } else { &programs.c };
        let command = site.rig.command(node, program);
        let sequence = site.rig.directory().join(format!("sequence{node}"));
        Member::start(command, DOORS[node], NAMES[node], messages, sequence)
    };
    (0..NAMES.len()).map(start).collect()
}

/// What the member at a node is called in views and as a sender.
pub fn private_group(node: usize) -> String {
    Site::private_group(NAMES[node], node)
}

/// The program in both languages.
pub struct Programs {
    pub c: PathBuf,
    pub cxx: PathBuf,
}

impl Programs {
    /// Compiles both into this directory, without a warning.
    pub fn build(directory: &Path) -> Programs {
        let built = std::env::current_exe().unwrap().with_file_name("libspread.so");
        for name in ["libspread.so", "libspread.so.3"] {
            symlink(&built, directory.join(name)).unwrap();
        }
        Programs { c: compile(C, directory, "ring"), cxx: compile(CXX, directory, "ring++") }
    }
}

fn compile(compiler: &[&str], directory: &Path, name: &str) -> PathBuf {
    let (root, program) = (Path::new(ROOT), directory.join(name));
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-Wall", "-Wextra", "-Werror", "-O1"]);
    command.arg("-I").arg(root.join("include")).arg(root.join("tests/c/ring.c")).args(["-x", "none"]);
    command.arg("-o").arg(&program).arg("-L").arg(directory).arg("-lspread");
    command.arg(format!("-Wl,-rpath,{}", directory.display()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    program
}

/// How much each member sends, and in how many stages.
#[derive(Clone, Copy)]
pub struct Messages {
    pub count: usize,
    pub size: usize,
    pub stages: usize,
}

/// A running program. It gives itself up after a minute, so waiting for it ends.
pub struct Member {
    child: Child,
    progress: BufReader<ChildStderr>,
    leave: Option<ChildStdin>,
    sequence: PathBuf,
}

impl Member {
    /// Starts a program that joins a group of three through the daemon at this address.
    fn start(mut command: Command, address: &str, name: &str, messages: Messages, sequence: PathBuf) -> Member {
        command.args([address, name, "ring", "3"]);
        command.args([messages.count, messages.size, messages.stages].map(|number| number.to_string()));
        command.stdin(Stdio::piped()).stdout(File::create(&sequence).unwrap()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (progress, leave) = (BufReader::new(child.stderr.take().unwrap()), child.stdin.take());
        Member { child, progress, leave, sequence }
    }

    /// Lets it go one stage further.
    pub fn allow_a_stage(&mut self) {
        self.leave.as_mut().unwrap().write_all(b".").unwrap();
    }

    /// Lets it go all the way.
    pub fn allow_all(&mut self) {
        self.leave = None;
    }

    /// Waits until it has sent so many stages.
    pub fn await_stage(&mut self, stage: usize) {
        let awaited = format!("stage {stage}");
        let mut said = String::new();
        while !said.lines().any(|line| line == awaited) {
            assert!(self.progress.read_line(&mut said).unwrap() > 0, "ended before {awaited}: {said}");
        }
    }

    /// Waits for its end, which it must have been allowed, and returns its exit code and what it was delivered.
    pub fn finish(mut self) -> (Option<i32>, Vec<String>) {
        let said: Vec<_> = self.progress.by_ref().lines().map(Result::unwrap).collect();
        let status = self.child.wait().unwrap();
        println!("{}: {status}, {said:?}", self.sequence.display());
        let sequence = fs::read_to_string(&self.sequence).unwrap();
        (status.code(), sequence.lines().map(str::to_owned).collect())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
