//! The facts that ring and paths exchange, and how late a daemon is. The simulator has rings without clients, and calls this code too.

use crate::multipath::Multipath;
use crate::ring::Ring;
use crate::time::Instant;

/// Lets ring and paths learn from each other what has changed. Call it after each input.
pub fn couple(now: Instant, ring: &mut Ring, paths: &mut Multipath) {
    // A packet must not be longer than what reaches every daemon on every network.
    ring.set_body_limit(paths.datagram_limit().saturating_sub(paths.overhead()));
    ring.set_doubles(paths.doubles());
    paths.set_long_gather(ring.long_gather(now));
    // Only then, because this runs after each input and there is nearly never a double.
    if paths.doubles().len() > 0 {
        paths.follow_agreed(now, ring.agreed_lives());
    }
}

/// The time at which a daemon wants to act next. It shows later whether the daemon was running then.
#[derive(Debug, Default)]
pub struct Alarm(Option<Instant>);

impl Alarm {
    /// Sets the time, and returns it.
    pub fn set(&mut self, due: Option<Instant>) -> Option<Instant> {
        self.0 = due;
        due
    }

    /// An input begins. If its time was earlier, the daemon was not running meanwhile, and the ring must know.
    pub fn check(&mut self, now: Instant, ring: &mut Ring) {
        if let Some(due) = self.0.take_if(|due| *due < now) {
            ring.on_lateness(now, now.since(due));
        }
    }
}
