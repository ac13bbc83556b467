//! The workers of one measurement. The coordinator starts them together, sends them the time to begin, and reads their results, each
//! with a time-out. Dropping a crew ends its workers.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::rig::Rig;
use super::system::System;
use super::task::{Job, Task};

/// How long workers may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(40);
/// The time between the command to begin and the beginning.
const HEAD_START: Duration = Duration::from_millis(50);
/// How often the coordinator checks for results.
const SHORT_CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// How often a wait checks whether the user wants to end.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Where workers run.
#[derive(Clone)]
pub struct Site<'a> {
    /// The nodes; `None` if the daemons already run.
    pub rig: Option<&'a Rig>,
    pub workers: usize,
    /// The user wants to end.
    pub stop: Arc<AtomicBool>,
}

impl Site<'_> {
    /// Waits, unless the user wants to end.
    pub fn wait_until(&self, then: u64) -> Result<(), String> {
        while clock::now() < then {
            self.check_stop()?;
            clock::sleep_until(then.min(clock::now() + CHECK_INTERVAL.as_nanos() as u64));
        }
        Ok(())
    }

    /// An error if the user wants to end.
    pub fn check_stop(&self) -> Result<(), String> {
        if self.stop.load(Ordering::Relaxed) { Err("interrupted".to_owned()) } else { Ok(()) }
    }
}

struct Worker {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

/// Workers that have been started.
pub struct Crew<'a> {
    site: &'a Site<'a>,
    workers: Vec<Worker>,
}

impl<'a> Crew<'a> {
    /// Starts a worker at each daemon and `extra` more at the first daemon, and waits until all are ready.
    pub fn start(site: &'a Site<'a>, system: &System, job: &Job, extra: usize) -> Result<Crew<'a>, String> {
        let mut crew = Crew { site, workers: Vec::new() };
        for place in 0..site.workers + extra {
            let node = if place < site.workers { place } else { 0 };
            crew.workers.push(Worker::start(site, node, &crew.task(system, (node, place), job))?);
        }
        let end = clock::now() + READY_PATIENCE.as_nanos() as u64;
        crew.results(0..crew.workers.len(), end)?;
        Ok(crew)
    }

    /// Lets all workers begin at the returned time.
    pub fn go(&mut self) -> Result<u64, String> {
        let at = clock::now() + HEAD_START.as_nanos() as u64;
        for worker in &mut self.workers {
            writeln!(worker.input, "{}", json!({ "go": at })).map_err(|error| format!("a worker is gone: {error}"))?;
        }
        Ok(at)
    }

    /// Replaces a worker that lost its daemon. The new one begins at once.
    pub fn replace(&mut self, place: usize, system: &System, job: &Job) -> Result<(), String> {
        let mut worker = Worker::start(self.site, place, &self.task(system, (place, place), job))?;
        std::mem::swap(&mut self.workers[place], &mut worker);
        let _ = worker.child.kill();
        worker.child.wait().map(|_| ()).map_err(|error| error.to_string())
    }

    fn task(&self, system: &System, (node, place): (usize, usize), job: &Job) -> Task {
        Task {
            library: system.library.clone(),
            daemon: system.daemon(node),
            place,
            workers: self.site.workers,
            patient: self.site.rig.is_some(),
            job: job.clone(),
        }
    }

    /// The workers' processes.
    pub fn processes(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.child.id()).collect()
    }

    /// The next results of these workers. An error if one is not there at `end`.
    pub fn results(&self, places: impl IntoIterator<Item = usize>, end: u64) -> Result<Vec<Value>, String> {
        let places: Vec<usize> = places.into_iter().collect();
        let mut results: Vec<Option<Value>> = vec![None; places.len()];
        while results.contains(&None) {
            self.site.wait_until(clock::now() + SHORT_CHECK_INTERVAL.as_nanos() as u64)?;
            for (&place, result) in places.iter().zip(&mut results).filter(|(_, result)| result.is_none()) {
                // The first worker that fails knows the reason; the others only wait for it.
                *result = self.workers[place].poll()?;
            }
            if clock::now() > end {
                return Err("a worker takes too long".to_owned());
            }
        }
        Ok(results.into_iter().flatten().collect())
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

impl Worker {
    fn start(site: &Site<'_>, node: usize, task: &Task) -> Result<Worker, String> {
        let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = match site.rig {
            Some(rig) => rig.command(node, &program),
            None => Command::new(&program),
        };
        command.arg("worker").env("SPREAD_MAX_MESSAGE", (2 << 20).to_string());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| format!("a worker cannot be started: {error}"))?;
        let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, lines) = channel();
        let forward = sender.clone();
        thread::spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines().map_while(Result::ok));
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        thread::spawn(move || {
            let lines = errors.into_iter().flat_map(|errors| BufReader::new(errors).lines().map_while(Result::ok));
            lines.take_while(|line| forward.send(json!({ "error": line }).to_string()).is_ok()).for_each(drop);
        });
        let mut input = input.take().expect("it is piped");
        // If the worker has already ended, its output has the reason.
        let _ = writeln!(input, "{}", task.to_json());
        Ok(Worker { child, input, lines })
    }

    /// The next line, if it is there.
    fn poll(&self) -> Result<Option<Value>, String> {
        let line = match self.lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => return Err("a worker ended without a result".to_owned()),
        };
        let value: Value = serde_json::from_str(&line).map_err(|_| format!("a worker says: {line}"))?;
        match value["error"].as_str() {
            Some(error) => Err(error.strip_prefix("spbench: ").unwrap_or(error).to_owned()),
            None => Ok(Some(value)),
        }
    }
}

/// Nanoseconds of processor time that the threads of a process have used; less exact if the system counts only ticks.
pub fn processor_nanos(process: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let used = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    match used.sum() {
        0 => processor_micros(&[process]) * 1000,
        nanos => nanos,
    }
}

/// Microseconds of processor time that these processes have used.
pub fn processor_micros(processes: &[u32]) -> u64 {
    // SAFETY: the call takes a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    let used = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let times = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        times.sum::<u64>() * 1_000_000 / ticks
    };
    processes.iter().map(used).sum()
}
