//! A whole daemon with its clients as one actor: what the poll loop of the daemon does, without sockets.

use spread::groups::{GroupsStatus, SessionId};
use spread::node::{ClientInput, NextTable, Node, NodeEvent, NodeSettings};
use spread::ring::{RingEvent, Stats};
use spread::rng::Rng;
use spread::seal::Keys;
use spread::session::Peer;
use spread::time::Instant;
use spread::wire::{NetworkId, Service, Slice};
use std::net::{IpAddr, Ipv4Addr};

use super::client::{Client, Habits, Up};
use super::journal::SharedJournal;
use crate::actor::{Actor, Assembly, Datagram};
use crate::tables::{Table, Wires};
use crate::trace::Scribe;

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A node and its clients.
pub struct NodeDaemon {
    node: Node,
    clients: Vec<Client>,
    sessions: u64,
    configurations: Vec<RingEvent>,
    rng: Rng,
    sites: Vec<usize>,
    wires: Wires,
    assembly: Assembly,
}

/// What its file says, and where all daemons of the world are.
pub struct Place<'a> {
    pub table: &'a Table,
    pub sites: &'a [usize],
}

impl NodeDaemon {
    pub fn new(
        config: NodeSettings,
        place: &Place<'_>,
        habits: &Habits,
        journal: &SharedJournal,
        now: Instant,
    ) -> NodeDaemon {
        let mut rng = Rng::new(config.seed);
        let name = config.name.clone();
        let count = 1 + rng.below(3) as usize;
        let client =
            |seat| Client::new(seat, name.clone(), habits.clone(), rng.fork(), SharedJournal::clone(journal), now);
        let clients = (0..count).map(client).collect();
        // Half of the daemons carry out what is delivered one step at a time.
        let is_sliced = config.seed % 2 == 1;
        let mut node = Node::new(config, now).expect("the simulator's settings are sound");
        if is_sliced {
            node.set_slice(1);
        }
        let (configurations, assembly) = (Vec::new(), Assembly::default());
        let (wires, sites) = (Wires::new(place.table), place.sites.to_vec());
        let mut daemon = NodeDaemon { node, clients, sessions: 0, configurations, rng, sites, wires, assembly };
        daemon.run_until_quiet(now);
        daemon
    }

    /// Whether all clients are connected, and everything they wrote was read.
    pub fn is_settled(&self) -> bool {
        self.clients.iter().all(Client::is_settled)
    }

    /// Whether the groups of all daemons are known, so that clients are served.
    pub fn is_open(&self) -> bool {
        self.node.group_status() == GroupsStatus::Operational
    }

    /// The state of its ring and its groups, for people.
    pub fn describe(&self) -> String {
        let node = &self.node;
        let (ring, groups, progress) = (node.ring_state(), node.group_status(), node.progress());
        format!("{ring} {groups:?} {progress:?} {:?} {:?}", node.ring_stats().dropped, node.group_stats())
    }

    /// Lets every client send a last message to each of its groups.
    pub fn say_farewell(&mut self, now: Instant) {
        self.clients.iter_mut().for_each(|client| client.say_farewell(now));
        self.run_until_quiet(now);
    }

