//! Writes settings as a file, for `spread --check --print`: every value that has an effect, in a fixed order, with the defaults.
//!
//! Reading the written file gives the same settings. Words without effect and comments are not written.

use std::fmt::{self, Write};
use std::net::IpAddr;

use super::address;
use super::keywords::{self, KEYWORDS};
use super::table::{ClientAddresses, Daemon, Network, Table};
use super::{NetworkKind, Settings};
use crate::session::Method;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.table)?;
        write_notes(f, self)?;
        writeln!(f)?;
        for keyword in KEYWORDS {
            match keyword.value(self) {
                Some(value) if value.is_empty() => writeln!(f, "{}", keyword.name)?,
                Some(value) => writeln!(f, "{} = {value}", keyword.name)?,
                None => {}
            }
        }
        Ok(())
    }
}

fn write_table(f: &mut impl Write, table: &Table) -> fmt::Result {
    for (index, segment) in table.segments.iter().enumerate() {
        write!(f, "{}", keywords::SEGMENT)?;
        segment.networks.iter().try_for_each(|network| write!(f, " {}", network_word(network)))?;
        writeln!(f, " {{")?;
        for daemon in table.daemons.iter().filter(|daemon| daemon.segment == index) {
            write_daemon(f, daemon)?;
        }
        writeln!(f, "}}")?;
    }
    Ok(())
}

fn network_word(network: &Network) -> String {
    let port = network.port;
    match network.kind {
        NetworkKind::Unicast => format!("unicast:{port}"),
        NetworkKind::Multicast(IpAddr::V6(group)) => format!("[{group}]:{port}"),
        NetworkKind::Multicast(group) => format!("{group}:{port}"),
        NetworkKind::Broadcast(address) => format!("{address}:{port}"),
    }
}

fn write_daemon(f: &mut impl Write, daemon: &Daemon) -> fmt::Result {
    let (name, identity) = (name(&daemon.name), daemon.identity);
    let addresses: Vec<IpAddr> = daemon.addresses.iter().flatten().copied().collect();
    let traffic: Vec<String> = daemon.addresses.iter().zip(&daemon.interfaces).filter_map(with_scope).collect();
    let list =
        |letter: &str, words: &[String]| -> String { words.iter().map(|word| format!(" {letter}{word}")).collect() };
    let identity_word = with_scope((&Some(identity), &scope_of(daemon))).unwrap_or_default();
    match &daemon.clients {
        ClientAddresses::All => writeln!(f, "    {name}{}", list("", &traffic)),
        ClientAddresses::Only(clients) => {
            // The address that identifies the daemon must be among its interfaces. If it carries nothing, it stands there with M,
            // which has no effect.
            let listed = addresses.contains(&identity) || clients.contains(&identity);
            let listed = if listed { String::new() } else { format!(" M {identity_word}") };
            let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
            let (traffic, clients) = (list("D ", &traffic), list("C ", &clients));
            writeln!(f, "    {name} {identity_word} {{{traffic}{clients}{listed} }}")
        }
    }
}

/// An address with its interface, if it has one. The syntax has no interface for IPv4.
fn with_scope((address, interface): (&Option<IpAddr>, &Option<String>)) -> Option<String> {
    match (address.as_ref()?, interface) {
        (IpAddr::V6(ip), Some(interface)) => Some(format!("{ip}%{interface}")),
        (ip, _) => Some(ip.to_string()),
    }
}

/// The interface of the address that identifies a daemon. If the address is on no network, any interface will do, because no
/// packet goes there.
fn scope_of(daemon: &Daemon) -> Option<String> {
    let at = daemon.addresses.iter().position(|address| *address == Some(daemon.identity)).unwrap_or(0);
    daemon.interfaces.get(at).cloned().flatten()
}

fn write_notes(f: &mut impl Write, settings: &Settings) -> fmt::Result {
    for (number, notes) in settings.table.networks.iter().enumerate() {
        let mut keys = String::new();
        if let Some(name) = &notes.name {
            write!(keys, " Name = {}", quoted(name))?;
        }
        if let Some(interface) = &notes.interface {
            write!(keys, " Interface = {}", quoted(interface))?;
        }
        if let Some(priority) = settings.live.priorities.get(number).filter(|priority| **priority > 0) {
            write!(keys, " Priority = {priority}")?;
        }
        if !keys.is_empty() {
            writeln!(f, "Network {number} {{{keys} }}")?;
        }
    }
    Ok(())
}

