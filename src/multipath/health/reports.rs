//! When this daemon sends reports, and what they contain.
//!
//! Reports are also signs of life, so they are frequent. Several of them are sent within the silence that makes a path faulty. In a large system
//! each daemon reports less often, so that all reports together stay below [`REPORTS_PER_SECOND`] on each network. With the smallest table this
//! is less than 0.5 Mbit/s, with the largest less than 3.5 Mbit/s. Silence is then detected later. News is reported at once.
//!
//! While no message is sent and nothing changes, the interval grows. Each report says when the next one follows, so all daemons know which
//! silence counts. The first message, change or doubt restores the usual interval at once, for a while.

use std::collections::VecDeque;

use super::super::networks::Networks;
use super::super::seat::Seat;
use super::SILENCE;
use super::paths::{Paths, micros};
use crate::time::{Duration, Instant};
use crate::wire::{KeyBytes, Keys, MeasureBytes, Measures, NetworkId, PathReport};

/// The shortest time between two regular reports.
const INTERVAL: Duration = Duration::from_millis(50);
/// The limit for regular reports of all daemons together, per second and network.
const REPORTS_PER_SECOND: u32 = 320;
/// The shortest time between any two reports.
pub(super) const NEWS_GAP: Duration = Duration::from_millis(5);
/// How long the usual interval is kept after the last reason for it. At [`INTERVAL`], this is longer than the longest probation.
const QUICK_SPAN: Duration = Duration::from_secs(3);
/// The longest time between two regular reports in a quiet system.
const QUIET_INTERVAL: Duration = Duration::from_secs(1);
/// The limit for reports of all daemons together, per second and network, in a quiet system.
const QUIET_REPORTS_PER_SECOND: u32 = 10;
/// The longest interval in a quiet system of any size.
const QUIET_LIMIT: Duration = Duration::from_secs(5);
/// One daemon returns to the usual interval. After this many intervals all daemons have done so.
const EVERYBODY_AFTER: u32 = 2;

#[derive(Debug)]
pub(super) struct Reports {
    /// The usual interval between two regular reports, the longest one, and the present one.
    interval: Duration,
    longest: Duration,
    pause: Duration,
    /// Until when the usual interval is kept.
    quick_until: Instant,
    /// From this time on the state of each path is known. After a quiet time it is not known at first.
    certain_from: Instant,
    number: u64,
    last: Instant,
    next: Instant,
    /// The daemons to ask. Each of the next reports asks one of them to report at once.
    asked: VecDeque<Seat>,
    /// The path with which the measures of the next report begin.
    cursor: usize,
    /// The lists of the latest report.
    hears: Vec<u8>,
    measures: Vec<MeasureBytes>,
}

/// The usual interval between two regular reports of each daemon, in a system of this many daemons.
pub(super) fn interval(daemons: usize) -> Duration {
    INTERVAL.max(Duration::from_secs(1) * daemons as u32 / REPORTS_PER_SECOND)
}

/// The longest interval between two regular reports of each daemon in a quiet system of this many daemons.
fn quiet_interval(daemons: usize) -> Duration {
    let shared = Duration::from_secs(1) * daemons as u32 / QUIET_REPORTS_PER_SECOND;
    shared.clamp(QUIET_INTERVAL, QUIET_LIMIT)
}

/// The parts of a report that are not measured.
#[derive(Debug)]
pub(in crate::multipath) struct Said<'a> {
    pub(in crate::multipath) networks: u8,
    pub(in crate::multipath) off: Networks,
    pub(in crate::multipath) digests: [u32; PathReport::DIGESTS],
    /// The digest of the table that comes next, or 0.
    pub(in crate::multipath) next: u32,
    /// The ids of this daemon's keys.
    pub(in crate::multipath) keys: &'a [KeyBytes],
}

impl Reports {
    pub(super) fn new(daemons: usize, now: Instant) -> Reports {
        Reports {
            interval: interval(daemons),
            longest: quiet_interval(daemons),
            pause: interval(daemons),
            quick_until: now + QUICK_SPAN,
            certain_from: now,
            number: 0,
            last: Instant::ZERO,
            next: now,
            asked: VecDeque::new(),
            cursor: 0,
            hears: Vec::new(),
            measures: Vec::new(),
        }
    }

