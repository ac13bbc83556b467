//! Safe means all (7.1, 7.2): a safe message that anyone delivers is delivered by every member of that configuration, unless it
//! ends; and in a regular configuration only if every member has installed it.

use spread::wire::{DaemonId, Service};

use super::{Chapter, Stay, Verdict, broken};
use crate::trace::{MessageNumber, Trace};

pub(super) fn safe_means_all(trace: &Trace, chapter: &Chapter<'_>) -> Verdict {
    for stay in &chapter.stays {
        for (place, &number) in stay.delivered.iter().enumerate() {
            if trace.messages[number].service < Service::Safe {
                continue;
            }
            let regular = place < stay.turn();
            let members = if regular { &stay.configuration.members } else { stay.companions() };
            for &member in members {
                check_member(chapter, stay, number, member)?;
            }
        }
    }
    Ok(())
}

fn check_member(chapter: &Chapter<'_>, stay: &Stay, number: MessageNumber, member: DaemonId) -> Verdict {
    let (daemon, ring) = (stay.daemon, stay.ring());
    let Some(theirs) = chapter.stays.iter().position(|other| other.daemon == member) else {
        let what = format!("{daemon} delivered safe message {number} in {ring}, which {member} never installed");
        return Err(broken("7.2", what));
    };
    let moved = chapter.stays[theirs].next.is_some();
    if moved && chapter.place(theirs, number).is_none() {
        let what = format!("{daemon} delivered safe message {number} in {ring}; {member} went on without it");
        return Err(broken("7.1", what));
    }
    Ok(())
}
