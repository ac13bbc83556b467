//! Settings in words, for `spread --check FILE`.

use std::fmt::Write;

use super::Settings;
use super::table::{Daemon, Segment};

/// Explains settings: the networks, the policy, the daemons with a mark at `me`, and the warnings.
pub fn explain(settings: &Settings, me: Option<&Daemon>) -> String {
    let mut text = String::new();
    write(&mut text, settings, me).expect("a string takes every text");
    text
}

fn write(text: &mut String, settings: &Settings, me: Option<&Daemon>) -> std::fmt::Result {
    let table = &settings.table;
    let networks = table.network_count();
    writeln!(
        text,
        "{}, {}, {}; table {:08x}",
        count(table.daemons.len(), "daemon"),
        count(networks, "network"),
        count(table.segments.len(), "segment"),
        table.digest()
    )?;
    writeln!(text, "policy: {}", policy(settings))?;
    if table.segments.len() > 1 {
        writeln!(text, "between segments: unicast, data to one daemon of each, which passes it on there")?;
    }
    for (index, segment) in table.segments.iter().enumerate() {
        writeln!(text, "\nsegment {}, clients on port {}", index + 1, segment.client_port())?;
        for (id, network) in segment.networks.iter().enumerate() {
            write!(text, "  network {id}")?;
            let notes = table.networks.get(id);
            if let Some(name) = notes.and_then(|notes| notes.name.as_ref()) {
                write!(text, ", {name}")?;
            }
            write!(text, ": {}, port {}", network.kind, network.port)?;
            if let Some(priority) = settings.live.priorities.get(id).filter(|priority| **priority > 0) {
                write!(text, ", priority {priority}")?;
            }
            match notes.and_then(|notes| notes.interface.as_ref()) {
                Some(interface) => writeln!(text, ", on {interface}")?,
                None => writeln!(text)?,
            }
        }
        for daemon in table.daemons.iter().filter(|daemon| daemon.segment == index) {
            write_daemon(text, daemon, segment, me)?;
        }
    }
    for (n, warning) in settings.warnings.iter().enumerate() {
        let before = if n == 0 { "\n" } else { "" };
        writeln!(text, "{before}warning: {warning}")?;
    }
    Ok(())
}

fn write_daemon(text: &mut String, daemon: &Daemon, segment: &Segment, me: Option<&Daemon>) -> std::fmt::Result {
    let mark = if me == Some(daemon) { " (this daemon)" } else { "" };
    writeln!(text, "  daemon {}, id {}{mark}", daemon.name, daemon.id)?;
    for (id, address) in daemon.addresses.iter().take(segment.networks.len()).enumerate() {
        if let Some(address) = address {
            writeln!(text, "    network {id} at {address}")?;
        }
    }
    writeln!(text, "    clients at {}", daemon.clients)
}

fn policy(settings: &Settings) -> String {
    let networks = settings.table.network_count();
    if networks == 1 {
        return "one network carries everything".to_string();
    }
    settings.live.policy.explain(networks, &settings.live.preference(networks))
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_explained_in_words() {
        let text = "Spread_Segment 239.77.0.1 10.77.1.255:4900 unicast {
                alpha 10.77.0.1 { D C 10.77.0.1  D 10.77.1.1  D 10.77.2.1 }
                beta  10.77.0.2 10.77.1.2 10.77.2.2
            }
            NetworkPolicy = active 2
            Network 1 { Name = storage Interface = eth1 }
            LinkProtocol = Hop";
        let settings = Settings::parse("f", text.as_bytes()).unwrap();
        let expected = format!(
            "2 daemons, 3 networks, 1 segment; table {:08x}
policy: active, every packet travels on 2 of 3 networks

segment 1, clients on port 4803
  network 0: multicast to 239.77.0.1, port 4803
  network 1, storage: broadcast to 10.77.1.255, port 4900, on eth1
  network 2: unicast to each daemon in turn, port 4803
  daemon alpha, id 10.77.0.1
    network 0 at 10.77.0.1
    network 1 at 10.77.1.1
    network 2 at 10.77.2.1
    clients at 10.77.0.1
  daemon beta, id 10.77.0.2 (this daemon)
    network 0 at 10.77.0.2
    network 1 at 10.77.1.2
    network 2 at 10.77.2.2
    clients at every address

warning: f:7:13: LinkProtocol has no effect: daemons always talk by UDP
",
            settings.table.digest()
        );
        assert_eq!(explain(&settings, settings.table.daemons.get(1)), expected);
    }

    #[test]
    fn every_policy_and_several_segments_are_explained() {
        let explained = |policy: &str| {
            let text = format!(
                "Spread_Segment 10.0.0.255 10.0.1.255 {{ a 10.0.0.1 10.0.1.1 }}
                 Spread_Segment 10.0.2.255:4900 {{ b 10.0.2.1 }} NetworkPolicy = {policy}"
            );
            explain(&Settings::parse("f", text.as_bytes()).unwrap(), None)
        };
        for (policy, words) in [
            ("active", "active, every packet travels on all 2 networks"),
            ("active 1", "active, every packet travels on 1 of 2 networks"),
            ("passive", "passive, packets take the 2 networks in turn"),
            ("primary", "primary, packets take the first healthy one of networks 0, 1"),
        ] {
            let explained = explained(policy);
            let lines: Vec<&str> = explained.lines().collect();
            assert_eq!(lines[1..4], [&format!("policy: {words}"), BETWEEN, ""], "{policy}");
            assert_eq!(lines.iter().filter(|line| line.starts_with("segment ")).count(), 2);
        }
    }

    #[test]
    fn priorities_say_which_network_is_used_first() {
        let text = "Spread_Segment unicast unicast unicast { a 10.0.0.1 10.0.1.1 10.0.2.1 } NetworkPolicy = primary
            Network 2 { Priority = 10 Interface = eth2 } Network 1 { Priority = 5 }";
        let explained = explain(&Settings::parse("f", text.as_bytes()).unwrap(), None);
        let lines: Vec<&str> = explained.lines().collect();
        assert_eq!(lines[1], "policy: primary, packets take the first healthy one of networks 2, 1, 0");
        assert_eq!(lines[4], "  network 0: unicast to each daemon in turn, port 4803");
        assert_eq!(lines[6], "  network 2: unicast to each daemon in turn, port 4803, priority 10, on eth2");
    }

    const BETWEEN: &str = "between segments: unicast, data to one daemon of each, which passes it on there";
}
