//! Detects networks that are not separate: two on one interface, in one subnet, or with one group.
//!
//! Such networks work if the platform can tell them apart, but one fault may break both. So this is a warning and never an
//! error.

use super::platform::Interfaces;
use super::{Interface, Network};

/// A text that names those of these networks that are not separate on this machine now.
pub fn shared_wires(networks: &[Network]) -> Vec<String> {
    Interfaces::snapshot().map(|interfaces| among(networks.iter(), &interfaces)).unwrap_or_default()
}

/// The same for known interfaces.
pub(super) fn among<'a>(networks: impl Iterator<Item = &'a Network>, interfaces: &Interfaces) -> Vec<String> {
    let find = |network: &'a Network| (network, interfaces.find(network.own, network.interface.as_deref()));
    let found: Vec<(&Network, Option<Interface>)> = networks.map(find).collect();
    let pairs = (0..found.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    pairs.filter_map(|(a, b)| told(a, &found[a], b, &found[b])).collect()
}

fn told(
    a: usize,
    one: &(&Network, Option<Interface>),
    b: usize,
    other: &(&Network, Option<Interface>),
) -> Option<String> {
    let same_kind_and_port = one.0.kind == other.0.kind && one.0.port == other.0.port;
    if let (Some(group), true) = (one.0.kind.group(), same_kind_and_port) {
        return Some(format!("networks {a} and {b} both use {group}: give each its own"));
    }
    let (one, other) = (one.1.as_ref()?, other.1.as_ref()?);
    if one.address.is_loopback() || other.address.is_loopback() {
        return None;
    }
    if one.index != 0 && one.index == other.index {
        return Some(format!("networks {a} and {b} are both on {}, which may fail: give each its own", one.name));
    }
    in_one_subnet(one, other).then(|| {
        format!(
            "networks {a} and {b} lie in one subnet, {} on {} and {} on {}, so that packets of one may take the other: \
             give each its own",
            one.address, one.name, other.address, other.name
        )
    })
}

fn in_one_subnet(one: &Interface, other: &Interface) -> bool {
    one.has_in_subnet(other.address) || other.has_in_subnet(one.address)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::Kind;
    use super::*;

    fn network(kind: Kind, own: &str) -> Network {
        Network { kind, port: 4803, own: own.parse().unwrap(), peers: vec![], interface: None }
    }

    fn interface(name: &str, index: u32, address: &str, prefix: u8) -> Interface {
        Interface { name: name.to_string(), index, address: address.parse().unwrap(), prefix, running: true }
    }

    /// What is said of two networks with these own addresses and interfaces.
    fn said(one: (Kind, Interface), other: (Kind, Interface)) -> Option<String> {
        let network = |(kind, interface): &(Kind, Interface)| network(*kind, &interface.address.to_string());
        told(0, &(&network(&one), Some(one.1)), 1, &(&network(&other), Some(other.1)))
    }

    #[test]
    fn networks_that_are_apart_are_not_told() {
        let group = |last| Kind::Multicast(IpAddr::from([239, 0, 0, last]));
        let (one, other) = (interface("eth0", 1, "10.0.0.1", 24), interface("eth1", 2, "10.0.1.1", 24));
        assert_eq!(said((group(1), one.clone()), (group(2), other)), None);
        assert_eq!(said((Kind::Unicast, one), (Kind::Unicast, interface("eth1", 2, "fd00::1", 64))), None);
        let loopback = |last: &str| (Kind::Unicast, interface("lo", 1, last, 8));
        assert_eq!(said(loopback("127.0.0.1"), loopback("127.0.0.2")), None);
    }

    #[test]
    fn networks_in_one_subnet_on_one_interface_or_with_one_group_are_told() {
        let one = || interface("eth0", 1, "10.0.0.1", 16);
        let plain = |interface| (Kind::Unicast, interface);
        let subnet = said(plain(one()), plain(interface("eth1", 2, "10.0.1.1", 24))).unwrap();
        assert!(subnet.contains("one subnet, 10.0.0.1 on eth0 and 10.0.1.1 on eth1"), "{subnet}");
        let same = said(plain(one()), plain(interface("eth0", 1, "10.9.0.1", 24))).unwrap();
        assert!(same.contains("both on eth0"), "{same}");
        let group = || Kind::Multicast(IpAddr::from([239, 0, 0, 1]));
        let shared = said((group(), one()), (group(), interface("eth1", 2, "10.9.0.1", 24))).unwrap();
        assert!(shared.contains("both use 239.0.0.1"), "{shared}");
    }

    #[test]
    fn a_network_without_an_interface_is_with_nobody() {
        let networks = [network(Kind::Unicast, "203.0.113.1"), network(Kind::Unicast, "203.0.113.2")];
        assert_eq!(shared_wires(&networks), [""; 0]);
    }
}
