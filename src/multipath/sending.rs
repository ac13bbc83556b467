//! Putting datagrams on networks: what this daemon sends to all, to one, around and across, and what it relays for others.

use super::plan::Hop;
use super::sites::Gateway;
use super::{Multipath, Networks, Outgoing, Transmit};
use crate::time::Instant;
use crate::wire::{DaemonId, Header, NetworkId, PacketKind, Slice, Way};

/// A report that may be needed is forwarded by every so manieth daemon at most.
const BLIND_SHARE: usize = 4;

impl Multipath {
    /// Sends a packet on the networks that are to carry it. One for this daemon itself goes nowhere, and least of all around.
    pub fn send(&mut self, now: Instant, packet: Outgoing) {
        let Outgoing { kind, to, again, body } = packet;
        if to == Some(self.table.id(self.table.me())) {
            return;
        }
        let counter = self.counters.entry(to).or_default();
        *counter += 1;
        let header = Header {
            kind,
            network: NetworkId(0),
            way: Way::Direct,
            sender: self.table.id(self.table.me()),
            destination: to,
            system: self.system.digest,
            incarnation: self.incarnation,
            counter: *counter,
        };
        let networks = match kind {
            PacketKind::Data if !again => self.chooser.choose(),
            _ => self.chooser.all(),
        };
        self.put(&header, &body, networks, to);
        if to.is_none() {
            self.cross(now, &header, &body, (networks, again));
        }
        if let Some(to) = to.and_then(|to| self.table.number(to)) {
            self.send_around(now, &header, &body, (to, again));
        }
    }

    /// A packet for another daemon: its sender wants it relayed.
    pub(super) fn pass_on(
        &mut self,
        now: Instant,
        from: (usize, Option<NetworkId>),
        header: &Header,
        datagram: &Slice,
    ) {
        let (sender, direct) = from;
        let known = header.destination.and_then(|to| self.table.number(to)).is_some();
        if header.way != Way::Direct || !known {
            self.stats.not_for_us += 1;
            return;
        }
        self.note(now, sender, direct, false);
        if self.relay.is_first(sender, header) {
            self.stats.relayed += 1;
            let header = Header { way: Way::Relayed, ..*header };
            self.put(&header, &datagram.tail(Header::SIZE), self.chooser.all(), header.destination);
        }
    }

    /// Relays a packet to all that came directly, if somebody is known to need it, or if it is a report that somebody may need.
    pub(super) fn forward(&mut self, sender: usize, header: &Header, datagram: &Slice) {
        if header.way == Way::Crossing {
            return self.let_in(sender, header, datagram);
        }
        if self.plan.is_idle() && !self.plan.is_blind() {
            return;
        }
        let blind = header.kind == PacketKind::Report && self.plan.is_blind() && self.is_my_turn(header.counter);
        let hops: Vec<Hop> = match self.plan.forward(sender) {
            _ if blind => self.everybody().collect(),
            Some(forward) if header.kind == PacketKind::Data => forward.data.clone(),
            Some(forward) => forward.small.clone(),
            None => return,
        };
        if hops.is_empty() || !self.relay.is_first(sender, header) {
            return;
        }
        self.stats.relayed += 1;
        let (header, body) = (Header { way: Way::Relayed, ..*header }, datagram.tail(Header::SIZE));
        hops.into_iter().for_each(|(network, to)| self.put(&header, &body, network.into(), to));
    }

    /// All others on all networks: together at this site, each elsewhere.
    fn everybody(&self) -> impl Iterator<Item = Hop> + '_ {
        let whom = move || std::iter::once(None).chain(self.table.far().map(|far| Some(self.table.id(far))));
        self.chooser.all().iter().flat_map(move |network| whom().map(move |to| (network, to)))
    }

    /// Data from another site for all at this one, and for whom else only this daemon can reach.
    fn let_in(&mut self, sender: usize, header: &Header, datagram: &Slice) {
        if self.relay.is_first(sender, header) {
            self.stats.relayed += 1;
            let (header, body) = (Header { way: Way::Relayed, ..*header }, datagram.tail(Header::SIZE));
            let networks = self.chooser.choose();
            self.put(&header, &body, networks, None);
            let hops = self.plan.forward(sender).map(|forward| forward.data.clone()).unwrap_or_default();
            hops.into_iter().for_each(|(network, to)| self.put(&header, &body, network.into(), to));
        }
    }

    /// Sends a packet to all to the other sites too, data on these networks where they lead there.
    fn cross(&mut self, now: Instant, header: &Header, body: &Slice, how: (Networks, bool)) {
        let (networks, again) = how;
        let data = header.kind == PacketKind::Data;
        let mut hops = Vec::new();
        for &site in self.table.far_sites() {
            let all = self.table.far().filter(|&far| self.table.site(far) == site);
            let wanted: Vec<usize> = all.filter(|&far| !data || self.paths.is_alive(now, far)).collect();
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
            hops.extend(others().nth(turn).filter(|_| again).map(|&other| (other, Way::Crossing, networks)));
        }
        for (to, way, networks) in hops {
            self.put(&Header { way, ..*header }, body, networks, Some(self.table.id(to)));
        }
    }

    /// Whether this daemon is the one to forward a report blindly. The counter is scrambled, lest a regular load always meet the same.
    fn is_my_turn(&self, counter: u64) -> bool {
        let turn = (counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        turn % self.table.len().max(BLIND_SHARE) == self.table.me()
    }

    /// Sends a packet to one daemon through others, where that is the only way, or might be.
    fn send_around(&mut self, now: Instant, header: &Header, body: &Slice, target: (usize, bool)) {
        let (to, again) = target;
        let planned = self.plan.around(to);
        if let Some(around) = planned {
            self.put(header, body, around.networks, Some(self.table.id(around.relay)));
        }
        if again {
            let me = self.table.me();
            let hears = |by, of| !self.matrix.knows(by) || !self.matrix.hears(by, of).is_empty();
            let alive = |relay| self.paths.is_alive(now, relay);
            let fit = |relay| alive(relay) && hears(relay, me) && hears(to, relay);
            let relay = self.relay.around(&self.table, to, fit).or_else(|| self.relay.around(&self.table, to, alive));
            if let Some(relay) = relay.filter(|&relay| planned.is_none_or(|planned| planned.relay != relay)) {
                self.put(header, body, self.chooser.all(), Some(self.table.id(relay)));
            }
        }
    }

    fn put(&mut self, header: &Header, body: &Slice, networks: Networks, to: Option<DaemonId>) {
        for network in networks.iter() {
            let header = Header { network, ..*header }.encode();
            self.transmits.push_back(Transmit { network, to, header, body: body.clone() });
        }
    }
}
