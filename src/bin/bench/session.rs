//! A whole run: measures the systems in turn, in several rounds, so that other work of the machine disturbs all of them alike. Each
//! record is shown and written at once.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::clock;
use super::compare;
use super::crew::Site;
use super::measure::{self, Blow, Step};
use super::plan::Plan;
use super::rig::Rig;
use super::system::{Daemons, Started, System};

/// Seconds until a failed daemon must be out of the group, and until it must be back. Some systems check for a repaired network only once
/// a minute.
const CHANGE_SECONDS: u64 = 90;

/// The systems, the plan, and the site of a run.
pub struct Session<'a> {
    pub site: Site<'a>,
    pub systems: Vec<System>,
    pub plan: Plan,
    /// How often every system has its turn.
    pub rounds: usize,
}

/// The output of records.
pub struct Output {
    json: Option<File>,
    progress: ProgressBar,
    /// All of them.
    pub records: Vec<Value>,
}

impl Output {
    pub fn new(json: Option<&PathBuf>, steps: usize) -> Result<Output, String> {
        let json = json.map(|file| File::create(file).map_err(|error| format!("{}: {error}", file.display())));
        let progress = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or(ProgressStyle::default_bar());
        progress.set_style(style);
        Ok(Output { json: json.transpose()?, progress, records: Vec::new() })
    }

    /// Shows and writes a record.
    pub fn take(&mut self, record: Value) -> Result<(), String> {
        let line = compare::line(&record);
        if let Some(line) = line {
            self.progress.suspend(|| crate::say(&line));
        }
        if let Some(file) = &mut self.json {
            writeln!(file, "{record}").map_err(|error| format!("the records cannot be written: {error}"))?;
        }
        self.records.push(record);
        Ok(())
    }

    fn step(&self, title: String) {
        self.progress.set_message(title);
        self.progress.tick();
    }
}

impl Session<'_> {
    /// Measures everything.
    pub fn run(&self, output: &mut Output) -> Result<(), String> {
        let maximum = self.maximum(output)?;
        for round in 0..self.rounds {
            let mut order: Vec<&System> = self.systems.iter().collect();
            // Every second round runs in reverse order, so that no system is always the first one.
            if round % 2 == 1 {
                order.reverse();
            }
            for system in order {
                self.turn(system, round, maximum, output)?;
            }
        }
        output.progress.finish_and_clear();
        for ratio in compare::ratios(&output.records) {
            output.take(ratio)?;
        }
        Ok(())
    }

    /// How many measurements there will be.
    pub fn steps(&self) -> usize {
        self.rounds * self.systems.len() * self.plan.len(self.networks())
    }

    fn networks(&self) -> usize {
        self.site.rig.map_or(1, Rig::networks)
    }

    /// The rate of the slowest system: all systems are measured at the same parts of it.
    fn maximum(&self, output: &Output) -> Result<Option<f64>, String> {
        let Some(pilot) = self.plan.pilot() else { return Ok(None) };
        let mut maximum: Option<f64> = None;
        for system in &self.systems {
            output.step(format!("{}: pilot", system.name));
            let daemons = self.explained(system, self.start(system))?;
            let record = self.explained(system, measure::flow(&self.site, system, daemons.as_ref(), &pilot))?;
            let rate = record["messages_per_s"].as_f64().unwrap_or(0.0);
            maximum = Some(maximum.map_or(rate, |maximum| maximum.min(rate)));
        }
        Ok(maximum)
    }

    fn turn(&self, system: &System, round: usize, maximum: Option<f64>, output: &mut Output) -> Result<(), String> {
        let mut daemons = self.explained(system, self.start(system))?;
        for case in self.plan.flows(maximum, self.networks()) {
            output.step(format!("{}: {}", system.name, case.title()));
            if system.carries(case.size) && (case.name != "gap" || system.has_networks()) {
                let record = self.explained(system, measure::flow(&self.site, system, daemons.as_ref(), &case))?;
                output.take(numbered(record, round))?;
            }
            output.progress.inc(1);
        }
        if self.plan.has("membership") {
            output.step(format!("{}: membership changes", system.name));
            let record = self.explained(system, measure::joins(&self.site, system, self.plan.changes))?;
            output.take(numbered(record, round))?;
            if let Some(started) = &mut daemons {
                let record = self.explained(system, self.strike(system, started, Blow::Kill))?;
                output.take(numbered(record, round))?;
            }
            output.progress.inc(1);
        }
        if self.plan.has("calm") {
            output.step(format!("{}: nothing is sent", system.name));
            if let Some(started) = &mut daemons {
                let record = measure::idle(&self.site, system, started, self.plan.idle_seconds);
                output.take(numbered(self.explained(system, record)?, round))?;
                for blow in Blow::ALL {
                    let record = self.explained(system, self.strike(system, started, blow))?;
                    output.take(numbered(record, round))?;
                }
            }
            output.progress.inc(1);
        }
        Ok(())
    }

    fn start(&self, system: &System) -> Result<Option<Started>, String> {
        match (self.site.rig, &system.daemons) {
            (None, _) | (_, Daemons::Running(_)) => Ok(None),
            (Some(rig), _) => system.start(rig).map(Some),
        }
    }

    /// An error with the name of the system, where that is not clear.
    fn explained<T>(&self, system: &System, result: Result<T, String>) -> Result<T, String> {
        let several = self.systems.len() > 1;
        result.map_err(
            |error| if several && error != "interrupted" { format!("{}: {error}", system.name) } else { error },
        )
    }

    /// Causes a failure of the last daemon. Measures how long until the others get a view without it, and until it is back.
    fn strike(&self, system: &System, daemons: &mut Started, blow: Blow) -> Result<Value, String> {
        let rig = self.site.rig.ok_or("daemons that already run are not killed")?;
        let last = rig.nodes() - 1;
        measure::blow(&self.site, system, blow, CHANGE_SECONDS, |step| {
            let begun = clock::now();
            match (blow, step) {
                (Blow::Kill, Step::Strike) => daemons.kill(last),
                (Blow::Leave, Step::Strike) => daemons.end(last),
                (Blow::Kill | Blow::Leave, Step::Mend) => daemons.replace(last, system.start_one(rig, last)?),
                (Blow::Stop, Step::Strike) => daemons.signal(last, libc::SIGSTOP),
                (Blow::Stop, Step::Mend) => daemons.signal(last, libc::SIGCONT),
                (Blow::Cut, Step::Strike) => rig.cut_node(last)?,
                (Blow::Cut, Step::Mend) => rig.mend()?,
            }
            // Cutting takes a while and has its effect at the end; a signal works at once.
            Ok(if blow == Blow::Cut { clock::now() } else { begun })
        })
    }
}

fn numbered(mut record: Value, round: usize) -> Value {
    record["round"] = json!(round);
    record
}

/// The first record: what the report needs to know of the run.
pub fn heading(session: &Session<'_>, arguments: &str) -> Value {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    json!({
        "record": "run", "version": env!("CARGO_PKG_VERSION"), "arguments": arguments, "unix_time": seconds,
        "processor": model.map_or("unknown", |(_, model)| model),
        "processors": std::thread::available_parallelism().map_or(1, |count| count.get()),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        "systems": session.systems.iter().map(|system| system.name.clone()).collect::<Vec<_>>(),
        "nodes": session.site.workers, "networks": session.networks(), "rounds": session.rounds,
    })
}

/// Whether a record says that something went wrong with messages.
pub fn is_bad(record: &Value) -> bool {
    record["ok"] == json!(false)
}
