//! Daemons, one in each node of a rig, and who talks to them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::rig::Rig;

const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

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
    fn in_segment(self, network: usize) -> String {
        match self {
            Wire::Multicast => format!("239.77.{network}.1:4803"),
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
    pub nodes: usize,
    pub wires: &'static [Wire],
    /// The value of `NetworkPolicy`, and what else the file says.
    pub policy: &'static str,
}

impl Plan {
    /// The configuration of all its daemons.
    fn configuration(&self) -> String {
        let numbered = || self.wires.iter().enumerate();
        let networks: Vec<_> = numbered().map(|(network, wire)| wire.in_segment(network)).collect();
        let daemon = |node: usize| {
            let addresses: Vec<_> = numbered().map(|(network, wire)| wire.address(network, node)).collect();
            let interfaces: String = addresses.iter().map(|address| format!("D {address}  ")).collect();
            format!("    {} {} {{ {interfaces}C 127.0.0.1 }}\n", NAMES[node], addresses[0])
        };
        let daemons: String = (0..self.nodes).map(daemon).collect();
        let (networks, policy) = (networks.join(" "), self.policy);
        format!(
            "Spread_Segment {networks} {{\n{daemons}}}\nNetworkPolicy = {policy}\nDaemonUser = root\nDaemonGroup = root\n"
        )
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

    /// Does something to the networks, then starts the daemons.
    pub fn start_after(plan: &Plan, prepare: impl FnOnce(&mut Rig)) -> Option<Site> {
        let mut rig = Rig::up(plan.nodes, plan.wires.len())?;
        prepare(&mut rig);
        let file = rig.directory().join("spread.conf");
        fs::write(&file, plan.configuration()).unwrap();
        let mut site = Site { daemons: Vec::new(), rig, file };
        site.daemons = (0..plan.nodes).map(|node| site.start_daemon(node)).collect();
        Some(site)
    }

    /// What a client with this private name at the daemon of a node is called.
    pub fn private_group(private_name: &str, node: usize) -> String {
        format!("#{private_name}#{}", NAMES[node])
    }

    fn start_daemon(&self, node: usize) -> Process {
        let mut command = self.rig.command(node, Path::new(env!("CARGO_BIN_EXE_spread")));
        command.arg("-c").arg(&self.file).args(["-n", NAMES[node]]);
        Process::start(command, &self.rig.directory().join(NAMES[node]))
    }
}
