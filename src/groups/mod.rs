//! Process groups, views and vs-sets on top of configurations, without I/O.
//!
//! Every daemon runs the same rules over the same total order, so that equal histories give equal tables: nothing is
//! agreed upon except through the order itself. A *component* is what daemons with an equal [`Basis`] form: they saw
//! the same exchange complete, passed every transitional configuration since then together, and so hold equal tables.
//!
//! - **Exchange.** A regular configuration begins with every daemon saying its own clients' memberships. The exchange
//!   is complete at the message that completes the set, the same place in the order everywhere; there the tables are
//!   merged and the views that changed are announced. Until then other messages are held.
//! - **Complete in transition.** An exchange may also complete among the messages of the transitional configuration.
//!   The state is sent with the safe service: if one daemon completes in the regular configuration, then every member
//!   has the state and completes as well, before or after its transitional configuration, or fails. So no client is
//!   given a safe message, before a TRANSITION, in a view that a surviving member of it never hears of.
//! - **Abandon.** If the next regular configuration comes first, the held messages are carried out in the old tables,
//!   as messages of the old views after their TRANSITION. All of a component hold the same ones. Nothing is sent again:
//!   what another component already delivered cannot arrive there twice, and a daemon carries out messages in the
//!   ring's order, always.
//! - **Outsiders.** Joins, leaves and disconnects of daemons outside the component are void: their own components carry
//!   them out, and the next exchange brings the result. Data of anyone is delivered.
//! - **Pieces.** A large message comes in pieces and is carried out with its last one, or not at all in this configuration.
//! - **Own clients.** A daemon speaks for its own clients alone; what it says of others is dropped.
//!
//! The files: `views` holds the tables between exchanges, and what separation does to them; `table` the members; `ids`
//! the identities of views; `change` joins, leaves and disconnects; `announce` the membership frames; `deliver` data;
//! `pieces` large messages; `names` whose clients are whose; `exchange` the gathering of all tables.
//!
//! [`Basis`]: crate::wire::Basis

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
use crate::known_bugs::{KnownBug, is_back};
use crate::ring::{self, Configuration, ConfigurationKind};
use crate::wire::{DaemonId, Envelope, Name, Payload, RingId, Service};
pub use exchange::HELD_LIMIT;
use exchange::{Exchange, Parting};
use names::Names;
pub use pieces::PIECED_LIMIT;
pub use sessions::{NameInUse, Session, SessionId};
pub use table::GROUPS_PER_MEMBER;
use views::Views;

/// What the level above must do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Submit these bytes to the ring, ahead of every message of a client that still waits there.
    Submit {
        /// The message.
        payload: Payload,
        /// The promise it needs.
        service: Service,
    },
    /// Write this frame to these sessions. Sessions that have ended meanwhile may be among them.
    Deliver {
        /// The receivers, each once.
        to: Arc<[SessionId]>,
        /// What their sockets get.
        frame: Payload,
    },
    /// The disconnection of this session is ordered everywhere: its name may be used again.
    Released(SessionId),
    /// The last piece of this daemon's message of this number has its place in the order.
    Whole(u64),
    /// There was no room for this daemon's message of this number; it is sent again from its beginning when there is.
    Refused(u64),
    /// There may be room again for what was refused.
    RoomForPieces,
    /// Messages in a daemon's name contradict each other, so some of them are forged. The configuration is of no use any more: the ring
    /// must form anew.
    Forged,
}

counters! {
    /// What was not carried out, by reason.
    pub struct Dropped in "groups_dropped" {
        /// Messages and frames that could not be read, and states from outside the configuration.
        malformed,
        /// Messages and states that name a client of another daemon than the one that said them.
        false_senders,
        /// States and messages during an exchange that contradict what their daemon had said.
        contradictions,
        /// States said for a configuration that was over when they arrived.
        stale_states,
        /// Pieces of messages that were given up in another configuration.
        stale_pieces,
        /// Large messages for which there was no room when they began.
        refused_pieces,
        /// Joins, leaves and disconnects of daemons outside the component.
        outsiders,
        /// Joins of members that are in as many groups already as one may be in.
        too_many_groups,
        /// Messages above the limit of those that one exchange holds back.
        held,
    }
}

