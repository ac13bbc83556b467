//! A trace cut into stays: what one process saw from one regular configuration to the next (rule 2.2: everything happens in a
//! configuration).

use std::collections::BTreeMap;

use spread::ring::{Configuration, ConfigurationKind};
use spread::wire::{DaemonId, RingId};

use super::{Violation, broken};
use crate::trace::{Event, MessageNumber, ProcessNumber, Trace};

/// One process in one regular configuration, and in the transitional one that follows.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) process: ProcessNumber,
    pub(super) daemon: DaemonId,
    pub(super) configuration: Configuration,
    /// What it delivered, in order.
    pub(super) delivered: Vec<MessageNumber>,
    /// The transitional configuration and how much was delivered before it.
    pub(super) transitional: Option<(Configuration, usize)>,
    /// The next regular configuration.
    pub(super) next: Option<RingId>,
    /// The one before.
    pub(super) previous: Option<RingId>,
    /// What it submitted, and how much it had delivered by then.
    pub(super) submitted: Vec<(MessageNumber, usize)>,
    /// What of it was submitted in the transitional configuration.
    pub(super) submitted_late: Vec<MessageNumber>,
    /// The process ended here.
    pub(super) ended: bool,
}

impl Stay {
    pub(super) fn ring(&self) -> RingId {
        self.configuration.ring
    }

    /// How much was delivered in the regular configuration.
    pub(super) fn turn(&self) -> usize {
        self.transitional.as_ref().map_or(self.delivered.len(), |(_, turn)| *turn)
    }

    /// The members of the transitional configuration.
    pub(super) fn companions(&self) -> &[DaemonId] {
        self.transitional.as_ref().map_or(&[], |(configuration, _)| &configuration.members)
    }

    fn enter(process: ProcessNumber, daemon: DaemonId, configuration: Configuration, previous: Option<RingId>) -> Stay {
        let (delivered, submitted, submitted_late) = (Vec::new(), Vec::new(), Vec::new());
        let (transitional, next, ended) = (None, None, false);
        Stay {
            process,
            daemon,
            configuration,
            delivered,
            transitional,
            next,
            previous,
            submitted,
            submitted_late,
            ended,
        }
    }
}

/// All stays, process by process, in order.
pub(super) fn stays(trace: &Trace) -> Result<Vec<Stay>, Violation> {
    let mut stays = Vec::new();
    for (number, process) in trace.processes.iter().enumerate() {
        let begin = stays.len();
        for event in &process.events {
            let stay = stays[begin..].last_mut();
            match event {
                Event::Configuration(configuration) => {
                    let next = change(number, process.daemon, stay, configuration)?;
                    stays.extend(next);
                }
                _ => advance(process.daemon, stay, event)?,
            }
        }
        if let Some(stay) = stays[begin..].last_mut() {
            stay.ended = process.ended;
        }
    }
    Ok(stays)
}

/// A submission or a delivery.
fn advance(daemon: DaemonId, stay: Option<&mut Stay>, event: &Event) -> Result<(), Violation> {
    match (event, stay) {
        (Event::Submit(number), Some(stay)) => {
            stay.submitted.push((*number, stay.delivered.len()));
            stay.submitted_late.extend(stay.transitional.as_ref().map(|_| *number));
        }
        (Event::Deliver(number), Some(stay)) => stay.delivered.push(*number),
        (Event::Deliver(_), None) => {
            return Err(broken("2.2", format!("{daemon}: delivery before the first configuration: {event:?}")));
        }
        (Event::Submit(_), None) | (Event::Configuration(_), _) => {}
    }
    Ok(())
}

/// A configuration, and the stay that begins with it.
fn change(
    process: ProcessNumber,
    daemon: DaemonId,
    stay: Option<&mut Stay>,
    configuration: &Configuration,
) -> Result<Option<Stay>, Violation> {
    let wrong = |what: &str| Err(broken("2.2", format!("{daemon}: {what}: {configuration:?}")));
    let regular = configuration.kind == ConfigurationKind::Regular;
    match stay {
        None if regular => Ok(Some(Stay::enter(process, daemon, configuration.clone(), None))),
        None => wrong("a transitional configuration comes first"),
        Some(stay) if regular && stay.transitional.is_none() => {
            wrong("no transitional configuration between two regular ones")
        }
        Some(stay) if regular => {
            stay.next = Some(configuration.ring);
            Ok(Some(Stay::enter(process, daemon, configuration.clone(), Some(stay.ring()))))
        }
        Some(stay) if stay.transitional.is_some() || configuration.ring != stay.ring() => {
            wrong("a transitional configuration that does not follow its regular one")
        }
        Some(stay) => {
            stay.transitional = Some((configuration.clone(), stay.delivered.len()));
            Ok(None)
        }
    }
}

/// Everything about one regular configuration: who stayed in it, and its messages.
#[derive(Debug)]
pub(super) struct Chapter<'a> {
    pub(super) stays: Vec<&'a Stay>,
    /// Its messages, in the order of their numbers.
    pub(super) messages: Vec<MessageNumber>,
    /// For each stay: the place of each message in what was delivered, by how much its number is above that of the first.
    places: Vec<Vec<u32>>,
}

/// The place of what was not delivered.
const NOWHERE: u32 = u32::MAX;

impl Chapter<'_> {
    /// Where a stay delivered a message, if it did.
    pub(super) fn place(&self, stay: usize, message: MessageNumber) -> Option<usize> {
        let index = message.checked_sub(*self.messages.first()?)?;
        self.places[stay].get(index).filter(|&&place| place != NOWHERE).map(|&place| place as usize)
    }
}

/// Groups stays by configuration. Every message must belong to one configuration (rule 1.3).
pub(super) fn chapters<'a>(trace: &Trace, stays: &'a [Stay]) -> Result<Vec<Chapter<'a>>, Violation> {
    let mut homes: Vec<Option<RingId>> = vec![None; trace.messages.len()];
    let mut chapters: BTreeMap<RingId, Chapter<'_>> = BTreeMap::new();
    for stay in stays {
        let empty = || Chapter { stays: Vec::new(), messages: Vec::new(), places: Vec::new() };
        let chapter = chapters.entry(stay.ring()).or_insert_with(empty);
        chapter.stays.push(stay);
        for &number in &stay.delivered {
            match homes[number].replace(stay.ring()) {
                None => chapter.messages.push(number),
                Some(home) if home == stay.ring() => {}
                Some(home) => {
                    let ring = stay.ring();
                    return Err(broken("1.3", format!("message {number} was delivered in {home} and in {ring}")));
                }
            }
        }
    }
    let mut chapters: Vec<Chapter<'_>> = chapters.into_values().collect();
    chapters.iter_mut().for_each(record_places);
    Ok(chapters)
}

fn record_places(chapter: &mut Chapter<'_>) {
    chapter.messages.sort_unstable();
    let (first, last) = (chapter.messages.first().unwrap_or(&0), chapter.messages.last().unwrap_or(&0));
    for stay in &chapter.stays {
        let mut places = vec![NOWHERE; last - first + 1];
        for (place, number) in stay.delivered.iter().enumerate() {
            places[number - first] = place as u32;
        }
        chapter.places.push(places);
    }
}
