//! The simulator: whole daemons on simulated networks with faults, in virtual time, and a checker that knows extended virtual
//! synchrony but not the code. One `u64` is one history.
//!
//!     TORC_SIM_SEEDS=1000 cargo test --test sim          seeds 0 to 999; `A..B` for a range
//!     TORC_SIM_SEED=7 cargo test --test sim seeds -- --nocapture     one history again, with everything that happens
//!     TORC_SIM_LOG=datagrams …                           and every datagram

mod actor;
mod checker;
mod faults;
mod links;
mod scenarios;
mod trace;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use spread::time::{Duration, Instant};
use spread::wire::Service;

use actor::RingDaemon;
use checker::{Violation, check_masking, check_quiescence, check_safety};
use faults::{Plan, end_faults};
use world::{Action, Log, Tally, World};

/// How long after the last fault all daemons must share one configuration. The longest pause that a daemon makes before it tries
/// again to merge with one that it could hear but not agree with is 30 s.
const HEAL_BOUND: Duration = Duration::from_secs(35);
/// How long what was accepted may take to be delivered once the ring is whole: the largest backlog through the smallest window.
const DRAIN_BOUND: Duration = Duration::from_secs(60);
/// How long the ring is watched afterwards: nothing may change any more.
const WATCH: Duration = Duration::from_secs(2);

/// What a history came to.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    digest: u64,
    tally: Tally,
    simulated: Duration,
    /// How long it took until the ring was whole after the last fault.
    healing: Duration,
}

#[test]
fn seeds_keep_extended_virtual_synchrony() {
    if let Some(seed) = variable("TORC_SIM_SEED") {
        let log = if variable("TORC_SIM_LOG").is_some() { Log::Datagrams } else { Log::Events };
        println!("{:?}", Plan::draw(number(&seed)));
        let outcome = history(number(&seed), log);
        println!("{outcome:?}");
        return outcome.map(drop).unwrap_or_else(|violation| panic!("{violation}"));
    }
    let mut failed = Vec::new();
    let mut total = Total::default();
    for seed in seeds() {
        match catch_unwind(AssertUnwindSafe(|| checked_history(seed))) {
            Ok(Ok(outcome)) => total.add(outcome),
            Ok(Err(violation)) => failed.push(format!("seed {seed}: {violation}")),
            Err(_) => failed.push(format!("seed {seed}: panic")),
        }
    }
    println!("{total:?}, {} failed", failed.len());
    for failure in &failed {
        println!("{failure}");
    }
    if let Some(first) = failed.first() {
        let seed = first.trim_start_matches("seed ").split(':').next().unwrap_or_default();
        panic!("{first}\nrepeat: TORC_SIM_SEED={seed} cargo test --test sim seeds -- --nocapture");
    }
}

/// A history, and for some seeds the same once more.
fn checked_history(seed: u64) -> Result<Outcome, Violation> {
    let outcome = history(seed, Log::Nothing)?;
    if seed.is_multiple_of(20) {
        let again = history(seed, Log::Nothing)?;
        assert_eq!(outcome.digest, again.digest, "one seed is one history");
    }
    Ok(outcome)
}

fn history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    let plan = Plan::draw(seed);
    let mut world = plan.world(log);
    let healing = if plan.masked { masked(&plan, &mut world)? } else { anything_goes(&plan, &mut world)? };
    let simulated = world.now().since(Instant::ZERO);
    Ok(Outcome { digest: world.trace.digest(), tally: world.tally, simulated, healing })
}

fn masked(plan: &Plan, world: &mut World<RingDaemon>) -> Result<Duration, Violation> {
    world.run_until_whole(HEAL_BOUND);
    let healing = world.now().since(Instant::ZERO);
    world.run(plan.span);
    drain(world);
    check_safety(&world.trace)?;
    check_masking(&world.trace)?;
    Ok(healing)
}

fn anything_goes(plan: &Plan, world: &mut World<RingDaemon>) -> Result<Duration, Violation> {
    world.run(plan.span);
    world.run(Duration::from_secs(4));
    check_safety(&world.trace)?;
    end_faults(world, &plan.calm());
    let begin = world.now();
    world.run_until_whole(HEAL_BOUND);
    let healing = world.now().since(begin);
    drain(world);
    check_safety(&world.trace)?;
    check_quiescence(&world.trace)?;
    Ok(healing)
}

/// Every daemon sends a last message; then time passes until everything is delivered, and a little longer.
fn drain(world: &mut World<RingDaemon>) {
    for daemon in 0..world.daemons() {
        world.act(Action::Submit { daemon, service: Service::Safe, size: 100 });
    }
    let end = world.now() + DRAIN_BOUND;
    while world.now() < end && check_quiescence(&world.trace).is_err() {
        world.run(Duration::from_millis(500));
    }
    world.run(WATCH);
}

/// The sum over all histories.
#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    simulated: Duration,
    slowest_healing: Duration,
    configurations: u64,
    delivered: u64,
    datagrams: u64,
    lost: u64,
    duplicated: u64,
    cut: u64,
    mangled: u64,
}

impl Total {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.slowest_healing = self.slowest_healing.max(outcome.healing);
        self.configurations += outcome.tally.configurations;
        self.delivered += outcome.tally.delivered;
        self.datagrams += outcome.tally.datagrams;
        self.lost += outcome.tally.lost;
        self.duplicated += outcome.tally.duplicated;
        self.cut += outcome.tally.cut;
        self.mangled += outcome.tally.mangled;
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(text: &str) -> u64 {
    text.trim().parse().expect("a seed is a number")
}

fn seeds() -> Range<u64> {
    match variable("TORC_SIM_SEEDS") {
        None => 0..200,
        Some(text) => match text.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&text),
        },
    }
}
