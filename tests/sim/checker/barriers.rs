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
    let (mine, theirs) = (sections(trace, chapter, one, other), sections(trace, chapter, other, one));
    let differs = mine.iter().zip(&theirs).find(|(mine, theirs)| mine != theirs);
    match differs {
        None => Ok(()),
        Some(((number, mine), (_, theirs))) => {
            let (one, other) = (chapter.stays[one].daemon, chapter.stays[other].daemon);
            let what = format!("{one} delivered {number} after barrier {mine:?}, {other} after {theirs:?}");
            Err(broken("barrier", what))
        }
    }
}

/// The messages that both delivered, by number, each with the last barrier that `stay` delivered before and `other` knows too.
fn sections(
    trace: &Trace,
    chapter: &Chapter<'_>,
    stay: usize,
    other: usize,
) -> Vec<(MessageNumber, Option<MessageNumber>)> {
    let mut last = None;
    let mut sections = Vec::new();
    for &number in chapter.stays[stay].delivered.iter().filter(|&&number| chapter.place(other, number).is_some()) {
        sections.push((number, last));
        if trace.messages[number].barrier {
            last = Some(number);
        }
    }
    sections.sort_unstable();
    sections
}
