//! The checked configuration: what the rest of the daemon sees of a file.
//!
//! Every value here has passed every rule; nothing refers back to the text. The i-th address of a segment and the i-th daemon
//! interface of each of its daemons are network i.

use std::cmp::Reverse;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::address::fnv1a;
use super::error::{Diagnostic, EntryError};
use crate::session::SlowClient;
use crate::time::Duration;
use crate::wire::{DaemonId, NetworkId};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The segments, in file order. There is at least one.
    pub segments: Vec<Segment>,
    /// The daemons of all segments, in file order, which is the order of the system. There is at least one.
    pub daemons: Vec<Daemon>,
    /// What else is said of each network, by number.
    pub network_options: Vec<NetworkOptions>,
    /// Everything that may differ from daemon to daemon.
    pub parameters: Parameters,
    /// What is allowed, but does less than its author may think.
    pub warnings: Vec<Diagnostic>,
}

/// Daemons that reach each other by the same networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its networks; the one with index i is network i. One to [`NetworkId::LIMIT`].
    pub networks: Vec<Network>,
}

impl Segment {
    /// The port on which clients reach the daemons of this segment, by TCP and as a unix socket.
    pub fn client_port(&self) -> u16 {
        self.networks[0].port
    }
}

/// One network inside one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// How a packet reaches all daemons.
    pub kind: NetworkKind,
    /// The UDP port of all daemons, 1 to 65534. Default 4803.
    pub port: u16,
}

/// What a file may say of a network besides its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// What it is called.
    pub name: Option<String>,
    /// The interface that it is on, on every machine; otherwise the one that has the daemon's address.
    pub interface: Option<String>,
    /// Which network is used first where the policy prefers one: that with the highest priority, and the first of equals. Default 0.
    pub priority: u8,
}

/// How a packet reaches all daemons of a segment on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Sent once, to this group.
    Multicast(IpAddr),
    /// Sent once, to this broadcast address of the subnet.
    Broadcast(Ipv4Addr),
    /// Sent to each daemon in turn.
    Unicast,
}

/// One daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its identity: the IPv4 address after its name; an IPv6 address is folded into 240.0.0.0/4.
    pub id: DaemonId,
    /// Its name, the last part of its clients' private groups. At most 19 bytes, without `#`.
    pub name: String,
    /// The index of its segment.
    pub segment: usize,
    /// Where it sends and receives, by network; `None` beyond the networks of its segment.
    pub addresses: Vec<Option<IpAddr>>,
    /// Where it listens for TCP clients.
    pub clients: ClientAddresses,
}

/// Where a daemon listens for TCP clients. The unix socket is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddresses {
    /// On every address of the machine: the daemon has no interface block.
    All,
    /// On the C interfaces of its block; none means no TCP at all.
    Only(Vec<IpAddr>),
}

/// Which networks carry data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkPolicy {
    /// Every packet on all of them.
    Active,
    /// Every packet on this many of them.
    Copies(u8),
    /// Each packet on one, in turn.
    Passive,
    /// All packets on the healthy one with the highest priority, the first of equals.
    Primary,
}

/// When sockets share their address with those of another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortReuse {
    /// Only sockets bound to a specific address.
    #[default]
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `pDEBUG`
    Debug,
    /// `INFO`
    #[default]
    Info,
    /// `WARNING`
    Warning,
    /// `ERROR`
    Error,
    /// `CRITICAL`
    Critical,
    /// `FATAL`
    Fatal,
}

/// A way for a client to show that it may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Nothing is asked.
    Null,
    /// The client's address must be in the access file.
    Ip,
    /// The client must say a name and password of the password file.
    Password,
}

impl AuthMethod {
    /// The method with this name, as clients and the file say it.
    pub fn from_name(name: &str) -> Option<AuthMethod> {
        match name {
            "NULL" => Some(AuthMethod::Null),
            "IP" => Some(AuthMethod::Ip),
            "PWORD" => Some(AuthMethod::Password),
            _ => None,
        }
    }
}

/// Flow control of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Packets of all daemons in one rotation. Default 160.
    pub ring: u32,
    /// Packets of one daemon in one rotation, at most `ring`. Default 20.
    pub personal: u32,
}

