//! The networks of a segment: what kind each address means, and whether the daemons on a network can hear each other.
//!
//! A group address means multicast. A loopback address means unicast, because loopback has no broadcast. The address of one of
//! the daemons and the word `unicast` also mean unicast. Any other IPv4 address counts as the broadcast address of its subnet, as
//! it does for the classic daemon.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::{Findings, Mistake, Position, shown};
use super::stanza::Stanzas;
use super::syntax::{NetworkSyntax, SegmentSyntax, Spanned};
use super::table::{Daemon, Network, NetworkKind, Segment, Table};
use crate::wire::NetworkId;

/// The networks of this segment.
pub(super) fn of(
    segment: &SegmentSyntax,
    stanzas: &Stanzas<'_>,
    findings: &mut Findings,
) -> Result<Vec<Network>, Mistake> {
    if let Some(extra) = segment.networks.get(NetworkId::LIMIT) {
        return Err(Mistake::new(extra.at, format!("more than {} networks", NetworkId::LIMIT)));
    }
    let read = |(number, written): (usize, &Spanned<NetworkSyntax>)| {
        let mut network = read(written, stanzas.port(number), segment, findings)?;
        stanzas.apply(number, written, &mut network)?;
        Ok(network)
    };
    segment.networks.iter().enumerate().map(read).collect()
}

fn read(
    syntax: &Spanned<NetworkSyntax>,
    default_port: Option<u32>,
    segment: &SegmentSyntax,
    findings: &mut Findings,
) -> Result<Network, Mistake> {
    let (kind, port) = match syntax.value {
        NetworkSyntax::Unicast { port } => (NetworkKind::Unicast, port),
        NetworkSyntax::Address(endpoint) => (kind(endpoint.ip, syntax.at, segment, findings)?, endpoint.port),
    };
    Ok(Network { kind, port: checked_port(port.or(default_port), syntax.at, findings)? })
}

fn kind(ip: IpAddr, at: Position, segment: &SegmentSyntax, findings: &mut Findings) -> Result<NetworkKind, Mistake> {
    match ip {
        _ if ip.is_unspecified() => {
            findings.warning(
                at,
                format!("{ip} is no network and counts as unicast: write unicast or its broadcast address"),
            );
            Ok(NetworkKind::Unicast)
        }
        _ if ip.is_multicast() => Ok(NetworkKind::Multicast(ip)),
        _ if ip.is_loopback() || is_of_a_daemon(ip, segment) => Ok(NetworkKind::Unicast),
        IpAddr::V4(ip) => Ok(NetworkKind::Broadcast(ip)),
        IpAddr::V6(_) => {
            let message = format!("{ip} is no group and IPv6 has no broadcast: write one such as ff02::77, or unicast");
            Err(Mistake::new(at, message))
        }
    }
}

fn is_of_a_daemon(ip: IpAddr, segment: &SegmentSyntax) -> bool {
    segment.daemons.iter().any(|daemon| {
        let interfaces = daemon.interfaces.iter().flatten().map(|interface| &interface.address);
        daemon.addresses.iter().chain(interfaces).any(|address| address.value.ip == ip)
    })
}

/// The port to use. 0 stands for the default, as in 5.x.
fn checked_port(port: Option<u32>, at: Position, findings: &mut Findings) -> Result<u16, Mistake> {
    let default = Table::DEFAULT_PORT;
    match port.map(u16::try_from) {
        None => Ok(default),
        Some(Ok(0)) => {
            findings.warning(at, format!("port 0 counts as {default}: write {default}"));
            Ok(default)
        }
        Some(Ok(port)) => Ok(port),
        Some(Err(_)) => {
            let written = port.unwrap_or_default();
            Err(Mistake::new(at, format!("port {written} cannot be: write one from 1 to 65535")))
        }
    }
}

/// Warns when two networks of a segment seem to be one: the same group, or the same /24 or /64.
pub(super) fn warn_of_shared_wires(at: Position, networks: &[Network], daemons: &[Daemon], findings: &mut Findings) {
    for (b, network) in networks.iter().enumerate() {
        for (a, other) in networks[..b].iter().enumerate() {
            if network.kind != NetworkKind::Unicast && network.kind.group() == other.kind.group() {
                findings.warning(at, format!("networks {a} and {b} have the same address: give each its own"));
            } else if daemons.iter().any(|daemon| same_subnet(daemon.addresses[a], daemon.addresses[b])) {
                let message = format!(
                    "networks {a} and {b} seem to lie in one subnet, so packets of both may leave by one interface: \
                     give each its own subnet"
                );
                findings.warning(at, message);
            }
        }
    }
}

fn same_subnet(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (Some(IpAddr::V4(a)), Some(IpAddr::V4(b))) => !a.is_loopback() && a.octets()[..3] == b.octets()[..3],
        (Some(IpAddr::V6(a)), Some(IpAddr::V6(b))) => !a.is_loopback() && a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}