    /// Moves bytes between the node and its clients until nothing moves.
    fn run_until_quiet(&mut self, now: Instant) {
        if self.node.take_adopted() {
            self.wires.adopt();
        }
        loop {
            while let Some(event) = self.node.poll_event() {
                self.on_event(now, event);
            }
            if !self.read_a_client(now) {
                return;
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: NodeEvent) {
        match event {
            NodeEvent::Output(id) => {
                if let Some(seat) = self.seat(id) {
                    let most = if self.clients[seat].pauses(now) { 0 } else { usize::MAX };
                    self.write_to(now, seat, most);
                }
            }
            NodeEvent::Close { id, reason, .. } => {
                if let Some(seat) = self.seat(id) {
                    self.clients[seat].on_closed(now, reason);
                }
            }
            NodeEvent::Welcome(_) | NodeEvent::Check { .. } | NodeEvent::Farewell(_) | NodeEvent::Network(_) => {}
            NodeEvent::Configuration(configuration) => {
                self.configurations.push(RingEvent::Configuration(configuration));
            }
        }
    }

    /// Writes to a client's socket, which takes no more than this for now.
    fn write_to(&mut self, now: Instant, seat: usize, most: usize) {
        let client = &mut self.clients[seat];
        let Some(id) = client.session() else { return };
        let (mut waiting, mut blocked) = (Vec::new(), false);
        for slice in self.node.client_output(id) {
            let taken = slice.len().min(most - waiting.len());
            waiting.extend_from_slice(&slice[..taken]);
            blocked = taken < slice.len();
            if blocked {
                break;
            }
        }
        if !waiting.is_empty() {
            self.node.client_wrote(id, waiting.len());
            client.arrived(now, &waiting);
        }
        if blocked {
            self.node.client_blocked(id);
            client.pauses(now);
        }
    }

    /// Reads something from some client, if clients are read at all; whether there was anything.
    fn read_a_client(&mut self, now: Instant) -> bool {
        if !self.node.takes_client_input() {
            return false;
        }
        let count = self.clients.len();
        let first = self.rng.below(count as u64) as usize;
        for seat in first..first + count {
            let client = &mut self.clients[seat % count];
            let Some(id) = client.session().filter(|&id| self.node.takes_bytes_of(id)) else { continue };
            let Some(up) = client.take_up() else { continue };
            match up {
                Up::Bytes(bytes) => self.node.handle_client(now, id, ClientInput::Bytes(&bytes)),
                Up::End => self.node.handle_client(now, id, ClientInput::Closed),
            }
            return true;
        }
        false
    }

    fn tend_client(&mut self, now: Instant, seat: usize) {
        let client = &mut self.clients[seat];
        if client.dials(now) {
            self.sessions += 1;
            let id = SessionId(self.sessions);
            client.dial(now, id);
            self.node.handle_client(now, id, ClientInput::Connected(Peer::Unix));
        }
        client.deed(now);
        if client.read_is_due(now) {
            let most = client.bite(now);
            self.write_to(now, seat, most);
        }
    }

    fn seat(&self, id: SessionId) -> Option<usize> {
        self.clients.iter().position(|client| client.session() == Some(id))
    }
}

impl Actor for NodeDaemon {
    fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) {
        let Some(network) = self.wires.arrival(network) else { return };
        self.node.handle_datagram(now, network, SOMEWHERE, datagram.clone());
        self.run_until_quiet(now);
    }

    fn set_keys(&mut self, now: Instant, keys: Keys) {
        self.node.set_keys(now, keys);
    }

    fn reload(&mut self, now: Instant, table: &Table) {
        let next = (table.system().digest != self.node.system_digest()).then_some(table);
        self.wires.prepare(next);
        let next = next.map(|table| NextTable {
            names: table.daemons.iter().map(|daemon| format!("d{}", daemon.0)).collect(),
            paths: table.next(&self.sites, &self.wires),
        });
        self.node.prepare(now, next);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
        (0..self.clients.len()).for_each(|seat| self.tend_client(now, seat));
        self.run_until_quiet(now);
    }

    fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: spread::wire::DaemonId) {
        self.node.handle_refusal(now, network, daemon);
    }

    fn submit(&mut self, now: Instant, service: Service, size: usize, _scribe: Scribe<'_>) {
        let seat = self.rng.below(self.clients.len() as u64) as usize;
        if self.clients[seat].send(now, service, size) {
            self.run_until_quiet(now);
        }
    }

    fn answer(&mut self, _now: Instant, _scribe: Scribe<'_>) {}

    fn leave(&mut self, now: Instant) {
        self.node.leave(now);
        self.run_until_quiet(now);
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        let transmit = self.node.poll_transmit()?;
        let datagram = self.assembly.datagram(&transmit);
        Some(Datagram { network: self.wires.out(transmit.network), ..datagram })
    }

    fn poll_event(&mut self) -> Option<RingEvent> {
        (!self.configurations.is_empty()).then(|| self.configurations.remove(0))
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let clients = self.clients.iter().map(Client::poll_timeout);
        self.node.poll_timeout().into_iter().chain(clients).min()
    }

    fn knowledge(&mut self) -> String {
        let counted = self.node.multipath_stats();
        let counted = [counted.first, counted.reports, counted.copies, counted.relayed, counted.path_changes];
        let (state, timeout) = (self.node.ring_state(), self.node.poll_timeout());
        format!("{counted:?} {state} {timeout:?} {:?}", self.node.ring_stats())
    }

    fn state(&self) -> &'static str {
        self.node.ring_state()
    }

    fn stats(&self) -> &Stats {
        self.node.ring_stats()
    }
}
