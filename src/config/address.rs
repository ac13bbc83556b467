//! Words that are addresses: `10.0.0.1`, `10.0.0.1:4803`, `[ff02::77]:4803`, `ff02::77`, `fe80::7%eth1`.
//!
//! A word that has the *shape* of an address is an error if its numbers do not fit. Any other word is simply no address. IPv4 is
//! read in the classic way: each part has one to three decimal digits, zeros may lead, and a port has one to five digits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::DaemonId;

/// An address as it is written, with the port and the interface if it has them. The range of the port is not checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub ip: IpAddr,
    pub port: Option<u32>,
    pub scope: Option<Scope>,
}

/// The name of an interface after the `%` of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    bytes: [u8; Scope::LIMIT],
    length: usize,
}

impl Scope {
    /// How many bytes the name of an interface may have, as operating systems define it.
    pub(super) const LIMIT: usize = 15;

    fn new(name: &str) -> Option<Scope> {
        let fits = (1..=Scope::LIMIT).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        let mut bytes = [0; Scope::LIMIT];
        fits.then(|| bytes[..name.len()].copy_from_slice(name.as_bytes()));
        fits.then_some(Scope { bytes, length: name.len() })
    }

    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only ASCII comes in")
    }
}

/// The result of reading a word as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The word is no address.
    NoAddress,
    /// The word has the shape of an address, but it breaks this rule.
    Broken(&'static str),
    /// An address.
    Address(Endpoint),
}

/// Reads a word as an address.
pub(super) fn read(word: &str) -> Reading {
    if let Some(inner) = word.strip_prefix('[') {
        return bracketed(inner);
    }
    if let Some(endpoint) = ipv6(word) {
        return Reading::Address(endpoint);
    }
    let (ip, port) = match word.split_once(':') {
        Some((ip, port)) => (ip, Some(port)),
        None => (word, None),
    };
    let parts: Option<Vec<u32>> = ip.split('.').map(|part| digits(part, 3)).collect();
    let port = port.map(|port| digits(port, 5));
    match (parts.as_deref(), port) {
        (Some([a, b, c, d]), None) => ipv4([*a, *b, *c, *d], None),
        (Some([a, b, c, d]), Some(Some(port))) => ipv4([*a, *b, *c, *d], Some(port)),
        _ => Reading::NoAddress,
    }
}

/// The number, if the text is 1 to `limit` decimal digits and nothing else.
pub(super) fn digits(text: &str, limit: usize) -> Option<u32> {
    let fits = (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// The id of the daemon with this address. An IPv4 address is its own number. An IPv6 address becomes an id in 240.0.0.0/4, where
/// no host has its address.
pub(super) fn daemon_id(ip: IpAddr) -> DaemonId {
    match ip {
        IpAddr::V4(ip) => DaemonId(ip.to_bits()),
        IpAddr::V6(ip) => DaemonId(0xf000_0000 | (fnv1a(&ip.octets()) & 0x0fff_ffff)),
    }
}

/// The name of a daemon for which the file has no name. It is the IPv4 address. An IPv6 address is too long for a name, so the id
/// takes its place.
pub(super) fn name_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(_) => daemon_id(ip).to_string(),
    }
}

/// The 32-bit FNV-1a hash.
pub(super) fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn ipv4(parts: [u32; 4], port: Option<u32>) -> Reading {
    let octets = parts.map(u8::try_from);
    match octets {
        [Ok(a), Ok(b), Ok(c), Ok(d)] => {
            Reading::Address(Endpoint { ip: Ipv4Addr::new(a, b, c, d).into(), port, scope: None })
        }
        _ => Reading::Broken("each part of an IPv4 address is at most 255"),
    }
}

fn bracketed(inner: &str) -> Reading {
    let Some((ip, rest)) = inner.split_once(']') else {
        return Reading::Broken("an IPv6 address in brackets is written [fd00::1] or [fd00::1]:4803");
    };
    let port = rest.strip_prefix(':').map(|port| digits(port, 5));
    match (ipv6(ip), rest.is_empty(), port) {
        (Some(endpoint), true, _) => Reading::Address(endpoint),
        (Some(endpoint), _, Some(Some(port))) => Reading::Address(Endpoint { port: Some(port), ..endpoint }),
        _ => Reading::Broken("an IPv6 address in brackets is written [fd00::1] or [fd00::1]:4803"),
    }
}

/// An IPv6 address, perhaps with an interface.
fn ipv6(word: &str) -> Option<Endpoint> {
    let (ip, scope) = match word.split_once('%') {
        Some((ip, scope)) => (ip, Some(Scope::new(scope)?)),
        None => (word, None),
    };
    let ip = IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?).to_canonical();
    Some(Endpoint { ip, port: None, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, port: Option<u32>) -> Reading {
        Reading::Address(Endpoint { ip: ip.parse().unwrap(), port, scope: None })
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        assert_eq!(read("10.0.0.1"), address("10.0.0.1", None));
        assert_eq!(read("010.000.0.01:99999"), address("10.0.0.1", Some(99_999)));
        assert_eq!(read("[ff02::77]:4803"), address("ff02::77", Some(4803)));
        assert_eq!(read("[::1]"), address("::1", None));
        assert_eq!(read("fd00::1"), address("fd00::1", None));
        assert_eq!(read("::ffff:10.0.0.1"), address("10.0.0.1", None));
    }

    #[test]
    fn an_ipv6_address_may_name_an_interface() {
        let scoped = |word: &str| match read(word) {
            Reading::Address(Endpoint { ip, port, scope: Some(scope) }) => {
                Some((ip.to_string(), port, scope.name().to_string()))
            }
            _ => None,
        };
        assert_eq!(scoped("fe80::7%eth1"), Some(("fe80::7".to_string(), None, "eth1".to_string())));
        assert_eq!(
            scoped("[ff02::1:2:3%eth1]:5000"),
            Some(("ff02::1:2:3".to_string(), Some(5000), "eth1".to_string()))
        );
        for word in ["fe80::7%", "10.0.0.1%eth1", "fe80::7%a-name-too-long-x", "[fe80::7]%eth1"] {
            assert_eq!(scoped(word), None, "{word}");
        }
    }

    #[test]
    fn only_the_shape_of_an_address_can_be_a_broken_address() {
        for word in ["10.0.0.256", "999.0.0.1:80", "[fd00::1", "[fd00::1]x", "[fd00::1]:", "[10.0.0.1]"] {
            assert!(matches!(read(word), Reading::Broken(_)), "{word}");
        }
        for word in
            ["", ".", "10.0.0", "10.0.0.1.2", "1000.0.0.1", "10.0.0.1:", "10.0.0.1:123456", "host", "a:b", "+1.0.0.1"]
        {
            assert_eq!(read(word), Reading::NoAddress, "{word}");
        }
    }

    #[test]
    fn an_ipv6_id_lies_where_no_host_is() {
        assert_eq!(daemon_id("10.0.0.1".parse().unwrap()), DaemonId(0x0a00_0001));
        let [one, two] = ["fd00::1", "fd00::2"].map(|ip| daemon_id(ip.parse().unwrap()));
        assert!(one != two && one.0 >> 28 == 15 && two.0 >> 28 == 15);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!([fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")], [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }
}
