//! The examples in C and Rust do what `examples/README.md` prints. Those in Python are played by its own tests.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "shared with the tests of the C interface")]
mod c_programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use c_programs::{C, Library, ROOT};
use spread::client::{ConnectOptions, Mailbox, Received};
use spread::config::Settings;
use spread::daemon::{Handle, Options, Running, spawn};
use spread::wire::{FrameType, Name, NetworkId};

/// What no program of an example sends to its group.
const NONSENSE: [&[u8]; 14] = [
    b"",
    b" ",
    b"\xff\x00\xfe",
    b"set",
    b"set colour",
    b"set colour red green",
    b"set a=b c",
    b"set a-word-that-is-much-longer-than-any-other x",
    b"state",
    b"state 0:0:0 many",
    b"job",
    b"job x y",
    b"done",
    b"done #a#d1 x",
];

/// The ring of `examples/ring.conf` on a port of its own, and where its configuration lies.
struct Ring {
    port: String,
    file: PathBuf,
    daemons: Vec<Running>,
}

impl Ring {
    fn new(name: &str, with_daemons: bool) -> Ring {
        let port = TcpListener::bind("127.77.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let text = fs::read_to_string(Path::new(ROOT).join("examples/ring.conf")).unwrap().replace("4803", &port);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.conf"));
        fs::write(&file, &text).unwrap();
        let settings = Settings::parse("ring.conf", text.as_bytes()).unwrap();
        let daemons = settings.table.daemons.iter().filter(|_| with_daemons);
        let daemons: Vec<Running> = daemons.map(|me| spawn(Options::from_settings(&settings, me)).unwrap()).collect();
        let formed = |daemon: &Running| daemon.handle().status().configuration.is_some_and(|it| it.members.len() == 3);
        while !daemons.iter().all(formed) {
            std::thread::yield_now();
        }
        Ring { port, file, daemons }
    }

    fn happen(&self, event: &str) {
        match event {
            "(d3 is cut off)" => self.drill(Handle::begin_drill),
            "(d3 is back)" => self.drill(Handle::end_drill),
            "(both work)" => self.await_workers(),
            _ => match event.strip_prefix("(a stranger sends nonsense to ").and_then(|rest| rest.strip_suffix(')')) {
                Some(group) => self.send_nonsense(group),
                None => panic!("nobody knows how: {event}"),
            },
        }
    }

    fn drill(&self, begin_or_end: fn(&Handle, NetworkId)) {
        [0, 1].into_iter().for_each(|network| begin_or_end(self.daemons[2].handle(), NetworkId(network)));
    }

    /// Sends what no program of the group sends, and waits until it has come.
    fn send_nonsense(&self, group: &str) {
        let daemon = format!("{}@127.77.0.1", self.port);
        let mailbox = Mailbox::connect(&ConnectOptions { daemon, ..Default::default() }).unwrap();
        let groups = [Name::new(group.as_bytes()).unwrap(), mailbox.private_group()];
        for nonsense in NONSENSE {
            mailbox.multicast(FrameType::SAFE, &groups, 0, nonsense).unwrap();
            assert!(matches!(mailbox.receive().unwrap(), Received::Message(_)));
        }
    }

    /// Waits until two others have joined.
    fn await_workers(&self) {
        let daemon = format!("{}@127.77.0.1", self.port);
        let mailbox = Mailbox::connect(&ConnectOptions { daemon, ..Default::default() }).unwrap();
        let workers = Name::new(b"workers").unwrap();
        mailbox.join(workers).unwrap();
        while !matches!(mailbox.receive().unwrap(), Received::View(view) if view.members.len() == 3) {}
        mailbox.leave(workers).unwrap();
        while !matches!(mailbox.receive().unwrap(), Received::Left(_)) {}
    }
}

/// A program in a terminal of its own.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said, since something was typed, while something else was awaited.
    seen: BTreeSet<String>,
}

impl Program {
    fn start(mut command: Command) -> Program {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Program { child, output, seen: BTreeSet::new() }
    }

    fn next_line(&mut self) -> String {
        let mut said = String::new();
        self.output.read_line(&mut said).unwrap();
        said.trim_end().to_owned()
    }

