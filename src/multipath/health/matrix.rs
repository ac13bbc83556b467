//! The matrix: which daemon hears which other daemon on which networks. Each daemon reports its own row.
//!
//! Rows travel through the same relays as other packets, so every daemon knows the whole matrix. A row expires if no report renews it. Its
//! daemon is then dead or unreachable, and its last row proves nothing.

use super::super::moves::Moves;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use crate::time::Instant;
use crate::wire::PathReport;

#[derive(Debug)]
pub(in crate::multipath) struct Matrix {
    rows: BySeat<Option<Row>>,
    daemons: usize,
}

/// The row of this daemon never expires.
const FOREVER: Instant = Instant::from_nanos(u64::MAX);

#[derive(Debug)]
struct Row {
    /// When the row expires, unless a report renews it.
    until: Instant,
    /// By seat.
    hears: Vec<Networks>,
}

impl Matrix {
    pub(in crate::multipath) fn new(table: &Table) -> Matrix {
        Matrix { rows: BySeat::new(table.len(), |_| None), daemons: table.len() }
    }

    /// The table has changed. The rows of the remaining daemons stay.
    pub(in crate::multipath) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.rows, |_| None);
        for row in self.rows.iter_mut().flatten() {
            let heard = |seat| moves.seat_before(seat).map_or(Networks::NONE, |before| row.hears[before.number()]);
            row.hears = moves.to.all().map(|seat| moves.set(heard(seat))).collect();
        }
        self.daemons = moves.to.len();
    }

    /// The newest report of a daemon arrived. Its row is valid until `until`. Returns whether the row changed.
    pub(in crate::multipath) fn learn(&mut self, until: Instant, daemon: Seat, report: &PathReport<'_>) -> bool {
        if report.hears.len() != self.daemons {
            return false;
        }
        renew(&mut self.rows[daemon], until, report.hears.iter().map(|&bits| Networks::from_bits(bits)))
    }

    /// Sets the row of this daemon. Returns whether it changed.
    pub(in crate::multipath) fn set_mine(&mut self, me: Seat, hears: impl Iterator<Item = Networks> + Clone) -> bool {
        renew(&mut self.rows[me], FOREVER, hears)
    }

    /// The rows of other daemons expire at this time at the latest, unless a report renews them.
    pub(in crate::multipath) fn shorten(&mut self, until: Instant) {
        let others = self.rows.iter_mut().flatten().filter(|row| row.until < FOREVER);
        others.for_each(|row| row.until = row.until.min(until));
    }

    /// Deletes the row of this daemon.
    pub(in crate::multipath) fn forget(&mut self, daemon: Seat) {
        self.rows[daemon] = None;
    }

    /// Time has passed. Returns whether a row expired.
    pub(in crate::multipath) fn expire(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for row in self.rows.iter_mut() {
            changed |= row.take_if(|row| now > row.until).is_some();
        }
        changed
    }

    /// Whether this daemon's row is known.
    pub(in crate::multipath) fn knows(&self, daemon: Seat) -> bool {
        self.rows[daemon].is_some()
    }

    /// The networks on which `by` hears `of` well. The set is empty if the row is not known.
    pub(in crate::multipath) fn hears(&self, by: Seat, of: Seat) -> Networks {
        self.rows[by].as_ref().map_or(Networks::NONE, |row| row.hears[of.number()])
    }
}

/// Writes a row. Usually it is the same as before. Returns whether it changed.
fn renew(row: &mut Option<Row>, until: Instant, hears: impl Iterator<Item = Networks> + Clone) -> bool {
    match row {
        // In the usual case nothing is allocated, and the plan stays valid.
        Some(row) if row.hears.iter().copied().eq(hears.clone()) => {
            row.until = until;
            false
        }
        _ => {
            *row = Some(Row { until, hears: hears.collect() });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    const SECOND: Seat = Seat::from_wire(1);

    fn report(hears: &[u8]) -> PathReport<'_> {
        PathReport {
            number: 1,
            clock: 0,
            networks: 2,
            off: 0,
            digests: [0; PathReport::DIGESTS],
            next: 0,
            pause: 50,
            asks: None,
            hears,
            measures: Default::default(),
            keys: Default::default(),
        }
    }

    #[test]
    fn the_newest_report_counts_until_it_is_old() {
        let table = Table::new(DaemonId(1), &[1, 2, 3].map(DaemonId), &[]);
        let mut matrix = Matrix::new(&table);
        let at = Instant::from_millis;
        assert!(!matrix.knows(SECOND) && matrix.hears(SECOND, Seat::new(0)).is_empty());
        assert!(matrix.learn(at(500), SECOND, &report(&[3, 0, 1])));
        assert!(!matrix.learn(at(501), SECOND, &report(&[3, 0, 1])), "nothing new");
        assert_eq!(matrix.hears(SECOND, Seat::new(0)), Networks::first(2));
        assert!(matrix.learn(at(503), SECOND, &report(&[2, 0, 1])));
        assert!(!matrix.learn(at(504), SECOND, &report(&[2, 0])), "a row of another table");
        assert!(!matrix.expire(at(503)));
        assert!(matrix.expire(at(504)));
        assert!(!matrix.knows(SECOND));
    }

    #[test]
    fn a_row_that_counts_for_long_may_be_cut_short_until_it_is_renewed() {
        let table = Table::new(DaemonId(1), &[1, 2].map(DaemonId), &[]);
        let mut matrix = Matrix::new(&table);
        let at = Instant::from_millis;
        matrix.set_mine(Seat::new(0), [Networks::NONE, Networks::first(1)].into_iter());
        matrix.learn(at(10_000), SECOND, &report(&[1, 0]));
        matrix.shorten(at(800));
        assert!(!matrix.expire(at(800)));
        matrix.learn(at(900), SECOND, &report(&[1, 0]));
        assert!(!matrix.expire(at(850)) && matrix.expire(at(901)));
        assert!(matrix.knows(Seat::new(0)), "what this daemon hears itself it knows");
    }
}