/// The nine timers of the classic daemon, as given. None is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Silence of the token after which the ring is given up.
    pub token: Duration,
    /// After which a token is sent again.
    pub hurry: Duration,
    /// Interval of saying that one is there.
    pub alive: Duration,
    /// Interval of join packets.
    pub join: Duration,
    /// For representatives of segments.
    pub representative: Duration,
    /// For gathering inside a segment.
    pub segment: Duration,
    /// For gathering in total.
    pub gather: Duration,
    /// For forming the new ring.
    pub form: Duration,
    /// Longest time until a healed network is found.
    pub lookup: Duration,
}

/// What may differ from daemon to daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Which networks carry data; `None` if the file does not say. See [`Configuration::policy`].
    pub network_policy: Option<NetworkPolicy>,
    /// Flow control; `None`, the default, leaves it to the ring. One window given means the classic default of the other.
    pub windows: Option<Windows>,
    /// Timers; `None`, the default, leaves them to the ring.
    pub timers: Option<Timers>,
    /// Messages that may wait for one client. Default 1000.
    pub max_session_messages: u32,
    /// Clients at one time. Default 10 000.
    pub max_sessions: u32,
    /// How long a client's machine may leave what it is sent unacknowledged; zero for as long as the system lets it. Default 20 s.
    pub client_timeout: Duration,
    /// Bytes of data and group names in one message. Default 16 MiB.
    pub max_message_size: usize,
    /// What happens to a client that does not read fast enough. Default disconnect.
    pub slow_client: SlowClient,
    /// Methods of which a client may choose one. Default NULL.
    pub allowed_auth: Vec<AuthMethod>,
    /// Methods that every client must pass besides. Default none.
    pub required_auth: Vec<AuthMethod>,
    /// The least important lines to log. Default INFO.
    pub event_priority: Priority,
    /// The file for log lines, `%h` and `%H` standing for the host name; default standard output. See
    /// [`Parameters::event_log_path`].
    pub event_log_file: Option<String>,
    /// The `strftime` format of time stamps; `None`, the default, for no stamps.
    pub event_time_stamp: Option<String>,
    /// Whether time stamps have microseconds. Default no.
    pub event_precise: bool,
    /// Whether monitors may partition, throttle and stop the daemon. Default no.
    pub dangerous_monitor: bool,
    /// When sockets share their address. Default auto.
    pub socket_port_reuse: PortReuse,
    /// The root directory after a start as root. Default `/var/run/spread`.
    pub runtime_dir: String,
    /// The user after a start as root. Default `spread`.
    pub daemon_user: String,
    /// The group after a start as root. Default `spread`.
    pub daemon_group: String,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            network_policy: None,
            windows: None,
            timers: None,
            max_session_messages: 1000,
            max_sessions: 10_000,
            client_timeout: Duration::from_secs(20),
            max_message_size: 16 << 20,
            slow_client: SlowClient::Disconnect,
            allowed_auth: vec![AuthMethod::Null],
            required_auth: Vec::new(),
            event_priority: Priority::Info,
            event_log_file: None,
            event_time_stamp: None,
            event_precise: false,
            dangerous_monitor: false,
            socket_port_reuse: PortReuse::Auto,
            runtime_dir: "/var/run/spread".to_string(),
            daemon_user: "spread".to_string(),
            daemon_group: "spread".to_string(),
        }
    }
}

impl Parameters {
    /// The log file of the host with this name.
    pub fn event_log_path(&self, host_name: &str) -> Option<String> {
        self.event_log_file.as_ref().map(|file| file.replace("%h", host_name).replace("%H", host_name))
    }
}

impl Configuration {
    /// The largest file that is read, in bytes.
    pub const FILE_LIMIT: usize = 1 << 20;
    /// How many segments there may be.
    pub const SEGMENT_LIMIT: usize = 20;
    /// How many daemons there may be.
    pub const DAEMON_LIMIT: usize = 128;
    /// How many interfaces a daemon's block may list.
    pub const INTERFACE_LIMIT: usize = 10;
    /// How many bytes a daemon's name may have.
    pub const NAME_LIMIT: usize = 19;
    /// The port where none is given.
    pub const DEFAULT_PORT: u16 = 4803;

