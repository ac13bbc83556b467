//! All groups of one mailbox, without I/O. Messages from the daemon go to their group, and the results of the groups
//! come out in order.

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
    /// The message.
    pub control: Control,
}

/// The Flush layer of one mailbox.
#[derive(Clone, Debug)]
pub struct Layer {
    me: Name,
    groups: BTreeMap<Name, Group>,
    /// Messages that the program has not received yet.
    deliveries: VecDeque<Message>,
    /// Messages that are not sent yet.
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

    /// Whether the program may join a group: not if it has joined it already.
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

    /// Whether the program may send to these receivers of a group, or to all if none are named. The view that an
    /// unordered message must name, if there is one. A private group is a group of one, and needs no joining.
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
            debug!(sender = %message.sender, "dropped a message to a group that the program has left");
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

    /// The group that a message is for. Our private group counts as one of our groups.
    fn destination(&self, message: &Message) -> Option<Name> {
        let is_ours = |name: &Name| *name == self.me || self.groups.contains_key(name);
        if message.kind.contains(SUBGROUP) {
            message.groups.last().copied().filter(is_ours)
        } else {
            message.groups.iter().copied().find(is_ours)
        }
    }

    /// Takes the results of a group.
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

#[cfg(test)]
mod tests {
    //! Many members in one small world: whatever order the daemon may choose, views are entered together and hold the
    //! same messages.
    //!
    //! The daemon of this world keeps what classic ones promise for FIFO messages: each sender's in order, and between
    //! two memberships the same messages for all, but one member may see another sender's messages earlier than its
    //! neighbour does.

    use super::super::format::{FLUSH_REQ, enclose};
    use super::*;
    use crate::rng::Rng;
    use crate::wire::Cause;

    const MEMBERS: usize = 6;

    fn name(member: usize) -> Name {
        Name::new(format!("#m{member}#d").as_bytes()).unwrap()
    }

    fn group() -> Name {
        Name::new(b"g").unwrap()
    }

    /// A view that a member entered, and what it received there.
    #[derive(Default)]
    struct Entered {
        id: u32,
        members: Vec<Name>,
        messages: Vec<(Name, Vec<u8>)>,
    }

    /// A client and its program.
    struct Member {
        layer: Layer,
        inside: bool,
        asked: bool,
        epoch: usize,
        read: BTreeMap<usize, usize>,
        entered: Vec<Entered>,
    }

    /// What the daemon does between two memberships.
    #[derive(Default)]
    struct Epoch {
        members: Vec<usize>,
        change: Option<(Cause, usize)>,
        sent: BTreeMap<usize, Vec<Message>>,
    }

    struct World {
        rng: Rng,
        members: Vec<Member>,
        epochs: Vec<Epoch>,
        sent: u32,
    }

    impl World {
        fn new(seed: u64) -> World {
            let member = |number| Member {
                layer: Layer::new(name(number)),
                inside: false,
                asked: false,
                epoch: 0,
                read: BTreeMap::new(),
                entered: Vec::new(),
            };
            let members = (0..MEMBERS).map(member).collect();
            World { rng: Rng::new(seed), members, epochs: vec![Epoch::default()], sent: 0 }
        }

        fn chance(&mut self, of: u64) -> u64 {
            self.rng.next_u64() % of
        }

        fn change(&mut self, cause: Cause, who: usize) {
            let mut members = self.epochs[self.epochs.len() - 1].members.clone();
            match cause {
                Cause::Join => members.push(who),
                _ => members.retain(|&member| member != who),
            }
            if cause == Cause::Join {
                let fresh = World::new(0).members.swap_remove(who);
                self.members[who] = Member { inside: true, epoch: self.epochs.len() - 1, ..fresh };
            }
            self.members[who].inside = cause == Cause::Join;
            self.epochs.push(Epoch { members, change: Some((cause, who)), sent: BTreeMap::new() });
        }

        /// One thing happens to a member; false if nothing can.
        fn step(&mut self, number: usize) -> bool {
            let Some(received) = self.next(number) else { return false };
            let member = &mut self.members[number];
            member.layer.handle_received(received);
            self.drain(number);
            true
        }

        /// What the daemon has for a member next.
        fn next(&mut self, number: usize) -> Option<Received> {
            let member = &self.members[number];
            let epoch = &self.epochs[member.epoch];
            let unread = |(sender, sent): (&usize, &Vec<Message>)| {
                let read = member.read.get(sender).copied().unwrap_or(0);
                (epoch.members.contains(&number) && read < sent.len()).then_some(*sender)
            };
            let unread: Vec<_> = epoch.sent.iter().filter_map(unread).collect();
            if !unread.is_empty() {
                let sender = unread[self.chance(unread.len() as u64) as usize];
                let member = &mut self.members[number];
                let read = member.read.entry(sender).or_default();
                *read += 1;
                return Some(Received::Message(self.epochs[member.epoch].sent[&sender][*read - 1].clone()));
            }
            let at = member.epoch + 1;
            let epoch = self.epochs.get(at).filter(|epoch| epoch.members.contains(&number))?;
            let (cause, who) = epoch.change.unwrap();
            let members = epoch.members.iter().copied().map(name).collect::<Vec<_>>();
            let set = if cause == Cause::Network { members.clone() } else { vec![name(who)] };
            let view =
                View { group: group(), cause, members, id: GroupId([7, 7, at as u32]), vs_sets: vec![set], own: 0 };
            (self.members[number].epoch, self.members[number].read) = (at, BTreeMap::new());
            Some(Received::View(view))
        }

