//! Which networks carry a packet, which copy of it counts, and what is known of each path; without I/O.
//!
//! First copy wins: every packet has a counter that its copies on all networks share, and `duplicates` lets each counter through
//! once. That is safe for data and tokens alike because the ring itself accepts a number and a hop once; here the later copies
//! only die earlier, before their body is looked at. No copy is ever waited for, so a dead or slow network delays nothing.
//!
//! Tokens, joins, form tokens, probes and reports always travel on every network; data follows the policy. Whom a packet is from is
//! what its header says, never its source address.
//!
//! What comes tells how each path is doing (`track`, `paths`); daemons report it to each other (`reports`), so that each knows who
//! hears whom (`matrix`) and thus which networks reach all, and where a third daemon must relay (`plan`, `relay`).

mod config;
mod duplicates;
mod lives;
mod matrix;
mod networks;
mod notices;
mod paths;
mod plan;
mod policy;
mod relay;
mod reports;
mod sending;
mod sites;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod track;

use std::collections::{BTreeMap, VecDeque};

pub use config::{Config, System};
pub use networks::Networks;
pub use notices::{Differs, Event};
pub use paths::Path;
pub use policy::Policy;
pub use stats::Stats;
pub use track::PathState;

use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Header, Incarnation, NetworkId, PacketKind, PathReport, Reader, Slice, Way};
use lives::Lives;
use matrix::Matrix;
use notices::Notices;
use paths::Paths;
use plan::Plan;
use policy::Chooser;
use relay::Relay;
use reports::{NEWS_GAP, Reports, Said};
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
    /// It was sent before, and somebody seems to lack it.
    pub again: bool,
    /// Its bytes.
    pub body: Slice,
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
    incarnation: Incarnation,
    system: System,
    networks: u8,
    table: Table,
    chooser: Chooser,
    /// The last counter used for each destination.
    counters: BTreeMap<Option<DaemonId>, u64>,
    /// By the daemon's number.
    lives: Vec<Lives>,
    paths: Paths,
    matrix: Matrix,
    reports: Reports,
    plan: Plan,
    /// The plan is older than what it is made of.
    stale: bool,
    looked: Instant,
    next_look: Instant,
    relay: Relay,
    notices: Notices,
    transmits: VecDeque<Transmit>,
    stats: Stats,
}

/// How often silence is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Reports that may fail to come before silence means something, and before a row is unknown.
const SILENCE: u32 = 4;
const LIFETIME: u32 = 10;

