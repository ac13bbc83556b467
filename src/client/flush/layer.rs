//! All groups of one mailbox, without I/O: what comes from the daemon finds its group, and what the groups lead to comes out in
//! order.

use std::collections::{BTreeMap, VecDeque};

use tracing::debug;

use super::format::{Control, Opened, SUBGROUP, open};
use super::group::{Group, Output, bare};
use super::pending::Membership;
use super::{CastError, FlushError};
use crate::client::{Message, Received, View};
use crate::wire::{FrameType, GroupId, Name};

/// Something to say to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Say {
    /// The group.
    pub group: Name,
    /// What to say.
    pub control: Control,
}

/// The Flush layer of one mailbox.
#[derive(Clone, Debug)]
pub struct Layer {
    me: Name,
    groups: BTreeMap<Name, Group>,
    /// What the program has not yet received.
    deliveries: VecDeque<Message>,
    /// What was not yet sent.
    says: VecDeque<Say>,
    /// Why it cannot go on.
    given_up: Option<&'static str>,
}

impl Layer {
    /// A layer without groups, for the mailbox of this private group.
    pub fn new(me: Name) -> Layer {
        Layer { me, groups: BTreeMap::new(), deliveries: VecDeque::new(), says: VecDeque::new(), given_up: None }
    }

    /// Takes what the mailbox received.
    pub fn handle_received(&mut self, received: Received) {
        match received {
            Received::View(view) => self.handle_view(view),
            Received::Transition(name, _) => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.handle_transition();
                }
                self.collect(name);
            }
            Received::Left(name) => {
                self.groups.remove(&name);
                self.deliveries.push_back(bare(FrameType::CAUSED_BY_LEAVE, name, -1));
            }
            Received::Message(message) => self.handle_message(message),
            Received::Refused(mut message) => match open(&mut message) {
                Some(Opened::Data(_)) => self.deliveries.push_back(message),
                Some(Opened::Control(_)) | None => debug!("a flush was refused: its view will not come"),
            },
        }
    }

    /// The message that the program gets next.
    pub fn front(&self) -> Option<&Message> {
        self.deliveries.front()
    }

    /// The program has got the message in front.
    pub fn pop(&mut self) {
        self.deliveries.pop_front();
    }

    /// The messages that wait for the program.
    pub fn deliveries(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.deliveries.iter()
    }

    /// The next thing to say to a group.
    pub fn poll_say(&mut self) -> Option<Say> {
        self.says.pop_front()
    }

    /// Why it cannot go on, if it cannot.
    pub fn given_up(&self) -> Option<&'static str> {
        self.given_up
    }

    /// Whether a group may be joined: not if it already is.
    pub fn check_join(&self, name: Name) -> Result<(), FlushError> {
        if self.groups.contains_key(&name) { Err(FlushError::IllegalGroup) } else { Ok(()) }
    }

    /// The program leaves a group.
    pub fn leave(&mut self, name: Name) -> Result<(), FlushError> {
        self.groups.get_mut(&name).ok_or(FlushError::IllegalGroup)?.leave()
    }

    /// The program allows a group's next view.
    pub fn flush(&mut self, name: Name) -> Result<(), FlushError> {
        self.groups.get_mut(&name).ok_or(FlushError::IllegalGroup)?.flush()?;
        self.collect(name);
        Ok(())
    }

    /// Whether the program may send to these receivers of a group, or to all if none are named. The view that an unordered
    /// message must name, if there is one. A private group is a group of one, and needs no joining.
    pub fn check_cast(&self, name: Name, receivers: &[Name]) -> Result<Option<GroupId>, CastError> {
        let (view, known) = match self.groups.get(&name) {
            Some(group) => (group.check_send()?, receivers.iter().all(|&receiver| group.has(receiver))),
            None if name.private_parts().is_some() => (None, receivers.iter().all(|&receiver| receiver == name)),
            None => return Err(FlushError::IllegalGroup.into()),
        };
        if known { Ok(view) } else { Err(CastError::IllegalReceivers) }
    }

    fn handle_view(&mut self, view: View) {
        let (name, membership) = (view.group, Membership::new(view));
        match self.groups.get_mut(&name) {
            Some(group) => group.handle_membership(membership),
            None => {
                self.groups.insert(name, Group::join(name, self.me, membership));
            }
        }
        self.collect(name);
    }

    fn handle_message(&mut self, mut message: Message) {
        let opened = open(&mut message);
        let Some(name) = self.destination(&message) else {
            debug!(sender = %message.sender, "message to a group that was left dropped");
            return;
        };
        match (opened, self.groups.get_mut(&name)) {
            (Some(Opened::Control(control)), Some(group)) => group.handle_control(message.sender, control),
            (Some(Opened::Data(view)), Some(group)) => group.handle_data(message, view),
            (Some(Opened::Data(_)), None) => self.deliveries.push_back(message),
            (Some(Opened::Control(_)), None) | (None, _) => {
                debug!(sender = %message.sender, "malformed message dropped")
            }
        }
        self.collect(name);
    }

    /// The one of our groups that a message is for; our private group is one of them.
    fn destination(&self, message: &Message) -> Option<Name> {
        let is_ours = |name: &Name| *name == self.me || self.groups.contains_key(name);
        if message.kind.contains(SUBGROUP) {
            message.groups.last().copied().filter(is_ours)
        } else {
            message.groups.iter().copied().find(is_ours)
        }
    }

    /// Takes what a group leads to.
    fn collect(&mut self, name: Name) {
        let Some(group) = self.groups.get_mut(&name) else { return };
        while let Some(output) = group.poll_output() {
            match output {
                Output::Deliver(message) => self.deliveries.push_back(message),
                Output::Send(control) => self.says.push_back(Say { group: name, control }),
                Output::GiveUp(reason) => self.given_up = Some(reason),
            }
        }
    }
}
