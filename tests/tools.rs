//! The programs that people type, driven as a script drives them, against a real daemon on loopback: what they print, that they
//! end, and with which status.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a thread reads what a program prints")]

mod tools {
    mod bench;
    mod monitor;
}

use std::io::{self, BufRead, BufReader, Write};
use std::iter;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::config::Settings;
use spread::daemon::{Options, Running, StartError, spawn};
use spread::wire::{FrameType, Name};

const SPUSER: &str = env!("CARGO_BIN_EXE_spuser");
const FLUSH_USER: &str = env!("CARGO_BIN_EXE_flush_user");
const SPFLOODER: &str = env!("CARGO_BIN_EXE_spflooder");
const SPSEND: &str = env!("CARGO_BIN_EXE_spsend");
const SPRECV: &str = env!("CARGO_BIN_EXE_sprecv");
const SPMONITOR: &str = env!("CARGO_BIN_EXE_spmonitor");
const SPBENCH: &str = env!("CARGO_BIN_EXE_spbench");

/// The longest that a test waits for a line that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Types into a terminal and reads it, as a person would. Arguments: the program and the daemon.
const PERSON: &str = r##"
import os, pty, re, select, sys
os.environ["TERM"] = "xterm"
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:2] + ["-s", sys.argv[2]] + sys.argv[3:])
seen = b""
def look(reason):
    global seen
    if not select.select([terminal], [], [], 20)[0]:
        sys.exit("no %r in %r" % (reason, seen))
    # What moves the cursor and changes colours is the editor's business.
    seen += re.sub(rb"\x1b\[[?0-9;]*[a-zA-Z]", b"", os.read(terminal, 4096)).replace(b"\r", b"")
def expect(*texts):
    global seen
    for text in texts:
        while text not in seen:
            look(text)
    seen = seen[max(seen.index(text) + len(text) for text in texts):]
def type(text):
    os.write(terminal, text)
LEFT, UP, PROMPT = b"\x1b[D", b"\x1b[A", b"spuser> "
expect(PROMPT)
type(b"j cat" + 2 * LEFT + b"h\r")
expect(b"view of chat: 1 member")
expect(b"#user#solo\n" + PROMPT)
type(b"s chat\r")
expect(b"message> ")
type(b"hello\r")
expect(b"SAFE message from #user#solo")
expect(b"\n  hello\n" + PROMPT)
type(2 * UP + b"\r")
expect(b"message> ")
type(b"again\r")
expect(b"\n  again\n" + PROMPT)
type(b"b chat\r")
expect(b"bytes of each message> ")
type(b"30\r")
# What receives in a thread of its own may tell of the messages before it says that they are sent.
expect(b"sent 10 messages of 30 bytes, 12 messages in all\n", b"mess num 12 \n")
expect(PROMPT)
# Who types faster than the program asks, or pastes, loses nothing.
type(b"s chat\rsooner\rs chat\rthan asked\r")
expect(b"\n  sooner\n", b"\n  than asked\n")
expect(PROMPT)
type(b"\x04")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"##;

#[test]
fn spuser_prints_what_comes_while_it_waits_for_commands() {
    let daemon = Daemon::start();
    for (program, option) in threaded_and_not("while-waiting") {
        let mut spuser = Tool::start(Command::new(program).args(["-s", &daemon.address]).args(option));
        spuser.expect("connected as #user#solo");
        spuser.type_in("j chat\n");
        spuser.expect("view of chat: 1 member, own index 0");
        spuser.expect("  0 #user#solo");
        spuser.type_in("s chat\nhello\n");
        spuser.expect("SAFE message from #user#solo to 1 group (chat), type 1, own byte order, 6 bytes");
        spuser.expect("  hello");
        spuser.type_in("l chat\n");
        spuser.expect("left chat");
        spuser.type_in("q\n");
        assert_eq!(spuser.status(), 0);
    }
}

#[test]
fn spuser_sends_several_lines_and_bursts_to_several_groups() {
    let daemon = Daemon::start();
    let mut spuser = Tool::start(Command::new(SPUSER).args(["-u", "alice", "-s", &daemon.address]));
    spuser.type_in("j one\nm one two\nfirst\nsecond\n\n");
    spuser.expect("SAFE message from #alice#solo to 2 groups (one two), type 1, own byte order, 13 bytes");
    spuser.expect("  first");
    spuser.expect("  second");
    spuser.type_in("b one\n100000\n");
    for number in 2..=11 {
        spuser.expect("FIFO message from #alice#solo to 1 group (one), type 2, own byte order, 100000 bytes");
        spuser.expect(&format!("  mess num {number} "));
    }
    spuser.type_in("b\n\n");
    spuser.expect("FIFO message from #alice#solo to 1 group (#alice#solo), type 2, own byte order, 100000 bytes");
    spuser.close_input();
    assert_eq!(spuser.status(), 0);
}