/// Where the groups stand between configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Messages are carried out as they come.
    Operational,
    /// The ring broke: what it still owes is carried out.
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
        Groups { views: Views::new(me, Names::new(names)), phase: Phase::Starting }
    }

    /// A client connected. Its private group stays in use until [`Event::Released`], which the ordered
    /// [`Envelope::Disconnect`] of the session leads to.
    pub fn connect(&mut self, session: Session) -> Result<(), NameInUse> {
        self.views.sessions.add(session)
    }

    /// The ring delivered something.
    pub fn handle_event(&mut self, event: ring::Event) {
        match event {
            ring::Event::Message(message) => self.on_message(message),
            ring::Event::Configuration(configuration) => match configuration.kind {
                ConfigurationKind::Transitional => self.on_transitional(configuration),
                ConfigurationKind::Regular => self.on_regular(configuration),
            },
        }
    }

    /// What to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.views.events.pop_front()
    }

    /// Whether messages wait for an exchange. While they do, clients are not read, so that little waits.
    pub fn is_exchanging(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    /// Where the groups stand.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Open if self.views.in_transition() => Status::Transitional,
            Phase::Open => Status::Operational,
            Phase::Exchange(exchange) if exchange.parting().is_some() => Status::ExchangingInTransition,
            Phase::Starting | Phase::Exchange(_) => Status::Exchanging,
        }
    }

    /// How many groups have members.
    pub fn group_count(&self) -> usize {
        self.views.table.len()
    }

    /// How many members a group has.
    pub fn member_count(&self, group: &Name) -> usize {
        self.views.table.view(group).map_or(0, |view| view.members.len())
    }

    /// What was not carried out so far.
    pub fn dropped(&self) -> &Dropped {
        &self.views.dropped
    }

    fn on_message(&mut self, message: ring::Message) {
        let envelope = match Envelope::decode(&message.payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                debug!(origin = %message.origin, %error, "not an envelope");
                self.views.dropped.malformed += 1;
                return;
            }
        };
        let taken = match (&mut self.phase, envelope) {
            (Phase::Exchange(exchange), Envelope::State(state)) => {
                if !self.views.speaks_for_its_own(message.origin, &state) {
                    return;
                }
                let taken = exchange.on_state(message.origin, state, &self.views.sessions, &mut self.views.dropped);
                if exchange.is_complete() {
                    self.complete();
                }
                taken
            }
            (Phase::Exchange(exchange), envelope) if !is_back(KnownBug::ExchangeOvertaken) => {
                exchange.hold(message.origin, envelope, &mut self.views.dropped)
            }
            (Phase::Open | Phase::Exchange(_), envelope) => {
                self.views.on_envelope(message.origin, envelope);
                Ok(())
            }
            (Phase::Starting, _) => unreachable!("a ring delivers nothing before its first configuration"),
        };
        if taken.is_err() {
            self.views.events.push_back(Event::Forged);
        }
    }

    /// The ring broke. During an exchange that says nothing yet: if it completes, the members lost are lost from the
    /// new views, and if not, from the old ones.
    fn on_transitional(&mut self, configuration: Configuration) {
        match &mut self.phase {
            Phase::Starting => {}
            Phase::Open => self.views.part(next(&configuration), &configuration.members),
            Phase::Exchange(exchange) => {
                exchange.part(Parting { next: next(&configuration), remaining: configuration.members })
            }
        }
    }

    fn on_regular(&mut self, configuration: Configuration) {
        if let Phase::Exchange(exchange) = mem::replace(&mut self.phase, Phase::Open) {
            self.abandon(exchange);
        }
        self.views.pieces.begin(configuration.ring);
        let exchange = Exchange::new(configuration.ring, configuration.members, self.views.me);
        for state in exchange::states(&self.views, configuration.ring) {
            let payload = Envelope::State(state).encode();
            self.views.events.push_back(Event::Submit { payload, service: Service::Safe });
        }
        self.phase = Phase::Exchange(exchange);
    }

    fn complete(&mut self) {
        let Phase::Exchange(exchange) = mem::replace(&mut self.phase, Phase::Open) else {
            unreachable!("only an exchange completes");
        };
        let parting = exchange.parting().cloned();
        let held = self.views.install(exchange);
        if let Some(Parting { next, remaining }) = parting {
            self.views.part(next, &remaining);
        }
        held.into_iter().for_each(|(origin, envelope)| self.views.on_envelope(origin, envelope));
    }

    fn abandon(&mut self, exchange: Exchange) {
        let Parting { next, remaining } =
            exchange.parting().expect("a transitional configuration precedes every regular one but the first");
        self.views.part(*next, remaining);
        let held = exchange.into_held();
        held.into_iter().for_each(|(origin, envelope)| self.views.on_envelope(origin, envelope));
    }
}

fn next(transitional: &Configuration) -> RingId {
    transitional.next.expect("a transitional configuration leads to a regular one")
}

/// The events to come; drained after every input.
type Events = VecDeque<Event>;