        /// The program takes what is there, and the library says what it has to say.
        fn drain(&mut self, number: usize) {
            while let Some(say) = self.members[number].layer.poll_say() {
                let (mess_type, body) = say.control.encode();
                self.send(number, mess_type, body.to_vec());
            }
            let member = &mut self.members[number];
            while let Some(message) = member.layer.front().cloned() {
                member.layer.pop();
                if message.kind == FLUSH_REQ {
                    member.asked = true;
                } else if message.kind.contains(FrameType::REG_MEMB) {
                    let id = u32::from_ne_bytes(message.body[8..12].try_into().unwrap());
                    member.entered.push(Entered { id, members: message.groups, messages: Vec::new() });
                } else if message.kind == FrameType::FIFO {
                    member.entered.last_mut().unwrap().messages.push((message.sender, message.body));
                }
            }
        }

        fn send(&mut self, number: usize, mess_type: i16, body: Vec<u8>) {
            let (kind, sender, groups) = (FrameType::FIFO, name(number), vec![group()]);
            let message = Message { kind, sender, groups, mess_type, foreign_order: false, body };
            self.epochs.last_mut().unwrap().sent.entry(number).or_default().push(message);
        }

        /// The program sends a message that says in which view it was sent.
        fn cast(&mut self, number: usize) {
            let Ok(view) = self.members[number].layer.check_cast(group(), &[]) else { return };
            self.sent += 1;
            let (mess_type, trailer) = enclose(1, view, None);
            let id = self.members[number].entered.last().unwrap().id;
            self.send(number, mess_type, [&id.to_ne_bytes()[..], &self.sent.to_ne_bytes(), &trailer].concat());
        }

        fn flush(&mut self, number: usize) {
            if std::mem::take(&mut self.members[number].asked) {
                self.members[number].layer.flush(group()).unwrap();
                self.drain(number);
            }
        }

        /// Something happens somewhere.
        fn happen(&mut self) {
            let number = self.chance(MEMBERS as u64) as usize;
            let inside = self.members[number].inside;
            match self.chance(120) {
                0 if !inside => self.change(Cause::Join, number),
                1 if inside => self.change(Cause::Leave, number),
                2 if inside => self.change(Cause::Disconnect, number),
                3 if inside => self.change(Cause::Network, number),
                4..20 if inside => self.flush(number),
                20..40 if inside => self.cast(number),
                _ if inside => _ = self.step(number),
                _ => {}
            }
        }

        fn come_to_rest(&mut self) {
            let mut moving = true;
            while moving {
                moving = false;
                for number in (0..MEMBERS).filter(|&number| self.members[number].inside).collect::<Vec<_>>() {
                    moving |= self.members[number].asked;
                    self.flush(number);
                    while self.step(number) {
                        moving = true;
                    }
                }
            }
        }
    }

    /// The same views one after the other mean the same messages, each in the view in which it was sent.
    fn check_views(members: &[Member]) {
        let mut shared = BTreeMap::new();
        for entered in members.iter().flat_map(|member| member.entered.windows(2)) {
            let [one, next] = entered else { unreachable!("windows of two") };
            let mut messages = one.messages.clone();
            messages.sort();
            let others = shared.entry((one.id, next.id)).or_insert_with(|| messages.clone());
            assert_eq!(*others, messages, "from view {} to view {}", one.id, next.id);
        }
        for one in members.iter().flat_map(|member| &member.entered) {
            assert!(
                one.messages
                    .iter()
                    .all(|(sender, body)| body[..4] == one.id.to_ne_bytes() && one.members.contains(sender))
            );
        }
    }

    #[test]
    fn members_enter_views_together_whatever_happens() {
        let (mut views, mut messages) = (0, 0);
        for seed in 0..300 {
            let mut world = World::new(seed);
            for _ in 0..2000 {
                world.happen();
            }
            world.come_to_rest();
            for member in world.members.iter().filter(|member| member.inside) {
                let last = member.entered.last().expect("everybody is in a view");
                assert_eq!(last.id as usize, world.epochs.len() - 1, "seed {seed}: the last view is entered");
                assert_eq!(member.layer.check_cast(group(), &[]), Ok(None), "seed {seed}: and all know it");
            }
            check_views(&world.members);
            let entered: Vec<_> = world.members.iter().flat_map(|member| &member.entered).collect();
            views += entered.len();
            messages += entered.iter().map(|entered| entered.messages.len()).sum::<usize>();
        }
        assert!(
            views > 3_000 && messages > 5_000,
            "{views} views and {messages} messages are too few to mean something"
        );
    }
}
