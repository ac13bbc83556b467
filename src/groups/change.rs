//! Joins, leaves and disconnects at their place in the order.
//!
//! After a transitional configuration a view may have lost members. Such a change cannot be announced as a join or leave, because clients
//! would take the view for complete. It is announced as a network change, and another TRANSITION follows at once, because the new view is
//! broken too.

use std::vec;

use tracing::debug;

use super::GroupsEvent;
use super::agenda::Work;
use super::table::{Joined, Member};
use super::views::Views;
use crate::wire::{Cause, DaemonId, GroupId, Name};

impl Views {
    /// A client joins a group.
    pub fn on_join(&mut self, origin: DaemonId, member: Name, group: Name) {
        let Some(member) = self.insider(origin, member) else { return };
        self.notify_changed(member);
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
        self.notify_changed(member);
        if self.table.leave(&group, &member, &self.sessions) {
            if member.at == self.table.me() {
                // The leaver is notified first, because the next view no longer has it.
                self.announce_self_leave(&group, &member.name);
            }
            self.removed(&group, Cause::Leave, member);
        }
    }

    /// A client's session ended: it leaves all its groups, in the order of their names. If it was here, its name is free afterwards.
    pub fn on_disconnect(&mut self, origin: DaemonId, member: Name) -> Option<Work> {
        let member = self.insider(origin, member)?;
        // A client may be in thousands of groups, so it leaves them in steps. The list is taken now: it cannot join meanwhile.
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
            self.events.push_back(GroupsEvent::Released(id));
        }
        None
    }

    fn notify_changed(&mut self, member: Member) {
        if member.at == self.table.me() {
            self.events.push_back(GroupsEvent::Changed);
        }
    }

    /// The member, if it is a client of the origin and the origin is in this daemon's component. The component of another daemon carries
    /// out its changes, and the next exchange brings the result.
    fn insider(&mut self, origin: DaemonId, name: Name) -> Option<Member> {
        if !self.names.belongs(&name, origin) {
            debug!(%origin, member = %name, "change of another daemon's client");
            self.dropped.false_senders += 1;
            return None;
        }
        let inside = self.basis.together.contains(&origin);
        let at = if inside { self.table.position(origin) } else { None };
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
            // The counter is kept, so that a new group with this name does not repeat the identity of an old view.
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
            let joined = if cause == Cause::Join { Some(member) } else { None };
            self.announce_broken_change(group, joined);
            // The lost members are still in the view, so it is broken from its beginning.
            self.announce_transition(group);
        } else {
            self.announce_change(group, cause, member);
        }
    }
}
