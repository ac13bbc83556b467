//! Real daemons on real kernels: daemons in network namespaces on several networks, C programs linked with the built library and
//! Rust clients, and networks and daemons that fail in the middle. Every receiver must have the identical sequence.
//!
//! Needs root, `ip` and `nft`; without them each test says that it was skipped.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "plain sockets, clocks and clients' threads")]

#[path = "network/faults.rs"]
mod faults;
#[path = "network/load.rs"]
mod load;
mod process;
#[path = "network/reload.rs"]
mod reload;
#[path = "network/rig.rs"]
mod rig;
#[path = "network/ring.rs"]
mod ring;
#[path = "network/site.rs"]
mod site;
#[path = "network/soak/mod.rs"]
mod soak;
#[path = "network/strangers.rs"]
mod strangers;

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use faults::{CROSSINGS, CUTS, FLAPS, Fault, LIMITS, LOSSES, SPLITS};
use load::Load;
use reload::{reload, retune};
use rig::Rig;
use ring::{Member, Messages, Programs, members, private_group};
use site::{Plan, Site, Wire};

/// What the members of most tests send. One stage is allowed from the start.
const MESSAGES: Messages = Messages { count: 10_000, size: 100, stages: 4 };

const MULTICAST: Plan = Plan { nodes: 3, segments: &[3], wires: &[Wire::Multicast; 2], policy: "active", without: 0 };
/// How many messages a fault lasts, and how many go by without one.
const FAULT: usize = 1000;
const HEALED: usize = 500;

const UNICAST: Plan = Plan { wires: &[Wire::Unicast; 2], ..MULTICAST };

#[test]
fn every_receiver_has_the_identical_sequence() {
    let Some(site) = Site::start(&MULTICAST) else { return };
    let members = members(&site, Messages { stages: 1, ..MESSAGES });
    expect_all_from_all(members, MESSAGES.count);
}

#[test]
fn networks_without_multicast_do_as_well() {
    let Some(site) = Site::start(&UNICAST) else { return };
    let members = members(&site, Messages { size: 4000, count: 2000, stages: 1 });
    expect_all_from_all(members, 2000);
}

#[test]
fn a_network_that_is_cut_silently_in_the_middle_is_not_missed() {
    let Some(mut site) = Site::start(&MULTICAST) else { return };
    let mut members = members(&site, MESSAGES);
    under_load(&mut members, 1);
    site.rig.cut_network(0);
    expect_all_from_all(members, MESSAGES.count);
}

#[test]
fn networks_that_fail_in_turn_are_not_missed() {
    let Some(mut site) = Site::start(&MULTICAST) else { return };
    let mut members = members(&site, MESSAGES);
    under_load(&mut members, 1);
    site.rig.cut_network(1);
    under_load(&mut members, 2);
    site.rig.heal();
    site.rig.cut_network(0);
    expect_all_from_all(members, MESSAGES.count);
}

#[test]
fn one_daemons_broken_link_is_not_missed() {
    let Some(mut site) = Site::start(&MULTICAST) else { return };
    let mut members = members(&site, MESSAGES);
    under_load(&mut members, 1);
    site.rig.cut(2, 0);
    expect_all_from_all(members, MESSAGES.count);
}

#[test]
fn frames_lost_on_both_networks_are_sent_again() {
    let Some(mut site) = Site::start(&MULTICAST) else { return };
    let mut members = members(&site, MESSAGES);
    under_load(&mut members, 1);
    site.rig.lose(0, 5);
    site.rig.lose(1, 5);
    expect_all_from_all(members, MESSAGES.count);
}

