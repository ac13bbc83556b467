//! What people who run systems of this family ran into: each trouble that needs real networks, with what must come of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received, doze};
use spread::daemon::make_key_file;
use spread::wire::{FrameType, Name};

use crate::rig::Rig;
use crate::site::{Plan, Site, Wire};

const JUMBO: usize = 9000;
/// What passes where long frames vanish.
const ETHERNET: usize = 1500;
const PAIR: Plan = Plan { nodes: 2, segments: &[2], wires: &[Wire::Multicast], policy: "active", without: 0 };
const TRIO: Plan = Plan { nodes: 3, segments: &[3], ..PAIR };

/// How long a message may take. Only a test that has failed waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client at each daemon; all are in one group.
struct Talk(Vec<Mailbox>);

impl Talk {
    fn begin(site: &Site) -> Talk {
        let group = group();
        let mailboxes: Vec<Mailbox> = (0..site.daemons.len()).map(|node| site.rig.inside(node, connect)).collect();
        mailboxes.iter().for_each(|mailbox| mailbox.join(group).unwrap());
        for mailbox in &mailboxes {
            let all = mailboxes.len();
            while !matches!(mailbox.receive(), Ok(Received::View(view)) if view.members.len() == all) {}
        }
        Talk(mailboxes)
    }

    /// One message of this size from a node; it must come everywhere, and nothing else.
    fn say(&self, node: usize, size: usize) {
        let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let begin = Instant::now();
        self.0[node].multicast(FrameType::AGREED, &[group()], 7, &body).unwrap();
        for (at, mailbox) in self.0.iter().enumerate() {
            match mailbox.receive() {
                Ok(Received::Message(message)) => assert_eq!(message.body[..], body[..], "at {at}"),
                other => panic!("node {at} got {other:?} in place of the message of node {node}"),
            }
            assert!(begin.elapsed() < PATIENCE, "at {at} only after {:?}", begin.elapsed());
        }
    }

    /// Messages of this size now and then, from each node in turn.
    fn now_and_then(&self, count: usize, size: usize) {
        for n in 0..count {
            self.say(n % self.0.len(), size);
            doze(Duration::from_millis(700));
        }
    }
}

fn group() -> Name {
    Name::new(b"strangers").unwrap()
}

fn connect() -> Mailbox {
    let options = ConnectOptions { daemon: "4803@127.0.0.1".into(), ..ConnectOptions::default() };
    let begin = Instant::now();
    loop {
        match Mailbox::connect(&options) {
            Ok(mailbox) => return mailbox,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "no daemon: {error}"),
        }
        doze(Duration::from_millis(50));
    }
}

fn lines<'a>(log: &'a str, text: &'a str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// One line of each of these nodes says what vanishes on the network.
fn expect_one_warning(site: &Site, warned: &[usize]) {
    for node in 0..site.daemons.len() {
        let log = site.log(node);
        assert_eq!(lines(&log, "vanish on network").len(), usize::from(warned.contains(&node)), "node {node}\n{log}");
    }
}

#[test]
fn frames_that_vanish_above_a_size_break_no_ring_and_stop_no_message() {
    for (plan, size) in [(PAIR, 3000), (TRIO, 8000), (Plan { wires: &[Wire::Unicast; 2], ..TRIO }, 8000)] {
        let hole = |rig: &mut Rig| {
            rig.widen(JUMBO);
            (0..rig.networks()).for_each(|network| rig.swallow(network, 0..plan.nodes, ETHERNET));
        };
        let Some(site) = Site::start_after(&plan, hole) else { return };
        (0..plan.nodes).for_each(|node| site.await_members(node, plan.nodes));
        let (talk, rings) = (Talk::begin(&site), site.rings(0));
        talk.now_and_then(8, size);
        assert_eq!(site.rings(0), rings);
        for node in 0..plan.nodes {
            let (log, each) = (site.log(node), plan.wires.len());
            assert_eq!(lines(&log, "vanish on network").len(), each, "node {node}\n{log}");
        }
    }
}

