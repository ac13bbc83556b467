//! Puts the names of daemons beside their addresses, and the names of networks beside their numbers, in texts for operators. The
//! parts that write these texts know only addresses and numbers.

use std::collections::BTreeMap;
use std::iter;
use std::net::{IpAddr, Ipv4Addr};

use super::Table;

/// The names that a configuration file gives to daemons and networks, as labels for texts.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    daemons: BTreeMap<Ipv4Addr, String>,
    networks: Vec<Option<String>>,
}

impl Labels {
    /// The labels of a table. It knows daemons by their ids and their IPv4 addresses.
    pub fn of(table: &Table) -> Labels {
        let networks = table.networks.iter().map(|notes| notes.name.clone());
        let daemons = table.daemons.iter().flat_map(|daemon| {
            let addresses = daemon.addresses.iter().filter_map(|address| match address {
                Some(IpAddr::V4(address)) => Some(*address),
                _ => None,
            });
            iter::once(Ipv4Addr::from_bits(daemon.id.0)).chain(addresses).map(|address| (address, daemon.name.clone()))
        });
        Labels::new(daemons, networks.collect())
    }

    /// Labels for daemons by their addresses, and for the networks that have names, by number.
    pub fn new(daemons: impl Iterator<Item = (Ipv4Addr, String)>, networks: Vec<Option<String>>) -> Labels {
        let mut labels = Labels { networks, ..Labels::default() };
        labels.daemons.extend(daemons);
        labels
    }

    /// These labels, and those of daemons that only `old` names: the log may still speak of a daemon that leaves.
    pub fn before(self, old: &Labels) -> Labels {
        let mut daemons = old.daemons.clone();
        daemons.extend(self.daemons);
        Labels { daemons, networks: self.networks }
    }

    /// The text, with the name of a daemon before each of its addresses: `name (address)`. A command in quotation marks stays as
    /// a user can type it.
    pub fn beside_addresses(&self, text: &str) -> String {
        let parts = text.split('"').enumerate();
        let named = parts.map(|(n, part)| if n % 2 == 0 { self.name_addresses(part) } else { part.to_owned() });
        named.collect::<Vec<_>>().join("\"")
    }

    fn name_addresses(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let length = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len() - start);
            let run = &rest[start..start + length];
            let address = run.trim_end_matches('.');
            named.push_str(&rest[..start]);
            match address.parse().ok().and_then(|address: Ipv4Addr| self.daemons.get(&address)) {
                // A URL stays as a user can open it.
                Some(name) if !named.ends_with("//") => named.push_str(&format!("{name} ({address})")),
                _ => named.push_str(address),
            }
            rest = &rest[start + address.len()..];
        }
        named + rest
    }

    /// The network's number and its name, if it has one.
    pub fn network(&self, number: u64) -> Option<String> {
        let name = self.networks.get(usize::try_from(number).ok()?)?.as_ref()?;
        Some(format!("{number} ({name})"))
    }

    /// The text, with the name of a network behind its number: `network number (name)`. A network without a name stays as it is.
    pub fn beside_numbers(&self, text: &str) -> String {
        const WORD: &str = "network ";
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = rest.find(WORD) {
            let (front, behind) = rest.split_at(found + WORD.len());
            named.push_str(front);
            let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            let number = &behind[..digits];
            named.push_str(&number.parse().ok().and_then(|number| self.network(number)).unwrap_or(number.to_owned()));
            rest = &behind[digits..];
        }
        named + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let daemons = [([10, 0, 0, 2].into(), "beta".to_owned()), ([10, 0, 0, 21].into(), "gamma".to_owned())];
        Labels::new(daemons.into_iter(), vec![None, Some("office".to_owned())])
    }

    #[test]
    fn a_daemons_name_stands_before_its_address() {
        let text = |text| labels().beside_addresses(text);
        assert_eq!(text("10.0.0.2 leaves"), "beta (10.0.0.2) leaves");
        assert_eq!(text("[10.0.0.21, 10.0.0.9, 10.0.0.2]."), "[gamma (10.0.0.21), 10.0.0.9, beta (10.0.0.2)].");
        assert_eq!(text("at 10.0.0.2:4803 and 3.5 s. 7"), "at beta (10.0.0.2):4803 and 3.5 s. 7");
        assert_eq!(text("try \"ping 10.0.0.2\" for 10.0.0.2"), "try \"ping 10.0.0.2\" for beta (10.0.0.2)");
        assert_eq!(text("http://10.0.0.2:4880/ of 10.0.0.2"), "http://10.0.0.2:4880/ of beta (10.0.0.2)");
        assert_eq!(text("none"), "none");
    }

    #[test]
    fn a_networks_name_stands_behind_its_number() {
        assert_eq!(
            labels().beside_numbers("network 1: down, network 0, network 12"),
            "network 1 (office): down, network 0, network 12"
        );
        assert_eq!((labels().network(1).as_deref(), labels().network(0)), (Some("1 (office)"), None));
    }
}
