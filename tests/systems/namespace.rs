//! Two machines with a cable between them, as network namespaces. A machine of Wine is where its server runs, so each has its own.

use std::env;
use std::process::Command;

/// The addresses of the machines, and what reaches everybody in their subnet.
pub const ADDRESSES: [&str; 2] = ["10.98.0.1", "10.98.0.2"];
pub const BROADCAST: &str = "10.98.0.255";

/// The two machines. Dropping them removes them.
pub struct Namespaces {
    names: [String; 2],
}

impl Namespaces {
    /// Makes them. Needs root.
    pub fn new() -> Namespaces {
        let names = ["a", "b"].map(|end| format!("tsys{}{end}", std::process::id()));
        let namespaces = Namespaces { names };
        let [one, other] = &namespaces.names;
        namespaces.names.iter().for_each(|name| ip(&["netns", "add", name]));
        ip(&["-n", one, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other]);
        for (name, address) in namespaces.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "address", "add", &format!("{address}/24"), "broadcast", BROADCAST, "dev", "cable"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
            ip(&["-n", name, "link", "set", "cable", "up"]);
            ip(&["-n", name, "route", "add", "224.0.0.0/4", "dev", "cable"]);
        }
        namespaces
    }

    /// The words before a command that let it run on a machine.
    pub fn enter(&self, machine: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.names[machine]].map(str::to_owned).into()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Wine's server opens the sockets of its programs, and outlives them: the next test would use the network of these machines.
        if let (Some(server), Some(prefix)) = (env::var_os("TORC_WINE_SERVER"), env::var_os("TORC_WINE_PREFIX_APART")) {
            for order in ["--kill", "--wait"] {
                let _ = Command::new(&server).arg(order).env("WINEPREFIX", &prefix).status();
            }
        }
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap_or_else(|error| panic!("ip: {error}"));
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {problem}; network namespaces need root");
}