    /// What `spread` is without any file: one daemon named `localhost`, on 127.0.0.1 port 4803 only.
    pub fn localhost() -> Configuration {
        let here = Ipv4Addr::LOCALHOST;
        let network = Network { kind: NetworkKind::Unicast, port: Configuration::DEFAULT_PORT };
        let daemon = Daemon {
            id: DaemonId(here.to_bits()),
            name: "localhost".to_string(),
            segment: 0,
            addresses: vec![Some(here.into())],
            clients: ClientAddresses::Only(vec![here.into()]),
        };
        Configuration {
            segments: vec![Segment { networks: vec![network] }],
            daemons: vec![daemon],
            network_options: vec![NetworkOptions::default()],
            parameters: Parameters::default(),
            warnings: Vec::new(),
        }
    }

    /// How many networks there are: those of the segment that has most.
    pub fn network_count(&self) -> usize {
        self.segments.iter().map(|segment| segment.networks.len()).max().unwrap_or(0)
    }

    /// The segment of a daemon of this configuration.
    pub fn segment_of(&self, daemon: &Daemon) -> &Segment {
        &self.segments[daemon.segment]
    }

    /// Where a daemon receives on a network; `None` if it is not on it.
    pub fn traffic_address(&self, daemon: &Daemon, network: NetworkId) -> Option<SocketAddr> {
        let index = usize::from(network.0);
        let ip = (*daemon.addresses.get(index)?)?;
        let port = self.segment_of(daemon).networks.get(index)?.port;
        Some(SocketAddr::new(ip, port))
    }

    /// Which networks carry data: what the file says; otherwise all of up to two networks, and two of more.
    pub fn policy(&self) -> NetworkPolicy {
        let default = if self.network_count() <= 2 { NetworkPolicy::Active } else { NetworkPolicy::Copies(2) };
        self.parameters.network_policy.unwrap_or(default)
    }

    /// The networks with the one that is used first where the policy prefers one, then the one that takes its place, and so on.
    pub fn preference(&self) -> Vec<usize> {
        let priority = |network: usize| self.network_options.get(network).map_or(0, |options| options.priority);
        let mut networks: Vec<usize> = (0..self.network_count()).collect();
        networks.sort_by_key(|&network| Reverse(priority(network)));
        networks
    }

    /// The entry that this process is: the one named; without a name, the only one that has an address of this machine.
    ///
    /// Loopback addresses count last, and only as addresses for daemon traffic: every machine has them, and many list one for
    /// their clients. An address that several daemons list says nothing.
    pub fn me(&self, name: Option<&str>, local_addresses: &[IpAddr]) -> Result<&Daemon, EntryError> {
        if let Some(name) = name {
            let unknown = || EntryError::UnknownName(name.to_string(), self.names(|_| true));
            return self.daemons.iter().find(|daemon| daemon.name == name).ok_or_else(unknown);
        }
        let (loopback, real): (Vec<IpAddr>, Vec<IpAddr>) = local_addresses.iter().partition(|ip| ip.is_loopback());
        let found = real.iter().chain(&loopback).find_map(|&ip| {
            let mut having = self.daemons.iter().filter(|daemon| daemon.is_at(ip));
            having.next().filter(|_| having.next().is_none())
        });
        found.ok_or_else(|| {
            let names = self.names(|daemon| local_addresses.iter().any(|&ip| daemon.is_at(ip)));
            if names.is_empty() { EntryError::NoAddress } else { EntryError::Ambiguous(names) }
        })
    }

