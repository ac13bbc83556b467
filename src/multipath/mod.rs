//! Which networks carry a packet, which copy of it counts, and what is known of each path; without I/O.
//!
//! This part has three organs. `inbound` is the way in: it decides what a datagram is and whether it counts. `health` learns from
//! what came in and knows the state of each path. `outbound` chooses networks, relays and gateways for packets that leave. This
//! file leads packets from one to the other.
//!
//! First copy wins: every packet has a counter that its copies on all networks share, and each counter is let through once. That is safe
//! for data and tokens alike because the ring itself accepts a number and a hop once; here the later copies only die earlier, before
//! their body is looked at. No copy is ever waited for, so a dead or slow network delays nothing.
//!
//! Tokens, joins, form tokens, probes and reports always travel on every network; data follows the policy. The sender of a packet
//! is the daemon that its header names, never the owner of its source address.

mod config;
mod death;
mod double;
mod health;
mod inbound;
mod keys;
mod lengths;
mod moves;
mod networks;
mod notice;
mod outbound;
mod seat;
mod sizes;
mod stats;
mod succession;
mod table;
#[cfg(test)]
mod tests;

pub use config::{MultipathSettings, NextTable, System};
pub use health::{Differs, Path, PathState};
pub use networks::Networks;
pub use notice::{Host, Notice, Reason};
pub use outbound::Policy;
pub use stats::Stats;

use std::net::IpAddr;

use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Greeting, Head, Header, KeyBytes, NetworkId, PacketKind, Slice};
use double::{Senior, Shown};
use health::{Came, Copied, Health, LOWEST, Plans, Said};
use inbound::{After, Inbound, Opened, Refusal, Seen};
use outbound::{Known, Outbound, Parcel, Relaying};
use sizes::{Arrival, Form};
use succession::Succession;
use table::Table;

/// A datagram to send: header and body, one after the other.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The network it must leave on.
    pub network: NetworkId,
    /// One daemon, or every other daemon of the network. The header names the final destination.
    pub to: Option<DaemonId>,
    /// The bytes before the body: the packet's header, made for this network, and the tag of a sealed one.
    pub header: Head,
    /// The body, shared by the copies on other networks.
    pub body: Slice,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What it is.
    pub kind: PacketKind,
    /// Its destination; `None` for all others.
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
    /// It was, and somebody seems to lack it. So it takes more networks and detours.
    Again,
}

/// How one daemon hears another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// The daemon that hears.
    pub by: DaemonId,
    /// The daemon that is heard.
    pub of: DaemonId,
    /// The networks on which that is so, directly and well.
    pub networks: Networks,
}

/// The networks of one daemon and what it knows of the others on them.
#[derive(Debug)]
pub struct Multipath {
    system: System,
    networks: u8,
    /// The ids of this daemon's keys, the newest last.
    keys: Vec<KeyBytes>,
    table: Table,
    succession: Succession,
    inbound: Inbound,
    shown: Shown,
    senior: Senior,
    /// The daemons as which two hosts run.
    doubles: Vec<DaemonId>,
    health: Health,
    outbound: Outbound,
    stats: Stats,
}

/// Whether the network numbers in a packet mean the networks that they mean here. Under another membership table they may mean
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    Ours,
    Other,
}

impl Multipath {
    /// The networks of a daemon that starts at `now`.
    pub fn new(config: MultipathSettings, now: Instant) -> Multipath {
        let table = Table::new(config.me, &config.daemons, &config.sites);
        let mut multipath = Multipath {
            system: config.system,
            networks: config.networks,
            keys: keys::bytes(&config.keys),
            outbound: Outbound::new(&config, &table),
            health: Health::new(&table, &config, now),
            succession: Succession::new(config.sources.clone()),
            shown: Shown::default(),
            senior: Senior::default(),
            doubles: Vec::new(),
            inbound: Inbound::new(config.incarnation, &table, config.sources, config.keys),
            table,
            stats: Stats::default(),
        };
        multipath.follow_lengths();
        multipath
    }

