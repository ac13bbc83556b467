//! The keys of this daemon, and the one with which it seals: the newest key of all daemons that may still be there. If they have
//! no key in common, only the daemons that are heard now decide. A daemon that sleeps or has gone must not cut off the others.

use std::net::IpAddr;

use super::Multipath;
use super::inbound::Opened;
use super::outbound::{Known, KnownTo, LifeMet, Parcel, Relaying};
use super::seat::Seat;
use crate::seal::{KeyId, Keys};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Greeting, KeyBytes, PacketKind};

/// A daemon that was heard within this time may still be there, so no key is used that it may not have.
const KEY_PATIENCE: Duration = Duration::from_secs(10);

impl Multipath {
    /// Opens packets with these keys from now on, and seals with the newest one that all daemons in reach have. Returns whether
    /// that was done: a daemon that started without keys takes none, and a daemon with keys does not lose them all.
    pub fn set_keys(&mut self, now: Instant, keys: Keys) -> bool {
        // A key that came while the daemon runs would cut it off from all who have none yet.
        if self.keys.is_empty() || keys.is_empty() {
            return false;
        }
        self.keys = bytes(&keys);
        self.outbound.set_keys(&self.table, &keys);
        self.inbound.set_keys(&self.table, keys);
        // A new key opens at once. It seals only when all daemons in reach have it.
        self.choose_key(now);
        self.health.schedule_report(now);
        true
    }

    /// The key with which packets are sealed, if they are.
    pub fn key(&self) -> Option<KeyId> {
        self.outbound.key()
    }

    /// The keys with which packets may be opened, the newest last.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = KeyId> + '_ {
        self.keys.iter().map(|&bytes| KeyId(u32::from_be_bytes(bytes)))
    }

    /// The daemons that are not known to have the newest key. While one of them may still be there, that key seals nothing.
    pub fn without_newest_key(&self) -> impl Iterator<Item = DaemonId> + '_ {
        let newest = self.keys().next_back();
        let lacks = move |other: &Seat| newest.is_some_and(|key| !self.inbound.has_key(*other, key));
        self.table.others().filter(lacks).map(|other| self.table.id(other))
    }

    /// The daemons that are heard, and that are known to have none of the keys of this one. They cannot hear it.
    pub fn without_common_key(&self, now: Instant) -> impl Iterator<Item = DaemonId> + '_ {
        let heard = move |other: &Seat| self.health.paths().is_alive(now, *other);
        let lacks = |other: &Seat| !self.keys().any(|key| self.inbound.has_key(*other, key));
        let is_sealed = !self.keys.is_empty();
        self.table
            .others()
            .filter(move |other| is_sealed && heard(other) && lacks(other))
            .map(|other| self.table.id(other))
    }

    pub(super) fn choose_key(&mut self, now: Instant) {
        let paths = self.health.paths();
        // A daemon that is down does not delay a new key. When it comes back, its report says which keys it has.
        let others = self.table.others().filter(|&other| paths.was_heard(now, other, KEY_PATIENCE));
        let living = self.table.others().filter(|&other| paths.is_alive(now, other));
        let known = |key| KnownTo {
            all: others.clone().all(|other| self.inbound.has_key(other, key)),
            living: living.clone().filter(|&other| self.inbound.has_key(other, key)).count(),
        };
        self.outbound.choose_key(known);
    }

    /// A packet of a life that this daemon does not accept. It gets a greeting and no other answer. Its greetings for other daemons are
    /// forwarded.
    pub(super) fn on_stranger(&mut self, now: Instant, (sender, source): (Seat, Option<IpAddr>), opened: &Opened) {
        let header = &opened.header;
        if self.inbound.is_rival(now, sender, header) {
            self.stats.clones += 1;
            return;
        }
        let greets = header.kind == PacketKind::Greeting;
        if greets && header.destination != Some(self.table.my_id()) {
            let known = Known { now, table: &self.table, health: &self.health };
            if let Some(parcel) = Parcel::of(opened) {
                let relaying = self.outbound.pass_on_greeting(known, sender, &parcel);
                self.stats.relayed += u64::from(relaying == Relaying::Relayed);
            }
            return;
        }
        let greeting = if greets { Greeting::decode(&opened.body).ok() } else { None };
        self.greet(now, (sender, source), opened, greeting);
    }

    pub(super) fn greet(
        &mut self,
        now: Instant,
        from: (Seat, Option<IpAddr>),
        opened: &Opened,
        greeting: Option<Greeting>,
    ) {
        let sender = from.0;
        let believed = self.inbound.present(sender);
        let met = self.inbound.meet(now, from, opened, greeting);
        if let Some(hosts) = met.second_host {
            self.on_clones(now, opened.header.sender, hosts);
        }
        if let Some(reply) = met.greeting {
            let known = Known { now, table: &self.table, health: &self.health };
            let is_other = believed.is_some_and(|life| life != opened.header.incarnation);
            let life = if is_other { LifeMet::Another } else { LifeMet::Only };
            self.outbound.greet(known, (sender, life), reply, opened.key);
        }
    }
}

/// The ids of these keys as reports say them.
pub(super) fn bytes(keys: &Keys) -> Vec<KeyBytes> {
    keys.ids().map(|id| id.0.to_be_bytes()).collect()
}
