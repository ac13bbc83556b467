//! One real daemon on loopback, and everything that can be wrong with who talks to it and with how it is started: the daemon
//! answers with the classic code or drops what it cannot read, and goes on; what it cannot start with it says in a line.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "unknown bytes come from plain sockets, and waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod process;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use process::Process;
use socket2::Socket;
use spread::client::{ConnectError, ConnectOptions, Lost, Mailbox, ReceiveError, Received};
use spread::config::Settings;
use spread::daemon::Options;
use spread::rng::Rng;
use spread::wire::{FrameType, LIBRARY_LIMIT, Name};

/// Refusals as they are on the wire.
const QUOTA: u8 = 0xfd;
const ILLEGAL_NAME: u8 = 0xfb;
const NOT_UNIQUE: u8 = 0xfa;
const VERSION: u8 = 0xf9;
const AUTH: u8 = 0xf7;

/// A request of a client of version 4.4.0 that wants membership messages, up to its name.
const REQUEST: [u8; 4] = [4, 4, 0, 1];

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn unknown_datagrams_are_dropped() {
    let daemon = Daemon::start("datagrams");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in noise() {
        for port in [daemon.port, daemon.port + 1] {
            sender.send_to(&datagram, (Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
    daemon.expect_well();
}

#[test]
fn unknown_datagrams_are_counted_by_reason() {
    let port = free_port();
    let settings = Settings::parse("solo", configuration(port).as_bytes()).unwrap();
    let me = settings.table.me(Some("solo"), &[]).unwrap();
    let daemon = spread::daemon::spawn(Options::from_settings(&settings, me)).unwrap();
    let (sender, noise) = (UdpSocket::bind("127.0.0.1:0").unwrap(), noise());
    eventually(|| {
        noise.iter().for_each(|datagram| _ = sender.send_to(datagram, (Ipv4Addr::LOCALHOST, port)).unwrap());
        let status = daemon.handle().status();
        let packets = &status.packets;
        let dropped = packets.malformed + packets.other_system + packets.other_version;
        let all = noise.len() as u64;
        (status.links.first()?.counters.received >= all && dropped >= all && status.packets.first == 0).then_some(())
    });
}

#[test]
fn unknown_bytes_of_a_client_get_the_classic_refusal() {
    let daemon = Daemon::start("bytes");
    for (bytes, refusal) in [
        (b"GET / HTTP/1.0\r\n\r\n".as_slice(), ILLEGAL_NAME),
        (b"SSH-2.0-client\r\n", ILLEGAL_NAME),
        (&[0; 64], VERSION),
        (&[0xff; 64], VERSION),
        (&[3, 0, 9, 1, 0], VERSION),
    ] {
        assert_eq!(daemon.answer(bytes), [refusal], "{bytes:?}");
    }
    daemon.expect_well();
}

#[test]
fn names_too_long_illegal_or_taken_get_the_classic_refusal() {
    let daemon = Daemon::start("names");
    let _alice = daemon.connect("alice");
    for (name, refusal) in [
        ("elevenchars", ILLEGAL_NAME),
        (&"x".repeat(127), ILLEGAL_NAME),
        ("a#b", ILLEGAL_NAME),
        ("a b", ILLEGAL_NAME),
        ("alice", NOT_UNIQUE),
    ] {
        assert_eq!(daemon.answer(&request(name)), [refusal], "{name}");
    }
    daemon.expect_well();
}

#[test]
fn an_unknown_authentication_method_gets_the_classic_refusal() {
    let daemon = Daemon::start("method");
    assert_eq!(daemon.answer_to_choice(b"BOGUS"), [AUTH]);
    daemon.expect_well();
}

#[test]
fn a_session_with_unknown_frames_is_closed() {
    let daemon = Daemon::start("frames");
    let good = frame("#mallory#solo", 0x8001_0080, 1, 0);
    let cases = [
        ("noise", vec![0x55; 48]),
        ("two services", frame("#mallory#solo", 0x8000_00b0, 1, 0)),
        ("another's name", frame("#alice#solo", 0x8001_0080, 1, 0)),
        ("too many groups", frame("#mallory#solo", 0x8000_0090, 101, 0)),
        ("negative groups", frame("#mallory#solo", 0x8000_0090, -1, 0)),
        ("too long", frame("#mallory#solo", 0x8000_0090, 1, i32::MAX)),
        ("negative length", frame("#mallory#solo", 0x8000_0090, 1, -1)),
        ("unknown after known", [&good[..], &[b'g'; 32], &[0x55; 48]].concat()),
    ];
    for (what, bytes) in cases {
        let mut stream = daemon.open("mallory").unwrap();
        stream.write_all(&bytes).unwrap();
        println!("{what}");
        rest(stream);
    }
    daemon.expect_well();
}

#[test]
fn half_open_clients_hold_up_nobody() {
    let daemon = Daemon::start("half");
    let silent = daemon.raw();
    let mut stopped_in_the_request = daemon.raw();
    stopped_in_the_request.write_all(&request("bob")[..6]).unwrap();
    let mut stopped_before_the_choice = daemon.raw();
    stopped_before_the_choice.write_all(&request("carol")).unwrap();
    let mut stopped_in_the_choice = daemon.raw();
    stopped_in_the_choice.write_all(&request("dave")).unwrap();
    stopped_in_the_choice.write_all(&[0; 89]).unwrap();
    let mut stopped_in_a_frame = daemon.open("erin").unwrap();
    stopped_in_a_frame.write_all(&frame("#erin#solo", 0x8000_0090, 1, 1000)[..47]).unwrap();
    let mut stopped_in_a_body = daemon.open("frank").unwrap();
    stopped_in_a_body.write_all(&frame("#frank#solo", 0x8000_0090, 1, 1000)).unwrap();
    daemon.expect_well();
    drop((silent, stopped_in_the_request, stopped_before_the_choice, stopped_in_the_choice));
    drop((stopped_in_a_frame, stopped_in_a_body));
    daemon.expect_well();
}

#[test]
fn a_thousand_half_open_clients_hold_up_nobody() {
    if spread::net::raise_descriptor_limit().is_some_and(|limit| limit < 1200) {
        let _ = writeln!(io::stderr(), "skipped: needs 1200 open files");
        return;
    }
    let daemon = Daemon::start("thousand");
    let half_open = |number: usize| {
        let mut stream = daemon.raw();
        stream.write_all(&request(&format!("half{number}"))[..number % 8]).unwrap();
        stream
    };
    let half_open: Vec<TcpStream> = (0..1000).map(half_open).collect();
    for _ in 0..10 {
        daemon.expect_well();
    }
    drop(half_open);
    daemon.expect_well();
}

#[test]
fn ten_thousand_clients_are_served_and_one_more_is_told() {
    const CLIENTS: usize = 10_000;
    const GROUPS: usize = 100;
    if spread::net::raise_descriptor_limit().is_some_and(|limit| limit < CLIENTS + 200) {
        let _ = writeln!(io::stderr(), "skipped: needs {} open files", CLIENTS + 200);
        return;
    }
    let daemon = Daemon::start("many");
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|number| daemon.old_session(&format!("c{number}"))).collect();
    assert_eq!(daemon.answer(&request("late")), [QUOTA]);
    for (number, client) in clients.iter_mut().enumerate() {
        let (name, group) = (format!("#c{number}#solo"), format!("g{}", number % GROUPS));
        let joined = client.write_all(&addressed(&name, FrameType::JOIN, &group, b""));
        assert!(joined.is_ok(), "{name}: {joined:?}");
        // What comes back from its own group says that it is in.
        client.write_all(&addressed(&name, FrameType::AGREED, &name, b"in")).unwrap();
        read(client, 48 + 32 + 2);
    }
    for (number, client) in clients[..GROUPS].iter_mut().enumerate() {
        let frame = addressed(&format!("#c{number}#solo"), FrameType::SAFE, &format!("g{number}"), b"to a hundred");
        client.write_all(&frame).unwrap();
    }
    for client in &mut clients {
        assert!(read(client, 48 + 32 + 12).ends_with(b"to a hundred"));
    }
    drop(clients);
    // The same names again, at once.
    let again: Vec<TcpStream> = (0..GROUPS).map(|number| daemon.old_session(&format!("c{number}"))).collect();
    drop(again);
    daemon.expect_well();
}

#[test]
fn a_client_that_stopped_reading_is_disconnected_and_nobody_else_notices() {
    const MESSAGES: usize = 20_000;
    let daemon = Daemon::start("stopped");
    let group = Name::new(b"busy").unwrap();
    let [stopped, reader, sender] = ["stopped", "reader", "sender"].map(|name| daemon.connect(name));
    for member in [&stopped, &reader] {
        member.join(group).unwrap();
    }
    while !matches!(reader.receive().unwrap(), Received::View(view) if view.members.len() == 2) {}
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..MESSAGES {
                sender.multicast(FrameType::AGREED, &[group], 0, &[1; 1000]).unwrap();
            }
        });
        let (mut messages, mut alone) = (0, false);
        while messages < MESSAGES || !alone {
            match reader.receive().unwrap() {
                Received::Message(_) => messages += 1,
                Received::View(view) => alone = view.members == [reader.private_group()],
                _ => {}
            }
        }
    });
    let log = fs::read_to_string(directory("stopped").join("daemon.out")).unwrap();
    assert!(log.contains("client reads slowly") && log.contains("#stopped#solo"), "{log}");
    assert!(log.contains("reads too slowly: too many messages wait"), "{log}");
    daemon.expect_well();
}

