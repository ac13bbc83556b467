//! The membership table: which daemons are in the system, and by which addresses each of them is reached.
//!
//! Every value here has passed every rule, and no value refers back to the text. The first address of a segment and the first
//! daemon interface of each of its daemons form network 0, the second ones network 1, and so on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::address::fnv1a;
use super::error::EntryError;
use crate::multipath::Policy;
use crate::wire::{DaemonId, NetworkId};

/// The daemons of the system and their addresses: the same at all daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The segments, in file order. There is at least one.
    pub segments: Vec<Segment>,
    /// The daemons of all segments, in file order, which is the order of the system. There is at least one.
    pub daemons: Vec<Daemon>,
    /// The name and interface of each network, by number.
    pub networks: Vec<NetworkNotes>,
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
    /// The UDP port of all daemons, 1 to 65535. Default 4803.
    pub port: u16,
}

/// Facts about a network that a file may give besides its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkNotes {
    /// Its name.
    pub name: Option<String>,
    /// The interface that it uses, on every machine. Without this, it uses the interface that has the daemon's address.
    pub interface: Option<String>,
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
    /// The number that identifies it: the IPv4 address after its name. An IPv6 address becomes a number in 240.0.0.0/4.
    pub id: DaemonId,
    /// That address, as it stands in the file.
    pub identity: IpAddr,
    /// Its name, the last part of its clients' private groups. At most 19 bytes, without `#`.
    pub name: String,
    /// The index of its segment.
    pub segment: usize,
    /// Where it sends and receives, by network; `None` beyond the networks of its segment.
    pub addresses: Vec<Option<IpAddr>>,
    /// The interface of its machine for each network, if the address of the daemon or of the network names one.
    pub interfaces: Vec<Option<String>>,
    /// Where it listens for TCP clients.
    pub clients: ClientAddresses,
}

/// Where a daemon listens for TCP clients. The unix socket is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddresses {
    /// On every address of the machine, because the daemon has no interface block.
    All,
    /// On the C interfaces of its block. If there is none, it listens on no TCP address.
    Only(Vec<IpAddr>),
}

impl Table {
    /// How many segments there may be.
    pub const SEGMENT_LIMIT: usize = 20;
    /// How many interfaces the block of a daemon may list.
    pub const INTERFACE_LIMIT: usize = 10;
    /// How many bytes of a daemon's name are used.
    pub const NAME_LIMIT: usize = 19;
    /// The port if none is given.
    pub const DEFAULT_PORT: u16 = 4803;

    /// One daemon named `localhost`, on 127.0.0.1 port 4803 only.
    pub(super) fn localhost() -> Table {
        let here = Ipv4Addr::LOCALHOST;
        let network = Network { kind: NetworkKind::Unicast, port: Table::DEFAULT_PORT };
        let daemon = Daemon {
            id: DaemonId(here.to_bits()),
            identity: here.into(),
            name: "localhost".to_string(),
            segment: 0,
            addresses: vec![Some(here.into())],
            interfaces: vec![None],
            clients: ClientAddresses::Only(vec![here.into()]),
        };
        Table {
            segments: vec![Segment { networks: vec![network] }],
            daemons: vec![daemon],
            networks: vec![NetworkNotes::default()],
        }
    }

    /// How many networks there are: as many as the segment with most of them has.
    pub fn network_count(&self) -> usize {
        self.segments.iter().map(|segment| segment.networks.len()).max().unwrap_or(0)
    }

    /// The segment of a daemon of this table.
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

    /// The policy if the file gives none: all networks, if there are one or two; each packet on two of them, if there are more.
    pub(super) fn default_policy(&self) -> Policy {
        // Two copies survive the loss of any one network. Further copies cost bandwidth, and help only if two fail at once.
        if self.network_count() <= 2 { Policy::Active } else { Policy::Copies(2) }
    }

    /// The part of a daemon's name that is used.
    pub(super) fn fitting_name(name: &str) -> &str {
        // A cut inside a character would not be UTF-8.
        &name[..name.floor_char_boundary(Table::NAME_LIMIT)]
    }

    /// The entry of this process: the entry with the given name. Without a name, the only entry that has an address of this
    /// machine.
    ///
    /// Loopback addresses are tried last, and only as addresses for daemon traffic: every machine has them, and many files list
    /// one for clients. An address that several daemons list is not used, because it could be any of them.
    pub fn me(&self, name: Option<&str>, local_addresses: &[IpAddr]) -> Result<&Daemon, EntryError> {
        if let Some(name) = name {
            let unknown = || EntryError::UnknownName(name.to_string(), self.names(|_| true));
            return self.daemons.iter().find(|daemon| daemon.name == Table::fitting_name(name)).ok_or_else(unknown);
        }
        let (loopback, real): (Vec<IpAddr>, Vec<IpAddr>) = local_addresses.iter().partition(|ip| ip.is_loopback());
        let found = real.iter().chain(&loopback).find_map(|&ip| {
            let mut having = self.daemons.iter().filter(|daemon| daemon.is_at(ip));
            match (having.next(), having.next()) {
                (Some(only), None) => Some(only),
                _ => None,
            }
        });
        found.ok_or_else(|| {
            let names = self.names(|daemon| local_addresses.iter().any(|&ip| daemon.is_at(ip)));
            if names.is_empty() { EntryError::NoAddress } else { EntryError::Ambiguous(names) }
        })
    }