    /// A digest of the membership table. Daemons with different digests form separate systems.
    ///
    /// It is the 32-bit FNV-1a hash of a canonical text with the address and port of each segment's networks (unicast has no
    /// address), and the id, traffic addresses and name of each daemon, in file order. Layout, comments, parameters and
    /// client addresses do not count.
    pub fn digest(&self) -> u32 {
        let mut text = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            text.push_str("segment\n");
            for network in &segment.networks {
                text.push_str(&format!("network {} {}\n", or_dash(network.kind.address()), network.port));
            }
            for daemon in self.daemons.iter().filter(|daemon| daemon.segment == index) {
                let addresses: Vec<String> = daemon.addresses.iter().map(|&address| or_dash(address)).collect();
                text.push_str(&format!("daemon {} {} {}\n", daemon.id, addresses.join(" "), daemon.name));
            }
        }
        fnv1a(text.as_bytes())
    }

    /// Digests of the parts of the membership table, to tell what differs between two: the daemons' ids, their names, where they
    /// send and receive, and the networks of the segments. What each is made of is as in [`Configuration::digest`].
    pub fn digests(&self) -> [u32; 4] {
        let of_daemons = |part: &dyn Fn(&Daemon) -> String| {
            let parts: Vec<String> = self.daemons.iter().map(part).collect();
            fnv1a(parts.join("\n").as_bytes())
        };
        let network = |network: &Network| format!("{} {}", or_dash(network.kind.address()), network.port);
        let segment = |segment: &Segment| segment.networks.iter().map(network).collect::<Vec<_>>().join(" ");
        let segments: Vec<String> = self.segments.iter().map(segment).collect();
        [
            of_daemons(&|daemon| daemon.id.to_string()),
            of_daemons(&|daemon| daemon.name.clone()),
            of_daemons(&|daemon| format!("{} {:?}", daemon.segment, daemon.addresses)),
            fnv1a(segments.join("\n").as_bytes()),
        ]
    }

    fn names(&self, which: impl Fn(&Daemon) -> bool) -> Vec<String> {
        self.daemons.iter().filter(|daemon| which(daemon)).map(|daemon| daemon.name.clone()).collect()
    }
}

impl Daemon {
    fn is_at(&self, ip: IpAddr) -> bool {
        let listens = match &self.clients {
            ClientAddresses::All => false,
            ClientAddresses::Only(addresses) => !ip.is_loopback() && addresses.contains(&ip),
        };
        listens || self.addresses.contains(&Some(ip))
    }
}

impl NetworkKind {
    /// The address that all daemons of the network hear, if there is one.
    pub fn address(&self) -> Option<IpAddr> {
        match *self {
            NetworkKind::Multicast(group) => Some(group),
            NetworkKind::Broadcast(address) => Some(address.into()),
            NetworkKind::Unicast => None,
        }
    }
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkKind::Multicast(group) => write!(f, "multicast to {group}"),
            NetworkKind::Broadcast(address) => write!(f, "broadcast to {address}"),
            NetworkKind::Unicast => f.write_str("unicast to each daemon in turn"),
        }
    }
}

