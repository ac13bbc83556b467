//! Rules about who gets a message in the end.

use std::collections::{BTreeMap, BTreeSet};

use spread::time::Instant;
use spread::wire::{Name, Service};

use crate::checker::{Verdict, broken};
use crate::clients::journal::{Ask, Connection, Entry, Journal, MessageNumber, Sent};

/// When all daemons were together and knew each other's groups.
#[derive(Clone, Copy, Debug)]
pub struct Since(pub Instant);

/// Whatever is sent when all faults are over reaches all members, those who do not watch memberships included. Where nobody
/// watches, nobody can tell when the members were complete.
pub(super) fn farewells_reach_all_members(journal: &Journal) -> Verdict {
    let watched: BTreeSet<Name> =
        journal.open().filter(|connection| connection.membership).flat_map(Connection::wanted).collect();
    for connection in journal.open() {
        let (got, wanted) = (connection.messages().collect::<BTreeSet<_>>(), connection.wanted());
        let concerns = |sent: &Sent| sent.groups.iter().any(|group| wanted.contains(group) && watched.contains(group));
        let mut farewells = journal.messages.iter().enumerate().filter(|(_, sent)| sent.farewell && concerns(sent));
        if let Some((number, sent)) = farewells.find(|(number, _)| !got.contains(number)) {
            return Err(broken("reach", format!("{} misses {number} to {:?}", connection.name, sent.groups)));
        }
    }
    Ok(())
}

/// A safe message that a member got in a view, before a TRANSITION, reaches all members of that view that last.
/// Names that were used again could mean an earlier client and are left out.
pub(super) fn safe_messages_reach_all_members(journal: &Journal) -> Verdict {
    let mut connections: BTreeMap<Name, usize> = BTreeMap::new();
    journal.connections.iter().for_each(|connection| *connections.entry(connection.name).or_default() += 1);
    let only = |connection: &&Connection| connections[&connection.name] == 1;
    let got: BTreeMap<Name, BTreeSet<MessageNumber>> =
        journal.open().filter(only).map(|connection| (connection.name, connection.messages().collect())).collect();
    for (number, group, members) in safe_deliveries(journal) {
        let lacks = |member: &&Name| got.get(member).is_some_and(|got| !got.contains(&number));
        let discards = |member: &Name| {
            let sent = &journal.messages[number];
            sent.discard && journal.connections[sent.connection].name == *member
        };
        if let Some(member) = members.iter().filter(lacks).find(|member| !discards(member)) {
            return Err(broken("safe", format!("{member} misses {number} to {group}")));
        }
    }
    Ok(())
}

/// Each safe message with a view in which it was got without reservation.
fn safe_deliveries(journal: &Journal) -> BTreeSet<(MessageNumber, Name, &[Name])> {
    let mut deliveries = BTreeSet::new();
    for connection in &journal.connections {
        let mut views: BTreeMap<Name, &[Name]> = BTreeMap::new();
        for entry in connection.entries() {
            match entry {
                Entry::View(view) => _ = views.insert(view.group, &view.members),
                Entry::Transition { group, .. } | Entry::SelfLeave { group } => _ = views.remove(group),
                Entry::Data(number) => {
                    let sent = &journal.messages[*number];
                    let to = sent.groups.iter().filter_map(|group| Some((*number, *group, *views.get(group)?)));
                    deliveries.extend(to.filter(|_| sent.service == Service::Safe));
                }
            }
        }
    }
    deliveries
}

/// Without faults that matter, what is sent reaches everybody who knew at that time that it was in the group, and stayed.
pub(super) fn everything_reaches_all_members(journal: &Journal, since: Since) -> Verdict {
    for connection in journal.open().filter(|connection| connection.membership) {
        let got: BTreeSet<MessageNumber> = connection.messages().collect();
        let inside = inside_for_good(connection);
        let reached = |sent: &Sent| {
            let knew = |group: &Name| inside.get(group).is_some_and(|at| *at <= sent.at);
            sent.at >= since.0 && sent.groups.iter().any(knew)
        };
        for (number, sent) in journal.messages.iter().enumerate().filter(|(_, sent)| reached(sent)) {
            let own = sent.discard && journal.connections[sent.connection].name == connection.name;
            if !own && !got.contains(&number) {
                return Err(broken("masking", format!("{} misses {number} to {:?}", connection.name, sent.groups)));
            }
        }
    }
    Ok(())
}

/// The groups that a client never left, and since when it knew that it was inside.
fn inside_for_good(connection: &Connection) -> BTreeMap<Name, Instant> {
    let mut inside: BTreeMap<Name, Instant> = BTreeMap::new();
    for got in &connection.got {
        if let Entry::View(view) = &got.entry {
            inside.entry(view.group).or_insert(got.at);
        }
    }
    inside.retain(|group, _| !connection.asked.contains(&Ask::Leave(*group)));
    inside
}
