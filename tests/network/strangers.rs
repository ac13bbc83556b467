//! What people who run systems of this family ran into: each trouble that needs real networks, with what must come of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received, doze};
use spread::daemon::make_key_file;
use spread::wire::{FrameType, Name};

use crate::process::Process;
use crate::rig::Rig;
use crate::site::{NAMES, Plan, Site, Wire};

const JUMBO: usize = 9000;
/// What passes where long frames vanish.
const ETHERNET: usize = 1500;
/// Bytes of a packet before its datagram.
const HEADERS: usize = 28;
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

/// One line of each of these nodes names each network, the lengths that vanish and that pass, and one of these daemons.
fn expect_one_warning(site: &Site, warned: &[usize], unreached: &[usize]) {
    for node in 0..site.daemons.len() {
        let log = site.log(node);
        let told = lines(&log, "vanish on network");
        let networks = if warned.contains(&node) { site.rig.networks() } else { 0 };
        assert_eq!(told.len(), networks, "node {node}\n{log}");
        for network in 0..networks {
            let is_named = |&&other: &&usize| {
                let words = format!(
                    "WARN path_short: datagrams of {} bytes vanish on network {network} on the way to {} ({}), those of {} bytes arrive",
                    JUMBO - HEADERS,
                    NAMES[other],
                    Rig::address(0, other),
                    ETHERNET - HEADERS
                );
                other != node && lines(&log, &words).len() == 1
            };
            assert_eq!(unreached.iter().filter(is_named).count(), 1, "node {node}, network {network}\n{log}");
        }
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
        let all: Vec<usize> = (0..plan.nodes).collect();
        expect_one_warning(&site, &all, &all);
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
    expect_one_warning(&site, &[0, 1, 2], &[0, 1, 2]);
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
    expect_one_warning(&site, &[0, 1], &[2]);
}

/// How many members each ring had that the daemon of a node has installed.
fn sizes(site: &Site, node: usize) -> Vec<usize> {
    let log = site.log(node);
    let size = |line: &&str| line.split_once("a ring of ")?.1.split_once(" daemons is installed")?.0.parse().ok();
    log.lines().collect::<Vec<_>>().iter().filter_map(size).collect()
}

/// Idle daemons. One of them sleeps, or its only interface goes and comes again. The others have one change when it goes and one when it
/// comes back.
#[test]
fn who_comes_back_is_taken_in_by_one_change_and_parts_nobody() {
    let Some(mut site) = Site::start(&TRIO) else { return };
    (0..3).for_each(|node| site.await_members(node, 3));
    let signal = |site: &Site, signal: &str| {
        let process = site.daemons[2].child.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    };
    for how in ["sleep", "interface", "sleep"] {
        let before = [0, 1].map(|node| sizes(&site, node).len());
        match how {
            "sleep" => signal(&site, "-STOP"),
            _ => site.rig.take_away(2, 0),
        }
        doze(Duration::from_secs(2));
        match how {
            "sleep" => signal(&site, "-CONT"),
            _ => site.rig.heal(),
        }
        let begin = Instant::now();
        while [0, 1].iter().any(|&node| sizes(&site, node).last() != Some(&3)) {
            assert!(begin.elapsed() < PATIENCE, "{how}: it does not come back\n{}", site.log(0));
            doze(Duration::from_millis(20));
        }
        doze(Duration::from_secs(3));
        for node in [0, 1] {
            assert_eq!(sizes(&site, node)[before[node]..], [2, 3], "{how}, node {node}\n{}", site.log(node));
        }
    }
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

/// A switch that passes nothing, from the start. Once it passes everything, the commands that the warning names show it.
#[test]
fn who_hears_nobody_for_ten_seconds_is_told_once_what_to_try() {
    let plan = Plan { wires: &[Wire::Multicast, Wire::Broadcast, Wire::Unicast], ..PAIR };
    let cut = |rig: &mut Rig| (0..plan.wires.len()).for_each(|network| rig.cut_network(network));
    let Some(mut site) = Site::start_after(&plan, cut) else { return };
    doze(Duration::from_secs(8));
    assert_eq!([0, 1].map(|node| lines(&site.log(node), "no other daemon was heard").len()), [0, 0], "too early");
    doze(Duration::from_secs(6));
    let logs = [0, 1].map(|node| site.log(node));
    site.rig.heal();
    for (node, log) in logs.iter().enumerate() {
        let told = lines(log, "no other daemon was heard in 10 s");
        assert_eq!(told.len(), 1, "node {node}\n{log}");
        let targets = ["239.77.0.1".to_owned(), "10.77.1.255".to_owned(), named(2, 1 - node)];
        for (network, to) in targets.iter().enumerate() {
            let own = named(network, node);
            let sent = format!("Network {network}: sent from {own} to {to}, port 4803");
            assert!(told[0].contains(&sent), "{sent}\n{}", told[0]);
        }
        let commands: Vec<&str> = told[0].split('"').skip(1).step_by(2).collect();
        assert_eq!(commands.len(), 2 * plan.wires.len(), "{commands:?}");
        commands.chunks(2).for_each(|pair| try_by_hand(&site, (1 - node, pair[0]), (node, pair[1])));
    }
}

/// The address of a node in a network, as the log has it.
fn named(network: usize, node: usize) -> String {
    format!("{} ({})", NAMES[node], Rig::address(network, node))
}

/// Runs a command at the node that listens and one at the node that sends: everything arrives.
fn try_by_hand(site: &Site, listen: (usize, &str), send: (usize, &str)) {
    let start = |(node, text): (usize, &str)| {
        let mut words = text.split(' ');
        let program = match words.next() {
            Some("sprecv") => env!("CARGO_BIN_EXE_sprecv"),
            Some("spsend") => env!("CARGO_BIN_EXE_spsend"),
            _ => panic!("nobody knows the program of {text}"),
        };
        let mut command = site.rig.command(node, Path::new(program));
        command.args(words);
        command
    };
    let (name, begin) = (site.rig.directory().join("listener"), Instant::now());
    let _listener = Process::start(start(listen), &name);
    let expect = |said: &str| {
        while !fs::read_to_string(name.with_extension("out")).unwrap().contains(said) {
            assert!(begin.elapsed() < PATIENCE, "{listen:?} does not say {said} after {send:?}");
            doze(Duration::from_millis(20));
        }
    };
    expect("listening");
    let output = start(send).output().unwrap();
    assert!(output.status.success(), "{send:?}: {output:?}");
    expect("received 100 packets, missed 0, corrupted 0");
}

/// Runs a program in a node whose `/etc/hosts` has these lines.
fn with_hosts(rig: &Rig, node: usize, hosts: &str, program: &str) -> Command {
    let file = rig.directory().join(format!("hosts{node}"));
    fs::write(&file, hosts).unwrap();
    let mut command = rig.command(node, Path::new("/bin/sh"));
    let bind = "mount --bind \"$1\" /etc/hosts || exit 125; shift; exec \"$@\"";
    command.args(["-c", bind, "sh"]).arg(file).arg(program);
    command
}

/// Many systems map the own name to 127.0.1.1, so each machine looks its own name up as an address that the other does not reach.
#[test]
fn machines_that_look_their_own_names_up_as_loopback_addresses_meet_and_say_what_counts() {
    let Some(rig) = Rig::up(2, 1) else { return };
    let file = rig.directory().join("spread.conf");
    fs::write(&file, "Spread_Segment 10.77.0.255 { alpha beta }\nDaemonUser = root\nDaemonGroup = root\n").unwrap();
    let command = |node: usize, arguments: &[&str]| {
        let other = 1 - node;
        let hosts =
            format!("127.0.0.1 localhost\n127.0.1.1 {}\n{} {}\n", NAMES[node], Rig::address(0, other), NAMES[other]);
        let mut command = with_hosts(&rig, node, &hosts, env!("CARGO_BIN_EXE_spread"));
        command.arg("-c").arg(&file).args(arguments);
        command
    };
    let warning = |node: usize| {
        let (name, own) = (NAMES[node], Rig::address(0, node));
        format!("\"{name}\" is looked up as 127.0.1.1, a loopback address that no other machine reaches: {own} counts")
    };
    for node in 0..2 {
        let output = command(node, &["--check"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(&warning(node)), "{output:?}");
    }
    let daemons = [0, 1].map(|node| Process::start(command(node, &[]), &rig.directory().join(NAMES[node])));
    for (node, name) in NAMES.iter().enumerate().take(2) {
        let log = await_ring_of_two(&rig, name);
        assert_eq!(lines(&log, &warning(node)).len(), 1, "{log}");
    }
    drop(daemons);
}

/// Waits until the daemon with this name, started in a rig, is in a ring of two; gives its log.
fn await_ring_of_two(rig: &Rig, name: &str) -> String {
    let begin = Instant::now();
    loop {
        let log = fs::read_to_string(rig.directory().join(name).with_extension("out")).unwrap();
        if log.contains("a ring of 2 daemons is installed") {
            return log;
        }
        assert!(begin.elapsed() < PATIENCE, "{log}");
        doze(Duration::from_millis(20));
    }
}

/// A file of 5.x whose addresses are valid on one link only. Each daemon finds its own entry by them.
#[test]
fn daemons_of_a_file_of_5_meet_by_link_local_addresses() {
    let Some(rig) = Rig::up(2, 2) else { return };
    let file = rig.directory().join("spread.conf");
    let segment =
        "Spread_Segment [ff02::1:2:3%net1]:5000\n{\n alpha fe80::7%net1 VirtualID = 5 ;\n beta fe80::8%net1\n}\n";
    let rest = "ActiveIPVersion = IPv6\nWideAreaNetwork = false\nDaemonUser = root\nDaemonGroup = root\n";
    fs::write(&file, format!("{segment}{rest}")).unwrap();
    let start = |node: usize| {
        let mut ip = rig.command(node, Path::new("ip"));
        let address = format!("fe80::{}/64", 7 + node);
        assert!(ip.args(["addr", "add", &address, "dev", "net1", "nodad"]).status().unwrap().success());
        let mut command = rig.command(node, Path::new(env!("CARGO_BIN_EXE_spread")));
        command.arg("-c").arg(&file);
        Process::start(command, &rig.directory().join(NAMES[node]))
    };
    let daemons = [0, 1].map(start);
    for name in &NAMES[..2] {
        let log = await_ring_of_two(&rig, name);
        for keyword in ["VirtualID", "ActiveIPVersion", "WideAreaNetwork"] {
            assert_eq!(lines(&log, &format!("{keyword} has no effect")).len(), 1, "{keyword}: {log}");
        }
    }
    drop(daemons);
}

/// A daemon cannot work with these, so neither the check nor the daemon accepts them, and both say where the mistake is.
#[test]
fn a_loopback_address_among_others_is_refused_with_its_place_and_the_reason() {
    let Some(rig) = Rig::up(1, 1) else { return };
    let file = rig.directory().join("spread.conf");
    let hosts = "127.0.0.1 localhost\n127.0.1.1 alpha\n10.99.0.2 beta\n";
    for (segment, said) in [
        (
            "10.77.0.255 { localhost 127.0.0.1\n mymachine 10.77.0.2 }",
            "spread.conf:1:30: the daemon \"localhost\" is at 127.0.0.1",
        ),
        ("10.99.0.255 {\n alpha\n beta }", "spread.conf:2:2: \"alpha\" is looked up as 127.0.1.1"),
    ] {
        fs::write(&file, format!("Spread_Segment {segment}\n")).unwrap();
        for arguments in [&["--check"][..], &[]] {
            let mut command = with_hosts(&rig, 0, hosts, env!("CARGO_BIN_EXE_spread"));
            let output = command.arg("-c").arg(&file).args(arguments).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(
                complaint.contains(said)
                    && complaint.contains("no other machine") | complaint.contains("another machine"),
                "{complaint}"
            );
            assert!(complaint.contains("write"), "it says what to write instead: {complaint}");
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
