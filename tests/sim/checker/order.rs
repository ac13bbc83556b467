//! Rules about order: one order for everything that happens anywhere, causes before effects (1.1, 2.3, 2.4, 4, 5, 6.1, 6.2).
//!
//! Messages of the causal, agreed and safe services are *ordered*. The others have a place in the order of no one, so they bind
//! nobody but their senders (senders.rs) and those who move together.

use std::collections::BTreeMap;

use spread::wire::{DaemonId, RingId};

use super::{Chapter, Stay, Verdict, broken};
use crate::trace::{MessageNumber, Trace};

/// The delivery of an ordered message is one event wherever it happens, and so is a configuration; with the local order of each
/// process and "submitted before delivered" that must be without a cycle of any length, so that one order suits everybody.
///
/// A message that is not ordered may come before messages that its sender had delivered before sending it. So its deliveries are
/// events of their own: they come after what the process has seen in order, and before what it submits then and the next regular
/// configuration.
pub(super) fn everything_has_one_order(trace: &Trace, stays: &[Stay]) -> Verdict {
    let caught = Graph::of(trace, stays).caught();
    if caught.iter().all(|&edges| edges == 0) {
        return Ok(());
    }
    let stuck: Vec<usize> = (0..trace.messages.len()).filter(|&number| caught[number] > 0).take(5).collect();
    Err(broken("6.2", format!("no order suits everybody, for example of messages {stuck:?}")))
}

/// A ring; of a transitional configuration also the next one and its members.
type ConfigurationKey = (RingId, Option<(RingId, Vec<DaemonId>)>);

/// Nodes: ordered deliveries by message, then submissions by message, then configurations and other deliveries as they appear.
struct Graph {
    nodes: usize,
    edges: Vec<(usize, usize)>,
    configurations: BTreeMap<ConfigurationKey, usize>,
}

/// An event of a process.
enum Place {
    /// One event for all processes.
    Shared(usize),
    /// The same, and all that the process did and saw comes before.
    Regular(usize),
    Own(usize),
}

impl Graph {
    fn of(trace: &Trace, stays: &[Stay]) -> Graph {
        let messages = trace.messages.len();
        let mut graph = Graph { nodes: 2 * messages, edges: Vec::new(), configurations: BTreeMap::new() };
        let ordered = (0..messages).filter(|&number| trace.messages[number].is_ordered());
        ordered.for_each(|number| graph.edge(messages + number, number));
        let (mut process, mut shared, mut own) = (None, None, None);
        for stay in stays {
            if process.replace(stay.process) != Some(stay.process) {
                (shared, own) = (None, None);
            }
            for place in graph.places(trace, stay) {
                let (Place::Shared(node) | Place::Regular(node) | Place::Own(node)) = place;
                shared.into_iter().for_each(|before| graph.edge(before, node));
                if !matches!(place, Place::Shared(_)) {
                    own.into_iter().for_each(|before| graph.edge(before, node));
                }
                match place {
                    Place::Shared(node) => shared = Some(node),
                    Place::Regular(node) => (shared, own) = (Some(node), None),
                    Place::Own(node) => own = Some(node),
                }
            }
        }
        graph
    }

    /// What happened in a stay, in order.
    fn places(&mut self, trace: &Trace, stay: &Stay) -> Vec<Place> {
        let messages = trace.messages.len();
        let mut places = vec![Place::Regular(self.configuration((stay.ring(), None)))];
        let mut submitted = stay.submitted.iter().peekable();
        for place in 0..=stay.delivered.len() {
            while let Some((number, _)) = submitted.next_if(|(_, by)| *by <= place) {
                places.push(Place::Own(messages + number));
            }
            if stay.transitional.is_some() && stay.turn() == place {
                let next = stay.next.map(|next| (next, stay.companions().to_vec()));
                places.push(Place::Shared(self.configuration((stay.ring(), next))));
            }
            if let Some(&number) = stay.delivered.get(place) {
                places.push(self.delivery(trace, number));
            }
        }
        places
    }

    fn delivery(&mut self, trace: &Trace, number: MessageNumber) -> Place {
        if trace.messages[number].is_ordered() {
            return Place::Shared(number);
        }
        let node = self.node();
        self.edge(trace.messages.len() + number, node);
        Place::Own(node)
    }

    /// A regular configuration, or the transitional one that leads from it to the next.
    fn configuration(&mut self, key: ConfigurationKey) -> usize {
        if let Some(&node) = self.configurations.get(&key) {
            return node;
        }
        let node = self.node();
        self.configurations.insert(key, node);
        node
    }