    fn expect_later(&mut self, line: &str) {
        while !self.seen.contains(line) {
            let said = self.next_line();
            assert!(!said.is_empty(), "ended before it said {line}");
            self.seen.insert(said);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the session of the readme that begins with this program.
fn play(name: &str, program: &Path) {
    let readme = fs::read_to_string(Path::new(ROOT).join("examples/README.md")).unwrap();
    let mut sessions = readme.split("```session\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let session = sessions.find(|session| session.starts_with(&format!("a$ {name} "))).unwrap();
    let language = program.parent().unwrap().file_name().unwrap().to_string_lossy();
    let ring = Ring::new(&format!("{name}-{language}"), name != "paths");
    let mut programs: BTreeMap<char, Program> = BTreeMap::new();
    for line in session.lines() {
        let (letter, rest) = (line.chars().next().unwrap(), line.get(3..).unwrap_or_default());
        match line.as_bytes()[1] {
            _ if letter == '(' => ring.happen(line),
            b'$' => {
                let rest = rest.replace("4803", &ring.port).replace("examples/ring.conf", ring.file.to_str().unwrap());
                let mut command = Command::new(program);
                command.args(rest.split(' ').skip(1));
                programs.insert(letter, Program::start(command));
            }
            b'>' => {
                programs.values_mut().for_each(|program| program.seen.clear());
                writeln!(programs[&letter].child.stdin.as_ref().unwrap(), "{rest}").unwrap();
            }
            b'^' => drop(programs.get_mut(&letter).unwrap().child.stdin.take()),
            b'~' => programs.get_mut(&letter).unwrap().expect_later(rest),
            _ => assert_eq!(programs.get_mut(&letter).unwrap().next_line(), rest),
        }
    }
    for mut program in programs.into_values() {
        let mut rest = String::new();
        program.output.read_to_string(&mut rest).unwrap();
        // Daemons go one by one, and who is left may still say so.
        assert!(name == "paths" || rest.is_empty(), "{rest}");
        assert!(program.child.wait().unwrap().success());
    }
}

fn play_c(name: &str) {
    let library = Library::prepare(&format!("example-{name}"));
    play(name, &library.build(&Path::new(ROOT).join("examples/c").join(name).with_extension("c"), &C[1]));
}

fn build_rust(name: &str) -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let profile = beside.ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--example", name]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    profile.join("examples").join(name)
}

fn play_rust(name: &str) {
    play(name, &build_rust(name));
}

#[test]
fn chat_runs_as_printed_in_c() {
    play_c("chat");
}

#[test]
fn chat_runs_as_printed_in_rust() {
    play_rust("chat");
}

#[test]
fn the_map_runs_as_printed_in_c() {
    play_c("map");
}

#[test]
fn the_map_runs_as_printed_in_rust() {
    play_rust("map");
}

#[test]
fn the_jobs_are_done_as_printed_in_c() {
    play_c("jobs");
}

#[test]
fn the_jobs_are_done_as_printed_in_rust() {
    play_rust("jobs");
}

#[test]
fn the_paths_run_as_printed_in_c() {
    play_c("paths");
}

#[test]
fn the_paths_run_as_printed_in_rust() {
    play_rust("paths");
}

#[test]
fn wrong_arguments_get_the_usage_in_c() {
    for name in ["chat", "map", "jobs", "paths"] {
        let library = Library::prepare(&format!("usage-{name}"));
        let source = Path::new(ROOT).join("examples/c").join(name).with_extension("c");
        expect_usage(name, &library.build(&source, &C[1]));
    }
}

#[test]
fn wrong_arguments_get_the_usage_in_rust() {
    for name in ["chat", "map", "jobs", "paths"] {
        expect_usage(name, &build_rust(name));
    }
}

fn expect_usage(name: &str, program: &Path) {
    for arguments in [&[][..], &["4803"], &["4803", "x", "nonsense"], &["4803", "x", "1", "more"]] {
        let output = Command::new(program).args(arguments).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name} {arguments:?}");
        assert!(complaint.starts_with(&format!("usage: {name} ")), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}
