//! How long something took, over and over, in a few numbers: how often it took up to each of a row of bounds, and all together.
//!
//! The bounds are the same for everything that is measured, so that histograms of different daemons can be added up.

use std::time::Duration;

/// Upper bounds of the ranges, in microseconds. What takes longer is in one more range.
const BOUNDS: [u64; 20] = [
    10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000,
];

/// A histogram of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Times {
    /// Adds one measured time.
    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|&bound| bound < micros)] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// How often it was measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each range that has a bound: the bound, and how many times were at most this long but longer than the bound before.
    pub fn ranges(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        BOUNDS.iter().map(|&bound| Duration::from_micros(bound)).zip(self.counts.iter().copied())
    }

    /// The percentile, as exactly as the ranges allow: times are taken as evenly spread within a range. `None` before the first time.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let rank = (self.count() * u64::from(percent)).div_ceil(100).max(1);
        let (mut below, mut from) = (0, Duration::ZERO);
        for (bound, count) in self.ranges() {
            if below + count >= rank {
                return Some(from + (bound - from).mul_f64((rank - below) as f64 / count as f64));
            }
            (below, from) = (below + count, bound);
        }
        // It took longer than the last bound, and nobody knows how much longer.
        (self.count() > 0).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(micros: &[u64]) -> Times {
        let mut times = Times::default();
        micros.iter().for_each(|&micros| times.record(Duration::from_micros(micros)));
        times
    }

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it() {
        let mut times = times(&[0, 10, 11, 30_000_000, 40_000_000]);
        times.record(Duration::from_nanos(10_001));
        let found: Vec<(u64, u64)> = times
            .ranges()
            .map(|(bound, count)| (bound.as_micros() as u64, count))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(found, [(10, 2), (20, 2), (30_000_000, 1)]);
        assert_eq!((times.count(), times.sum()), (6, Duration::from_nanos(70_000_031_001)));
    }

    #[test]
    fn percentiles_are_spread_evenly_within_a_range() {
        assert_eq!(times(&[]).percentile(50), None);
        let hundred: Vec<u64> = (0..90).map(|_| 15).chain((0..10).map(|_| 150)).collect();
        let times_of_hundred = times(&hundred);
        let micros = |percent| times_of_hundred.percentile(percent).unwrap().as_micros();
        assert_eq!([micros(45), micros(90), micros(95), micros(100)], [15, 20, 150, 200]);
        assert_eq!(times(&[90_000_000]).percentile(99), Some(Duration::from_secs(30)));
    }
}
