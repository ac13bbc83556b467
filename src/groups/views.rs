//! The tables between two exchanges.
//!
//! A partition removes nobody from a view. A view with members at lost daemons is *broken*: its members here get one TRANSITION, and the lost
//! members stay in the view until the next exchange makes a new one. A lost daemon that returns may have missed messages, so it counts as
//! lost until then.

use super::agenda::{Cursor, VIEWS_PER_STEP, Work};
use super::exchange::{Exchange, Parting};
use super::ids::Ids;
use super::names::Names;
use super::pieces::{Added, Pieces};
use super::sessions::Sessions;
use super::table::{GroupTable, View};
use super::{Dropped, Events, GroupsEvent};
use crate::wire::{Basis, DaemonId, Envelope, ExchangeState, Name, Piece, RingId};

#[derive(Debug)]
pub(super) struct Views {
    pub me: DaemonId,
    pub names: Names,
    pub sessions: Sessions,
    pub table: GroupTable,
    pub basis: Basis,
    pub ids: Ids,
    pub pieces: Pieces,
    pub events: Events,
    pub dropped: Dropped,
    /// The cost of the present step so far, in names that were copied.
    pub spent: usize,
}

/// The work that a complete exchange leaves.
pub(super) struct Installed {
    /// The tables that nobody needs any more.
    pub old: GroupTable,
    /// Naming and announcing the views that changed.
    pub merge: Work,
    /// The messages that waited.
    pub held: Work,
}

impl Views {
    /// The tables of a daemon before its first exchange. It knows only itself, and its ring is one that never existed.
    pub fn new(me: DaemonId, names: Names) -> Views {
        let nowhere = RingId { sequence: 0, representative: me };
        Views {
            me,
            names,
            sessions: Sessions::default(),
            table: GroupTable::new(vec![me], me),
            basis: Basis { ring: nowhere, together: vec![me] },
            // No exchange is complete yet, so no other daemon knows these views.
            ids: Ids::transitional(nowhere, me),
            pieces: Pieces::default(),
            events: Events::new(),
            dropped: Dropped::default(),
            spent: 0,
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

    /// Carries out one message, and returns the work that takes longer.
    pub fn on_envelope(&mut self, origin: DaemonId, envelope: Envelope) -> Option<Work> {
        match envelope {
            Envelope::Data(frame) => self.on_data(origin, frame),
            Envelope::Join { member, group } => self.on_join(origin, member, group),
            Envelope::Leave { member, group } => self.on_leave(origin, member, group),
            Envelope::Disconnect { member } => return self.on_disconnect(origin, member),
            // The exchange of this state is complete or abandoned.
            Envelope::State(_) => self.dropped.stale_states += 1,
            Envelope::Piece(piece) => self.on_piece(origin, piece),
        }
        None
    }

    /// Whether a state names only clients of its own daemon as members there.
    pub fn speaks_for_its_own(&mut self, origin: DaemonId, state: &ExchangeState) -> bool {
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
                self.events.extend(own.then_some(GroupsEvent::Whole(number)));
            }
            Added::Refused => self.events.extend(own.then_some(GroupsEvent::Refused(number))),
        }
        if self.pieces.len() < before && self.pieces.has_room_again() {
            self.events.push_back(GroupsEvent::RoomForPieces);
        }
    }

    /// Only the `remaining` daemons go on together to the ring `next`. Returns the work that breaks the views with lost members.
    pub fn part(&mut self, Parting { next, remaining }: &Parting) -> Work {
        // From here on this daemon's tables equal only those of the remaining daemons.
        self.basis.together.retain(|daemon| remaining.contains(daemon));
        let first = *self.basis.together.first().expect("a daemon stays with itself");
        // Views that begin from here on are known to this component only, so they need names of another kind.
        self.ids = Ids::transitional(*next, first);
        let component = self.component();
        let lost = (0..component.len()).filter(|&at| !component[at]).collect();
        Work::Break { at: Cursor::default(), lost }
    }

    /// Breaks those of the next views that have members at lost positions.
    pub fn break_some(&mut self, at: Cursor, lost: Vec<usize>) -> Option<Work> {
        let loses = |view: &View| !view.broken && lost.iter().any(|&at| view.at(at).next().is_some());
        let (walked, broken) = self.walk(at, loses, |view| view.broken = true);
        broken.iter().for_each(|group| self.announce_transition(group));
        Cursor::after(&walked).map(|at| Work::Break { at, lost })
    }

    /// Replaces the tables by the outcome of a complete exchange.
    pub fn install(&mut self, exchange: Exchange) -> Installed {
        let agreed = exchange.agree();
        // The old table may be large, so the agenda frees it in steps.
        let old = std::mem::replace(&mut self.table, agreed.table);
        self.basis = Basis { ring: agreed.ring, together: self.table.order().to_vec() };
        self.ids = Ids::regular(agreed.ring);
        let merge = Work::Merge { at: Cursor::default(), components: agreed.components };
        Installed { old, merge, held: Work::Held(agreed.held.into_iter()) }
    }

    /// Names and announces those of the next views that changed in an exchange.
    pub fn merge_some(&mut self, at: Cursor, components: Vec<usize>) -> Option<Work> {
        let (walked, changed) = self.walk(at, |view| view.broken, |view| view.broken = false);
        for group in &changed {
            let id = self.ids.next(group, None);
            if let Some(view) = self.table.view_mut(group) {
                view.id = id;
            }
            self.announce_merge(group, &components);
        }
        Cursor::after(&walked).map(|at| Work::Merge { at, components })
    }

    /// Changes the selected ones among the next views. Returns the groups of all these views, and of the changed ones.
    fn walk(
        &mut self,
        at: Cursor,
        is_meant: impl Fn(&View) -> bool,
        change: impl Fn(&mut View),
    ) -> (Vec<Name>, Vec<Name>) {
        let (mut walked, mut changed) = (Vec::with_capacity(VIEWS_PER_STEP), Vec::new());
        for (group, view) in self.table.views_mut_from(at).take(VIEWS_PER_STEP) {
            walked.push(*group);
            if is_meant(view) {
                change(view);
                changed.push(*group);
            }
        }
        self.spent += walked.len();
        (walked, changed)
    }
}