#[test]
fn a_script_of_spuser_takes_messages_one_by_one() {
    let daemon = Daemon::start();
    let script = "d\nj chat\nr\ns chat\nhello\nr\nx\nj no!group\ns\ns a b c d e f g h i j k\nb chat\n-1\ne\nq\n";
    let output = run(Command::new(SPUSER).args(["-r", "-s", &daemon.address]), script);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let expected = [
        "automatic receiving is off",
        "view of chat: 1 member, own index 0",
        "  hello",
        "unknown command: x",
        "illegal group name",
        "name a group",
        "name a group",
        "not sent",
        "automatic receiving is on",
    ];
    let mut lines = text(&output.stdout).lines();
    for expected in expected {
        assert!(lines.any(|line| line.contains(expected)), "no {expected} in {output:?}");
    }
}

#[test]
fn spuser_ends_with_its_daemon_in_a_line_and_status_1() {
    for (program, option) in threaded_and_not("ends") {
        let daemon = Daemon::start();
        let mut spuser = Tool::start(Command::new(program).args(["-s", &daemon.address]).args(option));
        spuser.expect("connected as");
        daemon.running.stop();
        spuser.expect("spuser: cannot receive: connection closed");
        assert_eq!(spuser.status(), 1);
    }
}

#[test]
fn spuser_hears_of_the_end_as_soon_as_messages_no_longer_wait() {
    let daemon = Daemon::start();
    let mut spuser = Tool::start(Command::new(SPUSER).args(["-s", &daemon.address]));
    spuser.type_in("d\n");
    spuser.expect("automatic receiving is off");
    daemon.running.stop();
    spuser.type_in("p\n");
    spuser.expect("0 bytes wait");
    spuser.type_in("e\n");
    spuser.expect("spuser: cannot receive: connection closed");
    assert_eq!(spuser.status(), 1);
}

#[test]
fn spuser_lets_a_person_edit_lines_while_messages_come_above_them() {
    if Command::new("python3").arg("-V").output().is_err() {
        let _ = writeln!(io::stderr(), "skipped: needs python3");
        return;
    }
    let daemon = Daemon::start();
    for option in [&[][..], &["--threaded"]] {
        let output = run(Command::new("python3").args(["-c", PERSON, SPUSER, &daemon.address]).args(option), "");
        assert_eq!(output.status.code(), Some(0), "{option:?}: {}", text(&output.stderr));
    }
}

#[test]
fn flush_users_enter_each_view_together_when_all_have_flushed() {
    let daemon = Daemon::start();
    let start = |name| Tool::start(Command::new(FLUSH_USER).args(["-u", name, "-s", &daemon.address]));
    let mut alice = start("alice");
    alice.expect("connected as #alice#solo");
    alice.type_in("j room\n");
    alice.expect("view of room: 1 member, own index 0");
    let mut bob = start("bob");
    bob.type_in("j room\n");
    alice.expect("flush request of room: the next view comes after f room");
    alice.type_in("s room\nstill in the old view\n");
    alice.expect("  still in the old view");
    alice.type_in("f room\n");
    for user in [&mut alice, &mut bob] {
        user.expect("view of room: 2 members");
        user.expect("  0 #alice#solo");
        user.expect("  1 #bob#solo");
    }
    bob.type_in("s room\nhello\n");
    alice.expect("SAFE message from #bob#solo to 1 group (room), type 1, own byte order, 6 bytes");
    bob.expect("  hello");
    alice.type_in("g room #bob#solo\nonly you\n");
    bob.expect("subgroup cast");
    bob.expect("  only you");
    bob.type_in("b room\n30\n");
    alice.expect("FIFO message from #bob#solo to 1 group (room), type 2, own byte order, 30 bytes");
    bob.expect("11 messages sent in all");
    bob.type_in("l room\n");
    alice.expect("flush request of room");
    alice.type_in("f room\n");
    bob.expect("left room");
    alice.expect("view of room: 1 member, own index 0");
    bob.close_input();
    alice.type_in("q\n");
    assert_eq!((alice.status(), bob.status()), (0, 0));
}

