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
                    if header.sender == DaemonId(daemon as u32 + 1) && flight.kind() != PacketKind::Report {
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
