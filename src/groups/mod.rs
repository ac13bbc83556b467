//! Process groups, views and vs-sets on top of configurations, without I/O.
//!
//! Every daemon applies the same rules to the same total order, so equal histories give equal tables. Daemons agree only through the
//! order. A regular configuration begins with an *exchange*: each daemon sends the memberships of its own clients, and all daemons merge
//! them at the message that completes the set. A *component* is the set of daemons with an equal [`Basis`](crate::wire::Basis). They
//! completed the same exchange and have stayed together since, so they have equal tables.
//!
//! The files: `agenda` has the work to do, in steps; `views` the tables between exchanges; `table` the members; `ids` the identities of
//! views; `change` joins, leaves and disconnects; `announce` the membership frames; `deliver` data; `pieces` large messages; `names` the
//! owners of private groups; `exchange` the merging of tables.

mod agenda;
mod announce;
mod change;
mod deliver;
mod exchange;
mod ids;
mod names;
mod pieces;
mod sessions;
mod table;
mod views;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use tracing::debug;

use crate::counters::counters;
use crate::ring::{self, Configuration, ConfigurationKind, RingEvent};
use crate::wire::{DaemonId, Envelope, Name, Payload, RingId, Service};
use agenda::{Agenda, Cursor, STEP_COST, Work};
pub use exchange::HELD_LIMIT;
use exchange::{Contradiction, Exchange, Parting, Speech};
use names::Names;
pub use pieces::PIECED_LIMIT;
pub use sessions::{NameInUse, Session, SessionId};
pub use table::{GROUPS_PER_MEMBER, Memberships};
use views::Views;

/// An event for the level above, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsEvent {
    /// A part of this daemon's state: submit these bytes to the ring, before every client's message that still waits.
    Submit {
        /// The ring that it is for. In any other one it is worth nothing.
        ring: RingId,
        /// The message.
        payload: Payload,
        /// The promise it needs.
        service: Service,
    },
    /// All of this daemon's state for this ring was given out: messages of clients may follow.
    Said(RingId),
    /// Write this frame to these sessions. Sessions that have ended meanwhile may be among them.
    Deliver {
        /// The receivers, each once.
        to: Arc<[SessionId]>,
        /// The bytes for their sockets.
        frame: Payload,
    },
    /// The disconnection of this session is ordered everywhere: its name may be used again.
    Released(SessionId),
    /// The last piece of this daemon's message of this number has its place in the order.
    Whole(u64),
    /// There was no room for this daemon's message of this number. When there is room, send all of it again.
    Refused(u64),
    /// There may be room again for refused messages.
    RoomForPieces,
    /// Messages in a daemon's name contradict each other, so some of them are forged. The tables can no longer be trusted: the ring must
    /// form again.
    Forged,
    /// A join or leave of a client of this daemon has its place in the order.
    Changed,
    /// The groups have reached the beginning of this regular configuration.
    Begun(RingId),
}

counters! {
    /// Requests that were dropped, by reason.
    pub struct Dropped in "groups_dropped" {
        /// Messages and frames that could not be read, and states from outside the configuration.
        malformed,
        /// Messages and states that name a client of another daemon than the one that sent them.
        false_senders,
        /// States and messages during an exchange that contradict an earlier state of their daemon.
        contradictions,
        /// States of a configuration that was over when they arrived.
        stale_states,
        /// Pieces of messages that were given up in another configuration.
        stale_pieces,
        /// Large messages for which there was no room when they began.
        refused_pieces,
        /// Joins, leaves and disconnects of daemons outside the component.
        outsiders,
        /// Joins of members that are already in the largest allowed number of groups.
        too_many_groups,
        /// Messages above the limit of one exchange.
        held,
    }
}

/// The state of the groups between configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsStatus {
    /// Messages are carried out as they come.
    Operational,
    /// The ring broke: the messages that it still owes are carried out.
    Transitional,
    /// A new ring: tables are exchanged, messages wait. Also before the first configuration.
    Exchanging,
    /// The ring broke while tables were exchanged.
    ExchangingInTransition,
}

/// The groups of all daemons as one daemon knows them, and the sessions of this daemon.
#[derive(Debug)]
pub struct Groups {
    views: Views,
    phase: Phase,
    agenda: Agenda,
}

