//! The state of all paths. All path events come from here.
//!
//! Arriving packets show the state of each path (`track`, `paths`). Daemons report this state to each other (`reports`), so each daemon knows
//! who hears whom (`matrix`). `notices` informs the operator once. Closed ports and silence show which daemons have died (`deaths`). Packets
//! reach this module last, when their sender is certain. So it trusts them.

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

use super::config::MultipathSettings;
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

/// The shortest regular interval between two checks for silence. If reports are less frequent, the checks follow the reports.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// A report is fresh if it contains a recent clock of another daemon. `CLOCK_AGE_LIMIT` is the greatest age of that clock, twice the longest
/// interval between two reports. `AHEAD` is how far that clock may be ahead of the one that this daemon has heard.
const CLOCK_AGE_LIMIT: Duration = Duration::from_secs(10);
const AHEAD: Duration = Duration::from_secs(1);
/// How many intervals without a report make a path silent, and how many make a row expire.
const SILENCE: u32 = 4;
const LIFETIME: u32 = 10;
/// If a check comes this much too late, this daemon stood still. Other daemons may have sent packets in that time.
const ABSENCE: Duration = Duration::from_millis(70);

/// The interval between two requests to a daemon on probation to report often. The daemon then reports often for longer than this interval.
const PLEA_INTERVAL: Duration = Duration::from_secs(2);

/// The state of all paths, and the times of the next check and the next report.
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
    /// When the next request to daemons on probation is due.
    next_plea: Instant,
    /// Whether plans must be made again.
    plans: Plans,
}

/// The sender of a packet, and the path on which the packet arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) sender: Seat,
    /// The network on which the packet came directly from its sender. A packet proves nothing about a path if it was relayed, or if it arrived
    /// on another network than it was sent on.
    pub(super) directly: Option<NetworkId>,
}

/// Whether a packet is the first copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// The first copy that arrived here, on any network.
    First,
    /// A later one.
    Later,
}

/// Whether plans still match the data that they are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plans {
    Current,
    #[default]
    Stale,
}

impl Health {
    pub(super) fn new(table: &Table, config: &MultipathSettings, now: Instant) -> Health {
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

    /// The table has changed.
    pub(super) fn adopt(&mut self, now: Instant, moves: &Moves<'_>) {
        self.paths.adopt(now, moves, reports::interval(moves.to.len()));
        self.matrix.adopt(moves);
        self.reports.adopt(now, moves.to.len());
        self.deaths.adopt(moves);
        self.sizes.adopt(moves);
        self.notices.adopt(moves);
        self.stir(now);
    }

    /// A packet arrived.
    pub(super) fn on_packet(&mut self, now: Instant, came: Came, copied: Copied) {
        if self.paths.on_packet(now, came, copied) {
            self.stir(now);
            self.deaths.on_company(now);
            if self.paths.is_on_probation(came.sender) {
                self.reports.ask(now, came.sender);
            }
        }
    }

    /// A report arrived from this life of its sender.
    pub(super) fn on_report(
        &mut self,
        now: Instant,
        me: Seat,
        (came, copied): (Came, Copied),
        life: Incarnation,
        report: &PathReport<'_>,
    ) {
        let reported = self.paths.on_report(now, (came, copied), life, report);
        self.sizes.on_life(came.sender, life);
        // The report says when the next one follows. So the row of a quiet daemon lives longer.
        let until = now + self.paths.pause(came.sender) * LIFETIME;
        // A copy, or a report that a newer one overtook, would restore an old row.
        let rows = reported.is_newest && self.matrix.learn(until, came.sender, report);
        if reported.changed || rows {
            self.stir(now);
        }
        if let Some(asked) = report.asks.map(Seat::from_wire) {
            // A daemon asks because of a doubt or a probation. This concerns all daemons, so each one soon reports whom it hears.
            self.quicken(now);
            if asked == me {
                self.reports.schedule(now);
            }
        }
        // If a daemon promises reports at a shorter interval, its silence must also be detected sooner.
        self.next_look = self.next_look.min(now + self.paths.pause(came.sender).max(CHECK_INTERVAL));
        self.reports.join_in(now);
        // The echo measures a round trip only if both directions used this network.
        if let Some(network) = came.directly {
            let ours = report.measures.iter().filter(|measure| Seat::from_wire(measure.daemon) == me);
            ours.for_each(|measure| self.paths.on_measure(now, came.sender, network, &measure));
        }
    }

    /// Whether a report is recent. It contains clocks of other daemons. This daemon hears those daemons too, and compares.
    pub(super) fn is_fresh(&self, now: Instant, table: &Table, report: &[u8]) -> bool {
        let Ok(report) = PathReport::decode(report) else { return false };
        let age = |theirs: Measure| {
            let daemon = table.others().find(|other| other.to_wire() == theirs.daemon)?;
            let ours = self.paths.measure(now, daemon, theirs.network)?;
            // A daemon that was not heard recently proves nothing. Clocks wrap around, so an old clock looks like a new one.
            if Duration::from_micros(ours.held.into()) >= CLOCK_AGE_LIMIT {
                return None;
            }
            let ahead = AHEAD.as_micros() as u32;
            Some(Duration::from_micros(ours.echo.wrapping_add(ours.held + ahead).wrapping_sub(theirs.echo).into()))
        };
        report.measures.iter().filter_map(age).any(|age| age < CLOCK_AGE_LIMIT + AHEAD)
    }

    /// A packet arrived on another network than it was sent on.
    pub(super) fn on_crossed(&mut self, now: Instant, daemon: DaemonId, sent: NetworkId, came: NetworkId) {
        self.notices.on_crossed(now, daemon, sent, came);
    }

    /// A packet arrived that names this daemon as its sender, but has another life.
    pub(super) fn on_second_self(&mut self, now: Instant, network: NetworkId, life: Incarnation, other: Host) {
        self.notices.on_second_self(now, network, life, other);
    }

    /// Two hosts have the same identity. `hosts` has both lives. The first one is the one that is heard from now on.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.notices.on_clones(now, daemon, hosts);
    }

