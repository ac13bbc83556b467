//! Gather: find out which daemons are present, until all daemons agree (Totem SRP §6.2, join messages).
//!
//! Each daemon sends the set of daemons that it has heard of (`present`), and the set of those that it excludes (`failed`). Both sets only grow
//! during one gather, except when the table changes. So the gather ends. Either all remaining daemons send the same sets, or the consensus
//! time-out excludes the daemons that do not agree. In the end this daemon may be alone. A daemon that was excluded by mistake is found again by
//! the probes of the new rings.

use std::collections::{BTreeMap, BTreeSet};

use super::core::{Core, Failure, Transmit};
use super::form::{Collector, is_possible_at_first};
use super::owed::Owed;
use super::timer::Timer;
use super::transition::{GatherReason, Regather, Transition};
use crate::time::Instant;
use crate::wire::{DaemonId, Form, FormMember, FormPart, Join, Packet, RingId};

/// The state of a gather.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) owed: Owed,
    present: BTreeSet<DaemonId>,
    failed: BTreeSet<DaemonId>,
    /// The failed daemons that this daemon excluded itself: they died, were silent, or did not agree in time.
    silent: BTreeSet<DaemonId>,
    /// The latest join of each daemon.
    joins: BTreeMap<DaemonId, Join>,
    /// The daemons that have agreed since the sets last changed.
    agreed: BTreeSet<DaemonId>,
    /// Whether those of them who agree no longer have been given more time.
    extended: bool,
    /// When the gather began.
    pub(crate) since: Instant,
    /// Until this time, joins that exclude this daemon are ignored. They may have been sent while it stood still.
    stale_until: Instant,
    /// Whether the sets have been unchanged for a moment.
    settled: bool,
    collector: Collector,
}

impl Gather {
    /// Begins to gather.
    pub(crate) fn enter(core: &mut Core, now: Instant, owed: Owed, how: Regather) -> Gather {
        let mut present = how.present;
        present.extend(&owed.members);
        present.extend(&how.failed);
        present.insert(core.me());
        present.retain(|daemon| core.is_known(daemon));
        let mut failed = how.failed;
        failed.retain(|daemon| core.is_known(daemon));
        // While this daemon stood still, joins collected in its socket. Those that are still valid are repeated.
        let woke = core.woke.is_some_and(|woke| now.since(woke) < core.config.join_interval);
        let absent = how.reason == GatherReason::Absent || woke;
        let stale_until = if absent { now + core.config.join_interval } else { now };
        let mut gather = Gather {
            owed,
            present,
            silent: if how.reason.is_silence() { failed.clone() } else { BTreeSet::new() },
            failed,
            joins: BTreeMap::new(),
            agreed: BTreeSet::new(),
            extended: false,
            since: now,
            stale_until,
            settled: false,
            collector: Collector::default(),
        };
        gather.changed(core, now);
        core.timers.set(Timer::Join, now + core.config.join_interval);
        gather
    }

    /// Other daemons may be members now. This daemon does not wait for the ones that may not.
    pub(crate) fn readmit(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let before = (self.present.len(), self.failed.len());
        for daemons in [&mut self.present, &mut self.failed] {
            daemons.retain(|daemon| core.is_known(daemon));
        }
        // Joins that name a daemon which may no longer be a member are dropped. Their senders send new ones.
        self.joins.retain(|daemon, join| core.is_known(daemon) && join.present.iter().all(|it| core.is_known(it)));
        if (self.present.len(), self.failed.len()) == before {
            return None;
        }
        self.changed(core, now);
        None
    }

    /// A join arrived.
    pub(crate) fn on_join(&mut self, core: &mut Core, now: Instant, join: Join) -> Option<Transition> {
        let origin = join.origin;
        if join.leaving {
            if self.present.insert(origin) | self.failed.insert(origin) {
                self.changed(core, now);
            }
            return None;
        }
        if now < self.stale_until && join.failed.contains(&core.me()) {
            core.stats.dropped.stale_join += 1;
            return None;
        }
        // Before it is believed: the two hosts may have given up different members.
        self.owed.hear(origin, join.incarnation);
        let behind = join.present.is_subset(&self.present) && join.failed.is_subset(&self.failed);
        if !behind && !self.failed.contains(&origin) {
            self.merge(core, &join);
            self.changed(core, now);
        }
        self.joins.insert(origin, join);
        if self.agrees(&origin) && self.agreed.insert(origin) {
            // The others may begin to gather only now, long after this daemon. One of them is here, so the rest get the whole time to follow.
            core.timers.set(Timer::Consensus, now + core.config.consensus_timeout);
        }
        self.agree(core, now)
    }

    /// A daemon has died. This daemon does not wait for it.
    pub(crate) fn on_death(&mut self, core: &mut Core, now: Instant, daemon: DaemonId) {
        if self.present.contains(&daemon) && self.failed.insert(daemon) {
            self.silent.insert(daemon);
            self.changed(core, now);
        }
    }

    /// A part of a form token arrived.
    pub(crate) fn on_form(&mut self, core: &mut Core, now: Instant, part: FormPart) -> Option<Transition> {
        let form = self.collector.add(part)?;
        let members: BTreeSet<DaemonId> = form.members.iter().map(|member| member.daemon).collect();
        let stale = form.ring.sequence <= core.formed || members != self.going_on();
        if stale {
            core.stats.dropped.stale_form += 1;
            return None;
        }
        if !is_possible_at_first(core, now, &form) {
            tracing::debug!(?form, "an impossible form token");
            core.stats.dropped.impossible_form += 1;
            // The correct one may still come, with the same ring and hop.
            self.collector = Collector::default();
            return None;
        }
        self.shun_failed(core, now);
        Some(Transition::Form(form))
    }

