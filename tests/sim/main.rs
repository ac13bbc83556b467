//! The simulator: whole daemons on simulated networks with faults, in virtual time, and a checker that knows extended virtual
//! synchrony but not the code. One `u64` is one history.
//!
//!     TORC_SIM_SEEDS=1000 cargo test --test sim          seeds 0 to 999; `A..B` for a range
//!     TORC_SIM_SECONDS=60 …                              as many of them as can be played in that time
//!     TORC_SIM_PROGRESS=1 …                              a line every minute; SIGTERM ends the run with its report
//!     TORC_SIM_SEED=7 cargo test --test sim NAME -- --nocapture      one history again, with everything that happens
//!     TORC_SIM_DAEMONS=5 …                               so many daemons in every history, instead of 2 to 6
//!     TORC_SIM_LOG=datagrams …                           and every datagram

mod actor;
mod changes;
mod checker;
mod clients;
mod faults;
mod forger;
mod hostile;
mod links;
mod noise;
mod queue;
mod scenarios;
mod seeds;
mod services;
mod tables;
mod tally;
mod trace;
mod twin;
mod world;

use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Service};

use actor::{Actor, RingDaemon};
use checker::{Violation, check_awake, check_masking, check_quiescence, check_safety};
use faults::{Plan, end_faults};
use seeds::{Outcome, play};
use world::{Action, Log, World};

/// How long after the last fault all daemons must share one configuration. The longest pause that a daemon makes before it tries
/// again to merge with one that it could hear but not agree with is 30 s.
pub const HEAL_BOUND: Duration = Duration::from_secs(35);
/// How long a whole ring that still has something to deliver may deliver nothing. How long it takes to deliver all of it is a matter
/// of backlog and window, and no promise.
pub const STALL_BOUND: Duration = Duration::from_secs(10);
/// How long the ring is watched afterwards: nothing may change any more.
pub const WATCH: Duration = Duration::from_secs(2);

#[test]
fn seeds_keep_extended_virtual_synchrony() {
    play("seeds_keep_extended_virtual_synchrony", history);
}

#[test]
fn a_way_through_one_other_daemon_is_enough() {
    play("a_way_through_one_other_daemon_is_enough", masked_history);
}

/// Messages were sent at the late end of a fault, and judged though the last of them were under way: the farewells, which had been sent
/// before, were through.
#[test]
fn what_is_sent_last_has_its_time_too() {
    let plan = Plan::draw_awake(20_258_180);
    masked(&plan, &mut plan.world(Log::Nothing)).map(drop).unwrap_or_else(|violation| panic!("{violation}"));
}

/// It has keys, and must be greeted through daemons at other sites, as nobody else is at its own.
#[test]
fn a_cloned_machine_that_is_alone_at_its_site_finds_out_too() {
    masked_history(100_185, Log::Nothing).map(drop).unwrap_or_else(|violation| panic!("{violation}"));
}

fn masked_history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    let plan = Plan::draw_masked(seed);
    let mut world = plan.world(log);
    let healing = masked(&plan, &mut world)?;
    let simulated = world.now().since(Instant::ZERO);
    Ok(Outcome { digest: world.trace.digest(), tally: world.tally(), simulated, healing })
}

fn history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    played(&Plan::draw(seed), log)
}

/// What comes of a plan.
pub fn played(plan: &Plan, log: Log) -> Result<Outcome, Violation> {
    let mut world = plan.world(log);
    let healing = if plan.masked { masked(plan, &mut world)? } else { anything_goes(plan, &mut world)? };
    let simulated = world.now().since(Instant::ZERO);
    Ok(Outcome { digest: world.trace.digest(), tally: world.tally(), simulated, healing })
}

fn masked(plan: &Plan, world: &mut World<RingDaemon>) -> Result<Duration, Violation> {
    if let Some(twin) = &plan.twin {
        return twin::history(plan, world, twin);
    }
    world.run_until_whole(HEAL_BOUND);
    let healing = world.now().since(Instant::ZERO);
    world.run(plan.span);
    world.run(plan.end().since(world.now()));
    drain(world);
    check_safety(&world.trace)?;
    match plan.sleeper {
        Some(sleeper) => check_sleeper(plan, world, sleeper)?,
        None => check_masking(&world.trace)?,
    }
    nothing_true_is_taken_for_forged(world)?;
    Ok(healing)
}

fn anything_goes(plan: &Plan, world: &mut World<RingDaemon>) -> Result<Duration, Violation> {
    world.run(plan.span);
    world.run(Duration::from_secs(4));
    world.run(plan.end().since(world.now()));
    check_safety(&world.trace)?;
    end_faults(world, &plan.calm());
    let begin = world.now();
    world.run_until_whole(HEAL_BOUND);
    let healing = world.now().since(begin);
    drain(world);
    check_safety(&world.trace)?;
    check_quiescence(&world.trace)?;
    nothing_true_is_taken_for_forged(world)?;
    Ok(healing)
}

/// What daemons say, and say again late, is what can have happened.
fn nothing_true_is_taken_for_forged(world: &World<RingDaemon>) -> checker::Verdict {
    for daemon in world.living().into_keys() {
        let dropped = &world.actor(daemon).stats().dropped;
        let believed = [dropped.impossible_token, dropped.impossible_data, dropped.contradictions];
        let heard = [dropped.impossible_join, dropped.impossible_probe];
        if believed.iter().chain(&heard).any(|&count| count > 0) {
            return Err(checker::broken("belief", format!("daemon {} drops what is true: {dropped:?}", daemon + 1)));
        }
    }
    Ok(())
}

/// Those who are awake stay together whatever a sleeper does, and he is with them in the end.
fn check_sleeper(plan: &Plan, world: &mut World<RingDaemon>, sleeper: DaemonId) -> checker::Verdict {
    let others: Vec<DaemonId> = (1..=plan.daemons as u32).map(DaemonId).filter(|&daemon| daemon != sleeper).collect();
    check_awake(&world.trace, &others)?;
    world.run_until_whole(HEAL_BOUND);
    drain(world);
    check_safety(&world.trace)?;
    check_awake(&world.trace, &others)?;
    check_quiescence(&world.trace)
}

/// Every daemon sends a last message; then time passes until everything is delivered, and a little longer.
fn drain(world: &mut World<RingDaemon>) {
    for daemon in 0..world.daemons() {
        world.act(Action::Submit { daemon, service: Service::Safe, size: 100 });
    }
    let mut progress = (world.tally.delivered, world.now());
    while world.now().since(progress.1) < STALL_BOUND && check_quiescence(&world.trace).is_err() {
        world.run(Duration::from_millis(500));
        if world.tally.delivered != progress.0 {
            progress = (world.tally.delivered, world.now());
        }
    }
    world.run(WATCH);
}
