//! A ring in which nothing happens, and what happens then.

use spread::multipath::Policy;

use super::*;

const POLICIES: [Policy; 4] = [Policy::Active, Policy::Copies(1), Policy::Passive, Policy::Primary];

/// A whole ring in which nothing was sent for a long time.
fn quiet(daemons: usize, networks: usize) -> World<RingDaemon> {
    let mut world = whole(daemons, networks);
    world.run(SECOND * 15);
    world
}

/// How long until a message of this daemon has been delivered everywhere.
fn time_of_a_message(world: &mut World<RingDaemon>, daemon: usize, service: Service) -> Duration {
    let (begin, before) = (world.now(), world.tally.delivered);
    world.act(Action::Submit { daemon, service, size: 50 });
    while world.tally.delivered < before + world.daemons() as u64 {
        world.run(MILLI / 10);
        assert!(world.now().since(begin) < SECOND * 5, "the message does not come");
    }
    world.now().since(begin)
}

/// How long until the daemons that live share a configuration of so many.
fn time_of_a_configuration(world: &mut World<RingDaemon>, members: usize) -> Duration {
    let begin = world.now();
    let shared = |world: &World<RingDaemon>| {
        let living = world.living();
        let current = |process| world.trace.current(process).map(|it| it.members.len());
        living.len() == members && living.into_values().all(|process| current(process) == Some(members))
    };
    while !shared(world) {
        world.run(MILLI);
        assert!(world.now().since(begin) < SECOND * 5, "the configuration does not come");
    }
    world.now().since(begin)
}

/// S46: a network dies while nothing is sent. The first message after that is no later for it, whatever the policy.
#[test]
fn a_network_that_dies_in_a_quiet_time_delays_no_message() {
    for policy in POLICIES {
        for service in [Service::Agreed, Service::Safe] {
            let times = [None, Some(0), Some(1)].map(|dead| {
                let longest = (0..3).map(|daemon| {
                    let mut world = quiet(3, 2);
                    (0..3).for_each(|daemon| world.visit(daemon, |actor, _| actor.set_policy(policy)));
                    if let Some(network) = dead {
                        world.act(Action::Cut(Which { network: Some(network), ..NOTHING }, true));
                    }
                    let first = time_of_a_message(&mut world, daemon, service);
                    // Only the first is carried by all networks for certain; the next ones must come too.
                    load(&mut world, SECOND, 100);
                    world.run(SECOND * 2);
                    assert_masked(&world);
                    first
                });
                longest.max().unwrap()
            });
            assert!(times[1..].iter().all(|&time| time <= times[0] + MILLI), "{policy} {service:?}: {times:?}");
        }
    }
}

/// S47: a daemon is killed, which its machine says as soon as somebody sends it something.
#[test]
fn a_daemon_that_is_killed_is_missed_within_a_tenth_of_a_second() {
    for networks in 1..=2 {
        for daemon in 0..4 {
            for loaded in [false, true] {
                let mut world = quiet(4, networks);
                if loaded {
                    load(&mut world, SECOND, 2000);
                    world.run(MILLI * 333);
                }
                world.act(Action::Crash(daemon));
                let time = time_of_a_configuration(&mut world, 3);
                assert!(time <= MILLI * 100, "daemon {daemon} on {networks} networks, loaded {loaded}: {time:?}");
                world.run(SECOND);
                check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
            }
        }
    }
}

/// S47: the same with two at once.
#[test]
fn two_daemons_that_are_killed_at_once_are_missed_soon() {
    for dead in [[0, 1], [1, 2], [1, 3], [3, 0]] {
        let mut world = quiet(4, 2);
        dead.into_iter().for_each(|daemon| world.act(Action::Crash(daemon)));
        let time = time_of_a_configuration(&mut world, 2);
        assert!(time <= MILLI * 150, "{dead:?}: {time:?}");
    }
}

/// S47: whoever forges that word parts nobody.
#[test]
fn forged_refusals_part_nobody() {
    let mut world = quiet(3, 2);
    load(&mut world, SECOND * 2, 500);
    for n in 0..2000 {
        for (at, of) in [(0, 2), (1, 3), (2, 1)] {
            let network = NetworkId((n % 2) as u8);
            world.visit(at, |actor, now| actor.handle_refusal(now, network, DaemonId(of)));
        }
        world.run(MILLI);
    }
    world.run(SECOND);
    assert_masked(&world);
}

/// S48: as soon as anything gets through between two halves they are one ring again.
#[test]
fn halves_are_one_ring_soon_after_they_hear_each_other() {
    for sides in [[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 0, 1]] {
        for offset in [0, 17, 31] {
            let mut world = quiet(4, 2);
            world.act(Action::Partition(sides.to_vec()));
            world.run(SECOND * 4 + MILLI * offset);
            world.act(Action::Partition(vec![0; 4]));
            let time = time_of_a_configuration(&mut world, 4);
            assert!(time <= MILLI * 100, "{sides:?}: {time:?}");
        }
    }
}
