//! The daemons inside this process, by number: for C programs, and for clients whose environment asks for a daemon in the process.
//!
//! A number is never used twice, so a stopped daemon is never taken for another. A forked child begins with a table of its own. That
//! table has none of the parent's daemons, and no lock that a thread of the parent held during the fork.

use std::collections::BTreeMap;
use std::fmt;
#[cfg(unix)]
use std::net::IpAddr;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::process;
use std::sync::{Arc, OnceLock};
#[cfg(unix)]
use std::{net::Ipv4Addr, os::unix::net::UnixStream};

use parking_lot::Mutex;
use tracing::warn;

use super::files::{self, FileError};
use super::{Handle, Options, ReloadError, Reloaded, RunState, Running, StartError, spawn};
#[cfg(unix)]
use crate::config::ClientAddresses;
use crate::config::{Daemon, EntryError, Settings};
use crate::net;
#[cfg(unix)]
use crate::session::Peer;
use crate::wire::DaemonId;

/// Daemons that may run in one process.
pub const EMBEDDED_LIMIT: usize = 128;

/// A daemon inside this process.
#[derive(Debug)]
pub struct Embedded {
    name: String,
    /// The file or text that it was started from.
    configuration: Mutex<String>,
    #[cfg(unix)]
    client_port: u16,
    handle: Handle,
    running: Mutex<Option<Running>>,
}

impl Embedded {
    /// The handle through which threads use the daemon.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Reads the configuration again, or another one in the form that [`start`] takes, and applies its changes. After an error everything
    /// is as it was.
    pub fn reload(&self, configuration: Option<&str>) -> Result<Reloaded, ReloadError> {
        let mut present = self.configuration.lock();
        let wanted = configuration.unwrap_or(&present).to_owned();
        let changes = self.handle.reload(read(&wanted)?)?;
        *present = wanted;
        Ok(changes)
    }

    /// The name of a daemon of the same configuration.
    pub fn name_of(&self, daemon: DaemonId) -> String {
        let in_force = self.handle.in_force();
        let found = in_force.settings.table.daemons.iter().find(|it| it.id == daemon);
        found.map(|daemon| daemon.name.clone()).unwrap_or_default()
    }

    /// How many networks it is on.
    pub fn networks(&self) -> usize {
        let in_force = self.handle.in_force();
        let me = in_force.settings.table.daemons.iter().find(|daemon| daemon.name == self.name);
        me.map_or(0, |me| me.addresses.iter().flatten().count())
    }

    fn is(&self, name: &str, system: u32) -> bool {
        self.name == name && self.handle.in_force().settings.table.digest() == system
    }

    fn is_running(&self) -> bool {
        self.handle.run_state() == RunState::Running
    }

    /// Whether clients that want this port, on this host if they name one, mean this daemon.
    #[cfg(unix)]
    fn serves(&self, port: u16, host: Option<IpAddr>) -> bool {
        let in_force = self.handle.in_force();
        let me = in_force.settings.table.daemons.iter().find(|daemon| daemon.name == self.name);
        let at = |host: IpAddr| match me.map(|me| &me.clients) {
            Some(ClientAddresses::Only(addresses)) => addresses.contains(&host),
            _ => host.is_loopback(),
        };
        self.client_port == port && host.is_none_or(at)
    }

    fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.stop();
        }
    }
}

/// Starts the daemon `name` of a configuration and returns its number. Its ports are open then.
///
/// The configuration is a file's name, or a file's text if it has a brace. An empty one means the daemon `localhost` on 127.0.0.1,
/// port 4803. Without a name the only daemon of the configuration starts, or the one that has an address of this machine.
pub fn start(configuration: &str, name: Option<&str>) -> Result<u64, Error> {
    let wanted = Wanted { configuration, settings: read(configuration)?, name };
    wanted.start()
}

/// Stops a daemon: it leaves its ring at once. False if there is none with this number.
pub fn stop(number: u64) -> bool {
    let stopped = registry().table.lock().daemons.remove(&number);
    stopped.inspect(|embedded| embedded.stop()).is_some()
}

/// Stops all daemons of this process.
pub fn stop_all() {
    let daemons = std::mem::take(&mut registry().table.lock().daemons);
    daemons.values().for_each(|embedded| embedded.handle.stop());
    daemons.values().for_each(|embedded| embedded.stop());
}

/// The daemon with this number, even if it has crashed.
pub fn find(number: u64) -> Option<Arc<Embedded>> {
    registry().table.lock().daemons.get(&number).cloned()
}

