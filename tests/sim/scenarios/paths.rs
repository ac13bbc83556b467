//! Several networks, and ways through a third daemon. While each two daemons have a way, nobody may notice anything.

use super::*;

fn cut(network: Option<usize>, from: usize, to: usize) -> Action {
    Action::Cut(Which { network, from: Some(from), to: Some(to) }, true)
}

fn pairs(daemons: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = move |from| (0..daemons).map(move |to| (from, to));
    (0..daemons).flat_map(all).filter(|(from, to)| from != to)
}

/// S10: one daemon hears another on no network. Whoever it is, a third one stands in.
#[test]
fn one_way_silence_between_two_is_masked_by_a_third() {
    for (from, to) in pairs(3) {
        let mut world = whole(3, 2);
        load(&mut world, SECOND * 5, 500);
        world.run(SECOND);
        world.act(cut(None, from, to));
        world.run(SECOND * 7);
        assert_masked(&world);
    }
}

/// S11: any graph in which each daemon reaches each other directly or through one other one is as good as a whole network.
#[test]
fn any_graph_of_ways_through_one_other_is_as_good_as_whole() {
    let mut tried = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let daemons = 3 + rng.below(3) as usize;
        let badness = [0.2, 0.4, 0.6][rng.below(3) as usize];
        let missing: Vec<(usize, usize)> = pairs(daemons).filter(|_| rng.chance(badness)).collect();
        let open = |from, to| from == to || !missing.contains(&(from, to));
        if !pairs(daemons).all(|(from, to)| (0..daemons).any(|by| open(from, by) && open(by, to))) {
            continue;
        }
        tried += 1;
        let mut world = whole(daemons, 1 + rng.below(2) as usize);
        load(&mut world, SECOND * 3, 300);
        world.run(MILLI * 500);
        missing.iter().for_each(|&(from, to)| world.act(cut(None, from, to)));
        world.run(SECOND * 4);
        let verdict = check_safety(&world.trace).and_then(|()| check_masking(&world.trace));
        verdict.unwrap_or_else(|broken| panic!("graph {seed}: {broken}"));
    }
    assert!(tried > 60, "{tried} graphs");
}

/// S12: one kind of packet does not get from one daemon to another, on one network or on any.
#[test]
fn one_kind_of_packet_that_does_not_get_through_is_masked() {
    use PacketKind::*;
    for kind in [Data, Token, Join, Form, Probe, Hurry, Report, Rest, Have, Handover, Knock] {
        for (from, to) in pairs(3) {
            for network in [None, Some(0)] {
                let mut world = whole(3, 2);
                load(&mut world, SECOND * 2, 200);
                world.set_rule(Box::new(move |flight| {
                    let there = network.is_none_or(|network| network == usize::from(flight.network.0));
                    let met = there && (flight.kind(), flight.from, flight.to) == (kind, from, to);
                    if met { vec![] } else { vec![Duration::ZERO] }
                }));
                world.run(SECOND * 4);
                assert_masked(&world);
            }
        }
    }
}

/// S13: with several networks too, two halves under full load find each other, though only one network comes back.
#[test]
fn a_merge_is_found_over_the_only_network_that_is_back() {
    for network in 0..3 {
        let mut world = whole(4, 3);
        for (from, to) in pairs(4).filter(|(from, to)| from % 2 != to % 2) {
            world.act(cut(None, from, to));
        }
        world.run(SECOND * 3);
        load(&mut world, SECOND * 2, 4000);
        world.run(SECOND);
        world.act(Action::Cut(Which { network: Some(network), ..NOTHING }, false));
        assert!(world.run_until_whole(SECOND), "within a second, while the load goes on");
        assert_healed(&mut world, SECOND);
    }
}

/// S14: what was sent on a network that has been dead for a minute arrives when it comes back.
#[test]
fn what_a_dead_network_kept_for_a_minute_is_harmless() {
    let mut world = whole(3, 2);
    world.set_rule(Box::new(|flight| match usize::from(flight.network.0) {
        1 if flight.now < Instant::from_millis(20_000) => vec![SECOND * 60],
        1 if flight.now < Instant::from_millis(60_000) => vec![],
        _ => vec![Duration::ZERO],
    }));
    for _ in 0..9 {
        load(&mut world, SECOND * 10, 200);
        world.run(SECOND * 10);
    }
    world.run(SECOND);
    assert_masked(&world);
}

