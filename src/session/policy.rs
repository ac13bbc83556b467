//! Access control: what authenticated clients may do.
//!
//! A program with an embedded daemon may set a policy, and the access file may have rules for groups. A client that wants membership
//! messages can join only groups that it may monitor. A refused frame returns to its sender as a reject frame.

use super::rules::{Action, GroupRules, Identity};
use super::{Peer, SessionSettings};
use crate::wire::{FrameHeader, FrameType, Name, decode_names};

/// Whether a client, known by its private group, may do this.
pub type Policy = fn(client: &Name, attempt: &Attempt<'_>) -> bool;

/// An action that a client attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Open a session; asked after authentication.
    Connect,
    /// Join this group.
    Join(Name),
    /// Leave this group.
    Leave(Name),
    /// Send to one private group.
    Unicast {
        /// The private group.
        to: Name,
        /// The application's message type.
        mess_type: i16,
    },
    /// Send to groups.
    Multicast {
        /// The destinations, as the client wrote them.
        to: &'a [Name],
        /// The application's message type.
        mess_type: i16,
    },
}

/// What a rule for groups does not let a client do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The action.
    pub action: Action,
    /// The group. Of several destinations it is the first one that the client may not send to.
    pub group: Name,
}

/// Whether a frame may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Passes,
    /// The program's own policy refuses it, so the program knows.
    AgainstPolicy,
    /// A rule of the access file refuses it, so the operator must learn it.
    AgainstRule(Denial),
}

/// Decides what a client may do.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    policy: Option<Policy>,
    groups: GroupRules,
    /// The identity of the client.
    pub client: Identity,
    /// Whether it wants membership messages.
    pub wants_views: bool,
}

impl Judge {
    pub(super) fn new(config: &SessionSettings, peer: Peer) -> Judge {
        let client = Identity { peer, user: None };
        Judge { policy: config.policy, groups: config.access.groups().clone(), client, wants_views: false }
    }

    /// Changes the policy and the rules.
    pub(super) fn configure(&mut self, config: &SessionSettings) {
        self.policy = config.policy;
        self.groups = config.access.groups().clone();
    }

    /// Whether an authenticated client may open a session.
    pub(super) fn welcomes(&self, private_group: &Name) -> bool {
        self.policy.is_none_or(|policy| policy(private_group, &Attempt::Connect))
    }

    /// Whether a checked frame may pass.
    pub(super) fn judge(&self, header: &FrameHeader, frame: &[u8]) -> Judgement {
        if self.policy.is_none() && self.groups.is_empty() {
            return Judgement::Passes;
        }
        // Names are decoded only here, because that costs time and most daemons have no rules.
        let groups = usize::try_from(header.groups).unwrap_or(0);
        let names: Vec<Name> = decode_names(&frame[FrameHeader::SIZE..]).take(groups).collect();
        let mess_type = header.hint.mess_type();
        let attempt = match names[..] {
            [group, ..] if header.kind.contains(FrameType::JOIN) => Attempt::Join(group),
            [group, ..] if header.kind.contains(FrameType::LEAVE) => Attempt::Leave(group),
            [to] if to.as_bytes().starts_with(b"#") => Attempt::Unicast { to, mess_type },
            _ => Attempt::Multicast { to: &names, mess_type },
        };
        if self.policy.is_some_and(|policy| !policy(&header.name, &attempt)) {
            return Judgement::AgainstPolicy;
        }
        self.denial(&attempt).map_or(Judgement::Passes, Judgement::AgainstRule)
    }

    /// What the rules refuse of this attempt, if anything.
    fn denial(&self, attempt: &Attempt<'_>) -> Option<Denial> {
        let is_denied = |denial: &Denial| !self.groups.allow(denial.action, &denial.group, &self.client);
        match *attempt {
            Attempt::Join(group) => {
                let monitors = self.wants_views.then_some(Action::Monitor);
                let actions = [Action::Join].into_iter().chain(monitors);
                actions.map(|action| Denial { action, group }).find(is_denied)
            }
            Attempt::Multicast { to, .. } => {
                // Rules are for groups. A message to a single client passes, alone or in a list.
                let groups = to.iter().filter(|group| !group.as_bytes().starts_with(b"#"));
                groups.map(|&group| Denial { action: Action::Send, group }).find(is_denied)
            }
            // Nobody is kept in a group.
            Attempt::Connect | Attempt::Leave(_) | Attempt::Unicast { .. } => None,
        }
    }
}