/// A way to a daemon of this process.
#[cfg(unix)]
#[derive(Debug)]
pub struct ShortWay {
    /// A stream that the daemon serves.
    pub stream: UnixStream,
    /// The largest number of bytes, data and group names together, that it takes in one message.
    pub message_limit: usize,
}

/// A way to the daemon of this process that serves a port, on this host if one is named. `None` if there is none.
#[cfg(unix)]
pub fn connect(port: u16, host: Option<&str>) -> Option<ShortWay> {
    let registry = Registry::existing()?;
    let host = match host {
        None => None,
        Some("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        Some(host) => Some(host.parse().ok()?),
    };
    let serving = |embedded: &&Arc<Embedded>| embedded.is_running() && embedded.serves(port, host);
    let embedded = Arc::clone(registry.table.lock().daemons.values().find(serving)?);
    let peer = match host {
        None => Peer::Unix,
        Some(host) if host.is_loopback() && host.is_ipv4() => Peer::Tcp(Ipv4Addr::LOCALHOST.into()),
        Some(host) => Peer::Tcp(host),
    };
    let stream = embedded.handle.connect(peer).ok()?;
    Some(ShortWay { stream, message_limit: embedded.handle.message_limit() })
}

/// Starts the daemon that an environment variable names, if its clients' port is this one; otherwise returns `None`. The variable is a
/// configuration as for [`start`], and after a `#` the daemon's name.
pub fn start_for(variable: &str, port: u16) -> Result<Option<u64>, Error> {
    let (configuration, name) = split(variable);
    let wanted = Wanted { configuration, settings: read(configuration)?, name };
    if wanted.client_port()? == port { wanted.start().map(Some) } else { Ok(None) }
}

/// Whether a host is this machine.
pub fn is_here(host: &str) -> bool {
    let addresses = (host, 0).to_socket_addrs().map(|found| found.map(|socket| socket.ip()).collect::<Vec<_>>());
    let own = net::local_addresses().unwrap_or_default();
    addresses.unwrap_or_default().iter().any(|ip| ip.is_loopback() || own.contains(ip))
}

/// Why no daemon was started.
#[derive(Debug)]
pub enum Error {
    /// The configuration cannot be read or has mistakes.
    Configuration(FileError),
    /// The configuration does not say which daemon to be.
    Entry(EntryError),
    /// The daemon with this name of this configuration runs already in this process.
    AlreadyRunning(String),
    /// The process has [`EMBEDDED_LIMIT`] daemons.
    TooMany,
    /// It cannot open its ports, or lacks something else that it needs.
    Start(StartError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Configuration(error) => error.fmt(f),
            Error::Entry(EntryError::NoAddress) => {
                f.write_str("no daemon of the configuration has an address of this machine: name the one to start")
            }
            Error::Entry(EntryError::Ambiguous(names)) => {
                write!(f, "this machine could be any of {}: name the one to start", names.join(", "))
            }
            Error::Entry(error) => error.fmt(f),
            Error::AlreadyRunning(name) => write!(f, "the daemon {name} already runs in this process"),
            Error::TooMany => write!(f, "this process already has {EMBEDDED_LIMIT} daemons"),
            Error::Start(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<FileError> for Error {
    fn from(error: FileError) -> Error {
        Error::Configuration(error)
    }
}

impl From<EntryError> for Error {
    fn from(error: EntryError) -> Error {
        Error::Entry(error)
    }
}

fn read(configuration: &str) -> Result<Settings, FileError> {
    Ok(match configuration {
        "" => Settings::localhost(),
        text if text.contains('{') => files::parse("configuration", text.as_bytes())?,
        file => files::read(Path::new(file))?,
    })
}

/// The configuration, and the text after the last `#` if it can be a daemon's name.
fn split(variable: &str) -> (&str, Option<&str>) {
    match variable.rsplit_once('#') {
        Some((configuration, name)) if !name.contains(|c: char| c.is_whitespace() || "{}/".contains(c)) => {
            (configuration, Some(name).filter(|name| !name.is_empty()))
        }
        _ => (variable, None),
    }
}

/// A daemon to be started.
struct Wanted<'a> {
    configuration: &'a str,
    settings: Settings,
    name: Option<&'a str>,
}

impl Wanted<'_> {
    fn me(&self) -> Result<&Daemon, EntryError> {
        if let (None, [only]) = (self.name, &self.settings.table.daemons[..]) {
            return Ok(only);
        }
        self.settings.table.me(self.name, &net::local_addresses().unwrap_or_default())
    }

    fn client_port(&self) -> Result<u16, Error> {
        Ok(self.settings.table.segment_of(self.me()?).client_port())
    }

    fn start(&self) -> Result<u64, Error> {
        let (table, me) = (&self.settings.table, self.me()?);
        self.settings.warnings.iter().for_each(|warning| warn!(name: "configuration_warning", "{warning}"));
        let mut options = Options::from_settings(&self.settings, me);
        options.read_files()?;
        let mut running = registry().table.lock();
        running.make_room(&me.name, table.digest())?;
        let daemon = spawn(options).map_err(Error::Start)?;
        Ok(running.insert(Embedded {
            name: me.name.clone(),
            configuration: Mutex::new(self.configuration.to_owned()),
            #[cfg(unix)]
            client_port: table.segment_of(me).client_port(),
            handle: daemon.handle().clone(),
            running: Mutex::new(Some(daemon)),
        }))
    }
}

/// The daemons of one process. A forked child finds its parent's registry in its memory, and appends its own to it.
#[derive(Debug)]
struct Registry {
    process: u32,
    table: Mutex<DaemonTable>,
    next: OnceLock<Box<Registry>>,
}

#[derive(Debug, Default)]
struct DaemonTable {
    last: u64,
    daemons: BTreeMap<u64, Arc<Embedded>>,
}

static REGISTRY: OnceLock<Box<Registry>> = OnceLock::new();

/// The registry of this process.
fn registry() -> &'static Registry {
    let process = process::id();
    let mut place = &REGISTRY;
    loop {
        let new = || Box::new(Registry { process, table: Mutex::default(), next: OnceLock::new() });
        let registry = place.get_or_init(new);
        if registry.process == process {
            return registry;
        }
        // A fork copied this registry, and perhaps a lock that no thread of this process will ever release.
        place = &registry.next;
    }
}

impl Registry {
    /// The registry of this process, if it ever had a daemon.
    #[cfg(unix)]
    fn existing() -> Option<&'static Registry> {
        REGISTRY.get().map(|_| registry())
    }
}

