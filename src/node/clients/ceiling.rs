//! Applies the memory limits of all clients and of each user, and chooses the sessions that must end.

use super::{Client, Clients};
use crate::groups::SessionId;
use crate::node::ends::EndReason;
use crate::node::memory::{Elsewhere, Fill, MEMBERSHIP};
use crate::wire::Name;

impl Clients {
    /// Keeps the accounts of the memory that a session takes.
    pub(super) fn update_accounts(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let input = client.session.input_memory();
        let change = client.session.outbox_mut().take_memory_change() + (input as isize - client.input as isize);
        client.input = input;
        self.memory.change(change);
        self.charge_user(id);
    }

    /// Charges a session's user for its frames, if there is a limit.
    pub(super) fn charge_user(&mut self, id: SessionId) {
        // Without a limit nobody needs the sum, and this runs for each receiver of each frame.
        if !self.users.counts_memory() {
            return;
        }
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let now = client.input + client.session.outbox().bytes();
        let before = std::mem::replace(&mut client.charged, now);
        if self.users.change_memory(&client.user, before, now) {
            self.greedy.push(client.user.clone());
        }
    }

    /// Other limits for each user from now on. Open sessions above the limit stay; above the memory limit the largest ones end.
    pub(super) fn set_user_limits(&mut self, max_sessions: usize, max_memory: usize) {
        self.users.set_limits(max_sessions, max_memory);
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        // If there was no limit before, nothing has been charged yet.
        for id in all {
            self.charge_user(id);
        }
        // A lower limit makes users greedy whose memory does not grow.
        self.greedy = self.users.greedy();
    }

    /// Ends the largest sessions while all clients together exceed the limit. `kept` returns the memory of a session in other parts.
    pub(in crate::node) fn keep_ceiling(
        &mut self,
        elsewhere: Elsewhere,
        kept: impl Fn(SessionId, Option<Name>) -> usize,
    ) {
        self.memory.set_elsewhere(elsewhere);
        if self.memory.should_warn() {
            let (used, limit) = (self.memory.used(), self.memory.room());
            let sessions = self.sessions.len();
            tracing::warn!(name: "memory_low", used, limit, sessions, "clients use three quarters of their memory limit");
        }
        // Only above the limit, because the share of a session costs a walk through its whole queue.
        while self.memory.fill() == Fill::Over {
            let taken = |(&id, client): (&SessionId, &Client)| {
                let name = if client.opened { client.private_group } else { None };
                let elsewhere = kept(id, name);
                // A shared frame stays in memory for its other receivers, so a session counts with its share.
                (client.input + client.session.outbox().memory_share() + elsewhere, elsewhere, id)
            };
            let Some((_, elsewhere, id)) = self.sessions.iter().map(taken).max() else { return };
            self.end(id, EndReason::Greedy);
            if let Some(leaving) = self.leaving.get_mut(&id) {
                // Its groups keep their memory until the disconnection is ordered. If that counted, further sessions would end for it.
                leaving.memory = elsewhere;
                self.memory.depart(elsewhere);
            }
        }
    }

    /// Ends the largest session of each user whose sessions take too much together.
    pub(in crate::node) fn keep_user_ceilings(&mut self) {
        while let Some(user) = self.greedy.pop() {
            let own = self.sessions.iter().filter(|(_, client)| client.user == user);
            let Some((_, id)) = own.map(|(&id, client)| (client.charged, id)).max() else { continue };
            self.end(id, EndReason::GreedyUser);
            // One session may not have been enough.
            if self.users.is_greedy(&user) {
                self.greedy.push(user);
            }
        }
    }

    /// Bytes that one session's groups take.
    pub(in crate::node) fn memory_of_groups(count: usize) -> usize {
        count * MEMBERSHIP
    }
}
