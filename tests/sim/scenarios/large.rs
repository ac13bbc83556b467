//! Many daemons at once: that they find one ring however they start, leave it alone once they have it, and get over what happens
//! to half of them.

use super::*;

/// A world whose daemons start one by one within this time.
fn starting(daemons: usize, networks: usize, within: Duration) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=daemons as u32).map(DaemonId).collect();
    let starter = move |me, life, now| RingDaemon::new(config(me, life, now, &ids), networks as u8, now);
    let mut world = World::new(daemons, networks, 1, Box::new(starter), Log::Nothing);
    world.links.heal(&Quality::good());
    let mut rng = Rng::new(daemons as u64);
    for daemon in 0..daemons {
        let after = Duration::from_nanos(rng.below(within.as_nanos() as u64 + 1));
        world.at(Instant::ZERO + after, Action::Start(daemon));
    }
    world
}

/// The ring stays as it is while it carries messages, and all of them arrive everywhere.
fn assert_settled(world: &mut World<RingDaemon>, messages: u32) {
    let (configurations, delivered) = (world.tally.configurations, world.tally.delivered);
    load(world, SECOND, messages);
    world.run(SECOND * 2);
    assert_eq!(world.tally.configurations, configurations, "the ring is left alone");
    assert!(world.tally.delivered - delivered >= u64::from(messages) * world.daemons() as u64, "{:?}", world.tally);
    check_safety(&world.trace)
        .and_then(|()| check_quiescence(&world.trace))
        .unwrap_or_else(|broken| panic!("{broken}"));
}

/// Daemons of one system start at the same moment, within the time of a gathering, or within a time in which rings form already.
#[test]
fn daemons_that_start_together_find_one_ring_and_leave_it_alone() {
    for daemons in [2, 3, 5, 8, 16, 32, 64] {
        for within in [Duration::ZERO, MILLI * 50, MILLI * 1500] {
            let mut world = starting(daemons, 1, within);
            assert!(world.run_until_whole(within + SECOND * 2), "one ring of {daemons} that start within {within:?}");
            assert_settled(&mut world, 100);
        }
    }
}

/// A large ring on two networks with losses breaks in halves, and comes together again.
#[test]
fn a_ring_of_40_parts_and_comes_together_under_load() {
    let mut world = starting(40, 2, MILLI * 50);
    assert!(world.run_until_whole(SECOND));
    world.act(Action::Loss(NOTHING, 0.01));
    load(&mut world, SECOND * 4, 400);
    world.run(SECOND);
    world.act(Action::Partition((0..40).map(|daemon| daemon % 2).collect()));
    world.run(SECOND * 3);
    world.act(Action::Partition(vec![0; 40]));
    world.act(Action::Loss(NOTHING, 0.0));
    assert!(world.run_until_whole(SECOND * 3), "the halves find each other");
    assert_settled(&mut world, 100);
}

/// Half of a large ring is gone at once; the other half goes on, and the lost ones come back together.
#[test]
fn half_of_40_daemons_go_and_come_back() {
    let mut world = starting(40, 1, MILLI * 50);
    assert!(world.run_until_whole(SECOND));
    load(&mut world, SECOND * 3, 200);
    (0..20).for_each(|daemon| world.act(Action::Crash(daemon)));
    world.run(SECOND * 3);
    let rest: Vec<_> = world.living().into_values().map(|process| world.trace.current(process).cloned()).collect();
    assert!(rest.iter().flatten().all(|ring| ring.members.len() == 20) && rest.windows(2).all(|two| two[0] == two[1]));
    (0..20).for_each(|daemon| world.act(Action::Start(daemon)));
    assert!(world.run_until_whole(SECOND * 3), "one ring again");
    assert_settled(&mut world, 100);
}
