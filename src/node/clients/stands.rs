//! Where each session stands, for operators who ask.

use super::super::inspect::SessionStand;
use super::Clients;

impl Clients {
    /// Every session. The groups know in how many of them it is.
    pub(in crate::node) fn stands(&self) -> impl Iterator<Item = SessionStand> + '_ {
        self.sessions.iter().map(|(&id, client)| {
            let outbox = client.session.outbox();
            let (frames, bytes) = (outbox.frames(), outbox.bytes());
            SessionStand { id, name: client.private_group, groups: 0, frames, bytes }
        })
    }
}
