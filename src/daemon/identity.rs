//! The identity of one life of a daemon, different from all others: random numbers, and a number that only grows.
//!
//! A ring's sequence must exceed that of every ring of an earlier life. Microseconds since 1970 do, because no daemon forms a million
//! rings a second. If the clock may go back, a state file keeps the sequence.
//!
//! No ring's sequence is ahead of the clock by more than [`AHEAD`], unless somebody forges packets. To accept a larger one at once would
//! use up the numbers that are left for rings.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::wire::Incarnation;

/// The identity of this life of a daemon, different from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This life.
    pub incarnation: Incarnation,
    /// No ring of an earlier life had a larger sequence.
    pub sequence_floor: u64,
    /// No ring of any daemon has a larger sequence yet; the limit grows by one each microsecond.
    pub sequence_horizon: u64,
    /// The seed for every random choice.
    pub seed: u64,
}

impl Identity {
    /// A new life, after those that wrote the state file.
    pub fn new(state_file: Option<&Path>) -> Identity {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        if clock > AHEAD {
            warn!(
                name: "clock_wrong",
                "this machine's clock is wrong: it is far beyond the year 2200; set it, or two rings may get the same number"
            );
        }
        Identity::at(clock.min(AHEAD), state_file)
    }

    /// A new life that begins at this many microseconds since 1970.
    fn at(clock: u64, state_file: Option<&Path>) -> Identity {
        let sequence_horizon = clock + AHEAD;
        let remembered = state_file.and_then(|path| recall(path, clock + AHEAD_AFTER_ATTACK)).unwrap_or(0);
        let sequence_floor = clock.max(remembered);
        // Others are at least there, so what they say must be believed at once.
        let sequence_horizon = sequence_horizon.max(remembered);
        Identity { incarnation: Incarnation(random()), sequence_floor, sequence_horizon, seed: random() }
    }
}

/// How far ahead of the clock a ring's sequence may be, in microseconds: 285 years, for clocks that were wrong once.
const AHEAD: u64 = 1 << 53;

/// The same for a number of a state file. It is larger, because a forger may have moved the rings' numbers while the last life ran. In four
/// hours and a half he gets so far.
const AHEAD_AFTER_ATTACK: u64 = 16 * AHEAD;

/// A random number. The standard library seeds every hash state with randomness of the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn recall(path: &Path, horizon: u64) -> Option<u64> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(name: "state_unreadable", file = %path.display(), %error, "the state file cannot be read");
            return None;
        }
    };
    match text.trim().parse() {
        Ok(sequence) if sequence <= horizon => return Some(sequence),
        Ok(sequence) => warn!(
            name: "state_impossible",
            file = %path.display(),
            sequence,
            "the state file has a number that no ring can have reached: it is ignored, and replaced when the next ring forms"
        ),
        Err(_) => warn!(
            name: "state_unreadable",
            file = %path.display(),
            "the state file has no number: it is ignored, and replaced when the next ring forms"
        ),
    }
    None
}

/// Writes a ring's sequence down for later lives. The rename replaces the file as a whole, so that a crash leaves no half-written one.
pub(super) fn remember(path: &Path, sequence: u64) {
    let new = path.with_extension("new");
    let written = fs::write(&new, format!("{sequence}\n")).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        warn!(name: "state_unwritten", file = %path.display(), %error, "the state file cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lives_differ() {
        let (one, two) = (Identity::new(None), Identity::new(None));
        assert!(one.incarnation != two.incarnation && one.seed != two.seed);
        assert!(one.sequence_floor <= two.sequence_floor && one.sequence_floor > 1 << 50);
    }

    #[test]
    fn what_was_remembered_counts_if_it_is_later_than_the_clock() {
        let path = std::env::temp_dir().join(format!("torc-state-{}", random()));
        assert_eq!(recall(&path, 100), None);
        remember(&path, 12);
        assert_eq!(recall(&path, 100), Some(12));
        assert!(Identity::new(Some(&path)).sequence_floor > 12);
        remember(&path, 1 << 52);
        assert_eq!(Identity::new(Some(&path)).sequence_floor, 1 << 52);
        fs::write(&path, "no number").unwrap();
        assert_eq!(recall(&path, 100), None);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_number_that_no_ring_can_have_reached_is_not_remembered() {
        let path = std::env::temp_dir().join(format!("torc-state-{}", random()));
        for forged in [(1 << 62) - 1, 1 << 62, u64::MAX - 1, 1 << 60] {
            remember(&path, forged);
            let identity = Identity::new(Some(&path));
            assert!(identity.sequence_floor < 1 << 52, "{forged}");
            assert!(identity.sequence_horizon < 1 << 54);
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn who_was_in_a_ring_whose_number_a_forger_had_moved_knows_it_after_a_restart() {
        let path = std::env::temp_dir().join(format!("torc-state-{}", random()));
        let moved = (1 << 51) + 5 * AHEAD;
        remember(&path, moved);
        let identity = Identity::at(1 << 51, Some(&path));
        assert_eq!((identity.sequence_floor, identity.sequence_horizon), (moved, moved));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn daemons_whose_clocks_differ_by_decades_believe_each_other() {
        let (at_1970, today, wrong) = (Identity::at(0, None), Identity::at(1 << 51, None), Identity::at(AHEAD, None));
        for (one, other) in [(at_1970, today), (at_1970, wrong), (today, wrong)] {
            assert!(one.sequence_floor <= other.sequence_horizon && other.sequence_floor <= one.sequence_horizon);
        }
    }
}
