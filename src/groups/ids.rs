//! The identities of views. Two views never have the same identity, and all daemons that install a view give it the same one.
//!
//! A regular view has the representative and the sequence of the configuration in which it began, and a counter. A view that begins after
//! a transitional configuration is known to one component only. It has the first daemon of that component, the sequence of the ring that
//! comes next, and a counter with [`TRANSITIONAL`] set. Identities have the lower 32 bits of the sequence, so they are unique while a
//! daemon's ring sequences lie within 2^32.

use std::collections::BTreeMap;

use crate::wire::{DaemonId, GroupId, Name, RingId};

/// Marks the counter of a view that is known to one component of a broken ring.
const TRANSITIONAL: u32 = 1 << 31;

/// How many ended groups a configuration remembers one by one.
const ENDED_LIMIT: usize = 1024;

/// Gives identities to new views.
#[derive(Debug)]
pub(super) enum Ids {
    /// In a regular configuration, each group counts its own views.
    Regular(RegularIds),
    /// After a transitional configuration, all groups share a counter.
    Transitional { representative: DaemonId, sequence: u64, count: u32 },
}

#[derive(Debug)]
pub(super) struct RegularIds {
    ring: RingId,
    /// Counters of groups that lost their last member, so that a new group of that name does not begin at 1 again.
    ended: BTreeMap<Name, u32>,
    /// The highest counter of the groups forgotten in `ended`.
    forgotten: u32,
}

impl Ids {
    /// Names for views of the regular configuration `ring`.
    pub fn regular(ring: RingId) -> Ids {
        Ids::Regular(RegularIds { ring, ended: BTreeMap::new(), forgotten: 0 })
    }

    /// Names for views that begin among the daemons led by `representative` on their way to the ring `next`.
    ///
    /// The sequence of the next ring is unique, because a daemon agrees to form only one ring of each sequence. The sequence of the old
    /// ring would not do: two components with the same first daemon may leave that ring one after the other.
    pub fn transitional(next: RingId, representative: DaemonId) -> Ids {
        Ids::Transitional { representative, sequence: next.sequence, count: 0 }
    }

    /// The identity of the view that follows `current` in `group`, or of the group's first view if there is no current one.
    pub fn next(&mut self, group: &Name, current: Option<GroupId>) -> GroupId {
        match self {
            Ids::Regular(ids) => ids.next(group, current),
            Ids::Transitional { representative, sequence, count } => {
                *count = counted(*count);
                GroupId([representative.0, *sequence as u32, TRANSITIONAL | *count])
            }
        }
    }

    /// The group's last view was `last`; now it has no members.
    pub fn end(&mut self, group: Name, last: GroupId) {
        if let Ids::Regular(ids) = self {
            ids.end(group, last);
        }
    }
}

impl RegularIds {
    fn next(&mut self, group: &Name, current: Option<GroupId>) -> GroupId {
        // After a view of an older configuration the count begins again. Another daemon may have delivered less of the old configuration,
        // and counting on from there would give two views one identity.
        let counter = match current {
            Some(id) => self.counter(id).unwrap_or(0),
            None => self.ended.remove(group).unwrap_or(self.forgotten),
        };
        self.name(counted(counter))
    }

    fn end(&mut self, group: Name, last: GroupId) {
        let Some(counter) = self.counter(last) else { return };
        // Groups with many names must not fill the memory. One counter above all forgotten ones keeps ids unique.
        if self.ended.len() == ENDED_LIMIT {
            let highest = self.ended.values().copied().max().unwrap_or(0);
            self.forgotten = self.forgotten.max(highest);
            self.ended.clear();
        }
        self.ended.insert(group, counter);
    }

    /// The counter of a view of this configuration.
    fn counter(&self, id: GroupId) -> Option<u32> {
        // A view of another configuration, or of a transition, does not count here.
        (id == self.name(id.0[2]) && id.0[2] & TRANSITIONAL == 0).then_some(id.0[2])
    }

    fn name(&self, counter: u32) -> GroupId {
        GroupId([self.ring.representative.0, self.ring.sequence as u32, counter])
    }
}

fn counted(counter: u32) -> u32 {
    counter.wrapping_add(1) & !TRANSITIONAL
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: RingId = RingId { sequence: 7, representative: DaemonId(1) };

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_group_counts_its_views_and_a_group_of_the_same_name_goes_on() {
        let mut ids = Ids::regular(RING);
        let first = ids.next(&name("g"), None);
        let second = ids.next(&name("g"), Some(first));
        assert_eq!((first.0, second.0), ([1, 7, 1], [1, 7, 2]));
        ids.end(name("g"), second);
        assert_eq!(ids.next(&name("h"), None).0, [1, 7, 1]);
        assert_eq!(ids.next(&name("g"), None).0, [1, 7, 3]);
    }

    #[test]
    fn a_view_of_an_older_configuration_is_followed_by_one_of_this() {
        let mut ids = Ids::regular(RING);
        assert_eq!(ids.next(&name("g"), Some(GroupId([1, 6, 9]))).0, [1, 7, 1]);
        assert_eq!(ids.next(&name("g"), Some(GroupId([1, 7, TRANSITIONAL | 3]))).0, [1, 7, 1]);
    }

    #[test]
    fn ended_groups_above_the_limit_are_forgotten_but_no_name_comes_back() {
        let mut ids = Ids::regular(RING);
        for n in 0..=ENDED_LIMIT {
            let group = name(&format!("g{n}"));
            let first = ids.next(&group, None);
            let second = ids.next(&group, Some(first));
            ids.end(group, second);
        }
        let Ids::Regular(regular) = &ids else { panic!("regular") };
        assert_eq!((regular.ended.len(), regular.forgotten), (1, 2));
        assert_eq!(ids.next(&name("g0"), None).0, [1, 7, 3]);
    }

    #[test]
    fn transitional_names_differ_from_regular_ones_and_from_other_components() {
        let mut ours = Ids::transitional(RING, DaemonId(1));
        let mut theirs = Ids::transitional(RING, DaemonId(2));
        assert_eq!(ours.next(&name("g"), None).0, [1, 7, TRANSITIONAL | 1]);
        assert_eq!(ours.next(&name("h"), None).0, [1, 7, TRANSITIONAL | 2]);
        assert_eq!(theirs.next(&name("g"), None).0, [2, 7, TRANSITIONAL | 1]);
    }
}