    /// A digest of the membership table. Daemons with different digests form separate systems.
    ///
    /// It is the 32-bit FNV-1a hash of a canonical text. The text has the address and port of each segment's networks (unicast
    /// has no address), and the id, traffic addresses and name of each daemon, in file order. Layout, comments, parameters and
    /// client addresses do not change it.
    pub fn digest(&self) -> u32 {
        let mut text = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            text.push_str("segment\n");
            for network in &segment.networks {
                text.push_str(&format!("network {} {}\n", or_dash(network.kind.group()), network.port));
            }
            for daemon in self.daemons.iter().filter(|daemon| daemon.segment == index) {
                let addresses: Vec<String> = daemon.addresses.iter().map(|&address| or_dash(address)).collect();
                text.push_str(&format!("daemon {} {} {}\n", daemon.id, addresses.join(" "), daemon.name));
            }
        }
        fnv1a(text.as_bytes())
    }

    /// Digests of the parts of the membership table, which show where two tables differ: the ids of the daemons, their names,
    /// their addresses, and the networks of the segments. Each is made of the same values as [`Table::digest`].
    pub fn digests(&self) -> [u32; 4] {
        let of_daemons = |part: &dyn Fn(&Daemon) -> String| {
            let parts: Vec<String> = self.daemons.iter().map(part).collect();
            fnv1a(parts.join("\n").as_bytes())
        };
        let network = |network: &Network| format!("{} {}", or_dash(network.kind.group()), network.port);
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
            // Every machine has some address, so this does not show which daemon is here.
            ClientAddresses::All => false,
            ClientAddresses::Only(addresses) => !ip.is_loopback() && addresses.contains(&ip),
        };
        listens || self.addresses.contains(&Some(ip))
    }
}

impl NetworkKind {
    /// The group or broadcast address of the network, if it has one.
    pub fn group(self) -> Option<IpAddr> {
        match self {
            NetworkKind::Multicast(group) => Some(group),
            NetworkKind::Broadcast(address) => Some(address.into()),
            NetworkKind::Unicast => None,
        }
    }
}

impl fmt::Display for ClientAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddresses::All => f.write_str("every address"),
            ClientAddresses::Only(addresses) if addresses.is_empty() => f.write_str("the unix socket only"),
            ClientAddresses::Only(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&addresses.join(", "))
            }
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
    use super::super::Settings;
    use super::*;

    const FILE: &str = "Spread_Segment 239.77.0.1 239.77.1.1:4900 {
        alpha 10.77.0.1 { D 10.77.0.1  D 10.77.1.1  C 127.0.0.1 }
        beta  10.77.0.2 { D 10.77.0.2  D 10.77.1.2  C 127.0.0.1  C 192.168.0.2 }
    }";

    fn read(text: &str) -> Table {
        settings(text).table
    }

    fn settings(text: &str) -> Settings {
        Settings::parse("test", text.as_bytes()).unwrap()
    }

    fn ips<const N: usize>(ips: [&str; N]) -> [IpAddr; N] {
        ips.map(|ip| ip.parse().unwrap())
    }

    #[test]
    fn an_entry_is_found_by_name_or_by_address() {
        let table = read(FILE);
        let name = |name, addresses: &[IpAddr]| table.me(name, addresses).map(|daemon| daemon.name.as_str());
        assert_eq!(name(Some("beta"), &[]), Ok("beta"));
        assert!(matches!(name(Some("Beta"), &ips(["10.77.0.2"])), Err(EntryError::UnknownName(..))));
        assert_eq!(name(None, &ips(["127.0.0.1", "10.77.1.2"])), Ok("beta"));
        assert_eq!(name(None, &ips(["127.0.0.1", "192.168.0.2"])), Ok("beta"));
        assert_eq!(name(None, &ips(["127.0.0.1", "10.9.9.9"])), Err(EntryError::NoAddress));
    }

    #[test]
    fn an_address_of_several_daemons_says_nothing() {
        let table = read(
            "Spread_Segment 10.0.0.255 { a 10.0.0.1 { D 10.0.0.1 C 10.9.0.1 } b 10.0.0.2 { D 10.0.0.2 C 10.9.0.1 } }",
        );
        let names = vec!["a".to_string(), "b".to_string()];
        assert_eq!(table.me(None, &ips(["10.9.0.1"])), Err(EntryError::Ambiguous(names)));
        assert_eq!(table.me(None, &ips(["10.9.0.1", "10.0.0.2"])).unwrap().name, "b");
    }

    #[test]
    fn each_network_has_its_own_port() {
        let table = read(FILE);
        let beta = &table.daemons[1];
        let address = |network| table.traffic_address(beta, NetworkId(network)).map(|at| at.to_string());
        assert_eq!(address(0).as_deref(), Some("10.77.0.2:4803"));
        assert_eq!(address(1).as_deref(), Some("10.77.1.2:4900"));
        assert_eq!(address(2), None);
        assert_eq!(table.segment_of(beta).client_port(), 4803);
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
        let built_in = Table::localhost();
        let text = "Spread_Segment 127.0.0.1:4803 { localhost 127.0.0.1 { 127.0.0.1 } }";
        assert_eq!(built_in.daemons, read(text).daemons);
        assert_eq!(built_in.segments, read(text).segments);
        assert_eq!(built_in.me(None, &ips(["127.0.0.1"])).unwrap().name, "localhost");
    }

    #[test]
    fn the_default_policy_sends_at_most_two_copies() {
        let with =
            |networks, addresses| settings(&format!("Spread_Segment {networks} {{ a {addresses} }}")).live.policy;
        assert_eq!(with("unicast unicast", "10.0.0.1 10.0.1.1"), Policy::Active);
        assert_eq!(with("unicast unicast unicast", "10.0.0.1 10.0.1.1 10.0.2.1"), Policy::Copies(2));
        assert_eq!(settings(&format!("{FILE} NetworkPolicy = primary")).live.policy, Policy::Primary);
    }
}
