//! Putting datagrams on networks: what this daemon sends to all, to one, around and across, and what it relays for others.

mod plan;
mod policy;
mod relay;
mod sites;

pub use policy::Policy;

use std::collections::{BTreeMap, VecDeque};

use super::config::System;
use super::health::Health;
use super::networks::Networks;
use super::seat::Seat;
use super::table::Table;
use super::{Attempt, Outgoing, Transmit};
use crate::time::Instant;
use crate::wire::{DaemonId, Header, Incarnation, NetworkId, PacketKind, Slice, Way};
use plan::{Hop, Load, Plan};
use policy::Chooser;
use relay::Relay;
use sites::Gateway;

/// A report that may be needed is forwarded by one daemon in so many at most.
const BLIND_SHARE: usize = 4;

/// What leaves, and by which ways.
#[derive(Debug)]
pub(super) struct Outbound {
    incarnation: Incarnation,
    system: u32,
    chooser: Chooser,
    /// The last counter used for each destination.
    counters: BTreeMap<Option<DaemonId>, u64>,
    plan: Plan,
    relay: Relay,
    transmits: VecDeque<Transmit>,
}

/// What is known at this moment of daemons and paths.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) now: Instant,
    pub(super) table: &'a Table,
    pub(super) health: &'a Health,
}

/// Whether a packet of another daemon went on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relaying {
    Relayed,
    /// It did before, or nobody needs it.
    NotNeeded,
    /// It is for nobody we know, or was relayed to us already.
    Astray,
}

impl Outbound {
    pub(super) fn new(
        incarnation: Incarnation,
        system: System,
        table: &Table,
        policy: Policy,
        networks: u8,
    ) -> Outbound {
        Outbound {
            incarnation,
            system: system.digest,
            chooser: Chooser::new(policy, networks),
            counters: BTreeMap::new(),
            plan: Plan::default(),
            relay: Relay::new(table),
            transmits: VecDeque::new(),
        }
    }

    /// Which networks there are and which of them carry data.
    pub(super) fn chooser(&self) -> &Chooser {
        &self.chooser
    }

    /// The same, to be changed.
    pub(super) fn chooser_mut(&mut self) -> &mut Chooser {
        &mut self.chooser
    }