    /// A timer expired.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) -> Option<Transition> {
        match timer {
            Timer::Join => {
                self.say(core);
                core.timers.set(Timer::Join, now + core.config.join_interval);
                None
            }
            Timer::Settle => {
                self.settled = true;
                self.agree(core, now)
            }
            Timer::Consensus => self.give_up(core, now),
            _ => None,
        }
    }

    /// The daemons with which this daemon wants to form a ring.
    fn going_on(&self) -> BTreeSet<DaemonId> {
        self.present.difference(&self.failed).copied().collect()
    }

    fn merge(&mut self, core: &Core, join: &Join) {
        self.present.extend(&join.present);
        if join.failed.contains(&core.me()) || self.parts_members(core, join) {
            // That daemon excludes this one, or a member, and its sets only grow. So this daemon excludes that one, and both gathers end.
            self.failed.insert(join.origin);
        } else {
            self.failed.extend(&join.failed);
        }
    }

    /// Whether a newcomer excludes a member of the old ring that this daemon has not excluded.
    ///
    /// The members of the old ring heard each other until now, so the newcomer is excluded instead. Otherwise one daemon could separate others
    /// that hear each other well. It may have returned from sleep, or one member may not hear it. A new life of a member is a newcomer too. So
    /// is a member as which two hosts run, or seem to run: each host may hear only some of the others.
    fn parts_members(&self, core: &Core, join: &Join) -> bool {
        let members = &self.owed.members;
        let given_up = |daemon: &DaemonId| members.contains(daemon) && !self.failed.contains(daemon);
        let was_heard = self.owed.was_heard(join.origin, join.incarnation) && !core.doubles.contains(&join.origin);
        !was_heard && join.failed.iter().any(given_up)
    }

    /// The sets have changed. Sends a join, and restarts the timers of the agreement.
    fn changed(&mut self, core: &mut Core, now: Instant) {
        // Joins of other daemons may be on their way. An agreement now would form rings that break again.
        self.settled = false;
        self.agreed.clear();
        self.extended = false;
        self.say(core);
        core.timers.set(Timer::Settle, now + core.config.join_interval / 3);
        core.timers.set(Timer::Consensus, now + core.config.consensus_timeout);
    }

    fn say(&self, core: &mut Core) {
        let join = Join {
            origin: core.me(),
            incarnation: core.config.incarnation,
            sequence: core.sequence,
            leaving: false,
            present: self.present.clone(),
            failed: self.failed.clone(),
        };
        // The latest join replaces an earlier one of the same moment. If both were sent, the older one might arrive last. Others would use it
        // until the next join.
        if matches!(core.transmits.back(), Some(Transmit { packet: Packet::Join(before), .. }) if !before.leaving) {
            core.transmits.pop_back();
        }
        core.said = Some(join.clone());
        core.transmit(None, Packet::Join(join));
    }

    fn agrees(&self, daemon: &DaemonId) -> bool {
        self.joins.get(daemon).is_some_and(|join| join.present == self.present && join.failed == self.failed)
    }

    /// Forms the ring, if all remaining daemons agree and this daemon is the representative. A daemon that has heard of no other one waits for
    /// [`super::RingSettings::consensus_timeout`] before it forms a ring alone.
    fn agree(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let going_on = self.going_on();
        let me = core.me();
        let agreed = going_on.iter().all(|daemon| *daemon == me || self.agrees(daemon));
        let unheard = self.present.len() == 1;
        if !self.settled || !agreed || unheard || going_on.first() != Some(&me) {
            return None;
        }
        Some(Transition::Form(self.form(core, now, going_on)))
    }

    /// Shuns the excluded daemons for a while. This includes failures that other daemons reported.
    fn shun_failed(&self, core: &mut Core, now: Instant) {
        for &daemon in &self.failed {
            let failure = match (self.joins.contains_key(&daemon), self.silent.contains(&daemon)) {
                (true, _) => Failure::Disagreement,
                (false, true) => Failure::Silent,
                (false, false) => Failure::Reported,
            };
            core.shun(now, daemon, failure);
        }
    }

    fn form(&self, core: &mut Core, now: Instant, members: BTreeSet<DaemonId>) -> Form {
        self.shun_failed(core, now);
        // Higher than every sequence in the joins of the members. So the ring id is new to all of them.
        core.learn_sequence(core.sequence + 1);
        let life = |daemon: DaemonId| self.joins.get(&daemon).map_or(core.config.incarnation, |join| join.incarnation);
        let members = core.in_ring_order(members.into_iter().collect());
        let members =
            members.into_iter().map(|daemon| FormMember { daemon, incarnation: life(daemon), brings: None }).collect();
        Form { ring: RingId { sequence: core.sequence, representative: core.me() }, hop: 0, members }
    }

    fn give_up(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let me = core.me();
        let going_on = self.going_on();
        if going_on.len() == 1 {
            return Some(Transition::Form(self.form(core, now, going_on)));
        }
        let mut silent: Vec<DaemonId> =
            going_on.into_iter().filter(|daemon| *daemon != me && !self.agrees(daemon)).collect();
        if silent.is_empty() {
            return Some(Transition::gather_with(GatherReason::RepresentativeSilent, self.present.clone()));
        }
        // Some may have missed the form token and gather again, with smaller sets. They will agree again, so they get more time, once.
        if !self.extended {
            self.extended = true;
            silent.retain(|daemon| !self.agreed.contains(daemon));
            if silent.is_empty() {
                core.timers.set(Timer::Consensus, now + core.config.consensus_timeout);
                return None;
            }
        }
        self.failed.extend(&silent);
        self.silent.extend(silent);
        self.changed(core, now);
        None
    }
}