#[derive(Debug)]
enum Phase {
    /// No configuration yet.
    Starting,
    /// The tables of the configuration are merged, and it may have broken since.
    Open,
    /// The tables are being exchanged.
    Exchange(Exchange),
}

impl Groups {
    /// No groups and no sessions at the daemon `me`, of daemons with these names.
    pub fn new(me: DaemonId, names: impl IntoIterator<Item = (DaemonId, String)>) -> Groups {
        Groups { views: Views::new(me, Names::new(names)), phase: Phase::Starting, agenda: Agenda::default() }
    }

    /// Adds daemons that may come, or changes the names of known ones.
    pub fn meet(&mut self, names: impl IntoIterator<Item = (DaemonId, String)>) {
        self.views.names.extend(names);
    }

    /// A client connected. Its private group stays in use until [`GroupsEvent::Released`], which the ordered
    /// [`Envelope::Disconnect`] of the session leads to.
    pub fn connect(&mut self, session: Session) -> Result<(), NameInUse> {
        self.views.sessions.add(session)
    }

    /// The ring delivered something. It is carried out when the caller polls for events. After a regular configuration the ring must send no
    /// message of a client before [`GroupsEvent::Said`], because this daemon's state comes first.
    pub fn handle_event(&mut self, event: RingEvent) {
        if let RingEvent::Configuration(_) = &event {
            // The ring broke, so nobody needs this daemon's state in it any more.
            self.agenda.cancel_speech();
        }
        self.agenda.append(Work::Heard(event));
    }

    /// The next event, after as much work as it takes.
    pub fn poll_event(&mut self) -> Option<GroupsEvent> {
        let mut budget = usize::MAX;
        self.poll_event_within(&mut budget)
    }

    /// The next event, within a budget of work, counted in names that are handled. If the budget is used up, `None` does not mean that all
    /// work is done: see [`Groups::is_busy`].
    pub fn poll_event_within(&mut self, budget: &mut usize) -> Option<GroupsEvent> {
        loop {
            if let Some(event) = self.views.events.pop_front() {
                return Some(event);
            }
            if *budget == 0 {
                return None;
            }
            *budget = budget.saturating_sub(self.step()?);
        }
    }

    /// Whether work or events are left.
    pub fn is_busy(&self) -> bool {
        !self.agenda.is_empty() || !self.views.events.is_empty()
    }

    /// How many pieces of work wait.
    pub fn backlog(&self) -> usize {
        self.agenda.len()
    }

    /// Whether messages wait for an exchange. The node does not read clients meanwhile, so that few messages wait.
    pub fn is_exchanging(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    /// The state of the groups.
    pub fn status(&self) -> GroupsStatus {
        match &self.phase {
            Phase::Open if self.views.in_transition() => GroupsStatus::Transitional,
            Phase::Open => GroupsStatus::Operational,
            Phase::Exchange(exchange) if exchange.parting().is_some() => GroupsStatus::ExchangingInTransition,
            Phase::Starting | Phase::Exchange(_) => GroupsStatus::Exchanging,
        }
    }

    /// How many groups have members.
    pub fn group_count(&self) -> usize {
        self.views.table.len()
    }

    /// The groups in the order of their names' bytes: how many members each has, and how many of these are clients of this daemon.
    pub fn list(&self) -> impl Iterator<Item = (Name, usize, usize)> + '_ {
        let me = self.views.table.me();
        let here = move |view: &table::View| view.members.iter().filter(|member| member.at == me).count();
        let views = self.views.table.views_from(Cursor::default());
        views.map(move |(name, view)| (*name, view.members.len(), here(view)))
    }

    /// How many members a group has.
    pub fn member_count(&self, group: &Name) -> usize {
        self.views.table.view(group).map_or(0, |view| view.members.len())
    }

    /// How many members groups have in the merged tables.
    pub fn memberships(&self) -> Memberships {
        self.views.table.memberships()
    }

    /// In how many groups a client of this daemon is.
    pub fn groups_of(&self, private_group: &Name) -> usize {
        self.views.table.count_groups_of(private_group)
    }

    /// The requests that were dropped so far, by reason.
    pub fn dropped(&self) -> &Dropped {
        &self.views.dropped
    }

