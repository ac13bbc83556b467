//! Rules about single messages: sent before delivered, once, and to oneself (1.3, 1.4, 3).

use super::{Chapter, Verdict, broken};
use crate::trace::{Event, Trace};

/// What comes out was put in, unaltered (1.3).
pub(super) fn nothing_is_forged(trace: &Trace) -> Verdict {
    trace.forged.first().map_or(Ok(()), |what| Err(broken("1.3", what.clone())))
}

/// No process delivers a message twice, not even in two configurations (1.4).
pub(super) fn nothing_is_delivered_twice(trace: &Trace) -> Verdict {
    for process in &trace.processes {
        let mut seen = vec![false; trace.messages.len()];
        for event in &process.events {
            if let Event::Deliver(number) = event
                && std::mem::replace(&mut seen[*number], true)
            {
                return Err(broken("1.4", format!("{} delivered message {number} twice", process.daemon)));
            }
        }
    }
    Ok(())
}

/// No message is of a configuration that had only its transitional one left when it was submitted (Totem SRP §4).
pub(super) fn nothing_is_originated_in_transition(chapter: &Chapter<'_>) -> Verdict {
    for stay in &chapter.stays {
        if let Some(number) = stay.submitted_late.iter().find(|number| chapter.messages.binary_search(number).is_ok()) {
            let what = format!("{} sent {number} when it had begun to leave {}", stay.daemon, stay.ring());
            return Err(broken("transitional", what));
        }
    }
    Ok(())
}

/// A message that anybody delivers is delivered by its sender too, in the same configuration, unless the sender ends there (3).
pub(super) fn own_messages_are_delivered(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    for &number in &chapter.messages {
        let sender = trace.messages[number].process;
        let Some(stay) = chapter.stays.iter().position(|stay| stay.process == sender) else {
            let ring = chapter.stays[0].ring();
            return Err(broken("1.3", format!("message {number} was delivered in {ring}, where its sender never was")));
        };
        if chapter.stays[stay].next.is_some() && chapter.place(stay, number).is_none() {
            let (daemon, ring) = (chapter.stays[stay].daemon, chapter.stays[stay].ring());
            return Err(broken("3", format!("{daemon} did not deliver its own message {number} in {ring}")));
        }
    }
    Ok(())
}
