//! A running daemon takes over what its file says otherwise: nothing is lost, nobody is disconnected, and what it cannot take over
//! changes nothing.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test that fails ends after a time")]

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spread::client::{ConnectError, ConnectOptions, Mailbox, Received, doze};
use spread::config::{Change, Settings};
use spread::daemon::{Options, PathState, ReloadError, Running, Status, spawn};
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
        assert_eq!(changes.once_all_have_it, []);
        Ok(changes.now.into_iter().chain(changes.at_restart).map(|change| change.to_string()).collect())
    }

    /// Reloads a file in which the daemon has these addresses; the changes, as told.
    fn move_to(&self, addresses: &str) -> Result<String, ReloadError> {
        self.move_with(addresses, "")
    }

    fn move_with(&self, addresses: &str, parameters: &str) -> Result<String, ReloadError> {
        let port = self.port;
        let text =
            format!("Spread_Segment unicast:{port} unicast:{port} {{ solo 127.0.82.1 {addresses} }} {parameters}");
        let changes = self.running.handle().reload(Settings::parse("f", text.as_bytes()).unwrap())?;
        assert_eq!((changes.once_all_have_it.len(), changes.at_restart.len()), (0, 0), "{changes}");
        Ok(changes.to_string())
    }

    fn connect(&self, name: &str) -> Result<Mailbox, ConnectError> {
        self.connect_at("127.0.82.1", name)
    }

    fn connect_at(&self, address: &str, name: &str) -> Result<Mailbox, ConnectError> {
        let daemon = format!("{}@{address}", self.port);
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
fn clients_come_in_at_other_addresses_after_a_reload_and_those_who_are_in_stay() {
    let daemon = Daemon::start();
    let first = daemon.connect("first").unwrap();
    let group = Name::new(b"group").unwrap();
    first.join(group).unwrap();
    assert!(matches!(first.receive().unwrap(), Received::View(_)));
    let networks = "D 127.0.82.1 D 127.0.83.1";
    let said = daemon.move_to(&format!("{{ {networks} C 127.0.82.9 C 127.0.82.1 }}")).unwrap();
    assert_eq!(said, "solo served clients at 127.0.82.1 and serves them at 127.0.82.9, 127.0.82.1");
    let places = ["127.0.82.1", "127.0.82.9", "127.0.82.77"];
    let open = || places.map(|place| daemon.connect_at(place, "one").is_ok());
    assert_eq!(open(), [true, true, false]);
    // Every address, one of these alone, and back: the system gives nobody both at once.
    let steps = [
        ("127.0.83.1".to_owned(), [true, true, true]),
        (format!("{{ {networks} C 127.0.82.77 }}"), [false, false, true]),
        (format!("{{ {networks} C 127.0.82.9 }}"), [false, true, false]),
        (format!("{{ {networks} }}"), [false, false, false]),
        (format!("{{ {networks} C 127.0.82.1 }}"), [true, false, false]),
    ];
    for (number, (addresses, expected)) in steps.iter().enumerate() {
        daemon.move_to(addresses).unwrap();
        assert_eq!(open(), *expected, "{addresses}");
        first.multicast(FrameType::SAFE, &[group], number as i16, b"there?").unwrap();
        assert!(matches!(first.receive().unwrap(), Received::Message(message) if message.mess_type == number as i16));
    }
}

#[test]
fn a_client_address_in_use_changes_nothing() {
    let daemon = Daemon::start();
    let networks = "D 127.0.82.1 D 127.0.83.1";
    let taken = ["127.0.82.9", "127.0.0.1"].map(|place| TcpListener::bind((place, daemon.port)).unwrap());
    for addresses in [format!("{{ {networks} C 127.0.82.8 C 127.0.82.9 }}"), "127.0.83.1".to_owned()] {
        let error = daemon.move_with(&addresses, "MaxSessions = 1").unwrap_err();
        let reason = format!("TCP port {} of ", daemon.port);
        assert!(error.to_string().contains(&reason) && error.to_string().contains("is in use"), "{error}");
        assert!(daemon.connect_at("127.0.82.8", "one").is_err(), "{addresses}");
        let both = ["one", "two"].map(|name| daemon.connect(name).unwrap());
        assert_eq!(both.len(), 2);
    }
    drop(taken);
    daemon.move_to(&format!("{{ {networks} C 127.0.82.8 C 127.0.82.9 }}")).unwrap();
    assert!(daemon.connect_at("127.0.82.9", "one").is_ok() && daemon.connect("one").is_err());
}

/// Whoever has connected is served, though the door is closed before the daemon looks.
#[test]
fn who_stands_at_a_door_that_is_closed_is_let_in() {
    let daemon = Daemon::start();
    let networks = "D 127.0.82.1 D 127.0.83.1";
    for (from, to) in [("127.0.82.1", "127.0.82.9"), ("127.0.82.9", "127.0.82.1")].repeat(5) {
        let waiting = std::net::TcpStream::connect((from, daemon.port)).unwrap();
        daemon.move_to(&format!("{{ {networks} C {to} }}")).unwrap();
        // It has been accepted and is waited for: its end is not a refusal.
        waiting.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let error = std::io::Read::read(&mut &waiting, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    }
}

/// Daemons of one machine on networks of loopback addresses.
struct Ring {
    port: u16,
    daemons: Vec<(&'static str, Running)>,
}

/// Whether a ring of so many daemons stands.
fn members(count: usize) -> impl Fn(&Status) -> bool {
    move |status| status.configuration.as_ref().is_some_and(|it| it.members.len() == count)
}

impl Ring {
    fn new() -> Ring {
        let port = TcpListener::bind("127.0.85.1:0").unwrap().local_addr().unwrap().port();
        Ring { port, daemons: Vec::new() }
    }

    /// A file with these daemons, on networks with these numbers.
    fn file(&self, daemons: &[&str], networks: &[u8]) -> Settings {
        let port = self.port;
        let place = |name: &str| name.as_bytes()[0] - b'a' + 1;
        let entry = |name: &&str| {
            let own = |network: &u8| format!("D 127.{network}.85.{} ", place(name));
            let list: String = networks.iter().map(own).collect();
            format!("{name} 127.0.85.{} {{ {list} C 127.0.85.{} }}\n", place(name), place(name))
        };
        let entries: String = daemons.iter().map(entry).collect();
        let kinds = format!("unicast:{port} ").repeat(networks.len());
        Settings::parse("f", format!("Spread_Segment {kinds} {{ {entries} }}").as_bytes()).unwrap()
    }

    fn start(&mut self, name: &'static str, file: &Settings) {
        let me = file.table.me(Some(name), &[]).unwrap();
        let options = Options { unix_sockets: vec![], control_sockets: vec![], ..Options::from_settings(file, me) };
        self.daemons.push((name, spawn(options).unwrap()));
    }

    fn reload(&self, file: &Settings) {
        let is_in = |name: &str| file.table.daemons.iter().any(|daemon| daemon.name == name);
        for (_, daemon) in self.daemons.iter().filter(|(name, _)| is_in(name)) {
            assert_ne!(daemon.handle().reload(file.clone()).unwrap().once_all_have_it, []);
        }
    }

    fn connect(&self, name: &str) -> Mailbox {
        let daemon = format!("{}@127.0.85.{}", self.port, name.as_bytes()[0] - b'a' + 1);
        Mailbox::connect(&ConnectOptions { daemon, ..ConnectOptions::default() }).unwrap()
    }

    /// The numbers of the messages that each mailbox gets, so many.
    fn await_numbers<const N: usize>(&self, mailboxes: [Mailbox; N], count: usize) -> [Vec<i16>; N] {
        let all = mailboxes.map(|mailbox| {
            let numbers = Arc::new(Mutex::new(Vec::new()));
            let mine = Arc::clone(&numbers);
            std::thread::spawn(move || {
                while mine.lock().unwrap().len() < count {
                    if let Ok(Received::Message(message)) = mailbox.receive() {
                        mine.lock().unwrap().push(message.mess_type);
                    }
                }
            });
            numbers
        });
        let end = Instant::now() + Duration::from_secs(30);
        while !all.iter().all(|numbers| numbers.lock().unwrap().len() == count) {
            if Instant::now() > end {
                let missing = |numbers: &Vec<i16>| {
                    (0..count as i16).filter(|number| !numbers.contains(number)).collect::<Vec<_>>()
                };
                let missing = all.each_ref().map(|numbers| missing(&numbers.lock().unwrap()));
                let seen: Vec<Status> = self.daemons.iter().map(|(_, daemon)| daemon.handle().status()).collect();
                panic!("missing: {missing:?}\n{seen:#?}");
            }
            doze(Duration::from_millis(20));
        }
        all.map(|numbers| numbers.lock().unwrap().clone())
    }

    /// Waits until all daemons are as they should be.
    fn await_all(&self, what: impl Fn(&Status) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.daemons.iter().all(|(_, daemon)| what(&daemon.handle().status())) {
            let seen: Vec<Status> = self.daemons.iter().map(|(_, daemon)| daemon.handle().status()).collect();
            assert!(Instant::now() < end, "{seen:#?}");
            doze(Duration::from_millis(20));
        }
    }
}

/// A daemon comes, a network goes and another one has its number, an address is another one, a daemon goes; clients see one order.
#[test]
fn daemons_and_networks_come_and_go_under_load() {
    let mut ring = Ring::new();
    let first = ring.file(&["a", "b"], &[0, 1]);
    ring.start("a", &first);
    ring.start("b", &first);
    ring.await_all(members(2));
    let group = Name::new(b"group").unwrap();
    let mailboxes = ["a", "b"].map(|name| ring.connect(name));
    mailboxes.iter().for_each(|mailbox| mailbox.join(group).unwrap());
    for mailbox in &mailboxes {
        while !matches!(mailbox.receive().unwrap(), Received::View(view) if view.members.len() == 2) {}
    }
    let files = [
        (ring.file(&["a", "b", "c"], &[0, 1]), 3),
        (ring.file(&["a", "b", "c"], &[1]), 3),
        (ring.file(&["b", "c", "a"], &[2, 1]), 3),
        (ring.file(&["a", "b"], &[2, 1]), 2),
    ];
    let mut number = 0;
    let mut send = |count| {
        for _ in 0..count {
            mailboxes[usize::from(number as u16 % 2)].multicast(FrameType::SAFE, &[group], number, b"there?").unwrap();
            number += 1;
        }
    };
    for (file, count) in &files {
        send(50);
        ring.reload(file);
        if ring.daemons.len() < *count {
            ring.start("c", file);
        }
        let digest = file.table.digest();
        let removed = ring.daemons.split_off((*count).min(ring.daemons.len()));
        ring.await_all(|status| status.system == digest && members(*count)(status));
        drop(removed);
        send(50);
    }
    let received = ring.await_numbers(mailboxes, 400);
    assert_eq!(received[0], received[1]);
    let mut sorted = received[0].clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..400), "each message once");
}

/// The sockets of a network that goes are open for some time yet, as others may still use it.
#[test]
fn a_network_that_went_a_moment_ago_comes_back() {
    let mut ring = Ring::new();
    let first = ring.file(&["a", "b"], &[0, 1]);
    ["a", "b"].into_iter().for_each(|name| ring.start(name, &first));
    ring.await_all(members(2));
    for networks in [&[1][..], &[0, 1], &[0], &[1, 0], &[1], &[0]] {
        let file = ring.file(&["a", "b"], networks);
        ring.reload(&file);
        let digest = file.table.digest();
        let healthy = |status: &Status| {
            let healthy = status.paths.iter().filter(|path| path.state == PathState::Healthy).count();
            status.links.iter().filter(|link| link.up).count() == networks.len() && healthy == networks.len()
        };
        ring.await_all(|status| status.system == digest && healthy(status));
    }
    ring.await_all(|status| status.ring.configurations < 4);
}

#[test]
fn a_file_that_waits_goes_on_waiting_when_the_next_one_is_refused() {
    let mut ring = Ring::new();
    let first = ring.file(&["a", "b"], &[0]);
    ["a", "b"].into_iter().for_each(|name| ring.start(name, &first));
    ring.await_all(members(2));
    let (next, refused) = (ring.file(&["a", "b"], &[0, 1]), ring.file(&["a", "b"], &[2, 1]));
    let taken = UdpSocket::bind(("127.2.85.1", ring.port)).unwrap();
    ring.daemons[0].1.handle().reload(next.clone()).unwrap();
    let error = ring.daemons[0].1.handle().reload(refused).unwrap_err().to_string();
    assert!(error.contains("is in use"), "{error}");
    drop(taken);
    ring.daemons[1].1.handle().reload(next.clone()).unwrap();
    ring.await_all(|status| status.system == next.table.digest());
}

#[test]
fn a_policy_that_an_operator_chose_stays_until_the_file_has_another_one() {
    let daemon = Daemon::start();
    let handle = daemon.running.handle();
    handle.set_policy(Policy::Passive);
    assert_eq!(daemon.reload("MaxSessions = 7").unwrap(), ["MaxSessions was 10000 and is 7"]);
    assert_eq!(handle.status().policy, Policy::Passive);
    daemon.reload("NetworkPolicy = primary").unwrap();
    assert_eq!(handle.status().policy, Policy::Primary);
    // The same while other networks wait for another daemon.
    let mut ring = Ring::new();
    let (first, next) = (ring.file(&["a", "b"], &[0]), ring.file(&["a", "b"], &[0, 1]));
    ["a", "b"].into_iter().for_each(|name| ring.start(name, &first));
    ring.await_all(members(2));
    let [a, b] = [0, 1].map(|number| ring.daemons[number].1.handle());
    a.reload(next.clone()).unwrap();
    a.set_policy(Policy::Passive);
    a.reload(next.clone()).unwrap();
    b.reload(next.clone()).unwrap();
    ring.await_all(|status| status.system == next.table.digest());
    assert_eq!((a.status().policy, b.status().policy == Policy::Passive), (Policy::Passive, false));
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
    let taken = UdpSocket::bind("127.0.84.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let in_use = reload(format!(
        "Spread_Segment unicast:{port} unicast:{taken_port} {{ solo 127.0.82.1 {{ D 127.0.82.1 D 127.0.84.1 C 127.0.82.1 }} }}
         MaxSessions = 1"
    ));
    assert!(in_use.contains(&format!("port {taken_port} of 127.0.84.1 is in use")), "{in_use}");
    assert_eq!(daemon.running.handle().status().policy, Policy::Passive);
    let mailboxes = ["one", "two"].map(|name| daemon.connect(name).unwrap());
    assert_eq!(mailboxes.len(), 2);
}
