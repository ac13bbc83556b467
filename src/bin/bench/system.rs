//! A measured system: the library of its clients, and how to start its daemons in a rig, or where they already run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::clock;
use super::rig::Rig;

/// How long a daemon may take to end.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How long after its start a daemon must still run.
const SURVIVAL_TIME: Duration = Duration::from_millis(300);
/// The client port of daemons in a rig.
const PORT: u16 = 4803;

/// A system.
#[derive(Clone, Debug)]
pub struct System {
    /// Its name in records.
    pub name: String,
    /// The library of its clients, as `library::load` understands it.
    pub library: String,
    pub daemons: Daemons,
}

/// Its daemons.
#[derive(Clone, Debug)]
pub enum Daemons {
    /// They already run, at these addresses.
    Running(Vec<String>),
    /// This program with a `spread.conf`, and more lines for that file.
    Classic { program: PathBuf, settings: String },
    /// Corosync.
    Corosync,
}

impl System {
    /// The address of the daemon for the worker of this place.
    pub fn daemon(&self, place: usize) -> String {
        match &self.daemons {
            Daemons::Running(addresses) => addresses[place % addresses.len()].clone(),
            Daemons::Classic { .. } | Daemons::Corosync => PORT.to_string(),
        }
    }

    /// Whether it can use several networks at once.
    pub fn has_networks(&self) -> bool {
        self.name != "reference"
    }

    /// Whether a message may have this many bytes.
    pub fn carries(&self, size: usize) -> bool {
        match (&self.daemons, self.name.as_str()) {
            (_, "reference") => size <= 100_000,
            (Daemons::Corosync, _) => size <= 1_000_000,
            _ => true,
        }
    }

    /// Starts the daemons in a rig.
    pub fn start(&self, rig: &Rig) -> Result<Started, String> {
        let mut started = Started { children: Vec::new() };
        for node in 0..rig.nodes() {
            started.children.push(Some(self.start_one(rig, node)?));
        }
        std::thread::sleep(SURVIVAL_TIME);
        let ended = |child: &mut Option<Child>| {
            child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_some()))
        };
        match started.children.iter_mut().position(ended) {
            Some(node) => {
                let log = fs::read_to_string(rig.directory().join(format!("{}{node}", self.name)).join("log"));
                let log = log.unwrap_or_default();
                let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
                Err(format!("its daemon ended at once: {last}"))
            }
            None => Ok(started),
        }
    }

    /// Starts the daemon of one node.
    pub fn start_one(&self, rig: &Rig, node: usize) -> Result<Child, String> {
        let directory = rig.directory().join(format!("{}{node}", self.name));
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let log = fs::File::create(directory.join("log")).map_err(|error| error.to_string())?;
        let (mut command, name) = match &self.daemons {
            Daemons::Running(_) => return Err("daemons that already run are not started".to_owned()),
            Daemons::Classic { program, settings } => {
                let file = write(&directory, "spread.conf", &self.spread_conf(rig, settings, &directory))?;
                let mut command = rig.command(node, program);
                command.arg("-c").arg(file).args(["-n", &node_name(node)]);
                (command, program.display().to_string())
            }
            Daemons::Corosync => {
                let file = write(&directory, "corosync.conf", &corosync_conf(rig, node))?;
                let mut command = rig.command(node, Path::new("corosync"));
                command.args(["-f", "-c"]).arg(file);
                command.env("COROSYNC_MAIN_CONFIG_FILE", directory.join("corosync.conf"));
                (command, "corosync".to_owned())
            }
        };
        let error = log.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(log).stderr(error);
        command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))
    }

    /// One segment with the networks of the rig, or with one network if the system can use only one. The queue for a client is long,
    /// because clients may lag on a machine with few processors.
    fn spread_conf(&self, rig: &Rig, settings: &str, directory: &Path) -> String {
        let networks = if self.has_networks() { rig.networks() } else { 1 };
        let segment: Vec<String> = (0..networks).map(|network| format!("10.79.{network}.255:{PORT}")).collect();
        let daemon = |node| {
            let interface = |network| format!(" D {} ", Rig::address(network, node));
            let interfaces: String = (0..networks).map(interface).collect();
            format!("    {} {} {{{interfaces} C 127.0.0.1 }}\n", node_name(node), Rig::address(0, node))
        };
        let daemons: String = (0..rig.nodes()).map(daemon).collect();
        let user = "DaemonUser = root\nDaemonGroup = root\nMaxSessionMessages = 100000";
        format!(
            "Spread_Segment {} {{\n{daemons}}}\n{user}\nRuntimeDir = {}\n{settings}\n",
            segment.join(" "),
            directory.display()
        )
    }
}

fn corosync_conf(rig: &Rig, node: usize) -> String {
    let entry = |other: usize| {
        let link = |network| format!("        ring{network}_addr: {}\n", Rig::address(network, other));
        let links: String = (0..rig.networks()).map(link).collect();
        format!("    node {{\n        nodeid: {}\n        name: {}\n{links}    }}\n", other + 1, node_name(other))
    };
    let nodes: String = (0..rig.nodes()).map(entry).collect();
    let mode = if rig.networks() > 1 { "    link_mode: active\n" } else { "" };
    format!(
        "totem {{\n    version: 2\n    cluster_name: bench{node_count}\n    transport: knet\n    crypto_cipher: none\n    crypto_hash: none\n{mode}}}\n\
         nodelist {{\n{nodes}}}\nquorum {{\n    provider: corosync_votequorum\n}}\nlogging {{\n    to_stderr: yes\n    to_syslog: no\n}}\n\
         # node {node}\n",
        node_count = rig.nodes(),
    )
}

fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = directory.join(name);
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn node_name(node: usize) -> String {
    format!("node{node}")
}

/// Running daemons. Dropping it ends them.
pub struct Started {
    children: Vec<Option<Child>>,
}

impl Started {
    /// The daemons' processes.
    pub fn processes(&self) -> Vec<u32> {
        self.children.iter().flatten().map(Child::id).collect()
    }

    /// Kills the daemon of a node (SIGKILL).
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.children[node].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the daemon of a node in order, and waits for its end.
    pub fn end(&mut self, node: usize) {
        self.signal(node, libc::SIGTERM);
        if let Some(mut child) = self.children[node].take() {
            let _ = child.wait();
        }
    }

    /// Sends a signal to the daemon of a node.
    pub fn signal(&self, node: usize, signal: libc::c_int) {
        if let Some(child) = &self.children[node] {
            // SAFETY: a child that was not waited for keeps its number.
            unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        }
    }

    /// Puts a new daemon in the place of a killed one.
    pub fn replace(&mut self, node: usize, child: Child) {
        self.children[node] = Some(child);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for child in self.children.iter().flatten() {
            let pid = child.id() as libc::pid_t;
            // SAFETY: a child that was not waited for keeps its number.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        let end = clock::now() + END_PATIENCE.as_nanos() as u64;
        for child in self.children.iter_mut().flatten() {
            while child.try_wait().is_ok_and(|status| status.is_none()) && clock::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Checks that a program exists: a file, or a name in the search path.
pub fn check_program(program: &Path) -> Result<(), String> {
    let found =
        Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = found.map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    let _ = child.kill();
    let _ = child.wait();
    Ok(())
}
