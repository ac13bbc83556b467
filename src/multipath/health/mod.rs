//! How the paths are doing: the only source of path events.
//!
//! What came tells how each path is doing (`track`, `paths`); daemons report it to each other (`reports`), so that each knows who
//! hears whom (`matrix`). `notices` lets an operator know, once. The system shows which daemons have died (`deaths`).
//! Packets reach this organ last, when it is certain whom they are from; so it believes what it is given.

mod deaths;
mod matrix;
mod notices;
mod paths;
mod reports;
mod sizes;
mod track;

pub(super) use deaths::Doors;
pub(super) use matrix::Matrix;
pub use notices::Differs;
pub(super) use notices::Notices;
pub use paths::Path;
pub(super) use reports::Said;
pub(super) use sizes::{LOWEST, Round, Sizes};
pub use track::PathState;

use super::config::Config;
use super::moves::Moves;
use super::networks::Networks;
use super::notice::{Host, Notice};
use super::seat::Seat;
use super::table::Table;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Incarnation, Measure, NetworkId, PathReport};
use deaths::{Deaths, Others};
use paths::Paths;
use reports::{NEWS_GAP, Reports};

/// How often silence is looked for while reports are frequent; otherwise as often as they come.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A report is fresh if it names another daemon's clock as it was so lately: twice the longest time between two reports. And how much
/// farther that clock may be than this daemon has heard.
const FRESH: Duration = Duration::from_secs(10);
const AHEAD: Duration = Duration::from_secs(1);
/// Reports that may fail to come before silence means something, and before a row is unknown.
const SILENCE: u32 = 4;
const LIFETIME: u32 = 10;
/// Having looked so much later than it was meant to be means that this daemon stood still, and others need not have been silent.
const ABSENCE: Duration = Duration::from_millis(70);

/// How often a daemon on probation is asked to report often, which it then does for longer than that.
const PLEA_INTERVAL: Duration = Duration::from_secs(2);

/// Knowledge of paths, and when it is checked and reported next.
#[derive(Debug)]
pub(super) struct Health {
    paths: Paths,
    matrix: Matrix,
    reports: Reports,
    notices: Notices,
    deaths: Deaths,
    sizes: Sizes,
    looked: Instant,
    next_look: Instant,
    /// When daemons on probation are asked again to report often.
    next_plea: Instant,
    /// Whether something has changed that plans are made of.
    plans: Plans,
}

