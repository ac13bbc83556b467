//! The histories of whole daemons with clients: the same faults and the same load as for rings alone, and what clients do by
//! themselves.

use std::cell::RefCell;
use std::rc::Rc;

use spread::config::Live;
use spread::node::NodeSettings;
use spread::rng::Rng;
use spread::session::SessionSettings;
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Name, RingId};

use super::checker::{Since, check_masking, check_quiescence, check_reunion, check_safety};
use super::client::Habits;
use super::journal::{Journal, SharedJournal};
use super::node_daemon::{NodeDaemon, Place};
use crate::actor::{Actor, policy};
use crate::checker::{Verdict, Violation, broken};
use crate::faults::{Plan, end_faults};
use crate::forger::Listener;
use crate::hostile::attacked;
use crate::seeds::{Outcome, play};
use crate::world::{Log, World};
use crate::{HEAL_BOUND, STALL_BOUND, WATCH};

#[test]
fn seeds_keep_the_promises_to_clients() {
    play("seeds_keep_the_promises_to_clients", history);
}

pub fn history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    played(&Plan::draw(seed), seed, log)
}

/// What comes of a plan; the seed says what the clients do in it.
pub fn played(plan: &Plan, seed: u64, log: Log) -> Result<Outcome, Violation> {
    let journal: SharedJournal = Rc::new(RefCell::new(Journal::default()));
    let mut world = world(plan, seed, &journal, log);
    world.answers_configurations = false;
    let healing =
        if plan.masked { masked(plan, &mut world, &journal) } else { anything_goes(plan, &mut world, &journal) };
    if log >= Log::Events {
        journal.borrow().show();
    }
    let healing = healing?;
    let simulated = world.now().since(Instant::ZERO);
    let journal = journal.borrow();
    let mut tally = world.tally();
    tally.delivered = journal.connections.iter().map(|connection| connection.got.len() as u64).sum();
    Ok(Outcome { digest: journal.digest(), tally, simulated, healing })
}

/// Somebody forges datagrams. When he has gone, every client is served again, whatever he made it believe before.
pub fn hostile_history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    let plan = Plan::draw_hostile(seed);
    let journal: SharedJournal = Rc::new(RefCell::new(Journal::default()));
    let mut world = world(&plan, seed, &journal, log);
    world.answers_configurations = false;
    world.listener = Some(Listener::default());
    attacked(&plan, &mut world);
    end_faults(&mut world, &plan.calm());
    let begin = world.now();
    let whole = |world: &World<NodeDaemon>| world.is_whole() && all(world, NodeDaemon::is_open);
    while world.now().since(begin) < HEAL_BOUND && !whole(&world) {
        world.run(Duration::from_millis(100));
    }
    if !whole(&world) {
        let states = (0..world.daemons()).map(|daemon| world.actor(daemon).describe());
        let states: Vec<String> = states.collect();
        let what = format!("not every daemon has a whole ring and its clients' groups\n{}", states.join("\n"));
        return Err(broken("forger", what));
    }
    let (healing, simulated) = (world.now().since(begin), world.now().since(Instant::ZERO));
    let digest = world.trace.digest();
    Ok(Outcome { digest, tally: world.tally(), simulated, healing })
}

fn all(world: &World<NodeDaemon>, holds: fn(&NodeDaemon) -> bool) -> bool {
    (0..world.daemons()).all(|daemon| holds(world.actor(daemon)))
}

fn world(plan: &Plan, seed: u64, journal: &SharedJournal, log: Log) -> World<NodeDaemon> {
    let mut rng = Rng::new(seed ^ 0xc11e_0000_0000);
    let habits = habits(plan, &mut rng);
    let (sites, keys) = (plan.sites.clone(), plan.keys.clone());
    // The checker knows one order of the daemons in views.
    let tables = plan.tables.clone().in_one_order();
    let (ring, seed) = (plan.config(), rng.next_u64());
    let journal = SharedJournal::clone(journal);
    let starter = move |me: DaemonId, life: u64, now: Instant| {
        let table = tables.of(me, now);
        let mut ring = ring(me, life, now);
        ring.daemons = table.daemons.clone();
        let session = SessionSettings { max_session_messages: 1_000_000, ..SessionSettings::default() };
        let policy = policy(&ring);
        let config = NodeSettings {
            sites: ring.daemons.iter().map(|daemon| sites[daemon.0 as usize - 1]).collect(),
            sources: Vec::new(),
            keys: keys.of(me, now),
            name: format!("d{}", me.0),
            names: ring.daemons.iter().map(|daemon| format!("d{}", daemon.0)).collect(),
            networks: table.networks.len() as u8,
            system: table.system(),
            live: Live { policy, session, ..Live::default() },
            handshake_timeout: HANDSHAKE_TIMEOUT,
            seed: seed ^ (u64::from(me.0) << 32) ^ life,
            ring,
        };
        NodeDaemon::new(config, &Place { table, sites: &sites }, &habits, &journal, now)
    };
    let mut world = plan.world_of(Box::new(starter), log);
    world.tables = plan.tables.clone().in_one_order();
    world
}

