//! The time since the start of this machine, with the time in which it was suspended if the system tells it. The standard library's clock stops
//! during a suspension, so a daemon would continue after an hour as if no time had passed.

#![expect(clippy::disallowed_types, reason = "this clock is read for the core")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Time since some moment in the past, the same for all of this process. It never goes back.
pub(crate) fn uptime() -> Duration {
    super::platform::boot_time().unwrap_or_else(process_time)
}

fn process_time() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let (before, process) = (uptime(), process_time());
        while uptime() <= before || process_time() <= process {}
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn suspended_time_counts() {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!((uptime().as_secs_f64() - seconds).abs() < 60.0, "/proc/uptime counts suspended time, too");
    }
}
