//! Which daemon a private group belongs to: the one in its name.
//!
//! A daemon speaks only for its own clients, so a message about another daemon's client is forged.

use std::collections::BTreeMap;

use crate::wire::{DaemonId, Name};

/// The names of the daemons.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<DaemonId, Box<[u8]>>);

impl Names {
    pub fn new(names: impl IntoIterator<Item = (DaemonId, String)>) -> Names {
        let mut all = Names(BTreeMap::new());
        all.extend(names);
        all
    }

    /// Sets the names of daemons that may come. A known daemon keeps its name until it has gone.
    pub fn extend(&mut self, names: impl IntoIterator<Item = (DaemonId, String)>) {
        self.0.extend(names.into_iter().map(|(daemon, name)| (daemon, name.into_bytes().into())));
    }

    /// Whether this is the private group of one of this daemon's clients.
    pub fn belongs(&self, member: &Name, daemon: DaemonId) -> bool {
        let told = member.private_parts().map(|(_, name)| name);
        told.is_some() && self.0.get(&daemon).map(|name| &name[..]) == told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_speaks_for_its_own_clients_only() {
        let names = Names::new([(DaemonId(1), "alpha".to_string()), (DaemonId(2), "beta".to_string())]);
        let name = |text: &str| Name::new(text.as_bytes()).unwrap();
        assert!(names.belongs(&name("#root#beta"), DaemonId(2)));
        for (member, daemon) in
            [("#root#beta", 1), ("#root#bet", 2), ("#root#", 2), ("root", 2), ("", 2), ("#a#gamma", 3)]
        {
            assert!(!names.belongs(&name(member), DaemonId(daemon)), "{member} at {daemon}");
        }
    }
}
