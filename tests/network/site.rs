//! Three daemons in three nodes on two networks, with one member of one group at each.

use std::fs;
use std::path::Path;

use crate::process::Process;
use crate::rig::Rig;
use crate::ring::{Load, Member, Programs};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// How the members reach the daemon of their node: two through its unix socket.
const DOORS: [&str; 3] = ["4803", "4803@127.0.0.1", "4803"];

/// Networks that carry multicast.
pub const MULTICAST: [&str; 2] = ["239.77.0.1:4803", "239.77.1.1:4803"];
/// Networks without it, where a daemon sends to each of the others.
pub const UNICAST: [&str; 2] = ["unicast", "unicast"];

/// The running daemons. They end before their networks are taken down.
pub struct Site {
    pub daemons: Vec<Process>,
    programs: Programs,
    pub rig: Rig,
}

impl Site {
    /// Starts everything, or says why it cannot.
    pub fn start(networks: [&str; 2]) -> Option<Site> {
        let rig = Rig::up(NAMES.len(), networks.len())?;
        let programs = Programs::build(rig.directory());
        let file = rig.directory().join("spread.conf");
        fs::write(&file, configuration(networks)).unwrap();
        let daemons = (0..NAMES.len()).map(|node| start_daemon(&rig, node, &file)).collect();
        Some(Site { daemons, programs, rig })
    }

    /// Starts one member at each daemon. They are allowed the first stage.
    pub fn members(&self, load: Load) -> Vec<Member> {
        (0..NAMES.len()).map(|node| self.start_member(node, load)).collect()
    }

    fn start_member(&self, node: usize, load: Load) -> Member {
        let program = if node == 1 { &self.programs.cxx } else { &self.programs.c };
        let command = self.rig.command(node, program);
        let sequence = self.rig.directory().join(format!("sequence{node}"));
        Member::start(command, DOORS[node], private_name(node), load, sequence)
    }

    /// What a member is called in views and as a sender.
    pub fn private_group(node: usize) -> String {
        format!("#{}#{}", private_name(node), NAMES[node])
    }
}

fn private_name(node: usize) -> &'static str {
    ["a", "b", "c"][node]
}

fn configuration(networks: [&str; 2]) -> String {
    let daemon = |node: usize| {
        let addresses = [0, 1].map(|network| Rig::address(network, node));
        let [first, second] = &addresses;
        format!("    {} {first} {{ D {first}  D {second}  C 127.0.0.1 }}\n", NAMES[node])
    };
    let daemons: String = (0..NAMES.len()).map(daemon).collect();
    format!(
        "Spread_Segment {} {{\n{daemons}}}\nNetworkPolicy = active\nDaemonUser = root\nDaemonGroup = root\n",
        networks.join(" ")
    )
}

fn start_daemon(rig: &Rig, node: usize, file: &Path) -> Process {
    let mut command = rig.command(node, Path::new(env!("CARGO_BIN_EXE_spread")));
    command.arg("-c").arg(file).args(["-n", NAMES[node]]);
    Process::start(command, &rig.directory().join(NAMES[node]))
}
