//! The benchmark: measures a system through its C interface and draws the results. This file has the arguments and starts the parts.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program, above the I/O line")]

mod bench {
    pub mod classic;
    pub mod clock;
    pub mod compare;
    pub mod cpg;
    pub mod crew;
    pub mod flow;
    pub mod histogram;
    pub mod library;
    pub mod measure;
    pub mod page;
    pub mod plan;
    pub mod plot;
    pub mod rig;
    pub mod session;
    pub mod stamp;
    pub mod system;
    pub mod task;
    pub mod worker;
}
mod tools {
    pub mod program;
}

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bench::crew::Site;
use bench::library::{self, Service};
use bench::plan::{self, Plan};
use bench::rig::Rig;
use bench::session::{self, Output, Session};
use bench::system::{self, Daemons, System};
use bench::{page, worker};
use clap::{Parser, Subcommand};
use serde_json::Value;
use tools::program::{self, say};

const EXAMPLES: &str = "\
Examples:
  spbench                                 start three daemons on two networks of its own; needs root
  spbench --at 4803@alpha,4803@beta       measure daemons that already run
  spbench --cases throughput --sizes 100,1200 --services agreed,safe --seconds 5
  spbench --reference-daemon /opt/spread/sbin/spread --reference-lib /opt/spread/lib/libtspread-core.so
                                          measure another installation in turn with ours, and print the ratios
  spbench --reference corosync --rounds 5 measure corosync in turn with ours
  spbench --cases calm --nodes 4          send little or nothing, and kill, stop, cut off and end daemons
  spbench --json run.jsonl --html run.html; spbench draw run.jsonl -o again.html

The exit status is 0, or 1 after an error and if messages were lost, repeated, damaged or out of order.";

/// Measure throughput, latency, membership changes and failover, and check order and loss at the same time
#[derive(Debug, Parser)]
#[command(name = "spbench", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// What to measure
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = plan::USUAL, value_parser = plan::NAMES)]
    cases: Vec<String>,
    /// Daemons, each in a network namespace with one client
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=32))]
    nodes: u8,
    /// Networks between them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    networks: u8,
    /// Clients that send; all receive
    #[arg(long, value_name = "N")]
    senders: Option<u8>,
    /// Services: reliable, fifo, causal, agreed, safe
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "agreed,safe", value_parser = Service::parse)]
    services: Vec<Service>,
    /// Bytes of messages
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "100,1200,8000,100000,1000000")]
    sizes: Vec<usize>,
    /// Loads at which latency is measured, as parts of the maximum
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.1,0.5,0.9")]
    fractions: Vec<f64>,
    /// Also measure latency at this rate: messages a second of all senders together
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    rates: Vec<f64>,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Number of groups in the case groups
    #[arg(long, value_name = "N", default_value_t = 100)]
    groups: usize,
    /// Sessions at each daemon in the case sessions
    #[arg(long, value_name = "N", default_value_t = 50)]
    sessions: usize,
    /// Joins and leaves that are timed
    #[arg(long, value_name = "N", default_value_t = 50)]
    changes: usize,
    /// Seconds over which the case calm counts the processor time of daemons that have nothing to do
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    idle_seconds: f64,
    /// Repeat all measurements N times, systems in turn; by default once, or 3 times against a reference
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Daemons that already run, as for SP_connect; no namespaces are made
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["reference", "reference_daemon"])]
    at: Vec<String>,
    /// Our daemon; otherwise the one beside this program
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
    /// Another library with the classic interface; it is measured beside ours, or used with --reference-daemon
    #[arg(long, value_name = "FILE")]
    reference_lib: Option<String>,
    /// Another daemon that reads spread.conf
    #[arg(long, value_name = "FILE")]
    reference_daemon: Option<PathBuf>,
    /// Lines for that daemon's spread.conf, such as "Window = 60"
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference_settings: String,
    /// Another system: corosync, where it is installed
    #[arg(long, value_name = "NAME", value_parser = ["corosync"])]
    reference: Option<String>,
    /// Write the records, JSON lines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report, one page of HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Draw the report of records that were written before
    Draw {
        /// Records, JSON lines
        records: PathBuf,
        /// The page
        #[arg(short, value_name = "FILE")]
        output: PathBuf,
    },
    /// One member of a measurement; the program starts it itself
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    program::run(env::args_os(), tool)
}

fn tool(arguments: &Arguments) -> Result<(), String> {
    match &arguments.part {
        Some(Part::Worker) => worker::run(),
        Some(Part::Draw { records, output }) => draw(records, output),
        None => measure(arguments),
    }
}

fn draw(records: &Path, output: &Path) -> Result<(), String> {
    let text = fs::read_to_string(records).map_err(|error| format!("{}: {error}", records.display()))?;
    let lines = text.lines().enumerate();
    let parsed = lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", records.display(), number + 1))
    });
    write_page(&parsed.collect::<Result<Vec<Value>, String>>()?, output)
}

