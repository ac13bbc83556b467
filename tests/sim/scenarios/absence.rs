//! A daemon that stood still for longer than the others wait for it.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// S29: whatever it was about to do, the first thing that its ring does is to ask who is there. It may wake up with the token in its hands
/// or in its socket, with messages to send, and before or after the others have formed a ring without it.
#[test]
fn who_stood_still_for_too_long_sends_nothing_by_its_old_right() {
    for daemon in 0..3 {
        for (loaded, pause) in [(false, 1010), (true, 1010), (false, 3000), (true, 3000)] {
            for step in 0..8 {
                let mut world = whole(3, 1);
                world.run(MILLI * 100);
                if loaded {
                    load(&mut world, SECOND, 1000);
                }
                world.run(MILLI * 100 + MILLI / 3 * step);
                world.act(Action::Pause(daemon));
                let paused = world.now();
                world.run(MILLI * pause);
                let first = Rc::new(RefCell::new(None));
                let seen = Rc::clone(&first);
                world.set_rule(Box::new(move |flight| {
                    let header = flight.header();
                    // What it relays for others is theirs, and whom it hears it may say without any right.
                    if header.sender == DaemonId(daemon as u32 + 1)
                        && !matches!(flight.kind(), PacketKind::Report | PacketKind::Knock)
                    {
                        seen.borrow_mut().get_or_insert(flight.kind());
                    }
                    vec![Duration::ZERO]
                }));
                world.act(Action::Resume(daemon));
                world.act(Action::Submit { daemon, service: Service::Agreed, size: 50 });
                world.run(MILLI * 500);
                let first = *first.borrow();
                assert_eq!(first, Some(PacketKind::Join), "{daemon} stopped at {paused:?} for {pause} ms, {loaded}");
                world.clear_rule();
                assert_healed(&mut world, SECOND * 5);
            }
        }
    }
}

/// A daemon alone owes nobody anything: it goes on as if nothing had been.
#[test]
fn who_is_alone_may_stand_still() {
    let mut world = whole(1, 1);
    world.run(MILLI * 100);
    let before = world.tally.configurations;
    world.act(Action::Pause(0));
    world.run(SECOND * 5);
    world.act(Action::Resume(0));
    world.act(Action::Submit { daemon: 0, service: Service::Safe, size: 50 });
    world.run(MILLI * 100);
    assert_eq!(world.tally.configurations, before);
    assert_masked(&world);
}

/// Whoever wakes up, when and with whatever in its socket, is taken in by one change, and nobody who was awake is parted from anybody.
#[test]
fn a_sleeper_comes_back_by_one_change_and_parts_nobody() {
    for daemons in [3, 4] {
        for sleeper in 0..daemons {
            for pause in [1100, 1250, 1400, 2000, 5000, 60_000] {
                for step in 0..4 {
                    let mut world = whole(daemons, 1);
                    world.run(MILLI * 100 + MILLI * 7 * step);
                    world.act(Action::Pause(sleeper));
                    world.run(MILLI * pause);
                    let before = changes(&world, sleeper);
                    world.act(Action::Resume(sleeper));
                    world.run(MILLI * 300);
                    let what = format!("{sleeper} of {daemons} slept {pause} ms");
                    assert!(world.is_whole(), "{what}");
                    let after = changes(&world, sleeper);
                    assert!(
                        before.iter().zip(&after).all(|(before, after)| after - before <= 1),
                        "{what}: {before:?} {after:?}"
                    );
                    let awake: Vec<DaemonId> = ids(daemons).filter(|id| id.0 as usize != sleeper + 1).collect();
                    check_awake(&world.trace, &awake).unwrap_or_else(|broken| panic!("{what}: {broken}"));
                    assert_healed(&mut world, SECOND);
                }
            }
        }
    }
}

/// The same for a daemon whose only interface goes and comes, for those who send and for those who hear at different times.
#[test]
fn a_daemon_whose_interface_comes_back_parts_nobody() {
    for (cut_off, open_first) in
        (0..3).flat_map(|daemon| [None, Some(0), Some(1), Some(2)].map(|first| (daemon, first)))
    {
        for away in [400, 1500, 4000] {
            let mut world = whole(3, 1);
            world.run(MILLI * 100);
            let (to, from) = (Which { to: Some(cut_off), ..NOTHING }, Which { from: Some(cut_off), ..NOTHING });
            [to, from].into_iter().for_each(|which| world.act(Action::Cut(which, true)));
            world.run(MILLI * away);
            // One of the others hears it, and is heard by it, sooner than the other.
            if let Some(first) = open_first.filter(|&first| first != cut_off) {
                world.act(Action::Cut(Which { to: Some(first), ..from }, false));
                world.act(Action::Cut(Which { from: Some(first), ..to }, false));
                world.run(MILLI * 400);
            }
            [to, from].into_iter().for_each(|which| world.act(Action::Cut(which, false)));
            assert_healed(&mut world, SECOND * 5);
            let awake: Vec<DaemonId> = ids(3).filter(|id| id.0 as usize != cut_off + 1).collect();
            let verdict = check_awake(&world.trace, &awake);
            verdict.unwrap_or_else(|broken| panic!("{cut_off} away for {away} ms, first {open_first:?}: {broken}"));
        }
    }
}

fn ids(daemons: usize) -> impl Iterator<Item = DaemonId> {
    (1..=daemons as u32).map(DaemonId)
}

/// How many regular configurations each of the others has installed.
fn changes(world: &World<RingDaemon>, sleeper: usize) -> Vec<u64> {
    let others = (0..world.daemons()).filter(|&daemon| daemon != sleeper);
    others.map(|daemon| world.actor(daemon).stats().configurations).collect()
}