#[test]
fn flush_user_says_why_something_was_not_done_and_goes_on() {
    let daemon = Daemon::start();
    let script = "d\ns nowhere\nlost\nf room\nl room\nj\nx\ng room\nj room\nr\nj room\nf room\ng room #nobody#solo\nlost\nb room\nno\n                  s room\nhello\nr\np\ne\nq\n";
    let output = run(Command::new(FLUSH_USER).args(["-r", "-s", &daemon.address]), script);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{output:?}");
    let expected = [
        "automatic receiving is off",
        "not sent: not possible for this group",
        "cannot flush room: not possible for this group",
        "cannot leave room: not possible for this group",
        "name a group",
        "unknown command: x",
        "name a group and some of its members",
        "view of room: 1 member, own index 0",
        "cannot join room: not possible for this group",
        "cannot flush room: not possible at this time",
        "not sent: a receiver is not in the view",
        "not sent: a size is a number",
        "  hello",
        "0 bytes wait",
        "automatic receiving is on",
    ];
    let mut lines = text(&output.stdout).lines();
    for expected in expected {
        assert!(lines.any(|line| line.contains(expected)), "no {expected} in {output:?}");
    }
}

#[test]
fn flush_user_ends_with_its_daemon_in_a_line_and_status_1() {
    let daemon = Daemon::start();
    let mut user = Tool::start(Command::new(FLUSH_USER).args(["-s", &daemon.address]));
    user.expect("connected as");
    daemon.running.stop();
    user.expect("flush_user: cannot receive: connection closed");
    assert_eq!(user.status(), 1);
}

#[test]
fn a_lone_spflooder_counts_what_it_sent() {
    let daemon = Daemon::start();
    let output = run(Command::new(SPFLOODER).args(["-s", &daemon.address, "-m", "2500", "-b", "100"]), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines[..3], ["connected as #flooder#solo", "sent 1000 messages", "sent 2000 messages"]);
    assert!(lines[3].starts_with("sent 2500 messages, 250000 bytes in ") && lines[3].ends_with(" MB/s"), "{lines:?}");
}

#[test]
fn two_spflooders_wait_for_each_other_but_not_for_the_gone() {
    let daemon = Daemon::start();
    let flood = |name, messages| {
        let options = ["-s", &daemon.address, "-u", name, "-n", "2", "-b", "100", "-m", messages];
        Tool::start(Command::new(SPFLOODER).args(options))
    };
    let mut first = flood("first", "700");
    first.expect("waiting for 2 members of flooder");
    let mut second = flood("second", "2000");
    first.expect("sent 700 messages, 70000 bytes");
    second.expect("sent 2000 messages, 200000 bytes");
    assert_eq!((first.status(), second.status()), (0, 0));
}

