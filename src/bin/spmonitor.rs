//! The monitor: a menu that speaks the classic protocol to the daemons of a configuration, and commands that ask the daemon of
//! this machine over its control socket.
//!
//! Both print what they learn and decide nothing. The menu is one loop: while it waits for a line, it handles reports and timers.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a program, above the I/O line")]

mod tools {
    pub mod control;
    pub mod decode;
    #[expect(dead_code, reason = "its menu reads plain lines")]
    pub mod editor;
    pub mod health;
    pub mod live;
    pub mod monitor;
    pub mod plain;
    pub mod program;
    pub mod report;
    pub mod screen;
    pub mod tables;
}

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};
use spread::multipath::Policy;
use tools::control;
use tools::decode;
use tools::health::Health;
use tools::live::{self, Live};
use tools::monitor::{self, MonitorSettings};
use tools::program::{self, say};
use tools::tables::{folded, tables};

const EXAMPLES: &str = "\
Examples:
  spmonitor                      the menu, for the daemons of spread.conf
  printf '0\\nall\\n\\n' | spmonitor -c spread.conf -n alpha -t 2
                                 a script: ask every daemon once, from the machine of alpha
  spmonitor status               what the daemon of this machine is doing
  spmonitor paths -s 4900        networks and paths of the daemon with client port 4900
  spmonitor status --watch       one screen with the ring, networks and paths, again every two seconds
  spmonitor counters --json      everything that it counts, for a program
  spmonitor health               one line, and the exit status 0 if all is well, 2 if something needs attention, 3 if it does not work
  spmonitor network 1 off        send nothing on network 1 until it is switched on; the other daemons learn of it
  spmonitor policy active 2      send data on two networks, whatever the file says
  tcpdump -i eth0 -x udp port 4803 | spmonitor decode
                                 what daemons send each other, in words

Partition and flow control of the menu need DangerousMonitor in the daemons' configuration. The exit status is 0, or 1 after an error; that of \
health says more.";

/// Look after running daemons
#[derive(Debug, Parser)]
#[command(name = "spmonitor", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// UDP port for reports; 0 for any
    #[arg(short = 'p', value_name = "PORT", default_value_t = 6543)]
    port: u16,
    /// The daemon of this machine; by default the one that has an address of this machine
    #[arg(short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// Seconds between two reports of a daemon
    #[arg(short = 't', value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Configuration file; otherwise spread.conf in the working directory or in /etc
    #[arg(short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Request>,
}

