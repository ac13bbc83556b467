//! Proven weak points of this family of protocols, each as a named history. What is random in them has a fixed seed.

mod absence;
mod clones;
mod copies;
mod flow;
mod holes;
mod large;
mod membership;
mod order;
mod paths;
mod quiet;
mod reload;
mod rest;
mod size;
mod tokens;
mod trust;
mod widths;

use std::cell::Cell;

use spread::ring::{RingSettings, Stats};
use spread::rng::Rng;
use spread::seal::Keys;
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Header, NetworkId, PacketKind, Service};

use crate::actor::{Actor, RingDaemon, Wiring};
use crate::checker::{check_awake, check_masking, check_quiescence, check_safety};
use crate::faults::config;
use crate::links::{NO_LIMIT, Quality, Which};
use crate::tables::Table;
use crate::world::{Action, Log, World};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NOTHING: Which = Which { network: None, from: None, to: None };

/// A world whose daemons have started and share a ring.
fn whole(daemons: usize, networks: usize) -> World<RingDaemon> {
    let mut world = started(daemons, networks, true);
    assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
    world
}

/// The same without a filter for copies before the ring.
fn whole_unfiltered(daemons: usize, networks: usize) -> World<RingDaemon> {
    let mut world = started(daemons, networks, false);
    assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
    world
}

fn started(daemons: usize, networks: usize, filtered: bool) -> World<RingDaemon> {
    started_with(daemons, networks, filtered, |_| {})
}

thread_local! {
    /// Where the numbers of packets and hops begin in the scenarios of this thread.
    static FIRST_NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// The same with other settings.
fn started_with(daemons: usize, networks: usize, filtered: bool, adjust: fn(&mut RingSettings)) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=daemons as u32).map(DaemonId).collect();
    let starter = move |me, life, now| {
        let mut config = config(me, life, now, &ids);
        config.first_number = FIRST_NUMBER.get();
        adjust(&mut config);
        let daemon = RingDaemon::new(config, networks as u8, now);
        if filtered { daemon } else { daemon.unfiltered() }
    };
    let mut world = World::new(daemons, networks, 1, Box::new(starter), Log::Nothing);
    world.links.heal(&Quality::good());
    for daemon in 0..daemons {
        world.at(Instant::ZERO + MILLI * (daemon as u32 * 7 % 50), Action::Start(daemon));
    }
    world
}

/// Every daemon sends messages of mixed services and sizes now and then, all the while.
fn load(world: &mut World<RingDaemon>, span: Duration, count: u32) {
    let mut rng = Rng::new(7);
    for n in 0..count {
        let service = if rng.chance(0.3) { Service::Safe } else { Service::Agreed };
        let most = if rng.chance(0.1) { 5000 } else { 300 };
        let size = rng.below(most) as usize;
        let action = Action::Submit { daemon: n as usize % world.daemons(), service, size };
        world.at(world.now() + span / count * n, action);
    }
}

fn assert_masked(world: &World<RingDaemon>) {
    check_safety(&world.trace).and_then(|()| check_masking(&world.trace)).unwrap_or_else(|broken| panic!("{broken}"));
}

fn assert_healed(world: &mut World<RingDaemon>, bound: Duration) {
    assert!(world.run_until_whole(bound), "the ring is whole again");
    world.run(SECOND * 2);
    let verdict = check_safety(&world.trace).and_then(|()| check_quiescence(&world.trace));
    verdict.unwrap_or_else(|broken| panic!("{broken}"));
}

fn stats(world: &World<RingDaemon>) -> Vec<Stats> {
    (0..world.daemons()).map(|daemon| *world.actor(daemon).stats()).collect()
}

/// S02: a copy of a token may come thousands of hops later and still leads to nothing, in its ring and in later ones.
#[test]
fn late_copies_of_tokens_are_harmless() {
    let mut world = whole_unfiltered(4, 2);
    let mut rng = Rng::new(2);
    world.set_rule(Box::new(move |flight| {
        let mut copies = vec![Duration::ZERO];
        if flight.kind() == PacketKind::Token {
            let more = rng.below(3);
            copies.extend((0..more).map(|_| Duration::from_micros(rng.below(8_000_000))));
        }
        copies
    }));
    load(&mut world, SECOND * 4, 20_000);
    world.run(SECOND * 6);
    assert_masked(&world);
    assert!(stats(&world).iter().all(|stats| stats.tokens_repeated > 1000), "copies came: {:?}", stats(&world));
    for sides in [[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]] {
        world.act(Action::Partition(sides.to_vec()));
        load(&mut world, SECOND * 2, 400);
        world.run(SECOND * 3);
    }
    world.clear_rule();
    assert_healed(&mut world, SECOND * 3);
}

