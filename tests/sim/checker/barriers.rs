//! No message overtakes a barrier, whatever its service: two who deliver both a barrier and a message deliver them in the same order.
//! So a change of groups divides the messages at the same place everywhere.

use super::{Chapter, Verdict, broken};
use crate::trace::{MessageNumber, Trace};

pub(super) fn nothing_overtakes_a_barrier(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    for one in 0..chapter.stays.len() {
        for other in 0..one {
            compare(trace, chapter, one, other)?;
        }
    }
    Ok(())
}

fn compare(trace: &Trace, chapter: &Chapter<'_>, one: usize, other: usize) -> Verdict {
    let mut theirs = vec![None; chapter.stays[one].delivered.len()];
    for common in commons(trace, chapter, (other, one)) {
        theirs[common.there] = common.barrier;
    }
    for Common { number, here, barrier, .. } in commons(trace, chapter, (one, other)) {
        if barrier != theirs[here] {
            let (one, other, theirs) = (chapter.stays[one].daemon, chapter.stays[other].daemon, theirs[here]);
            let what = format!("{one} delivered {number} after barrier {barrier:?}, {other} after {theirs:?}");
            return Err(broken("barrier", what));
        }
    }
    Ok(())
}

/// A message that two stays delivered.
struct Common {
    number: MessageNumber,
    /// Its places among what each delivered.
    here: usize,
    there: usize,
    /// The last barrier before it here that was delivered there too.
    barrier: Option<MessageNumber>,
}

/// What two stays delivered, in the order of the first.
fn commons(trace: &Trace, chapter: &Chapter<'_>, between: (usize, usize)) -> impl Iterator<Item = Common> {
    let (one, other) = between;
    let delivered = chapter.stays[one].delivered.iter().enumerate();
    let places = delivered.filter_map(move |(here, &number)| Some((number, here, chapter.place(other, number)?)));
    places.scan(None, |last, (number, here, there)| {
        let barrier = if trace.messages[number].barrier { last.replace(number) } else { *last };
        Some(Common { number, here, there, barrier })
    })
}
