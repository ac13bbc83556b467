//! Putting datagrams on networks: what this daemon sends to all, to one, by a detour and to other sites, and what it relays for others.

mod fragments;
mod plan;
mod policy;
mod relay;
mod sealer;
mod sites;
mod voice;

pub use policy::Policy;
pub(super) use sealer::{KnownTo, Parcel};
pub(super) use voice::{Distance, LifeMet, Voice};

use std::collections::{BTreeMap, VecDeque};

use super::config::MultipathSettings;
use super::health::{Doors, Health, LOWEST, Round};
use super::lengths::Lengths;
use super::moves::Moves;
use super::networks::Networks;
use super::seat::Seat;
use super::table::Table;
use super::{Attempt, Outgoing, Transmit};
use crate::seal::{KeyId, Keys};
use crate::time::Instant;
use crate::wire::{
    DaemonId, Head, Header, Incarnation, NetworkId, PacketKind, Protection, SealTag, SizeProbe, Slice, Way,
};
use plan::{Hop, Load, Plan};
use policy::Chooser;
use relay::Relay;
use sealer::Sealer;
use sites::Gateway;

/// Of this many daemons, at most one forwards a report that somebody may need.
const BLIND_SHARE: usize = 4;

/// How many daemons are asked to relay a greeting while no relay is known.
const GREETING_RELAYS: usize = 4;

/// The way out of one daemon.
#[derive(Debug)]
pub(super) struct Outbound {
    me: DaemonId,
    incarnation: Incarnation,
    system: u32,
    chooser: Chooser,
    /// The last counter for each destination that had a packet.
    counters: BTreeMap<Option<DaemonId>, u64>,
    first_counter: u64,
    sealer: Sealer,
    plan: Plan,
    relay: Relay,
    /// How often this daemon has knocked at one port.
    knocks: usize,
    transmits: VecDeque<Transmit>,
    /// How long a datagram may be, by destination.
    lengths: Lengths,
    /// Daemons as which two hosts run.
    double: BTreeMap<DaemonId, Distance>,
    voice: Voice,
    /// The last datagram that was cut in fragments.
    fragmented: u32,
}

/// Knowledge of daemons and paths at this moment.
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
    /// It was relayed before, or nobody needs it.
    NotNeeded,
    /// Its destination is unknown, or it was relayed to this daemon already.
    Astray,
}

impl Outbound {
    pub(super) fn new(config: &MultipathSettings, table: &Table) -> Outbound {
        Outbound {
            me: config.me,
            incarnation: config.incarnation,
            system: config.system.digest,
            chooser: Chooser::new(config.policy, config.networks),
            counters: BTreeMap::new(),
            first_counter: config.first_counter,
            sealer: Sealer::new(&config.keys, config.me, config.incarnation),
            plan: Plan::default(),
            relay: Relay::new(table),
            knocks: 0,
            transmits: VecDeque::new(),
            lengths: Lengths::default(),
            double: BTreeMap::new(),
            voice: Voice::Full,
            fragmented: 0,
        }
    }

    /// The table is another one, with this digest. No detour is known until the next plan; counters go on.
    pub(super) fn adopt(&mut self, now: Instant, moves: &Moves<'_>, digest: u32) {
        self.system = digest;
        self.chooser.adopt(now, moves);
        // The old plan names seats of the old table.
        self.plan = Plan::default();
        self.relay.adopt(moves);
    }

    /// These are the keys from now on.
    pub(super) fn set_keys(&mut self, table: &Table, keys: &Keys) {
        self.sealer = Sealer::new(keys, table.my_id(), self.incarnation);
    }

    /// Seals with the key that suits the others best.
    pub(super) fn choose_key(&mut self, known: impl Fn(KeyId) -> KnownTo) {
        self.sealer.choose(known);
    }

    /// The key in use.
    pub(super) fn key(&self) -> Option<KeyId> {
        self.sealer.current()
    }

    /// Which networks there are and which of them carry data.
    pub(super) fn chooser(&self) -> &Chooser {
        &self.chooser
    }

    /// The same, to be changed.
    pub(super) fn chooser_mut(&mut self) -> &mut Chooser {
        &mut self.chooser
    }

