//! The requests of clients: names, memberships and messages.

use super::{Clients, Demand, Holder};
use crate::groups::{self, SessionId};
use crate::node::ends::EndReason;
use crate::session::{Denial, Request};
use crate::wire::{ConnectRequest, Envelope, Name, Refusal, Service};

impl Clients {
    pub(super) fn on_request(&mut self, id: SessionId, request: Request) {
        match request {
            Request::Hello(hello) => self.on_hello(id, &hello),
            Request::Check(check) => self.on_check(id, check),
            Request::Authenticated => self.on_authenticated(id),
            Request::Opened => self.on_opened(id),
            Request::Join(group) => self.on_member(id, |member| Envelope::Join { member, group }),
            Request::Leave(group) => self.on_member(id, |member| Envelope::Leave { member, group }),
            Request::Multicast { service, frame } => self.submit(id, service, Envelope::Data(frame.into())),
            Request::Denied(denial) => self.on_denied(id, denial),
            Request::Kill => self.end(id, EndReason::Kill),
            Request::Refused(refusal) => self.end(id, EndReason::Refused(refusal)),
            Request::Slow(overflow) => self.end(id, EndReason::Slow(overflow)),
            Request::Violation(violation) => self.end(id, EndReason::Violation(violation)),
        }
    }

    fn on_denied(&mut self, id: SessionId, Denial { action, group }: Denial) {
        self.stats.denied_by_rules += 1;
        let Some(client) = self.sessions.get(&id) else { return };
        let (client, from) = (client.name(), client.source);
        tracing::warn!(
            name: "rule_refused",
            %client,
            %from,
            %action,
            %group,
            "a group line of the access file does not let a client do this"
        );
    }

    fn on_hello(&mut self, id: SessionId, hello: &ConnectRequest) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.membership = hello.membership;
            // A client that has sent its name is not the first to go when the daemon is full.
            self.doorway.named(id, client.source);
        }
        let Some(name) = self.private_group(id, hello) else { return self.refuse(id, Refusal::ILLEGAL_NAME) };
        // The name is not taken yet: somebody who cannot authenticate must not keep it from others.
        if self.is_taken(&name) {
            return self.refuse(id, Refusal::NOT_UNIQUE);
        }
        if let Some(client) = self.sessions.get_mut(&id) {
            client.private_group = Some(name);
            client.session.admit(name);
        }
    }

    /// Whether a session has this name, or waits for it.
    fn is_taken(&self, name: &Name) -> bool {
        matches!(self.names.get(name), Some(Holder::Session(_) | Holder::Leaving { next: Some(_) }))
    }

    fn on_authenticated(&mut self, id: SessionId) {
        let Some(name) = self.sessions.get(&id).and_then(|client| client.private_group) else { return };
        match self.names.get_mut(&name) {
            None => self.open(id, name),
            // The old session has ended, but its disconnection has no place in the order yet: the client waits for the name.
            Some(Holder::Leaving { next: next @ None }) => *next = Some(id),
            // In use. Or it is free soon, but another client waits for it already.
            Some(_) => self.refuse(id, Refusal::NOT_UNIQUE),
        }
    }

    /// The session gets its name.
    pub(super) fn open(&mut self, id: SessionId, name: Name) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        client.session.open();
        self.names.insert(name, Holder::Session(id));
    }

    /// The private group that the client asks for, or a generated one.
    fn private_group(&mut self, id: SessionId, hello: &ConnectRequest) -> Option<Name> {
        if let Some(name) = &hello.name {
            return Name::private_group(name.as_bytes(), &self.daemon).ok();
        }
        loop {
            let name = format!("r{}-{}", self.rng.below(9999), id.0 % 1000);
            let name = Name::private_group(name.as_bytes(), &self.daemon).ok()?;
            if !self.names.contains_key(&name) {
                return Some(name);
            }
        }
    }

    fn on_opened(&mut self, id: SessionId) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let private_group = client.private_group.expect("a session opens under the name that it asked for");
        client.opened = true;
        self.doorway.leave(id, client.source);
        self.pace.watch(isize::from(client.membership));
        // The groups must know the session before its first join.
        let session = groups::Session { id, private_group, wants_membership: client.membership };
        self.demands.push_back(Demand::Open(session));
    }

    fn on_member(&mut self, id: SessionId, envelope: impl FnOnce(Name) -> Envelope) {
        let Some(client) = self.sessions.get_mut(&id) else { return };
        let Some(member) = client.private_group else { return };
        if self.pace.holds() {
            if client.hung_up {
                // It leaves all groups in a moment.
                return;
            }
            // Its later requests must not overtake this one, so none is read until it proceeds.
            client.paced = Some(self.pace.wait(self.now, &client.user, id, envelope(member)));
            self.stats.paced += 1;
            return;
        }
        self.change(id, envelope(member));
    }

    pub(super) fn change(&mut self, id: SessionId, change: Envelope) {
        self.pace.depart();
        self.submit(id, Service::Agreed, change);
    }

    pub(super) fn refuse(&mut self, id: SessionId, refusal: Refusal) {
        self.refuse_as(id, refusal, EndReason::Refused(refusal));
    }

    /// Refuses a client with this answer. The log has this reason.
    pub(super) fn refuse_as(&mut self, id: SessionId, refusal: Refusal, reason: EndReason) {
        if let Some(client) = self.sessions.get_mut(&id) {
            client.session.refuse(refusal);
            self.end(id, reason);
        }
    }

    pub(super) fn submit(&mut self, session: SessionId, service: Service, envelope: Envelope) {
        self.demands.push_back(Demand::Submit { session, service, envelope });
    }
}