#[test]
fn a_message_of_many_megabytes_arrives_and_a_larger_one_ends_the_session() {
    const SIZE: usize = 15 << 20;
    let daemon = Daemon::start("large");
    let options = ConnectOptions { daemon: format!("{}@127.0.0.1", daemon.port), ..Default::default() };
    let classic = Mailbox::connect(&ConnectOptions { message_limit: Some(LIBRARY_LIMIT), ..options.clone() }).unwrap();
    let learned = Mailbox::connect(&options).unwrap();
    assert_eq!(learned.message_limit(), 16 << 20);
    let large = Mailbox::connect(&ConnectOptions { message_limit: Some(32 << 20), ..options }).unwrap();
    let body: Vec<u8> = (0..SIZE).map(|n| (n / 1000) as u8).collect();
    let to = [classic.private_group()];
    assert!(classic.multicast(FrameType::AGREED, &to, 0, &body).is_err(), "a limit of the program's own");
    large.multicast(FrameType::AGREED, &to, 0, &body).unwrap();
    learned.multicast(FrameType::AGREED, &to, 0, &body).unwrap();
    for _ in 0..2 {
        let Received::Message(message) = classic.receive().unwrap() else { panic!("no message") };
        assert!(message.body == body);
    }
    // The daemon may close before all is written.
    let _ = large.multicast(FrameType::AGREED, &to, 0, &vec![0; 17 << 20]);
    assert!(large.receive().is_err());
    daemon.expect_well();
}