#[test]
fn a_hole_that_opens_later_breaks_no_ring() {
    let Some(mut site) = Site::start_after(&TRIO, |rig| rig.widen(JUMBO)) else { return };
    (0..3).for_each(|node| site.await_members(node, 3));
    let (talk, rings) = (Talk::begin(&site), site.rings(0));
    talk.now_and_then(2, 8000);
    site.rig.swallow(0, 0..3, ETHERNET);
    talk.now_and_then(6, 8000);
    // It moves, and is there in one direction only.
    site.rig.heal();
    site.rig.swallow(0, 1..2, 4000);
    talk.now_and_then(6, 60_000);
    site.rig.heal();
    talk.now_and_then(3, 8000);
    assert_eq!(site.rings(0), rings);
    expect_one_warning(&site, &[0, 1, 2]);
}

#[test]
fn daemons_whose_interfaces_take_different_lengths_are_one_ring() {
    let mixed = |rig: &mut Rig| {
        rig.widen(JUMBO);
        rig.narrow_one(2, 0, ETHERNET);
    };
    let Some(site) = Site::start_after(&TRIO, mixed) else { return };
    (0..3).for_each(|node| site.await_members(node, 3));
    let (talk, rings) = (Talk::begin(&site), site.rings(0));
    talk.now_and_then(6, 8000);
    assert_eq!(site.rings(0), rings);
    expect_one_warning(&site, &[0, 1]);
}

/// How long the others may take until they are one ring with one of two hosts that have one identity: wide room for what takes a second.
const SETTLING: Duration = Duration::from_secs(4);

#[test]
fn of_a_cloned_machine_one_host_gives_way_and_all_are_told() {
    clone_alpha(&TRIO);
}

#[test]
fn of_a_cloned_machine_with_keys_one_host_gives_way_and_all_are_told() {
    clone_alpha(&Plan { policy: "active\nKeyFile = %d/spread.key", ..TRIO });
}

fn clone_alpha(plan: &Plan) {
    let make_key = |rig: &mut Rig| {
        make_key_file(&rig.directory().join("spread.key")).unwrap();
    };
    let room = Plan { nodes: 4, segments: &[4], ..*plan };
    let Some(site) = Site::start_some_after(&room, plan, make_key) else { return };
    (0..3).for_each(|node| site.await_members(node, 3));
    let talk = Talk::begin(&site);
    site.rig.clone_address(3, 0, 0);
    let clone = site.start_daemon_as(3, 0, "clone");
    let begin = Instant::now();
    for node in [1, 2] {
        while lines(&site.log(node), "two hosts run as").is_empty() {
            assert!(begin.elapsed() < PATIENCE, "node {node} says nothing\n{}", site.log(node));
            doze(Duration::from_millis(20));
        }
    }
    println!("told after {:?}", begin.elapsed());
    doze(SETTLING);
    let hosts = ["alpha", "clone"].map(|log| site.rig.directory().join(log).with_extension("out"));
    let installed = || hosts.each_ref().map(|log| lines(&fs::read_to_string(log).unwrap(), "is installed").len());
    let rings = ([1, 2].map(|node| site.rings(node)), installed());
    for (node, mailbox) in talk.0.iter().enumerate().skip(1) {
        let body = [node as u8; 3000];
        mailbox.multicast(FrameType::AGREED, &[group()], 9, &body).unwrap();
        for at in [1, 2] {
            while !matches!(talk.0[at].receive().unwrap(), Received::Message(message) if message.body[..] == body[..]) {
            }
        }
    }
    doze(2 * SETTLING);
    // The host that gives way stays out too, and forms no ring alone again.
    assert_eq!(([1, 2].map(|node| site.rings(node)), installed()), rings, "{}", site.log(1));
    for node in [1, 2] {
        let log = site.log(node);
        let told = lines(&log, "two hosts run as");
        assert_eq!(told.len(), 1, "node {node}\n{log}");
        assert_eq!(told[0].matches("the host at alpha (10.77.0.1) with the life").count(), 2, "{}", told[0]);
        let last = lines(&log, "is installed").last().copied().unwrap_or_default().to_owned();
        assert!(last.contains("a ring of 3 daemons"), "node {node}: {last}\n{log}");
    }
    for log in hosts.map(|file| fs::read_to_string(file).unwrap()) {
        assert_eq!(lines(&log, "another host runs as this daemon").len(), 1, "{log}");
    }
    drop(clone);
}

