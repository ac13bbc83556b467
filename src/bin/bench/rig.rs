//! Several hosts and networks on one machine. A node is a network namespace with an interface in each network; a network is a bridge in
//! a further namespace. All names contain the process id. Dropping the rig removes everything, and the machine itself is not changed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The capabilities that a rig needs, as bits of `/proc/self/status`: CAP_NET_ADMIN and CAP_SYS_ADMIN.
const CAPABILITIES: u64 = 1 << 12 | 1 << 21;

/// Runs the program in a node, with its own `/tmp` and `/run`. The kept directories are still visible there.
const IN_NODE: &str = r#"
tmp=$1 run=$2 keep=$3; shift 3
here=$PWD IFS=:
for k in $keep; do
    case $k in /tmp/*) mkdir -p "$tmp${k#/tmp}" && mount --rbind "$k" "$tmp${k#/tmp}" || exit 125 ;; esac
done
mount --rbind "$run" /run && mount --rbind "$tmp" /tmp || exit 125
cd "$here" 2>/dev/null || cd /
exec "$@"
"#;

/// Nodes and networks, both counted from 0. Dropping it removes everything it made.
pub struct Rig {
    prefix: String,
    directory: PathBuf,
    nodes: usize,
    networks: usize,
    /// Directories that nodes see too.
    keep: Vec<PathBuf>,
}

impl Rig {
    /// Sets up a rig. The directories of `files` are visible in its nodes.
    pub fn up(nodes: usize, networks: usize, files: &[PathBuf]) -> Result<Rig, String> {
        if !may_administer() {
            return Err("network namespaces need root; use --at to measure daemons that already run".to_owned());
        }
        let prefix = format!("spbench{}", std::process::id());
        let directory = std::env::temp_dir().join(&prefix);
        let folder = |file: &PathBuf| fs::canonicalize(file).ok().and_then(|file| file.parent().map(Path::to_owned));
        let mut keep: Vec<PathBuf> = files.iter().filter_map(folder).chain([directory.clone()]).collect();
        keep.sort();
        keep.dedup();
        let rig = Rig { prefix, directory, nodes, networks, keep };
        rig.make_bridges()?;
        (0..nodes).try_for_each(|node| rig.make_node(node))?;
        Ok(rig)
    }

    /// A directory that exists as long as the rig and is visible in its nodes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn nodes(&self) -> usize {
        self.nodes
    }

    pub fn networks(&self) -> usize {
        self.networks
    }

    /// The address of a node in a network.
    pub fn address(network: usize, node: usize) -> String {
        format!("10.79.{network}.{}", node + 1)
    }

    /// A command that runs a program in a node. The shell in between replaces itself, so the child is the program itself.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.node(node), "sh", "-c", IN_NODE, "sh"]);
        command.args([self.private(node, "tmp"), self.private(node, "run")]).arg(join(&self.keep)).arg(program);
        command
    }

    /// Cuts a network: it carries nothing from now on.
    pub fn cut_network(&self, network: usize) -> Result<(), String> {
        self.drop_at((0..self.nodes).map(|node| port(node, network)).collect())
    }

    /// Cuts a node off: nothing reaches or leaves it from now on.
    pub fn cut_node(&self, node: usize) -> Result<(), String> {
        self.drop_at((0..self.networks).map(|network| port(node, network)).collect())
    }

    /// Repairs all networks and nodes.
    pub fn mend(&self) -> Result<(), String> {
        self.drop_at(Vec::new())
    }

    /// Makes these ports drop everything, and no others.
    fn drop_at(&self, ports: Vec<String>) -> Result<(), String> {
        let ports = ports.join(", ");
        let rule = |side: &str| if ports.is_empty() { String::new() } else { format!("{side} {{ {ports} }} drop\n") };
        let rule = rule("iifname") + &rule("oifname");
        let table = format!(
            "add table bridge faults\ndelete table bridge faults\ntable bridge faults {{\nchain forward {{
             type filter hook forward priority 0; policy accept;\n{rule}\n}}\n}}\n"
        );
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.switch(), "nft", "-f", "-"]);
        run(nft, &table)
    }

    fn make_bridges(&self) -> Result<(), String> {
        fs::create_dir_all(&self.directory).map_err(|error| format!("{}: {error}", self.directory.display()))?;
        let switch = self.switch();
        ip(&format!("netns add {switch}"))?;
        let bridge = |network| {
            let settings = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";
            format!("link add net{network} {settings}\nlink set net{network} up\n")
        };
        ip_in(&switch, &(0..self.networks).map(bridge).collect::<String>())
    }

    fn make_node(&self, node: usize) -> Result<(), String> {
        for what in ["tmp", "run"] {
            fs::create_dir_all(self.private(node, what)).map_err(|error| error.to_string())?;
        }
        let (name, switch) = (self.node(node), self.switch());
        ip(&format!("netns add {name}"))?;
        let interface = |network| {
            let (port, address) = (port(node, network), Rig::address(network, node));
            format!(
                "link add net{network} type veth peer name {port} netns {switch}
                 addr add {address}/24 brd + dev net{network}\nlink set net{network} up\n"
            )
        };
        ip_in(&name, &format!("link set lo up\n{}", (0..self.networks).map(interface).collect::<String>()))?;
        let plug = |network| format!("link set {} master net{network} up\n", port(node, network));
        ip_in(&switch, &(0..self.networks).map(plug).collect::<String>())
    }

    fn node(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn private(&self, node: usize, what: &str) -> PathBuf {
        self.directory.join(format!("{what}{node}"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for name in (0..self.nodes).map(|node| self.node(node)).chain([self.switch()]) {
            let _ = Command::new("ip").args(["netns", "delete", &name]).stderr(Stdio::null()).status();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn join(directories: &[PathBuf]) -> String {
    directories.iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>().join(":")
}

/// The bridge's end of a node's cable.
fn port(node: usize, network: usize) -> String {
    format!("node{node}net{network}")
}

fn may_administer() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(effective.trim(), 16).is_ok_and(|has| has & CAPABILITIES == CAPABILITIES)
}

fn ip(arguments: &str) -> Result<(), String> {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' '));
    run(ip, "")
}

/// Runs several `ip` commands, one a line, in a namespace.
fn ip_in(namespace: &str, commands: &str) -> Result<(), String> {
    let mut ip = Command::new("ip");
    ip.args(["-n", namespace, "-batch", "-"]);
    run(ip, commands)
}

fn run(mut command: Command, input: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let complain = |error: io::Error| format!("{program} cannot be run: {error}");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(complain)?;
    // If the command did not read its input, its status shows that.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("the namespaces cannot be made: {}", complaint.lines().next().unwrap_or("no reason given")))
}
