//! The differences between two readings of a file: for the log at a reload, and to refuse changes that need a restart.

use std::fmt;

use super::keywords::{Change, KEYWORDS};
use super::table::{Daemon, Table};
use super::{NetworkKind, Settings};

/// One thing in which a new reading of the file differs from the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// When the new value takes effect.
    pub change: Change,
    /// The difference in words, with both values.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Settings {
    /// The differences between these settings and `before`: first those of daemons and networks. Empty if no value differs.
    pub fn differences(&self, before: &Settings) -> Vec<Difference> {
        let mut all = self.table.differences(&before.table);
        for keyword in KEYWORDS {
            let (old, new) = (keyword.value(before), keyword.value(self));
            if old != new {
                let change = match keyword.change {
                    // A new key file works at once, but sealing itself begins or ends only at a restart.
                    Change::Exchange if old.is_some() && new.is_some() => Change::Live,
                    Change::Exchange => Change::Start,
                    change => change,
                };
                let text = format!("{} was {} and is {}", keyword.name, said(old), said(new));
                all.push(Difference { change, text });
            }
        }
        let priority =
            |settings: &Settings, network: usize| settings.live.priorities.get(network).copied().unwrap_or(0);
        for network in 0..self.table.network_count() {
            let (old, new) = (priority(before, network), priority(self, network));
            if old != new {
                let text = format!("the priority of network {network} was {old} and is {new}");
                all.push(Difference { change: Change::Live, text });
            }
        }
        all
    }
}

/// The value of a keyword in the words for operators.
fn said(value: Option<String>) -> String {
    match value {
        None => "not set".to_string(),
        Some(value) if value.is_empty() => "set".to_string(),
        Some(value) => value,
    }
}

impl Table {
    /// The differences between this table and `before`, daemon by daemon, then network by network.
    fn differences(&self, before: &Table) -> Vec<Difference> {
        // By id, because a daemon with a new name is still the same daemon.
        let named = |table: &'_ Table, id| table.daemons.iter().position(|daemon| daemon.id == id);
        let mut texts = Vec::new();
        for old in &before.daemons {
            match named(self, old.id) {
                None => texts.push(table(format!("the daemon {} is removed", old.name))),
                Some(at) => differences_of(old, &self.daemons[at], &mut texts),
            }
        }
        let added = self.daemons.iter().filter(|daemon| named(before, daemon.id).is_none());
        texts.extend(added.map(|daemon| table(format!("the daemon {} is added", daemon.name))));
        let common = |table: &Table, other: &Table| -> Vec<_> {
            table.daemons.iter().map(|daemon| daemon.id).filter(|id| named(other, *id).is_some()).collect()
        };
        // Only daemons of both files count: an added or removed one does not change the order.
        if common(self, before) != common(before, self) {
            texts.push(table("the daemons stand in another order".to_string()));
        }
        self.network_differences(before, &mut texts);
        texts
    }

    fn network_differences(&self, before: &Table, texts: &mut Vec<Difference>) {
        let (old, new) = (before.segments.len(), self.segments.len());
        if old != new {
            texts.push(table(format!("there were {old} segments and are {new}")));
        }
        // Segments have no names, so they are compared by their place in the file.
        for (index, (old, new)) in before.segments.iter().zip(&self.segments).enumerate() {
            let (before, now) = (old.networks.len(), new.networks.len());
            if before != now {
                texts.push(table(format!("segment {} had {before} networks and has {now}", index + 1)));
            }
            for (number, (old, new)) in old.networks.iter().zip(&new.networks).enumerate() {
                if old != new {
                    let said = |kind: NetworkKind, port| format!("{kind}, port {port}");
                    let (old, new) = (said(old.kind, old.port), said(new.kind, new.port));
                    texts.push(table(format!("network {number} of segment {} was {old} and is {new}", index + 1)));
                }
            }
        }
        for (number, (old, new)) in before.networks.iter().zip(&self.networks).enumerate() {
            if old.name != new.name {
                let name =
                    |name: &Option<String>| name.as_ref().map_or("not named".to_string(), |it| format!("{it:?}"));
                let text = format!("network {number} was {} and is {}", name(&old.name), name(&new.name));
                texts.push(Difference { change: Change::Live, text });
            }
            if old.interface != new.interface {
                texts.push(start(format!("network {number} is on another interface")));
            }
        }
    }
}