#[test]
fn a_reading_spflooder_counts_what_a_writing_one_sends() {
    let daemon = Daemon::start();
    let witness = daemon.connect("witness");
    witness.join(flooder()).unwrap();
    let options = ["-s", &daemon.address, "-m", "1000", "-b", "100"];
    let mut reader = Tool::start(Command::new(SPFLOODER).args(["-u", "reader", "-ro"]).args(options));
    while !matches!(witness.receive().unwrap(), Received::View(view) if view.members.len() == 2) {}
    let mut writer = Tool::start(Command::new(SPFLOODER).args(["-u", "writer", "-wo"]).args(options));
    writer.expect("sent 1000 messages, 100000 bytes");
    reader.expect("read 1000 messages, 100000 bytes");
    assert_eq!((reader.status(), writer.status()), (0, 0));
    let mut received = 0;
    while received < 1000 {
        match witness.receive().unwrap() {
            Received::Message(message) => {
                assert_eq!((message.kind, message.body.len(), message.mess_type), (FrameType::RELIABLE, 100, 0));
                received += 1;
            }
            // A writer is no member.
            Received::View(view) => assert!(view.members.len() <= 2, "{view:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sprecv_accounts_for_every_packet_of_spsend() {
    let mut receiver = Tool::start(Command::new(SPRECV).args(["-p", "0", "-i", "127.0.0.1", "-d"]));
    let listening = receiver.expect("listening at 127.0.0.1:");
    let port = listening.rsplit(':').next().unwrap();
    for (packets, size) in [(1000, "1024"), (20, "12"), (5, "65507")] {
        let options = ["-p", port, "-n", &packets.to_string(), "-s", size, "-b", "20", "-t", "1"];
        let output = run(Command::new(SPSEND).args(options), "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).contains(&format!("sent {packets} packets of {size} bytes in ")), "{output:?}");
        let report = receiver.expect("received ");
        let numbers: Vec<u64> = report.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        assert_eq!((numbers[0] + numbers[1], numbers[2]), (packets, 0), "{report}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_a_line_and_status_1() {
    let nobody = format!("{}@127.0.0.1", free_port());
    for program in [SPUSER, FLUSH_USER, SPFLOODER] {
        for address in [nobody.as_str(), "nonsense"] {
            expect_failure(Command::new(program).args(["-s", address]), address);
        }
    }
}

#[test]
fn a_refusal_is_a_line_and_status_1() {
    let daemon = Daemon::start();
    let _taken = daemon.connect("taken");
    for program in [SPUSER, FLUSH_USER, SPFLOODER] {
        expect_failure(Command::new(program).args(["-u", "taken", "-s", &daemon.address]), "refused");
    }
    expect_failure(Command::new(SPRECV).args(["-i", "192.0.2.1"]), "cannot listen at port 4444");
}

#[test]
fn every_tool_explains_itself_and_refuses_what_it_does_not_know() {
    for program in [SPUSER, FLUSH_USER, SPFLOODER, SPSEND, SPRECV, SPMONITOR, SPBENCH] {
        let help = run(Command::new(program).arg("--help"), "");
        assert_eq!(help.status.code(), Some(0), "{program}");
        assert!(text(&help.stdout).contains("\nExamples:\n"), "{program}");
        let unknown = run(Command::new(program).arg("--bogus"), "");
        assert_eq!(unknown.status.code(), Some(1), "{program}");
        assert!(text(&unknown.stderr).contains("--bogus"), "{program}");
    }
}

#[test]
fn every_tool_tells_shells_how_to_complete_its_options() {
    for program in [SPUSER, FLUSH_USER, SPFLOODER, SPSEND, SPRECV, SPMONITOR, SPBENCH] {
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let output = run(Command::new(program).args(["--completion", shell]), "");
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let script = text(&output.stdout);
            assert!(script.contains(name) && script.contains("help"), "{script}");
            if Command::new(shell).args(["-c", "true"]).output().is_ok() {
                let check = run(Command::new(shell).args(["-n", "/dev/stdin"]), script);
                assert_eq!((check.status.code(), text(&check.stderr)), (Some(0), ""), "{name} for {shell}");
            }
        }
        expect_failure(Command::new(program).args(["--completion", "cmd"]), "there are no completions for cmd");
    }
}

#[test]
fn a_password_is_accepted_and_said_to_be_ignored() {
    let daemon = Daemon::start();
    let options = ["-n", "alice", "-p", "secret", "-s", &daemon.address];
    let output = run(Command::new(SPUSER).args(options), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("-n and -p are ignored"), "{output:?}");
}

/// A daemon on loopback, named solo.
struct Daemon {
    running: Running,
    /// Its name for clients.
    address: String,
}

impl Daemon {
    /// Another test may take a port between the look for it and its use, so that is tried again.
    fn start() -> Daemon {
        iter::repeat_with(Daemon::start_once).take(10).find_map(Result::ok).unwrap()
    }

    fn start_once() -> Result<Daemon, StartError> {
        let port = free_port();
        let text = format!(
            "Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }} MaxSessionMessages = 100000"
        );
        let settings = Settings::parse("tools", text.as_bytes()).unwrap();
        let running = spawn(Options::from_settings(&settings, &settings.table.daemons[0]))?;
        Ok(Daemon { running, address: format!("{port}@127.0.0.1") })
    }

    fn connect(&self, name: &str) -> Mailbox {
        let options = ConnectOptions {
            daemon: self.address.clone(),
            private_name: name.into(),
            timeout: Some(PATIENCE),
            ..Default::default()
        };
        Mailbox::connect(&options).unwrap()
    }
}

/// A running program whose lines are read as they come. Dropping it kills it.
struct Tool {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Tool {
    fn start(command: &mut Command) -> Tool {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(output).lines().map_while(Result::ok);
                while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
            });
        }
        Tool { input: child.stdin.take(), child, lines }
    }

    fn type_in(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for a line with this text and returns it.
    fn expect(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
        panic!("no {text} in {before:#?}");
    }

    /// Waits for the end, with the input still open.
    fn status(&mut self) -> i32 {
        let end = iter::repeat_with(|| self.lines.recv_timeout(PATIENCE)).find_map(Result::err);
        assert_eq!(end, Some(RecvTimeoutError::Disconnected), "it goes on");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end with this input.
fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn expect_failure(command: &mut Command, says: &str) {
    let output = run(command, "");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(errors.lines().count() == 1 && errors.contains(says), "one line about {says}: {errors}");
}

/// spuser with its loop, with its option for a thread, and by its other name.
fn threaded_and_not(test: &str) -> [(PathBuf, &'static [&'static str]); 3] {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(test);
    std::fs::create_dir_all(&directory).unwrap();
    let link = directory.join("sptuser");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(SPUSER, &link).unwrap();
    [(SPUSER.into(), &[]), (SPUSER.into(), &["--threaded"]), (link, &[])]
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn flooder() -> Name {
    Name::new(b"flooder").unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
