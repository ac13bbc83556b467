//! Copies that come where, when and as often as they should not: none may count for another network, and each packet counts once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use spread::multipath::PathState;
use spread::wire::NetworkId;

use super::*;

/// S44: what is sent to all on one network is heard by the sockets of all. The monitors count it for none but its own, so a network that is cut
/// is seen to be although "something" comes on it.
#[test]
fn s44_what_leaks_into_another_network_counts_for_none() {
    let mut world = whole(3, 2);
    world.leaks = true;
    load(&mut world, SECOND * 4, 600);
    world.run(SECOND);
    let states = |world: &World<RingDaemon>, at: usize, network: u8| -> Vec<PathState> {
        let paths = world.actor(at).multipath().paths();
        paths.filter(|path| path.network == NetworkId(network)).map(|path| path.state).collect()
    };
    (0..3).for_each(|at| (0..2).for_each(|network| assert_eq!(states(&world, at, network), [PathState::Healthy; 2])));
    unplug(&mut world, 1, 1);
    world.run(MILLI * 10);
    let before = heard(&world, 1);
    world.run(SECOND);
    assert_eq!(states(&world, 1, 1), [PathState::Faulty; 2]);
    assert_eq!(states(&world, 0, 1), [PathState::Faulty, PathState::Healthy]);
    (0..3).for_each(|at| assert_eq!(states(&world, at, 0), [PathState::Healthy; 2]));
    assert_eq!(heard(&world, 1), before, "the cut network is not credited with what leaks into it");
    assert!((0..3).all(|at| world.actor(at).multipath().stats().crossed > 100));
    world.links.heal(&Quality::good());
    world.run(SECOND * 3);
    assert_masked(&world);
    (0..3).for_each(|at| assert_eq!(states(&world, at, 1), [PathState::Healthy; 2]));
}

/// What this daemon has heard on the second network.
fn heard(world: &World<RingDaemon>, at: usize) -> Vec<u64> {
    let paths = world.actor(at).multipath().paths();
    paths.filter(|path| path.network == NetworkId(1)).map(|path| path.heard).collect()
}

/// Which packets have come to whom: the receiver, and what makes a packet one: sender, whether it was to all, and counter.
type Seen = BTreeSet<(usize, DaemonId, bool, u64)>;

/// S45: any copies, late by any time within the filter's window, in any order. The set of all that came is the oracle: each packet is
/// handed up once, and none is taken for a copy that is not.
#[test]
fn s45_each_packet_counts_once_however_its_copies_come() {
    for seed in 0..20 {
        // Short enough that none is cut.
        let mut world = started_with(3, 2, true, |config| config.body_limit = 1000);
        // Between these all daemons live.
        let (begin, end) = (Instant::ZERO + MILLI * 20, Instant::ZERO + SECOND * 5);
        let (seen, mut rng) = (Rc::new(RefCell::new(Seen::new())), Rng::new(seed));
        let noted = Rc::clone(&seen);
        world.set_rule(Box::new(move |flight| {
            if !(begin..end).contains(&flight.now) || rng.chance(0.05) {
                return vec![];
            }
            let header = flight.header();
            let meant = header.destination.is_none_or(|to| to == DaemonId(flight.to as u32 + 1));
            if meant && !flight.is_of_paths() {
                let packet = (flight.to, header.sender, header.destination.is_none(), header.counter);
                noted.borrow_mut().insert(packet);
            }
            let late = |rng: &mut Rng| MILLI * [0, 0, 1, 20, 700][rng.below(5) as usize] * rng.below(3) as u32;
            (0..1 + rng.below(3)).map(|_| late(&mut rng)).collect()
        }));
        load(&mut world, SECOND * 4, 500);
        world.run(SECOND * 8);
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        let (seen, mut copies) = (seen.borrow(), 0);
        for daemon in 0..3 {
            let stats = world.actor(daemon).multipath().stats();
            let came = seen.iter().filter(|(to, ..)| *to == daemon).count() as u64;
            assert_eq!(stats.first, came, "seed {seed}, daemon {daemon}");
            assert_eq!(stats.past_life, 0);
            copies += stats.copies + stats.repeated;
        }
        assert!(copies as usize > seen.len(), "{copies} copies of {}", seen.len());
    }
}