/// S05: a copy of a packet that was delivered and forgotten long ago is not a new packet, whatever happened to the ring since.
#[test]
fn copies_of_forgotten_packets_are_not_delivered_again() {
    let mut world = whole_unfiltered(3, 1);
    let mut rng = Rng::new(5);
    world.set_rule(Box::new(move |flight| match flight.kind() {
        PacketKind::Data => vec![Duration::ZERO, Duration::from_micros(rng.below(6_000_000)), SECOND * 4],
        _ => vec![Duration::ZERO],
    }));
    load(&mut world, SECOND * 2, 500);
    world.run(SECOND * 2);
    world.act(Action::Partition(vec![0, 0, 1]));
    world.run(SECOND * 2);
    world.act(Action::Partition(vec![0, 0, 0]));
    world.run(SECOND * 5);
    assert!(stats(&world).iter().all(|stats| stats.duplicates + stats.dropped.foreign > 300), "{:?}", stats(&world));
    assert_healed(&mut world, SECOND);
}

/// S06: in an idle ring a lone message leaves at once, whoever sends it.
#[test]
fn a_lone_message_does_not_wait_for_an_idle_ring() {
    let mut world = whole(5, 1);
    for n in 0..50 {
        world.run(MILLI * (100 + n * 3));
        let before = world.tally.delivered;
        world.act(Action::Submit { daemon: n as usize % 5, service: Service::Agreed, size: 10 });
        world.run(MILLI * 5);
        assert_eq!(world.tally.delivered - before, 5, "message {n} is everywhere within 5 ms");
    }
    assert_masked(&world);
}

/// S07: data that is slower than the token by less than a rotation is waited for, not asked for.
#[test]
fn slow_data_is_not_asked_for_again() {
    for skew in [100, 300, 500, 700] {
        let mut world = whole(4, 2);
        let steady = Quality { jitter: Duration::ZERO, ..Quality::good() };
        world.links.heal(&steady);
        world.set_rule(Box::new(move |flight| match flight.kind() {
            PacketKind::Data => vec![Duration::from_micros(skew)],
            _ => vec![Duration::ZERO],
        }));
        load(&mut world, SECOND, 2000);
        world.run(SECOND * 2);
        assert_masked(&world);
        let retransmitted: u64 = stats(&world).iter().map(|stats| stats.retransmitted).sum();
        assert_eq!(retransmitted, 0, "data {skew} µs slower than the token, which takes 800 µs for a rotation");
    }
}

/// S10: one daemon does not hear another, on the only network. The ring finds something stable, and does not try the impossible
/// more often than its pauses allow.
#[test]
fn one_way_loss_does_not_make_the_ring_restless() {
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let mut world = whole(3, 1);
        world.act(Action::Cut(Which { from: Some(from), to: Some(to), ..NOTHING }, true));
        load(&mut world, SECOND * 60, 600);
        world.run(SECOND * 60);
        let before = world.tally.configurations;
        world.run(SECOND * 60);
        let changes = world.tally.configurations - before;
        assert!(changes <= 18, "{changes} configurations in the second minute without {from} to {to}");
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
        world.links.heal(&Quality::good());
        assert_healed(&mut world, SECOND * 35);
    }
}

/// S11: who hears whom is no equivalence. Whatever the graph, the order holds, and a daemon installs no more than one
/// configuration in four seconds once the pauses have grown.
#[test]
fn any_graph_of_who_hears_whom_is_stable() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let daemons = 3 + rng.below(3) as usize;
        let mut world = whole(daemons, 1);
        for from in 0..daemons {
            for to in 0..daemons {
                let cut = rng.chance(0.3);
                world.act(Action::Cut(Which { from: Some(from), to: Some(to), ..NOTHING }, cut));
            }
        }
        load(&mut world, SECOND * 60, 300);
        world.run(SECOND * 60);
        let before = world.tally.configurations;
        world.run(SECOND * 60);
        let changes = world.tally.configurations - before;
        assert!(changes <= 16 * daemons as u64, "graph {seed}: {changes} configurations in the second minute");
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("graph {seed}: {broken}"));
        world.links.heal(&Quality::good());
        assert_healed(&mut world, SECOND * 35);
    }
}

/// S13: two halves under full load find each other.
#[test]
fn a_merge_is_found_under_full_load() {
    let mut world = whole(4, 1);
    world.act(Action::Partition(vec![0, 1, 0, 1]));
    world.run(SECOND * 2);
    load(&mut world, SECOND * 2, 6000);
    world.run(SECOND);
    world.act(Action::Partition(vec![0, 0, 0, 0]));
    assert!(world.run_until_whole(SECOND), "within a second, while the load goes on");
    assert_healed(&mut world, SECOND);
}

/// S20, S27: each form token and each join arrives several times, late, or not at all the first time.
#[test]
fn copies_and_losses_of_membership_packets_do_not_confuse() {
    for lost in 0..40 {
        let mut world = started(4, 2, false);
        let mut rng = Rng::new(lost);
        let mut seen = 0;
        world.set_rule(Box::new(move |flight| match flight.kind() {
            PacketKind::Form | PacketKind::Join => {
                seen += u64::from(flight.kind() == PacketKind::Form);
                if flight.kind() == PacketKind::Form && seen == lost {
                    return vec![];
                }
                let copy = |_| Duration::from_micros(rng.below(100) * rng.below(1000));
                std::iter::once(Duration::ZERO).chain((0..3).map(copy)).collect()
            }
            _ => vec![Duration::ZERO],
        }));
        load(&mut world, SECOND, 50);
        assert_healed(&mut world, SECOND * 3);
    }
}

