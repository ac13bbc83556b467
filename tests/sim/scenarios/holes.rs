//! Frames that vanish above a length.

use super::*;

/// What fits Ethernet, and what fits jumbo frames.
const ETHERNET: usize = 1472;
const JUMBO: usize = 8972;

/// Daemons whose interfaces take jumbo frames have started, and long datagrams vanish where `prepare` says so.
fn jumbo(daemons: usize, networks: usize, prepare: impl Fn(&mut World<RingDaemon>)) -> World<RingDaemon> {
    let mut world = started_with(daemons, networks, true, |config| config.body_limit = JUMBO - Header::SIZE);
    prepare(&mut world);
    assert!(world.run_until_whole(SECOND * 3), "a ring forms");
    world
}

fn narrow(world: &mut World<RingDaemon>, which: Which, limit: usize) {
    world.act(Action::Narrow(which, limit));
}

/// One message of so many bytes in a second from each daemon in turn.
fn now_and_then(world: &mut World<RingDaemon>, seconds: u32, size: usize) {
    for n in 0..seconds {
        let daemon = n as usize % world.daemons();
        world.act(Action::Submit { daemon, service: Service::Agreed, size });
        world.run(SECOND);
    }
}

/// S49: one long message a second is all that is sent, and long frames vanish from the start, in one direction or in both.
#[test]
fn s49_frames_that_vanish_above_a_length_are_no_fault_of_the_ring() {
    let one_way = Which { from: Some(0), ..NOTHING };
    let other_way = Which { to: Some(0), ..NOTHING };
    for (daemons, networks, size) in [(2, 1, 3000), (3, 1, 8000), (3, 2, 8000), (2, 2, 60_000)] {
        for which in [NOTHING, one_way, other_way, Which { network: Some(0), ..NOTHING }] {
            let mut world = jumbo(daemons, networks, |world| narrow(world, which, ETHERNET));
            world.run(SECOND);
            let before = world.tally;
            now_and_then(&mut world, 12, size);
            assert_masked(&world);
            assert_eq!(world.tally.delivered - before.delivered, 12 * daemons as u64, "{which:?}");
            assert_eq!(world.tally.configurations, before.configurations);
        }
    }
}

/// S49: the ring is under load when long frames begin to vanish, then longer ones pass, shorter ones do not, on one network or on all.
#[test]
fn s49_a_hole_that_opens_and_moves_under_load_is_masked() {
    for (networks, which) in [(1, NOTHING), (2, NOTHING), (2, Which { network: Some(1), to: Some(2), ..NOTHING })] {
        let mut world = jumbo(4, networks, |_| {});
        world.run(MILLI * 100);
        assert!(world.actor(0).multipath().datagram_limit() > 8000, "a healthy network is used at once");
        for limit in [NO_LIMIT, ETHERNET, 5000, 1300, NO_LIMIT, 1232, 4100] {
            narrow(&mut world, which, limit);
            load(&mut world, SECOND * 3, 600);
            world.run(SECOND * 3);
        }
        world.run(SECOND);
        assert_masked(&world);
    }
}

/// S49: two daemons take jumbo frames, and the third one does not.
#[test]
fn s49_daemons_may_take_datagrams_of_different_length() {
    let mut world = jumbo(3, 1, |world| narrow(world, Which { to: Some(2), ..NOTHING }, ETHERNET));
    narrow(&mut world, Which { from: Some(2), ..NOTHING }, ETHERNET);
    load(&mut world, SECOND * 4, 2000);
    now_and_then(&mut world, 6, 8000);
    assert_masked(&world);
    for daemon in 0..3 {
        assert_eq!(world.actor(daemon).multipath().datagram_limit(), ETHERNET);
    }
}

/// S49: a network that carries everything is enough, however little another one does.
#[test]
fn s49_one_network_that_carries_everything_is_enough() {
    let mut world = jumbo(3, 2, |_| {});
    for limit in [1300, 600, 300, 100, 0] {
        narrow(&mut world, Which { network: Some(1), ..NOTHING }, limit);
        load(&mut world, SECOND * 2, 400);
        world.run(SECOND * 2);
    }
    world.run(SECOND);
    assert_masked(&world);
}

/// S49: nothing is probed while no data is sent.
#[test]
fn s49_a_quiet_ring_does_not_probe() {
    let mut world = jumbo(3, 2, |world| narrow(world, NOTHING, ETHERNET));
    world.run(SECOND * 2);
    let probes = |world: &World<RingDaemon>| world.actor(1).multipath().stats().size_probes;
    let before = probes(&world);
    assert!(before > 0);
    world.run(SECOND * 60);
    assert_eq!(probes(&world), before);
    assert_masked(&world);
}