/// A difference that takes effect when all daemons have the new table.
fn table(text: String) -> Difference {
    Difference { change: Change::Table, text }
}

/// A difference that takes effect after a restart.
fn start(text: String) -> Difference {
    Difference { change: Change::Start, text }
}

fn differences_of(old: &Daemon, new: &Daemon, texts: &mut Vec<Difference>) {
    if old.name != new.name {
        texts.push(table(format!("the daemon {} is called {}", old.name, new.name)));
    }
    if old.segment != new.segment {
        texts.push(table(format!("the daemon {} is in another segment", new.name)));
    }
    let shown = |address: Option<&Option<_>>| match address {
        Some(Some(address)) => format!("{address}"),
        _ => "no address".to_string(),
    };
    for network in 0..old.addresses.len().max(new.addresses.len()) {
        let (was, is): (Option<&Option<std::net::IpAddr>>, _) =
            (old.addresses.get(network), new.addresses.get(network));
        if was.copied().flatten() != is.copied().flatten() {
            texts.push(table(format!(
                "{} on network {network} was at {} and is at {}",
                new.name,
                shown(was),
                shown(is)
            )));
        }
    }
    // With a new address the difference is reported above already.
    if old.interfaces != new.interfaces && old.addresses == new.addresses {
        texts.push(start(format!("{} has another interface", new.name)));
    }
    if old.clients != new.clients {
        let text = format!("{} served clients at {} and serves them at {}", new.name, old.clients, new.clients);
        texts.push(Difference { change: Change::Live, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "Spread_Segment 239.77.0.1 239.77.1.1 { a 10.77.0.1 10.77.1.1 b 10.77.0.2 10.77.1.2 }";

    fn differences(text: &str) -> Vec<String> {
        let read = |text: &str| Settings::parse("f", text.as_bytes()).unwrap();
        read(text).differences(&read(FILE)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_difference_is_told_with_both_values() {
        assert_eq!(differences(&format!("# another layout\n{FILE} Window = 512 PersonalWindow = 128")), [""; 0]);
        for (text, told) in [
            (format!("{FILE} MaxSessions = 7"), "MaxSessions was 10000 and is 7"),
            (format!("{FILE} EventLogFile = /x"), "EventLogFile was not set and is \"/x\""),
            (format!("{FILE} EventPriority = ERROR"), "EventPriority was INFO and is ERROR"),
            (format!("{FILE} DaemonUser = me"), "DaemonUser was \"spread\" and is \"me\""),
            (format!("{FILE} Network 1 {{ Priority = 3 }}"), "the priority of network 1 was 0 and is 3"),
            (FILE.replace("b 10", "c 10"), "the daemon b is called c"),
            (FILE.replace("10.77.1.2", "10.77.1.9"), "b on network 1 was at 10.77.1.2 and is at 10.77.1.9"),
            (FILE.replace("b 10.77.0.2 10.77.1.2", ""), "the daemon b is removed"),
            (FILE.replace("}", "c 10.77.0.3 10.77.1.3 }"), "the daemon c is added"),
            (
                FILE.replace("239.77.1.1", "unicast:99"),
                "network 1 of segment 1 was multicast to 239.77.1.1, port 4803 and is unicast to each daemon in turn, port 99",
            ),
            (format!("{FILE} Network 0 {{ Name = x }}"), "network 0 was not named and is \"x\""),
            (format!("{FILE} Network 0 {{ Interface = eth9 }}"), "network 0 is on another interface"),
            (
                "Spread_Segment 239.77.0.1 239.77.1.1 { b 10.77.0.2 10.77.1.2 a 10.77.0.1 10.77.1.1 }".to_string(),
                "the daemons stand in another order",
            ),
            (
                FILE.replace("b 10.77.0.2 10.77.1.2", "b 10.77.0.2 { D 10.77.0.2 D 10.77.1.2 C 10.77.1.2 C ::1 }"),
                "b served clients at every address and serves them at 10.77.1.2, ::1",
            ),
        ] {
            assert_eq!(differences(&text), [told], "{text}");
        }
        assert_eq!(
            differences("Spread_Segment 239.77.0.1 { a 10.77.0.1 b 10.77.0.2 }"),
            [
                "a on network 1 was at 10.77.1.1 and is at no address",
                "b on network 1 was at 10.77.1.2 and is at no address",
                "segment 1 had 2 networks and has 1",
            ]
        );
    }
}