fn write_page(records: &[Value], output: &Path) -> Result<(), String> {
    fs::write(output, page::page(records)).map_err(|error| format!("{}: {error}", output.display()))
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let systems = systems(arguments)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| error.to_string())?;
    }
    let rig = if arguments.at.is_empty() { Some(rig(arguments, &systems)?) } else { None };
    let workers = if arguments.at.is_empty() { usize::from(arguments.nodes) } else { arguments.at.len() };
    let plan = plan(arguments, workers)?;
    let rounds = arguments.rounds.unwrap_or(if systems.len() > 1 { 3 } else { 1 });
    let session = Session { site: Site { rig: rig.as_ref(), workers, stop }, systems, plan, rounds };
    let mut output = Output::new(arguments.json.as_ref(), session.steps())?;
    let words: Vec<String> = env::args().skip(1).collect();
    output.take(session::heading(&session, &words.join(" ")))?;
    let result = session.run(&mut output);
    // After an error the page still shows the earlier measurements.
    if let Some(file) = &arguments.html {
        write_page(&output.records, file)?;
    }
    result?;
    match output.records.iter().filter(|record| session::is_bad(record)).count() {
        0 => Ok(()),
        bad => Err(format!("{bad} measurements are bad: messages were lost, repeated, damaged or out of order")),
    }
}

fn rig(arguments: &Arguments, systems: &[System]) -> Result<Rig, String> {
    let mut files = vec![env::current_exe().map_err(|error| error.to_string())?];
    for system in systems {
        files.push(PathBuf::from(&system.library));
        if let Daemons::Classic { program, .. } = &system.daemons {
            files.push(program.clone());
        }
    }
    Rig::up(arguments.nodes.into(), arguments.networks.into(), &files)
}

fn plan(arguments: &Arguments, workers: usize) -> Result<Plan, String> {
    let senders = arguments.senders.map_or(workers, usize::from);
    let rule = |broken: bool, rule: &str| if broken { Err(rule.to_owned()) } else { Ok(()) };
    rule(senders == 0 || senders > workers, "there is at least one sender, and not more than there are clients")?;
    rule(!(0.1..=3600.0).contains(&arguments.seconds), "a measurement takes 0.1 to 3600 seconds")?;
    rule(!(0.1..=3600.0).contains(&arguments.idle_seconds), "idle daemons are watched for 0.1 to 3600 seconds")?;
    rule(arguments.sizes.iter().any(|size| !(40..=1 << 20).contains(size)), "a message has 40 to 1048576 bytes")?;
    rule(arguments.fractions.iter().any(|part| !(0.0..=1.0).contains(part)), "a part of the maximum is 0 to 1")?;
    rule(!(1..=1000).contains(&arguments.groups), "there are 1 to 1000 groups")?;
    rule(!(1..=1000).contains(&arguments.sessions), "there are 1 to 1000 sessions")?;
    Ok(Plan {
        cases: arguments.cases.clone(),
        services: arguments.services.clone(),
        sizes: arguments.sizes.clone(),
        fractions: arguments.fractions.clone(),
        rates: arguments.rates.clone(),
        senders,
        seconds: arguments.seconds,
        groups: arguments.groups,
        sessions: arguments.sessions,
        changes: arguments.changes.max(1),
        idle_seconds: arguments.idle_seconds,
    })
}

/// The daemon beside this program, or where `make install` puts it, or in the search path.
fn daemon_of(program: Option<&Path>) -> PathBuf {
    let beside = program.map(|program| program.with_file_name("spread"));
    let installed = program.and_then(|program| Some(program.parent()?.parent()?.join("sbin/spread")));
    let found = beside.into_iter().chain(installed).find(|place| place.is_file());
    found.unwrap_or_else(|| PathBuf::from("spread"))
}

/// Our system first, then the references. All are checked before anything is measured.
fn systems(arguments: &Arguments) -> Result<Vec<System>, String> {
    let own = arguments.daemon.clone().unwrap_or_else(|| daemon_of(env::current_exe().ok().as_deref()));
    let daemons = if arguments.at.is_empty() {
        system::check_program(&own)?;
        Daemons::Classic { program: own, settings: String::new() }
    } else {
        Daemons::Running(arguments.at.clone())
    };
    let mut systems = vec![System { name: "torc".to_owned(), library: "ours".to_owned(), daemons: daemons.clone() }];
    let library = arguments.reference_lib.clone();
    if let Some(file) = &library {
        library::load(file)?;
    }
    match (&arguments.reference_daemon, library) {
        (Some(program), library) => {
            system::check_program(program)?;
            let daemons = Daemons::Classic { program: program.clone(), settings: arguments.reference_settings.clone() };
            let library = library.unwrap_or_else(|| "ours".to_owned());
            systems.push(System { name: "reference".to_owned(), library, daemons });
        }
        (None, Some(library)) => systems.push(System { name: "other library".to_owned(), library, daemons }),
        (None, None) => {}
    }
    if arguments.reference.is_some() {
        library::load("corosync")?;
        system::check_program(Path::new("corosync"))?;
        let (name, library) = ("corosync".to_owned(), "corosync".to_owned());
        systems.push(System { name, library, daemons: Daemons::Corosync });
    }
    Ok(systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_found_where_it_is_installed_or_built() {
        let root = env::temp_dir().join(format!("spbench-{}", std::process::id()));
        let [bin, sbin] = ["bin", "sbin"].map(|folder| root.join(folder));
        [&bin, &sbin].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let program = bin.join("spbench");
        assert_eq!(daemon_of(Some(&program)), PathBuf::from("spread"));
        fs::write(sbin.join("spread"), "").unwrap();
        assert_eq!(daemon_of(Some(&program)), sbin.join("spread"));
        fs::write(bin.join("spread"), "").unwrap();
        assert_eq!(daemon_of(Some(&program)), bin.join("spread"));
        fs::remove_dir_all(root).unwrap();
    }
}