/// The sender of a packet, and how it came.
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
    pub(super) fn new(table: &Table, config: &Config, now: Instant) -> Health {
        let networks = config.networks;
        Health {
            paths: Paths::new(table, networks, reports::interval(table.len())),
            matrix: Matrix::new(table),
            reports: Reports::new(table.len(), now),
            notices: Notices::default(),
            deaths: Deaths::new(table, now),
            sizes: Sizes::new(table, networks, config.longest),
            looked: Instant::ZERO,
            next_look: now,
            next_plea: now,
            plans: Plans::Stale,
        }
    }

    /// The table is another one.
    pub(super) fn adopt(&mut self, now: Instant, moves: &Moves<'_>) {
        self.paths.adopt(now, moves, reports::interval(moves.to.len()));
        self.matrix.adopt(moves);
        self.reports.adopt(now, moves.to.len());
        self.deaths.adopt(moves);
        self.sizes.adopt(moves);
        self.notices.adopt(moves);
        self.stir(now);
    }

    /// A packet came.
    pub(super) fn on_packet(&mut self, now: Instant, came: Came, copied: Copied) {
        if self.paths.on_packet(now, came, copied) {
            self.stir(now);
            self.deaths.on_company(now);
            if self.paths.is_on_probation(came.sender) {
                self.reports.ask(now, came.sender);
            }
        }
    }

    /// A report of this life of its sender came.
    pub(super) fn on_report(&mut self, now: Instant, me: Seat, came: Came, life: Incarnation, report: &PathReport<'_>) {
        let paths = self.paths.on_report(now, came, life, report);
        self.sizes.on_life(came.sender, life);
        // By the pause that this report promises, so a quiet daemon's row lives longer.
        let until = now + self.paths.pause(came.sender) * LIFETIME;
        // Not `||`: both must learn from every report.
        if paths | self.matrix.learn(until, came.sender, life, report) {
            self.stir(now);
        }
        if let Some(asked) = report.asks.map(Seat::from_wire) {
            // A doubt concerns all: soon each says whom it hears.
            self.quicken(now);
            if asked == me {
                self.reports.schedule(now);
            }
        }
        // A daemon that promises reports sooner must also be missed sooner.
        self.next_look = self.next_look.min(now + self.paths.pause(came.sender).max(LOOK_INTERVAL));
        self.reports.join_in(now);
        // The echo measures a round trip only if both halves took this network.
        if let Some(network) = came.directly {
            let ours = report.measures.iter().filter(|measure| Seat::from_wire(measure.daemon) == me);
            ours.for_each(|measure| self.paths.on_measure(now, came.sender, network, &measure));
        }
    }

    /// Whether a report was made lately: it names the clocks of other daemons, which this daemon hears too.
    pub(super) fn is_fresh(&self, now: Instant, table: &Table, report: &[u8]) -> bool {
        let Ok(report) = PathReport::decode(report) else { return false };
        let age = |theirs: Measure| {
            let daemon = table.others().find(|other| other.to_wire() == theirs.daemon)?;
            let ours = self.paths.measure(now, daemon, theirs.network)?;
            // Whoever has not been heard lately cannot show it: clocks turn over, and an old one looks like a new one.
            if Duration::from_micros(ours.held.into()) >= FRESH {
                return None;
            }
            let ahead = AHEAD.as_micros() as u32;
            Some(Duration::from_micros(ours.echo.wrapping_add(ours.held + ahead).wrapping_sub(theirs.echo).into()))
        };
        report.measures.iter().filter_map(age).any(|age| age < FRESH + AHEAD)
    }

    /// A packet came on another network than it was sent on.
    pub(super) fn on_crossed(&mut self, now: Instant, daemon: DaemonId, sent: NetworkId, came: NetworkId) {
        self.notices.on_crossed(now, daemon, sent, came);
    }

    /// A packet came that is from this daemon as it says, but of another life.
    pub(super) fn on_second_self(&mut self, now: Instant, network: NetworkId, life: Incarnation, other: Host) {
        self.notices.on_second_self(now, network, life, other);
    }

    /// Two hosts have one identity: these lives, first the one that is heard from now on.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.notices.on_clones(now, daemon, hosts);
    }

    /// Notices about other daemons' files.
    pub(super) fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Something has changed that plans depend on: look soon.
    pub(super) fn stir(&mut self, now: Instant) {
        self.plans = Plans::Stale;
        // Soon, not at once: a network that fails changes many paths within a moment, and one plan serves them all.
        self.next_look = self.next_look.min(now.max(self.looked + NEWS_GAP));
        self.quicken(now);
    }

    /// Messages travel: it must be known soon how each path is doing.
    pub(super) fn on_traffic(&mut self, now: Instant) {
        self.quicken(now);
    }

    /// There is something new to report.
    pub(super) fn schedule_report(&mut self, now: Instant) {
        self.quicken(now);
        self.reports.schedule(now);
    }

    /// Whether it is known how each path is doing now. After a quiet time a network may have died since it was heard last.
    pub(super) fn is_certain(&self, now: Instant) -> bool {
        self.reports.is_certain(now)
    }

    /// Something happens, so everybody reports at the usual pace for a while.
    fn quicken(&mut self, now: Instant) {
        if let Some(certain) = self.reports.quicken(now) {
            self.paths.quicken(now, certain);
            self.matrix.shorten(certain + self.paths.usual() * LIFETIME);
            self.next_look = self.next_look.min(now + LOOK_INTERVAL);
        }
    }

    /// A packet leaves for this daemon alone.
    pub(super) fn on_sent(&mut self, now: Instant, to: Seat) {
        self.deaths.on_sent(now, to);
    }

    /// Takes a daemon for gone that is silent so long.
    pub(super) fn set_believed(&mut self, silence: Duration) {
        self.deaths.set_believed(silence);
    }

    /// Somebody knocks.
    pub(super) fn on_knock(&mut self, now: Instant) {
        self.deaths.on_knock(now);
    }

    /// The system says that nobody has the port of this daemon on this network.
    pub(super) fn on_refused(&mut self, now: Instant, daemon: Seat, network: NetworkId) {
        // A refusal says nothing new about a daemon that is not heard.
        if self.paths.is_alive(now, daemon) {
            self.deaths.on_refused(now, daemon, network, &self.paths);
            self.ask(now);
        }
    }

    /// The next daemon that has died.
    pub(super) fn poll_death(&mut self) -> Option<Seat> {
        self.deaths.poll()
    }

    /// The next daemon to knock at.
    pub(super) fn poll_knock(&mut self) -> Option<(Seat, Doors)> {
        self.deaths.poll_knock()
    }

    fn ask(&mut self, now: Instant) {
        while let Some(daemon) = self.deaths.poll_asked() {
            // The answer may have to be relayed: it must be known soon how each path is doing.
            self.quicken(now);
            self.reports.ask(now, daemon);
        }
    }

    /// When to look and to report.
    pub(super) fn poll_timeout(&self) -> Instant {
        let due = self.next_look.min(self.reports.due()).min(self.deaths.due());
        self.sizes.due().map_or(due, |sizes| sizes.min(due))
    }

    /// Judges who has died, and knocks.
    pub(super) fn check_deaths(&mut self, now: Instant, table: &Table) {
        let others = Others { matrix: &self.matrix, reports: &self.reports };
        if self.deaths.check(now, table, &mut self.paths, &others) {
            self.deaths.dead().for_each(|daemon| self.matrix.forget(daemon));
            self.stir(now);
        }
        self.ask(now);
    }

    /// Checks for silence if it is time to. Returns whether plans must be made again, or `None` if it was not time.
    pub(super) fn check(&mut self, now: Instant, table: &Table) -> Option<Plans> {
        if now < self.next_look {
            return None;
        }
        if now.since(self.next_look) > ABSENCE {
            self.paths.on_absence(now);
        }
        let pause = self.paths.shortest_pause(now).unwrap_or(self.reports.pause());
        let next = now + pause.min(self.reports.pause()).max(LOOK_INTERVAL);
        // A daemon that has to wake up for a report anyway looks then.
        let report = self.reports.due();
        (self.looked, self.next_look) = (now, if report > now + LOOK_INTERVAL { next.min(report) } else { next });
        self.paths.check(now);
        if now >= self.next_plea {
            self.next_plea = now + PLEA_INTERVAL;
            let waiting = table.others().filter(|&other| self.paths.is_on_probation(other));
            waiting.filter(|&other| self.paths.is_alive(now, other)).for_each(|other| self.reports.ask(now, other));
        }
        self.sizes.update(now, table, &self.paths, &self.matrix);
        for short in self.sizes.short(now, table) {
            let (daemon, network) = (table.id(short.daemon), short.network);
            self.notices.on_short(now, daemon, network, (short.passes, short.interface));
        }
        // After the paths were judged, so that the operator hears of the present state.
        self.notices.on_paths(now, self.paths.changes(), self.paths.iter(table));
        if self.matrix.expire(now) {
            self.plans = Plans::Stale;
        }
        // Healthy paths only. On others this daemon listens, but nobody should count on them.
        let mine = table.all().map(|daemon| self.paths.sound(daemon));
        if self.matrix.set_mine(table.me(), mine) {
            self.plans = Plans::Stale;
            self.schedule_report(now);
        }
        Some(std::mem::replace(&mut self.plans, Plans::Current))
    }

    /// The report that is due, if one is.
    pub(super) fn report<'a>(&'a mut self, now: Instant, table: &Table, said: &Said<'a>) -> Option<PathReport<'a>> {
        if now < self.reports.due() {
            return None;
        }
        let hears = table.all().map(|of| self.matrix.hears(table.me(), of));
        Some(self.reports.compose(now, said, hears, &self.paths))
    }

    /// On which networks each daemon that lives is reached, as far as that is known.
    pub(super) fn reached(&self, now: Instant, table: &Table) -> impl Iterator<Item = Networks> + Clone {
        let me = table.me();
        let alive = table.others().filter(move |&other| self.paths.is_alive(now, other));
        // What the other says of hearing us counts. Hearing it proves only the opposite direction.
        alive.map(move |other| match self.matrix.knows(other) {
            true => self.matrix.hears(other, me),
            false => self.paths.sound(other),
        })
    }

    /// Whether this daemon was heard lately, on whatever way.
    pub(super) fn is_alive(&self, now: Instant, daemon: Seat) -> bool {
        self.paths.is_alive(now, daemon)
    }

    /// How long datagrams may be.
    pub(super) fn sizes_mut(&mut self) -> &mut Sizes {
        &mut self.sizes
    }

    /// Which daemon hears which other one.
    pub(super) fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// All paths.
    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The next thing that an operator should know.
    pub(super) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.poll()
    }
}
