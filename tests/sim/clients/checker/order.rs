//! Rules about messages: each once, one order for all, senders in their order, causes before effects, and one's own.

use std::collections::{BTreeMap, BTreeSet};

use spread::wire::{GroupId, Name};

use crate::checker::{Verdict, broken};
use crate::clients::journal::{Ask, Connection, ConnectionNumber, Entry, Journal, MessageNumber, View};

pub(super) fn nothing_is_delivered_twice(journal: &Journal) -> Verdict {
    for connection in &journal.connections {
        let mut seen = BTreeSet::new();
        if let Some(twice) = connection.messages().find(|number| !seen.insert(*number)) {
            return Err(broken("once", format!("{} got {twice} twice", connection.name)));
        }
    }
    Ok(())
}

/// Nobody hears a message of a connection after one that it sent later. Only that reliable and unreliable messages may overtake
/// the others.
pub(super) fn each_sender_is_heard_in_order(journal: &Journal) -> Verdict {
    for connection in &journal.connections {
        let (mut any, mut in_order): (Latest, Latest) = Default::default();
        for number in connection.messages() {
            let sent = &journal.messages[number];
            let latest = if sent.is_in_senders_order() { &in_order } else { &any };
            if let Some(before) = latest.get(&sent.connection).filter(|before| **before > number) {
                return Err(broken("fifo", format!("{} got {number} after {before}", connection.name)));
            }
            let latest = any.entry(sent.connection).or_default();
            *latest = number.max(*latest);
            if sent.is_in_senders_order() {
                in_order.insert(sent.connection, number);
            }
        }
    }
    Ok(())
}

/// The last message heard of each connection.
type Latest = BTreeMap<ConnectionNumber, MessageNumber>;

/// A client gets its own messages to where it is, in order: up to some point at any time, all of them in the end. Reliable and
/// unreliable ones may be ahead of the others.
pub(super) fn own_messages_are_delivered(journal: &Journal, all: bool) -> Verdict {
    for (number, connection) in journal.connections.iter().enumerate() {
        let own = |message: &MessageNumber| journal.messages[*message].connection == number;
        let in_order = |message: &MessageNumber| journal.messages[*message].is_in_senders_order();
        let got: (Vec<_>, Vec<_>) = connection.messages().filter(own).partition(in_order);
        let expected: (Vec<_>, Vec<_>) = expected_of_own(journal, connection).into_iter().partition(in_order);
        for (expected, got) in [(expected.0, got.0), (expected.1, got.1)] {
            let complete = !all || connection.ended || got.len() == expected.len();
            if !expected.starts_with(&got) || !complete {
                let place = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
                let (expected, got) = (expected.get(place), got.get(place));
                let what = format!("{} expects its own {expected:?} and got {got:?}", connection.name);
                return Err(broken("self-delivery", what));
            }
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

/// The same ordered message (causal, agreed or safe) is one event wherever it is got, and so is the same view; with what each
/// client sees in its order, and what it had got before it sent something, that must be without a cycle of any length. To get
/// another message is an event of its own, which only binds what the client sends afterwards.
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

/// Nodes: ordered deliveries by message, then sendings by message, then views and other deliveries as they appear.
struct Graph {
    outgoing: Vec<Vec<usize>>,
    incoming: Vec<u32>,
    views: BTreeMap<(Name, GroupId), usize>,
}

impl Graph {
    fn of(journal: &Journal) -> Graph {
        let nodes = 2 * journal.messages.len();
        let mut graph = Graph { outgoing: vec![Vec::new(); nodes], incoming: vec![0; nodes], views: BTreeMap::new() };
        for connection in &journal.connections {
            graph.add(journal, connection);
        }
        graph
    }

    fn add(&mut self, journal: &Journal, connection: &Connection) {
        let asked = connection.asked.iter().filter_map(|ask| match ask {
            Ask::Send(number) => Some(*number),
            _ => None,
        });
        let mut asked = asked.peekable();
        let (mut shared, mut own): (Option<usize>, Option<usize>) = (None, None);
        let mut entries = connection.entries();
        for place in 0..=connection.got.len() {
            while let Some(number) = asked.next_if(|number| journal.messages[*number].after <= place) {
                let node = journal.messages.len() + number;
                [shared, own].into_iter().flatten().for_each(|before| self.edge(before, node));
                own = Some(node);
                if journal.messages[number].is_ordered() {
                    self.edge(node, number);
                }
            }
            let Some(entry) = entries.next() else { break };
            match entry {
                Entry::Data(number) if !journal.messages[*number].is_ordered() => {
                    let node = self.node();
                    let sending = journal.messages.len() + number;
                    [shared, own, Some(sending)].into_iter().flatten().for_each(|before| self.edge(before, node));
                    own = Some(node);
                }
                Entry::Data(number) => self.share(&mut shared, *number),
                Entry::View(view) => {
                    let node = self.view(view);
                    self.share(&mut shared, node);
                }
                Entry::Transition { .. } | Entry::SelfLeave { .. } => {}
            }
        }
    }

    fn share(&mut self, before: &mut Option<usize>, node: usize) {
        if let Some(before) = before.replace(node) {
            self.edge(before, node);
        }
    }

    fn view(&mut self, view: &View) -> usize {
        if let Some(&node) = self.views.get(&(view.group, view.id)) {
            return node;
        }
        let node = self.node();
        self.views.insert((view.group, view.id), node);
        node
    }

    fn node(&mut self) -> usize {
        self.outgoing.push(Vec::new());
        self.incoming.push(0);
        self.incoming.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.outgoing[from].push(to);
        self.incoming[to] += 1;
    }
}
