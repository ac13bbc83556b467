//! A second host that runs as one of the daemons: a machine that was cloned, with its address, name, file and keys.
//!
//! The two do not hear each other, because a system drops what seems to come from itself. What is for the daemon alone comes to either.

use super::{Seat, World};
use crate::actor::Actor;
use crate::tally::Fault;
use crate::trace::ProcessNumber;

/// The second host.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// The daemon as which it runs.
    of: usize,
    /// What it does, as long as it runs and later.
    pub process: ProcessNumber,
}

impl<A: Actor> World<A> {
    /// It begins, and stops when it is told so.
    pub(super) fn begin_twin(&mut self, of: usize, life: u64) {
        assert!(self.twin.is_none(), "there is one at most");
        self.tally.count(Fault::Twin);
        let (seat, id) = (self.seats.len(), self.seats[of].id);
        let actor = (self.starter)(id, life, self.now);
        let process = self.trace.begin(id);
        let life = super::Life { actor, process, since: self.now, state: "", paused: None };
        self.seats.push(Seat { id, lives: 0, life: Some(life), armed: None });
        self.twin = Some(Twin { of, process });
        self.drain(seat);
    }

    pub(super) fn end_twin(&mut self) {
        if self.twin.is_some() {
            // Its seat stays, because something may be on its way there.
            self.end(self.seats.len() - 1);
        }
    }

    /// The seat of the second host of this daemon, if one runs.
    pub(super) fn twin_of(&self, daemon: usize) -> Option<usize> {
        let twin = self.twin.filter(|twin| twin.of == daemon)?;
        let seat = self.seats.len() - 1;
        self.trace.processes.get(twin.process).filter(|process| !process.ended).map(|_| seat)
    }

    /// Where on the networks the daemon of this seat is: a second host is where the first one is.
    pub(super) fn place(&self, seat: usize) -> usize {
        if seat == self.daemons() { self.twin.map_or(seat, |twin| twin.of) } else { seat }
    }

    /// Which of the two hosts gets what this daemon sends to the other one alone.
    pub(super) fn host(&mut self, from: usize, daemon: usize) -> usize {
        let Some(twin) = self.twin_of(daemon) else { return daemon };
        let is_misled = match &self.misled {
            Some(misled) => misled.contains(&from),
            None => self.rng.chance(0.5),
        };
        if is_misled { twin } else { daemon }
    }

    /// Whether what a daemon sends to all comes to this host. Without multicast it is sent to each address.
    pub(super) fn is_led_to(&mut self, from: usize, to: usize) -> bool {
        self.misled.is_none() || self.host(from, self.place(to)) == to
    }
}
