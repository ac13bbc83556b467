//! Rules about messages: each once, one order for all, senders in their order, causes before effects, and one's own.

use std::collections::{BTreeMap, BTreeSet};

use spread::wire::{GroupId, Name};

use crate::checker::{Verdict, broken};
use crate::clients::journal::{Ask, Connection, ConnectionNumber, Entry, Journal, MessageNumber};

pub(super) fn nothing_is_delivered_twice(journal: &Journal) -> Verdict {
    for connection in &journal.connections {
        let mut seen = BTreeSet::new();
        if let Some(twice) = connection.messages().find(|number| !seen.insert(*number)) {
            return Err(broken("once", format!("{} got {twice} twice", connection.name)));
        }
    }
    Ok(())
}

/// Nobody hears a message of a connection after one that it sent later.
pub(super) fn each_sender_is_heard_in_order(journal: &Journal) -> Verdict {
    for connection in &journal.connections {
        let mut latest: BTreeMap<ConnectionNumber, MessageNumber> = BTreeMap::new();
        for number in connection.messages() {
            let before = latest.insert(journal.messages[number].connection, number);
            if before > Some(number) {
                return Err(broken("fifo", format!("{} got {number} after {before:?}", connection.name)));
            }
        }
    }
    Ok(())
}

/// A client gets its own messages to where it is, in order: up to some point at any time, all of them in the end.
pub(super) fn own_messages_are_delivered(journal: &Journal, all: bool) -> Verdict {
    for (number, connection) in journal.connections.iter().enumerate() {
        let own = |message: &MessageNumber| journal.messages[*message].connection == number;
        let got: Vec<MessageNumber> = connection.messages().filter(own).collect();
        let expected = expected_of_own(journal, connection);
        let complete = !all || connection.ended || got.len() == expected.len();
        if !expected.starts_with(&got) || !complete {
            let place = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
            let (expected, got) = (expected.get(place), got.get(place));
            let what = format!("{} expects its own {expected:?} and got {got:?}", connection.name);
            return Err(broken("self-delivery", what));
        }
    }
    Ok(())
}

fn expected_of_own(journal: &Journal, connection: &Connection) -> Vec<MessageNumber> {
    let mut inside = BTreeSet::from([connection.name]);
    let mut expected = Vec::new();
    for ask in &connection.asked {
        match ask {
            Ask::Join(group) => _ = inside.insert(*group),
            Ask::Leave(group) => _ = inside.remove(group),
            Ask::Send(number) => {
                let sent = &journal.messages[*number];
                if !sent.discard && sent.groups.iter().any(|group| inside.contains(group)) {
                    expected.push(*number);
                }
            }
        }
    }
    expected
}

/// Who gets a message is addressed by it: by name, or as a member of a group. Who watches memberships knows its groups.
pub(super) fn only_the_addressed_are_reached(journal: &Journal) -> Verdict {
    for connection in &journal.connections {
        let joins = connection.asked.iter().filter_map(|ask| match ask {
            Ask::Join(group) => Some(*group),
            _ => None,
        });
        let joined: BTreeSet<Name> = joins.collect();
        let mut inside = BTreeSet::new();
        for entry in connection.entries() {
            match entry {
                Entry::View(view) => _ = inside.insert(view.group),
                Entry::SelfLeave { group } => _ = inside.remove(group),
                Entry::Transition { .. } => {}
                Entry::Data(number) => {
                    let at = if connection.membership { &inside } else { &joined };
                    let groups = &journal.messages[*number].groups;
                    if !groups.iter().any(|group| *group == connection.name || at.contains(group)) {
                        return Err(broken("address", format!("{} got {number} to {groups:?}", connection.name)));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The same message is one event wherever it is got, and so is the same view; with what each client sees in its order, and what
/// it had got before it sent something, that must be without a cycle of any length.
pub(super) fn everything_has_one_order(journal: &Journal) -> Verdict {
    let mut graph = Graph::of(journal);
    let mut free: Vec<usize> = (0..graph.incoming.len()).filter(|&node| graph.incoming[node] == 0).collect();
    let mut done = 0;
    while let Some(node) = free.pop() {
        done += 1;
        for next in std::mem::take(&mut graph.outgoing[node]) {
            graph.incoming[next] -= 1;
            if graph.incoming[next] == 0 {
                free.push(next);
            }
        }
    }
    if done == graph.incoming.len() {
        return Ok(());
    }
    let stuck: Vec<usize> = (0..journal.messages.len()).filter(|&number| graph.incoming[number] > 0).take(5).collect();
    let views: Vec<_> = graph.views.iter().filter(|(_, node)| graph.incoming[**node] > 0).take(3).collect();
    Err(broken("order", format!("no order suits everybody, for example of messages {stuck:?} and views {views:?}")))
}

/// Nodes: messages by number, then views as they appear.
struct Graph {
    outgoing: Vec<Vec<usize>>,
    incoming: Vec<u32>,
    views: BTreeMap<(Name, GroupId), usize>,
}

impl Graph {
    fn of(journal: &Journal) -> Graph {
        let messages = journal.messages.len();
        let mut graph =
            Graph { outgoing: vec![Vec::new(); messages], incoming: vec![0; messages], views: BTreeMap::new() };
        for connection in &journal.connections {
            let nodes: Vec<Option<usize>> = connection.entries().map(|entry| graph.node(entry)).collect();
            let order: Vec<usize> = nodes.iter().flatten().copied().collect();
            order.windows(2).for_each(|pair| graph.edge(pair[0], pair[1]));
            for ask in &connection.asked {
                let Ask::Send(number) = *ask else { continue };
                let cause = nodes[..journal.messages[number].after].iter().rev().flatten().next();
                cause.into_iter().for_each(|&cause| graph.edge(cause, number));
            }
        }
        graph
    }

    fn node(&mut self, entry: &Entry) -> Option<usize> {
        let view = match entry {
            Entry::Data(number) => return Some(*number),
            Entry::View(view) => view,
            Entry::Transition { .. } | Entry::SelfLeave { .. } => return None,
        };
        let new = self.incoming.len();
        let node = *self.views.entry((view.group, view.id)).or_insert(new);
        if node == new {
            self.outgoing.push(Vec::new());
            self.incoming.push(0);
        }
        Some(node)
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.outgoing[from].push(to);
        self.incoming[to] += 1;
    }
}
