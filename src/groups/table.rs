//! The members of all groups, and the groups of each member.
//!
//! Members have the order that clients see: daemons in ring order, then private groups in the order of their bytes. The table belongs to the
//! configuration whose exchange made it, and a daemon is a position in that configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::SessionId;
use super::agenda::{Cursor, STEP_COST};
use super::sessions::Sessions;
use crate::wire::{DaemonId, GroupId, GroupState, Name};

/// How many groups one member may be in; further joins have no effect.
pub const GROUPS_PER_MEMBER: usize = 16_384;

/// A client of any daemon, in the order in which clients see members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    /// The position of its daemon.
    pub at: usize,
    /// Its private group.
    pub name: Name,
}

/// The members of a group at one place in the order.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Its identity, as clients see it.
    pub id: GroupId,
    /// Whether a TRANSITION was due because members are at daemons that were lost; they stay until the next exchange.
    pub broken: bool,
    /// Everyone in the group.
    pub members: BTreeSet<Member>,
    /// The sessions of the members at this daemon. The list is built when a message needs it, so that many joins in a row build it once.
    local: Option<Arc<[SessionId]>>,
    /// Those of them that want membership messages.
    watchers: BTreeSet<SessionId>,
}

impl View {
    /// A view without members.
    fn new(id: GroupId) -> View {
        View { id, broken: false, members: BTreeSet::new(), local: None, watchers: BTreeSet::new() }
    }

    /// The members at one daemon.
    pub fn at(&self, at: usize) -> impl Iterator<Item = &Member> {
        self.members.range(first_at(at)..first_at(at + 1))
    }

    /// All members as clients see them.
    pub fn names(&self) -> Vec<Name> {
        self.members.iter().map(|member| member.name).collect()
    }

    /// The sessions here that want membership messages.
    pub fn watchers(&self) -> &BTreeSet<SessionId> {
        &self.watchers
    }

    /// The sessions of the members at this daemon.
    fn local(&mut self, me: usize, sessions: &Sessions) -> Arc<[SessionId]> {
        if self.local.is_none() {
            self.local = Some(self.at(me).filter_map(|member| sessions.id(&member.name)).collect());
        }
        self.local.clone().unwrap_or_default()
    }
}

/// A member that sorts before all real members at a daemon.
fn first_at(at: usize) -> Member {
    Member { at, name: Name::from_field(&[0; Name::SIZE]) }
}

/// The result of a join.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The member is in now; the group's view before that, if the group existed.
    Done(Option<GroupId>),
    /// It was already in.
    Already,
    /// It is in too many groups.
    TooMany,
}

/// How many members groups have. A member counts once in each of its groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// Of this daemon's clients.
    pub own: usize,
    /// Of other daemons' clients.
    pub others: usize,
}

impl Memberships {
    /// The count of the daemon `at`, where `me` is this one.
    fn of(&mut self, at: usize, me: usize) -> &mut usize {
        if at == me { &mut self.own } else { &mut self.others }
    }
}

#[derive(Debug)]
pub(super) struct GroupTable {
    order: Vec<DaemonId>,
    me: usize,
    memberships: Memberships,
    groups: BTreeMap<Name, View>,
    groups_of: BTreeMap<Member, BTreeSet<Name>>,
}

impl GroupTable {
    /// No groups among the daemons `order`, of which `me` is one.
    pub fn new(order: Vec<DaemonId>, me: DaemonId) -> GroupTable {
        let me = order.iter().position(|&daemon| daemon == me).expect("a daemon is a member of its configurations");
        let memberships = Memberships::default();
        GroupTable { order, me, memberships, groups: BTreeMap::new(), groups_of: BTreeMap::new() }
    }

    /// How many members groups have.
    pub fn memberships(&self) -> Memberships {
        self.memberships
    }