impl DaemonTable {
    /// Checks that there is room for one more, and that no daemon with this name and configuration runs. One that has crashed does not
    /// count.
    fn make_room(&mut self, name: &str, system: u32) -> Result<(), Error> {
        if self.daemons.values().any(|embedded| embedded.is(name, system) && embedded.is_running()) {
            return Err(Error::AlreadyRunning(name.to_string()));
        }
        if self.daemons.len() >= EMBEDDED_LIMIT { Err(Error::TooMany) } else { Ok(()) }
    }

    fn insert(&mut self, embedded: Embedded) -> u64 {
        self.last += 1;
        self.daemons.insert(self.last, Arc::new(embedded));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    #[cfg(unix)]
    use crate::client::{ConnectOptions, Lost, Mailbox, ReceiveError};
    use crate::daemon::PathState;
    use crate::time::Duration;
    use crate::wire::NetworkId;

    /// A configuration of two daemons on ports of their own.
    fn text() -> String {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        format!(
            "Spread_Segment unicast:{port} {{ one 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }}\n two 127.0.0.2 {{ D 127.0.0.2 C 127.0.0.2 }} }}"
        )
    }

    #[test]
    fn a_daemon_is_started_once_under_its_name_and_stopped_once() {
        let text = text();
        let one = start(&text, Some("one")).unwrap();
        let two = start(&text, Some("two")).unwrap();
        let error = start(&text, Some("one")).unwrap_err();
        assert_eq!(error.to_string(), "the daemon one already runs in this process");
        assert!(one != two && find(one).is_some_and(|embedded| embedded.name == "one"));
        assert!(stop(one) && !stop(one) && find(one).is_none());
        let again = start(&text, Some("one")).unwrap();
        assert!(again > two && stop(again) && stop(two));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mistakes = [
            ("Spread_Segment unicast { one 127.0.0.1 } Nonsense = 7", "configuration:1:42: "),
            ("Spread_Segment unicast {", "configuration:1:"),
            ("/no/such/file", "/no/such/file: cannot be read"),
            (&text(), "the configuration has no daemon \"three\"; it has one, two"),
        ];
        for (configuration, message) in mistakes {
            let error = start(configuration, Some("three")).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let neither =
            start("Spread_Segment unicast { one 203.0.113.1  two 203.0.113.2 }", None).unwrap_err().to_string();
        assert!(neither.ends_with("name the one to start"), "{neither}");
    }

    #[test]
    fn every_state_of_a_path_is_told_however_short_it_is() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = |name, n| format!("{name} 127.0.{n}.1 {{ D 127.0.{n}.1 D 127.0.{n}.2 C 127.0.{n}.1 }}\n");
        let text =
            format!("Spread_Segment unicast:{port} unicast:{port} {{ {}{} }}", daemon("one", 1), daemon("two", 2));
        let [one, two] = ["one", "two"].map(|name| start(&text, Some(name)).unwrap());
        let embedded = find(one).unwrap();
        let mut seen = 0;
        let mut told = || loop {
            let event = embedded.handle().next_path_event(seen, Duration::from_secs(60)).unwrap();
            seen = event.number;
            if event.path.network == NetworkId(1) {
                return event.path.state;
            }
        };
        assert_eq!(told(), PathState::Healthy);
        find(two).unwrap().handle().begin_drill(NetworkId(1));
        assert_eq!(told(), PathState::Faulty);
        find(two).unwrap().handle().end_drill(NetworkId(1));
        assert_eq!([told(), told()], [PathState::Probation, PathState::Healthy]);
        find(two).unwrap().handle().set_network_enabled(NetworkId(1), false);
        assert_eq!(told(), PathState::Off);
        find(two).unwrap().handle().set_network_enabled(NetworkId(1), true);
        assert_eq!([told(), told()], [PathState::Probation, PathState::Healthy], "its daemon is heard all the time");
        assert!(stop(one) && stop(two));
    }

    #[test]
    #[cfg(unix)]
    fn a_crash_is_a_closed_connection_and_makes_room_for_another() {
        let text = text();
        let number = start(&text, Some("one")).unwrap();
        let embedded = find(number).unwrap();
        let options = ConnectOptions::default();
        let mailbox = Mailbox::connect_over(embedded.handle().connect(Peer::Unix).unwrap(), &options).unwrap();
        embedded.handle().fail();
        assert_eq!(mailbox.receive().unwrap_err(), ReceiveError::Lost(Lost::Now));
        while embedded.is_running() {
            embedded.handle().next_path_event(0, Duration::from_secs(10));
        }
        assert_eq!(embedded.handle().run_state(), RunState::Crashed);
        assert!(embedded.handle().connect(Peer::Unix).is_err());
        let another = start(&text, Some("one")).unwrap();
        assert!(stop(number) && stop(another));
    }

    #[test]
    #[cfg(unix)]
    fn clients_in_the_process_find_their_daemon_by_port_and_host() {
        let text = text();
        let port = read(&text).unwrap().table.segments[0].client_port();
        let [one, two] = ["one", "two"].map(|name| start(&text, Some(name)).unwrap());
        let names = [None, Some("localhost"), Some("127.0.0.2")].map(|host| {
            let mailbox =
                Mailbox::connect_over(connect(port, host).unwrap().stream, &ConnectOptions::default()).unwrap();
            mailbox.private_group().to_string().rsplit_once('#').unwrap().1.to_owned()
        });
        assert_eq!(names, ["one", "one", "two"]);
        assert!(connect(port, Some("127.0.0.3")).is_none() && connect(port.wrapping_add(1), None).is_none());
        assert!(stop(one) && stop(two));
        assert!(connect(port, None).is_none());
    }

    #[test]
    fn a_variable_is_a_configuration_and_a_name() {
        assert_eq!(split("spread.conf"), ("spread.conf", None));
        assert_eq!(split("/a#b/spread.conf#alpha"), ("/a#b/spread.conf", Some("alpha")));
        assert_eq!(split("/a#b/spread.conf"), ("/a#b/spread.conf", None));
        assert_eq!(split("#localhost"), ("", Some("localhost")));
        assert_eq!(split("spread.conf#"), ("spread.conf", None));
        assert_eq!(split("S { # all of us\n}"), ("S { # all of us\n}", None));
        assert_eq!(split("S { # us\n}#alpha"), ("S { # us\n}", Some("alpha")));
    }

    #[test]
    fn this_machine_is_known_by_name_and_number() {
        assert!(is_here("localhost") && is_here("127.0.0.3"));
        assert!(!is_here("203.0.113.7") && !is_here("no such host"));
    }

    #[test]
    fn only_the_port_that_a_client_wants_is_a_reason_to_start() {
        let text = format!("{}#one", text());
        let port = read(split(&text).0).unwrap().table.segments[0].client_port();
        assert!(start_for(&text, port.wrapping_add(1)).unwrap().is_none());
        let number = start_for(&text, port).unwrap().unwrap();
        assert!(start_for("/no/such/file", port).is_err());
        assert!(stop(number));
    }
}