/// Where there is no multicast the address leads to one of the two hosts, as the tables of the others say. Those go on together all the same.
#[test]
#[ignore = "fails about every second time; docs/testing.md names the fault"]
fn a_cloned_machine_on_a_network_without_multicast_parts_nobody() {
    let plan = Plan { wires: &[Wire::Unicast], ..TRIO };
    let Some(site) = Site::start_some(&Plan { nodes: 4, segments: &[4], ..plan }, &plan) else { return };
    (0..3).for_each(|node| site.await_members(node, 3));
    let talk = Talk::begin(&site);
    site.rig.clone_address(3, 0, 0);
    let clone = site.start_daemon_as(3, 0, "clone");
    doze(4 * SETTLING);
    let before = lines(&site.log(1), "a ring of 1 daemons").len() + lines(&site.log(2), "a ring of 1 daemons").len();
    for (from, at) in [(1, 2), (2, 1)] {
        let body = [from as u8; 3000];
        talk.0[from].multicast(FrameType::AGREED, &[group()], 9, &body).unwrap();
        let begin = Instant::now();
        while !matches!(talk.0[at].receive().unwrap(), Received::Message(message) if message.body[..] == body[..]) {}
        assert!(begin.elapsed() < SETTLING, "{from} to {at} takes {:?}", begin.elapsed());
    }
    doze(SETTLING);
    let after = lines(&site.log(1), "a ring of 1 daemons").len() + lines(&site.log(2), "a ring of 1 daemons").len();
    assert_eq!((before, after), (0, 0), "{}", site.log(1));
    assert_eq!([1, 2].map(|node| lines(&site.log(node), "two hosts run as").len()), [1, 1], "{}", site.log(1));
    drop(clone);
}

/// A switch that does not pass multicast, from the start.
#[test]
fn who_hears_nobody_for_ten_seconds_is_told_once_what_to_try() {
    let Some(site) = Site::start_after(&PAIR, |rig| rig.cut_network(0)) else { return };
    doze(Duration::from_secs(8));
    assert_eq!([0, 1].map(|node| lines(&site.log(node), "no other daemon was heard").len()), [0, 0], "too early");
    doze(Duration::from_secs(6));
    for node in 0..2 {
        let log = site.log(node);
        let told = lines(&log, "no other daemon was heard in 10 s");
        assert_eq!(told.len(), 1, "node {node}\n{log}");
        let own = Rig::address(0, node);
        for part in
            [&format!("({own}) to 239.77.0.1, port 4803"), "sprecv -a 239.77.0.1 -d", "spsend -a 239.77.0.1 -n 100"]
        {
            assert!(told[0].contains(part), "{part}\n{}", told[0]);
        }
    }
}

/// A daemon that is heard on one of two networks is never called silent on the other.
#[test]
fn spmonitor_calls_no_network_silent_while_its_daemon_is_heard_on_another() {
    let plan = Plan { wires: &[Wire::Multicast; 2], ..PAIR };
    let Some(mut site) = Site::start(&plan) else { return };
    (0..2).for_each(|node| site.await_members(node, 2));
    site.rig.cut(1, 1);
    let begin = Instant::now();
    loop {
        let mut command = site.rig.command(0, Path::new(env!("CARGO_BIN_EXE_spmonitor")));
        let output = command.args(["paths", "-s", "4803"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("silent"), "{said}");
        if said.contains("faulty") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{said}{}", String::from_utf8_lossy(&output.stderr));
        doze(Duration::from_millis(100));
    }
}
