//! The loop: wait, read, carry out what the node decides, write.
//!
//! A round takes a bounded amount from every source, so that none starves another. It reads the sockets for packets to all daemons
//! first, then those for packets to this daemon: so the token comes after the data that it counts. Timers and clients follow. The
//! node is drained after every input, as its contract says. Packets leave after each batch of inputs, client output once a round.

mod notices;
mod requests;
mod serving;
mod succession;
mod wait;

use std::io;
use std::mem;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mio::{Events, Poll, Token, Waker};
use tracing::{debug, error, info, warn};

use super::clients::Clients;
use super::clock::Clock;
#[cfg(unix)]
use super::control::{self, Control};
use super::handle::{Ending, Exit, Handle, Shared, Status};
use super::listen::Listeners;
use super::members::Members;
use super::monitor::{self, Monitors, Order};
#[cfg(unix)]
use super::passed::Workers;
use super::passwords::Passwords;
use super::reload::InForce;
use super::silence::Silence;
use super::transmit::Outbound;
use super::{Options, StartError, identity};
use crate::config::Live;
use crate::groups::SessionId;
use crate::multipath::Networks;
use crate::net::{Arrived, Buffers, Links, Remainder, Runs, SOCKET_LIMIT, SocketId, TOKEN_LIMIT};
use crate::node::{ClientInput, EndReason, Node, NodeEvent};
use crate::ring::{Configuration, ConfigurationKind};
use crate::seal::KeyId;
use crate::time::{Duration, Instant};
use crate::wire::{MonitorCommand, NetworkId, Refusal};
use succession::Next;

/// Poll tokens: the networks have those below, the doors those above, and the clients those above the doors.
const WAKER: Token = Token(TOKEN_LIMIT);
const FIRST_DOOR: usize = TOKEN_LIMIT + 1;

/// Events of one poll.
const EVENTS: usize = 1024;
/// Receive batches of one socket in one round.
const BATCHES_PER_ROUND: usize = 4;
/// Bytes written to clients in one round. To write one message to a thousand clients takes longer than a token may wait.
const WRITTEN_PER_ROUND: usize = 1 << 20;
/// Expired timers in one round.
const TIMEOUTS_PER_ROUND: usize = 16;
/// How often the status is published, and how soon after a path has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
const STATUS_DELAY: Duration = Duration::from_millis(50);

/// A daemon, ready to run.
#[derive(Debug)]
pub struct Daemon {
    clock: Clock,
    poll: Poll,
    node: Node,
    /// The settings of the node, as last applied.
    live: Live,
    links: Links,
    outbound: Outbound,
    listeners: Listeners,
    clients: Clients,
    monitors: Monitors,
    passwords: Passwords,
    shared: Arc<Shared>,
    silence: Silence,
    /// Sockets that may have datagrams.
    ready: [bool; SOCKET_LIMIT],
    arrived: Vec<Arrived>,
    /// The networks on which only shorter datagrams arrive than their interfaces take.
    short: Networks,
    configuration: Option<Configuration>,
    members: Members,
    next_status: Instant,
    /// The changes of paths that were published.
    path_changes: u64,
    state_file: Option<PathBuf>,
    key_error: Option<String>,
    /// The key that sealed packets when the last status was made.
    sealing: Option<KeyId>,
    reload_error: Option<String>,
    next: Option<Next>,
    #[cfg(unix)]
    _control: Option<Control>,
    /// After everything that has files of clients.
    #[cfg(unix)]
    workers: Workers,
    /// The last field, so that everything is closed before other threads learn that the daemon has ended.
    _ending: Ending,
}