/// A fourth daemon comes, a network goes so that the other one has its number, it comes back, and the policy is another one each time.
#[test]
fn daemons_and_networks_come_and_go_under_load() {
    const FOUR: Plan = Plan { nodes: 4, segments: &[4], ..MULTICAST };
    let Some(mut site) = Site::start_some(&FOUR, &MULTICAST) else { return };
    let load = Load::start(&site, &MULTICAST);
    // Who starts first may form a ring before the others are there.
    let before = (0..3).map(|node| site.rings(node)).collect::<Vec<_>>();
    load.pass(HEALED);
    reload(&mut site, &load, &FOUR, &[1, 2, 0]);
    site.daemons.push(site.start_daemon(3));
    site.await_members(3, 4);
    load.pass(HEALED);
    println!("longest gap when a daemon came: {:.1} ms", load.take_gap().as_secs_f64() * 1e3);
    reload(&mut site, &load, &Plan { without: 1, ..FOUR }, &[3, 0, 2, 1]);
    println!("longest gap when a network went: {:.1} ms", load.take_gap().as_secs_f64() * 1e3);
    reload(&mut site, &load, &Plan { policy: "passive", ..FOUR }, &[0, 1, 2, 3]);
    retune(&site, &load, &Plan { policy: "primary", ..FOUR }, &[2, 1, 0, 3]);
    println!("longest gap when it came back: {:.1} ms", load.take_gap().as_secs_f64() * 1e3);
    load.finish().expect_whole();
    // A ring was formed when the daemon came, and never else.
    let after = (0..3).map(|node| site.rings(node) - before[node]).collect::<Vec<_>>();
    assert_eq!((after, site.rings(3)), (vec![1; 3], 1));
}

#[test]
fn cuts_are_masked_by_two_networks_that_both_carry_everything() {
    expect_masked(&MULTICAST, &[CUTS]);
}

#[test]
fn losses_and_flapping_are_masked_by_two_networks_that_both_carry_everything() {
    expect_masked(&MULTICAST, &[LIMITS, LOSSES, FLAPS]);
}

#[test]
fn faults_are_masked_by_networks_that_take_turns() {
    expect_masked(&Plan { policy: "passive", ..MULTICAST }, &[CUTS, LOSSES, FLAPS]);
}

#[test]
fn faults_are_masked_by_a_network_that_stands_by() {
    expect_masked(&Plan { policy: "primary", ..MULTICAST }, &[CUTS, LOSSES, FLAPS]);
}

#[test]
fn data_takes_the_network_with_the_highest_priority_that_works() {
    let policy = "primary Network 1 { Priority = 10 } Network 2 { Priority = 5 }";
    let plan = Plan { wires: &[Wire::Multicast, Wire::Multicast, Wire::Unicast], policy, ..MULTICAST };
    let Some(mut site) = Site::start(&plan) else { return };
    let load = Load::start(&site, &plan);
    expect_data_on(1, &site, &load);
    site.rig.cut_network(1);
    expect_data_on(2, &site, &load);
    site.rig.switch_off(0, 2);
    expect_data_on(0, &site, &load);
    site.rig.heal();
    expect_data_on(1, &site, &load);
    load.finish().expect_whole();
}

/// Sooner or later most of what the nodes send goes on this network. What is handed over to a resting token goes on all of them.
fn expect_data_on(network: usize, site: &Site, load: &Load) {
    let sent = || -> Vec<u64> {
        let nodes: Vec<_> = (0..site.rig.nodes()).map(|node| site.rig.sent(node)).collect();
        (0..nodes[0].len()).map(|network| nodes.iter().map(|sent| sent[network]).sum()).collect()
    };
    let mut seen = Vec::new();
    while seen.last() != Some(&network) {
        assert!(seen.len() < 40, "{seen:?}");
        let before = sent();
        load.pass(HEALED);
        let bytes = sent().into_iter().zip(before).map(|(after, before)| after.saturating_sub(before));
        seen.push(bytes.enumerate().max_by_key(|(_, bytes)| *bytes).unwrap().0);
    }
    println!("data on network {network} after looking {} times", seen.len());
}

