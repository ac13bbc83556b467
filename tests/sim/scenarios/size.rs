//! Rings of every size.

use super::*;

/// S24: two to 128 daemons start within 50 ms.
#[test]
fn any_number_of_daemons_may_start_together() {
    for daemons in [2, 3, 5, 8, 13, 24, 40, 64] {
        for networks in 1..=2 {
            let mut world = started(daemons, networks, true);
            assert!(world.run_until_whole(SECOND), "one ring of {daemons} within a second");
            load(&mut world, SECOND, 240);
            world.run(SECOND * 2);
            assert_healed(&mut world, SECOND);
        }
    }
}

/// S24: the largest ring forms and carries traffic.
#[test]
fn a_ring_of_128_forms_and_carries_traffic() {
    let mut world = started(DaemonId::LIMIT, 1, true);
    assert!(world.run_until_whole(SECOND * 2), "one ring within two seconds");
    load(&mut world, SECOND, 500);
    world.run(SECOND * 2);
    assert_healed(&mut world, SECOND);
    assert!(world.tally.delivered >= 128 * 500, "{:?}", world.tally);
}

/// S24: one daemon after the other is started anew, whatever the pause between them.
#[test]
fn daemons_may_be_restarted_one_after_the_other() {
    for pause in [0, 1, 5, 10, 30, 60, 100, 300, 400, 700, 1000, 1300, 2000] {
        let mut world = whole(5, 1);
        load(&mut world, MILLI * (5 * pause), 150);
        for daemon in 0..5 {
            world.act(if daemon % 2 == 0 { Action::Leave(daemon) } else { Action::Crash(daemon) });
            world.run(MILLI * (pause / 2));
            world.act(Action::Start(daemon));
            world.run(MILLI * (pause - pause / 2));
        }
        assert_healed(&mut world, SECOND * 10);
    }
}