    /// The table has changed. It now has this many daemons, and there is news to report.
    pub(super) fn adopt(&mut self, now: Instant, daemons: usize) {
        (self.interval, self.longest, self.cursor) = (interval(daemons), quiet_interval(daemons), 0);
        (self.pause, self.quick_until) = (self.interval, now + QUICK_SPAN);
        // The old seats are no longer valid.
        self.asked.clear();
        self.schedule(now);
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// There is news to report.
    pub(super) fn schedule(&mut self, now: Instant) {
        // At most one report in this time, however much news there is.
        self.next = self.next.min(now.max(self.last + NEWS_GAP));
    }

    /// Something happened. The usual interval holds from now on. If the interval was longer before, this returns the time from which all daemons
    /// keep the usual one.
    pub(super) fn quicken(&mut self, now: Instant) -> Option<Instant> {
        self.quick_until = now + QUICK_SPAN;
        if self.pause == self.interval {
            return None;
        }
        self.pause = self.interval;
        // First all daemons must return to the usual interval. Then the silence that makes a path faulty must have time to pass.
        self.certain_from = now + self.interval * (EVERYBODY_AFTER + SILENCE);
        self.schedule(now);
        Some(now + self.interval * EVERYBODY_AFTER)
    }

    /// Whether the present state of each path is known. After a quiet time it is not known at first: a network may have died since it was last
    /// heard.
    pub(super) fn is_certain(&self, now: Instant) -> bool {
        self.pause == self.interval && now >= self.certain_from
    }

    /// Another daemon reports in a quiet system. If this daemon's report is due soon, it is sent now. So all daemons wake up at the same time.
    pub(super) fn join_in(&mut self, now: Instant) {
        if self.pause > self.interval && self.next < now + self.pause / 4 {
            self.schedule(now);
        }
    }

    /// Asks a daemon to report at once.
    pub(super) fn ask(&mut self, now: Instant, daemon: Seat) {
        if !self.asked.contains(&daemon) {
            self.asked.push_back(daemon);
        }
        self.schedule(now);
    }

    /// The present interval between two regular reports.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// The report that is due. `hears` has, for each daemon, the networks on which it is heard.
    pub(super) fn compose<'a>(
        &'a mut self,
        now: Instant,
        said: &Said<'a>,
        hears: impl Iterator<Item = Networks>,
        paths: &Paths,
    ) -> PathReport<'a> {
        self.number += 1;
        self.last = now;
        if now >= self.quick_until {
            // The interval doubles, so that a system becomes quiet after a few reports.
            self.pause = (self.pause * 2).min(self.longest).max(self.interval);
        }
        self.next = now + self.pause;
        let asks = self.asked.pop_front().map(Seat::to_wire);
        // A report asks only one daemon. The next reports ask the others.
        if !self.asked.is_empty() {
            self.schedule(now);
        }
        self.hears.clear();
        self.hears.extend(hears.map(Networks::bits));
        self.measure(now, usize::from(said.networks), paths);
        PathReport {
            number: self.number,
            clock: micros(now),
            networks: said.networks,
            off: said.off.bits(),
            digests: said.digests,
            next: said.next,
            pause: u16::try_from(self.pause.as_millis()).unwrap_or(u16::MAX),
            asks,
            hears: &self.hears,
            measures: Measures::new(&self.measures),
            keys: Keys::new(said.keys),
        }
    }

    /// Collects measures. It starts where the last report ended.
    fn measure(&mut self, now: Instant, networks: usize, paths: &Paths) {
        let (begin, end) = (self.cursor, self.hears.len() * networks);
        self.measures.clear();
        self.cursor = 0;
        for place in (begin..end).chain(0..begin) {
            let network = NetworkId((place % networks) as u8);
            let Some(measure) = paths.measure(now, Seat::new(place / networks), network) else { continue };
            self.measures.push(measure.encode());
            // A report has space for a limited number of measures, so the next report continues here.
            self.cursor = place + 1;
            if self.measures.len() == PathReport::MEASURE_LIMIT {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Table;
    use super::super::{Came, Copied};
    use super::*;
    use crate::wire::{DaemonId, Incarnation, Measure};

    const NOTHING: Networks = Networks::NONE;

    #[test]
    fn a_large_system_reports_less_often() {
        let millis = [2, 16, 32, 128].map(|daemons| interval(daemons).as_millis());
        assert_eq!(millis, [50, 50, 100, 400]);
    }

    #[test]
    fn news_is_said_at_once_but_not_more_often_than_allowed() {
        let table = Table::new(DaemonId(1), &[1, 2].map(DaemonId), &[]);
        let paths = Paths::new(&table, 1, Duration::from_millis(50));
        let said = Said { networks: 1, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        let at = Instant::from_millis;
        let mut reports = Reports::new(2, at(10));
        assert_eq!(reports.due(), at(10));
        assert_eq!(reports.compose(at(10), &said, [NOTHING; 2].into_iter(), &paths).number, 1);
        assert_eq!(reports.due(), at(60));
        reports.schedule(at(12));
        assert_eq!(reports.due(), at(15));
        reports.schedule(at(11));
        assert_eq!(reports.compose(at(15), &said, [NOTHING; 2].into_iter(), &paths).number, 2);
        assert_eq!(reports.due(), at(65));
    }

    #[test]
    fn a_quiet_system_reports_less_and_less_until_something_happens() {
        let table = Table::new(DaemonId(1), &[1, 2].map(DaemonId), &[]);
        let paths = Paths::new(&table, 1, Duration::from_millis(50));
        let said = Said { networks: 1, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        let at = Instant::from_millis;
        let mut reports = Reports::new(2, at(0));
        let mut pauses = Vec::new();
        while reports.due() < at(10_000) {
            let now = reports.due();
            let report = reports.compose(now, &said, [NOTHING; 2].into_iter(), &paths);
            let pause = u64::from(report.pause);
            assert_eq!(reports.due(), now + Duration::from_millis(pause));
            pauses.push(pause);
        }
        assert!(pauses[..60].iter().all(|&pause| pause == 50), "for three seconds");
        assert_eq!(pauses[60..66], [100, 200, 400, 800, 1000, 1000]);
        assert!(!reports.is_certain(at(10_000)));
        reports.quicken(at(10_000));
        assert_eq!(reports.due(), at(10_000));
        assert_eq!(reports.compose(at(10_000), &said, [NOTHING; 2].into_iter(), &paths).pause, 50);
        assert!(!reports.is_certain(at(10_299)) && reports.is_certain(at(10_300)));
    }

    #[test]
    fn a_large_quiet_system_is_quieter_still() {
        assert_eq!([2, 16, 128].map(|daemons| quiet_interval(daemons).as_millis()), [1000, 1600, 5000]);
    }

    #[test]
    fn each_daemon_that_is_asked_is_named_in_a_report() {
        let table = Table::new(DaemonId(1), &[1, 2, 3].map(DaemonId), &[]);
        let paths = Paths::new(&table, 1, Duration::from_millis(50));
        let said = Said { networks: 1, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        let at = Instant::from_millis;
        let mut reports = Reports::new(3, at(0));
        table.others().chain(table.others()).for_each(|other| reports.ask(at(0), other));
        let mut asked = |now| reports.compose(now, &said, [NOTHING; 3].into_iter(), &paths).asks;
        assert_eq!([at(0), at(5), at(10)].map(&mut asked), [Some(1), Some(2), None]);
    }

    #[test]
    fn measures_of_many_paths_take_turns() {
        let ids: Vec<DaemonId> = (1..=20).map(DaemonId).collect();
        let table = Table::new(ids[0], &ids, &[]);
        let mut paths = Paths::new(&table, 2, Duration::from_millis(50));
        let now = Instant::from_millis(5);
        let mut reports = Reports::new(20, now);
        let said = Said { networks: 2, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        for (daemon, network) in table.others().flat_map(|daemon| [(daemon, 0), (daemon, 1)]) {
            let report = reports.compose(now, &said, [NOTHING; 20].into_iter(), &paths);
            let report = PathReport { clock: 9, ..report };
            let came = Came { sender: daemon, directly: Some(NetworkId(network)) };
            paths.on_report(now, (came, Copied::First), Incarnation(1), &report);
        }
        reports.cursor = 0;
        let mut told = || {
            let report = reports.compose(now, &said, [NOTHING; 20].into_iter(), &paths);
            report.measures.iter().collect::<Vec<Measure>>()
        };
        let all = [told(), told()].concat();
        assert_eq!(all.len(), 2 * PathReport::MEASURE_LIMIT);
        assert!(all[..38].windows(2).all(|pair| (pair[0].daemon, pair[0].network) < (pair[1].daemon, pair[1].network)));
        assert_eq!((all[38].daemon, all[38].network, all[38].echo), (1, NetworkId(0), 9));
    }
}
