//! What is to be carried out, in the order of the ring, a step at a time.
//!
//! Some work is long: a client leaves thousands of groups, a merge names thousands of views. It is cut into steps by what it is about,
//! one group or a few views each, so that the ring can pass tokens in between; and whatever the ring says meanwhile waits behind it. So
//! every daemon does the same steps in the same order, and only the time between two of them differs.

use std::collections::VecDeque;
use std::ops::Bound;
use std::vec;

use super::exchange::{Parting, Speech};
use super::table::{Member, Table};
use crate::ring;
use crate::wire::{DaemonId, Envelope, Name};

/// Views that one step looks at.
pub(super) const VIEWS_PER_STEP: usize = 64;

/// What a step costs besides the names that it handles; in names that are copied.
pub(super) const STEP_COST: usize = 16;

/// One thing to be carried out.
#[derive(Debug)]
pub(super) enum Work {
    /// The ring said something.
    Heard(ring::Event),
    /// Messages that waited for an exchange.
    Held(vec::IntoIter<(DaemonId, Envelope)>),
    /// A client of a daemon in this component leaves these groups one by one, and then is gone.
    Disconnect { member: Member, groups: vec::IntoIter<Name> },
    /// Views that were made by an exchange are named and announced.
    Merge { at: Cursor, components: Vec<usize> },
    /// A part of the daemons goes on together.
    Part(Parting),
    /// Views with members at these positions, which are lost, are broken.
    Break { at: Cursor, lost: Vec<usize> },
    /// A regular configuration begins.
    Begin(ring::Configuration),
    /// What this daemon says in an exchange.
    Say(Box<Speech>),
}

/// Where a walk through all groups has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor(Option<Name>);

impl Cursor {
    /// The groups that come next.
    pub(super) fn next(self) -> (Bound<Name>, Bound<Name>) {
        (self.0.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }

    /// The walk after these groups, unless they were the last ones.
    pub(super) fn after(walked: &[Name]) -> Option<Cursor> {
        walked.last().filter(|_| walked.len() == VIEWS_PER_STEP).map(|&last| Cursor(Some(last)))
    }
}

/// All that is to be carried out.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    work: VecDeque<Work>,
    /// Tables that nobody needs, to be given back when there is nothing else to do.
    garbage: Vec<Table>,
}

impl Agenda {
    /// This comes last.
    pub(super) fn append(&mut self, work: Work) {
        self.work.push_back(work);
    }

    /// These come first, in their order.
    pub(super) fn prepend(&mut self, work: impl IntoIterator<Item = Work, IntoIter: DoubleEndedIterator>) {
        work.into_iter().rev().for_each(|work| self.work.push_front(work));
    }

    /// The next work.
    pub(super) fn next(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether there is nothing left, tables to be given back included.
    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty() && self.garbage.is_empty()
    }

    /// Nobody needs this table any more.
    pub(super) fn discard(&mut self, table: Table) {
        self.garbage.push(table);
    }

    /// Gives a part of a table back. What that cost; nothing if there is none.
    pub(super) fn clear_some(&mut self) -> Option<usize> {
        let table = self.garbage.last_mut()?;
        let cost = table.shrink();
        if cost.is_none() {
            self.garbage.pop();
        }
        Some(cost.unwrap_or(STEP_COST))
    }
}
