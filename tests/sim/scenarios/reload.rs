//! Other daemons and networks in a running ring: as many configuration changes as membership needs, and nothing is lost.

use spread::ring::ConfigurationKind;
use spread::wire::NetworkId;

use super::*;
use crate::tables::TablePlan;
use crate::trace::Event;

/// A world of these tables, under load; who is in the first one has started and shares a ring.
fn world(daemons: usize, networks: usize, tables: TablePlan) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=daemons as u32).map(DaemonId).collect();
    let files = tables.clone();
    let starter = move |me, life, now| {
        let table = files.of(me, now).clone();
        let wiring = Wiring { table, sites: Vec::new(), keys: Keys::NONE, counted: 0 };
        RingDaemon::wired(config(me, life, now, &ids), wiring, now)
    };
    let mut world = World::new(daemons, networks, 1, Box::new(starter), Log::Nothing);
    world.tables = tables;
    world.links.heal(&Quality::good());
    (0..daemons).for_each(|daemon| world.at(Instant::ZERO, Action::Start(daemon)));
    world.run(SECOND);
    load(&mut world, SECOND * 8, 2400);
    world
}

/// All files have this table from this moment on, and each daemon reads it after a while.
fn tables(first: Table, next: Table, daemons: usize) -> TablePlan {
    let mut plan = TablePlan::constant(daemons, 2);
    plan.begin_with(first);
    plan.then(next, vec![Instant::from_millis(1500); daemons]);
    plan
}

/// The members of the regular configurations of a daemon since this one of them.
fn configurations(world: &World<RingDaemon>, daemon: u32) -> Vec<Vec<u32>> {
    let mut of_all = Vec::new();
    for process in world.trace.processes.iter().filter(|process| process.daemon == DaemonId(daemon)) {
        let regular = process.events.iter().filter_map(|event| match event {
            Event::Configuration(it) if it.kind == ConfigurationKind::Regular => Some(it),
            _ => None,
        });
        of_all.extend(regular.map(|it| it.members.iter().map(|member| member.0).collect::<Vec<_>>()));
    }
    of_all
}

/// Lets the daemons read their files in this order, with pauses.
fn reload(world: &mut World<RingDaemon>, daemons: &[usize]) {
    world.run(Instant::from_millis(2000).since(world.now()));
    for &daemon in daemons {
        world.act(Action::Reload(daemon));
        world.run(MILLI * 300);
    }
}

#[test]
fn a_daemon_is_added_by_one_configuration_change() {
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut world = world(4, 2, tables(Table::new(1..=3, &[0, 1], 1), Table::new(1..=4, &[0, 1], 2), 4));
        reload(&mut world, &order);
        world.act(Action::Start(3));
        world.run(SECOND * 8);
        for daemon in 1..=3 {
            assert_eq!(configurations(&world, daemon), [vec![1, 2, 3], vec![1, 2, 3, 4]], "at {daemon}");
        }
        assert_healed(&mut world, SECOND);
    }
}

#[test]
fn a_daemon_that_starts_too_early_waits_for_the_others() {
    let mut world = world(4, 2, tables(Table::new(1..=3, &[0, 1], 1), Table::new(1..=4, &[0, 1], 2), 4));
    world.run(Instant::from_millis(2000).since(world.now()));
    world.act(Action::Start(3));
    world.run(SECOND);
    assert_eq!(configurations(&world, 1), [[1, 2, 3]]);
    reload(&mut world, &[0, 1, 2]);
    world.run(SECOND * 8);
    assert_eq!(configurations(&world, 2), [vec![1, 2, 3], vec![1, 2, 3, 4]]);
    assert_healed(&mut world, SECOND);
}

#[test]
fn a_daemon_that_runs_is_removed_by_one_configuration_change() {
    let mut world = world(4, 2, tables(Table::new(1..=4, &[0, 1], 1), Table::new([4, 3, 1], &[0, 1], 2), 4));
    reload(&mut world, &[0, 1, 2]);
    assert_eq!(configurations(&world, 1).len(), 1, "the last one has not read its file");
    reload(&mut world, &[3]);
    world.run(SECOND * 8);
    for daemon in [1, 3, 4] {
        assert_eq!(configurations(&world, daemon), [vec![1, 2, 3, 4], vec![4, 3, 1]], "at {daemon}");
    }
    assert_eq!(configurations(&world, 2), [vec![1, 2, 3, 4], vec![2]], "it goes on alone");
    check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
}