#[test]
fn an_operator_is_shown_what_is_lost_and_how_long_the_way_is() {
    let Some(mut site) = Site::start(&MULTICAST) else { return };
    let load = Load::start(&site, &MULTICAST);
    site.rig.lose(1, 20);
    // Reports come every 50 ms and the last 64 are judged.
    load.pass(4 * FAULT);
    let mut monitor = site.rig.command(0, Path::new(env!("CARGO_BIN_EXE_spmonitor")));
    let shown = String::from_utf8(monitor.arg("paths").output().unwrap().stdout).unwrap();
    println!("{shown}");
    let heading = shown.lines().find(|line| line.starts_with("daemon") && line.contains("round trip us")).unwrap();
    let column = |name: &str| heading.find(name).unwrap();
    let measured = |line: &str, name: &str| -> f64 { word_at(line, column(name)).parse().unwrap() };
    for node in [1, 2] {
        let address = Rig::address(0, node);
        let rows = shown.lines().filter(|line| line.starts_with(&address) && line.len() > column("round trip us"));
        let [whole, lossy] = rows.collect::<Vec<_>>()[..] else { panic!("{shown}") };
        for name in ["loss percent", "loss there percent"] {
            assert!(measured(whole, name) < 5.0 && (5.0..50.0).contains(&measured(lossy, name)), "{name}\n{shown}");
        }
        assert!([whole, lossy].iter().all(|row| (1.0..1e6).contains(&measured(row, "round trip us"))), "{shown}");
    }
    load.finish().expect_whole();
}

/// The word that begins there.
fn word_at(line: &str, place: usize) -> &str {
    line[place..].split_whitespace().next().unwrap()
}

#[test]
fn faults_are_masked_for_five_daemons_on_three_networks() {
    let wires = &[Wire::Multicast, Wire::Unicast, Wire::Broadcast];
    expect_masked(&Plan { nodes: 5, segments: &[5], wires, policy: "active 2", without: 0 }, &[CUTS, LOSSES, FLAPS]);
}

#[test]
fn faults_are_masked_where_ipv6_and_ipv4_mix() {
    let wires = &[Wire::Multicast6, Wire::Unicast6, Wire::Multicast];
    expect_masked(&Plan { nodes: 4, segments: &[4], wires, policy: "passive", without: 0 }, &[CUTS, LIMITS]);
}

#[test]
fn daemons_that_share_no_network_are_relayed() {
    expect_masked(&MULTICAST, &[SPLITS]);
    expect_masked(&Plan { policy: "passive", ..MULTICAST }, &[SPLITS]);
    expect_masked(&Plan { policy: "primary", ..MULTICAST }, &[SPLITS]);
}

/// Two segments that share no LAN: what is for all in one does not reach the other.
const APART: Plan = Plan { nodes: 4, segments: &[2, 2], ..MULTICAST };

#[test]
fn data_crosses_once_to_the_other_segment_in_each_network() {
    let Some(site) = Site::start(&APART) else { return };
    let load = Load::start(&site, &APART);
    load.pass(2000);
    let history = load.finish();
    history.expect_whole();
    let sent: u32 = (0..APART.nodes).map(|node| history.sent[node]).sum();
    for network in 0..2 {
        let crossed = site.rig.crossed(network, 0, 1) + site.rig.crossed(network, 1, 0);
        let copies = crossed as f64 / (f64::from(sent) * 1000.0);
        println!("network {network}: {copies:.2} times the bytes of {sent} messages");
        // Where the token rests at the other site a message crosses once more, when it is handed over.
        assert!((0.9..2.4).contains(&copies), "with headers, {copies} copies of each message cross");
    }
}

#[test]
fn faults_between_segments_are_masked() {
    expect_masked(&APART, &[CUTS, CROSSINGS]);
    let wires = &[Wire::Multicast, Wire::Unicast];
    expect_masked(&Plan { wires, policy: "passive", ..APART }, &[CROSSINGS]);
}

/// One network after the other fails, of all kinds that there are, until one is left.
#[test]
fn eight_networks_of_all_kinds_may_fail_but_one() {
    use Wire::{Broadcast, Multicast, Multicast6, Unicast, Unicast6};
    let wires = &[Multicast, Broadcast, Unicast, Multicast6, Unicast6, Broadcast, Multicast, Multicast6];
    for (policy, last) in [("active 2", 4), ("passive", 2)] {
        let plan = Plan { wires, policy, ..MULTICAST };
        let Some(mut site) = Site::start(&plan) else { return };
        let load = Load::start(&site, &plan);
        load.pass(HEALED);
        load.take_gap();
        for network in (0..wires.len()).filter(|network| *network != last) {
            site.rig.cut_network(network);
            load.pass(HEALED);
            println!("{policy}: longest gap when {:?} {network} is cut: {:?}", wires[network], load.take_gap());
        }
        site.rig.heal();
        load.pass(HEALED);
        println!("{policy}: longest gap when all are back: {:?}", load.take_gap());
        load.finish().expect_whole();
    }
}

