//! Rules about order: one order for everything that happens anywhere, each sender in its order, causes before effects (1.1, 2.3, 2.4,
//! 4, 5, 6.1, 6.2).

use std::collections::BTreeMap;

use spread::wire::RingId;

use super::{Chapter, Stay, Verdict, broken};
use crate::trace::{Event, MessageNumber, Trace};

/// The same message is one event wherever it is delivered, and so is the same configuration; with the local order of each process
/// and "submitted before delivered" that must be without a cycle of any length, so that one order suits everybody.
pub(super) fn everything_has_one_order(trace: &Trace, stays: &[Stay]) -> Verdict {
    let mut graph = Graph::of(trace, stays);
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
    let stuck = (0..trace.messages.len()).filter(|&number| graph.incoming[number] > 0).take(5);
    let stuck: Vec<usize> = stuck.collect();
    if done == graph.incoming.len() {
        return Ok(());
    }
    Err(broken("6.2", format!("no order suits everybody, for example of messages {stuck:?}")))
}

/// Nodes: deliveries by message, then submissions by message, then configurations.
struct Graph {
    outgoing: Vec<Vec<usize>>,
    incoming: Vec<u32>,
    configurations: BTreeMap<(RingId, Option<RingId>), usize>,
}

impl Graph {
    fn of(trace: &Trace, stays: &[Stay]) -> Graph {
        let messages = trace.messages.len();
        let nodes = 2 * messages;
        let mut graph =
            Graph { outgoing: vec![Vec::new(); nodes], incoming: vec![0; nodes], configurations: BTreeMap::new() };
        (0..messages).for_each(|number| graph.edge(messages + number, number));
        let mut before: Option<(usize, usize)> = None;
        for stay in stays {
            for node in graph.nodes(messages, stay) {
                if let Some((_, last)) = before.filter(|(process, _)| *process == stay.process) {
                    graph.edge(last, node);
                }
                before = Some((stay.process, node));
            }
        }
        graph
    }

    /// What happened in a stay, in order.
    fn nodes(&mut self, messages: usize, stay: &Stay) -> Vec<usize> {
        let mut nodes = vec![self.configuration(stay.ring(), None)];
        let mut submitted = stay.submitted.iter().peekable();
        for (place, &delivered) in stay.delivered.iter().enumerate() {
            while let Some((number, _)) = submitted.next_if(|(_, by)| *by <= place) {
                nodes.push(messages + number);
            }
            if stay.transitional.is_some() && stay.turn() == place {
                nodes.push(self.configuration(stay.ring(), stay.next));
            }
            nodes.push(delivered);
        }
        nodes.extend(submitted.map(|(number, _)| messages + number));
        if stay.transitional.is_some() && stay.turn() == stay.delivered.len() {
            nodes.push(self.configuration(stay.ring(), stay.next));
        }
        nodes
    }

    /// A regular configuration, or the transitional one that leads from it to the next.
    fn configuration(&mut self, ring: RingId, next: Option<RingId>) -> usize {
        let new = self.incoming.len();
        let node = *self.configurations.entry((ring, next)).or_insert(new);
        if node == new {
            self.outgoing.push(Vec::new());
            self.incoming.push(0);
        }
        node
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.outgoing[from].push(to);
        self.incoming[to] += 1;
    }
}

/// Failure atomicity: who goes from one configuration to the same next one has delivered the same in the same order, with the
/// transitional configuration at the same place (4).
pub(super) fn those_who_move_together_deliver_the_same(stays: &[Stay]) -> Verdict {
    let mut known: BTreeMap<(RingId, RingId), &Stay> = BTreeMap::new();
    for stay in stays {
        let Some(next) = stay.next else { continue };
        let other = *known.entry((stay.ring(), next)).or_insert(stay);
        if (other.turn(), &other.delivered) != (stay.turn(), &stay.delivered) {
            let place = other.delivered.iter().zip(&stay.delivered).take_while(|(a, b)| a == b).count();
            let what = format!(
                "{} and {} went from {} to {next} and delivered {} and {} messages, {} and {} of them before the transitional \
                 configuration; they differ from place {place} on: {:?} and {:?}",
                other.daemon,
                stay.daemon,
                stay.ring(),
                other.delivered.len(),
                stay.delivered.len(),
                other.turn(),
                stay.turn(),
                other.delivered.get(place),
                stay.delivered.get(place),
            );
            return Err(broken("4", what));
        }
    }
    Ok(())
}

/// In a whole life, nobody hears a message of a sender after one that the sender submitted later.
pub(super) fn senders_are_heard_in_order_across_configurations(trace: &Trace) -> Verdict {
    for process in &trace.processes {
        let mut latest: BTreeMap<usize, MessageNumber> = BTreeMap::new();
        for event in &process.events {
            let Event::Deliver(number) = *event else { continue };
            let sent = &trace.messages[number];
            if sent.first {
                continue;
            }
            if let Some(before) = latest.insert(sent.process, number).filter(|before| *before > number) {
                return Err(broken("fifo", format!("{} delivered {number} after {before}", process.daemon)));
            }
        }
    }
    Ok(())
}

/// Of each sender's messages in a configuration everyone delivers the first so many, in the order of submission. Answers to a
/// configuration go before all others of their sender.
pub(super) fn each_sender_is_heard_in_order(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    let mut sent: BTreeMap<usize, Vec<MessageNumber>> = BTreeMap::new();
    for &number in chapter.messages.iter().filter(|&&number| !trace.messages[number].first) {
        sent.entry(trace.messages[number].process).or_default().push(number);
    }
    for stay in &chapter.stays {
        let mut heard: BTreeMap<usize, usize> = BTreeMap::new();
        for &number in &stay.delivered {
            let sender = trace.messages[number].process;
            let wrong = |what: &str| Err(broken("fifo", format!("{} delivered {number} {what}", stay.daemon)));
            if trace.messages[number].first {
                let answers_this = chapter.stays.iter().any(|s| s.process == sender && is_answer(s, number));
                if !answers_this {
                    return wrong("in another configuration than it answers");
                }
                if heard.contains_key(&sender) {
                    return wrong("behind other messages of its sender, which it should precede");
                }
                continue;
            }
            let place = heard.entry(sender).or_default();
            if sent[&sender][*place] != number {
                return wrong(&format!("instead of {}", sent[&sender][*place]));
            }
            *place += 1;
        }
    }
    Ok(())
}

/// Whether a message was submitted in answer to the configuration of this stay.
fn is_answer(stay: &Stay, number: MessageNumber) -> bool {
    stay.submitted.first().is_some_and(|(first, _)| *first == number)
}

/// Whatever a sender had delivered of a configuration when it submitted a message of it, everybody else delivers before that message (5).
pub(super) fn causes_come_first(chapter: &Chapter<'_>) -> Verdict {
    for sender in &chapter.stays {
        for (receiver, stay) in chapter.stays.iter().enumerate() {
            let mut causes = sender.delivered.iter();
            let (mut taken, mut latest) = (0, Some(0));
            for &(number, by) in &sender.submitted {
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
