//! Real daemons on real kernels: three daemons in three network namespaces on two networks, C programs linked with the built
//! library, and networks and daemons that fail in the middle. Every receiver must have the identical sequence.
//!
//! Needs root, `ip` and `nft`; without them each test says that it was skipped.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "the rig is tried out with plain sockets")]

mod process;
#[path = "network/rig.rs"]
mod rig;
#[path = "network/ring.rs"]
mod ring;
#[path = "network/site.rs"]
mod site;

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rig::Rig;
use ring::{Load, Member, Programs};
use site::{MULTICAST, Site, UNICAST};

/// What the members of most tests send. One stage is allowed from the start.
const LOAD: Load = Load { count: 10_000, size: 100, stages: 4 };

#[test]
fn every_receiver_has_the_identical_sequence() {
    let Some(site) = Site::start(MULTICAST) else { return };
    let members = site.members(Load { stages: 1, ..LOAD });
    expect_all_from_all(members, LOAD.count);
}

#[test]
fn networks_without_multicast_do_as_well() {
    let Some(site) = Site::start(UNICAST) else { return };
    let members = site.members(Load { size: 4000, count: 2000, stages: 1 });
    expect_all_from_all(members, 2000);
}

#[test]
fn a_network_that_is_cut_silently_in_the_middle_is_not_missed() {
    let Some(mut site) = Site::start(MULTICAST) else { return };
    let mut members = site.members(LOAD);
    under_load(&mut members, 1);
    site.rig.cut_network(0);
    expect_all_from_all(members, LOAD.count);
}

#[test]
fn networks_that_fail_in_turn_are_not_missed() {
    let Some(mut site) = Site::start(MULTICAST) else { return };
    let mut members = site.members(LOAD);
    under_load(&mut members, 1);
    site.rig.cut_network(1);
    under_load(&mut members, 2);
    site.rig.heal();
    site.rig.cut_network(0);
    expect_all_from_all(members, LOAD.count);
}

#[test]
fn one_daemons_broken_link_is_not_missed() {
    let Some(mut site) = Site::start(MULTICAST) else { return };
    let mut members = site.members(LOAD);
    under_load(&mut members, 1);
    site.rig.cut(2, 0);
    expect_all_from_all(members, LOAD.count);
}

#[test]
fn frames_lost_on_both_networks_are_sent_again() {
    let Some(mut site) = Site::start(MULTICAST) else { return };
    let mut members = site.members(LOAD);
    under_load(&mut members, 1);
    site.rig.lose(0, 5);
    site.rig.lose(1, 5);
    expect_all_from_all(members, LOAD.count);
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
        (0..count).map(|_| arrived()).collect::<Vec<_>>()
    };
    assert_eq!(arriving(3), [0, 1, 0]);
    rig.cut_network(0);
    assert_eq!(arriving(1), [1]);
    rig.heal();
    assert_eq!(arriving(3), [0, 1, 0]);
    rig.cut(0, 1);
    assert_eq!(arriving(2), [0, 0]);
    rig.heal();
    rig.lose(0, 50);
    (0..200).for_each(|_| send(0));
    send(1);
    let through = std::iter::from_fn(|| Some(arrived())).take_while(|network| *network == 0).count();
    assert!((50..150).contains(&through), "half of 200 are lost, and {through} come through");
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
    let mut site = Site::start(MULTICAST)?;
    let mut members = site.members(LOAD);
    under_load(&mut members, 1);
    fault(&mut site);
    let mut sequences = finish_all(members);
    let lost = sequences.remove(victim);
    let survivors: Vec<_> = (0..3).filter(|node| *node != victim).map(Site::private_group).collect();
    let view = format!("= network 2 2 {}", survivors.join(" "));
    for (code, sequence) in &sequences {
        assert_eq!(*code, Some(0));
        assert_eq!(events(sequence), ["= transition", &view]);
        let from_each = |name: &String| sequence.iter().filter(|line| line.split(' ').next() == Some(name)).count();
        assert_eq!(survivors.iter().map(from_each).collect::<Vec<_>>(), [LOAD.count + 1; 2]);
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
