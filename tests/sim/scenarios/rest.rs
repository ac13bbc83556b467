//! A token that rests: its holder goes, the load comes and goes, a network dies while nobody sends.

use spread::ring::ConfigurationKind;

use super::*;
use crate::trace::Event;

/// S60: the holder dies, is cut off, or leaves, at every stage of messages that others have handed over to it. Each is delivered once,
/// in its sender's order, by all who go on; nobody who goes on is parted from another for longer than that.
#[test]
fn the_holder_may_go_at_any_stage_of_what_was_handed_over() {
    for step in 0..60_u32 {
        for way in 0..3 {
            let mut world = whole(4, 1);
            world.run(MILLI * 200);
            let services = [Service::Agreed, Service::Safe, Service::Fifo, Service::Reliable];
            for (n, sender) in [1, 2, 3, 1, 2, 1].into_iter().enumerate() {
                let at = world.now() + MILLI / 5 * n as u32;
                world.at(at, Action::Submit { daemon: sender, service: services[n % 4], size: 50 + n });
            }
            let at = world.now() + MILLI / 25 * step;
            let fault = match way {
                0 => Action::Crash(0),
                1 => Action::Leave(0),
                _ => Action::Partition(vec![1, 0, 0, 0]),
            };
            world.at(at, fault);
            world.run(SECOND * 3);
            check_safety(&world.trace).unwrap_or_else(|broken| panic!("step {step}, way {way}: {broken}"));
            world.act(Action::Partition(vec![0; 4]));
            world.act(Action::Start(0));
            assert_healed(&mut world, SECOND * 3);
        }
    }
}

/// S60: what was handed over is lost, or what became of it, and then the holder goes with half of the others, who have more.
#[test]
fn the_holder_may_go_with_those_who_know_more() {
    for step in 0..40_u32 {
        let mut world = whole(4, 1);
        world.run(MILLI * 200);
        let (mut rng, chance) = (Rng::new(u64::from(step)), f64::from(step % 4) * 0.25);
        world.set_rule(Box::new(move |flight| {
            let meant = matches!(flight.kind(), PacketKind::Data | PacketKind::Handover);
            if meant && rng.chance(chance) { vec![] } else { vec![Duration::ZERO] }
        }));
        load(&mut world, MILLI * 30, 30);
        world.run(MILLI * 10 + MILLI / 4 * step);
        let sides = [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 1], [0, 1, 2, 0]][step as usize / 4 % 4];
        world.act(Action::Partition(sides.to_vec()));
        world.run(SECOND * 3);
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("step {step}: {broken}"));
        world.clear_rule();
        world.act(Action::Partition(vec![0; 4]));
        assert_healed(&mut world, SECOND * 3);
    }
}

/// S60: the network falls apart while everybody has a message on its way to the holder. Those of a side go on together, and deliver the
/// same messages.
#[test]
fn those_who_are_cut_off_together_stay_together() {
    for step in 0..40_u32 {
        for sides in [[1, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 1], [0, 1, 1, 2, 2]] {
            let mut world = whole(5, 1);
            world.run(MILLI * 200);
            load(&mut world, SECOND, 500);
            world.run(MILLI * 50 + MILLI / 20 * step);
            world.act(Action::Partition(sides.to_vec()));
            world.run(SECOND * 3);
            check_safety(&world.trace).unwrap_or_else(|broken| panic!("step {step}, {sides:?}: {broken}"));
            for (daemon, process) in world.trace.processes.iter().enumerate() {
                let side: Vec<DaemonId> = (0..5)
                    .filter(|&other| sides[other] == sides[daemon])
                    .map(|other| DaemonId(other as u32 + 1))
                    .collect();
                let transitional = process.events.iter().find_map(|event| match event {
                    Event::Configuration(configuration) if configuration.kind == ConfigurationKind::Transitional => {
                        Some(&configuration.members)
                    }
                    _ => None,
                });
                assert_eq!(transitional, Some(&side), "step {step}, {sides:?}: {} goes on", process.daemon);
            }
            world.act(Action::Partition(vec![0; 5]));
            assert_healed(&mut world, SECOND * 3);
        }
    }
}

/// S61: the load jumps from nothing to as much as there can be, and back, a hundred times.
#[test]
fn the_load_may_jump_a_hundred_times() {
    let mut world = whole(4, 1);
    for jump in 0..100_u32 {
        world.run(MILLI * (20 + jump % 30));
        for n in 0..200 {
            world.act(Action::Submit { daemon: (jump + n) as usize % 4, service: Service::Agreed, size: 1000 });
        }
        world.act(Action::Submit { daemon: jump as usize % 4, service: Service::Safe, size: 10 });
    }
    world.run(SECOND * 2);
    assert_masked(&world);
    let rests: u64 = stats(&world).iter().map(|stats| stats.rests).sum();
    assert!(rests >= 50, "the token came to rest {rests} times");
}

/// S62: one of two networks dies while nobody sends, and the first message afterwards is as fast as any.
#[test]
fn a_network_may_die_while_nobody_sends() {
    for network in 0..2 {
        for sender in 0..4 {
            let mut world = whole(4, 2);
            world.run(SECOND * 5);
            world.act(Action::Cut(Which { network: Some(network), ..NOTHING }, true));
            world.run(SECOND * 5);
            let before = world.tally.delivered;
            world.act(Action::Submit { daemon: sender, service: Service::Agreed, size: 10 });
            world.run(MILLI * 5);
            assert_eq!(world.tally.delivered - before, 4, "the message of {sender} is everywhere without {network}");
            assert_masked(&world);
        }
    }
}