    /// For notices about the files of other daemons.
    pub(super) fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Plans depend on something that has changed. The next check comes soon.
    pub(super) fn stir(&mut self, now: Instant) {
        self.plans = Plans::Stale;
        // Not at once: a network that fails changes many paths within a moment, and one plan is enough for all of them.
        self.next_look = self.next_look.min(now.max(self.looked + NEWS_GAP));
        self.quicken(now);
    }

    /// Messages are sent. The state of each path must be known soon.
    pub(super) fn on_traffic(&mut self, now: Instant) {
        self.quicken(now);
    }

    /// There is something new to report.
    pub(super) fn schedule_report(&mut self, now: Instant) {
        self.quicken(now);
        self.reports.schedule(now);
    }

    /// Whether the present state of each path is known. After a quiet time it is not known at first: a network may have died since it was last
    /// heard.
    pub(super) fn is_certain(&self, now: Instant) -> bool {
        self.reports.is_certain(now)
    }

    /// Something happened. All daemons report at the usual interval for a while.
    fn quicken(&mut self, now: Instant) {
        if let Some(certain) = self.reports.quicken(now) {
            self.paths.quicken(now, certain);
            self.matrix.shorten(certain + self.paths.usual() * LIFETIME);
            self.next_look = self.next_look.min(now + CHECK_INTERVAL);
        }
    }

    /// A packet for this daemon alone is sent.
    pub(super) fn on_sent(&mut self, now: Instant, to: Seat) {
        self.deaths.on_sent(now, to);
    }

    /// Sets the time-out after which a silent daemon is declared dead.
    pub(super) fn set_believed(&mut self, silence: Duration) {
        self.deaths.set_believed(silence);
    }

    /// A knock arrived.
    pub(super) fn on_knock(&mut self, now: Instant) {
        self.deaths.on_knock(now);
    }

    /// The operating system reports that the port of this daemon on this network is closed.
    pub(super) fn on_refused(&mut self, now: Instant, daemon: Seat, network: NetworkId) {
        // If the daemon is not heard anyway, a refusal proves nothing new.
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
            // The answer may need a relay. So the state of each path must be known soon.
            self.quicken(now);
            self.reports.ask(now, daemon);
        }
    }

    /// When the next check, report or size probe is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        let due = self.next_look.min(self.reports.due()).min(self.deaths.due());
        self.sizes.due().map_or(due, |sizes| sizes.min(due))
    }

    /// Checks which daemons have died, and knocks.
    pub(super) fn check_deaths(&mut self, now: Instant, table: &Table) {
        let others = Others { matrix: &self.matrix, reports: &self.reports };
        if self.deaths.check(now, table, &mut self.paths, &others) {
            self.deaths.dead().for_each(|daemon| self.matrix.forget(daemon));
            self.stir(now);
        }
        self.ask(now);
    }

    /// Checks for silence if a check is due. Returns whether plans must be made again, or `None` if no check was due.
    pub(super) fn check(&mut self, now: Instant, table: &Table) -> Option<Plans> {
        if now < self.next_look {
            return None;
        }
        if now.since(self.next_look) > ABSENCE {
            self.paths.on_absence(now);
        }
        let pause = self.paths.shortest_pause(now).unwrap_or(self.reports.pause());
        let next = now + pause.min(self.reports.pause()).max(CHECK_INTERVAL);
        // If the next report is due before this time, but not within `CHECK_INTERVAL`, the check comes with the report. So this daemon wakes up
        // only once.
        let report = self.reports.due();
        (self.looked, self.next_look) = (now, if report > now + CHECK_INTERVAL { next.min(report) } else { next });
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
        // This follows the check of the paths, so that the operator learns the present state.
        self.notices.on_paths(now, self.paths.changes(), self.paths.iter(table));
        if self.matrix.expire(now) {
            self.plans = Plans::Stale;
        }
        // Only healthy paths. This daemon listens on the other paths too, but nobody should depend on them.
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

    /// The networks on which each living daemon is reachable, as far as this is known.
    pub(super) fn reached(&self, now: Instant, table: &Table) -> impl Iterator<Item = Networks> + Clone {
        let me = table.me();
        let alive = table.others().filter(move |&other| self.paths.is_alive(now, other));
        // The other daemon's report says whether it hears us. That we hear it proves only the opposite direction.
        alive.map(move |other| match self.matrix.knows(other) {
            true => self.matrix.hears(other, me),
            false => self.paths.sound(other),
        })
    }

    /// Whether this daemon was heard recently, on any path.
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

    /// The next notice for the operator.
    pub(super) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.poll()
    }
}