    /// A datagram arrived on a network from an address. Its header and body if it is the first copy of a packet for us.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        network: NetworkId,
        source: IpAddr,
        datagram: Slice,
    ) -> Option<(Header, Slice)> {
        // Each step of the way in counts such bytes, and the operator learns here where they came from.
        let malformed = self.stats.malformed;
        let first = self.arrive(now, Arrival { network, source, form: Form::Whole }, datagram);
        if self.stats.malformed != malformed {
            self.inbound.notify(now, network, source, Reason::Malformed);
        }
        self.follow_lengths();
        first
    }

    fn arrive(&mut self, now: Instant, arrival: Arrival, datagram: Slice) -> Option<(Header, Slice)> {
        let Arrival { network, source, .. } = arrival;
        let opened = match self.open(now, arrival, datagram) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.refuse(now, network, source, refusal);
                return None;
            }
        };
        // Only now, behind the open seal: a forged packet must not make this daemon change its table.
        let numbering = self.follow(now, &opened.header);
        self.show_double(now, &opened);
        match self.pass(now, (arrival, numbering), &opened) {
            Ok((came, _)) if self.is_for_another(&opened.header) => {
                self.pass_on(now, came, &opened);
                None
            }
            Ok((came, copied)) => self.take(now, arrival, (came, copied), opened),
            Err(refusal) => {
                self.refuse(now, network, source, refusal);
                self.hear_of(now, arrival, &opened, refusal);
                None
            }
        }
    }

    /// Reads a datagram and opens its seal. A copy of what was opened before is not opened again, save now and then: it shows that its path
    /// works. Nothing changes here.
    fn open(&self, now: Instant, arrival: Arrival, datagram: Slice) -> Result<Opened, Refusal> {
        let read = self.inbound.read(&self.table, arrival.source, &datagram)?;
        let header = &read.header;
        let network = arrival.network_of(header);
        // What may go on is opened in any case: its first *direct* copy goes on, even behind a relayed one.
        let goes_on = self.is_for_another(header) || self.outbound.may_forward(header) || self.is_to_be_shown(header);
        if !goes_on && header.network == network {
            match self.inbound.seen(&self.table, network, header) {
                (Seen::Thus, _) => return Err(Refusal::Repeated),
                (Seen::Otherwise, Some(came))
                    if header.kind == PacketKind::Data && self.health.paths().is_fresh(now, came) =>
                {
                    return Err(Refusal::Needless);
                }
                _ => {}
            }
        }
        let after = if goes_on { After::GoesOn } else { After::StaysHere };
        self.inbound.open(&self.table, read, datagram, after)
    }

    /// Finds out who sent an opened packet, how it came, and which copy it is.
    fn pass(
        &mut self,
        now: Instant,
        (arrival, numbering): (Arrival, Numbering),
        opened: &Opened,
    ) -> Result<(Came, Copied), Refusal> {
        let header = &opened.header;
        let network = arrival.network_of(header);
        // Seats and network numbers mean something under one table only.
        if header.system != self.system.digest && !self.succession.overlaps(now, header, self.system.digest) {
            return Err(Refusal::OtherSystem);
        }
        let came = self.inbound.admit(&self.table, network, header)?;
        // Under another table the number of the network may be another one, so the packet says nothing about a path.
        // Fragments may have come on several networks, and have been heard there themselves.
        let unclear = numbering == Numbering::Other || arrival.form == Form::Joined;
        let came = if unclear { Came { directly: None, ..came } } else { came };
        if self.is_for_another(header) {
            // A packet that goes on from here is counted there.
            return Ok((came, Copied::Later));
        }
        // Last, because it is the first step that changes anything: nothing that was refused above moves the window.
        let copied = self.inbound.record(now, came, (network, arrival.origin(header)), header)?;
        if header.network != network && numbering == Numbering::Ours {
            self.stats.crossed += 1;
            // No daemon sends on a network that nobody has. So no cable is crossed, and the number was changed on its way.
            if header.network.0 < self.networks {
                self.health.on_crossed(now, header.sender, header.network, network);
            }
        }
        Ok((came, copied))
    }

    fn is_for_another(&self, header: &Header) -> bool {
        header.destination.is_some_and(|to| to != self.table.my_id())
    }

    /// The time that [`Multipath::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.check(now);
        self.prove_lengths(now);
        self.follow_clones(now);
        self.follow_senior(now);
        self.follow_lengths();
    }

    fn check(&mut self, now: Instant) {
        // Before health: it counts daemons and networks by their numbers in the present table.
        self.check_succession(now);
        self.health.check_deaths(now, &self.table);
        self.knock(now);
        if let Some(plans) = self.health.check(now, &self.table) {
            if plans == Plans::Stale {
                let known = Known { now, table: &self.table, health: &self.health };
                self.outbound.replan(known);
            }
            self.outbound.chooser_mut().learn(now, self.health.reached(now, &self.table));
            self.choose_key(now);
        }
        let off = Networks::first(self.networks) - self.outbound.chooser().all();
        let (digests, next) = (self.system.parts, self.succession.announced_digest());
        let said = Said { networks: self.networks, off, digests, next, keys: &self.keys };
        if let Some(report) = self.health.report(now, &self.table, &said) {
            let body = report.encode().into();
            self.send(now, Outgoing { kind: PacketKind::Report, to: None, attempt: Attempt::First, body });
        }
    }

    /// When [`Multipath::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.table.len() > 1 || self.succession.next_digest() != 0).then(|| self.health.poll_timeout())
    }

    /// Sends a packet on the networks that are to carry it. One for this daemon itself goes nowhere.
    pub fn send(&mut self, now: Instant, packet: Outgoing) {
        if self.keeps_back(packet.kind) {
            return;
        }
        match packet.kind {
            PacketKind::Data | PacketKind::Join | PacketKind::Form => self.health.on_traffic(now),
            _ => {}
        }
        // A closed port refuses this packet as well as a knock, so the next knock can wait.
        if let Some(to) = packet.to.and_then(|to| self.table.seat(to)) {
            self.health.on_sent(now, to);
        }
        if packet.kind == PacketKind::Data && self.overhead() + packet.body.len() > usize::from(LOWEST) {
            self.health.sizes_mut().on_data(now);
        }
        self.outbound.send(Known { now, table: &self.table, health: &self.health }, packet);
    }

    /// A packet that was handed up makes no sense. The operator learns where it came from.
    pub fn refuse_body(&mut self, now: Instant, network: NetworkId, source: IpAddr, reason: Reason) {
        self.stats.count(reason);
        self.inbound.notify(now, network, source, reason);
    }

    /// The body of a packet that is not handed up makes no sense.
    fn count_malformed(&mut self) {
        self.stats.malformed += 1;
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.outbound.chooser_mut().set_policy(policy);
    }

    /// Sets the silence after which a daemon is taken for gone. It is longer only for daemons that are often silent for a while.
    pub fn set_believed_silence(&mut self, silence: Duration) {
        self.health.set_believed(silence);
    }

    /// Sets which networks are preferred if the policy has a choice: those with higher numbers, and of equals the first. A
    /// network without a number has 0.
    pub fn set_priorities(&mut self, priorities: &[u8]) {
        self.outbound.chooser_mut().set_priorities(priorities);
    }

    /// Switches a network on or off. Nothing is sent on a network that is off, and reports tell the others. Returns whether that
    /// was done: it is not done if there is no such network, or no other one that is on.
    pub fn set_network_enabled(&mut self, now: Instant, network: NetworkId, enabled: bool) -> bool {
        let done = self.outbound.chooser_mut().set_enabled(network, enabled);
        if done {
            self.health.schedule_report(now);
            self.health.stir(now);
        }
        done
    }

    /// The policy by which data travels.
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
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.inbound.poll_notice().or_else(|| self.health.poll_notice())
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbound.poll_transmit()
    }

    /// The state and the measurements of every path.
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.health.paths().iter(&self.table)
    }

    /// How often the state of a path has changed.
    pub fn path_changes(&self) -> u64 {
        self.health.paths().changes()
    }

    /// Which daemon hears which other one on which networks, as far as it is known here.
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

    /// A datagram goes no further.
    fn refuse(&mut self, now: Instant, network: NetworkId, source: IpAddr, refusal: Refusal) {
        match refusal {
            Refusal::Told(reason) => {
                self.stats.count(reason);
                self.inbound.notify(now, network, source, reason);
            }
            Refusal::Malformed(error) => {
                tracing::debug!(%error, ?network, "not a packet");
                self.stats.malformed += 1;
            }
            Refusal::OtherSystem => self.stats.other_system += 1,
            Refusal::UnknownSender => self.stats.unknown_sender += 1,
            Refusal::Own | Refusal::SecondSelf => self.stats.not_for_us += 1,
            Refusal::Stranger(_) => self.stats.strangers += 1,
            Refusal::PastLife => self.stats.past_life += 1,
            Refusal::Repeated => self.stats.repeated += 1,
            Refusal::Needless => self.stats.unopened += 1,
            Refusal::Rival | Refusal::SecondHost(_) => self.stats.clones += 1,
        }
    }

    /// Uses an opened packet that is not admitted.
    fn hear_of(&mut self, now: Instant, arrival: Arrival, opened: &Opened, refusal: Refusal) {
        match refusal {
            Refusal::OtherSystem => self.on_other_system(now, &opened.header, &opened.body),
            Refusal::SecondSelf => self.on_second_self(now, arrival, opened),
            Refusal::Stranger(sender) => self.on_stranger(now, (sender, arrival.origin(&opened.header)), opened),
            Refusal::SecondHost(hosts) => self.on_clones(now, opened.header.sender, hosts),
            _ => {}
        }
    }

    /// A packet for another daemon.
    fn pass_on(&mut self, now: Instant, came: Came, opened: &Opened) {
        let known = Known { now, table: &self.table, health: &self.health };
        let Some(parcel) = Parcel::of(opened) else { return };
        match self.outbound.pass_on(known, came.sender, &parcel) {
            Relaying::Astray => self.stats.not_for_us += 1,
            Relaying::Relayed => self.stats.relayed += 1,
            Relaying::NotNeeded => {}
        }
    }

    /// A packet for us, or for all, that did not come this way before.
    fn take(
        &mut self,
        now: Instant,
        arrival: Arrival,
        (came, copied): (Came, Copied),
        opened: Opened,
    ) -> Option<(Header, Slice)> {
        let header = opened.header;
        // Copies too: each shows that its own path works.
        self.health.on_packet(now, came, copied);
        // Not for reports: they would keep a quiet system awake.
        if (header.kind, copied) == (PacketKind::Data, Copied::First) {
            self.health.on_traffic(now);
        }
        // Before the kinds part: a packet of any kind may have to go on.
        if let Some(parcel) = Parcel::of(&opened) {
            let known = Known { now, table: &self.table, health: &self.health };
            let relaying = self.outbound.forward(known, came.sender, &parcel);
            self.stats.relayed += u64::from(relaying == Relaying::Relayed);
        }
        match (header.kind, copied) {
            // Every copy is read, because each shows the round trip on its own network.
            (PacketKind::Report, _) => {
                self.stats.reports += u64::from(copied == Copied::First);
                self.on_report(now, (came, copied), &header, &opened.body);
                return None;
            }
            (PacketKind::Greeting, Copied::First) => {
                match Greeting::decode(&opened.body) {
                    Ok(greeting) => self.greet(now, (came.sender, arrival.origin(&header)), &opened, Some(greeting)),
                    Err(_) => self.count_malformed(),
                }
                return None;
            }
            (PacketKind::Knock, _) => {
                self.stats.knocks += u64::from(copied == Copied::First);
                self.health.on_knock(now);
                return None;
            }
            (PacketKind::SizeProbe | PacketKind::Sizes, _) => {
                self.on_size(now, came, &opened);
                return None;
            }
            (_, Copied::Later) => {
                self.stats.copies += 1;
                return None;
            }
            (PacketKind::Fragment, Copied::First) => return self.join(now, arrival, came, &opened),
            // A host that gives way takes no part in a ring, so it reads no packets of one.
            (_, Copied::First) if self.stands_aside() => {
                self.stats.clones += 1;
                return None;
            }
            (_, Copied::First) => {}
        }
        self.stats.first += 1;
        Some((header, opened.body))
    }
}