#[test]
fn the_name_of_a_client_that_crashed_can_be_used_at_once() {
    let daemon = Daemon::start("again");
    for round in 0..50 {
        let stream = daemon.open("phoenix");
        assert!(stream.is_some(), "refused in round {round}");
    }
    daemon.expect_well();
}

#[test]
fn clients_connect_through_the_unix_socket_too() {
    let daemon = Daemon::start("unix");
    daemon.expect_well();
    let through = ConnectOptions { daemon: daemon.port.to_string(), ..Default::default() };
    expect_echo(&Mailbox::connect(&through).unwrap());
}

/// Closing a socket that lingers waits for its other end. It is passed to the daemon, alone, inside another socket, and behind bytes that end the
/// session.
#[test]
#[cfg(target_os = "linux")]
fn a_client_whose_files_close_slowly_holds_up_nobody() {
    let daemon = Daemon::start("slow-files");
    let place = format!("/tmp/{}", daemon.port);
    let mut listeners = Vec::new();
    // The files are read, or lie unread in a session that ends for its first bytes.
    for (nested, first) in [(false, None), (true, None), (false, Some(0xff)), (true, Some(0xff))] {
        // The daemon must be the last to close them.
        daemon.signal("-STOP");
        let client = Socket::from(OwnedFd::from(UnixStream::connect(&place).unwrap()));
        if let Some(first) = first {
            client.send(&[first; 100]).unwrap();
        }
        // So few bytes are no whole request.
        for _ in 0..6 {
            let (file, listener) = lingering();
            listeners.push(listener);
            if nested {
                let (one, other) = UnixStream::pair().unwrap();
                pass(&OwnedFd::from(other).into(), &file);
                pass(&client, &OwnedFd::from(one).into());
            } else {
                pass(&client, &file);
            }
        }
        drop(client);
        daemon.signal("-CONT");
        daemon.expect_well();
    }
}

/// A connection that waits for a very long time when it is closed: its other end, which comes too, has no room.
#[cfg(target_os = "linux")]
fn lingering() -> (Socket, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = Socket::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    near.set_linger(Some(3 * PATIENCE)).unwrap();
    near.set_nonblocking(true).unwrap();
    while near.send(&[7; 100_000]).is_ok() {}
    (near, listener)
}

