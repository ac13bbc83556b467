//! What must be true when all faults are over for long enough (2.1, liveness), and when no fault ever parted two daemons (masking).

use std::collections::BTreeMap;

use spread::wire::DaemonId;

use super::order::Deliveries;
use super::{Stay, Verdict, broken};
use crate::trace::{Event, ProcessNumber, Trace};

/// The last stay of each living process.
fn last_stays<'a>(trace: &Trace, stays: &'a [Stay]) -> BTreeMap<ProcessNumber, &'a Stay> {
    let living = stays.iter().filter(|stay| !trace.processes[stay.process].ended);
    living.map(|stay| (stay.process, stay)).collect()
}

/// The living share one configuration, which has no other members, and have delivered the same in it.
pub(super) fn the_living_are_together(trace: &Trace, stays: &[Stay]) -> Verdict {
    let last = last_stays(trace, stays);
    let Some(first) = last.values().next() else { return Ok(()) };
    let common = Deliveries::of(trace, &first.delivered);
    for (number, process) in trace.processes.iter().enumerate().filter(|(_, process)| !process.ended) {
        let Some(stay) = last.get(&number) else {
            return Err(broken("2.1", format!("{} has no configuration", process.daemon)));
        };
        if stay.configuration != first.configuration {
            let what = format!(
                "{} is in {:?}, {} in {:?}",
                first.daemon, first.configuration, stay.daemon, stay.configuration
            );
            return Err(broken("2.1", what));
        }
        let delivered = Deliveries::of(trace, &stay.delivered);
        if delivered != common {
            let differs = delivered.difference(&common);
            return Err(broken(
                "2.1",
                format!("{} and {} delivered differently: {differs:?}", stay.daemon, first.daemon),
            ));
        }
    }
    let members = first.configuration.members.len();
    if members != last.len() {
        return Err(broken("2.1", format!("{members} members, but {} live", last.len())));
    }
    Ok(())
}

/// What a living process submitted was delivered, by itself at least. The answer to a configuration is for that one only.
pub(super) fn every_accepted_message_was_delivered(trace: &Trace) -> Verdict {
    let mut waiting = vec![None; trace.messages.len()];
    for process in trace.processes.iter().filter(|process| !process.ended) {
        for event in &process.events {
            match event {
                Event::Submit(number) => waiting[*number] = Some(process.daemon),
                Event::Deliver(number) => waiting[*number] = None,
                Event::Configuration(_) => {
                    let answer = |(number, waits): (usize, &mut Option<_>)| {
                        if *waits == Some(process.daemon) && trace.messages[number].first {
                            *waits = None;
                        }
                    };
                    waiting.iter_mut().enumerate().for_each(answer);
                }
            }
        }
    }
    match waiting.iter().enumerate().find_map(|(number, daemon)| Some((number, daemon.as_ref()?))) {
        Some((number, daemon)) => Err(broken("liveness", format!("message {number} of {daemon} was never delivered"))),
        None => Ok(()),
    }
}

/// Once all processes were in one configuration nobody leaves it.
pub(super) fn the_first_common_configuration_stays(trace: &Trace, stays: &[Stay]) -> Verdict {
    let whole = |stay: &&Stay| stay.configuration.members.len() == trace.processes.len();
    match stays.iter().find(whole) {
        None => Err(broken("masking", "there never was a common configuration".into())),
        Some(first) => match stays.iter().filter(whole).find(|stay| stay.next.is_some()) {
            Some(stay) => {
                let what = format!("{} left {} for {:?}", stay.daemon, first.ring(), stay.next);
                Err(broken("masking", what))
            }
            None => Ok(()),
        },
    }
}

/// None of them is ever in a configuration without another of them, once it was in one with all.
pub(super) fn they_stay_together(stays: &[Stay], awake: &[DaemonId]) -> Verdict {
    for &daemon in awake {
        let own = stays.iter().filter(|stay| stay.daemon == daemon);
        let with_all = |stay: &&Stay| awake.iter().all(|other| stay.configuration.members.contains(other));
        if let Some(alone) = own.skip_while(|stay| !with_all(stay)).find(|stay| !with_all(stay)) {
            let what = format!("{daemon}, which could talk to {awake:?} all the time, is in {:?}", alone.configuration);
            return Err(broken("masking", what));
        }
    }
    Ok(())
}

/// Everything of the common configuration was delivered to everyone.
pub(super) fn everyone_delivered_everything(trace: &Trace, stays: &[Stay]) -> Verdict {
    the_living_are_together(trace, stays)?;
    every_accepted_message_was_delivered(trace)
}