    /// Carries out a step of the work and returns its cost; `None` if there is no work.
    fn step(&mut self) -> Option<usize> {
        // Freeing old tables is the last thing to do, because nobody waits for it.
        let Some(work) = self.agenda.next() else { return self.agenda.clear_some() };
        match work {
            Work::Heard(RingEvent::Message(message)) => self.on_message(message),
            Work::Heard(RingEvent::Configuration(configuration)) => match configuration.kind {
                ConfigurationKind::Transitional => self.on_transitional(configuration),
                ConfigurationKind::Regular => self.on_regular(configuration),
            },
            Work::Held(mut held) => {
                if let Some((origin, envelope)) = held.next() {
                    // The rest first, so that long work of this message is put in front of it.
                    self.agenda.prepend([Work::Held(held)]);
                    self.carry_out(origin, envelope);
                }
            }
            Work::Disconnect { member, groups } => self.go_on(|views| views.leave_next(member, groups)),
            Work::Merge { at, components } => self.go_on(|views| views.merge_some(at, components)),
            Work::Part(parting) => self.go_on(|views| Some(views.part(&parting))),
            Work::Break { at, lost } => self.go_on(|views| views.break_some(at, lost)),
            Work::Begin(configuration) => self.begin(configuration),
            Work::Say(speech) => self.go_on(|views| speech.go_on(views).map(Work::Say)),
        }
        Some(STEP_COST + mem::take(&mut self.views.spent))
    }

    /// Does one part of long work. The rest is the next work.
    fn go_on(&mut self, part: impl FnOnce(&mut Views) -> Option<Work>) {
        let rest = part(&mut self.views);
        self.agenda.prepend(rest);
    }

    fn carry_out(&mut self, origin: DaemonId, envelope: Envelope) {
        self.go_on(|views| views.on_envelope(origin, envelope));
    }

    fn on_message(&mut self, message: ring::Message) {
        let envelope = match Envelope::decode(&message.payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                // All daemons fail to read it, so dropping it keeps their tables equal.
                debug!(origin = %message.origin, %error, "not an envelope");
                self.views.dropped.malformed += 1;
                if matches!(&self.phase, Phase::Exchange(exchange) if exchange.waits_for(message.origin)) {
                    self.views.events.push_back(GroupsEvent::Forged);
                }
                return;
            }
        };
        let taken = match (&mut self.phase, envelope) {
            (Phase::Exchange(exchange), Envelope::State(state)) => {
                let taken = if self.views.speaks_for_its_own(message.origin, &state) {
                    exchange.on_state(message.origin, state, &self.views.sessions, &mut self.views.dropped)
                } else {
                    Err(Contradiction)
                };
                // This message has the same place in the order at all daemons, so all of them switch tables here.
                if exchange.is_complete() {
                    self.complete();
                }
                taken
            }
            // The old tables may differ between components, so nobody can carry this out before the tables are merged.
            (Phase::Exchange(exchange), envelope) => {
                exchange.hold(message.origin, envelope, &mut self.views.dropped).map(|()| 0)
            }
            (Phase::Open, envelope) => {
                self.carry_out(message.origin, envelope);
                Ok(0)
            }
            (Phase::Starting, _) => unreachable!("a ring delivers nothing before its first configuration"),
        };
        match taken {
            Ok(cost) => self.views.spent += cost,
            Err(_) => self.views.events.push_back(GroupsEvent::Forged),
        }
    }

    /// The ring broke. An exchange may still complete among the messages of the transitional configuration. If it does, the lost daemons
    /// are removed from the new tables, otherwise from the old ones.
    fn on_transitional(&mut self, configuration: Configuration) {
        let parting = Parting { next: next(&configuration), remaining: configuration.members };
        match &mut self.phase {
            Phase::Starting => {}
            Phase::Open => self.agenda.prepend([Work::Part(parting)]),
            Phase::Exchange(exchange) => exchange.part(parting),
        }
    }

    fn on_regular(&mut self, configuration: Configuration) {
        self.agenda.prepend([Work::Begin(configuration)]);
        if let Phase::Exchange(exchange) = mem::replace(&mut self.phase, Phase::Open) {
            self.abandon(exchange);
        }
    }

    fn begin(&mut self, configuration: Configuration) {
        let ring = configuration.ring;
        // The level above must know the configuration before it gets the states to submit.
        self.views.events.push_back(GroupsEvent::Begun(ring));
        self.views.pieces.begin(ring);
        self.phase = Phase::Exchange(Exchange::new(ring, configuration.members, self.views.me));
        // If the ring has broken meanwhile, nobody needs this daemon's state in it.
        if !self.agenda.has_configuration() {
            self.agenda.prepend([Work::Say(Box::new(Speech::new(ring)))]);
        }
    }

    fn complete(&mut self) {
        let Phase::Exchange(exchange) = mem::replace(&mut self.phase, Phase::Open) else {
            unreachable!("only an exchange completes");
        };
        let parting = exchange.parting().cloned().map(Work::Part);
        let installed = self.views.install(exchange);
        self.agenda.discard(installed.old);
        // Views are announced first, then a break of the new configuration, then the messages that waited: the order of the ring.
        self.agenda.prepend([installed.merge].into_iter().chain(parting).chain([installed.held]).collect::<Vec<_>>());
    }

    /// The next regular configuration came before the exchange was complete. The messages that waited are delivered in the old views,
    /// after their transitional signal. All daemons of a component hold the same messages.
    fn abandon(&mut self, exchange: Exchange) {
        let parting = exchange.parting().cloned();
        let parting = parting.expect("a transitional configuration precedes every regular one but the first");
        let (table, held) = exchange.into_parts();
        self.agenda.discard(table);
        self.agenda.prepend([Work::Part(parting), Work::Held(held.into_iter())]);
    }
}