    /// Makes the plan anew.
    pub(super) fn replan(&mut self, known: Known<'_>) {
        self.plan = Plan::new(known.table, known.health.matrix(), self.chooser.all());
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Sends a packet on the networks that are to carry it. One for this daemon itself goes nowhere, and least of all around.
    pub(super) fn send(&mut self, known: Known<'_>, packet: Outgoing) {
        let Outgoing { kind, to, attempt, body } = packet;
        let me = known.table.my_id();
        if to == Some(me) {
            return;
        }
        let counter = self.counters.entry(to).or_default();
        *counter += 1;
        let header = Header {
            kind,
            network: NetworkId(0),
            way: Way::Direct,
            sender: me,
            destination: to,
            system: self.system,
            incarnation: self.incarnation,
            counter: *counter,
        };
        let networks = match (kind, attempt) {
            (PacketKind::Data, Attempt::First) => self.chooser.choose(),
            _ => self.chooser.all(),
        };
        self.put(&header, &body, networks, to);
        match to {
            None => self.cross(known, &header, &body, networks, attempt),
            Some(to) => {
                known.table.seat(to).into_iter().for_each(|to| self.send_around(known, &header, &body, to, attempt))
            }
        }
    }

    /// A packet for another daemon: its sender wants it relayed.
    pub(super) fn pass_on(&mut self, known: Known<'_>, sender: Seat, header: &Header, body: &Slice) -> Relaying {
        let destination = header.destination.and_then(|to| known.table.seat(to));
        if header.way != Way::Direct || destination.is_none() {
            return Relaying::Astray;
        }
        if !self.relay.is_first(sender, header) {
            return Relaying::NotNeeded;
        }
        let header = Header { way: Way::Relayed, ..*header };
        self.put(&header, body, self.chooser.all(), header.destination);
        Relaying::Relayed
    }

    /// Relays a packet to all that came directly, if somebody is known to need it, or if it is a report that somebody may need.
    pub(super) fn forward(&mut self, known: Known<'_>, sender: Seat, header: &Header, body: &Slice) -> Relaying {
        if header.way == Way::Crossing {
            return self.let_in(sender, header, body);
        }
        if self.plan.is_idle() && !self.plan.is_blind() {
            return Relaying::NotNeeded;
        }
        let blind =
            header.kind == PacketKind::Report && self.plan.is_blind() && is_my_turn(known.table, header.counter);
        let hops: Vec<Hop> = match self.plan.forward(sender) {
            _ if blind => self.everybody(known.table).collect(),
            Some(forward) => forward.hops(load_of(header.kind)).to_vec(),
            None => return Relaying::NotNeeded,
        };
        if hops.is_empty() || !self.relay.is_first(sender, header) {
            return Relaying::NotNeeded;
        }
        let header = Header { way: Way::Relayed, ..*header };
        hops.into_iter().for_each(|(network, to)| self.put(&header, body, network.into(), to));
        Relaying::Relayed
    }

    /// All others on all networks: together at this site, each elsewhere.
    fn everybody(&self, table: &Table) -> impl Iterator<Item = Hop> {
        let whom = move || std::iter::once(None).chain(table.far().map(|far| Some(table.id(far))));
        self.chooser.all().iter().flat_map(move |network| whom().map(move |to| (network, to)))
    }

    /// Data from another site for all at this one, and for whom else only this daemon can reach.
    fn let_in(&mut self, sender: Seat, header: &Header, body: &Slice) -> Relaying {
        if !self.relay.is_first(sender, header) {
            return Relaying::NotNeeded;
        }
        let header = Header { way: Way::Relayed, ..*header };
        let networks = self.chooser.choose();
        self.put(&header, body, networks, None);
        let hops = self.plan.forward(sender).map(|forward| forward.hops(Load::Data).to_vec()).unwrap_or_default();
        hops.into_iter().for_each(|(network, to)| self.put(&header, body, network.into(), to));
        Relaying::Relayed
    }

    /// Sends a packet to all to the other sites too, data on these networks where they lead there.
    fn cross(&mut self, known: Known<'_>, header: &Header, body: &Slice, networks: Networks, attempt: Attempt) {
        let Known { now, table, health } = known;
        let data = header.kind == PacketKind::Data;
        let mut hops = Vec::new();
        for &site in table.far_sites() {
            let all = table.far().filter(|&far| table.site(far) == site);
            let wanted: Vec<Seat> = all.filter(|&far| !data || health.is_alive(now, far)).collect();
            let gateways: Vec<Gateway> = self.plan.gateways(site).filter(|_| data).copied().collect();
            if gateways.is_empty() {
                hops.extend(wanted.into_iter().map(|far| (far, Way::Direct, networks)));
                continue;
            }
            for gateway in &gateways {
                let chosen = gateway.networks & networks;
                let chosen = if chosen.is_empty() { gateway.networks } else { chosen };
                hops.push((gateway.daemon, Way::Crossing, chosen));
            }
            let others = || wanted.iter().filter(|&&far| gateways.iter().all(|gateway| gateway.daemon != far));
            let turn = header.counter as usize % others().count().max(1);
            let again = attempt == Attempt::Again;
            hops.extend(others().nth(turn).filter(|_| again).map(|&other| (other, Way::Crossing, networks)));
        }
        for (to, way, networks) in hops {
            self.put(&Header { way, ..*header }, body, networks, Some(table.id(to)));
        }
    }

    /// Sends a packet to one daemon through others, where that is the only way, or might be.
    fn send_around(&mut self, known: Known<'_>, header: &Header, body: &Slice, to: Seat, attempt: Attempt) {
        let Known { now, table, health } = known;
        let planned = self.plan.around(to);
        if let Some(around) = planned {
            self.put(header, body, around.networks, Some(table.id(around.relay)));
        }
        if attempt == Attempt::First {
            return;
        }
        let (me, matrix) = (table.me(), health.matrix());
        let hears = |by, of| !matrix.knows(by) || !matrix.hears(by, of).is_empty();
        let alive = |relay| health.is_alive(now, relay);
        let fit = |relay| alive(relay) && hears(relay, me) && hears(to, relay);
        let relay = self.relay.around(table, to, fit).or_else(|| self.relay.around(table, to, alive));
        if let Some(relay) = relay.filter(|&relay| planned.is_none_or(|planned| planned.relay != relay)) {
            self.put(header, body, self.chooser.all(), Some(table.id(relay)));
        }
    }

    fn put(&mut self, header: &Header, body: &Slice, networks: Networks, to: Option<DaemonId>) {
        for network in networks.iter() {
            let header = Header { network, ..*header }.encode();
            self.transmits.push_back(Transmit { network, to, header, body: body.clone() });
        }
    }

    /// How many packets were sent to this destination.
    #[cfg(test)]
    pub(super) fn counted(&self, to: Option<DaemonId>) -> u64 {
        self.counters.get(&to).copied().unwrap_or_default()
    }
}

fn load_of(kind: PacketKind) -> Load {
    if kind == PacketKind::Data { Load::Data } else { Load::Small }
}

/// Whether this daemon is the one to forward a report blindly. The counter is scrambled, lest a regular load always meet the same.
fn is_my_turn(table: &Table, counter: u64) -> bool {
    let turn = (counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    turn % table.len().max(BLIND_SHARE) == table.me().number()
}
