//! A worker: a process in the network namespace of its daemon, and one member of the measured group.
//!
//! It reads a task, opens its session, reports that it is ready, and begins at the time that the coordinator sends. At the end it writes
//! its results as one line of JSON. Then the process ends, even if threads still wait.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::library::{self, Library, Received, Session, Views};
use super::task::{Flow, GROUP, Job, Task};
use super::{clock, flow};

/// How long a group may take to be complete.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before a failed connection is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Carries out the task in the first line of the input.
pub fn run() -> Result<(), String> {
    let task = Task::from_json(&line()?)?;
    let library = library::load(&task.library)?;
    let result = match &task.job {
        Job::Flow(flow) => {
            let sessions = open(&*library, &task, flow)?;
            start(|| flow::run(&task, flow, &sessions))?
        }
        Job::Watch { members } => return report_views(&*library, &task, *members),
        Job::Joins { rounds } if task.place == task.workers => change(&*library, &task, *rounds)?,
        Job::Joins { rounds } => watch(&*library, &task, *rounds)?,
    };
    say(&result)
}

fn line() -> Result<Value, String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("not a line of the coordinator: {error}"))
}

fn say(value: &Value) -> Result<(), String> {
    let mut output = io::stdout().lock();
    writeln!(output, "{value}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Reports that everything is open, and begins at the time in the next line.
fn start<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    say(&json!({ "ready": clock::now() }))?;
    let at = line()?["go"].as_u64().ok_or("the coordinator says no time")?;
    clock::sleep_until(at);
    work()
}

/// Opens the sessions of a flow, and waits until all groups are complete.
fn open(library: &dyn Library, task: &Task, flow: &Flow) -> Result<Vec<Arc<dyn Session>>, String> {
    let mut sessions = Vec::new();
    for number in 0..flow.sessions {
        let views = if number == 0 { Views::Wanted } else { Views::Unwanted };
        let session = connect(library, task, &format!("b{}x{number}", task.place), views)?;
        for group in 0..flow.groups {
            session.join(&group_name(flow, group))?;
        }
        sessions.push(session);
    }
    let members = task.workers * flow.sessions;
    let mut buffer = vec![0; flow::ROOM];
    let end = clock::now() + COMPLETE_TIMEOUT.as_nanos() as u64;
    let mut complete = 0;
    while complete < flow.groups {
        if sessions[0].receive(&mut buffer)? == Received::View(members) {
            complete += 1;
        }
        if clock::now() > end {
            return Err(format!("after {} s the group is not complete", COMPLETE_TIMEOUT.as_secs()));
        }
    }
    Ok(sessions)
}

/// The name of a flow's group.
pub fn group_name(flow: &Flow, number: usize) -> String {
    if flow.groups == 1 { GROUP.to_owned() } else { format!("{GROUP}{number}") }
}

/// Opens a session. If the daemons may still be starting, it tries again until a time-out.
fn connect(library: &dyn Library, task: &Task, name: &str, views: Views) -> Result<Arc<dyn Session>, String> {
    let end = clock::now() + COMPLETE_TIMEOUT.as_nanos() as u64;
    loop {
        match library.connect(&task.daemon, name, views) {
            Err(_) if task.patient && clock::now() < end => clock::sleep_until(clock::now() + RETRY.as_nanos() as u64),
            result => return result,
        }
    }
}

/// Waits for this many members, and then reports each view with another number. Ends with the daemon or the coordinator.
fn report_views(library: &dyn Library, task: &Task, members: usize) -> Result<(), String> {
    let session = connect(library, task, &format!("w{}", task.place), Views::Wanted)?;
    session.join(GROUP)?;
    let mut buffer = vec![0; flow::ROOM];
    while session.receive(&mut buffer)? != Received::View(members) {}
    say(&json!({ "ready": clock::now() }))?;
    let mut known = members;
    while let Ok(received) = session.receive(&mut buffer) {
        if let Received::View(now) = received
            && now != known
        {
            known = now;
            say(&json!({ "view_at": clock::now(), "members": now }))?;
        }
    }
    Ok(())
}

/// Joins and leaves many times. Reports when each change began, and when its own view came.
fn change(library: &dyn Library, task: &Task, rounds: usize) -> Result<Value, String> {
    let pause = Duration::from_millis(10).as_nanos() as u64;
    let session = connect(library, task, "changer", Views::Wanted)?;
    let mut buffer = vec![0; flow::ROOM];
    let (mut began, mut own) = (Vec::new(), Vec::new());
    start(|| {
        for _ in 0..rounds {
            for join in [true, false] {
                let at = clock::now();
                if join {
                    session.join(GROUP)?
                } else {
                    session.leave(GROUP)?
                }
                while session.receive(&mut buffer)? == Received::Other && join {}
                began.push(at);
                own.push(clock::now());
                clock::sleep_until(at + pause);
            }
        }
        Ok(json!({ "began": began, "own": own }))
    })
}

/// Reports when the view of each change came.
fn watch(library: &dyn Library, task: &Task, rounds: usize) -> Result<Value, String> {
    let session = connect(library, task, &format!("b{}", task.place), Views::Wanted)?;
    session.join(GROUP)?;
    let mut buffer = vec![0; flow::ROOM];
    while session.receive(&mut buffer)? != Received::View(task.workers) {}
    start(|| {
        let mut seen = Vec::new();
        while seen.len() < 2 * rounds {
            if let Received::View(_) = session.receive(&mut buffer)? {
                seen.push(clock::now());
            }
        }
        Ok(json!({ "seen": seen }))
    })
}
