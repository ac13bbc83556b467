//! Whether the token rests or goes round. That depends on the load alone, with a hysteresis; there is no setting for it.
//!
//! - It *comes to rest* at the daemon whose packet was numbered last, after a few visits in a row with little to do.
//! - It *goes round again* when packets come faster than about two in a rotation. A bucket counts them: each packet fills it a little, and
//!   time empties it.

use super::rotation::Rotation;
use crate::time::{Duration, Instant};
use crate::wire::Token;

/// The load as this daemon has seen it.
#[derive(Debug, Default)]
pub(crate) struct Gait {
    /// Visits in a row with little to do.
    calm: u32,
    /// Somebody asked for the token since its last visit.
    pub(crate) hurried: bool,
    bucket: Bucket,
}

/// A leaky bucket: each packet raises its level, and time lowers it.
#[derive(Debug, Default)]
struct Bucket {
    level: u32,
    /// When time emptied it last.
    at: Instant,
}

/// Visits in a row with little to do, after which the token may rest.
const CALM_VISITS: u32 = 3;
/// Packets in a rotation that count as little to do.
const LITTLE: u32 = 1;
/// Packets at once that the bucket takes.
const BURST: u32 = 16;
/// The time in which one packet leaves the bucket, if a rotation is shorter or not known.
const STEP_MIN: Duration = Duration::from_micros(50);

impl Gait {
    /// The token came, with the counts of the last rotation.
    pub(crate) fn visit(&mut self, token: &Token) {
        // Retransmissions too: requests need the token.
        let calm = token.sent <= LITTLE && token.again == 0 && !self.hurried;
        self.calm = if calm { self.calm.saturating_add(1) } else { 0 };
        self.hurried = false;
    }

    /// Whether there has been little to do for long enough.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm >= CALM_VISITS
    }

    /// The token comes to rest here.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.bucket = Bucket { level: 0, at: now };
    }

    /// A packet was numbered while the token rests here. Returns whether packets come too fast for that.
    pub(crate) fn numbered(&mut self, now: Instant, rotation: &Rotation) -> bool {
        // Two packets a rotation is about what a rotating token carries at the same delay.
        let step = (rotation.mean() / 2).max(STEP_MIN);
        let Bucket { level, at } = &mut self.bucket;
        let steps = now.since(*at).as_nanos() / step.as_nanos();
        if steps >= u128::from(*level) {
            (*level, *at) = (0, now);
        } else {
            *level -= steps as u32;
            // By whole steps, so that the rest of a step is not lost.
            *at += step * steps as u32;
        }
        *level += 1;
        *level > BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::rotation::Trip;

    const MILLI: Duration = Duration::from_millis(1);

    /// Rotations of one millisecond.
    fn rotation() -> Rotation {
        let mut rotation = Rotation::default();
        rotation.begin(Instant::ZERO);
        rotation.end(Instant::ZERO + MILLI, Trip::Undisturbed);
        rotation
    }

    /// Whether packets in this distance are too many sooner or later.
    fn is_too_much(every: Duration) -> bool {
        let (mut gait, rotation) = (Gait::default(), rotation());
        (0..1000).any(|n| gait.numbered(Instant::ZERO + every * n, &rotation))
    }

    #[test]
    fn two_packets_in_a_rotation_are_carried_at_rest_and_more_are_not() {
        assert!(!is_too_much(MILLI) && !is_too_much(MILLI / 2));
        assert!(is_too_much(MILLI * 2 / 5));
    }

    #[test]
    fn a_burst_is_carried_at_rest() {
        let (mut gait, rotation) = (Gait::default(), rotation());
        for second in 1..5 {
            let now = Instant::ZERO + MILLI * 1000 * second;
            assert!((0..BURST).all(|_| !gait.numbered(now, &rotation)));
        }
        let now = Instant::ZERO + MILLI * 1000 * 9;
        assert!((0..=BURST).any(|_| gait.numbered(now, &rotation)));
    }
}