/// Requests to the daemon of this machine.
#[derive(Debug, Subcommand)]
enum Request {
    /// What the daemon is doing: ring, traffic, networks and paths
    Status(View),
    /// The networks, and the paths to the other daemons
    Paths(View),
    /// The ring, and which daemons of the configuration are in it
    Ring(View),
    /// The groups and how many members they have
    Groups(View),
    /// The clients' sessions, and what waits for them
    Sessions(View),
    /// The latest events of ring, networks and files
    Events(View),
    /// All counters, including drops by reason
    Counters(View),
    /// Whether all is well; for scripts, by the exit status
    Health(Door),
    /// Stop or resume sending on a network; the other daemons learn of it, so nothing is lost
    Network {
        /// The network, counted from 0
        number: u8,
        /// Switch it on or off
        switch: Switch,
        #[command(flatten)]
        door: Door,
    },
    /// Choose which networks carry data
    Policy {
        /// The policy; NetworkPolicy in spread.conf(5) has what each does
        #[arg(value_parser = PossibleValuesParser::new(Policy::WORDS))]
        policy: String,
        /// With active: the number of networks that carry each packet; the default is all
        copies: Option<u8>,
        #[command(flatten)]
        door: Door,
    },
    /// Change the levels of the log: error, warn, info, debug, trace or off, or a level for a part as in spread::ring=debug,info
    Log {
        /// The levels
        levels: String,
        #[command(flatten)]
        door: Door,
    },
    /// Let the daemon read its configuration again and apply what has changed, open its log file again, and print the changes
    Reload(Door),
    /// Make the daemon leave its ring and end
    Terminate {
        /// End with status 75, so that the service manager starts it again
        #[arg(long)]
        restart: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Read the key file again; a new key is used as soon as all daemons have it
    Rekey(Door),
    /// Begin or end a failure drill: the daemon drops all packets on a network and does not notify the other daemons
    Drill {
        /// The network, counted from 0
        number: u8,
        /// Begin (on) or end (off) the drill
        switch: Switch,
        #[command(flatten)]
        door: Door,
    },
    /// Explain captured datagrams between daemons, a line for each layer
    Decode {
        /// A datagram in hexadecimal digits; without any they come on standard input, as tcpdump -x prints them
        #[arg(value_name = "HEX")]
        datagrams: Vec<String>,
    },
}

/// How the answer is shown.
#[derive(Debug, clap::Args)]
struct View {
    #[command(flatten)]
    door: Door,
    /// Print JSON for programs
    #[arg(long)]
    json: bool,
    /// Repeat every N seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

/// Where the daemon is.
#[derive(Debug, clap::Args)]
struct Door {
    /// The daemon's client port, or the file of its control socket; for a daemon on another machine, its StatusAddress
    #[arg(short = 's', value_name = "PORT|FILE|HOST[:PORT]", default_value = "4803")]
    daemon: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn word(self) -> &'static str {
        if matches!(self, Switch::On) { "on" } else { "off" }
    }
}

fn main() -> ExitCode {
    program::run(env::args_os(), tool)
}

fn tool(arguments: &Arguments) -> Result<ExitCode, String> {
    let done = match &arguments.command {
        None => monitor::run(&MonitorSettings {
            port: arguments.port,
            name: arguments.name.as_deref(),
            interval: arguments.interval,
            config: arguments.config.as_deref(),
        }),
        Some(Request::Status(view)) => show(view, "status", |_| true),
        Some(Request::Paths(view)) => {
            show(view, "status", |kind| matches!(kind, "data" | "network" | "path" | "matrix"))
        }
        Some(Request::Ring(view)) => show(view, "ring", |_| true),
        Some(Request::Groups(view)) => show(view, "groups", |_| true),
        Some(Request::Sessions(view)) => show(view, "sessions", |_| true),
        Some(Request::Events(view)) => show(view, "events", |_| true),
        Some(Request::Counters(view)) => show(view, "counters", |_| true),
        Some(Request::Health(door)) => {
            let health = control::ask(&door.daemon, "status");
            let health = health.map_or_else(|reason| Health::unknown(&reason), |answer| Health::of(&answer));
            say(folded(&health.words, live::terminal().map(|size| size.columns)));
            return Ok(health.exit_code());
        }
        Some(Request::Network { number, switch, door }) => {
            let switch = switch.word();
            order(door, &format!("network {number} {switch}"), format_args!("network {number} is {switch}"))
        }
        Some(Request::Policy { policy, copies, door }) => {
            let policy = copies.map_or_else(|| policy.clone(), |copies| format!("{policy} {copies}"));
            order(door, &format!("policy {policy}"), format_args!("the policy is {policy}"))
        }
        Some(Request::Log { levels, door }) => {
            order(door, &format!("log {levels}"), format_args!("the log has {levels}"))
        }
        Some(Request::Reload(door)) => order(door, "reload", format_args!("the daemon has read its files again")),
        Some(Request::Terminate { restart, door }) => {
            let request = if *restart { "terminate restart" } else { "terminate" };
            order(door, request, format_args!("the daemon ends"))
        }
        Some(Request::Rekey(door)) => order(door, "rekey", format_args!("the key file is read")),
        Some(Request::Drill { number, switch, door }) => {
            let switch = switch.word();
            order(door, &format!("drill {number} {switch}"), format_args!("the drill on network {number} is {switch}"))
        }
        Some(Request::Decode { datagrams }) => decode::run(datagrams),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Sends a command to the daemon, and prints what it did.
fn order(door: &Door, request: &str, done: fmt::Arguments<'_>) -> Result<(), String> {
    let answer = control::ask(&door.daemon, request)?;
    let told = answer.strip_prefix("ok ").map_or(String::new(), |told| format!(": {told}"));
    say(folded(&format!("{done}{told}"), live::terminal().map(|size| size.columns)));
    Ok(())
}

/// Prints the records of these kinds in the answer to a request, once or again and again.
fn show(view: &View, request: &str, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
    let mut picture = Live::default();
    loop {
        let answer = control::ask(&view.door.daemon, request)?;
        let terminal = live::terminal();
        let shown = || tables(&answer, &wanted, terminal.map(|size| size.columns));
        let Some(seconds) = view.watch else {
            say(if view.json { control::json(&answer, &wanted) } else { shown() });
            return Ok(());
        };
        match terminal {
            _ if view.json => say(control::json(&answer, &wanted)),
            // Each picture replaces the last one.
            Some(size) if request == "status" => {
                say(format_args!("{CLEAR}{}", picture.picture(&answer, Instant::now(), size)))
            }
            Some(size) if request == "events" => say(format_args!("{CLEAR}{}", live::fit_end(&shown(), size))),
            Some(size) => say(format_args!("{CLEAR}{}", live::fit(&shown(), size))),
            None => say(shown()),
        }
        thread::sleep(Duration::from_secs(seconds));
    }
}

/// Clears a terminal's screen.
const CLEAR: &str = "\x1b[H\x1b[2J";