    /// In how many groups a member of this daemon is.
    pub fn count_groups_of(&self, name: &Name) -> usize {
        self.groups_of.get(&Member { at: self.me, name: *name }).map_or(0, BTreeSet::len)
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// The daemons, in ring order.
    pub fn order(&self) -> &[DaemonId] {
        &self.order
    }

    /// The position of this daemon.
    pub fn me(&self) -> usize {
        self.me
    }

    /// The position of a daemon.
    pub fn position(&self, daemon: DaemonId) -> Option<usize> {
        self.order.iter().position(|&member| member == daemon)
    }

    /// The view of a group.
    pub fn view(&self, group: &Name) -> Option<&View> {
        self.groups.get(group)
    }

    /// The view of a group, to be changed except for its members.
    pub fn view_mut(&mut self, group: &Name) -> Option<&mut View> {
        self.groups.get_mut(group)
    }

    /// The sessions of a group's members at this daemon.
    pub fn local(&mut self, group: &Name, sessions: &Sessions) -> Arc<[SessionId]> {
        let me = self.me;
        self.groups.get_mut(group).map(|view| view.local(me, sessions)).unwrap_or_default()
    }

    /// The next groups of a walk, in the order of their names.
    pub fn views_from(&self, at: Cursor) -> impl Iterator<Item = (&Name, &View)> {
        self.groups.range(at.next())
    }

    /// The same, to be changed except for the members.
    pub fn views_mut_from(&mut self, at: Cursor) -> impl Iterator<Item = (&Name, &mut View)> {
        self.groups.range_mut(at.next())
    }

    /// Frees a part of a table that nobody needs. Returns the cost; `None` if nothing is left.
    pub fn shrink(&mut self) -> Option<usize> {
        let view = self.groups.pop_first().map(|(_, view)| view.members.len() + view.watchers.len());
        let groups = self.groups_of.pop_first().map(|(_, groups)| groups.len());
        view.into_iter().chain(groups).reduce(|sum, more| sum + more).map(|freed| STEP_COST + freed)
    }

    /// The groups of a member, in the order of their names.
    pub fn groups_of(&self, member: &Member) -> Vec<Name> {
        self.groups_of.get(member).map(|groups| groups.iter().copied().collect()).unwrap_or_default()
    }

    /// Adds the members of a group at one daemon. The view stays whole only if all daemons with members of it give the same id and none has
    /// lost a member. Otherwise it counts as broken, and gets a new identity.
    pub fn gather(&mut self, at: usize, said: &GroupState, sessions: &Sessions) {
        if said.members.is_empty() {
            return;
        }
        let view = self.groups.entry(said.group).or_insert_with(|| View::new(said.id));
        // An id is unique, so equal ids mean equal members, unless one of the daemons has lost some.
        view.broken |= said.broken || view.id != said.id;
        for member in said.members.iter().map(|&name| Member { at, name }) {
            if view.members.insert(member) {
                *self.memberships.of(at, self.me) += 1;
            }
            self.groups_of.entry(member).or_default().insert(said.group);
            if at == self.me {
                view.watchers.extend(sessions.watcher(&member.name));
            }
        }
    }

    /// Puts a member into a group, which may be new. The caller gives the view its identity.
    pub fn join(&mut self, group: Name, member: Member, sessions: &Sessions) -> Joined {
        let groups = self.groups_of.entry(member).or_default();
        if groups.contains(&group) {
            return Joined::Already;
        }
        // The limit is a constant, so all daemons refuse the same join.
        if groups.len() >= GROUPS_PER_MEMBER {
            return Joined::TooMany;
        }
        groups.insert(group);
        *self.memberships.of(member.at, self.me) += 1;
        let before = self.groups.get(&group).map(|view| view.id);
        let view = self.groups.entry(group).or_insert_with(|| View::new(GroupId::default()));
        view.members.insert(member);
        if member.at == self.me {
            // Rebuilt when the next message needs it.
            view.local = None;
            view.watchers.extend(sessions.watcher(&member.name));
        }
        Joined::Done(before)
    }

    /// Takes a member out of a group. Returns whether it was in. The group stays, even without members.
    pub fn leave(&mut self, group: &Name, member: &Member, sessions: &Sessions) -> bool {
        let Some(view) = self.groups.get_mut(group) else { return false };
        if !view.members.remove(member) {
            return false;
        }
        *self.memberships.of(member.at, self.me) -= 1;
        if member.at == self.me {
            view.local = None;
            if let Some(id) = sessions.watcher(&member.name) {
                view.watchers.remove(&id);
            }
        }
        if let Some(groups) = self.groups_of.get_mut(member) {
            groups.remove(group);
            if groups.is_empty() {
                self.groups_of.remove(member);
            }
        }
        true
    }

    /// Removes a group without members.
    pub fn remove(&mut self, group: &Name) {
        let gone = self.groups.remove(group);
        debug_assert!(gone.is_none_or(|view| view.members.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn members_stand_in_ring_order_and_then_bytewise() {
        let daemons = [DaemonId(3), DaemonId(1), DaemonId(2)];
        let mut table = GroupTable::new(daemons.to_vec(), DaemonId(1));
        let listed = ["#a#d3", "#A#d1", "#a.1#d1", "#ab#d1", "#a~#d1", "#zz#d1", "#b#d2"];
        for text in ["#zz#d1", "#b#d2", "#a~#d1", "#ab#d1", "#a.1#d1", "#A#d1", "#a#d3"] {
            let daemon = DaemonId(u32::from(text.as_bytes()[text.len() - 1] - b'0'));
            let member = Member { at: table.position(daemon).unwrap(), name: name(text) };
            table.join(name("g"), member, &Sessions::default());
        }
        let view = table.view(&name("g")).unwrap();
        assert_eq!(view.names(), listed.map(name));
        assert_eq!(
            view.at(1).map(|member| member.name).collect::<Vec<_>>(),
            listed[1..6].iter().map(|n| name(n)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_member_meets_the_limit_of_its_groups() {
        let mut table = GroupTable::new(vec![DaemonId(1)], DaemonId(1));
        let member = Member { at: 0, name: name("#a#d1") };
        let join = |table: &mut GroupTable, n: usize| table.join(name(&format!("g{n}")), member, &Sessions::default());
        for n in 0..GROUPS_PER_MEMBER {
            assert_eq!(join(&mut table, n), Joined::Done(None));
        }
        assert_eq!(join(&mut table, GROUPS_PER_MEMBER), Joined::TooMany);
        assert_eq!(join(&mut table, 0), Joined::Already);
        assert!(table.leave(&name("g0"), &member, &Sessions::default()));
        assert_eq!(join(&mut table, GROUPS_PER_MEMBER), Joined::Done(None));
    }
}
