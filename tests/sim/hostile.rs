//! Histories in which somebody forges datagrams and no daemon has a key. While he does he may part daemons and have messages of his
//! own delivered; nobody can tell him from a daemon. But no daemon stops for it, none holds memory without bound, and when he has
//! gone the ring is whole within the usual bound and works.

use spread::time::{Duration, Instant};
use spread::wire::Service;

use crate::actor::{Actor, RingDaemon};
use crate::checker::{Verdict, Violation, broken};
use crate::clients;
use crate::faults::{Plan, end_faults};
use crate::forger::Listener;
use crate::seeds::{Outcome, play};
use crate::trace::{Event, Trace};
use crate::world::{Action, Log, World};
use crate::{HEAL_BOUND, STALL_BOUND, WATCH};

#[test]
fn a_forger_stops_nobody_and_leaves_nothing_behind() {
    play("a_forger_stops_nobody_and_leaves_nothing_behind", history);
}

#[test]
fn a_forger_stops_no_daemon_with_clients() {
    play("a_forger_stops_no_daemon_with_clients", clients::hostile_history);
}

pub fn history(seed: u64, log: Log) -> Result<Outcome, Violation> {
    let plan = Plan::draw_hostile(seed);
    let mut world = plan.world(log);
    world.listener = Some(Listener::default());
    let living = attacked(&plan, &mut world);
    memory_is_bounded(&world)?;
    end_faults(&mut world, &plan.calm());
    let begin = world.now();
    if !world.run_until_whole(HEAL_BOUND) {
        let dropped = world.living().into_keys().map(|daemon| {
            let actor = world.actor(daemon);
            format!("\n{}: {:?} {:?}", daemon + 1, actor.stats().dropped, actor.multipath().stats())
        });
        let dropped: String = dropped.collect();
        return Err(broken(
            "forger",
            format!("{living} daemons are not one ring {HEAL_BOUND:?} after he has gone{dropped}"),
        ));
    }
    let healing = world.now().since(begin);
    works(&mut world)?;
    memory_is_bounded(&world)?;
    let simulated = world.now().since(Instant::ZERO);
    Ok(Outcome { digest: world.trace.digest(), tally: world.tally(), simulated, healing })
}

/// Plays the faults and the attack; how many daemons there are.
pub fn attacked<A: Actor>(plan: &Plan, world: &mut World<A>) -> usize {
    world.run(plan.span);
    world.run(plan.end().since(world.now()));
    world.daemons()
}

/// How many payload bytes a ring may hold: those of its window, and those of the ring that it came from.
const MEMORY: usize = 2 * (64 << 20);

fn memory_is_bounded(world: &World<RingDaemon>) -> Verdict {
    for daemon in world.living().into_keys() {
        let bytes = world.actor(daemon).ring().held_bytes();
        if bytes > MEMORY {
            return Err(broken("forger", format!("daemon {} holds {bytes} bytes", daemon + 1)));
        }
    }
    Ok(())
}

/// Everybody gets what everybody sends from now on, in one order, in the ring that there is.
fn works(world: &mut World<RingDaemon>) -> Verdict {
    // A datagram that was forged last may show itself only now, and the ring begin anew once more.
    world.run(Duration::from_millis(1500));
    world.run_until_whole(HEAL_BOUND);
    let first = world.trace.messages.len();
    for daemon in (0..world.daemons()).flat_map(|daemon| [daemon; 3]) {
        world.act(Action::Submit { daemon, service: Service::Safe, size: 100 });
    }
    // What was sent before may take long on a slow network, but some of it must always be delivered.
    let mut progress = (world.tally.delivered, world.now());
    while world.now().since(progress.1) < STALL_BOUND && check_delivery(&world.trace, first).is_err() {
        world.run(Duration::from_millis(100));
        if world.tally.delivered != progress.0 {
            progress = (world.tally.delivered, world.now());
        }
    }
    world.run(WATCH);
    check_delivery(&world.trace, first)?;
    if world.is_whole() { Ok(()) } else { Err(broken("forger", "the ring broke after he has gone".to_string())) }
}

/// All living have delivered the messages from this one on, in the same order.
fn check_delivery(trace: &Trace, first: usize) -> Verdict {
    let mut order = None;
    for process in trace.processes.iter().filter(|process| !process.ended) {
        let numbers = process.events.iter().filter_map(|event| match event {
            Event::Deliver(number) if *number >= first && !trace.messages[*number].first => Some(*number),
            _ => None,
        });
        let numbers: Vec<usize> = numbers.collect();
        let all = trace.messages[first..].iter().filter(|sent| !sent.first).count();
        if numbers.len() != all {
            let what = format!("{} has delivered {} of {all} messages", process.daemon, numbers.len());
            return Err(broken("forger", what));
        }
        if *order.get_or_insert_with(|| numbers.clone()) != numbers {
            return Err(broken("forger", format!("{} has delivered in another order", process.daemon)));
        }
    }
    Ok(())
}
