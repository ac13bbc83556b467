//! Finds the address of a daemon by its name, as that of a host, if the file has no address for it.
//!
//! Many systems map the machine's own name to a loopback address. That is right for the machine and useless for the others. Then
//! the daemon takes the machine's address on the segment's subnet, if there is exactly one.

use std::net::{IpAddr, Ipv4Addr};

use super::error::{Findings, Mistake, shown};
use super::syntax::{DaemonSyntax, NetworkSyntax, SegmentSyntax};
use super::table::{Network, NetworkKind};

/// The facts about hosts that the reader of a file needs.
#[derive(Clone, Copy)]
pub struct Hosts<'a> {
    /// All addresses of the host with this name.
    pub lookup: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// The addresses of this machine, each with the length of its subnet in bits.
    pub own: &'a [(IpAddr, u8)],
}

impl Hosts<'_> {
    /// Nothing is known, so each daemon must have an address.
    pub const UNKNOWN: Hosts<'static> = Hosts { lookup: &|_| Vec::new(), own: &[] };

    /// The address of a daemon for which the file has only a name.
    pub(super) fn find(
        &self,
        daemon: &DaemonSyntax,
        segment: &SegmentSyntax,
        network: &Network,
        findings: &mut Findings,
    ) -> Result<IpAddr, Mistake> {
        let (name, at) = (shown(&daemon.name.value), daemon.name.at);
        let found = (self.lookup)(&daemon.name.value);
        let on_loopback = is_on_loopback(segment);
        let ipv4 = network.kind.group().is_none_or(|group| group.is_ipv4());
        let fitting = found.iter().filter(|ip| on_loopback || !ip.is_loopback());
        if let Some(first) = fitting.min_by_key(|ip| ip.is_ipv4() != ipv4) {
            return Ok(*first);
        }
        let Some(loopback) = found.first() else {
            let message = format!("the daemon {name} has no address and no host has its name: write NAME ADDRESS");
            return Err(Mistake::new(at, message));
        };
        let here = format!("{name} is looked up as {loopback}, a loopback address that no other machine reaches");
        match self.on_subnet(segment, network)[..] {
            [own] => {
                let message =
                    format!("{here}: {own} counts, this machine's address on the subnet; write {own} after it");
                findings.warning(at, message);
                Ok(own)
            }
            _ => Err(Mistake::new(at, format!("{here}: write its address on the network after the name"))),
        }
    }

    /// Addresses of this machine in the subnet of a network.
    fn on_subnet(&self, segment: &SegmentSyntax, network: &Network) -> Vec<IpAddr> {
        let others: Vec<IpAddr> = addresses(segment).collect();
        let real = self.own.iter().filter(|(ip, _)| !ip.is_loopback() && !ip.is_unspecified());
        let is_on = |&&(ip, bits): &&(IpAddr, u8)| match (network.kind, ip) {
            (NetworkKind::Broadcast(address), IpAddr::V4(ip)) => broadcast(ip, bits) == address,
            (NetworkKind::Broadcast(_), IpAddr::V6(_)) => false,
            (kind, ip) if others.is_empty() => kind.group().is_none_or(|group| group.is_ipv4() == ip.is_ipv4()),
            (_, ip) => others.iter().any(|other| same_subnet(ip, *other, bits)),
        };
        let mut found: Vec<IpAddr> = real.filter(is_on).map(|(ip, _)| *ip).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether a segment is on the loopback interface. Its own addresses show that, or those of its daemons.
fn is_on_loopback(segment: &SegmentSyntax) -> bool {
    let written = segment.networks.iter().find_map(|network| match network.value {
        NetworkSyntax::Address(endpoint) if !endpoint.ip.is_multicast() => Some(endpoint.ip.is_loopback()),
        _ => None,
    });
    written.unwrap_or_else(|| {
        addresses(segment).all(|ip| ip.is_loopback())
            && !(segment.daemons.len() > 1 && addresses(segment).next().is_none())
    })
}

/// The addresses that the file gives daemons of a segment.
fn addresses(segment: &SegmentSyntax) -> impl Iterator<Item = IpAddr> + '_ {
    segment.daemons.iter().flat_map(|daemon| &daemon.addresses).map(|address| address.value.ip)
}

fn broadcast(ip: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
    Ipv4Addr::from_bits(ip.to_bits() | hosts)
}

fn same_subnet(ip: IpAddr, other: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (ip, other) {
        (IpAddr::V4(ip), IpAddr::V4(other)) => (ip.to_bits() ^ other.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(ip), IpAddr::V6(other)) => (ip.to_bits() ^ other.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    /// A machine of two networks whose own name is on loopback, as is `localhost`; other hosts are known.
    fn read(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let lookup = |name: &str| match name {
            "alpha" => vec![ip("127.0.1.1")],
            "localhost" => vec![ip("::1"), ip("127.0.0.1")],
            "beta" => vec![ip("fd00::2"), ip("10.77.1.2")],
            _ => Vec::new(),
        };
        let own = [(ip("127.0.0.1"), 8), (ip("10.77.1.1"), 24), (ip("10.78.0.1"), 16), (ip("fd00::1"), 64)];
        let settings = Settings::parse_with("f", text.as_bytes(), &Hosts { lookup: &lookup, own: &own });
        let settings = settings.map_err(|error| error.to_string())?;
        let warnings = settings.warnings.iter().map(ToString::to_string).collect();
        Ok((settings.table.daemons.iter().map(|daemon| daemon.identity.to_string()).collect(), warnings))
    }

    #[test]
    fn the_own_name_on_loopback_is_the_address_on_the_subnet() {
        for (text, ids) in [
            ("Spread_Segment 10.77.1.255 { alpha beta }", ["10.77.1.1", "10.77.1.2"]),
            ("Spread_Segment 10.78.255.255 { alpha b 10.78.3.3 }", ["10.78.0.1", "10.78.3.3"]),
            ("Spread_Segment 239.7.7.7 { alpha b 10.77.1.9 }", ["10.77.1.1", "10.77.1.9"]),
            ("Spread_Segment ff02::7 { alpha b fd00::9 }", ["fd00::1", "fd00::9"]),
        ] {
            let (found, warnings) = read(text).unwrap();
            assert_eq!(found, ids, "{text}");
            let own = ids[0];
            let said =
                format!("is looked up as 127.0.1.1, a loopback address that no other machine reaches: {own} counts");
            assert!(warnings.len() == 1 && warnings[0].contains(&said), "{warnings:?}");
        }
    }

    #[test]
    fn a_name_on_loopback_without_an_address_on_the_subnet_is_a_mistake() {
        for text in [
            "Spread_Segment 10.99.1.255 { alpha b 10.99.1.2 }",
            "Spread_Segment 239.7.7.7 { alpha gamma 10.9.9.9 }",
            // The machine has two, and nothing tells which one.
            "Spread_Segment 239.7.7.7 { alpha beta }",
            "Spread_Segment 10.78.0.255 { alpha b 10.78.0.2 }",
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains("\"alpha\" is looked up as 127.0.1.1") && error.contains("write its address"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_name_on_loopback_is_right_where_all_are() {
        for text in [
            "Spread_Segment 127.0.0.255 { localhost }",
            "Spread_Segment unicast { localhost }",
            "Spread_Segment unicast { localhost b 127.0.0.2 }",
        ] {
            let (found, warnings) = read(text).unwrap();
            assert_eq!((&found[0][..], warnings.len()), ("127.0.0.1", 0), "{text}");
        }
    }
}
