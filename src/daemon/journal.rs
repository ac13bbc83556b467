//! The latest events of the ring, the networks and the files, for operators who ask. The log has the same and more.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Events that are kept.
const LIMIT: usize = 200;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its number; the first has 1.
    pub number: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// The name of the event in the log.
    pub event: &'static str,
    /// What happened, in words.
    pub text: String,
}

/// The events that are kept.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    latest: VecDeque<Happening>,
}

impl Journal {
    /// Records that something happened now.
    pub(super) fn record(&self, event: &'static str, text: String) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.0.lock();
        kept.count += 1;
        let number = kept.count;
        if kept.latest.len() == LIMIT {
            kept.latest.pop_front();
        }
        kept.latest.push_back(Happening { number, at_ms, event, text });
    }

    /// All kept events, the oldest first.
    pub(super) fn all(&self) -> Vec<Happening> {
        self.0.lock().latest.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let journal = Journal::default();
        (0..LIMIT + 3).for_each(|n| journal.record("path", n.to_string()));
        let all = journal.all();
        assert_eq!((all.len(), all[0].number, &*all[0].text), (LIMIT, 4, "3"));
    }
}
