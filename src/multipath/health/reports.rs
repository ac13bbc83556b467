//! When this daemon reports what it hears, and what it says.
//!
//! Reports are signs of life too, so they come often: several within the silence that makes a path faulty. In a large system they
//! come less often, so that all of them together stay below [`REPORTS_PER_SECOND`] on each network (with the smallest and the largest
//! table that is less than 0.5 and 3.5 Mbit/s); silence then means something later. What is news is said at once.

use super::super::networks::Networks;
use super::super::seat::Seat;
use super::paths::{Paths, micros};
use crate::time::{Duration, Instant};
use crate::wire::{KeyBytes, Keys, MeasureBytes, Measures, NetworkId, PathReport};

/// The shortest time between two regular reports.
const INTERVAL: Duration = Duration::from_millis(50);
/// Regular reports of all daemons together in a second, on each network.
const REPORTS_PER_SECOND: u32 = 320;
/// The shortest time between any two reports.
pub(super) const NEWS_GAP: Duration = Duration::from_millis(5);
/// How much less often a daemon reports that hears nobody.
const ALONE: u32 = 4;

#[derive(Debug)]
pub(super) struct Reports {
    interval: Duration,
    number: u64,
    last: Instant,
    next: Instant,
    /// Where the measures of the next report begin, among all paths.
    cursor: usize,
    /// The lists of the latest report.
    hears: Vec<u8>,
    measures: Vec<MeasureBytes>,
}

/// The time between two regular reports of each of so many daemons.
pub(super) fn interval(daemons: usize) -> Duration {
    INTERVAL.max(Duration::from_secs(1) * daemons as u32 / REPORTS_PER_SECOND)
}

/// What a report says besides what was measured.
#[derive(Debug)]
pub(in crate::multipath) struct Said<'a> {
    pub(in crate::multipath) networks: u8,
    pub(in crate::multipath) off: Networks,
    pub(in crate::multipath) digests: [u32; PathReport::DIGESTS],
    /// The digest of the table that is changed to next, or 0.
    pub(in crate::multipath) next: u32,
    /// The ids of this daemon's keys.
    pub(in crate::multipath) keys: &'a [KeyBytes],
}

/// Whether anybody else is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

impl Reports {
    pub(super) fn new(daemons: usize, now: Instant) -> Reports {
        Reports {
            interval: interval(daemons),
            number: 0,
            last: Instant::ZERO,
            next: now,
            cursor: 0,
            hears: Vec::new(),
            measures: Vec::new(),
        }
    }

    /// The table has so many daemons from now on, and there is something new to say.
    pub(super) fn adopt(&mut self, now: Instant, daemons: usize) {
        (self.interval, self.cursor) = (interval(daemons), 0);
        self.hasten(now);
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// There is something new to say.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.next = self.next.min(now.max(self.last + NEWS_GAP));
    }

    /// The report that is due. `hears` says by daemon on which networks it is heard.
    pub(super) fn compose<'a>(
        &'a mut self,
        now: Instant,
        company: Company,
        said: &Said<'a>,
        hears: impl Iterator<Item = Networks>,
        paths: &Paths,
    ) -> PathReport<'a> {
        self.number += 1;
        self.last = now;
        self.next = now + self.interval * if company == Company::Alone { ALONE } else { 1 };
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
            hears: &self.hears,
            measures: Measures::new(&self.measures),
            keys: Keys::new(said.keys),
        }
    }

    /// Collects measures from where the last report ended.
    fn measure(&mut self, now: Instant, networks: usize, paths: &Paths) {
        let (begin, end) = (self.cursor, self.hears.len() * networks);
        self.measures.clear();
        self.cursor = 0;
        for place in (begin..end).chain(0..begin) {
            let network = NetworkId((place % networks) as u8);
            let Some(measure) = paths.measure(now, Seat::new(place / networks), network) else { continue };
            self.measures.push(measure.encode());
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
    use super::super::Came;
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
        let paths = Paths::new(&table, 1, Duration::from_millis(200));
        let said = Said { networks: 1, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        let at = Instant::from_millis;
        let mut reports = Reports::new(2, at(10));
        assert_eq!(reports.due(), at(10));
        assert_eq!(reports.compose(at(10), Company::Others, &said, [NOTHING; 2].into_iter(), &paths).number, 1);
        assert_eq!(reports.due(), at(60));
        reports.hasten(at(12));
        assert_eq!(reports.due(), at(15));
        reports.hasten(at(11));
        assert_eq!(reports.compose(at(15), Company::Alone, &said, [NOTHING; 2].into_iter(), &paths).number, 2);
        assert_eq!(reports.due(), at(215), "alone it is in no hurry");
    }

    #[test]
    fn measures_of_many_paths_take_turns() {
        let ids: Vec<DaemonId> = (1..=20).map(DaemonId).collect();
        let table = Table::new(ids[0], &ids, &[]);
        let mut paths = Paths::new(&table, 2, Duration::from_millis(200));
        let now = Instant::from_millis(5);
        let mut reports = Reports::new(20, now);
        let said = Said { networks: 2, off: Networks::NONE, digests: [0; PathReport::DIGESTS], next: 0, keys: &[] };
        for (daemon, network) in table.others().flat_map(|daemon| [(daemon, 0), (daemon, 1)]) {
            let report = reports.compose(now, Company::Others, &said, [NOTHING; 20].into_iter(), &paths);
            let report = PathReport { clock: 9, ..report };
            let came = Came { sender: daemon, directly: Some(NetworkId(network)) };
            paths.on_report(now, came, Incarnation(1), &report);
        }
        reports.cursor = 0;
        let mut told = || {
            let report = reports.compose(now, Company::Others, &said, [NOTHING; 20].into_iter(), &paths);
            report.measures.iter().collect::<Vec<Measure>>()
        };
        let all = [told(), told()].concat();
        assert_eq!(all.len(), 2 * PathReport::MEASURE_LIMIT);
        assert!(all[..38].windows(2).all(|pair| (pair[0].daemon, pair[0].network) < (pair[1].daemon, pair[1].network)));
        assert_eq!((all[38].daemon, all[38].network, all[38].echo), (1, NetworkId(0), 9));
    }
}
