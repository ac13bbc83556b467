//! The tables between two exchanges: what was merged last, and what separation did to it since.
//!
//! Separation takes nobody out of a view. A view that has members at lost daemons is *broken*: its members here get one
//! TRANSITION, and the lost stay in it until the next exchange makes a new view. Who is lost never comes back before
//! that exchange, even if its daemon does, for it may have missed messages meanwhile.

use super::exchange::{Exchange, Held};
use super::ids::Ids;
use super::names::Names;
use super::pieces::{Added, Pieces};
use super::sessions::Sessions;
use super::table::{Table, View};
use super::{Dropped, Event, Events};
use crate::wire::{Basis, DaemonId, Envelope, Name, Piece, RingId, State};

#[derive(Debug)]
pub(super) struct Views {
    pub me: DaemonId,
    pub names: Names,
    pub sessions: Sessions,
    pub table: Table,
    pub basis: Basis,
    pub ids: Ids,
    pub pieces: Pieces,
    pub events: Events,
    pub dropped: Dropped,
}

impl Views {
    /// What a daemon knows before its first exchange: itself, and a ring that no daemon was ever in.
    pub fn new(me: DaemonId, names: Names) -> Views {
        let nowhere = RingId { sequence: 0, representative: me };
        Views {
            me,
            names,
            sessions: Sessions::default(),
            table: Table::new(vec![me], me),
            basis: Basis { ring: nowhere, together: vec![me] },
            ids: Ids::transitional(nowhere, me),
            pieces: Pieces::default(),
            events: Events::new(),
            dropped: Dropped::default(),
        }
    }

    /// Whether the configuration of the last exchange has broken.
    pub fn in_transition(&self) -> bool {
        matches!(self.ids, Ids::Transitional { .. })
    }

    /// Whether the daemon at each position is in this daemon's component.
    pub fn component(&self) -> Vec<bool> {
        self.table.order().iter().map(|daemon| self.basis.together.contains(daemon)).collect()
    }

    /// Carries out one message.
    pub fn on_envelope(&mut self, origin: DaemonId, envelope: Envelope) {
        match envelope {
            Envelope::Data(frame) => self.on_data(origin, frame),
            Envelope::Join { member, group } => self.on_join(origin, member, group),
            Envelope::Leave { member, group } => self.on_leave(origin, member, group),
            Envelope::Disconnect { member } => self.on_disconnect(origin, member),
            Envelope::State(_) => self.dropped.stale_states += 1,
            Envelope::Piece(piece) => self.on_piece(origin, piece),
        }
    }

    /// Whether all whom a state names as members at its daemon are clients of it.
    pub fn speaks_for_its_own(&mut self, origin: DaemonId, state: &State) -> bool {
        let mut members = state.groups.iter().flat_map(|group| &group.members);
        let own = members.all(|member| self.names.belongs(member, origin));
        self.dropped.false_senders += u64::from(!own);
        own
    }

    fn on_piece(&mut self, origin: DaemonId, piece: Piece) {
        let number = piece.number;
        let (before, added) = (self.pieces.len(), self.pieces.add(origin, piece, &mut self.dropped));
        let own = origin == self.me;
        match added {
            Added::Nothing => {}
            Added::Whole(frame) => {
                self.on_data(origin, frame);
                self.events.extend(own.then_some(Event::Whole(number)));
            }
            Added::Refused => self.events.extend(own.then_some(Event::Refused(number))),
        }
        if self.pieces.len() < before && self.pieces.has_room_again() {
            self.events.push_back(Event::RoomForPieces);
        }
    }

    /// Only `remaining` go on together to the ring `next`: tells the members of every view that breaks.
    pub fn part(&mut self, next: RingId, remaining: &[DaemonId]) {
        self.basis.together.retain(|daemon| remaining.contains(daemon));
        let first = *self.basis.together.first().expect("a daemon stays with itself");
        self.ids = Ids::transitional(next, first);
        let component = self.component();
        let loses = |view: &View| !view.broken && view.members.iter().any(|member| !component[member.at]);
        let mut broken = Vec::new();
        for (group, view) in self.table.views_mut().filter(|(_, view)| loses(view)) {
            view.broken = true;
            broken.push(*group);
        }
        broken.iter().for_each(|group| self.announce_transition(group));
    }

    /// Replaces the tables by the outcome of a complete exchange, announces the views that changed, and hands back the
    /// messages that waited.
    pub fn install(&mut self, exchange: Exchange) -> Held {
        let agreed = exchange.agree();
        self.table = agreed.table;
        self.basis = Basis { ring: agreed.ring, together: self.table.order().to_vec() };
        self.ids = Ids::regular(agreed.ring);
        let mut changed: Vec<Name> = Vec::new();
        for (group, view) in self.table.views_mut().filter(|(_, view)| view.broken) {
            view.broken = false;
            view.id = self.ids.next(group, None);
            changed.push(*group);
        }
        changed.iter().for_each(|group| self.announce_merge(group, &agreed.components));
        agreed.held
    }
}
