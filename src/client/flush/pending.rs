//! Memberships that the daemon has announced and that not all members have agreed to enter, and the flush oks for them.
//!
//! The members agree on the oldest membership first. If a member is lost before its flush ok, the others can never
//! agree on that membership. They drop it, and the next one takes its place. All members that stay together see the
//! same oks before the same losses, so all of them drop the same memberships.

use std::collections::{BTreeSet, VecDeque};

use crate::client::View;
use crate::wire::{Cause, GroupId, Name};

/// Most memberships that can wait for a program that does not flush.
pub const PENDING_LIMIT: usize = 65_536;
/// A flush ok that no membership claims is forgotten after this many memberships.
pub const EARLY_LIFE: u64 = 200;
/// Most memberships for which early flush oks are kept.
const EARLY_LIMIT: usize = 1024;

/// A membership as the daemon announced it, and who agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its identity.
    pub id: GroupId,
    /// Why it came to be; a network change if it took the place of others.
    pub cause: Cause,
    /// All members, in the order of the whole system.
    pub members: Vec<Name>,
    /// The member that joined, left or disconnected.
    pub changed: Option<Name>,
    /// The members that came here together with this one.
    pub together: BTreeSet<Name>,
    /// The members that said flush ok.
    pub oks: BTreeSet<Name>,
    /// The members that have entered it already.
    pub received: BTreeSet<Name>,
}

impl Membership {
    /// The membership of a view that the daemon announces.
    pub fn new(view: View) -> Membership {
        let own = view.vs_sets.get(view.own).cloned().unwrap_or_default();
        let (changed, together) = match view.cause {
            Cause::Network => (None, own.into_iter().collect()),
            Cause::Join => {
                (own.first().copied(), view.members.iter().copied().filter(|name| !own.contains(name)).collect())
            }
            Cause::Leave | Cause::Disconnect => (own.first().copied(), view.members.iter().copied().collect()),
        };
        let View { id, cause, members, .. } = view;
        Membership { id, cause, members, changed, together, oks: BTreeSet::new(), received: BTreeSet::new() }
    }

    /// Whether every member said flush ok.
    pub fn is_agreed(&self) -> bool {
        self.members.iter().all(|member| self.oks.contains(member))
    }

    /// Whether it needs a flush ok from a lost member.
    fn is_hopeless(&self, lost: &BTreeSet<Name>) -> bool {
        self.members.iter().any(|member| lost.contains(member) && !self.oks.contains(member))
    }

    /// Takes the place of a dropped membership too.
    fn absorb(&mut self, dropped: &Membership) {
        (self.cause, self.changed) = (Cause::Network, None);
        self.together = self.together.intersection(&dropped.together).copied().collect();
    }
}

/// The memberships that wait, at least one.
#[derive(Clone, Debug)]
pub struct Pending {
    first: Membership,
    later: VecDeque<Membership>,
}

impl Pending {
    /// Nothing but one membership.
    pub fn new(first: Membership) -> Pending {
        Pending { first, later: VecDeque::new() }
    }

    /// The membership to agree on now.
    pub fn first(&self) -> &Membership {
        &self.first
    }

    /// All memberships, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Membership> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The membership with this id.
    pub fn find(&mut self, id: GroupId) -> Option<&mut Membership> {
        std::iter::once(&mut self.first).chain(&mut self.later).find(|membership| membership.id == id)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        1 + self.later.len()
    }

    /// Adds a membership, and drops those on which the members can no longer agree.
    pub fn push(&mut self, membership: Membership) {
        // Members of the newest one that did not come along to this one are lost.
        let newest = self.later.back().unwrap_or(&self.first);
        let lost = newest.members.iter().copied().filter(|member| !membership.together.contains(member)).collect();
        self.later.push_back(membership);
        self.drop_hopeless(&lost);
    }

    /// Drops the memberships that need a flush ok from a lost member. The newest one has no lost members, so it stays.
    fn drop_hopeless(&mut self, lost: &BTreeSet<Name>) {
        while self.first.is_hopeless(lost)
            && let Some(next) = self.later.pop_front()
        {
            let dropped = std::mem::replace(&mut self.first, next);
            self.first.absorb(&dropped);
        }
        let mut at = 0;
        while !lost.is_empty() && at + 1 < self.later.len() {
            if self.later[at].is_hopeless(lost)
                && let Some(dropped) = self.later.remove(at)
            {
                self.later[at].absorb(&dropped);
            } else {
                at += 1;
            }
        }
    }

    /// Takes out the first one. The others, if there are any, still wait.
    pub fn split(mut self) -> (Membership, Option<Pending>) {
        let next = self.later.pop_front();
        (self.first, next.map(|first| Pending { first, later: self.later }))
    }
}

/// Flush oks that came before their membership. They are FIFO messages, which can overtake a membership.
#[derive(Clone, Debug, Default)]
pub struct EarlyOks {
    waiting: VecDeque<EarlyOk>,
    memberships: u64,
}

