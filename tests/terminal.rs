//! What an operator sees at a terminal of 80 characters and 24 lines: every command of the monitor fits in it, and ends as its manual says.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod solo;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::process::{Child, Command, Stdio};

use solo::{Setup, Solo, eventually};

const COLUMNS: u16 = 80;
const LINES: u16 = 24;
/// What empties the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Networks of the ring, as many as there may be.
const NETWORKS: usize = 8;

/// A program at a terminal.
struct Session {
    terminal: File,
    program: Child,
    seen: Vec<u8>,
    /// The end of what was answered, in bytes of the text.
    past: usize,
}

impl Session {
    fn start(mut command: Command) -> Session {
        let (mut ours, mut its) = (-1, -1);
        let size = libc::winsize { ws_row: LINES, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: both descriptors and the size are ours, and the other pointers may be null.
        let opened = unsafe { libc::openpty(&mut ours, &mut its, std::ptr::null_mut(), std::ptr::null(), &size) };
        assert_eq!(opened, 0);
        // SAFETY: nobody else has these descriptors.
        let (terminal, its) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(its)) };
        let end = || Stdio::from(its.try_clone().unwrap());
        let program = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Session { terminal, program, seen: Vec::new(), past: 0 }
    }

    fn monitor(words: &[&str]) -> Session {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spmonitor"));
        command.args(words);
        Session::start(command)
    }

    /// Reads on; whether there was something.
    fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        // A terminal whose programs have ended is an error.
        let length = self.terminal.read(&mut piece).unwrap_or(0);
        self.seen.extend_from_slice(&piece[..length]);
        length > 0
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }

    /// Waits for this text.
    fn expect(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read(), "no {text} in {}", self.text());
        }
    }

    /// Waits for this text after all that was waited for in this way, and types an answer.
    fn answer(&mut self, prompt: &str, answer: &str) {
        loop {
            let text = self.text();
            if let Some(found) = text[self.past..].find(prompt) {
                self.past += found + prompt.len();
                return self.type_in(answer);
            }
            assert!(self.read(), "no {prompt} in {text}");
        }
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// What it shows until it ends, and its exit status.
    fn finish(mut self) -> (String, Option<i32>) {
        while self.read() {}
        (self.text(), self.program.wait().unwrap().code())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What is seen of a line.
fn without_colours(line: &str) -> String {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |seen, piece| seen + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

fn expect_narrow(words: &[&str], shown: &str) {
    // A mistake is one line for scripts, which the terminal breaks.
    for line in shown.lines().filter(|line| !line.starts_with("spmonitor: ")) {
        let line = without_colours(line);
        assert!(line.chars().count() <= usize::from(COLUMNS), "{words:?}: {line}\n{shown}");
    }
}

/// Two daemons with names as long as may be, on as many networks as there may be; the first one has a client. Its port is the first word.
struct Pair {
    daemons: Vec<Solo>,
    port: String,
    file: String,
}

impl Pair {
    fn start(test: &str) -> Pair {
        let port = solo::free_port();
        let names = ["solo-with-long-name", "mate-with-long-name"];
        let daemon = |(host, name): (usize, &&str)| {
            let own: String = (0..NETWORKS).map(|network| format!("D 127.{}.0.{} ", 90 + network, host + 1)).collect();
            format!("{name} 127.90.0.{0} {{ {own} C 127.90.0.{0} }}\n", host + 1)
        };
        let daemons: String = names.iter().enumerate().map(daemon).collect();
        let named: String =
            (0..NETWORKS).map(|n| format!("Network {n} {{ Name = the-network-number-{n}-of-eight }}\n")).collect();
        let text = format!(
            "Spread_Segment {}{{\n{daemons}}}\n{named}DaemonUser = root\nDaemonGroup = root\nRuntimeDir = /no/such/directory\n",
            format!("unicast:{port} ").repeat(NETWORKS)
        );
        let start = |(number, name): (usize, &&str)| {
            let mut setup = Setup::new(&format!("terminal-{test}-{number}"), "");
            let file = setup.directory.join("pair.conf");
            fs::write(&file, &text).unwrap();
            setup.command = Command::new(env!("CARGO_BIN_EXE_spread"));
            setup.command.arg("-c").arg(file).args(["-n", name]).env_remove("SPREAD_LOG").stdin(Stdio::null());
            setup.start()
        };
        // The sockets of the port belong to whichever is first: the one that is asked later.
        let first = start((0, &names[0]));
        let asked = |(_, status): (String, Option<i32>)| (status != Some(3)).then_some(());
        eventually(|| asked(Session::monitor(&["health", "-s", &port.to_string()]).finish()));
        let daemons = vec![first, start((1, &names[1]))];
        daemons[0].expect_log(&["a ring of 2 daemons is installed"]);
        let file = daemons[0].directory.join("pair.conf").display().to_string();
        Pair { daemons, port: port.to_string(), file }
    }
}

#[test]
fn every_command_fits_and_ends_as_its_manual_says() {
    let mut pair = Pair::start("commands");
    let client = pair.daemons[0].connect_to(&format!("{}@127.90.0.1", pair.port));
    solo::expect_echo(&client);
    let run = |words: &[&str]| {
        let (shown, status) = Session::monitor(&[words, &["-s", &pair.port]].concat()).finish();
        expect_narrow(words, &shown);
        (shown, status)
    };
    let healthy = |shown: &str| shown.starts_with("well: a ring of 2");
    eventually(|| healthy(&run(&["health"]).0).then_some(()));
    let has: [(&[&str], &str); 8] = [
        (&["status"], "solo-with-long-name"),
        (&["paths"], "healthy"),
        (&["ring"], "mate-with-long-name"),
        (&["groups"], "echo"),
        (&["sessions"], "with-long-name"),
        (&["events"], "ring_installed"),
        (&["counters"], "token_lost_in_recovery"),
        (&["health"], "well: a ring of 2"),
    ];
    for (words, text) in has {
        let (shown, status) = run(words);
        assert!(shown.contains(text) && status == Some(0), "{words:?} {status:?}: {shown}");
    }
    for words in [["status", "--json"], ["events", "--json"], ["counters", "--json"]] {
        let (shown, status) = Session::monitor(&[&words[..], &["-s", &pair.port]].concat()).finish();
        assert_eq!(status, Some(0));
        serde_json::from_str::<serde_json::Value>(&shown).unwrap();
    }
    let done: [(&[&str], &str, i32); 13] = [
        (&["network", "3", "off"], "network 3 is off", 0),
        (&["health"], "degraded: a ring of 2; network 3 is off", 2),
        (&["network", "3", "on"], "network 3 is on", 0),
        (&["network", "9", "on"], "there is no network 9", 1),
        (&["policy", "active", "2"], "the policy is active 2", 0),
        (&["drill", "7", "on"], "the drill on network 7 is on", 0),
        (&["drill", "7", "off"], "the drill on network 7 is off", 0),
        (&["log", "info"], "the log has info", 0),
        (&["log", "loud"], "is no level", 1),
        (&["rekey"], "packets are not sealed", 1),
        (&["reload"], "the daemon has read its files again", 0),
        (&["policy", "active", "99"], "a number of networks from 1 to 8", 1),
        (&["terminate"], "the daemon ends", 0),
    ];
    for (words, text, expected) in done {
        let (shown, status) = run(words);
        assert!(shown.contains(text) && status == Some(expected), "{words:?} {status:?}: {shown}");
    }
    assert_eq!(pair.daemons[0].end().code(), Some(0));
    let (shown, status) = run(&["health"]);
    let reason = format!("failed: the daemon does not answer: no daemon listens at /tmp/{}.control\n", pair.port);
    assert_eq!((shown, status), (reason, Some(3)));
    assert_eq!(run(&["status"]).1, Some(1));
}

#[test]
fn what_is_watched_is_one_screen_each_time() {
    let pair = Pair::start("watch");
    for command in ["status", "paths", "ring", "groups", "sessions", "events", "counters"] {
        let mut session = Session::monitor(&[command, "--watch", "1", "-s", &pair.port]);
        while session.text().matches(CLEAR).count() < 3 {
            assert!(session.read(), "{}", session.text());
        }
        let text = session.text();
        let pictures: Vec<&str> = text.split(CLEAR).skip(1).take(2).collect();
        for picture in pictures {
            expect_narrow(&[command], picture);
            assert!(picture.lines().count() < usize::from(LINES), "{command}: {picture}");
            assert!(!picture.trim().is_empty());
        }
    }
    let mut session = Session::monitor(&["status", "--watch", "1", "-s", &pair.port]);
    session.expect("the-network…");
    session.expect("mate-with-long-name");
    // The rates are known from the second picture on.
    session.expect("0 messages/s");
}

#[test]
fn captured_datagrams_and_the_menu_fit_too() {
    // A probe of daemon 10.77.0.2, in ring 10.77.0.1/4.
    let probe =
        "54430505010000000a4d00020000000000007030000000000000beef000000000000001100000000000000040a4d000100000000";
    let (shown, status) = Session::monitor(&["decode", probe]).finish();
    expect_narrow(&["decode"], &shown);
    assert!(shown.starts_with("probe from 10.77.0.2") && status == Some(0), "{status:?}: {shown}");
    let (shown, status) = Session::monitor(&["decode", "xy"]).finish();
    assert!(shown.contains("hexadecimal digits") && status == Some(1), "{shown}");
    for words in [&["--help"][..], &["help", "status"], &["network", "--help"]] {
        let (shown, status) = Session::monitor(words).finish();
        expect_narrow(words, &shown);
        assert!(shown.contains("Usage") && status == Some(0), "{words:?}: {shown}");
    }
    let pair = Pair::start("menu");
    let mut menu = Session::monitor(&["-p", "0", "-n", "solo-with-long-name", "-t", "1", "-c", &pair.file]);
    // Nothing is typed ahead: it would stay in the line in which something is printed.
    let (choice, whom) = ("spmonitor> ", "empty line ends> ");
    menu.answer(choice, "0\n");
    menu.answer(whom, "all\n");
    menu.answer(whom, "\n");
    menu.answer("since the report before", "");
    menu.answer(choice, "8\n");
    menu.answer(whom, "all\n");
    menu.answer(whom, "\n");
    menu.answer("daemons refuse that", "");
    menu.answer(choice, "q\n");
    let (shown, status) = menu.finish();
    assert_eq!(status, Some(0));
    // A prompt gives way to what is printed; to what was typed ahead it does not.
    let lines = shown.lines().filter_map(|line| line.rsplit("\x1b[K").next());
    let lines: Vec<String> = lines.map(|line| line.replace("daemon, all or none; empty line ends> ", "")).collect();
    expect_narrow(&["menu"], &lines.join("\n"));
    drop(pair);
}
