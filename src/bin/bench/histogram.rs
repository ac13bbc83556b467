//! Counts of nanoseconds in buckets that widen with the value. The resolution is 1.6 % from nanoseconds to hours, in a few kilobytes.
//! Histograms of several processes can be added.

use serde_json::{Value, json};

/// Buckets of one doubling.
const STEPS: u64 = 64;

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, nanos: u64) {
        let bucket = bucket(nanos);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, in microseconds.
    pub fn max_micros(&self) -> f64 {
        self.max as f64 / 1e3
    }

    /// The value in microseconds below which this part of all values lies.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = (part * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (lower(bucket + 1) - 1).min(self.max) as f64 / 1e3;
            }
        }
        self.max_micros()
    }

    /// Points of the distribution: microseconds, and the part of all values that is not larger.
    pub fn distribution(&self) -> Vec<(f64, f64)> {
        let mut seen = 0;
        let points = self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| {
            seen += count;
            (lower(bucket + 1) as f64 / 1e3, seen as f64 / self.total as f64)
        });
        points.collect()
    }

    /// As JSON: pairs of bucket and count.
    pub fn to_json(&self) -> Value {
        let pairs = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        json!({ "max": self.max, "counts": pairs.map(|(bucket, count)| json!([bucket, count])).collect::<Vec<_>>() })
    }

    /// From JSON. Anything else gives an empty histogram.
    pub fn from_json(value: &Value) -> Histogram {
        let mut histogram = Histogram { max: value["max"].as_u64().unwrap_or(0), ..Histogram::default() };
        for pair in value["counts"].as_array().into_iter().flatten() {
            let (Some(bucket), Some(count)) = (pair[0].as_u64(), pair[1].as_u64()) else { continue };
            let bucket = bucket.min(64 * STEPS) as usize;
            histogram.counts.resize(histogram.counts.len().max(bucket + 1), 0);
            histogram.counts[bucket] += count;
            histogram.total += count;
        }
        histogram
    }
}

/// The bucket of a value: one for each value below [`STEPS`], then [`STEPS`] buckets for each doubling.
fn bucket(value: u64) -> usize {
    let doublings = u64::from(value.max(STEPS).ilog2() - STEPS.ilog2());
    ((doublings * STEPS) + (value >> doublings)) as usize
}

/// The smallest value of a bucket.
fn lower(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match (bucket / STEPS).checked_sub(1) {
        None | Some(0) => bucket,
        Some(doublings) => (bucket - doublings * STEPS) << doublings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..4096).chain((12..50).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 12_345])) {
            let bucket = bucket(value);
            assert!(lower(bucket) <= value && value < lower(bucket + 1), "{value} in {bucket}");
        }
    }

    #[test]
    fn quantiles_are_right_within_the_resolution() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.add(micros * 1000));
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(part);
            assert!((found - micros).abs() <= micros * 0.016, "{part}: {found}");
        }
        assert_eq!((histogram.total(), histogram.max_micros()), (1000, 1000.0));
    }

    #[test]
    fn histograms_add_up_and_come_back_from_json() {
        let (mut one, mut other, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
        for value in [3, 700, 90_000, 5] {
            one.add(value);
            other.add(value * 3);
            both.add(value);
            both.add(value * 3);
        }
        one.merge(&other);
        assert_eq!(one, both);
        assert_eq!(Histogram::from_json(&one.to_json()), one);
        assert_eq!(both.distribution().last().unwrap().1, 1.0);
    }
}
