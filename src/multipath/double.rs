//! Daemons as which two hosts run: what is sent to one of them follows what the way in has found out.
//!
//! Hosts with one address do not hear each other, because a system drops what seems to come from itself. So the others show each of them the
//! reports of the other one, as relayed packets.

use std::collections::BTreeSet;

use super::inbound::Opened;
use super::outbound::Parcel;
use super::sizes::Arrival;
use super::{Host, Multipath};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Header, Incarnation, PacketKind, Way};

/// How often each life is shown to the other one.
const SHOW_INTERVAL: Duration = Duration::from_millis(50);

/// Lives that are shown in that time, however many are forged.
const SHOW_LIMIT: usize = 8;

/// Whose reports were shown lately.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<(Incarnation, Instant)>);

impl Shown {
    fn is_due(&mut self, now: Instant, life: Incarnation) -> bool {
        self.0.retain(|&(_, at)| now.since(at) < SHOW_INTERVAL);
        let is_due = self.0.len() < SHOW_LIMIT && self.0.iter().all(|&(shown, _)| shown != life);
        if is_due {
            self.0.push((life, now));
        }
        is_due
    }
}

impl Multipath {
    /// A packet came that is from this daemon as it says, but of this other life.
    pub(super) fn on_second_self(&mut self, now: Instant, arrival: Arrival, header: &Header) {
        let other = Host { life: header.incarnation, address: arrival.origin(header) };
        self.health.on_second_self(now, arrival.network, self.inbound.life(), other);
    }

    /// Whether this is a report of one of two hosts with one identity, which came directly.
    pub(super) fn is_to_be_shown(&self, header: &Header) -> bool {
        let is_report = header.kind == PacketKind::Report && header.way == Way::Direct && header.destination.is_none();
        is_report && self.outbound.double().contains(&header.sender)
    }

    /// Shows it to the other one, now and then.
    pub(super) fn show_double(&mut self, now: Instant, opened: &Opened) {
        let header = &opened.header;
        if self.is_to_be_shown(header)
            && self.shown.is_due(now, header.incarnation)
            && let Some(parcel) = Parcel::of(opened)
        {
            self.outbound.show(&parcel);
        }
    }

    /// Two hosts run as one daemon, the first one is heard.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.health.on_clones(now, daemon, hosts);
        self.follow_clones();
    }

    /// What is for a daemon as which two hosts run goes to all at this site, as long as that is so.
    pub(super) fn follow_clones(&mut self) {
        let near = self.table.others().filter(|&other| self.table.site(other) == self.table.site(self.table.me()));
        let mut double =
            near.filter(|&other| self.inbound.is_double(other)).map(|other| self.table.id(other)).peekable();
        if double.peek().is_some() || !self.outbound.double().is_empty() {
            let double: BTreeSet<DaemonId> = double.collect();
            self.outbound.set_double(double);
        }
    }
}
