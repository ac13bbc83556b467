//! Many members in one small world: whatever order the daemon may choose, views are entered together and hold the same messages.
//!
//! The daemon of this world keeps what classic ones promise for FIFO messages: each sender's in order, and between two memberships
//! the same messages for all, but one member may see another sender's messages earlier than its neighbour does.

use std::collections::BTreeMap;

use super::format::{FLUSH_REQ, enclose};
use super::layer::Layer;
use crate::client::{Message, Received, View};
use crate::rng::Rng;
use crate::wire::{Cause, FrameType, GroupId, Name};

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
        self.settle(number);
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
        let view = View { group: group(), cause, members, id: GroupId([7, 7, at as u32]), vs_sets: vec![set], own: 0 };
        (self.members[number].epoch, self.members[number].read) = (at, BTreeMap::new());
        Some(Received::View(view))
    }

    /// The program takes what is there, and the library says what it has to say.
    fn settle(&mut self, number: usize) {
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
            self.settle(number);
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
            one.messages.iter().all(|(sender, body)| body[..4] == one.id.to_ne_bytes() && one.members.contains(sender))
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
    assert!(views > 3_000 && messages > 5_000, "{views} views and {messages} messages are too few to mean something");
}
