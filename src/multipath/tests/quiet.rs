//! A system in which nothing happens, and the first thing that happens in it.

use super::*;

impl Site {
    /// Datagrams that a daemon got in this time.
    fn traffic(&mut self, at: u32, millis: u32) -> u64 {
        let all = |site: &Site| {
            let stats = site.daemons[at as usize - 1].stats();
            stats.reports + stats.knocks + stats.copies + stats.first
        };
        let before = all(self);
        self.run(millis);
        all(self) - before
    }
}

#[test]
fn a_system_in_which_nothing_happens_says_little() {
    let mut site = Site::new(4);
    assert!(site.traffic(1, 2000) >= 100);
    site.run(6000);
    let quiet = site.traffic(1, 10_000);
    assert!(quiet <= 10 * (3 + 20), "a report of each in a second and a knock in 50 ms: {quiet}");
    assert!(site.daemons.iter().all(|daemon| daemon.paths().all(|path| path.state == PathState::Healthy)));
}

#[test]
fn the_daemons_of_a_quiet_system_are_woken_by_one_that_knocks_first() {
    let mut site = Site::new(8);
    site.run(8000);
    site.wakes = 0;
    site.run(10_000);
    // For each a knock in 60 to 70 ms, and for its own report and those of the seven others once a second.
    let each = site.wakes / 8 / 10;
    assert!((14..=17 + 8).contains(&each), "{each} times a second");
}

#[test]
fn the_first_message_brings_the_usual_pace_back_everywhere() {
    let mut site = Site::new(4);
    site.run(10_000);
    site.send(2, PacketKind::Data, None);
    for at in 1..=4 {
        assert!(site.traffic(at, 250) >= 8);
    }
    site.run(10_000);
    assert!(site.traffic(1, 1000) < 30, "and then it is quiet again");
}

#[test]
fn the_first_data_after_a_quiet_time_takes_all_networks() {
    for policy in [Policy::Primary, Policy::Passive, Policy::Copies(1)] {
        let mut site = Site::new(3);
        site.daemons.iter_mut().for_each(|daemon| daemon.set_policy(policy));
        site.run(10_000);
        for network in 0..2 {
            // It has died meanwhile, and nobody knows.
            site.cut = vec![(network, 1, 2), (network, 2, 1), (network, 1, 3), (network, 3, 1)];
            assert_eq!(site.send(1, PacketKind::Data, None).0, [2, 3], "{policy}");
            site.run(400);
            assert_eq!(site.send(1, PacketKind::Data, None).0, [2, 3], "{policy}: by now it is known");
            assert_eq!(carriers(&mut site, 0), [1 - network], "{policy}");
            site.cut.clear();
            site.run(20_000);
        }
    }
}

#[test]
fn a_network_that_dies_in_a_quiet_time_is_found_and_so_is_one_that_comes_back() {
    let mut site = Site::new(3);
    site.run(10_000);
    site.cut = vec![(1, 1, 2), (1, 2, 1)];
    site.run(6000);
    assert_eq!((site.state(1, 2, 1), site.state(2, 1, 1)), (PathState::Faulty, PathState::Faulty));
    assert_eq!(site.state(3, 1, 1), PathState::Healthy);
    site.run(10_000);
    site.cut.clear();
    site.run(2000);
    assert_eq!((site.state(1, 2, 1), site.state(2, 1, 1)), (PathState::Healthy, PathState::Healthy));
}

#[test]
fn a_relay_that_died_in_a_quiet_time_is_replaced_soon_after_the_first_message() {
    let mut site = Site::new(4);
    (0..2).for_each(|network| site.cut_between(network, 1, 2));
    site.run(10_000);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3, 4], 1));
    site.run(10_000);
    // The lowest relay is cut off, and nothing tells that.
    (0..2)
        .for_each(|network| (1..=4).filter(|&other| other != 3).for_each(|other| site.cut_between(network, 3, other)));
    site.send(1, PacketKind::Data, None);
    site.run(1200);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 4], 1));
}
