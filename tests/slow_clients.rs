//! A client program that is stopped in the middle of its reading, under each `SlowClient`: what happens to it, that nobody of another
//! group notices, and that the counters say what happened. And one that is killed: its name is free. All over TCP, and over a unix socket, where
//! senders share memory with the daemon. `vanished` is of those whose machine goes.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod process;
#[expect(dead_code, reason = "shared with the tests of networks")]
#[path = "network/rig.rs"]
mod rig;
#[path = "slow_clients/vanished.rs"]
mod vanished;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::config::Settings;
use spread::daemon::{Options, Running, Status, spawn};
use spread::node::ClientStats;
use spread::session::SlowClient;
use spread::wire::{FrameType, Name};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages of each test and their size: far more than sockets keep.
const MESSAGES: usize = 6000;
const SIZE: usize = 10_000;

#[test]
fn a_stopped_program_is_disconnected_and_the_status_says_why() {
    Stage::each(SlowClient::Disconnect, |stage| {
        let sender = stage.send(FrameType::AGREED);
        let status = stage.until(|status| status.client_stats.slow_by_messages == 1);
        assert_eq!((status.client_stats.lagging, status.client_stats.stopped_senders), (1, 0));
        stage.calm();
        sender.join().unwrap();
        while stage.watcher_view() != ["#watcher#solo"] {}
        stage.reader.signal("-CONT");
        assert_eq!(stage.reader.child.wait().unwrap().code(), Some(1), "it finds its connection closed");
    });
}

#[test]
fn a_stopped_program_stops_those_who_send_to_it_until_it_goes_on() {
    Stage::each(SlowClient::BlockSenders, |stage| {
        let sender = stage.send(FrameType::AGREED);
        stage.until(|status| status.client_stats.stopped_senders > 0);
        stage.calm();
        let progress = stage.progress();
        assert!(progress < MESSAGES, "{progress} messages went to somebody who does not read");
        stage.reader.signal("-CONT");
        sender.join().unwrap();
        assert_eq!(stage.progress(), MESSAGES);
        let ClientStats { slow_by_messages, slow_by_bytes, violations, .. } = stage.status().client_stats;
        assert_eq!((slow_by_messages, slow_by_bytes, violations), (0, 0, 0));
        assert!(stage.reader.child.try_wait().unwrap().is_none(), "it is still connected");
    });
}

#[test]
fn a_stopped_program_loses_unreliable_messages_and_stays() {
    Stage::each(SlowClient::DropUnreliable, |stage| {
        let sender = stage.send(FrameType::UNRELIABLE);
        stage.until(|status| status.client_stats.dropped_unreliable > 0);
        stage.calm();
        sender.join().unwrap();
        let status = stage.until(|status| status.client_stats.dropped_unreliable > 1000);
        assert_eq!((status.client_stats.slow_by_messages, status.client_stats.slow_by_bytes), (0, 0));
        stage.reader.signal("-CONT");
        assert!(stage.reader.child.try_wait().unwrap().is_none(), "it is still connected");
    });
}

#[test]
fn the_name_of_a_program_that_was_killed_can_be_used_at_once() {
    Stage::each(SlowClient::Disconnect, |stage| {
        for round in 0..10 {
            // In half of the rounds it goes with bytes that it has not read, so that its connection does not end in an orderly way.
            if round % 2 == 0 {
                let sender = connect(&stage.address, "sender");
                sender.multicast(FrameType::AGREED, &[name("#reader#solo")], 0, &[7; SIZE]).unwrap();
                sender.multicast(FrameType::AGREED, &[sender.private_group()], 0, b"it has been sent").unwrap();
                sender.receive().unwrap();
            }
            stage.reader.child.kill().unwrap();
            stage.reader.child.wait().unwrap();
            let successor = connect(&stage.address, "reader");
            assert_eq!(successor.private_group(), name("#reader#solo"), "round {round}");
            while stage.watcher_view() != ["#watcher#solo"] {}
            successor.disconnect();
            stage.reader = Reader::start(&stage.address);
            while stage.watcher_view().len() < 2 {}
            stage.reader.signal("-STOP");
        }
    });
}

