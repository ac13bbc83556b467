//! Who hears whom on which network, as all daemons report it: a row for each daemon.
//!
//! Rows travel by the same relays as everything else, so every daemon knows the whole matrix. A row that was not renewed for some time
//! is unknown again: its daemon is dead or out of reach, and nothing is concluded from what it said.

use super::networks::Networks;
use super::table::Table;
use crate::time::{Duration, Instant};
use crate::wire::{Incarnation, PathReport};

#[derive(Debug)]
pub(super) struct Matrix {
    rows: Vec<Option<Row>>,
    daemons: usize,
    lifetime: Duration,
}

#[derive(Debug)]
struct Row {
    life: Incarnation,
    number: u64,
    at: Instant,
    hears: Vec<Networks>,
}

impl Matrix {
    pub(super) fn new(table: &Table, lifetime: Duration) -> Matrix {
        Matrix { rows: (0..table.len()).map(|_| None).collect(), daemons: table.len(), lifetime }
    }

    /// A report came. Whether its row is another one than before.
    pub(super) fn learn(&mut self, now: Instant, daemon: usize, life: Incarnation, report: &PathReport<'_>) -> bool {
        let row = &mut self.rows[daemon];
        let stale = row.as_ref().is_some_and(|row| row.life == life && row.number >= report.number);
        if stale || report.hears.len() != self.daemons {
            return false;
        }
        renew(row, (life, report.number, now), report.hears.iter().map(|&bits| Networks::from_bits(bits)))
    }

    /// What this daemon itself hears. Whether that is something else than before.
    pub(super) fn set_mine(&mut self, now: Instant, me: usize, hears: impl Iterator<Item = Networks> + Clone) -> bool {
        renew(&mut self.rows[me], (Incarnation(0), 0, now), hears)
    }

    /// Time has passed. Whether a row is unknown from now on.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for row in &mut self.rows {
            changed |= row.take_if(|row| now.since(row.at) > self.lifetime).is_some();
        }
        changed
    }

    /// Whether this daemon's row is known.
    pub(super) fn knows(&self, daemon: usize) -> bool {
        self.rows[daemon].is_some()
    }

    /// The networks on which `by` hears `of` well; none if that is not known.
    pub(super) fn hears(&self, by: usize, of: usize) -> Networks {
        self.rows[by].as_ref().map_or(Networks::NONE, |row| row.hears[of])
    }
}

/// Writes a row, mostly the same again. Whether it is another one than before.
fn renew(
    row: &mut Option<Row>,
    said: (Incarnation, u64, Instant),
    hears: impl Iterator<Item = Networks> + Clone,
) -> bool {
    let (life, number, at) = said;
    match row {
        Some(row) if row.hears.iter().copied().eq(hears.clone()) => {
            (row.life, row.number, row.at) = (life, number, at);
            false
        }
        _ => {
            *row = Some(Row { life, number, at, hears: hears.collect() });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    fn report(number: u64, hears: &[u8]) -> PathReport<'_> {
        PathReport { number, clock: 0, networks: 2, off: 0, digests: [0; 4], hears, measures: Default::default() }
    }

    #[test]
    fn the_newest_report_of_a_life_counts_until_it_is_old() {
        let table = Table::new(DaemonId(1), &[1, 2, 3].map(DaemonId), &[]);
        let mut matrix = Matrix::new(&table, Duration::from_millis(500));
        let at = Instant::from_millis;
        assert!(!matrix.knows(1) && matrix.hears(1, 0).is_empty());
        assert!(matrix.learn(at(0), 1, Incarnation(1), &report(5, &[3, 0, 1])));
        assert!(!matrix.learn(at(1), 1, Incarnation(1), &report(6, &[3, 0, 1])), "nothing new");
        assert!(!matrix.learn(at(2), 1, Incarnation(1), &report(4, &[0, 0, 0])), "overtaken");
        assert_eq!(matrix.hears(1, 0), Networks::first(2));
        assert!(matrix.learn(at(3), 1, Incarnation(2), &report(1, &[2, 0, 1])), "another life");
        assert!(!matrix.learn(at(4), 1, Incarnation(2), &report(2, &[2, 0])), "a row of another table");
        assert!(!matrix.look(at(503)));
        assert!(matrix.look(at(504)));
        assert!(!matrix.knows(1));
    }
}
