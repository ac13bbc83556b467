//! Two hosts that run as the same daemon. The receiving side detects them (`inbound::clones`). This module decides what is sent to them and by
//! them.
//!
//! Hosts with the same address do not hear each other, because an operating system drops packets that seem to come from itself. So the other
//! daemons *show* each host the reports of the other one, as relayed packets. If there are keys, they also show its greetings for the other
//! host.
//!
//! The host with the larger life learns from these packets that it must give way. It *stands aside*: it receives and sends no packets of a ring.
//! So it stays alone in a ring. It still reports, at first often. So a daemon that comes later finds out too that there are two hosts.
//! When the other host has been silent for [`SILENCE`], this host comes back.

use std::collections::BTreeMap;

use super::inbound::{Opened, SILENCE};
use super::outbound::{Distance, Parcel, Voice};
use super::sizes::Arrival;
use super::{Host, Multipath};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Greeting, Header, Incarnation, PacketKind, Way};

/// The interval at which a report of each life is shown to the other host.
const SHOW_INTERVAL: Duration = Duration::from_millis(50);

/// The limit for packets that are shown in this interval, even if many are forged.
const SHOW_LIMIT: usize = 8;

/// Another host runs as this daemon if three things are true. At least `WORDS` new reports of another life were shown. They came over at least
/// `LASTING`. No pause between them was as long as `GAP_LIMIT`. A network may keep reports of an earlier life and deliver them minutes later.
/// These are not fresh, so they do not count.
const WORDS: u32 = 4;
const LASTING: Duration = Duration::from_millis(200);
const GAP_LIMIT: Duration = Duration::from_secs(2);

/// The packets that were shown recently.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<(Header, Instant)>);

impl Shown {
    fn is_due(&mut self, now: Instant, header: &Header) -> bool {
        self.0.retain(|&(_, at)| now.since(at) < SHOW_INTERVAL);
        let is_same = |(shown, _): &(Header, Instant)| {
            // A question and an answer may follow each other at once. But each of them arrives on several networks.
            let again = header.kind == PacketKind::Report || header.counter == shown.counter;
            (shown.incarnation, shown.kind) == (header.incarnation, header.kind) && again
        };
        let is_due = self.0.len() < SHOW_LIMIT && !self.0.iter().any(is_same);
        if is_due {
            self.0.push((*header, now));
        }
        is_due
    }
}

/// Another host that runs as this daemon and has the smaller life. This host gives way to it.
#[derive(Debug, Default)]
pub(super) struct Senior(Option<Heard>);

/// The reports that this host has heard from the other one.
#[derive(Debug)]
struct Heard {
    life: Incarnation,
    /// The highest counter of its reports.
    counter: u64,
    since: Instant,
    last: Instant,
    words: u32,
}

impl Senior {
    /// A report of a smaller life was shown to this host.
    fn hear(&mut self, now: Instant, header: &Header) {
        let is_there = self.is_there(now);
        let new = Heard { life: header.incarnation, counter: header.counter, since: now, last: now, words: 1 };
        match &mut self.0 {
            Some(heard) if heard.life == header.incarnation && (is_there || now.since(heard.last) < GAP_LIMIT) => {
                // Old packets of an earlier life arrive in any order. A running host sends rising counters.
                if header.counter > heard.counter {
                    (heard.counter, heard.last, heard.words) = (header.counter, now, heard.words + 1);
                }
            }
            // If there are three hosts, the one with the smallest life is heard.
            Some(heard) if is_there && heard.life.0 < header.incarnation.0 => {}
            _ => self.0 = Some(new),
        }
    }

    /// Whether the other host certainly runs.
    fn is_there(&self, now: Instant) -> bool {
        let is_host = |heard: &&Heard| heard.words >= WORDS && heard.last.since(heard.since) >= LASTING;
        self.0.as_ref().filter(is_host).is_some_and(|heard| now.since(heard.last) < SILENCE)
    }
}

impl Multipath {
    /// A packet arrived that names this daemon as its sender, but has another life.
    pub(super) fn on_second_self(&mut self, now: Instant, arrival: Arrival, opened: &Opened) {
        let header = &opened.header;
        let other = Host { life: header.incarnation, address: arrival.origin(header) };
        self.health.on_second_self(now, arrival.network, self.inbound.life(), other);
        // If the other host asks again, it gets another answer. The address leads to either host, so the last answer may have returned to this
        // one.
        if header.kind == PacketKind::Greeting
            && let Ok(greeting) = Greeting::decode(&opened.body)
        {
            self.greet(now, (self.table.me(), other.address), opened, Some(greeting));
        }
        let is_shown = header.kind == PacketKind::Report && header.way == Way::Relayed;
        let is_senior = header.incarnation.0 < self.inbound.life().0;
        if is_shown && is_senior && self.health.is_fresh(now, &self.table, &opened.body) {
            self.senior.hear(now, header);
            self.follow_senior(now);
        }
    }

