//! Names beside the addresses of daemons and the numbers of networks. The parts that log know only the latter; an operator knows
//! both, and looks for the name.

use std::collections::BTreeMap;
use std::iter;
use std::net::{IpAddr, Ipv4Addr};

use super::Table;

/// The names of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Names {
    daemons: BTreeMap<Ipv4Addr, String>,
    networks: Vec<Option<String>>,
}

impl Names {
    /// The names of a table: daemons by their ids and IPv4 addresses.
    pub fn of(table: &Table) -> Names {
        let networks = table.networks.iter().map(|notes| notes.name.clone());
        let daemons = table.daemons.iter().flat_map(|daemon| {
            let addresses = daemon.addresses.iter().filter_map(|address| match address {
                Some(IpAddr::V4(address)) => Some(*address),
                _ => None,
            });
            iter::once(Ipv4Addr::from_bits(daemon.id.0)).chain(addresses).map(|address| (address, daemon.name.clone()))
        });
        Names::new(daemons, networks.collect())
    }

    /// Daemons by their addresses, and networks by number as far as they have names.
    pub fn new(daemons: impl Iterator<Item = (Ipv4Addr, String)>, networks: Vec<Option<String>>) -> Names {
        let mut names = Names { networks, ..Names::default() };
        names.daemons.extend(daemons);
        names
    }

    /// These, and behind them the daemons that had names before: of those who go something may be said yet.
    pub fn before(self, old: &Names) -> Names {
        let mut daemons = old.daemons.clone();
        daemons.extend(self.daemons);
        Names { daemons, networks: self.networks }
    }

    /// The text with `name (address)` for each address of a daemon. A command in quotation marks stays as it can be typed.
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
                // A URL stays as it can be opened.
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

    /// The text with `network number (name)` for each network that has a name.
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

    fn names() -> Names {
        let daemons = [([10, 0, 0, 2].into(), "beta".to_owned()), ([10, 0, 0, 21].into(), "gamma".to_owned())];
        Names::new(daemons.into_iter(), vec![None, Some("office".to_owned())])
    }

    #[test]
    fn a_daemons_name_stands_before_its_address() {
        let text = |text| names().beside_addresses(text);
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
            names().beside_numbers("network 1: down, network 0, network 12"),
            "network 1 (office): down, network 0, network 12"
        );
        assert_eq!((names().network(1).as_deref(), names().network(0)), (Some("1 (office)"), None));
    }
}