/// All daemons on a network, in all segments, and its group address must be IPv4, or all must be IPv6.
pub(super) fn check_families(
    segments: &[Segment],
    daemons: &[Daemon],
    place: impl Fn(&Daemon) -> Position,
) -> Result<(), Mistake> {
    let mut families = [None; NetworkId::LIMIT];
    for daemon in daemons {
        let networks = &segments[daemon.segment].networks;
        for (index, (address, network)) in daemon.addresses.iter().flatten().zip(networks).enumerate() {
            let family = *families[index].get_or_insert(address.is_ipv4());
            let group = network.kind.group().map_or(family, |group| group.is_ipv4());
            if address.is_ipv4() != family || group != family {
                let message = format!("network {index} mixes IPv4 and IPv6: write {address} as the other kind");
                return Err(Mistake::new(place(daemon), message));
            }
        }
    }
    Ok(())
}

/// Either all networks and daemons are on the loopback interface, or none is. A network with the word `unicast` is where its
/// daemons are.
pub(super) fn check_loopback(
    syntax: &[SegmentSyntax],
    daemons: &[Daemon],
    place: impl Fn(&Daemon) -> Position,
) -> Result<(), Mistake> {
    let mut all: Option<bool> = None;
    for (segment, written) in syntax.iter().enumerate() {
        for (network, written) in written.networks.iter().enumerate() {
            let places = match written.value {
                NetworkSyntax::Address(endpoint) if !endpoint.ip.is_unspecified() => vec![endpoint.ip],
                _ => addresses_on(segment, network, daemons),
            };
            if places.iter().any(|ip| *all.get_or_insert(ip.is_loopback()) != ip.is_loopback()) {
                let message =
                    "loopback addresses (127.x, ::1) and others cannot meet: write one kind in the whole file";
                return Err(Mistake::new(written.at, message));
            }
        }
    }
    let on_loopback = |daemon: &&Daemon| daemon.addresses.iter().flatten().any(|ip| ip.is_loopback());
    let elsewhere = daemons.iter().find(|daemon| !on_loopback(daemon));
    match (daemons.iter().find(on_loopback), elsewhere) {
        (Some(hidden), Some(other)) => {
            let (name, other) = (shown(&hidden.name), shown(&other.name));
            let ip = hidden.addresses.iter().flatten().find(|ip| ip.is_loopback()).expect("it has one");
            let message = format!(
                "the daemon {name} is at {ip}, a loopback address, where {other} on another machine cannot reach it: \
                 write its address on the network"
            );
            Err(Mistake::new(place(hidden), message))
        }
        _ => Ok(()),
    }
}

fn addresses_on(segment: usize, network: usize, daemons: &[Daemon]) -> Vec<IpAddr> {
    let here = daemons.iter().filter(|daemon| daemon.segment == segment);
    here.filter_map(|daemon| daemon.addresses[network]).collect()
}

