//! The access list of the method IP: which addresses may connect.
//!
//! One rule a line: `unix`, `local`, an address, or an address and the number of its leading bits that count. The address is
//! compared as written, so one with bits set behind those that count matches nobody: widening it silently would let clients
//! in that were kept out before. `0.0.0.0/0` is everybody, the unix socket included, as existing files mean it.

use std::fmt;
use std::net::IpAddr;

use tracing::warn;

use super::Peer;

/// Which clients the method IP accepts; by default nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Unix,
    Local,
    Everybody,
    Prefix { address: IpAddr, bits: u32 },
}

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: &'static str,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for AccessError {}

impl AccessList {
    /// The list in a file's text. Blank lines and lines that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<AccessList, AccessError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                rules.push(Rule::parse(line).map_err(|message| AccessError { line: index + 1, message })?);
            }
        }
        Ok(AccessList { rules })
    }

    /// Whether any rule has this client.
    pub fn allows(&self, peer: Peer) -> bool {
        self.rules.iter().any(|rule| rule.has(peer))
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Rule, &'static str> {
        if line.starts_with("unix") {
            return Ok(Rule::Unix);
        }
        if line.starts_with("local") {
            return Ok(Rule::Local);
        }
        let (address, bits) = line.split_once('/').map_or((line, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| "expected unix, local, or an address")?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) => bits.trim().parse().ok().filter(|bits| *bits <= width).ok_or("no such number of bits")?,
        };
        if bits == 0 && address.is_unspecified() {
            return Ok(Rule::Everybody);
        }
        if leading(address, bits) != number(address) {
            warn!(name: "access_rule_useless", line, "this access rule matches nobody: bits are set behind those that count");
        }
        Ok(Rule::Prefix { address, bits })
    }

    fn has(&self, peer: Peer) -> bool {
        match (self, peer) {
            (Rule::Everybody, _) | (Rule::Unix, Peer::Unix) => true,
            (Rule::Local, Peer::Tcp(client)) => client.to_canonical().is_loopback(),
            (Rule::Prefix { address, bits }, Peer::Tcp(client)) => {
                let client = client.to_canonical();
                client.is_ipv4() == address.is_ipv4() && leading(client, *bits) == number(*address)
            }
            _ => false,
        }
    }
}

/// The address as a number, its first bit the highest of 128.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first bits of the address, the others cleared.
fn leading(address: IpAddr, bits: u32) -> u128 {
    number(address) & !u128::MAX.checked_shr(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, peer: &str) -> bool {
        let peer = if peer == "unix" { Peer::Unix } else { Peer::Tcp(peer.parse().unwrap()) };
        AccessList::parse(text).unwrap().allows(peer)
    }

    #[test]
    fn any_matching_line_allows_and_everything_else_is_denied() {
        let text = "# ours\n\n  local\n10.1.2.3\n10.2.0.0 / 16\n";
        for (peer, allowed) in [
            ("unix", false),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:10.1.2.3", true),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.2.255.1", true),
            ("10.3.0.1", false),
        ] {
            assert_eq!(allows(text, peer), allowed, "{peer}");
        }
        assert!(!allows("", "127.0.0.1"));
        assert!(allows("unix\n", "unix"));
    }

    #[test]
    fn an_address_is_compared_as_written() {
        assert!(!allows("192.168.1.7/24", "192.168.1.7"));
        assert!(allows("192.168.1.0/24", "192.168.1.7"));
    }

    #[test]
    fn no_bits_at_all_are_everybody() {
        for peer in ["203.0.113.9", "unix", "2001:db8::1"] {
            assert!(allows("0.0.0.0/0", peer), "{peer}");
            assert!(!allows("10.0.0.0/0", peer), "{peer}");
        }
    }

    #[test]
    fn a_rule_is_for_one_family() {
        assert!(allows("2001:db8::/32", "2001:db8::1"));
        assert!(!allows("2001:db8::/32", "32.1.13.184"));
        assert!(!allows("10.0.0.0/1", "::1"));
    }

    #[test]
    fn a_bad_line_is_reported_by_its_number() {
        for (text, line) in [("local\n\n10.1\n", 3), ("a.b.c.d", 1), ("10.0.0.0/33", 1), ("# x\n10.0.0.0/x", 2)] {
            assert_eq!(AccessList::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