/// Those that stay deliver the same, whatever was handed over to the daemon that goes, and at which moment.
#[test]
fn those_who_stay_when_a_daemon_is_removed_stay_together() {
    for step in 0..40 {
        let mut world = world(4, 2, tables(Table::new(1..=4, &[0, 1], 1), Table::new([4, 3, 1], &[0, 1], 2), 4));
        world.run(Instant::from_millis(2000).since(world.now()));
        // The token rests at the one that goes, as it sends most; the others hand over to it.
        for turn in 0..100 {
            let daemon = [1, 0, 1, 2, 1, 3][turn % 6];
            world.act(Action::Submit { daemon, service: Service::Agreed, size: 100 });
            if let Some(last) = [0, 3, 1, 2].get(turn.wrapping_sub(step)) {
                world.act(Action::Reload(*last));
            }
            world.run(MILLI * 3);
        }
        world.run(SECOND * 8);
        for daemon in [1, 3, 4] {
            let of_it = world.trace.processes.iter().filter(|process| process.daemon == DaemonId(daemon));
            let mut transitional = of_it.flat_map(|process| &process.events).filter_map(|event| match event {
                Event::Configuration(it) if it.kind == ConfigurationKind::Transitional => Some(it.members.len()),
                _ => None,
            });
            assert_eq!(transitional.next_back(), Some(3), "at {daemon} in step {step}");
        }
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

/// Network 0 goes, so that network 1 has its number.
#[test]
fn networks_come_and_go_without_a_configuration_change() {
    for (first, next) in [(vec![0, 1], vec![1]), (vec![1], vec![0, 1]), (vec![0, 1], vec![1, 0]), (vec![0], vec![1])] {
        let mut world = world(3, 2, tables(Table::new(1..=3, &first, 1), Table::new(1..=3, &next, 2), 3));
        reload(&mut world, &[1, 0, 2]);
        world.run(SECOND * 9);
        assert_masked(&world);
        assert_healed(&mut world, SECOND);
        for daemon in 0..3 {
            let paths = world.actor(daemon).multipath().paths();
            let healthy = paths.filter(|path| path.state == spread::multipath::PathState::Healthy);
            assert_eq!(healthy.count(), 2 * next.len(), "{first:?} to {next:?} at {daemon}");
            let crossed = world.actor(daemon).multipath().stats().crossed;
            assert_eq!(crossed, 0, "{first:?} to {next:?} at {daemon}");
        }
    }
}

/// The links of one network are cut while the other one goes: what is left is too little for a moment, and then enough.
#[test]
fn a_new_network_is_of_use_before_the_old_one_is_gone() {
    let mut world = world(3, 2, tables(Table::new(1..=3, &[0], 1), Table::new(1..=3, &[0, 1], 2), 3));
    reload(&mut world, &[0, 1, 2]);
    world.run(MILLI * 300);
    world.act(Action::Cut(Which { network: Some(0), ..NOTHING }, true));
    world.run(SECOND * 9);
    assert_masked(&world);
    let paths: Vec<NetworkId> = world.actor(0).multipath().paths().map(|path| path.network).collect();
    assert_eq!(paths.len(), 4);
}

/// S30: the files change while the ring breaks and forms anew, in each daemon at another step.
#[test]
fn a_table_may_change_at_any_step_of_a_membership_change() {
    let next = [Table::new([3, 1, 4, 2], &[1, 0], 2), Table::new(1..=4, &[1], 2), Table::new(1..=4, &[0], 2)];
    for (number, step) in (0..60).enumerate() {
        let first = if number % 2 == 0 { vec![0, 1] } else { vec![0] };
        let table = next[number % next.len()].clone();
        let mut world = world(4, 2, tables(Table::new(1..=4, &first, 1), table, 4));
        world.run(Instant::from_millis(2000).since(world.now()));
        world.act(Action::Partition(vec![0, 0, 1, 1]));
        world.run(SECOND * 2);
        world.act(Action::Partition(vec![0; 4]));
        for daemon in [2, 0, 3, 1] {
            world.run(MILLI * (step * 7 % 100));
            world.act(Action::Reload(daemon));
        }
        world.run(SECOND * 6);
        assert_healed(&mut world, SECOND * 5);
        let digests: Vec<u32> = (0..4).map(|daemon| world.actor(daemon).multipath().system_digest()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "at step {step}: {digests:?}");
    }
}

/// An operator forgets a daemon; it stops, and the others go on with what they have read.
#[test]
fn nobody_waits_for_a_daemon_that_has_stopped() {
    let mut world = world(3, 2, tables(Table::new(1..=3, &[0, 1], 1), Table::new(1..=2, &[0, 1], 2), 3));
    world.run(MILLI * 600);
    world.act(Action::Leave(2));
    reload(&mut world, &[0, 1]);
    world.run(SECOND * 8);
    assert_eq!(configurations(&world, 1), [vec![1, 2, 3], vec![1, 2]]);
    let mut other = super::reload::world(3, 2, tables(Table::new(1..=3, &[0, 1], 1), Table::new(1..=3, &[1], 2), 3));
    reload(&mut other, &[0, 1]);
    assert!(other.actor(0).multipath().waits_for() == Some(vec![DaemonId(3)]));
    other.act(Action::Crash(2));
    other.run(SECOND * 4);
    assert_eq!(other.actor(0).multipath().waits_for(), None);
    assert_eq!(configurations(&other, 1), [vec![1, 2, 3], vec![1, 2]]);
    // With the new file it is one of them again.
    other.act(Action::Start(2));
    other.run(SECOND * 6);
    assert_eq!(configurations(&other, 1), [vec![1, 2, 3], vec![1, 2], vec![1, 2, 3]]);
}