impl Daemon {
    /// Opens everything. From here on clients can connect; [`Daemon::run`] serves them.
    pub fn start(options: Options) -> Result<Daemon, StartError> {
        let clock = Clock::start();
        let poll = Poll::new()?;
        let registry = || poll.registry().try_clone();
        let monitors = Monitors::of(&options);
        let live = options.node.live.clone();
        if live.key_file.is_some() && options.node.keys.is_empty() {
            return Err(StartError::NoKeys);
        }
        let in_force = InForce {
            settings: options.settings,
            name: options.node.name.clone(),
            me: options.node.ring.me,
            descriptors: options.descriptors,
        };
        // A sealed datagram is decrypted in place, so it needs a buffer of its own.
        let buffers = if options.node.keys.is_empty() { Buffers::Shared } else { Buffers::Own };
        let node = Node::new(options.node, clock.now()).map_err(StartError::Ring)?;
        let silence = Silence::new(clock.now(), &options.networks);
        let links = Links::open(options.networks, buffers, registry()?, clock.now()).map_err(StartError::Network)?;
        let shared = Shared::new(Waker::new(poll.registry(), WAKER)?, in_force);
        // Before the listeners, so that it ends after them if this start fails: it waits for all that have a way to its threads.
        #[cfg(unix)]
        let workers = {
            let shared = Arc::clone(&shared);
            Workers::start(move || shared.wake())?
        };
        let port = options.client_port;
        #[cfg_attr(not(unix), expect(unused_mut, reason = "unix sockets are opened later"))]
        let mut listeners =
            Listeners::open(&options.client_addresses, port, registry()?, FIRST_DOOR).map_err(StartError::Clients)?;
        #[cfg(unix)]
        listeners.open_unix(&options.unix_sockets, options.owner, workers.passed()).map_err(StartError::Clients)?;
        let clients = Clients::new(registry()?, FIRST_DOOR + Listeners::LIMIT, live.client_timeout);
        #[cfg(unix)]
        let control = control::open(&options.control_sockets, options.owner, &Handle::new(Arc::clone(&shared)));
        let ending = Ending(Arc::clone(&shared));
        let sealing = node.key();
        Ok(Daemon {
            clock,
            poll,
            node,
            live,
            links,
            outbound: Outbound::default(),
            listeners,
            clients,
            monitors,
            passwords: Passwords::new(Arc::clone(&shared)),
            shared,
            silence,
            ready: [false; SOCKET_LIMIT],
            arrived: Vec::new(),
            short: Networks::NONE,
            configuration: None,
            members: Members::default(),
            next_status: Instant::ZERO,
            path_changes: 0,
            state_file: options.state_file,
            key_error: None,
            sealing,
            reload_error: None,
            next: None,
            #[cfg(unix)]
            _control: control,
            #[cfg(unix)]
            workers,
            _ending: ending,
        })
    }

    /// The handle through which other threads use the daemon while it runs.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Whether clients can connect to every address that the configuration gives them. The log names those that are missing.
    pub fn has_all_client_addresses(&self) -> bool {
        self.listeners.are_complete()
    }

    /// Runs until [`Handle::stop`], then leaves the ring and closes everything.
    pub fn run(self) {
        self.run_with(|_| {});
    }

    /// The same, and passes each new status to `on_status`, at least once a second. `on_status` must be quick: the loop waits for it.
    pub fn run_with(mut self, mut on_status: impl FnMut(&Status)) -> Exit {
        let shared = Arc::clone(&self.shared);
        let mut events = Events::with_capacity(EVENTS);
        self.drain();
        while !self.shared.is_stopping() {
            self.round();
            if self.next_status <= self.clock.now() {
                on_status(&self.publish(self.clock.now()));
            }
            match self.wait(&mut events) {
                Ok(()) => self.handle_events(&events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    error!(name: "poll_failed", %error, "the poll failed: the daemon ends");
                    break;
                }
            }
        }
        self.finish();
        shared.exit()
    }

    fn round(&mut self) {
        // Clients are read before the token, so that it numbers what they wrote while we waited for it.
        if self.clients.resume() {
            self.read();
        }
        self.receive();
        self.expire();
        self.accept();
        self.read();
        self.outbound.flush(&mut self.links);
        self.write(WRITTEN_PER_ROUND);
        self.outbound.flush(&mut self.links);
    }

