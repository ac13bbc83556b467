//! The access file: which addresses the method IP accepts, which local users the method UNIX accepts, and who may do what with groups.
//!
//! Rules of the method IP are as in classic files: `unix`, `local`, an address, or an address and the number of its leading bits that
//! count. `0.0.0.0/0` is everybody, the unix socket included, because existing files use it in this sense. Lines with `user` (method
//! UNIX) and `group` (see `rules`) exist only in Torc.

use std::fmt;
use std::net::IpAddr;

use tracing::warn;

use super::rules::{GroupRules, LineRule};
use super::{Peer, UserId};

/// The clients that the methods IP and UNIX accept, by default none, and the rules for groups, by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    rules: Vec<Rule>,
    users: Vec<UserRule>,
    groups: GroupRules,
}

/// The users that the method UNIX accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UserRule {
    Everybody,
    Is(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Unix,
    Local,
    Everybody,
    Prefix { address: IpAddr, bits: u32 },
}

/// A line that is not a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// The line, counted from 1.
    pub line: usize,
    /// The mistake.
    pub message: &'static str,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for AccessError {}

impl AccessList {
    /// The list in a file's text. Blank lines and lines that begin with `#` are skipped. Users are known by number only.
    pub fn parse(text: &str) -> Result<AccessList, AccessError> {
        AccessList::parse_with(text, &|_| None)
    }

    /// The list in a file's text; `user_id` looks up the number of a user of this machine.
    pub fn parse_with(text: &str, user_id: UserId<'_>) -> Result<AccessList, AccessError> {
        // A number is a number even if a user has it as a name.
        let user_id = |name: &str| name.parse().ok().or_else(|| user_id(name));
        let (mut list, mut groups) = (AccessList::default(), Vec::new());
        for (index, line) in text.lines().map(str::trim).enumerate() {
            let error = |message| AccessError { line: index + 1, message };
            let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match first {
                "" => {}
                _ if line.starts_with('#') => {}
                "group" => groups.push(LineRule::parse(rest, &user_id).map_err(error)?),
                "user" => list.users.push(UserRule::parse(rest.trim(), &user_id).map_err(error)?),
                _ => list.rules.push(Rule::parse(line).map_err(error)?),
            }
        }
        list.groups = GroupRules::new(groups);
        Ok(list)
    }

    /// Whether a rule accepts this client's address.
    pub fn allows(&self, peer: Peer) -> bool {
        self.rules.iter().any(|rule| rule.has(peer))
    }

    /// Whether a rule accepts this client as a user of this machine.
    pub fn allows_user(&self, peer: Peer) -> bool {
        let Peer::User(uid) = peer else { return false };
        self.users.iter().any(|rule| matches!(rule, UserRule::Everybody) || *rule == UserRule::Is(uid))
    }

    /// The rules of groups.
    pub fn groups(&self) -> &GroupRules {
        &self.groups
    }
}

impl UserRule {
    fn parse(word: &str, user_id: UserId<'_>) -> Result<UserRule, &'static str> {
        match word {
            "*" => Ok(UserRule::Everybody),
            _ => user_id(word).map(UserRule::Is).ok_or("expected *, or the name or number of a user of this machine"),
        }
    }
}

impl Rule {
    pub(super) fn parse(line: &str) -> Result<Rule, &'static str> {
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
        // The classic daemon compares the address as it is written, so such a rule matches nobody. To widen it silently would accept
        // clients that were refused before.
        if leading(address, bits) != number(address) {
            warn!(name: "access_rule_useless", line, "this access rule matches nobody: its address has bits set behind the prefix");
        }
        Ok(Rule::Prefix { address, bits })
    }

    pub(super) fn has(&self, peer: Peer) -> bool {
        match (self, peer) {
            (Rule::Everybody, _) | (Rule::Unix, Peer::Unix | Peer::User(_)) => true,
            // An IPv4 client of an IPv6 socket has a mapped address.
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
    // All 128 bits are more than a shift can move; then no bit is cleared.
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
    fn users_of_this_machine_are_known_by_name_and_number() {
        let ids = |name: &str| (name == "alice").then_some(1000);
        let list = AccessList::parse_with("local\nuser alice\n user 7\n", &ids).unwrap();
        for (peer, allowed) in
            [(Peer::User(1000), true), (Peer::User(7), true), (Peer::User(0), false), (Peer::Unix, false)]
        {
            assert_eq!(list.allows_user(peer), allowed, "{peer:?}");
        }
        assert!(AccessList::parse("user *").unwrap().allows_user(Peer::User(5)));
        assert!(!list.allows(Peer::User(1000)), "a user's line is not for the method IP");
        assert!(AccessList::parse("unix").unwrap().allows(Peer::User(5)));
    }

    #[test]
    fn a_bad_line_is_reported_by_its_number() {
        for (text, line) in [
            ("local\n\n10.1\n", 3),
            ("a.b.c.d", 1),
            ("10.0.0.0/33", 1),
            ("# x\n10.0.0.0/x", 2),
            ("user nobody-of-this-name", 1),
            ("local\ngroup", 2),
            ("group g", 1),
            ("group g join", 1),
            ("group g jump *", 1),
            ("group g join 10.1", 1),
            ("group g join user:nobody-of-this-name", 1),
        ] {
            assert_eq!(AccessList::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
