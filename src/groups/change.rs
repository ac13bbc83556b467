//! Joins, leaves and disconnects at their place in the order.
//!
//! Where the view has lost members, which is only known after a transitional configuration, a change cannot be told as
//! a join or leave: the members would take the view for whole. It is told as a view of the network, and as that view is
//! broken as well, another TRANSITION follows at once.

use std::vec;

use tracing::debug;

use super::Event;
use super::agenda::Work;
use super::table::{Joined, Member};
use super::views::Views;
use crate::wire::{Cause, DaemonId, GroupId, Name};

impl Views {
    /// A client joins a group.
    pub fn on_join(&mut self, origin: DaemonId, member: Name, group: Name) {
        let Some(member) = self.insider(origin, member) else { return };
        self.tell_changed(member);
        match self.table.join(group, member, &self.sessions) {
            Joined::Done(before) => self.changed(&group, before, Cause::Join, member),
            Joined::Already => {}
            Joined::TooMany => {
                debug!(%origin, member = %member.name, "too many groups");
                self.dropped.too_many_groups += 1;
            }
        }
    }

    /// A client leaves a group.
    pub fn on_leave(&mut self, origin: DaemonId, member: Name, group: Name) {
        let Some(member) = self.insider(origin, member) else { return };
        self.tell_changed(member);
        if self.table.leave(&group, &member, &self.sessions) {
            if member.at == self.table.me() {
                self.announce_self_leave(&group, &member.name);
            }
            self.removed(&group, Cause::Leave, member);
        }
    }

    /// A client's session ended: it leaves all its groups, bytewise, and if it was here its name is free.
    pub fn on_disconnect(&mut self, origin: DaemonId, member: Name) -> Option<Work> {
        let member = self.insider(origin, member)?;
        let groups = self.table.groups_of(&member);
        self.spent += groups.len();
        self.leave_next(member, groups.into_iter())
    }

    /// A client whose session ended leaves the next of its groups, or is gone.
    pub fn leave_next(&mut self, member: Member, mut groups: vec::IntoIter<Name>) -> Option<Work> {
        if let Some(group) = groups.next() {
            self.table.leave(&group, &member, &self.sessions);
            self.removed(&group, Cause::Disconnect, member);
            return Some(Work::Disconnect { member, groups });
        }
        if member.at == self.table.me()
            && let Some(id) = self.sessions.remove(&member.name)
        {
            self.events.push_back(Event::Released(id));
        }
        None
    }

    fn tell_changed(&mut self, member: Member) {
        if member.at == self.table.me() {
            self.events.push_back(Event::Changed);
        }
    }

    /// The member, if it is a client of the daemon that says so, and that is in this daemon's component. The changes of others are carried out in theirs.
    fn insider(&mut self, origin: DaemonId, name: Name) -> Option<Member> {
        if !self.names.belongs(&name, origin) {
            debug!(%origin, member = %name, "change of another daemon's client");
            self.dropped.false_senders += 1;
            return None;
        }
        let inside = self.basis.together.contains(&origin);
        let at = self.table.position(origin).filter(|_| inside);
        if at.is_none() {
            debug!(%origin, member = %name, "change from outside the component");
            self.dropped.outsiders += 1;
        }
        at.map(|at| Member { at, name })
    }

    fn removed(&mut self, group: &Name, cause: Cause, member: Member) {
        let Some(view) = self.table.view(group) else { return };
        let before = view.id;
        if view.members.is_empty() {
            self.ids.end(*group, before);
            self.table.remove(group);
        } else {
            self.changed(group, Some(before), cause, member);
        }
    }

    fn changed(&mut self, group: &Name, before: Option<GroupId>, cause: Cause, member: Member) {
        let Some(view) = self.table.view_mut(group) else { return };
        view.id = self.ids.next(group, before);
        if view.broken {
            self.announce_broken_change(group, Some(member).filter(|_| cause == Cause::Join));
            self.announce_transition(group);
        } else {
            self.announce_change(group, cause, member);
        }
    }
}