/// Warns of daemons whose addresses on two networks seem to be in the wrong order: each of the two is in the subnet that most
/// other daemons have on the other network. The masks are not known, so subnets are assumed to have the usual size.
pub(super) fn warn_of_swapped_addresses(
    daemons: &[Daemon],
    places: &BTreeMap<String, Position>,
    findings: &mut Findings,
) {
    for (number, daemon) in daemons.iter().enumerate() {
        let others: Vec<&Daemon> = daemons.iter().filter(|other| other.id != daemon.id).collect();
        // If there are only two daemons, either may be wrong, and the warning names the later one.
        if others.is_empty() || (others.len() == 1 && number == 0) {
            continue;
        }
        for (one, other) in pairs(daemon.addresses.len()) {
            let near = |mine: usize, peer: &Daemon, theirs: usize| {
                let address = |daemon: &Daemon, network: usize| daemon.addresses.get(network).copied().flatten();
                address(daemon, mine).zip(address(peer, theirs)).is_some_and(|(mine, theirs)| is_near(mine, theirs))
            };
            let crossed = |peer: &&&Daemon| near(one, peer, other) && near(other, peer, one) && !near(one, peer, one);
            let count = others.iter().filter(crossed).count();
            if let Some(at) = places.get(&daemon.name)
                && 2 * count > others.len()
            {
                let message = format!(
                    "the addresses of {} on networks {one} and {other} look swapped: write them in the order of the others",
                    daemon.name
                );
                findings.warning(*at, message);
            }
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |one| (one + 1..count).map(move |other| (one, other)))
}

/// Whether two addresses are in one subnet of the usual size.
fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    fn network(address: &str, daemon: &str) -> Result<Network, String> {
        parse(&format!("Spread_Segment {address} {{ a {daemon} }}")).map(|it| it.table.segments[0].networks[0])
    }

    fn kind(address: &str, daemon: &str) -> NetworkKind {
        network(address, daemon).unwrap().kind
    }

    #[test]
    fn the_address_says_the_kind() {
        assert_eq!(kind("239.1.2.3", "10.0.0.1"), NetworkKind::Multicast([239, 1, 2, 3].into()));
        assert_eq!(kind("[ff02::77]:4803", "fd00::1"), NetworkKind::Multicast("ff02::77".parse().unwrap()));
        assert_eq!(kind("10.0.0.255", "10.0.0.1"), NetworkKind::Broadcast([10, 0, 0, 255].into()));
        assert_eq!(kind("10.0.3.127", "10.0.3.1"), NetworkKind::Broadcast([10, 0, 3, 127].into()));
        for (address, daemon) in [
            ("unicast", "10.0.0.1"),
            ("unicast:5000", "fd00::1"),
            ("127.0.0.255", "127.0.0.1"),
            ("::1", "::1"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(kind(address, daemon), NetworkKind::Unicast, "{address}");
        }
    }

    #[test]
    fn an_address_that_is_no_network_is_refused() {
        assert_eq!(kind("0.0.0.0", "10.0.0.1"), NetworkKind::Unicast);
        assert!(network("fd00::ff", "fd00::1").unwrap_err().contains("write one such as ff02::77"));
        assert!(network("unicats", "10.0.0.1").unwrap_err().contains("expected a network address, the word unicast"));
        assert!(network("unicast:x", "10.0.0.1").unwrap_err().contains("unicast:PORT"));
        assert!(network("10.0.0.256", "10.0.0.1").unwrap_err().contains("at most 255"));
    }

    #[test]
    fn ports_have_a_default_and_a_range() {
        let port = |address: &str| network(address, "10.0.0.1").map(|network| network.port);
        assert_eq!(port("10.0.0.255"), Ok(4803));
        assert_eq!([port("unicast:65535"), port("10.0.0.255:0")], [Ok(65535), Ok(4803)]);
        for wrong in ["10.0.0.255:99999", "unicast:65536"] {
            assert!(port(wrong).unwrap_err().contains("write one from 1 to 65535"), "{wrong}");
        }
    }

    #[test]
    fn a_network_is_of_one_family() {
        for wrong in [
            "Spread_Segment unicast { a 10.0.0.1 b fd00::2 }",
            "Spread_Segment 239.0.0.1 { a fd00::1 }",
            "Spread_Segment ff02::77 { a 10.0.0.1 }",
            "Spread_Segment unicast { a 10.0.0.1 } Spread_Segment unicast { b fd00::2 }",
        ] {
            assert!(parse(wrong).unwrap_err().contains("network 0 mixes IPv4 and IPv6"), "{wrong}");
        }
        assert!(parse("Spread_Segment unicast ff02::77 { a 10.0.0.1 fd00::1 b 10.0.0.2 fd00::2 }").is_ok());
    }

    #[test]
    fn loopback_and_other_networks_do_not_meet() {
        for wrong in [
            "Spread_Segment 127.0.0.255 { a 127.0.0.1 } Spread_Segment 10.0.0.255 { b 10.0.0.1 }",
            "Spread_Segment 127.0.0.255 10.0.0.255 { a 127.0.0.1 10.0.0.1 }",
            "Spread_Segment unicast { a 127.0.0.1 b 10.0.0.1 }",
            "Spread_Segment 10.0.0.255 { localhost 127.0.0.1 b 10.0.0.1 }",
            "Spread_Segment unicast { a 127.0.0.1 } Spread_Segment unicast { b 10.0.0.1 }",
        ] {
            assert!(parse(wrong).unwrap_err().contains("loopback"), "{wrong}");
        }
        assert!(parse("Spread_Segment 239.1.2.3 { a 127.0.0.1 b 127.0.0.2 }").is_ok());
    }

    #[test]
    fn networks_that_seem_to_be_one_are_a_warning() {
        let warnings = |networks: &str, addresses: &str| {
            parse(&format!("Spread_Segment {networks} {{ a {addresses} }}")).unwrap().warnings.len()
        };
        assert_eq!(warnings("239.0.0.1 239.0.0.2", "10.0.0.1 10.0.1.1"), 0);
        assert_eq!(warnings("239.0.0.1 239.0.0.1", "10.0.0.1 10.0.1.1"), 1);
        assert_eq!(warnings("unicast unicast", "10.0.0.1 10.0.0.2"), 1);
        assert_eq!(warnings("unicast unicast", "127.0.0.1 127.0.0.2"), 0);
        assert_eq!(warnings("unicast unicast", "fd00:0:0:1::1 fd00:0:0:2::1"), 0);
        assert_eq!(warnings("unicast unicast", "fd00::1 fd00::2"), 1);
    }
}