fn or_dash(address: Option<IpAddr>) -> String {
    address.map_or("-".to_string(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "Spread_Segment 239.77.0.1 239.77.1.1:4900 {
        alpha 10.77.0.1 { D 10.77.0.1  D 10.77.1.1  C 127.0.0.1 }
        beta  10.77.0.2 { D 10.77.0.2  D 10.77.1.2  C 127.0.0.1  C 192.168.0.2 }
    }";

    fn read(text: &str) -> Configuration {
        Configuration::parse("test", text.as_bytes()).unwrap()
    }

    fn ips<const N: usize>(ips: [&str; N]) -> [IpAddr; N] {
        ips.map(|ip| ip.parse().unwrap())
    }

    #[test]
    fn an_entry_is_found_by_name_or_by_address() {
        let configuration = read(FILE);
        let name = |name, addresses: &[IpAddr]| configuration.me(name, addresses).map(|daemon| daemon.name.as_str());
        assert_eq!(name(Some("beta"), &[]), Ok("beta"));
        assert!(matches!(name(Some("Beta"), &ips(["10.77.0.2"])), Err(EntryError::UnknownName(..))));
        assert_eq!(name(None, &ips(["127.0.0.1", "10.77.1.2"])), Ok("beta"));
        assert_eq!(name(None, &ips(["127.0.0.1", "192.168.0.2"])), Ok("beta"));
        assert_eq!(name(None, &ips(["127.0.0.1", "10.9.9.9"])), Err(EntryError::NoAddress));
    }

    #[test]
    fn an_address_of_several_daemons_says_nothing() {
        let configuration = read(
            "Spread_Segment 10.0.0.255 { a 10.0.0.1 { D 10.0.0.1 C 10.9.0.1 } b 10.0.0.2 { D 10.0.0.2 C 10.9.0.1 } }",
        );
        let names = vec!["a".to_string(), "b".to_string()];
        assert_eq!(configuration.me(None, &ips(["10.9.0.1"])), Err(EntryError::Ambiguous(names)));
        assert_eq!(configuration.me(None, &ips(["10.9.0.1", "10.0.0.2"])).unwrap().name, "b");
    }

    #[test]
    fn each_network_has_its_own_port() {
        let configuration = read(FILE);
        let beta = &configuration.daemons[1];
        let address = |network| configuration.traffic_address(beta, NetworkId(network)).map(|at| at.to_string());
        assert_eq!(address(0).as_deref(), Some("10.77.0.2:4803"));
        assert_eq!(address(1).as_deref(), Some("10.77.1.2:4900"));
        assert_eq!(address(2), None);
        assert_eq!(configuration.segment_of(beta).client_port(), 4803);
    }

    #[test]
    fn the_digest_depends_on_the_membership_table_alone() {
        let digest = read(FILE).digest();
        let relaid = FILE.replace('\n', " ").replace("  ", "\t").replace("239.77.0.1 ", "239.77.0.1:4803 ");
        assert_eq!(read(&format!("# text\n{relaid} Window = 100 NetworkPolicy = passive")).digest(), digest);
        assert_eq!(read(&FILE.replace("C 192.168.0.2", "")).digest(), digest);
        let changes = [
            ("alpha", "alfa"),
            ("10.77.1.2", "10.77.1.3"),
            ("10.77.0.2", "10.77.0.3"),
            (":4900", ":4901"),
            ("239.77.1.1", "239.77.1.2"),
            ("239.77.1.1", "unicast"),
            ("beta", "} Spread_Segment 239.77.0.1 239.77.1.1:4900 { beta"),
        ];
        for (from, to) in changes {
            assert_ne!(read(&FILE.replace(from, to)).digest(), digest, "{from} -> {to}");
        }
    }

    #[test]
    fn the_digests_of_parts_tell_what_differs() {
        let digests = read(FILE).digests();
        let differ = |from: &str, to: &str| -> Vec<usize> {
            let other = read(&FILE.replace(from, to)).digests();
            (0..digests.len()).filter(|&part| other[part] != digests[part]).collect()
        };
        assert_eq!(differ("alpha", "alfa"), [1]);
        assert_eq!(differ("10.77.1.2", "10.77.1.3"), [2]);
        assert_eq!(differ(":4900", ":4901"), [3]);
        assert_eq!(differ("beta", "} Spread_Segment 239.77.0.1 239.77.1.1:4900 { beta"), [2, 3]);
    }

    #[test]
    fn without_a_file_there_is_one_daemon_on_the_loopback_interface() {
        let built_in = Configuration::localhost();
        let text = "Spread_Segment 127.0.0.1:4803 { localhost 127.0.0.1 { 127.0.0.1 } }";
        assert_eq!(built_in.daemons, read(text).daemons);
        assert_eq!(built_in.segments, read(text).segments);
        assert_eq!(built_in.me(None, &ips(["127.0.0.1"])).unwrap().name, "localhost");
    }

    #[test]
    fn the_log_file_may_carry_the_host_name() {
        let configuration = read("EventLogFile = log_%h.%H Spread_Segment 127.0.0.1 { a 127.0.0.1 }");
        assert_eq!(configuration.parameters.event_log_path("h1").as_deref(), Some("log_h1.h1"));
    }

    #[test]
    fn the_default_policy_sends_at_most_two_copies() {
        let with = |networks, addresses| read(&format!("Spread_Segment {networks} {{ a {addresses} }}")).policy();
        assert_eq!(with("unicast unicast", "10.0.0.1 10.0.1.1"), NetworkPolicy::Active);
        assert_eq!(with("unicast unicast unicast", "10.0.0.1 10.0.1.1 10.0.2.1"), NetworkPolicy::Copies(2));
        assert_eq!(read(&format!("{FILE} NetworkPolicy = primary")).policy(), NetworkPolicy::Primary);
    }
}
