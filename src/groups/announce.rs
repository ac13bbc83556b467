//! The membership frames for those sessions of this daemon that want them.
//!
//! A frame is built only if a session here wants it, and once for all receivers of the same frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::{Member, View};
use super::views::Views;
use super::{GroupsEvent, SessionId};
use crate::wire::{Cause, EncodedMembership, Name, Payload, RegularMembership, encode_self_leave, encode_transitional};

/// The cost of one receiver of a frame, in names that are copied.
const RECEIVER_COST: usize = 4;

impl Views {
    /// The view of a group is ending.
    pub fn announce_transition(&mut self, group: &Name) {
        let Some((view, watchers)) = self.watched(group) else { return };
        let frame = encode_transitional(*group, view.id).into();
        self.deliver(watchers, frame);
    }

    /// A new view after an exchange: one vs set for each component, in the order of their numbers.
    pub fn announce_merge(&mut self, group: &Name, components: &[usize]) {
        let Some((view, watchers)) = self.watched(group) else { return };
        let mut sets: BTreeMap<usize, Vec<Name>> = BTreeMap::new();
        for member in &view.members {
            sets.entry(components[member.at]).or_default().push(member.name);
        }
        // The sets are in the order of components, which is the same at all daemons. Our own set comes after those with lower numbers.
        let own = sets.range(..components[self.table.me()]).count();
        let sets: Vec<Vec<Name>> = sets.into_values().collect();
        let frame = encode(Cause::Network, *group, view, &sets).for_vs_set(own);
        self.deliver(watchers, frame);
    }

    /// One member changed the view of a group that has lost nobody.
    pub fn announce_change(&mut self, group: &Name, cause: Cause, member: Member) {
        let Some((view, watchers)) = self.watched(group) else { return };
        let frame = encode(cause, *group, view, &[vec![member.name]]).for_vs_set(0);
        self.deliver(watchers, frame);
    }

    /// A member changed the view of a group that has lost members. The remaining members are one vs set, the lost members of each daemon
    /// another one, and a member that joined is a set of its own.
    pub fn announce_broken_change(&mut self, group: &Name, joined: Option<Member>) {
        let Some((view, mut watchers)) = self.watched(group) else { return };
        let sets = self.broken_sets(view, joined);
        let frame = encode(Cause::Network, *group, view, &sets);
        let newcomer = joined.filter(|member| member.at == self.table.me());
        // The newcomer's own set is the last one, all other receivers are in the first.
        if let Some(id) = newcomer.and_then(|member| self.sessions.watcher(&member.name)) {
            watchers.retain(|&watcher| watcher != id);
            self.deliver(vec![id], frame.for_vs_set(sets.len() - 1));
        }
        self.deliver(watchers, frame.for_vs_set(0));
    }

    /// A member of this daemon has left.
    pub fn announce_self_leave(&mut self, group: &Name, member: &Name) {
        if let Some(id) = self.sessions.watcher(member) {
            self.deliver(vec![id], encode_self_leave(*group).into());
        }
    }

    /// The view of a group and the sessions here that get its membership messages; `None` if there are none.
    fn watched(&self, group: &Name) -> Option<(&View, Vec<SessionId>)> {
        let view = self.table.view(group)?;
        (!view.watchers().is_empty()).then(|| (view, view.watchers().iter().copied().collect()))
    }

    fn broken_sets(&self, view: &View, joined: Option<Member>) -> Vec<Vec<Name>> {
        let component = self.component();
        let mut remaining = Vec::new();
        let mut lost: BTreeMap<usize, Vec<Name>> = BTreeMap::new();
        for &member in view.members.iter().filter(|&&member| Some(member) != joined) {
            let set = if component[member.at] { &mut remaining } else { lost.entry(member.at).or_default() };
            set.push(member.name);
        }
        let joined = joined.map(|member| vec![member.name]);
        let sets = std::iter::once(remaining).chain(lost.into_values()).chain(joined);
        sets.filter(|set| !set.is_empty()).collect()
    }

    fn deliver(&mut self, watchers: Vec<SessionId>, frame: Payload) {
        if !watchers.is_empty() {
            self.spent += frame.len() / Name::SIZE + RECEIVER_COST * watchers.len();
            self.events.push_back(GroupsEvent::Deliver { to: Arc::from(watchers), frame });
        }
    }
}

fn encode(cause: Cause, group: Name, view: &View, vs_sets: &[Vec<Name>]) -> EncodedMembership {
    RegularMembership { cause, group, members: &view.names(), id: view.id, vs_sets }.encode()
}
