//! When the loop sleeps, and for how long.

use std::io;

use mio::Events;

use super::Daemon;
use crate::time::Duration;

impl Daemon {
    /// Waits for something to do. With `BusyPoll` it polls for a while before it sleeps, because waking a thread takes time.
    pub(super) fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        if !self.node.waits_for_token() {
            self.clients.sleep_paused();
        }
        let patience = self.patience();
        let busy = self.live.busy_poll.min(patience.unwrap_or(Duration::MAX));
        if !busy.is_zero() {
            let end = self.clock.now() + busy;
            while self.clock.now() < end {
                self.poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    return Ok(());
                }
            }
        }
        self.poll.poll(events, patience.map(|patience| patience.saturating_sub(busy)))
    }

    /// How long to wait for the poll.
    fn patience(&mut self) -> Option<Duration> {
        let readable = self.clients.readable() > 0 && self.node.takes_client_input();
        let ready = self.ready.contains(&true) || self.links.has_event();
        if readable || self.clients.has_output() || self.listeners.is_ready() || ready {
            return Some(Duration::ZERO);
        }
        let timeouts = self.node.poll_timeout().into_iter().chain(self.listeners.poll_timeout());
        let timeouts = timeouts.chain(self.clients.poll_timeout()).chain(self.silence.poll_timeout());
        let next = timeouts.chain([self.links.poll_timeout(), self.next_status]).min();
        next.map(|at| at - self.clock.now())
    }
}
