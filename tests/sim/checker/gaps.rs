//! Ordered deliveries have no holes (6.3): who delivers a message has delivered everything that anybody delivered before it, unless
//! the sender of what is missing is not in the configuration of the delivery.
//!
//! Numbers have no holes, so this is said of messages with a number. One that has none is known only to those who leave its ring
//! together with its sender; they all deliver it.

use super::{Chapter, Stay, Verdict, broken};
use crate::trace::{MessageNumber, Trace};

pub(super) fn there_are_no_holes(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    for other in &chapter.stays {
        let ordered = other.delivered.iter().copied().filter(|&number| trace.messages[number].is_ordered());
        let ordered: Vec<MessageNumber> = ordered.collect();
        for receiver in 0..chapter.stays.len() {
            compare(trace, chapter, receiver, (other, &ordered))?;
        }
    }
    Ok(())
}

/// What `other` delivered in order before something that the receiver delivered too.
fn compare(trace: &Trace, chapter: &Chapter<'_>, receiver: usize, theirs: (&Stay, &[MessageNumber])) -> Verdict {
    let (other, ordered) = theirs;
    let stay = chapter.stays[receiver];
    let (mut common_regular, mut common) = (0, 0);
    for (place, &number) in ordered.iter().enumerate() {
        match chapter.place(receiver, number) {
            Some(mine) if mine < stay.turn() => common_regular = place,
            Some(_) => common = place,
            None => {}
        }
    }
    for (place, &number) in ordered.iter().enumerate().take(common.max(common_regular)) {
        let sender = trace.processes[trace.messages[number].process].daemon;
        let has_number = !trace.claimed.contains(&number);
        let needed = place < common_regular && has_number || stay.companions().contains(&sender);
        if needed && chapter.place(receiver, number).is_none() {
            let (daemon, ring, has) = (stay.daemon, stay.ring(), other.daemon);
            return Err(broken("6.3", format!("{daemon} has a hole in {ring}: message {number} that {has} delivered")));
        }
    }
    Ok(())
}