impl Multipath {
    /// The networks of a daemon that starts at `now`.
    pub fn new(config: Config, now: Instant) -> Multipath {
        let table = Table::new(config.me, &config.daemons, &config.sites);
        let interval = reports::interval(table.len());
        Multipath {
            incarnation: config.incarnation,
            system: config.system,
            networks: config.networks,
            chooser: Chooser::new(config.policy, config.networks),
            counters: BTreeMap::new(),
            lives: (0..table.len()).map(|_| Lives::default()).collect(),
            paths: Paths::new(&table, config.networks, interval * SILENCE),
            matrix: Matrix::new(&table, interval * LIFETIME),
            reports: Reports::new(table.len(), now),
            plan: Plan::default(),
            stale: true,
            looked: Instant::ZERO,
            next_look: now,
            relay: Relay::new(&table),
            table,
            notices: Notices::default(),
            transmits: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// A datagram arrived. Its header and body if it is the first copy of a packet for us.
    pub fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) -> Option<(Header, Slice)> {
        let header = match Header::decode(&mut Reader::new(datagram)) {
            Ok(header) => header,
            Err(error) => {
                tracing::debug!(%error, ?network, "not a packet");
                self.stats.malformed += 1;
                return None;
            }
        };
        let sender = self.admit(now, network, &header, datagram)?;
        if header.network != network {
            self.stats.crossed += 1;
            self.notices.on_crossed(now, header.sender, header.network, network);
        }
        // What came on another network than it was sent on says nothing about either.
        let direct = (header.way != Way::Relayed && header.network == network).then_some(network);
        if header.destination.is_some_and(|to| to != self.table.id(self.table.me())) {
            self.pass_on(now, (sender, direct), &header, datagram);
            return None;
        }
        let Some(first) = self.lives[sender].is_first(&header) else {
            self.stats.past_life += 1;
            return None;
        };
        self.note(now, sender, direct, first);
        if header.way != Way::Relayed && header.destination.is_none() {
            self.forward(sender, &header, datagram);
        }
        if header.kind == PacketKind::Report {
            self.stats.reports += u64::from(first);
            self.on_report(now, (sender, direct), &header, &datagram[Header::SIZE..]);
            return None;
        }
        if !first {
            self.stats.copies += 1;
            return None;
        }
        self.stats.first += 1;
        Some((header, datagram.tail(Header::SIZE)))
    }

    /// The time that [`Multipath::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_look {
            self.look(now);
        }
        if now >= self.reports.due() {
            self.report(now);
        }
    }

    /// When [`Multipath::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.table.len() > 1).then(|| self.next_look.min(self.reports.due()))
    }

    /// The body of a packet that was handed up made no sense.
    pub fn count_malformed(&mut self) {
        self.stats.malformed += 1;
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.chooser.set_policy(policy);
    }

    /// Which networks are preferred from now on where the policy has a choice: those with higher numbers, and the first of equals. A
    /// network without a number has 0.
    pub fn set_priorities(&mut self, priorities: &[u8]) {
        self.chooser.set_priorities(priorities);
    }

    /// Switches a network on or off: nothing is sent on one that is off, and the others are told so. Whether that was done; it is not if
    /// there is no such network, or no other that is on.
    pub fn set_network_enabled(&mut self, now: Instant, network: NetworkId, enabled: bool) -> bool {
        let done = self.chooser.set_enabled(network, enabled);
        if done {
            self.reports.hasten(now);
            self.stir(now);
        }
        done
    }

    /// By which policy data travels.
    pub fn policy(&self) -> Policy {
        self.chooser.policy()
    }

    /// Which networks are preferred: those with higher numbers, given by network.
    pub fn priorities(&self) -> &[u8] {
        self.chooser.priorities()
    }

    /// The networks that are switched on.
    pub fn enabled(&self) -> Networks {
        self.chooser.all()
    }

    /// The next thing that an operator should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.notices.poll()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What is known of every path.
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter(&self.table)
    }

    /// How often the state of a path has changed.
    pub fn path_changes(&self) -> u64 {
        self.paths.changes()
    }

    /// Who hears whom on which networks, as far as it is known here.
    pub fn matrix(&self) -> impl Iterator<Item = Hearing> + '_ {
        let (table, matrix) = (&self.table, &self.matrix);
        let known = (0..table.len()).filter(|&by| matrix.knows(by));
        let pairs = known.flat_map(|by| (0..table.len()).filter(move |&of| of != by).map(move |of| (by, of)));
        pairs.map(|(by, of)| Hearing { by: table.id(by), of: table.id(of), networks: matrix.hears(by, of) })
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The number of the sender of a packet that concerns us.
    fn admit(&mut self, now: Instant, network: NetworkId, header: &Header, datagram: &Slice) -> Option<usize> {
        let sender = self.table.number(header.sender);
        match sender {
            _ if header.system != self.system.digest => {
                self.stats.other_system += 1;
                self.on_other_system(now, header, &datagram[Header::SIZE..]);
            }
            None => self.stats.unknown_sender += 1,
            Some(sender) if sender == self.table.me() => {
                self.stats.not_for_us += 1;
                if header.incarnation != self.incarnation {
                    self.notices.on_second_self(now, network, header.incarnation);
                }
            }
            Some(_) => return sender,
        }
        None
    }

    /// A packet of another membership table. If it is a report it tells what differs.
    fn on_other_system(&mut self, now: Instant, header: &Header, body: &[u8]) {
        if header.kind == PacketKind::Report
            && let Ok(report) = PathReport::decode_front(&mut Reader::new(body))
        {
            self.notices.on_other_configuration(now, header.sender, self.system.parts, report.digests);
        }
    }

    /// A packet came from this daemon.
    fn note(&mut self, now: Instant, sender: usize, direct: Option<NetworkId>, first: bool) {
        if self.paths.on_packet(now, sender, direct, first) {
            self.stir(now);
        }
    }

    fn on_report(&mut self, now: Instant, from: (usize, Option<NetworkId>), header: &Header, body: &[u8]) {
        let (sender, direct) = from;
        let report = match PathReport::decode(body) {
            Ok(report) => report,
            Err(error) => {
                tracing::debug!(%error, sender = %header.sender, "malformed report");
                return self.count_malformed();
            }
        };
        let paths = self.paths.on_report(now, sender, header.incarnation, direct, &report);
        if paths | self.matrix.learn(now, sender, header.incarnation, &report) {
            self.stir(now);
        }
        if let Some(network) = direct {
            let ours = report.measures.iter().filter(|measure| usize::from(measure.daemon) == self.table.me());
            ours.for_each(|measure| self.paths.on_measure(now, sender, network, &measure));
        }
    }

    /// Something has changed that plans depend on: look soon.
    fn stir(&mut self, now: Instant) {
        self.stale = true;
        self.next_look = self.next_look.min(now.max(self.looked + NEWS_GAP));
    }

    fn look(&mut self, now: Instant) {
        (self.looked, self.next_look) = (now, now + LOOK_INTERVAL);
        self.paths.look(now);
        self.notices.on_paths(now, self.paths.changes(), self.paths.iter(&self.table));
        self.stale |= self.matrix.look(now);
        let mine = (0..self.table.len()).map(|daemon| self.paths.sound(daemon));
        if self.matrix.set_mine(now, self.table.me(), mine) {
            self.stale = true;
            self.reports.hasten(now);
        }
        if std::mem::take(&mut self.stale) {
            self.plan = Plan::new(&self.table, &self.matrix, self.chooser.all());
        }
        let alive = self.table.others().filter(|&other| self.paths.is_alive(now, other));
        let reached = alive.map(|other| match self.matrix.knows(other) {
            true => self.matrix.hears(other, self.table.me()),
            false => self.paths.sound(other),
        });
        self.chooser.learn(now, reached);
    }

    fn report(&mut self, now: Instant) {
        let me = self.table.me();
        let hears = (0..self.table.len()).map(|of| self.matrix.hears(me, of));
        let off = Networks::first(self.networks) - self.chooser.all();
        let said = Said { networks: self.networks, off, digests: self.system.parts };
        let alone = !self.table.others().any(|other| self.paths.is_alive(now, other));
        let report = self.reports.compose(now, alone, &said, hears, &self.paths);
        let (kind, body) = (PacketKind::Report, report.encode().into());
        self.send(now, Outgoing { kind, to: None, again: false, body });
    }
}
