//! Who is dead as the system says, and who is not although it says so.

use super::*;

impl Site {
    /// The daemon says and hears nothing more on these networks, and nobody has its ports there.
    fn close(&mut self, networks: &[u8], daemon: u32) {
        for (&network, other) in networks.iter().flat_map(|network| (1..=9).map(move |other| (network, other))) {
            self.cut_between(network, daemon, other);
        }
        self.closed.extend(networks.iter().map(|&network| (network, daemon)));
    }

    /// How many knocks a daemon has heard.
    fn knocks(&self, at: u32) -> u64 {
        self.daemons[at as usize - 1].stats().knocks
    }
}

#[test]
fn a_daemon_that_dies_is_found_by_the_one_before_it() {
    for dead in 1..=4 {
        let mut site = Site::new(4);
        site.run(6000);
        site.close(&[0, 1], dead);
        site.run(100);
        let before = (dead + 2) % 4 + 1;
        assert_eq!(site.deaths, [(before, dead)], "in 100 ms, though the system is quiet");
    }
}

#[test]
fn two_that_die_at_once_are_found_one_after_the_other() {
    let mut site = Site::new(4);
    site.run(6000);
    site.close(&[0, 1], 2);
    site.close(&[0, 1], 3);
    site.run(140);
    let found: Vec<_> = site.deaths.iter().filter(|(by, _)| *by == 1).collect();
    assert_eq!(found, [&(1, 2), &(1, 3)]);
}

#[test]
fn a_daemon_that_is_refused_on_one_network_lives_on_the_other() {
    let mut site = Site::new(3);
    site.run(6000);
    site.close(&[1], 2);
    site.run(5000);
    assert_eq!((&site.deaths[..], site.state(1, 2, 1)), (&[][..], PathState::Faulty));
}

#[test]
fn a_daemon_is_not_dead_while_a_network_on_which_it_was_heard_says_nothing() {
    let mut site = Site::new(3);
    site.run(6000);
    site.close(&[0, 1], 2);
    site.closed.retain(|&(network, _)| network == 0);
    site.run(300);
    assert_eq!(site.deaths, []);
}

#[test]
fn a_daemon_that_says_no_more_is_missed_by_the_one_after_it() {
    for (pause, within) in [(8000, 550), (1000, 450)] {
        for gone in 1..=4 {
            let mut site = Site::new(4);
            site.run(pause);
            (0..2).for_each(|network| (1..=4).for_each(|other| site.cut_between(network, gone, other)));
            site.run(250);
            assert_eq!(site.deaths, [], "silence must last");
            site.run(within - 250);
            let after = gone % 4 + 1;
            let others = site.deaths.iter().find(|(by, _)| *by != gone);
            assert_eq!(others, Some(&(after, gone)), "{pause}");
        }
    }
}

#[test]
fn two_that_say_no_more_are_missed_one_after_the_other() {
    let mut site = Site::new(4);
    site.run(8000);
    for (network, other) in (0..2).flat_map(|network| [1, 4].map(|other| (network, other))) {
        [2, 3].into_iter().for_each(|gone| site.cut_between(network, gone, other));
    }
    site.run(1200);
    let missed: Vec<_> = site.deaths.iter().filter(|(by, _)| *by == 4).collect();
    assert_eq!(missed, [&(4, 3), &(4, 2)]);
}

#[test]
fn a_daemon_that_only_a_third_one_hears_is_not_missed() {
    for pause in [1000, 8000] {
        for policy in [Policy::Active, Policy::Primary] {
            let mut site = Site::new(3);
            site.daemons.iter_mut().for_each(|daemon| daemon.set_policy(policy));
            site.run(pause);
            (0..2).for_each(|network| site.cut_between(network, 1, 2));
            site.run(10_000);
            assert_eq!(site.deaths, [], "{policy}");
        }
    }
}

#[test]
fn where_daemons_stand_still_now_and_then_a_longer_silence_is_believed() {
    let mut site = Site::new(2);
    let silence = |site: &mut Site, millis| {
        (0..2).for_each(|network| site.cut.push((network, 1, 2)));
        site.run(millis);
        site.cut.clear();
        site.run(400);
    };
    site.run(1000);
    (0..3).for_each(|_| silence(&mut site, 160));
    silence(&mut site, 450);
    assert_eq!(site.deaths, [], "silences of 160 ms are usual");
    site.run(20_000);
    silence(&mut site, 520);
    assert_eq!(site.deaths, [(2, 1)], "and then they are not any more");
}

#[test]
fn forged_refusals_lead_to_questions_and_to_no_more() {
    let mut site = Site::new(3);
    site.run(6000);
    let reports = site.daemons[0].stats().reports;
    for _ in 0..1000 {
        for network in [0, 1].map(NetworkId) {
            site.daemons[0].handle_refusal(site.now, network, B);
            site.drain(0);
        }
        site.run(1);
    }
    assert_eq!(site.deaths, []);
    assert!(site.daemons[0].stats().reports - reports < 70, "they are not asked again and again");
}

#[test]
fn two_refusals_and_a_silence_at_the_same_time_are_no_death() {
    let mut site = Site::new(3);
    // On one network, so that no other one has to refuse too.
    site.daemons.iter_mut().for_each(|daemon| assert!(daemon.set_network_enabled(Instant::ZERO, NetworkId(1), false)));
    site.run(6000);
    site.cut_between(0, 1, 2);
    for _ in 0..2 {
        site.daemons[0].handle_refusal(site.now, NetworkId(0), B);
        site.drain(0);
    }
    site.run(200);
    assert_eq!(site.deaths, []);
}

#[test]
fn refusals_of_nobody_and_of_this_daemon_mean_nothing() {
    let mut site = Site::new(2);
    site.run(6000);
    for daemon in [A, DaemonId(77)] {
        site.daemons[0].handle_refusal(site.now, NetworkId(0), daemon);
    }
    site.daemons[0].handle_refusal(site.now, NetworkId(7), B);
    site.run(200);
    assert_eq!(site.deaths, []);
}

#[test]
fn everybody_is_knocked_at_by_one_and_nobody_who_is_sent_something_anyway() {
    let mut site = Site::new(3);
    site.run(6000);
    let before: Vec<u64> = (1..=3).map(|at| site.knocks(at)).collect();
    for _ in 0..100 {
        site.send(1, PacketKind::Token, Some(2));
        site.run(6);
    }
    let heard: Vec<u64> = (1..=3).map(|at| site.knocks(at) - before[at as usize - 1]).collect();
    assert_eq!(heard[1], 0);
    assert!((15..=31).contains(&heard[0]) && (15..=31).contains(&heard[2]), "{heard:?}");
}

#[test]
fn a_daemon_that_stood_still_kills_nobody() {
    let mut site = Site::new(2);
    site.run(6000);
    for network in [0, 1].map(NetworkId) {
        site.daemons[0].handle_refusal(site.now, network, B);
        site.daemons[0].handle_refusal(site.now, network, B);
    }
    site.drain(0);
    // What answers waits in the socket meanwhile.
    let answers = std::mem::take(&mut site.flying);
    site.now += Duration::from_secs(3);
    site.daemons[0].handle_timeout(site.now);
    site.drain(0);
    site.flying.extend(answers);
    site.run(500);
    assert_eq!(site.deaths, []);
}