fn habits(plan: &Plan, rng: &mut Rng) -> Habits {
    let group = |n| Name::new(format!("g{n}").as_bytes()).expect("a short name");
    Habits {
        groups: (0..1 + rng.below(4)).map(group).collect(),
        pace: Duration::from_millis([40, 200, 1000][rng.below(3) as usize]),
        watchers: [1.0, 0.7][rng.below(2) as usize],
        slow: [0.0, 0.3, 0.6][rng.below(3) as usize],
        until: Instant::ZERO + plan.span,
    }
}

/// How long a daemon waits for a client that says nothing, as some do; meanwhile nothing may be delivered.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after the last fault a ring may still break for it: longer than it waits for a token.
const AFTERMATH: Duration = Duration::from_millis(1500);

fn masked(plan: &Plan, world: &mut World<NodeDaemon>, journal: &SharedJournal) -> Result<Duration, Violation> {
    world.run_until_whole(HEAL_BOUND);
    let together = world.now();
    let ring = common_ring(world);
    world.run(plan.span);
    part(world, journal);
    // What clients had sent before they went may still be on its way.
    run_until(world, |_| check_masking(&journal.borrow(), ring, Since(together)).is_ok());
    crate::checker::check_masking(&world.trace)?;
    let journal = journal.borrow();
    check_safety(&journal)?;
    check_quiescence(&journal)?;
    check_masking(&journal, ring, Since(together))?;
    Ok(together.since(Instant::ZERO))
}

fn anything_goes(plan: &Plan, world: &mut World<NodeDaemon>, journal: &SharedJournal) -> Result<Duration, Violation> {
    world.run(plan.span);
    world.run(Duration::from_secs(4));
    world.run(plan.end().since(world.now()));
    check_safety(&journal.borrow())?;
    end_faults(world, &plan.calm());
    let begin = world.now();
    world.run_until_whole(HEAL_BOUND);
    let healing = world.now().since(begin);
    // What the last fault has taken may be missed only now, and the ring part once more. After that clients may rely on it.
    world.run(AFTERMATH);
    world.run_until_whole(HEAL_BOUND);
    part(world, journal);
    crate::checker::check_quiescence(&world.trace)?;
    check_safety(&journal.borrow())?;
    check_quiescence(&journal.borrow())?;
    Ok(healing)
}

/// The ring of all daemons, once they are whole.
fn common_ring(world: &World<NodeDaemon>) -> RingId {
    let process = *world.living().values().next().expect("daemons live");
    world.trace.current(process).map_or(RingId { sequence: 0, representative: DaemonId(0) }, |current| current.ring)
}

/// Waits until all clients are where they want to be, lets them say farewell, and waits until everybody got that.
fn part(world: &mut World<NodeDaemon>, journal: &SharedJournal) {
    run_until(world, |world| settled(world) && check_reunion(&journal.borrow()).is_ok());
    for daemon in 0..world.daemons() {
        world.visit(daemon, |daemon, now| daemon.say_farewell(now));
    }
    let quiet = |journal: &Journal| -> Verdict { check_quiescence(journal) };
    run_until(world, |_| quiet(&journal.borrow()).is_ok());
    world.run(WATCH);
}

fn settled(world: &World<NodeDaemon>) -> bool {
    all(world, NodeDaemon::is_settled)
}

/// Large messages through a small window take as long as they take, but some part of them must always be delivered.
fn run_until(world: &mut World<NodeDaemon>, holds: impl Fn(&World<NodeDaemon>) -> bool) {
    let delivered = |world: &World<NodeDaemon>| -> u64 {
        (0..world.daemons()).map(|daemon| world.actor(daemon).stats().messages).sum()
    };
    let mut progress = (delivered(world), world.now());
    while world.now().since(progress.1) < HANDSHAKE_TIMEOUT + STALL_BOUND && !holds(world) {
        world.run(Duration::from_millis(500));
        if delivered(world) != progress.0 {
            progress = (delivered(world), world.now());
        }
    }
}

/// Some daemons reached a ring and left the others of their component behind, who formed the next ring: their views differ, and so
/// must the views' names.
#[test]
fn components_that_part_one_after_the_other_name_their_views_differently() {
    for seed in [5764, 5950] {
        history(seed, Log::Nothing).map(drop).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

/// Histories whose farewells came too early for a checker that did not wait: a token lost to the last fault, large messages through a
/// small window, a client that did not say its name, what a client had sent before it went.
#[test]
fn nothing_is_judged_before_it_had_its_time() {
    for seed in [1007167, 1010485, 2003285, 5003545, 5010292, 5015583] {
        history(seed, Log::Nothing).map(drop).unwrap_or_else(|violation| panic!("{violation}"));
    }
}
