//! A long run on real kernels: five daemons on three networks, a client at each, and faults from a seed, one after the other. What the
//! clients are given is judged all the time.
//!
//!     make soak MINUTES=120 SEED=7
//!
//! Each of the two tests runs so long: without keys, and with keys that change under load.
//!
//! `make check` runs a fraction of a minute of it. Needs root, `ip` and `nft`; without them it says that it was skipped.

mod chaos;
mod crowd;
mod journal;

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use chaos::Chaos;
use crowd::Crowd;
use spread::daemon::make_key_file;

use crate::rig::Rig;
use crate::site::{Plan, Site, Wire};

const PLAN: Plan = Plan {
    nodes: 5,
    segments: &[5],
    wires: &[Wire::Multicast, Wire::Broadcast, Wire::Unicast],
    policy: "active",
    without: 0,
};

/// After the last fault all must be one within this time.
const PATIENCE: Duration = Duration::from_secs(90);

/// What no daemon may need, in KiB.
const MEMORY: u64 = 256 << 10;

/// Whether packets between the daemons are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    Open,
    Keys,
}

/// The key file of all daemons, in the directory of the site.
const KEY_FILE: &str = "spread.key";

#[test]
fn clients_see_one_order_whatever_happens_to_daemons_and_networks() {
    soak(&PLAN, Sealing::Open);
}

#[test]
fn clients_see_one_order_while_keys_change_and_somebody_without_one_writes_packets() {
    soak(&Plan { policy: "active\nKeyFile = %d/spread.key", ..PLAN }, Sealing::Keys);
}

fn soak(plan: &Plan, sealing: Sealing) {
    let minutes: f64 = setting("TORC_SOAK_MINUTES").unwrap_or(0.4);
    let seed: u64 = setting("TORC_SOAK_SEED").unwrap_or(1);
    let make_key = |rig: &mut Rig| {
        if sealing == Sealing::Keys {
            make_key_file(&rig.directory().join(KEY_FILE)).unwrap();
        }
    };
    let Some(mut site) = Site::start_after(plan, make_key) else { return };
    let crowd = Crowd::start(&site);
    let mut chaos = Chaos::new(&mut site, &crowd, seed, sealing);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < minutes * 60.0 {
        chaos.step();
        let violations = crowd.journal().violations();
        assert!(violations.is_empty(), "seed {seed}, after {:?}:\n{}", start.elapsed(), violations.join("\n"));
    }
    let happened = chaos.happened().clone();
    let memory: Vec<u64> = site.daemons.iter().map(|daemon| most_memory(daemon.child.id())).collect();
    let connections = crowd.connections();
    let shared = crowd.finish(PATIENCE).unwrap_or_else(|stand| panic!("seed {seed}: not whole in the end: {stand:?}"));
    assert_eq!(shared.journal.violations(), [""; 0], "seed {seed}");
    let totals = shared.journal.totals();
    assert!(totals.deliveries > 0 && totals.comparisons > 0, "nothing was compared: {totals:?}");
    assert!(memory.iter().all(|&kib| kib < MEMORY), "seed {seed}: most memory of each daemon in KiB {memory:?}");
    println!(
        "soak: {sealing:?}, {:.1} minutes, seed {seed}, {connections} connections, {totals:?}",
        start.elapsed().as_secs_f64() / 60.0
    );
    println!("soak: faults {happened:?}");
    println!("soak: most memory of each daemon in KiB {memory:?}");
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// The most memory that a process has had, in KiB.
fn most_memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
