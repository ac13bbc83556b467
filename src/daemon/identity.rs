//! What makes one life of a daemon different from all others: chance, and a number that only grows.
//!
//! A ring's sequence must exceed that of every ring of an earlier life. Microseconds since 1970 do, as no ring is formed a million
//! times a second, unless the clock goes back; a state file covers that.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::wire::Incarnation;

/// What makes this life of a daemon different from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This life.
    pub incarnation: Incarnation,
    /// No ring of an earlier life had a larger sequence.
    pub sequence_floor: u64,
    /// The seed for every random choice.
    pub seed: u64,
}

impl Identity {
    /// A new life, after those that wrote the state file.
    pub fn new(state_file: Option<&Path>) -> Identity {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let remembered = state_file.and_then(recall).unwrap_or(0);
        Identity { incarnation: Incarnation(random()), sequence_floor: clock.max(remembered), seed: random() }
    }
}

/// A random number: the standard library seeds every hash state from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn recall(path: &Path) -> Option<u64> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(name: "state_unreadable", file = %path.display(), %error, "the state file cannot be read");
            return None;
        }
    };
    let sequence = text.trim().parse().ok();
    if sequence.is_none() {
        warn!(name: "state_unreadable", file = %path.display(), "the state file has no number");
    }
    sequence
}

/// Writes down a ring's sequence for later lives. The file is replaced as a whole.
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
        assert_eq!(recall(&path), None);
        remember(&path, 12);
        assert_eq!(recall(&path), Some(12));
        assert!(Identity::new(Some(&path)).sequence_floor > 12);
        remember(&path, u64::MAX - 1);
        assert_eq!(Identity::new(Some(&path)).sequence_floor, u64::MAX - 1);
        fs::write(&path, "no number").unwrap();
        assert_eq!(recall(&path), None);
        fs::remove_file(&path).unwrap();
    }
}
