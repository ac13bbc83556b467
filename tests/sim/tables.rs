//! The membership tables of a history: what each daemon's file says, and when the daemon reads it again.
//!
//! A table says which daemons there are and which networks of the world they use, in which order. The last one of a history has all
//! daemons and all networks, so that everything must come together in the end.

use spread::multipath::{NextTable, System};
use spread::rng::Rng;
use spread::time::Instant;
use spread::wire::{DaemonId, NetworkId};

use crate::actor::system;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// In the order of the file.
    pub daemons: Vec<DaemonId>,
    /// The networks of the world; the one with index i is network i.
    pub networks: Vec<u8>,
    /// Its number among those of a history.
    pub number: u32,
}

impl Table {
    /// The table of all.
    pub fn whole(daemons: usize, networks: usize) -> Table {
        let daemons = (1..=daemons as u32).map(DaemonId).collect();
        Table { daemons, networks: (0..networks as u8).collect(), number: 0 }
    }

    pub fn new(daemons: impl IntoIterator<Item = u32>, networks: &[u8], number: u32) -> Table {
        Table { daemons: daemons.into_iter().map(DaemonId).collect(), networks: networks.to_vec(), number }
    }

    pub fn numbered(self, number: u32) -> Table {
        Table { number, ..self }
    }

    pub fn draw(rng: &mut Rng, daemons: usize, networks: usize, number: u32) -> Table {
        let mut table = Table { number, ..Table::whole(daemons, networks) };
        let keep = [0.5, 0.9, 1.0][rng.below(3) as usize];
        table.daemons.retain(|_| rng.chance(keep));
        table.networks.retain(|_| rng.chance(keep));
        if table.networks.is_empty() {
            table.networks.push(rng.below(networks as u64) as u8);
        }
        // Another order is another table.
        for last in (1..table.networks.len()).rev().filter(|_| number % 2 == 1) {
            table.networks.swap(last, rng.below(last as u64 + 1) as usize);
        }
        for last in (1..table.daemons.len()).rev().filter(|_| number % 3 == 2) {
            table.daemons.swap(last, rng.below(last as u64 + 1) as usize);
        }
        table
    }

    pub fn system(&self) -> System {
        System { digest: system().digest + self.number, ..system() }
    }

    /// The table as paths see it, with what the networks were before.
    pub fn next(&self, sites: &[usize], wires: &Wires) -> NextTable {
        let site = |daemon: &DaemonId| sites.get(daemon.0 as usize - 1).copied().unwrap_or_default();
        NextTable {
            system: self.system(),
            daemons: self.daemons.clone(),
            sites: self.daemons.iter().map(site).collect(),
            networks: self.networks.iter().map(|&network| Wires::number(&wires.present, network)).collect(),
            sources: Vec::new(),
        }
    }
}

/// Which network of the world each network of a daemon is: what its sockets are for.
#[derive(Clone, Debug)]
pub struct Wires {
    present: Vec<u8>,
    next: Option<Vec<u8>>,
    left: Vec<u8>,
}

impl Wires {
    pub fn new(table: &Table) -> Wires {
        Wires { present: table.networks.clone(), next: None, left: Vec::new() }
    }

    /// The network of the world.
    pub fn out(&self, network: NetworkId) -> NetworkId {
        NetworkId(self.present[usize::from(network.0)])
    }

    /// The number that a network of the world has at a daemon, which hears the networks of the next table and of the last one too.
    pub fn arrival(&self, network: NetworkId) -> Option<NetworkId> {
        let tables = [Some(&self.present), self.next.as_ref(), Some(&self.left)];
        tables.into_iter().flatten().find_map(|table| Wires::number(table, network.0))
    }

    pub fn prepare(&mut self, table: Option<&Table>) {
        self.next = table.map(|table| table.networks.clone());
    }

    pub fn adopt(&mut self) {
        if let Some(next) = self.next.take() {
            self.left = std::mem::replace(&mut self.present, next);
        }
    }

    fn number(table: &[u8], network: u8) -> Option<NetworkId> {
        table.iter().position(|&place| place == network).map(|number| NetworkId(number as u8))
    }
}

/// The tables of a history, and when each daemon's file has each of them.
#[derive(Clone, Debug)]
pub struct TablePlan {
    tables: Vec<Table>,
    /// By table after the first: when the file of each daemon has it.
    written: Vec<Vec<Instant>>,
}

impl TablePlan {
    /// One table of all, for good.
    pub fn constant(daemons: usize, networks: usize) -> TablePlan {
        TablePlan { tables: vec![Table::whole(daemons, networks)], written: Vec::new() }
    }

    /// This table is in the daemons' files from these times on.
    pub fn then(&mut self, table: Table, written: Vec<Instant>) {
        self.tables.push(table);
        self.written.push(written);
    }

    /// Whether there is a second table.
    pub fn change(&self) -> bool {
        self.tables.len() > 1
    }

    /// Some daemons of the first table only are there at first.
    pub fn begin_with(&mut self, table: Table) {
        self.tables[0] = table;
    }

    /// The same, with the daemons of each table in the order of their numbers.
    pub fn in_one_order(mut self) -> TablePlan {
        self.tables.iter_mut().for_each(|table| table.daemons.sort_unstable());
        self
    }

    /// What the file of a daemon says at a time.
    pub fn of(&self, daemon: DaemonId, now: Instant) -> &Table {
        let place = daemon.0 as usize - 1;
        let newest = self.written.iter().rposition(|times| times[place] <= now);
        &self.tables[newest.map_or(0, |newest| newest + 1)]
    }
}