    fn handle_events(&mut self, events: &Events) {
        for event in events {
            self.links.handle_event(event);
            match SocketId::from_token(event.token()) {
                Some(socket) => self.ready[socket.token().0] = true,
                None => {
                    self.listeners.handle_event(event.token());
                    self.clients.handle_event(event);
                }
            }
        }
        #[cfg(test)]
        assert!(!self.shared.fault.load(std::sync::atomic::Ordering::Acquire), "a test lets the daemon fail");
        for (id, verdict) in self.passwords.take() {
            self.handle_client(self.clock.now(), id, ClientInput::Checked(verdict));
        }
        #[cfg(unix)]
        for (id, memory) in self.workers.passed().take_examined() {
            self.clients.examined(id, memory);
        }
        for request in self.shared.take_requests() {
            self.serve(request);
            self.next_status = Instant::ZERO;
        }
    }

    fn receive(&mut self) {
        for socket in SocketId::all() {
            // A network under load must not starve the others, nor the clients.
            for _ in 0..BATCHES_PER_ROUND {
                if !mem::take(&mut self.ready[socket.token().0]) {
                    break;
                }
                let remainder = self.links.receive(socket, &mut self.arrived);
                self.ready[socket.token().0] = remainder == Remainder::Unknown;
                self.deliver(socket);
            }
        }
    }

    fn deliver(&mut self, socket: SocketId) {
        let now = self.clock.now();
        let mut arrived = mem::take(&mut self.arrived);
        for Arrived { source, bytes: datagram } in arrived.drain(..) {
            if MonitorCommand::is_one(&datagram) {
                self.obey(now, source, &datagram);
                continue;
            }
            if self.monitors.hides(now, &datagram) {
                continue;
            }
            // Asked for each datagram, because the one before may have brought a new table with other network numbers.
            let network = self.links.network_of(socket);
            self.node.handle_datagram(now, network, source, datagram);
            self.drain();
        }
        self.arrived = arrived;
        self.outbound.flush(&mut self.links);
    }

    /// Carries out a monitor's command, if it is allowed.
    fn obey(&mut self, now: Instant, source: IpAddr, datagram: &[u8]) {
        match self.monitors.handle(now, source, datagram) {
            Some(Order::Report(to)) => {
                let report = self.monitors.report(now, &self.node, self.configuration.as_ref());
                self.monitors.send(to, &report);
            }
            Some(Order::Windows { ring, personal }) => {
                self.live.windows = monitor::changed(self.node.windows(), ring, personal);
                self.node.apply(now, &self.live);
                warn!(name: "monitor_windows", %source, windows = ?self.node.windows(), "a monitor changes the windows");
            }
            None => {}
        }
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        for _ in 0..TIMEOUTS_PER_ROUND {
            if self.node.poll_timeout().is_none_or(|at| at > now) {
                break;
            }
            self.node.handle_timeout(now);
            self.drain();
        }
        self.links.handle_timeout(now);
        while let Some(event) = self.links.poll_event() {
            self.on_link(now, event);
        }
        self.listeners.handle_timeout(now);
        self.clients.handle_timeout(now);
        self.publish_paths(now);
        self.silence.check(now, self.node.paths(), || self.node.multipath_stats());
        #[cfg(unix)]
        self.workers.log_backlog(now);
        for id in self.clients.vanished(now) {
            warn!(
                name: "client_vanished",
                client = id.0,
                from = %self.clients.origin(id),
                "client's machine acknowledges nothing: its session ends"
            );
            self.end(id);
        }
    }

    /// Notifies those who follow the paths of each change at once; the status follows soon.
    fn publish_paths(&mut self, now: Instant) {
        let changes = self.node.path_changes();
        if mem::replace(&mut self.path_changes, changes) != changes {
            self.shared.record_paths(&self.node.paths().collect::<Vec<_>>());
            self.next_status = self.next_status.min(now + STATUS_DELAY);
        }
    }

    /// Gives the node the longest datagram that leaves each interface without fragmentation.
    fn set_interface_limits(&mut self, now: Instant) {
        for (network, limit) in (0..).map(NetworkId).zip(self.links.datagram_limits().collect::<Vec<_>>()) {
            if let Some(limit) = limit {
                self.node.set_interface_limit(now, network, limit);
            }
        }
    }

