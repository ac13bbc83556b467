//! Histories in which a second host runs as one of the daemons for a while: a machine that was cloned.
//!
//! The other daemons stay together. When they have had time to find out, they go on with the host that has the smaller life, and nothing
//! changes any more for anybody: the second one stays out.

use spread::time::Duration;
use spread::wire::DaemonId;

use crate::actor::RingDaemon;
use crate::checker::{Verdict, Violation, broken, check_awake, check_quiescence, check_safety};
use crate::faults::{Plan, TwinPlan};
use crate::trace::ProcessNumber;
use crate::world::World;
use crate::{HEAL_BOUND, drain};

/// How long the daemons may take until they go on with one of the two. Nearly always it takes less than 2 s.
const SETTLING: Duration = Duration::from_secs(6);

/// Plays and checks one.
pub fn history(plan: &Plan, world: &mut World<RingDaemon>, twin: &TwinPlan) -> Result<Duration, Violation> {
    // Not longer: with a second host the ring is never whole.
    world.run_until_whole(twin.begin.since(world.now()));
    let healing = world.now().since(spread::time::Instant::ZERO);
    world.run((twin.begin + SETTLING).min(twin.end).since(world.now()));
    if twin.end.since(twin.begin) > SETTLING {
        stays_out(world, twin)?;
    }
    world.run(twin.end.since(world.now()));
    world.run(plan.end().since(world.now()));
    world.run_until_whole(HEAL_BOUND);
    drain(world);
    let others: Vec<DaemonId> =
        (1..=plan.daemons as u32).map(DaemonId).filter(|id| id.0 as usize != twin.of + 1).collect();
    check_awake(&world.trace, &others)?;
    check_quiescence(&world.trace)?;
    check_strangers(world)?;
    Ok(healing)
}

/// From now on to the end of the second host the others are in one configuration with the one that is heard, and the other one is in one of
/// its own.
fn stays_out(world: &mut World<RingDaemon>, twin: &TwinPlan) -> Verdict {
    let second = world.twin.expect("it runs").process;
    let living = world.living();
    let original = living[&twin.of];
    let (heard, out) = if twin.life > 1 { (original, second) } else { (second, original) };
    let ring: Vec<ProcessNumber> =
        living.values().copied().filter(|&process| process != original).chain([heard]).collect();
    let first = world.trace.current(ring[0]).cloned();
    let whole = first.as_ref().is_some_and(|first| first.members.len() == world.daemons());
    if !whole || ring.iter().any(|&process| world.trace.current(process) != first.as_ref()) {
        let seen: Vec<_> =
            ring.iter().map(|&process| world.trace.current(process).map(|c| (c.ring, &c.members))).collect();
        return Err(broken("clones", format!("{SETTLING:?} after the second host came they are in {seen:?}")));
    }
    let changes = |world: &World<RingDaemon>| -> Vec<usize> {
        ring.iter().chain([&out]).map(|&process| world.trace.processes[process].configurations()).collect()
    };
    let before = changes(world);
    world.run(twin.end.since(world.now()).saturating_sub(Duration::from_millis(1)));
    let after = changes(world);
    if before != after {
        return Err(broken(
            "clones",
            format!("configurations of {ring:?} and {out}, which is out: {before:?}, then {after:?}"),
        ));
    }
    Ok(())
}

/// All rules of safety, if the second host never was in a configuration with others. Otherwise it was that daemon for a moment, and the rules
/// know no daemon that is two.
fn check_strangers(world: &mut World<RingDaemon>) -> Verdict {
    let second = world.twin.expect("it ran").process;
    if world.trace.processes[second].largest() > 1 {
        return Ok(());
    }
    let events = std::mem::take(&mut world.trace.processes[second].events);
    let verdict = check_safety(&world.trace);
    world.trace.processes[second].events = events;
    verdict
}