    fn node(&mut self) -> usize {
        self.nodes += 1;
        self.nodes - 1
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.edges.push((from, to));
    }

    /// For each node how many edges lead to it from those that are on a cycle or behind one.
    fn caught(&self) -> Vec<u32> {
        let (mut incoming, mut begins) = (vec![0; self.nodes], vec![0; self.nodes + 1]);
        for &(from, to) in &self.edges {
            incoming[to] += 1;
            begins[from] += 1;
        }
        let mut end = 0;
        for begin in &mut begins {
            end += *begin;
            *begin = end;
        }
        // The targets of a node lie together, from where it begins to where the next one does.
        let mut targets = vec![0; self.edges.len()];
        for &(from, to) in &self.edges {
            begins[from] -= 1;
            targets[begins[from]] = to;
        }
        let mut free: Vec<usize> = (0..self.nodes).filter(|&node| incoming[node] == 0).collect();
        while let Some(node) = free.pop() {
            for &next in &targets[begins[node]..begins[node + 1]] {
                incoming[next] -= 1;
                if incoming[next] == 0 {
                    free.push(next);
                }
            }
        }
        incoming
    }
}

/// What one side of a transitional configuration saw: the ordered messages as they came, and which others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deliveries {
    ordered: Vec<MessageNumber>,
    others: Vec<MessageNumber>,
}

impl Deliveries {
    pub(super) fn of(trace: &Trace, delivered: &[MessageNumber]) -> Deliveries {
        let (ordered, mut others): (Vec<_>, Vec<_>) =
            delivered.iter().partition(|&&number| trace.messages[number].is_ordered());
        others.sort_unstable();
        Deliveries { ordered, others }
    }

    /// Where two differ: the first messages of each that do.
    pub(super) fn difference(&self, other: &Deliveries) -> [Option<MessageNumber>; 2] {
        let ordered = difference(&self.ordered, &other.ordered);
        if ordered == [None, None] { difference(&self.others, &other.others) } else { ordered }
    }
}

fn difference(one: &[MessageNumber], other: &[MessageNumber]) -> [Option<MessageNumber>; 2] {
    let place = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    [one, other].map(|list| list.get(place).copied())
}

/// From which configuration to which, and with whom.
type Move<'a> = (RingId, RingId, &'a [DaemonId]);

/// Failure atomicity: who goes from one configuration to the same next one together has delivered the same, on the same side of the
/// transitional configuration, the ordered messages in the same order (4).
pub(super) fn those_who_move_together_deliver_the_same(trace: &Trace, stays: &[Stay]) -> Verdict {
    let mut known: BTreeMap<Move<'_>, (&Stay, [Deliveries; 2])> = BTreeMap::new();
    for stay in stays {
        let Some(next) = stay.next else { continue };
        let (regular, transitional) = stay.delivered.split_at(stay.turn());
        let sides = [regular, transitional].map(|side| Deliveries::of(trace, side));
        let key = (stay.ring(), next, stay.companions());
        let Some((other, before)) = known.get(&key) else {
            known.insert(key, (stay, sides));
            continue;
        };
        for (side, (one, two)) in ["before", "in"].into_iter().zip(before.iter().zip(&sides)) {
            if one != two {
                let what = format!(
                    "{} and {} went from {} to {next} and delivered different messages {side} the transitional \
                     configuration: {:?}",
                    other.daemon,
                    stay.daemon,
                    stay.ring(),
                    one.difference(two),
                );
                return Err(broken("4", what));
            }
        }
    }
    Ok(())
}

/// Whatever a sender had delivered of a configuration when it submitted an ordered message of it, everybody else delivers before
/// that message (5).
pub(super) fn causes_come_first(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    for sender in &chapter.stays {
        for (receiver, stay) in chapter.stays.iter().enumerate() {
            let mut causes = sender.delivered.iter();
            let (mut taken, mut latest) = (0, Some(0));
            for &(number, by) in sender.submitted.iter().filter(|(number, _)| trace.messages[*number].is_ordered()) {
                let Some(place) = chapter.place(receiver, number) else { continue };
                for cause in causes.by_ref().take(by - taken) {
                    let place = chapter.place(receiver, *cause);
                    latest = latest.zip(place).map(|(latest, place)| latest.max(place + 1));
                }
                taken = by;
                if latest.is_none_or(|latest| place < latest) {
                    let what = format!("{} delivered {number} of {} before its causes", stay.daemon, sender.daemon);
                    return Err(broken("5", what));
                }
            }
        }
    }
    Ok(())
}
