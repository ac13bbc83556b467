//! Daemons, one in each node of a rig, and who talks to them. Nodes of several segments get nothing from each other that is for all.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use spread::client::doze;

use crate::process::Process;
use crate::rig::Rig;

/// What the daemons of the nodes are called.
pub const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

/// What a network carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Multicast,
    Broadcast,
    Unicast,
    Multicast6,
    Unicast6,
}

impl Wire {
    /// The network as a segment of a configuration names it.
    fn in_segment(self, network: usize, segment: usize) -> String {
        match self {
            Wire::Multicast => format!("239.77.{network}.{}:4803", segment + 1),
            Wire::Broadcast => format!("10.77.{network}.255:4803"),
            Wire::Multicast6 => format!("[ff02::77:{network}]:4803"),
            Wire::Unicast | Wire::Unicast6 => "unicast:4803".to_string(),
        }
    }

    fn address(self, network: usize, node: usize) -> String {
        match self {
            Wire::Multicast6 | Wire::Unicast6 => Rig::address6(network, node),
            _ => Rig::address(network, node),
        }
    }
}

/// What is to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many nodes have a daemon.
    pub nodes: usize,
    /// How many of them each segment has.
    pub segments: &'static [usize],
    pub wires: &'static [Wire],
    /// The first networks of the rig that it leaves out.
    pub without: usize,
    /// The value of `NetworkPolicy`, and what else the file says; `%d` is the directory of the rig.
    pub policy: &'static str,
}

impl Plan {
    /// The configuration of all its daemons.
    fn configuration(&self) -> String {
        let mut nodes = 0..self.nodes;
        let each = self.segments.iter().enumerate();
        let segments: String = each.map(|(n, &size)| self.segment(n, nodes.by_ref().take(size))).collect();
        assert!(nodes.next().is_none(), "each node is in a segment");
        format!("{segments}NetworkPolicy = {}\nDaemonUser = root\nDaemonGroup = root\n", self.policy)
    }

    fn segment(&self, segment: usize, nodes: impl Iterator<Item = usize>) -> String {
        let numbered = || self.wires.iter().enumerate().skip(self.without);
        let networks: Vec<_> = numbered().map(|(network, wire)| wire.in_segment(network, segment)).collect();
        let daemon = |node: usize| {
            let addresses: Vec<_> = numbered().map(|(network, wire)| wire.address(network, node)).collect();
            let interfaces: String = addresses.iter().map(|address| format!("D {address}  ")).collect();
            // The address in the first network of the rig identifies it, whatever networks are used.
            let identity = self.wires[0].address(0, node);
            let listens = if self.without == 0 { String::new() } else { format!("  C {identity}") };
            format!("    {} {identity} {{ {interfaces}C 127.0.0.1{listens} }}\n", NAMES[node])
        };
        let daemons: String = nodes.map(daemon).collect();
        format!("Spread_Segment {} {{\n{daemons}}}\n", networks.join(" "))
    }

    /// The nodes of each segment.
    pub fn nodes_of(&self, segment: usize) -> Range<usize> {
        let before = self.segments[..segment].iter().sum();
        before..before + self.segments[segment]
    }
}

/// The running daemons. They end before their networks are taken down.
pub struct Site {
    pub daemons: Vec<Process>,
    pub rig: Rig,
    file: PathBuf,
}

impl Site {
    /// Starts everything, or says why it cannot.
    pub fn start(plan: &Plan) -> Option<Site> {
        Site::start_after(plan, |_| {})
    }

    /// Starts the daemons of `some`, in networks that have room for those of the whole plan.
    pub fn start_some(plan: &Plan, some: &Plan) -> Option<Site> {
        Site::start_some_after(plan, some, |_| {})
    }

    /// The same, after something was done to the networks.
    pub fn start_some_after(plan: &Plan, some: &Plan, prepare: impl FnOnce(&mut Rig)) -> Option<Site> {
        let mut rig = Site::networks(plan)?;
        prepare(&mut rig);
        Some(Site::in_rig(rig, some))
    }

    /// Waits until the ring of the daemon of a node has so many members.
    pub fn await_members(&self, node: usize, count: usize) {
        let installed = format!("a ring of {count} daemons is installed");
        let end = Instant::now() + Duration::from_secs(60);
        while !self.log(node).contains(&installed) {
            assert!(Instant::now() < end, "node {node} has no ring of {count}");
            doze(Duration::from_millis(20));
        }
    }

    /// What the daemon of a node has logged.
    pub fn log(&self, node: usize) -> String {
        let file = self.rig.directory().join(NAMES[node]);
        ["out", "err"].map(|which| fs::read_to_string(file.with_extension(which)).unwrap_or_default()).concat()
    }

    /// Lets the daemon of a node read its file again.
    pub fn reload(&self, node: usize) {
        let process = self.daemons[node].child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    }

    /// How many rings the daemon of a node has installed that were not of one.
    pub fn rings(&self, node: usize) -> usize {
        let log = self.log(node);
        log.lines().filter(|line| line.contains("is installed") && !line.contains("a ring of 1 daemons")).count()
    }

    /// Does something to the networks, then starts the daemons.
    pub fn start_after(plan: &Plan, prepare: impl FnOnce(&mut Rig)) -> Option<Site> {
        let mut rig = Site::networks(plan)?;
        prepare(&mut rig);
        Some(Site::in_rig(rig, plan))
    }

    fn networks(plan: &Plan) -> Option<Rig> {
        let mut rig = Rig::up(plan.nodes, plan.wires.len())?;
        let segments: Vec<_> = (0..plan.segments.len()).map(|segment| plan.nodes_of(segment)).collect();
        rig.part(&segments);
        Some(rig)
    }

    fn in_rig(rig: Rig, plan: &Plan) -> Site {
        let file = rig.directory().join("spread.conf");
        let directory = rig.directory().display().to_string();
        fs::write(&file, plan.configuration().replace("%d", &directory)).unwrap();
        let mut site = Site { daemons: Vec::new(), rig, file };
        site.daemons = (0..plan.nodes).map(|node| site.start_daemon(node)).collect();
        site
    }

    /// Writes this plan's file.
    pub fn write(&self, plan: &Plan) {
        fs::write(&self.file, plan.configuration()).unwrap();
    }

    /// What a client with this private name at the daemon of a node is called.
    pub fn private_group(private_name: &str, node: usize) -> String {
        format!("#{private_name}#{}", NAMES[node])
    }

    /// What the daemon of a node has written to standard output.
    pub fn printed(&self, node: usize) -> String {
        let file = self.rig.directory().join(NAMES[node]).with_extension("out");
        String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()
    }

    /// Starts the daemon of a node.
    pub fn start_daemon(&self, node: usize) -> Process {
        self.start_daemon_as(node, node, NAMES[node])
    }

    /// Starts a daemon in a node as that of another one, with this name for its log.
    pub fn start_daemon_as(&self, node: usize, other: usize, log: &str) -> Process {
        let mut command = self.rig.command(node, Path::new(env!("CARGO_BIN_EXE_spread")));
        command.arg("-c").arg(&self.file).args(["-n", NAMES[other]]);
        Process::start(command, &self.rig.directory().join(log))
    }
}
