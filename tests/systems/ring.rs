//! Rings of daemons of several systems, each with a program of its own system: all programs get the same messages in the same order.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use spread::client::doze;

use super::process::Process;
use super::system::{System, free_port};

/// A message of each program, in bytes.
const SIZE: usize = 100;

/// How long a ring may take for all its messages.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(50);

/// A ring that waits for daemons that stand still: emulators on a busy machine do, and this is no test of failures.
const PATIENT: &str = "
TokenTimeout = 30000 HurryTimeout = 500 AliveTimeout = 250 JoinTimeout = 250 RepTimeout = 625
SegTimeout = 500 GatherTimeout = 1250 FormTimeout = 1250 LookupTimeout = 30000
";

/// What daemons and programs are called.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A daemon of a ring, and what its program is called.
struct Place<'a> {
    system: &'a System,
    name: &'static str,
}

/// As [`orders_the_same_in`], in a segment for each daemon: Wine gives a port to one address only.
pub fn orders_the_same(systems: &[&System], messages: usize) {
    let mut text = String::new();
    let mut doors = Vec::new();
    for (n, name) in NAMES.iter().enumerate().take(systems.len()) {
        let (port, address) = (free_port(), format!("127.0.0.{}", n + 1));
        text += &format!("Spread_Segment unicast:{port} {{ {name} {address} {{ D {address} C {address} }} }}\n");
        doors.push(format!("{port}@{address}"));
    }
    orders_the_same_in(systems, &text, &doors, messages);
}

/// As [`orders_the_same_in`], in one segment with this address, at machines with these addresses.
pub fn orders_the_same_at(systems: &[&System], segment: &str, addresses: &[&str], messages: usize) {
    let port = free_port();
    let daemons = NAMES.iter().zip(addresses).take(systems.len());
    let lines = daemons.map(|(name, address)| format!("{name} {address} {{ D {address} C {address} }}\n"));
    let text = format!("Spread_Segment {segment}:{port} {{\n{}}}\n", lines.collect::<String>());
    let doors: Vec<_> = addresses.iter().map(|address| format!("{port}@{address}")).collect();
    orders_the_same_in(systems, &text, &doors, messages);
}

/// Starts a daemon of each system in one ring, with a program of the same system at each. Every program sends so many messages; all get
/// all of them in one order.
fn orders_the_same_in(systems: &[&System], configuration: &str, doors: &[String], messages: usize) {
    let file = systems[0].scratch().join("ring.conf");
    fs::write(&file, format!("{configuration}{PATIENT}")).unwrap();
    let places: Vec<_> = systems.iter().zip(NAMES).map(|(system, name)| Place { system, name }).collect();
    let _daemons: Vec<_> = places.iter().map(|place| place.system.daemon(&file, place.name)).collect();
    let mixed = systems.iter().any(|system| system.order != systems[0].order);
    let start = |(place, door): (&Place<'_>, &String)| start(place, door, systems.len(), messages, mixed);
    let programs: Vec<_> = places.iter().zip(doors).map(start).collect();
    let heard: Vec<_> = programs.into_iter().map(Program::end).collect();
    let expected = systems.len() * (messages + 1);
    let ordered = heard[0].lines().filter(|line| !line.starts_with('=')).count();
    assert_eq!(ordered, expected, "{}", heard[0].lines().last().unwrap_or_default());
    // Views of the end come to whoever is still there.
    let messages_of =
        |text: &String| text.lines().filter(|line| !line.starts_with('=')).map(str::to_owned).collect::<Vec<_>>();
    assert!(heard.iter().all(|one| messages_of(one) == messages_of(&heard[0])), "all get the same in the same order");
    let systems: Vec<_> = systems.iter().map(|system| system.name).collect();
    println!("{} x {messages} messages in one order at {systems:?}", places.len());
}

/// A program that sends and writes down what it gets.
struct Program {
    process: Process,
    output: PathBuf,
}

fn start(place: &Place<'_>, daemon: &str, members: usize, messages: usize, mixed: bool) -> Program {
    let patience = format!("-DPATIENCE={}", PATIENCE.as_secs());
    let mismatch = if mixed { "-DMISMATCH=1" } else { "-DMISMATCH=0" };
    let program = place.system.compile_with("tests/c/ring.c", &[place.system.library, &patience, mismatch]);
    let mut command = place.system.command(&program);
    command.args([daemon, place.name, "ring", &members.to_string(), &messages.to_string(), &SIZE.to_string(), "1"]);
    let name = place.system.scratch().join(format!("ring-{}", place.name));
    Program { process: Process::start(command, &name), output: name.with_extension("out") }
}

impl Program {
    /// Waits for its end; gives what it got.
    fn end(mut self) -> String {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.process.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end", self.output.display());
            doze(PAUSE);
        };
        assert!(status.success(), "{}: {status}: {}", self.output.display(), self.process.errors());
        fs::read_to_string(&self.output).unwrap().replace('\r', "")
    }
}
