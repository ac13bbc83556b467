//! Rules about configurations: identities are unique, members agree on the members, and a transitional configuration holds exactly
//! those who go from one regular configuration to the next together (Totem SRP §4). Apart from them, and each of them alone, go those
//! who promised a message of their own in an exchange that failed.

use std::collections::BTreeMap;

use spread::wire::{DaemonId, RingId};

use super::{Stay, Verdict, broken};

pub(super) fn check(stays: &[Stay]) -> Verdict {
    the_same_everywhere(stays)?;
    rings_only_grow(stays)?;
    stays.iter().try_for_each(companions_come_from_both_sides)?;
    transitional_means_together(stays)
}

/// One identity, one list of members, and each member is in it once, in one life.
fn the_same_everywhere(stays: &[Stay]) -> Verdict {
    let mut known: BTreeMap<RingId, &[DaemonId]> = BTreeMap::new();
    let mut inside: BTreeMap<(RingId, DaemonId), usize> = BTreeMap::new();
    for stay in stays {
        let (daemon, ring, members) = (stay.daemon, stay.ring(), &stay.configuration.members[..]);
        if !members.contains(&daemon) {
            return Err(broken("members", format!("{daemon} is not a member of its configuration {ring}")));
        }
        let before = *known.entry(ring).or_insert(members);
        if before != members {
            return Err(broken("members", format!("{ring} has members {before:?} and {members:?}")));
        }
        if inside.insert((ring, daemon), stay.process).is_some() {
            return Err(broken("members", format!("{daemon} installed {ring} twice")));
        }
    }
    Ok(())
}

/// The rings of a daemon only grow, in one life and from life to life; stays come in the order of lives.
fn rings_only_grow(stays: &[Stay]) -> Verdict {
    let mut highest: BTreeMap<DaemonId, RingId> = BTreeMap::new();
    for stay in stays {
        let (daemon, ring) = (stay.daemon, stay.ring());
        if let Some(before) = highest.insert(daemon, ring).filter(|before| before.sequence >= ring.sequence) {
            return Err(broken("members", format!("{daemon} installed {ring} after {before}")));
        }
    }
    Ok(())
}

fn companions_come_from_both_sides(stay: &Stay) -> Verdict {
    let (daemon, companions) = (stay.daemon, stay.companions());
    let left = companions.iter().all(|member| stay.configuration.members.contains(member));
    let itself = stay.transitional.is_none() || companions.contains(&daemon);
    if left && itself {
        return Ok(());
    }
    Err(broken("transitional", format!("{daemon} left {:?} with {companions:?}", stay.configuration)))
}

/// Those who installed the same next configuration from the same previous one, and nobody else, are companions; all list the same. But
/// whoever promised a message in an exchange that failed goes there without companions.
fn transitional_means_together(stays: &[Stay]) -> Verdict {
    let mut arrivals: BTreeMap<RingId, Vec<&Stay>> = BTreeMap::new();
    for stay in stays {
        arrivals.entry(stay.ring()).or_default().push(stay);
    }
    for stay in stays {
        let Some(next) = stay.next else { continue };
        let told = stay.transitional.as_ref().and_then(|(configuration, _)| configuration.next);
        if told != Some(next) {
            return Err(broken("transitional", format!("{} is in {next}, announced as {told:?}", stay.daemon)));
        }
        let companions = stay.companions();
        let arrived = arrivals.get(&next).expect("this process itself arrived there");
        let members = &arrived[0].configuration.members;
        // Where all of a ring come along, their exchange decides about every message.
        let came = |member: &DaemonId| {
            arrived.iter().any(|other| other.daemon == *member && other.previous == Some(stay.ring()))
        };
        let nobody_doubts = stay.configuration.members.iter().all(came);
        if let Some(stranger) = companions.iter().find(|companion| !members.contains(companion)) {
            let what = format!("{}: {stranger} is no member of the next configuration {next}", stay.daemon);
            return Err(broken("transitional", what));
        }
        for other in arrived {
            let together = other.previous == Some(stay.ring());
            let alone = [companions, others_companions(stays, stay, other)].iter().any(|set| set.len() == 1);
            let apart = alone && !nobody_doubts;
            let expected = together && (!apart || other.daemon == stay.daemon);
            if expected != companions.contains(&other.daemon) {
                let (daemon, ring) = (stay.daemon, stay.ring());
                let from = other.previous;
                let what =
                    format!("{daemon} left {ring} for {next} with {companions:?}; {} came from {from:?}", other.daemon);
                return Err(broken("transitional", what));
            }
        }
    }
    same_companions(stays)
}

/// Whom `other`, who came to the next configuration of `stay`, had with it when it left the one before.
fn others_companions<'a>(stays: &'a [Stay], stay: &Stay, other: &Stay) -> &'a [DaemonId] {
    let left = stays
        .iter()
        .find(|left| left.process == other.process && left.ring() == stay.ring() && left.next == Some(other.ring()));
    left.map_or(&[], Stay::companions)
}

/// All who are not alone list the same.
fn same_companions(stays: &[Stay]) -> Verdict {
    let mut known: BTreeMap<(RingId, RingId), &[DaemonId]> = BTreeMap::new();
    for stay in stays.iter().filter(|stay| stay.companions().len() > 1) {
        let Some(next) = stay.next else { continue };
        let before = *known.entry((stay.ring(), next)).or_insert(stay.companions());
        if before != stay.companions() {
            let what = format!("from {} to {next}: {before:?} and {:?}", stay.ring(), stay.companions());
            return Err(broken("transitional", what));
        }
    }
    Ok(())
}
