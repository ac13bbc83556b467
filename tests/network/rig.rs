//! Several hosts and several networks on one machine: a node is a network namespace with an interface in each network, a
//! network is a bridge. Most faults are firewall rules of the bridges, so that no node's own interface looks broken; others switch
//! an interface off, or take it away.
//!
//! All bridges lie in one more namespace and all names bear the process id: the machine itself stays untouched, and test runs
//! do not meet. Within a run, and between runs, one rig at a time is up: the processors are few.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::thread;
use std::time::Duration;

use spread::client::doze;

/// What a rig cannot be without, in `/proc/self/status` bits: CAP_NET_ADMIN and CAP_SYS_ADMIN.
const CAPABILITIES: u64 = 1 << 12 | 1 << 21;

/// Runs the rest of its arguments with the first as `/tmp`, where the second, if it lies in `/tmp`, is still to be seen. The other
/// directory for daemons' sockets, if the machine has it, is the node's own too.
const IN_NODE: &str = r#"
case $2 in /tmp/*) mkdir -p "$1${2#/tmp}" && mount --rbind "$2" "$1${2#/tmp}" || exit 125 ;; esac
mount --rbind "$1" /tmp || exit 125
[ ! -d /run/spread ] || { mkdir -p /tmp/run-spread && mount --bind /tmp/run-spread /run/spread; } || exit 125
shift 2
exec "$@"
"#;

/// How often the rig looks whether a bridge has taken notice of a cable.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Nodes and networks, both counted from 0. Dropping it removes everything it made.
pub struct Rig {
    prefix: String,
    directory: PathBuf,
    nodes: usize,
    networks: usize,
    faults: Vec<String>,
    /// The nodes of each part of the networks.
    parts: Vec<Range<usize>>,
    /// Interfaces that are switched off, by node and network.
    off: Vec<(usize, usize)>,
    /// Interfaces that are gone.
    gone: Vec<(usize, usize)>,
    /// Whether interfaces take short packets only.
    narrowed: bool,
    /// Networks that are slow.
    slow: Vec<usize>,
    _turn: File,
}

impl Rig {
    /// Sets up a rig, or says on standard error, past the capture of tests, why it cannot.
    pub fn up(nodes: usize, networks: usize) -> Option<Rig> {
        if !may_administer() || !is_installed("ip") || !is_installed("nft") {
            let _ = writeln!(io::stderr(), "skipped: needs root and ip, nft");
            return None;
        }
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let turn = File::create(scratch.join("network.lock")).unwrap();
        turn.lock().unwrap();
        let prefix = format!("torc{}", id());
        let directory = scratch.join(&prefix);
        let (off, gone, slow) = (Vec::new(), Vec::new(), Vec::new());
        let (faults, parts, narrowed) = (Vec::new(), Vec::new(), false);
        let rig = Rig { prefix, directory, nodes, networks, faults, parts, off, gone, narrowed, slow, _turn: turn };
        rig.make_bridges();
        (0..nodes).for_each(|node| rig.make_node(node));
        Some(rig)
    }

    /// A directory that exists as long as the rig, and that its nodes see too.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// How many networks there are.
    pub fn networks(&self) -> usize {
        self.networks
    }

    /// The address of a node in a network.
    pub fn address(network: usize, node: usize) -> String {
        format!("10.77.{network}.{}", node + 1)
    }

    /// The IPv6 address of a node in a network.
    pub fn address6(network: usize, node: usize) -> String {
        format!("fd77:{network}::{}", node + 1)
    }

    /// A program to be run in a node, which has a network and a `/tmp` of its own. It takes the place of the commands that
    /// bring it there, so the child process is the program itself.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.node(node), "sh", "-c", IN_NODE, "sh"]);
        command.arg(self.temporary(node)).arg(target).arg(program);
        command
    }

    /// Does something in a node's network. Sockets that are opened there stay there.
    pub fn inside<T: Send>(&self, node: usize, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.namespace(node);
        thread::scope(|scope| scope.spawn(move || namespace.enter(work)).join().unwrap())
    }

    /// A node's network, for a thread that stays in it.
    pub fn namespace(&self, node: usize) -> Namespace {
        Namespace(File::open(Path::new("/run/netns").join(self.node(node))).unwrap())
    }

    /// From now on nothing passes between these nodes and the others in any network.
    pub fn separate(&mut self, nodes: Range<usize>) {
        let others: Vec<usize> = (0..self.nodes).filter(|node| !nodes.contains(node)).collect();
        for network in 0..self.networks {
            for (one, other) in nodes.clone().flat_map(|one| others.iter().map(move |&other| (one, other))) {
                let (one, other) = (port(one, network), port(other, network));
                self.faults.push(format!("iifname {one} oifname {other} drop"));
                self.faults.push(format!("iifname {other} oifname {one} drop"));
            }
        }
        self.apply_faults();
    }

    /// The bytes that a node has sent, by network.
    pub fn sent(&self, node: usize) -> Vec<u64> {
        let table = self.inside(node, || fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let sent = |network| {
            let name = format!("net{network}:");
            let line = table.lines().find_map(|line| line.trim_start().strip_prefix(&name)).unwrap();
            line.split_whitespace().nth(8).unwrap().parse().unwrap()
        };
        (0..self.networks).map(sent).collect()
    }

    /// From now on what is for a multicast group stays in its part, and what passes from one part to another is measured.
    pub fn part(&mut self, parts: &[Range<usize>]) {
        self.parts = parts.to_vec();
        let ways = self.ways();
        let counters: String = ways.iter().map(|way| format!("counter {} {{ }}\n", way.counter)).collect();
        let rules: String = ways.iter().map(|way| format!("{}\n", way.rules())).collect();
        let hook = "type filter hook forward priority 10; policy accept;";
        self.set_rules(&format!("table bridge parts {{\n{counters}chain forward {{\n{hook}\n{rules}}}\n}}\n"));
    }

    /// How many bytes of long frames have passed from one part to another in a network so far.
    pub fn crossed(&self, network: usize, from: usize, to: usize) -> usize {
        let counter = crossing(network, from, to);
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.switch(), "nft", "list", "counter", "bridge", "parts", &counter]);
        let shown = String::from_utf8(nft.output().unwrap().stdout).unwrap();
        let bytes = shown.split_whitespace().skip_while(|word| *word != "bytes").nth(1);
        bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| panic!("{counter}: {shown}"))
    }

    /// From now on nothing passes between two parts in a network.
    pub fn cut_parts(&mut self, network: usize, one: usize, other: usize) {
        for way in self.ways() {
            if way.network == network && [(one, other), (other, one)].contains(&way.parts) {
                self.faults.push(format!("{} drop", way.passes));
            }
        }
        self.apply_faults();
    }

    fn ways(&self) -> Vec<Crossing> {
        let parts = self.parts.len();
        let pairs = move |network| (0..parts * parts).map(move |n| (network, n / parts, n % parts));
        let ways = (0..self.networks).flat_map(pairs).filter(|(_, from, to)| from != to);
        let ports = |network, part: usize| ports(self.parts[part].clone(), network);
        ways.map(|(network, from, to)| Crossing {
            network,
            parts: (from, to),
            counter: crossing(network, from, to),
            passes: format!("iifname {} oifname {}", ports(network, from), ports(network, to)),
        })
        .collect()
    }

    /// From now on the frames between a node and a network vanish.
    pub fn cut(&mut self, node: usize, network: usize) {
        self.mute(node, network);
        self.deafen(node, network);
    }

    /// From now on a node's frames vanish in a network.
    pub fn mute(&mut self, node: usize, network: usize) {
        self.faults.push(format!("iifname {} drop", port(node, network)));
        self.apply_faults();
    }

    /// From now on a network's frames do not reach a node.
    pub fn deafen(&mut self, node: usize, network: usize) {
        self.faults.push(format!("oifname {} drop", port(node, network)));
        self.apply_faults();
    }

    /// From now on a node's interface is off.
    pub fn switch_off(&mut self, node: usize, network: usize) {
        // A soak has two faults at a time, and they may hit the same interface.
        if self.gone.contains(&(node, network)) {
            return;
        }
        ip_in(&self.node(node), &format!("link set net{network} down\n"));
        self.off.push((node, network));
    }

    /// From now on a node has no interface in a network.
    pub fn take_away(&mut self, node: usize, network: usize) {
        if self.gone.contains(&(node, network)) {
            return;
        }
        ip_in(&self.node(node), &format!("link delete net{network}\n"));
        self.gone.push((node, network));
    }

    /// From now on a network carries nothing.
    pub fn cut_network(&mut self, network: usize) {
        self.faults.push(format!("oifname {} drop", self.ports(network)));
        self.apply_faults();
    }

    /// From now on so many of a hundred frames do not reach their receiver, each receiver for itself.
    pub fn lose(&mut self, network: usize, percent: usize) {
        self.faults.push(format!("oifname {} numgen random mod 100 < {percent} drop", self.ports(network)));
        self.apply_faults();
    }

    /// From now on all interfaces take packets of this length at most.
    pub fn narrow(&mut self, length: usize) {
        self.narrowed = true;
        self.set_lengths(length);
    }

    /// From now on all interfaces and bridges take packets of this length at most, longer than usual.
    pub fn widen(&mut self, length: usize) {
        let port = |network| (0..self.nodes).map(move |node| port(node, network));
        let ports = (0..self.networks).flat_map(port);
        ip_in(&self.switch(), &ports.map(|port| format!("link set {port} mtu {length}\n")).collect::<String>());
        self.set_lengths(length);
    }

    /// From now on packets longer than this vanish in a network on the way to some nodes.
    pub fn swallow(&mut self, network: usize, nodes: Range<usize>, length: usize) {
        self.faults.push(format!("oifname {} meta length > {length} drop", ports(nodes, network)));
        self.apply_faults();
    }

    /// From now on a node has the address of another one, as a machine that was cloned.
    pub fn clone_address(&self, node: usize, of: usize, network: usize) {
        let (own, other) = (Rig::address(network, node), Rig::address(network, of));
        ip_in(
            &self.node(node),
            &format!("addr del {own}/24 dev net{network}\naddr add {other}/24 brd + dev net{network}\n"),
        );
    }

    /// From now on a node's interface takes packets of this length at most.
    pub fn narrow_one(&mut self, node: usize, network: usize, length: usize) {
        ip_in(&self.node(node), &format!("link set net{network} mtu {length}\n"));
        ip_in(&self.switch(), &format!("link set {} mtu {length}\n", port(node, network)));
    }

    /// From now on packets that were cut in pieces vanish.
    pub fn drop_pieces(&mut self) {
        self.faults.push("ether type ip ip frag-off & 0x3fff != 0 drop".to_string());
        self.apply_faults();
    }

    /// From now on a network takes so many thousand bits a second from each node, and keeps the rest waiting.
    pub fn slow_down(&mut self, network: usize, kilobits: usize) {
        for node in 0..self.nodes {
            let queue = format!("tbf rate {kilobits}kbit burst 16kb limit 64mb");
            tc(&self.node(node), &format!("qdisc replace dev net{network} root {queue}"));
        }
        self.slow.push(network);
    }

    fn set_lengths(&self, length: usize) {
        let set = |network| format!("link set net{network} mtu {length}\n");
        for node in 0..self.nodes {
            ip_in(&self.node(node), &(0..self.networks).map(set).collect::<String>());
        }
    }

    /// Ends all faults. Interfaces that were taken away are made anew.
    pub fn heal(&mut self) {
        self.faults.clear();
        self.apply_faults();
        if mem::take(&mut self.narrowed) {
            self.set_lengths(1500);
        }
        for network in mem::take(&mut self.slow) {
            (0..self.nodes).for_each(|node| tc(&self.node(node), &format!("qdisc delete dev net{network} root")));
        }
        for (node, network) in mem::take(&mut self.gone) {
            self.make_cable(node, network);
        }
        for (node, network) in mem::take(&mut self.off) {
            let address = Rig::address6(network, node);
            let lost = format!("addr replace {address}/64 nodad dev net{network}\n");
            ip_in(&self.node(node), &format!("link set net{network} up\n{lost}"));
            self.await_cable(node, network);
        }
    }

    fn apply_faults(&self) {
        let rules = self.faults.join("\n");
        let table = format!(
            "add table bridge faults\ndelete table bridge faults\ntable bridge faults {{\nchain forward {{
             type filter hook forward priority 0; policy accept;\n{rules}\n}}\n}}\n"
        );
        self.set_rules(&table);
    }

    fn set_rules(&self, rules: &str) {
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.switch(), "nft", "-f", "-"]);
        run(nft, rules);
    }

    fn make_bridges(&self) {
        fs::create_dir_all(&self.directory).unwrap();
        let switch = self.switch();
        ip(&format!("netns add {switch}"));
        let bridge = |network| {
            let settings = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";
            format!("link add net{network} {settings}\nlink set net{network} up\n")
        };
        ip_in(&switch, &(0..self.networks).map(bridge).collect::<String>());
    }

    fn make_node(&self, node: usize) {
        fs::create_dir_all(self.temporary(node)).unwrap();
        let name = self.node(node);
        ip(&format!("netns add {name}"));
        let mut sysctl = Command::new("ip");
        sysctl.args(["netns", "exec", &name, "sh", "-c"]);
        sysctl.arg("cd /proc/sys/net/ipv4/conf && echo 0 > all/rp_filter && echo 0 > default/rp_filter");
        run(sysctl, "");
        ip_in(&name, "link set lo up\n");
        (0..self.networks).for_each(|network| self.make_cable(node, network));
    }

    /// An unanswered question for a neighbour's hardware address is repeated at once, not after a second, so that a network which
    /// has come back carries what is for one node as soon as what is for all.
    fn make_cable(&self, node: usize, network: usize) {
        let (port, switch) = (port(node, network), self.switch());
        let addresses = (Rig::address(network, node), Rig::address6(network, node));
        let interface = format!(
            "link add net{network} type veth peer name {port} netns {switch}
             addr add {}/24 brd + dev net{network}\naddr add {}/64 nodad dev net{network}
             ntable change name arp_cache dev net{network} retrans 20
             ntable change name ndisc_cache dev net{network} retrans 20\nlink set net{network} up\n",
            addresses.0, addresses.1
        );
        ip_in(&self.node(node), &interface);
        ip_in(&switch, &format!("link set {port} master net{network} up\n"));
        self.await_cable(node, network);
    }

    /// Waits until the bridge forwards, which it may do a second after the cable is there.
    fn await_cable(&self, node: usize, network: usize) {
        let forwards = || {
            let mut show = Command::new("ip");
            show.args(["-n", &self.switch(), "-d", "link", "show", "dev", &port(node, network)]);
            String::from_utf8_lossy(&show.output().unwrap().stdout).contains("state forwarding")
        };
        while !forwards() {
            doze(LOOK_PAUSE);
        }
    }

    fn node(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn temporary(&self, node: usize) -> PathBuf {
        self.directory.join(format!("tmp{node}"))
    }

    fn ports(&self, network: usize) -> String {
        ports(0..self.nodes, network)
    }
}

/// The network of a node.
pub struct Namespace(File);

impl Namespace {
    /// Moves the thread that calls it into this network for the rest of its life.
    pub fn enter<T>(self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the call takes two numbers and moves this thread alone.
        assert_eq!(unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        work()
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

/// The way from one part of a network to another.
struct Crossing {
    network: usize,
    parts: (usize, usize),
    /// What measures it.
    counter: String,
    /// What a rule says of frames that go it.
    passes: String,
}

impl Crossing {
    /// Questions for hardware addresses are broadcast, and pass.
    fn rules(&self) -> String {
        let Crossing { passes, counter, .. } = self;
        format!("{passes} meta pkttype multicast drop\n{passes} ip length > 900 counter name {counter}")
    }
}

fn crossing(network: usize, from: usize, to: usize) -> String {
    format!("net{network}from{from}to{to}")
}

/// The bridge's ends of these nodes' cables.
fn ports(nodes: Range<usize>, network: usize) -> String {
    let ports: Vec<_> = nodes.map(|node| port(node, network)).collect();
    format!("{{ {} }}", ports.join(", "))
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

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn ip(arguments: &str) {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' '));
    run(ip, "");
}

fn tc(namespace: &str, arguments: &str) {
    let mut tc = Command::new("tc");
    tc.args(["-n", namespace]).args(arguments.split(' '));
    run(tc, "");
}

/// Runs several `ip` commands, one a line, in a namespace.
fn ip_in(namespace: &str, commands: &str) {
    let mut ip = Command::new("ip");
    ip.args(["-n", namespace, "-batch", "-"]);
    run(ip, commands);
}

fn run(mut command: Command, input: &str) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}\n{input}");
}
