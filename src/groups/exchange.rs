//! The merging of all daemons' tables in a new regular configuration.
//!
//! Each daemon sends the members of its groups *at itself*. A view is unchanged if all daemons with members of it give the same id and
//! none has lost members: ids are unique, so the members are the same. Every other group gets a new view, with one vs set for each
//! component. Parts of tables are merged as they arrive, so that the message that completes the exchange leaves little to do.
//!
//! A daemon sends its whole table before anything else in the configuration. The state has the safe service: if one daemon completes the
//! exchange, all surviving members do. So no client gets a safe message in a view of which another surviving member never hears.

use std::collections::BTreeMap;

use tracing::debug;

use super::agenda::{Cursor, VIEWS_PER_STEP};
use super::sessions::Sessions;
use super::table::GroupTable;
use super::views::Views;
use super::{Dropped, GroupsEvent};
use crate::wire::{Basis, DaemonId, Envelope, ExchangeState, GroupState, Name, RingId, Service};

/// The cost of putting a member into the new tables, in names that are copied.
const GATHER_COST: usize = 8;

/// Messages that may wait for an exchange. Further ones are dropped, the same ones at all daemons. Daemons do not read clients during an
/// exchange, so far fewer messages are on their way when it begins.
pub const HELD_LIMIT: usize = 1 << 18;

/// Messages that waited for an exchange, in order.
pub(super) type Held = Vec<(DaemonId, Envelope)>;

/// This daemon's state for a configuration, built a few groups at a time. The first walk counts the parts, because each part carries their
/// number; the second sends them.
#[derive(Debug)]
pub(super) struct Speech {
    ring: RingId,
    at: Cursor,
    /// How many parts there are, once they have been counted.
    count: Option<u32>,
    parts: Parts,
}

impl Speech {
    /// A state of which nothing is sent yet.
    pub fn new(ring: RingId) -> Speech {
        Speech { ring, at: Cursor::default(), count: None, parts: Parts::default() }
    }

    /// Handles the next groups and returns the rest of the work.
    pub fn go_on(mut self: Box<Self>, views: &mut Views) -> Option<Box<Speech>> {
        let mut walked = Vec::with_capacity(VIEWS_PER_STEP);
        for (group, view) in views.table.views_from(self.at).take(VIEWS_PER_STEP) {
            walked.push(*group);
            let members: Vec<Name> = view.at(views.table.me()).map(|member| member.name).collect();
            views.spent += members.len();
            self.parts.add(&GroupState { group: *group, id: view.id, broken: view.broken, members });
        }
        let rest = Cursor::after(&walked);
        match (self.count, rest) {
            (None, Some(_)) => self.parts.count(),
            (None, None) => {
                self.parts.count();
                let count = u32::try_from(self.parts.counted + 1).expect("a table that fits in memory has fewer parts");
                self.count = Some(count);
                self.parts = Parts::default();
                self.at = Cursor::default();
                return Some(self);
            }
            (Some(count), Some(_)) => self.say(count, None, views),
            (Some(count), None) => {
                let last = std::mem::take(&mut self.parts.last);
                self.say(count, Some(last), views);
                views.events.push_back(GroupsEvent::Said(self.ring));
            }
        }
        self.at = rest?;
        Some(self)
    }

    /// Sends the full parts, and at the end of the table the last part.
    fn say(&mut self, parts: u32, last: Option<Vec<GroupState>>, views: &mut Views) {
        for groups in self.parts.full.drain(..).chain(last) {
            let basis = views.basis.clone();
            let payload = Envelope::State(ExchangeState { exchange: self.ring, basis, parts, groups }).encode();
            views.spent += payload.len() / Name::SIZE;
            views.events.push_back(GroupsEvent::Submit { ring: self.ring, payload, service: Service::Safe });
        }
    }
}

/// A table cut to the size of state envelopes.
#[derive(Debug, Default)]
struct Parts {
    full: Vec<Vec<GroupState>>,
    last: Vec<GroupState>,
    used: usize,
    /// Full parts that were counted and dropped.
    counted: usize,
}

impl Parts {
    const ROOM: usize = ExchangeState::SIZE_LIMIT - ExchangeState::FRAME_SIZE;

    fn add(&mut self, state: &GroupState) {
        let mut members = &state.members[..];
        while !members.is_empty() {
            // A group with many members is continued in the next part, because one message must stay small.
            if Parts::ROOM - self.used < GroupState::FRAME_SIZE + Name::SIZE {
                self.full.push(std::mem::take(&mut self.last));
                self.used = 0;
            }
            let fit = (Parts::ROOM - self.used - GroupState::FRAME_SIZE) / Name::SIZE;
            let (now, later) = members.split_at(fit.min(members.len()));
            self.used += GroupState::FRAME_SIZE + now.len() * Name::SIZE;
            self.last.push(GroupState { members: now.to_vec(), ..*state });
            members = later;
        }
    }

