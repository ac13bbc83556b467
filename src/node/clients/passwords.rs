//! The passwords of clients: when they are checked, and the result.

use super::{Clients, OutboxState};
use crate::groups::SessionId;
use crate::node::NodeEvent;
use crate::node::users::User;
use crate::session::{Check, Verdict};
use crate::wire::Refusal;

impl Clients {
    /// A client sent a password. It is compared at once unless there were wrong ones.
    pub(super) fn on_check(&mut self, id: SessionId, check: Check) {
        let Some(client) = self.sessions.get(&id) else { return };
        let (source, user) = (client.source, check.user());
        if self.attempts.add(self.now, id, source, check) {
            self.compare();
        } else {
            self.refuse_password(id, &user);
        }
    }

    /// Asks the owner to compare the passwords that need not wait.
    pub(super) fn compare(&mut self) {
        while let Some((id, check)) = self.attempts.poll(self.now) {
            // The client may have gone while its password waited.
            if self.sessions.contains_key(&id) {
                self.events.push_back(NodeEvent::Check { id, check });
            }
        }
    }

    /// A client's password was compared.
    pub(in crate::node) fn checked(&mut self, id: SessionId, verdict: Verdict) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let Some(user) = client.session.checking() else { return };
        if verdict != Verdict::Accepted {
            return self.refuse_password(id, &user.escape_debug().to_string());
        }
        // In the form in which attempts are charged.
        self.attempts.forgive(self.now, client.source, &user.escape_debug().to_string());
        let named = User::Named(user.into());
        // Only the password shows who the user is, so this limit could not be checked before.
        if !self.users.has_room(&named) {
            return self.answer(id, Verdict::Refused(Refusal::QUOTA));
        }
        self.users.enter(named.clone());
        let before = std::mem::replace(&mut client.user, named);
        // The answer charges the new user with all that the session takes.
        self.users.leave(&before, std::mem::take(&mut client.charged));
        self.answer(id, Verdict::Accepted);
    }

    pub(super) fn refuse_password(&mut self, id: SessionId, user: &str) {
        self.stats.wrong_passwords += 1;
        if let Some(client) = self.sessions.get(&id) {
            tracing::warn!(name: "password_wrong", user, from = %client.source, "wrong password");
        }
        self.answer(id, Verdict::Refused(Refusal::AUTH));
    }

    pub(super) fn answer(&mut self, id: SessionId, verdict: Verdict) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let before = OutboxState::of(client.session.outbox());
        client.session.answer(verdict);
        self.requests(id, before);
    }
}
