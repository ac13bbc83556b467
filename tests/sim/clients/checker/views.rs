//! Rules about views: what a client is told of the members of its groups, and what it gets between two views.

use std::collections::{BTreeMap, BTreeSet};

use spread::wire::{FrameType, GroupId, Name, RingId};

use crate::checker::{Verdict, Violation, broken};
use crate::clients::journal::{Connection, Entry, Journal, MessageNumber, Sent, View};

/// Marks names of views that one component of a broken ring has.
const TRANSITIONAL: u32 = 1 << 31;

/// One client's time in one view of a group.
struct Stay<'a> {
    view: &'a View,
    transition: bool,
    /// The messages to the group that are for their senders too.
    got: Got,
}

/// What a client got in a view.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    /// The ordered messages, and `None` where the TRANSITION came.
    ordered: Vec<Option<MessageNumber>>,
    /// The others, each with whether it came after the TRANSITION.
    others: BTreeSet<(bool, MessageNumber)>,
}

/// Where two clients' ways between two views are one: group, both views, own set.
type Way = (Name, GroupId, Option<(GroupId, Vec<Name>)>);

/// What is known from the clients looked at so far.
struct Walk<'a> {
    journal: &'a Journal,
    /// Views by identity.
    views: BTreeMap<(Name, GroupId), &'a View>,
    /// Where those came from who came to a view together, by their set.
    origins: BTreeMap<(Name, GroupId, &'a [Name]), Option<GroupId>>,
    ways: BTreeMap<Way, (Name, Got)>,
}

/// Everything that each client was told. At the end of a history without faults the last views are compared as well.
pub(super) fn check(journal: &Journal, at_the_end: bool) -> Verdict {
    let mut walk = Walk { journal, views: BTreeMap::new(), origins: BTreeMap::new(), ways: BTreeMap::new() };
    for connection in &journal.connections {
        let stays = walk.connection(connection)?;
        if !connection.membership && !connection.entries().all(|entry| matches!(entry, Entry::Data(_))) {
            return Err(broken("watch", format!("{} did not ask for memberships", connection.name)));
        }
        if at_the_end && !connection.ended {
            for (group, stay) in stays {
                walk.way(connection, (group, stay.view.id, None), stay.got)?;
            }
        }
    }
    Ok(())
}

impl Stay<'_> {
    fn record(&mut self, number: MessageNumber, sent: &Sent) {
        if sent.is_ordered() {
            self.got.ordered.push(Some(number));
        } else {
            self.got.others.insert((self.transition, number));
        }
    }
}