    /// Counts the full parts, and drops them.
    fn count(&mut self) {
        self.counted += self.full.drain(..).count();
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    ring: RingId,
    /// The new tables, from the states so far.
    table: GroupTable,
    parting: Option<Parting>,
    reports: BTreeMap<DaemonId, Report>,
    held: Held,
}

/// The ring broke.
#[derive(Clone, Debug)]
pub(super) struct Parting {
    /// The ring that comes next.
    pub next: RingId,
    /// The members that go on to it together.
    pub remaining: Vec<DaemonId>,
}

/// The parts of one daemon that have arrived.
#[derive(Debug)]
struct Report {
    basis: Basis,
    parts: u32,
    missing: u32,
}

/// A message in a daemon's name was forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

/// The result of a complete exchange.
#[derive(Debug)]
pub(super) struct Agreed {
    pub ring: RingId,
    /// The members of each group. The broken views begin again: not all their members come from one complete view.
    pub table: GroupTable,
    /// The component of each position, numbered in the order of vs sets.
    pub components: Vec<usize>,
    pub held: Held,
}

impl Exchange {
    /// An exchange among `members`, of which `me` is one. No state has arrived.
    pub fn new(ring: RingId, members: Vec<DaemonId>, me: DaemonId) -> Exchange {
        let table = GroupTable::new(members, me);
        Exchange { ring, table, parting: None, reports: BTreeMap::new(), held: Held::new() }
    }

    /// How the ring broke, if it did.
    pub fn parting(&self) -> Option<&Parting> {
        self.parting.as_ref()
    }

    /// The ring broke.
    pub fn part(&mut self, parting: Parting) {
        self.parting = Some(parting);
    }

    /// A part of a daemon's table arrived. Returns the cost.
    pub fn on_state(
        &mut self,
        origin: DaemonId,
        state: ExchangeState,
        sessions: &Sessions,
        dropped: &mut Dropped,
    ) -> Result<usize, Contradiction> {
        if state.exchange != self.ring {
            dropped.stale_states += 1;
            return Ok(0);
        }
        let ExchangeState { basis, parts, groups, .. } = state;
        let first = || Report { basis: basis.clone(), parts, missing: parts };
        let at = self.table.position(origin);
        let report = at.map(|at| (at, self.reports.entry(origin).or_insert_with(first)));
        // More parts than announced, or a state of a daemon that is no member: it cannot count twice.
        let Some((at, report)) = report.filter(|(_, report)| report.missing > 0) else {
            debug!(%origin, "a state that is not expected");
            dropped.malformed += 1;
            return Ok(0);
        };
        // All parts of a daemon must agree. If they do not, one is forged, and the exchange might never be complete.
        if (report.parts, &report.basis) != (parts, &basis) {
            debug!(%origin, "states that contradict each other");
            dropped.contradictions += 1;
            return Err(Contradiction);
        }
        // Merge it at once. All daemons wait for the last part, so that part must leave little to do.
        report.missing -= 1;
        groups.iter().for_each(|said| self.table.gather(at, said, sessions));
        Ok(groups.iter().map(|said| GATHER_COST * said.members.len()).sum())
    }

    /// Another message arrived and must wait. Its daemon must have sent its whole state before it.
    pub fn hold(&mut self, origin: DaemonId, envelope: Envelope, dropped: &mut Dropped) -> Result<(), Contradiction> {
        if self.waits_for(origin) {
            debug!(%origin, "a message before the state");
            dropped.contradictions += 1;
            return Err(Contradiction);
        }
        if self.held.len() < HELD_LIMIT {
            self.held.push((origin, envelope));
        } else {
            debug!(%origin, "too many messages during an exchange");
            dropped.held += 1;
        }
        Ok(())
    }

    /// Whether the whole state of every member has arrived.
    pub fn is_complete(&self) -> bool {
        self.table.order().iter().all(|&member| self.has_said_all(member))
    }

    /// Whether this is a member whose state has not arrived in full. Anything else in its name was forged, and the state may be lost with it.
    pub fn waits_for(&self, origin: DaemonId) -> bool {
        self.table.position(origin).is_some() && !self.has_said_all(origin)
    }

    fn has_said_all(&self, member: DaemonId) -> bool {
        self.reports.get(&member).is_some_and(|report| report.missing == 0)
    }

    /// The tables so far, and the messages that waited.
    pub fn into_parts(self) -> (GroupTable, Held) {
        (self.table, self.held)
    }

    /// The merged tables of all members. The exchange must be complete.
    pub fn agree(self) -> Agreed {
        let components = self.components();
        Agreed { ring: self.ring, table: self.table, components, held: self.held }
    }