/// A daemon's name, in quotes unless it is plain.
fn name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !keywords::is_reserved(name)
        && matches!(address::read(name), address::Reading::NoAddress);
    if plain { name.to_string() } else { quoted(name) }
}

/// A text in a kind of quotes that it does not contain. A text with both kinds can only come from a bare word, so it is written
/// as one.
pub(super) fn quoted(text: &str) -> String {
    match (text.contains('"'), text.contains('\'')) {
        (false, _) => format!("\"{text}\""),
        (true, false) => format!("'{text}'"),
        (true, true) => text.to_string(),
    }
}

/// A number of bytes with the largest unit that divides it.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{}G", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

pub(super) fn allowed_methods(settings: &Settings) -> Option<String> {
    let session = &settings.live.session;
    let said = !session.allowed.is_empty() || session.required.is_empty();
    said.then(|| methods(&session.allowed))
}

pub(super) fn required_methods(settings: &Settings) -> Option<String> {
    let required = &settings.live.session.required;
    (!required.is_empty()).then(|| methods(required))
}

fn methods(methods: &[Method]) -> String {
    let names: Vec<String> = methods.iter().map(|method| format!("{:?}", method.name())).collect();
    quoted(&names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        Settings::parse("f", text.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn everything_that_counts_is_written_in_one_order() {
        let text = "SlowClient = block-senders EventLogFile = '/x/a \"b\"' LinkProtocol = Hop
            Network 1 { Name = 'my lan' Priority = 3 Mode = unicast }
            Spread_Segment 239.77.0.1 239.77.1.1:4900 {
                \"C\" 10.77.0.1 { D 10.77.0.1 D C 10.77.1.1 }
                beta 10.77.0.2 10.77.1.2
            }
            Spread_Segment [ff02::7]:4901 { }
            NetworkPolicy = active 2 MaxMessageSize = 2048K AllowedAuthMethods = 'IP NULL' TokenTimeout = 700";
        let printed = printed(text);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "Spread_Segment 239.77.0.1:4803 unicast:4900 {",
                "    \"C\" 10.77.0.1 { D 10.77.0.1 D 10.77.1.1 C 10.77.1.1 }",
                "    beta 10.77.0.2 10.77.1.2",
                "}",
                "Spread_Segment [ff02::7]:4901 {",
                "}",
                "Network 1 { Name = \"my lan\" Priority = 3 }",
            ]
        );
        for line in [
            "NetworkPolicy = active 2",
            "EventLogFile = '/x/a \"b\"'",
            "AllowedAuthMethods = \"IP NULL\"",
            "MaxMessageSize = 2M",
            "SlowClient = block-senders",
            "TokenTimeout = 700",
            "HurryTimeout = 500",
        ] {
            assert!(lines.contains(&line), "{line} in {printed}");
        }
        assert!(!printed.contains("LinkProtocol") && !printed.contains("EventTimeStamp"), "{printed}");
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in [
            "Spread_Segment 10.0.0.255 { a 10.0.0.1 { D 10.0.1.1 M 10.0.0.1 } b 10.0.0.2 { C 10.0.0.2 } }",
            "Spread_Segment 127.0.0.255 { 'my \"host' 127.0.0.1 } EventPreciseTimeStamp RequiredAuthMethods = IP",
            "Spread_Segment [ff02::7%eth1]:5000 { a fe80::1%eth2 b fe80::2 { D fe80::2 C :: C fd00::1 M fe80::3 } }",
            "Spread_Segment 10.0.0.255:0 { a 10.0.0.1\n 10.0.0.2\n10.0.0.3; d 10.0.0.4 VirtualID = 7 }",
            "Spread_Segment unicast { a fd00::1 { fd00::1 } } AllowedAuthMethods = BOGUS Window = 20",
        ] {
            let once = printed(text);
            let settings =
                |text: &str| Settings { warnings: Vec::new(), ..Settings::parse("f", text.as_bytes()).unwrap() };
            assert_eq!(format!("{:?}", settings(text)), format!("{:?}", settings(&once)), "{once}");
            assert_eq!(printed(&once), once);
        }
    }
}