#[derive(Clone, Debug)]
struct EarlyOk {
    id: GroupId,
    since: u64,
    senders: BTreeSet<Name>,
}

impl EarlyOks {
    /// Keeps a flush ok for a membership that is not known yet, or no longer.
    pub fn keep(&mut self, id: GroupId, sender: Name) {
        if let Some(early) = self.waiting.iter_mut().find(|early| early.id == id) {
            early.senders.insert(sender);
            return;
        }
        // A membership is least likely to come for the oldest.
        if self.waiting.len() == EARLY_LIMIT {
            self.waiting.pop_front();
        }
        self.waiting.push_back(EarlyOk { id, since: self.memberships, senders: BTreeSet::from([sender]) });
    }

    /// The members that said flush ok before this membership came. Forgets flush oks that are too old.
    pub fn claim(&mut self, id: GroupId) -> BTreeSet<Name> {
        self.memberships += 1;
        let place = self.waiting.iter().position(|early| early.id == id);
        let claimed = place.and_then(|place| self.waiting.remove(place));
        self.waiting.retain(|early| self.memberships - early.since < EARLY_LIFE);
        claimed.map(|early| early.senders).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(letter: char) -> Name {
        Name::new(format!("#{letter}#d").as_bytes()).unwrap()
    }

    fn names<C: FromIterator<Name>>(letters: &str) -> C {
        letters.chars().map(name).collect()
    }

    fn membership(number: u32, cause: Cause, members: &str, set: &str) -> Membership {
        let (group, vs_sets) = (Name::new(b"g").unwrap(), vec![vec![], names(set)]);
        let id = GroupId([0, 0, number]);
        Membership::new(View { group, cause, members: names(members), id, vs_sets, own: 1 })
    }

    fn ids(pending: &Pending) -> Vec<u32> {
        pending.iter().map(|membership| membership.id.0[2]).collect()
    }

    #[test]
    fn who_comes_along_depends_on_the_cause() {
        let join = membership(1, Cause::Join, "abc", "b");
        assert_eq!((join.changed, join.together), (Some(name('b')), names("ac")));
        let leave = membership(1, Cause::Leave, "ac", "b");
        assert_eq!((leave.changed, leave.together), (Some(name('b')), names("ac")));
        let network = membership(1, Cause::Network, "abcd", "ad");
        assert_eq!((network.changed, network.together), (None, names("ad")));
    }

    #[test]
    fn a_membership_is_agreed_when_all_members_said_ok() {
        let mut membership = membership(1, Cause::Join, "ab", "b");
        assert!(!membership.is_agreed());
        membership.oks = names("abc");
        assert!(membership.is_agreed());
    }

    #[test]
    fn a_loss_drops_what_lacks_the_lost_members_ok() {
        let mut pending = Pending::new(membership(1, Cause::Join, "abc", "c"));
        pending.push(membership(2, Cause::Join, "abcd", "d"));
        pending.push(membership(3, Cause::Join, "abcde", "e"));
        pending.find(GroupId([0, 0, 2])).unwrap().oks = names("c");
        pending.push(membership(4, Cause::Disconnect, "abde", "c"));
        assert_eq!(ids(&pending), [2, 4]);
        assert_eq!((pending.first().cause, pending.first().changed), (Cause::Network, None));
        assert_eq!(pending.first().together, names("ab"));
        let (_, Some(rest)) = pending.split() else { panic!("one more") };
        assert_eq!((rest.first().cause, &rest.first().together), (Cause::Network, &names("abd")));
        assert!(rest.split().1.is_none());
    }

    #[test]
    fn a_member_that_comes_back_from_elsewhere_is_lost_all_the_same() {
        let mut pending = Pending::new(membership(1, Cause::Join, "abc", "c"));
        pending.push(membership(2, Cause::Network, "abc", "ac"));
        assert_eq!(ids(&pending), [2]);
        assert_eq!(pending.first().together, names("a"));
    }

    #[test]
    fn early_oks_wait_for_200_memberships() {
        let id = |number| GroupId([0, 0, number]);
        let mut early = EarlyOks::default();
        early.keep(id(500), name('a'));
        early.keep(id(500), name('b'));
        early.keep(id(600), name('a'));
        (1..199).for_each(|number| assert_eq!(early.claim(id(number)), names("")));
        assert_eq!(early.claim(id(500)), names("ab"));
        assert_eq!(early.claim(id(500)), names(""));
        assert_eq!(early.claim(id(600)), names(""));
    }

    #[test]
    fn early_oks_are_kept_for_so_many_memberships_only() {
        let id = |number| GroupId([0, 0, number]);
        let mut early = EarlyOks::default();
        (0..=EARLY_LIMIT as u32).for_each(|number| early.keep(id(number), name('a')));
        assert_eq!(early.claim(id(0)), names(""));
        assert_eq!(early.claim(id(1)), names("a"));
    }
}
