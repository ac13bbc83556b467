//! A running daemon takes over what its file says otherwise: nothing is lost, nobody is disconnected, and what it cannot take over
//! changes nothing.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::TcpListener;

use spread::client::{ConnectError, ConnectOptions, Mailbox, Received};
use spread::config::{Change, Settings};
use spread::daemon::{Options, ReloadError, Running, spawn};
use spread::multipath::Policy;
use spread::wire::{FrameType, Name};

/// A daemon on two loopback networks, and its port.
struct Daemon {
    running: Running,
    port: u16,
}

fn settings(port: u16, parameters: &str) -> Settings {
    let text = format!(
        "Spread_Segment unicast:{port} unicast:{port} {{ solo 127.0.82.1 {{ D 127.0.82.1 D 127.0.83.1 C 127.0.82.1 }} }} {parameters}"
    );
    Settings::parse("f", text.as_bytes()).unwrap()
}

impl Daemon {
    fn start() -> Daemon {
        let port = TcpListener::bind("127.0.82.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings(port, "");
        let options = Options::from_settings(&settings, &settings.table.daemons[0]);
        let options = Options { unix_sockets: vec![], control_sockets: vec![], ..options };
        Daemon { running: spawn(options).unwrap(), port }
    }

    fn reload(&self, parameters: &str) -> Result<Vec<String>, ReloadError> {
        let changes = self.running.handle().reload(settings(self.port, parameters))?;
        assert!(changes.now.iter().all(|change| change.change == Change::Live));
        Ok(changes.now.into_iter().chain(changes.at_restart).map(|change| change.to_string()).collect())
    }

    fn connect(&self, name: &str) -> Result<Mailbox, ConnectError> {
        let daemon = format!("{}@127.0.82.1", self.port);
        Mailbox::connect(&ConnectOptions { daemon, private_name: name.into(), ..ConnectOptions::default() })
    }
}

#[test]
fn clients_keep_their_sessions_and_their_messages_through_many_reloads() {
    let daemon = Daemon::start();
    let mailbox = daemon.connect("one").unwrap();
    let group = Name::new(b"group").unwrap();
    mailbox.join(group).unwrap();
    assert!(matches!(mailbox.receive().unwrap(), Received::View(_)));
    let files = [
        "NetworkPolicy = passive Window = 64 PersonalWindow = 8",
        "NetworkPolicy = primary Network 1 { Priority = 9 } SlowClient = block-senders",
        "TokenTimeout = 400 HurryTimeout = 100 MaxMessageSize = 1M",
        "",
    ];
    for number in 0..200 {
        if number % 10 == 0 {
            daemon.reload(files[usize::from(number as u16) / 10 % files.len()]).unwrap();
        }
        mailbox.multicast(FrameType::SAFE, &[group], number, b"there?").unwrap();
    }
    for number in 0..200 {
        let Received::Message(message) = mailbox.receive().unwrap() else { panic!("no message") };
        assert_eq!(message.mess_type, number);
    }
}

#[test]
fn a_file_counts_at_once_and_says_what_it_changes() {
    let daemon = Daemon::start();
    let first = daemon.connect("one").unwrap();
    assert_eq!(daemon.reload("").unwrap(), [""; 0]);
    let changes = daemon.reload("MaxSessions = 1 NetworkPolicy = passive DaemonUser = other").unwrap();
    let expected = [
        "NetworkPolicy was active and is passive",
        "MaxSessions was 10000 and is 1",
        "DaemonUser was \"spread\" and is \"other\"",
    ];
    assert_eq!(changes, expected);
    assert_eq!(daemon.running.handle().status().policy, Policy::Passive);
    assert!(daemon.connect("two").is_err(), "the new limit counts");
    daemon.reload("AllowedAuthMethods = PWORD").unwrap();
    assert!(daemon.connect("two").is_err(), "a method that is not allowed any more");
    daemon.reload("").unwrap();
    daemon.connect("two").unwrap();
    first.join(Name::new(b"still").unwrap()).unwrap();
    assert!(matches!(first.receive().unwrap(), Received::View(_)));
}

#[test]
fn what_cannot_be_taken_over_changes_nothing() {
    let daemon = Daemon::start();
    daemon.reload("NetworkPolicy = passive").unwrap();
    let port = daemon.port;
    let reload = |text: String| {
        let settings = Settings::parse("f", text.as_bytes()).unwrap();
        daemon.running.handle().reload(settings).unwrap_err().to_string()
    };
    let other = reload(format!("Spread_Segment unicast:{port} {{ other 127.0.82.1 }} MaxSessions = 1"));
    assert_eq!(other, "the file has no daemon solo, which this one is");
    let added = reload(format!(
        "Spread_Segment unicast:{port} unicast:{port} {{ solo 127.0.82.1 {{ D 127.0.82.1 D 127.0.83.1 C 127.0.82.1 }}
         two 127.0.82.2 127.0.83.2 }} MaxSessions = 1"
    ));
    assert!(added.ends_with("the daemon two is added"), "{added}");
    assert_eq!(daemon.running.handle().status().policy, Policy::Passive);
    let mailboxes = ["one", "two"].map(|name| daemon.connect(name).unwrap());
    assert_eq!(mailboxes.len(), 2);
}
