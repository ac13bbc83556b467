//! What ring and paths tell each other, and how late a daemon is. The simulator, which has rings without clients, does the same by this code.

use crate::multipath::Multipath;
use crate::ring::Ring;
use crate::time::Instant;

/// Ring and paths learn from each other what has changed. To be called after each input.
pub fn couple(now: Instant, ring: &mut Ring, paths: &mut Multipath) {
    // Packets are as long as reaches everybody on every network, and no longer.
    ring.set_body_limit(paths.datagram_limit().saturating_sub(paths.overhead()));
    ring.set_doubles(paths.doubles());
    paths.set_long_gather(ring.long_gather(now));
    // Nearly always there is none.
    if paths.doubles().len() > 0 {
        paths.follow_agreed(now, ring.agreed_lives());
    }
}

/// When a daemon should do something next.
#[derive(Debug, Default)]
pub struct Alarm(Option<Instant>);

impl Alarm {
    /// That is then. Returns it.
    pub fn set(&mut self, due: Option<Instant>) -> Option<Instant> {
        self.0 = due;
        due
    }

    /// Something happens. If this daemon should have done something earlier, it was not running meanwhile.
    pub fn check(&mut self, now: Instant, ring: &mut Ring) {
        if let Some(due) = self.0.take_if(|due| *due < now) {
            ring.on_lateness(now, now.since(due));
        }
    }
}