/// Passes a file along with a byte.
#[cfg(target_os = "linux")]
fn pass(through: &Socket, file: &Socket) {
    let length = size_of::<usize>() + 3 * size_of::<i32>();
    let rest = [libc::SOL_SOCKET, libc::SCM_RIGHTS, file.as_raw_fd()].map(i32::to_ne_bytes).concat();
    let control = [&length.to_ne_bytes()[..], &rest].concat();
    let parts = [io::IoSlice::new(b"\x04")];
    through.sendmsg(&socket2::MsgHdr::new().with_buffers(&parts).with_control(&control), libc::MSG_NOSIGNAL).unwrap();
}

#[test]
fn a_file_that_cannot_be_used_is_a_line_and_status_1() {
    let directory = directory("unusable");
    let missing = directory.join("missing");
    let wrong = directory.join("wrong");
    fs::write(&wrong, "Spread_Segment 127.0.0.1:4803 {\n    solo 127.0.0.1\n    BOGUS = {\n").unwrap();
    let bytes = directory.join("bytes");
    fs::write(&bytes, [0xff; 5000]).unwrap();
    let good = directory.join("good");
    fs::write(&good, configuration(free_port())).unwrap();
    for (file, name, says) in [
        (&missing, "solo", "missing"),
        (&directory, "solo", "unusable"),
        (&wrong, "solo", "wrong:3:"),
        (&bytes, "solo", "bytes:1:"),
        (&good, "nobody", "nobody"),
        (&good, "a-name-of-more-than-nineteen", "a-name-of-more-than-nineteen"),
    ] {
        expect_refusal_to_start(daemon_with(file, name), &directory, says);
    }
}

#[test]
fn a_port_in_use_is_a_line_and_status_1() {
    let (port, directory) = (free_port(), directory("in-use"));
    let file = directory.join("spread.conf");
    fs::write(&file, configuration(port)).unwrap();
    let says = port.to_string();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    expect_refusal_to_start(daemon_with(&file, "solo"), &directory, &says);
    drop(listener);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    expect_refusal_to_start(daemon_with(&file, "solo"), &directory, &says);
    drop(socket);
}

#[test]
fn a_second_daemon_does_not_disturb_the_first() {
    let (daemon, directory) = (Daemon::start("second"), directory("second"));
    daemon.expect_well();
    let again = daemon_with(&directory.join("spread.conf"), "solo");
    expect_refusal_to_start(again, &directory, &daemon.port.to_string());
    daemon.expect_well();
    let through = ConnectOptions { daemon: daemon.port.to_string(), ..Default::default() };
    expect_echo(&Mailbox::connect(&through).unwrap());
}

