//! Compares passwords on a thread of its own. A comparison is slow on purpose, and the loop that passes the token must not wait for it.
//!
//! The thread begins with the first password and ends with the daemon. The limit of unfinished handshakes also limits how many
//! passwords wait, and the node limits how fast a stranger adds to them.

use std::io;
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;

use parking_lot::Mutex;
use tracing::error;

use super::handle::Shared;
use crate::groups::SessionId;
use crate::session::{Check, Verdict};
use crate::wire::Refusal;

/// Passwords that are being compared.
#[derive(Debug)]
pub(super) struct Passwords {
    shared: Arc<Shared>,
    verdicts: Arc<Mutex<Vec<(SessionId, Verdict)>>>,
    work: Option<mpsc::Sender<(SessionId, Check)>>,
}

impl Passwords {
    /// Nothing to compare yet. Each verdict wakes the loop.
    pub(super) fn new(shared: Arc<Shared>) -> Passwords {
        Passwords { shared, verdicts: Arc::default(), work: None }
    }

    /// Gives the thread a password to compare.
    pub(super) fn compare(&mut self, id: SessionId, check: Check) {
        if self.work.is_none() {
            self.work = self
                .begin()
                .inspect_err(|error| error!(name: "password_thread_failed", %error, "no password can be compared"))
                .ok();
        }
        let sent = self.work.as_ref().is_some_and(|work| work.send((id, check)).is_ok());
        if !sent {
            self.verdicts.lock().push((id, Verdict::Refused(Refusal::AUTH)));
            self.shared.wake();
        }
    }

    /// The verdicts since the last call.
    pub(super) fn take(&self) -> Vec<(SessionId, Verdict)> {
        mem::take(&mut self.verdicts.lock())
    }

    fn begin(&self) -> io::Result<mpsc::Sender<(SessionId, Check)>> {
        let (work, waiting) = mpsc::channel::<(SessionId, Check)>();
        let (verdicts, shared) = (Arc::clone(&self.verdicts), Arc::clone(&self.shared));
        thread::Builder::new().name("passwords".to_string()).spawn(move || {
            for (id, check) in waiting {
                let verdict = if check.is_right() { Verdict::Accepted } else { Verdict::Refused(Refusal::AUTH) };
                verdicts.lock().push((id, verdict));
                shared.wake();
            }
        })?;
        Ok(work)
    }
}
