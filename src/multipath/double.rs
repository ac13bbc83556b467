//! Daemons as which two hosts run: what is sent to one of them follows what the way in has found out.
//!
//! Hosts with one address do not hear each other, because a system drops what seems to come from itself. So the others show each of them the
//! reports of the other one, as relayed packets, and its greetings for it where there are keys.
//!
//! The host with the larger life finds out by these that it gives way. It *stands aside*: it takes no packet of a ring and sends none, so it is
//! alone in a ring and stays so. It says once a second that it is there. When the other host has been silent for [`SILENCE`], it comes back.

use std::collections::BTreeMap;

use super::inbound::{Opened, SILENCE};
use super::outbound::{Distance, Parcel, Voice};
use super::sizes::Arrival;
use super::{Host, Multipath};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Greeting, Header, Incarnation, PacketKind, Way};

/// How often a report of each life is shown to the other one.
const SHOW_INTERVAL: Duration = Duration::from_millis(50);

/// Packets that are shown in that time, however many are forged.
const SHOW_LIMIT: usize = 8;

/// So many new reports of another life that were shown, over this time and without a longer pause, prove that another host runs as this
/// daemon. What a network kept of an earlier life and brings minutes later is not fresh, so it does not count.
const WORDS: u32 = 4;
const LASTING: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(2);

/// How often a daemon that stands aside says that it is there.
const SIGN_INTERVAL: Duration = Duration::from_secs(1);

/// Whose packets were shown lately.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<(Header, Instant)>);

impl Shown {
    fn is_due(&mut self, now: Instant, header: &Header) -> bool {
        self.0.retain(|&(_, at)| now.since(at) < SHOW_INTERVAL);
        let is_same = |(shown, _): &(Header, Instant)| {
            // A question and an answer may follow each other at once, but each comes on several networks.
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

/// Another host that runs as this daemon and has the smaller life, so that this one gives way to it.
#[derive(Debug, Default)]
pub(super) struct Senior {
    heard: Option<Heard>,
    /// When this daemon said last that it is there.
    sign: Instant,
}

/// What was heard of it.
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
    /// A report of a smaller life was shown.
    fn hear(&mut self, now: Instant, header: &Header) {
        let is_there = self.is_there(now);
        let new = Heard { life: header.incarnation, counter: header.counter, since: now, last: now, words: 1 };
        match &mut self.heard {
            Some(heard) if heard.life == header.incarnation && (is_there || now.since(heard.last) < PAUSE) => {
                // What is left over of an earlier life comes in any order. A host that runs counts on.
                if header.counter > heard.counter {
                    (heard.counter, heard.last, heard.words) = (header.counter, now, heard.words + 1);
                }
            }
            // Of three hosts the smallest life is heard.
            Some(heard) if is_there && heard.life.0 < header.incarnation.0 => {}
            _ => self.heard = Some(new),
        }
    }

    /// Whether it is there for certain.
    fn is_there(&self, now: Instant) -> bool {
        let is_host = |heard: &&Heard| heard.words >= WORDS && heard.last.since(heard.since) >= LASTING;
        self.heard.as_ref().filter(is_host).is_some_and(|heard| now.since(heard.last) < SILENCE)
    }

    /// Whether it is time to say that this daemon is there too.
    fn is_sign_due(&mut self, now: Instant) -> bool {
        let is_due = now.since(self.sign) >= SIGN_INTERVAL;
        if is_due {
            self.sign = now;
        }
        is_due
    }
}

impl Multipath {
    /// A packet came that is from this daemon as it says, but of this other life.
    pub(super) fn on_second_self(&mut self, now: Instant, arrival: Arrival, opened: &Opened) {
        let header = &opened.header;
        let other = Host { life: header.incarnation, address: arrival.origin(header) };
        self.health.on_second_self(now, arrival.network, self.inbound.life(), other);
        // Its question is answered again if it asks again: the address leads to either host, so the last answer may have come back here.
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

    /// Stands aside as long as a host is there to which this one gives way.
    pub(super) fn follow_senior(&mut self, now: Instant) {
        let voice = if self.senior.is_there(now) { Voice::Signs } else { Voice::Full };
        self.outbound.set_voice(voice);
    }

    /// Whether this daemon gives way to another host that runs as it, and takes no part in a ring.
    pub(super) fn stands_aside(&self) -> bool {
        self.outbound.voice() == Voice::Signs
    }

    /// Whether a packet of this kind is not sent, because this daemon stands aside.
    pub(super) fn keeps_back(&mut self, now: Instant, kind: PacketKind) -> bool {
        self.stands_aside() && !(kind == PacketKind::Report && self.senior.is_sign_due(now))
    }

    /// Whether this is a report of one of two hosts with one identity, or a greeting for the other one, which came directly.
    pub(super) fn is_to_be_shown(&self, header: &Header) -> bool {
        let is_meant = match header.kind {
            PacketKind::Report => header.destination.is_none(),
            PacketKind::Greeting => header.destination == Some(header.sender),
            _ => false,
        };
        is_meant && header.way == Way::Direct && self.outbound.double().contains_key(&header.sender)
    }

    /// Shows it to the other one, now and then.
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
        self.outbound.double().keys().copied()
    }

    /// Whether this daemon gathers: since when, and when a daemon that has not been heard since is not there, as it seems.
    pub fn set_gathering(&mut self, gathering: Option<(Instant, Instant)>) {
        self.inbound.set_gathering(gathering);
    }

    /// Daemons agreed to form a ring with these lives. Daemons do not find out in one moment that a host has gone. So if the others hear
    /// the host that gave way, this daemon hears it too: it would be parted from them otherwise.
    pub fn follow_agreed(&mut self, now: Instant, lives: impl IntoIterator<Item = (DaemonId, Incarnation)>) {
        for (daemon, life) in lives {
            if let Some(seat) = self.table.seat(daemon) {
                self.inbound.follow_agreed(seat, life);
            }
        }
        self.follow_clones(now);
    }

    /// Two hosts run as one daemon, the first one is heard.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.health.on_clones(now, daemon, hosts);
        // Everybody reports often for a while, so the hosts soon hear of each other.
        self.health.stir(now);
        self.follow_clones(now);
    }

    /// What is for a daemon as which two hosts run goes to all at this site, if it is here, as long as that is so.
    pub(super) fn follow_clones(&mut self, now: Instant) {
        let double = self.table.others().filter(|&other| self.inbound.is_double(now, other)).map(|other| {
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