#[test]
fn without_a_file_there_is_one_daemon_at_port_4803() {
    let directory = directory("nothing");
    if !is_free(4803) || Path::new("/etc/spread.conf").exists() {
        let _ = writeln!(io::stderr(), "skipped: needs port 4803 to be free, and no /etc/spread.conf");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_spread"));
    command.current_dir(&directory);
    Daemon { process: Process::start(command, &directory.join("daemon")), port: 4803 }.expect_well();
}

#[test]
fn a_daemon_told_to_stop_closes_its_sessions_and_takes_its_socket_along() {
    let mut daemon = Daemon::start("stop");
    let (client, socket) = (daemon.connect("alice"), PathBuf::from(format!("/tmp/{}", daemon.port)));
    assert!(socket.exists());
    assert_eq!(daemon.stop().unwrap().code(), Some(0));
    assert_eq!(client.receive().err(), Some(ReceiveError::Lost(Lost::Now)));
    assert!(!socket.exists());
}

/// How a refusal comes about.
enum Refused {
    /// The daemon answers this with it.
    By(&'static str, fn(&Daemon) -> Vec<u8>),
    /// No daemon sends it.
    Never(&'static str),
}

/// Every code that the connect call of a classic library knows.
const REFUSALS: &[(i8, Refused)] = &[
    (-1, Refused::Never("illegal daemon address: the library says so before it connects")),
    (-2, Refused::Never("no connection: the library says so when nobody answers")),
    (-4, Refused::Never("no name: the daemon invents one for a client without")),
    (-5, Refused::By("a name too long", |daemon| daemon.answer(&request("elevenchars")))),
    (-5, Refused::By("a length below zero", |daemon| daemon.answer(&[4, 4, 0, 1, 0xff]))),
    (-5, Refused::By("an illegal character", |daemon| daemon.answer(&request("a#b")))),
    (
        -6,
        Refused::By("a name in use", |daemon| {
            let _alice = daemon.connect("alice");
            daemon.answer(&request("alice"))
        }),
    ),
    (-7, Refused::By("an old library", |daemon| daemon.answer(&[3, 0, 9, 1, 0]))),
    (-7, Refused::By("a major version below zero", |daemon| daemon.answer(&[200, 0, 0, 1, 0]))),
    (-8, Refused::Never("the connection ended in the handshake: the library says so when nothing comes")),
    (-9, Refused::By("a method that is not allowed", |daemon| daemon.answer_to_choice(b"IP"))),
    (-9, Refused::By("a method that nobody knows", |daemon| daemon.answer_to_choice(b"BOGUS"))),
    (-9, Refused::By("no method at all", |daemon| daemon.answer_to_choice(b""))),
    (
        -3,
        Refused::By("one client too many", |daemon| {
            let (mut held, mut first) = (Vec::new(), [5]);
            while first == [5] {
                assert!(held.len() <= 10, "more than MaxSessions");
                let mut stream = daemon.raw();
                // Whom the daemon does not want it need not read.
                let _ = stream.write_all(&request(&format!("c{}", held.len())));
                stream.read_exact(&mut first).unwrap();
                held.push(stream);
            }
            [first.to_vec(), rest(held.pop().unwrap())].concat()
        }),
    ),
];

#[test]
fn every_refusal_has_its_cause_and_those_that_are_never_sent_a_reason() {
    let daemon = Daemon::start_with("refusals", "MaxSessions = 10\n");
    for (code, refused) in REFUSALS {
        match refused {
            Refused::By(cause, act) => assert_eq!(act(&daemon), [*code as u8], "{cause}"),
            Refused::Never(reason) => println!("{code} {reason}"),
        }
    }
    let codes: BTreeSet<i8> = REFUSALS.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, (-9..=-1).collect());
    let mut nameless = eventually(|| daemon.open(""));
    nameless.write_all(&[0x55; 48]).unwrap();
    rest(nameless);
    daemon.expect_well();
}

/// A running daemon named solo.
struct Daemon {
    process: Process,
    port: u16,
}

impl Daemon {
    fn start(test: &str) -> Daemon {
        Daemon::start_with(test, "")
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// One with more lines in its file.
    fn start_with(test: &str, lines: &str) -> Daemon {
        let (port, directory) = (free_port(), directory(test));
        let file = directory.join("spread.conf");
        fs::write(&file, configuration(port) + lines).unwrap();
        Daemon { process: Process::start(daemon_with(&file, "solo"), &directory.join("daemon")), port }.awaited()
    }

    /// The same, when it takes clients.
    fn awaited(self) -> Daemon {
        self.connect("first");
        self
    }

    /// A bare connection.
    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// All that comes back for these bytes until the daemon closes the connection.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.raw();
        stream.write_all(bytes).unwrap();
        rest(stream)
    }

    /// All that comes back for this method until the daemon closes the connection.
    fn answer_to_choice(&self, method: &[u8]) -> Vec<u8> {
        let mut stream = self.raw();
        stream.write_all(&request("alice")).unwrap();
        assert_eq!(read(&mut stream, 6), b"\x05NULL ");
        let mut choice = [0; 90];
        choice[..method.len()].copy_from_slice(method);
        stream.write_all(&choice).unwrap();
        rest(stream)
    }

    /// A bare connection behind the handshake, unless the name is refused.
    fn open(&self, name: &str) -> Option<TcpStream> {
        let mut stream = self.raw();
        stream.write_all(&request(name)).unwrap();
        if read(&mut stream, 1) != [5] {
            return None;
        }
        read(&mut stream, 5);
        let mut choice = [0; 90];
        choice[..4].copy_from_slice(b"NULL");
        stream.write_all(&choice).unwrap();
        let answer = read(&mut stream, 5);
        read(&mut stream, answer[4].into());
        Some(stream)
    }

    /// A bare connection of an old library, which does without authentication; it has no membership messages.
    fn old_session(&self, name: &str) -> TcpStream {
        let mut stream = self.raw();
        stream.write_all(&[&[3, 15, 0, 0, name.len() as u8], name.as_bytes()].concat()).unwrap();
        let answer = read(&mut stream, 5);
        assert_eq!(answer[0], 1, "{name} is refused");
        read(&mut stream, answer[4].into());
        stream
    }

    /// A session, as soon as the daemon is there.
    fn connect(&self, name: &str) -> Mailbox {
        let options = ConnectOptions {
            daemon: format!("{}@127.0.0.1", self.port),
            private_name: name.into(),
            timeout: Some(PATIENCE),
            ..Default::default()
        };
        eventually(|| match Mailbox::connect(&options) {
            Err(ConnectError::Unreachable) => None,
            result => Some(result.unwrap()),
        })
    }

    /// Tells it to stop, unless it has already, and waits until it has.
    fn stop(&mut self) -> Option<ExitStatus> {
        if let Ok(None) = self.process.child.try_wait() {
            let _ = Command::new("kill").arg(self.process.child.id().to_string()).status();
        }
        within_patience(|| self.process.child.try_wait().ok().flatten())
    }

    /// It still takes clients and orders their messages.
    fn expect_well(&self) {
        expect_echo(&self.connect(""));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// This client joins a group, sends to it, and gets what it sent.
fn expect_echo(mailbox: &Mailbox) {
    let group = Name::new(b"echo").unwrap();
    mailbox.join(group).unwrap();
    mailbox.multicast(FrameType::SAFE, &[group], 7, b"are you well?").unwrap();
    loop {
        if let Received::Message(message) = mailbox.receive().unwrap()
            && message.sender == mailbox.private_group()
        {
            assert_eq!((message.mess_type, &message.body[..]), (7, b"are you well?".as_slice()));
            return;
        }
    }
}

fn expect_refusal_to_start(command: Command, directory: &Path, says: &str) {
    let mut process = Process::start(command, &directory.join("refused"));
    let status = eventually(|| process.child.try_wait().unwrap());
    let errors = process.errors();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.lines().count() == 1 && errors.contains(says), "one line about {says}: {errors}");
}

fn daemon_with(file: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spread"));
    command.arg("-c").arg(file).args(["-n", name]);
    command
}

/// A daemon on loopback that stays who it is even if root starts it.
fn configuration(port: u16) -> String {
    format!("Spread_Segment 127.0.0.1:{port} {{ solo 127.0.0.1 }}\nDaemonUser = root\nDaemonGroup = root\n")
}

/// A directory for this test alone.
fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("daemon").join(test);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// A port with its neighbour, free on loopback for clients and for daemons.
fn free_port() -> u16 {
    let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::iter::repeat_with(any).find(|port| is_free(*port)).unwrap()
}

fn is_free(port: u16) -> bool {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
    port < u16::MAX && free(port) && free(port + 1)
}

/// Datagrams that no daemon sends.
fn noise() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(4803);
    let mut random = |length| (0..length).map(|_| rng.below(256) as u8).collect();
    let plain = [vec![], vec![0], vec![0xff; 1472], vec![0; 1472], vec![0xa5; 60_000], b"hello\n".to_vec()];
    plain.into_iter().chain((0..300).map(|step| random(step * 4))).collect()
}

fn request(name: &str) -> Vec<u8> {
    [&REQUEST, &[name.len() as u8][..], name.as_bytes()].concat()
}

/// The header of a little-endian frame, with these type bits and counts.
fn frame(sender: &str, kind: u32, groups: i32, length: i32) -> Vec<u8> {
    let mut name = [0; 32];
    name[..sender.len()].copy_from_slice(sender.as_bytes());
    let fields = [groups.to_le_bytes(), 0x8000_0080u32.to_le_bytes(), length.to_le_bytes()];
    [&kind.to_le_bytes(), &name[..], fields.as_flattened()].concat()
}

/// A whole little-endian frame to one group.
fn addressed(sender: &str, kind: FrameType, group: &str, data: &[u8]) -> Vec<u8> {
    let kind = u32::from_le_bytes(kind.encode());
    let mut name = [0; 32];
    name[..group.len()].copy_from_slice(group.as_bytes());
    [&frame(sender, kind, 1, data.len() as i32)[..], &name, data].concat()
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// What comes until the other side closes; a reset, because it did not read all, is an end like any other.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => bytes,
    }
}

/// What this gives once it gives something.
fn eventually<T>(attempt: impl FnMut() -> Option<T>) -> T {
    within_patience(attempt).unwrap_or_else(|| panic!("nothing after {PATIENCE:?}"))
}

fn within_patience<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(result) = attempt() {
            return Some(result);
        }
        sleep(Duration::from_millis(5));
    }
    None
}