    /// This host stands aside while a host runs to which it must give way.
    pub(super) fn follow_senior(&mut self, now: Instant) {
        let voice = if self.senior.is_there(now) { Voice::Signs } else { Voice::Full };
        if voice == Voice::Signs && !self.stands_aside() {
            // Some daemons may not have noticed yet that there are two hosts. They need several reports of this one for that.
            self.health.stir(now);
        }
        self.outbound.set_voice(voice);
    }

    /// Whether this host gives way to another host that runs as the same daemon. It then takes part in no ring.
    pub(super) fn stands_aside(&self) -> bool {
        self.outbound.voice() == Voice::Signs
    }

    /// Whether a packet of this kind is dropped because this host stands aside.
    pub(super) fn keeps_back(&self, kind: PacketKind) -> bool {
        self.stands_aside() && kind != PacketKind::Report
    }

    /// Whether this packet must be shown. It is a report of one of two hosts with one identity, or its greeting for the other host, and it came
    /// directly.
    pub(super) fn is_to_be_shown(&self, header: &Header) -> bool {
        let is_meant = match header.kind {
            PacketKind::Report => header.destination.is_none(),
            PacketKind::Greeting => header.destination == Some(header.sender),
            _ => false,
        };
        is_meant && header.way == Way::Direct && self.doubles.contains(&header.sender)
    }

    /// Shows such a packet to the other host, unless the same was shown a moment ago.
    pub(super) fn show_double(&mut self, now: Instant, opened: &Opened) {
        let header = &opened.header;
        if self.is_to_be_shown(header)
            && self.shown.is_due(now, header)
            && let Some(parcel) = Parcel::of(opened)
        {
            self.outbound.show(&parcel);
        }
    }

    /// The daemons as which two hosts run.
    pub fn doubles(&self) -> impl ExactSizeIterator<Item = DaemonId> + '_ {
        self.doubles.iter().copied()
    }

    /// The daemons as which two hosts run, with this one if it gives way to the other host.
    pub fn two_hosts(&self) -> impl Iterator<Item = DaemonId> + '_ {
        self.doubles().chain(self.stands_aside().then(|| self.table.my_id()))
    }

    /// A ring has gathered for long, since this time. A daemon that has not been heard since counts as gone.
    pub fn set_long_gather(&mut self, since: Option<Instant>) {
        self.inbound.set_long_gather(since);
    }

    /// Daemons agreed to form a ring with these lives. Not all daemons notice at the same moment that a host has gone. If the others already
    /// hear the host that gave way, this daemon must hear it too. Otherwise this daemon would be separated from them.
    pub fn follow_agreed(&mut self, now: Instant, lives: impl IntoIterator<Item = (DaemonId, Incarnation)>) {
        for (daemon, life) in lives {
            if let Some(seat) = self.table.seat(daemon) {
                self.inbound.follow_agreed(now, seat, life);
            }
        }
        self.follow_clones(now);
    }

    /// Two hosts run as the same daemon. The first one is heard.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.health.on_clones(now, daemon, hosts);
        // All daemons report often for a while, so the two hosts soon hear of each other.
        self.health.stir(now);
        self.follow_clones(now);
    }

    /// While two hosts run as a daemon of this site, and for a while after that, packets for that daemon go to all daemons of the site. If its
    /// site is another one, they still go to its address.
    pub(super) fn follow_clones(&mut self, now: Instant) {
        let others = self.table.others();
        self.doubles =
            others.filter(|&other| self.inbound.is_double(now, other)).map(|other| self.table.id(other)).collect();
        // Its machine may answer for the address after its daemon has ended, so this lasts longer.
        let double = self.table.others().filter(|&other| self.inbound.is_unclear(now, other)).map(|other| {
            let is_near = self.table.site(other) == self.table.site(self.table.me());
            (self.table.id(other), if is_near { Distance::Near } else { Distance::Far })
        });
        let mut double = double.peekable();
        if double.peek().is_some() || !self.outbound.double().is_empty() {
            let double: BTreeMap<DaemonId, Distance> = double.collect();
            self.outbound.set_double(double);
        }
    }
}
