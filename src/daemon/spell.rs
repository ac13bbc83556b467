//! A trouble that comes and goes, such as a shortage. The log has a line when it begins, and at most one a minute, however often it comes back.

use crate::time::{Duration, Instant};

/// The shortest time between two lines about one trouble.
const GAP: Duration = Duration::from_secs(60);

/// A trouble, and when the log last had a line about it.
#[derive(Debug, Default)]
pub(super) struct Spell {
    /// The present spell is in the log. False between two spells.
    is_logged: bool,
    logged: Option<Instant>,
}

impl Spell {
    /// Records whether the trouble is there now. Returns whether that should be logged.
    pub(super) fn should_log(&mut self, now: Instant, is_there: bool) -> bool {
        let is_time = self.logged.is_none_or(|logged| now.since(logged) >= GAP);
        let logs = is_there && !self.is_logged && is_time;
        if logs {
            self.logged = Some(now);
        }
        self.is_logged = is_there && (self.is_logged || logs);
        logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_logged_and_not_again_before_the_end_and_a_minute() {
        let mut spell = Spell::default();
        let mut logs = |second: u64, is_there| spell.should_log(Instant::from_millis(second * 1000), is_there);
        assert!(!logs(0, false));
        assert!(logs(10, true));
        assert!(!logs(20, true) && !logs(200, true), "it lasts");
        assert!(!logs(210, false));
        assert!(logs(211, true), "it begins again, and the last line is old");
        assert!(!logs(212, false) && !logs(213, true) && !logs(214, false));
        assert!(!logs(270, true) && logs(271, true), "what began within the minute is logged after it, if it lasts");
    }
}
