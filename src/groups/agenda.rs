//! The work of the groups, in the order of the ring, one step at a time.
//!
//! Some work is long: a client leaves thousands of groups, or a merge names thousands of views. It is cut into steps of one group or a few
//! views, so that the ring can pass tokens in between. New messages of the ring wait behind it. So every daemon does the same steps in the
//! same order; only the time between two steps differs.

use std::collections::VecDeque;
use std::ops::Bound;
use std::vec;

use super::exchange::{Parting, Speech};
use super::table::{GroupTable, Member};
use crate::ring::{Configuration, RingEvent};
use crate::wire::{DaemonId, Envelope, Name};

/// Views that one step handles.
pub(super) const VIEWS_PER_STEP: usize = 64;

/// The cost of a step besides the names that it handles, in names that are copied.
pub(super) const STEP_COST: usize = 16;

/// A piece of work.
#[derive(Debug)]
pub(super) enum Work {
    /// The ring delivered an event.
    Heard(RingEvent),
    /// Messages that waited for an exchange.
    Held(vec::IntoIter<(DaemonId, Envelope)>),
    /// A client of a daemon in this component leaves these groups one by one, and then its session is removed.
    Disconnect { member: Member, groups: vec::IntoIter<Name> },
    /// Views that an exchange made get their identities and are announced.
    Merge { at: Cursor, components: Vec<usize> },
    /// The ring broke, and only some of its daemons stay together.
    Part(Parting),
    /// Views with members at these lost positions become broken.
    Break { at: Cursor, lost: Vec<usize> },
    /// A regular configuration begins.
    Begin(Configuration),
    /// The states that this daemon sends in an exchange.
    Say(Box<Speech>),
}

/// A position in a walk through all groups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor(Option<Name>);

impl Cursor {
    /// The groups behind this position.
    pub(super) fn next(self) -> (Bound<Name>, Bound<Name>) {
        (self.0.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }

    /// The walk after these groups, unless they were the last ones.
    pub(super) fn after(walked: &[Name]) -> Option<Cursor> {
        // Fewer than a full step means that there are no more groups.
        let last = walked.last()?;
        (walked.len() == VIEWS_PER_STEP).then_some(Cursor(Some(*last)))
    }
}

/// The work that waits.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    work: VecDeque<Work>,
    /// Tables that nobody needs. Freeing a large table takes long, so it is done in parts when there is nothing else to do.
    garbage: Vec<GroupTable>,
}

impl Agenda {
    /// Adds work behind all other work.
    pub(super) fn append(&mut self, work: Work) {
        self.work.push_back(work);
    }

    /// Adds work before all other work, in the given order.
    pub(super) fn prepend(&mut self, work: impl IntoIterator<Item = Work, IntoIter: DoubleEndedIterator>) {
        work.into_iter().rev().for_each(|work| self.work.push_front(work));
    }

    /// Drops what this daemon has not said yet.
    pub(super) fn cancel_speech(&mut self) {
        // It is the first work from its beginning to its end.
        self.work.pop_front_if(|work| matches!(work, Work::Say(_)));
    }

    /// Whether a configuration of the ring waits.
    pub(super) fn has_configuration(&self) -> bool {
        self.work.iter().any(|work| matches!(work, Work::Heard(RingEvent::Configuration(_))))
    }

    /// The next work.
    pub(super) fn next(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    /// How many pieces of work wait.
    pub(super) fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether there is nothing left to do or to free.
    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty() && self.garbage.is_empty()
    }

    /// Takes a table that nobody needs any more, to free it later.
    pub(super) fn discard(&mut self, table: GroupTable) {
        self.garbage.push(table);
    }

    /// Frees a part of a table and returns the cost; `None` if there is no table.
    pub(super) fn clear_some(&mut self) -> Option<usize> {
        let table = self.garbage.last_mut()?;
        let cost = table.shrink();
        if cost.is_none() {
            self.garbage.pop();
        }
        Some(cost.unwrap_or(STEP_COST))
    }
}