/// A daemon with a stopped reader in the group busy.
struct Stage {
    daemon: Running,
    address: String,
    reader: Reader,
    /// A member of busy that gets membership messages alone.
    watcher: Mailbox,
    sent: Arc<AtomicUsize>,
}

impl Stage {
    /// Plays this over TCP, and over a unix socket.
    fn each(policy: SlowClient, play: impl Fn(&mut Stage)) {
        for host in ["@127.0.0.1", ""] {
            println!("over {}", if host.is_empty() { "a unix socket" } else { "TCP" });
            play(&mut Stage::new(policy, host));
        }
    }

    fn new(policy: SlowClient, host: &str) -> Stage {
        let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = |port| Some((start(port, policy)?, format!("{port}{host}")));
        let (daemon, address) =
            std::iter::repeat_with(any).take(20).find_map(start).expect("one of many ports is free");
        let watcher = connect(&address, "watcher");
        watcher.join(name("busy")).unwrap();
        let reader = Reader::start(&address);
        let stage = Stage { daemon, address, reader, watcher, sent: Arc::default() };
        while stage.watcher_view().len() < 2 {}
        stage.reader.signal("-STOP");
        stage
    }

    fn status(&self) -> Status {
        self.daemon.handle().status()
    }

    /// The status as soon as this holds of it.
    fn until(&self, holds: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            sleep(Duration::from_millis(20));
        }
        panic!("nothing of the kind: {:?}", self.status().client_stats);
    }

    /// Sends all messages to the reader's private group, in a thread of its own: the watcher need not read them.
    fn send(&self, service: FrameType) -> JoinHandle<()> {
        let (sender, sent) = (connect(&self.address, "sender"), Arc::clone(&self.sent));
        thread::spawn(move || {
            for _ in 0..MESSAGES {
                sender.multicast(service, &[name("#reader#solo")], 0, &[7; SIZE]).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn progress(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Members of another group send and get as ever.
    fn calm(&self) {
        let (one, other) = (connect(&self.address, "one"), connect(&self.address, "other"));
        one.join(name("calm")).unwrap();
        while !matches!(one.receive().unwrap(), Received::View(_)) {}
        for number in 0..200 {
            other.multicast(FrameType::SAFE, &[name("calm")], number, b"calm").unwrap();
        }
        let mut got = 0;
        while got < 200 {
            if let Received::Message(message) = one.receive().unwrap() {
                assert_eq!(message.mess_type, got);
                got += 1;
            }
        }
    }

    /// The members of the next view of busy.
    fn watcher_view(&self) -> Vec<String> {
        loop {
            if let Received::View(view) = self.watcher.receive().unwrap() {
                return view.members.iter().map(Name::to_string).collect();
            }
        }
    }
}

fn start(port: u16, policy: SlowClient) -> Option<Running> {
    let text = format!("Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}");
    let settings = Settings::parse("slow", text.as_bytes()).unwrap();
    let options = Options::from_settings(&settings, &settings.table.daemons[0]);
    let mut options = Options { unix_sockets: vec![format!("/tmp/{port}").into()], control_sockets: vec![], ..options };
    options.node.live.session.slow_client = policy;
    options.node.live.session.max_session_messages = 500;
    spawn(options).ok()
}

fn connect(address: &str, private_name: &str) -> Mailbox {
    let (daemon, private_name) = (address.to_owned(), private_name.to_owned());
    Mailbox::connect(&ConnectOptions { daemon, private_name, ..Default::default() }).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

/// A program that reads what comes to it and to a group.
struct Reader {
    child: Child,
    _input: ChildStdin,
}

impl Reader {
    fn start(address: &str) -> Reader {
        Reader::run(Command::new(env!("CARGO_BIN_EXE_spuser")), address, "busy", Stdio::null())
    }

    /// Lets this program join a group.
    fn run(mut command: Command, address: &str, group: &str, output: Stdio) -> Reader {
        command.args(["-u", "reader", "-s", address]).stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "j {group}").unwrap();
        Reader { child, _input: input }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
