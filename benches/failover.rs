//! How long deliveries pause when a network fails and when it comes back: three daemons in three network namespaces on two networks, a
//! client at each, 2000 messages of 1000 bytes a second in all.
//!
//! Prints, for each policy and fault, the longest time between two deliveries at any client, as the median of several runs and in
//! brackets the shortest and the longest; `quiet` is what it is without any fault. Needs root, `ip` and `nft`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "clocks and clients' threads")]

#[path = "../tests/network/load.rs"]
mod load;
#[path = "../tests/process/mod.rs"]
mod process;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/network/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/network/site.rs"]
mod site;

use std::time::Duration;

use load::Load;
use rig::Rig;
use site::{Plan, Site, Wire};

const RUNS: usize = 5;

/// How many messages pass before the first fault, while a fault lasts, and after it until the next.
const WARM_UP: usize = 2000;
const FAULT: usize = 1000;
const HEALED: usize = 1500;

/// A fault and what is aimed at, in milliseconds, for the pause when it begins, by policy.
struct Fault {
    name: &'static str,
    goals: [u32; POLICIES.len()],
    begin: fn(&mut Rig),
}

const POLICIES: [&str; 3] = ["active", "passive", "primary"];

/// What is aimed at for the pause when a fault ends.
const HEAL_GOAL: u32 = 5;

const FAULTS: [Fault; 5] = [
    Fault { name: "network cut silently", goals: [5, 30, 30], begin: |rig| rig.cut_network(0) },
    Fault { name: "one node cut off silently", goals: [5, 30, 30], begin: |rig| rig.cut(1, 0) },
    Fault { name: "one node's interface off", goals: [5, 30, 30], begin: |rig| rig.switch_off(1, 0) },
    Fault { name: "one node is not heard", goals: [5, 30, 30], begin: |rig| rig.mute(1, 0) },
    Fault {
        name: "two nodes share no network",
        goals: [300; 3],
        begin: |rig| {
            rig.cut(1, 0);
            rig.cut(2, 1);
        },
    },
];

fn main() {
    println!("{:10}{:28}{:>26}{:>34}{:>34}", "policy", "fault", "quiet ms", "begins ms", "heals ms");
    for (policy, name) in POLICIES.into_iter().enumerate() {
        let plan = Plan { nodes: 3, wires: &[Wire::Multicast; 2], policy: name, segments: &[3], without: 0 };
        let Some(mut site) = Site::start(&plan) else { return };
        let load = Load::start(&site, &plan);
        load.pass(WARM_UP);
        for fault in &FAULTS {
            let runs: Vec<[Duration; 3]> = (0..RUNS).map(|_| measure(&mut site.rig, &load, fault)).collect();
            let [quiet, begins, heals] = [0, 1, 2].map(|phase| summary(runs.iter().map(|run| run[phase]).collect()));
            let (begins, heals) = (goal(begins, fault.goals[policy]), goal(heals, HEAL_GOAL));
            println!("{name:10}{:28}{quiet:>26}{begins:>34}{heals:>34}", fault.name);
        }
        load.finish().expect_whole();
    }
}

/// The longest pauses before, during and after a fault.
fn measure(rig: &mut Rig, load: &Load, fault: &Fault) -> [Duration; 3] {
    let pause = |count| {
        load.pass(count);
        load.take_gap()
    };
    load.take_gap();
    let quiet = pause(HEALED);
    (fault.begin)(rig);
    let begins = pause(FAULT);
    rig.heal();
    [quiet, begins, pause(HEALED)]
}

fn summary(mut pauses: Vec<Duration>) -> String {
    pauses.sort();
    let [least, median, most] =
        [0, pauses.len() / 2, pauses.len() - 1].map(|place| pauses[place].as_secs_f64() * 1000.0);
    format!("{median:.1} ({least:.1} to {most:.1})")
}

fn goal(summary: String, goal: u32) -> String {
    format!("{summary} goal {goal}")
}
