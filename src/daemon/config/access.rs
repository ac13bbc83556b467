//! The access file of the method IP, `spread.access_ip`: one rule a line for the clients that may connect.
//!
//! A client may connect if any rule fits. Blank lines are skipped. A line that is no rule, or one that the classic daemon takes
//! and that fits nobody, is reported and left out: leaving out can only refuse.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::address::{self, Reading};
use super::error::{ConfigError, Diagnostic, Findings, Position, shown};
use super::read_limited;

/// The name of the access file, looked for in the working directory and in `/etc`.
pub const ACCESS_FILE: &str = "spread.access_ip";

/// Who may connect. The default is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Clients of the unix socket.
    Unix,
    /// TCP clients from loopback addresses.
    Local,
    /// TCP clients whose address begins with this many bits of this one.
    Range(IpAddr, u32),
}

impl AccessList {
    /// Reads a file; also what is wrong with its lines.
    pub fn read(path: &Path) -> Result<(AccessList, Vec<Diagnostic>), ConfigError> {
        let text = read_limited(path)?;
        Ok(AccessList::parse(&path.display().to_string(), &text))
    }

    /// Reads a text; also what is wrong with its lines. `file` is its name in messages.
    pub fn parse(file: &str, text: &[u8]) -> (AccessList, Vec<Diagnostic>) {
        let mut findings = Findings::default();
        let mut rules = Vec::new();
        for (line, text) in (1..).zip(String::from_utf8_lossy(text).lines()) {
            match rule(text.trim()) {
                Ok(rule) => rules.extend(rule),
                Err(message) => findings.warning(Position { line, column: 1 }, message),
            }
        }
        (AccessList { rules }, findings.into_diagnostics(file).1)
    }

    /// Whether clients of the unix socket may connect.
    pub fn allows_unix(&self) -> bool {
        self.rules.contains(&Rule::Unix)
    }

    /// Whether TCP clients from this address may connect.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.rules.iter().any(|rule| match *rule {
            Rule::Unix => false,
            Rule::Local => client.is_loopback(),
            Rule::Range(start, bits) => client.is_ipv4() == start.is_ipv4() && first_bits(client, bits) == value(start),
        })
    }
}

/// The rule of a line; `None` if the line is blank or a comment.
fn rule(line: &str) -> Result<Option<Rule>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.starts_with("unix") {
        return Ok(Some(Rule::Unix));
    }
    if line.starts_with("local") {
        return Ok(Some(Rule::Local));
    }
    let (start, length) = match line.split_once('/') {
        Some((start, length)) => (start.trim_end(), Some(length.trim_start())),
        None => (line, None),
    };
    let unread = || format!("{} is no rule: write unix, local, 10.0.0.1 or 10.0.0.0/24", shown(line));
    let Reading::Address(endpoint) = address::read(start) else {
        return Err(unread());
    };
    let most = if endpoint.ip.is_ipv4() { 32 } else { 128 };
    let bits = length.map_or(Some(most), |length| address::digits(length, 3)).filter(|&bits| bits <= most);
    let bits = bits.filter(|_| endpoint.port.is_none()).ok_or_else(unread)?;
    range(endpoint.ip, bits).map(Some)
}

fn range(start: IpAddr, bits: u32) -> Result<Rule, String> {
    if first_bits(start, bits) == value(start) {
        return Ok(Rule::Range(start, bits));
    }
    let meant = match start {
        IpAddr::V4(_) => Ipv4Addr::from_bits(first_bits(start, bits) as u32).into(),
        IpAddr::V6(_) => IpAddr::from(first_bits(start, bits).to_be_bytes()),
    };
    Err(format!("{start}/{bits} fits no address, as bits after the first {bits} are set: write {meant}/{bits}"))
}

fn value(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address as a number, all but its first `bits` bits cleared.
fn first_bits(ip: IpAddr, bits: u32) -> u128 {
    let cleared = if ip.is_ipv4() { 32 - bits } else { 128 - bits };
    value(ip).checked_shr(cleared).and_then(|kept| kept.checked_shl(cleared)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn list(text: &str) -> AccessList {
        let (list, wrong) = AccessList::parse("f", text.as_bytes());
        assert_eq!(wrong, []);
        list
    }

    fn allows(text: &str, client: &str) -> bool {
        list(text).allows(client.parse().unwrap())
    }

    #[test]
    fn any_fitting_rule_allows() {
        let text = "# rules\n\n 10.1.2.3\n10.2.0.0/16\n10.3.0.0 / 24\r\nfd00::/8\n";
        for client in ["10.1.2.3", "10.2.255.255", "10.3.0.9", "fd01::1", "::ffff:10.1.2.3"] {
            assert!(allows(text, client), "{client}");
        }
        for client in ["10.1.2.4", "10.3.1.0", "127.0.0.1", "fe80::1"] {
            assert!(!allows(text, client), "{client}");
        }
        assert!(!list(text).allows_unix());
    }

    #[test]
    fn words_stand_for_clients_of_this_machine() {
        assert!(list("unix").allows_unix() && !allows("unix", "127.0.0.1"));
        assert!(allows("local clients", "127.9.9.9") && allows("local", "::1") && !allows("local", "10.0.0.1"));
        assert!(!list("local").allows_unix());
    }

    #[test]
    fn no_bits_mean_everybody_of_that_family() {
        assert!(allows("0.0.0.0/0", "8.8.8.8") && !allows("0.0.0.0/0", "fd00::1"));
        assert!(allows("::/0", "fd00::1") && !allows("::/0", "8.8.8.8"));
    }

    #[test]
    fn a_line_that_is_no_rule_is_reported_and_the_next_is_read() {
        let (list, wrong) = AccessList::parse("f", b"10.0.0\n10.0.0.0/33\n10.0.0.1:80\nhost\n192.168.1.7/24\n10.0.0.9");
        assert_eq!(wrong.len(), 5);
        assert_eq!(wrong[0].to_string(), "f:1:1: \"10.0.0\" is no rule: write unix, local, 10.0.0.1 or 10.0.0.0/24");
        assert!(wrong[4].message.ends_with("write 192.168.1.0/24"), "{}", wrong[4]);
        assert!(list.allows([10, 0, 0, 9].into()) && !list.allows([192, 168, 1, 7].into()));
    }

    #[test]
    fn random_bytes_give_a_list() {
        const BYTES: &[u8] = b"0123456789./:unixf \n\xff";
        let mut rng = Rng::new(4);
        for _ in 0..2000 {
            let byte = |_| BYTES[rng.below(BYTES.len() as u64) as usize];
            let bytes: Vec<u8> = (0..60).map(byte).collect();
            let (list, _) = AccessList::parse("f", &bytes);
            list.allows([10, 0, 0, 1].into());
        }
    }
}
