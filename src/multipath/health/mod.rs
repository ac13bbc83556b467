//! How the paths are doing: the only source of path events.
//!
//! What came tells how each path is doing (`track`, `paths`); daemons report it to each other (`reports`), so that each knows who
//! hears whom (`matrix`). What an operator should know of it is told once (`notices`). Packets reach this organ last, when it is certain
//! whom they are from; so it believes what it is given.

mod matrix;
mod notices;
mod paths;
mod reports;
mod track;

pub(super) use matrix::Matrix;
pub use notices::Differs;
pub(super) use notices::Notices;
pub use paths::Path;
pub(super) use reports::Said;
pub use track::PathState;

use super::event::Event;
use super::moves::Moves;
use super::networks::Networks;
use super::seat::Seat;
use super::table::Table;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Incarnation, NetworkId, PathReport};
use paths::Paths;
use reports::{Company, NEWS_GAP, Reports};

/// How often silence is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Reports that may fail to come before silence means something, and before a row is unknown.
const SILENCE: u32 = 4;
const LIFETIME: u32 = 10;

/// What is known of paths, and when it is looked at and reported next.
#[derive(Debug)]
pub(super) struct Health {
    paths: Paths,
    matrix: Matrix,
    reports: Reports,
    notices: Notices,
    looked: Instant,
    next_look: Instant,
    /// Whether something has changed that plans are made of.
    plans: Plans,
}

/// Whom a packet is from, and how it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) sender: Seat,
    /// The network on which it came from its sender itself. What was relayed, or came on another network than it was sent on, says
    /// nothing about a path.
    pub(super) directly: Option<NetworkId>,
}

/// Which copy of a packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// The first one here, whatever the network.
    First,
    /// A later one.
    Later,
}

/// Whether plans are as old as what they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plans {
    Current,
    #[default]
    Stale,
}

impl Health {
    pub(super) fn new(table: &Table, networks: u8, now: Instant) -> Health {
        let interval = reports::interval(table.len());
        Health {
            paths: Paths::new(table, networks, interval * SILENCE),
            matrix: Matrix::new(table, interval * LIFETIME),
            reports: Reports::new(table.len(), now),
            notices: Notices::default(),
            looked: Instant::ZERO,
            next_look: now,
            plans: Plans::Stale,
        }
    }

    /// The table is another one.
    pub(super) fn adopt(&mut self, now: Instant, moves: &Moves<'_>) {
        let interval = reports::interval(moves.to.len());
        self.paths.adopt(now, moves, interval * SILENCE);
        self.matrix.adopt(moves, interval * LIFETIME);
        self.reports.adopt(now, moves.to.len());
        self.notices.adopt(moves);
        self.stir(now);
    }

    /// A packet came.
    pub(super) fn on_packet(&mut self, now: Instant, came: Came, copied: Copied) {
        if self.paths.on_packet(now, came, copied) {
            self.stir(now);
        }
    }

    /// A report of this life of its sender came.
    pub(super) fn on_report(&mut self, now: Instant, me: Seat, came: Came, life: Incarnation, report: &PathReport<'_>) {
        let paths = self.paths.on_report(now, came, life, report);
        if paths | self.matrix.learn(now, came.sender, life, report) {
            self.stir(now);
        }
        if let Some(network) = came.directly {
            let ours = report.measures.iter().filter(|measure| Seat::from_wire(measure.daemon) == me);
            ours.for_each(|measure| self.paths.on_measure(now, came.sender, network, &measure));
        }
    }

    /// A packet came on another network than it was sent on.
    pub(super) fn on_crossed(&mut self, now: Instant, daemon: DaemonId, sent: NetworkId, came: NetworkId) {
        self.notices.on_crossed(now, daemon, sent, came);
    }

    /// A packet came that is from this daemon as it says, but of another life.
    pub(super) fn on_second_self(&mut self, now: Instant, network: NetworkId, life: Incarnation) {
        self.notices.on_second_self(now, network, life);
    }

    /// Two hosts have one identity: these lives, first the one that is heard from now on.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, lives: [Incarnation; 2]) {
        self.notices.on_clones(now, daemon, lives);
    }

    /// What an operator should know of other daemons' files, to be told of it.
    pub(super) fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Something has changed that plans depend on: look soon.
    pub(super) fn stir(&mut self, now: Instant) {
        self.plans = Plans::Stale;
        self.next_look = self.next_look.min(now.max(self.looked + NEWS_GAP));
    }

    /// There is something new to report.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.reports.hasten(now);
    }

    /// When to look and to report.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_look.min(self.reports.due())
    }

    /// Looks for silence if it is time to. Whether plans are to be made anew; `None` if it was not time.
    pub(super) fn look(&mut self, now: Instant, table: &Table) -> Option<Plans> {
        if now < self.next_look {
            return None;
        }
        (self.looked, self.next_look) = (now, now + LOOK_INTERVAL);
        self.paths.look(now);
        self.notices.on_paths(now, self.paths.changes(), self.paths.iter(table));
        if self.matrix.look(now) {
            self.plans = Plans::Stale;
        }
        let mine = table.all().map(|daemon| self.paths.sound(daemon));
        if self.matrix.set_mine(now, table.me(), mine) {
            self.plans = Plans::Stale;
            self.reports.hasten(now);
        }
        Some(std::mem::replace(&mut self.plans, Plans::Current))
    }

    /// The report that is due, if one is.
    pub(super) fn report<'a>(&'a mut self, now: Instant, table: &Table, said: &Said<'a>) -> Option<PathReport<'a>> {
        if now < self.reports.due() {
            return None;
        }
        let heard = table.others().any(|other| self.paths.is_alive(now, other));
        let company = if heard { Company::Others } else { Company::Alone };
        let hears = table.all().map(|of| self.matrix.hears(table.me(), of));
        Some(self.reports.compose(now, company, said, hears, &self.paths))
    }

    /// On which networks each daemon that lives is reached, as far as that is known.
    pub(super) fn reached(&self, now: Instant, table: &Table) -> impl Iterator<Item = Networks> + Clone {
        let me = table.me();
        let alive = table.others().filter(move |&other| self.paths.is_alive(now, other));
        alive.map(move |other| match self.matrix.knows(other) {
            true => self.matrix.hears(other, me),
            false => self.paths.sound(other),
        })
    }

    /// Whether this daemon was heard lately, on whatever way.
    pub(super) fn is_alive(&self, now: Instant, daemon: Seat) -> bool {
        self.paths.is_alive(now, daemon)
    }

    /// Who hears whom.
    pub(super) fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// All paths.
    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The next thing that an operator should know.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.notices.poll()
    }
}
