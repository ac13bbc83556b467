//! Which networks carry a packet, which copy of it counts, and what is known of each path; without I/O.
//!
//! Three organs. [`inbound`] is the way in: it decides what a datagram is and whether it counts. [`health`] hears of what came in and
//! knows how each path is doing. [`outbound`] chooses networks, relays and gateways for what leaves. This file leads packets from one to
//! the other.
//!
//! First copy wins: every packet has a counter that its copies on all networks share, and each counter is let through once. That is safe
//! for data and tokens alike because the ring itself accepts a number and a hop once; here the later copies only die earlier, before
//! their body is looked at. No copy is ever waited for, so a dead or slow network delays nothing.
//!
//! Tokens, joins, form tokens, probes and reports always travel on every network; data follows the policy. Whom a packet is from is
//! what its header says, never its source address.

mod config;
mod health;
mod inbound;
mod networks;
mod outbound;
mod seat;
mod stats;
mod table;
#[cfg(test)]
mod tests;

pub use config::{Config, System};
pub use health::{Differs, Event, Path, PathState};
pub use networks::Networks;
pub use outbound::Policy;
pub use stats::Stats;

use crate::time::Instant;
use crate::wire::{DaemonId, Header, NetworkId, PacketKind, PathReport, Reader, Slice, Way};
use health::{Came, Copied, Health, Plans};
use inbound::{Inbound, Origin, Refusal};
use outbound::{Known, Outbound, Relaying};
use table::Table;

/// A datagram to send: header and body, one after the other.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The network it must leave on.
    pub network: NetworkId,
    /// One daemon, or every other daemon of the network. Whom the packet is for in the end is what its header says.
    pub to: Option<DaemonId>,
    /// The packet header, made for this network.
    pub header: [u8; Header::SIZE],
    /// The body, shared by the copies on other networks.
    pub body: Slice,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What it is.
    pub kind: PacketKind,
    /// Whom it is for; `None` for all others.
    pub to: Option<DaemonId>,
    /// Whether it was sent before.
    pub attempt: Attempt,
    /// Its bytes.
    pub body: Slice,
}

/// Whether a packet was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was not.
    First,
    /// It was, and somebody seems to lack it: it takes more networks and ways.
    Again,
}

/// How one daemon hears another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// Who hears.
    pub by: DaemonId,
    /// Who is heard.
    pub of: DaemonId,
    /// The networks on which that is so, directly and well.
    pub networks: Networks,
}

/// The networks of one daemon and what it knows of the others on them.
#[derive(Debug)]
pub struct Multipath {
    system: System,
    networks: u8,
    table: Table,
    inbound: Inbound,
    health: Health,
    outbound: Outbound,
    stats: Stats,
}

impl Multipath {
    /// The networks of a daemon that starts at `now`.
    pub fn new(config: Config, now: Instant) -> Multipath {
        let table = Table::new(config.me, &config.daemons, &config.sites);
        let Config { incarnation, system, networks, policy, .. } = config;
        Multipath {
            system,
            networks,
            inbound: Inbound::new(incarnation, system, &table),
            health: Health::new(&table, networks, now),
            outbound: Outbound::new(incarnation, system, &table, policy, networks),
            table,
            stats: Stats::default(),
        }
    }