    /// Numbers the components in the order of their last configurations: by representative, then sequence. Components
    /// of one configuration that broke follow each other by their members.
    fn components(&self) -> Vec<usize> {
        let key = |member: &DaemonId| {
            let basis = &self.reports[member].basis;
            (basis.ring.representative, basis.ring.sequence, &basis.together)
        };
        // The components are in the same order at all daemons.
        let mut keys: Vec<_> = self.table.order().iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        self.table.order().iter().map(|member| keys.partition_point(|earlier| *earlier < key(member))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::GroupId;

    const RING: RingId = RingId { sequence: 5, representative: DaemonId(1) };

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn state(exchange: RingId) -> ExchangeState {
        let basis = Basis { ring: RING, together: vec![DaemonId(1)] };
        ExchangeState { exchange, basis, parts: 1, groups: Vec::new() }
    }

    #[test]
    fn a_large_table_is_cut_into_parts_that_meet_the_limit() {
        let mut parts = Parts::default();
        let (mut groups, mut said) = (0, 0);
        for (n, size) in [1, 5000, 2000, 7, 1].into_iter().chain((0..3000).map(|n| n % 4)).enumerate() {
            let members: Vec<Name> = (0..size).map(|n| name(&format!("#m{n}#d1"))).collect();
            (groups, said) = (groups + usize::from(size > 0), said + size);
            parts.add(&GroupState { group: name(&format!("g{n}")), id: GroupId::default(), broken: false, members });
        }
        let parts: Vec<_> = parts.full.into_iter().chain([parts.last]).collect();
        let together = (1..=DaemonId::LIMIT as u32).map(DaemonId).collect();
        let basis = Basis { ring: RING, together };
        let mut seen: BTreeMap<Name, usize> = BTreeMap::new();
        for groups in parts {
            groups.iter().for_each(|group| *seen.entry(group.group).or_default() += group.members.len());
            let envelope = Envelope::State(ExchangeState { exchange: RING, basis: basis.clone(), parts: 9, groups });
            let payload = envelope.encode();
            assert!(payload.len() <= ExchangeState::SIZE_LIMIT, "{} bytes", payload.len());
            assert_eq!(Envelope::decode(&payload), Ok(envelope));
        }
        assert_eq!((seen.len(), seen.values().sum::<usize>()), (groups, said));
    }

    #[test]
    fn states_of_other_rings_outsiders_and_talkers_do_not_count() {
        let mut exchange = Exchange::new(RING, vec![DaemonId(1), DaemonId(2)], DaemonId(1));
        let (sessions, mut dropped) = (Sessions::default(), Dropped::default());
        let other = state(RingId { sequence: 4, ..RING });
        for (origin, state) in [(1, other), (3, state(RING)), (1, state(RING)), (1, state(RING))] {
            assert_eq!(exchange.on_state(DaemonId(origin), state, &sessions, &mut dropped), Ok(0));
        }
        assert!(!exchange.is_complete());
        assert_eq!(dropped, Dropped { stale_states: 1, malformed: 2, ..Dropped::default() });
        assert_eq!(exchange.on_state(DaemonId(2), state(RING), &sessions, &mut dropped), Ok(0));
        assert!(exchange.is_complete());
    }

    #[test]
    fn a_state_with_more_parts_than_anybody_has_shows_a_forger() {
        let mut exchange = Exchange::new(RING, vec![DaemonId(1), DaemonId(2)], DaemonId(1));
        let (sessions, mut dropped) = (Sessions::default(), Dropped::default());
        let forged = ExchangeState { parts: u32::MAX, ..state(RING) };
        assert_eq!(exchange.on_state(DaemonId(2), forged, &sessions, &mut dropped), Ok(0));
        assert_eq!(exchange.on_state(DaemonId(2), state(RING), &sessions, &mut dropped), Err(Contradiction));
    }

    #[test]
    fn a_message_of_a_daemon_that_has_not_said_all_of_its_table_shows_a_forger() {
        let mut exchange = Exchange::new(RING, vec![DaemonId(1), DaemonId(2)], DaemonId(1));
        let (sessions, mut dropped) = (Sessions::default(), Dropped::default());
        let said = || Envelope::Disconnect { member: name("#a#d2") };
        assert_eq!(exchange.hold(DaemonId(2), said(), &mut dropped), Err(Contradiction));
        assert_eq!(exchange.on_state(DaemonId(2), state(RING), &sessions, &mut dropped), Ok(0));
        assert_eq!(exchange.hold(DaemonId(2), said(), &mut dropped), Ok(()));
        assert_eq!(dropped.contradictions, 1);
    }

    #[test]
    fn messages_above_the_limit_of_an_exchange_are_counted() {
        let mut exchange = Exchange::new(RING, vec![DaemonId(1)], DaemonId(1));
        let mut dropped = Dropped::default();
        assert_eq!(exchange.on_state(DaemonId(1), state(RING), &Sessions::default(), &mut dropped), Ok(0));
        for _ in 0..HELD_LIMIT + 2 {
            assert_eq!(
                exchange.hold(DaemonId(1), Envelope::Disconnect { member: name("#a#d1") }, &mut dropped),
                Ok(())
            );
        }
        assert_eq!((exchange.held.len(), dropped.held), (HELD_LIMIT, 2));
    }
}