/// S40: networks that come and go with any period, while one stays or while they take turns. Nothing is noticed.
#[test]
fn flapping_networks_are_masked_whatever_the_period() {
    for period in [20, 50, 100, 190, 210, 400, 1000, 2500, 10_000] {
        for in_turn in [false, true] {
            let mut world = whole(3, 2);
            let span = SECOND * 12;
            load(&mut world, span, 1200);
            let half = MILLI * period / 2;
            for n in 0..(span.as_millis() / half.as_millis()) as u32 {
                let at = world.now() + half * n;
                let flap = |network, down| Action::Cut(Which { network: Some(network), ..NOTHING }, down);
                if in_turn && n % 2 == 1 {
                    world.at(at, flap(0, false));
                    world.at(at, flap(1, true));
                } else {
                    world.at(at, flap(1, false));
                    world.at(at, flap(0, n % 2 == 0));
                }
            }
            world.run(span);
            world.links.heal(&Quality::good());
            world.run(SECOND);
            assert_masked(&world);
        }
    }
}

/// S40: one daemon's cable comes and goes, and another's on the other network.
#[test]
fn flapping_cables_of_two_daemons_are_masked() {
    for period in [30, 110, 300, 700] {
        let mut world = whole(4, 2);
        load(&mut world, SECOND * 10, 1000);
        for n in 0..(10_000 / period) as u32 {
            for (daemon, network) in [(0, 0), (1, 1)] {
                let at = world.now() + MILLI * period as u32 * n + MILLI * 7 * daemon as u32;
                let side = |from, to| Action::Cut(Which { network: Some(network), from, to }, n % 2 == 0);
                world.at(at, side(Some(daemon), None));
                world.at(at, side(None, Some(daemon)));
            }
        }
        world.run(SECOND * 12);
        assert_masked(&world);
    }
}

/// S41: for less than three intervals of the resting token nothing arrives anywhere. For longer everybody is alone. Then everything is back.
#[test]
fn all_networks_may_fail_at_once() {
    for (dark, masked) in [(150, true), (280, true), (3000, false)] {
        let mut world = whole(3, 2);
        load(&mut world, SECOND * 6, 600);
        world.run(SECOND);
        world.act(Action::Cut(NOTHING, true));
        world.run(MILLI * dark);
        world.act(Action::Cut(NOTHING, false));
        world.run(SECOND * 6);
        if masked {
            assert_masked(&world);
        }
        assert_healed(&mut world, SECOND * 3);
    }
}

/// S42: of five daemons two have only network 0 and two only network 1; the last has both and stands between them, until it dies.
#[test]
fn halves_that_share_no_network_live_on_one_daemon() {
    let mut world = whole(5, 2);
    load(&mut world, SECOND * 6, 900);
    world.run(SECOND);
    [(0, 1), (1, 1), (2, 0), (3, 0)].into_iter().for_each(|(daemon, network)| unplug(&mut world, daemon, network));
    world.run(SECOND * 7);
    assert_masked(&world);
    world.act(Action::Crash(4));
    world.run(SECOND * 4);
    check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
    world.act(Action::Start(4));
    assert_healed(&mut world, SECOND * 35);
}

/// S43: one network is a hundred times slower. What it brings late was not missed, and it delays nothing.
#[test]
fn a_slow_network_delays_nothing() {
    let mut world = whole(3, 2);
    let slow = Which { network: Some(1), ..NOTHING };
    let late = Quality { delay: MILLI * 20, ..Quality::good() };
    world.links.select(slow).for_each(|link| link.quality = late);
    load(&mut world, SECOND * 2, 2000);
    world.run(SECOND * 3);
    assert_masked(&world);
    assert!(stats(&world).iter().all(|stats| stats.retransmitted == 0), "{:?}", stats(&world));
}

