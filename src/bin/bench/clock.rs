//! The machine's monotonic clock in nanoseconds. It is the same in all processes and network namespaces, so a message can carry the time
//! of its sending.

use std::thread;
use std::time::Duration;

/// Now.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the result lives during the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until this time.
pub fn sleep_until(then: u64) {
    if let Some(left) = then.checked_sub(now()).filter(|&left| left > 0) {
        thread::sleep(Duration::from_nanos(left));
    }
}

/// Makes sleeps of this thread end at the right time, and not up to 50 µs later.
pub fn sleep_exactly() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
    }
}