fn next(transitional: &Configuration) -> RingId {
    transitional.next.expect("a transitional configuration leads to a regular one")
}

/// The events to come; drained after every input.
type Events = VecDeque<GroupsEvent>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Basis, ExchangeState, GroupId, GroupState};

    const RING: RingId = RingId { sequence: 5, representative: DaemonId(1) };
    const PEER: DaemonId = DaemonId(2);

    /// Daemon `a` in an exchange with `b`, of which it has heard nothing yet.
    fn exchanging() -> Groups {
        let names = [(DaemonId(1), "a".to_owned()), (PEER, "b".to_owned())];
        let mut groups = Groups::new(DaemonId(1), names);
        let members = vec![DaemonId(1), PEER];
        let configuration = Configuration { kind: ConfigurationKind::Regular, ring: RING, members, next: None };
        groups.handle_event(RingEvent::Configuration(configuration));
        events(&mut groups);
        groups
    }

    fn events(groups: &mut Groups) -> Vec<GroupsEvent> {
        std::iter::from_fn(|| groups.poll_event()).collect()
    }

    /// What comes of bytes in the name of `b`.
    fn hear(groups: &mut Groups, payload: Payload) -> Vec<GroupsEvent> {
        let (service, numbered) = (Service::Safe, true);
        groups.handle_event(RingEvent::Message(ring::Message { origin: PEER, service, payload, numbered }));
        events(groups)
    }

    /// The state of a daemon with this client in a group.
    fn state(member: &str) -> Payload {
        let name = |text: &str| Name::new(text.as_bytes()).expect("a name");
        let group = GroupState { group: name("g"), id: GroupId::default(), broken: false, members: vec![name(member)] };
        let basis = Basis { ring: RING, together: vec![PEER] };
        Envelope::State(ExchangeState { exchange: RING, basis, parts: 1, groups: vec![group] }).encode()
    }

    #[test]
    fn what_takes_the_place_of_a_state_shows_a_forger() {
        let mut groups = exchanging();
        for forged in [state("#me#a"), state("#root#elsewhere"), Payload::from(b"\x09".to_vec()), Payload::default()] {
            assert_eq!(hear(&mut groups, forged), [GroupsEvent::Forged]);
            assert!(groups.is_exchanging());
        }
        let dropped = *groups.dropped();
        assert_eq!((dropped.false_senders, dropped.malformed), (2, 2));
        assert!(!hear(&mut groups, state("#me#b")).contains(&GroupsEvent::Forged), "the true one");
    }

    #[test]
    fn what_means_nothing_is_dropped_where_no_state_can_be_lost_with_it() {
        let mut groups = exchanging();
        hear(&mut groups, state("#me#b"));
        assert_eq!(hear(&mut groups, Payload::default()), [], "the state of this daemon is still on its way");
    }
}