/// A world of daemons at these sites.
fn apart(sites: &[usize], networks: u8) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=sites.len() as u32).map(DaemonId).collect();
    let places = sites.to_vec();
    let wiring =
        Wiring { table: Table::whole(sites.len(), networks.into()), sites: places, keys: Keys::NONE, counted: 0 };
    let starter = move |me, life, now| RingDaemon::wired(config(me, life, now, &ids), wiring.clone(), now);
    let mut world = World::new(sites.len(), networks.into(), 1, Box::new(starter), Log::Nothing);
    world.sites = sites.to_vec();
    world.links.heal(&Quality::good());
    (0..sites.len()).for_each(|daemon| world.at(Instant::ZERO, Action::Start(daemon)));
    assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
    world
}

/// Several sites that share no LAN: any cut between two daemons of different sites, and any network between the sites, is masked.
#[test]
fn cuts_between_sites_are_masked() {
    for sites in [&[0, 0, 1, 1][..], &[0, 1, 1], &[0, 1, 2], &[0, 1, 1, 2], &[0, 0, 0, 1, 1, 2]] {
        for (from, to) in pairs(sites.len()).filter(|&(from, to)| sites[from] != sites[to]) {
            let mut world = apart(sites, 2);
            load(&mut world, SECOND * 3, 300);
            world.run(SECOND);
            world.act(cut(None, from, to));
            world.run(SECOND * 4);
            assert_masked(&world);
        }
        let mut world = apart(sites, 2);
        load(&mut world, SECOND * 3, 300);
        world.run(SECOND);
        for (from, to) in pairs(sites.len()).filter(|&(from, to)| sites[from] != sites[to]) {
            world.act(cut(Some(0), from, to));
        }
        world.run(SECOND * 4);
        assert_masked(&world);
    }
}

/// Between daemons of two sites nothing passes either way. A third site stands between them, and the load goes on without a stop.
#[test]
fn sites_that_do_not_reach_each_other_live_on_a_third() {
    let sites = [0, 0, 1, 1, 2, 2];
    let mut world = apart(&sites, 2);
    load(&mut world, SECOND * 4, 600);
    world.run(SECOND);
    for (from, to) in pairs(6).filter(|&(from, to)| sites[from] + sites[to] == 1) {
        world.act(cut(None, from, to));
    }
    world.run(SECOND);
    let again = |world: &World<RingDaemon>| stats(world).iter().map(|stats| stats.retransmitted).sum::<u64>();
    let before = again(&world);
    world.run(SECOND * 3);
    assert_masked(&world);
    assert_eq!(again(&world), before, "once it is known, nothing needs to be sent again");
}

/// The daemon that lets data in to a site dies: only it is lost, and it is taken back.
#[test]
fn a_gateway_may_die() {
    for dies in [0, 3] {
        let mut world = apart(&[0, 0, 0, 1, 1, 1], 2);
        load(&mut world, SECOND * 6, 900);
        world.run(SECOND);
        world.act(Action::Crash(dies));
        world.run(SECOND * 3);
        let living = world.living().into_values().collect::<Vec<_>>();
        assert!(living.iter().all(|&process| world.trace.current(process).is_some_and(|now| now.members.len() == 5)));
        world.act(Action::Start(dies));
        world.run(SECOND * 3);
        assert_healed(&mut world, SECOND * 3);
    }
}

/// While nothing fails each packet of data crosses once to each other site, whatever the number of daemons there.
#[test]
fn data_crosses_once_to_each_site() {
    use std::cell::Cell;
    use std::rc::Rc;
    let mut world = apart(&[0, 0, 1, 1, 1, 1], 1);
    world.run(SECOND);
    let crossed = Rc::new(Cell::new(0));
    let (count, before) = (Rc::clone(&crossed), stats(&world).iter().map(|stats| stats.packets_sent).sum::<u64>());
    world.set_rule(Box::new(move |flight| {
        count.set(count.get() + u64::from(flight.kind() == PacketKind::Data && (flight.from < 2) != (flight.to < 2)));
        vec![Duration::ZERO]
    }));
    load(&mut world, SECOND * 2, 400);
    world.run(SECOND * 3);
    assert_masked(&world);
    let sent = stats(&world).iter().map(|stats| stats.packets_sent).sum::<u64>() - before;
    assert_eq!(crossed.get(), sent);
}