#[test]
fn a_network_that_is_absent_at_the_start_is_not_missed_and_then_used() {
    let absent = |rig: &mut Rig| (0..3).for_each(|node| rig.take_away(node, 0));
    let Some(mut site) = Site::start_after(&MULTICAST, absent) else { return };
    let load = Load::start(&site, &MULTICAST);
    load.pass(FAULT);
    load.take_gap();
    site.rig.heal();
    load.pass(3 * FAULT);
    println!("longest gap when the network appears: {:?}", load.take_gap());
    site.rig.cut_network(1);
    load.pass(FAULT);
    println!("longest gap when the other one is cut: {:?}", load.take_gap());
    load.finish().expect_whole();
}

#[test]
fn survivors_of_a_killed_daemon_agree_and_are_told() {
    let Some((code, _)) = lose_a_daemon(2, |site| site.daemons[2].kill()) else { return };
    assert_eq!(code, Some(3), "its own member is told that the connection is closed");
}

#[test]
fn survivors_of_a_killed_representative_agree_and_are_told() {
    let Some((code, _)) = lose_a_daemon(0, |site| site.daemons[0].kill()) else { return };
    assert_eq!(code, Some(3), "its own member is told that the connection is closed");
}

#[test]
fn both_sides_of_a_partition_agree_and_are_told() {
    let cut_off = |site: &mut Site| [0, 1].into_iter().for_each(|network| site.rig.cut(2, network));
    let Some((code, sequence)) = lose_a_daemon(2, cut_off) else { return };
    assert_eq!(code, Some(0));
    assert_eq!(events(&sequence), ["= transition", "= network 1 1 #c#gamma"]);
}

#[test]
fn the_program_is_c_and_cxx_and_finds_the_library() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ring");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let programs = Programs::build(&directory);
    for program in [&programs.c, &programs.cxx] {
        assert_eq!(Command::new(program).output().unwrap().status.code(), Some(2), "it wants arguments");
    }
}

#[test]
fn the_rig_does_what_it_says() {
    let Some(mut rig) = Rig::up(2, 2) else { return };
    let from = rig.inside(0, || UdpSocket::bind("0.0.0.0:0").unwrap());
    let to = rig.inside(1, || UdpSocket::bind("0.0.0.0:4000").unwrap());
    to.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let send = |network: u8| _ = from.send_to(&[network], (Rig::address(network.into(), 1), 4000)).unwrap();
    let arrived = || {
        let mut datagram = [9];
        to.recv(&mut datagram).unwrap();
        datagram[0]
    };
    let arriving = |count| {
        [0, 1, 0].into_iter().for_each(send);
        // One network may overtake another.
        let mut networks: Vec<u8> = (0..count).map(|_| arrived()).collect();
        networks.sort();
        networks
    };
    assert_eq!(arriving(3), [0, 0, 1]);
    rig.cut_network(0);
    assert_eq!(arriving(1), [1]);
    rig.heal();
    assert_eq!(arriving(3), [0, 0, 1]);
    rig.cut(0, 1);
    assert_eq!(arriving(2), [0, 0]);
    for (fault, node) in [(Rig::mute as fn(&mut Rig, _, _), 0), (Rig::deafen, 1), (Rig::switch_off, 1)] {
        rig.heal();
        assert_eq!(arriving(3), [0, 0, 1]);
        fault(&mut rig, node, 0);
        assert_eq!(arriving(1), [1]);
    }
    rig.heal();
    rig.lose(0, 50);
    (0..200).for_each(|_| send(0));
    send(1);
    let through = std::iter::from_fn(|| Some(arrived())).take_while(|network| *network == 0).count();
    assert!((50..150).contains(&through), "half of 200 are lost, and {through} come through");
    rig.heal();
    rig.take_away(1, 1);
    assert_eq!(arriving(2), [0, 0]);
}