    /// Sends each datagram by itself on networks where long ones vanish: what drops long frames may also drop a run of datagrams
    /// before it is cut up.
    fn follow_lengths(&mut self) {
        let short = self.node.short_networks();
        if mem::replace(&mut self.short, short) != short {
            self.links.set_runs(|network| if short.has(network) { Runs::Forbidden } else { Runs::Allowed });
        }
    }

    fn publish(&mut self, now: Instant) -> Status {
        self.next_status = now + STATUS_INTERVAL;
        let key = self.node.key();
        if mem::replace(&mut self.sealing, key) != key
            && let Some(key) = key
        {
            info!(name: "key_in_use", %key, "packets are sealed with this key from now on");
        }
        let status = Status {
            configuration: self.configuration.clone(),
            ring_state: self.node.ring_state(),
            rests_at: self.node.token_rests_at(),
            ring: *self.node.ring_stats(),
            packets: self.node.multipath_stats(),
            groups: *self.node.group_stats(),
            clients: self.clients.len(),
            client_stats: self.node.client_stats(),
            links: self.links.status().collect(),
            paths: self.node.paths().collect(),
            matrix: self.node.matrix().collect(),
            keys: self.node.keys().collect(),
            key,
            without_newest_key: self.node.without_newest_key().collect(),
            key_error: self.key_error.clone(),
            two_hosts: self.node.two_hosts().collect(),
            system: self.node.system_digest(),
            waits_for: self.node.waits_for(),
            differing: self.node.differing().collect(),
            reload_error: self.reload_error.clone(),
            enabled: self.node.enabled_networks(),
            policy: self.node.policy(),
            priorities: self.node.priorities().to_vec(),
            at: now,
        };
        self.shared.publish(status.clone());
        status
    }

    fn handle_client(&mut self, now: Instant, id: SessionId, input: ClientInput<'_>) {
        self.node.handle_client(now, id, input);
        self.drain();
    }

    /// Takes every output of the node.
    fn drain(&mut self) {
        // First, because all that follows uses the network numbers of the new table.
        if self.node.take_adopted() {
            self.adopt();
        }
        self.follow_lengths();
        self.outbound.collect(&mut self.node, &mut self.links);
        while let Some(event) = self.node.poll_event() {
            match event {
                NodeEvent::Output(id) => self.clients.want_output(id),
                NodeEvent::Welcome(id) => self.clients.welcome(id),
                NodeEvent::Check { id, check } => self.passwords.compare(id, check),
                NodeEvent::Close { id, reason, rest } => {
                    let from = self.clients.origin(id);
                    match reason {
                        // Only an operator can help these clients. Others try again, or with another name.
                        EndReason::Refused(Refusal::AUTH | Refusal::QUOTA) | EndReason::MemoryShort => {
                            warn!(name: "client_refused", client = id.0, %from, %reason, "a client is refused");
                        }
                        EndReason::Kill | EndReason::Gone | EndReason::Refused(_) | EndReason::CrowdedOut => {
                            debug!(client = id.0, %from, %reason, "the connection of a client is closed");
                        }
                        _ => {
                            warn!(name: "client_closed", client = id.0, %from, %reason, "the connection of a client is closed")
                        }
                    }
                    self.clients.close(id, &rest);
                }
                NodeEvent::Configuration(configuration) => self.install(configuration),
                NodeEvent::Farewell(daemon) => self.members.on_farewell(daemon),
                NodeEvent::Network(event) => self.log_notice(event),
            }
        }
    }

    fn install(&mut self, configuration: Configuration) {
        if configuration.kind == ConfigurationKind::Transitional {
            return;
        }
        let paths: Vec<_> = self.node.paths().collect();
        for (event, text) in self.members.on_configuration(self.clock.now(), &configuration, &paths) {
            self.shared.happened(event, text);
        }
        // Written at every ring, because a crash leaves no time to write it at the end.
        if let Some(file) = &self.state_file {
            identity::remember(file, configuration.ring.sequence);
        }
        self.configuration = Some(configuration);
        self.next_status = Instant::ZERO;
    }

