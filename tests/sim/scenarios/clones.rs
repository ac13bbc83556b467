//! Two hosts that run as one daemon, on a network without multicast: the address of both leads to one of them, as the table of neighbours of
//! each sender says.

use std::collections::BTreeSet;

use super::*;
use crate::trace::ProcessNumber;

/// The daemons that have one host.
const OTHERS: [DaemonId; 2] = [DaemonId(2), DaemonId(3)];

/// S57: the tables differ and change at any time. The others stay together and go on.
#[test]
fn s57_two_hosts_behind_one_address_part_nobody() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut world = whole(3, 1);
        world.misled = Some(BTreeSet::new());
        world.run(MILLI * rng.below(200) as u32);
        if rng.chance(0.5) {
            load(&mut world, SECOND * 10, 300);
        }
        let life = [0, 2][rng.below(2) as usize];
        world.act(Action::Twin(0, life));
        for _ in 0..15 {
            world.misled = Some([1, 2].into_iter().filter(|_| rng.chance(0.5)).collect());
            world.run(MILLI * [20, 200, 1000, 3000][rng.below(4) as usize]);
        }
        check_awake(&world.trace, &OTHERS).unwrap_or_else(|broken| panic!("seed {seed}, life {life}: {broken}"));
        let before = world.tally.delivered;
        world.act(Action::Submit { daemon: 1, service: Service::Agreed, size: 3000 });
        world.run(SECOND * 2);
        assert!(world.tally.delivered - before >= 2, "seed {seed}, life {life}: the others go on");
    }
}

/// S57: on a healthy network the others and one of the two hosts are one ring again within a second, and stay so.
#[test]
fn s57_the_others_go_on_with_one_of_two_hosts_within_a_second() {
    for seed in 0..120 {
        let mut rng = Rng::new(seed);
        let daemons = 3 + rng.below(4) as usize;
        let mut world = whole(daemons, 1 + rng.below(2) as usize);
        world.run(MILLI * rng.below(3000) as u32);
        if rng.chance(0.5) {
            load(&mut world, SECOND * 5, 300);
        }
        let life = [0, 2][rng.below(2) as usize];
        world.act(Action::Twin(0, life));
        world.run(SECOND);
        let others: Vec<_> = world.living().range(1..daemons).map(|(_, &process)| process).collect();
        let installed = |world: &World<RingDaemon>| -> Vec<_> {
            let at = |&process: &ProcessNumber| {
                (world.trace.processes[process].configurations(), world.trace.current(process).cloned())
            };
            others.iter().map(at).collect()
        };
        let after_a_second = installed(&world);
        let ring = after_a_second[0].1.as_ref();
        assert_eq!(ring.map(|ring| ring.members.len()), Some(daemons), "seed {seed}, life {life}");
        world.run(SECOND * 4);
        assert_eq!(installed(&world), after_a_second, "seed {seed}, life {life}");
    }
}