    /// Computes the plan again.
    pub(super) fn replan(&mut self, known: Known<'_>) {
        self.plan = Plan::new(known.table, known.health.matrix(), self.chooser.all());
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Sends a packet on the networks that are to carry it. One for this daemon itself goes nowhere, and takes no detour either.
    pub(super) fn send(&mut self, known: Known<'_>, packet: Outgoing) {
        let Outgoing { kind, to, attempt, body } = packet;
        if to == Some(known.table.my_id()) {
            return;
        }
        let networks = match (kind, attempt) {
            // Everything else is small or urgent, and takes all networks. So it arrives while any of them works.
            (PacketKind::Data, Attempt::First) => self.choose(known),
            _ => self.chooser.all(),
        };
        let header = self.next_header(kind, to);
        // Once for all networks and relays: the seal does not cover the network.
        let parcel = self.sealer.seal(header, body, None);
        self.put(&parcel, networks, to);
        match to.map(|to| known.table.seat(to)) {
            None => self.cross(known, &parcel, networks, attempt),
            Some(Some(to)) => self.send_by_detour(known, &parcel, to, attempt),
            Some(None) => {}
        }
    }

    /// Knocks at the ports of a daemon.
    pub(super) fn knock(&mut self, known: Known<'_>, to: Seat, doors: Doors) {
        let sound = known.health.paths().sound(to) & self.chooser.all();
        let networks = match doors {
            // One network is enough to find a dead process, because it has no port on any.
            Doors::InTurn if !sound.is_empty() => {
                self.knocks += 1;
                sound.iter().nth(self.knocks % sound.len()).into_iter().collect()
            }
            _ => self.chooser.all(),
        };
        let to = known.table.id(to);
        let header = self.next_header(PacketKind::Knock, Some(to));
        let parcel = self.sealer.seal(header, Slice::default(), None);
        self.put(&parcel, networks, Some(to));
    }

    /// Sends a round of probes to all on a network.
    pub(super) fn probe(&mut self, known: Known<'_>, round: &Round) {
        for &length in &round.lengths {
            let head = Header::SIZE + if self.sealer.current().is_some() { SealTag::SIZE } else { 0 };
            let body = SizeProbe { round: round.number }.encode(usize::from(length).saturating_sub(head));
            let header = self.next_header(PacketKind::SizeProbe, None);
            let parcel = self.sealer.seal(header, body.into(), None);
            let whom = std::iter::once(None).chain(known.table.far().map(|far| Some(known.table.id(far))));
            whom.for_each(|to| self.put_whole(&parcel, round.network.into(), to));
        }
    }

    /// Sets how long datagrams may be.
    pub(super) fn set_lengths(&mut self, lengths: Lengths) {
        self.lengths = lengths;
    }

    /// How long they may be.
    pub(super) fn lengths(&self) -> &Lengths {
        &self.lengths
    }

    /// A packet for another daemon: its sender wants it relayed.
    pub(super) fn pass_on(&mut self, known: Known<'_>, sender: Seat, parcel: &Parcel) -> Relaying {
        let header = &parcel.header;
        if !is_to_be_relayed(known.table, sender, header) {
            return Relaying::Astray;
        }
        if !self.relay.is_first(sender, header) {
            return Relaying::NotNeeded;
        }
        self.put(&parcel.relayed(), self.chooser.all(), header.destination);
        Relaying::Relayed
    }

    /// A greeting for another daemon, from a life that is not believed here. Those two daemons may need this relay to believe each other,
    /// so the greeting goes on. Nothing is recorded.
    pub(super) fn pass_on_greeting(&mut self, known: Known<'_>, sender: Seat, parcel: &Parcel) -> Relaying {
        if !is_to_be_relayed(known.table, sender, &parcel.header) {
            return Relaying::Astray;
        }
        self.put(&parcel.relayed(), self.chooser.all(), parcel.header.destination);
        Relaying::Relayed
    }

    /// Whether a packet to all might have to go on from here.
    pub(super) fn may_forward(&self, header: &Header) -> bool {
        match header.way {
            _ if header.destination.is_some() || is_of_one_hop(header.kind) => false,
            Way::Direct => !self.plan.is_idle() || self.plan.is_blind(),
            // A packet is relayed once, so none runs in circles.
            Way::Relayed => false,
            Way::Crossing => true,
        }
    }

    /// Relays a packet to all that came directly, if somebody is known to need it, or if it is a report that somebody may need.
    pub(super) fn forward(&mut self, known: Known<'_>, sender: Seat, parcel: &Parcel) -> Relaying {
        let header = &parcel.header;
        if is_of_one_hop(header.kind) {
            return Relaying::NotNeeded;
        }
        if header.way == Way::Crossing {
            return self.let_in(known, sender, parcel);
        }
        // Without every row nobody knows who needs the report, and it is reports that complete the rows.
        let blind =
            header.kind == PacketKind::Report && self.plan.is_blind() && is_my_turn(known.table, header.counter);
        let hops: Vec<Hop> = match self.plan.forward(sender) {
            _ if blind => self.everybody(known.table).collect(),
            Some(forward) => forward.hops(load_of(header.kind)).to_vec(),
            None => return Relaying::NotNeeded,
        };
        // In this order: a packet that nobody needs is not remembered as relayed.
        if hops.is_empty() || !self.relay.is_first(sender, header) {
            return Relaying::NotNeeded;
        }
        let parcel = parcel.relayed();
        for (network, to) in hops {
            self.put(&parcel, network.into(), to);
        }
        Relaying::Relayed
    }

    /// The networks for the next data packet. After a quiet time any of them may have died unnoticed, so for a moment it takes all.
    fn choose(&mut self, known: Known<'_>) -> Networks {
        if known.health.is_certain(known.now) { self.chooser.choose() } else { self.chooser.all() }
    }

    /// The header of the next packet to a destination. Its counter is used once in this life.
    fn next_header(&mut self, kind: PacketKind, to: Option<DaemonId>) -> Header {
        let counter = self.counters.entry(to).or_insert(self.first_counter);
        // Used once in a life: it is the nonce of the seal, and the receivers' key to copies.
        *counter += 1;
        Header {
            kind,
            network: NetworkId(0),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: self.me,
            destination: to,
            system: self.system,
            incarnation: self.incarnation,
            counter: *counter,
        }
    }

    /// All others on all networks: together at this site, each elsewhere.
    fn everybody(&self, table: &Table) -> impl Iterator<Item = Hop> {
        let whom = move || std::iter::once(None).chain(table.far().map(|far| Some(table.id(far))));
        self.chooser.all().iter().flat_map(move |network| whom().map(move |to| (network, to)))
    }

    /// Forwards data from another site to all daemons of this one, and to those elsewhere that only this daemon reaches.
    fn let_in(&mut self, known: Known<'_>, sender: Seat, parcel: &Parcel) -> Relaying {
        if !self.relay.is_first(sender, &parcel.header) {
            return Relaying::NotNeeded;
        }
        let parcel = parcel.relayed();
        let networks = self.choose(known);
        self.put(&parcel, networks, None);
        let hops = self.plan.forward(sender).map(|forward| forward.hops(Load::Data).to_vec()).unwrap_or_default();
        for (network, to) in hops {
            self.put(&parcel, network.into(), to);
        }
        Relaying::Relayed
    }

    /// Sends a packet for all to the other sites too. Data takes these networks, if they lead there.
    fn cross(&mut self, known: Known<'_>, parcel: &Parcel, networks: Networks, attempt: Attempt) {
        let table = known.table;
        for &site in table.far_sites() {
            let hops = match parcel.header.kind {
                PacketKind::Data => self.crossings(known, site, parcel.header.counter, networks, attempt),
                _ => table.at(site).map(|far| (far, Way::Direct, networks)).collect(),
            };
            for (to, way, networks) in hops {
                let parcel = Parcel { header: Header { way, ..parcel.header }, ..parcel.clone() };
                self.put(&parcel, networks, Some(table.id(to)));
            }
        }
    }

    /// How a data packet with this counter gets to another site: through gateways if there are some.
    fn crossings(
        &self,
        known: Known<'_>,
        site: usize,
        counter: u64,
        networks: Networks,
        attempt: Attempt,
    ) -> Vec<(Seat, Way, Networks)> {
        let wanted = known.table.at(site).filter(|&far| known.health.is_alive(known.now, far));
        let gateways: Vec<&Gateway> = self.plan.gateways(site).collect();
        if gateways.is_empty() {
            return wanted.map(|far| (far, Way::Direct, networks)).collect();
        }
        let mut hops = Vec::new();
        for gateway in &gateways {
            let chosen = gateway.networks & networks;
            // The policy's networks may not lead there. Arriving matters more than the policy.
            let chosen = if chosen.is_empty() { gateway.networks } else { chosen };
            hops.push((gateway.daemon, Way::Crossing, chosen));
        }
        let others: Vec<Seat> = wanted.filter(|&far| gateways.iter().all(|gateway| gateway.daemon != far)).collect();
        // Somebody may be cut off from its gateway, so a retransmission also enters the site at another daemon.
        if attempt == Attempt::Again && !others.is_empty() {
            hops.push((others[counter as usize % others.len()], Way::Crossing, networks));
        }
        hops
    }

    /// Sends a packet to one daemon through others, where that is the only way, or might be.
    fn send_by_detour(&mut self, known: Known<'_>, parcel: &Parcel, to: Seat, attempt: Attempt) {
        let Known { now, table, health } = known;
        let planned = self.plan.detour(to);
        if let Some(detour) = planned {
            self.put(parcel, detour.networks, Some(table.id(detour.relay)));
        }
        // The first attempt trusts the plan. A retransmission shows that the plan may be wrong.
        if attempt == Attempt::First {
            return;
        }
        let (me, matrix) = (table.me(), health.matrix());
        let hears = |by, of| !matrix.knows(by) || !matrix.hears(by, of).is_empty();
        let alive = |relay| health.is_alive(now, relay);
        let fit = |relay| alive(relay) && hears(relay, me) && hears(to, relay);
        // First a relay that both ends are known to hear, then any that lives: the matrix may be old.
        let relay = self.relay.next(table, to, fit).or_else(|| self.relay.next(table, to, alive));
        if let Some(relay) = relay.filter(|&relay| planned.is_none_or(|planned| planned.relay != relay)) {
            self.put(parcel, self.chooser.all(), Some(table.id(relay)));
        }
    }

    /// Puts a packet on networks, in fragments where it is too long.
    fn put(&mut self, parcel: &Parcel, networks: Networks, to: Option<DaemonId>) {
        let length = Header::SIZE + parcel.tag.map_or(0, |_| SealTag::SIZE) + parcel.body.len();
        if length <= usize::from(LOWEST) {
            return self.put_whole(parcel, networks, to);
        }
        let fits = networks.iter().filter(|&network| length <= self.lengths.of(to, network)).collect();
        self.put_whole(parcel, fits, to);
        self.put_in_fragments(parcel, networks - fits, to);
    }

    fn put_whole(&mut self, parcel: &Parcel, networks: Networks, to: Option<DaemonId>) {
        let is_sign = matches!(parcel.header.kind, PacketKind::Report | PacketKind::Greeting);
        if self.voice == Voice::Signs
            && !(is_sign && parcel.header.sender == self.me && parcel.header.incarnation == self.incarnation)
        {
            return;
        }
        let is_near = |to: &DaemonId| self.double.get(to) == Some(&Distance::Near);
        if to.is_some_and(|to| parcel.header.destination == Some(to) && is_near(&to)) {
            return self.put_whole(&parcel.relayed(), networks, None);
        }
        for network in networks.iter() {
            let header = Head::new(&Header { network, ..parcel.header }, parcel.tag.as_ref());
            self.transmits.push_back(Transmit { network, to, header, body: parcel.body.clone() });
        }
    }

    /// How many packets were sent to this destination.
    #[cfg(test)]
    pub(super) fn counted(&self, to: Option<DaemonId>) -> u64 {
        self.counters.get(&to).copied().unwrap_or_default()
    }
}

impl Parcel {
    /// The same packet as a relay forwards it. The receiver does not forward it again.
    fn relayed(&self) -> Parcel {
        Parcel { header: Header { way: Way::Relayed, ..self.header }, ..self.clone() }
    }
}

/// Whether packets of this kind are about the path on which they came, and so never go on from there.
fn is_of_one_hop(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::SizeProbe | PacketKind::Fragment)
}

/// Whether a packet is for a third daemon, and came from its sender itself.
fn is_to_be_relayed(table: &Table, sender: Seat, header: &Header) -> bool {
    let destination = header.destination.and_then(|to| table.seat(to));
    header.way == Way::Direct && destination.is_some_and(|to| to != sender)
}

fn load_of(kind: PacketKind) -> Load {
    if kind == PacketKind::Data { Load::Data } else { Load::Small }
}

/// Whether this daemon is the one to forward a report blindly. The counter is scrambled, so that a regular load does not always meet the same daemon.
fn is_my_turn(table: &Table, counter: u64) -> bool {
    let turn = (counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    turn % table.len().max(BLIND_SHARE) == table.me().number()
}