    /// Leaves the ring, and writes to the clients what their sockets take.
    fn finish(mut self) {
        self.node.leave(self.clock.now());
        self.drain();
        // The farewell leaves before anything that may take long, so that the others need not wait for a time-out.
        self.outbound.flush(&mut self.links);
        self.write(usize::MAX);
        self.publish(self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use crate::client::{ConnectOptions, Mailbox, Received};
    use crate::config::{ClientAddresses, NetworkKind, Settings};
    use crate::daemon::{Identity, Options, Running, StartError, spawn};
    use crate::wire::{FrameType, Name};

    /// A daemon alone on loopback, on a port that nobody else uses.
    fn options() -> Options {
        let mut settings = Settings::localhost();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        settings.table.segments[0].networks[0].port = port;
        assert_eq!(settings.table.segments[0].networks[0].kind, NetworkKind::Unicast);
        let mut options = Options::from_settings(&settings, &settings.table.daemons[0]);
        options.unix_sockets.clear();
        options.control_sockets.clear();
        options
    }

    fn connect(options: &Options, name: &str) -> Mailbox {
        let daemon = format!("{}@127.0.0.1", options.client_port);
        Mailbox::connect(&ConnectOptions { daemon, private_name: name.into(), ..ConnectOptions::default() }).unwrap()
    }

    fn running(options: &Options) -> Running {
        spawn(options.clone()).unwrap()
    }

    #[test]
    fn a_second_daemon_on_the_same_ports_does_not_start() {
        let options = options();
        let first = running(&options);
        let error = spawn(options.clone()).unwrap_err();
        assert!(matches!(error, StartError::Network(_)));
        assert!(error.to_string().ends_with("is in use: is another spread running?"), "{error}");
        first.stop();
        running(&options).stop();
    }

    #[test]
    fn a_client_that_is_blocked_gets_everything_once_it_reads() {
        const MESSAGES: i16 = 600;
        let options = options();
        let daemon = running(&options);
        let group = Name::new(b"slow").unwrap();
        let (reader, sender) = (connect(&options, "reader"), connect(&options, "sender"));
        reader.join(group).unwrap();
        assert!(matches!(reader.receive().unwrap(), Received::View(_)));
        for number in 0..MESSAGES {
            sender.multicast(FrameType::AGREED, &[group], number, &[number as u8; 50_000]).unwrap();
        }
        for number in 0..MESSAGES {
            let Received::Message(message) = reader.receive().unwrap() else { panic!("no message") };
            assert!(message.body.len() == 50_000 && message.body.iter().all(|&byte| byte == number as u8), "{number}");
        }
        daemon.stop();
    }

    #[test]
    fn a_daemon_that_polls_before_it_sleeps_serves_and_stops_like_any_other() {
        let mut options = options();
        options.node.live.busy_poll = std::time::Duration::from_millis(2);
        let daemon = running(&options);
        let group = Name::new(b"busy").unwrap();
        let member = connect(&options, "member");
        member.join(group).unwrap();
        assert!(matches!(member.receive().unwrap(), Received::View(_)));
        for number in 0..100 {
            member.multicast(FrameType::AGREED, &[group], number, b"again").unwrap();
            assert!(matches!(member.receive().unwrap(), Received::Message(message) if message.mess_type == number));
        }
        daemon.stop();
    }

    #[test]
    fn half_open_clients_hold_nobody_up() {
        let options = options();
        let daemon = running(&options);
        let address = (Ipv4Addr::LOCALHOST, options.client_port);
        let mut silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mailbox = connect(&options, "quick");
        mailbox.disconnect();
        daemon.stop();
        for stream in &mut silent {
            assert!(!stream.read(&mut [0; 10]).is_ok_and(|n| n > 0));
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_unix_socket_goes_with_the_daemon() {
        let mut options = options();
        let file = std::env::temp_dir().join(format!("torc-daemon-{:x}", Identity::new(None).seed));
        options.unix_sockets = vec![file.clone()];
        options.client_addresses = ClientAddresses::Only(vec![]);
        let daemon = running(&options);
        assert!(std::os::unix::net::UnixStream::connect(&file).is_ok());
        drop(daemon);
        assert!(!file.exists());
    }
}