/// Under load, one fault after the other happens and is healed, and nobody notices anything but the time that it takes.
fn expect_masked(plan: &Plan, faults: &[&[Fault]]) {
    let Some(mut site) = Site::start(plan) else { return };
    let load = Load::start(&site, plan);
    println!("{plan:?}\nlongest gap between deliveries\n      before      during     healing");
    for fault in faults.concat() {
        let gap_over = |count| {
            load.pass(count);
            load.take_gap().as_secs_f64() * 1e3
        };
        let before = gap_over(HEALED);
        (fault.begin)(&mut site.rig, &load);
        let during = gap_over(FAULT);
        site.rig.heal();
        let healing = gap_over(HEALED);
        println!("{before:9.1} ms{during:9.1} ms{healing:9.1} ms  {}", fault.name);
    }
    load.finish().expect_whole();
}

/// Waits until all members have sent so many stages, having allowed them the next one before, so that they go on meanwhile.
fn under_load(members: &mut [Member], stage: usize) {
    members.iter_mut().for_each(Member::allow_a_stage);
    members.iter_mut().for_each(|member| member.await_stage(stage));
}

/// All members get everything that all of them sent, in one order, and no membership changes.
fn expect_all_from_all(members: Vec<Member>, count: usize) {
    let sequences = finish_all(members);
    for (code, sequence) in &sequences {
        assert_eq!(*code, Some(0));
        assert_eq!(events(sequence), [""; 0]);
        assert_eq!(sequence.len(), sequences.len() * (count + 1));
    }
    expect_same(&sequences[0].1, &sequences[1].1);
    expect_same(&sequences[0].1, &sequences[2].1);
}

/// Lets a fault take a daemon away in the middle, and returns how its member fared. The members of the others are told, at the
/// same place as their equal sequences show, and get everything from each other.
fn lose_a_daemon(victim: usize, fault: impl FnOnce(&mut Site)) -> Option<(Option<i32>, Vec<String>)> {
    let mut site = Site::start(&MULTICAST)?;
    let mut members = members(&site, MESSAGES);
    under_load(&mut members, 1);
    fault(&mut site);
    let mut sequences = finish_all(members);
    let lost = sequences.remove(victim);
    let survivors: Vec<_> = (0..3).filter(|node| *node != victim).map(private_group).collect();
    let view = format!("= network 2 2 {}", survivors.join(" "));
    for (code, sequence) in &sequences {
        assert_eq!(*code, Some(0));
        assert_eq!(events(sequence), ["= transition", &view]);
        let from_each = |name: &String| sequence.iter().filter(|line| line.split(' ').next() == Some(name)).count();
        assert_eq!(survivors.iter().map(from_each).collect::<Vec<_>>(), [MESSAGES.count + 1; 2]);
    }
    expect_same(&sequences[0].1, &sequences[1].1);
    expect_same_until_the_fault(&sequences[0].1, &lost.1);
    Some(lost)
}

/// As far as both were delivered messages before they were told of the fault, these are the same.
fn expect_same_until_the_fault(one: &[String], other: &[String]) {
    let before = |sequence: &[String]| sequence.iter().take_while(|line| !line.starts_with('=')).count();
    let shared = before(one).min(before(other));
    expect_same(&one[..shared], &other[..shared]);
}

fn finish_all(mut members: Vec<Member>) -> Vec<(Option<i32>, Vec<String>)> {
    members.iter_mut().for_each(Member::allow_all);
    members.into_iter().map(Member::finish).collect()
}

/// The membership messages in a sequence.
fn events(sequence: &[String]) -> Vec<&str> {
    sequence.iter().map(String::as_str).filter(|line| line.starts_with('=')).collect()
}

fn expect_same(one: &[String], other: &[String]) {
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    assert_eq!(differs.map(|place| (place, &one[place], &other[place])), None);
    assert_eq!(one.len(), other.len());
}
