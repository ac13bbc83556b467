//! How long the token takes to come round, and after what silence it is retransmitted.
//!
//! Mean and deviation are smoothed, like those of TCP's retransmission timer. A rotation in which the token rested or was sent again says
//! nothing about its length. The token carries the last hop at which that happened, so every member leaves such a rotation out. Otherwise
//! loss would feed on itself: it would make every member slow to notice the next loss.

use crate::time::{Duration, Instant};

/// Rotations as one member sees them.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    passed_at: Option<Instant>,
    took: Duration,
    mean: Option<Duration>,
    deviation: Duration,
}

/// The trip of the token since it was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trip {
    /// It was neither held back nor retransmitted anywhere.
    Undisturbed,
    Delayed,
}

/// The shortest wait before a token is retransmitted: a daemon that is scheduled a little late is no loss.
const PATIENCE_MIN: Duration = Duration::from_millis(2);

impl Rotation {
    /// The token was passed on.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.passed_at = Some(now);
    }

    /// The token came. The time of the rotation, if it says how long one takes.
    pub(crate) fn end(&mut self, now: Instant, trip: Trip) -> Option<Duration> {
        // Taken, so that one start gives one measurement, however many tokens come.
        self.took = now.since(self.passed_at.take()?);
        match trip {
            Trip::Undisturbed => {
                self.learn(self.took);
                Some(self.took)
            }
            Trip::Delayed => None,
        }
    }

    /// How long the last one took, whatever happened in it.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// How long one takes; zero while that is not known.
    pub(crate) fn mean(&self) -> Duration {
        self.mean.unwrap_or_default()
    }

    /// The silence after which the token is retransmitted.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        // Two means, because silence of one rotation is normal: the token may be at the far end.
        (self.mean.unwrap_or_default() * 2 + self.deviation * 4).clamp(PATIENCE_MIN.min(most), most)
    }

    fn learn(&mut self, took: Duration) {
        let Some(mean) = self.mean else {
            // The first sample, as in RFC 6298: nothing is known of the deviation, so it is taken for large.
            (self.mean, self.deviation) = (Some(took), took / 2);
            return;
        };
        // The deviation first, because it is from the old mean (RFC 6298).
        self.deviation = (self.deviation * 3 + mean.abs_diff(took)) / 4;
        self.mean = Some((mean * 7 + took) / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::Trip::*;
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const MOST: Duration = Duration::from_millis(40);

    fn after(rotations: &[(u32, Trip)]) -> Rotation {
        let mut rotation = Rotation::default();
        for &(millis, trip) in rotations {
            rotation.begin(Instant::ZERO);
            let _ = rotation.end(Instant::ZERO + MILLI * millis, trip);
        }
        rotation
    }

    #[test]
    fn patience_is_little_more_than_two_rotations_of_the_same_length() {
        let patience = after(&[(5, Undisturbed); 40]).patience(MOST);
        assert!((MILLI * 10..MILLI * 11).contains(&patience), "{patience:?}");
        assert_eq!(after(&[(0, Undisturbed); 40]).patience(MOST), PATIENCE_MIN);
        assert_eq!(after(&[(300, Undisturbed); 40]).patience(MOST), MOST);
        assert_eq!(Rotation::default().patience(MOST), PATIENCE_MIN);
    }

    #[test]
    fn rotations_of_different_length_ask_for_patience() {
        let patience = after(&[(1, Undisturbed), (9, Undisturbed)].repeat(20)).patience(MOST);
        assert!(patience > MILLI * 20, "{patience:?}");
    }

    #[test]
    fn a_delayed_rotation_teaches_nothing() {
        let rotation = after(&[(3, Undisturbed), (3, Undisturbed), (30, Delayed), (25, Delayed)]);
        assert_eq!(rotation.took(), MILLI * 25);
        assert!(rotation.patience(MOST) < MILLI * 12);
    }

    #[test]
    fn patience_follows_when_the_way_becomes_longer() {
        let before = [(1, Undisturbed); 20];
        let patience = after(&[&before[..], &[(12, Undisturbed); 20]].concat()).patience(MOST);
        assert!(patience > MILLI * 20, "{patience:?}");
    }
}