    /// A datagram arrived. Its header and body if it is the first copy of a packet for us.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) -> Option<(Header, Slice)> {
        let header = match self.inbound.decode(datagram) {
            Ok(header) => header,
            Err(error) => {
                tracing::debug!(%error, ?network, "not a packet");
                self.stats.malformed += 1;
                return None;
            }
        };
        let body = datagram.tail(Header::SIZE);
        let came = match self.inbound.admit(&self.table, network, &header) {
            Ok(came) => came,
            Err(refusal) => {
                self.refuse(now, network, &header, &body, refusal);
                return None;
            }
        };
        if header.network != network {
            self.stats.crossed += 1;
            self.health.on_crossed(now, header.sender, header.network, network);
        }
        if header.destination.is_some_and(|to| to != self.table.my_id()) {
            self.pass_on(now, came, &header, &body);
            return None;
        }
        self.take(now, came, header, body)
    }

    /// The time that [`Multipath::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(plans) = self.health.look(now, &self.table) {
            if plans == Plans::Stale {
                let known = Known { now, table: &self.table, health: &self.health };
                self.outbound.replan(known);
            }
            self.outbound.chooser_mut().learn(now, self.health.reached(now, &self.table));
        }
        let off = Networks::first(self.networks) - self.outbound.chooser().all();
        if let Some(report) = self.health.report(now, &self.table, self.system, self.networks, off) {
            let body = report.encode().into();
            self.send(now, Outgoing { kind: PacketKind::Report, to: None, attempt: Attempt::First, body });
        }
    }

    /// When [`Multipath::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.table.len() > 1).then(|| self.health.poll_timeout())
    }

    /// Sends a packet on the networks that are to carry it. One for this daemon itself goes nowhere.
    pub fn send(&mut self, now: Instant, packet: Outgoing) {
        self.outbound.send(Known { now, table: &self.table, health: &self.health }, packet);
    }

    /// The body of a packet that was handed up made no sense.
    pub fn count_malformed(&mut self) {
        self.stats.malformed += 1;
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.outbound.chooser_mut().set_policy(policy);
    }

    /// Which networks are preferred from now on where the policy has a choice: those with higher numbers, and the first of equals. A
    /// network without a number has 0.
    pub fn set_priorities(&mut self, priorities: &[u8]) {
        self.outbound.chooser_mut().set_priorities(priorities);
    }

    /// Switches a network on or off: nothing is sent on one that is off, and the others are told so. Whether that was done; it is not if
    /// there is no such network, or no other that is on.
    pub fn set_network_enabled(&mut self, now: Instant, network: NetworkId, enabled: bool) -> bool {
        let done = self.outbound.chooser_mut().set_enabled(network, enabled);
        if done {
            self.health.hasten(now);
            self.health.stir(now);
        }
        done
    }

    /// By which policy data travels.
    pub fn policy(&self) -> Policy {
        self.outbound.chooser().policy()
    }

    /// Which networks are preferred: those with higher numbers, given by network.
    pub fn priorities(&self) -> &[u8] {
        self.outbound.chooser().priorities()
    }

    /// The networks that are switched on.
    pub fn enabled(&self) -> Networks {
        self.outbound.chooser().all()
    }

    /// The next thing that an operator should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.health.poll_event()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbound.poll_transmit()
    }

    /// What is known of every path.
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.health.paths().iter(&self.table)
    }

    /// How often the state of a path has changed.
    pub fn path_changes(&self) -> u64 {
        self.health.paths().changes()
    }

    /// Who hears whom on which networks, as far as it is known here.
    pub fn matrix(&self) -> impl Iterator<Item = Hearing> + '_ {
        let (table, matrix) = (&self.table, self.health.matrix());
        let known = table.all().filter(|&by| matrix.knows(by));
        let pairs = known.flat_map(|by| table.all().filter(move |&of| of != by).map(move |of| (by, of)));
        pairs.map(|(by, of)| Hearing { by: table.id(by), of: table.id(of), networks: matrix.hears(by, of) })
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats { path_changes: self.path_changes(), ..self.stats }
    }

    /// A packet goes no further.
    fn refuse(&mut self, now: Instant, network: NetworkId, header: &Header, body: &[u8], refusal: Refusal) {
        match refusal {
            Refusal::OtherSystem => {
                self.stats.other_system += 1;
                self.on_other_system(now, header, body);
            }
            Refusal::UnknownSender => self.stats.unknown_sender += 1,
            Refusal::Own => self.stats.not_for_us += 1,
            Refusal::SecondSelf => {
                self.stats.not_for_us += 1;
                self.health.on_second_self(now, network, header.incarnation);
            }
        }
    }

    /// A packet of another membership table. If it is a report it tells what differs.
    fn on_other_system(&mut self, now: Instant, header: &Header, body: &[u8]) {
        if header.kind == PacketKind::Report
            && let Ok(report) = PathReport::decode_front(&mut Reader::new(body))
        {
            self.health.on_other_configuration(now, header.sender, self.system, &report);
        }
    }

    /// A packet for another daemon.
    fn pass_on(&mut self, now: Instant, came: Came, header: &Header, body: &Slice) {
        let known = Known { now, table: &self.table, health: &self.health };
        match self.outbound.pass_on(known, came.sender, header, body) {
            Relaying::Astray => self.stats.not_for_us += 1,
            relaying => {
                self.stats.relayed += u64::from(relaying == Relaying::Relayed);
                self.health.on_packet(now, came, Copied::Later);
            }
        }
    }

    /// A packet for us, or for all.
    fn take(&mut self, now: Instant, came: Came, header: Header, body: Slice) -> Option<(Header, Slice)> {
        let copied = match self.inbound.copied(now, came.sender, &header) {
            Origin::PresentLife(copied) => copied,
            Origin::PastLife => {
                self.stats.past_life += 1;
                return None;
            }
            Origin::Rival => {
                self.stats.clones += 1;
                return None;
            }
            Origin::SecondHost(lives) => {
                self.stats.clones += 1;
                self.health.on_clones(now, header.sender, lives);
                return None;
            }
        };
        self.health.on_packet(now, came, copied);
        if header.way != Way::Relayed && header.destination.is_none() {
            let known = Known { now, table: &self.table, health: &self.health };
            let relaying = self.outbound.forward(known, came.sender, &header, &body);
            self.stats.relayed += u64::from(relaying == Relaying::Relayed);
        }
        if header.kind == PacketKind::Report {
            self.stats.reports += u64::from(copied == Copied::First);
            self.on_report(now, came, &header, &body);
            return None;
        }
        if copied == Copied::Later {
            self.stats.copies += 1;
            return None;
        }
        self.stats.first += 1;
        Some((header, body))
    }

    fn on_report(&mut self, now: Instant, came: Came, header: &Header, body: &[u8]) {
        match PathReport::decode(body) {
            Ok(report) => self.health.on_report(now, self.table.me(), came, header.incarnation, &report),
            Err(error) => {
                tracing::debug!(%error, sender = %header.sender, "malformed report");
                self.count_malformed();
            }
        }
    }
}
