//! Rules about what is heard of one sender. Messages that are fifo or stronger keep their order. Reliable and unreliable ones keep
//! theirs, and may overtake the others, but are not overtaken.

use super::{Chapter, Stay, Verdict, broken};
use crate::trace::{Event, MessageNumber, Trace};

/// The last messages heard of a sender.
#[derive(Clone, Default)]
struct Latest {
    any: Option<MessageNumber>,
    in_order: Option<MessageNumber>,
}

/// In a whole life, nobody hears a message of a sender after one that the sender submitted later and that may not overtake it.
pub(super) fn senders_are_heard_in_order_across_configurations(trace: &Trace) -> Verdict {
    for process in &trace.processes {
        let mut heard = vec![Latest::default(); trace.processes.len()];
        for event in &process.events {
            let Event::Deliver(number) = *event else { continue };
            let sent = &trace.messages[number];
            if sent.first {
                continue;
            }
            let latest = &mut heard[sent.process];
            let before = if sent.is_in_senders_order() { latest.in_order } else { latest.any };
            if let Some(before) = before.filter(|before| *before > number) {
                return Err(broken("fifo", format!("{} delivered {number} after {before}", process.daemon)));
            }
            latest.any = latest.any.max(Some(number));
            if sent.is_in_senders_order() {
                latest.in_order = Some(number);
            }
        }
    }
    Ok(())
}

/// A sender's messages in a configuration, by what may overtake: those in its order, and the others.
type Queues<T> = [T; 2];

/// Of each sender's messages in a configuration everyone delivers the first so many of either kind, and before one of the first
/// kind all of the second kind that were submitted before it. Answers to a configuration go before all others of their sender.
pub(super) fn each_sender_is_heard_in_order(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    let kind = |number: MessageNumber| usize::from(!trace.messages[number].is_in_senders_order());
    let mut sent: Vec<Queues<Vec<MessageNumber>>> = vec![Default::default(); trace.processes.len()];
    for &number in chapter.messages.iter().filter(|&&number| !trace.messages[number].first) {
        sent[trace.messages[number].process][kind(number)].push(number);
    }
    for stay in &chapter.stays {
        let mut heard: Vec<Queues<usize>> = vec![[0; 2]; trace.processes.len()];
        for &number in &stay.delivered {
            let sender = trace.messages[number].process;
            let wrong = |what: &str| Err(broken("fifo", format!("{} delivered {number} {what}", stay.daemon)));
            if trace.messages[number].first {
                if !chapter.stays.iter().any(|stay| stay.process == sender && is_answer(stay, number)) {
                    return wrong("in another configuration than it answers");
                }
                if heard[sender] != [0; 2] {
                    return wrong("behind other messages of its sender, which it should precede");
                }
                continue;
            }
            let places = &mut heard[sender];
            let expected = [0, 1].map(|kind| sent[sender][kind].get(places[kind]).copied());
            if expected[kind(number)] != Some(number) || expected[1].is_some_and(|other| other < number) {
                return wrong(&format!("before {expected:?}"));
            }
            places[kind(number)] += 1;
        }
    }
    Ok(())
}

/// Whether a message was submitted in answer to the configuration of this stay.
fn is_answer(stay: &Stay, number: MessageNumber) -> bool {
    stay.submitted.first().is_some_and(|(first, _)| *first == number)
}