/// S21: the network breaks anew at every step of a membership change, whether a ring falls apart or two merge.
#[test]
fn a_partition_may_come_at_any_step_of_a_membership_change() {
    let partitions: [[u8; 4]; 5] = [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 2, 0], [0, 0, 0, 0]];
    for step in 0..160_u32 {
        let mut world = whole(4, 1);
        load(&mut world, SECOND * 4, 200);
        world.run(MILLI * 100);
        world.act(Action::Partition(vec![0, 0, 1, 1]));
        let at = world.now() + SECOND + MILLI * 5 / 2 * step;
        world.at(at, Action::Partition(partitions[step as usize % 5].to_vec()));
        world.at(at + MILLI * (step % 7), Action::Partition(partitions[step as usize % 4].to_vec()));
        world.run(SECOND * 2);
        world.act(Action::Partition(vec![0; 4]));
        let merge = world.now() + MILLI * step;
        world.at(merge, Action::Partition(partitions[step as usize / 2 % 4].to_vec()));
        world.at(merge + SECOND * 2, Action::Partition(vec![0; 4]));
        world.run(SECOND * 4);
        assert_healed(&mut world, SECOND * 10);
    }
}

/// S26: a daemon dies and lives again before anybody has noticed.
#[test]
fn a_restart_may_be_faster_than_its_detection() {
    for daemon in 0..3 {
        for dead in [0, 1, 20, 200, 900, 999, 1000, 1001] {
            let mut world = whole(3, 2);
            load(&mut world, SECOND * 3, 300);
            world.run(MILLI * 500);
            world.act(Action::Crash(daemon));
            world.run(MILLI * dead);
            world.act(Action::Start(daemon));
            world.run(SECOND * 3);
            assert_healed(&mut world, SECOND * 5);
        }
    }
}

/// S29: a daemon stops for less than four intervals of the resting token and nothing happens, or for longer and is taken back.
#[test]
fn a_pause_is_survived() {
    for daemon in 0..4 {
        for (pause, masked) in [(150, true), (280, true), (600, false), (2000, false), (10_000, false)] {
            let mut world = whole(4, 1);
            load(&mut world, SECOND * 4, 200);
            world.run(MILLI * 300);
            world.act(Action::Pause(daemon));
            world.run(MILLI * pause);
            world.act(Action::Resume(daemon));
            world.run(SECOND * 4);
            if masked {
                assert_masked(&world);
            }
            assert_healed(&mut world, SECOND * 3);
        }
    }
}

/// Takes a daemon's interface down.
fn unplug(world: &mut World<RingDaemon>, daemon: usize, network: usize) {
    let network = Some(network);
    world.act(Action::Cut(Which { network, from: Some(daemon), to: None }, true));
    world.act(Action::Cut(Which { network, from: None, to: Some(daemon) }, true));
}

/// M1: each daemon has lost another network, and each two still share one.
#[test]
fn networks_fail_differently_at_each_daemon_and_nobody_notices() {
    let mut world = whole(3, 3);
    load(&mut world, SECOND * 4, 400);
    for (daemon, network) in [(0, 2), (1, 0), (2, 1)] {
        world.run(SECOND);
        unplug(&mut world, daemon, network);
    }
    world.run(SECOND * 3);
    assert_masked(&world);
}

/// M1: one sends nothing on network 0, another hears nothing on network 1.
#[test]
fn one_way_faults_are_masked() {
    let mut world = whole(4, 2);
    load(&mut world, SECOND * 2, 400);
    world.act(Action::Cut(Which { network: Some(0), from: Some(0), to: None }, true));
    world.act(Action::Cut(Which { network: Some(1), from: Some(1), to: Some(2) }, true));
    world.run(SECOND * 4);
    assert_masked(&world);
}

/// S42: one has only network 0, another only network 1. A third that has both stands between them, and nobody notices.
#[test]
fn who_share_no_network_are_kept_together_by_a_third() {
    for (one, other) in [(0, 1), (0, 2), (1, 2), (2, 1)] {
        let mut world = whole(3, 2);
        load(&mut world, SECOND * 6, 600);
        world.run(SECOND);
        unplug(&mut world, one, 1);
        unplug(&mut world, other, 0);
        world.run(SECOND * 8);
        assert_masked(&world);
    }
}

/// M2: with all copies on all networks, the loss of a network delays nothing.
#[test]
fn the_loss_of_a_network_leaves_no_gap() {
    let mut world = whole(3, 2);
    load(&mut world, SECOND * 2, 1000);
    world.run(SECOND);
    world.act(Action::Cut(Which { network: Some(0), ..NOTHING }, true));
    world.run(SECOND * 2);
    assert_masked(&world);
    assert!(stats(&world).iter().all(|stats| stats.retransmitted == 0 && stats.tokens_retransmitted == 0));
}
