//! Two hosts that run as one daemon, on a network without multicast: the address of both leads to one of them, as the table of neighbours of
//! each sender says.

use std::collections::BTreeSet;

use super::*;

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