impl<'a> Walk<'a> {
    fn connection(&mut self, connection: &'a Connection) -> Result<BTreeMap<Name, Stay<'a>>, Violation> {
        let mut stays: BTreeMap<Name, Stay<'a>> = BTreeMap::new();
        for entry in connection.entries() {
            match entry {
                Entry::Data(number) => {
                    let sent = &self.journal.messages[*number];
                    for group in sent.groups.iter().filter(|_| !sent.discard).collect::<BTreeSet<_>>() {
                        stays.entry(*group).and_modify(|stay| stay.record(*number, sent));
                    }
                }
                Entry::Transition { group, id } => match stays.get_mut(group) {
                    Some(stay) if stay.view.id == *id && !stay.transition => {
                        stay.transition = true;
                        stay.got.ordered.push(None);
                    }
                    _ => return Err(broken("view 2", format!("{} got TRANSITION of {group} {id:?}", connection.name))),
                },
                Entry::SelfLeave { group } => {
                    if stays.remove(group).is_none() {
                        return Err(broken("leave", format!("{} left {group} without being in it", connection.name)));
                    }
                }
                Entry::View(view) => self.view(connection, view, &mut stays)?,
            }
        }
        Ok(stays)
    }

    fn view(&mut self, connection: &Connection, view: &'a View, stays: &mut BTreeMap<Name, Stay<'a>>) -> Verdict {
        let known = *self.views.entry((view.group, view.id)).or_insert(view);
        if known.members != view.members {
            let what = format!("{:?} is {:?} and {:?}", (view.group, view.id), known.members, view.members);
            return Err(broken("view 4", what));
        }
        if known.sets != view.sets {
            let what = format!("{:?} came from {:?} and {:?}", (view.group, view.id), known.sets, view.sets);
            return Err(broken("view 5", what));
        }
        let before = stays.insert(view.group, Stay { view, transition: false, got: Got::default() });
        let told = |rule, what: &str| {
            let last = before.as_ref().map(|before| (before.view, before.transition));
            Err(broken(rule, format!("{}: {what}: {view:?} after {last:?}", connection.name)))
        };
        let verdict = match view.cause {
            FrameType::CAUSED_BY_NETWORK => network(connection.name, view, before.as_ref()),
            _ => change(connection.name, view, before.as_ref()),
        };
        if let Err((rule, what)) = verdict {
            return told(rule, what);
        }
        let from = before.as_ref().map(|before| before.view.id);
        if view.cause == FrameType::CAUSED_BY_NETWORK
            && *self.origins.entry((view.group, view.id, view.own_set())).or_insert(from) != from
        {
            return told("view 5", "others of the own set come from another view");
        }
        match before {
            None => Ok(()),
            Some(before) => {
                let next = Some((view.id, view.own_set().to_vec()));
                self.way(connection, (view.group, before.view.id, next), before.got)
            }
        }
    }

    /// All who go from one view to the same next one together get the same in between.
    fn way(&mut self, connection: &Connection, way: Way, got: Got) -> Verdict {
        let Some((other, before)) = self.ways.get(&way) else {
            self.ways.insert(way, (connection.name, got));
            return Ok(());
        };
        if *before == got {
            return Ok(());
        }
        let place = before.ordered.iter().zip(&got.ordered).take_while(|(a, b)| a == b).count();
        let (one, two) = (before.ordered.get(place), got.ordered.get(place));
        let others: Vec<_> = before.others.symmetric_difference(&got.others).take(3).collect();
        let what =
            format!("{other} got {one:?}, {} {two:?} at place {place} of {way:?}; others {others:?}", connection.name);
        Err(broken("view 6", what))
    }
}

type Wrong = Result<(), (&'static str, &'static str)>;

fn ensure(holds: bool, rule: &'static str, what: &'static str) -> Wrong {
    if holds { Ok(()) } else { Err((rule, what)) }
}

fn network(me: Name, view: &View, before: Option<&Stay<'_>>) -> Wrong {
    let all: BTreeSet<&Name> = view.sets.iter().flatten().collect();
    let apart = all.len() == view.sets.iter().map(Vec::len).sum::<usize>();
    ensure(apart && all == view.members.iter().collect(), "view 5", "the sets are not the members")?;
    ensure(view.own_set().contains(&me), "view 5", "the own set lacks the receiver")?;
    ensure(view.sets.iter().all(|set| is_ordered(set)) && is_ordered(&view.members), "view 5", "out of order")?;
    let Some(before) = before else {
        return ensure(view.own_set() == [me], "view 5", "who comes from nowhere comes alone");
    };
    let together = view.own_set().iter().all(|member| before.view.members.contains(member));
    ensure(together, "view 5", "the own set has others than the view before")?;
    let fewer = view.own_set().len() < before.view.members.len();
    ensure(before.transition == fewer, "view 1", "a TRANSITION comes if, and only if, the own set is smaller")
}

fn change(me: Name, view: &View, before: Option<&Stay<'_>>) -> Wrong {
    let [changed] = view.own_set() else { return Err(("change", "one member changes")) };
    ensure(view.sets.len() == 1 && is_ordered(&view.members), "change", "one set, in order")?;
    let joined = view.cause == FrameType::CAUSED_BY_JOIN;
    let Some(before) = before else {
        return ensure(joined && *changed == me && view.members.contains(&me), "change", "the first view is a join");
    };
    ensure(!before.transition, "view 3", "a change follows a TRANSITION")?;
    let (more, fewer) = if joined { (view, before.view) } else { (before.view, view) };
    let rest: Vec<Name> = more.members.iter().copied().filter(|member| member != changed).collect();
    let one_more = rest == fewer.members && more.members.len() == fewer.members.len() + 1;
    ensure(one_more, "change", "exactly one member comes or goes")
}

/// By daemon, then by name; the daemons' names are in the order of the daemons.
fn is_ordered(members: &[Name]) -> bool {
    members.is_sorted_by_key(|member| member.private_parts().map(|(name, daemon)| (daemon.to_vec(), name.to_vec())))
}

/// All who want to be in a group, and nobody else, are in its one view; nobody is in a view of a group that it left.
pub(super) fn members_share_their_last_view(journal: &Journal) -> Verdict {
    let mut expected: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for connection in journal.open() {
        for group in connection.wanted() {
            expected.entry(group).or_default().insert(connection.name);
        }
    }
    let mut shared: BTreeMap<Name, GroupId> = BTreeMap::new();
    for connection in journal.open().filter(|connection| connection.membership) {
        let last = last_views(connection);
        let wanted = connection.wanted();
        if !last.keys().eq(wanted.iter()) {
            let what = format!("{} is in {:?} and wants to be in {wanted:?}", connection.name, last.keys());
            return Err(broken("reunion", what));
        }
        for (group, (view, transition)) in last {
            let members: BTreeSet<Name> = view.members.iter().copied().collect();
            let id = *shared.entry(group).or_insert(view.id);
            if transition || members != expected[&group] || view.id != id {
                let what = format!(
                    "{} ends in {view:?}, transition {transition}, among {:?} in {id:?}",
                    connection.name, expected[&group]
                );
                return Err(broken("reunion", what));
            }
        }
    }
    Ok(())
}

/// The last view of each group, and whether a TRANSITION followed.
fn last_views(connection: &Connection) -> BTreeMap<Name, (&View, bool)> {
    let mut last = BTreeMap::new();
    for entry in connection.entries() {
        match entry {
            Entry::Data(_) => {}
            Entry::View(view) => _ = last.insert(view.group, (view, false)),
            Entry::Transition { group, .. } => _ = last.entry(*group).and_modify(|(_, transition)| *transition = true),
            Entry::SelfLeave { group } => _ = last.remove(group),
        }
    }
    last
}

/// Views of the network come until all daemons are together in `ring`, and not for its end.
pub(super) fn nobody_notices_the_network(journal: &Journal, ring: RingId) -> Verdict {
    let name = [ring.representative.0, ring.sequence as u32];
    for connection in &journal.connections {
        for entry in connection.entries() {
            let id = match entry {
                Entry::View(view) if view.cause == FrameType::CAUSED_BY_NETWORK => view.id,
                Entry::Transition { id, .. } if id.0[..2] == name => *id,
                _ => continue,
            };
            let is_first = matches!(entry, Entry::View(_)) && id.0[..2] == name && id.0[2] == 1;
            // What is left of an earlier ring names its views after the ring to which it goes.
            let leads_there = id.0[2] & TRANSITIONAL != 0 && u64::from(id.0[1]) == ring.sequence;
            if !is_first && !leads_there && u64::from(id.0[1]) >= ring.sequence {
                return Err(broken("masking", format!("{} got {entry:?} in {ring}", connection.name)));
            }
        }
    }
    Ok(())
}
